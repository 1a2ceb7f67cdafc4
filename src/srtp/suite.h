#pragma once
// The crypto suites (RFC 3711, RFC 4568 section 6.2, RFC 6188, RFC 7714) and their lengths.
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace tandem::srtp {

enum class Suite : uint8_t {
  aes_cm_128_hmac_sha1_80,
  aes_cm_128_hmac_sha1_32,
  aes_256_cm_hmac_sha1_80,
  aes_256_cm_hmac_sha1_32,
  aead_aes_128_gcm,
  aead_aes_256_gcm,
};

struct SuiteTraits {
  Suite suite;
  std::string_view name;   // as in a=crypto
  uint8_t key_octets;      // of the master key and of the session encryption key
  uint8_t salt_octets;     // of both salts
  uint8_t rtp_tag_octets;  // authentication tag behind an SRTP packet
  uint8_t rtcp_tag_octets;
  bool aead;
  uint16_t dtls_profile;  // SRTPProtectionProfile (RFC 5764 section 4.1.2, RFC 7714 section 14.2); 0: none
};

/// In the order of Suite. The _32 suites shorten SRTP's tag, never SRTCP's (RFC 4568 section 6.2.2).
inline constexpr std::array<SuiteTraits, 6> all_suites = {{
    {Suite::aes_cm_128_hmac_sha1_80, "AES_CM_128_HMAC_SHA1_80", 16, 14, 10, 10, false, 0x0001},
    {Suite::aes_cm_128_hmac_sha1_32, "AES_CM_128_HMAC_SHA1_32", 16, 14, 4, 10, false, 0x0002},
    {Suite::aes_256_cm_hmac_sha1_80, "AES_256_CM_HMAC_SHA1_80", 32, 14, 10, 10, false, 0},
    {Suite::aes_256_cm_hmac_sha1_32, "AES_256_CM_HMAC_SHA1_32", 32, 14, 4, 10, false, 0},
    {Suite::aead_aes_128_gcm, "AEAD_AES_128_GCM", 16, 12, 16, 16, true, 0x0007},
    {Suite::aead_aes_256_gcm, "AEAD_AES_256_GCM", 32, 12, 16, 16, true, 0x0008},
}};

constexpr const SuiteTraits& traits(Suite s) { return all_suites[static_cast<size_t>(s)]; }

/// By its name in a=crypto, in either case; nothing for a suite this room does not have.
std::optional<Suite> suite_named(std::string_view name);
/// By its DTLS-SRTP protection profile; nothing for one this room does not have.
std::optional<Suite> suite_of_profile(uint16_t dtls_profile);

}  // namespace tandem::srtp
