// Accounts of administrators: /admins and /admins/{name}.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;

const port::AdminRow* find_admin(const std::vector<port::AdminRow>& rows, std::string_view name) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.name == name; });
  return it == rows.end() ? nullptr : &*it;
}

std::string nobodys_password() {
  return "$scrypt$ln=15,r=8,p=1$" + std::string(22, 'A') + "$" + std::string(43, 'A');
}

const char* problem_with_password(std::string_view password) {
  if (password.size() < least_admin_password_octets) return "expected at least 12 octets";
  if (password.size() > 1024) return "expected at most 1024 octets";
  if (!is_plain_text(password)) return "expected UTF-8 without control characters";
  return nullptr;
}

crypto::PasswordSalt new_salt(Rng& rng) {
  crypto::PasswordSalt salt{};
  rng.fill(salt);
  return salt;
}

namespace {

using Put = port::Directory::Put;

json::object to_json(const port::AdminRow& row) {
  return {{"name", row.name}, {"role", port::to_text(row.role)}, {"enabled", row.enabled}};
}

void list(ApiImpl& api, const Exchange& x) {
  const auto rows = api.parts.admins.admins();
  if (!rows.ok()) return x.store_error(rows.reason());
  json::array items;
  for (const port::AdminRow& row : *rows) items.emplace_back(to_json(row));
  x.json(200, {{"items", std::move(items)}});
}

/// What a PUT says. False: it has been answered.
bool read(const Exchange& x, port::AdminRow& row, std::string& password) {
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object"), false;
  for (const auto& [key, value] : *body) {
    if (key == "role") {
      const auto role = value.is_string()
                            ? port::from_text<port::AdminRow::Role>(std::string_view(value.get_string()))
                            : std::nullopt;
      if (!role) return x.bad_body("role", "expected one of viewer, operator, admin"), false;
      row.role = *role;
    } else if (key == "enabled") {
      if (!value.is_bool()) return x.bad_body("enabled", "expected true or false"), false;
      row.enabled = value.get_bool();
    } else if (key == "password") {
      if (!value.is_string()) return x.bad_body("password", "expected text"), false;
      password = std::string(value.get_string());
      if (const char* problem = problem_with_password(password))
        return x.bad_body("password", problem), false;
    } else {
      return x.bad_body(key, "unknown member, expected one of password, role, enabled"), false;
    }
  }
  return true;
}

void store(ApiImpl& api, const Exchange& x, const port::AdminRow& row, bool fresh) {
  const auto done = api.parts.admins.put_admin(row, fresh ? Put::create : Put::replace);
  if (!done.ok()) return x.store_error(done.reason());
  // What the account may do now, it may do from a new session; who changes his own stays.
  if (!fresh) api.sessions.end_of(row.name, x.caller.session ? x.caller.session->id : 0);
  x.json(fresh ? 201 : 200, to_json(row));
}

struct Wanted {
  port::AdminRow row;    // as it is, with what the PUT says
  std::string password;  // a new one, not in `row` yet; empty: it stays
  bool known = false;    // the account is there
};

/// Nothing: it has been answered.
std::optional<Wanted> wanted_of(ApiImpl& api, const Exchange& x) {
  const auto rows = api.parts.admins.admins();
  if (!rows.ok()) return x.store_error(rows.reason()), std::nullopt;
  Wanted wanted;
  if (const port::AdminRow* known = find_admin(*rows, x.path[0])) {
    wanted.row = *known;
    wanted.known = true;
  }
  wanted.row.name = x.path[0];
  if (!read(x, wanted.row, wanted.password)) return std::nullopt;
  return wanted;
}

/// The password took its time, and somebody else may have changed the rest meanwhile. Whether the account is
/// `fresh` is from before: who was removed since does not come back by it.
void store_with(ApiImpl& api, const Exchange& x, std::string hash, bool fresh) {
  if (api.ended_meanwhile(x)) return;
  auto wanted = wanted_of(api, x);
  if (!wanted) return;
  wanted->row.password = std::move(hash);
  store(api, x, wanted->row, fresh);
}

void put(ApiImpl& api, const Exchange& x) {
  auto wanted = wanted_of(api, x);
  if (!wanted) return;
  auto& [row, password, known] = *wanted;
  const bool own = x.caller.session && x.caller.session->account == row.name;
  if (own && (!row.enabled || row.role != port::AdminRow::Role::admin))
    return x.error(409, "conflict", "nobody takes his own rights away: ask another administrator");
  if (password.empty() && !known) return x.bad_body("password", "needed for a new account");
  if (password.empty()) return store(api, x, row, false);
  // The rest is looked at before a tenth of a second is spent on the password.
  row.password = nobodys_password();
  if (const std::string problem = port::problem_with(row); !problem.empty())
    return x.error(422, "invalid", problem);
  api.slowly<std::string>(
      x,
      [password = std::move(password), salt = new_salt(api.parts.rng)] {
        return crypto::password_hash(password, salt);
      },
      [&api, x, fresh = !wanted->known](std::string hash) { store_with(api, x, std::move(hash), fresh); });
}

void remove(ApiImpl& api, const Exchange& x) {
  if (x.caller.session && x.caller.session->account == x.path[0])
    return x.error(409, "conflict", "nobody removes his own account: ask another administrator");
  const auto done = api.parts.admins.remove_admin(x.path[0]);
  if (!done.ok()) return x.store_error(done.reason());
  api.sessions.end_of(x.path[0]);
  x.none();
}

}  // namespace

void add_admin_operations(std::vector<Operation>& table) {
  table.push_back(
      {"GET", "/admins", Scope::admin, "Who may sign in to the console", nullptr, "[Admin]", {}, list});
  table.push_back({"PUT",
                   "/admins/{name}",
                   Scope::admin,
                   "Create or change an administrator; members left out stay, the account's sessions end",
                   "AdminInput",
                   "Admin",
                   {},
                   put});
  table.push_back({"DELETE",
                   "/admins/{name}",
                   Scope::admin,
                   "Remove an administrator; the account's sessions end",
                   nullptr,
                   nullptr,
                   {},
                   remove});
}

}  // namespace tandem::ops
