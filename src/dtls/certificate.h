#pragma once
// The certificate a node shows (RFC 5763 section 4): ECDSA on P-256, self-signed, believed for its
// fingerprint alone.
#include <memory>

#include "base/rng.h"
#include "base/time.h"
#include "dtls/fingerprint.h"

namespace tandem::dtls {

/// Certificate and private key. Copies share both; immutable, so workers may.
class Certificate {
 public:
  /// A new key pair, from OpenSSL's own random source; the serial number from `rng`. Valid from a day before
  /// `now` for ten years: nobody checks more than the fingerprint, and clocks differ.
  static Certificate make(WallTime now, Rng& rng);

  Fingerprint fingerprint(FingerprintHash hash) const;

  struct Handles;  // OpenSSL's
  const Handles& handles() const { return *handles_; }

 private:
  explicit Certificate(std::shared_ptr<const Handles> handles) : handles_(std::move(handles)) {}
  std::shared_ptr<const Handles> handles_;
};

}  // namespace tandem::dtls
