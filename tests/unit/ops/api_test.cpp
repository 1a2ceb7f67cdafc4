// The REST API over a directory in memory: who may, what is refused, and the document that describes it.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>

#include "crypto/hash.h"
#include "fake_node.h"
#include "ops/byte_range.h"
#include "ops/api.h"
#include "store_memory/memory_directory.h"

namespace tandem::ops {
namespace {

namespace json = boost::json;

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    token("admin", "admin-token", "admin");
    token("read", "read-token", "read");
    port::ApiTokenRow old;
    old.name = "old";
    old.sha256 = std::string(crypto::hash_hex(crypto::Hash::sha256, {"old-token"}).view());
    old.scopes = "admin";
    old.expires = WallTime{1};
    EXPECT_TRUE(directory.put_api_token(old).ok());
    api.emplace(
        ApiConfig{"1.2.3", "Tandem", {}}, directory, node, [this] { return now; }, counters,
        ApiParts{directory, rng, &directory, &directory, [this] { ++channels_changed; }});
    EXPECT_EQ(ask("PUT", "/api/v1/domains/example.com", "{}").status, 201);
  }
  void token(const char* name, const char* secret, const char* scope) {
    port::ApiTokenRow row;
    row.name = name;
    row.sha256 = std::string(crypto::hash_hex(crypto::Hash::sha256, {secret}).view());
    row.scopes = scope;
    EXPECT_TRUE(directory.put_api_token(row).ok());
  }
  port::HttpResponse ask(std::string method, std::string target, std::string body = {},
                         const std::string& bearer = "admin-token", const char* peer = "192.0.2.9:40000") {
    port::HttpRequest r;
    r.method = std::move(method);
    r.target = std::move(target);
    r.body = std::move(body);
    r.peer = *SocketAddress::parse(peer);
    r.secure = true;
    if (!bearer.empty()) r.headers.emplace_back("Authorization", "Bearer " + bearer);
    std::optional<port::HttpResponse> got;
    api->handle(r, [&](port::HttpResponse response) { got = std::move(response); });
    EXPECT_TRUE(got) << "no answer";
    return got.value_or(port::HttpResponse{});
  }
  static std::string kind(const port::HttpResponse& r) {
    return std::string(json::parse(r.body).at("error").at("kind").as_string());
  }

  WallTime now{1'000'000'000'000};
  store_memory::MemoryDirectory directory;
  FakeNode node;
  CounterSet counters;
  SeededRng rng{1};
  int channels_changed = 0;
  std::optional<Api> api;
};

TEST_F(ApiTest, HealthNeedsNobodysToken) {
  EXPECT_EQ(ask("GET", "/healthz", "", "").status, 200);
  EXPECT_EQ(ask("GET", "/readyz", "", "").status, 200);
  node.drains = true;
  const auto r = ask("GET", "/readyz", "", "");
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.body, "draining\n");
}

TEST_F(ApiTest, EverythingElseNeedsAToken) {
  for (const char* bearer : {"", "wrong", "old-token", "admin-token-", "admin-toke"}) {
    const auto r = ask("GET", "/api/v1/subscribers", "", bearer);
    EXPECT_EQ(r.status, 401) << bearer;
    EXPECT_EQ(kind(r), "unauthorized");
  }
  EXPECT_EQ(counters.total("api_unauthorized_total"), 5U);
  EXPECT_EQ(ask("GET", "/api/v1/subscribers", "", "read-token").status, 200);
}

TEST_F(ApiTest, RecordingsOfADay) {
  const auto found = json::parse(ask("GET", "/api/v1/recordings?day=2026-11-25", "", "read-token").body);
  ASSERT_EQ(found.at("items").as_array().size(), 1u);
  EXPECT_EQ(found.at("items").at(0).at("name").as_string(), "2026-11-25/142233-a.wav");
  EXPECT_EQ(found.at("items").at(0).at("bytes").as_int64(), 4000);
  EXPECT_EQ(ask("GET", "/api/v1/recordings?day=..", "", "read-token").status, 400);
  EXPECT_EQ(ask("GET", "/api/v1/recordings", "", "read-token").status, 400);
  const std::string path = "/api/v1/recordings/2026-11-25/";
  EXPECT_EQ(ask("GET", path + "142233-a.wav", "", "read-token").status, 403);
  EXPECT_EQ(ask("DELETE", path + "142233-a.wav", "", "admin-token").status, 204);
  EXPECT_EQ(ask("DELETE", path + "142233-b.wav", "", "admin-token").status, 404);
  EXPECT_EQ(ask("DELETE", path + "142240-b.wav.part", "", "admin-token").status, 404);
  EXPECT_EQ(ask("DELETE", "/api/v1/recordings/..%2F2026/x.wav", "", "admin-token").status, 404);
}

TEST_F(ApiTest, LiveConferences) {
  const auto found = json::parse(ask("GET", "/api/v1/conference-status", "", "read-token").body);
  const auto& c = found.at("items").at(0);
  EXPECT_TRUE(c.at("lecture").as_bool());
  EXPECT_EQ(c.at("members").at(0).at("call").as_string(), "7");
  EXPECT_EQ(c.at("members").at(0).at("level").as_int64(), 20);
  const auto change = [&](const char* method, const char* path, const char* body) {
    return ask(method, std::string("/api/v1/conferences/example.org/") + path, body, "admin-token").status;
  };
  EXPECT_EQ(change("POST", "800/status", R"({"locked": true})"), 204);
  EXPECT_EQ(change("POST", "800/members/7", R"({"muted": true})"), 204);
  EXPECT_EQ(change("DELETE", "800/members/7", ""), 204);
  ASSERT_EQ(node.changes.size(), 3u);
  EXPECT_EQ(node.changes[0].locked, true);
  EXPECT_FALSE(node.changes[0].lecture.has_value());
  EXPECT_EQ(node.changes[1].muted, true);
  EXPECT_EQ(node.changes[1].call, 7u);
  EXPECT_TRUE(node.changes[2].remove);
  EXPECT_EQ(change("POST", "801/status", R"({"locked": true})"), 404);
  EXPECT_EQ(change("POST", "800/status", R"({"locked": 1})"), 400);
  EXPECT_EQ(change("POST", "800/status", R"({"shut": true})"), 400);
  EXPECT_EQ(change("POST", "800/status", "{}"), 400);
  EXPECT_EQ(change("DELETE", "800/members/none", ""), 404);
}

