#pragma once
// The media port numbers of a realm, shared by all workers: each pair of numbers has one holder in the
// process.
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "net/config.h"

namespace tandem::net {

/// Pairs {even, odd} of one realm and address family. A pair given back rests before it is handed out again,
/// so that late packets of the old call do not reach the new one; when nothing else is left, resting pairs
/// are used too. Of all pairs one eighth is handed out first, the next when that is used up, and each boot
/// begins with the one that was first eight boots ago: phones whose calls a crash ended go on sending to the
/// ports they knew, and there is nobody left to remember which those were.
class PortRange {
 public:
  PortRange(port::RealmId realm, IpAddress bind, IpAddress advertised, uint16_t first, uint16_t last,
            Duration quarantine, uint64_t epoch);

  port::RealmId realm() const { return realm_; }
  const IpAddress& bind_address() const { return bind_; }
  const IpAddress& advertised() const { return advertised_; }
  uint32_t pairs() const { return static_cast<uint32_t>(states_.size()); }
  uint32_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  uint16_t rtp_port(uint32_t pair) const { return static_cast<uint16_t>(first_ + 2 * pair); }
  std::optional<uint32_t> pair_of(uint16_t rtp_port) const;

  // Any thread.
  /// A random free pair, of this boot's eighth while there is one; one that rests only with `resting`.
  std::optional<uint32_t> take_any(Instant now, bool resting, Rng& rng);
  bool take(uint32_t pair, Instant now, bool resting);
  void give_back(uint32_t pair, Instant now);

 private:
  std::optional<uint32_t> take_of_part(uint32_t part, Instant now, bool resting, Rng& rng);

  static constexpr uint32_t parts = 8;
  static constexpr int64_t held = -1;
  const port::RealmId realm_;
  const IpAddress bind_, advertised_;
  const uint16_t first_;  // even
  const Duration quarantine_;
  const uint32_t first_part_;  // pairs of this index, modulo `parts`, come first
  std::atomic<uint32_t> in_use_{0};
  std::vector<std::atomic<int64_t>> states_;  // `held`, or the monotonic time it rests until
};

/// All ranges of the configuration.
class PortRanges {
 public:
  explicit PortRanges(const RuntimeConfig& config);
  PortRange* find(port::RealmId realm, IpAddress::Family family);

 private:
  std::vector<std::unique_ptr<PortRange>> ranges_;
};

}  // namespace tandem::net
