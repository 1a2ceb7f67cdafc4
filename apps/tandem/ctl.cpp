#include "tandem/ctl.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <vector>

#include "base/text.h"
#include "net/system_rng.h"
#include "tandem/ctl_output.h"
#include "tandem/http_client.h"

namespace tandem::app {
namespace {

namespace json = boost::json;

/// What every subcommand shares.
struct Ctl {
  HttpClientConfig client;
  std::string data = "./data";
  bool as_json = false;
  int* exit_code = nullptr;

  void prepare();
  std::optional<HttpAnswer> call(const std::string& method, const std::string& path,
                                 const std::string& body = {});
  void run(const std::string& method, const std::string& path,
           const std::vector<std::string_view>& columns = {}, const std::string& body = {});
  /// What is there, as a file.
  void save(const std::string& path, const std::string& file);
};

std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The demo leaves its token and certificate in the data directory; use them unless told otherwise.
void Ctl::prepare() {
  if (client.token.empty()) {
    if (const char* token = std::getenv("TANDEM_TOKEN")) client.token = token;
  }
  if (client.token.empty()) {
    boost::system::error_code error;
    const json::value credentials = json::parse(read_file(data + "/credentials.json"), error);
    if (!error && credentials.is_object())
      if (const auto* token = credentials.as_object().if_contains("api_token"); token && token->is_string())
        client.token = token->get_string();
  }
  if (client.token.empty()) client.token = trim(read_file(data + "/api_token"));
  if (client.certificate.empty() && !client.insecure)
    if (std::ifstream(data + "/web.crt").good()) client.certificate = data + "/web.crt";
}

void Ctl::save(const std::string& path, const std::string& file) {
  const auto answer = call("GET", path);
  if (!answer) return;
  std::ofstream out(file, std::ios::binary);
  if (out.write(answer->body.data(), static_cast<std::streamsize>(answer->body.size())).flush()) return;
  fmt::print(stderr, "tandem ctl: {} cannot be written\n", file);
  *exit_code = 2;
}

std::optional<HttpAnswer> Ctl::call(const std::string& method, const std::string& path,
                                    const std::string& body) {
  prepare();
  auto answer = http(client, method, "/api/v1" + path, body);
  if (!answer.ok()) {
    fmt::print(stderr, "tandem ctl: {}\n", answer.reason());
    *exit_code = 2;
    return std::nullopt;
  }
  if (answer->status >= 400) {
    boost::system::error_code error;
    const json::value parsed = json::parse(answer->body, error);
    std::string message = answer->body;
    if (!error && parsed.is_object() && parsed.as_object().contains("error"))
      message = cell(parsed.at("error").at("message"));
    fmt::print(stderr, "tandem ctl: {} {}: {}\n", method, path, message);
    *exit_code = 1;
    return std::nullopt;
  }
  *exit_code = 0;
  return std::move(*answer);
}

void Ctl::run(const std::string& method, const std::string& path,
              const std::vector<std::string_view>& columns, const std::string& body) {
  const auto answer = call(method, path, body);
  if (!answer || answer->body.empty()) return;
  boost::system::error_code error;
  const json::value parsed = json::parse(answer->body, error);
  if (error || as_json || !parsed.is_object()) {
    fmt::print("{}", answer->body);
    return;
  }
  const auto* items = parsed.as_object().if_contains("items");
  if (items && items->is_array() && !columns.empty())
    fmt::print("{}", table(items->get_array(), columns));
  else
    fmt::print("{}", lines(parsed.as_object()));
}

/// "max_calls=3 enabled=false forwarding.busy=1009" -> JSON. A value that reads as JSON is that; otherwise it
/// is text.
Result<std::string, std::string> members_from(const std::vector<std::string>& settings) {
  static constexpr std::string_view texts[] = {"user",
                                               "caller_number",
                                               "display_name",
                                               "password",
                                               "pattern",
                                               "target",
                                               "prefix",
                                               "always",
                                               "busy",
                                               "no_answer",
                                               "unreachable",
                                               "otherwise",
                                               "country_code",
                                               "national_prefix",
                                               "international_prefix",
                                               "code",
                                               "group",
                                               "name",
                                               "auth_user",
                                               "pin",
                                               "moderator_pin",
                                               "note",
                                               "keys",
                                               "menu"};
  json::object out;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) return Failure{fmt::format("'{}': expected member=value", setting)};
    std::string name = setting.substr(0, equals);
    const std::string value = setting.substr(equals + 1);
    json::object* into = &out;
    if (const size_t dot = name.find('.'); dot != std::string::npos) {
      json::value& inner = out[name.substr(0, dot)];
      if (!inner.is_object()) inner = json::object{};
      into = &inner.as_object();
      name = name.substr(dot + 1);
    }
    boost::system::error_code error;
    json::value parsed = json::parse(value, error);
    // Numbers that are names (1001, 0049) stay text; so does what is no JSON at all.
    const bool text = std::find(std::begin(texts), std::end(texts), name) != std::end(texts);
    if (error || text) parsed = json::string(value);
    (*into)[name] = std::move(parsed);
  }
  return json::serialize(out);
}

