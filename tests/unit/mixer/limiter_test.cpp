#include "mixer/limiter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "base/rng.h"
#include "codec/g711.h"
#include "codec/goertzel.h"

namespace tandem::mixer {
namespace {

/// A sum of tones of `peak` each through the limiter; the last second of it.
std::vector<int16_t> limited(const std::vector<double>& hertz, double peak, Limiter& limiter,
                             int ticks = 150) {
  std::vector<int16_t> out;
  for (int t = 0; t < ticks; ++t) {
    Sum sum{};
    for (size_t i = 0; i < frame_samples; ++i) {
      const auto n = static_cast<double>(t) * frame_samples + static_cast<double>(i);
      double x = 0;
      for (const double f : hertz) x += peak * std::sin(2 * std::numbers::pi * f * n / audio_rate);
      sum[i] = static_cast<int32_t>(std::lround(x));
    }
    Frame frame;
    limiter.process(sum, frame);
    out.insert(out.end(), frame.begin(), frame.end());
  }
  out.erase(out.begin(), out.end() - audio_rate);
  return out;
}

double level(const std::vector<int16_t>& sound, double hertz) { return codec::tone_level(sound, hertz / 2); }

/// All that is not one of the tones, against them, dB.
double distortion(const std::vector<int16_t>& sound, const std::vector<double>& hertz) {
  double all = 0, wanted = 0;
  for (const int16_t s : sound) all += static_cast<double>(s) * s;
  all /= static_cast<double>(sound.size());
  for (const double f : hertz) {
    const double peak = codec::zero_dbm0_peak * std::pow(10, level(sound, f) / 20);
    wanted += peak * peak / 2;
  }
  return 10 * std::log10(std::max(all - wanted, 1e-3) / wanted);
}

TEST(Limiter, WhatFitsStaysAsItIs) {
  Limiter limiter;
  Sum sum;
  Frame out;
  for (int t = 0; t < 10; ++t) {
    for (size_t i = 0; i < frame_samples; ++i) sum[i] = static_cast<int32_t>(i * 37 % 20'000) - 10'000 + t;
    limiter.process(sum, out);
    for (size_t i = Limiter::block; i < frame_samples; ++i) ASSERT_EQ(out[i], sum[i - Limiter::block]);
    for (size_t i = 0; t > 0 && i < Limiter::block; ++i)
      ASSERT_EQ(out[i], sum[frame_samples - Limiter::block + i] - 1) << "the end of the frame before";
    EXPECT_EQ(limiter.gain(), 1);
  }
}

TEST(Limiter, TonesKeepTheirShape) {
  struct Case {
    std::vector<double> tones;
    double most;  // dB of what was not there
  };
  for (const auto& [tones, most] : {Case{{100}, -60},
                                    {{440}, -60},
                                    {{300, 1700}, -60},
                                    {{50, 3000}, -60},
                                    {{200, 210}, -34}}) {  // beats: the gain comes up a little in between
    Limiter limiter;
    const auto sound = limited(tones, 40'000, limiter);
    EXPECT_LT(distortion(sound, tones), most) << tones[0];
    int peak = 0;
    for (const int16_t s : sound) peak = std::max(peak, std::abs(s));
    EXPECT_LE(peak, Limiter::ceiling);
    EXPECT_GT(peak, Limiter::ceiling * 0.9);
    EXPECT_LT(limiter.gain(), 0.75F);
  }
}

TEST(Limiter, NothingWrapsWhateverComes) {
  SeededRng rng(5);
  Limiter limiter;
  for (int t = 0; t < 2000; ++t) {
    Sum sum;
    const auto span = static_cast<int64_t>(1 + rng.below(1'000'000));
    for (int32_t& s : sum)
      s = static_cast<int32_t>(static_cast<int64_t>(rng.below(static_cast<uint64_t>(2 * span))) - span);
    Frame out;
    limiter.process(sum, out);
    for (size_t i = 0; i < frame_samples; ++i) {
      ASSERT_LE(std::abs(out[i]), Limiter::ceiling + 1);
      if (i < Limiter::block || sum[i - Limiter::block] == 0 || out[i] == 0) continue;
      ASSERT_EQ(out[i] > 0, sum[i - Limiter::block] > 0) << "wrapped";
    }
  }
}

TEST(Limiter, ComesUpAgain) {
  Limiter limiter;
  (void)limited({440}, 60'000, limiter);
  EXPECT_LT(limiter.gain(), 0.5F);
  const auto sound = limited({440}, 10'000, limiter);
  EXPECT_EQ(limiter.gain(), 1);
  EXPECT_LT(distortion(sound, {440}), -60);
}

}  // namespace
}  // namespace tandem::mixer
