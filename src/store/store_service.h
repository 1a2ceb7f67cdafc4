#pragma once
// The store thread: answers asks, writes bindings in groups, and ships spooled CDRs when nobody is waiting.
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "store/spool.h"
#include "store/store_desk.h"

namespace tandem::store {

struct StoreServiceOptions {
  StoreDeskOptions desk;
  size_t max_queued = 20'000;              // asks waiting for the thread; past it they are answered `refused`
  size_t ship_batch = 256;                 // CDRs in one transaction
  Duration ship_poll = milliseconds(100);  // between looks for new CDRs
  Duration ship_retry = seconds(1);        // after the database refused
  Duration expire_poll = minutes(5);       // between removals of expired bindings
};

class StoreService {
 public:
  /// Called on the store thread, or, for a refused ask, on the asking one: post it to the worker, do not
  /// block.
  using OnAnswer = std::function<void(uint16_t worker, port::AskId id, port::Answer answer)>;

  /// Without a shipper no CDRs are moved. The listener hears of changes on the store thread. The directory
  /// and the shipper are used by the store thread alone.
  StoreService(port::Directory& directory, SpoolShipper* shipper, StoreServiceOptions options,
               CounterSet& counters, OnAnswer on_answer, EventSink events = {},
               StoreListener* listener = nullptr);
  ~StoreService() { stop(); }
  StoreService(const StoreService&) = delete;
  StoreService& operator=(const StoreService&) = delete;

  void start();
  /// Answers what is queued, writes what is gathered, ships what is spooled as long as the database takes it.
  void stop();
  /// Any thread. Deadlines are on the steady clock. Takes what is in `asks`.
  void ask(uint16_t worker, std::vector<port::Asked>& asks);
  /// For nobody who waits for an answer.
  void tell(port::Question question);

 private:
  struct Item {
    uint16_t worker = 0;
    port::Asked asked;
  };
  void run();
  void background(Instant now);
  void deliver();

  // given
  port::Directory& directory_;
  SpoolShipper* shipper_;
  const StoreServiceOptions options_;
  OnAnswer on_answer_;
  Counter& refused_;
  Counter& queued_;
  StoreDesk desk_;
  // of the thread
  std::vector<StoreDesk::Answered> answers_;
  Instant ship_at_;
  Instant expire_at_;
  // shared
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Item> queue_;
  uint64_t overflowed_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tandem::store