/// What is wrong with it; empty: nothing. "domain/user" is taken, too.
std::string address_problem(const std::string& text) {
  const size_t at = text.find_first_of("@/");
  const bool whole = at != std::string::npos && at > 0 && at + 1 < text.size();
  return whole ? "" : fmt::format("'{}': expected user@domain, such as 1001@example.com", text);
}

struct ResourceName {
  const char* command;
  const char* path;
  const char* help;
  const char* key_help;
  std::vector<std::string_view> columns;
};

/// list, show KEY, set KEY member=value..., rm KEY; the key's parts are separated by '/'. "user@domain" works
/// too.
void add_resource(CLI::App& ctl, const std::shared_ptr<Ctl>& shared, const ResourceName& r) {
  CLI::App* sub = ctl.add_subcommand(r.command, r.help)->require_subcommand(1);
  auto key = std::make_shared<std::string>();
  auto settings = std::make_shared<std::vector<std::string>>();
  const auto item = [r, key] {
    std::string path = r.path;
    std::string text = *key;
    if (const size_t at = text.find('@'); at != std::string::npos)
      text = text.substr(at + 1) + "/" + text.substr(0, at);
    std::stringstream parts(text);
    for (std::string part; std::getline(parts, part, '/');) path += "/" + percent_encode(part);
    return path;
  };
  const auto add_key = [key, r](CLI::App* to) {
    CLI::Option* option = to->add_option("key", *key, r.key_help)->required();
    if (std::string_view(r.key_help) == "user@domain") option->check(address_problem);
  };
  sub->add_subcommand("list", "list them")->callback([shared, r] { shared->run("GET", r.path, r.columns); });
  CLI::App* show = sub->add_subcommand("show", "show one");
  add_key(show);
  show->callback([shared, item] { shared->run("GET", item()); });
  CLI::App* set = sub->add_subcommand("set", "create one, or change the members given");
  add_key(set);
  set->add_option("members", *settings, "member=value ...");
  set->callback([shared, item, settings] {
    const auto body = members_from(*settings);
    if (body.ok()) return shared->run("PUT", item(), {}, *body);
    fmt::print(stderr, "tandem ctl: {}\n", body.reason());
    *shared->exit_code = 2;
  });
  CLI::App* rm = sub->add_subcommand("rm", "remove one");
  add_key(rm);
  rm->callback([shared, item] { shared->run("DELETE", item()); });
}

