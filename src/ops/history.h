#pragma once
// What a node's figures were, for the charts of the console: a sample every ten seconds, kept for six hours.
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <deque>

#include "base/time.h"

namespace tandem::ops {

/// Figures of a moment, summed over workers. Totals count since the start of the node.
struct Figures {
  uint64_t calls = 0;         // now
  uint64_t started = 0;       // total: INVITEs that became a call
  uint64_t answered = 0;      // total
  uint64_t contacts = 0;      // registered now
  uint64_t legs_good = 0;     // now, MOS 3.6 and more (ITU-T G.109 "medium" and better)
  uint64_t legs_poor = 0;     // now, less
  uint64_t packets = 0;       // total: RTP and RTCP that went through
  uint64_t lost = 0;          // total: RTP that did not come
  uint64_t sip_messages = 0;  // total
  uint64_t trunks_down = 0;   // now
  uint64_t recordings = 0;    // being written now
};

class History {
 public:
  static constexpr Duration period = seconds(10);
  static constexpr size_t samples = 6 * 360;

  void add(WallTime now, const Figures& figures);
  /// {"period": 10, "items": [{"time": ..., "calls": ...}, ...]}, oldest first, later than `after` (0: all).
  boost::json::object to_json(WallTime after) const;

 private:
  struct Sample {
    WallTime time;
    Figures figures;
  };
  std::deque<Sample> kept_;
};

boost::json::object to_json(WallTime time, const Figures& figures);
/// Its JSON Schema.
boost::json::object figures_schema();

}  // namespace tandem::ops
