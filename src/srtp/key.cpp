#include "srtp/key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "crypto/hash.h"
#include "srtp/evp.h"

namespace tandem::srtp {

std::optional<MasterKey> MasterKey::from(Suite suite, Bytes key_and_salt) {
  MasterKey key(suite);
  const MutableBytes room = key.octets_.first(size_t{traits(suite).key_octets} + traits(suite).salt_octets);
  if (key_and_salt.size() != room.size()) return std::nullopt;
  std::copy(key_and_salt.begin(), key_and_salt.end(), room.begin());
  return key;
}

MasterKey MasterKey::generate(Suite suite, Rng& rng) {
  MasterKey key(suite);
  rng.fill(key.octets_.first(size_t{traits(suite).key_octets} + traits(suite).salt_octets));
  return key;
}

bool MasterKey::operator==(const MasterKey& other) const {
  return suite_ == other.suite_ && crypto::constant_time_equal(bytes(), other.bytes());
}

void aes_cm_prf(Bytes master_key, Bytes master_salt, uint8_t label, MutableBytes out) {
  std::array<uint8_t, 16> iv{};  // x * 2^16
  std::copy(master_salt.begin(), master_salt.end(), iv.begin());
  iv[7] ^= label;
  const CipherContext context(EVP_CIPHER_CTX_new());
  std::fill(out.begin(), out.end(), uint8_t{0});
  int n = 0;
  if (!context ||
      EVP_EncryptInit_ex2(context.get(), aes_ctr(master_key.size()), master_key.data(), iv.data(), nullptr) !=
          1 ||
      EVP_EncryptUpdate(context.get(), out.data(), &n, out.data(), static_cast<int>(out.size())) != 1)
    std::abort();  // out of memory, or no AES at all; no peer can cause it
}

SessionKeys derive(const MasterKey& master, PacketKind kind) {
  const SuiteTraits& t = traits(master.suite());
  const uint8_t first_label = kind == PacketKind::rtp ? 0 : 3;  // encryption, authentication, salt
  SessionKeys keys;
  aes_cm_prf(master.key(), master.salt(), first_label, keys.encryption.first(t.key_octets));
  if (!t.aead)
    aes_cm_prf(master.key(), master.salt(), static_cast<uint8_t>(first_label + 1),
               keys.authentication.first(20));
  aes_cm_prf(master.key(), master.salt(), static_cast<uint8_t>(first_label + 2),
             keys.salt.first(t.salt_octets));
  return keys;
}

}  // namespace tandem::srtp
