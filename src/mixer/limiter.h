#pragma once
// Brings a sum of voices back into 16 bits. The gain is down before the peak arrives: the sound is held back
// by one block, and within a block the gain goes in a straight line between what its two ends need, so no
// sample is ever cut off. It comes up again slowly, and not between two swings of a low voice, so that a
// steady sound keeps its shape. A value: a copy goes on as the original would.
#include <algorithm>
#include <array>
#include <cstddef>

#include "mixer/frame.h"

namespace tandem::mixer {

class Limiter {
 public:
  static constexpr size_t block = audio_rate / 400;  // 2.5 ms: by how much the sound comes later
  static constexpr int32_t ceiling = 29204;          // -1 dBFS: coders overshoot

  Limiter();
  void process(const Sum& sum, Frame& out);
  /// 1: nothing is held down.
  float gain() const { return gain_; }

 private:
  static constexpr size_t hold = 20;  // blocks: 50 ms

  std::array<int32_t, block> held_{};  // the last block of the sum
  std::array<float, hold> need_;       // of the last blocks, a ring
  size_t next_ = 0;
  float gain_ = 1;  // where the next block begins
};

}  // namespace tandem::mixer
