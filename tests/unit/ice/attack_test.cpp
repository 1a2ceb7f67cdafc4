// What strangers, and peers who mean no good, can and cannot do.
#include "allocations.h"
#include "world.h"

namespace tandem::ice {
namespace {

using namespace test;
namespace attribute = stun::attribute;

/// A check as a peer that knows the credentials could write it.
struct Forge {
  std::string username, pwd;
  std::optional<uint32_t> priority = 1000;
  uint16_t role = attribute::ice_controlling;
  uint64_t tie_breaker = 1;
  bool use_candidate = false;
  bool integrity = true;
  uint16_t extra = 0;
  std::optional<stun::TransactionId> transaction;

  explicit Forge(const Description& victim, std::string_view us = "mallory")
      : username(victim.credentials.ufrag + ":" + std::string(us)), pwd(victim.credentials.pwd) {}
  Octets octets() {
    static SeededRng rng(99);
    stun::Writer w(stun::Class::request, stun::method::binding,
                   transaction.value_or(stun::new_transaction(rng)));
    if (!username.empty()) w.add(attribute::username, username);
    if (priority) w.add_u32(attribute::priority, *priority);
    if (role != 0) w.add_u64(role, tie_breaker);
    if (use_candidate) w.add(attribute::use_candidate, "");
    if (extra != 0) w.add(extra, "?");
    if (integrity) w.add_integrity(as_bytes(pwd));
    w.add_fingerprint();
    return w.octets();
  }
};

/// An agent that can be written to, and what it answers.
struct Victim {
  explicit Victim(Mode mode = Mode::full, Role role = Role::controlled) : w(1), side(w.a) {
    side.config.mode = mode;
    side.config.role = role;
  }
  void start() {
    side.start();
    side.socket(at("192.0.2.1:5000"));
    side.end_of_local();
  }
  /// The answer to a datagram; nothing when there was none to its source.
  std::optional<stun::Message> send(const Octets& bytes, const char* from = "203.0.113.66:666") {
    out.clear();
    side.agent->on_datagram(w.now, 0, at(from), bytes, out);
    for (const Datagram& d : out.datagrams) {
      const auto m = stun::Message::parse(d.bytes);
      if (d.to == at(from) && m && m->message_class() != stun::Class::request) return *m;
    }
    return std::nullopt;
  }
  uint16_t code(const Octets& bytes, const char* from = "203.0.113.66:666") {
    const auto answer = send(bytes, from);
    if (!answer) return 0;
    const auto error = answer->error();
    return error ? error->code : 200;
  }
  uint64_t count(Reason r) const { return side.troubles.count(r); }

