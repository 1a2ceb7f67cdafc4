#include "node/subscriber_cache.h"

namespace tandem::node {

SubscriberCache::SubscriberCache(Limits limits, CounterSet& counters)
    : limits_(limits),
      hits_(counters.counter("subscriber_cache_hits_total", "Subscriber rows served from the worker's copy")),
      misses_(counters.counter("subscriber_cache_misses_total", "Subscriber rows asked of the directory")),
      served_stale_(counters.counter("subscriber_cache_stale_total",
                                     "Rows served past their freshness because the directory was away")) {}

std::optional<port::Answer> SubscriberCache::fresh(Now now, const port::AddressOfRecord& aor) {
  const auto it = index_.find(aor.to_string());
  if (it != index_.end()) {
    Row& row = *it->second;
    const Duration age = now.mono - row.learned;
    if (!row.stale && age < (row.subscriber ? limits_.fresh : limits_.absent_fresh)) {
      touch(it->second);
      hits_.add();
      if (!row.subscriber) return port::Answer{port::NotFound{}};
      return port::Answer{row.subscriber};
    }
  }
  misses_.add();
  return std::nullopt;
}

port::Answer SubscriberCache::learn(Now now, const port::AddressOfRecord& aor, port::Answer answer) {
  std::string key = aor.to_string();
  auto it = index_.find(key);
  const auto* found = std::get_if<port::SubscriberAnswer>(&answer);
  if (!found && !std::holds_alternative<port::NotFound>(answer)) {
    if (it == index_.end() || !it->second->subscriber || now.mono - it->second->learned > limits_.trusted)
      return answer;
    served_stale_.add();
    return it->second->subscriber;
  }
  if (it == index_.end()) {
    rows_.push_front(Row{key, nullptr, now.mono, false});
    it = index_.emplace(std::move(key), rows_.begin()).first;
    if (rows_.size() > limits_.rows) {
      index_.erase(rows_.back().key);
      rows_.pop_back();
    }
  } else {
    touch(it->second);
  }
  Row& row = *it->second;
  row.subscriber = found ? *found : nullptr;
  row.learned = now.mono;
  row.stale = false;
  return answer;
}

void SubscriberCache::forget(const port::AddressOfRecord& aor) {
  const auto it = index_.find(aor.to_string());
  if (it != index_.end()) it->second->stale = true;
}

void SubscriberCache::forget_all() {
  for (Row& row : rows_) row.stale = true;
}

}  // namespace tandem::node
