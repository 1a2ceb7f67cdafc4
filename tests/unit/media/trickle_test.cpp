// Candidates that come by themselves, restarts of ours, and what STUN servers tell.
#include "media/trickle.h"
#include "stun/message.h"
#include "unit/media/ice_leg.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* named = "a=rtcp-mux\r\na=mid:sound\r\n";

/// Without its candidates, as somebody who trickles says it first.
std::string bare(Peer& p, const std::string& place) {
  sdp::Description d = parsed(p.sdp(place, named));
  d.remove_attribute(0, "candidate");
  d.remove_attribute(0, "end-of-candidates");
  d.remove_attribute(0, "ice-options");
  d.add_attribute(0, "ice-options", "ice2 trickle");
  return d.to_string();
}

std::string fragment_of(Peer& p, bool end = true) {
  const auto d = p.agent->local_description(0);
  std::string out = "a=ice-ufrag:" + d.credentials.ufrag + "\r\na=ice-pwd:" + d.credentials.pwd +
                    "\r\nm=audio 9 RTP/AVP 0\r\na=mid:sound\r\n";
  for (const auto& c : d.candidates) out += "a=candidate:" + c.to_string() + "\r\n";
  return out + (end ? "a=end-of-candidates\r\n" : "");
}

class TrickleLeg : public IceLeg {
 protected:
  Peer a{ice::Role::controlling};
  void open_peer(const EndpointConfig& how = policy(Ice::accepted)) {
    open(how);
    (void)a.agent->add_stream(1).value();
    a.base(0, 1, "203.0.113.9:6000", w.now);
    a.agent->end_of_local(w.now, a.out);
  }
  uint64_t troubles(ice::Reason why) {
    w.pass(milliseconds(1));
    return w.counters
        .counter("media_ice_troubles_total", "",
                 std::string("reason=\"").append(ice::to_string(why)).append("\""))
        .value();
  }
};

TEST(TrickleFragment, IsRead) {
  const auto read = read_fragment(
      "a=ice-ufrag:all\r\na=candidate:0 1 UDP 1 192.0.2.1 1 typ host\r\nm=audio 9 RTP/AVP 0\r\na=mid:1\r\n"
      "a=candidate:1 1 UDP 1 192.0.2.1 1 typ host\n\na=other:x\nnonsense\nm=video 9 RTP/AVP 96\r\n"
      "a=ice-ufrag:own\r\na=candidate:2 1 UDP 1 192.0.2.1 1 typ host\r\na=end-of-candidates");
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[0].line, std::nullopt);
  EXPECT_EQ(read[1].mid, "1");
  EXPECT_EQ(read[1].line, 0);
  EXPECT_EQ(read[1].fragment, "all");
  EXPECT_EQ(read[2].line, 1);
  EXPECT_EQ(read[2].mid, "");
  EXPECT_EQ(read[2].fragment, "own");
  EXPECT_THAT(read[2].candidate, HasSubstr("2 1 UDP"));
  EXPECT_EQ(read[3].candidate, "");
  EXPECT_TRUE(read_fragment("").empty());
  std::string endless;
  for (int i = 0; i < 1000; ++i) endless += "a=end-of-candidates\n";
  EXPECT_EQ(read_fragment(endless).size(), most_fragment_lines);
}

TEST_F(TrickleLeg, CandidatesMayComeAfterTheAnswer) {
  open_peer();
  offer(bare(a, "0.0.0.0:9"));
  EXPECT_THAT(told_a, HasSubstr("trickle"));
  EXPECT_THAT(told_a, HasSubstr("typ host"));  // half trickle: ours are all there
  EXPECT_THAT(told_a, HasSubstr("a=end-of-candidates"));
  a.hear_of(told_a, w.now);
  a.deaf = true;  // it shall not tell us by its checks where it is
  a.out.clear();
  ASSERT_TRUE(w.engine->trickle_fragment(w.now, leg_a, fragment_of(a)).ok());
  w.pass(milliseconds(200));
  size_t checks = 0;
  for (const Sent& s : w.take_sent()) checks += is_check(s) && s.to == at("203.0.113.9:6000") ? 1 : 0;
  EXPECT_GT(checks, 0u);
  a.deaf = false;
  carry(a, seconds(4));
  talk(at("203.0.113.9:6000"));
}

TEST_F(TrickleLeg, CandidatesMayComeBeforeTheAnswer) {
  open_peer();
  const auto text = parsed(bare(a, "0.0.0.0:9"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, text, SdpRole::offer).ok());
  ASSERT_TRUE(w.engine->trickle_fragment(w.now, leg_a, fragment_of(a)).ok());
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);  // they are part of the call
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  leg_a = (*back)[0], leg_b = (*back)[1];
  told_a = w.engine->answer(w.now, leg_a).value();
  w.pass(milliseconds(200));
  size_t checks = 0;
  for (const Sent& s : w.take_sent()) checks += is_check(s) && s.to == at("203.0.113.9:6000") ? 1 : 0;
  EXPECT_GT(checks, 0u);
}