  World w;
  Side& side;
  Outbox out;
};

/// The request the agent sends first, as it went out.
struct Asked {
  Asked() : v(Mode::full, Role::controlling) {
    v.start();
    v.w.net.watch = [this](const SocketAddress&, const SocketAddress&, const Octets& bytes) {
      wire.push_back(bytes);
      return false;
    };
    Description d;
    d.credentials = {"peer", std::string(22, 'p')};
    d.candidates = {*Candidate::parse("1 1 UDP 1 198.51.100.7 7 typ host")};
    v.side.hear(d);
    v.w.pass(milliseconds(10));
  }
  Octets answer(const std::string& pwd, bool with_address = true) {
    const auto request = stun::Message::parse(wire.at(0));
    stun::Writer w(stun::Class::success, stun::method::binding, request->transaction());
    if (with_address) w.add_xor_address(attribute::xor_mapped_address, at("192.0.2.1:5000"));
    w.add_integrity(as_bytes(pwd)).add_fingerprint();
    return w.octets();
  }
  Victim v;
  std::vector<Octets> wire;
};

TEST(Stranger, GetsNoAnswerAndCostsNothing) {
  Victim v;
  v.start();
  Forge no_integrity(v.side.says()), no_name(v.side.says()), wrong_name(v.side.says()),
      wrong_password(v.side.says());
  no_integrity.integrity = false;
  no_name.username.clear();
  wrong_name.username = "somebody:else";
  wrong_password.pwd = "guess";
  const std::vector<Octets> all = {no_integrity.octets(),   no_name.octets(),  wrong_name.octets(),
                                   wrong_password.octets(), Octets(200, 0x80), Octets(20, 0)};
  const auto send_all = [&] {
    for (const Octets& o : all)
      v.side.agent->on_datagram(v.w.now, 0, {IpAddress::v4(203, 0, 113, 66), 666}, o, v.out);
  };
  send_all();  // whatever is made once per thread
  const std::string before = v.side.agent->snapshot(v.w.now);
  const size_t allocations_before = allocations();
  send_all();
  EXPECT_EQ(allocations(), allocations_before);
  EXPECT_TRUE(v.out.datagrams.empty() && v.out.events.empty());
  EXPECT_EQ(v.side.agent->snapshot(v.w.now), before);
  EXPECT_EQ(v.count(Reason::unauthenticated), 4u);
  EXPECT_EQ(v.count(Reason::wrong_credentials), 4u);
  EXPECT_EQ(v.count(Reason::not_stun), 4u);
  EXPECT_FALSE(v.side.agent->validated(0, at("203.0.113.66:666")));
}

TEST(Stranger, IsToldWhyWhenConfiguredAndOnlySoOften) {
  Victim v;
  v.side.config.unauthenticated_answers = 3;
  v.start();
  Forge no_integrity(v.side.says()), wrong_password(v.side.says());
  no_integrity.integrity = false;
  wrong_password.pwd = "guess";
  EXPECT_EQ(v.code(no_integrity.octets()), 400);
  EXPECT_EQ(v.code(wrong_password.octets()), 401);
  EXPECT_EQ(v.code(wrong_password.octets()), 401);
  EXPECT_EQ(v.code(wrong_password.octets()), 0);
  v.w.pass(seconds(1));
  EXPECT_EQ(v.code(wrong_password.octets()), 401);
  const auto answer = v.send(wrong_password.octets());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->check_integrity(as_bytes(v.side.says().credentials.pwd)), stun::Integrity::absent);
}

TEST(Stranger, SendsOtherThingsThanBindings) {
  Victim v;
  v.start();
  const stun::Writer allocate(stun::Class::request, stun::method::allocate, {1});
  EXPECT_FALSE(v.send(allocate.octets()));
  EXPECT_EQ(v.count(Reason::not_binding), 1u);
  const stun::Writer response(stun::Class::success, stun::method::binding, {2});
  EXPECT_FALSE(v.send(response.octets()));
  EXPECT_EQ(v.count(Reason::unmatched_response), 1u);
  v.side.agent->on_datagram(v.w.now, 7, at("203.0.113.66:666"), response.octets(), v.out);
  EXPECT_EQ(v.count(Reason::unknown_base), 1u);
}

TEST(Stranger, NoNameAndNoPasswordAreNobodys) {
  Victim v;
  v.start();
  Forge f(v.side.says());
  for (const char* name : {":mallory", ":", ""}) {
    f.username = name;
    f.pwd.clear();
    EXPECT_EQ(v.code(f.octets()), 0) << name;
  }
  EXPECT_FALSE(v.side.agent->validated(0, at("203.0.113.66:666")));
}

TEST(Peer, AuthenticRequestsWithFaultsAreToldSo) {
  Victim v;
  v.start();
  const Description d = v.side.says();
  Forge unknown(d), no_priority(d), no_role(d), good(d);
  unknown.extra = 0x7001;
  no_priority.priority.reset();
  no_role.role = 0;
  const auto answer = v.send(unknown.octets());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error()->code, 420);
  EXPECT_EQ(*answer->text(attribute::unknown_attributes), std::string_view("\x70\x01", 2));
  EXPECT_EQ(answer->check_integrity(as_bytes(d.credentials.pwd)), stun::Integrity::good);
  EXPECT_TRUE(answer->has_fingerprint());
  EXPECT_EQ(v.code(no_priority.octets()), 400);
  EXPECT_EQ(v.code(no_role.octets()), 400);
  EXPECT_EQ(v.count(Reason::bad_request), 2u);
  EXPECT_EQ(v.count(Reason::unknown_attribute), 1u);
  EXPECT_FALSE(v.side.agent->validated(0, at("203.0.113.66:666")));
  EXPECT_EQ(v.code(good.octets()), 200);
  EXPECT_TRUE(v.side.agent->validated(0, at("203.0.113.66:666")));
  EXPECT_FALSE(v.side.agent->validated(0, at("203.0.113.66:667")));
}

