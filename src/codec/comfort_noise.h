#pragma once
// Comfort noise (RFC 3389): the background of a silence as one octet of level and a few of spectrum.
//
//    0 1 2 3 4 5 6 7
//   |0|   level     |   level in -dBov
//   |  reflection coefficient 1..M, each (N - 127) * 258 / 32768
#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace tandem::codec {

/// Coefficients written, and at most used of what comes.
inline constexpr size_t noise_order = 10;
inline constexpr size_t noise_octets = 1 + noise_order;

/// The payload for background noise heard in `samples` (20 ms or more, any rate). Returns noise_octets.
size_t describe_noise(std::span<const int16_t> samples, std::array<uint8_t, noise_octets>& out);

/// Renders what the last payload described. A value.
class NoiseGenerator {
 public:
  /// `seed` makes each generator's noise its own; it is no secret.
  explicit NoiseGenerator(uint64_t seed = 1) : random_(seed | 1) {}
  /// False, and nothing changed, when the payload is empty. The reserved first bit is ignored, and so are
  /// coefficients past noise_order.
  bool set(Bytes payload);
  /// Silence before the first payload. The level moves to a new one over a few milliseconds.
  void render(std::span<int16_t> out);

 private:
  float white();

  uint64_t random_;
  std::array<float, noise_order> reflection_{};
  std::array<float, noise_order + 1> backward_{};  // of the lattice
  float gain_ = 0;                                 // of the excitation
  float target_ = 0;                               // what gain_ moves to
};

}  // namespace tandem::codec
