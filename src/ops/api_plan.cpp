// The dial plan: domains, trunks, routes, ring groups, feature codes, time rules, parks, menus, mailboxes,
// conferences.
#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

/// How one kind of row stands under its path: which list of PlanRows, and which members the path names.
template <class Row>
struct Resource {
  std::vector<Row> port::PlanRows::*rows;
  /// Sets the key members from the path. False: the path is no key (a route id that is no number).
  bool (*key)(Row&, const std::vector<std::string>& path);
  bool (*same)(const Row&, const Row&);
};

template <class Row>
void list_rows(ApiImpl& api, const Exchange& x, const Resource<Row>& resource) {
  const auto rows = api.directory.plan_rows();
  if (!rows.ok()) return x.store_error(rows.reason());
  json::array items;
  for (const Row& row : (*rows).*resource.rows) items.emplace_back(to_json(row));
  x.json(200, {{"items", std::move(items)}, {"version", (*rows).version}});
}

template <class Row>
const Row* find_row(const port::PlanRows& rows, const Resource<Row>& resource, const Row& key) {
  for (const Row& row : rows.*resource.rows)
    if (resource.same(row, key)) return &row;
  return nullptr;
}

template <class Row>
void show_row(ApiImpl& api, const Exchange& x, const Resource<Row>& resource) {
  const auto rows = api.directory.plan_rows();
  if (!rows.ok()) return x.store_error(rows.reason());
  Row key;
  const Row* row = resource.key(key, x.path) ? find_row(*rows, resource, key) : nullptr;
  if (!row) return x.error(404, "not_found", "no such row");
  x.json(200, to_json(*row));
}

template <class Row>
void put_row(ApiImpl& api, const Exchange& x, const Resource<Row>& resource, bool create) {
  const auto rows = api.directory.plan_rows();
  if (!rows.ok()) return x.store_error(rows.reason());
  Row key;
  if (!create && !resource.key(key, x.path)) return x.error(404, "not_found", "no such row");
  const Row* known = create ? nullptr : find_row(*rows, resource, key);
  Row row = known ? *known : key;
  if (const auto read = from_json(x.body, row); !read.ok())
    return x.bad_body(read.reason().path, read.reason().text);
  if (!create && !resource.same(row, key))
    return x.bad_body("", "the key is in the path of the resource and cannot change");
  const auto done =
      api.directory.put_plan_row(row, create ? port::Directory::Put::create : port::Directory::Put::either);
  if (!done.ok()) return x.store_error(done.reason());
  if constexpr (requires { row.id; })
    if (row.id == 0) row.id = done->id;
  api.node.plan_changed();
  x.json(known ? 200 : 201, to_json(row));
}

/// Its messages have gone with the row: now their files, and its greeting, recorded by its owner.
void forget_mailbox(ApiImpl& api, const port::AddressOfRecord& mailbox,
                    const std::vector<port::Voicemail>& messages) {
  for (const port::Voicemail& m : messages) api.node.remove_file({port::SoundPlace::voicemail, m.file});
  api.node.remove_file({port::SoundPlace::voicemail, port::mailbox_folder(mailbox) + "/greeting.wav"});
  api.node.mailbox_changed(mailbox);
}

template <class Row>
void remove_row(ApiImpl& api, const Exchange& x, const Resource<Row>& resource) {
  Row key;
  if (!resource.key(key, x.path)) return x.error(404, "not_found", "no such row");
  std::vector<port::Voicemail> messages;
  if constexpr (std::is_same_v<Row, port::MailboxRow>) {
    auto found = api.directory.voicemails({key.user, key.domain});
    if (!found.ok()) return x.store_error(found.reason());
    messages = std::move(*found);
  }
  const auto done = api.directory.remove_plan_row(key);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.plan_changed();
  if constexpr (std::is_same_v<Row, port::MailboxRow>) forget_mailbox(api, {key.user, key.domain}, messages);
  x.none();
}

template <class Row>
void add_resource(std::vector<Operation>& table, const char* collection, const char* item, const char* name,
                  const char* list_of, Resource<Row> resource) {
  table.push_back({"GET",
                   collection,
                   Scope::read,
                   "List all rows",
                   nullptr,
                   list_of,
                   {},
                   [resource](ApiImpl& api, const Exchange& x) { list_rows(api, x, resource); }});
  table.push_back({"POST",
                   collection,
                   Scope::admin,
                   "Create a row; 409 when it exists",
                   name,
                   name,
                   {},
                   [resource](ApiImpl& api, const Exchange& x) { put_row(api, x, resource, true); }});
  table.push_back({"GET",
                   item,
                   Scope::read,
                   "Show a row",
                   nullptr,
                   name,
                   {},
                   [resource](ApiImpl& api, const Exchange& x) { show_row(api, x, resource); }});
  table.push_back({"PUT",
                   item,
                   Scope::admin,
                   "Create or change a row; members left out stay",
                   name,
                   name,
                   {},
                   [resource](ApiImpl& api, const Exchange& x) { put_row(api, x, resource, false); }});
  table.push_back({"DELETE",
                   item,
                   Scope::admin,
                   "Remove a row",
                   nullptr,
                   nullptr,
                   {},
                   [resource](ApiImpl& api, const Exchange& x) { remove_row(api, x, resource); }});
}

/// "-" in a path stands for the empty domain: rows of every domain.
std::string domain_of(const std::string& segment) { return segment == "-" ? std::string() : segment; }

using Path = std::vector<std::string>;

