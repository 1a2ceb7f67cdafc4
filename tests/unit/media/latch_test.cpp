// RTP bleed (a stranger receives a call's audio) and injection (a stranger speaks into it) must fail, phones
// behind a NAT must work.
#include <gtest/gtest.h>

#include "media/latch.h"
#include "world.h"

namespace tandem::media {
namespace {

EndpointConfig signalled_from(const std::string& ip) {
  EndpointConfig c;
  c.signalling = *IpAddress::parse(ip);
  return c;
}

/// Where B's audio would go now.
SocketAddress audience(World& w, Call& c) {
  w.take_sent();
  w.receive(c.voice_b.from, c.b_port, c.voice_b.packet());
  const auto sent = w.take_sent();
  return sent.empty() ? SocketAddress{} : sent[0].to;
}

TEST(Latch, SdpSourceIsBelievedAtOnceAndInjectionFails) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
  Voice attacker{at("203.0.113.66:6666"), c.voice_a.ssrc, c.voice_a.sequence, c.voice_a.timestamp};
  w.talk(attacker, c.a_port, 500);
  EXPECT_TRUE(w.take_sent().empty()) << "injected audio reaches B";
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000")) << "A's audio bleeds to the attacker";
  EXPECT_EQ(w.engine->statistics(c.a).foreign_dropped, 500u);
  EXPECT_EQ(w.count(MediaEvent::Kind::latched), 0u);
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
}

TEST(Latch, SprayedPortIsNotTakenOver) {
  World w;
  Call c = establish(w);
  // A classic bleed scan: one packet to each port from everywhere, never a stream.
  for (int i = 0; i < 200; ++i) {
    Voice v{{IpAddress::v4(203, 0, 113, static_cast<uint8_t>(i)), static_cast<uint16_t>(3000 + i)},
            static_cast<uint32_t>(i)};
    w.talk(v, c.a_port);
  }
  // And a single source whose packets are no stream.
  Voice noise{at("203.0.113.66:6666")};
  for (int i = 0; i < 50; ++i) {
    noise.sequence = static_cast<uint16_t>(i * 1000);
    w.talk(noise, c.a_port);
  }
  for (int i = 0; i < 50; ++i) {
    noise.ssrc = static_cast<uint32_t>(i);
    w.talk(noise, c.a_port);
  }
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000"));
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
}

TEST(Latch, PhoneBehindNatIsLearnedWithItsSecondPacket) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  c.voice_a.from = at("198.51.100.7:61000");
  w.talk(c.voice_a, c.a_port);
  EXPECT_TRUE(w.sent.empty());
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000"));
  w.talk(c.voice_a, c.a_port, 2);
  EXPECT_EQ(w.take_sent().size(), 2u);
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
  EXPECT_EQ(w.count(MediaEvent::Kind::latched), 1u);
  EXPECT_EQ(w.engine->statistics(c.a).remote, at("198.51.100.7:61000"));
  // Once learned, nobody else is believed, not even the SDP's address.
  Voice late{at("10.0.0.1:4000"), 7};
  w.talk(late, c.a_port, 20);
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
}

TEST(Latch, LikelySourceBeatsAttackerWhoIsFaster) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  Voice attacker{at("203.0.113.66:6666"), 0x666};
  Voice phone{at("198.51.100.7:61000"), 0xAAAA};
  w.talk(attacker, c.a_port, 8);  // first, and consistent
  for (int i = 0; i < 10; ++i) {
    w.talk(attacker, c.a_port);
    w.talk(phone, c.a_port);
  }
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
}

/// As establish(), but B has only sent early media.
Call ring(World& w, EndpointConfig config) {
  Call c = establish(w, config);
  w.engine->close(w.now, c.a);
  w.engine->close(w.now, c.b);
  c.a = w.engine->open(config).value();
  c.b = w.engine->open(config).value();
  const auto offer = parsed(phone_sdp("10.0.0.1:4000")), answer = parsed(phone_sdp("10.0.0.2:5000"));
  EXPECT_TRUE(w.engine->set_remote(w.now, c.a, offer, SdpRole::offer).ok());
  c.b_port = w.port_of(w.engine->present(w.now, c.b, offer, SdpRole::offer).value());
  EXPECT_TRUE(w.engine->set_remote(w.now, c.b, answer, SdpRole::answer).ok());
  c.a_port = w.port_of(w.engine->present(w.now, c.a, answer, SdpRole::answer).value());
  EXPECT_TRUE(w.engine->join(w.now, c.a, c.b, Stage::early).ok());
  return c;
}

