#include "store/sound_service.h"

#include <chrono>

namespace tandem::store {

using port::SoundFailure;

namespace {

Instant now() {
  return {std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

}  // namespace

SoundService::SoundService(SoundFolders folders, SoundServiceOptions options, CounterSet& counters,
                           OnAnswer on_answer)
    : max_queued_(options.max_queued),
      on_answer_(std::move(on_answer)),
      cache_(std::move(folders), options.cache, counters),
      refused_(counters.counter("sound_asks_refused_total",
                                "sounds not looked for because too many were waiting")) {
  constexpr const char* labels[] = {"reason=\"not_found\"", "reason=\"too_long\"", "reason=\"unreadable\"",
                                    "reason=\"busy\""};
  for (size_t i = 0; i < failures_.size(); ++i)
    failures_[i] = &counters.counter("sound_failures_total", "sounds that could not be given", labels[i]);
}

void SoundService::start() {
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
}

void SoundService::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SoundService::ask(uint16_t worker, port::AskId id, port::AskSound question, Instant deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && queue_.size() < max_queued_) {
      queue_.push_back({worker, id, std::move(question), deadline});
      id = 0;
    } else {
      ++overflowed_;
    }
  }
  if (id == 0)
    wake_.notify_one();
  else
    on_answer_(worker, id, port::SoundResult(Failure{SoundFailure::busy}));
}

port::SoundResult SoundService::answer(const Item& item) {
  if (item.deadline <= now()) return Failure{SoundFailure::busy};
  return cache_.get(item.question);
}

void SoundService::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    refused_.set(overflowed_);
    if (queue_.empty()) return;
    const Item item = std::move(queue_.front());
    queue_.pop_front();
    const bool ending = stopping_;
    lock.unlock();
    port::SoundResult result = ending ? Failure{SoundFailure::busy} : answer(item);
    if (!result.ok()) failures_[static_cast<size_t>(result.reason())]->add();
    on_answer_(item.worker, item.id, std::move(result));
    lock.lock();
  }
}

}  // namespace tandem::store
