#include "ops/guess_limit.h"

namespace tandem::ops {

uint32_t GuessLimit::wait(WallTime now, uint64_t source) {
  const edge::SourceEntry* e = sources_.find(source);
  if (!e || e->failures < guesses_) return 0;
  const Duration left = e->window + window - Instant{now.ns};
  // Past the window, or the clock was set back: that must lock nobody out for longer.
  if (left <= Duration{} || left > window) return 0;
  return static_cast<uint32_t>((left + seconds(1) - Duration(1)) / seconds(1));
}

void GuessLimit::note_wrong(WallTime now, uint64_t source) {
  const Instant t{now.ns};
  bool evicted = false;
  edge::SourceEntry& e = sources_.find_or_add(t, source, 0, evicted);
  if (t < e.window || t - e.window >= window) {
    e.window = t;
    e.failures = 0;
  }
  ++e.failures;
}

void GuessLimit::forgive(uint64_t source) {
  edge::SourceEntry* e = sources_.find(source);
  if (e && e->failures > 0) --e->failures;
}

}  // namespace tandem::ops
