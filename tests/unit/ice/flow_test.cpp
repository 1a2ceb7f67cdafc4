// How sessions go, from candidates to media.
#include "world.h"

namespace tandem::ice {
namespace {

using namespace test;

void two_hosts(World& w) {
  w.a.start();
  w.b.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
}

TEST(Flow, TwoHostsConnect) {
  World w;
  two_hosts(w);
  ASSERT_EQ(w.a.says().candidates.size(), 1u);
  EXPECT_EQ(w.a.says().candidates[0].to_string(), "1 1 UDP 2130706431 192.0.2.1 5000 typ host");
  EXPECT_TRUE(w.a.says().end_of_candidates);
  EXPECT_FALSE(w.a.agent->path(0, 1));
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.states(), (std::vector{State::checking, State::connected, State::completed}));
  w.expect_symmetric();
  EXPECT_TRUE(w.can_talk());
  EXPECT_EQ(w.a.count(Event::Kind::selected), 1u);
  EXPECT_EQ(w.b.count(Event::Kind::selected), 1u);
  // A check each way, the nomination, and their answers.
  EXPECT_EQ(w.a.sent + w.b.sent, 6u);
  EXPECT_EQ(w.a.says().remote_candidates, (std::vector<RemoteCandidate>{{1, at("192.0.2.2:6000")}}));
  EXPECT_TRUE(w.b.says().remote_candidates.empty()) << "the controlling side's to say";
}

TEST(Flow, AMessageOnTheWire) {
  World w;
  std::vector<Octets> wire;
  w.net.watch = [&](const SocketAddress&, const SocketAddress&, const Octets& bytes) {
    wire.push_back(bytes);
    return true;
  };
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  const auto request = stun::Message::parse(wire[0]);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text(stun::attribute::username),
            w.a.says().credentials.ufrag + ":" + w.b.says().credentials.ufrag);
  EXPECT_EQ(request->u32(stun::attribute::priority), 1862270975u) << "as a peer-reflexive candidate";
  EXPECT_TRUE(request->u64(stun::attribute::ice_controlled));
  EXPECT_TRUE(request->has_fingerprint());
  EXPECT_EQ(request->check_integrity(as_bytes(w.a.says().credentials.pwd)), stun::Integrity::good);
  size_t nominations = 0, answers = 0;
  for (const Octets& o : wire) {
    const auto m = stun::Message::parse(o);
    ASSERT_TRUE(m);
    nominations += m->find(stun::attribute::use_candidate) ? 1 : 0;
    if (m->message_class() != stun::Class::success) continue;
    ++answers;
    EXPECT_TRUE(m->has_fingerprint());
    EXPECT_TRUE(m->xor_address(stun::attribute::xor_mapped_address));
    EXPECT_FALSE(m->find(stun::attribute::username));
  }
  EXPECT_EQ(nominations, 1u);
  EXPECT_EQ(answers, 3u);
}

TEST(Flow, AServerReflexiveCandidate) {
  World w;
  w.a.config.stun_servers = {stun_server, at("[2001:db8::1]:3478")};
  w.a.start();
  Nat* nat = w.nat(NatKind::port_restricted, "203.0.113.1");
  w.a.socket(at("10.0.0.1:5000"), nat);
  w.a.end_of_local();
  EXPECT_EQ(w.a.count(Event::Kind::gathered), 0u);
  ASSERT_TRUE(w.run(seconds(1), [&] { return w.a.count(Event::Kind::gathered) == 1; }));
  const auto candidates = w.a.says().candidates;
  ASSERT_EQ(candidates.size(), 2u);
  EXPECT_EQ(candidates[1].to_string(),
            "2 1 UDP 1694498815 203.0.113.1 40000 typ srflx raddr 10.0.0.1 rport 5000");
  EXPECT_EQ(w.a.agent->default_candidate(0, 1)->address, at("203.0.113.1:40000"));
  EXPECT_EQ(w.a.count(Event::Kind::candidate), 2u);
  // The binding is kept until the call is through.
  const size_t before = w.a.sent;
  w.pass(seconds(46));
  EXPECT_EQ(w.a.sent, before + 3);
}

TEST(Flow, AServerThatIsSilentIsGivenUp) {
  World w;
  w.a.config.stun_servers = {at("198.51.100.99:3478")};
  w.a.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.a.end_of_local();
  ASSERT_TRUE(w.run(seconds(60), [&] { return w.a.count(Event::Kind::gathered) == 1; }));
  EXPECT_EQ(w.a.sent, 7u);
  EXPECT_EQ(w.now.mono - Instant{1'000'000'000}, milliseconds(39'500));
  EXPECT_EQ(w.a.says().candidates.size(), 1u);
}

