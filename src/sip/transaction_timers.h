#pragma once
// The deadlines of all transactions. Nearly every one is set a constant time ahead (T1, T4, 64*T1, Timer D),
// so each constant has its own queue in which new deadlines go to the end: O(1) where a heap of all would be
// O(log n).
#include <array>
#include <cstdint>
#include <vector>

#include "base/slot_map.h"
#include "base/time.h"
#include "base/timers.h"
#include "sip/timers.h"

namespace tandem::sip {

struct TimerKey {
  SlotId id;
  bool server = false;
  bool end = false;  // the timer that ends the state, else the one that retransmits
};

/// Growing ring: no allocation once it has seen its largest size.
class DeadlineQueue {
 public:
  struct Entry {
    Instant deadline;
    TimerKey key;
  };
  bool empty() const { return size_ == 0; }
  const Entry& front() const { return ring_[head_]; }
  const Entry& back() const { return ring_[(head_ + size_ - 1) & (ring_.size() - 1)]; }
  void push(const Entry& entry) {
    if (size_ == ring_.size()) grow();
    ring_[(head_ + size_++) & (ring_.size() - 1)] = entry;
  }
  void pop() {
    head_ = (head_ + 1) & (ring_.size() - 1);
    --size_;
  }

 private:
  void grow() {
    std::vector<Entry> bigger(ring_.empty() ? 64 : ring_.size() * 2);
    for (size_t i = 0; i < size_; ++i) bigger[i] = ring_[(head_ + i) & (ring_.size() - 1)];
    ring_.swap(bigger);
    head_ = 0;
  }
  std::vector<Entry> ring_;
  size_t head_ = 0;
  size_t size_ = 0;
};

/// Deletion is lazy, as in TimerQueue: an owner compares the popped deadline with its own.
class TransactionTimers {
 public:
  explicit TransactionTimers(const Timers& t)
      : durations_{Duration::zero(), t.t1, t.t4, t.timer_b(), t.timer_d} {}

  /// A deadline `ahead` of now.
  void push(Instant now, Duration ahead, TimerKey key) {
    const Instant deadline = now + ahead;
    for (size_t i = 0; i < durations_.size(); ++i)
      if (durations_[i] == ahead && (queues_[i].empty() || queues_[i].back().deadline <= deadline))
        return queues_[i].push({deadline, key});
    rest_.push(deadline, key);
  }
  void push_at(Instant deadline, TimerKey key) { rest_.push(deadline, key); }

  Instant next() const {
    Instant first = rest_.next();
    for (const DeadlineQueue& q : queues_)
      if (!q.empty() && q.front().deadline < first) first = q.front().deadline;
    return first;
  }
  bool pop_due(Instant now, Instant& deadline, TimerKey& key) {
    DeadlineQueue* first = nullptr;
    for (DeadlineQueue& q : queues_)
      if (!q.empty() && (!first || q.front().deadline < first->front().deadline)) first = &q;
    if (!first || rest_.next() < first->front().deadline) {
      TimerQueue<TimerKey>::Due due;
      if (!rest_.pop_due(now, due)) return false;
      deadline = due.deadline;
      key = due.key;
      return true;
    }
    if (first->front().deadline > now) return false;
    deadline = first->front().deadline;
    key = first->front().key;
    first->pop();
    return true;
  }

 private:
  std::array<Duration, 5> durations_;
  std::array<DeadlineQueue, 5> queues_;
  TimerQueue<TimerKey> rest_;
};

}  // namespace tandem::sip
