#pragma once
// Two agents and the network between them.
#include <gtest/gtest.h>

#include <string>

#include "ice/agent.h"
#include "network.h"
#include "stun/message.h"

namespace tandem::ice::test {

inline const SocketAddress stun_server = at("198.51.100.1:3478");

/// Everything there is of one side: the agent, its sockets, what it has said and heard.
class Side {
 public:
  Side(Network& network, const Now& now, uint64_t seed) : network_(network), now_(now), rng(seed) {}

  Network& network_;
  const Now& now_;
  SeededRng rng;
  Troubles troubles;
  Config config;
  std::unique_ptr<Agent> agent;
  std::vector<Event> events;
  struct Heard {
    BaseId base;
    SocketAddress from;
    std::string text;
    bool validated;
  };
  std::vector<Heard> heard;  // media
  size_t sent = 0;           // STUN
  std::function<void(const Event&)> on_event;

  void start(uint16_t components = 1, size_t streams = 1) {
    agent = std::make_unique<Agent>(config, rng, troubles);
    for (size_t i = 0; i < streams; ++i) ASSERT_TRUE(agent->add_stream(components).ok());
  }

  /// A socket, and its base.
  BaseId socket(const SocketAddress& local, Nat* nat = nullptr, uint16_t component = 1,
                CandidateType type = CandidateType::host, StreamId stream = 0) {
    LocalBase base;
    base.stream = stream;
    base.component = component;
    base.type = type;
    base.address = local;
    return socket(base, nat);
  }
  BaseId socket(const LocalBase& base, Nat* nat) {
    Outbox out;
    // The number is known before: its datagrams may be in the same outbox.
    const auto id = static_cast<BaseId>(sockets_.size());
    sockets_.push_back({base.address, nat});
    listen(id);
    EXPECT_EQ(agent->add_local(now_, base, out).value(), id);
    take(out);
    return id;
  }
  void listen(BaseId id) {
    network_.attach(sockets_[id].local, sockets_[id].nat,
                    [this, id](const SocketAddress& from, const Octets& bytes) { receive(id, from, bytes); });
  }
  void unplug(BaseId id) { network_.detach(sockets_[id].local, sockets_[id].nat); }

  void receive(BaseId id, const SocketAddress& from, const Octets& bytes) {
    if (bytes[0] >= 4) {
      heard.push_back({id, from, std::string(as_text(bytes)), agent->validated(id, from)});
      return;
    }
    Outbox out;
    agent->on_datagram(now_, id, from, bytes, out);
    take(out);
  }
  void take(Outbox& out) {
    for (Datagram& d : out.datagrams) {
      ++sent;
      ASSERT_LT(d.base, sockets_.size());
      network_.send(now_.mono, sockets_[d.base].local, sockets_[d.base].nat, d.to, std::move(d.bytes));
    }
    for (Event& e : out.events) {
      events.push_back(e);
      if (on_event) on_event(e);
    }
  }
  void fire() {
    Outbox out;
    agent->on_timeout(now_, out);
    take(out);
  }
  void end_of_local() {
    Outbox out;
    agent->end_of_local(now_, out);
    take(out);
  }
  void hear(const Description& d, StreamId stream = 0) {
    Outbox out;
    EXPECT_TRUE(agent->set_remote(now_, stream, d, out).ok());
    take(out);
  }
  Status<Reason> trickle(const Candidate& c, StreamId stream = 0) {
    Outbox out;
    auto done = agent->add_remote_candidate(now_, stream, c, out);
    take(out);
    return done;
  }
  Description says(StreamId stream = 0) const { return agent->local_description(stream); }
  State state(StreamId stream = 0) const { return agent->state(stream); }

  /// Media over the path there is; false when there is none.
  bool talk(const std::string& text, uint16_t component = 1, StreamId stream = 0) {
    const auto path = agent->path(stream, component);
    if (!path) return false;
    const Octets bytes(text.begin(), text.end());
    network_.send(now_.mono, sockets_[path->base].local, sockets_[path->base].nat, path->remote, bytes);
    return true;
  }
  bool has_heard(const std::string& text) const {
    for (const Heard& h : heard)
      if (h.text == text && h.validated) return true;
    return false;
  }
  size_t count(Event::Kind kind) const {
    size_t n = 0;
    for (const Event& e : events) n += e.kind == kind ? 1 : 0;
    return n;
  }
  std::vector<State> states(StreamId stream = 0) const {
    std::vector<State> all;
    for (const Event& e : events)
      if (e.kind == Event::Kind::state && e.stream == stream) all.push_back(e.state);
    return all;
  }
  SocketAddress local(BaseId id) const { return sockets_[id].local; }

