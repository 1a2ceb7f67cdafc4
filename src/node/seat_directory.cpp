#include "node/seat_directory.h"

namespace tandem::node {

using Verdict = port::SeatAnswer::Verdict;

SeatDirectory::SeatDirectory(Duration lease, CounterSet& counters)
    : lease_(lease),
      taken_(counters.gauge("seats_taken", "Seats of limited trunks and domains that calls hold")),
      lapsed_(counters.counter("seats_lapsed_total", "Seats taken back because no call said it holds them")) {
}

port::SeatAnswer SeatDirectory::ask(Instant now, const port::AskSeat& question, const Limits& limits) {
  Pool& pool = pools_[question.pool];
  if (const auto held = pool.seats.find(question.seat); held != pool.seats.end()) {
    held->second = now + lease_;
    return {Verdict::granted};
  }
  while (!pool.granted.empty() && pool.granted.front() + seconds(1) <= now) pool.granted.pop_front();
  if (limits.calls > 0 && pool.seats.size() >= limits.calls) return {Verdict::full};
  if (limits.per_second > 0 && pool.granted.size() >= limits.per_second) return {Verdict::too_fast};
  if (limits.per_second > 0) pool.granted.push_back(now);
  take(now, pool, question.seat);
  return {Verdict::granted};
}

void SeatDirectory::take(Instant now, Pool& pool, uint64_t seat) {
  const auto [it, fresh] = pool.seats.insert_or_assign(seat, now + lease_);
  if (!fresh) return;
  taken_.set(++total_);
  if (next_sweep_.is_never()) next_sweep_ = now + lease_ / 2;
}

void SeatDirectory::update(Instant now, const port::SeatUpdate& update) {
  if (update.held) {
    Pool& pool = pools_[update.pool];
    for (const uint64_t seat : update.seats) take(now, pool, seat);
    return;
  }
  const auto it = pools_.find(update.pool);
  if (it == pools_.end()) return;
  for (const uint64_t seat : update.seats) total_ -= it->second.seats.erase(seat);
  taken_.set(total_);
  if (it->second.seats.empty() && it->second.granted.empty()) pools_.erase(it);
}

void SeatDirectory::on_timeout(Instant now) {
  if (next_sweep_ > now) return;
  size_t lapsed = 0;
  for (auto it = pools_.begin(); it != pools_.end();) {
    Pool& pool = it->second;
    lapsed += std::erase_if(pool.seats, [&](const auto& seat) { return seat.second <= now; });
    while (!pool.granted.empty() && pool.granted.front() + seconds(1) <= now) pool.granted.pop_front();
    it = pool.seats.empty() && pool.granted.empty() ? pools_.erase(it) : std::next(it);
  }
  total_ -= lapsed;
  taken_.set(total_);
  lapsed_.add(lapsed);
  next_sweep_ = pools_.empty() ? Instant::never() : now + lease_ / 2;
}

size_t SeatDirectory::size(const port::SeatPool& pool) const {
  const auto it = pools_.find(pool);
  return it == pools_.end() ? 0 : it->second.seats.size();
}

}  // namespace tandem::node
