// Lines of a leg that share a port: whose packets are whose, in both directions, and what is said about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "srtp/context.h"
#include "srtp/sdes.h"
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

TEST_F(BundleLeg, WhatIsReportedOfOneLineIsNotTheOthers) {
  establish();
  talk();
  auto both = receiver_report(0xA0, {0xB0, 0xB1});
  both[12] = 32;       // an eighth of the sound was lost
  both[12 + 24] = 64;  // a quarter of the picture
  EXPECT_EQ(receive(at_a, port_a, both).size(), 2u);
  const LegStatistics sound = w.engine->statistics(leg_a);
  EXPECT_TRUE(sound.has_report);
  EXPECT_DOUBLE_EQ(sound.report_loss, 0.125);
}

/// The line that is told first changes the words, and encrypts them, for its partner.
TEST_F(BundleLeg, ReportsAreReadBeforeTheyAreEncrypted) {
  open();
  EndpointConfig keyed;
  keyed.srtp = Srtp::required;
  leg_b = w.engine->open(keyed).value();
  std::string offer = bundled_offer, answer = plain_answer;
  const auto sound_last = [](std::string& sdp) {
    const size_t audio = sdp.find("m=audio"), video = sdp.find("m=video");
    sdp = sdp.substr(0, audio) + sdp.substr(video) + sdp.substr(audio, video - audio);
  };
  sound_last(offer);
  sound_last(answer);
  offer.replace(offer.find("m=video 0"), 9, "m=video 4000");
  offer.erase(offer.find("a=bundle-only\r\n"), 15);
  SeededRng rng(5);
  srtp::Refusals refusals;
  const auto key = srtp::MasterKey::generate(srtp::Suite::aes_cm_128_hmac_sha1_80, rng);
  const std::string crypto = "a=crypto:" + srtp::write_crypto(1, key) + "\r\n";
  answer.insert(answer.find("m=audio"), crypto);
  answer += crypto;
  for (size_t at = 0; (at = answer.find("RTP/AVP", at)) != std::string::npos; at += 8)
    answer.replace(at, 7, "RTP/SAVP");
  exchange(offer, answer);
  const auto told = parsed(told_b);
  picture_port = told.media(0).port;
  sound_port = told.media(1).port;
  srtp::Sender out_picture(key, refusals), out_sound(key, refusals);
  const auto encrypted = [](srtp::Sender& out, std::vector<uint8_t> packet) {
    const size_t size = packet.size();
    packet.resize(size + srtp::tail_room);
    packet.resize(out.protect_rtp(packet, size).value());
    return packet;
  };
  EXPECT_EQ(receive(at_a, port_a, picture_a.packet()).size(), 1u);
  EXPECT_EQ(receive(at_a, port_a, sound_a.packet()).size(), 1u);
  expect_one(receive(video_b, picture_port, encrypted(out_picture, picture_b.packet())), at_a, port_a);
  expect_one(receive(audio_b, sound_port, encrypted(out_sound, sound_b.packet())), at_a, port_a);

  auto both = receiver_report(0xA0, {0xB0, 0xB1});
  both[12] = 32;
  const auto sent = receive(at_a, port_a, both);
  ASSERT_EQ(sent.size(), 2u);
  for (const Sent& s : sent) {
    const auto told_key = srtp::parse_crypto(told.attributes(s.to.port == 5011 ? 0 : 1, "crypto").at(0));
    ASSERT_TRUE(told_key.ok());
    srtp::Receiver in(told_key->key, refusals);
    std::vector<uint8_t> plain = s.bytes;
    const auto size = in.unprotect_rtcp(plain, plain.size());
    ASSERT_TRUE(size.ok());
    plain.resize(*size);
    EXPECT_EQ(plain, both);
  }
  EXPECT_DOUBLE_EQ(w.engine->statistics(leg_a).report_loss, 0.125);
}

