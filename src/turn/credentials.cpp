#include "turn/credentials.h"

#include <algorithm>

#include "auth/digest.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"

namespace tandem::turn {
namespace {

constexpr std::string_view nonce_cookie = "obMatJos2";
constexpr std::string_view features = "gAAA";  // bit 0: password algorithms; user hashes are not offered
constexpr size_t sealed_octets = 4 + 16;
constexpr size_t timed_digits = 10;  // seconds since 1970 after September 2001

void store32(uint8_t* p, uint32_t v) {
  for (int i = 0; i < 4; ++i) p[i] = static_cast<uint8_t>(v >> (24 - 8 * i));
}
uint32_t load32(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

}  // namespace

// ---- nonces ----------------------------------------------------------------------------------------------

Nonces::Nonces(const std::array<uint8_t, 32>& key, Duration lifetime) : lifetime_(lifetime) {
  // A key of this purpose alone: the node's other nonces are sealed with the same secret.
  const auto own = crypto::hmac(crypto::Hash::sha256, as_text(key), "turn nonce");
  std::copy_n(own.bytes.begin(), 32, key_.data());
}

std::array<uint8_t, 16> Nonces::seal(uint32_t expiry, const IpAddress& client) const {
  std::array<uint8_t, 21> covered{};
  store32(covered.data(), expiry);
  covered[4] = static_cast<uint8_t>(client.family);
  std::copy(client.bytes.begin(), client.bytes.end(), covered.begin() + 5);
  const auto digest = crypto::hmac(crypto::Hash::sha256, as_text(key_.first(32)), as_text(covered));
  std::array<uint8_t, 16> out;
  std::copy_n(digest.bytes.begin(), out.size(), out.begin());
  return out;
}

std::string Nonces::mint(Now now, const IpAddress& client) const {
  const auto expiry = static_cast<uint32_t>((now.wall + lifetime_).unix_seconds());
  std::array<uint8_t, sealed_octets> sealed;
  store32(sealed.data(), expiry);
  const auto mac = seal(expiry, client);
  std::copy(mac.begin(), mac.end(), sealed.begin() + 4);
  return std::string(nonce_cookie).append(features).append(crypto::base64url(sealed));
}

bool Nonces::good(Now now, const IpAddress& client, std::string_view nonce) const {
  const size_t prefix = nonce_cookie.size() + features.size();
  if (nonce.size() != prefix + (sealed_octets * 8 + 5) / 6) return false;
  if (!nonce.starts_with(nonce_cookie) || nonce.substr(nonce_cookie.size(), features.size()) != features)
    return false;
  const auto sealed = crypto::base64url_decode(nonce.substr(prefix));
  if (!sealed || sealed->size() != sealed_octets) return false;
  const uint32_t expiry = load32(as_bytes(*sealed).data());
  const auto mac = seal(expiry, client);
  return crypto::constant_time_equal(Bytes(mac), as_bytes(*sealed).subspan(4)) &&
         now.wall.unix_seconds() < int64_t{expiry};
}

// ---- algorithms ------------------------------------------------------------------------------------------

Bytes offered_algorithms() {
  static constexpr std::array<uint8_t, 8> list = {0, 2, 0, 0, 0, 1, 0, 0};  // number and length of parameters
  return list;
}

std::optional<Algorithm> algorithm_of(const stun::Message& request) {
  const auto list = request.find(stun::attribute::password_algorithms);
  const auto chosen = request.find(stun::attribute::password_algorithm);
  if (!list && !chosen) return Algorithm::md5;
  if (!list || !chosen ||
      !std::equal(list->begin(), list->end(), offered_algorithms().begin(), offered_algorithms().end()))
    return std::nullopt;
  if (chosen->size() != 4 || (*chosen)[0] != 0 || (*chosen)[2] != 0 || (*chosen)[3] != 0) return std::nullopt;
  if ((*chosen)[1] == 1) return Algorithm::md5;
  return (*chosen)[1] == 2 ? std::optional(Algorithm::sha256) : std::nullopt;
}

// ---- time-limited credentials ----------------------------------------------------------------------------

std::optional<TimedName> timed_name(std::string_view username) {
  const size_t colon = username.find(':');
  const std::string_view digits = username.substr(0, colon);
  if (digits.size() < timed_digits) return std::nullopt;
  const auto expiry = parse_u64(digits);
  if (!expiry) return std::nullopt;
  return TimedName{*expiry,
                   colon == std::string_view::npos ? std::string_view{} : username.substr(colon + 1)};
}

std::string timed_username(WallTime expiry, std::string_view name) {
  std::string out = std::to_string(expiry.unix_seconds());
  if (!name.empty()) out.append(":").append(name);
  return out;
}

std::string timed_password(std::string_view secret, std::string_view username) {
  return crypto::base64(crypto::hmac(crypto::Hash::sha1, secret, username).view());
}

// ---- keys ------------------------------------------------------------------------------------------------

Key key_of_password(Algorithm algorithm, std::string_view username, std::string_view realm,
                    std::string_view password) {
  Key key;
  key.algorithm = algorithm;
  std::string octets = algorithm == Algorithm::md5 ? stun::long_term_key_md5(username, realm, password)
                                                   : stun::long_term_key_sha256(username, realm, password);
  std::copy(octets.begin(), octets.end(), key.octets.data());
  crypto::wipe(octets);
  return key;
}

std::optional<Key> key_of_row(const port::Ha1& ha1, Algorithm algorithm, bool username_with_domain) {
  const auto digest = algorithm == Algorithm::md5 ? auth::Algorithm::md5 : auth::Algorithm::sha256;
  const std::string_view hex = auth::ha1_of(ha1, digest, username_with_domain);
  auto octets = from_hex(hex);
  Key key;
  key.algorithm = algorithm;
  if (!octets || octets->size() != key.view().size()) return std::nullopt;
  std::copy(octets->begin(), octets->end(), key.octets.data());
  crypto::wipe(*octets);
  return key;
}

bool Key::operator==(const Key& o) const {
  return algorithm == o.algorithm && crypto::constant_time_equal(view(), o.view());
}

bool fits(const stun::Message& request, Key& key) {
  const auto sha256 = request.check_integrity_sha256(key.view());
  key.sha256_integrity = sha256 != stun::Integrity::absent;
  // The stronger one counts where both are there (RFC 8489 section 9.2.4).
  return (key.sha256_integrity ? sha256 : request.check_integrity(key.view())) == stun::Integrity::good;
}

}  // namespace tandem::turn
