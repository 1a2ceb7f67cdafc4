// How legs sound, and what is told about it: round trips, extended reports, hostile RTCP, grades.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rtp/xr.h"
#include "srtp/context.h"
#include "srtp/sdes.h"
#include "world.h"

namespace tandem::media {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const SocketAddress rtcp_a = at("10.0.0.1:4001"), rtcp_b = at("10.0.0.2:5001");
constexpr const char* xr_line = "a=rtcp-xr:rcvr-rtt=all:100 voip-metrics\r\n";

/// One compound, taken apart.
struct Compound {
  std::optional<rtp::Report> report;
  bool sender = false;
  std::optional<uint64_t> reference;
  std::vector<rtp::Dlrr> dlrr;
  std::optional<rtp::VoipMetrics> metrics;
  Instant when{};
};

Compound compound(Bytes bytes) {
  Compound out;
  auto reader = rtp::RtcpReader::open(bytes).value();
  while (const auto p = reader.next()) {
    if (p->type == 200 || p->type == 201) {
      out.sender = p->type == 200;
      out.report = rtp::Report::parse(*p).value();
    }
    if (p->type != 207) continue;
    auto blocks = rtp::XrReader::open(*p).value();
    while (const auto b = blocks.next()) {
      if (b->type == 4) out.reference = rtp::read_reference_time(*b).value();
      if (b->type == 5)
        for (size_t i = 0; i < rtp::count_dlrr(*b).value(); ++i) out.dlrr.push_back(rtp::read_dlrr(*b, i));
      if (b->type == 7) out.metrics = rtp::VoipMetrics::parse(*b).value();
    }
  }
  return out;
}

double in_seconds(Duration d) { return static_cast<double>(d.count()) / 1e9; }

std::vector<Compound> reports_to(const std::vector<Sent>& sent, const SocketAddress& to) {
  std::vector<Compound> all;
  for (const Sent& s : sent)
    if (s.to == to) {
      all.push_back(compound(s.bytes));
      all.back().when = s.when;
    }
  return all;
}

std::vector<uint8_t> report(uint32_t ssrc, const std::optional<rtp::SenderInfo>& sender,
                            const std::optional<rtp::ReportBlock>& block,
                            const rtp::XrContents& extended = {}) {
  std::vector<uint8_t> bytes(300);
  size_t size = rtp::write_report(bytes, ssrc, sender, block, "x");
  size += rtp::write_xr(MutableBytes(bytes).subspan(size), ssrc, extended);
  bytes.resize(size);
  return bytes;
}

uint64_t refused(World& w, const std::string& reason) {
  return w.counters.counter("media_rtcp_refused_total", "", "reason=\"" + reason + "\"").value();
}
uint64_t legs(World& w, const std::string& quality) {
  return w.counters.gauge("media_legs", "", "quality=\"" + quality + "\"").value();
}

/// Somebody who plays an answering machine: A alone, offering with `attributes`.
struct Alone {
  World w;
  EndpointId id;
  uint16_t port = 0;
  std::string answer;
  Voice voice{at("10.0.0.1:4000"), 0xAAAA};
  explicit Alone(const std::string& attributes) {
    id = w.engine->open({}).value();
    EXPECT_TRUE(
        w.engine->set_remote(w.now, id, parsed(phone_sdp("10.0.0.1:4000", "0", attributes)), SdpRole::offer));
    answer = w.engine->answer(w.now, id).value();
    port = w.port_of(answer);
  }
  void rtcp(const std::vector<uint8_t>& bytes) { w.receive(rtcp_a, static_cast<uint16_t>(port + 1), bytes); }
};

TEST(Quality, RoundTripsOfRelayedLegsFollowFromReportsThatPass) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port), w.talk(c.voice_b, c.b_port);
  rtp::SenderInfo sent;
  sent.ntp = 0x0123456789ABCDEF;
  w.receive(rtcp_a, static_cast<uint16_t>(c.a_port + 1), report(0xAAAA, sent, std::nullopt));
  w.pass(milliseconds(130));
  rtp::ReportBlock about_a;
  about_a.ssrc = 0xAAAA;
  about_a.last_sr = rtp::ntp_middle(sent.ntp);
  about_a.delay_since_last_sr = 65536 / 10;  // B held it for 100 ms
  w.receive(rtcp_b, static_cast<uint16_t>(c.b_port + 1), report(0xBBBB, std::nullopt, about_a));
  EXPECT_NEAR(w.engine->statistics(c.b).round_trip_ms, 30, 0.1) << "of the leg to B only";
  EXPECT_DOUBLE_EQ(w.engine->statistics(c.a).round_trip_ms, 0);
  about_a.last_sr ^= 1;  // of a report that never was
  about_a.delay_since_last_sr = 0;
  w.receive(rtcp_b, static_cast<uint16_t>(c.b_port + 1), report(0xBBBB, std::nullopt, about_a));
  EXPECT_NEAR(w.engine->statistics(c.b).round_trip_ms, 30, 0.1);
  about_a.last_sr ^= 1;
  about_a.delay_since_last_sr = 0xFFFFFFFF;  // and one that came before it was sent
  w.receive(rtcp_b, static_cast<uint16_t>(c.b_port + 1), report(0xBBBB, std::nullopt, about_a));
  EXPECT_NEAR(w.engine->statistics(c.b).round_trip_ms, 30, 0.1);
}

