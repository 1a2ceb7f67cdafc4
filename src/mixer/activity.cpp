#include "mixer/activity.h"

#include <algorithm>

#include "mixer/frame.h"

namespace tandem::mixer {
namespace {

constexpr float above = 9;  // dB over the background
constexpr float least = -57, most = -42;
constexpr uint32_t span_frames = 150;  // three seconds
constexpr uint32_t hang_each = 4, longest_hang = 20;
constexpr float rise = 0.5F, fall = 0.05F;

}  // namespace

void Activity::hear(std::span<const int16_t> sound) {
  const float now = dbov_of(sound);
  const float background = std::min(quietest_, quietest_before_);
  const float threshold =
      background == 0 ? least + (most - least) / 2 : std::clamp(background + above, least, most);
  if (now > threshold) {
    hang_ = std::min(hang_ + hang_each, longest_hang);
  } else if (hang_ > 0) {
    --hang_;
  }
  quietest_ = std::min(quietest_, now);
  if (++span_ == span_frames) {
    quietest_before_ = quietest_;
    quietest_ = 0;
    span_ = 0;
  }
  follow(now);
}

void Activity::hear_nothing() {
  if (hang_ > 0) --hang_;
  follow(-127);
}

void Activity::follow(float dbov) {
  dbov_ = dbov;
  loudness_ += (dbov - loudness_) * (dbov > loudness_ ? rise : fall);
}

}  // namespace tandem::mixer