TEST(Peer, RoleConflictsAreDecidedByTheTieBreaker) {
  Victim v;
  v.start();
  Forge low(v.side.says()), high(v.side.says());
  low.role = high.role = attribute::ice_controlled;
  low.tie_breaker = 0;
  high.tie_breaker = UINT64_MAX;
  EXPECT_EQ(v.code(high.octets()), 487);
  EXPECT_EQ(v.side.agent->role(), Role::controlled);
  EXPECT_EQ(v.code(low.octets()), 200);
  EXPECT_EQ(v.side.agent->role(), Role::controlling);
  ASSERT_EQ(v.out.events.size(), 1u);
  EXPECT_EQ(v.out.events[0].kind, Event::Kind::role);
  low.role = high.role = attribute::ice_controlling;
  EXPECT_EQ(v.code(low.octets()), 487);
  EXPECT_EQ(v.code(high.octets()), 200);
  EXPECT_EQ(v.side.agent->role(), Role::controlled);
}

TEST(Peer, CannotMakeUsChangeRolesForEver) {
  Victim v;
  v.start();
  int changes = 0;
  for (int i = 0; i < 100; ++i) {
    const Role before = v.side.agent->role();
    Forge f(v.side.says());
    f.role = before == Role::controlled ? attribute::ice_controlled : attribute::ice_controlling;
    f.tie_breaker = before == Role::controlled ? 0 : UINT64_MAX;
    v.send(f.octets());
    changes += v.side.agent->role() != before ? 1 : 0;
  }
  EXPECT_EQ(changes, 8);
  EXPECT_EQ(v.count(Reason::too_many_roles), 92u);
}

TEST(Peer, AnswersEveryCheckWith487) {
  Asked a;
  a.v.w.net.watch = [&](const SocketAddress& from, const SocketAddress&, const Octets& bytes) {
    if (from != at("192.0.2.1:5000")) return true;
    const auto m = stun::Message::parse(bytes);
    stun::Writer w(stun::Class::error, stun::method::binding, m->transaction());
    w.add_error(487, "Role Conflict").add_integrity(as_bytes(std::string(22, 'p'))).add_fingerprint();
    a.v.w.net.send(a.v.w.now.mono, at("198.51.100.7:7"), nullptr, at("192.0.2.1:5000"), w.octets());
    return false;
  };
  a.v.w.net.attach(at("198.51.100.7:7"), nullptr, [](const SocketAddress&, const Octets&) {});
  a.v.w.pass(seconds(30));
  EXPECT_EQ(a.v.side.count(Event::Kind::role), 8u);
  EXPECT_EQ(a.v.count(Reason::too_many_roles), 1u);
  EXPECT_LE(a.v.side.sent, 12u) << "and the pair has failed";
}

TEST(Peer, ACopyOfACheckTriggersNothingNew) {
  Victim v;
  v.start();
  Description peer;
  peer.credentials = {"peer", std::string(22, 'p')};
  v.side.hear(peer);
  size_t checks = 0;
  v.w.net.watch = [&](const SocketAddress&, const SocketAddress&, const Octets& bytes) {
    const auto m = stun::Message::parse(bytes);
    checks += m->message_class() == stun::Class::request ? 1 : 0;
    return false;
  };
  const auto hear = [&](const Octets& bytes) {
    v.side.receive(0, at("198.51.100.7:7"), bytes);
    v.w.pass(milliseconds(60));
  };
  const Octets check = Forge(v.side.says(), "peer").octets();
  hear(check);
  EXPECT_EQ(checks, 1u);
  hear(check);
  hear(check);
  EXPECT_EQ(checks, 1u);
  hear(Forge(v.side.says(), "peer").octets());
  EXPECT_EQ(checks, 2u) << "another of the peer's is another matter (section 7.3.1.4)";
}