void add_routing(std::vector<Operation>& table) {
  add_resource<port::DomainRow>(
      table, "/domains", "/domains/{name}", "Domain", "[Domain]",
      {&port::PlanRows::domains, [](port::DomainRow& r, const Path& p) { return r.name = p[0], true; },
       [](const port::DomainRow& a, const port::DomainRow& b) { return a.name == b.name; }});
  add_resource<port::TrunkRow>(
      table, "/trunks", "/trunks/{name}", "Trunk", "[Trunk]",
      {&port::PlanRows::trunks, [](port::TrunkRow& r, const Path& p) { return r.name = p[0], true; },
       [](const port::TrunkRow& a, const port::TrunkRow& b) { return a.name == b.name; }});
  add_resource<port::RouteRow>(
      table, "/routes", "/routes/{id}", "Route", "[Route]",
      {&port::PlanRows::routes,
       [](port::RouteRow& r, const Path& p) {
         const auto id = parse_u64(p[0]);
         r.id = id.value_or(0);
         return r.id != 0;
       },
       [](const port::RouteRow& a, const port::RouteRow& b) { return a.id == b.id; }});
}

void add_ring_groups(std::vector<Operation>& table) {
  add_resource<port::RingGroupRow>(
      table, "/ring-groups", "/ring-groups/{domain}/{name}", "RingGroup", "[RingGroup]",
      {&port::PlanRows::ring_groups,
       [](port::RingGroupRow& r, const Path& p) { return r.domain = p[0], r.name = p[1], true; },
       [](const port::RingGroupRow& a, const port::RingGroupRow& b) {
         return a.domain == b.domain && a.name == b.name;
       }});
  add_resource<port::RingGroupMemberRow>(
      table, "/ring-group-members", "/ring-group-members/{domain}/{group}/{position}", "RingGroupMember",
      "[RingGroupMember]",
      {&port::PlanRows::ring_group_members,
       [](port::RingGroupMemberRow& r, const Path& p) {
         const auto position = parse_u32(p[2]);
         r.domain = p[0], r.group = p[1], r.position = position.value_or(0);
         return position.has_value();
       },
       [](const port::RingGroupMemberRow& a, const port::RingGroupMemberRow& b) {
         return a.domain == b.domain && a.group == b.group && a.position == b.position;
       }});
}

void add_services(std::vector<Operation>& table) {
  add_resource<port::FeatureCodeRow>(
      table, "/feature-codes", "/feature-codes/{domain}/{code}", "FeatureCode", "[FeatureCode]",
      {&port::PlanRows::feature_codes,
       [](port::FeatureCodeRow& r, const Path& p) { return r.domain = domain_of(p[0]), r.code = p[1], true; },
       [](const port::FeatureCodeRow& a, const port::FeatureCodeRow& b) {
         return a.domain == b.domain && a.code == b.code;
       }});
  add_resource<port::TimeRuleRow>(
      table, "/time-rules", "/time-rules/{domain}/{name}/{position}", "TimeRule", "[TimeRule]",
      {&port::PlanRows::time_rules,
       [](port::TimeRuleRow& r, const Path& p) {
         const auto position = parse_u32(p[2]);
         r.domain = domain_of(p[0]), r.name = p[1], r.position = position.value_or(0);
         return position.has_value();
       },
       [](const port::TimeRuleRow& a, const port::TimeRuleRow& b) {
         return a.domain == b.domain && a.name == b.name && a.position == b.position;
       }});
  add_resource<port::ParkRow>(
      table, "/parks", "/parks/{domain}", "Park", "[Park]",
      {&port::PlanRows::parks, [](port::ParkRow& r, const Path& p) { return r.domain = p[0], true; },
       [](const port::ParkRow& a, const port::ParkRow& b) { return a.domain == b.domain; }});
}

void add_attendants(std::vector<Operation>& table) {
  add_resource<port::MenuRow>(
      table, "/menus", "/menus/{domain}/{name}", "Menu", "[Menu]",
      {&port::PlanRows::menus,
       [](port::MenuRow& r, const Path& p) { return r.domain = p[0], r.name = p[1], true; },
       [](const port::MenuRow& a, const port::MenuRow& b) {
         return a.domain == b.domain && a.name == b.name;
       }});
  add_resource<port::MenuChoiceRow>(
      table, "/menu-choices", "/menu-choices/{domain}/{menu}/{position}", "MenuChoice", "[MenuChoice]",
      {&port::PlanRows::menu_choices,
       [](port::MenuChoiceRow& r, const Path& p) {
         const auto position = parse_u32(p[2]);
         r.domain = p[0], r.menu = p[1], r.position = position.value_or(0);
         return position.has_value();
       },
       [](const port::MenuChoiceRow& a, const port::MenuChoiceRow& b) {
         return a.domain == b.domain && a.menu == b.menu && a.position == b.position;
       }});
  add_resource<port::MailboxRow>(
      table, "/mailboxes", "/mailboxes/{domain}/{user}", "Mailbox", "[Mailbox]",
      {&port::PlanRows::mailboxes,
       [](port::MailboxRow& r, const Path& p) { return r.domain = p[0], r.user = p[1], true; },
       [](const port::MailboxRow& a, const port::MailboxRow& b) {
         return a.domain == b.domain && a.user == b.user;
       }});
  add_resource<port::ConferenceRow>(
      table, "/conferences", "/conferences/{domain}/{name}", "Conference", "[Conference]",
      {&port::PlanRows::conferences,
       [](port::ConferenceRow& r, const Path& p) { return r.domain = p[0], r.name = p[1], true; },
       [](const port::ConferenceRow& a, const port::ConferenceRow& b) {
         return a.domain == b.domain && a.name == b.name;
       }});
}

}  // namespace

void add_plan_operations(std::vector<Operation>& table) {
  add_routing(table);
  add_ring_groups(table);
  add_services(table);
  add_attendants(table);
}

}  // namespace tandem::ops
