#pragma once
// The worker's copy of subscriber rows. A fresh row is used without asking; an old one is served when the
// directory is away (fail static), until it is too old to trust.
#include <cstddef>
#include <list>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/counters.h"
#include "base/hash.h"
#include "base/time.h"
#include "node/packed_subscriber.h"
#include "port/ask.h"

namespace tandem::node {

struct SubscriberCacheLimits {
  size_t rows = 200'000;
  Duration fresh = seconds(60);
  Duration trusted = hours(24);  // how long a row outlives the directory
  Duration absent_fresh =
      seconds(5);  // "no such subscriber" is remembered, so that a scan does not become a query flood
};

class SubscriberCache {
 public:
  using Limits = SubscriberCacheLimits;
  SubscriberCache(Limits limits, CounterSet& counters);

  /// A row (or a known absence: NotFound) young enough to use as it is.
  std::optional<port::Answer> fresh(Now now, const port::AddressOfRecord& aor);
  /// What the directory said; or, when it failed, the last good row if it is still trusted, else the failure.
  port::Answer learn(Now now, const port::AddressOfRecord& aor, port::Answer answer);
  /// The row was changed: the next question goes to the directory.
  void forget(const port::AddressOfRecord& aor);
  void forget_all();
  size_t size() const { return rows_.size(); }

 private:
  struct Row {
    PackedSubscriber subscriber;
    Instant learned;
    bool stale = false;  // forgotten, kept only for the day the directory is away
  };
  static port::SubscriberAnswer unpacked(const Row& row);
  void touch(std::list<Row>::iterator row) { rows_.splice(rows_.begin(), rows_, row); }

  Limits limits_;
  std::list<Row> rows_;  // most recently used first
  std::unordered_map<std::string_view, std::list<Row>::iterator, TextHash> index_;  // views into the rows
  Counter& hits_;
  Counter& misses_;
  Counter& served_stale_;
};

}  // namespace tandem::node
