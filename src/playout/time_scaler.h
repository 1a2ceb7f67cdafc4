#pragma once
// Sound made a little shorter or longer without a change of pitch: one pitch period taken out, or said twice,
// with a cross-fade (overlap and add at the best match).
#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem::playout {

/// What a change would do, found by comparing the sound with itself.
struct Period {
  size_t frames = 0;  // of the period; 0: nothing fits, leave the sound alone
  float match = 0;    // 1: periodic, or too quiet to matter; 0: noise
};

/// The period at the beginning of `sound` (interleaved when `channels` is 2), which must hold 20 ms or more.
Period find_period(std::span<const int16_t> sound, uint32_t audio_rate, size_t channels);

/// Takes the period out; returns how many samples of `sound` are left.
size_t shorten(std::span<int16_t> sound, const Period& period, size_t channels);

/// Says the period twice. `sound` has room for its samples behind `size`; returns the new size.
size_t lengthen(std::span<int16_t> sound, size_t size, const Period& period, size_t channels);

}  // namespace tandem::playout
