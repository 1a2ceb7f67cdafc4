#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "codec/g711.h"
#include "codec/goertzel.h"
#include "codec/tone.h"

namespace tandem::codec {
namespace {

/// Tables 1a and 2a of G.711, written as the formula of their value columns.
double mu_value(int code) {
  const int c = 255 - code;
  const int segment = (c >> 4) & 7;
  const int step = c & 15;
  const double y = (33.0 + 2 * step) * std::pow(2.0, segment) - 33;  // 14-bit scale, 0..8031
  return (c & 128) != 0 ? -y : y;
}
double a_value(int code) {
  const int c = code ^ 0x55;
  const int segment = (c >> 4) & 7;
  const int step = c & 15;
  // 13-bit scale with half steps: 1, 3, ... 31 in the first segment, doubling from the second on.
  const double y = segment == 0 ? 2 * step + 1 : (2 * step + 33) * std::pow(2.0, segment - 1);
  return (c & 128) != 0 ? y : -y;
}

TEST(G711, EveryCodeDecodesToItsValue) {
  for (int code = 0; code < 256; ++code) {
    EXPECT_EQ(decode_mu_law(static_cast<uint8_t>(code)), mu_value(code) * 4) << code;
    EXPECT_EQ(decode_a_law(static_cast<uint8_t>(code)), a_value(code) * 8) << code;
  }
  EXPECT_EQ(decode_mu_law(0x80), 32124);
  EXPECT_EQ(decode_mu_law(0x00), -32124);
  EXPECT_EQ(decode_a_law(0xAA), 32256);
  EXPECT_EQ(decode_a_law(0xD5), 8);
  EXPECT_EQ(decode_a_law(0x55), -8);
}

TEST(G711, EveryCodeSurvivesTheRoundTrip) {
  for (int code = 0; code < 256; ++code) {
    const auto c = static_cast<uint8_t>(code);
    EXPECT_EQ(encode_a_law(decode_a_law(c)), c);
    if (c != 0x7F) {  // negative zero comes back as zero
      EXPECT_EQ(encode_mu_law(decode_mu_law(c)), c);
    }
  }
  EXPECT_EQ(encode_mu_law(0), 0xFF);
}

TEST(G711, EverySampleGetsTheNearestValue) {
  const auto check = [](int x, int decoded, double largest, double scale, double bias) {
    const double magnitude = std::min<double>(std::abs(x), largest);
    const double segment = std::max(0.0, std::floor(std::log2((magnitude / scale + bias) / 32)));
    // Half a step of the sample's segment, and one unit for the 2 or 3 bits cut before coding.
    const double tolerance = scale * std::pow(2.0, segment) + scale;
    EXPECT_LE(std::abs(std::abs(decoded) - magnitude), tolerance) << x;
  };
  for (int x = -32768; x <= 32767; ++x) {
    const int mu = decode_mu_law(encode_mu_law(static_cast<int16_t>(x)));
    const int a = decode_a_law(encode_a_law(static_cast<int16_t>(x)));
    check(x, mu, 32124, 4, 33);
    check(x, a, 32256, 8, 0);
    ASSERT_TRUE(mu == 0 || (mu < 0) == (x < 0)) << x;
    ASSERT_TRUE((a < 0) == (x < 0)) << x;
  }
}

TEST(G711, BlocksAreCodedAsSingleSamplesAre) {
  std::vector<int16_t> all(65536), back(256);
  std::vector<uint8_t> codes(65536), every(256);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int16_t>(static_cast<int>(i) - 32768);
  for (size_t i = 0; i < every.size(); ++i) every[i] = static_cast<uint8_t>(i);
  for (const G711 law : {G711::mu_law, G711::a_law}) {
    const bool mu = law == G711::mu_law;
    encode(law, all, codes);
    for (size_t i = 0; i < all.size(); ++i)
      ASSERT_EQ(codes[i], mu ? encode_mu_law(all[i]) : encode_a_law(all[i]));
    decode(law, every, back);
    for (size_t i = 0; i < every.size(); ++i)
      ASSERT_EQ(back[i], mu ? decode_mu_law(every[i]) : decode_a_law(every[i]));
  }
}

TEST(G711, IsMonotonic) {
  for (int x = -32767; x <= 32767; ++x) {
    ASSERT_LE(decode_mu_law(encode_mu_law(static_cast<int16_t>(x - 1))),
              decode_mu_law(encode_mu_law(static_cast<int16_t>(x))));
    ASSERT_LE(decode_a_law(encode_a_law(static_cast<int16_t>(x - 1))),
              decode_a_law(encode_a_law(static_cast<int16_t>(x))));
  }
}

std::vector<int16_t> rendered(ToneGenerator& g, size_t samples) {
  std::vector<int16_t> out(samples);
  g.render(out);
  return out;
}

TEST(Tone, HasItsFrequencyAndLevelThroughG711) {
  for (const G711 law : {G711::mu_law, G711::a_law})
    for (const int level : {-3, -10, -20, -30}) {
      ToneGenerator g(ToneSequence::steady(440, static_cast<int8_t>(level)));
      auto samples = rendered(g, 8000);
      std::vector<uint8_t> coded(samples.size());
      encode(law, samples, coded);
      decode(law, coded, samples);
      EXPECT_NEAR(tone_level(samples, 440), level, 0.15);
      EXPECT_LT(tone_level(samples, 700), level - 30);
    }
}

TEST(Tone, KeepsItsCadence) {
  ToneGenerator g(ToneSequence::busy());
  for (int round = 0; round < 3; ++round) {
    EXPECT_NEAR(tone_level(rendered(g, 4000), 425), -10, 0.2);
    EXPECT_LT(tone_level(rendered(g, 4000), 425), -90);
  }
  ToneGenerator ring(ToneSequence::ringback());
  EXPECT_NEAR(tone_level(rendered(ring, 8000), 425), -10, 0.2);
  EXPECT_LT(tone_level(rendered(ring, 32000), 425), -90);
  EXPECT_NEAR(tone_level(rendered(ring, 8000), 425), -10, 0.2);
}

TEST(Tone, SteadyToneHasNoSeam) {
  ToneGenerator g(
      ToneSequence::steady(441));  // no whole number of periods in a second's step boundary of frames
  EXPECT_NEAR(tone_level(rendered(g, 24000), 441), -10, 0.1);
}

TEST(Tone, RepeatsEnd) {
  ToneGenerator g({{{1000, 0, -10, 10}, {0, 0, 0, 10}}, 2});
  rendered(g, 319);
  EXPECT_FALSE(g.finished());
  rendered(g, 1);
  EXPECT_TRUE(g.finished());
  for (const int16_t s : rendered(g, 100)) EXPECT_EQ(s, 0);
  EXPECT_TRUE(ToneGenerator(ToneSequence{}).finished());
  EXPECT_TRUE(ToneGenerator({{{1000, 0, -10, 0}}, 0}).finished()) << "steps of no length are none";
}

TEST(Tone, SeekContinuesExactly) {
  for (const ToneSequence& sequence : {ToneSequence::music(), ToneSequence::steady(997), ToneSequence::busy(),
                                       ToneSequence{{{600, 900, -8, 7}}, 500}})
    for (const size_t at : {0, 1, 159, 160, 2560, 7999, 8000, 31999, 32001, 123457}) {
      ToneGenerator straight(sequence);
      rendered(straight, at);
      ToneGenerator resumed(sequence);
      resumed.seek(straight.position());
      EXPECT_EQ(resumed.finished(), straight.finished());
      EXPECT_EQ(rendered(resumed, 4000), rendered(straight, 4000)) << at;
    }
}

TEST(Dtmf, EveryDigitIsHeard) {
  const std::string digits = "123A456B789C*0#D";
  const uint16_t low[] = {697, 770, 852, 941};
  const uint16_t high[] = {1209, 1336, 1477, 1633};
  for (size_t i = 0; i < 16; ++i) {
    ToneGenerator g({{{low[i / 4], high[i % 4], -12, 100}}, 1});
    auto samples = rendered(g, 205);
    std::vector<uint8_t> coded(samples.size());
    encode(G711::mu_law, samples, coded);
    decode(G711::mu_law, coded, samples);
    EXPECT_EQ(dtmf_digit(samples), digits[i]);
  }
}

TEST(Dtmf, OtherSoundsAreNone) {
  EXPECT_FALSE(dtmf_digit(std::vector<int16_t>(205, 0)));
  EXPECT_FALSE(dtmf_digit(std::vector<int16_t>(50, 0)));
  ToneGenerator single(ToneSequence::steady(697));
  EXPECT_FALSE(dtmf_digit(rendered(single, 205)));
  ToneGenerator dial(ToneSequence{{{425, 0, -10, 100}}, 1});
  EXPECT_FALSE(dtmf_digit(rendered(dial, 205)));
  ToneGenerator faint({{{770, 1336, -40, 100}}, 1});
  EXPECT_FALSE(dtmf_digit(rendered(faint, 205)));
}

}  // namespace
}  // namespace tandem::codec
