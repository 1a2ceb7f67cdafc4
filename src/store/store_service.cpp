#include "store/store_service.h"

#include <algorithm>
#include <chrono>

namespace tandem::store {
namespace {

using Clock = std::chrono::steady_clock;

Instant now() { return {std::chrono::duration_cast<Duration>(Clock::now().time_since_epoch()).count()}; }
Clock::time_point time_point(Instant t) {
  return Clock::time_point(std::chrono::duration_cast<Clock::duration>(Duration(t.ns)));
}
WallTime wall() {
  return {std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()).count()};
}

// At the end: enough for any backlog a healthy database takes within a drain.
constexpr int last_steps = 2000;

}  // namespace

StoreService::StoreService(port::Directory& directory, SpoolShipper* shipper, StoreServiceOptions options,
                           CounterSet& counters, OnAnswer on_answer, EventSink events,
                           StoreListener* listener)
    : directory_(directory),
      shipper_(shipper),
      options_(options),
      on_answer_(std::move(on_answer)),
      refused_(
          counters.counter("store_asks_refused_total", "questions refused because too many were waiting")),
      queued_(counters.gauge("store_queued", "questions waiting for the store thread")),
      desk_(directory, options.desk, counters, std::move(events), listener) {}

void StoreService::start() {
  stopping_ = false;
  ship_at_ = shipper_ ? now() : Instant::never();
  expire_at_ = now() + options_.expire_poll;
  thread_ = std::thread([this] { run(); });
}

void StoreService::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void StoreService::ask(uint16_t worker, std::vector<port::Asked>& asks) {
  std::vector<port::AskId> refused;
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    wake = queue_.empty();
    for (port::Asked& asked : asks) {
      // A voice message lies on the disk and was heard by nobody: recordings that are open bound them.
      if (queue_.size() < options_.max_queued || std::holds_alternative<port::LeaveVoicemail>(asked.question))
        queue_.push_back({worker, std::move(asked)});
      else
        refused.push_back(asked.id);
    }
    overflowed_ += refused.size();
  }
  asks.clear();
  if (wake) wake_.notify_one();
  for (const port::AskId id : refused)
    if (id != 0) on_answer_(worker, id, port::AskFailure::refused);
}

void StoreService::tell(port::Question question) {
  std::vector<port::Asked> one;
  one.push_back({0, std::move(question), Instant::never()});
  ask(0, one);
}

void StoreService::deliver() {
  for (StoreDesk::Answered& a : answers_)
    if (a.id != 0) on_answer_(a.worker, a.id, std::move(a.answer));
  answers_.clear();
}

void StoreService::background(Instant time) {
  if (time >= expire_at_) {
    static_cast<void>(directory_.remove_expired_bindings(wall()));
    expire_at_ = time + options_.expire_poll;
  }
  if (!shipper_ || time < ship_at_) return;
  switch (shipper_->step(options_.ship_batch)) {
    case SpoolShipper::Step::shipped:
      ship_at_ = time;
      break;
    case SpoolShipper::Step::idle:
      ship_at_ = time + options_.ship_poll;
      break;
    case SpoolShipper::Step::failed:
      ship_at_ = time + options_.ship_retry;
      break;
  }
}

void StoreService::run() {
  std::vector<Item> batch;
  bool going = true;
  while (going) {
    batch.clear();
    {
      std::unique_lock lock(mutex_);
      const Instant next = std::min({desk_.next_timeout(), ship_at_, expire_at_});
      wake_.wait_until(lock, time_point(next), [this] { return stopping_ || !queue_.empty(); });
      batch.swap(queue_);
      queued_.set(batch.size());
      refused_.set(overflowed_);
      going = !stopping_;
    }
    for (Item& item : batch) desk_.ask(now(), item.worker, std::move(item.asked), answers_);
    desk_.on_timeout(now(), answers_);
    deliver();
    background(now());
  }
  desk_.close(now(), answers_);
  deliver();
  if (!shipper_) return;
  for (int i = 0; i < last_steps && shipper_->step(options_.ship_batch) == SpoolShipper::Step::shipped; ++i)
    continue;
  shipper_->save_position();
}

}  // namespace tandem::store