TEST_F(TrickleLeg, AnAnswerMayBeOvertakenByItsCandidates) {
  open(policy(Ice::offered));
  offer_to_a();
  Peer b(ice::Role::controlled);
  (void)b.agent->add_stream(1).value();
  b.base(0, 1, "203.0.113.9:6000", w.now);
  b.agent->end_of_local(w.now, b.out);
  Trickled c;
  c.line = 0;
  c.fragment = b.agent->local_description(0).credentials.ufrag;
  c.candidate = "candidate:" + b.agent->local_description(0).candidates[0].to_string();
  ASSERT_TRUE(w.engine->trickle(w.now, leg_a, c).ok());
  b.hear_of(told_a, w.now);
  answer_of_a(bare(b, "0.0.0.0:9"));
  carry(b, seconds(4));
  talk(at("203.0.113.9:6000"));
}

TEST_F(TrickleLeg, AnEndThatNamesNoLineIsOfAll) {
  open_peer();
  const auto text = parsed(bare(a, "0.0.0.0:9"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, text, SdpRole::offer).ok());
  ASSERT_TRUE(w.engine->trickle_fragment(w.now, leg_a, "a=end-of-candidates\r\n").ok())
      << "before the answer";
  told_a = w.engine->answer(w.now, leg_a).value();
  const std::string own = "a=ice-ufrag:" + a.agent->local_description(0).credentials.ufrag + "\r\n";
  EXPECT_TRUE(w.engine->trickle_fragment(w.now, leg_a, own + "a=end-of-candidates\r\n").ok());
  EXPECT_EQ(w.counters.total("media_ice_troubles_total"), 0u);
}

TEST_F(TrickleLeg, OtherGenerationsAndNonsenseChangeNothing) {
  open_peer();
  offer(bare(a, "0.0.0.0:9"));
  Trickled c;
  c.mid = "sound";
  c.fragment = "else";
  c.candidate = "1 1 UDP 1 203.0.113.66 6000 typ host";
  EXPECT_FALSE(w.engine->trickle(w.now, leg_a, c).ok());
  EXPECT_EQ(troubles(ice::Reason::other_generation), 1u);
  c.candidate.clear();  // nor the end of another's
  EXPECT_FALSE(w.engine->trickle(w.now, leg_a, c).ok());
  c.fragment.clear();
  c.candidate = "nonsense";
  EXPECT_FALSE(w.engine->trickle(w.now, leg_a, c).ok());
  EXPECT_FALSE(w.engine->trickle_fragment(w.now, leg_a, "m=audio 9 RTP/AVP 0\r\n").ok());
  c.mid = "picture";
  c.candidate = "1 1 UDP 1 203.0.113.66 6000 typ host";
  EXPECT_FALSE(w.engine->trickle(w.now, leg_a, c).ok());
  w.take_sent();
  w.pass(seconds(1));
  for (const Sent& s : w.take_sent()) EXPECT_NE(s.to.ip, at("203.0.113.66:1").ip);
  EXPECT_FALSE(w.engine->trickle(w.now, leg_b, c).ok());  // it has no ICE
}

TEST_F(TrickleLeg, OnlySoManyWait) {
  open_peer();
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(bare(a, "0.0.0.0:9")), SdpRole::offer).ok());
  Trickled c;
  c.mid = "sound";
  c.candidate = "1 1 UDP 1 203.0.113.66 6000 typ host";
  for (size_t i = 0; i < most_early_candidates; ++i) EXPECT_TRUE(w.engine->trickle(w.now, leg_a, c).ok());
  const auto past = w.engine->trickle(w.now, leg_a, c);
  ASSERT_FALSE(past.ok());
  EXPECT_EQ(past.reason(), Reason::too_many_waiting);
}

// ---- what STUN servers tell ----