/// The collections of rows; what they are keyed by stands in their help.
const std::vector<ResourceName>& resources() {
  static const std::vector<ResourceName> all = {
      {"subscribers",
       "/subscribers",
       "subscribers",
       "user@domain",
       {"user", "domain", "enabled", "display_name", "call_class"}},
      {"domains", "/domains", "domains", "name", {"name", "enabled", "aliases"}},
      {"trunks",
       "/trunks",
       "trunks",
       "name",
       {"name", "kind", "enabled", "host", "port", "transport", "domain"}},
      {"routes",
       "/routes",
       "dial plan rows",
       "id",
       {"id", "priority", "name", "enabled", "domain", "pattern", "action", "target", "targets"}},
      {"ring-groups",
       "/ring-groups",
       "ring groups",
       "domain/name",
       {"domain", "name", "strategy", "timeout_seconds", "otherwise"}},
      {"ring-group-members",
       "/ring-group-members",
       "members of ring groups",
       "domain/group/position",
       {"domain", "group", "position", "target"}},
      {"menus",
       "/menus",
       "attendants' menus",
       "domain/name",
       {"domain", "name", "enabled", "language", "greeting", "otherwise"}},
      {"menu-choices",
       "/menu-choices",
       "what the keys of menus lead to",
       "domain/menu/position",
       {"domain", "menu", "position", "keys", "time_rule", "target"}},
      {"mailboxes",
       "/mailboxes",
       "voice mailboxes",
       "user@domain",
       {"user", "domain", "enabled", "has_pin", "unanswered", "email"}},
      {"conferences",
       "/conferences",
       "conferences",
       "domain/name",
       {"domain", "name", "enabled", "has_pin", "has_moderator_pin", "members"}},
      {"feature-codes",
       "/feature-codes",
       "feature codes",
       "domain/code (- for every domain)",
       {"domain", "code", "feature", "enabled"}},
      {"time-rules",
       "/time-rules",
       "time-of-day rules",
       "domain/name/position (- for every domain)",
       {"domain", "name", "position", "weekdays", "from_minute", "to_minute", "time_zone"}},
      {"webhooks",
       "/webhooks",
       "who is told over HTTP of what happens",
       "name",
       {"name", "enabled", "url", "events", "waiting", "given_up"}},
      {"parks",
       "/parks",
       "park slots",
       "domain",
       {"domain", "enabled", "first_slot", "last_slot", "timeout_seconds"}},
      {"channels",
       "/channels",
       "signalling channels",
       "name",
       {"name", "created", "version", "message_ttl_seconds", "max_viewers"}},
      {"access-keys",
       "/access-keys",
       "who may use signalling channels",
       "id",
       {"id", "note", "enabled", "master", "viewer", "admin", "channels", "created"}},
  };
  return all;
}

/// The secret is in the answer, and nowhere afterwards.
void add_access_keys(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  auto settings = std::make_shared<std::vector<std::string>>();
  CLI::App* add =
      ctl.get_subcommand("access-keys")->add_subcommand("add", "make one; its secret is printed once");
  add->add_option("members", *settings, "master=true viewer=true admin=true channels='[\"name\"]' note=...")
      ->required();
  add->callback([shared, settings] {
    const auto body = members_from(*settings);
    if (body.ok()) return shared->run("POST", "/access-keys", {}, *body);
    fmt::print(stderr, "tandem ctl: {}\n", body.reason());
    *shared->exit_code = 2;
  });
}

