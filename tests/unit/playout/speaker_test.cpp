// Sound into payloads, and back through a Player: what goes in comes out.
#include "playout/speaker.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "playout/player.h"

namespace tandem::playout {
namespace {

struct Case {
  const char* name;
  uint32_t clock;
  uint8_t channels;
  const char* fmtp;
  uint32_t audio_rate;
  uint32_t ptime;
};

class Through : public ::testing::TestWithParam<Case> {};

double level_of(std::span<const int16_t> sound, double hertz, uint32_t rate) {
  double re = 0, im = 0;
  for (size_t i = 0; i < sound.size(); ++i) {
    const double w = 2 * std::numbers::pi * hertz * static_cast<double>(i) / rate;
    re += sound[i] * std::cos(w);
    im += sound[i] * std::sin(w);
  }
  return 2 * std::sqrt(re * re + im * im) / static_cast<double>(sound.size());
}

TEST_P(Through, ATone) {
  const Case& c = GetParam();
  const Format format{96, c.name, c.clock, c.channels, c.fmtp};
  auto speaker = Speaker::make({format, c.audio_rate, c.ptime, 5});
  ASSERT_TRUE(speaker.ok()) << codec::to_string(speaker.reason());
  PlayerConfig config;
  config.formats = {format};
  config.audio_rate = c.audio_rate;
  Player player(config);
  Instant now{1'000'000'000};
  uint32_t timestamp = 77;
  uint16_t sequence = 5;
  double phase = 0;
  std::vector<int16_t> in(speaker->frame_samples()), out(in.size()), heard;
  for (uint32_t t = 0; t < 3000; t += speaker->frame_ms()) {
    for (int16_t& s : in) {
      s = static_cast<int16_t>(8000 * std::sin(phase));
      phase += 2 * std::numbers::pi * 500 / c.audio_rate;
    }
    if (const auto said = speaker->say(in)) {
      EXPECT_EQ(said->marker, t == 0);
      player.packet(now, sequence, timestamp, 96, said->payload);
    }
    ++sequence;
    timestamp += speaker->frame_ticks();
    player.render(now, out);
    if (t >= 2000) heard.insert(heard.end(), out.begin(), out.end());
    now = now + milliseconds(speaker->frame_ms());
  }
  EXPECT_EQ(player.counts().refused, 0u);
  EXPECT_EQ(player.counts().concealed, 0u);
  EXPECT_NEAR(level_of(heard, 500, c.audio_rate), 8000, 1600);
  EXPECT_LT(level_of(heard, 870, c.audio_rate), 400);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, Through,
    ::testing::Values(Case{"PCMU", 8000, 1, "", 8000, 20}, Case{"PCMA", 8000, 1, "", 8000, 30},
                      Case{"PCMU", 8000, 1, "", 16000, 20}, Case{"G722", 8000, 1, "", 16000, 20},
                      Case{"G722", 8000, 1, "", 8000, 20}, Case{"G729", 8000, 1, "annexb=no", 8000, 20},
                      Case{"opus", 48000, 2, "", 8000, 20}, Case{"opus", 48000, 2, "stereo=1", 48000, 60},
                      Case{"L16", 44100, 1, "", 48000, 20}, Case{"L16", 16000, 2, "", 16000, 10}),
    [](const auto& instance) {
      const Case& c = instance.param;
      return std::string(c.name) + "_" + std::to_string(c.clock) + "_" + std::to_string(c.audio_rate) + "_" +
             std::to_string(c.ptime);
    });

TEST(Speaker, NothingIsSaidInASilence) {
  auto speaker = Speaker::make({{96, "opus", 48000, 2, "usedtx=1"}, 8000, 20, 5});
  ASSERT_TRUE(speaker.ok());
  std::vector<int16_t> tone(160), silence(160);
  for (size_t i = 0; i < tone.size(); ++i)
    tone[i] =
        static_cast<int16_t>(8000 * std::sin(2 * std::numbers::pi * 500 * static_cast<double>(i) / 8000));
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(speaker->say(tone));
  int said = 0;
  for (int i = 0; i < 100; ++i) said += speaker->say(silence).has_value();
  EXPECT_LT(said, 60);
  std::optional<Speaker::Said> first;
  for (int i = 0; i < 5 && !first; ++i) first = speaker->say(tone);
  ASSERT_TRUE(first);
}

TEST(Speaker, FramesTheCodecCannot) {
  EXPECT_EQ(Speaker::make({{0, "PCMU", 8000, 1, ""}, 8000, 15, 5})->frame_ms(), 10u);
  EXPECT_EQ(Speaker::make({{0, "PCMU", 8000, 1, ""}, 8000, 500, 5})->frame_ms(), 60u);
  EXPECT_EQ(Speaker::make({{96, "opus", 48000, 2, ""}, 48000, 30, 5})->frame_ms(), 20u);
  EXPECT_EQ(Speaker::make({{96, "AMR", 8000, 1, ""}, 8000, 20, 5}).reason(),
            codec::FormatReason::unknown_name);
}

TEST(Speaker, ATwinGoesOnAsTheOtherDoes) {
  for (const Format& f : {Format{0, "PCMU", 8000, 1, ""},
                          {9, "G722", 8000, 1, ""},
                          {96, "opus", 48000, 2, ""},
                          {97, "L16", 44100, 2, ""}}) {
    auto speaker = Speaker::make({f, 16000, 20, 5});
    ASSERT_TRUE(speaker.ok());
    std::vector<int16_t> in(speaker->frame_samples());
    size_t n = 0;
    const auto next = [&] {
      for (int16_t& s : in) s = static_cast<int16_t>(8000 * std::sin(0.05 * static_cast<double>(n++ % 6151)));
    };
    for (int i = 0; i < 20; ++i) {
      next();
      (void)speaker->say(in);
    }
    auto twin = speaker->twin();
    ASSERT_TRUE(twin) << f.name;
    for (int i = 0; i < 20; ++i) {
      next();
      const auto one = speaker->say(in);
      const auto two = twin->say(in);
      ASSERT_TRUE(one && two);
      EXPECT_TRUE(
          std::equal(one->payload.begin(), one->payload.end(), two->payload.begin(), two->payload.end()))
          << f.name << " " << i;
      EXPECT_FALSE(two->marker);
    }
  }
}

}  // namespace
}  // namespace tandem::playout
