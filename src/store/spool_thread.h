#pragma once
// The thread that owns a SpoolCore: many workers append, one thread gathers, writes, syncs and tells them.
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "port/outbox.h"
#include "store/spool.h"

namespace tandem::store {

class SpoolThread {
 public:
  /// Called on the spool's thread, must not block: post it to the worker.
  using OnCommitted = std::function<void(uint16_t worker, port::CommitId upto)>;
  /// Called on the thread of append(): the queue is full, this record is not kept.
  using OnRefused = std::function<void(uint16_t worker, port::CommitId commit)>;

  SpoolThread(SpoolCore& core, SpoolOptions options, CounterSet& counters, OnCommitted on_committed,
              OnRefused on_refused = {});
  ~SpoolThread() { stop(); }
  SpoolThread(const SpoolThread&) = delete;
  SpoolThread& operator=(const SpoolThread&) = delete;

  void start();
  /// Makes what was appended durable (once more, when the disk was failing) and ends the thread.
  void stop();
  /// Any thread. Takes the records out of `appends`, which a worker's Outbox gathered, in order.
  void append(uint16_t worker, std::vector<port::Append>& appends);

 private:
  struct Item {
    uint16_t worker = 0;
    port::Append append;
  };
  void run();
  /// Waits for records, gathers, and takes them; gives false when it is time to end.
  bool take(std::vector<Item>& batch, Instant deadline);

  // given
  SpoolCore& core_;
  const SpoolOptions options_;
  OnCommitted on_committed_;
  OnRefused on_refused_;
  Counter& overflow_;
  // shared
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Item> inbox_;
  size_t inbox_bytes_ = 0;
  uint64_t overflowed_ = 0;
  bool stopping_ = false;
  std::atomic<size_t> core_pending_{0};
  std::thread thread_;
};

}  // namespace tandem::store
