#include "node/line_directory.h"

#include <algorithm>

namespace tandem::node {

LineDirectory::LineDirectory(size_t limit_per_line, CounterSet& counters)
    : limit_per_line_(limit_per_line),
      overflow_(counters.counter("line_calls_dropped_total",
                                 "Calls not shown at a line because it has too many")) {}

void LineDirectory::update(const port::LineUpdate& change) {
  std::string key = change.aor.to_string();
  const bool ended = change.call.state == port::LineCall::State::terminated;
  auto it = lines_.find(key);
  if (it == lines_.end()) {
    if (ended) return;
    it = lines_.emplace(std::move(key), Line{change.aor, {}}).first;
  }
  auto& calls = it->second.calls;
  // A leg is known by its Call-ID and our tag: the call's number changes when it moves to another worker.
  const auto same = std::find_if(calls.begin(), calls.end(), [&](const port::LineCall& c) {
    return c.call_id == change.call.call_id && c.local_tag == change.call.local_tag;
  });
  if (ended) {
    if (same != calls.end()) {
      calls.erase(same);
      --total_;
    }
    if (calls.empty()) lines_.erase(it);
  } else if (same != calls.end()) {
    *same = change.call;
  } else if (calls.size() >= limit_per_line_) {
    overflow_.add();
  } else {
    calls.push_back(change.call);
    ++total_;
  }
}

port::LineAnswer LineDirectory::calls(const port::AddressOfRecord& aor) const {
  const auto it = lines_.find(aor.to_string());
  return it == lines_.end() ? port::LineAnswer{} : port::LineAnswer{it->second.calls};
}

}  // namespace tandem::node