  /// The node goes through bytes; `lost`: how long that takes.
  void reboot() {
    const std::string part = agent->snapshot(now_);
    agent.reset();
    auto restored = Agent::restore(now_, part, config, rng, troubles);
    ASSERT_TRUE(restored.ok());
    agent = std::make_unique<Agent>(std::move(restored).value());
  }

 private:
  struct Socket {
    SocketAddress local;
    Nat* nat;
  };
  std::vector<Socket> sockets_;
};

class World {
 public:
  explicit World(uint64_t seed = 1) : net(seed), a(net, now, seed * 2 + 101), b(net, now, seed * 2 + 102) {
    b.config.role = Role::controlled;
    // The server of RFC 8489, one response a request.
    net.attach(stun_server, nullptr, [this](const SocketAddress& from, const Octets& bytes) {
      const auto m = stun::Message::parse(bytes);
      if (!m || m->message_class() != stun::Class::request) return;
      stun::Writer w(stun::Class::success, stun::method::binding, m->transaction());
      w.add_xor_address(stun::attribute::xor_mapped_address, from);
      net.send(now.mono, stun_server, nullptr, from, w.octets());
    });
  }
  Nat* nat(NatKind kind, const char* outside) {
    nats_.push_back(std::make_unique<Nat>(kind, *IpAddress::parse(outside)));
    return nats_.back().get();
  }

  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  Network net;
  Side a, b;

  void advance(Instant to) {
    now.wall = now.wall + (to - now.mono);
    now.mono = to;
  }
  /// The earliest first, until nothing is left before `until`, or `done`.
  bool run_until(Instant until, const std::function<bool()>& done) {
    for (size_t idle = 0; !done();) {
      Instant next = net.next();
      for (Side* s : {&a, &b})
        if (s->agent) next = std::min(next, s->agent->next_timeout());
      if (next > until) {
        advance(until);
        return done();
      }
      idle = next <= now.mono ? idle + 1 : 0;
      if (idle > 10'000) {
        ADD_FAILURE() << "time stands still";
        return false;
      }
      if (next > now.mono) advance(next);
      if (net.deliver(now.mono)) continue;
      for (Side* s : {&a, &b})
        if (s->agent && s->agent->next_timeout() <= now.mono) s->fire();
    }
    return true;
  }
  bool run(Duration most, const std::function<bool()>& done) { return run_until(now.mono + most, done); }
  void pass(Duration time) {
    run(time, [] { return false; });
  }

  /// Both have all their candidates, and tell each other.
  void gather() {
    a.end_of_local();
    b.end_of_local();
    EXPECT_TRUE(run(seconds(60), [&] {
      return a.count(Event::Kind::gathered) > 0 && b.count(Event::Kind::gathered) > 0;
    }));
  }
  void exchange(StreamId stream = 0) {
    b.hear(a.says(stream), stream);
    a.hear(b.says(stream), stream);
  }
  bool both(State state, Duration most = seconds(30)) {
    return run(most, [&] { return a.state() == state && b.state() == state; });
  }
  /// Whether media goes both ways, and each believes the other.
  bool can_talk(uint16_t component = 1, StreamId stream = 0) {
    static int number = 0;
    const std::string word = "hello " + std::to_string(++number);
    if (!a.talk(word, component, stream) || !b.talk(word, component, stream)) return false;
    pass(milliseconds(500));
    return a.has_heard(word) && b.has_heard(word);
  }
  /// Both sides mean the same pair.
  void expect_symmetric(uint16_t component = 1) {
    const auto pa = a.agent->path(0, component), pb = b.agent->path(0, component);
    ASSERT_TRUE(pa && pb);
    EXPECT_EQ(pa->local, pb->remote);
    EXPECT_EQ(pb->local, pa->remote);
  }

 private:
  std::vector<std::unique_ptr<Nat>> nats_;
};

}  // namespace tandem::ice::test
