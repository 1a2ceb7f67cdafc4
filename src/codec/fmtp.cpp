#include "codec/fmtp.h"

#include <charconv>

#include "base/text.h"

namespace tandem::codec {
namespace {
std::string_view trimmed(std::string_view s) {
  const size_t first = s.find_first_not_of(" \t");
  if (first == s.npos) return {};
  return s.substr(first, s.find_last_not_of(" \t") - first + 1);
}
}  // namespace

std::optional<std::string_view> fmtp_value(std::string_view fmtp, std::string_view name) {
  while (!fmtp.empty()) {
    const size_t end = fmtp.find(';');
    const std::string_view one = fmtp.substr(0, end);
    fmtp = end == fmtp.npos ? std::string_view{} : fmtp.substr(end + 1);
    const size_t equals = one.find('=');
    if (equals != one.npos && iequals(trimmed(one.substr(0, equals)), name))
      return trimmed(one.substr(equals + 1));
  }
  return std::nullopt;
}

std::optional<uint32_t> fmtp_number(std::string_view fmtp, std::string_view name, uint32_t least,
                                    uint32_t most, uint32_t otherwise) {
  const auto text = fmtp_value(fmtp, name);
  if (!text) return otherwise;
  uint32_t n = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), n);
  if (error != std::errc{} || end != text->data() + text->size() || n < least || n > most)
    return std::nullopt;
  return n;
}

}  // namespace tandem::codec
