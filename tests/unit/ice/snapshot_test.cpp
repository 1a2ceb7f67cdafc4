// A session through bytes, in every phase.
#include "world.h"

namespace tandem::ice {
namespace {

using namespace test;

/// Two sides behind NATs, with two components and a server to ask, trickling: every phase there is.
struct Session {
  explicit Session(uint64_t seed) : w(seed) {
    if (seed > 4) w.net.loss = 0.1;
    if (seed > 2) w.net.most_delay = milliseconds(100);
    Nat* na = w.nat(NatKind::port_restricted, "203.0.113.1");
    Nat* nb = w.nat(NatKind::port_restricted, "203.0.113.2");
    for (Side* s : {&w.a, &w.b}) {
      s->config.stun_servers = {stun_server};
      s->start(2);
      for (uint16_t c : {1, 2})
        s->socket({IpAddress::v4(10, 0, 0, s == &w.a ? 1 : 2), static_cast<uint16_t>(5000 + c)},
                  s == &w.a ? na : nb, c);
      Side& to = s == &w.a ? w.b : w.a;
      s->on_event = [&to](const Event& e) {
        if (e.kind == Event::Kind::candidate) (void)to.trickle(e.candidate).ok();
      };
    }
    w.exchange();
    w.a.end_of_local();
    w.b.end_of_local();
  }
  bool done() const { return w.a.state() == State::completed && w.b.state() == State::completed; }
  World w;
};

TEST(Snapshot, AtEveryStepOfASession) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    size_t steps = 0;
    {
      Session straight(seed);
      ASSERT_TRUE(straight.w.run(seconds(60), [&] { return ++steps, straight.done(); }));
    }
    ASSERT_GT(steps, 20u);
    for (size_t at = 1; at <= steps + 3; ++at) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", after step " + std::to_string(at));
      Session session(seed);
      World& w = session.w;
      size_t step = 0;
      w.run(seconds(60), [&] { return ++step == at; });
      // One of the two, or both.
      if (seed % 3 != 1) w.a.reboot();
      if (seed % 3 != 2) w.b.reboot();
      ASSERT_TRUE(w.run(seconds(60), [&] { return session.done(); }));
      w.net.loss = 0;
      EXPECT_TRUE(w.can_talk(1));
      EXPECT_TRUE(w.can_talk(2));
      w.expect_symmetric(1);
      w.expect_symmetric(2);
      w.pass(seconds(40));
      EXPECT_EQ(w.a.count(Event::Kind::consent_lost) + w.b.count(Event::Kind::consent_lost), 0u);
    }
  }
}

TEST(Snapshot, OfOneRestoredIsTheSame) {
  for (size_t at : {1, 10, 20, 40, 80, 160}) {
    Session session(3);
    size_t step = 0;
    session.w.run(seconds(60), [&] { return ++step == at; });
    Side& a = session.w.a;
    // What is in flight begins anew, once.
    a.reboot();
    const std::string first = a.agent->snapshot(a.now_);
    a.reboot();
    EXPECT_EQ(a.agent->snapshot(a.now_), first);
    EXPECT_GT(a.agent->revision(), 1u);
  }
}

void two_hosts(World& w) {
  for (Side* s : {&w.a, &w.b}) s->start();
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
}

TEST(Snapshot, ARestoredAgentAsksForConsentAtOnceAndAnswers) {
  World w;
  two_hosts(w);
  const auto path = w.a.agent->path(0, 1);
  const auto credentials = w.a.says().credentials;
  w.a.reboot();
  EXPECT_EQ(w.a.agent->path(0, 1), path);
  EXPECT_EQ(w.a.says().credentials, credentials);
  EXPECT_EQ(w.a.agent->role(), Role::controlling);
  EXPECT_TRUE(w.a.agent->validated(0, at("192.0.2.2:6000")));
  EXPECT_EQ(w.a.agent->next_timeout(), w.now.mono);
  const size_t before = w.a.sent;
  w.a.fire();
  EXPECT_EQ(w.a.sent, before + 1);
  w.pass(seconds(120));
  EXPECT_TRUE(w.can_talk());
}