TEST_F(ApiTest, Turn) {
  const auto ask_for = [&](const char* body) {
    return ask("POST", "/api/v1/turn/credentials", body, "admin-token");
  };
  const auto made = json::parse(ask_for(R"({"user": "alice", "ttl": 600})").body);
  EXPECT_EQ(made.at("username").as_string(), "1:alice");
  EXPECT_EQ(made.at("ttl").as_int64(), 600);
  EXPECT_EQ(made.at("uris").at(0).as_string(), "turn:192.0.2.1:3478");
  EXPECT_EQ(ask_for("{}").status, 200);
  for (const char* bad : {R"({"ttl": 59})", R"({"ttl": 2592001})", R"({"ttl": "600"})", R"({"user": 7})",
                          R"({"user": "a\nb"})", R"({"name": "x"})", "[]"})
    EXPECT_EQ(ask_for(bad).status, 400) << bad;
  EXPECT_EQ(ask("POST", "/api/v1/turn/credentials", "{}", "read-token").status, 403)
      << "they are worth a password";
  const auto list = json::parse(ask("GET", "/api/v1/turn/allocations", "", "read-token").body);
  EXPECT_EQ(list.at("items").at(0).at("client").as_string(), "192.0.2.7:4000");
  EXPECT_EQ(list.at("items").at(0).at("relays").at(0).as_string(), "192.0.2.1:50000");
  node.has_turn = false;
  EXPECT_EQ(ask_for("{}").status, 404);
}

TEST_F(ApiTest, RecordingOfACall) {
  const auto record = [&](const char* body, const char* id = "7") {
    return ask("POST", (std::string("/api/v1/calls/") + id + "/recording").c_str(), body, "admin-token")
        .status;
  };
  EXPECT_EQ(record(R"({"action": "start"})"), 204);
  EXPECT_EQ(record(R"({"action": "start", "announce": false})"), 204);
  EXPECT_EQ(record(R"({"action": "pause"})", "8"), 404);
  EXPECT_EQ(node.recorded, (std::vector<std::string>{"start announced", "start", "pause announced"}));
  node.recording_done = call::RecordingDone::forbidden;
  EXPECT_EQ(record(R"({"action": "start"})"), 403);
  node.recording_done = call::RecordingDone::not_recorded;
  EXPECT_EQ(record(R"({"action": "stop"})"), 409);
  node.recording_done = call::RecordingDone::failed;
  EXPECT_EQ(record(R"({"action": "start"})"), 503);
}