void add_routes(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* routes = ctl.get_subcommand("routes");
  auto settings = std::make_shared<std::vector<std::string>>();
  CLI::App* add = routes->add_subcommand("add", "add a route; its id is given");
  add->add_option("members", *settings, "member=value ...")->required();
  add->callback([shared, settings] {
    const auto body = members_from(*settings);
    if (body.ok()) return shared->run("POST", "/routes", {}, *body);
    fmt::print(stderr, "tandem ctl: {}\n", body.reason());
    *shared->exit_code = 2;
  });
  auto from = std::make_shared<std::string>(), to = std::make_shared<std::string>(),
       trunk = std::make_shared<std::string>();
  CLI::App* explain = routes->add_subcommand("explain", "where would this call go, and why");
  explain->add_option("--from", *from, "user@domain that calls, or the caller's number on a trunk")
      ->required();
  explain->add_option("--to", *to, "number or URI dialled")->required();
  explain->add_option("--trunk", *trunk, "the call comes in over this trunk");
  explain->callback([shared, from, to, trunk] {
    const std::string query = "/route?from=" + percent_encode(*from) + "&to=" + percent_encode(*to) +
                              (trunk->empty() ? "" : "&trunk=" + percent_encode(*trunk));
    const auto answer = shared->call("GET", query);
    if (!answer) return;
    if (shared->as_json) return fmt::print("{}", answer->body);
    const json::value v = json::parse(answer->body);
    fmt::print("{} -> {}\n", cell(v.at("number")), cell(v.at("action")));
    if (!v.at("rule").as_string().empty()) fmt::print("by {}\n", cell(v.at("rule")));
    for (const json::value& line : v.at("why").as_array()) fmt::print("  {}\n", cell(line));
  });
}

/// The messages of a mailbox: list, show, heard, rm, save.
void add_voicemails(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* all = ctl.add_subcommand("voicemails", "voice messages of a mailbox")->require_subcommand(1);
  auto mailbox = std::make_shared<std::string>(), id = std::make_shared<std::string>(),
       file = std::make_shared<std::string>();
  auto fresh = std::make_shared<bool>(false);
  const auto path = [mailbox, id] {
    const size_t mark = mailbox->find_first_of("@/");
    std::string user = mailbox->substr(0, mark), domain = mailbox->substr(mark + 1);
    if ((*mailbox)[mark] == '/') std::swap(user, domain);
    return "/mailboxes/" + percent_encode(domain) + "/" + percent_encode(user) + "/messages" +
           (id->empty() ? "" : "/" + percent_encode(*id));
  };
  const auto verb = [&](const char* name, const char* help, bool one) {
    CLI::App* sub = all->add_subcommand(name, help);
    sub->add_option("mailbox", *mailbox, "user@domain")->required()->check(address_problem);
    if (one) sub->add_option("id", *id, "of the message")->required();
    return sub;
  };
  verb("list", "list them", false)->callback([shared, path] {
    shared->run("GET", path(), {"id", "received", "from", "from_display", "length_ms", "heard"});
  });
  verb("show", "show one", true)->callback([shared, path] { shared->run("GET", path()); });
  CLI::App* heard = verb("heard", "count one as heard", true);
  heard->add_flag("--not", *fresh, "as new");
  heard->callback([shared, path, fresh] {
    shared->run("PUT", path(), {}, json::serialize(json::object{{"heard", !*fresh}}));
  });
  verb("rm", "remove one", true)->callback([shared, path] { shared->run("DELETE", path()); });
  CLI::App* save = verb("save", "its sound into a file", true);
  save->add_option("file", *file, "WAV")->required();
  save->callback([shared, path, file] { shared->save(path() + "/sound", *file); });
}

void add_recordings(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* all = ctl.add_subcommand("recordings", "recordings of calls")->require_subcommand(1);
  auto day = std::make_shared<std::string>(), name = std::make_shared<std::string>(),
       file = std::make_shared<std::string>();
  const auto path = [name] {
    const size_t slash = std::min(name->find('/'), name->size());
    return "/recordings/" + percent_encode(name->substr(0, slash)) + "/" +
           percent_encode(slash < name->size() ? name->substr(slash + 1) : std::string());
  };
  CLI::App* list = all->add_subcommand("list", "of a day");
  list->add_option("day", *day, "in UTC, such as 2026-11-25")->required();
  list->callback([shared, day] {
    shared->run("GET", "/recordings?day=" + percent_encode(*day), {"name", "bytes"});
  });
  CLI::App* save = all->add_subcommand("save", "one into a file");
  save->add_option("name", *name, "as it is listed")->required();
  save->add_option("file", *file, "to be written")->required();
  save->callback([shared, path, file] { shared->save(path(), *file); });
  CLI::App* rm = all->add_subcommand("rm", "remove one");
  rm->add_option("name", *name, "as it is listed")->required();
  rm->callback([shared, path] { shared->run("DELETE", path()); });
}

