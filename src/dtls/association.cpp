#include "dtls/association.h"

namespace tandem::dtls {

std::string_view to_string(Reason reason) {
  static constexpr std::array<std::string_view, reason_count> names = {
      "unvalidated_source", "not_dtls",   "too_large", "handshake_failed",
      "wrong_fingerprint",  "no_profile", "timed_out"};
  return names[static_cast<size_t>(reason)];
}

}  // namespace tandem::dtls
