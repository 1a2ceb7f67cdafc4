#pragma once
// Packets to protect, and hex.
#include <array>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/text.h"
#include "rtp/packet.h"
#include "srtp/context.h"

namespace tandem::srtp {

inline void PrintTo(const SuiteTraits& t, std::ostream* out) { *out << t.name; }
inline void PrintTo(Reason r, std::ostream* out) { *out << to_string(r); }

}  // namespace tandem::srtp

namespace tandem::srtp::test {

using Octets = std::vector<uint8_t>;

inline Octets hex(std::string_view digits) {
  std::string packed;
  for (const char c : digits)
    if (c != ' ') packed.push_back(c);
  const std::string octets = from_hex(packed).value();
  return {octets.begin(), octets.end()};
}
inline std::string hex_of(Bytes octets) { return to_hex(as_text(octets)); }

inline Octets rtp_packet(uint32_t ssrc, uint16_t sequence, size_t payload = 160) {
  rtp::Header h;
  h.payload_type = 8;
  h.sequence = sequence;
  h.timestamp = sequence * 160u;
  h.ssrc = ssrc;
  Octets p(rtp::Header::fixed_bytes);
  h.write(p.data());
  for (size_t i = 0; i < payload; ++i) p.push_back(static_cast<uint8_t>(i * 7 + sequence));
  return p;
}

/// A receiver report without blocks, and an SDES with a CNAME of four.
inline Octets rtcp_packet(uint32_t ssrc) {
  Octets p = hex("80c90001 00000000 81ca0003 00000000 01046161 61610000");
  rtp::store32(p.data() + 4, ssrc);
  rtp::store32(p.data() + 12, ssrc);
  return p;
}

inline MasterKey key_of(Suite suite, uint64_t seed = 1) {
  SeededRng rng(seed);
  return MasterKey::generate(suite, rng);
}

/// Protected copies, or nothing when refused.
inline Octets protect_rtp(Sender& sender, Octets p) {
  const size_t size = p.size();
  p.resize(size + tail_room);
  const auto done = sender.protect_rtp(p, size);
  p.resize(done ? *done : 0);
  return p;
}
inline Octets protect_rtcp(Sender& sender, Octets p) {
  const size_t size = p.size();
  p.resize(size + tail_room);
  const auto done = sender.protect_rtcp(p, size);
  p.resize(done ? *done : 0);
  return p;
}

/// "ok" with the plain packet in `p`, or the reason's name.
inline std::string_view unprotect_rtp(Receiver& receiver, Octets& p) {
  const auto done = receiver.unprotect_rtp(p, p.size());
  if (!done) return to_string(done.reason());
  p.resize(*done);
  return "ok";
}
inline std::string_view unprotect_rtcp(Receiver& receiver, Octets& p) {
  const auto done = receiver.unprotect_rtcp(p, p.size());
  if (!done) return to_string(done.reason());
  p.resize(*done);
  return "ok";
}
/// For a packet that is looked at no more.
inline std::string_view feed_rtp(Receiver& receiver, Octets p) { return unprotect_rtp(receiver, p); }
inline std::string_view feed_rtcp(Receiver& receiver, Octets p) { return unprotect_rtcp(receiver, p); }

}  // namespace tandem::srtp::test
