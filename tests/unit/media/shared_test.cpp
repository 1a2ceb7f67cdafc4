// The port that legs share: whose a datagram is, who gets nothing, connections, and what a restore finds.
#include "ice/glimpse.h"
#include "media/shared.h"
#include "stun/message.h"
#include "unit/media/ice_leg.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t shared_number = 50'000;

class SharedLeg : public IceLeg {
 protected:
  SharedLeg() { w.ports.shared_number = shared_number; }

  /// A leg that is connected from `from`, with a telephone of its own.
  struct Connected {
    std::unique_ptr<Peer> peer = std::make_unique<Peer>(ice::Role::controlling);
    EndpointId leg, phone;
    uint16_t phone_port = 0;
    SocketAddress phone_at;
    Voice voice, answer;
  };
  Connected connected(const std::string& from, const std::string& phone_at, uint32_t ssrc, bool tcp = false) {
    Connected c;
    c.leg = w.engine->open(policy(Ice::accepted)).value();
    c.phone = w.engine->open({}).value();
    (void)c.peer->agent->add_stream(1).value();
    c.peer->base(0, 1, from, w.now, tcp);
    c.peer->agent->end_of_local(w.now, c.peer->out);
    const auto text = parsed(c.peer->sdp(tcp ? "0.0.0.0:9" : from));
    EXPECT_TRUE(w.engine->set_remote(w.now, c.leg, text, SdpRole::offer).ok());
    const auto told = w.engine->present(w.now, c.phone, text, SdpRole::offer, c.leg).value();
    const auto answer = parsed(phone_sdp(phone_at, "0 101"));
    EXPECT_TRUE(w.engine->set_remote(w.now, c.phone, answer, SdpRole::answer).ok());
    told_a = w.engine->present(w.now, c.leg, answer, SdpRole::answer, c.phone).value();
    EXPECT_TRUE(w.engine->join(w.now, c.leg, c.phone).ok());
    EXPECT_EQ(w.port_of(told_a), shared_number);
    c.phone_port = w.port_of(told);
    c.phone_at = at(phone_at);
    c.peer->hear_of(told_a, w.now);
    c.voice = {at(from), ssrc};
    c.answer = {c.phone_at, ssrc + 1, 30'000};
    carry(*c.peer);
    EXPECT_EQ(c.peer->agent->state(0), ice::State::completed);
    return c;
  }
  /// To what the leg was offered last, as a browser: with ICE, multiplexed.
  void answers(Peer& a) {
    (void)a.agent->add_stream(1).value();
    a.base(0, 1, "203.0.113.9:6000", w.now);
    a.agent->end_of_local(w.now, a.out);
    a.hear_of(told_a, w.now);
    answer_of_a(a.sdp("203.0.113.9:6000", "a=rtcp-mux\r\na=mid:0\r\n"));
    carry(a);
  }
  std::vector<Sent> receive_as(const SocketAddress& source, uint16_t to, std::vector<uint8_t> bytes,
                               bool connection) {
    w.take_sent();
    w.receive(source, to, std::move(bytes), connection);
    std::vector<Sent> out;
    for (const Sent& s : w.take_sent())
      if (!is_check(s)) out.push_back(s);
    return out;
  }
  void both_ways(Connected& c, bool connection = false) {
    const auto to_phone = receive_as(c.voice.from, shared_number, c.voice.packet(), connection);
    ASSERT_EQ(to_phone.size(), 1u);
    EXPECT_EQ(to_phone[0].to, c.phone_at);
    EXPECT_EQ(to_phone[0].ssrc(), c.voice.ssrc);
    const auto to_peer = receive_as(c.phone_at, c.phone_port, c.answer.packet(), false);
    ASSERT_EQ(to_peer.size(), 1u);
    EXPECT_EQ(to_peer[0].to, c.voice.from);
    EXPECT_EQ(to_peer[0].from, shared_number);
    EXPECT_EQ(to_peer[0].connection, connection);
  }
  uint64_t strangers() { return w.counters.counter("media_packets_total", "", "fate=\"stranger\"").value(); }
};

std::vector<uint8_t> request_for(const std::string& fragment, const std::string& password) {
  SeededRng rng(99);
  stun::Writer m(stun::Class::request, stun::method::binding, stun::new_transaction(rng));
  m.add(stun::attribute::username, fragment + ":theirs");
  m.add_u32(stun::attribute::priority, 1);
  m.add_u64(stun::attribute::ice_controlling, 1);
  m.add_integrity(as_bytes(password)).add_fingerprint();
  return m.octets();
}

TEST_F(SharedLeg, LegsAreToldApartOnOnePort) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  EXPECT_THAT(told_a, HasSubstr(" UDP "));
  EXPECT_THAT(told_a, HasSubstr("tcptype passive"));
  EXPECT_THAT(told_a, Not(HasSubstr(" 2 UDP ")));
  auto b = connected("203.0.113.9:40001", "198.51.100.3:5000", 0xB0);
  auto c = connected("203.0.113.10:40000", "198.51.100.4:5000", 0xC0);
  for (int i = 0; i < 3; ++i) {
    both_ways(a);
    both_ways(b);
    both_ways(c);
  }
  EXPECT_EQ(w.counters.total("media_shared_legs"), 3u);
  w.engine->close(w.now, b.leg);
  both_ways(a);
  both_ways(c);
  EXPECT_TRUE(receive_as(b.voice.from, shared_number, b.voice.packet(), false).empty());
  for (const EndpointId id : {a.leg, a.phone, b.phone, c.leg, c.phone}) w.engine->close(w.now, id);
  EXPECT_EQ(w.ports.open(), 0u);
  EXPECT_EQ(w.ports.wrong_closes, 0u);
  EXPECT_EQ(w.counters.total("media_shared_legs"), 0u);
}

