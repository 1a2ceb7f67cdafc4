// rooms: registrar auth sip crypto base
// What a registration costs: REGISTER without credentials (401), then with them (200). Parsing, digest,
// binding and both responses; no transaction layer, no sockets.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "auth/authenticator.h"
#include "auth/client.h"
#include "registrar/registrar.h"

namespace tandem {
namespace {

constexpr std::string_view realm = "example.com";

std::string register_text(int user, const std::string& authorization) {
  const std::string u = std::to_string(100'000 + user);
  return "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK776asdhds" + u +
         ";rport\r\nMax-Forwards: 70\r\nFrom: \"" + u + "\" <sip:" + u +
         "@example.com>;tag=456248\r\nTo: <sip:" + u +
         "@example.com>\r\nCall-ID: 843817637684230@998sdasdh09-" + u +
         "\r\nCSeq: 1826 REGISTER\r\nContact: <sip:" + u +
         "@10.0.0.1:5060>;expires=3600\r\nUser-Agent: Phone/1.0\r\n" + authorization +
         "Content-Length: 0\r\n\r\n";
}

void registration(benchmark::State& state, auth::Algorithm algorithm) {
  Now now{Instant{1'000'000'000'000}, WallTime{1'800'000'000'000'000'000}};
  SeededRng rng(1);
  CounterSet counters;
  auth::Config auth_config;
  auth_config.algorithms = {algorithm};
  auth::Authenticator authenticator(auth_config, now, rng, counters);
  registrar::Config config;
  config.domains = {{"example.com", {}}};
  registrar::Registrar registrar(config, rng, counters);
  port::Path path;
  path.remote = *SocketAddress::parse("10.0.0.1:5060");
  port::Outbox out;
  out.event_level = port::Level::warning;
  registrar::BindingChanges changes;
  constexpr int users = 1000;
  std::vector<port::Subscriber> rows(users);
  for (int i = 0; i < users; ++i) {
    rows[i].aor = {std::to_string(100'000 + i), "example.com"};
    rows[i].ha1 = auth::make_ha1(rows[i].aor.user, realm, "secret");
  }
  const auto parse = [](const std::string& text) {
    return std::move(sip::Message::parse(Buffer::copy_of(text))).value();
  };
  uint32_t cseq = 1;
  int i = 0;
  for (auto _ : state) {
    now.wall = now.wall + milliseconds(1);
    const int user = i++ % users;
    const sip::Message first = parse(register_text(user, {}));
    sip::Writer w = sip::response_to(first, path.remote, 401, "tag");
    authenticator.challenge(now, realm, auth::Role::user_agent, false, false, w);
    const Buffer refused = std::move(w).finish();
    // The phone's part, not measured.
    state.PauseTiming();
    const sip::Message challenge = std::move(sip::Message::parse(refused.clone())).value();
    const auto reply = auth::answer(challenge, "REGISTER", "sip:example.com",
                                    {.user = rows[user].aor.user, .password = "secret"}, "c0ffee");
    std::string again = register_text(user, "Authorization: " + reply->value + "\r\n");
    again.replace(again.find("1826"), 4, std::to_string(2000 + ++cseq));
    state.ResumeTiming();
    const sip::Message second = parse(again);
    const auto claimed = authenticator.claimed(second, realm, auth::Role::user_agent);
    benchmark::DoNotOptimize(claimed);
    const auto check = authenticator.check(now, second, realm, auth::Role::user_agent, &rows[user]);
    if (check.outcome != auth::Check::Outcome::ok) {
      state.SkipWithError("refused");
      break;
    }
    changes.clear();
    const auto answer = registrar.on_register(now, second, path, rows[user], out, changes);
    if (answer.status != 200) {
      state.SkipWithError("not registered");
      break;
    }
    benchmark::DoNotOptimize(answer.response.size());
  }
  state.SetItemsProcessed(state.iterations());
}

void digest_check(benchmark::State& state, auth::Algorithm algorithm) {
  auth::DigestInput in;
  in.algorithm.algorithm = algorithm;
  in.qop = auth::Qop::auth;
  const std::string ha1 = auth::ha1_hex(algorithm, "1001", realm, "secret");
  in.ha1 = ha1;
  in.method = "REGISTER";
  in.uri = "sip:example.com";
  in.nonce = "AaMYXFAAAACz8q9tD8cQxYK3gKx2ijPcf0TZRbMmhfI";
  in.cnonce = "0a4f113b";
  in.nc = "00000001";
  for (auto _ : state) benchmark::DoNotOptimize(auth::digest_response(in));
}

BENCHMARK_CAPTURE(registration, md5, auth::Algorithm::md5)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(registration, sha256, auth::Algorithm::sha256)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(registration, sha512_256, auth::Algorithm::sha512_256)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(digest_check, md5, auth::Algorithm::md5);
BENCHMARK_CAPTURE(digest_check, sha512_256, auth::Algorithm::sha512_256);

}  // namespace
}  // namespace tandem

BENCHMARK_MAIN();
