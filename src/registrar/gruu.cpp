#include "registrar/gruu.h"

#include <cstring>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"
#include "sip/uri.h"

namespace tandem::registrar {
namespace {

constexpr std::string_view temporary_prefix = "tgruu.";
constexpr size_t seal_size = 12;
constexpr size_t head_size = 24;  // unique, instance, Call-ID

void append_u64(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}
uint64_t read_u64(std::string_view text) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(text[i]);
  return value;
}

/// "<urn:uuid:...>" as +sip.instance has it.
std::string_view without_brackets(std::string_view instance) {
  if (instance.size() > 2 && instance.front() == '<' && instance.back() == '>')
    return instance.substr(1, instance.size() - 2);
  return instance;
}

/// Escapes what may not stand in a URI parameter (RFC 3261 section 25.1, paramchar).
std::string escape_parameter(std::string_view text) {
  static constexpr std::string_view extra = "[]/:&+$-_.!~*'()";
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alphanumeric || extra.find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(digits[static_cast<uint8_t>(c) >> 4]);
      out.push_back(digits[static_cast<uint8_t>(c) & 15]);
    }
  }
  return out;
}

}  // namespace

std::string GruuMint::public_gruu(std::string_view user, std::string_view domain, std::string_view instance) {
  instance = without_brackets(instance);
  return "sip:" + sip::escape_user(user) + "@" + std::string(domain) + ";gr=" + escape_parameter(instance);
}

bool GruuMint::names(std::string_view gruu, std::string_view instance) {
  const auto uri = sip::Uri::parse(gruu);
  const auto value = uri ? uri->params.get("gr") : std::nullopt;
  const auto plain = value ? sip::unescape(*value) : std::nullopt;
  return plain && !plain->empty() &&
         iequals(*plain, without_brackets(instance));  // URNs compare without case
}

std::string GruuMint::temporary_gruu(std::string_view user, std::string_view domain,
                                     std::string_view instance, std::string_view call_id,
                                     uint64_t unique) const {
  std::string plain;
  append_u64(plain, unique);
  append_u64(plain, fingerprint(instance));
  append_u64(plain, fingerprint(call_id));
  plain.append(user);
  // The seal is over the plain text and also starts the key stream, so the same key never meets the same
  // stream twice.
  const crypto::Digest seal = crypto::hmac(crypto::Hash::sha256, key(), {"gruu seal", plain, domain});
  std::string token(as_text(seal.view().first(seal_size)));
  encipher(token, plain);
  token.append(plain);
  return "sip:" + std::string(temporary_prefix) + crypto::base64url(as_bytes(token)) + "@" +
         std::string(domain) + ";gr";
}

std::optional<GruuMint::Temporary> GruuMint::open(std::string_view user_part, std::string_view domain) const {
  if (!looks_temporary(user_part) || user_part.size() > 512) return std::nullopt;
  const auto token = crypto::base64url_decode(user_part.substr(temporary_prefix.size()));
  if (!token || token->size() <= seal_size + head_size) return std::nullopt;
  const std::string_view seal = std::string_view(*token).substr(0, seal_size);
  std::string plain = token->substr(seal_size);
  encipher(seal, plain);
  const crypto::Digest expected = crypto::hmac(crypto::Hash::sha256, key(), {"gruu seal", plain, domain});
  if (!crypto::constant_time_equal(as_text(expected.view().first(seal_size)), seal)) return std::nullopt;
  const std::string_view text = plain;
  return Temporary{std::string(text.substr(head_size)), read_u64(text.substr(8)), read_u64(text.substr(16))};
}

uint64_t GruuMint::fingerprint(std::string_view text) const {
  return read_u64(as_text(crypto::hmac(crypto::Hash::sha256, key(), {"gruu print", text}).view()));
}

void GruuMint::encipher(std::string_view seal, std::string& text) const {
  for (size_t at = 0; at < text.size(); at += 32) {
    const char block = static_cast<char>(at / 32);
    const crypto::Digest stream =
        crypto::hmac(crypto::Hash::sha256, key(), {"gruu stream", seal, {&block, 1}});
    for (size_t i = 0; i < 32 && at + i < text.size(); ++i)
      text[at + i] = static_cast<char>(text[at + i] ^ stream.bytes[i]);
  }
}

}  // namespace tandem::registrar
