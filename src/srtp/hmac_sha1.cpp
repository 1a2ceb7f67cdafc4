// In OpenSSL 3.0 copying or re-initialising an EVP digest or MAC context allocates, so every packet would
// cost two allocations; SHA_CTX is copied like the value it is. docs/decisions/srtp.md has the figures.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "srtp/hmac_sha1.h"

#include <openssl/sha.h>

#include <cstring>

#include "crypto/secret.h"

namespace tandem::srtp {
namespace {

constexpr size_t block_octets = 64;

SHA_CTX begin(Bytes key, uint8_t pad) {
  crypto::Secret<block_octets> block;
  block.octets.fill(pad);
  for (size_t i = 0; i < key.size(); ++i) block.octets[i] = static_cast<uint8_t>(key[i] ^ pad);
  SHA_CTX context;
  SHA1_Init(&context);
  SHA1_Update(&context, block.data(), block_octets);
  return context;
}

}  // namespace

HmacSha1::HmacSha1(Bytes key) {
  static_assert(sizeof(SHA_CTX) <= sizeof(State));
  SHA_CTX context = begin(key, 0x36);
  std::memcpy(inner_.octets.data(), &context, sizeof context);
  context = begin(key, 0x5c);
  std::memcpy(outer_.octets.data(), &context, sizeof context);
  crypto::wipe({reinterpret_cast<uint8_t*>(&context), sizeof context});
}

HmacSha1::~HmacSha1() {
  crypto::wipe(inner_.octets);
  crypto::wipe(outer_.octets);
}

HmacSha1::Digest HmacSha1::tag(Bytes message, Bytes suffix) const {
  SHA_CTX context;
  Digest digest;
  std::memcpy(&context, inner_.octets.data(), sizeof context);
  SHA1_Update(&context, message.data(), message.size());
  SHA1_Update(&context, suffix.data(), suffix.size());
  SHA1_Final(digest.data(), &context);
  std::memcpy(&context, outer_.octets.data(), sizeof context);
  SHA1_Update(&context, digest.data(), digest.size());
  SHA1_Final(digest.data(), &context);
  return digest;
}

}  // namespace tandem::srtp
