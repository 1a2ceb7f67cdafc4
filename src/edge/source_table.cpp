#include "edge/source_table.h"

#include <algorithm>

#include "base/hash.h"

namespace tandem::edge {

SourceTable::SourceTable(size_t sources, uint64_t key)
    : sets_(std::max<size_t>(1, (sources + ways - 1) / ways)), hash_key_(key), entries_(sets_ * ways) {}

uint64_t SourceTable::key_of(const IpAddress& ip) const {
  const size_t length = ip.is_v4() ? 4 : 8;
  const uint64_t h = hash64({reinterpret_cast<const char*>(ip.bytes.data()), length}, hash_key_ + length);
  return h != 0 ? h : 1;
}

SourceEntry* SourceTable::find(uint64_t key) {
  SourceEntry* set = set_of(key);
  for (size_t i = 0; i < ways; ++i)
    if (set[i].key == key) return &set[i];
  return nullptr;
}

SourceEntry& SourceTable::find_or_add(Instant now, uint64_t key, double full_tokens, bool& evicted) {
  SourceEntry* set = set_of(key);
  SourceEntry* victim = nullptr;
  const auto worth = [now](const SourceEntry& e) {
    if (e.key == 0) return std::pair<int, Instant>{0, {}};
    return e.banned_until > now ? std::pair<int, Instant>{2, e.banned_until}
                                : std::pair<int, Instant>{1, e.used};
  };
  for (size_t i = 0; i < ways; ++i) {
    if (set[i].key == key) {
      set[i].used = now;
      return set[i];
    }
    if (victim == nullptr || worth(set[i]) < worth(*victim)) victim = &set[i];
  }
  evicted = victim->key != 0;
  *victim = SourceEntry{};
  victim->key = key;
  victim->used = victim->filled = victim->window = now;
  victim->tokens = full_tokens;
  victim->banned_until = {INT64_MIN};
  return *victim;
}

}  // namespace tandem::edge
