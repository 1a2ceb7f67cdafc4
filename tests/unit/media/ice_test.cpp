// ICE at a leg: who is connected how, who is believed, and what is left of it after a restore.
#include "unit/media/ice_leg.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(IceLeg, AnOfferIsAnsweredAndTheOtherLegHearsNothingOfIt) {
  Peer a(ice::Role::controlling);
  connect(a);
  for (const char* name : {"ice-", "candidate", "rtcp-mux-only"}) EXPECT_THAT(told_b, Not(HasSubstr(name)));
  EXPECT_THAT(told_a, HasSubstr("a=ice-ufrag:"));
  EXPECT_THAT(told_a, HasSubstr("a=ice-pwd:"));
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-mux"));
  EXPECT_THAT(told_a, HasSubstr(" 192.0.2.100 " + std::to_string(port_a) + " typ host"));
  EXPECT_THAT(told_a, Not(HasSubstr("ice-lite")));
  EXPECT_EQ(a.agent->state(0), ice::State::completed);
  EXPECT_EQ(w.counters.total("media_ice_completed_total"), 1u);
  talk(*a.mapped);
}

TEST_F(IceLeg, BothFamiliesOfAPairAreConnected) {
  w.ports.two_families = true;
  Peer a(ice::Role::controlling);
  open(policy(Ice::accepted));
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "[2001:db8::9]:6000", w.now);
  a.agent->end_of_local(w.now, a.out);
  offer(a.sdp("[2001:db8::9]:6000"));
  EXPECT_THAT(told_a, HasSubstr(" 2001:db8::100 " + std::to_string(port_a) + " typ host"));
  EXPECT_THAT(told_a, HasSubstr(" 192.0.2.100 " + std::to_string(port_a) + " typ host"));
  a.hear_of(told_a, w.now);
  carry(a);
  talk(at("[2001:db8::9]:6000"));
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  leg_a = (*back)[0], leg_b = (*back)[1];
  talk(at("[2001:db8::9]:6000"));
  carry(a, seconds(40));
  EXPECT_EQ(w.count(MediaEvent::Kind::unreachable), 0u);
}

TEST_F(IceLeg, LiteAnswersChecksAndMakesNone) {
  Peer a(ice::Role::controlling);
  connect(a, policy(Ice::accepted, true));
  EXPECT_THAT(told_a, HasSubstr("a=ice-lite"));
  EXPECT_EQ(a.agent->state(0), ice::State::completed);
  talk(*a.mapped);
}

TEST_F(IceLeg, APeerThatIsLiteIsChecked) {
  Peer a(ice::Role::controlled, ice::Mode::lite);
  open(policy(Ice::accepted));
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "203.0.113.9:6000", w.now);
  a.agent->end_of_local(w.now, a.out);
  offer(a.sdp("203.0.113.9:6000"));
  a.hear_of(told_a, w.now);
  carry(a);
  EXPECT_EQ(a.agent->state(0), ice::State::completed);
  talk(at("203.0.113.9:6000"));
}

TEST_F(IceLeg, NothingGoesAnywhereBeforeACheckAndNobodyElseIsBelieved) {
  Peer a(ice::Role::controlling);
  a.deaf = true;
  connect(a);
  media.clear();
  EXPECT_TRUE(receive(at_b, port_b, voice_b.packet()).empty());
  // Not even who sends from the address the description names: a check has to come from there.
  Voice stranger{at("10.0.0.7:6000"), 0xC1C1C1C1};
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(receive(stranger.from, port_a, stranger.packet()).empty());
  Peer b(ice::Role::controlling);
  connect(b);
  stranger.from = at("203.0.113.10:40000");
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(receive(stranger.from, port_a, stranger.packet()).empty());
  talk(*b.mapped);
}

TEST_F(IceLeg, RemovedIsRemoved) {
  Peer a(ice::Role::controlling);
  open(policy(Ice::removed));
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "203.0.113.9:6000", w.now);
  offer(a.sdp("203.0.113.9:6000"));
  EXPECT_THAT(told_a, Not(HasSubstr("ice-")));
  EXPECT_THAT(told_a, Not(HasSubstr("candidate")));
  talk(at("203.0.113.9:6000"));
}