TEST(Flow, AMappedAddressThatIsTheHostsIsNoOtherCandidate) {
  World w;
  w.a.config.stun_servers = {stun_server, at("198.51.100.1:3479")};
  w.a.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.a.end_of_local();
  w.pass(seconds(50));
  EXPECT_EQ(w.a.says().candidates.size(), 1u);
}

TEST(Flow, AtMostFourServersAreAsked) {
  World w;
  for (int i = 0; i < 9; ++i)
    w.a.config.stun_servers.push_back({*IpAddress::parse("198.51.100.9"), uint16_t(i + 1)});
  w.a.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.a.end_of_local();
  w.pass(seconds(50));
  EXPECT_EQ(w.a.sent, 28u);
}

TEST(Flow, BehindOneToOneNatTheAdvertisedAddressIsOffered) {
  World w;
  w.a.start();
  w.b.start();
  // What the NAT of a cloud does: one address outside for one inside, port for port.
  w.net.attach(at("203.0.113.9:5000"), nullptr,
               [&](const SocketAddress& from, const Octets& bytes) { w.a.receive(0, from, bytes); });
  LocalBase base;
  base.address = at("10.0.0.1:5000");
  base.advertised = at("203.0.113.9:5000");
  w.a.socket(base, nullptr);
  w.net.watch = [&](const SocketAddress& from, const SocketAddress& to, const Octets& bytes) {
    if (from != at("10.0.0.1:5000")) return true;
    w.net.send(w.now.mono, at("203.0.113.9:5000"), nullptr, to, bytes);
    return false;
  };
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  EXPECT_EQ(w.a.says().candidates[0].address, at("203.0.113.9:5000"));
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.agent->path(0, 1)->local_type, CandidateType::host) << "not peer-reflexive";
  w.expect_symmetric();
}

TEST(Flow, TwoComponents) {
  World w;
  w.a.start(2);
  w.b.start(2);
  for (uint16_t c : {1, 2}) {
    w.a.socket({*IpAddress::parse("192.0.2.1"), uint16_t(5000 + c)}, nullptr, c);
    w.b.socket({*IpAddress::parse("192.0.2.2"), uint16_t(6000 + c)}, nullptr, c);
  }
  w.gather();
  EXPECT_EQ(w.a.says().candidates[0].foundation, w.a.says().candidates[1].foundation);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_TRUE(w.can_talk(1));
  EXPECT_TRUE(w.can_talk(2));
  EXPECT_EQ(w.a.agent->path(0, 2)->remote, at("192.0.2.2:6002"));
  EXPECT_EQ(w.a.says().remote_candidates.size(), 2u);
}

TEST(Flow, RtcpComesToBeMultiplexed) {
  World w;
  w.a.start(2);
  w.b.start(1);
  w.a.socket(at("192.0.2.1:5000"));
  const BaseId rtcp = w.a.socket(at("192.0.2.1:5001"), nullptr, 2);
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  const Description offer = w.a.says();
  EXPECT_EQ(offer.candidates.size(), 2u);
  w.b.hear(offer);
  EXPECT_EQ(w.b.troubles.count(Reason::bad_component), 1u);
  Outbox out;
  w.a.agent->set_components(w.now, 0, 1, out);
  w.a.hear(w.b.says());
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.says().candidates.size(), 1u);
  w.a.receive(rtcp, at("192.0.2.2:6000"), Octets(20));
  EXPECT_EQ(w.a.troubles.count(Reason::unknown_base), 1u);
}

