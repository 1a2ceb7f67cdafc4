#pragma once
// Where calls that moved away from this worker live now. Their tags and branches were minted here and keep
// arriving here until they end; each arrival is passed on. The new owner says when the call is over
// (Worker::sweep_moved).
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/counters.h"
#include "base/hash.h"

namespace tandem::node {

class Forwarder {
 public:
  Forwarder(size_t limit, CounterSet& counters);

  /// False when the table is full (counted): that call's messages will find nobody.
  bool add(std::string name, uint16_t to_worker);
  std::optional<uint16_t> find(std::string_view name);
  void remove(std::string_view name);
  bool contains(std::string_view name) const { return entries_.contains(name); }
  size_t size() const { return entries_.size(); }

 private:
  size_t limit_;
  std::unordered_map<std::string, uint16_t, TextHash, std::equal_to<>> entries_;
  Counter& full_;
  Counter& forwarded_;
};

}  // namespace tandem::node
