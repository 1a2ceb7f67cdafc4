#pragma once
// Bearer tokens instead of passwords (RFC 8898, RFC 6750): JSON Web Tokens (RFC 7519) somebody else has
// signed, with keys the configuration names. Nothing is remembered and nobody is asked: a token is good until
// it expires.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/signature.h"
#include "sip/message.h"

namespace tandem::auth {

/// RFC 7518 section 3.1. There is no `none`.
enum class TokenAlgorithm : uint8_t { hs256, rs256, es256 };

/// One key and the one algorithm it is for: what a token says of itself never decides how it is checked, so
/// that a public key cannot be taken for a secret.
struct TokenKey {
  std::string id;  // `kid`; empty: for tokens that name no key
  TokenAlgorithm algorithm = TokenAlgorithm::hs256;
  std::variant<std::string, crypto::PublicKey> key;  // the secret of hs256, or the public key of the others
};
/// "HS256", "RS256" or "ES256"; `material` is the secret (at least 32 octets, RFC 7518 section 3.2; one line
/// end behind it is none of it) or PEM. The failure says what is wrong with it.
Result<TokenKey, std::string> make_token_key(std::string id, std::string_view algorithm,
                                             std::string_view material);

struct TokenConfig {
  std::vector<TokenKey> keys;   // none: no token is taken
  std::string issuer;           // `iss` must be it; empty: whatever it is
  std::string audience;         // `aud` must name it; empty: tokens that name somebody are refused
  Duration skew = seconds(30);  // between the issuer's clock and ours
  std::string server;           // where clients get one (`authz_server`); empty: not said
};

/// Who a good token speaks for.
struct TokenClaims {
  std::string user;    // of `sub`, which is "1001" or "1001@example.com"
  std::string domain;  // empty: `sub` has none
  WallTime expires;
};

enum class TokenFault : uint8_t {
  malformed,  // no three parts, no JSON, a critical extension (RFC 7515 section 4.1.11), claims of wrong
              // types
  algorithm,  // none, or not that of the key
  key,        // no key of that name
  signature,
  expired,
  too_early,
  issuer,
  audience,
  subject,  // none, or none that can be a subscriber
  count_,
};
const char* to_string(TokenFault fault);

class TokenChecker {
 public:
  TokenChecker(TokenConfig config, CounterSet& counters);

  /// Keys that are left out here sign nobody in from now on; who is signed in stays.
  void set_config(TokenConfig config) { config_ = std::move(config); }
  bool enabled() const { return !config_.keys.empty(); }
  Result<TokenClaims, TokenFault> check(Now now, std::string_view token);
  /// "Bearer ..." for WWW-Authenticate or Proxy-Authenticate (RFC 8898 section 4). `refused`: a token was
  /// presented.
  std::string challenge(std::string_view realm, bool refused) const;

 private:
  Result<TokenClaims, TokenFault> judge(Now now, std::string_view token) const;

  TokenConfig config_;
  Counter& accepted_;
  std::array<Counter*, static_cast<size_t>(TokenFault::count_)> refused_{};
};

/// The token of a request: of Authorization or of Proxy-Authorization, since clients that always carry one
/// put it into the former whatever they are asked (RFC 8898 section 2). Nothing when it has none.
std::optional<std::string_view> bearer_token(const sip::Message& request);

}  // namespace tandem::auth
