// A client layer and a server layer joined by a network that loses, doubles and delays. Whatever happens,
// both tables are empty in the end and every user hears exactly one outcome.
#include <map>
#include <queue>
#include <set>

#include "transaction_harness.h"

namespace tandem::sip {
namespace {

struct World {
  explicit World(uint64_t s)
      : seed(s), dice(s), client({}, {}, 1'000'000, s + 1), server({}, {}, 500, s + 2) {
    start = client.now;
  }

  struct Packet {
    int64_t at;
    uint64_t sequence;
    bool to_server;
    std::string text;
    bool operator>(const Packet& o) const { return std::pair(at, sequence) > std::pair(o.at, o.sequence); }
  };

  void post(bool to_server, const std::string& text) {
    const uint64_t copies = dice.below(100) < loss ? 0 : dice.below(100) < 10 ? 2 : 1;
    for (uint64_t i = 0; i < copies; ++i)
      air.push({clock + static_cast<int64_t>(dice.below(400)) * 1'000'000, sequence++, to_server, text});
  }
  void collect() {
    for (std::string& text : std::exchange(client.texts, {})) post(true, text);
    for (std::string& text : std::exchange(server.texts, {})) post(false, text);
  }

  void set_clock(int64_t t) {
    const int64_t step = t - clock;
    clock = t;
    client.move_to(client.now.mono + Duration(step));
    server.move_to(server.now.mono + Duration(step));
  }
  // Each harness has its own origin; deadlines are compared as time from the common start.
  int64_t due(Harness& h, int64_t origin) {
    const Instant next = h.layer.next_timeout();
    return next.is_never() ? INT64_MAX : std::max(next.ns - origin, clock);
  }

  void on_client_events() {
    for (TuEvent& e : std::exchange(client.events, {})) {
      if (e.kind == Kind::stray_response) continue;
      Call& call = calls.at(e.user.object);
      if (e.kind == Kind::response && e.message->status() < 200) continue;
      if (e.kind == Kind::response && e.message->status() / 100 == 2 && call.ok) continue;  // a repeated 2xx
      ++call.outcomes;
      call.ok = e.kind == Kind::response && e.message->status() / 100 == 2;
    }
  }
  void on_server_events() {
    for (TuEvent& e : std::exchange(server.events, {})) {
      if (e.kind == Kind::request) {
        pending[e.server.packed()] = clock + static_cast<int64_t>(dice.below(6000)) * 1'000'000;
        alive.insert(e.server.packed());
      } else if (e.kind == Kind::cancel) {
        answer(e.server, 487);
      } else if (e.kind == Kind::done) {
        EXPECT_EQ(pending.count(e.server.packed()), 0u);
        EXPECT_EQ(alive.erase(e.server.packed()), 1u);
        ++done;
      }
    }
  }
  void answer(ServerTxId id, int status) {
    pending.erase(id.packed());
    server.respond(id, status);
  }
  void serve_due() {
    for (auto it = pending.begin(); it != pending.end();) {
      const ServerTxId id{SlotId::unpack(it->first)};
      const bool now_due = it->second <= clock;
      ++it;
      if (!now_due) continue;
      if (dice.below(3) == 0 && server.layer.request_of(id)->method() == Method::invite) {
        server.respond(id, 180);
        pending[id.packed()] = clock + static_cast<int64_t>(dice.below(5000)) * 1'000'000 + 1;
      } else {
        answer(id, dice.below(2) ? 200 : 486);
      }
      return serve_due();
    }
  }
  int64_t next_answer() const {
    int64_t first = INT64_MAX;
    for (const auto& [id, at] : pending) first = std::min(first, at);
    return first;
  }

  // As when its call goes to another worker: out as bytes, back under another id.
  void move_a_server() {
    auto it = alive.begin();
    std::advance(it, dice.below(alive.size()));
    const uint64_t old = *it;
    const std::string part = server.layer.take(server.now, ServerTxId{SlotId::unpack(old)});
    if (part.empty()) return;
    const auto back = server.layer.restore(server.now, part);
    ASSERT_TRUE(back);
    alive.erase(old);
    alive.insert(back->server.packed());
    if (auto node = pending.extract(old)) {
      node.key() = back->server.packed();
      pending.insert(std::move(node));
    }
    ++moves;
  }
  void move_a_client() {
    auto it = calls.begin();
    std::advance(it, dice.below(calls.size()));
    const std::string part = client.layer.take(client.now, it->second.id);
    if (part.empty()) return;
    const auto back = client.layer.restore(client.now, part);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->user.object, it->first);
    it->second.id = back->client;
    ++moves;
  }