class BehindNat : public TrickleLeg {
 protected:
  static constexpr const char* server = "198.51.100.53:3478";
  BehindNat() {
    EngineConfig c;
    c.stun_servers = {at(server)};
    w.engine = std::make_unique<Engine>(c, w.ports, w.rng, w.counters, *w.keys);
  }
  /// The server's answers to what has been asked.
  size_t answer_server(const std::string& mapped) {
    w.pass(milliseconds(100));
    size_t asked = 0;
    for (const Sent& s : w.take_sent()) {
      if (s.to != at(server)) continue;
      const auto question = stun::Message::parse(s.bytes).value();
      stun::Writer m(stun::Class::success, stun::method::binding, question.transaction());
      m.add_xor_address(stun::attribute::xor_mapped_address, at(mapped)).add_fingerprint();
      w.receive(at(server), s.from, m.octets());
      ++asked;
    }
    return asked;
  }
  void is_trickled() {
    open_peer();
    offer(bare(a, "0.0.0.0:9"));
    EXPECT_THAT(told_a, Not(HasSubstr("srflx")));
    EXPECT_THAT(told_a, Not(HasSubstr("end-of-candidates")));
    EXPECT_TRUE(w.engine->trickles(leg_a));
    EXPECT_EQ(w.count(MediaEvent::Kind::candidates), 0u);
    ASSERT_EQ(answer_server("192.0.2.200:61000"), 1u);
    EXPECT_EQ(w.count(MediaEvent::Kind::candidates), 1u);
    const auto ours = w.engine->take_candidates(leg_a);
    ASSERT_EQ(ours.size(), 2u);
    EXPECT_EQ(ours[0].mid, "sound");
    EXPECT_THAT(ours[0].candidate, HasSubstr("192.0.2.200 61000 typ srflx"));
    EXPECT_EQ(ours[1].candidate, "");
    const std::string body = w.engine->fragment_of(leg_a, ours);
    EXPECT_THAT(body, HasSubstr("a=mid:sound\r\na=ice-ufrag:" + ours[0].fragment));
    EXPECT_THAT(body, HasSubstr("a=end-of-candidates\r\n"));
    EXPECT_EQ(read_fragment(body).size(), 2u);
    EXPECT_TRUE(w.engine->take_candidates(leg_a).empty());
    const auto again = w.engine->offer(w.now, leg_a);  // from now on it stands in descriptions
    ASSERT_TRUE(again.ok());
    EXPECT_THAT(*again, HasSubstr("typ srflx"));
  }
};

TEST_F(BehindNat, WhatItTellsIsTrickled) { is_trickled(); }

TEST_F(BehindNat, WhatItTellsOfASharedPortReachesItsLeg) {
  w.ports.shared_number = 50'000;
  is_trickled();
}

// ---- restarts of ours ----

class LostLeg : public TrickleLeg {
 protected:
  void lose() {
    connect(a);
    w.events();
    a.deaf = true;
  }
};

TEST_F(LostLeg, AWayThatIsLostIsLookedForAgain) {
  lose();
  w.pass(seconds(35));
  const auto events = w.events();
  ASSERT_EQ(std::count_if(events.begin(), events.end(),
                          [](const MediaEvent& e) { return e.kind == MediaEvent::Kind::restart_due; }),
            1);
  const auto offer = w.engine->restart(w.now, leg_a);
  ASSERT_TRUE(offer.ok());
  EXPECT_NE(parsed(*offer).attribute(0, "ice-ufrag"), parsed(told_a).attribute(0, "ice-ufrag"));
  EXPECT_FALSE(w.engine->restart(w.now, leg_a).ok());  // one at a time
  a.deaf = false;
  a.mapped = at("203.0.113.77:41000");
  a.hear_of(*offer, w.now);
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(a.sdp("10.0.0.7:6000")), SdpRole::answer).ok());
  carry(a, seconds(4));
  talk(*a.mapped);
  EXPECT_EQ(w.counters.total("media_ice_restarts_total"), 1u);
  // It may be lost again, with as many tries.
  a.deaf = true;
  w.events();
  w.pass(seconds(35));
  EXPECT_EQ(w.count(MediaEvent::Kind::restart_due), 1u);
}

TEST_F(LostLeg, ThereIsAnEndToIt) {
  lose();
  w.pass(seconds(30 * 60));
  EXPECT_EQ(w.count(MediaEvent::Kind::restart_due), w.config.ice_restarts);
}

TEST_F(LostLeg, ARefusedRestartLeavesWhatWas) {
  connect(a);
  ASSERT_TRUE(w.engine->restart(w.now, leg_a).ok());
  talk(*a.mapped);
  w.engine->rollback(w.now, leg_a);
  talk(*a.mapped);
  const auto again = w.engine->offer(w.now, leg_a);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(parsed(*again).attribute(0, "ice-ufrag"), parsed(told_a).attribute(0, "ice-ufrag"));
}

TEST_F(LostLeg, ARestartThatIsOpenSurvivesARestore) {
  connect(a);
  const auto offer = w.engine->restart(w.now, leg_a);
  ASSERT_TRUE(offer.ok());
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  leg_a = (*back)[0], leg_b = (*back)[1];
  talk(*a.mapped);
  w.engine->rollback(w.now, leg_a);
  talk(*a.mapped);
  const auto again = w.engine->offer(w.now, leg_a);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(parsed(*again).attribute(0, "ice-ufrag"), parsed(told_a).attribute(0, "ice-ufrag"));
}

TEST_F(LostLeg, WithoutIceThereIsNothingToRestart) {
  open(policy(Ice::accepted));
  offer(phone_sdp("203.0.113.9:6000", "0 101"));
  EXPECT_FALSE(w.engine->restart(w.now, leg_a).ok());
}

}  // namespace
}  // namespace tandem::media
