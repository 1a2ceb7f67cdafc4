// Calls that servers place: POST /calls.
#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

constexpr size_t most_octets = 256;  // of a number, URI or name
constexpr int64_t most_ring_seconds = 600;

struct OrderBody {
  std::string from, to, caller, shown, display;
  int64_t ring_seconds = 0;
};

/// Nothing: it has been answered.
std::optional<OrderBody> read_order(const Exchange& x) {
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object"), std::nullopt;
  OrderBody order;
  const std::pair<std::string_view, std::string*> texts[] = {{"from", &order.from},
                                                             {"to", &order.to},
                                                             {"caller", &order.caller},
                                                             {"shown", &order.shown},
                                                             {"display", &order.display}};
  for (const auto& entry : *body) {
    if (entry.key() == "ring_seconds") {
      const json::value& v = entry.value();
      if (!v.is_int64() || v.get_int64() < 1 || v.get_int64() > most_ring_seconds)
        return x.bad_body(entry.key(), "expected seconds, 1 to 600"), std::nullopt;
      order.ring_seconds = v.get_int64();
      continue;
    }
    const auto text = std::find_if(std::begin(texts), std::end(texts),
                                   [&](const auto& t) { return entry.key() == t.first; });
    if (text == std::end(texts))
      return x.bad_body(entry.key(),
                        "unknown member, expected one of from, to, caller, shown, display, ring_seconds"),
             std::nullopt;
    if (!entry.value().is_string() || entry.value().get_string().size() > most_octets ||
        !is_plain_text(entry.value().get_string()))
      return x.bad_body(entry.key(), "expected text of at most 256 octets, without control characters"),
             std::nullopt;
    *text->second = entry.value().get_string();
  }
  if (order.from.empty()) return x.bad_body("from", "expected user@domain, a number or a URI"), std::nullopt;
  if (order.to.empty()) return x.bad_body("to", "expected a number or a SIP URI"), std::nullopt;
  return order;
}

/// "1001@example.org" or "sip:1001@example.org", in a domain of ours by its own name.
std::optional<port::AddressOfRecord> address_of(ApiImpl& api, std::string_view text) {
  if (istarts_with(text, "sip:")) text.remove_prefix(4);
  const size_t at = text.find('@');
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const std::string domain = api.node.domain_of(lower(text.substr(at + 1)));
  if (domain.empty()) return std::nullopt;
  return port::AddressOfRecord{std::string(text.substr(0, at)), domain};
}

void place(ApiImpl& api, const Exchange& x) {
  const auto body = read_order(x);
  if (!body) return;
  const char* const whose = body->caller.empty() ? "from" : "caller";
  const auto account = address_of(api, body->caller.empty() ? body->from : body->caller);
  if (!account)
    return x.bad_body(whose,
                      "expected user@domain of a subscriber; whoever else rings, `caller` names the "
                      "subscriber on whose account");
  const auto row = api.directory.subscriber(*account);
  if (!row.ok() && row.reason().kind != port::StoreError::Kind::not_found) return x.store_error(row.reason());
  if (!row.ok() || !row->enabled)
    return x.bad_body(whose, "there is no such subscriber, or it is switched off");
  call::CallOrder order;
  order.caller = std::make_shared<const port::Subscriber>(*row);
  order.own = address_of(api, body->from) == account;
  order.from = body->from;
  order.to = body->to;
  order.shown = body->shown;
  order.display = body->display;
  order.ring = seconds(body->ring_seconds);
  order.by = x.caller.name;
  api.node.order(std::move(order), [x](call::Ordered done) {
    using Outcome = call::Ordered::Outcome;
    if (done.outcome == Outcome::placed) return x.json(201, {{"id", std::to_string(done.call)}});
    x.error(503, "unavailable",
            done.outcome == Outcome::draining ? "the node takes no new calls" : "too many calls");
  });
}

}  // namespace

void add_order_operations(std::vector<Operation>& table) {
  table.push_back({"POST",
                   "/calls",
                   Scope::admin,
                   "Place a call: `from` is rung, and when it has answered, `to` is called for it",
                   "CallOrder",
                   "CallOrdered",
                   {},
                   place});
}

}  // namespace tandem::ops
