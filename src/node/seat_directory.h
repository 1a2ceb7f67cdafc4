#pragma once
// The seats of trunks and domains whose names' shards this worker owns: how many calls there are at each,
// wherever the calls themselves live. Seats that nobody renews are let go, so that a lost mail or a lost call
// cannot keep one for ever; one that is held twice over is counted once.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>

#include "base/counters.h"
#include "base/time.h"
#include "port/ask.h"

namespace tandem::node {

class SeatDirectory {
 public:
  struct Limits {
    uint32_t calls = 0;       // at a time; 0: no limit
    uint32_t per_second = 0;  // in any second; 0: no limit
  };
  /// `lease`: how long a seat is believed taken after its call said so.
  SeatDirectory(Duration lease, CounterSet& counters);

  /// Granted, the seat is taken.
  port::SeatAnswer ask(Instant now, const port::AskSeat& question, const Limits& limits);
  void update(Instant now, const port::SeatUpdate& update);
  void on_timeout(Instant now);
  Instant next_timeout() const { return next_sweep_; }
  /// Seats taken, of all pools or of one.
  size_t size() const { return total_; }
  size_t size(const port::SeatPool& pool) const;

 private:
  struct Pool {
    std::unordered_map<uint64_t, Instant> seats;  // until when
    std::deque<Instant> granted;                  // within the last second
  };
  void take(Instant now, Pool& pool, uint64_t seat);

  Duration lease_;
  std::map<port::SeatPool, Pool> pools_;
  size_t total_ = 0;
  Instant next_sweep_ = Instant::never();
  Counter& taken_;  // gauge
  Counter& lapsed_;
};

}  // namespace tandem::node
