#include "ops/redact.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace tandem::ops {
namespace {

constexpr std::array<std::string_view, 4> secret_headers{
    "Authorization:", "Proxy-Authorization:", "Authentication-Info:", "Proxy-Authentication-Info:"};

bool is_secret_header(std::string_view line) {
  // White space may stand between the name and its colon (RFC 3261 section 7.3.1).
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view name = trim(line.substr(0, colon));
  return std::any_of(secret_headers.begin(), secret_headers.end(),
                     [&](std::string_view h) { return iequals(name, h.substr(0, h.size() - 1)); });
}

}  // namespace

std::string redact_sip(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  bool dropping = false;  // inside a secret header: its folded lines go too
  while (!message.empty()) {
    const size_t end = message.find('\n');
    const std::string_view line = message.substr(0, end == std::string_view::npos ? message.size() : end + 1);
    message.remove_prefix(line.size());
    const bool folded = line.front() == ' ' || line.front() == '\t';
    if (dropping && folded) continue;
    dropping = is_secret_header(line);
    const bool key = istarts_with(line, "a=crypto:") || istarts_with(line, "k=");
    if (dropping) {
      out.append(line.substr(0, line.find(':') + 1)).append(" <removed>\r\n");
    } else if (key) {
      const size_t keep = istarts_with(line, "k=") ? 2 : line.find("inline:");
      out.append(line.substr(0, keep == std::string_view::npos ? 9 : keep)).append("<removed>\r\n");
    } else {
      out.append(line);
    }
  }
  return out;
}

std::string shorten_number(std::string_view number) {
  const size_t digits = static_cast<size_t>(std::count_if(number.begin(), number.end(), is_digit));
  if (digits <= 6 || digits + 2 < number.size()) return std::string(number);
  const size_t keep = number.size() > 9 ? number.size() - 5 - (number.size() - 8) / 2 : 3;
  return std::string(number.substr(0, keep)) + "***" + std::string(number.substr(number.size() - 2));
}

}  // namespace tandem::ops
