// GET /route: where a call would go now, and why.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"
#include "ops/explain.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

void answer(const Exchange& x, const Explanation::Outcome& outcome) {
  json::array why;
  for (const std::string& line : outcome.why) why.emplace_back(valid_utf8(line));
  x.json(200, {{"action", valid_utf8(outcome.action)},
               {"number", valid_utf8(outcome.number)},
               {"rule", valid_utf8(outcome.rule)},
               {"status", outcome.status},
               {"why", std::move(why)}});
}

/// The domain's own name for one of its names; the name as it is when no domain has it.
std::string domain_named(const port::PlanRows& rows, const std::string& name) {
  for (const port::DomainRow& row : rows.domains) {
    const auto same = [&](const std::string& other) { return iequals(name, other); };
    if (same(row.name) || std::any_of(row.aliases.begin(), row.aliases.end(), same)) return row.name;
  }
  return name;
}

/// From a trunk: in the domain asked for, else in the trunk's own, as its calls are.
void from_trunk(const Exchange& x, const port::PlanRows& rows, const std::string& trunk,
                route::CallRequest& request) {
  request.source = route::FromTrunk{trunk, x.text("from")};
  request.domain = x.text("domain");
  if (request.domain.empty())
    for (const port::TrunkRow& row : rows.trunks)
      if (row.name == trunk) request.domain = row.domain;
}

/// False: it has been answered.
bool from_subscriber(ApiImpl& api, const Exchange& x, const port::PlanRows& rows,
                     route::CallRequest& request) {
  const std::string from = x.text("from");
  const size_t at = from.find('@');
  if (at == std::string::npos)
    return x.error(400, "invalid", "from: expected user@domain, or a trunk"), false;
  const auto row = api.directory.subscriber({from.substr(0, at), domain_named(rows, from.substr(at + 1))});
  if (!row.ok() && row.reason().kind == port::StoreError::Kind::not_found)
    return x.error(404, "not_found", fmt::format("from: no such subscriber: {}", from)), false;
  if (!row.ok()) return x.store_error(row.reason()), false;
  if (!row->enabled) {
    answer(x, {"refused with 403 (cause 21): the caller is switched off",
               request.dialled,
               {},
               403,
               {from + " is switched off: may neither register nor call"}});
    return false;
  }
  request.source = route::FromSubscriber{row->aor, row->call_class, row->caller_number, row->pickup_group};
  request.domain = row->aor.domain;
  return true;
}

void explain(ApiImpl& api, const Exchange& x) {
  route::CallRequest request;
  request.wall = api.wall();
  request.dialled = x.text("to");
  if (request.dialled.empty()) return x.error(400, "invalid", "to: the number or URI dialled is needed");
  const auto rows = api.directory.plan_rows();
  if (!rows.ok()) return x.store_error(rows.reason());
  if (const std::string trunk = x.text("trunk"); !trunk.empty())
    from_trunk(x, *rows, trunk, request);
  else if (!from_subscriber(api, x, *rows, request))
    return;
  auto explanation = Explanation::of(
      request, {[&](const route::CallRequest& r) { return api.node.explain(r); },
                [&](const port::AddressOfRecord& aor) { return api.directory.subscriber(aor); },
                [&](const port::AddressOfRecord& aor) {
                  return std::any_of(rows->mailboxes.begin(), rows->mailboxes.end(), [&](const auto& row) {
                    return row.enabled && row.unanswered && row.user == aor.user && row.domain == aor.domain;
                  });
                }});
  if (!explanation.ok()) return x.store_error(explanation.reason());
  if (explanation->asks().empty()) return answer(x, explanation->settle({}));
  const std::vector<port::AddressOfRecord> asks = explanation->asks();
  api.node.contacts(asks, [x, e = std::move(*explanation)](const std::vector<size_t>& contacts) {
    answer(x, e.settle(contacts));
  });
}

}  // namespace

void add_explain_operation(std::vector<Operation>& table) {
  table.push_back({"GET",
                   "/route",
                   Scope::read,
                   "Where would this call go, and why",
                   nullptr,
                   "Explanation",
                   {{"from", "user@domain that calls, or the caller's number on a trunk"},
                    {"to", "number or URI dialled"},
                    {"trunk", "the call comes in over this trunk"},
                    {"domain", "of a trunk's call; the trunk's own when left out"}},
                   explain});
}

}  // namespace tandem::ops
