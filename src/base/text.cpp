#include "base/text.h"

#include <charconv>

namespace tandem {
namespace {

template <class T>
std::optional<T> parse_unsigned(std::string_view s) {
  if (s.empty() || !is_digit(s.front())) return std::nullopt;
  T value = 0;
  const auto [at, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (error != std::errc() || at != s.data() + s.size()) return std::nullopt;
  return value;
}

int nibble(char c) {
  if (is_digit(c)) return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = to_lower(c);
  return out;
}

std::optional<uint32_t> parse_u32(std::string_view s) { return parse_unsigned<uint32_t>(s); }
std::optional<uint64_t> parse_u64(std::string_view s) { return parse_unsigned<uint64_t>(s); }

std::string to_hex(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out.push_back(digits[static_cast<uint8_t>(c) >> 4]);
    out.push_back(digits[static_cast<uint8_t>(c) & 15]);
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2) return std::nullopt;
  std::string out;
  out.reserve(hex.size() / 2);
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int hi = nibble(hex[i]), lo = nibble(hex[i + 1]);
    if (hi < 0 || lo < 0) return std::nullopt;
    out.push_back(static_cast<char>(hi << 4 | lo));
  }
  return out;
}

size_t utf8_length(std::string_view s) {
  const auto byte = [&](size_t i) { return i < s.size() ? static_cast<uint8_t>(s[i]) : uint8_t{0}; };
  const auto more = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return more(1) ? 2 : 0;
  if (first >= 0xe0 && first < 0xf0) {
    const bool bad = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) >= 0xa0);
    return more(1) && more(2) && !bad ? 3 : 0;
  }
  if (first >= 0xf0 && first < 0xf5) {
    const bool bad = (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) >= 0x90);
    return more(1) && more(2) && more(3) && !bad ? 4 : 0;
  }
  return 0;
}

std::string valid_utf8(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  while (!s.empty()) {
    const size_t n = utf8_length(s);
    out.append(n ? s.substr(0, n) : "\xef\xbf\xbd");
    s.remove_prefix(n ? n : 1);
  }
  return out;
}

bool is_plain_text(std::string_view s) {
  while (!s.empty()) {
    const size_t n = utf8_length(s);
    const auto first = static_cast<uint8_t>(s.front());
    if (n == 0 || first < 0x20 || first == 0x7f) return false;
    // C1 controls are two bytes long; U+0085 ends a line for some readers.
    if (n == 2 && first == 0xc2 && static_cast<uint8_t>(s[1]) < 0xa0) return false;
    s.remove_prefix(n);
  }
  return true;
}

}  // namespace tandem