TEST(Latch, StrangerWhoSendsBeforeTheAnswerWinsNothing) {
  World w;
  Call c = ring(w, signalled_from("198.51.100.7"));
  Voice attacker{at("203.0.113.66:6666"), 0x666};
  w.talk(attacker, c.a_port, 200);
  w.talk(attacker, c.b_port, 200);
  EXPECT_TRUE(w.take_sent().empty()) << "a stranger speaks into a ringing call";
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000")) << "early media bleeds to a stranger";
  // A caller behind a NAT is learned meanwhile: early media has to reach it.
  Voice phone{at("198.51.100.7:61000"), 0xAAAA};
  w.talk(phone, c.a_port, 2);
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
  ASSERT_TRUE(w.engine->join(w.now, c.a, c.b).ok());
  w.talk(attacker, c.a_port, 200);
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
}

/// A node that died forgot a call; its phone goes on sending to the port, which is another call's by now.
TEST(Latch, WhoSpokeBeforeTheLegHadSaidAnythingGivesWayToAll) {
  Latch latch;
  LatchPolicy policy;
  policy.signalling = *IpAddress::parse("198.51.100.7");
  policy.far_delay = milliseconds(400);
  const SocketAddress stale = at("203.0.113.66:6666"), phone = at("203.0.113.99:7000");
  uint16_t sequence = 40'000, other = 1;
  Now now{Instant{seconds(1).count()}, {}};
  const auto speaks = [&](Duration length) {
    for (const Instant end = now.mono + length; now.mono < end; now.mono = now.mono + milliseconds(20))
      EXPECT_EQ(latch.offer(now.mono, stale, {0x666, sequence++, true}, policy), Latch::Verdict::refused);
  };
  speaks(milliseconds(200));
  latch.expect(now.mono, at("10.0.0.2:5000"), seconds(30));
  speaks(seconds(5));
  EXPECT_FALSE(latch.confirmed());
  // Another far one, while it goes on.
  bool latched = false;
  for (int i = 0; i < 40 && !latched; ++i) {
    speaks(milliseconds(20));
    latched = latch.offer(now.mono, phone, {0xAAAA, other++, true}, policy) == Latch::Verdict::latched;
  }
  EXPECT_TRUE(latched);
  EXPECT_EQ(latch.destination(), phone);
  // With nobody else it is believed in the end: a telephone whose answer was lost spoke before it, too.
  Latch alone;
  sequence = 1;
  EXPECT_EQ(alone.offer(now.mono, stale, {0x666, sequence++, true}, policy), Latch::Verdict::refused);
  alone.expect(now.mono, at("10.0.0.2:5000"), seconds(30));
  const Instant begun = now.mono;
  while (alone.offer(now.mono, stale, {0x666, sequence++, true}, policy) != Latch::Verdict::latched) {
    ASSERT_LT(now.mono - begun, seconds(10));
    now.mono = now.mono + milliseconds(20);
  }
  EXPECT_GE(now.mono - begun, seconds(8));
}

TEST(Latch, FarSourceYieldsToALikelyOneWhileTheWindowIsOpen) {
  World w;
  Call c = ring(w, signalled_from("198.51.100.7"));
  Voice attacker{at("203.0.113.66:6666"), 0x666};
  Voice phone{at("198.51.100.7:61000"), 0xAAAA};
  w.talk(attacker, c.a_port, 200);
  ASSERT_TRUE(w.engine->join(w.now, c.a, c.b).ok());
  w.talk(attacker, c.a_port, 50);  // the phone is late: its 200 got lost, say
  EXPECT_EQ(audience(w, c), at("203.0.113.66:6666")) << "for want of anybody else";
  for (int i = 0; i < 3; ++i) {
    w.talk(attacker, c.a_port);
    w.talk(phone, c.a_port);
  }
  w.take_sent();
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
  w.talk(attacker, c.a_port, 200);
  EXPECT_TRUE(w.take_sent().empty()) << "a likely source is never left for a stranger";
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
}

TEST(Latch, FarSourceYieldsToTheSdpAddressAtOnceAndToNoStranger) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  Voice far{at("203.0.113.66:6666"), 0x666}, farther{at("203.0.113.67:7777"), 0x777};
  w.talk(far, c.a_port, 30);
  w.talk(farther, c.a_port, 100);
  EXPECT_EQ(audience(w, c), at("203.0.113.66:6666"));
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000"));
}