void add_playing(CLI::App& calls, const std::shared_ptr<Ctl>& shared) {
  auto id = std::make_shared<std::string>();
  auto prompts = std::make_shared<std::vector<std::string>>();
  auto files = std::make_shared<std::vector<std::string>>();
  auto legs = std::make_shared<std::vector<uint16_t>>();
  auto rounds = std::make_shared<uint32_t>(1);
  CLI::App* play = calls.add_subcommand("play", "play sounds to those who talk: prompts, then files");
  play->add_option("id", *id, "of the call")->required();
  play->add_option("--prompt", *prompts, "name of a prompt");
  play->add_option("--file", *files, "a file below sounds.folder");
  play->add_option("--leg", *legs, "who hears it; all when it is absent");
  play->add_option("--rounds", *rounds, "how often all of it; 0: until it is stopped")
      ->check(CLI::Range(0, 1000));
  play->callback([shared, id, prompts, files, legs, rounds] {
    json::array sounds;
    for (const std::string& p : *prompts) sounds.push_back(json::object{{"prompt", p}});
    for (const std::string& f : *files) sounds.push_back(json::object{{"file", f}});
    json::object body{{"sounds", std::move(sounds)}, {"rounds", *rounds}};
    if (!legs->empty()) body["legs"] = json::value_from(*legs);
    shared->run("POST", "/calls/" + percent_encode(*id) + "/play", {}, json::serialize(body));
  });
  CLI::App* quiet = calls.add_subcommand("quiet", "end what is played");
  quiet->add_option("id", *id, "of the call")->required();
  quiet->callback([shared, id] { shared->run("DELETE", "/calls/" + percent_encode(*id) + "/play"); });
}

void add_calls(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* calls = ctl.add_subcommand("calls", "calls in progress")->require_subcommand(1);
  auto id = std::make_shared<std::string>(), target = std::make_shared<std::string>();
  auto leg = std::make_shared<uint16_t>(0);
  calls->add_subcommand("list", "list them")->callback([shared] {
    shared->run("GET", "/calls", {"id", "state", "caller", "callee", "started", "answered", "route"});
  });
  CLI::App* show = calls->add_subcommand("show", "show one, with its legs");
  show->add_option("id", *id, "of the call")->required();
  show->callback([shared, id] { shared->run("GET", "/calls/" + percent_encode(*id)); });
  auto order = std::make_shared<json::object>();
  CLI::App* place = calls->add_subcommand("place", "ring a party, then call another for it");
  const auto member = [&](const char* option, const char* name, const char* help) {
    return place->add_option_function<std::string>(
        option, [order, name](const std::string& value) { (*order)[name] = value; }, help);
  };
  member("from", "from", "who is rung: user@domain, or with --caller a number or URI")->required();
  member("to", "to", "number or SIP URI called then")->required();
  member("--caller", "caller", "user@domain on whose account");
  member("--shown", "shown", "number shown to the first party instead of the other's");
  member("--display", "display", "and the name");
  place->add_option_function<int64_t>(
      "--ring", [order](const int64_t& value) { (*order)["ring_seconds"] = value; },
      "seconds the first party may ring");
  place->callback([shared, order] { shared->run("POST", "/calls", {}, json::serialize(*order)); });
  CLI::App* hangup = calls->add_subcommand("hangup", "end one");
  hangup->add_option("id", *id, "of the call")->required();
  hangup->callback([shared, id] { shared->run("DELETE", "/calls/" + percent_encode(*id)); });
  CLI::App* transfer = calls->add_subcommand("transfer", "one leg leaves, its peer goes to the target");
  transfer->add_option("id", *id, "of the call")->required();
  transfer->add_option("leg", *leg, "the leg that leaves")->required();
  transfer->add_option("target", *target, "number or SIP URI")->required();
  transfer->callback([shared, id, leg, target] {
    const std::string body = json::serialize(json::object{{"leg", *leg}, {"target", *target}});
    shared->run("POST", "/calls/" + percent_encode(*id) + "/transfer", {}, body);
  });
  add_playing(*calls, shared);
  auto action = std::make_shared<std::string>();
  auto silent = std::make_shared<bool>(false);
  CLI::App* record = calls->add_subcommand("record", "start, stop, pause or resume the recording of one");
  record->add_option("id", *id, "of the call")->required();
  record->add_option("action", *action, "start, stop, pause or resume")->required();
  record->add_flag("--silent", *silent, "start without telling the parties");
  record->callback([shared, id, action, silent] {
    const std::string body = json::serialize(json::object{{"action", *action}, {"announce", !*silent}});
    shared->run("POST", "/calls/" + percent_encode(*id) + "/recording", {}, body);
  });
}

