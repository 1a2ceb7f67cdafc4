// The OpenAPI 3.1 document, written from the table that dispatches.
#include <fmt/format.h>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

json::object reference(std::string_view name) {
  return {{"$ref", fmt::format("#/components/schemas/{}", name)}};
}

json::object content(json::object schema) {
  return {{"application/json", json::object{{"schema", std::move(schema)}}}};
}

json::object response_schema(std::string_view name) {
  if (name.front() != '[') return reference(name);
  return {
      {"type", "object"},
      {"properties",
       json::object{
           {"items", json::object{{"type", "array"}, {"items", reference(name.substr(1, name.size() - 2))}}},
           {"next", json::object{{"type", "string"},
                                 {"description", "cursor of the next page; empty: that was all"}}},
           {"version", json::object{{"type", "integer"}, {"description", "of the plan"}}}}},
      {"required", json::array{"items"}}};
}

json::array parameters(const Operation& op) {
  json::array out;
  const std::string_view path = op.path;
  for (size_t at = path.find('{'); at != std::string_view::npos; at = path.find('{', at + 1)) {
    const std::string_view name = path.substr(at + 1, path.find('}', at) - at - 1);
    out.emplace_back(json::object{
        {"name", name}, {"in", "path"}, {"required", true}, {"schema", json::object{{"type", "string"}}}});
  }
  for (const auto& [name, meaning] : op.query)
    out.emplace_back(json::object{{"name", name},
                                  {"in", "query"},
                                  {"description", meaning},
                                  {"schema", json::object{{"type", "string"}}}});
  return out;
}

/// "PUT", "/ring-groups/{domain}/{name}" -> "put_ring_groups_domain_name": unique, and a name in every
/// language.
std::string operation_id(const Operation& op) {
  std::string id = lower(op.method);
  for (const char c : std::string_view(op.path)) {
    const bool plain = (c >= 'a' && c <= 'z') || c == '_';
    if (plain)
      id.push_back(c);
    else if (id.back() != '_')
      id.push_back('_');
  }
  while (id.back() == '_') id.pop_back();
  return id;
}

/// Least of the roles that may.
const char* name_of(Scope scope) {
  switch (scope) {
    case Scope::none:
    case Scope::open:
      return "everybody";
    case Scope::session:
      return "signed in";
    case Scope::own:
      return "subscriber";
    case Scope::read:
      return "read";
    case Scope::operate:
      return "operator";
    case Scope::admin:
      return "admin";
  }
  return "admin";
}

json::object describe(const Operation& op) {
  json::object responses;
  if (op.response) {
    const bool bytes = std::string_view(op.response).find('/') != std::string_view::npos;
    responses["200"] = json::object{{"description", "done"},
                                    {"content", bytes ? json::object{{op.response, json::object{}}}
                                                      : content(response_schema(op.response))}};
    if (op.request)
      responses["201"] =
          json::object{{"description", "created"}, {"content", content(response_schema(op.response))}};
  } else {
    responses["204"] = json::object{{"description", "done"}};
  }
  responses["default"] = json::object{{"description", "why not"}, {"content", content(reference("Error"))}};
  json::object out{
      {"summary", op.summary}, {"operationId", operation_id(op)}, {"responses", std::move(responses)}};
  if (json::array list = parameters(op); !list.empty()) out["parameters"] = std::move(list);
  if (op.request)
    out["requestBody"] = json::object{{"required", true}, {"content", content(reference(op.request))}};
  out["x-scope"] = name_of(op.scope);
  if (op.scope == Scope::open) out["security"] = json::array{};
  if (op.scope == Scope::session || op.scope == Scope::own)
    out["security"] = json::array{json::object{{"session", json::array{}}}};
  return out;
}

json::object text() { return {{"type", "string"}}; }

json::object described(const char* what) { return {{"type", "string"}, {"description", what}}; }

