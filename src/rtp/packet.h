#pragma once
// RTP (RFC 3550 section 5.1), and telling it from what else arrives on a media port (RFC 5761, RFC 7983).
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace tandem::rtp {

inline uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
inline uint32_t load32(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}
inline void store16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
inline void store32(uint8_t* p, uint32_t v) {
  store16(p, static_cast<uint16_t>(v >> 16));
  store16(p + 2, static_cast<uint16_t>(v));
}

/// What a datagram on a media port is, by its first bytes (RFC 7983 section 7, RFC 5761 section 4).
enum class Kind : uint8_t { rtp, rtcp, stun, dtls, other };
inline Kind kind_of(Bytes b) {
  if (b.size() < 2) return Kind::other;
  if (b[0] <= 3) return Kind::stun;
  if (b[0] >= 20 && b[0] <= 63) return Kind::dtls;
  if (b[0] < 128 || b[0] > 191) return Kind::other;
  return b[1] >= 192 && b[1] <= 223 ? Kind::rtcp : Kind::rtp;
}

/// The fixed header and where the payload lies.
///
///     0                   1                   2                   3
///    |V=2|P|X|  CC   |M|     PT      |       sequence number         |
///    |                           timestamp                           |
///    |           synchronization source (SSRC) identifier            |
///    |            contributing source (CSRC) identifiers ...         |
struct Header {
  static constexpr size_t fixed_bytes = 12;

  bool marker = false;
  uint8_t payload_type = 0;
  uint16_t sequence = 0;
  uint32_t timestamp = 0;
  uint32_t ssrc = 0;
  uint16_t payload_offset = fixed_bytes;  // behind CSRCs and the extension
  uint8_t padding = 0;                    // octets at the end that are no payload

  /// Nothing when the version is not 2 or a length points past the end. In SRTP the padding octet is
  /// ciphertext, so its check is left out with `encrypted`.
  static std::optional<Header> parse(Bytes packet, bool encrypted = false);
  /// Writes the fixed header without CSRC and extension; `out` holds at least fixed_bytes.
  void write(uint8_t* out) const;
};

/// RFC 4733 section 2.3.
///
///    |     event     |E|R| volume    |          duration             |
struct TelephoneEvent {
  uint8_t event = 0;
  bool end = false;
  uint8_t volume = 0;     // 0..63, in -dBm0
  uint16_t duration = 0;  // in timestamp units

  static std::optional<TelephoneEvent> parse(Bytes payload);
  void write(uint8_t* out) const;  // 4 octets
  /// '0'..'9', '*', '#', 'A'..'D'; 0 when the event is no DTMF digit.
  char digit() const;
};

}  // namespace tandem::rtp
