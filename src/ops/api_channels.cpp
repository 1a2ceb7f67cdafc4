// Signalling channels and access keys: /channels and /access-keys.
#include <algorithm>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;
namespace {

using Put = port::Directory::Put;

constexpr size_t id_chars = 20, secret_chars = 40;

json::object to_json(const port::ChannelRow& row) {
  return {{"name", row.name},
          {"created", to_rfc3339(row.created)},
          {"version", row.version},
          {"message_ttl_seconds", row.message_ttl_seconds},
          {"max_viewers", row.max_viewers}};
}

/// Without the secret.
json::object to_json(const port::AccessKeyRow& row) {
  json::array channels;
  for (const std::string& name : row.channels) channels.emplace_back(name);
  return {{"id", row.id},
          {"note", row.note},
          {"enabled", row.enabled},
          {"master", row.master},
          {"viewer", row.viewer},
          {"admin", row.admin},
          {"channels", std::move(channels)},
          {"created", to_rfc3339(row.created)}};
}

void changed(ApiImpl& api) {
  if (api.parts.channels_changed) api.parts.channels_changed();
}

/// Of a row that is looked up in all of them. Nothing: it has been answered.
template <class Row>
std::optional<Row> find(const Exchange& x, const port::StoreResult<std::vector<Row>>& rows,
                        std::string Row::*key, std::string_view what) {
  if (!rows.ok()) return x.store_error(rows.reason()), std::nullopt;
  const auto it = std::find_if(rows->begin(), rows->end(), [&](const Row& r) { return r.*key == x.path[0]; });
  if (it != rows->end()) return *it;
  x.error(404, "not_found", "there is no " + std::string(what) + " " + x.path[0]);
  return std::nullopt;
}

template <class Row>
void list(const Exchange& x, const port::StoreResult<std::vector<Row>>& rows) {
  if (!rows.ok()) return x.store_error(rows.reason());
  json::array items;
  for (const Row& row : *rows) items.emplace_back(to_json(row));
  x.json(200, {{"items", std::move(items)}});
}

bool read_number(const Exchange& x, const json::value& value, const char* name, uint32_t& to) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > UINT32_MAX)
    return x.bad_body(name, "expected a whole number"), false;
  to = static_cast<uint32_t>(value.get_int64());
  return true;
}

/// False: it has been answered.
bool read(const Exchange& x, port::ChannelRow& row) {
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object"), false;
  for (const auto& [key, value] : *body) {
    if (key == "message_ttl_seconds") {
      if (!read_number(x, value, "message_ttl_seconds", row.message_ttl_seconds)) return false;
    } else if (key == "max_viewers") {
      if (!read_number(x, value, "max_viewers", row.max_viewers)) return false;
    } else {
      return x.bad_body(key, "unknown member, expected one of message_ttl_seconds, max_viewers"), false;
    }
  }
  return true;
}

void put_channel(ApiImpl& api, const Exchange& x) {
  const auto rows = api.parts.channels->channels();
  if (!rows.ok()) return x.store_error(rows.reason());
  const auto known =
      std::find_if(rows->begin(), rows->end(), [&](const auto& r) { return r.name == x.path[0]; });
  const bool fresh = known == rows->end();
  port::ChannelRow row = fresh ? port::ChannelRow{} : *known;
  if (fresh) {
    row.name = x.path[0];
    row.created = api.wall();
  } else {
    ++row.version;
  }
  if (!read(x, row)) return;
  const auto done = api.parts.channels->put_channel(row, fresh ? Put::create : Put::replace);
  if (!done.ok()) return x.store_error(done.reason());
  changed(api);
  x.json(fresh ? 201 : 200, to_json(row));
}

void remove_channel(ApiImpl& api, const Exchange& x) {
  const auto done = api.parts.channels->remove_channel(x.path[0]);
  if (!done.ok()) return x.store_error(done.reason());
  changed(api);
  x.none();
}

bool read_flag(const Exchange& x, std::string_view key, const json::value& value, bool& to) {
  if (!value.is_bool()) return x.bad_body(key, "expected true or false"), false;
  to = value.get_bool();
  return true;
}

bool read_names(const Exchange& x, const json::value& value, std::vector<std::string>& to) {
  to.clear();
  const auto* names = value.if_array();
  for (const json::value& name : names ? *names : json::array{}) {
    if (!name.is_string()) return x.bad_body("channels", "expected a list of names"), false;
    to.emplace_back(std::string_view(name.get_string()));
  }
  return names ? true : (x.bad_body("channels", "expected a list of names"), false);
}

