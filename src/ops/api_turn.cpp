// TURN: credentials for applications, and the allocations there are.
#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

constexpr int64_t shortest_ttl = 60, longest_ttl = 30 * 86400;
constexpr size_t longest_user = 256;

void credentials(ApiImpl& api, const Exchange& x) {
  std::string user;
  std::optional<int64_t> ttl;
  if (!x.body.is_null()) {
    const auto* body = x.body.if_object();
    if (!body) return x.bad_body("", "expected a JSON object");
    for (const auto& entry : *body) {
      if (entry.key() == "user") {
        if (!entry.value().is_string() || entry.value().get_string().size() > longest_user ||
            !is_plain_text(entry.value().get_string()))
          return x.bad_body("user", "expected a name without control characters, at most 256 octets");
        user = std::string(entry.value().get_string());
      } else if (entry.key() == "ttl") {
        if (!entry.value().is_int64() || entry.value().get_int64() < shortest_ttl ||
            entry.value().get_int64() > longest_ttl)
          return x.bad_body("ttl", "expected seconds, 60 to 2592000");
        ttl = entry.value().get_int64();
      } else {
        return x.bad_body(entry.key(), "unknown member, expected one of user, ttl");
      }
    }
  }
  const auto made = api.node.turn_credentials(user, ttl);
  if (!made) return x.error(404, "not_found", "this node has no TURN server: turn.listeners is empty");
  json::array uris;
  for (const std::string& uri : made->uris) uris.emplace_back(uri);
  x.json(200, {{"username", made->username},
               {"password", made->password},
               {"ttl", made->ttl},
               {"uris", std::move(uris)}});
}

json::object to_json(const turn::AllocationInfo& a) {
  json::array relays;
  for (const std::string& r : a.relays) relays.emplace_back(r);
  return {{"user", valid_utf8(a.user)},       {"client", a.client},
          {"transport", a.transport},         {"protocol", a.tcp ? "tcp" : "udp"},
          {"relays", std::move(relays)},      {"mobile", a.mobile},
          {"since", to_rfc3339(a.since)},     {"expires_in", a.expires_in},
          {"permissions", a.permissions},     {"channels", a.channels},
          {"packets_to_peers", a.packets_up}, {"packets_to_client", a.packets_down},
          {"octets_to_peers", a.octets_up},   {"octets_to_client", a.octets_down}};
}

void allocations(ApiImpl& api, const Exchange& x) {
  const auto limit = x.number("limit", 1000);
  if (!limit) return x.error(400, "invalid", "limit: expected a number");
  api.node.turn_allocations(*limit, [x](const std::vector<turn::AllocationInfo>& list) {
    json::array items;
    for (const turn::AllocationInfo& a : list) items.emplace_back(to_json(a));
    x.json(200, {{"items", std::move(items)}});
  });
}

}  // namespace

void add_turn_operations(std::vector<Operation>& table) {
  table.push_back({"POST",
                   "/turn/credentials",
                   Scope::admin,
                   "Make time-limited TURN credentials for a client",
                   "TurnCredentialsRequest",
                   "TurnCredentials",
                   {},
                   credentials});
  table.push_back({"GET",
                   "/turn/allocations",
                   Scope::read,
                   "TURN allocations",
                   nullptr,
                   "[TurnAllocation]",
                   {{"limit", "allocations shown at most, of each worker"}},
                   allocations});
}

}  // namespace tandem::ops