TEST(Latch, NoFarSourceWhereTheSdpNamesTheHostOfTheSignalling) {
  World w;
  Call c = establish(w, signalled_from("10.0.0.2"));  // B is behind no NAT, and silent
  Voice attacker{at("203.0.113.66:6666"), 0x666};
  w.talk(attacker, c.b_port, 8);    // a burst right after the answer
  w.talk(attacker, c.b_port, 500);  // and on
  EXPECT_TRUE(w.take_sent().empty()) << "a stranger speaks into the call";
  w.talk(c.voice_a, c.a_port);
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, at("10.0.0.2:5000")) << "the call bleeds to a stranger";
  w.talk(c.voice_b, c.b_port);
  EXPECT_EQ(w.take_sent().size(), 1u) << "the phone is refused";
  EXPECT_EQ(w.count(MediaEvent::Kind::latched), 0u);
}

TEST(Latch, SdpAddressTakesTheFarSourcesPlaceAfterTheWindowToo) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  Voice far{at("203.0.113.66:6666"), 0x666};
  w.talk(far, c.a_port, 1600);  // 32 s
  ASSERT_EQ(audience(w, c), at("203.0.113.66:6666"));
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000"));
  w.talk(far, c.a_port, 500);
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000"));
}

TEST(Latch, FarSourceStaysOnceTheWindowClosed) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  Voice gateway{at("198.51.100.99:9000"), 0x99}, late{at("198.51.100.7:61000"), 0xAAAA};
  w.talk(gateway, c.a_port, 1600);  // 32 s
  w.take_sent();
  w.talk(late, c.a_port, 50);
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(audience(w, c), at("198.51.100.99:9000"));
}

TEST(Latch, DoubledAndOvertakenPacketsDoNotStartItAnew) {
  const LatchPolicy policy{true, at("198.51.100.7:0").ip, true, 2, 5, {}};
  const auto from = at("203.0.113.7:1");
  Latch latch;
  latch.expect({0}, at("10.0.0.1:4000"), seconds(10));
  for (const uint16_t sequence : {7, 8, 8, 10, 9, 11}) {
    EXPECT_EQ(latch.offer({1}, from, {1, sequence}, policy), Latch::Verdict::refused);
    latch = Latch(latch.state());  // a snapshot changes nothing
  }
  EXPECT_EQ(latch.offer({2}, from, {1, 12}, policy), Latch::Verdict::latched);
}

TEST(Latch, UnlikelySourceIsLearnedWhenNobodyBetterSpeaks) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  Voice media_gateway{at("198.51.100.99:9000"), 0x99};
  w.talk(media_gateway, c.a_port, 15);
  EXPECT_TRUE(w.take_sent().empty());
  w.talk(media_gateway, c.a_port, 10);
  EXPECT_FALSE(w.take_sent().empty());
  EXPECT_EQ(audience(w, c), at("198.51.100.99:9000"));
}

TEST(Latch, WindowCloses) {
  World w;
  Call c = establish(w);
  w.pass(seconds(31));
  Voice v{at("198.51.100.7:61000")};
  w.talk(v, c.a_port, 50);
  EXPECT_TRUE(w.take_sent().empty());
  w.talk(c.voice_a, c.a_port);  // the SDP's address needs no window
  EXPECT_EQ(w.take_sent().size(), 1u);
}

TEST(Latch, FixedSourceNeverLearns) {
  World w;
  EndpointConfig trunk;
  trunk.symmetric = false;
  Call c = establish(w, trunk);
  Voice v{at("198.51.100.7:61000")};
  w.talk(v, c.a_port, 50);
  EXPECT_TRUE(w.take_sent().empty());
  EXPECT_EQ(audience(w, c), at("10.0.0.1:4000"));
}

/// A's next offer and B's answer to it.
void agree(World& w, const Call& c, const std::string& offer) {
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(offer), SdpRole::offer));
  ASSERT_TRUE(w.engine->present(w.now, c.a, parsed(phone_sdp("10.0.0.2:5000")), SdpRole::answer).ok());
}

TEST(Latch, ReInviteMovesTheAddress) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port, 3);
  w.take_sent();
  agree(w, c, phone_sdp("10.0.0.77:7700"));
  EXPECT_EQ(audience(w, c), at("10.0.0.77:7700"));
  // The old device's stragglers do not win the new window.
  w.talk(c.voice_a, c.a_port, 10);
  EXPECT_TRUE(w.take_sent().empty());
  Voice v{at("10.0.0.77:7700"), 0x77};
  w.talk(v, c.a_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
  w.talk(c.voice_a, c.a_port, 50);
  EXPECT_TRUE(w.take_sent().empty());
}