TEST_F(IceLeg, WhoseAddressWasRewrittenIsAnsweredWithoutIce) {
  Peer a(ice::Role::controlling);
  open(policy(Ice::accepted));
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "10.0.0.7:6000", w.now);
  offer(a.sdp("203.0.113.9:7000"));
  EXPECT_THAT(told_a, HasSubstr("a=ice-mismatch"));
  EXPECT_THAT(told_a, Not(HasSubstr("ice-ufrag")));
  EXPECT_EQ(w.counters.total("media_ice_mismatches_total"), 1u);
  talk(at("203.0.113.9:7000"));
}

TEST_F(IceLeg, WeOfferItAndControl) {
  open(policy(Ice::offered));
  offer_to_a();
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-mux"));
  EXPECT_THAT(told_a, HasSubstr(" 2 UDP "));  // the answer may leave multiplexing out
  Peer a(ice::Role::controlled);
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "203.0.113.9:6000", w.now);
  a.agent->end_of_local(w.now, a.out);
  a.hear_of(told_a, w.now);
  answer_of_a(a.sdp("203.0.113.9:6000"));
  carry(a);
  EXPECT_EQ(a.agent->state(0), ice::State::completed);
  EXPECT_EQ(a.agent->role(), ice::Role::controlled);
  talk(at("203.0.113.9:6000"));
}

TEST_F(IceLeg, WithoutMultiplexingBothPortsAreConnected) {
  open(policy(Ice::offered));
  offer_to_a();
  Peer a(ice::Role::controlled);
  (void)a.agent->add_stream(2).value();
  a.base(0, 1, "203.0.113.9:6000", w.now);
  a.base(0, 2, "203.0.113.9:6005", w.now);
  a.agent->end_of_local(w.now, a.out);
  a.hear_of(told_a, w.now);
  answer_of_a(a.sdp("203.0.113.9:6000", "a=rtcp:6005\r\n"));
  carry(a, seconds(4));
  EXPECT_EQ(a.agent->state(0), ice::State::completed);
  talk(at("203.0.113.9:6000"));
  std::vector<uint8_t> report(28);
  report[0] = 0x80, report[1] = 200, report[3] = 6;
  const auto to_a = receive(at("198.51.100.2:5001"), static_cast<uint16_t>(port_b + 1), report);
  ASSERT_EQ(to_a.size(), 1u);
  EXPECT_EQ(to_a[0].to, at("203.0.113.9:6005"));
}

TEST_F(IceLeg, WhoAnswersWithoutIsReachedAsBefore) {
  open(policy(Ice::offered));
  offer_to_a();
  answer_of_a(phone_sdp("203.0.113.9:6000", "0 101"));
  talk(at("203.0.113.9:6000"));
  w.take_sent();
  w.pass(seconds(60));
  for (const Sent& s : w.take_sent()) EXPECT_FALSE(is_check(s));
}

TEST_F(IceLeg, ARestartKeepsTheSoundAndMovesIt) {
  Peer a(ice::Role::controlling);
  connect(a);
  const std::string first = told_a;
  talk(*a.mapped);
  // The same again restarts nothing.
  offer(a.sdp("10.0.0.7:6000"));
  EXPECT_EQ(parsed(told_a).attribute(0, "ice-ufrag"), parsed(first).attribute(0, "ice-ufrag"));
  talk(*a.mapped);
  a.agent->restart(w.now, 0, a.out);
  const SocketAddress before = *a.mapped;
  offer(a.sdp("10.0.0.7:6000"));
  EXPECT_NE(parsed(told_a).attribute(0, "ice-ufrag"), parsed(first).attribute(0, "ice-ufrag"));
  talk(before);  // until there is another
  a.mapped = at("203.0.113.77:41000");
  a.hear_of(told_a, w.now);
  carry(a);
  talk(*a.mapped);
}

TEST_F(IceLeg, ARefusedOfferChangesNothing) {
  Peer a(ice::Role::controlling);
  connect(a);
  a.agent->restart(w.now, 0, a.out);
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("10.0.0.7:6000")), SdpRole::offer).ok());
  w.engine->rollback(w.now, leg_a);
  talk(*a.mapped);
  // An offer of ours that is refused.
  ASSERT_TRUE(w.engine->offer(w.now, leg_a).ok());
  w.engine->rollback(w.now, leg_a);
  talk(*a.mapped);
}

TEST_F(IceLeg, OurReOfferKeepsTheCredentials) {
  Peer a(ice::Role::controlling);
  connect(a);
  const auto again = w.engine->offer(w.now, leg_a);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(parsed(*again).attribute(0, "ice-ufrag"), parsed(told_a).attribute(0, "ice-ufrag"));
  EXPECT_THAT(*again, HasSubstr("a=rtcp-mux"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("10.0.0.7:6000")), SdpRole::answer).ok());
  talk(*a.mapped);
}

