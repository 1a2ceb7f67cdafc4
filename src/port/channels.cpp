#include "port/channels.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::port {
namespace {

bool is_alphanumeric(char c) {
  const char l = to_lower(c);
  return (l >= 'a' && l <= 'z') || is_digit(c);
}

}  // namespace

bool is_channel_word(std::string_view text) {
  return !text.empty() && text.size() <= 256 && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
  });
}

bool covers(const AccessKeyRow& key, std::string_view channel) {
  return std::any_of(key.channels.begin(), key.channels.end(), [&](const std::string& pattern) {
    return pattern.ends_with('*')
               ? channel.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1))
               : channel == pattern;
  });
}

std::string problem_with(const ChannelRow& r) {
  if (!is_channel_word(r.name)) return "channel's name must be 1 to 256 of A-Z, a-z, 0-9, _ . -";
  if (r.message_ttl_seconds < 5 || r.message_ttl_seconds > 120) return "message_ttl_seconds must be 5 to 120";
  if (r.max_viewers < 1 || r.max_viewers > 1000) return "max_viewers must be 1 to 1000";
  return {};
}

std::string problem_with(const AccessKeyRow& r) {
  if (r.id.size() < 16 || r.id.size() > 128 || !std::all_of(r.id.begin(), r.id.end(), is_alphanumeric))
    return "access key's id must be 16 to 128 letters and digits";
  const auto printable = [](char c) { return c > ' ' && c < 0x7f; };
  if (r.secret.size() < 16 || r.secret.size() > 128 ||
      !std::all_of(r.secret.begin(), r.secret.end(), printable))
    return "secret must be 16 to 128 printable characters without spaces";
  if (r.note.size() > 200 || !is_plain_text(r.note)) return "note must be at most 200 octets of text";
  if (r.channels.size() > 100) return "channels must be at most 100 names";
  for (const std::string& pattern : r.channels) {
    const std::string_view name =
        std::string_view(pattern).substr(0, pattern.size() - pattern.ends_with('*'));
    if (!(name.empty() ? pattern == "*" : is_channel_word(name)))
      return "channels must be names of channels, or beginnings of names with a * behind";
  }
  return {};
}

}  // namespace tandem::port
