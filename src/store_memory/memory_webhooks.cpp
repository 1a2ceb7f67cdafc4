#include <algorithm>

#include "store_memory/memory_directory.h"

namespace tandem::store_memory {

using Kind = port::StoreError::Kind;
using port::StoreResult;
using port::StoreStatus;
using port::WebhookDelivery;

namespace {

auto no_webhook(const std::string& name) {
  return Failure{port::StoreError{Kind::not_found, "there is no webhook " + name}};
}
auto no_delivery() { return Failure{port::StoreError{Kind::not_found, "there is no such failed delivery"}}; }

}  // namespace

StoreResult<std::vector<port::WebhookRow>> MemoryDirectory::webhooks() {
  if (const auto why = away()) return Failure{*why};
  std::vector<port::WebhookRow> rows;
  for (const auto& [name, row] : webhooks_) rows.push_back(row);
  return rows;
}

StoreStatus MemoryDirectory::put_webhook(const port::WebhookRow& row, Put mode) {
  if (const auto why = away()) return Failure{*why};
  if (std::string problem = problem_with(row); !problem.empty())
    return Failure{port::StoreError{Kind::invalid, problem}};
  const bool known = webhooks_.count(row.name) != 0;
  if (mode == Put::create && known)
    return Failure{port::StoreError{Kind::conflict, "webhook " + row.name + " exists already"}};
  if (mode == Put::replace && !known) return no_webhook(row.name);
  webhooks_[row.name] = row;
  return Done{};
}

StoreStatus MemoryDirectory::remove_webhook(const std::string& name) {
  if (const auto why = away()) return Failure{*why};
  if (webhooks_.erase(name) == 0) return no_webhook(name);
  std::erase_if(deliveries_, [&](const auto& d) { return d.second.endpoint == name; });
  return Done{};
}

StoreResult<port::WebhookDirectory::Queued> MemoryDirectory::queue_deliveries(
    std::span<const WebhookDelivery> batch, uint32_t most) {
  if (const auto why = away()) return Failure{*why};
  Queued done;
  for (const WebhookDelivery& d : batch) {
    size_t waiting = 0;
    bool known = webhooks_.count(d.endpoint) == 0;
    for (const auto& [number, other] : deliveries_) {
      if (other.endpoint != d.endpoint) continue;
      waiting += !other.dead;
      known = known || other.id == d.id;
    }
    if (waiting >= most) {
      ++done.dropped;
    } else if (!known) {
      WebhookDelivery& kept = deliveries_[++last_delivery_];
      kept = d;
      kept.number = last_delivery_;
      kept.attempts = 0;
      kept.next = {};
      kept.error.clear();
      kept.dead = false;
      ++done.queued;
    }
  }
  return done;
}

StoreResult<std::vector<WebhookDelivery>> MemoryDirectory::next_deliveries() {
  if (const auto why = away()) return Failure{*why};
  std::vector<WebhookDelivery> all;
  for (const auto& entry : webhooks_) {
    const port::WebhookRow& row = entry.second;
    const auto first = std::find_if(deliveries_.begin(), deliveries_.end(), [&](const auto& d) {
      return d.second.endpoint == row.name && !d.second.dead;
    });
    if (row.enabled && first != deliveries_.end()) all.push_back(first->second);
  }
  return all;
}

StoreStatus MemoryDirectory::delivered(uint64_t number) {
  if (const auto why = away()) return Failure{*why};
  deliveries_.erase(number);
  return Done{};
}

StoreStatus MemoryDirectory::postpone_delivery(uint64_t number, uint32_t attempts, WallTime next,
                                               const std::string& error) {
  if (const auto why = away()) return Failure{*why};
  const auto it = deliveries_.find(number);
  if (it == deliveries_.end() || it->second.dead) return Done{};
  it->second.attempts = attempts;
  it->second.next = next;
  it->second.error = error;
  return Done{};
}

StoreResult<size_t> MemoryDirectory::bury_delivery(uint64_t number, uint32_t attempts,
                                                   const std::string& error, uint32_t most) {
  if (const auto why = away()) return Failure{*why};
  const auto it = deliveries_.find(number);
  if (it == deliveries_.end()) return size_t{0};
  it->second.attempts = attempts;
  it->second.error = error;
  it->second.dead = true;
  std::vector<uint64_t> dead;
  for (const auto& [n, d] : deliveries_)
    if (d.dead && d.endpoint == it->second.endpoint) dead.push_back(n);
  const size_t removed = dead.size() > most ? dead.size() - most : 0;
  for (size_t i = 0; i < removed; ++i) deliveries_.erase(dead[i]);
  return removed;
}

StoreResult<std::vector<WebhookDelivery>> MemoryDirectory::dead_deliveries(const std::string& endpoint,
                                                                           uint64_t before, uint32_t limit) {
  if (const auto why = away()) return Failure{*why};
  std::vector<WebhookDelivery> all;
  for (auto it = deliveries_.rbegin(); it != deliveries_.rend(); ++it) {
    if (all.size() >= std::clamp<uint32_t>(limit, 1, 1000)) break;
    if (it->second.endpoint == endpoint && it->second.dead && (before == 0 || it->first < before))
      all.push_back(it->second);
  }
  return all;
}

StoreStatus MemoryDirectory::revive_delivery(const std::string& endpoint, uint64_t number) {
  if (const auto why = away()) return Failure{*why};
  const auto it = deliveries_.find(number);
  if (it == deliveries_.end() || it->second.endpoint != endpoint || !it->second.dead) return no_delivery();
  WebhookDelivery again = it->second;
  deliveries_.erase(it);
  again.number = ++last_delivery_;
  again.attempts = 0;
  again.next = {};
  again.dead = false;
  deliveries_[again.number] = again;
  return Done{};
}

StoreStatus MemoryDirectory::remove_delivery(const std::string& endpoint, uint64_t number) {
  if (const auto why = away()) return Failure{*why};
  const auto it = deliveries_.find(number);
  if (it == deliveries_.end() || it->second.endpoint != endpoint || !it->second.dead) return no_delivery();
  deliveries_.erase(it);
  return Done{};
}

StoreResult<std::vector<port::WebhookDirectory::WebhookCount>> MemoryDirectory::count_deliveries() {
  if (const auto why = away()) return Failure{*why};
  std::map<std::string, WebhookCount> counts;
  for (const auto& [number, d] : deliveries_) {
    WebhookCount& count = counts[d.endpoint];
    count.endpoint = d.endpoint;
    ++(d.dead ? count.dead : count.waiting);
  }
  std::vector<WebhookCount> all;
  for (const auto& [name, count] : counts) all.push_back(count);
  return all;
}

}  // namespace tandem::store_memory