/// Lines that share a port at the other end, too, are one way there.
TEST_F(BundleLeg, WhatIsAboutTwoLinesGoesOnceToAnotherBundle) {
  EndpointConfig c;
  c.ice = Ice::accepted;
  leg_a = w.engine->open(c).value();
  c.ice = Ice::offered;
  c.webrtc = true;
  leg_b = w.engine->open(c).value();
  exchange(bundled_offer,
           "v=0\r\no=- 2 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\n"
           "a=group:BUNDLE 0 1\r\n"
           "m=audio 5000 RTP/AVP 0 101\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:101 telephone-event/8000\r\n"
           "m=video 5000 RTP/AVPF 96\r\na=mid:1\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n");
  expect_one(receive(at_a, port_a, sound_a.packet()), audio_b, sound_port);
  expect_one(receive(at_a, port_a, picture_a.packet()), audio_b, sound_port);
  expect_one(receive(audio_b, sound_port, sound_b.packet()), at_a, port_a);
  expect_one(receive(audio_b, sound_port, picture_b.packet()), at_a, port_a);
  const auto both = receiver_report(0xA0, {0xB0, 0xB1});
  const auto sent = receive(at_a, port_a, both);
  expect_one(sent, audio_b, sound_port);
  EXPECT_EQ(sent[0].bytes, both);
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

/// Until it is answered, an offer to go apart changes nothing: the line still stands on the other's port.
TEST_F(BundleLeg, WhileItIsAskedToTakeThemApartReportsGoOn) {
  establish();
  talk();
  std::string apart = bundled_offer;
  for (std::string line : {"a=group:BUNDLE sound picture\r\n", "a=rtcp-mux\r\n"})
    apart.erase(apart.find(line), line.size());
  apart.replace(apart.find("m=video 0"), 9, "m=video 4010");
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(apart), SdpRole::offer).ok());
  w.engine->present(w.now, leg_b, parsed(apart), SdpRole::offer, leg_a).value();
  const auto report = receiver_report(0xB1, {0xA1});
  const SocketAddress picture_reports = at("198.51.100.2:5011"), sound_reports = at("198.51.100.2:5001");
  expect_one(receive(picture_reports, static_cast<uint16_t>(picture_port + 1), report), at_a, port_a);
  expect_one(receive(sound_reports, static_cast<uint16_t>(sound_port + 1), receiver_report(0xB0, {0xA0})),
             at_a, port_a);
  talk();
  w.pass(seconds(12));  // whatever we report ourselves
  w.engine->rollback(w.now, leg_b);
  w.engine->rollback(w.now, leg_a);
  talk();
}

/// Against RFC 3264 section 8; some do.
TEST_F(BundleLeg, AnOfferOfFewerLinesIsAnsweredAsIfTheRestWereRefused) {
  establish();
  talk();
  std::string fewer = bundled_offer;
  fewer.erase(fewer.find("m=video"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(fewer), SdpRole::offer).ok());
  EXPECT_EQ(receive(audio_b, sound_port, sound_b.packet()).size(), 1u);
  told_b = w.engine->present(w.now, leg_b, parsed(fewer), SdpRole::offer, leg_a).value();
  EXPECT_EQ(parsed(told_b).media(1).port, 0);
  std::string answer = plain_answer;
  answer.replace(answer.find("m=video 5010"), 12, "m=video 0");
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(answer), SdpRole::answer).ok());
  told_a = w.engine->present(w.now, leg_a, parsed(answer), SdpRole::answer, leg_b).value();
  EXPECT_EQ(parsed(told_a).media_count(), 1u);
  expect_one(receive(at_a, w.port_of(told_a), sound_a.packet()), audio_b, sound_port);
  expect_one(receive(audio_b, sound_port, sound_b.packet()), at_a, w.port_of(told_a));
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

// ---- transport-wide feedback ----

