#include "port/webhooks.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::port {
namespace {

constexpr size_t most_url_octets = 1024;

/// The shape alone: that it is base 64 of the right length, whoever decodes it sees.
bool is_secret(std::string_view text) {
  constexpr std::string_view prefix = "whsec_";
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  if (text.size() % 4 != 0 || text.size() < 32 || text.size() > 88) return false;
  const size_t end = text.find_last_not_of('=') + 1;
  return text.size() - end <= 2 &&
         std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '+' || c == '/';
         });
}

std::string problem_with_url(std::string_view url) {
  if (url.size() > most_url_octets) return "url must be at most 1024 octets";
  std::string_view rest = url;
  if (rest.starts_with("https://"))
    rest.remove_prefix(8);
  else if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else
    return "url must begin with https:// (or http://)";
  for (const char c : url)
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\' || c == '#')
      return "url holds what must be percent-encoded, or a fragment";
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (authority.empty() || authority.front() == ':') return "url names no host";
  if (authority.find('@') != std::string_view::npos) return "url must not hold a user or password";
  return {};
}

}  // namespace

bool WebhookRow::wants(std::string_view type) const {
  return enabled && (events.empty() || std::find(events.begin(), events.end(), type) != events.end());
}

std::string problem_with(const WebhookRow& r) {
  if (r.name.empty() || r.name.size() > 100 || !is_plain_text(r.name) ||
      r.name.find_first_of(" /,") != std::string::npos)
    return "webhook's name must be 1 to 100 octets of text without spaces, commas and slashes";
  if (std::string problem = problem_with_url(r.url); !problem.empty()) return problem;
  if (!is_secret(r.secret)) return "secret must be whsec_ and base 64 of 24 to 64 octets";
  if (!r.old_secret.empty() && !is_secret(r.old_secret))
    return "old_secret must be whsec_ and base 64 of 24 to 64 octets, or empty";
  for (const std::string& e : r.events)
    if (std::find(std::begin(webhook_types), std::end(webhook_types), e) == std::end(webhook_types)) {
      std::string known;
      for (const std::string_view t : webhook_types) known.append(known.empty() ? "" : ", ").append(t);
      return "there is no event " + e + ", expected one of " + known;
    }
  return {};
}

}  // namespace tandem::port
