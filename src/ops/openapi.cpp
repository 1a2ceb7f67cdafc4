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
  out["x-scope"] = op.scope == Scope::admin ? "admin" : "read";
  return out;
}

json::object text() { return {{"type", "string"}}; }

json::object object_of(json::object properties) {
  return {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
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
  schemas["RecordingFile"] = object_of({{"name", text()}, {"bytes", json::object{{"type", "integer"}}}});
  schemas["Recording"] = object_of(
      {{"action",
        json::object{{"type", "string"}, {"enum", json::array{"start", "stop", "pause", "resume"}}}},
       {"announce", json::object{{"type", "boolean"},
                                 {"description", "start: both parties are told; true when it is absent"}}}});
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
  schemas["Status"] = object_of(
      {{"version", text()}, {"started", text()}, {"draining", flag}, {"ready", flag}, {"reason", text()}});
  return {{"openapi", "3.1.0"},
          {"info", std::move(info)},
          {"security", json::array{json::object{{"bearer", json::array{}}}}},
          {"paths", std::move(paths)},
          {"components",
           json::object{{"schemas", std::move(schemas)},
                        {"securitySchemes",
                         json::object{{"bearer", json::object{{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace tandem::ops
