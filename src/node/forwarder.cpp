#include "node/forwarder.h"

namespace tandem::node {

Forwarder::Forwarder(size_t limit, CounterSet& counters)
    : limit_(limit),
      full_(counters.counter("forwarder_full_total", "Names of moved calls that could not be remembered")),
      forwarded_(
          counters.counter("forwarded_messages_total", "Messages passed on to the worker a call moved to")) {}

bool Forwarder::add(std::string name, uint16_t to_worker) {
  if (name.empty()) return true;
  if (entries_.size() >= limit_ && !entries_.contains(name)) {
    full_.add();
    return false;
  }
  entries_.insert_or_assign(std::move(name), to_worker);
  return true;
}

std::optional<uint16_t> Forwarder::find(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return std::nullopt;
  forwarded_.add();
  return it->second;
}

void Forwarder::remove(std::string_view name) {
  const auto it = entries_.find(name);
  if (it != entries_.end()) entries_.erase(it);
}

}  // namespace tandem::node
