#include "net/stun_reply.h"

namespace tandem::net {
namespace {

constexpr size_t header_bytes = 20;
constexpr std::array<uint8_t, 4> magic_cookie{0x21, 0x12, 0xa4, 0x42};

}  // namespace

bool is_stun_binding_request(Bytes d) {
  if (d.size() < header_bytes || d[0] != 0x00 || d[1] != 0x01) return false;
  if (header_bytes + (size_t{d[2]} << 8 | d[3]) != d.size()) return false;
  for (size_t i = 0; i < magic_cookie.size(); ++i)
    if (d[4 + i] != magic_cookie[i]) return false;
  return true;
}

size_t write_stun_reply(Bytes request, const SocketAddress& source,
                        std::array<uint8_t, stun_reply_bytes>& out) {
  const size_t ip_bytes = source.ip.is_v6() ? 16 : 4;
  const size_t value = 4 + ip_bytes;
  for (size_t i = 0; i < header_bytes; ++i) out[i] = request[i];  // cookie and transaction id stay
  out[0] = 0x01;
  out[1] = 0x01;  // Binding success response
  out[2] = 0;
  out[3] = static_cast<uint8_t>(4 + value);
  uint8_t* a = out.data() + header_bytes;
  a[0] = 0x00;
  a[1] = 0x20;  // XOR-MAPPED-ADDRESS (RFC 5389 section 15.2)
  a[2] = 0;
  a[3] = static_cast<uint8_t>(value);
  a[4] = 0;
  a[5] = source.ip.is_v6() ? 2 : 1;
  a[6] = static_cast<uint8_t>((source.port >> 8) ^ magic_cookie[0]);
  a[7] = static_cast<uint8_t>((source.port & 0xff) ^ magic_cookie[1]);
  for (size_t i = 0; i < ip_bytes; ++i) a[8 + i] = source.ip.bytes[i] ^ request[4 + i];
  return header_bytes + 4 + value;
}

}  // namespace tandem::net
