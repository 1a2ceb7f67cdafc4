#include "dtls/certificate.h"

#include <openssl/ec.h>
#include <openssl/evp.h>

#include <cstdlib>

#include "dtls/openssl.h"

namespace tandem::dtls {
namespace {

constexpr int64_t day = 86400;

/// Only memory can be wanting here: no peer has a part in it.
void must(bool ok) {
  if (!ok) std::abort();
}

const EVP_MD* md_of(FingerprintHash hash) {
  switch (hash) {
    case FingerprintHash::sha_256:
      return EVP_sha256();
    case FingerprintHash::sha_384:
      return EVP_sha384();
    case FingerprintHash::sha_512:
      return EVP_sha512();
  }
  std::abort();
}

}  // namespace

Fingerprint fingerprint_of(const X509* certificate, FingerprintHash hash) {
  Fingerprint f;
  f.hash = hash;
  unsigned size = 0;
  must(X509_digest(certificate, md_of(hash), f.octets.data(), &size) == 1);
  return f;
}

Certificate Certificate::make(WallTime now, Rng& rng) {
  auto handles = std::make_shared<Handles>();
  handles->key.reset(EVP_EC_gen("P-256"));
  handles->certificate.reset(X509_new());
  X509* x = handles->certificate.get();
  must(handles->key && x);
  must(X509_set_version(x, X509_VERSION_3) == 1);
  must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), rng.next() >> 1 | 1) == 1);
  must(ASN1_TIME_set(X509_getm_notBefore(x), now.unix_seconds() - day) != nullptr);
  must(ASN1_TIME_set(X509_getm_notAfter(x), now.unix_seconds() + 3650 * day) != nullptr);
  X509_NAME* name = X509_get_subject_name(x);
  must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("tandem"),
                                  -1, -1, 0) == 1);
  must(X509_set_issuer_name(x, name) == 1 && X509_set_pubkey(x, handles->key.get()) == 1);
  must(X509_sign(x, handles->key.get(), EVP_sha256()) > 0);
  return Certificate(std::move(handles));
}

Fingerprint Certificate::fingerprint(FingerprintHash hash) const {
  return fingerprint_of(handles_->certificate.get(), hash);
}

}  // namespace tandem::dtls
