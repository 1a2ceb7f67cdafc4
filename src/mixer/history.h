#pragma once
// What a mix sounded like lately, by position: samples since the conference began.
#include <array>
#include <cstdint>
#include <span>

#include "mixer/frame.h"

namespace tandem::mixer {

class History {
 public:
  static constexpr size_t frames = 12;  // 240 ms: whole frames of every ptime, and enough to warm a coder up
  static constexpr uint64_t samples = frames * frame_samples;

  /// The frame that begins at `position`, a multiple of frame_samples.
  void push(uint64_t position, const Frame& frame);
  /// The sound from `from` on; silence where nothing was pushed or it is too long ago.
  void copy(uint64_t from, std::span<int16_t> out) const;

 private:
  std::array<Frame, frames> ring_{};
  std::array<uint64_t, frames> begins_{};  // position + 1 of each; 0: empty
};

}  // namespace tandem::mixer
