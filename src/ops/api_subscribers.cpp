// Subscribers: /subscribers and /subscribers/{domain}/{user}.
#include <fmt/format.h>

#include "auth/digest.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

void list(ApiImpl& api, const Exchange& x) {
  const auto limit = x.number("limit", 100);
  if (!limit) return x.error(400, "invalid", "limit: expected a number");
  const auto page =
      api.directory.list_subscribers({x.text("domain"), x.text("search"), x.text("cursor"), *limit});
  if (!page.ok()) return x.store_error(page.reason());
  json::array items;
  for (const port::Subscriber& row : page->rows) items.emplace_back(to_json(row));
  x.json(200, {{"items", std::move(items)}, {"next", page->next}});
}

void show(ApiImpl& api, const Exchange& x) {
  const auto row = api.directory.subscriber({x.path[1], x.path[0]});
  if (!row.ok()) return x.store_error(row.reason());
  x.json(200, to_json(*row));
}

/// The realm that HA1 values of this domain are made for.
std::string digest_realm(ApiImpl& api, const std::string& domain) {
  const auto rows = api.directory.plan_rows();
  if (rows.ok())
    for (const port::DomainRow& d : rows->domains)
      if (d.name == domain && !d.digest_realm.empty()) return d.digest_realm;
  return domain;
}

void put(ApiImpl& api, const Exchange& x) {
  const port::AddressOfRecord aor{x.path[1], x.path[0]};
  SubscriberInput input;
  const auto known = api.directory.subscriber(aor);
  if (known.ok())
    input.row = *known;
  else if (known.reason().kind != port::StoreError::Kind::not_found)
    return x.store_error(known.reason());
  input.row.aor = aor;
  if (const auto read = from_json(x.body, input); !read.ok())
    return x.bad_body(read.reason().path, read.reason().text);
  if (input.row.aor != aor)
    return x.bad_body(input.row.aor.user != aor.user ? "user" : "domain",
                      "it is in the path of the resource and cannot change");
  if (!input.password.empty()) {
    if (input.password.size() < least_password_octets)
      return x.bad_body("password", fmt::format("expected at least {} octets", least_password_octets));
    input.row.ha1 = auth::make_ha1(aor.user, digest_realm(api, aor.domain), input.password, aor.domain);
  } else if (!known.ok()) {
    return x.bad_body("password", "needed for a new subscriber");
  }
  const auto done = api.directory.put_subscriber(input.row, port::Directory::Put::either);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.subscriber_changed(aor);
  if (!input.password.empty() || !input.row.enabled) api.sessions.end_of(aor.to_string());
  input.row.revision = *done;
  x.json(known.ok() ? 200 : 201, to_json(input.row));
}

void remove(ApiImpl& api, const Exchange& x) {
  const port::AddressOfRecord aor{x.path[1], x.path[0]};
  const auto done = api.directory.remove_subscriber(aor);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.subscriber_changed(aor);
  api.sessions.end_of(aor.to_string());
  api.node.unregister(aor, [x](bool) { x.none(); });
}

}  // namespace

void add_subscriber_operations(std::vector<Operation>& table) {
  table.push_back({"GET",
                   "/subscribers",
                   Scope::read,
                   "List subscribers",
                   nullptr,
                   "[Subscriber]",
                   {{"domain", "only this domain"},
                    {"search", "part of user or display name"},
                    {"cursor", "`next` of the page before"},
                    {"limit", "rows a page, at most 1000"}},
                   list});
  table.push_back({"GET",
                   "/subscribers/{domain}/{user}",
                   Scope::read,
                   "Show a subscriber",
                   nullptr,
                   "Subscriber",
                   {},
                   show});
  table.push_back({"PUT",
                   "/subscribers/{domain}/{user}",
                   Scope::admin,
                   "Create or change a subscriber; members left out stay",
                   "Subscriber",
                   "Subscriber",
                   {},
                   put});
  table.push_back({"DELETE",
                   "/subscribers/{domain}/{user}",
                   Scope::admin,
                   "Remove a subscriber and its registrations",
                   nullptr,
                   nullptr,
                   {},
                   remove});
}

}  // namespace tandem::ops
