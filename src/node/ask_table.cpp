#include "node/ask_table.h"

namespace tandem::node {

AskTable::AskTable(CounterSet& counters)
    : late_(counters.counter("asks_late_total", "Answers that came after their deadline and were dropped")),
      timed_out_(counters.counter("asks_timed_out_total", "Questions nobody answered in time")),
      gauge_(counters.gauge("asks_open", "Questions waiting for an answer")) {}

void AskTable::add(const port::Outbox::NewAsk& ask) {
  open_.emplace(ask.id, Open{ask.asker, ask.deadline});
  timers_.push(ask.deadline, ask.id);
  gauge_.set(open_.size());
}

std::optional<port::Asker> AskTable::take(port::AskId id) {
  const auto it = open_.find(id);
  if (it == open_.end()) {
    late_.add();
    return std::nullopt;
  }
  const port::Asker asker = it->second.asker;
  open_.erase(it);
  gauge_.set(open_.size());
  return asker;
}

std::optional<AskTable::Expired> AskTable::pop_expired(Instant now) {
  TimerQueue<port::AskId>::Due due;
  while (timers_.pop_due(now, due)) {
    const auto it = open_.find(due.key);
    if (it == open_.end()) continue;  // answered in time
    const Expired expired{due.key, it->second.asker};
    open_.erase(it);
    timed_out_.add();
    gauge_.set(open_.size());
    return expired;
  }
  return std::nullopt;
}

}  // namespace tandem::node
