// rooms: auth sip crypto base
// Credentials and challenges from strangers: no read out of bounds, and no text without the password gets in.
#include <cstdlib>
#include <string>

#include "auth/authenticator.h"
#include "auth/client.h"

using namespace tandem;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static SeededRng rng(1);
  static CounterSet counters;
  static const Now now{Instant{0}, WallTime{1'800'000'000'000'000'000}};
  static auth::Authenticator server({.nonces = 16}, now, rng, counters);
  static const port::Subscriber alice = [] {
    port::Subscriber s;
    s.aor = {"1001", "example.com"};
    s.ha1 = auth::make_ha1("1001", "example.com", "a password no fuzzer finds");
    return s;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string request =
      "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
      "From: <sip:1001@example.com>;tag=1\r\nTo: <sip:1001@example.com>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
      "Authorization: " +
      std::string(text) + "\r\nContent-Length: 0\r\n\r\n";
  if (auto parsed = sip::Message::parse(Buffer::copy_of(request))) {
    const sip::Message& message = *parsed;
    (void)server.claimed(message, "example.com", auth::Role::user_agent);
    const auto check = server.check(now, message, "example.com", auth::Role::user_agent, &alice);
    if (check.outcome == auth::Check::Outcome::ok || server.nonces_in_use() != 0) std::abort();
  }
  (void)auth::answer(text, "REGISTER", "sip:example.com", {.user = "1001", .password = "x"}, "c");
  return 0;
}
