#include "net/port_range.h"

#include <algorithm>

namespace tandem::net {
namespace {

uint16_t even_up(uint16_t port) { return port % 2 == 0 ? port : static_cast<uint16_t>(port + 1); }

size_t pairs_between(uint16_t first, uint16_t last) {
  const uint32_t even = even_up(first);
  return last > even ? (last - even + 1) / 2 : 0;
}

}  // namespace

PortRange::PortRange(port::RealmId realm, IpAddress bind, IpAddress advertised, uint16_t first, uint16_t last,
                     Duration quarantine, uint64_t epoch)
    : realm_(realm),
      bind_(bind),
      advertised_(advertised ? advertised : bind),
      first_(even_up(first)),
      quarantine_(quarantine),
      first_part_(static_cast<uint32_t>(epoch % parts)),
      states_(pairs_between(first, last)) {}

std::optional<uint32_t> PortRange::pair_of(uint16_t rtp_port) const {
  if (rtp_port < first_ || rtp_port % 2 != 0) return std::nullopt;
  const uint32_t pair = (rtp_port - first_) / 2u;
  if (pair >= pairs()) return std::nullopt;
  return pair;
}

std::optional<uint32_t> PortRange::take_any(Instant now, bool resting, Rng& rng) {
  if (in_use() >= pairs()) return std::nullopt;
  for (uint32_t i = 0; i < parts; ++i)
    if (const auto pair = take_of_part((first_part_ + i) % parts, now, resting, rng)) return pair;
  return std::nullopt;
}

std::optional<uint32_t> PortRange::take_of_part(uint32_t part, Instant now, bool resting, Rng& rng) {
  const uint32_t count = (pairs() + parts - 1 - part) / parts;
  if (count == 0) return std::nullopt;
  constexpr int random_tries = 16;
  for (int i = 0; i < random_tries; ++i) {
    const uint32_t pair = parts * static_cast<uint32_t>(rng.below(count)) + part;
    if (take(pair, now, resting)) return pair;
  }
  const auto start = static_cast<uint32_t>(rng.below(count));
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t pair = parts * ((start + i) % count) + part;
    if (take(pair, now, resting)) return pair;
  }
  return std::nullopt;
}

bool PortRange::take(uint32_t pair, Instant now, bool resting) {
  std::atomic<int64_t>& state = states_[pair];
  int64_t seen = state.load(std::memory_order_relaxed);
  if (seen == held || (seen > now.ns && !resting)) return false;
  if (!state.compare_exchange_strong(seen, held, std::memory_order_acq_rel)) return false;
  in_use_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void PortRange::give_back(uint32_t pair, Instant now) {
  in_use_.fetch_sub(1, std::memory_order_relaxed);
  states_[pair].store((now + quarantine_).ns, std::memory_order_release);
}

PortRanges::PortRanges(const RuntimeConfig& config) {
  for (const RealmMedia& m : config.media) {
    if (m.bind_v4)
      ranges_.push_back(std::make_unique<PortRange>(m.realm, m.bind_v4, m.advertised_v4, m.first_port,
                                                    m.last_port, config.port_quarantine, config.epoch));
    if (m.bind_v6)
      ranges_.push_back(std::make_unique<PortRange>(m.realm, m.bind_v6, m.advertised_v6, m.first_port,
                                                    m.last_port, config.port_quarantine, config.epoch));
  }
}

PortRange* PortRanges::find(port::RealmId realm, IpAddress::Family family) {
  const auto it = std::find_if(ranges_.begin(), ranges_.end(), [&](const auto& r) {
    return r->realm() == realm && r->bind_address().family == family;
  });
  return it == ranges_.end() ? nullptr : it->get();
}

}  // namespace tandem::net
