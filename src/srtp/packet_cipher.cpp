#include "srtp/packet_cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdlib>

#include "rtp/packet.h"

namespace tandem::srtp {
namespace {

using rtp::load32;
using rtp::store32;

constexpr uint32_t e_flag = 0x80000000;
constexpr size_t rtcp_clear_octets = 8;
constexpr size_t word_octets = 4;

struct Algorithms {
  EVP_CIPHER* ctr128 = EVP_CIPHER_fetch(nullptr, "AES-128-CTR", nullptr);
  EVP_CIPHER* ctr256 = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  EVP_CIPHER* gcm128 = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  EVP_CIPHER* gcm256 = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  Algorithms() {
    if (!ctr128 || !ctr256 || !gcm128 || !gcm256) std::abort();  // an OpenSSL without AES
  }
  ~Algorithms() {
    for (EVP_CIPHER* c : {ctr128, ctr256, gcm128, gcm256}) EVP_CIPHER_free(c);
  }
};

const Algorithms& algorithms() {
  static const Algorithms all;
  return all;
}

}  // namespace

const EVP_CIPHER* aes_ctr(size_t key_octets) {
  return key_octets == 32 ? algorithms().ctr256 : algorithms().ctr128;
}
const EVP_CIPHER* aes_gcm(size_t key_octets) {
  return key_octets == 32 ? algorithms().gcm256 : algorithms().gcm128;
}

PacketCipher::PacketCipher(Suite suite, const SessionKeys& keys, Direction direction, PacketKind kind)
    : aead_(traits(suite).aead),
      tag_octets_(kind == PacketKind::rtp ? traits(suite).rtp_tag_octets : traits(suite).rtcp_tag_octets),
      salt_(keys.salt),
      context_(EVP_CIPHER_CTX_new()) {
  const size_t key_octets = traits(suite).key_octets;
  const EVP_CIPHER* cipher = aead_ ? aes_gcm(key_octets) : aes_ctr(key_octets);
  // Counter mode is its own inverse. GCM is not: its tag is over the ciphertext.
  const int encrypt = direction == Direction::protect || !aead_;
  if (!context_ ||
      EVP_CipherInit_ex2(context_.get(), cipher, keys.encryption.data(), nullptr, encrypt, nullptr) != 1)
    std::abort();  // out of memory
  if (!aead_) hmac_.emplace(keys.authentication.first(HmacSha1::digest_octets));
}

/// (k_s * 2^16) XOR (SSRC * 2^64) XOR (i * 2^16), RFC 3711 section 4.1.1.
PacketCipher::Iv PacketCipher::counter_iv(uint32_t ssrc, uint64_t index) const {
  Iv iv{};
  std::copy(salt_.octets.begin(), salt_.octets.end(), iv.begin());
  for (size_t i = 0; i < 4; ++i) iv[4 + i] ^= static_cast<uint8_t>(ssrc >> (24 - 8 * i));
  for (size_t i = 0; i < 6; ++i) iv[8 + i] ^= static_cast<uint8_t>(index >> (40 - 8 * i));
  return iv;
}

/// (00 00 || SSRC || ROC || SEQ) XOR salt, RFC 7714 section 8.1. Twelve octets.
PacketCipher::Iv PacketCipher::gcm_rtp_iv(uint32_t ssrc, uint64_t index) const {
  Iv iv{};
  std::copy_n(salt_.octets.begin(), 12, iv.begin());
  for (size_t i = 0; i < 4; ++i) iv[2 + i] ^= static_cast<uint8_t>(ssrc >> (24 - 8 * i));
  for (size_t i = 0; i < 6; ++i) iv[6 + i] ^= static_cast<uint8_t>(index >> (40 - 8 * i));
  return iv;
}

/// (00 00 || SSRC || 00 00 || 0 || 31-bit index) XOR salt, RFC 7714 section 9.1. With the index in 48 bits
/// it is the one above.
PacketCipher::Iv PacketCipher::gcm_rtcp_iv(uint32_t ssrc, uint32_t index) const {
  return gcm_rtp_iv(ssrc, index);
}

void PacketCipher::apply_keystream(const Iv& iv, MutableBytes payload) {
  int n = 0;
  EVP_EncryptInit_ex2(context_.get(), nullptr, nullptr, iv.data(), nullptr);
  EVP_EncryptUpdate(context_.get(), payload.data(), &n, payload.data(), static_cast<int>(payload.size()));
}

void PacketCipher::gcm_crypt(const Iv& iv, Bytes aad, Bytes more_aad, MutableBytes payload) {
  int n = 0;
  EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, iv.data(), -1, nullptr);
  EVP_CipherUpdate(context_.get(), nullptr, &n, aad.data(), static_cast<int>(aad.size()));
  if (!more_aad.empty())
    EVP_CipherUpdate(context_.get(), nullptr, &n, more_aad.data(), static_cast<int>(more_aad.size()));
  if (!payload.empty())
    EVP_CipherUpdate(context_.get(), payload.data(), &n, payload.data(), static_cast<int>(payload.size()));
}

