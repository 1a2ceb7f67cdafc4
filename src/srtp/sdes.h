#pragma once
// SDP security descriptions (RFC 4568): the value of an a=crypto attribute.
//
//    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^48
//             tag       suite                       key||salt, base 64         lifetime
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "srtp/key.h"

namespace tandem::srtp {

/// Why an a=crypto is not used. RFC 4568 section 7.1: such an attribute is passed over, and the next
/// considered.
enum class CryptoReason : uint8_t {
  malformed,          // not the grammar of section 9.1
  unknown_suite,      // a suite this room does not have
  unknown_method,     // a key method other than inline
  bad_key,            // not base 64, or not as long as the suite's key and salt
  bad_lifetime,       // zero, or more than 2^48 packets
  mki,                // a master key identifier: every packet would carry it, and we do not read it
  several_keys,       // more than one key, which needs an MKI
  session_parameter,  // a parameter that would change what we do (KDR, UNENCRYPTED_*, FEC_*), or unknown
};
inline constexpr size_t crypto_reason_count = 8;
std::string_view to_string(CryptoReason reason);

struct Crypto {
  uint32_t tag = 0;  // up to 9 digits
  MasterKey key;
  /// Packets its owner will protect with this key, when it says so; never more than 2^48.
  std::optional<uint64_t> lifetime;
};

/// What follows "a=crypto:". WSH, a hint at our window's size, and parameters with a leading "-" (optional,
/// section 6.3.7) are passed over. Key text may lack its padding, as some telephones send it.
Result<Crypto, CryptoReason> parse_crypto(std::string_view value);

/// The same, for an attribute of ours: no lifetime (2^48 by default), no MKI, no session parameters. The text
/// is a secret as long as it lives.
std::string write_crypto(uint32_t tag, const MasterKey& key);

}  // namespace tandem::srtp
