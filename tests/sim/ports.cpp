#include "sim/ports.h"

#include "sim/memory.h"

namespace tandem::sim {

port::MediaPort SimPorts::bind(uint16_t number) {
  const OnAccount account(Account::other);  // in the program this is the kernel's
  const port::MediaPortId id{next_slot_++, ++generation_};
  open_[id.slot] = {id.generation, number};
  table_.tenants[number] = {worker_, id};
  return {id, {table_.ip, number}, table_.ip};
}

port::MediaPorts::Pair SimPorts::bind_pair(uint16_t number) {
  last_ = number;
  Pair pair{bind(number), bind(static_cast<uint16_t>(number + 1))};
  return pair;
}

std::optional<port::MediaPorts::Pair> SimPorts::open_pair(port::RealmId, IpAddress::Family like) {
  if (like == IpAddress::Family::v6) return std::nullopt;
  if (last_ != 0 && table_.tenants.contains(last_) && sabotage_.once(Fault::shared_port))
    return bind_pair(last_);
  for (int tries = 0; tries < 10'000; ++tries) {
    const uint64_t pair = 8 * rng_.below(PortTable::pairs / 8) + table_.epoch % 8;
    const auto number = static_cast<uint16_t>(PortTable::first + 2 * pair);
    if (table_.tenants.contains(number) || table_.tenants.contains(static_cast<uint16_t>(number + 1)))
      continue;
    const auto resting = table_.resting.find(number);
    if (resting != table_.resting.end() && resting->second > schedule_.now()) continue;
    return bind_pair(number);
  }
  return std::nullopt;
}

std::optional<port::MediaPorts::Pair> SimPorts::reopen_pair(port::RealmId, SocketAddress rtp_local) {
  if (rtp_local.ip != table_.ip || table_.tenants.contains(rtp_local.port)) return std::nullopt;
  return bind_pair(rtp_local.port);
}

void SimPorts::close(port::MediaPortId id) {
  const auto found = open_.find(id.slot);
  if (found == open_.end() || found->second.first != id.generation) {
    ++wrong_closes_;
    return;
  }
  if (sabotage_.once(Fault::leaked_port)) return;
  const OnAccount account(Account::other);
  const uint16_t number = found->second.second;
  const auto tenant = table_.tenants.find(number);
  if (tenant != table_.tenants.end() && tenant->second.id == id && tenant->second.worker == worker_)
    table_.tenants.erase(tenant);
  table_.resting[static_cast<uint16_t>(number & ~1)] = schedule_.now() + rest;
  open_.erase(found);
}

uint16_t SimPorts::number_of(port::MediaPortId id) const {
  const auto found = open_.find(id.slot);
  return found == open_.end() || found->second.first != id.generation ? 0 : found->second.second;
}

}  // namespace tandem::sim
