// Signing in and out: /session and /sessions. Administrators sign in by their name, subscribers as
// user@domain with the password of their telephone.
#include <fmt/format.h>

#include "auth/digest.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/password.h"
#include "ops/api_impl.h"

namespace tandem::ops {
namespace json = boost::json;

std::string_view cookie_name(bool secure) { return secure ? "__Host-tandem" : "tandem"; }

std::string_view session_cookie(std::string_view header, bool secure) {
  while (!header.empty()) {
    const size_t end = header.find(';');
    const std::string_view pair = trim(header.substr(0, end));
    const size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == cookie_name(secure))
      return pair.substr(equals + 1);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
  }
  return {};
}

namespace {

constexpr size_t max_secret = 1024;  // octets of a name or password somebody signs in with

const char* role_of(const Session& s) {
  if (s.subscriber) return "subscriber";
  return s.scope == Scope::admin ? "admin" : s.scope == Scope::operate ? "operator" : "viewer";
}

Scope scope_of(port::AdminRow::Role role) {
  using Role = port::AdminRow::Role;
  return role == Role::admin ? Scope::admin : role == Role::operate ? Scope::operate : Scope::read;
}

json::object to_json(const ApiImpl& api, const Session& s) {
  json::object out{{"account", s.account}, {"role", role_of(s)}, {"csrf", s.csrf}};
  if (s.subscriber) {
    out["user"] = s.subscriber->user;
    out["domain"] = s.subscriber->domain;
  }
  out["idle_seconds"] = api.config.sessions.idle / seconds(1);
  out["ends"] = to_rfc3339(s.created + api.config.sessions.longest);
  return out;
}

std::string set_cookie(bool secure, std::string_view value, bool gone) {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict{}{}", cookie_name(secure), value,
                     secure ? "; Secure" : "", gone ? "; Max-Age=0" : "");
}

/// One attempt to sign in, on its way: it counts as wrong until it is known to be right, so that many at once
/// gain nothing.
struct Attempt {
  Exchange x;
  std::string name, password;
  uint64_t source = 0, account = 0;
};

void refuse(ApiImpl& api, const Attempt& a) {
  api.sign_in_failed.add();
  api.event(port::Level::notice, "console.sign_in_refused", {{"source", a.x.source.to_string()}});
  a.x.error(401, "unauthorized", "no such account, or another password");
}

void accept(ApiImpl& api, const Attempt& a, Session session) {
  api.guesses.forgive(a.source);
  api.account_guesses.forgive(a.account);
  session.source = a.x.source;
  session.user_agent = valid_utf8(a.x.user_agent);
  const auto opened = api.sessions.open(api.wall(), std::move(session), api.parts.rng);
  if (!opened) return a.x.error(503, "limit", "too many people are signed in");
  api.signed_in.add();
  api.event(port::Level::notice, "console.signed_in",
            {{"role", role_of(opened->session)}, {"source", a.x.source.to_string()}});
  a.x.json(200, to_json(api, opened->session),
           {{"Set-Cookie", set_cookie(a.x.secure, opened->cookie, false)}});
}

/// Whichever of the hashes is stored decides, the best first.
bool is_password_of(const port::Subscriber& row, const std::string& realm, const std::string& password) {
  for (const auth::Algorithm a :
       {auth::Algorithm::sha512_256, auth::Algorithm::sha256, auth::Algorithm::md5}) {
    const std::string_view stored = auth::ha1_of(row.ha1, a, false);
    if (!stored.empty())
      return crypto::constant_time_equal(stored, auth::ha1_hex(a, row.aor.user, realm, password));
  }
  return false;
}

/// HA1 values are quick to check; what they protect is what a telephone would get with them.
void check_subscriber(ApiImpl& api, const Attempt& a) {
  const size_t at = a.name.rfind('@');
  const std::string user = a.name.substr(0, at);
  const std::string domain = api.node.domain_of(lower(a.name.substr(at + 1)));
  const auto row = api.directory.subscriber({user, domain});
  if (!row.ok() && row.reason().kind != port::StoreError::Kind::not_found)
    return a.x.store_error(row.reason());
  if (!row.ok() || !row->enabled || !is_password_of(*row, api.node.digest_realm(domain), a.password))
    return refuse(api, a);
  Session s;
  s.account = row->aor.to_string();
  s.scope = Scope::own;
  s.subscriber = row->aor;
  accept(api, a, std::move(s));
}

void check_admin(ApiImpl& api, Attempt a) {
  const auto rows = api.parts.admins.admins();
  if (!rows.ok()) return a.x.store_error(rows.reason());
  const port::AdminRow* row = find_admin(*rows, a.name);
  // Somebody who does not exist costs the same time.
  const std::string stored = row ? row->password : nobodys_password();
  const Exchange x = a.x;
  const std::string password = a.password;
  api.slowly<bool>(
      x, [password, stored] { return crypto::password_matches(password, stored); },
      [&api, a = std::move(a), stored](bool right) {
        const auto now = api.parts.admins.admins();
        const port::AdminRow* known = now.ok() ? find_admin(*now, a.name) : nullptr;
        if (!right || !known || !known->enabled || known->password != stored) return refuse(api, a);
        Session s;
        s.account = known->name;
        s.scope = scope_of(known->role);
        accept(api, a, std::move(s));
      });
}

