#include <gtest/gtest.h>

#include <algorithm>

#include "world.h"

namespace tandem::media {
namespace {

TEST(Relay, CarriesBothWaysUntouched) {
  World w;
  Call c = establish(w);
  const auto packet = c.voice_a.packet();
  w.receive(c.voice_a.from, c.a_port, packet);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].from, c.b_port);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.2:5000"));
  EXPECT_EQ(w.sent[0].bytes, packet);
  w.take_sent();
  const auto back = c.voice_b.packet();
  w.receive(c.voice_b.from, c.b_port, back);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].from, c.a_port);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.1:4000"));
  EXPECT_EQ(w.sent[0].bytes, back);
}

TEST(Relay, DescriptionsCarryOurAddressesAndKeepTheRest) {
  World w;
  const std::string offer =
      phone_sdp("10.0.0.1:4000", "96 0 101",
                "a=rtpmap:96 opus/48000/2\r\na=candidate:1 1 UDP 1 10.0.0.1 4000 typ host\r\n"
                "a=x-keep:me\r\na=ptime:30\r\n");
  const Call c = establish(w, offer, phone_sdp("10.0.0.2:5000", "96", "a=rtpmap:96 opus/48000/2\r\n"));
  const auto d = parsed(c.to_b);
  EXPECT_EQ(d.connection(0)->to_string(), "192.0.2.100");
  EXPECT_EQ(d.origin().address, "192.0.2.100");
  EXPECT_EQ(d.media(0).formats, "96 0 101");
  EXPECT_EQ(*d.attribute(0, "x-keep"), "me");
  EXPECT_EQ(*d.attribute(0, "ptime"), "30");
  EXPECT_FALSE(d.has_attribute(0, "candidate"));
  EXPECT_EQ(c.to_b.find("10.0.0.1"), std::string::npos) << "the caller's own address leaks";
  EXPECT_EQ(parsed(c.to_a).media(0).formats, "96");
  EXPECT_NE(parsed(c.to_a).origin().session_id, d.origin().session_id);
  EXPECT_EQ(w.ports.open(), 4u);
}

TEST(Relay, LateOfferWorksWithRolesSwapped) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  const EndpointId b = w.engine->open({}).value();
  // The 200 of B brings the offer, the ACK of A the answer.
  ASSERT_TRUE(w.engine->set_remote(w.now, b, parsed(phone_sdp("10.0.0.2:5000")), SdpRole::offer));
  const auto to_a = w.engine->present(w.now, a, parsed(phone_sdp("10.0.0.2:5000")), SdpRole::offer).value();
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::answer));
  const auto to_b = w.engine->present(w.now, b, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::answer).value();
  ASSERT_TRUE(w.engine->join(w.now, a, b));
  Voice v{at("10.0.0.1:4000")};
  w.talk(v, w.port_of(to_a));
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].from, w.port_of(to_b));
  EXPECT_EQ(w.sent[0].to, at("10.0.0.2:5000"));
}

TEST(Relay, RtcpPassesAndIsRead) {
  World w;
  Call c = establish(w);
  std::vector<uint8_t> bytes(160);
  rtp::ReportBlock block;
  block.ssrc = 0xBBBB;
  block.fraction_lost = 64;
  block.cumulative_lost = 25;
  block.jitter = 80;
  const size_t n = rtp::write_report(bytes, 0xAAAA, std::nullopt, block, "a@phone");
  bytes.resize(n);
  w.receive(at("10.0.0.1:4001"), static_cast<uint16_t>(c.a_port + 1), bytes);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].from, c.b_port + 1);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.2:5001"));
  EXPECT_EQ(w.sent[0].bytes, bytes);
  const LegStatistics s = w.engine->statistics(c.a);
  EXPECT_TRUE(s.has_report);
  EXPECT_DOUBLE_EQ(s.report_loss, 0.25);
  EXPECT_EQ(s.report_lost, 25);
  EXPECT_DOUBLE_EQ(s.report_jitter_ms, 10);
}

TEST(Relay, MultiplexedRtcpUsesTheRtpPort) {
  World w;
  Call c = establish(w, phone_sdp("10.0.0.1:4000", "0", "a=rtcp-mux\r\n"),
                     phone_sdp("10.0.0.2:5000", "0", "a=rtcp-mux\r\n"));
  std::vector<uint8_t> bytes(160);
  bytes.resize(rtp::write_report(bytes, 0xAAAA, std::nullopt, std::nullopt, "a"));
  w.receive(at("10.0.0.1:4000"), c.a_port, bytes);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].from, c.b_port);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.2:5000"));
}

