#pragma once
// The client's side of a WebSocket, byte by byte, so that tests can do what no client does.
#include <cstdint>
#include <string>
#include <string_view>

#include "unit/net/harness.h"

namespace tandem::net::test {

constexpr std::string_view sample_key = "dGhlIHNhbXBsZSBub25jZQ==";  // of RFC 6455 section 1.3
constexpr std::string_view sample_accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A handshake for `path`; `more` is further header lines.
inline std::string handshake(const std::string& path = "/sip", const std::string& more = "",
                             const std::string& protocol = "sip") {
  return "GET " + path +
         " HTTP/1.1\r\nHost: tandem.example\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
         "Sec-WebSocket-Key: " +
         std::string(sample_key) + "\r\nSec-WebSocket-Version: 13\r\n" +
         (protocol.empty() ? "" : "Sec-WebSocket-Protocol: " + protocol + "\r\n") + more + "\r\n";
}

struct Frame {
  bool fin = true;
  int opcode = 1;
  std::string payload;
};

/// A frame as a client sends it. Opcodes: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong.
inline std::string frame(std::string_view payload, int opcode = 1, bool fin = true, bool masked = true,
                         int reserved = 0) {
  std::string out(1, static_cast<char>((fin ? 0x80 : 0) | reserved << 4 | opcode));
  const char mask_bit = masked ? '\x80' : '\0';
  const size_t n = payload.size();
  if (n < 126) {
    out.push_back(static_cast<char>(mask_bit | static_cast<char>(n)));
  } else if (n < 65536) {
    out += {static_cast<char>(mask_bit | 126), static_cast<char>(n >> 8), static_cast<char>(n)};
  } else {
    out.push_back(static_cast<char>(mask_bit | 127));
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift));
  }
  if (!masked) return out.append(payload);
  const std::string mask = "\x11\x22\x83\x44";
  out += mask;
  for (size_t i = 0; i < n; ++i) out.push_back(static_cast<char>(payload[i] ^ mask[i % 4]));
  return out;
}

inline std::string close_frame(uint16_t code, std::string_view reason = "") {
  return frame(std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + std::string(reason), 8);
}

/// The next frame of a server; opcode -1 when the stream ended.
inline Frame read_frame(StreamClient& client) {
  const std::string head = client.receive(2);
  if (head.size() < 2) return {false, -1, ""};
  const auto byte = [](char c) { return static_cast<size_t>(static_cast<uint8_t>(c)); };
  EXPECT_EQ(byte(head[1]) & 0x80, 0u) << "a server masks nothing";
  size_t n = byte(head[1]) & 0x7f;
  if (n >= 126) {
    const std::string length = client.receive(n == 126 ? 2 : 8);
    n = 0;
    for (const char c : length) n = n << 8 | byte(c);
  }
  return {(byte(head[0]) & 0x80) != 0, static_cast<int>(byte(head[0]) & 0x0f), client.receive(n)};
}

/// The code of a close frame; 0: it is none.
inline int code_of(const Frame& f) {
  if (f.opcode != 8 || f.payload.size() < 2) return 0;
  return static_cast<uint8_t>(f.payload[0]) << 8 | static_cast<uint8_t>(f.payload[1]);
}

inline std::string read_head(StreamClient& client) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    const std::string c = client.receive(1);
    if (c.empty()) break;
    head += c;
  }
  return head;
}

}  // namespace tandem::net::test
