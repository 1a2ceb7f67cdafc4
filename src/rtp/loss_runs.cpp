#include "rtp/loss_runs.h"

#include <algorithm>

namespace tandem::rtp {

void LossRuns::lose(uint32_t extended, uint32_t count) {
  if (count == 0) return;
  // The stream may turn out to have begun before its first packet, which was overtaken.
  const auto between = static_cast<int32_t>(extended - next);
  const uint32_t arrived = between > 0 ? static_cast<uint32_t>(between) : 0;
  if (arrived >= gap_distance) {
    if (pending == 1)
      ++c14;
    else if (pending > 1)
      ++c13;
    c11 += arrived;
    pending = 1;
  } else if (pending == 0) {  // the first loss of all, after a few packets
    c11 += arrived;
    pending = 1;
  } else {
    ++pending;
    if (arrived == 0) {
      ++c33;
    } else {
      ++c23;
      c22 += arrived - 1;
    }
  }
  if (arrived > 0 || runs == 0) ++runs;
  pending += count - 1;
  c33 += count - 1;
  lost += count;
  next = extended + count;
}

LossRuns::Summary LossRuns::summary(uint32_t extended) const {
  LossRuns whole = *this;
  if (pending == 1) ++whole.c14;
  if (pending > 1) ++whole.c13;
  if (static_cast<int32_t>(extended - next) > 0) whole.c11 += extended - next;
  const auto gap = static_cast<double>(whole.c11 + whole.c14 + whole.c13);
  Summary s;
  if (whole.c11 + whole.c14 > 0)
    s.gap_density = static_cast<double>(whole.c14) / static_cast<double>(whole.c11 + whole.c14);
  s.gap_packets = gap;
  if (whole.c13 == 0) return s;
  const auto bursts = static_cast<double>(whole.c13);
  const auto ended = static_cast<double>(whole.c13 + whole.c23 + whole.c33);
  const double p32 = static_cast<double>(whole.c23) / ended;
  const auto inside = static_cast<double>(whole.c22 + whole.c23);
  const double p23 = inside < 1 ? 1 : static_cast<double>(whole.c23) / inside;
  s.burst_density = p23 / (p23 + p32);
  s.gap_packets = gap / bursts;
  s.burst_packets = static_cast<double>(whole.c22 + 2 * whole.c23 + whole.c13 + whole.c33) / bursts;
  return s;
}

double LossRuns::burst_ratio(double loss) const {
  if (runs == 0) return 1;
  const double mean = static_cast<double>(lost) / static_cast<double>(runs);
  return std::max(1.0, mean * (1 - std::clamp(loss, 0.0, 1.0)));
}

}  // namespace tandem::rtp
