#pragma once
// Concealment of lost sound for codecs that have none of their own: the last pitch period is repeated, then
// the last two and three, and fades, much as G.711 Appendix I does; unlike there the sound is not delayed.
#include <cstdint>
#include <span>
#include <vector>

namespace tandem::codec {

/// One channel, any rate from 8 to 48 kHz. Allocates once.
class Concealer {
 public:
  explicit Concealer(uint32_t audio_rate);
  /// Sound that came, every sample in order. After a loss its first milliseconds are blended with the
  /// substitute. `step` is the distance of this channel's samples.
  void heard(int16_t* samples, size_t count, size_t step = 1);
  /// Writes a substitute. Silence after 60 ms without sound, and when nothing has been heard yet.
  void conceal(int16_t* out, size_t count, size_t step = 1);
  void reset();

 private:
  void start();
  void rebuild(size_t periods);
  size_t find_pitch() const;
  float correlation(size_t lag, size_t stride) const;
  float next_substitute();

  // Given.
  const size_t rate_;
  const size_t shortest_, longest_;  // pitch periods in samples: 400 to 66 Hz
  const size_t window_;              // samples compared to find the pitch: 20 ms
  // State.
  std::vector<int16_t> history_;  // what was heard last, oldest first
  std::vector<float> cycle_;      // what is repeated, up to three periods
  size_t cycle_length_ = 0;
  size_t pitch_ = 0;
  size_t at_ = 0;       // in cycle_
  size_t missing_ = 0;  // samples concealed since sound was heard
};

}  // namespace tandem::codec
