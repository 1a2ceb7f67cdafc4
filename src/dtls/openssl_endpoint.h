#pragma once
// DTLS 1.2 by OpenSSL. The retransmission timer inside OpenSSL reads the system's clock: this is the one
// place in a protocol room where time is not an argument. Everything else (the limit, next_timeout) runs on
// Now.
#include <memory>

#include "dtls/association.h"
#include "dtls/certificate.h"

namespace tandem::dtls {

class OpensslEndpoint final : public Endpoint {
 public:
  explicit OpensslEndpoint(Certificate certificate);
  ~OpensslEndpoint() override;
  Fingerprint fingerprint(FingerprintHash hash) const override { return certificate_.fingerprint(hash); }
  /// The endpoint outlives its associations.
  std::unique_ptr<Association> open(const Options& options) override;

 private:
  struct Context;
  Certificate certificate_;
  std::unique_ptr<Context> context_;
};

}  // namespace tandem::dtls