class CountedLeg : public BundleLeg {
 protected:
  void open_counted(bool webrtc = false) {
    EndpointConfig c;
    c.ice = webrtc ? Ice::offered : Ice::accepted;
    c.webrtc = webrtc;
    c.srtp = Srtp::accepted;  // with a leg whose keys we have, or that has none, we can speak
    leg_a = w.engine->open(c).value();
    leg_b = w.engine->open({}).value();
  }
  /// With a number in the extension `id`, behind an audio level in extension 1.
  static std::vector<uint8_t> numbered(Voice& v, uint8_t id, uint16_t number) {
    std::vector<uint8_t> p = v.packet();
    p[0] |= 0x10;
    const std::vector<uint8_t> extension = {0xBE,
                                            0xDE,
                                            0,
                                            2,
                                            0x10,
                                            0x7F,
                                            static_cast<uint8_t>(id << 4 | 1),
                                            static_cast<uint8_t>(number >> 8),
                                            static_cast<uint8_t>(number),
                                            0,
                                            0,
                                            0};
    p.insert(p.begin() + 12, extension.begin(), extension.end());
    return p;
  }
  /// Base and count of each feedback to the leg.
  std::vector<std::pair<uint16_t, uint16_t>> feedbacks() {
    std::vector<std::pair<uint16_t, uint16_t>> found;
    for (const Sent& s : w.take_sent())
      if (s.bytes.size() >= 20 && s.bytes[1] == 205 && (s.bytes[0] & 0x1F) == 15) {
        EXPECT_EQ(s.to, at_a);
        EXPECT_EQ(s.from, port_a);
        found.emplace_back(rtp::load16(&s.bytes[12]), rtp::load16(&s.bytes[14]));
      }
    return found;
  }
};

TEST_F(CountedLeg, IsToldWhenItsPacketsCameAndNobodyElseHearsOfIt) {
  open_counted();
  exchange(bundled_offer, plain_answer);
  EXPECT_THAT(told_a, HasSubstr("a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide"));
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-fb:96 transport-cc"));
  EXPECT_TRUE(parsed(told_a).attributes(0, "extmap").empty()) << "the sound asked for none";
  EXPECT_THAT(told_b, Not(HasSubstr("transport")));
  const auto to_b = receive(at_a, port_a, numbered(picture_a, 3, 700));
  expect_one(to_b, video_b, picture_port);
  const std::vector<uint8_t> kept(to_b[0].bytes.begin() + 12, to_b[0].bytes.begin() + 24);
  EXPECT_EQ(kept, (std::vector<uint8_t>{0xBE, 0xDE, 0, 2, 0x10, 0x7F, 0, 0, 0, 0, 0, 0}))
      << "its number is gone";
  // Where there was nothing else, no extension is left.
  Voice twin = picture_a;
  const std::vector<uint8_t> plain = twin.packet();
  std::vector<uint8_t> lone = picture_a.packet();
  lone[0] |= 0x10;
  const std::vector<uint8_t> extension = {0xBE, 0xDE, 0, 1, 0x31, 0x02, 0xBF, 0};  // 703
  lone.insert(lone.begin() + 12, extension.begin(), extension.end());
  const auto shorter = receive(at_a, port_a, lone);
  ASSERT_EQ(shorter.size(), 1u);
  EXPECT_EQ(shorter[0].bytes, plain);
  w.pass(milliseconds(90));
  EXPECT_TRUE(feedbacks().empty());
  w.pass(milliseconds(15));
  EXPECT_THAT(feedbacks(), ::testing::ElementsAre(std::pair(700, 4)));
  w.pass(seconds(1));
  EXPECT_TRUE(feedbacks().empty()) << "nothing has come";
  for (uint16_t i = 704; i < 754; ++i) {
    w.receive(at_a, port_a, numbered(picture_a, 3, i));
    w.pass(milliseconds(20));
  }
  w.pass(milliseconds(200));
  uint16_t next = 704;
  for (const auto& [base, count] : feedbacks()) {
    EXPECT_EQ(base, next);
    next = static_cast<uint16_t>(base + count);
  }
  EXPECT_EQ(next, 754);
  EXPECT_EQ(w.counters.total("media_transport_feedback_total"), 11u);
}