TEST(Flow, FamiliesTakeTurnsAndV6Wins) {
  World w;
  for (Side* s : {&w.a, &w.b}) s->start();
  w.a.socket(at("[2001:db8::1]:5000"));
  w.a.socket(at("192.0.2.1:5000"));
  w.a.socket(at("192.0.2.11:5000"));
  w.a.socket(at("[2001:db8::11]:5000"));
  const auto c = w.a.says().candidates;
  EXPECT_EQ(c[0].priority, 2130706431u);
  EXPECT_GT(c[0].priority, c[1].priority);
  EXPECT_GT(c[1].priority, c[3].priority);
  EXPECT_GT(c[3].priority, c[2].priority);
  w.b.socket(at("[2001:db8::2]:6000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.agent->path(0, 1)->remote, at("[2001:db8::2]:6000"));
  w.expect_symmetric();
}

TEST(Flow, BrokenV6FallsBackToV4) {
  World w;
  w.net.watch = [](const SocketAddress& from, const SocketAddress&, const Octets&) {
    return from.ip.is_v4();
  };
  for (Side* s : {&w.a, &w.b}) s->start();
  w.a.socket(at("[2001:db8::1]:5000"));
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("[2001:db8::2]:6000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  const Instant begin = w.now.mono;
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.agent->path(0, 1)->remote, at("192.0.2.2:6000"));
  EXPECT_LT(w.now.mono - begin, seconds(1)) << "a valid pair waits `settle` for a better one, no longer";
}

TEST(Flow, AWorkingPairIsNominatedAtOnceWhenNoBetterOneIsLeft) {
  World w;
  two_hosts(w);
  const Instant begin = w.now.mono;
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_LE(w.now.mono - begin, milliseconds(120)) << "three round trips of 20 ms, and Ta";
}

TEST(Flow, AValidPairWaitsForABetterOne) {
  for (const bool patient : {true, false}) {
    World w;
    w.a.config.settle = patient ? seconds(1) : milliseconds(300);
    // The first datagrams over the better pair are lost; the second come half a second later.
    w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets&) {
      return from.ip.is_v4() || w.now.mono > Instant{1'400'000'000};
    };
    for (Side* s : {&w.a, &w.b}) s->start();
    w.a.socket(at("[2001:db8::1]:5000"));
    w.a.socket(at("192.0.2.1:5000"));
    w.b.socket(at("[2001:db8::2]:6000"));
    w.b.socket(at("192.0.2.2:6000"));
    w.gather();
    w.exchange();
    ASSERT_TRUE(w.both(State::completed));
    EXPECT_EQ(w.a.agent->path(0, 1)->remote.ip.is_v6(), patient);
  }
}

TEST(Flow, WhatHasWorkedIsTriedForTheOtherComponentFirst) {
  World w;
  w.a.start(2);
  w.b.start(2);
  for (uint16_t c : {1, 2}) {
    w.a.socket({IpAddress::v4(192, 0, 2, 1), static_cast<uint16_t>(5000 + c)}, nullptr, c);
    w.b.socket({IpAddress::v4(192, 0, 2, 2), static_cast<uint16_t>(6000 + c)}, nullptr, c);
  }
  w.gather();
  Description answer = w.b.says();
  for (int i = 0; i < 20; ++i) {
    Candidate dead = *Candidate::parse("1 2 UDP 5000 198.51.100.1 9 typ host");
    dead.foundation = "dead" + std::to_string(i);
    dead.address.port = static_cast<uint16_t>(1000 + i);
    answer.candidates.push_back(dead);
  }
  std::optional<Instant> second;
  w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets&) {
    if (from.port == 5002 && !second) second = w.now.mono;
    return true;
  };
  const Instant begin = w.now.mono;
  w.a.hear(answer);
  ASSERT_TRUE(w.run(seconds(5), [&] { return second.has_value(); }));
  EXPECT_LE(*second - begin, milliseconds(100)) << "not behind twenty others";
}

TEST(Flow, ANominationWhoseAnswersAreLostIsRepeatedWhenThePeerAsksForConsent) {
  World w;
  std::optional<stun::TransactionId> first;
  w.net.watch = [&](const SocketAddress&, const SocketAddress&, const Octets& bytes) {
    const auto m = stun::Message::parse(bytes);
    if (m && m->find(stun::attribute::use_candidate) && !first) first = m->transaction();
    return !(m && m->message_class() == stun::Class::success && first == m->transaction());
  };
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed, seconds(7)));
  w.expect_symmetric();
}

TEST(Flow, LateCandidatesTrickle) {
  World w;
  for (Side* s : {&w.a, &w.b}) {
    s->config.stun_servers = {stun_server};
    s->start();
  }
  Nat* na = w.nat(NatKind::port_restricted, "203.0.113.1");
  Nat* nb = w.nat(NatKind::port_restricted, "203.0.113.2");
  // Offer and answer go before there is any candidate.
  w.exchange();
  EXPECT_TRUE(w.a.says().has_option("trickle"));
  const auto signal = [](Side& to) {
    return [&to](const Event& e) {
      if (e.kind == Event::Kind::candidate) {
        EXPECT_TRUE(to.trickle(e.candidate));
      } else if (e.kind == Event::Kind::gathered) {
        Outbox out;
        to.agent->end_of_remote(to.now_, 0, out);
      }
    };
  };
  w.a.on_event = signal(w.b);
  w.b.on_event = signal(w.a);
  w.pass(seconds(3));
  w.a.socket(at("10.0.0.1:5000"), na);
  w.pass(seconds(3));
  EXPECT_EQ(w.a.state(), State::checking);
  w.b.socket(at("10.0.0.1:5000"), nb);
  w.a.end_of_local();
  w.b.end_of_local();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_TRUE(w.can_talk());
  w.expect_symmetric();
}

