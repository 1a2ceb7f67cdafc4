#pragma once
// Tone sequences and their generator (ITU-T E.180, E.182): ringback, busy, a little music on hold.
#include <cstdint>
#include <span>
#include <vector>

namespace tandem::codec {

/// One step of a sequence: up to two sine waves, or silence when both frequencies are 0.
struct ToneStep {
  uint16_t frequency1 = 0;  // Hz
  uint16_t frequency2 = 0;  // Hz; 0: a single tone
  int8_t level = -10;       // dBm0 of each sine
  uint16_t milliseconds = 0;
  bool operator==(const ToneStep&) const = default;
};

struct ToneSequence {
  std::vector<ToneStep> steps;  // at most 64
  uint32_t repeats = 0;         // how often the whole sequence plays; 0: for ever
  bool operator==(const ToneSequence&) const = default;

  static ToneSequence ringback();    // 425 Hz, 1 s on, 4 s off
  static ToneSequence busy();        // 425 Hz, 0.5 s on, 0.5 s off
  static ToneSequence congestion();  // 425 Hz, 0.25 s on, 0.25 s off
  static ToneSequence music();       // a slow melody for hold
  static ToneSequence steady(uint16_t frequency, int8_t level = -10);
};

/// Renders a sequence sample by sample at 8 kHz. A value: copying it copies the position.
class ToneGenerator {
 public:
  ToneGenerator() = default;
  explicit ToneGenerator(ToneSequence sequence);
  /// Fills `out` with 16-bit linear samples; silence once the sequence has ended.
  void render(std::span<int16_t> out);
  bool finished() const { return finished_; }
  const ToneSequence& sequence() const { return sequence_; }

  /// Position in samples from the start, for a snapshot.
  uint64_t position() const { return position_; }
  void seek(uint64_t position);

 private:
  void enter_step();
  void take(uint32_t samples);
  void advance_silently(uint64_t samples);

  ToneSequence sequence_;
  size_t step_ = 0;
  uint32_t left_ = 0;  // samples left in the step
  uint32_t round_ = 0;
  uint64_t position_ = 0;
  uint32_t phase_[2] = {0, 0};      // 2^32 is a full turn
  uint32_t increment_[2] = {0, 0};  // per sample
  int32_t amplitude_ = 0;
  bool finished_ = true;
};

}  // namespace tandem::codec
