// Webhooks: /webhooks, their secrets, and deliveries that were given up.
#include <algorithm>

#include "base/text.h"
#include "crypto/base64.h"
#include "ops/api_impl.h"
#include "ops/webhooks.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

using Put = port::Directory::Put;
using Rows = std::vector<port::WebhookRow>;

constexpr size_t most_webhooks = 100;

/// Nothing: it has been answered.
std::optional<Rows> rows_of(ApiImpl& api, const Exchange& x) {
  if (!api.parts.webhooks) return x.error(404, "not_found", "there are no webhooks here"), std::nullopt;
  auto rows = api.parts.webhooks->webhooks();
  if (!rows.ok()) return x.store_error(rows.reason()), std::nullopt;
  return std::move(*rows);
}

const port::WebhookRow* find(const Rows& rows, std::string_view name) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.name == name; });
  return it == rows.end() ? nullptr : &*it;
}

/// The row the path names; null: it has been answered.
std::optional<port::WebhookRow> row_of(ApiImpl& api, const Exchange& x) {
  const auto rows = rows_of(api, x);
  if (!rows) return std::nullopt;
  const port::WebhookRow* row = find(*rows, x.path[0]);
  if (!row) return x.error(404, "not_found", "no such webhook"), std::nullopt;
  return *row;
}

json::object with_counts(const port::WebhookRow& row,
                         const std::vector<port::WebhookDirectory::WebhookCount>& counts) {
  json::object out = to_json(row);
  uint64_t waiting = 0, dead = 0;
  for (const auto& c : counts)
    if (c.endpoint == row.name) waiting = c.waiting, dead = c.dead;
  out["waiting"] = waiting;
  out["given_up"] = dead;
  return out;
}

void list(ApiImpl& api, const Exchange& x) {
  const auto rows = rows_of(api, x);
  if (!rows) return;
  const auto counts = api.parts.webhooks->count_deliveries();
  if (!counts.ok()) return x.store_error(counts.reason());
  json::array items;
  for (const port::WebhookRow& row : *rows) items.emplace_back(with_counts(row, *counts));
  x.json(200, {{"items", std::move(items)}});
}

void show(ApiImpl& api, const Exchange& x) {
  const auto row = row_of(api, x);
  if (!row) return;
  const auto counts = api.parts.webhooks->count_deliveries();
  if (!counts.ok()) return x.store_error(counts.reason());
  x.json(200, with_counts(*row, *counts));
}

bool can_sign(std::string_view secret) {
  return secret.empty() || (secret.starts_with("whsec_") && crypto::base64_decode(secret.substr(6)));
}

void put(ApiImpl& api, const Exchange& x) {
  const auto rows = rows_of(api, x);
  if (!rows) return;
  const port::WebhookRow* known = find(*rows, x.path[0]);
  if (!known && rows->size() >= most_webhooks) return x.error(409, "limit", "there are 100 webhooks already");
  port::WebhookRow row = known ? *known : port::WebhookRow{};
  row.name = x.path[0];
  if (const auto read = from_json(x.body, row); !read.ok())
    return x.bad_body(read.reason().path, read.reason().text);
  if (row.name != x.path[0]) return x.bad_body("name", "it is in the path of the resource and cannot change");
  if (!can_sign(row.secret)) return x.bad_body("secret", "expected whsec_ and base 64 of 24 to 64 octets");
  if (!can_sign(row.old_secret))
    return x.bad_body("old_secret", "expected whsec_ and base 64 of 24 to 64 octets, or nothing");
  const bool made = row.secret.empty();
  if (made) row.secret = new_webhook_secret(api.parts.rng);
  const auto done = api.parts.webhooks->put_webhook(row, known ? Put::replace : Put::create);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.webhooks_changed();
  json::object out = with_counts(row, {});
  if (made) out["new_secret"] = row.secret;  // this once
  x.json(known ? 200 : 201, std::move(out));
}

void remove(ApiImpl& api, const Exchange& x) {
  if (!rows_of(api, x)) return;
  const auto done = api.parts.webhooks->remove_webhook(x.path[0]);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.webhooks_changed();
  x.none();
}

