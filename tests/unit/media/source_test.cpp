// What we say ourselves: tones, echo, reports.
#include <gtest/gtest.h>

#include "codec/g711.h"
#include "codec/goertzel.h"
#include "world.h"

namespace tandem::media {
namespace {

std::vector<int16_t> audio(const std::vector<Sent>& sent, const SocketAddress& to) {
  std::vector<int16_t> out;
  for (const Sent& s : sent) {
    if (s.to != to || rtp::kind_of(s.bytes) != rtp::Kind::rtp) continue;
    for (size_t i = 12; i < s.bytes.size(); ++i)
      out.push_back(s.payload_type() == 8 ? codec::decode_a_law(s.bytes[i])
                                          : codec::decode_mu_law(s.bytes[i]));
  }
  return out;
}

TEST(Source, ToneIsHeardAtItsFrequencyAndLevel) {
  for (const std::string formats : {"0", "8"}) {
    World w;
    Call c = establish(w, phone_sdp("10.0.0.1:4000", formats), phone_sdp("10.0.0.2:5000", formats));
    ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::steady(1000, -12)));
    w.pass(seconds(1));
    const auto heard = audio(w.sent, at("10.0.0.2:5000"));
    ASSERT_GE(heard.size(), 8000u);
    EXPECT_NEAR(codec::tone_level(std::span(heard).first(8000), 1000), -12, 0.2);
    EXPECT_LT(codec::tone_level(std::span(heard).first(8000), 1500), -45);
  }
}

TEST(Source, FramesAreAStream) {
  World w;
  Call c = establish(w);
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::music()));
  w.pass(milliseconds(199));
  const auto sent = w.take_sent();
  ASSERT_EQ(sent.size(), 10u);
  EXPECT_EQ(sent[0].from, c.b_port);
  EXPECT_EQ(sent[0].bytes[1] & 0x80, 0x80) << "marker on the first";
  for (size_t i = 1; i < sent.size(); ++i) {
    EXPECT_EQ(sent[i].sequence(), static_cast<uint16_t>(sent[0].sequence() + i));
    EXPECT_EQ(sent[i].timestamp(), sent[0].timestamp() + 160 * i);
    EXPECT_EQ(sent[i].ssrc(), sent[0].ssrc());
    EXPECT_EQ(sent[i].bytes[1] & 0x80, 0);
  }
  // Stopped and played again: the same stream goes on.
  w.engine->stop(w.now, c.b);
  w.pass(seconds(1));
  EXPECT_TRUE(w.take_sent().empty());
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::busy()));
  w.pass(milliseconds(10));
  const auto more = w.take_sent();
  ASSERT_EQ(more.size(), 1u);
  EXPECT_EQ(more[0].ssrc(), sent[0].ssrc());
  EXPECT_EQ(more[0].sequence(), static_cast<uint16_t>(sent[9].sequence() + 1));
}

TEST(Source, MusicReplacesThePartnerUntilStopped) {
  World w;
  Call c = establish(w);
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::music()));
  w.receive(c.voice_a.from, c.a_port, c.voice_a.packet());
  EXPECT_TRUE(w.take_sent().empty()) << "B hears the music only";
  w.receive(c.voice_b.from, c.b_port, c.voice_b.packet());
  EXPECT_EQ(w.take_sent().size(), 1u) << "A still hears B";
  w.engine->stop(w.now, c.b);
  w.receive(c.voice_a.from, c.a_port, c.voice_a.packet());
  EXPECT_EQ(w.take_sent().size(), 1u);
}

/// RFC 3264 section 6.1: what was not answered is not sent, however much the leg would have liked it.
TEST(Source, WhatIsPlayedIsSaidInACodecThatWasAnswered) {
  World w;
  EndpointConfig config;
  config.transcode = true;
  const EndpointId a = w.engine->open(config).value(), b = w.engine->open(config).value();
  const auto offer = parsed(phone_sdp("198.51.100.1:4000", "9 0 8 101"));
  const auto answer = parsed(phone_sdp("198.51.100.2:5000", "8 101"));
  ASSERT_TRUE(w.engine->set_remote(w.now, a, offer, SdpRole::offer).ok());
  w.engine->present(w.now, b, offer, SdpRole::offer, a).value();
  ASSERT_TRUE(w.engine->set_remote(w.now, b, answer, SdpRole::answer).ok());
  const auto told = parsed(w.engine->present(w.now, a, answer, SdpRole::answer, b).value());
  ASSERT_EQ(told.media(0).formats, "8 101");
  ASSERT_TRUE(w.engine->join(w.now, a, b).ok());
  ASSERT_TRUE(w.engine->play(w.now, a, codec::ToneSequence::music()));
  w.pass(milliseconds(100));
  const auto sent = w.take_sent();
  ASSERT_FALSE(sent.empty());
  for (const Sent& s : sent) EXPECT_EQ(s.payload_type(), 8);
}

TEST(Source, JoinEndsTheTone) {
  World w;
  Call c = establish(w);
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::ringback()));
  ASSERT_TRUE(w.engine->join(w.now, c.a, c.b));
  w.pass(seconds(1));
  EXPECT_TRUE(w.take_sent().empty());
}

TEST(Source, SequenceWithRepeatsEnds) {
  World w;
  Call c = establish(w);
  auto beep = codec::ToneSequence{{{800, 0, -10, 100}, {0, 0, 0, 100}}, 2};
  ASSERT_TRUE(w.engine->play(w.now, c.b, beep));
  w.pass(seconds(2));
  EXPECT_EQ(w.take_sent().size(), 20u);
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
  w.receive(c.voice_a.from, c.a_port, c.voice_a.packet());
  EXPECT_EQ(w.take_sent().size(), 1u) << "the partner is back";
}

