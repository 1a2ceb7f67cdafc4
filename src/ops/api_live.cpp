// What is going on now: calls, registrations, trunks, reload and drain.
#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

template <class T>
void answer_list(const Exchange& x, const std::vector<T>& rows) {
  json::array items;
  for (const T& row : rows) items.emplace_back(to_json(row));
  x.json(200, {{"items", std::move(items)}});
}

void calls(ApiImpl& api, const Exchange& x) {
  const auto limit = x.number("limit", 1000);
  if (!limit) return x.error(400, "invalid", "limit: expected a number");
  api.node.calls(*limit, [x](const std::vector<call::CallInfo>& list) { answer_list(x, list); });
}

std::optional<call::CallId> call_id(const Exchange& x) {
  const auto id = parse_u64(x.path[0]);
  if (!id) x.error(404, "not_found", "no such call");
  return id;
}

void call(ApiImpl& api, const Exchange& x) {
  const auto id = call_id(x);
  if (!id) return;
  api.node.call(*id, [x](std::optional<call::CallInfo> info) {
    if (info)
      x.json(200, to_json(*info));
    else
      x.error(404, "not_found", "no such call");
  });
}

void found_or_not(const Exchange& x, bool found) {
  if (found)
    x.none();
  else
    x.error(404, "not_found", "no such call or leg");
}

void hangup(ApiImpl& api, const Exchange& x) {
  if (const auto id = call_id(x)) api.node.hangup(*id, [x](bool found) { found_or_not(x, found); });
}

void transfer(ApiImpl& api, const Exchange& x) {
  const auto id = call_id(x);
  if (!id) return;
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object");
  for (const auto& entry : *body)
    if (entry.key() != "leg" && entry.key() != "target")
      return x.bad_body(entry.key(), "unknown member, expected one of leg, target");
  const json::value* leg = body->if_contains("leg");
  const json::value* target = body->if_contains("target");
  if (!leg || !leg->is_int64() || leg->get_int64() < 0 || leg->get_int64() > 0xffff)
    return x.bad_body("leg", "expected the number of the leg that transfers");
  if (!target || !target->is_string() || target->get_string().empty() || !is_plain_text(target->get_string()))
    return x.bad_body("target", "expected a number or a SIP URI");
  api.node.transfer(*id, static_cast<uint16_t>(leg->get_int64()), std::string(target->get_string()),
                    [x](bool found) { found_or_not(x, found); });
}

json::object member_json(const call::ConferenceInfo::Member& m) {
  return {{"call", std::to_string(m.call)},
          {"party", m.party},
          {"display", m.display},
          {"moderator", m.moderator},
          {"muted", m.muted},
          {"waits", m.waits},
          {"talks", m.talks},
          {"level", m.level}};
}

void conferences(ApiImpl& api, const Exchange& x) {
  api.node.conferences([x](const std::vector<call::ConferenceInfo>& list) {
    json::array items;
    for (const call::ConferenceInfo& c : list) {
      json::array members;
      for (const auto& m : c.members) members.emplace_back(member_json(m));
      items.emplace_back(json::object{{"domain", c.domain},
                                      {"name", c.name},
                                      {"locked", c.locked},
                                      {"lecture", c.lecture},
                                      {"members", std::move(members)}});
    }
    x.json(200, {{"items", std::move(items)}});
  });
}

/// The flags of a body that is an object with no other members, at least one of them.
bool read_flags(const Exchange& x,
                std::initializer_list<std::pair<const char*, std::optional<bool>*>> flags) {
  const auto* body = x.body.if_object();
  if (!body || body->empty()) return x.bad_body("", "expected a JSON object with what is to change"), false;
  for (const auto& entry : *body) {
    const auto flag =
        std::find_if(flags.begin(), flags.end(), [&](const auto& f) { return entry.key() == f.first; });
    if (flag == flags.end()) {
      std::string known;
      for (const auto& f : flags) known.append(known.empty() ? "" : ", ").append(f.first);
      return x.bad_body(entry.key(), "unknown member, expected one of " + known), false;
    }
    if (!entry.value().is_bool()) return x.bad_body(entry.key(), "expected true or false"), false;
    *flag->second = entry.value().get_bool();
  }
  return true;
}

