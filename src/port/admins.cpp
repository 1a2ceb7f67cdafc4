#include "port/admins.h"

#include "base/text.h"

namespace tandem::port {

std::string problem_with(const AdminRow& r) {
  if (r.name.empty() || r.name.size() > 100 || !is_plain_text(r.name))
    return "administrator's name must be 1 to 100 octets of text";
  if (r.name.find_first_of(" @<>\"/") != std::string::npos)
    return "administrator's name holds a space or one of @ < > \" / (with an @ it is a subscriber's)";
  if (!r.password.starts_with("$scrypt$")) return "password must be a hash";
  return {};
}

}  // namespace tandem::port