TEST(Quality, ExtendedReportsAreSentAsAgreed) {
  Alone a(xr_line);
  EXPECT_THAT(a.answer, HasSubstr("a=rtcp-xr:rcvr-rtt=all voip-metrics\r\n"));
  ASSERT_TRUE(a.w.engine->play(a.w.now, a.id, codec::ToneSequence::music()));
  for (int i = 0; i < 300; ++i) {
    if (i % 20 == 7) a.voice.packet();  // lost: one in twenty
    a.w.talk(a.voice, a.port);
  }
  rtp::XrContents reference;
  reference.reference_time = 0x0000111122223333;
  const Instant asked = a.w.now.mono;
  a.rtcp(report(0xAAAA, std::nullopt, std::nullopt, reference));
  a.w.pass(seconds(8));
  const auto sent = reports_to(a.w.take_sent(), rtcp_a);
  ASSERT_GE(sent.size(), 2u);
  EXPECT_TRUE(sent[0].sender);
  ASSERT_TRUE(sent[0].metrics && sent[0].reference);
  EXPECT_TRUE(sent[0].dlrr.empty()) << "nothing to answer yet";
  EXPECT_EQ(sent[0].metrics->ssrc, 0xAAAAu);
  EXPECT_NEAR(sent[0].metrics->loss_rate, 256 / 21, 3);
  EXPECT_LT(sent[0].metrics->r_factor, 80);
  EXPECT_GT(sent[0].metrics->mos_cq, 30);
  EXPECT_EQ(sent[0].metrics->burst_density, 0) << "every loss is alone";
  const Compound& last = sent.back();
  ASSERT_EQ(last.dlrr.size(), 1u);
  EXPECT_EQ(last.dlrr[0].ssrc, 0xAAAAu);
  EXPECT_EQ(last.dlrr[0].last_rr, 0x11112222u);
  EXPECT_NEAR(last.dlrr[0].delay_since_last_rr, 65536.0 * in_seconds(last.when - asked), 2);

  // It answers our last reference time, which it has kept for all but 50 ms.
  a.w.pass(milliseconds(60));
  rtp::XrContents answer;
  answer.dlrr = rtp::Dlrr{last.report->ssrc, rtp::ntp_middle(*last.reference), 0};
  answer.dlrr->delay_since_last_rr =
      static_cast<uint32_t>((in_seconds(a.w.now.mono - last.when) - 0.05) * 65536);
  a.rtcp(report(0xAAAA, std::nullopt, std::nullopt, answer));
  EXPECT_NEAR(a.w.engine->statistics(a.id).round_trip_ms, 50, 0.2);
}

