#pragma once
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "base/time.h"
#include "port/ask.h"

namespace tandem::net {

/// Least recently used answers go first. An entry past `expires` is stale: good only while no server answers.
class DnsCache {
 public:
  struct Entry {
    std::string key;
    std::vector<port::DnsRecord> records;
    Instant expires;
    Instant stale_until;
    Instant retry_at;  // servers did not answer: do not wait for them again before this
  };

  explicit DnsCache(size_t limit) : limit_(limit) {}

  Entry* find(const std::string& key, Instant now) {
    const auto it = by_key_.find(key);
    if (it == by_key_.end()) return nullptr;
    if (it->second->stale_until <= now) {
      entries_.erase(it->second);
      by_key_.erase(it);
      return nullptr;
    }
    entries_.splice(entries_.begin(), entries_, it->second);
    return &entries_.front();
  }
  void put(Entry entry) {
    if (const auto it = by_key_.find(entry.key); it != by_key_.end()) {
      entries_.erase(it->second);
      by_key_.erase(it);
    }
    while (!entries_.empty() && entries_.size() >= limit_) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front(std::move(entry));
    by_key_[entries_.front().key] = entries_.begin();
  }
  size_t size() const { return entries_.size(); }

 private:
  const size_t limit_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator, TextHash, std::equal_to<>> by_key_;
};

}  // namespace tandem::net