TEST(Relay, WhatIsNoRtpIsCountedAndDropped) {
  World w;
  Call c = establish(w);
  const SocketAddress from = c.voice_a.from;
  w.receive(from, c.a_port, {});
  w.receive(from, c.a_port, {0x80});
  w.receive(from, c.a_port, std::vector<uint8_t>(20, 0x00));  // STUN
  w.receive(from, c.a_port, std::vector<uint8_t>(20, 0x16));  // DTLS
  auto short_extension = c.voice_a.packet(2);
  short_extension[0] |= 0x10;
  w.receive(from, c.a_port, short_extension);
  auto padded = c.voice_a.packet(2);
  padded[0] |= 0x20;
  padded.back() = 200;
  w.receive(from, c.a_port, padded);
  w.receive(at("10.0.0.1:4001"), static_cast<uint16_t>(c.a_port + 1), {0x80, 200, 0, 9, 0, 0, 0, 0});
  EXPECT_TRUE(w.sent.empty());
  EXPECT_EQ(w.engine->statistics(c.a).malformed_dropped, 7u);
  EXPECT_EQ(w.counters.total("media_packets_total"), 7u);
}

TEST(Relay, UnknownPayloadTypesAndSrtpPass) {
  World w;
  const auto savp = [](const std::string& address) {
    std::string s = phone_sdp(address, "0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n");
    return s.replace(s.find("RTP/AVP"), 7, "RTP/SAVP");
  };
  Call c = establish(w, savp("10.0.0.1:4000"), savp("10.0.0.2:5000"));
  EXPECT_NE(c.to_b.find("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc"), std::string::npos);
  c.voice_a.payload_type = 77;
  auto packet = c.voice_a.packet();
  packet[0] |= 0x20;  // the padding octet is ciphertext
  packet.back() = 0;
  w.receive(c.voice_a.from, c.a_port, packet);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].bytes, packet);
}

TEST(Relay, DtlsHandshakesPassWhereTheyWereAgreed) {
  World w;
  const auto dtls = [](const std::string& address) {
    std::string s = phone_sdp(address, "0", "a=fingerprint:sha-256 AB:CD\r\na=setup:actpass\r\n");
    return s.replace(s.find("RTP/AVP"), 7, "UDP/TLS/RTP/SAVP");
  };
  Call c = establish(w, dtls("10.0.0.1:4000"), dtls("10.0.0.2:5000"));
  EXPECT_NE(c.to_b.find("a=fingerprint:sha-256 AB:CD"), std::string::npos);
  const std::vector<uint8_t> hello(60, 22);
  w.receive(c.voice_a.from, c.a_port, hello);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.2:5000"));
  EXPECT_EQ(w.sent[0].bytes, hello);
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(w.sent.size(), 2u);
  w.receive(at("203.0.113.66:1"), c.a_port, hello);
  EXPECT_EQ(w.sent.size(), 2u);
}

TEST(Relay, VideoAndFaxAreAnchoredRefusedLinesStay) {
  World w;
  const std::string extra =
      "m=video 4002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\nm=image 4004 udptl t38\r\nm=audio 0 RTP/AVP 0\r\n"
      "m=message 4006 TCP/MSRP *\r\n";
  const std::string extra_b =
      "m=video 5002 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\nm=image 5004 udptl t38\r\nm=audio 0 RTP/AVP 0\r\n"
      "m=message 0 TCP/MSRP *\r\n";
  Call c = establish(w, phone_sdp("10.0.0.1:4000") + extra, phone_sdp("10.0.0.2:5000") + extra_b);
  const auto d = parsed(c.to_b);
  ASSERT_EQ(d.media_count(), 5u);
  EXPECT_EQ(d.media(3).port, 0);
  EXPECT_EQ(d.media(4).port, 0);
  EXPECT_EQ(w.ports.open(), 12u);
  Voice video{at("10.0.0.1:4002"), 0xEEEE};
  video.payload_type = 99;
  w.talk(video, parsed(c.to_a).media(1).port);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.2:5002"));
  w.receive(at("10.0.0.1:4004"), parsed(c.to_a).media(2).port, {0, 1, 2, 3});
  ASSERT_EQ(w.sent.size(), 2u);
  EXPECT_EQ(w.sent[1].to, at("10.0.0.2:5004"));
  EXPECT_EQ(w.sent[1].bytes, (std::vector<uint8_t>{0, 1, 2, 3}));
}

