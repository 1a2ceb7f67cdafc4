#include "srtp/suite.h"

#include "base/text.h"

namespace tandem::srtp {

std::optional<Suite> suite_named(std::string_view name) {
  for (const SuiteTraits& t : all_suites)
    if (iequals(t.name, name)) return t.suite;
  return std::nullopt;
}

std::optional<Suite> suite_of_profile(uint16_t dtls_profile) {
  for (const SuiteTraits& t : all_suites)
    if (t.dtls_profile != 0 && t.dtls_profile == dtls_profile) return t.suite;
  return std::nullopt;
}

}  // namespace tandem::srtp
