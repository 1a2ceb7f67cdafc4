#include "crypto/password.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <optional>

#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace tandem::crypto {
namespace {

constexpr size_t hash_octets = 32;
constexpr uint64_t most_memory = 1ULL << 30;
constexpr uint64_t most_work = 16ULL << 18;  // N * r * p; 2^18 today

/// What scrypt takes: 128 r (N + p + 2) octets.
uint64_t memory_of(const PasswordCost& c) { return 128ULL * c.r * ((1ULL << c.log_n) + c.p + 2); }

std::optional<Secret<hash_octets>> scrypt(std::string_view password, Bytes salt, const PasswordCost& c) {
  Secret<hash_octets> key;
  const int done = EVP_PBE_scrypt(password.data(), password.size(), salt.data(), salt.size(), 1ULL << c.log_n,
                                  c.r, c.p, most_memory + (1 << 20), key.data(), hash_octets);
  if (done != 1) return std::nullopt;
  return key;
}

/// "ln=15,r=8,p=1"
std::optional<PasswordCost> cost_from(std::string_view text) {
  uint32_t values[3] = {};
  size_t i = 0;
  for (const std::string_view name : {"ln=", "r=", "p="}) {
    if (!text.starts_with(name)) return std::nullopt;
    text.remove_prefix(name.size());
    const size_t comma = text.find(',');
    const auto v = parse_u32(text.substr(0, comma));
    if (!v || *v == 0 || *v > 64) return std::nullopt;
    values[i++] = *v;
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  if (!text.empty() || values[0] > 24) return std::nullopt;
  const PasswordCost c{values[0], values[1], values[2]};
  if (memory_of(c) > most_memory || (1ULL << c.log_n) * c.r * c.p > most_work) return std::nullopt;
  return c;
}

}  // namespace

std::string password_hash(std::string_view password, const PasswordSalt& salt, const PasswordCost& c) {
  const auto key = scrypt(password, salt, c);
  // Out of memory: what is stored matches nothing.
  if (!key) return "$scrypt$";
  return fmt::format("$scrypt$ln={},r={},p={}${}${}", c.log_n, c.r, c.p, base64url(salt),
                     base64url(key->first(hash_octets)));
}

bool password_matches(std::string_view password, std::string_view stored) {
  static constexpr std::string_view prefix = "$scrypt$";
  if (!stored.starts_with(prefix)) return false;
  stored.remove_prefix(prefix.size());
  const size_t first = stored.find('$'), second = stored.find('$', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return false;
  const auto cost = cost_from(stored.substr(0, first));
  const auto salt = base64url_decode(stored.substr(first + 1, second - first - 1));
  const auto wanted = base64url_decode(stored.substr(second + 1));
  if (!cost || !salt || !wanted || wanted->size() != hash_octets) return false;
  const auto key = scrypt(password, as_bytes(*salt), *cost);
  return key && constant_time_equal(key->first(hash_octets), as_bytes(*wanted));
}

}  // namespace tandem::crypto