TEST_F(IceLeg, ALegMayComeToIceAndLeaveIt) {
  open(policy(Ice::accepted));
  offer(phone_sdp("203.0.113.9:6000", "0 101"));
  talk(at("203.0.113.9:6000"));
  Peer a(ice::Role::controlling);
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "203.0.113.9:8000", w.now);
  a.agent->end_of_local(w.now, a.out);
  offer(a.sdp("203.0.113.9:8000"));
  EXPECT_TRUE(receive(at_b, port_b, voice_b.packet()).empty());  // nowhere is checked yet
  a.hear_of(told_a, w.now);
  carry(a);
  talk(at("203.0.113.9:8000"));
  offer(phone_sdp("203.0.113.9:6000", "0 101"));
  EXPECT_THAT(told_a, Not(HasSubstr("ice-")));
  talk(at("203.0.113.9:6000"));
}

TEST_F(IceLeg, WithoutConsentNothingIsSentAndItIsTold) {
  Peer a(ice::Role::controlling);
  connect(a);
  w.events();
  a.deaf = true;
  w.pass(seconds(35));
  EXPECT_EQ(w.count(MediaEvent::Kind::unreachable), 1u);
  EXPECT_EQ(w.counters.total("media_ice_unreachable_total"), 1u);
  EXPECT_TRUE(receive(at_b, port_b, voice_b.packet()).empty());
}

TEST_F(IceLeg, ARestoredLegGoesOn) {
  for (const bool lite : {false, true}) {
    Peer a(ice::Role::controlling);
    connect(a, policy(Ice::accepted, lite));
    talk(*a.mapped);
    const EndpointId ids[] = {leg_a, leg_b};
    const std::string part = w.engine->snapshot(w.now, ids);
    for (const EndpointId id : ids) w.engine->close(w.now, id);
    const auto back = w.engine->restore(w.now, part);
    ASSERT_TRUE(back.ok());
    leg_a = (*back)[0], leg_b = (*back)[1];
    talk(*a.mapped);  // before any check
    carry(a, seconds(40));
    EXPECT_EQ(w.count(MediaEvent::Kind::unreachable), 0u);
    talk(*a.mapped);
    a.agent->restart(w.now, 0, a.out);
    offer(a.sdp("10.0.0.7:6000"));
    a.hear_of(told_a, w.now);
    a.mapped = at("203.0.113.77:41000");
    carry(a);
    talk(*a.mapped);
    for (const EndpointId id : {leg_a, leg_b}) w.engine->close(w.now, id);
  }
}

TEST_F(IceLeg, APartWithoutAnAgentIsNone) {
  Peer a(ice::Role::controlling);
  connect(a);
  const EndpointId ids[] = {leg_a, leg_b};
  std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  const size_t before = w.ports.open();
  for (size_t cut = 1; cut < part.size(); cut += 7)
    if (const auto back = w.engine->restore(w.now, part.substr(0, cut)); back.ok())
      for (const EndpointId id : *back) w.engine->close(w.now, id);
  EXPECT_EQ(w.ports.open(), before);
  EXPECT_TRUE(w.engine->restore(w.now, part).ok());
}

TEST_F(IceLeg, AThousandCandidatesMakeNoThousandChecks) {
  Peer a(ice::Role::controlling);
  open(policy(Ice::accepted));
  (void)a.agent->add_stream(1).value();
  a.base(0, 1, "203.0.113.9:6000", w.now);
  std::string text = a.sdp("203.0.113.9:6000");
  for (int i = 0; i < 200; ++i)
    text += "a=candidate:" + std::to_string(i) + " 1 UDP " + std::to_string(1000 + i) + " 198.18." +
            std::to_string(i / 200) + "." + std::to_string(i % 200 + 1) + " 9999 typ host\r\n";
  offer(text);
  w.take_sent();
  w.pass(seconds(60));
  size_t checks = 0;
  for (const Sent& s : w.take_sent()) checks += is_check(s);
  EXPECT_GT(checks, 0u);
  EXPECT_LE(checks, 700u);  // 100 pairs, each asked seven times
  EXPECT_GT(w.counters.total("media_ice_troubles_total"), 0u);
}

}  // namespace
}  // namespace tandem::media
