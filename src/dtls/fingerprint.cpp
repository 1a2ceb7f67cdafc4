#include "dtls/fingerprint.h"

#include "base/text.h"
#include "crypto/hash.h"

namespace tandem::dtls {
namespace {

struct Kind {
  FingerprintHash hash;
  std::string_view name;
  size_t octets;
};
constexpr std::array<Kind, 3> kinds = {{{FingerprintHash::sha_256, "sha-256", 32},
                                        {FingerprintHash::sha_384, "sha-384", 48},
                                        {FingerprintHash::sha_512, "sha-512", 64}}};
const Kind& kind(FingerprintHash h) { return kinds[static_cast<size_t>(h)]; }

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = to_lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

}  // namespace

Bytes Fingerprint::view() const { return Bytes(octets).first(kind(hash).octets); }

std::optional<Fingerprint> Fingerprint::parse(std::string_view value) {
  const size_t space = value.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view hex = value.substr(space + 1);
  for (const Kind& k : kinds) {
    if (!iequals(value.substr(0, space), k.name)) continue;
    if (hex.size() != 3 * k.octets - 1) return std::nullopt;
    Fingerprint f;
    f.hash = k.hash;
    for (size_t i = 0; i < k.octets; ++i) {
      const int high = hex_value(hex[3 * i]), low = hex_value(hex[3 * i + 1]);
      if (high < 0 || low < 0 || (i + 1 < k.octets && hex[3 * i + 2] != ':')) return std::nullopt;
      f.octets[i] = static_cast<uint8_t>(high << 4 | low);
    }
    return f;
  }
  return std::nullopt;
}

std::string Fingerprint::to_string() const {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string text(kind(hash).name);
  char before = ' ';
  for (const uint8_t b : view()) {
    text.push_back(before);
    text.push_back(digits[b >> 4]);
    text.push_back(digits[b & 15]);
    before = ':';
  }
  return text;
}

bool Fingerprint::operator==(const Fingerprint& other) const {
  return hash == other.hash && crypto::constant_time_equal(view(), other.view());
}

}  // namespace tandem::dtls
