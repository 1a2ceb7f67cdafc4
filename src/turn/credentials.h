#pragma once
// Who a client is: long-term credentials (RFC 8489 section 9.2) of subscribers, time-limited ones that an
// application hands out, and nonces that cost the server no memory.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "crypto/secret.h"
#include "port/records.h"
#include "stun/message.h"

namespace tandem::turn {

/// What the integrity of a request is computed with (RFC 8489 sections 14.5, 14.6 and 18.5.1).
enum class Algorithm : uint8_t { md5, sha256 };  // of the key: PASSWORD-ALGORITHM
struct Key {
  Algorithm algorithm = Algorithm::md5;
  bool sha256_integrity = false;  // MESSAGE-INTEGRITY-SHA256 in place of MESSAGE-INTEGRITY
  crypto::Secret<32> octets;
  Bytes view() const { return octets.first(algorithm == Algorithm::md5 ? 16 : 32); }
  /// In constant time. How a request is signed with it does not count.
  bool operator==(const Key& o) const;
};

/// A nonce is a time and a seal over it and the client's address: any worker checks it, none remembers it.
///
///     "obMatJos2" | security features, 4 characters (RFC 8489 section 9.2) | base64url(expiry,
///     HMAC-SHA256/128)
class Nonces {
 public:
  Nonces(const std::array<uint8_t, 32>& key, Duration lifetime);
  std::string mint(Now now, const IpAddress& client) const;
  /// False: not ours, another address's, or too old. The client is told 438 with a fresh one.
  bool good(Now now, const IpAddress& client, std::string_view nonce) const;

 private:
  std::array<uint8_t, 16> seal(uint32_t expiry, const IpAddress& client) const;
  crypto::Secret<32> key_;
  Duration lifetime_;
};

/// PASSWORD-ALGORITHMS as we offer them, and as the client must repeat them (section 14.11): SHA-256, then
/// MD5.
Bytes offered_algorithms();
/// Of a request; nothing when it is malformed, or the list was changed on the way.
std::optional<Algorithm> algorithm_of(const stun::Message& request);

/// USERNAME "expiry" or "expiry:name", expiry in seconds since 1970. What has fewer digits than a time of our
/// days is a subscriber's number.
struct TimedName {
  uint64_t expiry = 0;
  std::string_view name;  // may be empty
};
std::optional<TimedName> timed_name(std::string_view username);
std::string timed_username(WallTime expiry, std::string_view name);
/// base64(HMAC-SHA1(secret, username)).
std::string timed_password(std::string_view secret, std::string_view username);

Key key_of_password(Algorithm algorithm, std::string_view username, std::string_view realm,
                    std::string_view password);
/// Of a subscriber's HA1, which is the same hash; nothing when the row has none of that algorithm.
std::optional<Key> key_of_row(const port::Ha1& ha1, Algorithm algorithm, bool username_with_domain);

/// Checks the request's integrity attribute of the kind it has, and says in `key` which that was.
bool fits(const stun::Message& request, Key& key);

}  // namespace tandem::turn