TEST_F(SharedLeg, StrangersGetNothing) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  const std::string fragment(*parsed(told_a).attribute(0, "ice-ufrag"));
  const SocketAddress stranger = at("203.0.113.66:1000");
  Voice noise{stranger, 0xDD};
  std::vector<uint8_t> hello(20, 0);
  hello[0] = 22;
  const uint64_t before = strangers();
  w.take_sent();
  w.receive(stranger, shared_number, noise.packet());
  w.receive(stranger, shared_number, hello);
  w.receive(stranger, shared_number, {});
  w.receive(stranger, shared_number, {0, 1});
  w.receive(stranger, shared_number, request_for("nobody", "a password of twenty-two"));
  w.receive(stranger, shared_number, request_for(fragment, "not the password of this one"));
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(strangers() - before, 6u);
  both_ways(a);
}

TEST_F(SharedLeg, WhoMultiplexesNotOrHasNoIceHasPortsOfItsOwn) {
  open(policy(Ice::accepted));
  offer(phone_sdp("203.0.113.9:6000", "0 101", "a=rtcp-mux\r\n"));
  EXPECT_NE(port_a, shared_number);
  Peer p(ice::Role::controlling);
  open(policy(Ice::accepted));
  (void)p.agent->add_stream(2).value();
  p.base(0, 1, "203.0.113.9:6000", w.now);
  p.base(0, 2, "203.0.113.9:6001", w.now);
  p.agent->end_of_local(w.now, p.out);
  offer(p.sdp("203.0.113.9:6000", ""));
  EXPECT_NE(port_a, shared_number);
}

TEST_F(SharedLeg, ALegThatGivesUpIceMovesToPortsOfItsOwn) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  leg_a = a.leg, leg_b = a.phone;
  offer(phone_sdp("203.0.113.9:6000", "0 101"));
  EXPECT_NE(port_a, shared_number);
  EXPECT_THAT(told_a, Not(HasSubstr("candidate")));
  talk(at("203.0.113.9:6000"));
  EXPECT_EQ(w.counters.total("media_shared_legs"), 0u);
}

