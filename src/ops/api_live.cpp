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

constexpr size_t most_sounds = 32;
constexpr int64_t most_rounds = 1000;

void answer_play(const Exchange& x, call::PlayDone done) {
  using Done = call::PlayDone;
  switch (done) {
    case Done::done:
      return x.none();
    case Done::no_call:
      return x.error(404, "not_found", "no such call");
    case Done::no_leg:
      return x.error(409, "conflict", "no such leg, or it has not answered");
    case Done::no_prompt:
      return x.bad_body("sounds", "there is no such prompt");
    case Done::not_talking:
      return x.error(409, "conflict", "nobody has answered yet, or a service speaks to the caller");
    case Done::held:
      return x.error(409, "conflict", "the leg is held, and hears music");
    case Done::failed:
      return x.error(503, "unavailable", "the media does not pass here, or has no codec that is made here");
  }
}

/// Nothing: it has been answered.
std::optional<call::PlayOrder::Sound> read_sound(const Exchange& x, const json::value& value) {
  call::PlayOrder::Sound sound;
  const auto* members = value.if_object();
  if (!members) return x.bad_body("sounds", "expected objects with a prompt or a file"), std::nullopt;
  for (const auto& entry : *members) {
    std::string* const text = entry.key() == "prompt"     ? &sound.prompt
                              : entry.key() == "language" ? &sound.language
                              : entry.key() == "file"     ? &sound.file.name
                                                          : nullptr;
    if (!text)
      return x.bad_body("sounds", "unknown member, expected one of prompt, language, file"), std::nullopt;
    if (!entry.value().is_string()) return x.bad_body("sounds", "expected text"), std::nullopt;
    *text = entry.value().get_string();
  }
  if (sound.prompt.empty() == sound.file.name.empty())
    return x.bad_body("sounds", "expected either a prompt or a file"), std::nullopt;
  if (sound.prompt.empty() && !port::is_sound_name(sound.file.name))
    return x.bad_body("sounds", "expected the name of a file below sounds.folder"), std::nullopt;
  return sound;
}

/// Nothing: it has been answered.
std::optional<call::PlayOrder> read_play(const Exchange& x) {
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object"), std::nullopt;
  for (const auto& entry : *body)
    if (entry.key() != "sounds" && entry.key() != "legs" && entry.key() != "rounds")
      return x.bad_body(entry.key(), "unknown member, expected one of sounds, legs, rounds"), std::nullopt;
  call::PlayOrder order;
  const json::value* sounds = body->if_contains("sounds");
  if (!sounds || !sounds->is_array() || sounds->get_array().empty() ||
      sounds->get_array().size() > most_sounds)
    return x.bad_body("sounds", "expected a list of 1 to 32 sounds"), std::nullopt;
  for (const json::value& each : sounds->get_array()) {
    auto sound = read_sound(x, each);
    if (!sound) return std::nullopt;
    order.sounds.push_back(std::move(*sound));
  }
  if (const json::value* legs = body->if_contains("legs")) {
    const auto is_leg = [](const json::value& v) {
      return v.is_int64() && v.get_int64() > 0 && v.get_int64() <= UINT16_MAX;
    };
    if (!legs->is_array() || legs->get_array().empty() ||
        !std::all_of(legs->get_array().begin(), legs->get_array().end(), is_leg))
      return x.bad_body("legs", "expected a list of ids of legs"), std::nullopt;
    for (const json::value& v : legs->get_array()) order.legs.push_back(static_cast<uint16_t>(v.get_int64()));
  }
  if (const json::value* rounds = body->if_contains("rounds")) {
    if (!rounds->is_int64() || rounds->get_int64() < 0 || rounds->get_int64() > most_rounds)
      return x.bad_body("rounds", "expected a number, 0 to 1000"), std::nullopt;
    order.rounds = static_cast<uint32_t>(rounds->get_int64());
  }
  return order;
}

void play(ApiImpl& api, const Exchange& x) {
  const auto id = call_id(x);
  if (!id) return;
  if (auto order = read_play(x))
    api.node.play(*id, std::move(*order), [x](call::PlayDone done) { answer_play(x, done); });
}

