#pragma once
// Every question this worker has put to the world and not yet had an answer to. A question without an answer
// by its deadline is answered here with AskFailure::timed_out, so nobody waits for ever; an answer nobody
// waits for is dropped and counted.
#include <cstddef>
#include <optional>
#include <unordered_map>

#include "base/counters.h"
#include "base/timers.h"
#include "port/outbox.h"

namespace tandem::node {

class AskTable {
 public:
  explicit AskTable(CounterSet& counters);

  void add(const port::Outbox::NewAsk& ask);
  /// Whom the answer is for; nothing when it is late or never was ours.
  std::optional<port::Asker> take(port::AskId id);
  /// The next question whose deadline has passed, with its asker.
  struct Expired {
    port::AskId id;
    port::Asker asker;
  };
  std::optional<Expired> pop_expired(Instant now);
  Instant next_timeout() const { return timers_.next(); }
  size_t size() const { return open_.size(); }

 private:
  struct Open {
    port::Asker asker;
    Instant deadline;
  };
  std::unordered_map<port::AskId, Open> open_;
  TimerQueue<port::AskId> timers_;
  Counter& late_;
  Counter& timed_out_;
  Counter& gauge_;
};

}  // namespace tandem::node
