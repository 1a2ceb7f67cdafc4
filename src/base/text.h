#pragma once
// Text helpers every parser needs: no locale, and ASCII where nothing else is said.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tandem {

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}
constexpr bool istarts_with(std::string_view s, std::string_view prefix) {
  return s.size() >= prefix.size() && iequals(s.substr(0, prefix.size()), prefix);
}
std::string lower(std::string_view s);

/// Strips spaces, tabs, CR and LF at both ends.
constexpr std::string_view trim(std::string_view s) {
  const auto white = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!s.empty() && white(s.front())) s.remove_prefix(1);
  while (!s.empty() && white(s.back())) s.remove_suffix(1);
  return s;
}

/// Whole-string decimal, no sign, no space; nothing on overflow.
std::optional<uint32_t> parse_u32(std::string_view s);
std::optional<uint64_t> parse_u64(std::string_view s);

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);

/// Bytes of the UTF-8 sequence at the front of `s`; 0 when it is none (RFC 3629: no overlong forms, no
/// surrogates).
size_t utf8_length(std::string_view s);
/// `s` with U+FFFD for each byte that belongs to no UTF-8 sequence: SIP carries what phones send, JSON may
/// not.
std::string valid_utf8(std::string_view s);
/// UTF-8 without control characters: what an administrator may write into a field that ends up in a header
/// line.
bool is_plain_text(std::string_view s);

}  // namespace tandem
