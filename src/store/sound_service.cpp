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
    : folders_(folders),
      max_queued_(options.max_queued),
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
      queue_.push_back({worker, id, std::move(question), deadline, 0, {}});
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

void SoundService::read(port::SoundFile file, size_t most, std::function<void(Bytes)> then) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && queue_.size() < max_queued_) {
      queue_.push_back({0, 0, {std::move(file), {}}, Instant::never(), most, std::move(then)});
      then = nullptr;
    } else {
      ++overflowed_;
    }
  }
  if (then) return then(Failure{SoundFailure::busy});
  wake_.notify_one();
}

SoundService::Bytes SoundService::bytes(const port::SoundFile& file, size_t most) const {
  const auto opened = OpenSound::open(folders_.of(file.place), file.name);
  if (!opened.ok()) return Failure{opened.reason()};
  const uint64_t size = opened->stamp().size;
  if (size > most) return Failure{SoundFailure::too_long};
  std::string out(static_cast<size_t>(size), '\0');
  const SoundSource source = opened->source();
  for (size_t at = 0; at < out.size();) {
    const int64_t n = source.read(at, {reinterpret_cast<uint8_t*>(out.data()) + at, out.size() - at});
    if (n <= 0) return Failure{SoundFailure::unreadable};
    at += static_cast<size_t>(n);
  }
  return out;
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
    Item item = std::move(queue_.front());
    queue_.pop_front();
    const bool ending = stopping_;
    lock.unlock();
    if (item.then) {
      item.then(ending ? Bytes(Failure{SoundFailure::busy}) : bytes(item.question.file, item.most));
      lock.lock();
      continue;
    }
    port::SoundResult result = ending ? Failure{SoundFailure::busy} : answer(item);
    if (!result.ok()) failures_[static_cast<size_t>(result.reason())]->add();
    on_answer_(item.worker, item.id, std::move(result));
    lock.lock();
  }
}

}  // namespace tandem::store
