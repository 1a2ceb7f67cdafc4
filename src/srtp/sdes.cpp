#include "srtp/sdes.h"

#include <array>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/secret.h"

namespace tandem::srtp {
namespace {

constexpr uint64_t max_lifetime = uint64_t{1} << 48;
constexpr size_t max_tag_digits = 9;
constexpr std::string_view inline_method = "inline:";

/// The text up to the next `separator` or the end; `rest` goes on behind it.
std::string_view take(std::string_view& rest, char separator) {
  const size_t end = rest.find(separator);
  const std::string_view head = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return head;
}

std::string_view skip_spaces(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

std::optional<MasterKey> decode_key(Suite suite, std::string_view text) {
  for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  if (text.size() > 64) return std::nullopt;
  std::string padded(text);
  padded.append((4 - padded.size() % 4) % 4, '=');
  auto octets = crypto::base64_decode(padded);
  crypto::wipe(padded);
  if (!octets) return std::nullopt;
  auto key = MasterKey::from(suite, as_bytes(*octets));
  crypto::wipe(*octets);
  return key;
}

/// "2^" digits, or digits.
std::optional<uint64_t> parse_lifetime(std::string_view text) {
  if (text.substr(0, 2) == "2^") {
    const auto exponent = parse_u32(text.substr(2));
    if (!exponent || *exponent > 48) return std::nullopt;
    return uint64_t{1} << *exponent;
  }
  const auto packets = parse_u64(text);
  if (!packets || *packets == 0 || *packets > max_lifetime) return std::nullopt;
  return packets;
}

struct KeyInfo {
  MasterKey key;
  std::optional<uint64_t> lifetime;
};

/// "inline:" key||salt ["|" lifetime] ["|" MKI ":" length]
Result<KeyInfo, CryptoReason> parse_key_params(Suite suite, std::string_view text) {
  if (text.find(';') != std::string_view::npos) return Failure{CryptoReason::several_keys};
  if (!istarts_with(text, inline_method))
    return Failure{text.find(':') == std::string_view::npos ? CryptoReason::malformed
                                                            : CryptoReason::unknown_method};
  text.remove_prefix(inline_method.size());
  const bool has_fields = text.find('|') != std::string_view::npos;
  auto key = decode_key(suite, take(text, '|'));
  if (!key) return Failure{CryptoReason::bad_key};
  KeyInfo info{std::move(*key), std::nullopt};
  if (!has_fields) return info;
  const std::string_view field = take(text, '|');
  if (field.find(':') != std::string_view::npos || !text.empty()) return Failure{CryptoReason::mki};
  info.lifetime = parse_lifetime(field);
  if (!info.lifetime) return Failure{CryptoReason::bad_lifetime};
  return info;
}

/// Nothing we must refuse?
bool may_pass_over(std::string_view parameter) {
  return parameter.empty() || parameter.front() == '-' || istarts_with(parameter, "WSH=");
}

}  // namespace

std::string_view to_string(CryptoReason reason) {
  static constexpr std::array<std::string_view, crypto_reason_count> names = {
      "malformed",    "unknown_suite", "unknown_method", "bad_key",
      "bad_lifetime", "mki",           "several_keys",   "session_parameter"};
  return names[static_cast<size_t>(reason)];
}

Result<Crypto, CryptoReason> parse_crypto(std::string_view value) {
  std::string_view rest = value;
  const std::string_view tag_text = take(rest, ' ');
  const auto tag = tag_text.size() <= max_tag_digits ? parse_u32(tag_text) : std::nullopt;
  rest = skip_spaces(rest);
  const std::string_view suite_text = take(rest, ' ');
  rest = skip_spaces(rest);
  const std::string_view key_text = take(rest, ' ');
  if (!tag || suite_text.empty() || key_text.empty()) return Failure{CryptoReason::malformed};
  const auto suite = suite_named(suite_text);
  if (!suite) return Failure{CryptoReason::unknown_suite};
  auto info = parse_key_params(*suite, key_text);
  if (!info) return Failure{info.reason()};
  while (!rest.empty())
    if (!may_pass_over(take(rest, ' '))) return Failure{CryptoReason::session_parameter};
  return Crypto{*tag, info->key, info->lifetime};
}

std::string write_crypto(uint32_t tag, const MasterKey& key) {
  std::string text = std::to_string(tag);
  std::string key_text = crypto::base64(key.bytes());
  text.reserve(text.size() + 96);  // so that no copy of the key is left behind by growing
  text.append(" ").append(traits(key.suite()).name).append(" ").append(inline_method).append(key_text);
  crypto::wipe(key_text);
  return text;
}

}  // namespace tandem::srtp
