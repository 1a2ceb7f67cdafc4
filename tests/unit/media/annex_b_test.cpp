// A bridge to a phone that speaks G.729 with Annex B: a silence is described and not coded, and is heard as a
// background.
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "unit/codec/speech.h"
#include "unit/media/phones.h"

namespace tandem::media {
namespace {

const Codec& pcmu = all_codecs[0];
constexpr Codec annex_b{"G729", "18 101", "a=fmtp:18 annexb=yes\r\n", 8000, 1, 18, 8000, "annexb=yes"};
constexpr size_t rate = 8000, frame = 160, sid_octets = 2;
constexpr size_t spoken_packets = 150, hangover_packets = 25, all_packets = 600;
constexpr double room_rms = 25;

/// Three seconds of speech, then nine of nothing but the noise of the room.
Samples in_a_room(double rms) {
  Samples all(codec::testing::speech(rate).begin(),
              codec::testing::speech(rate).begin() + spoken_packets * frame);
  all.resize(all_packets * frame);
  SeededRng rng(5);
  for (int16_t& s : all) {
    double noise = -6;
    for (int i = 0; i < 12; ++i) noise += static_cast<double>(rng.below(1'000'000)) / 1e6;
    s = static_cast<int16_t>(std::clamp(s + rms * noise, -32768.0, 32767.0));
  }
  return all;
}

double rms_of(std::span<const int16_t> s) {
  double sum = 0;
  for (const int16_t x : s) sum += static_cast<double>(x) * x;
  return std::sqrt(sum / static_cast<double>(std::max<size_t>(1, s.size())));
}

struct AnnexB : ::testing::Test {
  World w;
  Phone a{pcmu, "198.51.100.1:4000", 0xA1A1A1A1}, b{annex_b, "198.51.100.2:5000", 0xB1B1B1B1};
  Samples sound = in_a_room(room_rms);
  std::unique_ptr<codec::Encoder> encoder;
  void SetUp() override {
    if (!is_built(annex_b)) GTEST_SKIP() << "left out of this build on purpose";
    encoder = std::move(codec::make_encoder(annex_b.format(), {rate})).value();
    connect(w, a, b);
  }
  void pass_packet() {
    w.pass(milliseconds(20));
    const auto sent = w.take_sent();
    a.hear(w, sent), b.hear(w, sent);
  }
  /// B's next packet, if there is one: whether it is nothing but a descriptor.
  bool b_says(size_t i) {
    Payload p(codec::largest_payload);
    const auto made = encoder->encode(std::span(sound).subspan(i * frame, frame), p);
    p.resize(made->octets);
    const uint32_t at = std::exchange(b.timestamp, b.timestamp + made->skipped);
    if (!p.empty()) b.say(w, p);
    b.timestamp = at + frame;
    return p.size() == sid_octets;
  }
};

TEST_F(AnnexB, ASilenceIsDescribed) {
  for (const Payload& p : encoded(pcmu, sound)) {
    a.say(w, p);
    pass_packet();
  }
  size_t spoken = 0, described = 0;
  for (size_t i = 1; i < b.heard.size(); ++i) {
    const Sent &packet = b.heard[i].plain, &before = b.heard[i - 1].plain;
    EXPECT_EQ(packet.sequence(), static_cast<uint16_t>(before.sequence() + 1)) << "nothing is lost";
    const auto later = static_cast<int64_t>(packet.timestamp() - before.timestamp());
    EXPECT_NEAR(static_cast<double>(later),
                static_cast<double>((packet.when - before.when) / microseconds(125)), frame / 2)
        << "and the clock goes on";
    EXPECT_EQ((packet.bytes[1] & 0x80) != 0, packet.when - before.when > milliseconds(20))
        << "a spurt begins";
    const size_t octets = b.heard[i].payload().size();
    EXPECT_TRUE(octets % 10 == 0 || octets % 10 == sid_octets) << octets;
    if (packet.timestamp() - b.heard[0].plain.timestamp() < (spoken_packets + hangover_packets) * frame)
      continue;
    octets == sid_octets ? ++described : ++spoken;
  }
  EXPECT_GE(described, 5u);
  EXPECT_LT(spoken + described, (all_packets - spoken_packets) / 3) << "most of a silence is not sent";
}

TEST_F(AnnexB, TheBackgroundIsHeard) {
  size_t descriptors = 0;
  for (size_t i = 0; i < all_packets; ++i) {
    descriptors += b_says(i);
    pass_packet();
  }
  ASSERT_GE(descriptors, 5u) << "the test is of no use";
  EXPECT_LT(b.sequence - 1000, static_cast<int>(all_packets / 2)) << "likewise";
  ASSERT_GE(a.heard.size(), all_packets - 5) << "no pause in what A is sent";
  const Samples heard = decoded(pcmu, a.payloads(), rate);
  constexpr size_t tenth = rate / 10;
  for (size_t at = (spoken_packets + hangover_packets) * frame; at + tenth <= heard.size(); at += tenth) {
    const double rms = rms_of(std::span(heard).subspan(at, tenth));
    EXPECT_GT(rms, room_rms / 3) << at / tenth << ": dead";
    EXPECT_LT(rms, room_rms * 3) << at / tenth;
  }
}

TEST_F(AnnexB, ASilenceThatLastsIsNotKeptUpForEver) {
  size_t i = 0;
  for (bool described = false; i < all_packets && !(described && i > spoken_packets); ++i) {
    described = b_says(i);
    pass_packet();
  }
  a.heard.clear();
  for (int n = 0; n < 50 * 55; ++n) pass_packet();
  EXPECT_GE(a.heard.size(), 50u * 55 - 1);
  for (int n = 0; n < 50 * 10; ++n) pass_packet();
  a.heard.clear();
  for (int n = 0; n < 50; ++n) pass_packet();
  EXPECT_TRUE(a.heard.empty()) << "it is gone";
}

TEST(AnnexBAndAnother, SpeechThatPassesEndsTheBackground) {
  constexpr Codec both{"G729", "18 0 101", "", 8000, 1, 18, 8000, ""};
  if (!is_built(both)) GTEST_SKIP() << "left out of this build on purpose";
  World w;
  Phone a(pcmu, "198.51.100.1:4000", 0xA1A1A1A1), b(both, "198.51.100.2:5000", 0xB1B1B1B1);
  connect(w, a, b);
  for (int i = 0; i < 50; ++i) {
    i < 49 ? b.say(w, Payload(20)) : b.say(w, {0, 0});
    w.pass(milliseconds(20));
  }
  w.take_sent();
  w.pass(milliseconds(200));
  EXPECT_EQ(w.take_sent().size(), 10u) << "the background";
  Voice passes{b.address, b.ssrc, b.sequence, b.timestamp};
  for (int i = 0; i < 10; ++i) {
    w.receive(b.address, b.port, passes.packet());
    w.pass(milliseconds(20));
  }
  const auto sent = w.take_sent();
  EXPECT_EQ(sent.size(), 10u) << "one voice, not two";
  for (const Sent& s : sent) EXPECT_EQ(s.ssrc(), b.ssrc);
}

}  // namespace
}  // namespace tandem::media