void rotate(ApiImpl& api, const Exchange& x) {
  auto row = row_of(api, x);
  if (!row) return;
  row->old_secret = std::exchange(row->secret, new_webhook_secret(api.parts.rng));
  const auto done = api.parts.webhooks->put_webhook(*row, Put::replace);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.webhooks_changed();
  x.json(200, {{"secret", row->secret}});
}

void given_up(ApiImpl& api, const Exchange& x) {
  const auto limit = x.number("limit", 100);
  const auto before = x.text("before").empty() ? std::optional<uint64_t>(0) : parse_u64(x.text("before"));
  if (!limit) return x.error(400, "invalid", "limit: expected a number");
  if (!before) return x.error(400, "invalid", "before: expected the number of a delivery");
  const auto row = row_of(api, x);
  if (!row) return;
  const auto dead = api.parts.webhooks->dead_deliveries(row->name, *before, *limit);
  if (!dead.ok()) return x.store_error(dead.reason());
  json::array items;
  for (const port::WebhookDelivery& d : *dead)
    items.emplace_back(json::object{{"number", std::to_string(d.number)},
                                    {"id", d.id},
                                    {"type", d.type},
                                    {"time", to_rfc3339(d.time)},
                                    {"attempts", d.attempts},
                                    {"error", valid_utf8(d.error)},
                                    {"body", valid_utf8(d.body)}});
  x.json(200, {{"items", std::move(items)}});
}

/// The number of a delivery in the path; nothing: it has been answered.
std::optional<uint64_t> number_of(const Exchange& x) {
  const auto number = parse_u64(x.path[1]);
  if (!number) x.error(404, "not_found", "no such delivery");
  return number;
}

void deliver_again(ApiImpl& api, const Exchange& x) {
  const auto number = number_of(x);
  if (!number || !rows_of(api, x)) return;
  const auto done = api.parts.webhooks->revive_delivery(x.path[0], *number);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.webhooks_changed();
  x.none();
}

void forget(ApiImpl& api, const Exchange& x) {
  const auto number = number_of(x);
  if (!number || !rows_of(api, x)) return;
  const auto done = api.parts.webhooks->remove_delivery(x.path[0], *number);
  if (!done.ok()) return x.store_error(done.reason());
  x.none();
}

}  // namespace

void add_webhook_operations(std::vector<Operation>& table) {
  table.push_back({"GET", "/webhooks", Scope::admin, "List webhooks", nullptr, "[Webhook]", {}, list});
  table.push_back({"GET", "/webhooks/{name}", Scope::admin, "Show a webhook", nullptr, "Webhook", {}, show});
  table.push_back(
      {"PUT",
       "/webhooks/{name}",
       Scope::admin,
       "Create or change a webhook; members left out stay. Without a secret one is made, and shown "
       "in this answer alone",
       "Webhook",
       "Webhook",
       {},
       put});
  table.push_back({"DELETE",
                   "/webhooks/{name}",
                   Scope::admin,
                   "Remove a webhook, and what waits for it",
                   nullptr,
                   nullptr,
                   {},
                   remove});
  table.push_back({"POST",
                   "/webhooks/{name}/secret",
                   Scope::admin,
                   "Make a new secret; until old_secret is emptied both sign",
                   nullptr,
                   "WebhookSecret",
                   {},
                   rotate});
  table.push_back(
      {"GET",
       "/webhooks/{name}/given-up",
       Scope::admin,
       "Deliveries that were given up, latest first",
       nullptr,
       "[WebhookDelivery]",
       {{"before", "only those with a lower number"}, {"limit", "deliveries shown, at most 1000"}},
       given_up});
  table.push_back({"POST",
                   "/webhooks/{name}/given-up/{number}",
                   Scope::admin,
                   "Deliver it again, behind what waits",
                   nullptr,
                   nullptr,
                   {},
                   deliver_again});
  table.push_back({"DELETE",
                   "/webhooks/{name}/given-up/{number}",
                   Scope::admin,
                   "Forget it",
                   nullptr,
                   nullptr,
                   {},
                   forget});
}

}  // namespace tandem::ops
