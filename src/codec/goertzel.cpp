#include "codec/goertzel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "codec/g711.h"

namespace tandem::codec {
namespace {
constexpr double sample_rate = 8000;
constexpr std::array<double, 4> low_tones = {697, 770, 852, 941};
constexpr std::array<double, 4> high_tones = {1209, 1336, 1477, 1633};
constexpr double least_level = -30;    // dBm0
constexpr double most_twist = 8;       // dB between the two tones
constexpr double least_distance = 10;  // dB to the next tone of the same group

struct Strongest {
  size_t index = 0;
  double level = -1000;
  double next = -1000;
};

Strongest strongest(std::span<const int16_t> samples, const std::array<double, 4>& tones) {
  Strongest s;
  for (size_t i = 0; i < tones.size(); ++i) {
    const double level = tone_level(samples, tones[i]);
    if (level > s.level) {
      s.next = s.level;
      s.level = level;
      s.index = i;
    } else if (level > s.next) {
      s.next = level;
    }
  }
  return s;
}
}  // namespace

double tone_level(std::span<const int16_t> samples, double frequency) {
  const double k = 2 * std::cos(2 * std::numbers::pi * frequency / sample_rate);
  double s1 = 0;
  double s2 = 0;
  for (const int16_t x : samples) {
    const double s0 = x + k * s1 - s2;
    s2 = s1;
    s1 = s0;
  }
  const double power = s1 * s1 + s2 * s2 - k * s1 * s2;  // |X|^2
  if (samples.empty() || power <= 0) return -100;
  const double peak = 2 * std::sqrt(power) / static_cast<double>(samples.size());
  return std::max(-100.0, 20 * std::log10(peak / zero_dbm0_peak));
}

std::optional<char> dtmf_digit(std::span<const int16_t> samples) {
  if (samples.size() < 100 || samples.size() > 400) return std::nullopt;
  const Strongest low = strongest(samples, low_tones);
  const Strongest high = strongest(samples, high_tones);
  if (low.level < least_level || high.level < least_level) return std::nullopt;
  if (std::abs(low.level - high.level) > most_twist) return std::nullopt;
  if (low.level - low.next < least_distance || high.level - high.next < least_distance) return std::nullopt;
  return "123A456B789C*0#D"[low.index * 4 + high.index];
}

}  // namespace tandem::codec