json::object object_of(json::object properties) {
  return {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

/// What the console asks for.
void add_console_schemas(json::object& schemas) {
  const json::object integer{{"type", "integer"}}, flag{{"type", "boolean"}};
  const json::object role{{"type", "string"},
                          {"enum", json::array{"viewer", "operator", "admin", "subscriber"}}};
  const json::object admin_role{{"type", "string"}, {"enum", json::array{"viewer", "operator", "admin"}}};
  schemas["SignIn"] = object_of({{"account", text()}, {"password", text()}});
  schemas["PasswordChange"] = object_of({{"old", text()}, {"new", text()}});
  schemas["Session"] = object_of({{"account", text()},
                                  {"role", role},
                                  {"csrf", text()},
                                  {"user", text()},
                                  {"domain", text()},
                                  {"idle_seconds", integer},
                                  {"ends", text()}});
  // `user` and `domain` of subscribers alone.
  schemas["Session"].as_object()["required"] = json::array{"account", "role", "csrf", "idle_seconds", "ends"};
  schemas["SignedIn"] = object_of({{"id", text()},
                                   {"account", text()},
                                   {"role", role},
                                   {"source", text()},
                                   {"user_agent", text()},
                                   {"created", text()},
                                   {"used", text()},
                                   {"own", flag}});
  schemas["Admin"] = object_of({{"name", text()}, {"role", admin_role}, {"enabled", flag}});
  schemas["AdminInput"] = object_of({{"password", text()}, {"role", admin_role}, {"enabled", flag}});
  const json::object names{{"type", "array"}, {"items", text()}};
  schemas["Channel"] = object_of({{"name", text()},
                                  {"created", text()},
                                  {"version", integer},
                                  {"message_ttl_seconds", integer},
                                  {"max_viewers", integer}});
  schemas["ChannelInput"] = object_of({{"message_ttl_seconds", integer}, {"max_viewers", integer}});
  schemas["AccessKey"] = object_of({{"id", text()},
                                    {"note", text()},
                                    {"enabled", flag},
                                    {"master", flag},
                                    {"viewer", flag},
                                    {"admin", flag},
                                    {"channels", names},
                                    {"created", text()}});
  schemas["AccessKeyInput"] = object_of({{"note", text()},
                                         {"enabled", flag},
                                         {"master", flag},
                                         {"viewer", flag},
                                         {"admin", flag},
                                         {"channels", names}});
  json::object new_key = schemas["AccessKey"].as_object();
  new_key["properties"].as_object()["secret"] = text();
  schemas["NewAccessKey"] = std::move(new_key);
  schemas["Me"] =
      object_of({{"user", text()}, {"domain", text()}, {"display_name", text()}, {"do_not_disturb", flag}});
  schemas["Ticket"] = object_of({{"user", text()}, {"ticket", text()}, {"expires", text()}});
  schemas["OwnCall"] =
      object_of({{"direction", json::object{{"type", "string"}, {"enum", json::array{"in", "out"}}}},
                 {"party", text()},
                 {"display", text()},
                 {"setup", text()},
                 {"answer", text()},
                 {"end", text()},
                 {"sip_status", integer}});
  schemas["SipMessage"] = object_of({{"time", text()},
                                     {"time_us", integer},
                                     {"outbound", flag},
                                     {"transport", text()},
                                     {"local", text()},
                                     {"remote", text()},
                                     {"call_id", text()},
                                     {"text", text()}});
  schemas["Figures"] = figures_schema();
  schemas["History"] =
      object_of({{"period", integer},
                 {"now", reference("Figures")},
                 {"items", json::object{{"type", "array"}, {"items", reference("Figures")}}}});
}

}  // namespace

json::object openapi_document(const std::vector<Operation>& table, json::object info) {
  json::object paths;
  for (const Operation& op : table) {
    json::value& path = paths[std::string("/api/v1") + op.path];
    if (!path.is_object()) path = json::object{};
    path.as_object()[lower(op.method)] = describe(op);
  }
  json::object schemas = json_schemas();
  json::object error = object_of({{"kind", text()}, {"message", text()}, {"path", text()}});
  error["required"] = json::array{"kind", "message"};  // `path`: a place in the body, where that is at fault
  schemas["Error"] = object_of({{"error", std::move(error)}});
  const json::object flag{{"type", "boolean"}};
  schemas["ConferenceChange"] = object_of({{"locked", flag}, {"lecture", flag}});
  schemas["MemberChange"] = object_of({{"muted", flag}});
  schemas["ConferenceStatus"] = object_of(
      {{"domain", text()},
       {"name", text()},
       {"locked", flag},
       {"lecture", flag},
       {"members", json::object{{"type", "array"},
                                {"items", object_of({{"call", text()},
                                                     {"party", text()},
                                                     {"display", text()},
                                                     {"moderator", flag},
                                                     {"muted", flag},
                                                     {"waits", flag},
                                                     {"talks", flag},
                                                     {"level", json::object{{"type", "integer"}}}})}}}});
  const json::object whole{{"type", "integer"}};
  const json::object texts{{"type", "array"}, {"items", text()}};
  schemas["TurnCredentialsRequest"] = object_of({{"user", text()}, {"ttl", whole}});
  schemas["TurnCredentials"] =
      object_of({{"username", text()}, {"password", text()}, {"ttl", whole}, {"uris", texts}});
  schemas["TurnAllocation"] = object_of({{"user", text()},
                                         {"client", text()},
                                         {"transport", text()},
                                         {"protocol", text()},
                                         {"relays", texts},
                                         {"mobile", flag},
                                         {"since", text()},
                                         {"expires_in", whole},
                                         {"permissions", whole},
                                         {"channels", whole},
                                         {"packets_to_peers", whole},
                                         {"packets_to_client", whole},
                                         {"octets_to_peers", whole},
                                         {"octets_to_client", whole}});
  schemas["RecordingFile"] = object_of({{"name", text()}, {"bytes", json::object{{"type", "integer"}}}});
  schemas["Recording"] = object_of(
      {{"action",
        json::object{{"type", "string"}, {"enum", json::array{"start", "stop", "pause", "resume"}}}},
       {"announce", json::object{{"type", "boolean"},
                                 {"description", "start: both parties are told; true when it is absent"}}}});
  schemas["Play"] = object_of(
      {{"sounds",
        json::object{
            {"type", "array"},
            {"items", object_of({{"prompt", described("name of a prompt")},
                                 {"language", described("its language; the node's own when it is absent")},
                                 {"file", described("or a file below sounds.folder")}})}}},
       {"legs", json::object{{"type", "array"},
                             {"items", json::object{{"type", "integer"}}},
                             {"description", "who hears it; all when it is absent"}}},
       {"rounds",
        json::object{{"type", "integer"},
                     {"description", "how often all of it; 1 when it is absent, 0: until it is stopped"}}}});
  schemas["Play"].as_object()["required"] = json::array{"sounds"};
  schemas["CallOrder"] = object_of(
      {{"from",
        described("who is rung first: user@domain of a subscriber, or a number or URI as `caller` would "
                  "dial it")},
       {"to", described("number or SIP URI that is called when it has answered")},
       {"caller", described("user@domain of the subscriber on whose account; `from` when it is absent")},
       {"shown", described("number that telephones of the first party show; `to` when it is absent")},
       {"display", described("and the name")},
       {"ring_seconds",
        json::object{{"type", "integer"}, {"description", "how long the first party may ring, 1 to 600"}}}});
  schemas["CallOrder"].as_object()["required"] = json::array{"from", "to"};
  schemas["CallOrdered"] = object_of({{"id", described("of the call, for /calls/{id}")}});
  schemas["WebhookSecret"] = object_of({{"secret", described("shown in this answer alone")}});
  schemas["WebhookDelivery"] = object_of({{"number", described("of the delivery")},
                                          {"id", described("of the event, as webhook-id")},
                                          {"type", text()},
                                          {"time", described("when it happened")},
                                          {"attempts", json::object{{"type", "integer"}}},
                                          {"error", described("of the last attempt")},
                                          {"body", described("what was to be posted")}});
  schemas["Transfer"] = object_of({{"leg", json::object{{"type", "integer"}}}, {"target", text()}});
  const json::object integer{{"type", "integer"}};
  schemas["TrunkStatus"] = object_of({{"name", text()},
                                      {"state", text()},
                                      {"last_status", integer},
                                      {"health", text()},
                                      {"probe_status", integer},
                                      {"calls", integer}});
  schemas["Explanation"] = object_of({{"action", text()},
                                      {"number", text()},
                                      {"rule", text()},
                                      {"status", integer},
                                      {"why", json::object{{"type", "array"}, {"items", text()}}}});
  add_console_schemas(schemas);
  schemas["Status"] = object_of(
      {{"version", text()}, {"started", text()}, {"draining", flag}, {"ready", flag}, {"reason", text()}});
  return {
      {"openapi", "3.1.0"},
      {"info", std::move(info)},
      {"security",
       json::array{json::object{{"bearer", json::array{}}}, json::object{{"session", json::array{}}}}},
      {"paths", std::move(paths)},
      {"components",
       json::object{
           {"schemas", std::move(schemas)},
           {"securitySchemes",
            json::object{{"bearer", json::object{{"type", "http"}, {"scheme", "bearer"}}},
                         {"session",
                          json::object{{"type", "apiKey"}, {"in", "cookie"}, {"name", "__Host-tandem"}}}}}}}};
}

}  // namespace tandem::ops
