#pragma once
// Lines up the samples of a recording's sides: they come in pieces, by position, a side at a time, late or
// never; frames (a sample of each side) go out in order, with silence where nothing came. No clock: a side is
// waited for until the other is `patience` ahead.
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

namespace tandem::store {

class Timeline {
 public:
  /// `patience` and `longest` in samples of a side. Past `longest` nothing is taken.
  Timeline(uint8_t sides, uint64_t patience, uint64_t longest);

  /// Positions count from the beginning of the recording, pauses included.
  void put(uint8_t side, uint64_t at, std::span<const int16_t> samples);
  /// False when it changed nothing: it was paused, or was not.
  bool pause(uint64_t at);
  bool resume(uint64_t at);
  /// Nothing comes any more: the recording ends at `at`.
  void end(uint64_t at);
  /// Ends it at the last sample there is.
  void end();

  /// Frames that take() would give.
  uint64_t ready() const { return ready_to_ > taken_ ? ready_to_ - taken_ : 0; }
  /// Appends at most `max_frames` frames, interleaved, to `out`.
  void take(uint64_t max_frames, std::vector<int16_t>& out);
  /// Forgets the oldest samples that wait until at most `max_samples` (of all sides) are left: they become
  /// silence. Says how many, about.
  uint64_t trim(uint64_t max_samples);

  uint64_t taken() const { return taken_; }      // frames
  uint64_t length() const { return furthest_; }  // frames, taken or not
  bool ended() const { return ended_; }
  bool full() const { return furthest_ >= longest_; }  // it is as long as it may be
  uint64_t late() const { return late_; }              // samples that came after their frame was taken

 private:
  struct Pause {
    uint64_t from = 0;
    uint64_t to = UINT64_MAX;  // still open
  };
  using Block = std::vector<int16_t>;  // of block_frames frames; what nobody put is 0
  static constexpr uint64_t block_frames = 1600;

  void put_unpaused(uint8_t side, uint64_t at, std::span<const int16_t> samples);
  void write(uint8_t side, uint64_t at, std::span<const int16_t> samples);
  void advance();
  void forget_pauses();

  const uint8_t sides_;
  const uint64_t patience_, longest_;
  std::map<uint64_t, Block> blocks_;   // by frame / block_frames; an absent one is silence
  uint64_t taken_ = 0, ready_to_ = 0;  // in frames of the file
  uint64_t furthest_ = 0;
  std::vector<uint64_t> reached_;  // by side
  std::deque<Pause> pauses_;       // those that something may still come before
  uint64_t cut_ = 0;               // length of the pauses forgotten
  bool ended_ = false;
  uint64_t late_ = 0;
};

}  // namespace tandem::store