TEST_F(CountedLeg, IsOfferedItWithAnIdThatNoLineUses) {
  open_counted(true);
  const std::string offer =
      std::string(plain_answer) +
      "a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r\na=extmap:2 urn:3gpp:video-orientation\r\n";
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(offer), SdpRole::offer).ok());
  told_a = w.engine->present(w.now, leg_a, parsed(offer), SdpRole::offer, leg_b).value();
  const auto told = parsed(told_a);
  const std::string wanted = "3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
  EXPECT_EQ(told.attributes(0, "extmap").back(), wanted);
  EXPECT_EQ(told.attributes(1, "extmap").back(), wanted);
  EXPECT_THAT(told_a, HasSubstr("a=rtcp-fb:96 transport-cc"));
  EXPECT_THAT(told_a, Not(HasSubstr("a=rtcp-fb:97 transport-cc"))) << "rtx is no codec";
}

TEST_F(CountedLeg, WhoTookNoneHasItsExtensionsToItself) {
  open_counted();
  std::string offer = bundled_offer;
  for (const char* line :
       {"a=rtcp-fb:96 transport-cc\r\n",
        "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"})
    offer.erase(offer.find(line), std::string(line).size());
  exchange(offer, plain_answer);
  EXPECT_THAT(told_a, Not(HasSubstr("transport")));
  const auto to_b = receive(at_a, port_a, numbered(picture_a, 3, 1));
  ASSERT_EQ(to_b.size(), 1u);
  EXPECT_EQ(to_b[0].bytes[18], 0x31);
  w.pass(seconds(1));
  EXPECT_TRUE(feedbacks().empty());
}

// ---- sent again ----

/// B reports lost pictures of A's, whom we tell that they have come.
class LosingLeg : public CountedLeg {
 protected:
  const SocketAddress reports_b = at("198.51.100.2:5011");
  static std::vector<uint8_t> nack(uint32_t media, std::vector<std::pair<uint16_t, uint16_t>> lost) {
    std::vector<uint8_t> p(12 + 4 * lost.size());
    p[0] = 0x81;
    p[1] = 205;
    rtp::store16(&p[2], static_cast<uint16_t>(p.size() / 4 - 1));
    rtp::store32(&p[4], 0xB1);
    rtp::store32(&p[8], media);
    for (size_t i = 0; i < lost.size(); ++i) {
      rtp::store16(&p[12 + 4 * i], lost[i].first);
      rtp::store16(&p[14 + 4 * i], lost[i].second);
    }
    return p;
  }
  void establish_losing(const char* feedback = "a=rtcp-fb:96 nack\r\n") {
    open_counted();
    exchange(bundled_offer, std::string(plain_answer) + feedback);
    w.receive(reports_b, static_cast<uint16_t>(picture_port + 1), nack(picture_a.ssrc, {{1, 0}}));
    w.take_sent();
  }
  std::vector<std::vector<uint8_t>> show(uint16_t packets) {
    std::vector<std::vector<uint8_t>> shown;
    for (uint16_t i = 0; i < packets; ++i)
      for (const Sent& s : receive(at_a, port_a, numbered(picture_a, 3, i)))
        if (s.to == video_b) shown.push_back(s.bytes);
    return shown;
  }
  void report(const std::vector<uint8_t>& bytes) {
    w.take_sent();
    w.receive(reports_b, static_cast<uint16_t>(picture_port + 1), bytes);
  }
};

TEST_F(LosingLeg, GetsAgainWhatItHasLost) {
  establish_losing();
  const auto shown = show(20);  // numbers from 500
  ASSERT_EQ(shown.size(), 20u);
  w.pass(milliseconds(30));
  report(nack(picture_a.ssrc, {{503, 0b101}}));
  ASSERT_EQ(w.sent.size(), 3u) << "and nobody else is asked";
  for (const size_t i : {0, 1, 2}) {
    EXPECT_EQ(w.sent[i].to, video_b);
    EXPECT_EQ(w.sent[i].from, picture_port);
  }
  EXPECT_EQ(w.sent[0].bytes, shown[3]);
  EXPECT_EQ(w.sent[1].bytes, shown[4]);
  EXPECT_EQ(w.sent[2].bytes, shown[6]);
  EXPECT_EQ(w.counters.total("media_packets_sent_again_total"), 3u);
  report(nack(picture_a.ssrc, {{503, 0}}));
  EXPECT_EQ(w.sent.size(), 1u) << "at once again is too soon: it is A who is asked";
  EXPECT_EQ(w.sent[0].to, at_a);
}