TEST(Quality, ReportsAreSpreadInTime) {
  World w;
  Call c = establish(w);
  ASSERT_TRUE(w.engine->play(w.now, c.a, codec::ToneSequence::music()));
  ASSERT_TRUE(w.engine->play(w.now, c.b, codec::ToneSequence::music()));
  const Instant begun = w.now.mono;
  w.pass(seconds(300));
  const auto sent = w.take_sent();
  const auto to_a = reports_to(sent, rtcp_a), to_b = reports_to(sent, rtcp_b);
  ASSERT_GT(to_a.size(), 50u);
  EXPECT_LT(to_a.size(), 72u) << "one in five seconds, on average";
  EXPECT_NE(to_a.front().when, to_b.front().when);
  EXPECT_GE(in_seconds(to_a.front().when - begun), 1.25);
  EXPECT_LE(in_seconds(to_a.front().when - begun), 3.75);
  double shortest = 100, longest = 0;
  for (size_t i = 1; i < to_a.size(); ++i) {
    const double apart = in_seconds(to_a[i].when - to_a[i - 1].when);
    shortest = std::min(shortest, apart);
    longest = std::max(longest, apart);
  }
  EXPECT_GE(shortest, 2.5);
  EXPECT_LT(shortest, 3.5);
  EXPECT_LE(longest, 7.5);
  EXPECT_GT(longest, 6.5);
}

TEST(Quality, WithoutAgreementThereAreNone) {
  Alone a("");
  EXPECT_THAT(a.answer, Not(HasSubstr("rtcp-xr")));
  ASSERT_TRUE(a.w.engine->play(a.w.now, a.id, codec::ToneSequence::music()));
  a.w.talk(a.voice, a.port, 300);
  const auto sent = reports_to(a.w.take_sent(), rtcp_a);
  ASSERT_GE(sent.size(), 1u);
  EXPECT_FALSE(sent[0].metrics || sent[0].reference);

  Alone metrics_only("a=rtcp-xr:voip-metrics stat-summary=loss\r\n");
  EXPECT_THAT(metrics_only.answer, HasSubstr("a=rtcp-xr:voip-metrics\r\n"));
  ASSERT_TRUE(metrics_only.w.engine->play(metrics_only.w.now, metrics_only.id, codec::ToneSequence::music()));
  metrics_only.w.talk(metrics_only.voice, metrics_only.port, 300);
  const auto more = reports_to(metrics_only.w.take_sent(), rtcp_a);
  ASSERT_GE(more.size(), 1u);
  EXPECT_TRUE(more[0].metrics && !more[0].reference);
}

TEST(Quality, OurOwnOfferAsksForThem) {
  World w;
  const EndpointId id = w.engine->open({}).value();
  EXPECT_THAT(w.engine->offer(w.now, id).value(), HasSubstr("a=rtcp-xr:rcvr-rtt=all voip-metrics\r\n"));
}

TEST(Quality, WhoOnlyTalksToUsIsToldHowItArrives) {
  Alone a("");
  ASSERT_TRUE(a.w.engine->play(a.w.now, a.id, codec::ToneSequence{{{800, 0, -10, 100}}, 1}));
  a.w.talk(a.voice, a.port, 900);  // 18 s, of which we speak a tenth of a second
  const auto sent = reports_to(a.w.take_sent(), rtcp_a);
  ASSERT_GE(sent.size(), 3u);
  EXPECT_TRUE(sent[0].sender);
  EXPECT_TRUE(sent[1].sender) << "since the report before the last (RFC 3550 section 6.4)";
  EXPECT_FALSE(sent[2].sender) << "RR";
  ASSERT_EQ(sent[2].report->block_count, 1);
  EXPECT_EQ(sent[2].report->blocks[0].ssrc, 0xAAAAu);
}