TEST_F(ApiTest, GuessingTokensIsLimitedBySource) {
  const auto status = [&](const char* bearer, const char* peer) {
    return ask("GET", "/api/v1/subscribers", "", bearer, peer).status;
  };
  for (int i = 0; i < 20; ++i) EXPECT_EQ(status("", "192.0.2.9:1"), 401);  // no token is no guess
  for (int i = 0; i < 10; ++i) EXPECT_EQ(status("wrong", "192.0.2.9:1"), 401);
  now = {now.ns + 20'000'000'000};
  const auto limited = ask("GET", "/api/v1/subscribers", "", "wrong", "192.0.2.9:2");
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(kind(limited), "limit");
  ASSERT_FALSE(limited.headers.empty());
  EXPECT_EQ(limited.headers[0], (std::pair<std::string, std::string>{"Retry-After", "40"}));
  EXPECT_EQ(status("admin-token", "192.0.2.9:1"), 429);  // the answer would tell a guesser
  EXPECT_EQ(status("admin-token", "192.0.2.10:1"), 200);
  EXPECT_EQ(ask("GET", "/healthz", "", "wrong", "192.0.2.9:1").status, 200);
  EXPECT_EQ(counters.total("api_guesses_limited_total"), 2U);
  now = {now.ns + 40'000'000'000};
  EXPECT_EQ(status("admin-token", "192.0.2.9:1"), 200);
  // A neighbour in the same /64 is the same source.
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(status("wrong", ("[2001:db8::" + std::to_string(i) + "]:1").c_str()), 401);
  EXPECT_EQ(status("wrong", "[2001:db8::ffff]:1"), 429);
  EXPECT_EQ(status("wrong", "[2001:db8:0:1::1]:1"), 401);
}

TEST_F(ApiTest, MetricsAreOpenToTheMachineItselfOnly) {
  EXPECT_EQ(ask("GET", "/metrics", "", "").status, 401);
  EXPECT_EQ(ask("GET", "/metrics", "", "read-token").status, 200);
  EXPECT_EQ(ask("GET", "/metrics", "", "", "127.0.0.1:1234").body, "tandem_up 1\n");
  EXPECT_EQ(ask("GET", "/metrics", "", "", "[::1]:1234").status, 200);
  EXPECT_EQ(ask("GET", "/api/v1/subscribers", "", "", "127.0.0.1:1234").status, 401);
}

TEST_F(ApiTest, AReadTokenReads) {
  const auto r = ask("POST", "/api/v1/drain", "", "read-token");
  EXPECT_EQ(r.status, 403);
  EXPECT_FALSE(node.drains);
  EXPECT_EQ(ask("POST", "/api/v1/drain").status, 204);
  EXPECT_TRUE(node.drains);
}

TEST_F(ApiTest, ATokenThatWasRemovedIsRefusedAfterAReload) {
  EXPECT_TRUE(directory.remove_api_token("read").ok());
  api->reload_tokens();
  EXPECT_EQ(ask("GET", "/api/v1/subscribers", "", "read-token").status, 401);
  directory.fail_with(port::StoreError::Kind::unavailable);
  api->reload_tokens();  // the database is away: what is known stays good
  directory.fail_with(std::nullopt);
  EXPECT_EQ(ask("GET", "/api/v1/subscribers").status, 200);
}

TEST_F(ApiTest, ASubscriberIsMadeShownChangedAndRemoved) {
  const auto made = ask("PUT", "/api/v1/subscribers/example.com/1001",
                        R"({"password": "hunter22", "display_name": "Front"})");
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body.find("hunter22"), std::string::npos);
  EXPECT_EQ(ask("PUT", "/api/v1/subscribers/example.com/1001", R"({"max_calls": 2})").status, 200);
  const auto row = json::parse(ask("GET", "/api/v1/subscribers/example.com/1001").body);
  EXPECT_EQ(row.at("display_name").as_string(), "Front");
  EXPECT_EQ(row.at("max_calls").to_number<int>(), 2);
  EXPECT_FALSE(node.changed.empty());
  EXPECT_EQ(node.changed.back(), (port::AddressOfRecord{"1001", "example.com"}));
  EXPECT_EQ(ask("DELETE", "/api/v1/subscribers/example.com/1001").status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/subscribers/example.com/1001").status, 404);
}

TEST_F(ApiTest, APlanRowReachesTheWorkers) {
  const int before = node.plans;
  EXPECT_EQ(ask("POST", "/api/v1/routes", R"({"pattern": "9XX", "action": "reject", "status": 403})").status,
            201);
  EXPECT_EQ(node.plans, before + 1);
}

TEST_F(ApiTest, BadRequestsAreToldWhatIsWrong) {
  EXPECT_EQ(ask("GET", "/api/v1/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/elsewhere").status, 404);
  EXPECT_EQ(ask("GET", "/api/v1/cdrs?colour=red").status, 400);
  EXPECT_EQ(ask("GET", "/api/v1/cdrs?limit=0").status, 400);
  EXPECT_EQ(ask("GET", "/api/v1/cdrs?from=yesterday").status, 400);
  EXPECT_EQ(ask("PUT", "/api/v1/subscribers/example.com/1001", "{").status, 400);
  EXPECT_EQ(ask("PUT", "/api/v1/subscribers/example.com/1001").status, 400);
  EXPECT_GE(ask("PUT", "/api/v1/subscribers/example.com/1001", R"({"colour": 1})").status, 400);
  EXPECT_EQ(ask("PUT", "/api/v1/subscribers/example.com/1001", std::string(100'000, '[')).status, 400);
  EXPECT_EQ(ask("GET", "/api/v1/cdrs?party=%zz%").status, 200);  // a broken escape is text
}

/// RFC 9110 section 9.3.2. What is sent of the answer is the server's business.
TEST_F(ApiTest, HeadIsAnsweredAsGet) {
  for (const char* target : {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json", "/api/v1/domains",
                             "/api/v1/domains/example.com", "/api/v1/domains/none", "/api/v1/none",
                             "/api/v1/cdrs?format=csv", "/api/v1/domains?colour=red"}) {
    const auto get = ask("GET", target), head = ask("HEAD", target);
    EXPECT_EQ(head.status, get.status) << target;
    EXPECT_EQ(head.body, get.body) << target;
    EXPECT_EQ(head.content_type, get.content_type) << target;
  }
  EXPECT_EQ(ask("HEAD", "/api/v1/domains", "", "").status, 401);
}

TEST_F(ApiTest, AMethodThatIsNotThereIsToldWhichAre) {
  const auto allowed = [&](const char* method, const char* target) {
    const auto r = ask(method, target);
    EXPECT_EQ(r.status, 405) << method << ' ' << target;
    EXPECT_EQ(kind(r), "method_not_allowed");
    for (const auto& [name, value] : r.headers)
      if (name == "Allow") return value;
    return std::string("no Allow");
  };
  EXPECT_EQ(allowed("PATCH", "/api/v1/subscribers/example.com/1001"), "GET, HEAD, PUT, DELETE");
  EXPECT_EQ(allowed("DELETE", "/api/v1/domains"), "GET, HEAD, POST");
  EXPECT_EQ(allowed("HEAD", "/api/v1/reload"), "POST");
  for (const char* page : {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"})
    EXPECT_EQ(allowed("POST", page), "GET, HEAD") << page;
}

/// Every operation that takes a body tells where it is wrong.
TEST_F(ApiTest, ABadBodyIsToldWhere) {
  const auto where = [&](const char* method, const std::string& target, const std::string& body) {
    const auto r = ask(method, "/api/v1" + target, body);
    EXPECT_EQ(r.status, 400) << target << ' ' << body << ' ' << r.body;
    const auto error = json::parse(r.body).at("error").as_object();
    EXPECT_NE(std::string(error.at("message").as_string()).find("expected"), std::string::npos) << r.body;
    return std::string(error.at("path").as_string());
  };
  const std::string user = "/subscribers/example.com/1001";
  EXPECT_EQ(where("PUT", user, R"({"forwarding": {"busy": 5}})"), "forwarding.busy");
  EXPECT_EQ(where("PUT", user, R"({"forwarding": {"bussy": "5"}})"), "forwarding.bussy");
  EXPECT_EQ(where("PUT", user, R"({"call_class": "royal"})"), "call_class");
  EXPECT_EQ(where("PUT", user, R"({"password": "short"})"), "password");
  EXPECT_EQ(where("PUT", user, "[]"), "");
  EXPECT_EQ(where("PUT", "/trunks/a", R"({"sources": ["192.0.2.1", 2]})"), "sources[1]");
  EXPECT_EQ(where("POST", "/calls/1/transfer", R"({"leg": "one", "target": "1002"})"), "leg");
  EXPECT_EQ(where("POST", "/calls/1/transfer", R"({"leg": 0, "target": 7})"), "target");
  EXPECT_EQ(where("POST", "/calls/1/transfer", R"({"leg": 0, "target": "7", "x": 1})"), "x");
  EXPECT_EQ(where("POST", "/calls/1/transfer", "7"), "");
  EXPECT_EQ(where("POST", "/calls/7/recording", R"({"action": "begin"})"), "action");
  EXPECT_EQ(where("POST", "/calls/7/recording", R"({"action": "start", "announce": 1})"), "announce");
  EXPECT_EQ(where("POST", "/calls/7/recording", R"({"action": "start", "x": 1})"), "x");
  const auto document = json::parse(api->openapi());
  size_t seen = 0;
  for (const auto& [path, methods] : document.at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object())
      // What only a session may change is in console_test.cpp.
      if (operation.as_object().contains("requestBody") &&
          operation.at("x-scope").as_string() != "signed in" &&
          operation.at("x-scope").as_string() != "subscriber") {
        std::string target(path);
        for (size_t open; (open = target.find('{')) != std::string::npos;)
          target.replace(open, target.find('}') - open + 1, "7");
        std::string upper(method);
        for (char& c : upper) c = static_cast<char>(std::toupper(c));
        EXPECT_EQ(where(upper.c_str(), target.substr(7), R"({"no_such_member": 1})"), "no_such_member")
            << target;
        const auto broken = ask(upper, target, R"({"a": 1,})");
        EXPECT_EQ(broken.status, 400);
        EXPECT_NE(broken.body.find("not JSON: syntax error at byte 8"), std::string::npos) << broken.body;
        ++seen;
      }
  EXPECT_GE(seen, 17U);
}

TEST_F(ApiTest, SoundsArePlayedToThoseWhoTalk) {
  const auto play = [&](const char* body, const char* id = "7") {
    return ask("POST", std::string("/api/v1/calls/") + id + "/play", body).status;
  };
  EXPECT_EQ(
      play(
          R"({"sounds": [{"prompt": "recorded", "language": "ko"}, {"file": "a/b.wav"}], "legs": [2], "rounds": 0})"),
      204);
  ASSERT_EQ(node.played.size(), 1U);
  EXPECT_EQ(node.played[0].sounds.at(0).prompt, "recorded");
  EXPECT_EQ(node.played[0].sounds.at(0).language, "ko");
  EXPECT_EQ(node.played[0].sounds.at(1).file, (port::SoundFile{port::SoundPlace::sounds, "a/b.wav"}));
  EXPECT_EQ(node.played[0].legs, std::vector<uint16_t>{2});
  EXPECT_EQ(node.played[0].rounds, 0U);
  EXPECT_EQ(play(R"({"sounds": [{"file": "a.wav"}]})", "8"), 404);
  EXPECT_EQ(node.played.at(1).rounds, 1U);
  for (const char* wrong :
       {R"({})", R"({"sounds": []})", R"({"sounds": [7]})", R"({"sounds": [{}]})",
        R"({"sounds": [{"prompt": "a", "file": "b.wav"}]})", R"({"sounds": [{"file": "../b.wav"}]})",
        R"({"sounds": [{"prompt": 1}]})", R"({"sounds": [{"x": "a"}]})",
        R"({"sounds": [{"prompt": "a"}], "legs": []})", R"({"sounds": [{"prompt": "a"}], "legs": [0]})",
        R"({"sounds": [{"prompt": "a"}], "rounds": -1})"})
    EXPECT_EQ(play(wrong), 400) << wrong;
  EXPECT_EQ(node.played.size(), 2U);
  for (const auto& [done, status] : {std::pair{call::PlayDone::no_leg, 409},
                                     {call::PlayDone::no_prompt, 400},
                                     {call::PlayDone::not_talking, 409},
                                     {call::PlayDone::held, 409},
                                     {call::PlayDone::failed, 503}}) {
    node.play_done = done;
    EXPECT_EQ(play(R"({"sounds": [{"prompt": "a"}]})"), status);
  }
  node.play_done = call::PlayDone::done;
  EXPECT_EQ(ask("DELETE", "/api/v1/calls/7/play").status, 204);
  EXPECT_TRUE(node.played.back().sounds.empty());
  EXPECT_EQ(ask("POST", "/api/v1/calls/7/play", R"({"sounds": [{"prompt": "a"}]})", "read-token").status,
            403);
}

TEST_F(ApiTest, ChannelsAndAccessKeysAreRows) {
  EXPECT_EQ(ask("PUT", "/api/v1/channels/door", R"({"max_viewers": 3})").status, 201);
  EXPECT_EQ(ask("PUT", "/api/v1/channels/door", R"({"message_ttl_seconds": 30})").status, 200);
  const auto door = json::parse(ask("GET", "/api/v1/channels/door").body);
  EXPECT_EQ(door.at("max_viewers"), 3);
  EXPECT_EQ(door.at("message_ttl_seconds"), 30);
  EXPECT_EQ(door.at("version").to_number<int>(), directory.channels()->at(0).version);
  EXPECT_EQ(ask("PUT", "/api/v1/channels/a%20b", "{}").status, 422);
  EXPECT_EQ(ask("PUT", "/api/v1/channels/door", R"({"max_viewers": 0})").status, 422);
  const auto made = ask("POST", "/api/v1/access-keys", R"({"viewer": true, "channels": ["door"]})");
  EXPECT_EQ(made.status, 201);
  const std::string id(json::parse(made.body).at("id").as_string());
  const std::string secret(json::parse(made.body).at("secret").as_string());
  EXPECT_EQ(directory.access_keys()->at(0).secret, secret);
  EXPECT_EQ(ask("PUT", "/api/v1/access-keys/" + id, R"({"enabled": false})").status, 200);
  const auto listed = ask("GET", "/api/v1/access-keys");
  EXPECT_EQ(listed.body.find(secret), std::string::npos) << "told once";
  EXPECT_FALSE(json::parse(listed.body).at("items").at(0).at("enabled").as_bool());
  EXPECT_TRUE(directory.access_keys()->at(0).viewer) << "what is left out stays";
  EXPECT_EQ(ask("GET", "/api/v1/access-keys", "", "read-token").status, 403);
  EXPECT_EQ(channels_changed, 4);
  EXPECT_EQ(ask("DELETE", "/api/v1/access-keys/" + id).status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/access-keys/" + id).status, 404);
  EXPECT_EQ(ask("DELETE", "/api/v1/channels/door").status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/channels/door").status, 404);
  EXPECT_EQ(channels_changed, 6);
}

TEST_F(ApiTest, AnAbsentDatabaseIsAnAnswer) {
  directory.fail_with(port::StoreError::Kind::unavailable);
  EXPECT_EQ(ask("GET", "/api/v1/subscribers").status, 503);
  directory.fail_with(port::StoreError::Kind::full);
  EXPECT_EQ(ask("PUT", "/api/v1/domains/b.example", "{}").status, 507);
  EXPECT_EQ(ask("GET", "/healthz").status, 200);
}

TEST_F(ApiTest, RecordsAsCsvHarmNoSpreadsheet) {
  port::Cdr cdr;
  cdr.key = {1, 2, 3, 0};
  cdr.setup = {1'795'435'200'000'000'000};
  cdr.caller.party.user = "=HYPERLINK(\"x\")";
  cdr.caller.party.domain = "example.org";
  cdr.callee.party.user = "+49301234567";
  cdr.dialled = "a,\"b\"";
  cdr.sip_status = 200;
  const std::vector<port::Cdr> one{cdr};
  ASSERT_TRUE(directory.insert_cdrs(one).ok());
  const auto r = ask("GET", "/api/v1/cdrs?format=csv");
  EXPECT_EQ(r.content_type, "text/csv; charset=utf-8");
  EXPECT_NE(r.body.find("\r\n1,2,3,0,internal,2026-11-23T12:00:00.000Z,"), std::string::npos) << r.body;
  EXPECT_NE(r.body.find(",,\"'=HYPERLINK(\"\"x\"\")\",example.org,"), std::string::npos) << r.body;
  EXPECT_NE(r.body.find(",+49301234567,"), std::string::npos) << r.body;
  EXPECT_NE(r.body.find(",\"a,\"\"b\"\"\",200,"), std::string::npos) << r.body;
  const auto page = json::parse(ask("GET", "/api/v1/cdrs").body);
  EXPECT_EQ(page.at("items").as_array().size(), 1U);
}

/// GET /route: the answer the call would get.
class ExplainTest : public ApiTest {
 protected:
  ExplainTest() {
    for (const char* user : {"1001", "1002", "1003", "1004"}) set(user, R"({"password": "hunter22"})");
  }
  void set(const std::string& user, const std::string& members) {
    EXPECT_LT(ask("PUT", "/api/v1/subscribers/example.com/" + user, members).status, 300) << members;
  }
  /// "status action"
  std::string explain(const std::string& to, const std::string& from = "from=1001%40example.com") {
    const auto r = ask("GET", "/api/v1/route?" + from + "&to=" + to);
    if (r.status != 200) return r.body;
    const json::value all = json::parse(r.body);
    why.clear();
    for (const json::value& line : all.at("why").as_array()) why += std::string(line.as_string()) + "\n";
    return std::to_string(all.at("status").to_number<int>()) + " " +
           std::string(all.at("action").as_string());
  }
  bool says(std::string_view line) const { return why.find(std::string(line) + "\n") != std::string::npos; }

  std::string why;
};

TEST_F(ExplainTest, NobodyHasTheNumber) {
  EXPECT_EQ(explain("2999"), "404 refused with 404 (cause 1): no such subscriber (2999@example.com)");
  EXPECT_TRUE(says("no such subscriber: 2999@example.com")) << why;
  set("1002", R"({"enabled": false})");
  node.registered["1002"] = 1;
  EXPECT_EQ(explain("1002"),
            "404 refused with 404 (cause 1): the subscriber is switched off (1002@example.com)");
}

TEST_F(ExplainTest, OnlyWhoIsRegisteredRings) {
  EXPECT_EQ(explain("1002"), "480 refused with 480 (cause 20): not registered (1002@example.com)");
  EXPECT_TRUE(says("1002@example.com is not registered")) << why;
  node.registered["1002"] = 2;
  set("1002", R"({"forwarding": {"busy": "1003", "no_answer": "1004", "no_answer_seconds": 15}})");
  EXPECT_EQ(explain("1002"), "0 extension 1002@example.com");
  EXPECT_TRUE(says("1002@example.com is registered with 2 contacts")) << why;
  EXPECT_TRUE(says("1002@example.com forwards to 1003 when busy")) << why;
  EXPECT_TRUE(says("1002@example.com forwards to 1004 after 15 s without answer")) << why;
}

TEST_F(ExplainTest, DoNotDisturbDecidesBeforeRegistration) {
  node.registered["1002"] = 1;
  set("1002", R"({"do_not_disturb": true})");
  EXPECT_EQ(explain("1002"), "486 refused with 486 (cause 17): do not disturb (1002@example.com)");
  EXPECT_TRUE(says("1002@example.com does not want to be disturbed")) << why;
  set("1002", R"({"forwarding": {"busy": "1003"}})");
  node.registered["1003"] = 1;
  EXPECT_EQ(explain("1002"), "0 extension 1003@example.com");
  EXPECT_TRUE(says("1002@example.com forwards when busy to 1003")) << why;
}

TEST_F(ExplainTest, ForwardingIsFollowed) {
  set("1002", R"({"do_not_disturb": true, "forwarding": {"always": "1003"}})");
  set("1003", R"({"forwarding": {"unreachable": "1004"}})");
  EXPECT_EQ(explain("1002"), "480 refused with 480 (cause 20): not registered (1004@example.com)");
  EXPECT_TRUE(says("1003@example.com forwards when unreachable to 1004")) << why;
  node.registered["1004"] = 1;
  EXPECT_EQ(explain("1002"), "0 extension 1004@example.com");
  node.registered["1003"] = 1;
  EXPECT_EQ(explain("1002"), "0 extension 1003@example.com");
  EXPECT_EQ(why.find("1004"), std::string::npos) << why;
  // Around: the call does not go there a second time, and the last one counts.
  node.registered.clear();
  set("1003", R"({"forwarding": {"always": "1002", "unreachable": ""}})");
  EXPECT_EQ(explain("1002"), "480 refused with 480 (cause 20): not registered (1003@example.com)");
  EXPECT_TRUE(says("but the call has been there: it does not go in circles")) << why;
  // The forwarder must be allowed to dial it.
  set("1002", R"({"forwarding": {"always": "sip:a@elsewhere.example"}})");
  EXPECT_EQ(explain("1002"), "403 refused with 403 (cause 57): calls to other domains are not allowed");
}

TEST_F(ExplainTest, DiversionsHaveAnEnd) {
  for (int i = 0; i < 8; ++i)
    set("20" + std::to_string(i),
        R"({"password": "hunter22", "forwarding": {"always": "20)" + std::to_string(i + 1) + "\"}}");
  EXPECT_EQ(explain("200"), "480 refused with 480 (cause 20): not registered (205@example.com)");
  EXPECT_TRUE(says("but a call is diverted 5 times at most")) << why;
}

TEST_F(ExplainTest, GroupsCatchAllsAndOverflow) {
  port::PlanRows rows;
  port::DomainRow domain;
  domain.name = "example.com";
  rows.domains = {domain};
  port::TrunkRow trunk;
  trunk.name = "carrier";
  trunk.host = "192.0.2.1";
  trunk.domain = "example.com";
  rows.trunks = {trunk};
  port::RouteRow all;
  all.id = 1;
  all.domain = "example.com";
  all.pattern = "X.";
  all.action = port::RouteRow::Action::trunk;
  all.targets = {"carrier"};
  all.call_class = port::CallClass::internal;
  rows.routes = {all};
  port::RingGroupRow group;
  group.domain = "example.com";
  group.name = "sales";
  group.otherwise = "1004";
  rows.ring_groups = {group};
  for (uint32_t i = 0; i < 2; ++i)
    rows.ring_group_members.push_back({"example.com", "sales", i, i == 0 ? "1002" : "1003", 0, 0});
  node.plan = route::Plan::compile(rows);
  ASSERT_TRUE(node.plan->errors().empty()) << node.plan->errors().front().text;
  set("1001", R"({"call_class": "international"})");

  EXPECT_EQ(explain("2999"), "0 trunk carrier as 2999");
  EXPECT_TRUE(says("no subscriber 2999@example.com: the route is taken")) << why;
  EXPECT_EQ(explain("1002"), "480 refused with 480 (cause 20): not registered (1002@example.com)");

  set("1002", R"({"do_not_disturb": true, "forwarding": {"always": "1001"}})");
  node.registered["1003"] = 1;
  EXPECT_EQ(explain("sales"), "0 ring group sales of 2 phones");
  EXPECT_TRUE(says("1002@example.com does not want to be disturbed")) << why;
  node.registered.clear();
  node.registered["1004"] = 1;
  EXPECT_EQ(explain("sales"), "0 extension 1004@example.com");
  EXPECT_TRUE(says("then it goes on to 1004")) << why;
  node.registered.clear();
  EXPECT_EQ(explain("sales"), "480 refused with 480 (cause 20): not registered (1004@example.com)");

  // A trunk's call is in its domain.
  EXPECT_EQ(ask("PUT", "/api/v1/trunks/carrier", R"({"domain": "example.com", "host": "192.0.2.1"})").status,
            201);
  node.registered["1003"] = 1;
  EXPECT_EQ(explain("1003", "from=0301&trunk=carrier"), "0 extension 1003@example.com");
}

TEST_F(ExplainTest, AMailboxTakesWhatNobodyAnswers) {
  EXPECT_EQ(ask("PUT", "/api/v1/mailboxes/example.com/1002", "{}").status, 201);
  EXPECT_EQ(explain("1002"), "0 a message for mailbox 1002@example.com");
  EXPECT_TRUE(says("refused with 480 (cause 20): not registered (1002@example.com)")) << why;
  set("1002", R"({"do_not_disturb": true})");
  EXPECT_EQ(explain("1002"), "0 a message for mailbox 1002@example.com");
  set("1002", R"({"do_not_disturb": false, "forwarding": {"unreachable": "1003"}})");
  EXPECT_EQ(explain("1002"), "480 refused with 480 (cause 20): not registered (1003@example.com)")
      << "who was forwarded to has no mailbox";
  node.registered["1002"] = 1;
  EXPECT_EQ(explain("1002"), "0 extension 1002@example.com");
  EXPECT_TRUE(
      says("the mailbox of 1002@example.com takes a message when nobody answers and no forwarding does"))
      << why;
  node.registered.clear();
  set("1002", R"({"forwarding": {"unreachable": ""}})");
  EXPECT_EQ(ask("PUT", "/api/v1/mailboxes/example.com/1002", R"({"unanswered": false})").status, 200);
  EXPECT_EQ(explain("1002"), "480 refused with 480 (cause 20): not registered (1002@example.com)");
}

TEST_F(ExplainTest, WhoCallsIsLookedUpToo) {
  EXPECT_NE(explain("1002", "from=nobody%40example.com").find("no such subscriber: nobody@example.com"),
            std::string::npos);
  EXPECT_NE(explain("1002", "from=1001").find("expected user@domain"), std::string::npos);
  EXPECT_EQ(ask("PUT", "/api/v1/domains/example.com", R"({"aliases": ["sip.example.com"]})").status, 200);
  EXPECT_EQ(explain("1002", "from=1001%40SIP.example.com"),
            "480 refused with 480 (cause 20): not registered (1002@example.com)");
  set("1001", R"({"enabled": false})");
  EXPECT_EQ(explain("1002"), "403 refused with 403 (cause 21): the caller is switched off");
  directory.fail_with(port::StoreError::Kind::unavailable);
  EXPECT_EQ(ask("GET", "/api/v1/route?from=1001%40example.com&to=1002").status, 503);
}

// ---- menus, mailboxes, conferences

TEST_F(ApiTest, ServicesAreRowsLikeOthers) {
  EXPECT_EQ(ask("PUT", "/api/v1/menus/example.com/800", R"({"greeting": ["hours.wav"]})").status, 201);
  EXPECT_EQ(ask("PUT", "/api/v1/menu-choices/example.com/800/1", R"({"keys": "1", "target": "1002"})").status,
            201);
  EXPECT_EQ(ask("PUT", "/api/v1/menu-choices/example.com/801/1", R"({"keys": "1"})").status, 409);
  EXPECT_EQ(ask("PUT", "/api/v1/menu-choices/example.com/800/x", R"({"keys": "1"})").status, 404);
  EXPECT_EQ(ask("PUT", "/api/v1/conferences/example.com/900", R"({"pin": "1234"})").status, 201);
  EXPECT_EQ(ask("PUT", "/api/v1/conferences/example.com/900", R"({"wait": true})").status, 422);
  EXPECT_EQ(node.plans, 4);
  EXPECT_EQ(ask("GET", "/api/v1/conferences/example.com/900").body.find("1234"), std::string::npos);
  EXPECT_EQ(ask("DELETE", "/api/v1/menus/example.com/800").status, 204);
  EXPECT_EQ(ask("GET", "/api/v1/menu-choices/example.com/800/1").status, 404);
}

class MailboxApi : public ApiTest {
 protected:
  MailboxApi() {
    EXPECT_EQ(ask("PUT", "/api/v1/mailboxes/example.com/1001", R"({"pin": "4711"})").status, 201);
    port::Voicemail m;
    m.mailbox = {"1001", "example.com"};
    m.from = "+4930123";
    m.received = now;
    m.length = seconds(9);
    m.file = "example.com/1001/a.wav";
    first = *directory.save_voicemail(m, 100);
    m.file = "example.com/1001/b.wav";
    second = *directory.save_voicemail(m, 100);
    node.files[m.file] = std::string("RIFF\0\xff", 6);
  }
  static std::string item(uint64_t id) {
    return "/api/v1/mailboxes/example.com/1001/messages/" + std::to_string(id);
  }
  uint64_t first = 0, second = 0;
};

TEST_F(MailboxApi, MessagesAreListedMarkedAndRemoved) {
  const auto list = json::parse(ask("GET", "/api/v1/mailboxes/example.com/1001/messages").body);
  ASSERT_EQ(list.at("items").as_array().size(), 2U);
  EXPECT_EQ(list.at("items").at(0).at("from").as_string(), "+4930123");
  EXPECT_EQ(list.at("items").at(0).at("length_ms").to_number<int>(), 9000);
  EXPECT_EQ(ask("GET", "/api/v1/mailboxes/example.com/1002/messages").status, 404);

  EXPECT_EQ(ask("PUT", item(first), R"({"heard": true})").status, 200);
  EXPECT_TRUE(directory.voicemails({"1001", "example.com"})->at(0).heard);
  EXPECT_EQ(node.mailboxes.size(), 1U) << "the lamp is told";
  EXPECT_EQ(ask("PUT", item(first), R"({"heard": 1})").status, 400);
  EXPECT_EQ(ask("PUT", item(99), R"({"heard": true})").status, 404);
  EXPECT_EQ(node.mailboxes.size(), 1U);

  EXPECT_EQ(ask("DELETE", item(first)).status, 204);
  EXPECT_EQ(node.removed, std::vector<std::string>{"example.com/1001/a.wav"});
  EXPECT_EQ(node.mailboxes.size(), 2U);
  EXPECT_EQ(ask("DELETE", item(first)).status, 404);
  EXPECT_EQ(ask("GET", item(second)).status, 200);
}

TEST_F(MailboxApi, TheSoundIsNotForWhoMayOnlyRead) {
  const auto heard = ask("GET", item(second) + "/sound");
  EXPECT_EQ(heard.status, 200);
  EXPECT_EQ(heard.content_type, "audio/wav");
  EXPECT_EQ(heard.body, node.files.at("example.com/1001/b.wav"));
  EXPECT_EQ(ask("GET", item(first) + "/sound").status, 404) << "its file is gone";
  EXPECT_EQ(ask("GET", item(second) + "/sound", "", "read-token").status, 403);
  EXPECT_EQ(ask("DELETE", item(second), "", "read-token").status, 403);
}

TEST_F(MailboxApi, AMailboxTakesItsMessagesAndTheirFilesWithIt) {
  EXPECT_EQ(ask("DELETE", "/api/v1/domains/example.com").status, 409);
  EXPECT_EQ(ask("DELETE", "/api/v1/mailboxes/example.com/1001").status, 204);
  EXPECT_EQ(node.removed, (std::vector<std::string>{"example.com/1001/a.wav", "example.com/1001/b.wav",
                                                    "example.com/1001/greeting.wav"}));
  EXPECT_EQ(node.mailboxes.size(), 1U);
  EXPECT_EQ(ask("DELETE", "/api/v1/domains/example.com").status, 204);
}

TEST_F(ApiTest, RecordsAsCsvSayWhatTheJsonSays) {
  port::Cdr cdr;
  cdr.key = {1, 2, 3, 4};
  cdr.caller.call_id = "a@phone";
  cdr.caller.party = {"1001", "example.org", "Ann", {}};
  cdr.caller.remote = *SocketAddress::parse("198.51.100.1:5060");
  cdr.caller.jitter_us = 1500;
  cdr.caller.mos_x100 = 431;
  cdr.caller.reported_lost = 4;
  cdr.caller.reported_jitter_us = 900;
  cdr.caller.reported_mos_x100 = 418;
  cdr.caller.round_trip_us = 20000;
  cdr.callee.call_id = "b@node";
  cdr.callee.party = {"1003", "example.net", "Bob", {}};
  cdr.callee.remote = *SocketAddress::parse("[2001:db8::3]:5061");
  cdr.callee.transport = port::Transport::tls;
  cdr.callee.jitter_us = 700;
  cdr.dialled = "1003";
  cdr.sip_status = 487;
  cdr.q850_cause = 26;
  cdr.transferred_by = "1002@example.org";
  cdr.forwarded_by = "1004@example.org";
  cdr.ordered_by = "console admin";
  cdr.private_caller = true;
  cdr.route = "internal";
  cdr.recordings = {"a.wav", "b.wav"};
  ASSERT_TRUE(directory.insert_cdrs(std::vector{cdr}).ok());
  const std::string body = ask("GET", "/api/v1/cdrs?format=csv").body;
  EXPECT_EQ(
      body,
      "node,epoch,call,pair,direction,setup,ring,answer,end,"
      "caller_call_id,caller_user,caller_domain,caller_display,caller_remote,caller_transport,"
      "caller_trunk,caller_codec,caller_user_agent,caller_packets_received,caller_octets_received,"
      "caller_packets_sent,caller_octets_sent,caller_packets_lost,caller_jitter_us,caller_mos_x100,"
      "caller_reported_lost,caller_reported_jitter_us,caller_reported_mos_x100,caller_round_trip_us,"
      "callee_call_id,callee_user,callee_domain,callee_display,callee_remote,callee_transport,"
      "callee_trunk,callee_codec,callee_user_agent,callee_packets_received,callee_octets_received,"
      "callee_packets_sent,callee_octets_sent,callee_packets_lost,callee_jitter_us,callee_mos_x100,"
      "callee_reported_lost,callee_reported_jitter_us,callee_reported_mos_x100,callee_round_trip_us,"
      "dialled,sip_status,q850_cause,release_side,transferred_by,forwarded_by,ordered_by,private_caller,"
      "recordings,route\r\n"
      "1,2,3,4,internal,,,,,"
      "a@phone,1001,example.org,Ann,198.51.100.1:5060,udp,,,,0,0,0,0,0,1500,431,4,900,418,20000,"
      "b@node,1003,example.net,Bob,[2001:db8::3]:5061,tls,,,,0,0,0,0,0,700,0,0,0,0,0,"
      "1003,487,26,system,1002@example.org,1004@example.org,console admin,true,a.wav b.wav,internal\r\n");
}

TEST(ByteRanges, AreReadOneAtATime) {
  const auto read = [](std::string_view header) -> std::pair<size_t, size_t> {
    const auto r = range_of(header, 1000);
    return r ? std::pair{r->first, r->count} : std::pair{size_t{7}, size_t{7777}};
  };
  using Range = std::pair<size_t, size_t>;
  const Range everything{7, 7777};
  EXPECT_EQ(read("bytes=0-1"), (Range{0, 2}));
  EXPECT_EQ(read("bytes=10-"), (Range{10, 990}));
  EXPECT_EQ(read("bytes=990-5000"), (Range{990, 10}));
  EXPECT_EQ(read("bytes=-100"), (Range{900, 100}));
  EXPECT_EQ(read("bytes=-5000"), (Range{0, 1000}));
  EXPECT_EQ(read("bytes=1000-"), (Range{1000, 0}));
  EXPECT_EQ(read("bytes=-0"), (Range{1000, 0}));
  for (const char* other : {"", "bytes=", "bytes=-", "bytes=5", "bytes=5-4", "bytes=a-b", "bytes=0-1,4-5",
                            "octets=0-1", "bytes=99999999999999999999-"})
    EXPECT_EQ(read(other), everything) << other;
}

/// The document and the dispatcher come from one table; still, ask what it promises.
TEST_F(ApiTest, EveryPathOfTheDocumentIsServed) {
  const auto document = json::parse(ask("GET", "/api/v1/openapi.json", "", "").body);
  EXPECT_EQ(document.at("openapi").as_string(), "3.1.0");
  std::set<std::string> ids;
  size_t operations = 0;
  for (const auto& path : document.at("paths").as_object()) {
    for (const auto& op : path.value().as_object()) {
      ++operations;
      EXPECT_TRUE(ids.insert(std::string(op.value().at("operationId").as_string())).second) << path.key();
      std::string target(path.key());
      for (size_t at = target.find('{'); at != std::string::npos; at = target.find('{'))
        target.replace(at, target.find('}', at) - at + 1, "1");
      std::string method(op.key());
      for (char& c : method) c = static_cast<char>(c - 'a' + 'A');
      const bool body = op.value().as_object().contains("requestBody");
      const auto r = ask(method, target, body ? "{}" : "");
      EXPECT_NE(r.status, 405) << method << " " << target;
      const bool unknown = r.status == 404 && r.body.find("no resource") != std::string::npos;
      EXPECT_FALSE(unknown) << method << " " << target;
    }
  }
  EXPECT_GE(operations, 40U);
  const std::string text = json::serialize(document);
  const json::object& schemas = document.at("components").at("schemas").as_object();
  for (size_t at = text.find("#/components/schemas/"); at != std::string::npos;
       at = text.find("#/components/schemas/", at + 1)) {
    const size_t from = at + std::string("#/components/schemas/").size();
    EXPECT_TRUE(schemas.contains(text.substr(from, text.find('"', from) - from)));
  }
}

}  // namespace
}  // namespace tandem::ops
