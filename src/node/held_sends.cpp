#include "node/held_sends.h"

#include <algorithm>

namespace tandem::node {

HeldSends::HeldSends(Duration patience, CounterSet& counters)
    : patience_(patience),
      impatient_(counters.counter(
          "held_sends_released_undurable_total",
          "Sends that left before their record was durable, because the spool did not answer")),
      gauge_(counters.gauge("held_sends", "Sends waiting for a commit")) {}

void HeldSends::hold(Now now, std::vector<port::Send>& sends) {
  const auto waits = [&](const port::Send& s) { return s.after > durable_; };
  if (std::none_of(sends.begin(), sends.end(), waits)) return;
  std::vector<port::Send> go;
  go.reserve(sends.size());
  for (port::Send& s : sends) {
    if (waits(s))
      held_.push_back({now.mono + patience_, std::move(s)});
    else
      go.push_back(std::move(s));
  }
  sends.swap(go);
  gauge_.set(held_.size());
}

void HeldSends::committed(port::CommitId upto, std::vector<port::Send>& sends) {
  durable_ = std::max(durable_, upto);
  // Commits ascend in the order they were appended, but a send may name an older commit than the one held
  // before it.
  std::deque<Held> still;
  for (Held& h : held_) {
    if (h.send.after > durable_) {
      still.push_back(std::move(h));
      continue;
    }
    h.send.after = 0;
    sends.push_back(std::move(h.send));
  }
  held_.swap(still);
  gauge_.set(held_.size());
}

void HeldSends::on_timeout(Now now, std::vector<port::Send>& sends) {
  while (!held_.empty() && held_.front().deadline <= now.mono) {
    impatient_.add();
    held_.front().send.after = 0;
    sends.push_back(std::move(held_.front().send));
    held_.pop_front();
  }
  gauge_.set(held_.size());
}

}  // namespace tandem::node