/// What a camera says of its pictures, and what it is told about them.
constexpr const char* pictures_sdp =
    "RTP/AVPF 98 45\r\na=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=2\r\n"
    "a=rtcp-fb:98 nack\r\na=rtcp-fb:98 nack pli\r\na=rtcp-fb:98 ccm fir\r\na=rtcp-fb:98 goog-remb\r\n"
    "a=rtpmap:45 AV1/90000\r\na=fmtp:45 profile=0;level-idx=8;tier=0\r\na=rtcp-fb:45 ccm fir\r\n";

TEST(Relay, WhatIsSaidOfPicturesGoesThrough) {
  World w;
  const std::string lines = pictures_sdp;
  const Call c = establish(w, phone_sdp("10.0.0.1:4000") + "m=video 4002 " + lines,
                           phone_sdp("10.0.0.2:5000") + "m=video 5002 " + lines);
  const auto line_of = [](const std::string& text) {
    const auto d = parsed(text);
    std::vector<std::string> all{std::string(d.media(1).proto), std::string(d.media(1).formats)};
    for (const char* name : {"rtpmap", "fmtp", "rtcp-fb"})
      for (const std::string_view value : d.attributes(1, name)) all.emplace_back(value);
    return all;
  };
  const std::vector<std::string> all{"RTP/AVPF",     "98 45",           "98 VP9/90000",
                                     "45 AV1/90000", "98 profile-id=2", "45 profile=0;level-idx=8;tier=0",
                                     "98 nack",      "98 nack pli",     "98 ccm fir",
                                     "98 goog-remb", "45 ccm fir"};
  EXPECT_EQ(line_of(c.to_b), all);
  EXPECT_EQ(line_of(c.to_a), all);
  for (const uint8_t type : {98, 45}) {
    Voice video{at("10.0.0.1:4002"), 0xEEEE};
    video.payload_type = type;
    const auto packet = video.packet(1000);
    w.receive(video.from, parsed(c.to_a).media(1).port, packet);
    const auto sent = w.take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].to, at("10.0.0.2:5002"));
    EXPECT_EQ(sent[0].bytes, packet);
  }
}

/// One feedback packet (RFC 4585 section 6.1).
std::vector<uint8_t> feedback(uint8_t type, uint8_t format, uint32_t media,
                              const std::vector<uint8_t>& control) {
  std::vector<uint8_t> bytes(12 + control.size());
  bytes[0] = static_cast<uint8_t>(0x80 | format);
  bytes[1] = type;
  rtp::store16(&bytes[2], static_cast<uint16_t>(2 + control.size() / 4));
  rtp::store32(&bytes[4], 0xFFFF);  // who says so
  rtp::store32(&bytes[8], media);
  std::copy(control.begin(), control.end(), bytes.begin() + 12);
  return bytes;
}

TEST(Relay, FeedbackOnPicturesGoesBackWithoutBundle) {
  World w;
  const std::string lines = pictures_sdp;
  const Call c = establish(w, phone_sdp("10.0.0.1:4000") + "m=video 4002 " + lines,
                           phone_sdp("10.0.0.2:5000") + "m=video 5002 " + lines);
  Voice video{at("10.0.0.1:4002"), 0xEEEE};
  video.payload_type = 98;
  w.talk(video, parsed(c.to_a).media(1).port);
  w.take_sent();
  constexpr uint8_t rtpfb = 205, psfb = 206;
  const std::pair<const char*, std::vector<uint8_t>> all[] = {
      {"NACK, RFC 4585 section 6.2.1", feedback(rtpfb, 1, 0xEEEE, {0, 100, 0, 0})},
      {"TMMBR, RFC 5104 section 4.2.1", feedback(rtpfb, 3, 0, {0, 0, 0xEE, 0xEE, 0x1A, 0, 0, 40})},
      {"PLI, RFC 4585 section 6.3.1", feedback(psfb, 1, 0xEEEE, {})},
      {"FIR, RFC 5104 section 4.3.1: its SSRC is in the control information",
       feedback(psfb, 4, 0, {0, 0, 0xEE, 0xEE, 1, 0, 0, 0})},
      {"REMB, draft-alvestrand-rmcat-remb section 2.2",
       feedback(psfb, 15, 0, {'R', 'E', 'M', 'B', 1, 0x0B, 0xD0, 0x90, 0, 0, 0xEE, 0xEE})}};
  for (const auto& [what, bytes] : all) {
    // Of reduced size (RFC 5506), and behind a report.
    std::vector<uint8_t> compound(160);
    rtp::ReportBlock block;
    block.ssrc = 0xEEEE;
    compound.resize(rtp::write_report(compound, 0xFFFF, std::nullopt, block, "b"));
    compound.insert(compound.end(), bytes.begin(), bytes.end());
    for (const auto& packet : {bytes, compound}) {
      w.receive(at("10.0.0.2:5003"), static_cast<uint16_t>(parsed(c.to_b).media(1).port + 1), packet);
      const auto sent = w.take_sent();
      ASSERT_EQ(sent.size(), 1u) << what;
      EXPECT_EQ(sent[0].to, at("10.0.0.1:4003")) << what << ": to the camera, not to the microphone";
      EXPECT_EQ(sent[0].bytes, packet) << what;
    }
  }
}

