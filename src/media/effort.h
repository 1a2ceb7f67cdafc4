#pragma once
// How hard the encoders work, from how late their frames are made. Inside the room, as state.h.
#include <cstdint>

#include "base/counters.h"
#include "base/time.h"

namespace tandem::media {

/// Opus is the only codec here whose cost can be chosen (its complexity, 0 to 10). A worker that has more to
/// do than its core can makes frames late, all of them: the load is read off that, on the same clock as
/// everything else, so that a simulation repeats it. Down a step as soon as a second of frames was late, up
/// again only after a calm while, which doubles each time that the step up did not last.
class Effort {
 public:
  explicit Effort(CounterSet& counters);

  /// A frame that was due then is made now.
  void frame(Instant due, Instant now);
  /// Of Opus.
  uint8_t complexity() const { return steps[step_]; }

  static constexpr uint8_t steps[] = {5, 3, 1, 0};
  static constexpr Duration window = seconds(1);
  static constexpr uint32_t fewest = 25;  // frames that say something about a window: one leg's are 50
  static constexpr Duration late = milliseconds(6);   // beyond the granularity of a worker's loop
  static constexpr uint32_t late_share = 10;          // one in so many is a worker that falls behind
  static constexpr Duration gap = milliseconds(200);  // the machine slept: says nothing about the work
  static constexpr uint32_t calm_windows = 10;        // before a step up
  static constexpr uint32_t most_calm_windows = 320;  // five minutes and a bit

 private:
  void judge(Instant now);

  Counter &down_, &lowered_;
  uint8_t step_ = 0;
  uint32_t frames_ = 0, late_ = 0;
  uint32_t calm_ = 0;  // windows without a late frame
  uint32_t wanted_calm_ = calm_windows;
  bool tried_ = false;                // the last move was up
  uint32_t since_move_ = 0;           // windows
  Instant until_ = Instant::never();  // of the window
};

}  // namespace tandem::media
