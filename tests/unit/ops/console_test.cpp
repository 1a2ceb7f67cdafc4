// What the console stands on: its files, who signs in and may do what, and what it shows.
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "auth/digest.h"
#include "crypto/password.h"
#include "fake_node.h"
#include "store_memory/memory_directory.h"

namespace tandem::ops {
namespace {

namespace json = boost::json;
using Role = port::AdminRow::Role;

std::string header(const port::HttpResponse& r, std::string_view name) {
  for (const auto& [key, value] : r.headers)
    if (key == name) return value;
  return {};
}

// ---- files -----------------------------------------------------------------------------------------------

TEST(WebFiles, KnowTheirTypeAndHowLongTheyMayBeKept) {
  WebFiles files;
  EXPECT_TRUE(files.add("index.html", "<p>"));
  EXPECT_TRUE(files.add("assets/a-1.js", "long script"));
  EXPECT_TRUE(files.add("assets/a-1.js.gz", "short"));
  EXPECT_FALSE(files.add("secrets.db", "x"));  // no type of the console's
  const auto page = files.answer("/", "");
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(header(page, "Cache-Control"), "no-store");
  EXPECT_NE(header(page, "Content-Security-Policy").find("frame-ancestors 'none'"), std::string::npos);
  EXPECT_EQ(header(page, "Content-Security-Policy").find("unsafe"), std::string::npos);
  // What the telephone in the console needs, of this origin alone.
  for (const char* wanted : {"connect-src 'self';", "media-src 'self' blob:;"})
    EXPECT_NE(header(page, "Content-Security-Policy").find(wanted), std::string::npos) << wanted;
  for (const char* wanted : {"camera=(self)", "microphone=(self)", "geolocation=()"})
    EXPECT_NE(header(page, "Permissions-Policy").find(wanted), std::string::npos) << wanted;
  const auto script = files.answer("/assets/a-1.js", "");
  EXPECT_EQ(script.body, "long script");
  EXPECT_EQ(header(script, "Cache-Control"), "public, max-age=31536000, immutable");
  EXPECT_EQ(files.answer("/assets/a-1.js", "br, gzip").body, "short");
  EXPECT_EQ(header(files.answer("/assets/a-1.js", "gzip"), "Content-Encoding"), "gzip");
  EXPECT_EQ(files.answer("/assets/a-1.js", "gzip;q=0").body, "long script");
}

TEST(WebFiles, NothingIsOutside) {
  WebFiles files;
  files.add("index.html", "<p>");
  for (const char* path : {"/../etc/passwd", "/assets/../../keys", "/%2e%2e/keys", "//index.html",
                           "/index.html/", "/./index.html", "/index.html%00"})
    EXPECT_EQ(files.answer(path, "").status, 404) << path;
  EXPECT_EQ(WebFiles().answer("/", "").status, 404);
}

TEST(WebFiles, AreLimited) {
  WebFiles files;
  EXPECT_FALSE(files.add("big.js", std::string(WebFiles::max_bytes + 1, 'x')));
  for (size_t i = 0; i < WebFiles::max_files; ++i) EXPECT_TRUE(files.add(std::to_string(i) + ".js", "x"));
  EXPECT_FALSE(files.add("more.js", "x"));
  EXPECT_TRUE(files.add("0.js.gz", "x"));  // another form of one that is there
}

// ---- sessions --------------------------------------------------------------------------------------------

struct SessionsTest : testing::Test {
  std::string open(const std::string& account) {
    Session s;
    s.account = account;
    s.scope = Scope::read;
    auto opened = table.open(now, s, rng);
    return opened ? opened->cookie : std::string();
  }
  bool known(const std::string& cookie, bool background = false) {
    return table.find(now, cookie, background) != nullptr;
  }
  void pass(Duration d) { now = now + d; }