/// Two texts that a body has, and nothing else. False: it has been answered.
bool read_two(const Exchange& x, const char* one, const char* other, std::string& first,
              std::string& second) {
  const auto* body = x.body.if_object();
  if (!body) return x.bad_body("", "expected a JSON object"), false;
  for (const auto& entry : *body)
    if (entry.key() != one && entry.key() != other)
      return x.bad_body(entry.key(), fmt::format("unknown member, expected one of {}, {}", one, other)),
             false;
  for (const auto& [name, into] : {std::pair(one, &first), std::pair(other, &second)}) {
    const json::value* v = body->if_contains(name);
    if (!v || !v->is_string() || v->get_string().empty() || v->get_string().size() > max_secret)
      return x.bad_body(name, "expected a text of 1 to 1024 octets"), false;
    *into = std::string(v->get_string());
  }
  return true;
}

void sign_in(ApiImpl& api, const Exchange& x) {
  Attempt a{x, {}, {}};
  if (!read_two(x, "account", "password", a.name, a.password)) return;
  // No form of another site can send this type: nobody is signed in to somebody else's account unawares.
  if (!istarts_with(x.content_type, "application/json"))
    return x.error(415, "invalid", "the body must be application/json");
  const WallTime now = api.wall();
  a.source = api.guesses.key_of(x.source);
  a.account = api.account_guesses.key_of(lower(a.name));
  const uint32_t wait = std::max(api.guesses.wait(now, a.source), api.account_guesses.wait(now, a.account));
  if (wait > 0) {
    api.limited.add();
    return x.limited(wait, "too many wrong passwords; try again later");
  }
  api.guesses.note_wrong(now, a.source);
  api.account_guesses.note_wrong(now, a.account);
  if (a.name.find('@') != std::string::npos) return check_subscriber(api, a);
  check_admin(api, std::move(a));
}

void show(ApiImpl& api, const Exchange& x) { x.json(200, to_json(api, *x.caller.session)); }

void sign_out(ApiImpl& api, const Exchange& x) {
  api.sessions.end(x.caller.session->id);
  port::HttpResponse r;
  r.status = 204;
  r.content_type.clear();
  r.headers.emplace_back("Set-Cookie", set_cookie(x.secure, "", true));
  x.reply(std::move(r));
}

void list(ApiImpl& api, const Exchange& x) {
  json::array items;
  for (const Session& s : api.sessions.list(api.wall()))
    items.emplace_back(json::object{{"id", std::to_string(s.id)},
                                    {"account", s.account},
                                    {"role", role_of(s)},
                                    {"source", s.source.to_string()},
                                    {"user_agent", s.user_agent},
                                    {"created", to_rfc3339(s.created)},
                                    {"used", to_rfc3339(s.used)},
                                    {"own", x.caller.session && x.caller.session->id == s.id}});
  x.json(200, {{"items", std::move(items)}});
}

void end(ApiImpl& api, const Exchange& x) {
  const auto id = parse_u64(x.path[0]);
  if (!id || !api.sessions.end(*id)) return x.error(404, "not_found", "no such session");
  x.none();
}

/// One's own: the old one is asked for, since a screen may have been left alone.
void change_password(ApiImpl& api, const Exchange& x) {
  const Session& s = *x.caller.session;
  if (s.subscriber)
    return x.error(403, "forbidden", "the password of a telephone is changed by an administrator");
  std::string old, fresh;
  if (!read_two(x, "old", "new", old, fresh)) return;
  if (const char* problem = problem_with_password(fresh)) return x.bad_body("new", problem);
  const WallTime now = api.wall();
  const uint64_t account = api.account_guesses.key_of(lower(s.account));
  if (const uint32_t wait = api.account_guesses.wait(now, account)) {
    api.limited.add();
    return x.limited(wait, "too many wrong passwords; try again later");
  }
  api.account_guesses.note_wrong(now, account);
  const auto rows = api.parts.admins.admins();
  const port::AdminRow* row = rows.ok() ? find_admin(*rows, s.account) : nullptr;
  if (!row) return x.error(404, "not_found", "the account is gone");
  api.slowly<std::string>(
      x,
      [stored = row->password, old, fresh, salt = new_salt(api.parts.rng)] {
        return crypto::password_matches(old, stored) ? crypto::password_hash(fresh, salt) : std::string();
      },
      [&api, x, account](std::string hash) {
        if (hash.empty()) return x.error(403, "forbidden", "the old password is another");
        api.account_guesses.forgive(account);
        if (api.ended_meanwhile(x)) return;
        const Session& own = *x.caller.session;
        const auto known = api.parts.admins.admins();
        const port::AdminRow* found = known.ok() ? find_admin(*known, own.account) : nullptr;
        if (!found) return x.error(404, "not_found", "the account is gone");
        port::AdminRow changed = *found;
        changed.password = std::move(hash);
        const auto put = api.parts.admins.put_admin(changed, port::Directory::Put::replace);
        if (!put.ok()) return x.store_error(put.reason());
        api.sessions.end_of(own.account, own.id);
        x.none();
      });
}

}  // namespace

void add_session_operations(std::vector<Operation>& table) {
  table.push_back({"POST",
                   "/session",
                   Scope::open,
                   "Sign in: the answer sets a cookie and tells the token that changes need (X-CSRF-Token)",
                   "SignIn",
                   "Session",
                   {},
                   sign_in});
  table.push_back({"GET", "/session", Scope::session, "Who is signed in", nullptr, "Session", {}, show});
  table.push_back({"DELETE", "/session", Scope::session, "Sign out", nullptr, nullptr, {}, sign_out});
  table.push_back({"PUT",
                   "/session/password",
                   Scope::session,
                   "Change one's own password; the account's other sessions end",
                   "PasswordChange",
                   nullptr,
                   {},
                   change_password});
  table.push_back(
      {"GET", "/sessions", Scope::admin, "Who is signed in, all of them", nullptr, "[SignedIn]", {}, list});
  table.push_back({"DELETE", "/sessions/{id}", Scope::admin, "End a session", nullptr, nullptr, {}, end});
}

}  // namespace tandem::ops
