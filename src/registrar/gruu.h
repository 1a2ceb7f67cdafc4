#pragma once
// GRUU (RFC 5627): URIs that reach one instance of a user, wherever in the network they are used.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "port/records.h"

namespace tandem::registrar {

/// Public GRUUs are the AOR and the instance in clear. A temporary one hides both: its user part is the
/// sealed and enciphered {unique, hash of the instance, hash of the Call-ID, user}, so that nothing has to be
/// kept for the many that are handed out, each is different, and all of them die with the registration that
/// made them (section 3.2: a new Call-ID).
class GruuMint {
 public:
  explicit GruuMint(std::array<uint8_t, 32> key) : key_(key) {}

  static std::string public_gruu(std::string_view user, std::string_view domain, std::string_view instance);
  /// Is this public GRUU the one of that instance?
  static bool names(std::string_view gruu, std::string_view instance);
  std::string temporary_gruu(std::string_view user, std::string_view domain, std::string_view instance,
                             std::string_view call_id, uint64_t unique) const;

  struct Temporary {
    std::string user;
    uint64_t instance = 0;  // fingerprint()
    uint64_t call_id = 0;
  };
  /// Reads the user part of a temporary GRUU; nothing for a stranger's.
  std::optional<Temporary> open(std::string_view user_part, std::string_view domain) const;
  static bool looks_temporary(std::string_view user_part) { return user_part.substr(0, 6) == "tgruu."; }
  uint64_t fingerprint(std::string_view text) const;

 private:
  void encipher(std::string_view seal, std::string& text) const;
  std::string_view key() const { return {reinterpret_cast<const char*>(key_.data()), key_.size()}; }
  std::array<uint8_t, 32> key_;
};

}  // namespace tandem::registrar
