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
    const Row& row = *it->second;
    const Duration age = now.mono - row.learned;
    const bool present = row.subscriber.present();
    if (!row.stale && age < (present ? limits_.fresh : limits_.absent_fresh)) {
      touch(it->second);
      hits_.add();
      if (!present) return port::Answer{port::NotFound{}};
      return port::Answer{unpacked(row)};
    }
  }
  misses_.add();
  return std::nullopt;
}

port::SubscriberAnswer SubscriberCache::unpacked(const Row& row) {
  return std::make_shared<const port::Subscriber>(row.subscriber.unpack());
}

port::Answer SubscriberCache::learn(Now now, const port::AddressOfRecord& aor, port::Answer answer) {
  const auto it = index_.find(aor.to_string());
  const auto* found = std::get_if<port::SubscriberAnswer>(&answer);
  if (!found && !std::holds_alternative<port::NotFound>(answer)) {
    if (it == index_.end() || !it->second->subscriber.present() ||
        now.mono - it->second->learned > limits_.trusted)
      return answer;
    served_stale_.add();
    return unpacked(*it->second);
  }
  if (it != index_.end()) {  // before its row: the key lies there
    const auto old = it->second;
    index_.erase(it);
    rows_.erase(old);
  }
  rows_.push_front({found && *found ? PackedSubscriber(**found) : PackedSubscriber(aor), now.mono, false});
  index_.emplace(rows_.front().subscriber.key(), rows_.begin());
  if (rows_.size() > limits_.rows) {
    index_.erase(rows_.back().subscriber.key());
    rows_.pop_back();
  }
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
