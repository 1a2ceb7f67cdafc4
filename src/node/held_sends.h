#pragma once
// Output commit: a send that must not leave before something is durable (a 200 to BYE before its CDR) waits
// here.
#include <cstdint>
#include <deque>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "port/outbox.h"

namespace tandem::node {

class HeldSends {
 public:
  /// `patience`: how long a send waits for a spool that does not answer. Past it the send leaves all the same
  /// (fail static: the caller's phone must not hang because a disk does), counted.
  HeldSends(Duration patience, CounterSet& counters);

  /// Moves the sends that must wait out of `sends`; the rest stay, in order.
  void hold(Now now, std::vector<port::Send>& sends);
  /// Everything up to `upto` is durable: appends the released sends to `sends`.
  void committed(port::CommitId upto, std::vector<port::Send>& sends);
  void on_timeout(Now now, std::vector<port::Send>& sends);
  Instant next_timeout() const { return held_.empty() ? Instant::never() : held_.front().deadline; }
  size_t size() const { return held_.size(); }

 private:
  struct Held {
    Instant deadline;
    port::Send send;
  };
  Duration patience_;
  port::CommitId durable_ = 0;
  std::deque<Held> held_;  // in the order held, so deadlines ascend
  Counter& impatient_;
  Counter& gauge_;
};

}  // namespace tandem::node
