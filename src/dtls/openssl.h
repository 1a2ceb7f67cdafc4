#pragma once
// Private to this room: OpenSSL's handles.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

#include "dtls/certificate.h"

namespace tandem::dtls {

struct Free {
  void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
  void operator()(SSL* p) const { SSL_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Certificate::Handles {
  Owned<X509> certificate;
  Owned<EVP_PKEY> key;
};

Fingerprint fingerprint_of(const X509* certificate, FingerprintHash hash);

}  // namespace tandem::dtls