TEST(Quality, ThePeersOwnMetricsAreRead) {
  World w;
  Call c = establish(w);
  rtp::XrContents contents;
  contents.metrics.emplace();
  contents.metrics->ssrc = 0xBBBB;
  contents.metrics->loss_rate = 26;
  contents.metrics->mos_cq = 31;
  const auto bytes = report(0xAAAA, std::nullopt, std::nullopt, contents);
  w.receive(rtcp_a, static_cast<uint16_t>(c.a_port + 1), bytes);
  ASSERT_EQ(w.sent.size(), 1u);
  EXPECT_EQ(w.sent[0].bytes, bytes) << "and pass as they are";
  const auto s = w.engine->statistics(c.a);
  ASSERT_TRUE(s.metrics);
  EXPECT_EQ(s.metrics->loss_rate, 26);
  EXPECT_EQ(s.metrics->mos_cq, 31);
  EXPECT_FALSE(w.engine->statistics(c.b).metrics);
}

TEST(Quality, HostileReportsAreCountedAndGoNoFurther) {
  World w;
  Call c = establish(w);
  const auto whole = report(0xAAAA, std::nullopt, rtp::ReportBlock{});
  const auto attack = [&](std::vector<uint8_t> bytes) {
    w.receive(rtcp_a, static_cast<uint16_t>(c.a_port + 1), std::move(bytes));
    EXPECT_TRUE(w.take_sent().empty());
  };
  auto b = whole;
  b[0] = 0x80 | 31;  // blocks that are not there
  attack(b);
  EXPECT_EQ(refused(w, "short_report"), 1u);
  b = whole;
  b[2] = b[3] = 0xFF;
  attack(b);
  EXPECT_EQ(refused(w, "past_end"), 1u);
  b = whole;
  b.insert(b.end(), {0x80, 207, 0, 0});  // XR whose SSRC would lie at length - 4
  attack(b);
  EXPECT_EQ(refused(w, "short_xr"), 1u);
  b = whole;
  b.insert(b.end(), {0x80, 207, 0, 2, 0, 0, 0, 1, 7, 0, 0xFF, 0xFF});
  attack(b);
  EXPECT_EQ(refused(w, "xr_past_end"), 1u);
  b = whole;
  b.insert(b.end(), {0x80, 207, 0, 2, 0, 0, 0, 1, 7, 0, 0, 0});  // metrics of no length
  attack(b);
  EXPECT_EQ(refused(w, "bad_xr_length"), 1u);
  b = {0xA0, 201, 0, 1, 0, 0, 0, 0xFF};  // more padding than packet
  attack(b);
  EXPECT_EQ(refused(w, "bad_padding"), 1u);
  EXPECT_EQ(w.engine->statistics(c.a).malformed_dropped, 6u);
  w.receive(rtcp_a, static_cast<uint16_t>(c.a_port + 1), whole);
  EXPECT_EQ(w.take_sent().size(), 1u) << "the call is none the worse";
}

TEST(Quality, LegsAreGradedAsTheySoundLately) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port, 512);
  EXPECT_EQ(legs(w, "best"), 1u);
  for (int i = 0; i < 512; ++i) {  // one in five is lost
    if (i % 4 == 0) c.voice_a.packet();
    w.talk(c.voice_a, c.a_port);
  }
  EXPECT_EQ(legs(w, "best"), 0u);
  EXPECT_EQ(legs(w, "bad"), 1u);
  EXPECT_EQ(w.counters.total("media_rtp_lost_total"), 128u);
  const auto s = w.engine->statistics(c.a);
  EXPECT_NEAR(s.loss, 128.0 / 1152, 0.001);
  EXPECT_LT(s.mos, 3.6);
  EXPECT_LT(s.r_factor, 70);
  w.talk(c.voice_a, c.a_port, 512);
  EXPECT_EQ(legs(w, "best"), 1u) << "that is over";
  w.engine->close(w.now, c.a);
  EXPECT_EQ(w.counters.total("media_legs"), 0u);
}