TEST(Relay, Ipv6) {
  World w;
  EndpointConfig v6;
  v6.family = IpAddress::Family::v6;
  Call c = establish(w, phone_sdp("[2001:db8::1]:4000"), phone_sdp("[2001:db8::2]:5000"), v6);
  EXPECT_NE(c.to_b.find("c=IN IP6 2001:db8::100\r\n"), std::string::npos);
  Voice v{at("[2001:db8::1]:4000")};
  w.talk(v, c.a_port);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at("[2001:db8::2]:5000"));
}

TEST(Relay, HeldLegGetsNothing) {
  World w;
  Call c = establish(w);
  const auto hold = phone_sdp("10.0.0.1:4000", "0 8 101", "a=sendonly\r\n");
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(hold), SdpRole::offer));
  const auto to_b = w.engine->present(w.now, c.b, parsed(hold), SdpRole::offer).value();
  EXPECT_EQ(parsed(to_b).direction(0), sdp::Direction::sendonly);
  ASSERT_TRUE(w.engine->set_remote(
      w.now, c.b, parsed(phone_sdp("10.0.0.2:5000", "0 8 101", "a=recvonly\r\n")), SdpRole::answer));
  EXPECT_EQ(w.engine->remote_direction(c.a), sdp::Direction::sendonly);
  w.talk(c.voice_b, c.b_port);
  EXPECT_TRUE(w.sent.empty());
  w.talk(c.voice_a, c.a_port);  // the holding side may send its own music
  EXPECT_EQ(w.take_sent().size(), 1u);

  // Resumed; and the old style of hold, by c=0.0.0.0, which moves nothing.
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer));
  w.talk(c.voice_b, c.b_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(phone_sdp("0.0.0.0:4000")), SdpRole::offer));
  w.talk(c.voice_b, c.b_port);
  EXPECT_TRUE(w.sent.empty());
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(w.take_sent().size(), 1u);
}

TEST(Relay, TransferJoinsAnotherEndpointAndMapsPayloadTypes) {
  World w;
  Call c = establish(w);
  // C offered telephone-event as 96, on its own.
  Call other = establish(w, phone_sdp("10.0.0.3:6000", "8 96", "a=rtpmap:96 telephone-event/8000\r\n"),
                         phone_sdp("10.0.0.4:7000", "8 96", "a=rtpmap:96 telephone-event/8000\r\n"));
  ASSERT_TRUE(w.engine->join(w.now, c.a, other.a));
  EXPECT_EQ(w.engine->peer(c.a), other.a);
  EXPECT_FALSE(w.engine->peer(c.b));
  EXPECT_FALSE(w.engine->peer(other.b));
  c.voice_a.payload_type = 101;
  w.talk(c.voice_a, c.a_port);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.3:6000"));
  EXPECT_EQ(w.sent[0].payload_type(), 96);
  c.voice_a.payload_type = 8;
  w.talk(c.voice_a, c.a_port);
  EXPECT_EQ(w.sent[1].payload_type(), 8);
  w.take_sent();
  w.talk(c.voice_b, c.b_port);  // left alone
  EXPECT_TRUE(w.sent.empty());
}

TEST(Relay, StatisticsOfBothLegs) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port, 10);
  c.voice_a.sequence += 2;  // two lost
  c.voice_a.timestamp += 320;
  w.pass(milliseconds(40));
  w.talk(c.voice_a, c.a_port, 8);
  const LegStatistics a = w.engine->statistics(c.a);
  EXPECT_EQ(a.packets_received, 18u);
  EXPECT_EQ(a.octets_received, 18u * 160);
  EXPECT_EQ(a.packets_expected, 20u);
  EXPECT_EQ(a.packets_lost, 2);
  EXPECT_EQ(a.codec, "PCMU");
  EXPECT_DOUBLE_EQ(a.jitter_ms, 0);
  EXPECT_EQ(a.remote, at("10.0.0.1:4000"));
  EXPECT_GT(a.mos, 3.0);
  EXPECT_LT(a.mos, 4.3);
  const LegStatistics b = w.engine->statistics(c.b);
  EXPECT_EQ(b.packets_sent, 18u);
  EXPECT_EQ(b.octets_sent, 18u * 160);
  EXPECT_EQ(b.packets_received, 0u);
  EXPECT_DOUBLE_EQ(b.mos, 0);
}