TEST(Flow, ACheckBeforeTheAnswerIsAnsweredAndActedOnLater) {
  World w;
  two_hosts(w);
  w.b.hear(w.a.says());
  w.pass(seconds(1));
  EXPECT_EQ(w.b.state(), State::connected) << "a has answered";
  EXPECT_EQ(w.a.state(), State::idle);
  EXPECT_FALSE(w.a.agent->path(0, 1));
  EXPECT_TRUE(w.a.agent->validated(0, at("192.0.2.2:6000")));
  Description answer = w.b.says();
  answer.candidates.clear();  // the peer-reflexive one does
  w.a.hear(answer);
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.agent->path(0, 1)->remote_type, CandidateType::peer_reflexive);
}

TEST(Flow, ASignalledCandidateTakesThePlaceOfThePeerReflexiveOne) {
  World w;
  two_hosts(w);
  w.b.hear(w.a.says());
  w.pass(milliseconds(100));
  w.a.hear(w.b.says());
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.agent->path(0, 1)->remote_type, CandidateType::host);
}

TEST(Flow, NamesAreCountedAndPassedOver) {
  World w;
  two_hosts(w);
  EXPECT_EQ(w.a.trickle(*Candidate::parse("1 1 UDP 9 x.local 5 typ host")).reason(), Reason::mdns_name);
  EXPECT_EQ(w.a.trickle(*Candidate::parse("1 1 UDP 9 example.com 5 typ host")).reason(), Reason::host_name);
  EXPECT_EQ(w.a.troubles.count(Reason::mdns_name), 1u);
  EXPECT_EQ(w.a.troubles.count(Reason::host_name), 1u);
  w.exchange();
  EXPECT_TRUE(w.both(State::completed));
}

TEST(Flow, RoleConflicts) {
  for (const Role role : {Role::controlling, Role::controlled})
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      World w(seed);
      w.a.config.role = w.b.config.role = role;
      two_hosts(w);
      w.exchange();
      ASSERT_TRUE(w.both(State::completed)) << seed;
      EXPECT_NE(w.a.agent->role(), w.b.agent->role());
      EXPECT_EQ(w.a.count(Event::Kind::role) + w.b.count(Event::Kind::role), 1u);
      w.expect_symmetric();
      EXPECT_TRUE(w.can_talk());
    }
}

TEST(Flow, LiteAgainstFull) {
  for (const bool lite_offers : {false, true}) {
    World w;
    Side& lite = lite_offers ? w.a : w.b;
    Side& full = lite_offers ? w.b : w.a;
    lite.config.mode = Mode::lite;
    w.a.config.stun_servers = w.b.config.stun_servers = {stun_server};
    w.a.start();
    w.b.start();
    Nat* nat = w.nat(NatKind::symmetric, "203.0.113.1");
    lite.socket(at("192.0.2.1:5000"));
    full.socket(at("10.0.0.2:6000"), nat);
    w.gather();
    EXPECT_TRUE(lite.says().lite);
    EXPECT_EQ(lite.says().candidates.size(), 1u) << "host candidates only";
    w.exchange();
    EXPECT_EQ(lite.agent->role(), Role::controlled);
    EXPECT_EQ(full.agent->role(), Role::controlling);
    ASSERT_TRUE(w.both(State::completed));
    w.expect_symmetric();
    EXPECT_TRUE(w.can_talk());
    // Whoever is lite sends no checks, but keeps the binding alive.
    size_t indications = 0, requests = 0;
    w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets& bytes) {
      const auto m = stun::Message::parse(bytes);
      if (m && from == at("192.0.2.1:5000")) {
        indications += m->message_class() == stun::Class::indication ? 1 : 0;
        requests += m->message_class() == stun::Class::request ? 1 : 0;
      }
      return true;
    };
    w.pass(seconds(46));
    EXPECT_EQ(indications, 3u);
    EXPECT_EQ(requests, 0u);
    EXPECT_EQ(full.state(), State::completed) << "the lite side gives consent";
  }
}

TEST(Flow, TwoLiteAgentsTakeTheBestPairUnchecked) {
  World w;
  w.a.config.mode = w.b.config.mode = Mode::lite;
  w.a.start();
  w.b.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  w.exchange();
  EXPECT_EQ(w.a.state(), State::completed);
  EXPECT_EQ(w.b.state(), State::completed);
  EXPECT_EQ(w.a.agent->role(), Role::controlling);
  w.expect_symmetric();
  EXPECT_TRUE(w.can_talk());
}

