#include "mixer/limiter.h"

#include <cmath>
#include <cstdlib>

namespace tandem::mixer {
namespace {

constexpr float release = 1.00347F;  // a block: 6 dB in half a second

float need_of(const int32_t* block) {
  int32_t peak = 0;
  for (size_t i = 0; i < Limiter::block; ++i) peak = std::max(peak, std::abs(block[i]));
  return peak <= Limiter::ceiling ? 1.0F : static_cast<float>(Limiter::ceiling) / static_cast<float>(peak);
}

}  // namespace

Limiter::Limiter() { need_.fill(1); }

void Limiter::process(const Sum& sum, Frame& out) {
  static_assert(frame_samples % block == 0);
  for (size_t at = 0; at < frame_samples; at += block) {
    need_[next_] = need_of(sum.data() + at);
    next_ = (next_ + 1) % hold;
    const float low = *std::min_element(need_.begin(), need_.end());
    const float to = std::min(low, gain_ * release);
    const int32_t* in = at == 0 ? held_.data() : sum.data() + at - block;
    if (gain_ == 1 && to == 1) {
      for (size_t i = 0; i < block; ++i) out[at + i] = static_cast<int16_t>(in[i]);
    } else {
      const float step = (to - gain_) / static_cast<float>(block);
      for (size_t i = 0; i < block; ++i)
        out[at + i] =
            static_cast<int16_t>(static_cast<float>(in[i]) * (gain_ + step * static_cast<float>(i + 1)));
    }
    gain_ = to;
  }
  std::copy(sum.end() - block, sum.end(), held_.begin());
}

}  // namespace tandem::mixer
