#include "net/turn_ports.h"

#include <algorithm>

namespace tandem::net {

TurnPortNumbers::TurnPortNumbers(uint16_t first, uint16_t last, Rng& rng) : first_(first), last_(last) {
  std::vector<uint16_t> all;
  for (uint32_t n = first; n <= last; ++n) all.push_back(static_cast<uint16_t>(n));
  for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[rng.below(i)]);
  order_.assign(all.begin(), all.end());
  free_.assign(all.size(), true);
  queued_.assign(all.size(), true);
  free_count_ = all.size();
}

bool TurnPortNumbers::take_locked(uint16_t number) {
  if (!is_free(number)) return false;
  free_[number - first_] = false;
  --free_count_;
  return true;
}

std::optional<uint16_t> TurnPortNumbers::take(bool even) {
  const std::lock_guard lock(mutex_);
  for (size_t left = order_.size(); left > 0 && free_count_ > 0; --left) {
    const uint16_t number = order_.front();
    order_.pop_front();
    if (even && number % 2 != 0 && is_free(number)) {
      order_.push_back(number);
      continue;
    }
    queued_[number - first_] = false;
    if (take_locked(number)) return number;
  }
  return std::nullopt;
}

std::optional<uint16_t> TurnPortNumbers::take_pair() {
  const std::lock_guard lock(mutex_);
  // Out of turn: both stay in the order and are passed over when they come by.
  for (const uint16_t number : order_)
    if (number % 2 == 0 && is_free(number) && is_free(number + 1U)) {
      take_locked(number);
      take_locked(static_cast<uint16_t>(number + 1));
      return number;
    }
  return std::nullopt;
}

bool TurnPortNumbers::take_this(uint16_t number) {
  const std::lock_guard lock(mutex_);
  return take_locked(number);
}

void TurnPortNumbers::give_back(uint16_t number) {
  const std::lock_guard lock(mutex_);
  if (number < first_ || number > last_ || free_[number - first_]) return;
  free_[number - first_] = true;
  ++free_count_;
  if (queued_[number - first_]) return;
  queued_[number - first_] = true;
  order_.push_back(number);
}

size_t TurnPortNumbers::free() const {
  const std::lock_guard lock(mutex_);
  return free_count_;
}

TurnPortPool::TurnPortPool(uint16_t first, uint16_t last, Rng& rng) {
  for (int i = 0; i < 4; ++i) numbers_.emplace_back(first, last, rng);
}

}  // namespace tandem::net