  CounterSet counters;
  SeededRng rng{7};
  WallTime now{1'000'000'000'000'000};
  SessionTable table{{minutes(30), hours(12), 4, 2}, counters};
};

TEST_F(SessionsTest, EndWhenNobodyUsesThem) {
  const auto cookie = open("a");
  ASSERT_EQ(cookie.size(), 43u);
  pass(minutes(29));
  EXPECT_TRUE(known(cookie));
  pass(minutes(29));
  EXPECT_TRUE(known(cookie, true));  // a page asks by itself: no use
  pass(minutes(1));
  EXPECT_FALSE(known(cookie));
  EXPECT_EQ(counters.total("console_sessions_expired_total"), 1u);
  EXPECT_EQ(counters.total("console_sessions"), 0u);
}

TEST_F(SessionsTest, EndWhenTheyAreOldHoweverBusy) {
  const auto cookie = open("a");
  for (int i = 0; i < 47; ++i) {
    pass(minutes(15));
    EXPECT_TRUE(known(cookie)) << i;
  }
  pass(minutes(15));
  EXPECT_FALSE(known(cookie));
}

TEST_F(SessionsTest, AnAccountHasSoManyAndTheNodeHasSoMany) {
  const auto first = open("a"), second = open("a");
  pass(seconds(1));
  EXPECT_TRUE(known(first));
  const auto third = open("a");  // the second is unused longest
  EXPECT_TRUE(known(first));
  EXPECT_FALSE(known(second));
  EXPECT_TRUE(known(third));
  EXPECT_NE(open("b"), "");
  EXPECT_NE(open("c"), "");
  EXPECT_EQ(open("d"), "");  // the table is full
  EXPECT_EQ(counters.total("console_sessions_refused_total"), 1u);
  pass(minutes(31));
  EXPECT_NE(open("d"), "");  // what is over makes room
}

TEST_F(SessionsTest, AreEndedOneByOneOrAllOfAnAccount) {
  const auto first = open("a"), second = open("a"), other = open("b");
  const uint64_t id = table.find(now, first, false)->id;
  table.end_of("a", id);
  EXPECT_TRUE(known(first));
  EXPECT_FALSE(known(second));
  EXPECT_TRUE(known(other));
  EXPECT_TRUE(table.end(id));
  EXPECT_FALSE(table.end(id));
  EXPECT_FALSE(known(first));
  EXPECT_FALSE(known(""));
  EXPECT_EQ(table.list(now).size(), 1u);
}

// ---- signing in ------------------------------------------------------------------------------------------

class ConsoleTest : public testing::Test {
 protected:
  ConsoleTest() {
    admin("root", "the root password", Role::admin);
    admin("desk", "the desk password", Role::operate);
    admin("view", "the view password", Role::viewer);
    port::DomainRow domain;
    domain.name = "example.com";
    EXPECT_TRUE(directory.put_plan_row(domain, port::Directory::Put::create).ok());
    for (const char* user : {"1001", "1002"}) {
      port::Subscriber row;
      row.aor = {user, "example.com"};
      row.display_name = "Ann";
      row.ha1 = auth::make_ha1(user, "realm of example.com", std::string("secret of ") + user, "example.com");
      EXPECT_TRUE(directory.put_subscriber(row, port::Directory::Put::create).ok());
    }
    files.add("index.html", "the console");
    ApiParts parts{directory, rng};
    parts.files = &files;
    parts.messages = &ring;
    parts.events = [this](const port::Event& e) { events.emplace_back(e.name); };
    parts.slow = [this](std::function<void()> task) {
      if (tasks_refused) return false;
      if (before_task) std::exchange(before_task, {})();
      task();
      return true;
    };
    ApiConfig config{"1.2.3", "Tandem", {}};
    config.tickets = ticket_key;
    api.emplace(
        std::move(config), directory, node, [this] { return now; }, counters, std::move(parts));
  }
  void admin(const char* name, const char* password, Role role) {
    EXPECT_TRUE(directory
                    .put_admin({name, crypto::password_hash(password, crypto::PasswordSalt{9}, {4, 1, 1}),
                                role, true},
                               port::Directory::Put::either)
                    .ok());
  }

  struct Browser {
    std::string cookie, csrf, peer = "192.0.2.9:4000";
  };
  port::HttpResponse ask(const Browser& b, std::string method, std::string target, std::string body = {},
                         bool with_csrf = true, const char* type = "application/json") {
    port::HttpRequest r;
    r.method = std::move(method);
    r.target = std::move(target);
    r.body = std::move(body);
    r.peer = *SocketAddress::parse(b.peer);
    r.secure = true;
    r.headers.emplace_back("Content-Type", type);
    r.headers.insert(r.headers.end(), more.begin(), more.end());
    if (!b.cookie.empty()) r.headers.emplace_back("Cookie", "other=1; " + b.cookie);
    if (with_csrf && !b.csrf.empty()) r.headers.emplace_back("X-CSRF-Token", b.csrf);
    std::optional<port::HttpResponse> got;
    api->handle(r, [&](port::HttpResponse response) { got = std::move(response); });
    EXPECT_TRUE(got) << "no answer";
    return got.value_or(port::HttpResponse{});
  }
  static std::string credentials(const std::string& account, const std::string& password) {
    return json::serialize(json::object{{"account", account}, {"password", password}});
  }
  int sign_in_status(const std::string& account, const std::string& password,
                     const char* peer = "192.0.2.9:1") {
    return ask({"", "", peer}, "POST", "/api/v1/session", credentials(account, password)).status;
  }
  Browser sign_in(const std::string& account, const std::string& password) {
    const auto r = ask({}, "POST", "/api/v1/session", credentials(account, password));
    EXPECT_EQ(r.status, 200) << r.body;
    const std::string cookie = header(r, "Set-Cookie");
    return {cookie.substr(0, cookie.find(';')), std::string(json::parse(r.body).at("csrf").as_string())};
  }
  static std::string kind(const port::HttpResponse& r) {
    return std::string(json::parse(r.body).at("error").at("kind").as_string());
  }