TEST_F(LosingLeg, WhatIsNotThereIsAskedOfWhoSentIt) {
  establish_losing();
  (void)show(3);
  w.pass(milliseconds(30));
  report(nack(picture_a.ssrc, {{499, 0b11}, {490, 0b1}, {502, 0}}));
  ASSERT_EQ(w.sent.size(), 4u);
  EXPECT_EQ(w.sent[3].to, at_a);
  EXPECT_EQ(w.sent[3].bytes, nack(picture_a.ssrc, {{499, 0}, {490, 1}}));
  report(nack(0x1234, {{500, 0}}));
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at_a) << "of another stream";
  w.pass(seconds(2));
  report(nack(picture_a.ssrc, {{500, 0}}));
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at_a) << "nobody waits for it any more";
}

TEST_F(LosingLeg, AReportWithoutASenderIsNothingWithoutItsNack) {
  establish_losing();
  const auto shown = show(3);
  w.pass(milliseconds(30));
  std::vector<uint8_t> headless = {0x81, 201, 0, 0};
  const auto asked = nack(picture_a.ssrc, {{501, 0}});
  headless.insert(headless.end(), asked.begin(), asked.end());
  report(headless);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].bytes, shown[1]);
}

TEST_F(LosingLeg, APacketIsNotSentAgainForever) {
  establish_losing();
  (void)show(1);
  size_t again = 0;
  for (int i = 0; i < 50; ++i) {
    w.pass(milliseconds(10));
    report(nack(picture_a.ssrc, {{500, 0}}));
    for (const Sent& s : w.sent) again += s.to == video_b ? 1 : 0;
  }
  EXPECT_EQ(again, 10u);
}

TEST_F(LosingLeg, WhoHasNotAskedForItIsKeptNothing) {
  establish_losing("");
  (void)show(3);
  w.pass(milliseconds(30));
  report(nack(picture_a.ssrc, {{500, 0}}));
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at_a);
}

// ---- offered by us ----

constexpr const char* phone_offer =
    "v=0\r\no=- 2 1 IN IP4 198.51.100.2\r\ns=-\r\nc=IN IP4 198.51.100.2\r\nt=0 0\r\n"
    "m=audio 5000 RTP/AVP 0 101\r\na=mid:x\r\na=rtpmap:101 telephone-event/8000\r\n"
    "m=video 5010 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000\r\n";

class OfferedBundle : public BundleLeg {
 protected:
  void offer_it() {
    EndpointConfig c;
    c.ice = Ice::offered;
    c.webrtc = true;
    leg_a = w.engine->open(c).value();
    leg_b = w.engine->open({}).value();
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(phone_offer), SdpRole::offer).ok());
    told_a = w.engine->present(w.now, leg_a, parsed(phone_offer), SdpRole::offer, leg_b).value();
    port_a = w.port_of(told_a);
  }
  void take_answer(const std::string& answer) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(answer), SdpRole::answer).ok());
    told_b = w.engine->present(w.now, leg_b, parsed(answer), SdpRole::answer, leg_a).value();
    ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
    sound_port = w.port_of(told_b);
    if (parsed(told_b).media_count() > 1) picture_port = parsed(told_b).media(1).port;
  }
  static std::string answer(const std::string& group, const std::string& video) {
    return "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n" + group +
           "m=audio 4000 RTP/AVP 0 101\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:101 telephone-event/8000\r\n" +
           video;
  }
  size_t sent_to(const SocketAddress& to) {
    size_t n = 0;
    for (const Sent& s : w.take_sent()) n += s.to == to ? 1 : 0;
    return n;
  }
};

