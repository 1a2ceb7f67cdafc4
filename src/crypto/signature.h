#pragma once
// Signatures of others, checked with the keys an operator gave us.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

struct evp_pkey_st;

namespace tandem::crypto {

/// A public key, or the public half of whatever key or certificate the text holds. Copies share it.
class PublicKey {
 public:
  enum class Kind : uint8_t {
    rsa,   // 2048 bits at least
    p256,  // an elliptic curve key on P-256
  };
  /// A PEM public key or certificate. The failure says what is wrong in a few words.
  static Result<PublicKey, std::string> from_pem(std::string_view pem);

  Kind kind() const { return kind_; }
  /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2), or ECDSA with the signature as R and S, 32 octets each (RFC
  /// 7518 section 3.4), both over SHA-256.
  bool verifies_sha256(Bytes signature, std::string_view text) const;

 private:
  PublicKey(std::shared_ptr<evp_pkey_st> key, Kind kind) : key_(std::move(key)), kind_(kind) {}
  std::shared_ptr<evp_pkey_st> key_;
  Kind kind_;
};

}  // namespace tandem::crypto
