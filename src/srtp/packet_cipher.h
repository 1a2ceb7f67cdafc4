#pragma once
// One kind of packet, one direction: encryption and authentication given a packet's index, and nothing that
// remembers packets. Private to this room and its tests.
#include <cstdint>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "srtp/evp.h"
#include "srtp/hmac_sha1.h"
#include "srtp/key.h"

namespace tandem::srtp {

enum class Direction : uint8_t { protect, unprotect };

/// SRTP: what is encrypted follows the RTP header. Tags lie behind.
///
///    | header, CSRCs, extension | payload (encrypted) | tag |
///
/// SRTCP: what is encrypted follows the first eight octets (RFC 3711 section 3.4, RFC 7714 section 9.2).
///
///    AES-CM:  | 8 octets | the rest (encrypted) | E, index | tag |
///    AEAD:    | 8 octets | the rest (encrypted) | tag | E, index |
class PacketCipher {
 public:
  PacketCipher(Suite suite, const SessionKeys& keys, Direction direction, PacketKind kind);

  size_t tag_octets() const { return tag_octets_; }

  /// `packet` is header and payload; the tag is written behind it, where there is room.
  void protect_rtp(MutableBytes packet, size_t header_octets, uint32_t ssrc, uint64_t index);
  /// `packet` includes the tag. False when the tag is not authentic: the packet is then as it was.
  bool unprotect_rtp(MutableBytes packet, size_t header_octets, uint32_t ssrc, uint64_t index);

  /// `packet` is plain RTCP; behind it is room for tag and index. Without `encrypt` it is only
  /// authenticated, with E = 0.
  void protect_rtcp(MutableBytes packet, uint32_t ssrc, uint32_t index, bool encrypt = true);
  /// `packet` includes tag and index.
  bool unprotect_rtcp(MutableBytes packet, uint32_t ssrc);

  /// The word with E and the index, of a packet long enough to have one.
  uint32_t rtcp_word(Bytes packet) const;

 private:
  using Iv = std::array<uint8_t, 16>;
  Iv counter_iv(uint32_t ssrc, uint64_t index) const;
  Iv gcm_rtp_iv(uint32_t ssrc, uint64_t index) const;
  Iv gcm_rtcp_iv(uint32_t ssrc, uint32_t index) const;
  void apply_keystream(const Iv& iv, MutableBytes payload);
  void seal(const Iv& iv, Bytes aad, Bytes more_aad, MutableBytes payload, uint8_t* tag);
  bool open(const Iv& iv, Bytes aad, Bytes more_aad, MutableBytes payload, uint8_t* tag);
  void gcm_crypt(const Iv& iv, Bytes aad, Bytes more_aad, MutableBytes payload);
  bool tag_matches(const HmacSha1::Digest& tag, const uint8_t* received) const;

  bool aead_;
  size_t tag_octets_;
  crypto::Secret<14> salt_;
  CipherContext context_;
  std::optional<HmacSha1> hmac_;  // of AES-CM suites
};

}  // namespace tandem::srtp
