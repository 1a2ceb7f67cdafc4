#pragma once
// Master keys, and the session keys that follow from them (RFC 3711 section 4.3).
#include <optional>

#include "base/bytes.h"
#include "base/rng.h"
#include "crypto/secret.h"
#include "srtp/suite.h"

namespace tandem::srtp {

/// A master key with its master salt, and the suite both are for. Wiped when it ends; never logged.
class MasterKey {
 public:
  /// Key, then salt, as in a=crypto and in snapshots. Nothing unless the length is exactly the suite's.
  static std::optional<MasterKey> from(Suite suite, Bytes key_and_salt);
  static MasterKey generate(Suite suite, Rng& rng);

  Suite suite() const { return suite_; }
  Bytes key() const { return octets_.first(traits(suite_).key_octets); }
  Bytes salt() const { return bytes().subspan(traits(suite_).key_octets); }
  /// Key, then salt.
  Bytes bytes() const { return octets_.first(traits(suite_).key_octets + traits(suite_).salt_octets); }
  /// Takes as long for a near miss as for any other.
  bool operator==(const MasterKey& other) const;

 private:
  explicit MasterKey(Suite suite) : suite_(suite) {}
  Suite suite_;
  crypto::Secret<46> octets_;
};

/// What protects one kind of packet in one direction.
struct SessionKeys {
  crypto::Secret<32> encryption;      // k_e
  crypto::Secret<20> authentication;  // k_a; unused by AEAD suites
  crypto::Secret<14> salt;            // k_s
};

enum class PacketKind : uint8_t { rtp, rtcp };

/// With a key derivation rate of 0: derived once, r is always 0.
SessionKeys derive(const MasterKey& master, PacketKind kind);

/// AES-CM PRF (RFC 3711 section 4.3.3, RFC 6188 section 3): `out` from x = label * 2^48 XOR salt. A 96-bit
/// salt is padded with zeros at its end (RFC 7714 section 11).
void aes_cm_prf(Bytes master_key, Bytes master_salt, uint8_t label, MutableBytes out);

}  // namespace tandem::srtp