TEST(Source, AfterALongSleepThereIsAGapAndNoBurst) {
  World w;
  Call c = establish(w);
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::music()));
  w.pass(milliseconds(100));
  const auto before = w.take_sent();
  w.now.mono = w.now.mono + seconds(10);
  port::MediaOut out;
  w.engine->on_timeout(w.now, out);
  w.drain(out);
  size_t frames = 0;
  uint32_t last = 0;
  for (const Sent& s : w.sent)
    if (rtp::kind_of(s.bytes) == rtp::Kind::rtp) {
      ++frames;
      last = s.timestamp();
    }
  EXPECT_LE(frames, 12u);
  EXPECT_NEAR(static_cast<double>(last - before.back().timestamp()), 80000, 3200) << "the clock went on";
}

TEST(Source, WithoutACodecThereIsNoTone) {
  World w;
  Call c = establish(w, phone_sdp("10.0.0.1:4000", "3"), phone_sdp("10.0.0.2:5000", "3"));
  EXPECT_EQ(w.engine->play(w.now, c.b, codec::ToneSequence::music()).reason(), Reason::no_common_codec);
  const EndpointId fresh = w.engine->open({}).value();
  EXPECT_EQ(w.engine->play(w.now, fresh, codec::ToneSequence::music()).reason(), Reason::no_remote);
  EXPECT_EQ(w.engine->echo(w.now, fresh).reason(), Reason::no_remote);
}

TEST(Source, EchoComesBackUnderAnotherSsrc) {
  World w;
  const EndpointId a = w.engine->open({}).value();
  ASSERT_TRUE(w.engine->set_remote(w.now, a, parsed(phone_sdp("10.0.0.1:4000", "9 0")), SdpRole::offer));
  const auto port = w.port_of(w.engine->answer(w.now, a).value());
  ASSERT_TRUE(w.engine->echo(w.now, a));
  Voice v{at("10.0.0.1:4000")};
  const auto packet = v.packet();
  w.receive(v.from, port, packet);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].to, at("10.0.0.1:4000"));
  EXPECT_EQ(w.sent[0].from, port);
  EXPECT_NE(w.sent[0].ssrc(), v.ssrc);
  EXPECT_TRUE(std::equal(packet.begin() + 12, packet.end(), w.sent[0].bytes.begin() + 12));
  w.pass(milliseconds(20));
  w.receive(v.from, port, v.packet());
  ASSERT_EQ(w.sent.size(), 2u);
  EXPECT_EQ(w.sent[1].ssrc(), w.sent[0].ssrc());
  EXPECT_EQ(w.sent[1].sequence(), static_cast<uint16_t>(w.sent[0].sequence() + 1));
  EXPECT_EQ(w.sent[1].timestamp(), w.sent[0].timestamp() + 160);
}

TEST(Source, ReportsTellOfWhatWePlayAndHear) {
  World w;
  Call c = establish(w);
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::steady(425)));
  w.talk(c.voice_b, c.b_port, 300);
  const auto sent = w.take_sent();
  const Sent* report = nullptr;
  const Sent* media = nullptr;
  size_t frames = 0;
  for (const Sent& s : sent) {
    if (s.to == at("10.0.0.2:5001") && !report) report = &s;
    if (s.to == at("10.0.0.2:5000")) {
      media = &s;
      if (!report) ++frames;
    }
  }
  ASSERT_NE(report, nullptr);
  ASSERT_NE(media, nullptr);
  auto reader = rtp::RtcpReader::open(report->bytes);
  ASSERT_TRUE(reader);
  const auto sr = rtp::Report::parse(*reader->next());
  ASSERT_TRUE(sr && sr->sender);
  EXPECT_EQ(sr->ssrc, media->ssrc());
  EXPECT_EQ(sr->sender->packets, frames);
  EXPECT_EQ(sr->sender->octets, frames * 160);
  ASSERT_EQ(sr->block_count, 1);
  EXPECT_EQ(sr->blocks[0].ssrc, c.voice_b.ssrc);
  EXPECT_EQ(sr->blocks[0].fraction_lost, 0);
  EXPECT_EQ(reader->next()->type, 202);

  // B answers 80 ms later, 30 ms of which it held the report: 50 ms round trip.
  World w2;
  Call c2 = establish(w2);
  ASSERT_TRUE(w2.engine->play(w2.now, c2.b, codec::ToneSequence::steady(425)));
  report = nullptr;
  while (!report) {
    w2.pass(milliseconds(10));
    for (const Sent& s : w2.sent)
      if (s.to == at("10.0.0.2:5001")) report = &s;
  }
  auto first = rtp::Report::parse(*rtp::RtcpReader::open(report->bytes)->next());
  w2.pass(milliseconds(80) - (w2.now.mono - report->when));
  rtp::ReportBlock block;
  block.ssrc = first->ssrc;
  block.last_sr = rtp::ntp_middle(first->sender->ntp);
  block.delay_since_last_sr = 30 * 65536 / 1000;
  std::vector<uint8_t> bytes(160);
  bytes.resize(rtp::write_report(bytes, 0xBBBB, std::nullopt, block, "b"));
  w2.receive(at("10.0.0.2:5001"), static_cast<uint16_t>(c2.b_port + 1), bytes);
  EXPECT_NEAR(w2.engine->statistics(c2.b).round_trip_ms, 50, 0.2);
}

}  // namespace
}  // namespace tandem::media