  const auth::TicketKey ticket_key{7};
  WallTime now{1'000'000'000'000'000};
  store_memory::MemoryDirectory directory;
  FakeNode node;
  CounterSet counters;
  SeededRng rng{5};
  WebFiles files;
  MessageRing ring{{}, counters};
  std::vector<std::string> events;
  bool tasks_refused = false;
  std::vector<std::pair<std::string, std::string>> more;  // headers of what is asked
  std::function<void()> before_task;                      // what happens while the next one waits
  std::optional<Api> api;
};

TEST_F(ConsoleTest, ThePageIsForEverybodyAndOnlyThatPage) {
  const auto page = ask({}, "GET", "/");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.body, "the console");
  EXPECT_EQ(header(page, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(ask({}, "HEAD", "/").status, 200);
  EXPECT_EQ(ask({}, "POST", "/").status, 405);
  EXPECT_EQ(ask({}, "GET", "/nothing").status, 404);
  EXPECT_EQ(ask({}, "GET", "/api/v2/calls").status, 404);
}

TEST_F(ConsoleTest, AnswersAreForNobodysCache) {
  const auto r = ask(sign_in("root", "the root password"), "GET", "/api/v1/calls");
  EXPECT_EQ(header(r, "Cache-Control"), "no-store");
  EXPECT_EQ(header(r, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(header(r, "Content-Security-Policy"), "default-src 'none'; frame-ancestors 'none'");
}

TEST_F(ConsoleTest, ACookieThatScriptsAndOtherSitesCannotUse) {
  const auto r = ask({}, "POST", "/api/v1/session", credentials("root", "the root password"));
  const std::string cookie = header(r, "Set-Cookie");
  EXPECT_TRUE(cookie.starts_with("__Host-tandem=")) << cookie;
  for (const char* attribute : {"; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"})
    EXPECT_NE(cookie.find(attribute), std::string::npos) << attribute;
  EXPECT_EQ(cookie.find("Domain"), std::string::npos);
  EXPECT_EQ(r.body.find(cookie.substr(14, 43)), std::string::npos);
}

TEST_F(ConsoleTest, SigningInAndOut) {
  EXPECT_EQ(ask({}, "GET", "/api/v1/session").status, 401);
  const Browser b = sign_in("root", "the root password");
  const auto who = json::parse(ask(b, "GET", "/api/v1/session").body);
  EXPECT_EQ(who.at("account").as_string(), "root");
  EXPECT_EQ(who.at("role").as_string(), "admin");
  EXPECT_EQ(who.at("csrf").as_string(), b.csrf);
  const auto out = ask(b, "DELETE", "/api/v1/session");
  EXPECT_EQ(out.status, 204);
  EXPECT_NE(header(out, "Set-Cookie").find("Max-Age=0"), std::string::npos);
  EXPECT_EQ(ask(b, "GET", "/api/v1/session").status, 401);
  EXPECT_EQ(events, (std::vector<std::string>{"console.signed_in", "api.changed"}));
}

TEST_F(ConsoleTest, WhoIsUnknownAndAWrongPasswordAreAnsweredAlike) {
  const auto wrong = ask({}, "POST", "/api/v1/session", credentials("root", "guess"));
  const auto unknown = ask({}, "POST", "/api/v1/session", credentials("nobody", "guess"));
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.body, unknown.body);
  EXPECT_EQ(ask({}, "POST", "/api/v1/session", credentials("1001@example.com", "guess")).body, wrong.body);
  EXPECT_EQ(ask({}, "POST", "/api/v1/session", credentials("9999@example.com", "guess")).body, wrong.body);
  EXPECT_EQ(counters.total("console_sign_ins_total"), 4u);
}

TEST_F(ConsoleTest, ADisabledAccountIsRefused) {
  ASSERT_TRUE(
      directory
          .put_admin({"root", crypto::password_hash("the root password", {}, {4, 1, 1}), Role::admin, false},
                     port::Directory::Put::replace)
          .ok());
  EXPECT_EQ(sign_in_status("root", "the root password"), 401);
  auto row = *directory.subscriber({"1001", "example.com"});
  row.enabled = false;
  ASSERT_TRUE(directory.put_subscriber(row, port::Directory::Put::replace).ok());
  EXPECT_EQ(sign_in_status("1001@example.com", "secret of 1001"), 401);
}

TEST_F(ConsoleTest, WhatOtherSitesCanSendSignsNobodyIn) {
  const std::string body = credentials("root", "the root password");
  for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""})
    EXPECT_EQ(ask({}, "POST", "/api/v1/session", body, true, type).status, 415) << type;
  for (const char* wrong : {"{}", "[]", R"({"account":"root"})", R"({"account":"root","password":7})",
                            R"({"account":"","password":"x"})", R"({"account":"a","password":"b","more":1})"})
    EXPECT_EQ(ask({}, "POST", "/api/v1/session", wrong).status, 400) << wrong;
}

TEST_F(ConsoleTest, GuessingIsLimitedBySourceAndByAccount) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(sign_in_status("root", "guess", "192.0.2.1:1"), 401);
  const auto r =
      ask({"", "", "192.0.2.1:1"}, "POST", "/api/v1/session", credentials("desk", "the desk password"));
  EXPECT_EQ(r.status, 429);
  EXPECT_EQ(header(r, "Retry-After"), "60");
  EXPECT_EQ(sign_in_status("root", "the root password", "192.0.2.2:1"),
            200);  // another source, still few guesses
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(sign_in_status("ROOT", "guess", ("192.0.2." + std::to_string(10 + i) + ":1").c_str()), 401);
  EXPECT_EQ(sign_in_status("root", "the root password", "192.0.2.99:1"), 429);  // the account's turn
  EXPECT_EQ(sign_in_status("desk", "the desk password", "192.0.2.99:1"), 200);  // nobody else's
  EXPECT_EQ(counters.total("api_guesses_limited_total"), 2u);
  now = now + minutes(1);
  EXPECT_EQ(sign_in_status("root", "the root password", "192.0.2.1:1"), 200);
}

TEST_F(ConsoleTest, RightPasswordsAreNoGuesses) {
  for (int i = 0; i < 25; ++i) EXPECT_EQ(sign_in_status("1001@example.com", "secret of 1001"), 200) << i;
}

TEST_F(ConsoleTest, TooManyAtOnceAreToldSo) {
  tasks_refused = true;
  EXPECT_EQ(sign_in_status("root", "the root password"), 503);
}

TEST_F(ConsoleTest, AChangeNeedsTheTokenOfItsSession) {
  const Browser a = sign_in("root", "the root password"), b = sign_in("desk", "the desk password");
  const auto forged = ask(a, "DELETE", "/api/v1/calls/7", "", false);
  EXPECT_EQ(forged.status, 403);
  EXPECT_EQ(kind(forged), "csrf");
  EXPECT_EQ(ask({a.cookie, b.csrf}, "DELETE", "/api/v1/calls/7").status, 403);
  EXPECT_EQ(ask({a.cookie, a.csrf + "x"}, "POST", "/api/v1/drain").status, 403);
  EXPECT_TRUE(node.hung_up.empty());
  EXPECT_FALSE(node.drains);
  EXPECT_EQ(counters.total("api_forged_total"), 3u);
  EXPECT_EQ(ask(a, "DELETE", "/api/v1/calls/7").status, 204);
  EXPECT_EQ(ask(a, "GET", "/api/v1/calls", "", false).status, 200);
}

TEST_F(ConsoleTest, EachRoleMayWhatItMay) {
  const Browser root = sign_in("root", "the root password"), desk = sign_in("desk", "the desk password"),
                view = sign_in("view", "the view password"),
                ann = sign_in("1001@example.com", "secret of 1001");
  struct Row {
    const char *method, *path;
    int root, desk, view, ann;
  };
  for (const Row& row :
       std::initializer_list<Row>{{"GET", "/calls", 200, 200, 200, 403},
                                  {"GET", "/subscribers", 200, 200, 200, 403},
                                  {"GET", "/history", 200, 200, 200, 403},
                                  {"DELETE", "/calls/7", 204, 204, 403, 403},
                                  {"DELETE", "/registrations/example.com/9", 404, 403, 403, 403},
                                  {"POST", "/reload", 204, 403, 403, 403},
                                  {"GET", "/admins", 200, 403, 403, 403},
                                  {"GET", "/sessions", 200, 403, 403, 403},
                                  {"GET", "/session", 200, 200, 200, 200},
                                  {"GET", "/me", 403, 403, 403, 200},
                                  {"GET", "/me/calls", 403, 403, 403, 200}}) {
    const std::string path = std::string("/api/v1") + row.path;
    EXPECT_EQ(ask(root, row.method, path).status, row.root) << row.path;
    EXPECT_EQ(ask(desk, row.method, path).status, row.desk) << row.path;
    EXPECT_EQ(ask(view, row.method, path).status, row.view) << row.path;
    EXPECT_EQ(ask(ann, row.method, path).status, row.ann) << row.path;
    EXPECT_EQ(ask({}, row.method, path).status, 401) << row.path;
  }
}

TEST_F(ConsoleTest, ATokenIsNoSession) {
  port::ApiTokenRow token;
  token.name = "t";
  token.sha256 = std::string(crypto::hash_hex(crypto::Hash::sha256, {"the-token"}).view());
  token.scopes = "admin";
  ASSERT_TRUE(directory.put_api_token(token).ok());
  api->reload_tokens();
  port::HttpRequest r;
  r.method = "GET";
  r.target = "/api/v1/session";
  r.peer = *SocketAddress::parse("192.0.2.9:1");
  r.headers.emplace_back("Authorization", "Bearer the-token");
  int status = 0;
  api->handle(r, [&](const port::HttpResponse& response) { status = response.status; });
  EXPECT_EQ(status, 403);
  r.target = "/api/v1/admins";
  api->handle(r, [&](const port::HttpResponse& response) { status = response.status; });
  EXPECT_EQ(status, 200);
  r.target = "/api/v1/calls/7";  // changes by token need no other token: nobody else's page has it
  r.method = "DELETE";
  api->handle(r, [&](const port::HttpResponse& response) { status = response.status; });
  EXPECT_EQ(status, 204);
}

// ---- accounts --------------------------------------------------------------------------------------------

TEST_F(ConsoleTest, AccountsAreMadeChangedAndRemoved) {
  const Browser root = sign_in("root", "the root password");
  const auto put = [&](const char* name, const char* body) {
    return ask(root, "PUT", std::string("/api/v1/admins/") + name, body);
  };
  EXPECT_EQ(put("night", R"({"role": "operator"})").status, 400);  // no password
  EXPECT_EQ(put("night", R"({"password": "short", "role": "operator"})").status, 400);
  EXPECT_EQ(put("night", R"({"password": "long enough it is", "role": "king"})").status, 400);
  EXPECT_EQ(put("a@b", R"({"password": "long enough it is"})").status, 422);
  const auto made = put("night", R"({"password": "long enough it is", "role": "operator"})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.body.find("scrypt"), std::string::npos);
  EXPECT_EQ(ask(root, "GET", "/api/v1/admins").body.find("scrypt"), std::string::npos);
  const Browser night = sign_in("night", "long enough it is");
  EXPECT_EQ(ask(night, "GET", "/api/v1/calls").status, 200);
  EXPECT_EQ(put("night", R"({"role": "viewer"})").status, 200);
  EXPECT_EQ(ask(night, "GET", "/api/v1/calls").status, 401);  // its sessions ended with its rights
  EXPECT_EQ(put("root", R"({"role": "viewer"})").status, 409);
  EXPECT_EQ(put("root", R"({"enabled": false})").status, 409);
  EXPECT_EQ(ask(root, "DELETE", "/api/v1/admins/root").status, 409);
  EXPECT_EQ(ask(root, "DELETE", "/api/v1/admins/night").status, 204);
  EXPECT_EQ(ask(root, "DELETE", "/api/v1/admins/night").status, 404);
  EXPECT_EQ(sign_in_status("night", "long enough it is"), 401);
}

TEST_F(ConsoleTest, APasswordTakesTimeAndUndoesNothingMeanwhile) {
  const Browser root = sign_in("root", "the root password");
  before_task = [&] {
    EXPECT_EQ(ask(root, "PUT", "/api/v1/admins/desk", R"({"enabled": false, "role": "viewer"})").status, 200);
  };
  const auto done = ask(root, "PUT", "/api/v1/admins/desk", R"({"password": "another password"})");
  EXPECT_EQ(done.status, 200);
  EXPECT_FALSE(json::parse(done.body).at("enabled").as_bool());
  EXPECT_EQ(json::parse(done.body).at("role").as_string(), "viewer");
  EXPECT_EQ(sign_in_status("desk", "another password"), 401);
}

TEST_F(ConsoleTest, APasswordThatTookItsTimeBringsNobodyBack) {
  const Browser root = sign_in("root", "the root password");
  before_task = [&] { EXPECT_EQ(ask(root, "DELETE", "/api/v1/admins/desk").status, 204); };
  EXPECT_EQ(ask(root, "PUT", "/api/v1/admins/desk", R"({"password": "another password"})").status, 404);
  EXPECT_EQ(sign_in_status("desk", "another password"), 401);
}

TEST_F(ConsoleTest, WhoseSessionEndsWhileHisPasswordIsMadeChangesNothing) {
  admin("second", "the second password", Role::admin);
  const Browser root = sign_in("root", "the root password"),
                second = sign_in("second", "the second password");
  const char* path = "/api/v1/admins/second";
  before_task = [&] { EXPECT_EQ(ask(root, "PUT", path, R"({"role": "viewer"})").status, 200); };
  EXPECT_EQ(ask(second, "PUT", path, R"({"password": "a password of his own", "role": "admin"})").status,
            401);
  EXPECT_EQ(sign_in_status("second", "a password of his own"), 401);
  const Browser viewer = sign_in("second", "the second password");
  EXPECT_EQ(ask(viewer, "GET", "/api/v1/admins").status, 403);
  before_task = [&] {
    EXPECT_EQ(ask(root, "PUT", path, R"({"password": "what root has chosen"})").status, 200);
  };
  EXPECT_EQ(ask(viewer, "PUT", "/api/v1/session/password",
                R"({"old": "the second password", "new": "a password of his own"})")
                .status,
            401);
  EXPECT_EQ(sign_in_status("second", "a password of his own"), 401);
  EXPECT_EQ(sign_in_status("second", "what root has chosen"), 200);
}

TEST_F(ConsoleTest, ASubscribersSessionsEndWithItsRights) {
  const Browser root = sign_in("root", "the root password");
  const char* path = "/api/v1/subscribers/example.com/1001";
  const auto still = [&](const Browser& b) { return ask(b, "GET", "/api/v1/me").status; };
  const Browser first = sign_in("1001@example.com", "secret of 1001"),
                another = sign_in("1002@example.com", "secret of 1002");
  EXPECT_EQ(ask(root, "PUT", path, R"({"display_name": "Anne"})").status, 200);
  EXPECT_EQ(still(first), 200);
  EXPECT_EQ(ask(root, "PUT", path, R"({"password": "a new secret"})").status, 200);
  EXPECT_EQ(still(first), 401);
  auto row = *directory.subscriber({"1001", "example.com"});
  row.ha1 = auth::make_ha1("1001", "realm of example.com", "a new secret", "example.com");
  ASSERT_TRUE(directory.put_subscriber(row, port::Directory::Put::replace).ok());
  const Browser second = sign_in("1001@example.com", "a new secret");
  EXPECT_EQ(ask(root, "PUT", path, R"({"enabled": false})").status, 200);
  EXPECT_EQ(still(second), 401);
  EXPECT_EQ(ask(root, "PUT", path, R"({"enabled": true})").status, 200);
  const Browser third = sign_in("1001@example.com", "a new secret");
  EXPECT_EQ(ask(root, "DELETE", path).status, 204);
  EXPECT_EQ(still(third), 401);
  EXPECT_EQ(still(another), 200);
}

TEST_F(ConsoleTest, OnesOwnPassword) {
  const Browser one = sign_in("view", "the view password"), other = sign_in("view", "the view password");
  const char* path = "/api/v1/session/password";
  EXPECT_EQ(ask(one, "PUT", path, R"({"old": "wrong", "new": "the new view password"})").status, 403);
  EXPECT_EQ(ask(one, "PUT", path, R"({"old": "the view password", "new": "short"})").status, 400);
  EXPECT_EQ(ask(one, "PUT", path, R"({"old": "the view password", "new": "the new view password"})").status,
            204);
  EXPECT_EQ(ask(one, "GET", "/api/v1/session").status, 200);
  EXPECT_EQ(ask(other, "GET", "/api/v1/session").status, 401);
  EXPECT_EQ(sign_in_status("view", "the view password"), 401);
  EXPECT_EQ(sign_in_status("view", "the new view password"), 200);
  const Browser ann = sign_in("1001@example.com", "secret of 1001");
  EXPECT_EQ(ask(ann, "PUT", path, R"({"old": "secret of 1001", "new": "the new password"})").status, 403);
}

TEST_F(ConsoleTest, SessionsAreListedAndEnded) {
  const Browser root = sign_in("root", "the root password"), view = sign_in("view", "the view password");
  const auto list = json::parse(ask(root, "GET", "/api/v1/sessions").body).at("items").as_array();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_TRUE(list[0].at("own").as_bool());
  EXPECT_EQ(list[1].at("account").as_string(), "view");
  EXPECT_EQ(list[1].at("source").as_string(), "192.0.2.9");
  const std::string id(list[1].at("id").as_string());
  EXPECT_EQ(ask(root, "DELETE", "/api/v1/sessions/" + id).status, 204);
  EXPECT_EQ(ask(root, "DELETE", "/api/v1/sessions/" + id).status, 404);
  EXPECT_EQ(ask(root, "DELETE", "/api/v1/sessions/x").status, 404);
  EXPECT_EQ(ask(view, "GET", "/api/v1/calls").status, 401);
}

// ---- subscribers -----------------------------------------------------------------------------------------

port::Cdr cdr(uint64_t call, const char* from, const char* to, const char* from_domain = "example.com") {
  port::Cdr c;
  c.key = {1, 1, call, 1};
  c.setup = {static_cast<int64_t>(call) * 1'000'000'000};
  c.caller.party.user = from;
  c.caller.party.domain = from_domain;
  c.callee.party.user = to;
  c.callee.party.domain = "example.com";
  c.dialled = to;
  c.route = "a secret route";
  return c;
}

TEST_F(ConsoleTest, ASubscriberSeesHisOwnAndNothingElse) {
  const std::vector<port::Cdr> records{cdr(1, "1001", "1002"), cdr(2, "1002", "1003"), cdr(3, "1002", "1001"),
                                       cdr(4, "1001", "1002", "elsewhere.example")};
  ASSERT_TRUE(directory.insert_cdrs(records).ok());
  RegistrationView mine, others;
  mine.aor = {"1001", "example.com"};
  others.aor = {"10011", "example.com"};  // the search finds parts of names
  node.registrations_now = {mine, others};
  const Browser ann = sign_in("1001@alias.example.com", "secret of 1001");
  EXPECT_EQ(json::parse(ask(ann, "GET", "/api/v1/session").body).at("account").as_string(),
            "1001@example.com");
  EXPECT_EQ(json::parse(ask(ann, "GET", "/api/v1/me").body).at("display_name").as_string(), "Ann");
  EXPECT_EQ(json::parse(ask(ann, "GET", "/api/v1/me/registrations").body).at("items").as_array().size(), 1u);
  const auto answer = ask(ann, "GET", "/api/v1/me/calls");
  const auto calls = json::parse(answer.body).at("items").as_array();
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].at("direction").as_string(), "in");
  EXPECT_EQ(calls[0].at("party").as_string(), "1002");
  EXPECT_EQ(calls[1].at("direction").as_string(), "out");
  EXPECT_EQ(answer.body.find("secret route"), std::string::npos);
}

TEST_F(ConsoleTest, WhoWishedNotToBeNamedIsNotNamedToTheCalled) {
  auto record = cdr(1, "1001", "1002", "example.com");
  record.caller.party.display = "Ann";
  record.private_caller = true;
  ASSERT_TRUE(directory.insert_cdrs(std::vector{record}).ok());
  const auto first_of = [&](const char* user) {
    const Browser b = sign_in(std::string(user) + "@example.com", std::string("secret of ") + user);
    return json::parse(ask(b, "GET", "/api/v1/me/calls").body).at("items").as_array().at(0).as_object();
  };
  const auto called = first_of("1002");
  EXPECT_EQ(called.at("direction").as_string(), "in");
  EXPECT_EQ(called.at("party").as_string(), "");
  EXPECT_EQ(called.at("display").as_string(), "");
  EXPECT_EQ(first_of("1001").at("party").as_string(), "1002") << "who called knows whom";
}

TEST_F(ConsoleTest, ASubscribersPageIsGivenTicketsAndNobodyElse) {
  const Browser ann = sign_in("1001@example.com", "secret of 1001");
  const auto answer = ask(ann, "POST", "/api/v1/me/ticket");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(header(answer, "Cache-Control"), "no-store");
  const auto given = json::parse(answer.body);
  EXPECT_EQ(given.at("user").as_string(), "1001@example.com");
  const std::string ticket(given.at("ticket").as_string());
  EXPECT_TRUE(auth::ticket_fits(ticket_key, ticket, {"1001", "example.com"}, now + seconds(29)));
  EXPECT_FALSE(auth::ticket_fits(ticket_key, ticket, {"1001", "example.com"}, now + seconds(31)));
  EXPECT_FALSE(auth::ticket_fits(ticket_key, ticket, {"1002", "example.com"}, now));
  EXPECT_EQ(ask(ann, "GET", "/api/v1/me/ticket").status, 405);
  Browser forged = ann;
  forged.csrf.clear();
  EXPECT_EQ(ask(forged, "POST", "/api/v1/me/ticket").status, 403);
  EXPECT_EQ(ask(sign_in("root", "the root password"), "POST", "/api/v1/me/ticket").status, 403);
  auto row = *directory.subscriber({"1001", "example.com"});
  row.enabled = false;
  ASSERT_TRUE(directory.put_subscriber(row, port::Directory::Put::replace).ok());
  EXPECT_EQ(ask(ann, "POST", "/api/v1/me/ticket").status, 403);
}

TEST_F(ConsoleTest, ASubscriberHasHisOwnMessages) {
  for (const char* user : {"1001", "1002"}) {
    port::MailboxRow box;
    box.domain = "example.com";
    box.user = user;
    ASSERT_TRUE(directory.put_plan_row(box, port::Directory::Put::create).ok());
    port::Voicemail m;
    m.mailbox = {user, "example.com"};
    m.file = std::string(user) + ".wav";
    ASSERT_TRUE(directory.save_voicemail(m, 10).ok());
  }
  node.files["1001.wav"] = "RIFF";
  const Browser ann = sign_in("1001@example.com", "secret of 1001");
  const auto list = json::parse(ask(ann, "GET", "/api/v1/me/messages").body).at("items").as_array();
  ASSERT_EQ(list.size(), 1u);
  const std::string own = "/api/v1/me/messages/" + std::to_string(list[0].at("id").as_int64());
  const auto others = directory.voicemails({"1002", "example.com"});
  const std::string theirs = "/api/v1/me/messages/" + std::to_string((*others)[0].id);
  for (const std::string& path : {theirs + "/sound", theirs})
    EXPECT_EQ(ask(ann, path == theirs ? "DELETE" : "GET", path).status, 404) << path;
  EXPECT_EQ(ask(ann, "PUT", theirs, R"({"heard": true})").status, 404);
  EXPECT_EQ(ask(ann, "GET", own + "/sound").body, "RIFF");
  EXPECT_EQ(header(ask(ann, "GET", own + "/sound"), "Accept-Ranges"), "bytes");
  more.emplace_back("Range", "bytes=1-2");
  const auto part = ask(ann, "GET", own + "/sound");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "IF");
  EXPECT_EQ(header(part, "Content-Range"), "bytes 1-2/4");
  more.emplace_back("If-Range", "\"another file\"");  // what it has a part of is not this
  const auto whole = ask(ann, "GET", own + "/sound");
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "RIFF");
  EXPECT_EQ(header(whole, "Content-Range"), "");
  more = {};
  more.emplace_back("Range", "bytes=4-");
  const auto none = ask(ann, "GET", own + "/sound");
  EXPECT_EQ(none.status, 416);
  EXPECT_EQ(header(none, "Content-Range"), "bytes */4");
  EXPECT_EQ(none.body, "");
  more = {};
  EXPECT_EQ(ask(ann, "PUT", own, R"({"heard": true})").status, 200);
  EXPECT_EQ(ask(ann, "DELETE", own).status, 204);
  EXPECT_EQ(node.removed, std::vector<std::string>{"1001.wav"});
  EXPECT_EQ(directory.voicemails({"1002", "example.com"})->size(), 1u);
}

// ---- figures and messages --------------------------------------------------------------------------------

TEST_F(ConsoleTest, FiguresAreKeptAndAskedForPieceByPiece) {
  node.figures_now.calls = 3;
  api->sample();
  const WallTime first = now;
  now = now + seconds(10);
  node.figures_now.calls = 4;
  api->sample();
  const Browser view = sign_in("view", "the view password");
  const auto all = json::parse(ask(view, "GET", "/api/v1/history").body);
  ASSERT_EQ(all.at("items").as_array().size(), 2u);
  EXPECT_EQ(all.at("items").at(0).at("calls").as_int64(), 3);
  EXPECT_EQ(all.at("now").at("calls").as_int64(), 4);
  EXPECT_EQ(all.at("period").as_int64(), 10);
  const auto rest = json::parse(ask(view, "GET", "/api/v1/history?after=" + to_rfc3339(first)).body);
  EXPECT_EQ(rest.at("items").as_array().size(), 1u);
  EXPECT_EQ(ask(view, "GET", "/api/v1/history?after=yesterday").status, 400);
}

TEST(History, ForgetsTheOldest) {
  History history;
  Figures f;
  for (size_t i = 0; i <= History::samples; ++i) {
    f.calls = i;
    history.add({static_cast<int64_t>(i + 1)}, f);
  }
  const auto items = history.to_json({}).at("items").as_array();
  ASSERT_EQ(items.size(), History::samples);
  EXPECT_EQ(items[0].at("calls").as_uint64(), 1u);
}

port::SipTrace trace(const std::string& text, int64_t ms = 0, bool outbound = false) {
  port::SipTrace t;
  t.outbound = outbound;
  t.time = {1'000'000'000'000 + ms * 1'000'000};
  t.path.remote = *SocketAddress::parse("192.0.2.7:5060");
  t.path.local = *SocketAddress::parse("192.0.2.1:5060");
  t.bytes = port::SipTrace{}.bytes.copy_of(text);
  return t;
}

std::string sip(const std::string& first, const std::string& id, const std::string& more = {},
                const std::string& body = {}) {
  return first + "\r\nCall-ID: " + id + "\r\n" + more + "\r\n" + body;
}

TEST_F(ConsoleTest, MessagesOfACallInTheOrderOfTime) {
  ring.put(trace(sip("SIP/2.0 180 Ringing", "b", "CSeq: 1 INVITE\r\n"), 20));
  ring.put(trace(sip("INVITE sip:x SIP/2.0", "a", "Authorization: Digest response=\"abc\"\r\n"), 10));
  ring.put(trace(sip("INVITE sip:x SIP/2.0", "c"), 15));
  ring.put(
      trace(sip("SIP/2.0 180 Ringing", "a", "CSeq: 1 INVITE\r\n"), 20, true));  // after b's, in one batch
  const Browser view = sign_in("view", "the view password");
  const auto some = json::parse(ask(view, "GET", "/api/v1/sip-messages?call_id=a&other_call_id=b").body)
                        .at("items")
                        .as_array();
  ASSERT_EQ(some.size(), 3u);
  EXPECT_TRUE(some[0].at("text").as_string().starts_with("INVITE"));
  EXPECT_EQ(some[0].at("text").as_string().find("abc"), json::string::npos);
  EXPECT_EQ(some[1].at("call_id").as_string(), "b");
  EXPECT_TRUE(some[2].at("outbound").as_bool());
  node.live.id = 7;
  node.live.legs.resize(2);
  node.live.legs[0].call_id = "a";
  node.live.legs[1].call_id = "c";
  EXPECT_EQ(json::parse(ask(view, "GET", "/api/v1/calls/7/messages").body).at("items").as_array().size(), 3u);
  EXPECT_EQ(ask(view, "GET", "/api/v1/calls/8/messages").status, 404);
  EXPECT_EQ(ask(view, "GET", "/api/v1/sip-messages").status, 400);
}

TEST(MessageRing, KeepsWhatBelongsToACallAlone) {
  CounterSet counters;
  MessageRing ring({}, counters);
  for (const char* method : {"REGISTER", "OPTIONS", "SUBSCRIBE", "PUBLISH", "MESSAGE"}) {
    ring.put(trace(sip(std::string(method) + " sip:x SIP/2.0", "a")));
    ring.put(trace(sip("SIP/2.0 200 OK", "a", std::string("CSeq: 1 ") + method + "\r\n")));
  }
  ring.put(trace("garbage"));
  ring.put(trace("INVITE sip:x SIP/2.0\r\n\r\nCall-ID: a"));  // in the body
  ring.take();
  EXPECT_TRUE(ring.of("a").empty());
  ring.put(trace("INVITE sip:x SIP/2.0\r\ni: a\r\n\r\n"));
  ring.put(trace(sip("INFO sip:x SIP/2.0", "a", "Content-Type: application/dtmf-relay\r\n", "Signal=4\r\n")));
  ring.take();
  ASSERT_EQ(ring.of("a").size(), 2u);
  EXPECT_EQ(ring.of("a")[1].text.find("Signal"), std::string::npos);  // digits may be a PIN
  EXPECT_EQ(counters.total("sip_messages_kept"), 2u);
}

TEST(MessageRing, IsBoundedByMessagesAndByBytes) {
  CounterSet counters;
  MessageRing ring({.messages = 3, .average = 100}, counters);
  for (const char* id : {"a", "b", "a", "c"}) ring.put(trace(sip("ACK sip:x SIP/2.0", id)));
  ring.take();
  EXPECT_EQ(ring.of("a").size(), 1u);
  EXPECT_EQ(ring.of("c").size(), 1u);
  ring.put(trace(sip("ACK sip:x SIP/2.0", "d", "X: " + std::string(250, 'x') + "\r\n")));
  ring.take();
  EXPECT_EQ(ring.of("d").size(), 1u);
  EXPECT_TRUE(ring.of("c").empty());  // 300 bytes in all
  ring.put(trace(sip("ACK sip:x SIP/2.0", "e", "X: " + std::string(400, 'x') + "\r\n")));
  ring.take();
  EXPECT_TRUE(ring.of("e").empty());  // alone too big
  EXPECT_EQ(counters.total("sip_messages_kept"), 0u);
}

TEST(MessageRing, DropsWhatNobodyTakesInTime) {
  CounterSet counters;
  MessageRing ring({.waiting = 2}, counters);
  for (int i = 0; i < 5; ++i) ring.put(trace(sip("ACK sip:x SIP/2.0", "a")));
  ring.take();
  EXPECT_EQ(ring.of("a").size(), 2u);
  EXPECT_EQ(counters.total("sip_messages_not_kept_total"), 3u);
  MessageRing none({.messages = 0}, counters);
  none.put(trace(sip("ACK sip:x SIP/2.0", "a")));
  none.take();
  EXPECT_TRUE(none.of("a").empty());
}

TEST(MessageRing, OfABusyNodeKeepsWholeCallsOfAShare) {
  CounterSet counters;
  MessageRing ring({.messages = 100'000, .waiting = 100'000, .per_second = 100}, counters);
  const auto second = [&](int64_t s, int calls) {
    for (int c = 0; c < calls; ++c)
      for (int m = 0; m < 5; ++m)
        ring.put(trace(sip("ACK sip:x SIP/2.0", std::to_string(s) + "-" + std::to_string(c)), s * 1000));
  };
  for (int64_t s = 0; s < 20; ++s) second(s, 200);
  ring.take();
  size_t whole = 0, torn = 0;
  for (int c = 0; c < 200; ++c) {
    const size_t n = ring.of("19-" + std::to_string(c)).size();
    whole += n == 5;
    torn += n > 0 && n < 5;
  }
  EXPECT_GT(whole, 0u);
  EXPECT_LE(whole, 30u);
  EXPECT_LE(torn, 1u);  // the one during which the share shrank
  // Quiet again: all are kept.
  for (int64_t s = 20; s < 40; ++s) second(s, 1);
  ring.take();
  EXPECT_EQ(ring.of("39-0").size(), 5u);
}

}  // namespace
}  // namespace tandem::ops