void stop_playing(ApiImpl& api, const Exchange& x) {
  if (const auto id = call_id(x)) api.node.play(*id, {}, [x](call::PlayDone done) { answer_play(x, done); });
}

json::object message_json(const KeptMessage& m, std::string_view call_id) {
  return {{"time", to_rfc3339(m.time)},     {"time_us", m.time.ns / 1000},
          {"outbound", m.outbound},         {"transport", port::to_text(m.transport)},
          {"local", m.local.to_string()},   {"remote", m.remote.to_string()},
          {"call_id", valid_utf8(call_id)}, {"text", valid_utf8(m.text)}};
}

/// Of all these Call-IDs, in the order of time.
void answer_messages(ApiImpl& api, const Exchange& x, const std::vector<std::string>& call_ids) {
  std::vector<std::pair<KeptMessage, std::string_view>> found;
  if (api.parts.messages) {
    api.parts.messages->take();
    for (const std::string& id : call_ids)
      for (KeptMessage& m : api.parts.messages->of(id)) found.emplace_back(std::move(m), id);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.time, a.first.number) < std::pair(b.first.time, b.first.number);
  });
  json::array items;
  for (const auto& [m, id] : found) items.emplace_back(message_json(m, id));
  x.json(200, {{"items", std::move(items)}});
}

void call_messages(ApiImpl& api, const Exchange& x) {
  const auto id = call_id(x);
  if (!id) return;
  api.node.call(*id, [&api, x](std::optional<call::CallInfo> info) {
    if (!info) return x.error(404, "not_found", "no such call");
    std::vector<std::string> ids;
    for (const call::LegInfo& leg : info->legs)
      if (std::find(ids.begin(), ids.end(), leg.call_id) == ids.end()) ids.push_back(leg.call_id);
    // The ring belongs to the thread of handle(); a worker answers here.
    const auto answer = [&api, x, ids = std::move(ids)] { answer_messages(api, x, ids); };
    if (api.parts.post)
      api.parts.post(answer);
    else
      answer();
  });
}

void sip_messages(ApiImpl& api, const Exchange& x) {
  const std::string one = x.text("call_id"), other = x.text("other_call_id");
  if (one.empty()) return x.error(400, "invalid", "call_id: expected the SIP Call-ID of a leg");
  std::vector<std::string> ids{one};
  if (!other.empty() && other != one) ids.push_back(other);
  answer_messages(api, x, ids);
}

void history(ApiImpl& api, const Exchange& x) {
  const auto after =
      x.text("after").empty() ? std::optional<WallTime>(WallTime{}) : from_rfc3339(x.text("after"));
  if (!after) return x.error(400, "invalid", "after: expected a UTC time such as 2026-11-23T18:00:00Z");
  json::object out = api.history.to_json(*after);
  out["now"] = to_json(api.wall(), api.node.figures());
  x.json(200, std::move(out));
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
  table.push_back({"GET",
                   "/calls/{id}/messages",
                   Scope::read,
                   "SIP messages of a call in progress that are still in memory, oldest first",
                   nullptr,
                   "[SipMessage]",
                   {},
                   call_messages});
  table.push_back({"GET",
                   "/sip-messages",
                   Scope::read,
                   "SIP messages of a recent call that are still in memory, oldest first",
                   nullptr,
                   "[SipMessage]",
                   {{"call_id", "SIP Call-ID of a leg"}, {"other_call_id", "of another"}},
                   sip_messages});
  table.push_back({"DELETE", "/calls/{id}", Scope::operate, "Hang up a call", nullptr, nullptr, {}, hangup});
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
  table.push_back({"POST",
                   "/calls/{id}/play",
                   Scope::admin,
                   "Play sounds to those who talk, each instead of the other",
                   "Play",
                   nullptr,
                   {},
                   play});
  table.push_back({"DELETE",
                   "/calls/{id}/play",
                   Scope::admin,
                   "End what is played to those who talk",
                   nullptr,
                   nullptr,
                   {},
                   stop_playing});
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
  table.push_back({"GET",
                   "/history",
                   Scope::read,
                   "Figures of the node now (`now`) and of the last six hours, every ten seconds",
                   nullptr,
                   "History",
                   {{"after", "samples later than that alone (UTC)"}},
                   history});
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