TEST(Flow, NoPathFailsButNotBeforeItsTime) {
  World w;
  two_hosts(w);
  w.net.watch = [](const SocketAddress&, const SocketAddress&, const Octets&) { return false; };
  const Instant begin = w.now.mono;
  w.exchange();
  ASSERT_TRUE(w.both(State::failed, seconds(90)));
  EXPECT_GE(w.now.mono - begin, milliseconds(39'500));
  EXPECT_FALSE(w.a.agent->path(0, 1));
  EXPECT_TRUE(w.a.agent->next_timeout().is_never());
  EXPECT_EQ(w.a.sent, 7u) << "RFC 8489: seven transmissions";
}

TEST(Flow, NoCandidatesAtAll) {
  World w;
  two_hosts(w);
  Description nothing = w.b.says();
  nothing.candidates.clear();
  w.a.hear(nothing);
  w.pass(seconds(39));
  EXPECT_EQ(w.a.state(), State::checking) << "the peer may still reach us (RFC 8863)";
  w.pass(seconds(1));
  EXPECT_EQ(w.a.state(), State::failed);
  EXPECT_EQ(w.a.sent, 0u);
}

TEST(Flow, WithoutEndOfCandidatesFailureWaitsTwiceAsLong) {
  World w;
  two_hosts(w);
  Description open = w.b.says();
  open.candidates.clear();
  open.end_of_candidates = false;
  w.a.hear(open);
  w.pass(seconds(78));
  EXPECT_EQ(w.a.state(), State::checking);
  w.pass(seconds(2));
  EXPECT_EQ(w.a.state(), State::failed);
}

TEST(Flow, SeveralStreamsShareRoleAndPacing) {
  World w;
  w.a.start(1, 3);
  w.b.start(1, 3);
  for (StreamId s = 0; s < 3; ++s) {
    w.a.socket({*IpAddress::parse("192.0.2.1"), uint16_t(5000 + s)}, nullptr, 1, CandidateType::host, s);
    w.b.socket({*IpAddress::parse("192.0.2.2"), uint16_t(6000 + s)}, nullptr, 1, CandidateType::host, s);
  }
  w.gather();
  EXPECT_NE(w.a.says(0).credentials, w.a.says(1).credentials);
  std::vector<Instant> requests;
  w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets& bytes) {
    const auto m = stun::Message::parse(bytes);
    if (m && from.ip == IpAddress::v4(192, 0, 2, 1) && m->message_class() == stun::Class::request)
      requests.push_back(w.now.mono);
    return true;
  };
  for (StreamId s = 0; s < 3; ++s) w.exchange(s);
  ASSERT_TRUE(w.run(seconds(5), [&] {
    return w.a.state(0) == State::completed && w.a.state(1) == State::completed &&
           w.a.state(2) == State::completed && w.b.state(2) == State::completed;
  }));
  for (StreamId s = 0; s < 3; ++s) EXPECT_TRUE(w.can_talk(1, s));
  for (size_t i = 1; i < requests.size(); ++i) EXPECT_GE(requests[i] - requests[i - 1], milliseconds(50));
  EXPECT_EQ(requests.size(), 6u);
  Outbox out;
  w.a.agent->close_stream(w.now, 1, out);
  EXPECT_FALSE(w.a.agent->path(1, 1));
  EXPECT_TRUE(w.a.says(1).credentials.ufrag.empty());
  EXPECT_TRUE(w.can_talk(1, 2));
}

TEST(Flow, TheSlowerPacingOfBothIsKept) {
  World w;
  w.a.config.ta = milliseconds(20);
  w.b.config.ta = milliseconds(200);
  w.a.start();
  w.b.start();
  for (uint16_t i = 0; i < 3; ++i) w.a.socket({IpAddress::v4(192, 0, 2, uint8_t(10 + i)), 5000});
  w.b.socket(at("192.0.2.2:6000"));
  EXPECT_EQ(w.a.says().pacing_ms, 20u);
  w.gather();
  Description far = w.b.says();
  far.candidates[0].address = at("198.51.100.77:1");  // silent
  const Instant begin = w.now.mono;
  w.a.hear(far);
  ASSERT_TRUE(w.run(seconds(2), [&] { return w.a.sent == 3; }));
  EXPECT_EQ(w.now.mono - begin, milliseconds(400));
}

// ---- restarts --------------------------------------------------------------------------------------------

void restart(World& w, Side& s) {
  Outbox out;
  s.agent->restart(w.now, 0, out);
  s.take(out);
}

TEST(Restart, TheOldPairGoesOnUntilTheNewOneIsNominated) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  const auto before = w.a.says().credentials;
  const auto old_path = w.a.agent->path(0, 1);
  // The answerer has a new address.
  w.b.socket(at("192.0.2.22:6000"));
  restart(w, w.a);
  EXPECT_NE(w.a.says().credentials.ufrag, before.ufrag);
  EXPECT_NE(w.a.says().credentials.pwd, before.pwd);
  EXPECT_EQ(w.a.says().candidates.size(), 1u);
  EXPECT_EQ(w.a.agent->path(0, 1), old_path);
  w.pass(seconds(60));
  EXPECT_TRUE(w.can_talk()) << "consent is still asked for, with the old credentials";
  const auto b_before = w.b.says().credentials;
  w.b.hear(w.a.says());
  EXPECT_NE(w.b.says().credentials, b_before) << "the peer's restart is ours";
  w.pass(milliseconds(30));
  EXPECT_TRUE(w.can_talk());
  w.a.hear(w.b.says());
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_TRUE(w.can_talk());
  w.pass(seconds(60));
  EXPECT_EQ(w.a.count(Event::Kind::consent_lost) + w.b.count(Event::Kind::consent_lost), 0u);
  EXPECT_EQ(w.a.agent->role(), Role::controlling) << "roles are not determined anew";
}