TEST(Quality, AWidebandLegHasAScaleOfItsOwn) {
  World w;
  Call c = establish(w, phone_sdp("10.0.0.1:4000", "9"), phone_sdp("10.0.0.2:5000", "9"));
  c.voice_a.payload_type = 9;
  w.talk(c.voice_a, c.a_port, 50);
  const auto s = w.engine->statistics(c.a);
  EXPECT_EQ(s.codec, "G722");
  EXPECT_TRUE(s.wideband);
  EXPECT_NEAR(s.r_factor, 129 - 13, 0.1);
}

TEST(Quality, CountsSurviveASnapshot) {
  World w;
  Call c = establish(w);
  for (int i = 0; i < 300; ++i) {
    if (i % 10 == 0) c.voice_a.packet(), c.voice_a.packet();
    w.talk(c.voice_a, c.a_port);
  }
  const auto before = w.engine->statistics(c.a);
  EXPECT_GT(before.burst_ratio, 1.5);
  const EndpointId ids[] = {c.a, c.b};
  const std::string part = w.engine->snapshot(w.now, ids);
  w.engine->close(w.now, c.a), w.engine->close(w.now, c.b);
  const auto restored = w.engine->restore(w.now, part);
  ASSERT_TRUE(restored);
  const auto after = w.engine->statistics((*restored)[0]);
  EXPECT_DOUBLE_EQ(after.burst_ratio, before.burst_ratio);
  EXPECT_DOUBLE_EQ(after.r_factor, before.r_factor);
}

/// A with SRTP, B without; after a restore the packets to A are numbered ahead of B's.
TEST(Quality, ReportsAboutShiftedPacketsSpeakOfTheSendersNumbers) {
  World w;
  SeededRng rng(3);
  srtp::Refusals refusals;
  const srtp::MasterKey key = srtp::MasterKey::generate(srtp::Suite::aes_cm_128_hmac_sha1_80, rng);
  std::string offer = phone_sdp("10.0.0.1:4000", "0", "a=crypto:" + srtp::write_crypto(1, key) + "\r\n");
  offer.replace(offer.find("RTP/AVP"), 7, "RTP/SAVP");
  EndpointConfig config;
  config.srtp = Srtp::accepted;
  Call c = establish(w, offer, phone_sdp("10.0.0.2:5000", "0"), config);
  std::optional<srtp::Receiver> in;
  const auto told = parsed(c.to_a);
  for (const std::string_view value : told.attributes(0, "crypto"))
    if (auto crypto = srtp::parse_crypto(value); crypto.ok()) in.emplace(crypto->key, refusals);
  ASSERT_TRUE(in);
  srtp::Sender out(key, refusals);
  w.talk(c.voice_b, c.b_port, 50);
  const EndpointId ids[] = {c.a, c.b};
  const std::string part = w.engine->snapshot(w.now, ids);
  w.engine->close(w.now, c.a), w.engine->close(w.now, c.b);
  ASSERT_TRUE(w.engine->restore(w.now, part));
  w.take_sent();
  const uint16_t last_of_b = c.voice_b.sequence;
  w.talk(c.voice_b, c.b_port);
  const auto heard = w.take_sent();
  ASSERT_EQ(heard.size(), 1u);
  const uint16_t seen_by_a = heard[0].sequence();
  ASSERT_NE(seen_by_a, last_of_b) << "nothing was shifted: the test is of no use";
  rtp::ReportBlock block;
  block.ssrc = 0xBBBB;
  block.extended_highest = 0x00030000u | seen_by_a;
  std::vector<uint8_t> bytes = report(0xAAAA, std::nullopt, block);
  const size_t size = bytes.size();
  bytes.resize(size + srtp::tail_room);
  bytes.resize(out.protect_rtcp(bytes, size).value());
  w.receive(rtcp_a, static_cast<uint16_t>(c.a_port + 1), bytes);
  const auto to_b = reports_to(w.take_sent(), rtcp_b);
  ASSERT_EQ(to_b.size(), 1u);
  EXPECT_EQ(to_b[0].report->blocks[0].extended_highest & 0xFFFF, last_of_b);
}

}  // namespace
}  // namespace tandem::media
