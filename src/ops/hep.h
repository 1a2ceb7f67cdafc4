#pragma once
// HEP3, the capture protocol of Homer: one UDP datagram a SIP message. Chunk figures as in the HEP3 network
// protocol specification, revision 36: {vendor 16, type 16, length 16, payload}, all big-endian.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "port/flow.h"

namespace tandem::ops {

struct HepPacket {
  SocketAddress source, destination;
  port::Transport transport = port::Transport::udp;
  WallTime time;
  uint32_t capture_id = 0;
  std::string_view password;        // empty: no chunk
  std::string_view correlation_id;  // the Call-ID; empty: no chunk
  std::string_view payload;         // the SIP message
};

std::string encode_hep3(const HepPacket& packet);

}  // namespace tandem::ops
