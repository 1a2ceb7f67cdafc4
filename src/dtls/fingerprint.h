#pragma once
// Certificate fingerprints in SDP (RFC 8122 section 5):
//
//    a=fingerprint:sha-256
//    12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tandem::dtls {

/// The hash functions we take a fingerprint by. Those RFC 8122 lists besides (md5, sha-1) can be forged.
enum class FingerprintHash : uint8_t { sha_256, sha_384, sha_512 };

struct Fingerprint {
  FingerprintHash hash = FingerprintHash::sha_256;
  std::array<uint8_t, 64> octets{};  // as many as the hash has, then zeros

  Bytes view() const;
  /// The value of a=fingerprint, in either case. Nothing for another hash, another length or no hex.
  static std::optional<Fingerprint> parse(std::string_view value);
  std::string to_string() const;
  /// By hash and value, in constant time.
  bool operator==(const Fingerprint& other) const;
};

}  // namespace tandem::dtls
