#pragma once
// Voices that are known again after transcoding: a steady tone, another one for each phone.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codec/g711.h"

namespace tandem::sim {

/// Which tone is the phone's. Some share one: they have to be far enough apart for what the seams of a
/// stretched sound do to them.
uint32_t pitch_of(uint32_t phone);

/// A phone's tone, in G.711.
class PitchedVoice {
 public:
  explicit PitchedVoice(uint32_t phone);
  void say(codec::G711 law, std::span<uint8_t> out);

 private:
  double step_, phase_ = 0;
};

/// Listens for such tones. Lost packets, concealment and other people's music are no voice.
class PitchEar {
 public:
  /// The pitch that is heard, when 120 ms of it say the same: concealment goes on for two blocks as loud as
  /// what was lost, but with periods of whole samples.
  std::optional<uint32_t> hear(codec::G711 law, std::span<const uint8_t> sound);

 private:
  std::optional<uint32_t> judge() const;

  std::vector<int16_t> block_;
  std::optional<uint32_t> before_;
  int alike_ = 0;  // blocks in a row
};

}  // namespace tandem::sim
