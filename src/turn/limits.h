#pragma once
// How much of something there may be in a time, in memory that never grows.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "base/hash.h"
#include "base/time.h"

namespace tandem::turn {

/// Octets a second, with a burst of half a second's and at least 64 KiB. A rate of 0 is no limit.
class Meter {
 public:
  Meter() = default;
  explicit Meter(uint64_t per_second)
      : rate_(per_second), burst_(std::max<uint64_t>(per_second / 2, 65536)), tokens_(burst_) {}
  bool take(Instant now, size_t octets) {
    if (rate_ == 0) return true;
    if (now > last_) {
      // A second at most: what lies longer ago has filled the bucket anyway, and must not overflow.
      const auto ns = static_cast<uint64_t>(std::min<int64_t>((now - last_).count(), 1'000'000'000));
      const uint64_t fresh = rate_ * (ns / 1000) / 1'000'000;
      if (fresh > 0) {
        tokens_ = std::min(burst_, tokens_ + fresh);
        last_ = now;
      }
    }
    if (tokens_ < octets) return false;
    tokens_ -= octets;
    return true;
  }
  /// Octets that would be taken now.
  uint64_t available(Instant now) {
    take(now, 0);
    return rate_ == 0 ? UINT64_MAX : tokens_;
  }

 private:
  uint64_t rate_ = 0, burst_ = 0, tokens_ = 0;
  Instant last_{};
};

/// Events a second from each source address (IPv6: from each /64), with a burst of four seconds' worth.
/// Sources share a fixed number of buckets by a keyed hash: a stranger cannot choose whose he empties, and a
/// flood from many addresses costs no memory.
class SourceLimit {
 public:
  SourceLimit(uint32_t per_second, uint64_t key)
      : rate_(per_second), key_(key), buckets_(per_second > 0 ? bucket_count : 0) {}
  bool take(Instant now, const IpAddress& source) {
    if (rate_ == 0) return true;
    Bucket& b = buckets_[bucket_of(source)];
    const uint64_t full = uint64_t{rate_} * burst_seconds * unit;
    if (!b.used) b = {full, now, true};
    if (now > b.last) {
      const auto ns =
          static_cast<uint64_t>(std::min((now - b.last).count(), Duration(seconds(burst_seconds)).count()));
      b.tokens = std::min(full, b.tokens + rate_ * (ns / 1000));
      b.last = now;
    }
    if (b.tokens < unit) return false;
    b.tokens -= unit;
    return true;
  }

 private:
  static constexpr size_t bucket_count = 8192;
  static constexpr uint64_t unit = 1'000'000;  // of one event; a microsecond earns `rate` of it
  static constexpr int64_t burst_seconds = 4;
  struct Bucket {
    uint64_t tokens = 0;
    Instant last;
    bool used = false;
  };
  size_t bucket_of(IpAddress source) const {
    if (source.is_v6()) std::fill(source.bytes.begin() + 8, source.bytes.end(), uint8_t{0});
    return mix64(SocketAddressHash{}({source, 0}) ^ key_) % bucket_count;
  }

  uint32_t rate_;
  uint64_t key_;
  std::vector<Bucket> buckets_;
};

}  // namespace tandem::turn
