#include "call/dtmf_info.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::call {
namespace {

constexpr std::string_view keys = "0123456789*#ABCD";  // as RFC 4733 numbers them
constexpr uint32_t longest_ms = 60'000;
constexpr size_t longest_body = 512;

/// "5", "*", "a", and by number "10" for '*' to "15" for 'D'.
std::optional<char> key_of(std::string_view text) {
  if (text.size() == 1) {
    const char c = text[0] >= 'a' && text[0] <= 'd' ? static_cast<char>(text[0] - 'a' + 'A') : text[0];
    return keys.find(c) == keys.npos ? std::nullopt : std::optional(c);
  }
  const auto number = text.size() == 2 ? parse_u32(text) : std::nullopt;
  if (!number || *number < 10 || *number >= keys.size()) return std::nullopt;
  return keys[*number];
}

/// Lines "Name=value"; what other names say is passed over.
bool read_lines(std::string_view body, DtmfInfo& out) {
  bool duration = false;
  while (!body.empty()) {
    const size_t end = std::min(body.find_first_of("\r\n"), body.size());
    const std::string_view line = trim(body.substr(0, end));
    body.remove_prefix(std::min(body.size(), end + 1));
    const size_t equals = line.find('=');
    if (equals == line.npos) {
      if (!line.empty()) return false;
      continue;
    }
    const std::string_view name = trim(line.substr(0, equals)), value = trim(line.substr(equals + 1));
    if (iequals(name, "Signal")) {
      const auto key = key_of(value);
      if (!key || out.digit != 0) return false;
      out.digit = *key;
    } else if (iequals(name, "Duration")) {
      const auto ms = parse_u32(value);
      if (!ms || duration) return false;
      duration = true;
      if (*ms > 0) out.lasted = milliseconds(std::min(*ms, longest_ms));
    }
  }
  return out.digit != 0;
}

}  // namespace

std::optional<DtmfInfo> read_dtmf(std::string_view content_type, std::string_view body) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  DtmfInfo info;
  if (iequals(type, "application/dtmf"))
    info.form = DtmfForm::plain;
  else if (!iequals(type, "application/dtmf-relay"))
    return std::nullopt;
  if (body.size() > longest_body) return std::nullopt;
  // Some send the one body under the other's name.
  if (const auto key = key_of(trim(body))) {
    info.digit = *key;
    return info;
  }
  if (!read_lines(body, info)) return std::nullopt;
  return info;
}

std::string_view content_type_of(DtmfForm form) {
  return form == DtmfForm::plain ? "application/dtmf" : "application/dtmf-relay";
}

std::string write_dtmf(const DtmfInfo& info) {
  if (info.form == DtmfForm::plain) return std::string(1, info.digit);
  const auto ms = std::clamp<int64_t>((info.lasted + milliseconds(1) / 2) / milliseconds(1), 1, longest_ms);
  return "Signal=" + std::string(1, info.digit) + "\r\nDuration=" + std::to_string(ms) + "\r\n";
}

}  // namespace tandem::call