void add_registrations(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* registrations = ctl.add_subcommand("registrations", "live contacts")->require_subcommand(1);
  auto search = std::make_shared<std::string>(), aor = std::make_shared<std::string>();
  CLI::App* list = registrations->add_subcommand("list", "list them");
  list->add_option("--search", *search, "part of the user");
  list->callback([shared, search] {
    shared->run("GET", "/registrations?search=" + percent_encode(*search),
                {"user", "domain", "contact", "source", "transport", "expires_in", "user_agent"});
  });
  CLI::App* rm = registrations->add_subcommand("rm", "remove all contacts of user@domain");
  rm->add_option("aor", *aor, "user@domain")->required()->check(address_problem);
  rm->callback([shared, aor] {
    const size_t mark = aor->find_first_of("@/");
    std::string user = aor->substr(0, mark), domain = aor->substr(mark + 1);
    if ((*aor)[mark] == '/') std::swap(user, domain);
    shared->run("DELETE", "/registrations/" + percent_encode(domain) + "/" + percent_encode(user));
  });
}

/// A new secret for a webhook, and what it was not told.
void add_webhooks(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* webhooks = ctl.get_subcommand("webhooks");
  auto name = std::make_shared<std::string>(), number = std::make_shared<std::string>();
  const auto verb = [&](const char* what, const char* help, bool one) {
    CLI::App* sub = webhooks->add_subcommand(what, help);
    sub->add_option("name", *name, "of the webhook")->required();
    if (one) sub->add_option("number", *number, "of the delivery")->required();
    return sub;
  };
  const auto path = [name, number](const std::string& part) {
    return "/webhooks/" + percent_encode(*name) + part +
           (number->empty() ? "" : "/" + percent_encode(*number));
  };
  verb("rotate", "make a new secret; the old one signs as well until old_secret= is set", false)
      ->callback([shared, path] { shared->run("POST", path("/secret")); });
  verb("given-up", "deliveries that were given up", false)->callback([shared, path] {
    shared->run("GET", path("/given-up"), {"number", "time", "type", "attempts", "error"});
  });
  verb("redeliver", "deliver one of them again", true)->callback([shared, path] {
    shared->run("POST", path("/given-up"));
  });
  verb("forget", "forget one of them", true)->callback([shared, path] {
    shared->run("DELETE", path("/given-up"));
  });
}

struct RecordSearch {
  std::string from, to, party, call_id, trunk, status;
  uint32_t limit = 100;
  bool csv = false, all = false;

  std::string query() const;
};

std::string RecordSearch::query() const {
  std::string out = fmt::format("/cdrs?limit={}", limit);
  const std::pair<const char*, const std::string*> filters[] = {{"from", &from},   {"to", &to},
                                                                {"party", &party}, {"call_id", &call_id},
                                                                {"trunk", &trunk}, {"status", &status}};
  for (const auto& [name, value] : filters)
    if (!value->empty()) out += fmt::format("&{}={}", name, percent_encode(*value));
  return csv ? out + "&format=csv" : out;
}