TEST(Peer, AnswersOneCheckWith487AndTheOthersKeepWhatTheyClaimed) {
  Asked a;
  const auto first = stun::Message::parse(a.wire.at(0));
  (void)a.v.side.trickle(*Candidate::parse("2 1 UDP 1 198.51.100.9 9 typ host")).ok();
  a.v.w.pass(milliseconds(100));
  ASSERT_EQ(a.wire.size(), 2u);
  const Octets second = a.wire[1];
  stun::Writer w(stun::Class::error, stun::method::binding, stun::Message::parse(second)->transaction());
  w.add_error(487, "Role Conflict").add_integrity(as_bytes(std::string(22, 'p'))).add_fingerprint();
  a.v.send(w.octets(), "198.51.100.9:9");
  ASSERT_EQ(a.v.side.agent->role(), Role::controlled);
  a.v.w.pass(milliseconds(600));
  // A copy with a new tie-breaker would be a new claim to the old role.
  size_t copies = 0;
  for (const Octets& o : a.wire) copies += o == a.wire[0] ? 1 : 0;
  EXPECT_EQ(copies, 2u);
  EXPECT_TRUE(first->u64(attribute::ice_controlling));
}

TEST(Peer, ALiteAgentStaysControlled) {
  Victim v(Mode::lite);
  v.start();
  Forge f(v.side.says());
  f.role = attribute::ice_controlled;
  f.tie_breaker = 0;
  EXPECT_EQ(v.code(f.octets()), 487);
  EXPECT_EQ(v.side.agent->role(), Role::controlled);
}

TEST(Peer, MakesOnlySoManyCandidates) {
  Victim v;
  v.start();
  const Description d = v.side.says();
  int answered = 0;
  for (int i = 0; i < 1000; ++i)
    answered +=
        v.code(Forge(d).octets(), ("203.0.113.66:" + std::to_string(1000 + i)).c_str()) == 200 ? 1 : 0;
  EXPECT_EQ(answered, 16);
  EXPECT_EQ(v.count(Reason::too_many_reflexive), 984u);
  EXPECT_EQ(v.code(Forge(d).octets(), "203.0.113.66:1003"), 200) << "the known ones go on";
  // And they are checked no more than that.
  Description peer;
  peer.credentials = {"mallory", std::string(22, 'm')};
  v.side.hear(peer);
  v.w.pass(seconds(100));
  EXPECT_EQ(v.side.state(), State::failed);
  EXPECT_LE(v.side.sent, 16u * 7);
}

