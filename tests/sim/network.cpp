#include "sim/network.h"

#include "base/hash.h"

namespace tandem::sim {

Host* Network::host(const IpAddress& ip) const {
  const auto found = hosts_.find(SocketAddress{ip, 0});
  return found == hosts_.end() ? nullptr : found->second;
}

Duration Network::between(Duration least, Duration most) {
  return least +
         Duration(static_cast<int64_t>(rng_.below(static_cast<uint64_t>((most - least).count()) + 1)));
}

void Network::note(std::string_view text) {
  digest_ = mix64(digest_ ^ hash64(text)) + static_cast<uint64_t>(schedule_.now().ns);
}

void Network::send(const SocketAddress& from, const SocketAddress& to, Buffer bytes) {
  ++sent_;
  note(bytes.text());
  const uint64_t fate = rng_.below(1000);
  if (fate < config_.loss_per_mille) {
    ++lost_;
    return;
  }
  const Duration late = rng_.below(1000) < config_.late_per_mille ? between({}, config_.late) : Duration{};
  if (rng_.below(1000) < config_.double_per_mille) deliver(delay() + late, from, to, bytes.clone());
  deliver(delay() + late, from, to, std::move(bytes));
}

void Network::deliver(Duration d, const SocketAddress& from, const SocketAddress& to, Buffer bytes) {
  schedule_.after(d, [this, from, to, b = std::move(bytes)]() mutable {
    if (Host* h = host(to.ip)) h->datagram(from, to, std::move(b));
  });
}

}  // namespace tandem::sim
