#include "store/spool_thread.h"

#include <chrono>

namespace tandem::store {
namespace {

using Clock = std::chrono::steady_clock;

Instant now() { return {std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()).count()}; }

// A batch this large is written at once instead of gathered further.
constexpr size_t plenty_bytes = 1 << 20;

}  // namespace

SpoolThread::SpoolThread(SpoolCore& core, SpoolOptions options, CounterSet& counters,
                         OnCommitted on_committed, OnRefused on_refused)
    : core_(core),
      options_(options),
      on_committed_(std::move(on_committed)),
      on_refused_(std::move(on_refused)),
      overflow_(
          counters.counter("spool_overflow_total", "records refused because the spool's inbox was full")) {}

void SpoolThread::start() {
  stopping_ = false;
  thread_ = std::thread([this] { run(); });
}

void SpoolThread::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SpoolThread::append(uint16_t worker, std::vector<port::Append>& appends) {
  std::vector<port::CommitId> refused;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_empty = inbox_.empty(), had_plenty = inbox_bytes_ >= plenty_bytes;
    for (port::Append& append : appends) {
      const size_t size = append.bytes.size();
      if (inbox_.size() + core_pending_.load(std::memory_order_relaxed) >= options_.max_pending ||
          inbox_bytes_ + size > options_.max_pending_bytes) {
        refused.push_back(append.commit);
        ++overflowed_;
        continue;
      }
      inbox_bytes_ += size;
      inbox_.push_back({worker, std::move(append)});
    }
    // While the thread gathers it sleeps on; one wake for the first record and one when there is plenty.
    wake = (was_empty && !inbox_.empty()) || (!had_plenty && inbox_bytes_ >= plenty_bytes);
  }
  appends.clear();
  if (wake) wake_.notify_one();
  if (on_refused_)
    for (const port::CommitId commit : refused) on_refused_(worker, commit);
}

bool SpoolThread::take(std::vector<Item>& batch, Instant deadline) {
  const auto until = [](Instant t) {
    return Clock::time_point(std::chrono::duration_cast<Clock::duration>(Duration(t.ns)));
  };
  std::unique_lock lock(mutex_);
  const auto arrived = [this] { return stopping_ || !inbox_.empty(); };
  if (deadline.is_never())
    wake_.wait(lock, arrived);
  else
    wake_.wait_until(lock, until(deadline), arrived);
  // A failing disk is tried at its own times; records are taken over without hurry.
  if (!stopping_ && !inbox_.empty())
    wake_.wait_until(lock, until(now() + options_.gather),
                     [this] { return stopping_ || inbox_bytes_ >= plenty_bytes; });
  batch.swap(inbox_);
  inbox_bytes_ = 0;
  core_pending_.store(core_.pending() + batch.size(), std::memory_order_relaxed);
  overflow_.set(overflowed_);
  return !stopping_;
}

void SpoolThread::run() {
  std::vector<Item> batch;
  std::vector<SpoolCommitted> committed;
  bool going = true;
  while (going) {
    batch.clear();
    going = take(batch, core_.next_flush());
    const Instant time = now();
    for (Item& item : batch)
      if (!core_.append(time, item.worker, item.append.commit, std::move(item.append.bytes)) && on_refused_)
        on_refused_(item.worker, item.append.commit);
    core_.flush(time, committed);
    if (!going && core_.pending() != 0) core_.flush(time + options_.retry, committed);
    core_pending_.store(core_.pending(), std::memory_order_relaxed);
    for (const SpoolCommitted& c : committed) on_committed_(c.worker, c.upto);
    committed.clear();
  }
}

}  // namespace tandem::store