  void start_call(uint64_t n) {
    const bool invite = dice.below(3) != 0;
    OutgoingRequest r =
        own_request(invite ? Method::invite : Method::message, udp_path(), 0, static_cast<uint32_t>(n + 1));
    r.user.object = n;
    r.timer_c = true;  // every copy of a final answer may be lost: something must end the waiting
    calls[n].id = client.ask(std::move(r));
    if (invite && dice.below(4) == 0)
      cancels.emplace(clock + static_cast<int64_t>(dice.below(8000)) * 1'000'000, n);
  }

  void play(uint64_t count) {
    for (uint64_t n = 0; n < count; ++n)
      starts.emplace(static_cast<int64_t>(dice.below(20'000)) * 1'000'000, n);
    const int64_t client_origin = client.now.mono.ns, server_origin = server.now.mono.ns;
    for (int steps = 0; steps < 200'000; ++steps) {
      collect();
      if (!alive.empty() && dice.below(20) == 0) move_a_server();
      if (!calls.empty() && dice.below(20) == 0) move_a_client();
      int64_t next = std::min({due(client, client_origin), due(server, server_origin), next_answer(),
                               air.empty() ? INT64_MAX : air.top().at,
                               starts.empty() ? INT64_MAX : starts.begin()->first,
                               cancels.empty() ? INT64_MAX : cancels.begin()->first});
      if (next == INT64_MAX) return;
      set_clock(std::max(next, clock));
      while (!starts.empty() && starts.begin()->first <= clock) {
        start_call(starts.begin()->second);
        starts.erase(starts.begin());
      }
      while (!cancels.empty() && cancels.begin()->first <= clock) {
        client.cancel(calls.at(cancels.begin()->second).id);
        cancels.erase(cancels.begin());
      }
      while (!air.empty() && air.top().at <= clock) {
        const Packet p = air.top();
        air.pop();
        (p.to_server ? server : client).in(p.text, udp_path());
        on_client_events();
        on_server_events();
      }
      serve_due();
      client.run(Duration::zero());
      server.run(Duration::zero());
      on_client_events();
      on_server_events();
    }
    ADD_FAILURE() << "never came to rest";
  }

  struct Call {
    ClientTxId id;
    int outcomes = 0;
    bool ok = false;
  };
  uint64_t seed;
  SeededRng dice;
  uint64_t loss = 0;
  Harness client, server;
  Now start;
  int64_t clock = 0;
  uint64_t sequence = 0;
  uint64_t done = 0;
  uint64_t moves = 0;
  std::priority_queue<Packet, std::vector<Packet>, std::greater<>> air;
  std::map<uint64_t, Call> calls;
  std::map<uint64_t, int64_t> pending;
  std::set<uint64_t> alive;
  std::multimap<int64_t, uint64_t> starts, cancels;
};

class Loss : public testing::TestWithParam<uint64_t> {};

TEST_P(Loss, ends_with_empty_tables_and_one_outcome_each) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE("loss " + std::to_string(GetParam()) + " seed " + std::to_string(seed));
    World w(seed * 1000 + GetParam());
    w.loss = GetParam();
    w.play(60);
    EXPECT_EQ(w.client.layer.client_count(), 0u);
    EXPECT_EQ(w.server.layer.server_count(), 0u);
    EXPECT_TRUE(w.pending.empty());
    EXPECT_TRUE(w.alive.empty());
    EXPECT_GT(w.moves, 5u);
    EXPECT_EQ(w.client.counted("sip_transactions", "side=\"client\""), 0u);
    int lost = 0;
    for (const auto& [n, call] : w.calls) {
      EXPECT_EQ(call.outcomes, 1) << "call " << n;
      lost += call.outcomes != 1;
    }
    if (lost) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Percent, Loss, testing::Values(0, 5, 30, 70, 100));

}  // namespace
}  // namespace tandem::sip
