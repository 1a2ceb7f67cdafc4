#include "ice/reason.h"

namespace tandem::ice {

std::string_view to_string(Reason reason) {
  static constexpr std::array<std::string_view, reason_count> names = {
      "malformed",          "unknown_transport",   "unknown_type",      "bad_component",
      "bad_address",        "bad_credentials",     "mdns_name",         "host_name",
      "other_generation",   "too_many_candidates", "too_many_pairs",    "too_many_streams",
      "unknown_stream",     "bad_snapshot",        "unknown_base",      "not_stun",
      "not_binding",        "unauthenticated",     "wrong_credentials", "bad_request",
      "unknown_attribute",  "role_conflict",       "replayed",          "too_many_roles",
      "too_many_reflexive", "unmatched_response",  "bad_response",      "asymmetric_response"};
  return names[static_cast<size_t>(reason)];
}

}  // namespace tandem::ice
