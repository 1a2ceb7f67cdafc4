#pragma once
// Hashes (RFC 1321, FIPS 180-4) and HMAC (RFC 2104) over OpenSSL's EVP. The algorithms are fetched once per
// process and the contexts are kept per thread, so hashing a short text costs the compression function and
// little else. No OpenSSL header leaks out of this room through here.
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace tandem::crypto {

enum class Hash : uint8_t { md5, sha1, sha256, sha512_256 };

constexpr size_t digest_size(Hash h) { return h == Hash::md5 ? 16 : h == Hash::sha1 ? 20 : 32; }
/// Block size of the compression function, what HMAC pads its key to.
constexpr size_t block_size(Hash h) { return h == Hash::sha512_256 ? 128 : 64; }

/// A hash value; lives on the stack.
struct Digest {
  std::array<uint8_t, 32> bytes{};
  uint8_t size = 0;
  Bytes view() const { return {bytes.data(), size}; }
};
/// A hash value as lower-case hex, the way digest authentication wants it (RFC 7616 section 3.3, LHEX).
struct HexDigest {
  std::array<char, 64> chars{};
  uint8_t size = 0;
  std::string_view view() const { return {chars.data(), size}; }
};

/// The hash of all pieces, one after another.
Digest hash(Hash algorithm, std::initializer_list<std::string_view> pieces);
inline Digest hash(Hash algorithm, std::string_view text) { return hash(algorithm, {text}); }
Digest hmac(Hash algorithm, std::string_view key, std::initializer_list<std::string_view> pieces);
inline Digest hmac(Hash algorithm, std::string_view key, std::string_view text) {
  return hmac(algorithm, key, {text});
}

HexDigest hex(const Digest& digest);
inline HexDigest hash_hex(Hash algorithm, std::initializer_list<std::string_view> pieces) {
  return hex(hash(algorithm, pieces));
}

/// Compares without telling by its duration where the difference is (lengths are not secret).
bool constant_time_equal(Bytes a, Bytes b);
inline bool constant_time_equal(std::string_view a, std::string_view b) {
  return constant_time_equal(as_bytes(a), as_bytes(b));
}

}  // namespace tandem::crypto
