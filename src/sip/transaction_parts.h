#pragma once
// Paths as snapshot parts, for this room and those above.
#include "base/time.h"
#include "port/flow.h"
#include "sip.pb.h"

namespace tandem::sip {

void write_address(const SocketAddress& from, proto::SipAddress& to);
/// False when the bytes are no address.
bool read_address(const proto::SipAddress& from, SocketAddress& to);
void write_path(const port::Path& from, proto::SipPath& to);
bool read_path(const proto::SipPath& from, port::Path& to);

}  // namespace tandem::sip
