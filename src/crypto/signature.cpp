#include "crypto/signature.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace tandem::crypto {
namespace {

constexpr int least_rsa_bits = 2048;
constexpr size_t p256_octets = 32;

template <class T, void (*free_function)(T*)>
struct Free {
  void operator()(T* p) const { free_function(p); }
};
using Context = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Certificate = std::unique_ptr<X509, Free<X509, X509_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG, ECDSA_SIG_free>>;
struct FreeBio {
  void operator()(BIO* b) const { BIO_free(b); }
};
using Text = std::unique_ptr<BIO, FreeBio>;

Text reader(std::string_view text) {
  return Text(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

EVP_PKEY* read_key(std::string_view pem) {
  if (EVP_PKEY* key = PEM_read_bio_PUBKEY(reader(pem).get(), nullptr, nullptr, nullptr)) return key;
  const Certificate certificate(PEM_read_bio_X509(reader(pem).get(), nullptr, nullptr, nullptr));
  return certificate ? X509_get_pubkey(certificate.get()) : nullptr;
}

/// The form OpenSSL takes (RFC 3279 section 2.2.3); empty: it is none.
std::string to_der(Bytes signature) {
  if (signature.size() != 2 * p256_octets) return {};
  const EcdsaSignature parts(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(signature.data(), p256_octets, nullptr);
  BIGNUM* s = BN_bin2bn(signature.data() + p256_octets, p256_octets, nullptr);
  if (!parts || !r || !s || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  std::string out(static_cast<size_t>(i2d_ECDSA_SIG(parts.get(), nullptr)), '\0');
  auto* at = reinterpret_cast<uint8_t*>(out.data());
  i2d_ECDSA_SIG(parts.get(), &at);
  return out;
}

}  // namespace

Result<PublicKey, std::string> PublicKey::from_pem(std::string_view pem) {
  const std::shared_ptr<EVP_PKEY> key(read_key(pem), EVP_PKEY_free);
  ERR_clear_error();
  if (!key) return Failure{std::string("no PEM public key or certificate")};
  if (EVP_PKEY_is_a(key.get(), "RSA") == 1) {
    if (EVP_PKEY_get_bits(key.get()) < least_rsa_bits)
      return Failure{std::string("an RSA key under 2048 bits")};
    return PublicKey(key, Kind::rsa);
  }
  char group[64] = "";
  if (EVP_PKEY_is_a(key.get(), "EC") == 1 &&
      EVP_PKEY_get_group_name(key.get(), group, sizeof group, nullptr) == 1 &&
      (std::string_view(group) == "prime256v1" || std::string_view(group) == "P-256"))
    return PublicKey(key, Kind::p256);
  return Failure{std::string("neither RSA nor elliptic curve P-256")};
}

bool PublicKey::verifies_sha256(Bytes signature, std::string_view text) const {
  const std::string der = kind_ == Kind::p256 ? to_der(signature) : std::string();
  const Bytes given = kind_ == Kind::p256 ? as_bytes(der) : signature;
  const Context context(EVP_MD_CTX_new());
  const bool good =
      context && !given.empty() &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), given.data(), given.size(), as_bytes(text).data(), text.size()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace tandem::crypto
