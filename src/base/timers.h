#pragma once
// TimerQueue: the deadlines of many small machines, earliest first.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace tandem {

/// A heap of {deadline, sequence, key} with lazy deletion: an owner keeps its own current deadline and
/// re-arms by pushing again; a popped entry that no longer equals the owner's deadline is stale and ignored.
/// Entries with the same deadline come out in the order they were pushed, so a simulation replays the same
/// way.
template <class Key>
class TimerQueue {
 public:
  struct Due {
    Instant deadline;
    Key key;
  };

  void push(Instant deadline, Key key) {
    if (deadline.is_never()) return;
    heap_.push_back({deadline, sequence_++, std::move(key)});
    std::push_heap(heap_.begin(), heap_.end(), Later{});
  }
  /// May be earlier than the true next deadline (a stale entry), never later.
  Instant next() const { return heap_.empty() ? Instant::never() : heap_.front().deadline; }
  /// Takes the earliest entry that is due, if any.
  bool pop_due(Instant now, Due& out) {
    if (heap_.empty() || heap_.front().deadline > now) return false;
    std::pop_heap(heap_.begin(), heap_.end(), Later{});
    out = {heap_.back().deadline, std::move(heap_.back().key)};
    heap_.pop_back();
    return true;
  }
  size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    Instant deadline;
    uint64_t sequence;
    Key key;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.deadline != b.deadline ? a.deadline > b.deadline : a.sequence > b.sequence;
    }
  };
  std::vector<Entry> heap_;
  uint64_t sequence_ = 0;
};

}  // namespace tandem