TEST(Relay, DigitsAreHeardOncePerEvent) {
  World w;
  Call c = establish(w);
  const auto digit = [&](uint8_t event, uint32_t timestamp, bool end) {
    Voice v = c.voice_a;
    v.payload_type = 101;
    v.timestamp = timestamp;
    auto p = v.packet(4);
    c.voice_a.sequence = v.sequence;
    rtp::TelephoneEvent{event, end, 10, 160}.write(&p[12]);
    w.receive(v.from, c.a_port, p);
  };
  w.talk(c.voice_a, c.a_port);
  w.events();
  for (int i = 0; i < 3; ++i) digit(5, 16000, false);
  for (int i = 0; i < 3; ++i) digit(5, 16000, true);
  digit(11, 24000, false);
  digit(5, 16000, true);  // overtaken
  const auto events = w.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].digit, '5');
  EXPECT_EQ(events[1].digit, '#');
  EXPECT_EQ(w.sent.size(), 9u) << "and they are relayed";
}

TEST(Relay, FirstPacketAndTimeout) {
  World w;
  EndpointConfig config;
  config.media_timeout = seconds(30);
  config.trail = 42;
  Call c = establish(w, config);
  w.talk(c.voice_a, c.a_port, 3);
  auto events = w.events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, MediaEvent::Kind::first_packet);
  EXPECT_EQ(events[0].trail, 42u);
  w.pass(seconds(29));
  EXPECT_TRUE(w.events().empty());
  w.pass(seconds(2));  // B never spoke, A has not for 30 s
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 2u);
  w.pass(seconds(120));
  EXPECT_TRUE(w.events().empty()) << "fires once";
  w.talk(c.voice_a, c.a_port, 1);
  w.pass(seconds(100));
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 2u) << "and again after media came back";
}

TEST(Relay, OneSideThatTalksKeepsBoth) {
  World w;
  EndpointConfig config;
  config.media_timeout = seconds(30);
  Call c = establish(w, config);
  for (int i = 0; i < 20; ++i) {
    w.talk(c.voice_a, c.a_port, 1);
    w.pass(seconds(20));
  }
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 0u);
  for (int i = 0; i < 20; ++i) {
    w.talk(c.voice_b, c.b_port, 1);
    w.pass(seconds(20));
  }
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 0u);
  w.pass(seconds(31));
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 2u);
}

TEST(Relay, NoTimeoutOnHold) {
  World w;
  EndpointConfig config;
  config.media_timeout = seconds(30);
  Call c = establish(w, config);
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(phone_sdp("10.0.0.1:4000", "0", "a=inactive\r\n")),
                                   SdpRole::offer));
  ASSERT_TRUE(w.engine->set_remote(w.now, c.b, parsed(phone_sdp("10.0.0.2:5000", "0", "a=inactive\r\n")),
                                   SdpRole::answer));
  w.pass(minutes(10));
  EXPECT_TRUE(w.events().empty());
  ASSERT_TRUE(w.engine->set_remote(w.now, c.a, parsed(phone_sdp("10.0.0.1:4000")), SdpRole::offer));
  w.pass(minutes(10));
  EXPECT_TRUE(w.events().empty()) << "the other side still holds";
  ASSERT_TRUE(w.engine->set_remote(w.now, c.b, parsed(phone_sdp("10.0.0.2:5000")), SdpRole::answer));
  w.pass(seconds(29));
  EXPECT_TRUE(w.events().empty());
  w.pass(seconds(31));
  EXPECT_EQ(w.count(MediaEvent::Kind::timeout), 2u);
}

TEST(Relay, StalePortIdsAreStrays) {
  World w;
  Call c = establish(w);
  const port::MediaPortId old = w.ports.id_of(c.a_port);
  w.engine->close(w.now, c.a);
  auto bytes = c.voice_a.packet();
  port::MediaPacket p{old, c.voice_a.from, bytes, 0};
  port::MediaPacket wild{{999999, 3}, c.voice_a.from, bytes, 0};
  port::MediaOut out;
  w.engine->on_media(w.now, {&p, 1}, out);
  w.engine->on_media(w.now, {&wild, 1}, out);
  EXPECT_TRUE(out.sends.empty());
}

}  // namespace
}  // namespace tandem::media
