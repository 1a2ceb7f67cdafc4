// What a subscriber who signed in may see and do: his own, and nothing else. The address-of-record comes from
// the session, never from the request.
#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

const port::AddressOfRecord& own(const Exchange& x) { return *x.caller.session->subscriber; }

void me(ApiImpl& api, const Exchange& x) {
  const auto row = api.directory.subscriber(own(x));
  if (!row.ok()) return x.store_error(row.reason());
  x.json(200, {{"user", row->aor.user},
               {"domain", row->aor.domain},
               {"display_name", row->display_name},
               {"do_not_disturb", row->do_not_disturb}});
}

/// So that a page, which does not know the password, can be a telephone (docs/rtc.md).
void ticket(ApiImpl& api, const Exchange& x) {
  const auto row = api.directory.subscriber(own(x));
  if (!row.ok()) return x.store_error(row.reason());
  if (!row->enabled) return x.error(403, "forbidden", "the subscriber is disabled");
  api.tickets_given.add();
  const WallTime until = api.wall() + api.config.ticket_lifetime;
  x.json(200, {{"user", own(x).to_string()},
               {"ticket", auth::make_ticket(api.config.tickets, own(x), until)},
               {"expires", to_rfc3339(until)}});
}

void registrations(ApiImpl& api, const Exchange& x) {
  api.node.registrations(own(x).domain, own(x).user, 1000, [x](const std::vector<RegistrationView>& list) {
    json::array items;
    for (const RegistrationView& r : list)
      if (r.aor == own(x)) items.emplace_back(to_json(r));
    x.json(200, {{"items", std::move(items)}});
  });
}

bool is_of(const port::CdrLeg& leg, const port::AddressOfRecord& aor) {
  return leg.trunk.empty() && leg.party.user == aor.user && leg.party.domain == aor.domain;
}

/// No trunks, addresses or recordings: how the node is built is not the subscriber's business.
json::object call_json(const port::Cdr& cdr, const port::AddressOfRecord& aor) {
  const bool outgoing = is_of(cdr.caller, aor);
  const port::CdrLeg& other = outgoing ? cdr.callee : cdr.caller;
  const bool nameless = !outgoing && cdr.private_caller;
  return {{"direction", outgoing ? "out" : "in"},
          {"party", nameless ? std::string() : valid_utf8(outgoing ? cdr.dialled : other.party.user)},
          {"display", nameless ? std::string() : valid_utf8(other.party.display)},
          {"setup", to_rfc3339(cdr.setup)},
          {"answer", to_rfc3339(cdr.answer)},
          {"end", to_rfc3339(cdr.end)},
          {"sip_status", cdr.sip_status}};
}

void calls(ApiImpl& api, const Exchange& x) {
  const auto limit = x.number("limit", 100);
  if (!limit || *limit == 0 || *limit > 1000) return x.error(400, "invalid", "limit: expected 1 to 1000");
  port::CdrQuery query;
  query.party = own(x).user;
  query.domain = own(x).domain;
  query.cursor = x.text("cursor");
  query.limit = *limit;
  const auto page = api.directory.search_cdrs(query);
  if (!page.ok()) return x.store_error(page.reason());
  json::array items;
  // The search knows user and domain of either party, not of one: others may be among what it finds.
  for (const port::Cdr& cdr : page->rows)
    if (is_of(cdr.caller, own(x)) || is_of(cdr.callee, own(x))) items.emplace_back(call_json(cdr, own(x)));
  x.json(200, {{"items", std::move(items)}, {"next", page->next}});
}

void messages(ApiImpl& api, const Exchange& x) {
  const auto list = api.directory.voicemails(own(x));
  if (!list.ok()) return x.store_error(list.reason());
  json::array items;
  for (const port::Voicemail& m : *list) items.emplace_back(to_json(m));
  x.json(200, {{"items", std::move(items)}});
}

void sound(ApiImpl& api, const Exchange& x) {
  if (const auto message = find_message(api, x, own(x), x.path[0]))
    answer_sound(api, x, {port::SoundPlace::voicemail, message->file});
}

void mark(ApiImpl& api, const Exchange& x) {
  port::Voicemail any;
  if (const auto read = from_json(x.body, any); !read.ok())
    return x.bad_body(read.reason().path, read.reason().text);
  auto message = find_message(api, x, own(x), x.path[0]);
  if (!message) return;
  static_cast<void>(from_json(x.body, *message));
  const auto done = api.directory.mark_voicemail(own(x), message->id, message->heard);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.mailbox_changed(own(x));
  x.json(200, to_json(*message));
}

void remove(ApiImpl& api, const Exchange& x) {
  const auto message = find_message(api, x, own(x), x.path[0]);
  if (!message) return;
  const auto done = api.directory.remove_voicemail(own(x), message->id);
  if (!done.ok()) return x.store_error(done.reason());
  api.node.remove_file({port::SoundPlace::voicemail, message->file});
  api.node.mailbox_changed(own(x));
  x.none();
}

}  // namespace

void add_own_operations(std::vector<Operation>& table) {
  table.push_back({"GET", "/me", Scope::own, "The subscriber who is signed in", nullptr, "Me", {}, me});
  table.push_back({"POST",
                   "/me/ticket",
                   Scope::own,
                   "A ticket for the JSON API, good for half a minute: the token of its hello",
                   nullptr,
                   "Ticket",
                   {},
                   ticket});
  table.push_back({"GET",
                   "/me/registrations",
                   Scope::own,
                   "His telephones",
                   nullptr,
                   "[Registration]",
                   {},
                   registrations});
  table.push_back({"GET",
                   "/me/calls",
                   Scope::own,
                   "His calls that are over, latest first",
                   nullptr,
                   "[OwnCall]",
                   {{"cursor", "`next` of the page before"}, {"limit", "calls a page, at most 1000"}},
                   calls});
  table.push_back({"GET",
                   "/me/messages",
                   Scope::own,
                   "His voice messages, oldest first",
                   nullptr,
                   "[Voicemail]",
                   {},
                   messages});
  table.push_back({"PUT",
                   "/me/messages/{id}",
                   Scope::own,
                   "Change whether one was heard",
                   "Voicemail",
                   "Voicemail",
                   {},
                   mark});
  table.push_back({"DELETE", "/me/messages/{id}", Scope::own, "Remove one", nullptr, nullptr, {}, remove});
  table.push_back(
      {"GET", "/me/messages/{id}/sound", Scope::own, "The sound of one", nullptr, "audio/wav", {}, sound});
}

}  // namespace tandem::ops
