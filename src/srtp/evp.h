#pragma once
// Private to this room: OpenSSL's handles. Algorithms are fetched once per process.
#include <openssl/evp.h>

#include <cstddef>
#include <memory>

namespace tandem::srtp {

struct FreeCipherContext {
  void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, FreeCipherContext>;

/// For a key of 16 or 32 octets.
const EVP_CIPHER* aes_ctr(size_t key_octets);
const EVP_CIPHER* aes_gcm(size_t key_octets);

}  // namespace tandem::srtp
