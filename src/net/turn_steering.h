#pragma once
// Which worker's socket a client's packets go to.
#include <cstdint>

#include "base/address.h"

namespace tandem::net {

/// Attaches a filter to the group of sockets on one address and port (SO_REUSEPORT), bound in the order of
/// their workers: a packet goes to worker (shard_of_client(source) mod workers), turn/server.h, so that who
/// computes it knows where a client arrives, after a restart too. `with_port` false leaves the source port
/// out: all connections of one address come to one worker, as a ConnectionBind needs it (RFC 6062
/// section 4.4). False: the kernel refuses, and its own hash stays in use.
bool steer(int fd, IpAddress::Family family, bool with_port, uint16_t workers);

}  // namespace tandem::net
