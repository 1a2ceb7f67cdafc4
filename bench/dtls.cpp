// rooms: dtls srtp crypto rtp base
// A whole handshake over memory: both sides, and what the server alone costs. items_per_second is handshakes.
#include <benchmark/benchmark.h>
#include <time.h>

#include "dtls/openssl_endpoint.h"
#include "dtls/twin_endpoint.h"

namespace {

using namespace tandem;
using namespace tandem::dtls;

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void handshakes(benchmark::State& state, Endpoint& a, Endpoint& b) {
  const Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  Options c, s;
  c.peer = {b.fingerprint(FingerprintHash::sha_256)};
  s.peer = {a.fingerprint(FingerprintHash::sha_256)};
  s.role = Role::server;
  double server_seconds = 0;
  for (auto _ : state) {
    const auto client = a.open(c);
    Datagrams to_server, to_client;
    client->start(now, to_server);
    double start = cpu_seconds();
    const auto server = b.open(s);
    server_seconds += cpu_seconds() - start;
    while (!to_server.empty()) {
      start = cpu_seconds();
      to_client.clear();
      for (const auto& d : to_server) server->on_datagram(now, d, Source::validated, to_client);
      server_seconds += cpu_seconds() - start;
      to_server.clear();
      for (const auto& d : to_client) client->on_datagram(now, d, Source::validated, to_server);
    }
    if (!client->keys() || !server->keys()) state.SkipWithError("no keys");
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["server_us"] = server_seconds / static_cast<double>(state.iterations()) * 1e6;
}

void openssl(benchmark::State& state) {
  SeededRng rng(1);
  const WallTime now{1'700'000'000'000'000'000};
  OpensslEndpoint a(Certificate::make(now, rng)), b(Certificate::make(now, rng));
  handshakes(state, a, b);
}
BENCHMARK(openssl);

void twin(benchmark::State& state) {
  SeededRng rng(1);
  TwinEndpoint a(rng), b(rng);
  handshakes(state, a, b);
}
BENCHMARK(twin);

}  // namespace

BENCHMARK_MAIN();
