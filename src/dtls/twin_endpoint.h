#pragma once
// The simulator's DTLS: the same interface, flights and faces (certificates, profiles, retransmission, loss),
// and no cryptography, so that a run repeats from its seed and costs nothing. Never linked into a program
// that talks to anybody.
#include <memory>

#include "base/rng.h"
#include "dtls/association.h"

namespace tandem::dtls {

class TwinEndpoint final : public Endpoint {
 public:
  /// `rng` outlives it; its first draws are the certificate.
  explicit TwinEndpoint(Rng& rng);
  Fingerprint fingerprint(FingerprintHash hash) const override;
  std::unique_ptr<Association> open(const Options& options) override;

 private:
  Rng& rng_;
  std::array<uint8_t, 32> certificate_{};
};

}  // namespace tandem::dtls
