// Lines of a leg that share a port: whose packets are whose, in both directions, and what is said about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/media/world.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const SocketAddress at_a = at("198.51.100.1:4000");
const SocketAddress audio_b = at("198.51.100.2:5000"), video_b = at("198.51.100.2:5010");

constexpr const char* bundled_offer =
    "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n"
    "a=group:BUNDLE sound picture\r\n"
    "m=audio 4000 RTP/AVP 0 101\r\na=mid:sound\r\na=rtcp-mux\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:5 "
    "urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
    "m=video 0 RTP/AVPF 96 97\r\na=mid:picture\r\na=bundle-only\r\na=rtpmap:96 VP8/90000\r\n"
    "a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 transport-cc\r\n"
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=ssrc:777 cname:x\r\n";
constexpr const char* plain_answer =
    "v=0\r\no=- 2 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\n"
    "m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    "m=video 5010 RTP/AVPF 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n"
    "a=rtcp-fb:96 nack pli\r\n";

class BundleLeg : public ::testing::Test {
 protected:
  World w;
  EndpointId leg_a, leg_b;
  std::string told_a, told_b;
  uint16_t port_a = 0, sound_port = 0, picture_port = 0;
  Voice sound_a{at_a, 0xA0}, picture_a{at_a, 0xA1, 500, 90'000, 96};
  Voice sound_b{audio_b, 0xB0}, picture_b{video_b, 0xB1, 900, 90'000, 96};

  void open() {
    EndpointConfig c;
    c.ice = Ice::accepted;
    leg_a = w.engine->open(c).value();
    leg_b = w.engine->open({}).value();
  }
  void exchange(const std::string& offer, const std::string& answer) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(offer), SdpRole::offer).ok());
    told_b = w.engine->present(w.now, leg_b, parsed(offer), SdpRole::offer, leg_a).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(answer), SdpRole::answer).ok());
    told_a = w.engine->present(w.now, leg_a, parsed(answer), SdpRole::answer, leg_b).value();
    ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
    port_a = w.port_of(told_a);
    sound_port = w.port_of(told_b);
    picture_port = parsed(told_b).media(1).port;
  }
  void establish() {
    open();
    exchange(bundled_offer, plain_answer);
  }
  std::vector<Sent> receive(const SocketAddress& from, uint16_t to, std::vector<uint8_t> bytes) {
    w.take_sent();
    w.receive(from, to, std::move(bytes));
    return w.take_sent();
  }
  void expect_one(const std::vector<Sent>& sent, const SocketAddress& to, uint16_t by) {
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].to, to);
    EXPECT_EQ(sent[0].from, by);
  }
  void talk() {
    expect_one(receive(at_a, port_a, sound_a.packet()), audio_b, sound_port);
    expect_one(receive(at_a, port_a, picture_a.packet()), video_b, picture_port);
    expect_one(receive(audio_b, sound_port, sound_b.packet()), at_a, port_a);
    expect_one(receive(video_b, picture_port, picture_b.packet()), at_a, port_a);
  }
  /// RTPFB or PSFB of `sender` about `source`.
  static std::vector<uint8_t> feedback(uint8_t type, uint32_t sender, uint32_t source) {
    std::vector<uint8_t> b = {0x81, type, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0};
    rtp::store32(b.data() + 4, sender);
    rtp::store32(b.data() + 8, source);
    return b;
  }
  static std::vector<uint8_t> receiver_report(uint32_t sender, std::initializer_list<uint32_t> about) {
    std::vector<uint8_t> b(8 + 24 * about.size());
    b[0] = static_cast<uint8_t>(0x80 | about.size());
    b[1] = 201;
    b[3] = static_cast<uint8_t>(b.size() / 4 - 1);
    rtp::store32(b.data() + 4, sender);
    size_t n = 0;
    for (const uint32_t ssrc : about) rtp::store32(b.data() + 8 + 24 * n++, ssrc);
    return b;
  }
  uint64_t malformed() {
    return w.counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"malformed\"")
        .value();
  }
};

TEST_F(BundleLeg, LinesShareAPortAndTheOtherLegKnowsNothing) {
  establish();
  const auto answer = parsed(told_a);
  EXPECT_THAT(told_a, HasSubstr("a=group:BUNDLE sound picture"));
  EXPECT_EQ(answer.attribute(0, "mid"), "sound");
  EXPECT_EQ(answer.attribute(1, "mid"), "picture");
  EXPECT_EQ(answer.media(0).port, answer.media(1).port);
  EXPECT_TRUE(answer.has_attribute(0, "rtcp-mux"));
  EXPECT_TRUE(answer.has_attribute(1, "rtcp-mux"));
  EXPECT_EQ(w.ports.open(), 6u);  // a pair for A, two for B
  const auto offer = parsed(told_b);
  EXPECT_THAT(told_b, Not(HasSubstr("BUNDLE")));
  EXPECT_THAT(told_b, Not(HasSubstr("bundle-only")));
  EXPECT_THAT(told_b, Not(HasSubstr("sdes:mid")));
  EXPECT_THAT(told_b, Not(HasSubstr("transport-wide")));
  EXPECT_THAT(told_b, Not(HasSubstr("transport-cc")));
  EXPECT_THAT(told_b, HasSubstr("ssrc-audio-level"));
  EXPECT_THAT(told_b, HasSubstr("nack pli"));
  EXPECT_NE(offer.media(1).port, 0);
  EXPECT_NE(offer.media(0).port, offer.media(1).port);
}

