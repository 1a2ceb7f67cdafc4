// rooms: auth crypto base
// Tokens from strangers: as they come, and with a right signature around claims the fuzzer wrote.
#include <cstdlib>
#include <string>

#include "auth/bearer.h"
#include "crypto/base64.h"
#include "crypto/hash.h"

using namespace tandem;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string secret(32, 'k');
  static CounterSet counters;
  static const Now now{Instant{1}, WallTime{1'800'000'000'000'000'000}};
  static auth::TokenChecker checker({.keys = {*auth::make_token_key("", "HS256", secret)}}, counters);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (checker.check(now, text).ok()) std::abort();  // nobody signed it
  const std::string body =
      crypto::base64url(as_bytes(R"({"alg":"HS256"})")) + "." + crypto::base64url(as_bytes(text));
  const std::string good =
      body + "." + crypto::base64url(crypto::hmac(crypto::Hash::sha256, secret, body).view());
  const auto claims = checker.check(now, good);
  if (claims.ok() && (claims->user.empty() || claims->expires.ns <= 0)) std::abort();
  return 0;
}
