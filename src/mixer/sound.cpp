#include "mixer/sound.h"

#include <algorithm>
#include <utility>

namespace tandem::mixer {

std::unique_ptr<Playback> Playback::make(std::shared_ptr<const Sound> sound, uint32_t repeats) {
  if (!sound || sound->samples.empty()) return nullptr;
  auto resampler = codec::Resampler::make(sound->rate, audio_rate);
  if (!resampler) return nullptr;
  return std::unique_ptr<Playback>(
      new Playback(std::move(sound), std::max<uint32_t>(repeats, 1), std::move(resampler)));
}

Playback::Playback(std::shared_ptr<const Sound> sound, uint32_t repeats,
                   std::unique_ptr<codec::Resampler> resampler)
    : sound_(std::move(sound)),
      resampler_(std::move(resampler)),
      tail_(uint64_t{resampler_->delay_us()} * sound_->rate / 1'000'000),
      taken_((sound_->rate + 99) / 100) {
  left_ = sound_->samples.size() * uint64_t{repeats} + tail_;
  queue_.resize(frame_samples + resampler_->room_for(taken_.size()));
}

void Playback::take(std::span<int16_t> out) {
  size_t i = 0;
  while (i < out.size() && left_ > tail_) {
    const size_t n =
        std::min({out.size() - i, sound_->samples.size() - at_, static_cast<size_t>(left_ - tail_)});
    std::copy_n(sound_->samples.begin() + static_cast<std::ptrdiff_t>(at_), n,
                out.begin() + static_cast<std::ptrdiff_t>(i));
    i += n;
    at_ = (at_ + n) % sound_->samples.size();
    left_ -= n;
  }
  const uint64_t quiet = std::min<uint64_t>(out.size() - i, left_);
  tail_ -= std::min(tail_, quiet);
  left_ -= quiet;
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(i), out.end(), int16_t{0});
}

void Playback::render(Frame& out) {
  while (end_ < frame_samples && left_ > 0) {
    take(taken_);
    end_ += resampler_->process(taken_, std::span(queue_).subspan(end_));
  }
  const size_t n = std::min(end_, frame_samples);
  std::copy_n(queue_.begin(), n, out.begin());
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(n), out.end(), int16_t{0});
  std::copy(queue_.begin() + static_cast<std::ptrdiff_t>(n),
            queue_.begin() + static_cast<std::ptrdiff_t>(end_), queue_.begin());
  end_ -= n;
}

}  // namespace tandem::mixer
