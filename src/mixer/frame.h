#pragma once
// The sound a conference is mixed in: 16 kHz, one channel, 20 ms at a time. 16 kHz is what G.722 has, what
// Opus carries in its wideband mode, and twice what G.711 has.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tandem::mixer {

inline constexpr uint32_t audio_rate = 16'000;  // Hz
inline constexpr uint32_t tick_ms = 20;
inline constexpr size_t frame_samples = audio_rate / 1000 * tick_ms;

using Frame = std::array<int16_t, frame_samples>;
/// Of many frames: 32 bits hold some sixteen thousand at full scale and fourfold gain.
using Sum = std::array<int32_t, frame_samples>;

/// A gain that goes from one value to another in the first `over` samples of a frame and then stays.
struct Ramp {
  float from = 0, to = 0;
  size_t over = frame_samples;
  bool silent() const { return from == 0 && to == 0; }
  bool operator==(const Ramp&) const = default;
};

/// Adds the frame at that gain. subtract() takes away exactly what add() has added.
void add(Sum& sum, const Frame& frame, const Ramp& ramp);
void subtract(Sum& sum, const Frame& frame, const Ramp& ramp);
/// `to` becomes what leads from it to `sum` in a frame.
void cross_fade(Sum& to, const Sum& sum);

/// Root mean square over full scale in -dBov (RFC 6464 section 3): 0 is the loudest, 127 silence.
float dbov_of(std::span<const int16_t> sound);
uint8_t level_of(float dbov);

}  // namespace tandem::mixer