void PacketCipher::seal(const Iv& iv, Bytes aad, Bytes more_aad, MutableBytes payload, uint8_t* tag) {
  gcm_crypt(iv, aad, more_aad, payload);
  int n = 0;
  EVP_CipherFinal_ex(context_.get(), tag, &n);
  OSSL_PARAM out[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, tag_octets_),
                      OSSL_PARAM_construct_end()};
  EVP_CIPHER_CTX_get_params(context_.get(), out);
}

bool PacketCipher::open(const Iv& iv, Bytes aad, Bytes more_aad, MutableBytes payload, uint8_t* tag) {
  gcm_crypt(iv, aad, more_aad, payload);
  const OSSL_PARAM in[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, tag_octets_),
                           OSSL_PARAM_construct_end()};
  int n = 0;
  uint8_t nothing[16];
  if (EVP_CIPHER_CTX_set_params(context_.get(), in) == 1 &&
      EVP_CipherFinal_ex(context_.get(), nothing, &n) == 1)
    return true;
  gcm_crypt(iv, aad, more_aad, payload);  // the same keystream again: the packet is as it came
  return false;
}

bool PacketCipher::tag_matches(const HmacSha1::Digest& tag, const uint8_t* received) const {
  return CRYPTO_memcmp(tag.data(), received, tag_octets_) == 0;
}

void PacketCipher::protect_rtp(MutableBytes packet, size_t header_octets, uint32_t ssrc, uint64_t index) {
  uint8_t* const tag = packet.data() + packet.size();
  if (aead_) {
    seal(gcm_rtp_iv(ssrc, index), packet.first(header_octets), {}, packet.subspan(header_octets), tag);
    return;
  }
  apply_keystream(counter_iv(ssrc, index), packet.subspan(header_octets));
  uint8_t roc[4];
  store32(roc, static_cast<uint32_t>(index >> 16));
  const auto digest = hmac_->tag(packet, roc);
  std::copy_n(digest.begin(), tag_octets_, tag);
}

bool PacketCipher::unprotect_rtp(MutableBytes packet, size_t header_octets, uint32_t ssrc, uint64_t index) {
  const MutableBytes message = packet.first(packet.size() - tag_octets_);
  uint8_t* const tag = message.data() + message.size();
  if (aead_)
    return open(gcm_rtp_iv(ssrc, index), message.first(header_octets), {}, message.subspan(header_octets),
                tag);
  uint8_t roc[4];
  store32(roc, static_cast<uint32_t>(index >> 16));
  if (!tag_matches(hmac_->tag(message, roc), tag)) return false;
  apply_keystream(counter_iv(ssrc, index), message.subspan(header_octets));
  return true;
}

void PacketCipher::protect_rtcp(MutableBytes packet, uint32_t ssrc, uint32_t index, bool encrypt) {
  uint8_t* const end = packet.data() + packet.size();
  const size_t clear = encrypt ? rtcp_clear_octets : packet.size();
  const uint32_t word = index | (encrypt ? e_flag : 0);
  if (aead_) {
    uint8_t* const place = end + tag_octets_;
    store32(place, word);
    seal(gcm_rtcp_iv(ssrc, index), packet.first(clear), {place, word_octets}, packet.subspan(clear), end);
    return;
  }
  apply_keystream(counter_iv(ssrc, index), packet.subspan(clear));
  store32(end, word);
  const auto digest = hmac_->tag({packet.data(), packet.size() + word_octets}, {});
  std::copy_n(digest.begin(), tag_octets_, end + word_octets);
}

uint32_t PacketCipher::rtcp_word(Bytes packet) const {
  return load32(packet.data() + packet.size() - word_octets - (aead_ ? 0 : tag_octets_));
}

bool PacketCipher::unprotect_rtcp(MutableBytes packet, uint32_t ssrc) {
  const uint32_t word = rtcp_word(packet);
  const uint32_t index = word & ~e_flag;
  const MutableBytes message = packet.first(packet.size() - tag_octets_ - word_octets);
  uint8_t* const end = message.data() + message.size();
  const size_t clear = (word & e_flag) != 0 ? rtcp_clear_octets : message.size();
  if (aead_)
    return open(gcm_rtcp_iv(ssrc, index), message.first(clear), {end + tag_octets_, word_octets},
                message.subspan(clear), end);
  if (!tag_matches(hmac_->tag(packet.first(packet.size() - tag_octets_), {}), end + word_octets))
    return false;
  apply_keystream(counter_iv(ssrc, index), message.subspan(clear));
  return true;
}

}  // namespace tandem::srtp