TEST_F(SharedLeg, AnAddressIsItsLegsUntilThatIsSilent) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  Connected b;
  b.leg = w.engine->open(policy(Ice::accepted)).value();
  (void)b.peer->agent->add_stream(1).value();
  b.peer->base(0, 1, "203.0.113.9:40000", w.now);
  b.peer->agent->end_of_local(w.now, b.peer->out);
  ASSERT_TRUE(
      w.engine->set_remote(w.now, b.leg, parsed(b.peer->sdp("203.0.113.9:40000")), SdpRole::offer).ok());
  const auto told = w.engine->answer(w.now, b.leg).value();
  const auto check = request_for(std::string(*parsed(told).attribute(0, "ice-ufrag")),
                                 std::string(*parsed(told).attribute(0, "ice-pwd")));
  const auto of_a = request_for(std::string(*parsed(told_a).attribute(0, "ice-ufrag")),
                                std::string(*parsed(told_a).attribute(0, "ice-pwd")));
  const auto taken = [&] { return w.counters.total("media_shared_taken_total"); };
  w.receive(a.voice.from, shared_number, of_a);
  w.receive(a.voice.from, shared_number, check);
  EXPECT_EQ(taken(), 1u);
  both_ways(a);
  // Its page was loaded anew: nothing more comes of the first. What anybody can write keeps nothing.
  a.peer->deaf = true;
  w.pass(SharedPorts::claim_rest + milliseconds(1));
  both_ways(a);
  w.receive(a.voice.from, shared_number, check);
  EXPECT_EQ(taken(), 1u);
  EXPECT_TRUE(receive_as(a.voice.from, shared_number, a.voice.packet(), false).empty());
  // It was there all the same, and somebody wrote in its name: it has its address back with its next check,
  // and the other one does not.
  w.receive(a.voice.from, shared_number, of_a);
  EXPECT_EQ(taken(), 1u);
  both_ways(a);
  w.receive(a.voice.from, shared_number, check);
  EXPECT_EQ(taken(), 2u);
  both_ways(a);
}

TEST_F(SharedLeg, AConnectionCarriesIt) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0, true);
  EXPECT_TRUE(w.ports.kept.contains(a.voice.from));
  for (int i = 0; i < 3; ++i) both_ways(a, true);
  // The same address over UDP is somebody else.
  EXPECT_TRUE(receive_as(a.voice.from, shared_number, a.voice.packet(), false).empty());
  w.events();
  w.receive(a.voice.from, shared_number, {}, true);
  EXPECT_EQ(w.count(MediaEvent::Kind::restart_due), 1u);
  EXPECT_TRUE(receive_as(a.phone_at, a.phone_port, a.answer.packet(), false).empty());
}

TEST_F(SharedLeg, ConnectionsOfStrangersEnd) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  const SocketAddress stranger = at("203.0.113.66:1000");
  Voice noise{stranger, 0xDD};
  w.take_sent();
  w.receive(stranger, shared_number, noise.packet(), true);
  w.receive(stranger, shared_number, request_for("nobody", "a password of twenty-two"), true);
  w.receive(stranger, shared_number, {}, true);  // it has ended by itself: nothing to do
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(w.ports.ended.size(), 3u);
  EXPECT_TRUE(w.ports.kept.empty());
}

TEST_F(SharedLeg, AClosedLegEndsItsConnections) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0, true);
  w.engine->close(w.now, a.leg);
  EXPECT_TRUE(w.ports.kept.empty());
  ASSERT_EQ(w.ports.ended.size(), 1u);
  EXPECT_EQ(w.ports.ended[0], a.voice.from);
}

TEST_F(SharedLeg, ARestoredLegGoesOnAtTheSameNumber) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  const EndpointId ids[] = {a.leg, a.phone};
  const std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  w.events();
  both_ways(a);  // before any check
  carry(*a.peer, seconds(40));
  EXPECT_EQ(w.count(MediaEvent::Kind::unreachable), 0u);
  both_ways(a);
}