void change_conference(ApiImpl& api, const Exchange& x, NodeControl::ConferenceChange change) {
  change.domain = x.path[0];
  change.name = x.path[1];
  api.node.change_conference(std::move(change), [x](bool found) {
    if (found)
      x.none();
    else
      x.error(404, "not_found", "nobody is there");
  });
}

void set_conference(ApiImpl& api, const Exchange& x) {
  NodeControl::ConferenceChange change;
  if (read_flags(x, {{"locked", &change.locked}, {"lecture", &change.lecture}}))
    change_conference(api, x, std::move(change));
}

void mute_member(ApiImpl& api, const Exchange& x) {
  NodeControl::ConferenceChange change;
  change.call = parse_u64(x.path[2]).value_or(0);
  if (change.call == 0) return x.error(404, "not_found", "nobody is there");
  if (read_flags(x, {{"muted", &change.muted}})) change_conference(api, x, std::move(change));
}

void remove_member(ApiImpl& api, const Exchange& x) {
  NodeControl::ConferenceChange change;
  change.call = parse_u64(x.path[2]).value_or(0);
  change.remove = true;
  if (change.call == 0) return x.error(404, "not_found", "nobody is there");
  change_conference(api, x, std::move(change));
}

void answer_recording(const Exchange& x, call::RecordingDone done) {
  using Done = call::RecordingDone;
  switch (done) {
    case Done::done:
      return x.none();
    case Done::no_call:
      return x.error(404, "not_found", "no such call");
    case Done::not_talking:
      return x.error(409, "conflict", "nobody has answered yet");
    case Done::not_recorded:
      return x.error(409, "conflict", "the call is not being recorded");
    case Done::forbidden:
      return x.error(403, "forbidden", "a party's calls are never recorded");
    case Done::failed:
      return x.error(503, "unavailable", "the recorder is at a limit, or the media does not pass here");
  }
}

void record(ApiImpl& api, const Exchange& x) {
  const auto id = call_id(x);
  if (!id) return;
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object");
  for (const auto& entry : *body)
    if (entry.key() != "action" && entry.key() != "announce")
      return x.bad_body(entry.key(), "unknown member, expected one of action, announce");
  const json::value* action = body->if_contains("action");
  const json::value* announce = body->if_contains("announce");
  const auto wanted = action && action->is_string()
                          ? port::from_text<call::RecordingAction>(std::string_view(action->get_string()))
                          : std::nullopt;
  if (!wanted) return x.bad_body("action", "expected one of start, stop, pause, resume");
  if (announce && !announce->is_bool()) return x.bad_body("announce", "expected true or false");
  api.node.record(*id, *wanted, !announce || announce->get_bool(),
                  [x](call::RecordingDone done) { answer_recording(x, done); });
}

void registrations(ApiImpl& api, const Exchange& x) {
  const auto limit = x.number("limit", 1000);
  if (!limit) return x.error(400, "invalid", "limit: expected a number");
  api.node.registrations(x.text("domain"), x.text("search"), *limit,
                         [x](const std::vector<RegistrationView>& list) { answer_list(x, list); });
}

void unregister(ApiImpl& api, const Exchange& x) {
  api.node.unregister({x.path[1], x.path[0]}, [x](bool found) {
    if (found)
      x.none();
    else
      x.error(404, "not_found", "not registered");
  });
}

void trunk_status(ApiImpl& api, const Exchange& x) {
  api.node.trunk_status([x](const std::vector<TrunkStatusView>& list) {
    json::array items;
    for (const TrunkStatusView& t : list)
      items.emplace_back(json::object{{"name", t.name},
                                      {"state", t.state},
                                      {"last_status", t.last_status},
                                      {"health", t.health},
                                      {"probe_status", t.probe_status},
                                      {"calls", t.calls}});
    x.json(200, {{"items", std::move(items)}});
  });
}

void reload(ApiImpl& api, const Exchange& x) {
  const auto done = api.node.reload();
  if (!done.ok()) return x.error(422, "invalid", done.reason());
  x.none();
}