TEST_F(BundleLeg, PacketsFindTheirLines) {
  establish();
  for (int i = 0; i < 5; ++i) talk();
  const LegStatistics s = w.engine->statistics(leg_a);
  EXPECT_EQ(s.packets_received, 10u);
  EXPECT_EQ(s.packets_lost, 0);
  EXPECT_EQ(s.packets_sent, 10u);
  EXPECT_EQ(s.codec, "PCMU");
  // A retransmission by its payload type, an unknown one by its SSRC, and nobody's to nobody.
  Voice rtx{at_a, 0xA2, 1, 1, 97}, named{at_a, 777, 1, 1, 120}, strange{at_a, 0xA3, 1, 1, 121};
  expect_one(receive(at_a, port_a, rtx.packet()), video_b, picture_port);
  expect_one(receive(at_a, port_a, named.packet()), video_b, picture_port);
  const uint64_t before = malformed();
  EXPECT_TRUE(receive(at_a, port_a, strange.packet()).empty());
  EXPECT_EQ(malformed(), before + 1);
}

TEST_F(BundleLeg, ReportsAndFeedbackGoWhereTheyBelong) {
  establish();
  talk();
  // Both ports of B's line are SDP's neighbours: RTCP goes to the next one.
  const SocketAddress sound_reports = at("198.51.100.2:5001"), picture_reports = at("198.51.100.2:5011");
  const auto to = [&](const std::vector<Sent>& sent) {
    return sent.size() == 1 ? sent[0].to : SocketAddress{};
  };
  EXPECT_EQ(to(receive(at_a, port_a, feedback(206, 0xA0, 0xB1))), picture_reports);  // PLI
  EXPECT_EQ(to(receive(at_a, port_a, feedback(205, 1, 0xB1))), picture_reports);     // NACK
  EXPECT_EQ(to(receive(at_a, port_a, feedback(206, 1, 0x9999))), picture_reports);   // of what nobody knows
  EXPECT_EQ(to(receive(at_a, port_a, receiver_report(0xA0, {0xB0}))), sound_reports);
  EXPECT_EQ(to(receive(at_a, port_a, receiver_report(1, {0xB1}))), picture_reports);
  EXPECT_EQ(to(receive(at_a, port_a, receiver_report(1, {}))), sound_reports);
  // A report about both goes to both, whole.
  const auto both = receiver_report(0xA0, {0xB0, 0xB1});
  const auto sent = receive(at_a, port_a, both);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].to, sound_reports);
  EXPECT_EQ(sent[1].to, picture_reports);
  EXPECT_EQ(sent[0].bytes, both);
  EXPECT_EQ(sent[1].bytes, both);
  // FIR: media source 0, its entry names whom.
  std::vector<uint8_t> fir = feedback(206, 1, 0);
  fir[0] = 0x84, fir[3] = 4;
  fir.resize(20);
  rtp::store32(fir.data() + 12, 0xB0);
  EXPECT_EQ(to(receive(at_a, port_a, fir)), sound_reports);
}

/// Who comes to see in the middle of a stream would wait for a picture it can begin with.
TEST_F(BundleLeg, WhoBeginsToSeeIsGivenAWholePicture) {
  establish();
  talk();
  w.pass(seconds(1));
  w.take_sent();
  ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
  ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
  w.pass(Duration{});
  size_t asked = 0;
  for (const Sent& s : w.take_sent()) {
    ASSERT_EQ(s.bytes.size(), 20u);
    EXPECT_EQ(s.bytes[9], 206);
    const bool to_a = s.to == at_a;
    EXPECT_EQ(rtp::load32(s.bytes.data() + 16), to_a ? 0xA1u : 0xB1u);
    EXPECT_EQ(s.to, to_a ? at_a : at("198.51.100.2:5011"));
    ++asked;
  }
  EXPECT_EQ(asked, 2u);  // once each, however often
}

TEST_F(BundleLeg, AStrangerIsNobody) {
  establish();
  talk();
  Voice stranger{at("203.0.113.5:9"), 0xA1, 600, 1, 96};
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(receive(stranger.from, port_a, stranger.packet()).empty());
}

