#include "media/effort.h"

#include <algorithm>
#include <iterator>

namespace tandem::media {

Effort::Effort(CounterSet& counters)
    : down_(counters.gauge("media_effort_steps_down",
                           "steps by which Opus is coded with less effort, since workers were late")),
      lowered_(
          counters.counter("media_effort_lowered_total", "times a worker that was late took a step down")) {}

void Effort::frame(Instant due, Instant now) {
  if (now - due > gap) return;
  if (now >= until_ || until_.is_never()) {
    if (!until_.is_never()) judge(now);
    until_ = now + window;
    frames_ = late_ = 0;
  }
  ++frames_;
  if (now - due > late) ++late_;
}

void Effort::judge(Instant now) {
  if (now - until_ > window) calm_ = 0;  // nothing was made meanwhile, and nothing is known of it
  if (frames_ < fewest) return;
  ++since_move_;
  if (late_ * late_share >= frames_) {
    calm_ = 0;
    if (tried_ && since_move_ <= calm_windows) wanted_calm_ = std::min(wanted_calm_ * 2, most_calm_windows);
    tried_ = false;
    if (step_ + 1u < std::size(steps)) {
      ++step_;
      lowered_.add();
    }
    since_move_ = 0;
  } else if (late_ == 0 && step_ > 0 && ++calm_ >= wanted_calm_) {
    calm_ = 0;
    since_move_ = 0;
    tried_ = true;
    if (--step_ == 0) wanted_calm_ = std::max(calm_windows, wanted_calm_ / 2);
  } else if (late_ > 0) {
    calm_ = 0;
  }
  down_.set(step_);
}

}  // namespace tandem::media
