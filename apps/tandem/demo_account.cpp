#include "tandem/demo_account.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "ops/api.h"

namespace tandem::app {
namespace {

bool goes_bare(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
}

}  // namespace

Status<std::string> check_demo_password(std::string_view password) {
  if (password.size() < ops::least_password_octets)
    return Failure{fmt::format("a password has at least {} octets, this one has {}",
                               ops::least_password_octets, password.size())};
  if (!is_plain_text(password))
    return Failure{std::string("a password is UTF-8 text without control characters")};
  if (password.find_first_of("\"\\") != std::string_view::npos)
    return Failure{std::string(
        "a phone's account line can express neither a quotation mark nor a backslash in a password")};
  return Done{};
}

std::string baresip_account(std::string_view user, std::string_view host, uint16_t port,
                            std::string_view password) {
  const bool bare = std::all_of(password.begin(), password.end(), goes_bare);
  const bool v6 = host.find(':') != std::string_view::npos;
  return fmt::format("<sip:{}@{}{}{}:{}>;auth_user={};auth_pass={}{}{}", user, v6 ? "[" : "", host,
                     v6 ? "]" : "", port, user, bare ? "" : "\"", password, bare ? "" : "\"");
}

}  // namespace tandem::app
