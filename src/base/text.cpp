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

}  // namespace tandem