TEST_F(OfferedBundle, AllLinesStandOnOnePort) {
  offer_it();
  const auto told = parsed(told_a);
  EXPECT_EQ(told.attribute(sdp::Description::session, "group"), "BUNDLE 0 1");
  EXPECT_EQ(told.attribute(0, "mid"), "0");
  EXPECT_EQ(told.attribute(1, "mid"), "1");
  EXPECT_EQ(told.media(1).port, 0);
  EXPECT_TRUE(told.has_attribute(1, "bundle-only"));
  EXPECT_FALSE(told.has_attribute(0, "bundle-only"));
  for (const size_t i : {0, 1}) {
    EXPECT_TRUE(told.has_attribute(i, "rtcp-mux"));
    EXPECT_TRUE(told.has_attribute(i, "rtcp-mux-only"));
    EXPECT_EQ(told.attribute(i, "ice-ufrag"), told.attribute(0, "ice-ufrag"));
  }
  take_answer(answer("a=group:BUNDLE 0 1\r\n",
                     "m=video 4000 RTP/AVPF 96\r\na=mid:1\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"));
  for (const char* name : {"bundle-only", "rtcp-mux", "a=mid:0", "BUNDLE"})
    EXPECT_THAT(told_b, Not(HasSubstr(name)));
  w.take_sent();
  w.talk(sound_a, port_a, 3);
  EXPECT_EQ(sent_to(audio_b), 3u);
  w.talk(picture_a, port_a, 3);
  EXPECT_EQ(sent_to(video_b), 3u);
  w.talk(sound_b, sound_port, 3);
  w.talk(picture_b, picture_port, 3);
  EXPECT_GE(sent_to(at_a), 6u);
  // What is offered later is the port they have.
  const auto again = w.engine->present(w.now, leg_a, parsed(phone_offer), SdpRole::offer, leg_b);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(parsed(*again).media(1).port, port_a);
  EXPECT_THAT(*again, Not(HasSubstr("bundle-only")));
}

TEST_F(OfferedBundle, ALineThatComesLaterJoins) {
  EndpointConfig c;
  c.ice = Ice::offered;
  c.webrtc = true;
  leg_a = w.engine->open(c).value();
  leg_b = w.engine->open({}).value();
  const auto sound = parsed(phone_sdp("198.51.100.2:5000", "0 101"));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, sound, SdpRole::offer).ok());
  told_a = w.engine->present(w.now, leg_a, sound, SdpRole::offer, leg_b).value();
  port_a = w.port_of(told_a);
  take_answer(answer("a=group:BUNDLE 0\r\n", ""));
  ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, parsed(phone_offer), SdpRole::offer).ok());
  const auto again = w.engine->present(w.now, leg_a, parsed(phone_offer), SdpRole::offer, leg_b);
  ASSERT_TRUE(again.ok());
  const auto told = parsed(*again);
  EXPECT_EQ(told.attribute(sdp::Description::session, "group"), "BUNDLE 0 1");
  EXPECT_EQ(told.media(0).port, port_a);
  EXPECT_EQ(told.media(1).port, port_a);
  EXPECT_EQ(told.attribute(1, "mid"), "1");
  take_answer(answer("a=group:BUNDLE 0 1\r\n",
                     "m=video 4000 RTP/AVPF 96\r\na=mid:1\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"));
  w.take_sent();
  w.talk(picture_a, port_a, 3);
  EXPECT_EQ(sent_to(video_b), 3u);
}

TEST_F(OfferedBundle, WhoRefusesTheSecondLineHasTheFirst) {
  offer_it();
  take_answer(answer("a=group:BUNDLE 0\r\n", "m=video 0 RTP/AVPF 96\r\na=mid:1\r\n"));
  EXPECT_EQ(picture_port, 0);
  w.take_sent();
  w.talk(sound_a, port_a, 3);
  EXPECT_EQ(sent_to(audio_b), 3u);
}

TEST_F(OfferedBundle, ItIsOneRefusalForAll) {
  offer_it();
  w.engine->rollback(w.now, leg_a);
  EXPECT_TRUE(w.engine->local_description(leg_a).empty());
  w.engine->close(w.now, leg_a);
  w.engine->close(w.now, leg_b);
  EXPECT_EQ(w.ports.open(), 0u);
}

}  // namespace
}  // namespace tandem::media
