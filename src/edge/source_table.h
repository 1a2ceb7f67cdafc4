#pragma once
// What we remember of each source address: how fast it may still ask, how often it failed, whether it is
// banned. Fixed size, no allocation after construction: sets of eight entries, the least recently used of a
// set makes room.
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "base/time.h"

namespace tandem::edge {

/// One source: an IPv4 address, or the /64 of an IPv6 one (a household has a whole /64 to hide in).
struct SourceEntry {
  uint64_t key = 0;  // 0: free
  Instant used;
  Instant filled;     // when `tokens` was right
  double tokens = 0;  // below 0: in debt
  Instant window;     // when counting failures began
  uint64_t failures = 0;
  Instant banned_until;  // not banned: in the past
};

class SourceTable {
 public:
  static constexpr size_t ways = 8;
  /// Room for at least `sources`. `key` keeps an attacker from choosing addresses that share a set.
  SourceTable(size_t sources, uint64_t key);

  uint64_t key_of(const IpAddress& ip) const;
  SourceEntry* find(uint64_t key);
  /// Makes room when needed: the least recently used one goes, a banned one only when all eight are. Sets
  /// `evicted` when something still of use was forgotten.
  SourceEntry& find_or_add(Instant now, uint64_t key, double full_tokens, bool& evicted);
  size_t capacity() const { return entries_.size(); }

 private:
  SourceEntry* set_of(uint64_t key) { return &entries_[(key % sets_) * ways]; }
  size_t sets_;
  uint64_t hash_key_;
  std::vector<SourceEntry> entries_;
};

}  // namespace tandem::edge