TEST(Latch, FormerSourceIsBelievedAgainOnlyForWantOfAnother) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  c.voice_a.from = at("198.51.100.7:61000");
  w.talk(c.voice_a, c.a_port, 6);
  // The SDP changes but the phone's socket does not (it learned its public address, say).
  agree(w, c, phone_sdp("198.51.100.8:61000"));
  w.take_sent();
  w.talk(c.voice_a, c.a_port, 390);
  EXPECT_TRUE(w.take_sent().empty());
  w.talk(c.voice_a, c.a_port, 30);
  EXPECT_FALSE(w.take_sent().empty());
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
  Voice stranger{at("203.0.113.66:6666")};
  w.talk(stranger, c.a_port, 50);
  EXPECT_TRUE(w.take_sent().empty());
  Voice moved{at("198.51.100.8:61000"), 0x88};
  w.talk(moved, c.a_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
  EXPECT_EQ(audience(w, c), at("198.51.100.8:61000"));
}

TEST(Latch, RefreshWithTheSameAddressKeepsTheLatch) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  c.voice_a.from = at("198.51.100.7:61000");
  w.talk(c.voice_a, c.a_port, 6);
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer));
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
  Voice attacker{at("203.0.113.66:6666")};
  w.talk(attacker, c.a_port, 100);
  EXPECT_EQ(audience(w, c), at("198.51.100.7:61000"));
}

TEST(Latch, NoAddressInTheSdpIsLearned) {
  World w;
  Call c = establish(w, phone_sdp("0.0.0.0:9"), phone_sdp("10.0.0.2:5000"));
  EXPECT_EQ(audience(w, c), SocketAddress{});
  Voice v{at("198.51.100.7:61000")};
  w.talk(v, c.a_port, 6);
  EXPECT_FALSE(w.take_sent().empty());
  EXPECT_EQ(w.engine->statistics(c.a).remote, at("198.51.100.7:61000"));
}

std::vector<uint8_t> receiver_report(uint32_t ssrc) {
  std::vector<uint8_t> bytes(160);
  bytes.resize(rtp::write_report(bytes, ssrc, std::nullopt, std::nullopt, "x"));
  return bytes;
}

TEST(Latch, RtcpFollowsTheLatchedRtp) {
  World w;
  Call c = establish(w, signalled_from("198.51.100.7"));
  const auto rtcp_port = static_cast<uint16_t>(c.a_port + 1);
  c.voice_a.from = at("198.51.100.7:61000");
  w.receive(at("198.51.100.7:61001"), rtcp_port, receiver_report(c.voice_a.ssrc));
  EXPECT_TRUE(w.take_sent().empty()) << "RTP has not shown who A is";
  w.talk(c.voice_a, c.a_port, 6);
  w.take_sent();
  w.receive(at("10.0.0.2:5001"), static_cast<uint16_t>(c.b_port + 1), receiver_report(0xBBBB));
  EXPECT_TRUE(w.take_sent().empty()) << "A's private RTCP address leads nowhere";
  w.receive(at("203.0.113.66:61001"), rtcp_port, receiver_report(c.voice_a.ssrc));
  w.receive(at("198.51.100.7:61001"), rtcp_port, receiver_report(0x12345));
  EXPECT_TRUE(w.take_sent().empty());
  w.receive(at("198.51.100.7:61001"), rtcp_port, receiver_report(c.voice_a.ssrc));
  EXPECT_EQ(w.take_sent().size(), 1u);
  w.receive(at("198.51.100.7:61009"), rtcp_port, receiver_report(c.voice_a.ssrc));
  EXPECT_TRUE(w.take_sent().empty()) << "confirmed is confirmed";
  w.receive(at("10.0.0.2:5001"), static_cast<uint16_t>(c.b_port + 1), receiver_report(0xBBBB));
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].to, at("198.51.100.7:61001"));
}

TEST(Latch, PlausibleStepsOnly) {
  const LatchPolicy policy{true, {}, true, 3, 3, {}};
  const auto from = at("198.51.100.7:1");
  Latch latch;
  latch.expect({0}, at("10.0.0.1:4000"), seconds(10));
  EXPECT_EQ(latch.offer({1}, from, {1, 65534}, policy), Latch::Verdict::refused);
  EXPECT_EQ(latch.offer({2}, from, {1, 65535}, policy), Latch::Verdict::refused);
  EXPECT_EQ(latch.offer({3}, from, {1, 2}, policy), Latch::Verdict::latched) << "wrapped, two lost";
  EXPECT_TRUE(latch.away());

  Latch other;
  other.expect({0}, at("10.0.0.1:4000"), seconds(10));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(other.offer({i}, from, {1, 7}, policy), Latch::Verdict::refused)
        << "a repeated packet is no stream";
  EXPECT_EQ(other.offer({30}, at("10.0.0.1:4000"), {9, 9}, policy), Latch::Verdict::confirmed);
  EXPECT_FALSE(other.away());
}

}  // namespace
}  // namespace tandem::media
