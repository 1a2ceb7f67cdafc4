#pragma once
#include <algorithm>
#include <map>
#include <mutex>

#include "base/address.h"

namespace tandem::net {

/// Open connections per source address (IPv6: per /64, which is one host's), all workers together. Touched
/// once per accept and close.
class SourceCounts {
 public:
  explicit SourceCounts(size_t limit) : limit_(limit) {}
  bool enter(const IpAddress& ip) {
    const std::lock_guard lock(mutex_);
    size_t& count = counts_[host_of(ip)];
    if (count >= limit_) return false;
    ++count;
    return true;
  }
  void leave(const IpAddress& ip) {
    const std::lock_guard lock(mutex_);
    const auto it = counts_.find(host_of(ip));
    if (it != counts_.end() && --it->second == 0) counts_.erase(it);
  }

 private:
  static IpAddress host_of(IpAddress ip) {
    if (ip.is_v6()) std::fill(ip.bytes.begin() + 8, ip.bytes.end(), uint8_t{0});
    return ip;
  }
  const size_t limit_;
  std::mutex mutex_;
  std::map<IpAddress, size_t> counts_;  // under mutex_
};

}  // namespace tandem::net