TEST(Snapshot, ConsentGoesOnRunningOut) {
  World w;
  two_hosts(w);
  w.pass(seconds(60));
  w.b.unplug(0);
  const Instant silent = w.now.mono;
  w.pass(seconds(15));
  const std::string part = w.a.agent->snapshot(w.now);
  // Restored ten seconds later on another clock.
  Now later = w.now;
  later.wall = later.wall + seconds(10);
  later.mono = {42};
  auto restored = Agent::restore(later, part, w.a.config, w.a.rng, w.a.troubles);
  ASSERT_TRUE(restored);
  Outbox out;
  Duration left{};
  for (; restored->state(0) == State::completed; left += milliseconds(100)) {
    ASSERT_LT(left, seconds(10));
    restored->on_timeout({later.mono + left, later.wall + left}, out);
  }
  const Duration since = w.now.mono - silent + seconds(10) + left;
  EXPECT_GE(since, seconds(24));
  EXPECT_LE(since, seconds(31));
}

TEST(Snapshot, InTheMiddleOfARestart) {
  World w;
  two_hosts(w);
  Outbox out;
  w.a.agent->restart(w.now, 0, out);
  w.a.take(out);
  w.a.reboot();
  w.pass(seconds(60));
  EXPECT_TRUE(w.can_talk()) << "the old pair, with the old credentials";
  w.b.hear(w.a.says());
  w.b.reboot();
  w.a.hear(w.b.says());
  w.pass(milliseconds(60));
  w.a.reboot();
  w.b.reboot();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_TRUE(w.can_talk());
}

TEST(Snapshot, ANominationThatWaitsForOurCheckIsKept) {
  World w;
  for (Side* s : {&w.a, &w.b}) s->start();
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  // No check of the controlled side gets through until it has heard the nomination.
  bool nominated = false, blocked = true;
  w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets& bytes) {
    const auto m = stun::Message::parse(bytes);
    nominated |= m && m->find(stun::attribute::use_candidate);
    return !(blocked && m && from == at("192.0.2.2:6000") && m->message_class() == stun::Class::request);
  };
  w.exchange();
  ASSERT_TRUE(w.run(seconds(5), [&] { return w.a.state() == State::completed; }));
  ASSERT_TRUE(nominated);
  w.b.reboot();
  blocked = false;
  ASSERT_TRUE(w.run(seconds(2), [&] { return w.b.state() == State::completed; })) << "nobody nominates again";
}

TEST(Snapshot, EndOfCandidatesIsKept) {
  World w;
  for (Side* s : {&w.a, &w.b}) s->start();
  w.a.socket(at("192.0.2.1:5000"));
  w.gather();
  Description nothing = w.b.says();
  nothing.end_of_candidates = true;
  w.a.hear(nothing);
  w.a.reboot();
  w.pass(seconds(41));
  EXPECT_EQ(w.a.state(), State::failed);
}

TEST(Snapshot, LiteAndDisconnectedOnes) {
  World w;
  w.b.config.mode = Mode::lite;
  two_hosts(w);
  w.b.config.mode = Mode::full;  // what the snapshot says counts
  w.b.reboot();
  EXPECT_TRUE(w.b.says().lite);
  EXPECT_TRUE(w.can_talk());
  w.b.unplug(0);
  w.pass(seconds(60));
  ASSERT_EQ(w.a.state(), State::disconnected);
  w.a.reboot();
  EXPECT_EQ(w.a.state(), State::disconnected);
  EXPECT_FALSE(w.a.agent->path(0, 1));
  EXPECT_TRUE(w.a.agent->next_timeout().is_never());
}

TEST(Snapshot, DamagedOnesAreRefusedOrHarmless) {
  World w;
  two_hosts(w);
  const std::string good = w.a.agent->snapshot(w.now);
  EXPECT_EQ(Agent::restore(w.now, "", w.a.config, w.a.rng, w.a.troubles).reason(), Reason::bad_snapshot);
  EXPECT_EQ(Agent::restore(w.now, "nonsense", w.a.config, w.a.rng, w.a.troubles).reason(),
            Reason::bad_snapshot);
  EXPECT_EQ(w.a.troubles.count(Reason::bad_snapshot), 2u);
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i)
    for (const uint8_t mask : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      auto agent = Agent::restore(w.now, bad, w.a.config, w.a.rng, w.a.troubles);
      if (!agent) {
        ++refused;
        continue;
      }
      Outbox out;
      agent->on_timeout(w.now, out);
      (void)agent->path(0, 1);
      (void)agent->local_description(0);
      (void)agent->snapshot(w.now);
    }
  EXPECT_GT(refused, good.size() / 4);
}

}  // namespace
}  // namespace tandem::ice