/// False: it has been answered.
bool read(const Exchange& x, port::AccessKeyRow& row) {
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object"), false;
  for (const auto& [key, value] : *body) {
    bool* flag = key == "enabled"  ? &row.enabled
                 : key == "master" ? &row.master
                 : key == "viewer" ? &row.viewer
                 : key == "admin"  ? &row.admin
                                   : nullptr;
    if (flag) {
      if (!read_flag(x, key, value, *flag)) return false;
    } else if (key == "channels") {
      if (!read_names(x, value, row.channels)) return false;
    } else if (key == "note") {
      if (!value.is_string()) return x.bad_body("note", "expected text"), false;
      row.note = std::string(std::string_view(value.get_string()));
    } else {
      return x.bad_body(key,
                        "unknown member, expected one of note, enabled, master, viewer, admin, channels"),
             false;
    }
  }
  return true;
}

/// The one answer with a secret in it.
void add_key(ApiImpl& api, const Exchange& x) {
  port::AccessKeyRow row;
  if (!read(x, row)) return;
  // As clients expect an id to look.
  row.id = api.parts.rng.token(id_chars);
  std::transform(row.id.begin(), row.id.end(), row.id.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  row.secret = api.parts.rng.token(secret_chars);
  row.created = api.wall();
  const auto done = api.parts.channels->put_access_key(row, Put::create);
  if (!done.ok()) return x.store_error(done.reason());
  changed(api);
  json::object out = to_json(row);
  out["secret"] = row.secret;
  x.json(201, out);
}

void put_key(ApiImpl& api, const Exchange& x) {
  // What cannot be read is told before whose it would be.
  if (port::AccessKeyRow any; !read(x, any)) return;
  auto row = find(x, api.parts.channels->access_keys(), &port::AccessKeyRow::id, "access key");
  if (!row || !read(x, *row)) return;
  const auto done = api.parts.channels->put_access_key(*row, Put::replace);
  if (!done.ok()) return x.store_error(done.reason());
  changed(api);
  x.json(200, to_json(*row));
}

void remove_key(ApiImpl& api, const Exchange& x) {
  const auto done = api.parts.channels->remove_access_key(x.path[0]);
  if (!done.ok()) return x.store_error(done.reason());
  changed(api);
  x.none();
}

/// 503 when the node has no place for such rows.
auto if_there(void (*run)(ApiImpl&, const Exchange&)) {
  return [run](ApiImpl& api, const Exchange& x) {
    if (!api.parts.channels) return x.error(503, "unavailable", "signalling channels cannot be kept here");
    run(api, x);
  };
}

}  // namespace

void add_channel_operations(std::vector<Operation>& table) {
  const auto add = [&](const char* method, const char* path, Scope scope, const char* summary,
                       const char* request, const char* response, void (*run)(ApiImpl&, const Exchange&)) {
    table.push_back({method, path, scope, summary, request, response, {}, if_there(run)});
  };
  add("GET", "/channels", Scope::read, "Signalling channels", nullptr, "[Channel]",
      [](ApiImpl& api, const Exchange& x) { list(x, api.parts.channels->channels()); });
  add("GET", "/channels/{name}", Scope::read, "One of them", nullptr, "Channel",
      [](ApiImpl& api, const Exchange& x) {
        const auto row = find(x, api.parts.channels->channels(), &port::ChannelRow::name, "channel");
        if (row) x.json(200, to_json(*row));
      });
  add("PUT", "/channels/{name}", Scope::admin,
      "Create or change a signalling channel; members left out stay, and so does who is on it",
      "ChannelInput", "Channel", put_channel);
  add("DELETE", "/channels/{name}", Scope::admin, "Remove a signalling channel; its connections end", nullptr,
      nullptr, remove_channel);
  add("GET", "/access-keys", Scope::admin, "Who may use signalling channels", nullptr, "[AccessKey]",
      [](ApiImpl& api, const Exchange& x) { list(x, api.parts.channels->access_keys()); });
  add("POST", "/access-keys", Scope::admin,
      "Make an access key; its secret is in this answer and nowhere else", "AccessKeyInput", "NewAccessKey",
      add_key);
  add("GET", "/access-keys/{id}", Scope::admin, "One of them", nullptr, "AccessKey",
      [](ApiImpl& api, const Exchange& x) {
        const auto row = find(x, api.parts.channels->access_keys(), &port::AccessKeyRow::id, "access key");
        if (row) x.json(200, to_json(*row));
      });
  add("PUT", "/access-keys/{id}", Scope::admin,
      "Change an access key; members left out stay, its connections end when it may do something else",
      "AccessKeyInput", "AccessKey", put_key);
  add("DELETE", "/access-keys/{id}", Scope::admin, "Remove an access key; its connections end", nullptr,
      nullptr, remove_key);
}

}  // namespace tandem::ops
