#include "dtls/setup.h"

#include "base/text.h"

namespace tandem::dtls {

std::optional<Setup> parse_setup(std::string_view value) {
  if (iequals(value, "active")) return Setup::active;
  if (iequals(value, "passive")) return Setup::passive;
  if (iequals(value, "actpass")) return Setup::actpass;
  return std::nullopt;
}

std::string_view to_string(Setup setup) {
  return setup == Setup::active ? "active" : setup == Setup::passive ? "passive" : "actpass";
}

Setup answer_to(Setup offered) { return offered == Setup::active ? Setup::passive : Setup::active; }

std::optional<Role> role_from(Setup ours, Setup theirs) {
  if (ours == theirs) return std::nullopt;
  if (ours == Setup::actpass) return theirs == Setup::active ? Role::server : Role::client;
  return ours == Setup::active ? Role::client : Role::server;
}

}  // namespace tandem::dtls