void print_records(const json::array& items) {
  json::array rows;
  for (const json::value& row : items) {
    json::object line = row.as_object();
    line["caller"] = row.at("caller").at("user");
    line["callee"] = row.at("callee").at("user");
    rows.emplace_back(std::move(line));
  }
  fmt::print("{}", table(rows, {"setup", "answer", "end", "caller", "dialled", "callee", "sip_status",
                                "q850_cause", "release_side"}));
}

/// A page after another while `all` are wanted; the header of a CSV once.
void search_records(Ctl& shared, const RecordSearch& search) {
  const std::string query = search.query();
  std::string cursor;
  bool first = true;
  do {
    const auto answer =
        shared.call("GET", query + (cursor.empty() ? "" : "&cursor=" + percent_encode(cursor)));
    if (!answer) return;
    if (search.csv) {
      cursor = answer->next_cursor;
      fmt::print("{}", first ? answer->body : answer->body.substr(answer->body.find('\n') + 1));
    } else {
      const json::value v = json::parse(answer->body);
      cursor = v.at("next").as_string();
      if (shared.as_json)
        fmt::print("{}", answer->body);
      else
        print_records(v.at("items").as_array());
    }
    first = false;
  } while (search.all && !cursor.empty());
}

void add_cdrs(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  auto s = std::make_shared<RecordSearch>();
  CLI::App* cdrs = ctl.add_subcommand("cdrs", "search and export call detail records");
  cdrs->add_option("--from", s->from, "set up at or after, UTC such as 2026-11-23T18:00:00Z");
  cdrs->add_option("--to", s->to, "set up before");
  cdrs->add_option("--party", s->party, "user of either party, or the number dialled");
  cdrs->add_option("--call-id", s->call_id, "SIP Call-ID of either leg");
  cdrs->add_option("--trunk", s->trunk, "of either leg");
  cdrs->add_option("--status", s->status, "SIP status");
  cdrs->add_option("--limit", s->limit, "records a page, at most 1000");
  cdrs->add_flag("--csv", s->csv, "as CSV");
  cdrs->add_flag("--all", s->all, "every page");
  cdrs->callback([shared, s] { search_records(*shared, *s); });
}

/// What an administrator's password is to be: the first line of standard input, or a random one, printed
/// once.
std::string admin_password(bool from_input) {
  std::string password;
  if (from_input) {
    std::getline(std::cin, password);
    if (!password.empty() && password.back() == '\r') password.pop_back();
    return password;
  }
  net::SystemRng rng;
  return rng.token(20);
}

/// Accounts of the console: list, add, set, password, remove.
void add_admins(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  CLI::App* all = ctl.add_subcommand("admins", "who may sign in to the console")->require_subcommand(1);
  auto name = std::make_shared<std::string>(), role = std::make_shared<std::string>("viewer");
  auto from_input = std::make_shared<bool>(false);
  const auto path = [name] { return "/admins/" + percent_encode(*name); };
  const auto put_password = [shared, path, from_input](json::object body) {
    const std::string password = admin_password(*from_input);
    body["password"] = password;
    const auto answer = shared->call("PUT", path(), json::serialize(body));
    if (answer && !*from_input) fmt::print("{}\n", password);
  };
  const auto roles = CLI::IsMember({"viewer", "operator", "admin"});
  all->add_subcommand("list", "list them")->callback([shared] {
    shared->run("GET", "/admins", {"name", "role", "enabled"});
  });
  CLI::App* add = all->add_subcommand("add", "make one; its password is printed once");
  add->add_option("name", *name, "to sign in with")->required();
  add->add_option("--role", *role, "viewer, operator (and hangs calls up) or admin")
      ->capture_default_str()
      ->check(roles);
  add->add_flag("--password-stdin", *from_input, "the password is the first line of standard input");
  add->callback([put_password, role] { put_password({{"role", *role}}); });
  CLI::App* password = all->add_subcommand("password", "give one a new password, printed once");
  password->add_option("name", *name, "of the account")->required();
  password->add_flag("--password-stdin", *from_input, "it is the first line of standard input");
  password->callback([put_password] { put_password({}); });
  auto members = std::make_shared<std::vector<std::string>>();
  CLI::App* set = all->add_subcommand("set", "change role=... or enabled=...");
  set->add_option("name", *name, "of the account")->required();
  set->add_option("members", *members, "member=value ...")->required();
  set->callback([shared, path, members] {
    const auto body = members_from(*members);
    if (body.ok()) return shared->run("PUT", path(), {}, *body);
    fmt::print(stderr, "tandem ctl: {}\n", body.reason());
    *shared->exit_code = 2;
  });
  CLI::App* remove = all->add_subcommand("remove", "remove one; its sessions end");
  remove->add_option("name", *name, "of the account")->required();
  remove->callback([shared, path] { shared->run("DELETE", path()); });
  CLI::App* sessions = ctl.add_subcommand("sessions", "who is signed in")->require_subcommand(1);
  sessions->add_subcommand("list", "list them")->callback([shared] {
    shared->run("GET", "/sessions", {"id", "account", "role", "source", "created", "used"});
  });
  CLI::App* end = sessions->add_subcommand("end", "sign one out");
  end->add_option("id", *name, "of the session")->required();
  end->callback([shared, name] { shared->run("DELETE", "/sessions/" + percent_encode(*name)); });
}

