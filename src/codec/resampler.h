#pragma once
// Change of sample rate (speexdsp), and between one and two channels. 16-bit interleaved samples.
#include <cstdint>
#include <memory>
#include <span>

struct SpeexResamplerState_;

namespace tandem::codec {

/// Rates from 8 to 48 kHz. Allocates once. With equal rates it copies.
class Resampler {
 public:
  /// nullptr when a rate is not 8000 to 48000 or there are not 1 or 2 channels.
  static std::unique_ptr<Resampler> make(uint32_t from_rate, uint32_t to_rate, uint8_t channels = 1);
  ~Resampler();
  /// All of `in` goes in; what is written to `out` is returned, in samples of all channels. A whole number of
  /// 10 ms of 8, 16, 24, 32 or 48 kHz yields exactly as long a time. 0, and nothing done, when `out` has less
  /// room than room_for(in.size()) or `in` is no whole number of channels.
  size_t process(std::span<const int16_t> in, std::span<int16_t> out);
  size_t room_for(size_t samples) const;
  /// By how much the sound comes later: half the filter, 3 ms at 8 kHz (either side), 1.5 ms at 16 kHz.
  uint32_t delay_us() const;
  void reset();

 private:
  Resampler(uint32_t from_rate, uint32_t to_rate, uint8_t channels, SpeexResamplerState_* state);
  const uint32_t from_, to_;
  const uint8_t channels_;
  SpeexResamplerState_* const state_;  // owned; null when the rates are equal
};

/// Both channels halved and added; `out` has half as many samples as `in`.
void to_mono(std::span<const int16_t> in, std::span<int16_t> out);
/// Each sample twice; `out` has twice as many samples as `in`.
void to_stereo(std::span<const int16_t> in, std::span<int16_t> out);

}  // namespace tandem::codec
