// rooms: turn auth stun crypto port base
// The TURN server without sockets: packets through a channel both ways, allocations with their 401, and
// strangers turned away. items_per_second is packets, allocations, requests.
#include <benchmark/benchmark.h>

#include "turn/credentials.h"
#include "turn/server.h"

namespace {

using namespace tandem;
using namespace tandem::turn;
namespace method = stun::method;
namespace attribute = stun::attribute;

class Ports final : public port::RelayPorts {
 public:
  bool has(IpAddress::Family) const override { return true; }
  std::optional<port::RelayPort> open(IpAddress::Family, bool) override {
    const uint32_t n = ++next_;
    return port::RelayPort{{n, 1}, {IpAddress::v4(192, 0, 2, 1), static_cast<uint16_t>(n)}, {}};
  }
  std::optional<std::pair<port::RelayPort, port::RelayPort>> open_pair(IpAddress::Family) override {
    return {};
  }
  std::optional<port::RelayPort> open_tcp(IpAddress::Family) override { return {}; }
  std::optional<port::RelayPort> reopen(SocketAddress, bool) override { return {}; }
  void close(port::RelayPortId) override {}
  port::RelayConnection connect(port::RelayPortId, SocketAddress) override { return 0; }
  void splice(port::RelayConnection, const port::RelayClient&, std::shared_ptr<port::PipeMeter>) override {}
  void keep(const port::RelayClient&) override {}
  void let_go(const port::RelayClient&) override {}
  void close(port::RelayConnection) override {}
  void close(const port::RelayClient&) override {}

 private:
  uint32_t next_ = 0;
};

struct World {
  World() {
    config.enabled = true;
    config.realm = "example.org";
    config.secrets = {"a secret of sixteen octets"};
    config.allocations_per_user = 0;
    config.challenges_per_second = config.allocations_per_second = 0;
    config.allocations = 1'000'000;
    server = std::make_unique<Server>(config, ports, rng, counters);
    user = timed_username(now.wall + hours(1), "bench");
    key = stun::long_term_key_md5(user, config.realm, timed_password(config.secrets[0], user));
    out.event_level = port::Level::warning;
  }
  static port::RelayClient client(uint32_t n) {
    port::RelayClient c;
    c.remote = {IpAddress::v4(203, 0, static_cast<uint8_t>(n >> 14), 7),
                static_cast<uint16_t>(1024 + (n & 0x3FFF))};
    return c;
  }
  /// The answer to it.
  stun::Message ask(const port::RelayClient& c, const stun::Writer& w) {
    request = w.octets();
    port::RelayPacket p;
    p.client = c;
    p.bytes = request;
    server->on_packets(now, {&p, 1}, out);
    answer.assign(out.relay.to_clients.at(0).bytes.begin(), out.relay.to_clients.at(0).bytes.end());
    out.relay.clear();
    return stun::Message::parse(answer).value();
  }
  void sign(stun::Writer& w) {
    w.add(attribute::username, user).add(attribute::realm, config.realm).add(attribute::nonce, nonce);
    w.add_integrity(as_bytes(key)).add_fingerprint();
  }
  /// As a client does: asked in vain, then with what the 401 says.
  bool allocate(uint32_t n) {
    const auto c = client(n);
    stun::Writer first(stun::Class::request, method::allocate, {1});
    first.add_u32(attribute::requested_transport, 17u << 24).add_fingerprint();
    nonce = std::string(ask(c, first).text(attribute::nonce).value_or(""));
    stun::Writer second(stun::Class::request, method::allocate, {2});
    second.add_u32(attribute::requested_transport, 17u << 24);
    sign(second);
    return ask(c, second).message_class() == stun::Class::success;
  }
  bool bind(uint32_t n, const SocketAddress& peer) {
    stun::Writer w(stun::Class::request, method::channel_bind, {3});
    w.add_u32(attribute::channel_number, 0x4000u << 16).add_xor_address(attribute::xor_peer_address, peer);
    sign(w);
    return ask(client(n), w).message_class() == stun::Class::success;
  }
  Config config;
  Ports ports;
  SeededRng rng{1};
  CounterSet counters;
  port::Outbox out;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  std::unique_ptr<Server> server;
  std::string user, key, nonce;
  std::vector<uint8_t> request, answer;
};

constexpr uint32_t sessions = 500;
constexpr size_t batch = 250, payload = 172;

void channel_data(benchmark::State& state) {
  const bool up = state.range(0) == 0;
  World w;
  for (uint32_t n = 0; n < sessions; ++n)
    if (!w.allocate(n) || !w.bind(n, {IpAddress::v4(8, 8, 8, 8), static_cast<uint16_t>(1000 + n)}))
      return state.SkipWithError("no allocation");
  std::vector<uint8_t> area(batch * 512);
  std::vector<port::RelayPacket> packets(batch);
  uint32_t next = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < batch; ++i, next = (next + 1) % sessions) {
      uint8_t* at = area.data() + i * 512 + port::relay_headroom;
      port::RelayPacket& p = packets[i];
      p = {};
      if (up) {
        at[0] = 0x40, at[1] = 0, at[2] = 0, at[3] = payload;
        p.client = World::client(next);
        p.bytes = {at, payload + 4};
      } else {
        p.port = {next + 1, 1};
        p.peer = {IpAddress::v4(8, 8, 8, 8), static_cast<uint16_t>(1000 + next)};
        p.bytes = {at, payload};
      }
    }
    w.server->on_packets(w.now, packets, w.out);
    if (w.out.relay.to_peers.size() + w.out.relay.to_clients.size() != batch)
      return state.SkipWithError("not relayed");
    w.out.relay.clear();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(batch));
}
BENCHMARK(channel_data)->ArgName("down")->Arg(0)->Arg(1);

void allocations(benchmark::State& state) {
  World w;
  uint32_t n = 0;
  for (auto _ : state)
    if (!w.allocate(n++ % 900'000)) {
      state.PauseTiming();  // the clients begin anew
      w.server = std::make_unique<Server>(w.config, w.ports, w.rng, w.counters);
      state.ResumeTiming();
    }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(allocations);

void strangers(benchmark::State& state) {
  World w;
  stun::Writer first(stun::Class::request, method::allocate, {1});
  first.add_u32(attribute::requested_transport, 17u << 24);
  uint32_t n = 0;
  for (auto _ : state) benchmark::DoNotOptimize(w.ask(World::client(n++), first).error());
  if (w.server->size() + w.server->waiting() + w.server->ports() != 0)
    state.SkipWithError("something was kept");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(strangers);

}  // namespace

BENCHMARK_MAIN();