void add_node_commands(CLI::App& ctl, const std::shared_ptr<Ctl>& shared) {
  ctl.add_subcommand("status", "version, start, drain and readiness")->callback([shared] {
    shared->run("GET", "/status");
  });
  ctl.add_subcommand("trunk-status", "registration, health and calls of trunks")->callback([shared] {
    shared->run("GET", "/trunk-status", {"name", "state", "last_status", "health", "probe_status", "calls"});
  });
  ctl.add_subcommand("conference-status", "conferences with somebody in them (--json: and who)")
      ->callback([shared] {
        shared->run("GET", "/conference-status", {"domain", "name", "locked", "lecture"});
      });
  ctl.add_subcommand("reload", "read certificates and configuration again")->callback([shared] {
    shared->run("POST", "/reload");
  });
  auto off = std::make_shared<bool>(false);
  CLI::App* drain = ctl.add_subcommand("drain", "take no new calls; running ones go on");
  drain->add_flag("--off", *off, "take calls again");
  drain->callback([shared, off] { shared->run(*off ? "DELETE" : "POST", "/drain"); });
}

}  // namespace

void add_ctl(CLI::App& root, int& exit_code) {
  auto shared = std::make_shared<Ctl>();
  shared->exit_code = &exit_code;
  CLI::App* ctl = root.add_subcommand("ctl", "ask and tell a running node (client of the REST API)")
                      ->require_subcommand(1);
  ctl->add_option("--url", shared->client.url, "of the node")->capture_default_str();
  ctl->add_option(
      "--token", shared->client.token,
      "bearer token; else $TANDEM_TOKEN, else credentials.json or api_token in the data directory");
  ctl->add_option("--cacert", shared->client.certificate,
                  "PEM certificate to trust; else web.crt in the data directory");
  ctl->add_flag("--insecure", shared->client.insecure, "do not check the server's certificate");
  ctl->add_option("--data", shared->data, "data directory of a node on this machine")->capture_default_str();
  ctl->add_flag("--json", shared->as_json, "print JSON as it came");
  for (const ResourceName& r : resources()) add_resource(*ctl, shared, r);
  add_routes(*ctl, shared);
  add_access_keys(*ctl, shared);
  add_voicemails(*ctl, shared);
  add_recordings(*ctl, shared);
  add_calls(*ctl, shared);
  add_registrations(*ctl, shared);
  add_webhooks(*ctl, shared);
  add_cdrs(*ctl, shared);
  add_admins(*ctl, shared);
  add_node_commands(*ctl, shared);
}

}  // namespace tandem::app
