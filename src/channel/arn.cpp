#include "channel/arn.h"

#include <algorithm>

#include "base/text.h"
#include "port/channels.h"

namespace tandem::channel {
namespace {

constexpr std::string_view prefix = "arn:aws:kinesisvideo:";
constexpr size_t longest = 1024;

/// What stands before `by`, which is taken away with it.
std::string_view take(std::string_view& text, char by) {
  const size_t end = std::min(text.find(by), text.size());
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return out;
}

}  // namespace

std::optional<Arn> parse_arn(std::string_view text) {
  if (text.size() > longest || !text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  Arn out;
  out.region = take(text, ':');
  out.account = take(text, ':');
  if (out.region.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos ||
      out.account.find_first_not_of("0123456789") != std::string::npos || take(text, '/') != "channel")
    return std::nullopt;
  out.name = take(text, '/');
  const auto created = parse_u64(text);
  if (out.region.empty() || out.account.empty() || !port::is_channel_word(out.name) || !created ||
      *created > static_cast<uint64_t>(INT64_MAX))
    return std::nullopt;
  out.created = static_cast<int64_t>(*created);
  return out;
}

std::string to_string(const Arn& arn) {
  return std::string(prefix) + arn.region + ':' + arn.account + ":channel/" + arn.name + '/' +
         std::to_string(arn.created);
}

}  // namespace tandem::channel