TEST(Restart, ARefusedOneIsTakenBack) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  const auto credentials = w.a.says().credentials;
  restart(w, w.a);
  restart(w, w.a);
  w.pass(seconds(20));
  Outbox out;
  w.a.agent->rollback(w.now, 0, out);
  EXPECT_EQ(w.a.says().credentials, credentials);
  EXPECT_EQ(w.a.state(), State::completed);
  w.pass(seconds(60));
  EXPECT_TRUE(w.can_talk());
  EXPECT_EQ(w.a.count(Event::Kind::consent_lost) + w.b.count(Event::Kind::consent_lost), 0u);
}

TEST(Restart, ANewOneThatFailsLeavesTheOldPair) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  restart(w, w.a);
  w.b.hear(w.a.says());
  Description answer = w.b.says();
  answer.credentials.pwd = std::string(22, 'x');  // checks will be refused both ways
  answer.candidates.clear();
  w.a.hear(answer);
  w.net.watch = [&](const SocketAddress&, const SocketAddress&, const Octets& bytes) {
    const auto m = stun::Message::parse(bytes);
    const auto name = m ? m->text(stun::attribute::username) : std::nullopt;
    return !name || name->find(w.a.says().credentials.ufrag) == std::string_view::npos;
  };
  ASSERT_TRUE(
      w.run(seconds(90), [&] { return w.a.state() == State::failed && w.b.state() == State::failed; }));
  EXPECT_TRUE(w.can_talk());
}

TEST(Restart, DisconnectedStreamsComeBack) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  w.a.unplug(0);
  w.pass(seconds(40));
  ASSERT_EQ(w.a.state(), State::disconnected);
  ASSERT_EQ(w.b.state(), State::disconnected);
  w.a.socket(at("192.0.2.111:5000"));
  restart(w, w.a);
  w.b.hear(w.a.says());
  w.a.hear(w.b.says());
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_TRUE(w.can_talk());
  EXPECT_EQ(w.b.agent->path(0, 1)->remote, at("192.0.2.111:5000"));
}

TEST(Restart, ALateCandidateOfTheOldGenerationIsKnown) {
  World w;
  two_hosts(w);
  w.exchange();
  auto c = w.b.says().candidates[0];
  c.extensions = {{"ufrag", "other"}};
  EXPECT_EQ(w.a.trickle(c).reason(), Reason::other_generation);
  c.extensions = {{"ufrag", w.b.says().credentials.ufrag}};
  EXPECT_TRUE(w.a.trickle(c));
}

/// Chromium: a check between its offer of a restart and our answer names our old fragment and its new one.
/// That connection goes on so, and takes no check that names our new one.
struct Stuck {
  World& w;
  Description before, after;  // of ours
  Description theirs;         // after its restart
  SeededRng rng{77};
  std::vector<std::string> asked;  // our checks' names that it took
  SocketAddress place = at("192.0.2.77:7000");

  explicit Stuck(World& world) : w(world) {
    w.net.attach(place, nullptr, [this](const SocketAddress& from, const Octets& bytes) {
      const auto m = stun::Message::parse(bytes);
      if (!m || m->message_class() != stun::Class::request) return;
      const std::string name{m->text(stun::attribute::username).value_or("")};
      asked.push_back(name);
      if (name != theirs.credentials.ufrag + ":" + before.credentials.ufrag)
        return;  // 401, as good as nothing
      if (m->check_integrity(as_bytes(theirs.credentials.pwd)) != stun::Integrity::good) return;
      stun::Writer answer(stun::Class::success, stun::method::binding, m->transaction());
      answer.add_xor_address(stun::attribute::xor_mapped_address, from);
      answer.add_integrity(as_bytes(theirs.credentials.pwd)).add_fingerprint();
      w.net.send(w.now.mono, place, nullptr, from, answer.octets());
    });
  }
  void check() { check(theirs.credentials.ufrag, place); }
  void check(const std::string& fragment, const SocketAddress& from) {
    stun::Writer c(stun::Class::request, stun::method::binding, stun::new_transaction(rng));
    c.add(stun::attribute::username, before.credentials.ufrag + ":" + fragment);
    c.add_u32(stun::attribute::priority, 1'000'000);
    c.add_u64(stun::attribute::ice_controlling, 1);
    c.add(stun::attribute::use_candidate, "");
    c.add_integrity(as_bytes(before.credentials.pwd)).add_fingerprint();
    w.net.send(w.now.mono, from, nullptr, w.b.local(0), c.octets());
  }
};

