#include "codec/concealer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tandem::codec {
namespace {
constexpr size_t lowest_pitch = 66;    // Hz
constexpr size_t highest_pitch = 400;  // Hz
constexpr size_t most_periods = 3;
constexpr size_t fade_after_ms = 10;
constexpr size_t silent_after_ms = 60;

int16_t to_sample(float x) { return static_cast<int16_t>(std::lrint(std::clamp(x, -32768.0F, 32767.0F))); }
}  // namespace

Concealer::Concealer(uint32_t audio_rate)
    : rate_(audio_rate),
      shortest_(rate_ / highest_pitch),
      longest_(rate_ / lowest_pitch),
      window_(rate_ / 50),
      // Three periods, and the quarter in front of them that is blended into their end.
      history_(std::max(longest_ * most_periods + longest_ / 4 + 1, window_ + longest_)),
      cycle_(longest_ * most_periods) {}

void Concealer::reset() {
  std::fill(history_.begin(), history_.end(), int16_t{0});
  missing_ = 0;
}

float Concealer::correlation(size_t lag, size_t stride) const {
  const int16_t* now = history_.data() + history_.size() - window_;
  const int16_t* then = now - lag;
  float product = 0;
  float energy = 1;
  for (size_t i = 0; i < window_; i += stride) {
    product += static_cast<float>(now[i]) * static_cast<float>(then[i]);
    energy += static_cast<float>(then[i]) * static_cast<float>(then[i]);
  }
  return product / std::sqrt(energy);
}

size_t Concealer::find_pitch() const {
  // Coarsely at about 4 kHz, then sample by sample around what was found.
  const size_t stride = std::max<size_t>(1, rate_ / 4000);
  const auto best = [this](size_t from, size_t to, size_t lag_step, size_t sample_step) {
    size_t lag = from;
    float most = -1e30F;
    for (size_t l = from; l <= to; l += lag_step)
      if (const float c = correlation(l, sample_step); c > most) {
        most = c;
        lag = l;
      }
    return lag;
  };
  const size_t coarse = best(shortest_, longest_, stride, stride);
  return best(std::max(shortest_, coarse - std::min(coarse, stride)), std::min(longest_, coarse + stride), 1,
              1);
}

void Concealer::rebuild(size_t periods) {
  cycle_length_ = pitch_ * periods;
  const int16_t* last = history_.data() + history_.size() - cycle_length_;
  for (size_t i = 0; i < cycle_length_; ++i) cycle_[i] = last[i];
  // The end runs into what came before the beginning: the seam of the repetition disappears.
  const size_t overlap = pitch_ / 4;
  for (size_t i = 0; i < overlap; ++i) {
    const float w = static_cast<float>(i + 1) / static_cast<float>(overlap + 1);
    float& end = cycle_[cycle_length_ - overlap + i];
    end = end * (1 - w) +
          static_cast<float>(last[static_cast<ptrdiff_t>(i) - static_cast<ptrdiff_t>(overlap)]) * w;
  }
}

void Concealer::start() {
  pitch_ = find_pitch();
  rebuild(1);
  at_ = 0;
}

float Concealer::next_substitute() {
  const size_t ten_ms = rate_ / 100;
  // A single period repeated for long sounds like a buzzer.
  if (missing_ == ten_ms || missing_ == 2 * ten_ms) {
    rebuild(missing_ / ten_ms + 1);
    at_ %= pitch_;
  }
  const size_t fade_from = rate_ * fade_after_ms / 1000;
  const size_t silent_from = rate_ * silent_after_ms / 1000;
  const float gain = missing_ <= fade_from     ? 1.0F
                     : missing_ >= silent_from ? 0.0F
                                               : static_cast<float>(silent_from - missing_) /
                                                     static_cast<float>(silent_from - fade_from);
  const float x = cycle_[at_] * gain;
  if (++at_ == cycle_length_) at_ = 0;
  ++missing_;
  return x;
}

void Concealer::conceal(int16_t* out, size_t count, size_t step) {
  size_t i = 0;
  if (missing_ == 0 && count > 0) {
    start();
    // The sound that breaks off is carried on backwards for a moment under the substitute, so that nothing
    // jumps.
    const size_t overlap = std::min(pitch_ / 4, count);
    for (; i < overlap; ++i) {
      const float w = static_cast<float>(i + 1) / static_cast<float>(overlap + 1);
      out[i * step] =
          to_sample(next_substitute() * w + static_cast<float>(history_[history_.size() - 1 - i]) * (1 - w));
    }
  }
  for (; i < count; ++i) out[i * step] = to_sample(next_substitute());
}

void Concealer::heard(int16_t* samples, size_t count, size_t step) {
  if (count == 0) return;
  if (missing_ > 0) {
    // 4 ms, and longer the longer the gap was, up to 10 ms.
    const size_t overlap = std::min({rate_ / 250 + missing_ / 10, rate_ / 100, count});
    for (size_t i = 0; i < overlap; ++i) {
      const float w = static_cast<float>(i + 1) / static_cast<float>(overlap + 1);
      int16_t& s = samples[i * step];
      s = to_sample(static_cast<float>(s) * w + next_substitute() * (1 - w));
    }
    missing_ = 0;
  }
  const size_t kept = std::min(count, history_.size());
  std::memmove(history_.data(), history_.data() + kept, (history_.size() - kept) * sizeof(int16_t));
  int16_t* to = history_.data() + history_.size() - kept;
  const int16_t* from = samples + (count - kept) * step;
  if (step == 1) {
    std::memcpy(to, from, kept * sizeof(int16_t));
  } else {
    for (size_t i = 0; i < kept; ++i) to[i] = from[i * step];
  }
}

}  // namespace tandem::codec
