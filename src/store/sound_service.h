#pragma once
// The thread that reads sound files: workers ask, and are answered when the samples are in memory. It is
// not the store thread, so that a long piece of music keeps no registration waiting.
#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "port/outbox.h"
#include "store/sound_cache.h"

namespace tandem::store {

struct SoundServiceOptions {
  SoundCacheOptions cache;
  size_t max_queued = 500;  // past it asks are answered `busy`
};

class SoundService {
 public:
  /// Called on the service's thread, or, when the queue is full, on the asking one: post it, do not block.
  using OnAnswer = std::function<void(uint16_t worker, port::AskId id, port::Answer answer)>;

  SoundService(SoundFolders folders, SoundServiceOptions options, CounterSet& counters, OnAnswer on_answer);
  ~SoundService() { stop(); }
  SoundService(const SoundService&) = delete;
  SoundService& operator=(const SoundService&) = delete;

  void start();
  /// What is still queued is answered `busy`.
  void stop();
  /// Any thread. Deadlines are on the steady clock. The answer is always a port::SoundResult.
  void ask(uint16_t worker, port::AskId id, port::AskSound question, Instant deadline);
  /// The file as it is, when it has at most `most` bytes (else too_long). Any thread; `then` is called on the
  /// service's, or on the asking one.
  using Bytes = Result<std::string, port::SoundFailure>;
  void read(port::SoundFile file, size_t most, std::function<void(Bytes)> then);
  /// The same here and now, on a thread that may wait for the disk.
  Bytes bytes(const port::SoundFile& file, size_t most) const;

 private:
  struct Item {
    uint16_t worker = 0;
    port::AskId id = 0;
    port::AskSound question;
    Instant deadline;
    size_t most = 0;
    std::function<void(Bytes)> then;  // set: the bytes are wanted, by no worker
  };
  void run();
  port::SoundResult answer(const Item& item);

  // given
  const SoundFolders folders_;
  const size_t max_queued_;
  OnAnswer on_answer_;
  // of the thread
  SoundCache cache_;
  std::array<Counter*, 4> failures_{};  // by port::SoundFailure
  // shared
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Item> queue_;
  uint64_t overflowed_ = 0;
  bool stopping_ = false;
  std::thread thread_;
  Counter& refused_;
};

}  // namespace tandem::store
