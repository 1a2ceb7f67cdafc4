#pragma once
// HTTP digest as SIP uses it: RFC 7616, RFC 8760 (which hashes), RFC 3261 section 22 (what differs from
// HTTP).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "crypto/hash.h"
#include "port/records.h"

namespace tandem::auth {

enum class Algorithm : uint8_t { md5, sha256, sha512_256 };
inline constexpr size_t algorithm_count = 3;

std::string_view to_string(
    Algorithm a);  // "SHA-512-256", as in the algorithm parameter (RFC 7616 section 6.1)
crypto::Hash hash_of(Algorithm a);

struct AlgorithmName {
  Algorithm algorithm = Algorithm::md5;
  bool session = false;  // "-sess": HA1 is mixed with nonce and cnonce (RFC 7616 section 3.4.2)
};
/// Without case; absent means MD5 (RFC 7616 section 3.3). Nothing for a name we do not know.
std::optional<AlgorithmName> algorithm_from(std::optional<std::string_view> name);

enum class Qop : uint8_t { none, auth, auth_int };

/// Everything that goes into a response value. Views only.
struct DigestInput {
  AlgorithmName algorithm;
  Qop qop = Qop::none;
  std::string_view ha1;  // lower-case hex H(user:realm:password)
  std::string_view method;
  std::string_view uri;
  std::string_view nonce;
  std::string_view cnonce;
  std::string_view nc;    // eight hex digits as on the wire
  std::string_view body;  // only read for auth-int
};
/// The response value (RFC 7616 section 3.4.1); without qop as RFC 2069 had it.
crypto::HexDigest digest_response(const DigestInput& in);

/// H(user:realm:password).
std::string ha1_hex(Algorithm a, std::string_view user, std::string_view realm, std::string_view password);

/// The secrets of a subscriber. Phones differ in whether the username they send is "user" or "user@domain",
/// and the hash covers it, so each value holds both, one behind the other: H(user:realm:password)
/// H(user@domain:realm:password). A value that came from elsewhere may hold the first one only. `domain`: the
/// subscriber's, when the realm is another; empty: the realm.
port::Ha1 make_ha1(std::string_view user, std::string_view realm, std::string_view password,
                   std::string_view domain = {});
/// The half of a port::Ha1 value for that form of username; empty when it is not there.
std::string_view ha1_of(const port::Ha1& ha1, Algorithm a, bool username_with_domain);

}  // namespace tandem::auth
