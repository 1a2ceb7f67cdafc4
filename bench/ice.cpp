// rooms: ice stun crypto proto base
// What an agent costs: a datagram of a stranger, a check of the peer's on a completed stream, one agent's
// side of a session from candidates to nomination, and the worst list of pairs a peer can make us keep.
// items_per_second is datagrams, or sessions.
#include <benchmark/benchmark.h>

#include "ice/agent.h"
#include "stun/message.h"

namespace {

using namespace tandem;
using namespace tandem::ice;

const SocketAddress our_address = *SocketAddress::parse("192.0.2.1:5000");
const SocketAddress peer_address = *SocketAddress::parse("192.0.2.2:6000");

/// Two agents with a wire that loses nothing between them.
struct Call {
  explicit Call(uint64_t seed)
      : rng(seed),
        a(config_of(Role::controlling), rng, troubles),
        b(config_of(Role::controlled), rng, troubles) {
    open(a, our_address);
    open(b, peer_address);
    (void)b.set_remote(now, 0, a.local_description(0), to_a).ok();
    (void)a.set_remote(now, 0, b.local_description(0), to_b).ok();
  }
  static Config config_of(Role role) {
    Config c;
    c.role = role;
    return c;
  }
  void open(Agent& agent, const SocketAddress& address) {
    (void)agent.add_stream(1).ok();
    LocalBase base;
    base.address = address;
    Outbox out;
    (void)agent.add_local(now, base, out).ok();
    agent.end_of_local(now, out);
  }
  void carry(Outbox& from, Agent& to, const SocketAddress& source, Outbox& answers) {
    Outbox moved = std::move(from);
    from.clear();
    for (const Datagram& d : moved.datagrams) to.on_datagram(now, d.base, source, d.bytes, answers);
  }
  void complete() {
    while (a.state(0) != State::completed || b.state(0) != State::completed) {
      carry(to_b, b, our_address, to_a);
      carry(to_a, a, peer_address, to_b);
      now.mono = now.mono + milliseconds(50);
      a.on_timeout(now, to_b);
      b.on_timeout(now, to_a);
    }
  }
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  SeededRng rng;
  Troubles troubles;
  Agent a, b;
  Outbox to_a, to_b;  // what the other has said
};

std::vector<uint8_t> check_of(const Agent& victim, std::string_view pwd) {
  stun::Writer w(stun::Class::request, stun::method::binding, {7});
  w.add(stun::attribute::username, victim.local_description(0).credentials.ufrag + ":peer");
  w.add_u32(stun::attribute::priority, 1).add_u64(stun::attribute::ice_controlled, 1);
  w.add_integrity(as_bytes(pwd)).add_fingerprint();
  return w.octets();
}

void refuse_a_stranger(benchmark::State& state) {
  Call call(1);
  call.complete();
  const auto bytes = check_of(call.a, "a guess of twenty-two characters");
  Outbox out;
  for (auto _ : state) call.a.on_datagram(call.now, 0, peer_address, bytes, out);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(refuse_a_stranger);

void answer_a_check(benchmark::State& state) {
  Call call(1);
  call.complete();
  const auto bytes = check_of(call.a, call.a.local_description(0).credentials.pwd);
  Outbox out;
  for (auto _ : state) {
    call.a.on_datagram(call.now, 0, peer_address, bytes, out);
    out.datagrams.clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(answer_a_check);

void two_agents_complete(benchmark::State& state) {
  uint64_t seed = 0;
  for (auto _ : state) {
    Call call(++seed);
    call.complete();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(two_agents_complete);

/// A hundred pairs of as many foundations as there can be; every datagram looks at all of them.
void answer_amid_a_hundred_pairs(benchmark::State& state) {
  Call call(1);
  Outbox out;
  for (int i = 0; i < 99; ++i) {
    Candidate c;
    c.foundation = std::to_string(i);
    c.priority = 1;
    c.address = {IpAddress::v4(198, 51, 100, static_cast<uint8_t>(i + 1)), 9};
    (void)call.a.add_remote_candidate(call.now, 0, c, out).ok();
  }
  const auto bytes = check_of(call.a, call.a.local_description(0).credentials.pwd);
  for (auto _ : state) {
    call.a.on_datagram(call.now, 0, peer_address, bytes, out);
    out.datagrams.clear();
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(answer_amid_a_hundred_pairs);

}  // namespace

BENCHMARK_MAIN();