TEST_F(SharedLeg, ARestoredLegAtAnotherNumberRestarts) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  const EndpointId ids[] = {a.leg, a.phone};
  const std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  w.ports.shared_number = 51'000;
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  leg_a = (*back)[0], leg_b = (*back)[1];
  EXPECT_EQ(w.count(MediaEvent::Kind::restart_due), 1u);
  const auto again = w.engine->restart(w.now, leg_a);
  ASSERT_TRUE(again.ok()) << to_string(again.reason());
  EXPECT_EQ(w.port_of(*again), 51'000);
  EXPECT_THAT(*again, HasSubstr(" 51000 typ host"));
  EXPECT_THAT(*again, Not(HasSubstr(" 50000 ")));
  a.peer->hear_of(*again, w.now);
  ASSERT_TRUE(
      w.engine->set_remote(w.now, leg_a, parsed(a.peer->sdp("203.0.113.9:40000")), SdpRole::answer).ok());
  carry(*a.peer, seconds(4));
  const auto to_phone = receive_as(a.voice.from, 51'000, a.voice.packet(), false);
  ASSERT_EQ(to_phone.size(), 1u);
  const auto to_peer = receive_as(a.phone_at, a.phone_port, a.answer.packet(), false);
  ASSERT_EQ(to_peer.size(), 1u);
  EXPECT_EQ(to_peer[0].to, a.voice.from);
}

TEST_F(SharedLeg, ARestoredLegFindsNoSharedPort) {
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  const EndpointId ids[] = {a.leg, a.phone};
  const std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  w.ports.shared_number = 0;
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok()) << to_string(back.reason());
  EXPECT_EQ(w.count(MediaEvent::Kind::restart_due), 1u);
  const auto again = w.engine->restart(w.now, (*back)[0]);
  ASSERT_TRUE(again.ok());
  EXPECT_THAT(*again, Not(HasSubstr("tcptype")));
  EXPECT_THAT(*again, HasSubstr(" " + std::to_string(w.port_of(*again)) + " typ host"));
}

TEST_F(SharedLeg, BothFamiliesAreTold) {
  w.ports.two_families = true;
  auto a = connected("203.0.113.9:40000", "198.51.100.2:5000", 0xA0);
  const auto d = parsed(told_a);
  std::vector<ice::Candidate> said;
  for (const auto value : d.attributes(0, "candidate")) said.push_back(ice::Candidate::parse(value).value());
  ASSERT_EQ(said.size(), 4u);
  EXPECT_TRUE(said[0].address.ip.is_v6());
  EXPECT_TRUE(said[1].address.ip.is_v4());
  EXPECT_GT(said[0].priority, said[1].priority);
  EXPECT_EQ(d.connection(sdp::Description::session), w.ports.v4());  // as the leg's SIP
  both_ways(a);
  auto b = connected("[2001:db8::9]:40000", "198.51.100.3:5000", 0xB0);
  both_ways(b);
}

// ---- offers to WebRTC legs ----

EndpointConfig browser() {
  EndpointConfig c;
  c.ice = Ice::offered;
  c.webrtc = true;
  return c;
}

TEST_F(SharedLeg, ABrowserIsOfferedItAndNothingElse) {
  open(browser());
  offer_to_a();
  EXPECT_EQ(port_a, shared_number);
  EXPECT_THAT(told_a, HasSubstr("a=group:BUNDLE 0"));
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-mux\r\n"));
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-mux-only"));
  EXPECT_THAT(told_a, Not(HasSubstr(" 2 UDP ")));
  Peer a(ice::Role::controlled);
  answers(a);
  talk(at("203.0.113.9:6000"));
}

/// A gateway tries T.38 in mid-call, in the place of the sound or beside it. No browser takes it, and the
/// sound goes on.
TEST_F(SharedLeg, AFaxIsNotOfferedToABrowser) {
  open(browser());
  offer_to_a();
  Peer a(ice::Role::controlled);
  answers(a);
  const std::string image = "m=image 5002 udptl t38\r\n";
  const std::string sound = phone_sdp("198.51.100.2:5000", "0 101");
  for (const std::string& fax : {sound.substr(0, sound.find("m=audio")) + image, sound + image}) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(fax), SdpRole::offer).ok());
    const auto told = w.engine->present(w.now, leg_a, parsed(fax), SdpRole::offer, leg_b);
    ASSERT_FALSE(told.ok()) << *told;
    EXPECT_EQ(told.reason(), Reason::not_connectable);
    w.engine->rollback(w.now, leg_b);
    carry(a);
    talk(at("203.0.113.9:6000"));
  }
}

TEST_F(SharedLeg, WhoAnswersWithoutIceOrMultiplexingCannotStay) {
  for (const char* more : {"", "a=rtcp-mux\r\n"}) {
    open(browser());
    offer_to_a();
    const auto set = w.engine->set_remote(w.now, leg_a, parsed(phone_sdp("203.0.113.9:6000", "0 101", more)),
                                          SdpRole::answer);
    ASSERT_FALSE(set.ok());
    EXPECT_EQ(set.reason(), Reason::not_connectable);
  }
}

}  // namespace
}  // namespace tandem::media
