#pragma once
// The relay port numbers of the node, shared by its workers: each number has one holder in the process.
#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/rng.h"

namespace tandem::net {

/// Of one address family and protocol. Numbers come in an order nobody can foretell, and one that is given
/// back comes last: what its peers still send finds nobody, and not the next tenant.
class TurnPortNumbers {
 public:
  TurnPortNumbers(uint16_t first, uint16_t last, Rng& rng);

  // Any thread.
  std::optional<uint16_t> take(bool even);
  /// An even number whose next is free, too.
  std::optional<uint16_t> take_pair();
  bool take_this(uint16_t number);
  void give_back(uint16_t number);
  size_t free() const;

 private:
  bool take_locked(uint16_t number);
  bool is_free(uint32_t number) const {
    return number >= first_ && number <= last_ && free_[number - first_];
  }

  const uint16_t first_, last_;
  mutable std::mutex mutex_;
  // Under mutex_. The order holds each free number once, and some that have been taken out of turn.
  std::deque<uint16_t> order_;
  std::vector<bool> free_, queued_;
  size_t free_count_ = 0;
};

/// All of them.
class TurnPortPool {
 public:
  TurnPortPool(uint16_t first, uint16_t last, Rng& rng);
  TurnPortNumbers& of(IpAddress::Family family, bool tcp) {
    return numbers_[(family == IpAddress::Family::v6 ? 1U : 0U) + (tcp ? 2U : 0U)];
  }

 private:
  std::deque<TurnPortNumbers> numbers_;
};

}  // namespace tandem::net
