#include "mixer/frame.h"

#include <algorithm>
#include <cmath>

namespace tandem::mixer {
namespace {

constexpr float silence_dbov = -127;

template <int sign>
void accumulate(Sum& sum, const Frame& frame, const Ramp& ramp) {
  size_t i = 0;
  if (ramp.from != ramp.to) {
    const size_t over = std::min(ramp.over, frame_samples);
    const float step = (ramp.to - ramp.from) / static_cast<float>(over);
    for (; i < over; ++i) {
      const float gain = ramp.from + step * static_cast<float>(i + 1);
      sum[i] += sign * static_cast<int32_t>(static_cast<float>(frame[i]) * gain);
    }
  }
  if (ramp.to == 1) {
    for (; i < frame_samples; ++i) sum[i] += sign * frame[i];
  } else if (ramp.to != 0) {
    for (; i < frame_samples; ++i)
      sum[i] += sign * static_cast<int32_t>(static_cast<float>(frame[i]) * ramp.to);
  }
}

}  // namespace

void add(Sum& sum, const Frame& frame, const Ramp& ramp) { accumulate<1>(sum, frame, ramp); }
void subtract(Sum& sum, const Frame& frame, const Ramp& ramp) { accumulate<-1>(sum, frame, ramp); }

void cross_fade(Sum& to, const Sum& sum) {
  for (size_t i = 0; i < frame_samples; ++i) {
    const float share = static_cast<float>(i + 1) / frame_samples;
    to[i] =
        static_cast<int32_t>(static_cast<float>(to[i]) * (1 - share) + static_cast<float>(sum[i]) * share);
  }
}

float dbov_of(std::span<const int16_t> sound) {
  int64_t energy = 0;
  for (const int16_t s : sound) energy += int32_t{s} * s;
  if (energy == 0) return silence_dbov;
  const double mean = static_cast<double>(energy) / static_cast<double>(sound.size());
  return std::max(silence_dbov, static_cast<float>(10 * std::log10(mean / (32768.0 * 32768.0))));
}

uint8_t level_of(float dbov) { return static_cast<uint8_t>(std::lround(std::clamp(-dbov, 0.0F, 127.0F))); }

}  // namespace tandem::mixer
