#pragma once
// DTMF in the sound itself (ITU-T Q.23, Q.24): heard through spandsp, made as a tone sequence.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "codec/tone.h"

namespace tandem::codec {

struct DtmfChange {
  char digit = 0;      // '0'..'9', '*', '#', 'A'..'D'
  bool on = false;     // it begins, or it has ended
  int8_t level = 0;    // dBm0; 0 when it ends
  uint32_t at_ms = 0;  // of sound heard when this was certain: 25 to 40 ms after it happened
  bool operator==(const DtmfChange&) const = default;
};

/// Samples at 8 kHz. A digit needs about 40 ms, at least -34 dBm0 a tone, the high tone at most 4 dB above
/// the low one (reverse: low over high, 8 dB); dial tone below it is filtered.
class DtmfDetector {
 public:
  /// More changes than that in one call are dropped: a digit takes 25 ms or more, so that is 200 ms of sound.
  static constexpr size_t most_changes = 8;

  DtmfDetector();
  ~DtmfDetector();
  DtmfDetector(DtmfDetector&&) noexcept;
  DtmfDetector& operator=(DtmfDetector&&) noexcept;
  /// Valid until the next call.
  std::span<const DtmfChange> process(std::span<const int16_t> samples);
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The sound of a digit, each tone at `level` dBm0, followed by a pause; nothing for another character.
std::optional<ToneSequence> dtmf_tones(char digit, uint16_t on_ms = 100, uint16_t off_ms = 60,
                                       int8_t level = -9);

}  // namespace tandem::codec