void status(ApiImpl& api, const Exchange& x) {
  const auto why = api.node.not_ready();
  x.json(200, {{"version", api.config.version},
               {"started", to_rfc3339(api.config.started)},
               {"draining", api.node.draining()},
               {"ready", !why},
               {"reason", why.value_or("")}});
}

void add_calls(std::vector<Operation>& table) {
  table.push_back({"GET",
                   "/calls",
                   Scope::read,
                   "Calls in progress",
                   nullptr,
                   "[Call]",
                   {{"limit", "calls shown at most"}},
                   calls});
  table.push_back({"GET", "/calls/{id}", Scope::read, "Show a call", nullptr, "Call", {}, call});
  table.push_back({"DELETE", "/calls/{id}", Scope::admin, "Hang up a call", nullptr, nullptr, {}, hangup});
  table.push_back({"POST",
                   "/calls/{id}/transfer",
                   Scope::admin,
                   "Transfer a call: the leg leaves, its peer goes to the target",
                   "Transfer",
                   nullptr,
                   {},
                   transfer});
  table.push_back({"POST",
                   "/calls/{id}/recording",
                   Scope::admin,
                   "Record a call, or stop, pause or resume its recording",
                   "Recording",
                   nullptr,
                   {},
                   record});
}

void add_conferences(std::vector<Operation>& table) {
  table.push_back({"GET",
                   "/conference-status",
                   Scope::read,
                   "Conferences with somebody in them, and who",
                   nullptr,
                   "[ConferenceStatus]",
                   {},
                   conferences});
  table.push_back({"POST",
                   "/conferences/{domain}/{name}/status",
                   Scope::admin,
                   "Lock a conference, or mute all but its moderators, and back",
                   "ConferenceChange",
                   nullptr,
                   {},
                   set_conference});
  table.push_back({"POST",
                   "/conferences/{domain}/{name}/members/{call}",
                   Scope::admin,
                   "Mute a member, and back",
                   "MemberChange",
                   nullptr,
                   {},
                   mute_member});
  table.push_back({"DELETE",
                   "/conferences/{domain}/{name}/members/{call}",
                   Scope::admin,
                   "A member is told, and leaves",
                   nullptr,
                   nullptr,
                   {},
                   remove_member});
}

void add_registrations_and_trunks(std::vector<Operation>& table) {
  table.push_back(
      {"GET",
       "/registrations",
       Scope::read,
       "Live contacts",
       nullptr,
       "[Registration]",
       {{"domain", "only this domain"}, {"search", "part of the user"}, {"limit", "contacts shown at most"}},
       registrations});
  table.push_back({"DELETE",
                   "/registrations/{domain}/{user}",
                   Scope::admin,
                   "Remove all contacts of an address-of-record",
                   nullptr,
                   nullptr,
                   {},
                   unregister});
  table.push_back({"GET",
                   "/trunk-status",
                   Scope::read,
                   "Trunks: registration, answers to OPTIONS, and calls where they are limited",
                   nullptr,
                   "[TrunkStatus]",
                   {},
                   trunk_status});
}

void add_node(std::vector<Operation>& table) {
  table.push_back({"POST",
                   "/reload",
                   Scope::admin,
                   "Read certificates and configuration again",
                   nullptr,
                   nullptr,
                   {},
                   reload});
  table.push_back({"POST",
                   "/drain",
                   Scope::admin,
                   "Take no new calls; running ones go on",
                   nullptr,
                   nullptr,
                   {},
                   [](ApiImpl& api, const Exchange& x) { api.node.drain(true), x.none(); }});
  table.push_back({"DELETE",
                   "/drain",
                   Scope::admin,
                   "Take calls again",
                   nullptr,
                   nullptr,
                   {},
                   [](ApiImpl& api, const Exchange& x) { api.node.drain(false), x.none(); }});
  table.push_back(
      {"GET", "/status", Scope::read, "Version, start, drain and readiness", nullptr, "Status", {}, status});
}

}  // namespace

void add_live_operations(std::vector<Operation>& table) {
  add_calls(table);
  add_conferences(table);
  add_registrations_and_trunks(table);
  add_node(table);
}

}  // namespace tandem::ops
