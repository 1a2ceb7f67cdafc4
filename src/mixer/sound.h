#pragma once
// Sounds that are played into a conference: announcements, tones.
#include <cstdint>
#include <memory>
#include <vector>

#include "codec/resampler.h"
#include "mixer/frame.h"

namespace tandem::mixer {

/// One channel. Immutable and shared: many conferences play the same one.
struct Sound {
  std::vector<int16_t> samples;
  uint32_t rate = audio_rate;  // Hz, 8000 to 48000
};

/// A sound being played, at the conference's rate.
class Playback {
 public:
  /// nullptr when there is no sound, it is empty, or its rate is none a resampler takes.
  static std::unique_ptr<Playback> make(std::shared_ptr<const Sound> sound, uint32_t repeats);
  /// The next frame, silence behind the end.
  void render(Frame& out);
  /// All has been rendered.
  bool finished() const { return left_ == 0 && end_ == 0; }

 private:
  Playback(std::shared_ptr<const Sound> sound, uint32_t repeats, std::unique_ptr<codec::Resampler> resampler);
  void take(std::span<int16_t> out);

  const std::shared_ptr<const Sound> sound_;
  const std::unique_ptr<codec::Resampler> resampler_;
  uint64_t left_;               // samples of the sound to come, repeats and the resampler's tail included
  uint64_t tail_;               // of these, silence that brings out what the resampler holds back
  size_t at_ = 0;               // in the sound
  std::vector<int16_t> taken_;  // 10 ms at the sound's rate
  std::vector<int16_t> queue_;  // [0, end_) at the conference's
  size_t end_ = 0;
};

}  // namespace tandem::mixer