TEST(Restart, APeerThatGoesOnByOurOldCredentialsIsFollowed) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  w.a.unplug(0);  // its network is gone
  Stuck a(w);
  a.before = w.b.says();
  const std::string former = w.a.says().credentials.ufrag;
  restart(w, w.a);
  a.theirs = w.a.says();
  a.theirs.candidates.clear();
  a.check();  // before its offer
  w.pass(milliseconds(100));
  w.b.hear(a.theirs);
  a.after = w.b.says();
  EXPECT_NE(a.after.credentials, a.before.credentials);
  for (int i = 0; i < 4; ++i) {
    a.check();
    w.pass(milliseconds(500));
  }
  ASSERT_EQ(w.b.state(), State::completed);
  EXPECT_EQ(w.b.agent->path(0, 1)->remote, a.place);
  // But who has not restarted is not let in by what is over for him.
  const SocketAddress stranger = at("192.0.2.78:7000");
  a.check(former, stranger);
  w.pass(milliseconds(500));
  EXPECT_FALSE(w.b.agent->validated(0, stranger));
  EXPECT_EQ(w.b.agent->path(0, 1)->remote, a.place);
  w.b.reboot();
  EXPECT_EQ(w.b.agent->fragments(0).back(), a.before.credentials.ufrag);
  // Consent, too, is asked for in the words that it knows.
  a.asked.clear();
  for (int i = 0; i < 30; ++i) {
    a.check();
    w.pass(milliseconds(2500));
  }
  EXPECT_EQ(w.b.state(), State::completed);
  EXPECT_GE(a.asked.size(), 8u);
  for (const std::string& name : a.asked)
    EXPECT_EQ(name, a.theirs.credentials.ufrag + ":" + a.before.credentials.ufrag);
}

// ---- consent ---------------------------------------------------------------------------------------------

TEST(Consent, IsAskedForEveryFourToSixSeconds) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  std::vector<Instant> asked;
  std::set<stun::TransactionId> transactions;
  w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets& bytes) {
    const auto m = stun::Message::parse(bytes);
    if (m && m->message_class() == stun::Class::request && from == at("192.0.2.1:5000")) {
      asked.push_back(w.now.mono);
      transactions.insert(m->transaction());
    }
    return true;
  };
  w.pass(seconds(600));
  ASSERT_GT(asked.size(), 100u);
  ASSERT_LT(asked.size(), 150u);
  EXPECT_EQ(transactions.size(), asked.size());
  Duration least = seconds(9), most{};
  for (size_t i = 1; i < asked.size(); ++i) {
    least = std::min(least, asked[i] - asked[i - 1]);
    most = std::max(most, asked[i] - asked[i - 1]);
  }
  EXPECT_GE(least, milliseconds(4000));
  EXPECT_LT(least, milliseconds(4300));
  EXPECT_LE(most, milliseconds(6000));
  EXPECT_GT(most, milliseconds(5700));
}

TEST(Consent, ExpiresAfterThirtySeconds) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  w.pass(seconds(100));
  Instant answered = w.now.mono;
  w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets&) {
    return from != at("192.0.2.2:6000");
  };
  ASSERT_TRUE(w.run(seconds(60), [&] { return w.a.state() == State::disconnected; }));
  EXPECT_GE(w.now.mono - answered, seconds(24));
  EXPECT_LE(w.now.mono - answered, seconds(30));
  EXPECT_EQ(w.a.count(Event::Kind::consent_lost), 1u);
  EXPECT_FALSE(w.a.agent->path(0, 1)) << "nothing may be sent there";
  EXPECT_EQ(w.b.state(), State::completed) << "a still answers";
  w.net.watch = nullptr;
  w.pass(seconds(60));
  EXPECT_EQ(w.a.state(), State::disconnected) << "for good";
  EXPECT_FALSE(w.a.agent->path(0, 1));
}

TEST(Consent, SurvivesHeavyLoss) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    World w(seed);
    two_hosts(w);
    w.exchange();
    ASSERT_TRUE(w.both(State::completed));
    w.net.loss = 0.2;
    w.net.most_delay = milliseconds(150);
    w.pass(seconds(3600));
    EXPECT_EQ(w.a.state(), State::completed) << seed;
    EXPECT_EQ(w.b.state(), State::completed) << seed;
  }
}

