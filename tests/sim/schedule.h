#pragma once
// Virtual time: what happens next is the earliest event, and among equals the one that was put in first.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/time.h"

namespace tandem::sim {

/// Something to run once; may own what cannot be copied.
class Task {
 public:
  template <class F>
  Task(F f) : body_(std::make_unique<Of<F>>(std::move(f))) {}
  void operator()() { body_->run(); }

 private:
  struct Body {
    virtual ~Body() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct Of final : Body {
    explicit Of(F f) : function(std::move(f)) {}
    void run() override { function(); }
    F function;
  };
  std::unique_ptr<Body> body_;
};

class Schedule {
 public:
  /// Nanoseconds since the run began.
  Instant now() const { return now_; }
  void at(Instant when, Task task) {
    heap_.push_back({std::max(when, now_), next_++, std::move(task)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(Duration delay, Task task) { at(now_ + delay, std::move(task)); }

  /// Runs everything due until `end`, then stands at `end`.
  void run_until(Instant end) {
    while (!heap_.empty() && heap_.front().when <= end) step();
    now_ = std::max(now_, end);
  }
  uint64_t steps() const { return steps_; }
  /// Drops everything that was still to come.
  void clear() { heap_.clear(); }

 private:
  struct Entry {
    Instant when;
    uint64_t sequence;
    Task task;
  };
  static bool later(const Entry& a, const Entry& b) {
    return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
  }
  void step() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Entry entry = std::move(heap_.back());
    heap_.pop_back();
    now_ = entry.when;
    ++steps_;
    entry.task();
  }

  Instant now_;
  uint64_t next_ = 0;
  uint64_t steps_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace tandem::sim