TEST_F(BundleLeg, WithoutIceNothingIsBundled) {
  leg_a = w.engine->open({}).value();
  leg_b = w.engine->open({}).value();
  exchange(bundled_offer, plain_answer);
  EXPECT_THAT(told_a, Not(HasSubstr("BUNDLE")));
  EXPECT_EQ(parsed(told_a).media(1).port, 0);  // bundle-only, or not at all
}

TEST_F(BundleLeg, ARefusedLineLeavesTheGroup) {
  open();
  std::string answer = plain_answer;
  answer.replace(answer.find("m=video 5010"), 12, "m=video 0");
  exchange(bundled_offer, answer);
  EXPECT_THAT(told_a, HasSubstr("a=group:BUNDLE sound\r\n"));
  EXPECT_EQ(parsed(told_a).media(1).port, 0);
  expect_one(receive(at_a, port_a, sound_a.packet()), audio_b, sound_port);
  // The picture comes later, and goes again.
  exchange(bundled_offer, plain_answer);
  talk();
  exchange(bundled_offer, answer);
  expect_one(receive(at_a, port_a, sound_a.packet()), audio_b, sound_port);
  EXPECT_EQ(w.ports.open(), 4u);
}

TEST_F(BundleLeg, ALegMayTakeItsLinesApart) {
  establish();
  talk();
  std::string apart = bundled_offer;
  apart.erase(apart.find("a=group"), std::string("a=group:BUNDLE sound picture\r\n").size());
  apart.replace(apart.find("m=video 0"), 9, "m=video 4010");
  exchange(apart, plain_answer);
  EXPECT_THAT(told_a, Not(HasSubstr("BUNDLE")));
  EXPECT_NE(parsed(told_a).media(1).port, parsed(told_a).media(0).port);
  EXPECT_EQ(w.ports.open(), 8u);
  picture_a.from = at("198.51.100.1:4010");
  expect_one(receive(at_a, port_a, sound_a.packet()), audio_b, sound_port);
  expect_one(receive(picture_a.from, parsed(told_a).media(1).port, picture_a.packet()), video_b,
             picture_port);
}

TEST_F(BundleLeg, OurOfferKeepsTheGroup) {
  establish();
  const auto offer = w.engine->present(w.now, leg_a, parsed(plain_answer), SdpRole::offer, leg_b);
  ASSERT_TRUE(offer.ok());
  EXPECT_THAT(*offer, HasSubstr("a=group:BUNDLE sound picture"));
  EXPECT_EQ(parsed(*offer).attribute(1, "mid"), "picture");
  EXPECT_EQ(parsed(*offer).media(1).port, port_a);
  w.engine->rollback(w.now, leg_a);
  talk();
  ASSERT_TRUE(w.engine->present(w.now, leg_a, parsed(plain_answer), SdpRole::offer, leg_b).ok());
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(bundled_offer), SdpRole::answer).ok());
  talk();
}

TEST_F(BundleLeg, ARestoredLegGoesOn) {
  establish();
  for (int i = 0; i < 5; ++i) talk();
  const EndpointId ids[] = {leg_a, leg_b};
  const std::string part = w.engine->snapshot(w.now, ids);
  for (const EndpointId id : ids) w.engine->close(w.now, id);
  EXPECT_EQ(w.ports.open(), 0u);
  const auto back = w.engine->restore(w.now, part);
  ASSERT_TRUE(back.ok());
  leg_a = (*back)[0], leg_b = (*back)[1];
  talk();
  EXPECT_EQ(w.engine->statistics(leg_a).packets_received, 12u);
  EXPECT_EQ(w.engine->statistics(leg_a).packets_lost, 0);
  for (const EndpointId id : *back) w.engine->close(w.now, id);
  EXPECT_EQ(w.ports.open(), 0u);
}

TEST_F(BundleLeg, GroupsOfNonsenseBundleNothing) {
  for (const char* group : {"a=group:BUNDLE\r\n", "a=group:BUNDLE sound sound sound\r\n",
                            "a=group:BUNDLE nobody picture\r\n", "a=group:LS sound picture\r\n"}) {
    open();
    std::string offer = bundled_offer;
    offer.replace(offer.find("a=group"), std::string("a=group:BUNDLE sound picture\r\n").size(), group);
    exchange(offer, plain_answer);
    EXPECT_EQ(parsed(told_a).media(1).port, 0) << group;
    expect_one(receive(at_a, port_a, sound_a.packet()), audio_b, sound_port);
    w.engine->close(w.now, leg_a), w.engine->close(w.now, leg_b);
    EXPECT_EQ(w.ports.open(), 0u) << group;
  }
}

}  // namespace
}  // namespace tandem::media