TEST(Consent, IsRevokedBy403) {
  World w;
  two_hosts(w);
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  const std::string pwd = w.b.says().credentials.pwd;
  for (const bool authentic : {false, true}) {
    w.net.watch = [&](const SocketAddress& from, const SocketAddress& to, const Octets& bytes) {
      const auto m = stun::Message::parse(bytes);
      if (!m || m->message_class() != stun::Class::success || from != at("192.0.2.2:6000")) return true;
      stun::Writer refusal(stun::Class::error, stun::method::binding, m->transaction());
      refusal.add_error(403, "Forbidden")
          .add_integrity(as_bytes(authentic ? pwd : "nonsense"))
          .add_fingerprint();
      w.net.watch = nullptr;
      w.net.send(w.now.mono, from, nullptr, to, refusal.octets());
      return true;
    };
    w.pass(seconds(7));
    EXPECT_EQ(w.a.state(), authentic ? State::disconnected : State::completed);
  }
}

// ---- TCP -------------------------------------------------------------------------------------------------

LocalBase tcp(TcpType type, const char* address) {
  LocalBase base;
  base.transport = Transport::tcp;
  base.tcp_type = type;
  base.address = at(address);
  return base;
}

TEST(Tcp, ActiveMeetsPassive) {
  for (const bool passive_controls : {false, true}) {
    World w;
    Side& active = passive_controls ? w.b : w.a;
    Side& passive = passive_controls ? w.a : w.b;
    w.a.start();
    w.b.start();
    // The network stands for connections: the port a connection is opened from is the active side's own.
    active.socket(tcp(TcpType::active, "192.0.2.1:51000"), nullptr);
    passive.socket(tcp(TcpType::passive, "192.0.2.2:443"), nullptr);
    w.gather();
    EXPECT_EQ(active.says().candidates[0].address.port, 9);
    size_t first_from_passive = 0, n = 0;
    w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets&) {
      ++n;
      if (from == at("192.0.2.2:443") && first_from_passive == 0) first_from_passive = n;
      return true;
    };
    w.exchange();
    ASSERT_TRUE(w.both(State::completed));
    EXPECT_GT(first_from_passive, 1u) << "the passive side opens nothing";
    EXPECT_EQ(active.agent->path(0, 1)->remote, at("192.0.2.2:443"));
    EXPECT_EQ(active.agent->path(0, 1)->transport, Transport::tcp);
    EXPECT_EQ(passive.agent->path(0, 1)->remote, at("192.0.2.1:51000"));
    EXPECT_TRUE(w.can_talk());
    // The connection ends.
    Outbox out;
    active.agent->on_unreachable(w.now, 0, at("192.0.2.2:443"), out);
    EXPECT_EQ(active.state(), State::disconnected);
    ASSERT_EQ(out.events.size(), 2u);
    EXPECT_EQ(out.events[0].kind, Event::Kind::consent_lost);
  }
}

TEST(Tcp, NothingIsSentTwiceOverAReliableTransport) {
  World w;
  w.a.start();
  w.a.socket(tcp(TcpType::active, "192.0.2.1:51000"), nullptr);
  Description d;
  d.credentials = {"peer", std::string(22, 'p')};
  d.candidates = {*Candidate::parse("1 1 TCP 1000 192.0.2.2 443 typ host tcptype passive"),
                  *Candidate::parse("2 1 TCP 1000 192.0.2.3 9 typ host tcptype active"),
                  *Candidate::parse("3 1 TCP 1000 192.0.2.3 443 typ host tcptype so"),
                  *Candidate::parse("4 1 UDP 1000 192.0.2.3 443 typ host")};
  w.a.hear(d);
  w.pass(seconds(20));
  EXPECT_EQ(w.a.sent, 1u);
  EXPECT_EQ(w.a.state(), State::checking);
  Outbox out;
  w.a.agent->on_unreachable(w.now, 0, at("192.0.2.2:443"), out);
  w.pass(seconds(60));
  EXPECT_EQ(w.a.state(), State::failed);
  EXPECT_EQ(w.a.sent, 1u);
}

TEST(Tcp, SimultaneousOpen) {
  World w;
  w.a.start();
  w.b.start();
  w.a.socket(tcp(TcpType::simultaneous_open, "192.0.2.1:5000"), nullptr);
  w.b.socket(tcp(TcpType::simultaneous_open, "192.0.2.2:6000"), nullptr);
  w.gather();
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  w.expect_symmetric();
}

TEST(Tcp, UdpIsPreferred) {
  World w;
  w.a.start();
  w.b.start();
  w.a.socket(tcp(TcpType::active, "192.0.2.1:51000"), nullptr);
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(tcp(TcpType::passive, "192.0.2.2:443"), nullptr);
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  EXPECT_EQ(w.a.agent->path(0, 1)->transport, Transport::udp);
}

}  // namespace
}  // namespace tandem::ice
