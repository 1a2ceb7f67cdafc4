#include "ops/hep.h"

namespace tandem::ops {
namespace {

enum ChunkType : uint16_t {
  ip_family = 1,
  ip_protocol = 2,
  ipv4_source = 3,
  ipv4_destination = 4,
  ipv6_source = 5,
  ipv6_destination = 6,
  source_port = 7,
  destination_port = 8,
  seconds_ = 9,
  microseconds_ = 10,
  protocol_type = 11,
  capture_agent = 12,
  authenticate_key = 14,
  captured_payload = 15,
  correlation = 17,
};

void put16(std::string& out, size_t v) {
  out.push_back(static_cast<char>(v >> 8 & 0xff));
  out.push_back(static_cast<char>(v & 0xff));
}
void put32(std::string& out, uint32_t v) {
  put16(out, v >> 16);
  put16(out, v & 0xffff);
}

void chunk(std::string& out, ChunkType type, std::string_view payload) {
  put16(out, 0);  // vendor: generic
  put16(out, type);
  put16(out, payload.size() + 6);
  out.append(payload);
}
void chunk8(std::string& out, ChunkType type, uint8_t v) {
  chunk(out, type, std::string(1, static_cast<char>(v)));
}
void chunk16(std::string& out, ChunkType type, uint16_t v) {
  std::string payload;
  put16(payload, v);
  chunk(out, type, payload);
}
void chunk32(std::string& out, ChunkType type, uint32_t v) {
  std::string payload;
  put32(payload, v);
  chunk(out, type, payload);
}

std::string_view raw(const IpAddress& ip) {
  return {reinterpret_cast<const char*>(ip.bytes.data()), ip.is_v4() ? size_t{4} : size_t{16}};
}

}  // namespace

std::string encode_hep3(const HepPacket& p) {
  static constexpr uint8_t af_inet = 2, af_inet6 = 10, udp = 17, tcp = 6, sip = 1;
  const bool v4 = p.source.ip.is_v4();
  std::string out = "HEP3";
  put16(out, 0);  // total length, filled in below
  chunk8(out, ip_family, v4 ? af_inet : af_inet6);
  chunk8(out, ip_protocol, p.transport == port::Transport::udp ? udp : tcp);
  chunk(out, v4 ? ipv4_source : ipv6_source, raw(p.source.ip));
  chunk(out, v4 ? ipv4_destination : ipv6_destination, raw(p.destination.ip));
  chunk16(out, source_port, p.source.port);
  chunk16(out, destination_port, p.destination.port);
  chunk32(out, seconds_, static_cast<uint32_t>(p.time.ns / 1'000'000'000));
  chunk32(out, microseconds_, static_cast<uint32_t>(p.time.ns / 1000 % 1'000'000));
  chunk8(out, protocol_type, sip);
  chunk32(out, capture_agent, p.capture_id);
  if (!p.password.empty()) chunk(out, authenticate_key, p.password);
  if (!p.correlation_id.empty()) chunk(out, correlation, p.correlation_id);
  chunk(out, captured_payload, p.payload);
  out[4] = static_cast<char>(out.size() >> 8 & 0xff);
  out[5] = static_cast<char>(out.size() & 0xff);
  return out;
}

}  // namespace tandem::ops