TEST(Peer, SendsAThousandCandidates) {
  Victim v(Mode::full, Role::controlling);
  for (uint16_t i = 0; i < 4; ++i) {
    if (i == 0) v.side.start();
    v.side.socket({IpAddress::v4(192, 0, 2, static_cast<uint8_t>(1 + i)), 5000});
  }
  Description bomb;
  bomb.credentials = {"mallory", std::string(22, 'm')};
  for (int i = 0; i < 1000; ++i) {
    Candidate c = *Candidate::parse("1 1 UDP 1 198.51.100.1 1 typ host");
    c.foundation = std::to_string(i);
    c.priority = static_cast<uint32_t>(1 + i);
    c.address = {IpAddress::v4(198, 51, static_cast<uint8_t>(i / 250), static_cast<uint8_t>(1 + i % 250)), 9};
    bomb.candidates.push_back(c);
  }
  v.side.hear(bomb);
  EXPECT_EQ(v.count(Reason::too_many_candidates), 1000u - 64);
  EXPECT_EQ(v.count(Reason::too_many_pairs), 64u * 4 - 100);
  std::set<SocketAddress> targets;
  v.w.net.watch = [&](const SocketAddress&, const SocketAddress& to, const Octets&) {
    targets.insert(to);
    return false;
  };
  v.w.pass(seconds(200));
  EXPECT_EQ(v.side.state(), State::failed);
  EXPECT_LE(v.side.sent, 700u) << "a hundred pairs, seven transmissions";
  EXPECT_EQ(targets.size(), 25u);
  EXPECT_TRUE(targets.count({IpAddress::v4(198, 51, 0, 64), 9})) << "the best of those read";
  EXPECT_LT(v.side.agent->snapshot(v.w.now).size(), 20'000u);
}

TEST(Peer, CannotPointUsAtOurselvesOrAtGroups) {
  Victim v;
  v.start();
  for (const char* line : {"1 1 UDP 1 0.0.0.0 9 typ host", "1 1 UDP 1 224.0.0.1 9 typ host",
                           "1 1 UDP 1 255.255.255.255 9 typ host", "1 1 UDP 1 ff02::1 9 typ host",
                           "1 1 UDP 1 :: 9 typ host", "1 1 UDP 1 192.0.2.9 0 typ host"}) {
    EXPECT_EQ(v.side.trickle(*Candidate::parse(line)).reason(), Reason::bad_address) << line;
  }
  // Of the right kind, but paired with nothing here.
  for (const char* line :
       {"1 1 UDP 1 127.0.0.1 9 typ host", "1 1 UDP 1 fe80::1 9 typ host", "1 1 UDP 1 ::1 9 typ host"})
    EXPECT_TRUE(v.side.trickle(*Candidate::parse(line))) << line;
  Description d;
  d.credentials = {"peer", std::string(22, 'p')};
  v.side.hear(d);
  v.w.pass(seconds(50));
  EXPECT_EQ(v.side.sent, 0u);
}

TEST(Peer, MoreStreamsOrBasesThanAllowed) {
  Victim v;
  v.start();
  for (size_t i = 1; i < 16; ++i) EXPECT_TRUE(v.side.agent->add_stream(1));
  EXPECT_EQ(v.side.agent->add_stream(1).reason(), Reason::too_many_streams);
  EXPECT_EQ(v.side.agent->add_stream(3).reason(), Reason::bad_component);
  LocalBase base;
  for (uint16_t i = 1; i < 32; ++i) {
    base.address = {IpAddress::v4(192, 0, 2, 1), static_cast<uint16_t>(6000 + i)};
    EXPECT_TRUE(v.side.agent->add_local(v.w.now, base, v.out));
  }
  EXPECT_EQ(v.side.agent->add_local(v.w.now, base, v.out).reason(), Reason::too_many_candidates);
  base.stream = 99;
  EXPECT_EQ(v.side.agent->add_local(v.w.now, base, v.out).reason(), Reason::unknown_stream);
}

// ---- answers ---------------------------------------------------------------------------------------------

TEST(Answer, MustBeAuthentic) {
  Asked a;
  a.v.send(a.answer("guess"), "198.51.100.7:7");
  EXPECT_EQ(a.v.count(Reason::bad_response), 1u);
  EXPECT_EQ(a.v.side.state(), State::checking);
  a.v.send(a.answer(std::string(22, 'p')), "198.51.100.7:7");
  EXPECT_EQ(a.v.side.state(), State::connected);
  a.v.send(a.answer(std::string(22, 'p')), "198.51.100.7:7");
  EXPECT_EQ(a.v.count(Reason::unmatched_response), 1u) << "an answer counts once";
}

TEST(Answer, FromElsewhereFailsThePair) {
  Asked a;
  a.v.send(a.answer(std::string(22, 'p')), "198.51.100.8:7");
  EXPECT_EQ(a.v.count(Reason::asymmetric_response), 1u);
  a.v.w.pass(seconds(20));
  EXPECT_EQ(a.v.side.state(), State::checking);
  EXPECT_EQ(a.wire.size(), 1u) << "not asked again";
}

TEST(Answer, NeedsAnAddress) {
  Asked a;
  a.v.send(a.answer(std::string(22, 'p'), false), "198.51.100.7:7");
  EXPECT_EQ(a.v.count(Reason::bad_response), 1u);
  EXPECT_EQ(a.v.side.state(), State::checking);
}

TEST(Answer, AStunServerIsBelievedOnlyAsOne) {
  Victim v;
  v.side.config.stun_servers = {at("198.51.100.1:3478")};
  Octets request;
  v.w.net.watch = [&](const SocketAddress&, const SocketAddress&, const Octets& bytes) {
    request = bytes;
    return false;
  };
  v.start();
  const auto m = stun::Message::parse(request);
  ASSERT_TRUE(m);
  stun::Writer w(stun::Class::success, stun::method::binding, m->transaction());
  w.add_xor_address(attribute::xor_mapped_address, at("203.0.113.66:666"));
  v.send(w.octets(), "198.51.100.2:3478");
  EXPECT_EQ(v.count(Reason::unmatched_response), 1u);
  EXPECT_EQ(v.side.says().candidates.size(), 1u);
  v.send(w.octets(), "198.51.100.1:3478");
  EXPECT_EQ(v.side.says().candidates.size(), 2u);
}

// ---- nominations and replays -----------------------------------------------------------------------------

TEST(Replay, ANominationFromElsewhereMovesNothing) {
  for (const Mode mode : {Mode::lite, Mode::full}) {
    Victim v(mode);
    v.start();
    Description peer;
    peer.credentials = {"peer", std::string(22, 'p')};
    peer.options = {"ice2"};
    v.side.hear(peer);
    Forge f(v.side.says(), "peer");
    f.use_candidate = true;
    const Octets nomination = f.octets();
    EXPECT_EQ(v.code(nomination, "198.51.100.7:7"), 200);
    EXPECT_EQ(v.code(nomination, "198.51.100.7:7"), 200) << "a retransmission is answered";
    EXPECT_EQ(v.code(nomination, "203.0.113.66:666"), 0);
    EXPECT_EQ(v.count(Reason::replayed), 1u);
    EXPECT_FALSE(v.side.agent->validated(0, at("203.0.113.66:666")));
    if (mode == Mode::full) continue;
    EXPECT_EQ(v.side.state(), State::completed);
    EXPECT_EQ(v.side.agent->path(0, 1)->remote, at("198.51.100.7:7"));
  }
}

TEST(Nomination, OfALitePeerThatChangesItsMind) {
  // With RFC 8445 the last word counts, with RFC 5245's aggressive nomination the highest priority.
  for (const bool ice2 : {true, false}) {
    Victim v(Mode::lite);
    v.start();
    Description peer;
    peer.credentials = {"peer", std::string(22, 'p')};
    if (ice2) peer.options = {"ice2"};
    v.side.hear(peer);
    const auto nominate = [&](uint32_t priority, const char* from) {
      Forge f(v.side.says(), "peer");
      f.use_candidate = true;
      f.priority = priority;
      EXPECT_EQ(v.code(f.octets(), from), 200);
    };
    nominate(1000, "198.51.100.7:7");
    nominate(900, "198.51.100.8:8");
    EXPECT_EQ(v.side.agent->path(0, 1)->remote, at(ice2 ? "198.51.100.8:8" : "198.51.100.7:7"));
    nominate(1100, "198.51.100.9:9");
    EXPECT_EQ(v.side.agent->path(0, 1)->remote, at("198.51.100.9:9"));
  }
}

/// A peer of RFC 5245 that controls us and answers what it is asked, but where it is `gone`.
struct Aggressive {
  Aggressive() {
    v.start();
    Description peer;
    peer.credentials = {"peer", std::string(22, 'p')};
    v.side.hear(peer);
    v.w.net.watch = [this](const SocketAddress& from, const SocketAddress& to, const Octets& bytes) {
      const auto m = stun::Message::parse(bytes);
      if (from != at("192.0.2.1:5000") || m->message_class() != stun::Class::request) return false;
      checked.push_back(to);
      if (to == gone) return false;
      stun::Writer w(stun::Class::success, stun::method::binding, m->transaction());
      w.add_xor_address(attribute::xor_mapped_address, from)
          .add_integrity(as_bytes(std::string(22, 'p')))
          .add_fingerprint();
      v.side.receive(0, to, w.octets());
      return false;
    };
  }
  void nominate(uint32_t priority, const char* from) {
    Forge f(v.side.says(), "peer");
    f.use_candidate = true;
    f.priority = priority;
    v.side.receive(0, at(from), f.octets());
    v.w.pass(milliseconds(120));
  }
  SocketAddress path() { return v.side.agent->path(0, 1)->remote; }

  Victim v;
  SocketAddress gone;
  std::vector<SocketAddress> checked;
};

TEST(Nomination, OfAnAggressivePeerIsCheckedOnlyWhenItIsBetter) {
  Aggressive a;
  a.nominate(1000, "198.51.100.7:7");
  EXPECT_EQ(a.v.side.state(), State::completed);
  a.nominate(900, "198.51.100.8:8");
  EXPECT_EQ(a.checked, (std::vector{at("198.51.100.7:7"), at("198.51.100.7:7")})) << "is it still there?";
  a.nominate(1100, "198.51.100.9:9");
  EXPECT_EQ(a.checked.size(), 3u);
  EXPECT_EQ(a.path(), at("198.51.100.9:9"));
  EXPECT_EQ(a.v.side.count(Event::Kind::selected), 2u);
}

TEST(Nomination, OfALesserPairCountsOnceTheBetterIsGone) {
  Aggressive a;
  a.nominate(1000, "198.51.100.7:7");
  for (int i = 0; i < 20; ++i) a.nominate(900, "198.51.100.8:8");
  EXPECT_EQ(a.path(), at("198.51.100.7:7")) << "it answers whenever it is asked";
  a.gone = at("198.51.100.7:7");
  const Instant left = a.v.w.now.mono;
  while (a.path() != at("198.51.100.8:8") && a.v.w.now.mono < left + seconds(10))
    a.nominate(900, "198.51.100.8:8");
  EXPECT_EQ(a.path(), at("198.51.100.8:8"));
  EXPECT_LE(a.v.w.now.mono - left, seconds(2));
  EXPECT_EQ(a.v.side.state(), State::completed);
  EXPECT_EQ(a.v.side.count(Event::Kind::consent_lost), 0u);
}

TEST(Nomination, IsTheControllingSidesOnly) {
  Asked a;  // we control
  Forge f(a.v.side.says(), "peer");
  f.role = attribute::ice_controlled;
  f.use_candidate = true;
  EXPECT_EQ(a.v.code(f.octets(), "198.51.100.7:7"), 200);
  a.v.send(a.answer(std::string(22, 'p')), "198.51.100.7:7");
  EXPECT_EQ(a.v.side.state(), State::connected);
  EXPECT_EQ(a.v.side.count(Event::Kind::selected), 0u);
}

TEST(Flood, AuthenticChecksOfACompletedStreamAreAnsweredAndNoMore) {
  World w;
  w.a.start();
  w.b.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  const Description d = w.b.says();
  Outbox out;
  for (int i = 0; i < 1000; ++i) {
    const SocketAddress from{IpAddress::v4(203, 0, 113, 66), static_cast<uint16_t>(1000 + i % 10)};
    w.b.agent->on_datagram(w.now, 0, from, Forge(d).octets(), out);
  }
  EXPECT_EQ(out.datagrams.size(), 1000u);
  for (const Datagram& sent : out.datagrams) {
    const auto m = stun::Message::parse(sent.bytes);
    ASSERT_EQ(m->message_class(), stun::Class::success);
  }
}

TEST(Flood, OldCredentialsAreNothingOnceTheRestartIsThrough) {
  World w;
  w.a.start();
  w.b.start();
  w.a.socket(at("192.0.2.1:5000"));
  w.b.socket(at("192.0.2.2:6000"));
  w.gather();
  w.exchange();
  ASSERT_TRUE(w.both(State::completed));
  const Description old = w.b.says();
  Outbox out;
  w.a.agent->restart(w.now, 0, out);
  w.b.hear(w.a.says());
  w.b.agent->on_datagram(w.now, 0, at("192.0.2.1:5000"), Forge(old).octets(), out);
  EXPECT_EQ(w.b.troubles.count(Reason::wrong_credentials), 0u) << "the old pair still runs";
  w.a.hear(w.b.says());
  ASSERT_TRUE(w.both(State::completed));
  w.b.agent->on_datagram(w.now, 0, at("192.0.2.1:5000"), Forge(old).octets(), out);
  EXPECT_EQ(w.b.troubles.count(Reason::wrong_credentials), 1u);
}

}  // namespace
}  // namespace tandem::ice
