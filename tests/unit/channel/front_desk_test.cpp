// What signalling clients ask before they connect, who may ask it, and what refused ones are told.
#include "channel/front_desk.h"

#include <gmock/gmock.h>

#include "crypto/hash.h"
#include "store_memory/memory_directory.h"

namespace tandem::channel {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

constexpr std::string_view secret = "a-secret-of-40-characters-more-or-less--";
constexpr WallTime start{1'700'000'000'000'000'000};  // 2023-11-14T22:13:20Z

class Desk : public testing::Test {
 protected:
  Desk() {
    key("ADMINADMINADMIN1", true, true, true, {"*"});
    key("MASTERMASTERMAST", true, false, false, {"door"});
    key("VIEWERVIEWERVIEW", false, true, false, {"door", "gate-*"});
    port::ChannelRow row;
    row.created = start;
    for (const char* name : {"door", "gate-1", "hall"}) {
      row.name = name;
      (void)directory.put_channel(row, port::Directory::Put::create);
    }
  }
  void key(const std::string& id, bool leads, bool looks, bool rules, std::vector<std::string> channels,
           bool enabled = true) {
    port::AccessKeyRow row;
    row.id = id;
    row.secret = secret;
    row.master = leads;
    row.viewer = looks;
    row.admin = rules;
    row.enabled = enabled;
    row.channels = std::move(channels);
    ASSERT_TRUE(directory.put_access_key(row, port::Directory::Put::either).ok());
  }
  FrontDesk& desk() {
    if (!desk_) {
      FrontDeskConfig c = config;
      c.signature.region = "eu-central-1";
      c.signature.service = "kinesisvideo";
      FrontDeskParts parts;
      parts.ice = [this](const std::string&) { return servers; };
      parts.origin_allowed = [](const port::HttpRequest& r) {
        return r.header("Origin") == "https://a.example";
      };
      parts.ended = [this](const std::string& channel, const std::string& access_key) {
        ended.emplace_back(channel, access_key);
      };
      desk_ = std::make_unique<FrontDesk>(
          c, directory, [this] { return now; }, counters, std::move(parts));
    }
    return *desk_;
  }
  /// "20231114T221320Z" of these tests' few hours.
  std::string time() const {
    const int64_t s = (now.wall - start).count() / 1'000'000'000 + 13 * 60 + 20;
    const auto two = [](int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
    return "20231114T22" + two(s / 60) + two(s % 60) + "Z";
  }
  auth::SigV4Claims claims(const std::string& id) const {
    auth::SigV4Claims c;
    c.access_key = id;
    c.time = time();
    c.day = "20231114";
    c.region = "eu-central-1";
    c.service = "kinesisvideo";
    c.headers = {"host"};
    return c;
  }
  port::HttpRequest request(const std::string& id, std::string path, std::string body,
                            std::string_view with = secret) const {
    port::HttpRequest r;
    r.method = "POST";
    r.target = std::move(path);
    r.body = std::move(body);
    r.headers = {{"Host", "video.example:8443"}, {"X-Amz-Date", time()}};
    r.headers.emplace_back(
        "Authorization",
        "AWS4-HMAC-SHA256 Credential=" + id +
            "/20231114/eu-central-1/kinesisvideo/aws4_request, SignedHeaders=host, Signature=" +
            auth::sigv4_signature(r, claims(id), with));
    return r;
  }
  port::HttpRequest url(const std::string& id, const std::string& arn, const std::string& client,
                        std::string_view with = secret) const {
    port::HttpRequest r;
    r.method = "GET";
    std::string escaped;
    for (const char c : arn) c == ':' ? escaped += "%3A" : c == '/' ? escaped += "%2F" : escaped += c;
    r.target = "/channels?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-ChannelARN=" + escaped +
               (client.empty() ? "" : "&X-Amz-ClientId=" + client) + "&X-Amz-Credential=" + id +
               "%2F20231114%2Feu-central-1%2Fkinesisvideo%2Faws4_request&X-Amz-Date=" + time() +
               "&X-Amz-Expires=299&X-Amz-SignedHeaders=host";
    r.headers = {{"Host", "video.example:8443"}};
    r.target += "&X-Amz-Signature=" + auth::sigv4_signature(r, claims(id), with);
    return r;
  }
  std::string ask(const std::string& id, const std::string& path, const std::string& body) {
    return outcome(desk().answer(request(id, path, body)));
  }
  /// "200 body", or "403 AccessDeniedException".
  static std::string outcome(const port::HttpResponse& r) {
    for (const auto& [name, value] : r.headers)
      if (name == "x-amzn-ErrorType") return std::to_string(r.status) + " " + value;
    return std::to_string(r.status) + " " + r.body;
  }
  std::string come(const port::HttpRequest& r) {
    auto answer = desk().admit(r);
    if (const auto* no = std::get_if<port::HttpResponse>(&answer)) return outcome(*no);
    const auto& g = *std::get<std::shared_ptr<const port::ChannelGuest>>(answer);
    return g.channel + (g.master ? " master" : " " + g.client);
  }
  void wait(Duration d) {
    now.mono = now.mono + d;
    now.wall = now.wall + d;
  }
  uint64_t refused(const std::string& why) const {
    for (const auto& e : counters.entries())
      if (e.name == "channel_requests_refused_total" && e.labels == "reason=\"" + why + "\"")
        return e.counter.value();
    return 0;
  }

  const std::string admin = "ADMINADMINADMIN1", master = "MASTERMASTERMAST", viewer = "VIEWERVIEWERVIEW";
  static std::string arn(const std::string& name) {
    return "arn:aws:kinesisvideo:eu-central-1:000000000000:channel/" + name + "/1700000000000";
  }
  FrontDeskConfig config;
  store_memory::MemoryDirectory directory;
  CounterSet counters;
  Now now{{1'000'000'000}, start};
  std::vector<IceServer> servers;
  std::vector<std::pair<std::string, std::string>> ended;

 private:
  std::unique_ptr<FrontDesk> desk_;
};

TEST(Arn, IsReadAndWritten) {
  const std::string text = "arn:aws:kinesisvideo:us-west-2:123456789012:channel/a.b-c_d/1234567890";
  const auto arn = parse_arn(text);
  ASSERT_TRUE(arn);
  EXPECT_EQ(arn->name, "a.b-c_d");
  EXPECT_EQ(to_string(*arn), text);
  for (const char* bad :
       {"", "arn:aws:s3:us-west-2:1:channel/a/1", "arn:aws:kinesisvideo:us-west-2:1:stream/a/1",
        "arn:aws:kinesisvideo:us-west-2:1:channel/a", "arn:aws:kinesisvideo:us-west-2:1:channel/a/",
        "arn:aws:kinesisvideo:us-west-2:1:channel//1", "arn:aws:kinesisvideo::1:channel/a/1",
        "arn:aws:kinesisvideo:us-west-2:x:channel/a/1", "arn:aws:kinesisvideo:us-west-2:1:channel/a b/1",
        "arn:aws:kinesisvideo:us-west-2:1:channel/a/1/2",
        "arn:aws:kinesisvideo:us-west-2:1:channel/a/99999999999999999999"})
    EXPECT_FALSE(parse_arn(bad)) << bad;
}

TEST_F(Desk, DescribesAChannel) {
  const std::string info =
      R"(200 {"ChannelInfo":{"ChannelARN":"arn:aws:kinesisvideo:eu-central-1:000000000000:channel/door/1700000000000",)"
      R"("ChannelName":"door","ChannelStatus":"ACTIVE","ChannelType":"SINGLE_MASTER","CreationTime":1.7E9,)"
      R"("SingleMasterConfiguration":{"MessageTtlSeconds":60},"Version":"v1"}})";
  EXPECT_EQ(ask(viewer, "/describeSignalingChannel", R"({"ChannelName":"door"})"), info);
  EXPECT_EQ(ask(master, "/describeSignalingChannel", R"({"ChannelARN":")" + arn("door") + "\"}"), info);
}

TEST_F(Desk, TellsNobodyOfChannelsThatAreNotHis) {
  for (const char* name : {"hall", "nowhere"})
    EXPECT_EQ(ask(viewer, "/describeSignalingChannel", R"({"ChannelName":")" + std::string(name) + "\"}"),
              "403 AccessDeniedException");
  EXPECT_EQ(ask(viewer, "/describeSignalingChannel", R"({"ChannelName":"gate-2"})"),
            "404 ResourceNotFoundException");
  EXPECT_THAT(ask(viewer, "/listSignalingChannels", "{}"), testing::Not(HasSubstr("hall")));
  EXPECT_EQ(refused("denied"), 2u);
  EXPECT_EQ(refused("not_found"), 1u);
}

TEST_F(Desk, AChannelMadeAnewIsAnother) {
  EXPECT_EQ(
      ask(admin, "/describeSignalingChannel",
          R"({"ChannelARN":"arn:aws:kinesisvideo:eu-central-1:000000000000:channel/door/1600000000000"})"),
      "404 ResourceNotFoundException");
  EXPECT_EQ(ask(admin, "/describeSignalingChannel",
                R"({"ChannelARN":"arn:aws:kinesisvideo:us-east-1:000000000000:channel/door/1700000000000"})"),
            "404 ResourceNotFoundException");
  EXPECT_EQ(ask(admin, "/describeSignalingChannel", R"({"ChannelARN":"door"})"),
            "400 InvalidArgumentException");
}

TEST_F(Desk, MakesChangesAndDeletesChannels) {
  const std::string made =
      ask(admin, "/createSignalingChannel",
          R"({"ChannelName":"new","SingleMasterConfiguration":{"MessageTtlSeconds":30}})");
  EXPECT_EQ(made, R"(200 {"ChannelARN":")" + arn("new") + "\"}");
  EXPECT_EQ(ask(admin, "/createSignalingChannel", R"({"ChannelName":"new"})"), "400 ResourceInUseException");
  EXPECT_EQ(ask(admin, "/updateSignalingChannel",
                R"({"ChannelARN":")" + arn("new") + R"(","CurrentVersion":"v7"})"),
            "400 VersionMismatchException");
  EXPECT_EQ(ask(admin, "/updateSignalingChannel",
                R"({"ChannelARN":")" + arn("new") +
                    R"(","CurrentVersion":"v1","SingleMasterConfiguration":{"MessageTtlSeconds":5}})"),
            "200 {}");
  EXPECT_THAT(ask(admin, "/describeSignalingChannel", R"({"ChannelName":"new"})"),
              HasSubstr(R"({"MessageTtlSeconds":5},"Version":"v2")"));
  EXPECT_TRUE(ended.empty());
  EXPECT_EQ(ask(admin, "/deleteSignalingChannel",
                R"({"ChannelARN":")" + arn("new") + R"(","CurrentVersion":"v1"})"),
            "400 VersionMismatchException");
  EXPECT_EQ(ask(admin, "/deleteSignalingChannel", R"({"ChannelARN":")" + arn("new") + "\"}"), "200 {}");
  EXPECT_THAT(ended, ElementsAre(Pair("new", "")));
  EXPECT_EQ(ask(admin, "/describeSignalingChannel", R"({"ChannelName":"new"})"),
            "404 ResourceNotFoundException");
}

TEST_F(Desk, OnlyWhoMayChangesChannels) {
  EXPECT_EQ(ask(viewer, "/createSignalingChannel", R"({"ChannelName":"gate-9"})"),
            "403 AccessDeniedException");
  EXPECT_EQ(ask(viewer, "/deleteSignalingChannel", R"({"ChannelARN":")" + arn("door") + "\"}"),
            "403 AccessDeniedException");
  EXPECT_EQ(ask(master, "/updateSignalingChannel",
                R"({"ChannelARN":")" + arn("door") + R"(","CurrentVersion":"v1"})"),
            "403 AccessDeniedException");
}

TEST_F(Desk, RefusesWhatItDoesNotHave) {
  for (const char* body :
       {"", "[]", "{", R"({"ChannelName":"a b"})", R"({"ChannelName":"x","ChannelType":"FULL_MESH"})",
        R"({"ChannelName":"x","Tags":[{"Key":"a","Value":"b"}]})",
        R"({"ChannelName":"x","SingleMasterConfiguration":{"MessageTtlSeconds":4}})"})
    EXPECT_EQ(ask(admin, "/createSignalingChannel", body), "400 InvalidArgumentException") << body;
  EXPECT_EQ(refused("invalid"), 7u);
}

TEST_F(Desk, ListsPageByPage) {
  EXPECT_THAT(ask(admin, "/listSignalingChannels", R"({"MaxResults":2})"),
              testing::AllOf(HasSubstr("door"), HasSubstr("gate-1"), HasSubstr(R"("NextToken":"gate-1")")));
  const std::string rest = ask(admin, "/listSignalingChannels", R"({"NextToken":"gate-1"})");
  EXPECT_THAT(rest, HasSubstr("hall"));
  EXPECT_THAT(rest, testing::Not(HasSubstr("door")));
  EXPECT_THAT(
      ask(admin, "/listSignalingChannels",
          R"({"ChannelNameCondition":{"ComparisonOperator":"BEGINS_WITH","ComparisonValue":"gate"}})"),
      testing::AllOf(HasSubstr("gate-1"), testing::Not(HasSubstr("hall"))));
}

TEST_F(Desk, SendsClientsToTheHostTheyAsked) {
  const auto body = [](const std::string& role) {
    return R"({"ChannelARN":")" + arn("door") +
           R"(","SingleMasterChannelEndpointConfiguration":{"Protocols":["WSS","HTTPS"],"Role":")" + role +
           "\"}}";
  };
  const std::string endpoints =
      R"(200 {"ResourceEndpointList":[{"Protocol":"WSS","ResourceEndpoint":"wss://video.example:8443/channels"},)"
      R"({"Protocol":"HTTPS","ResourceEndpoint":"https://video.example:8443"}]})";
  EXPECT_EQ(ask(master, "/getSignalingChannelEndpoint", body("MASTER")), endpoints);
  EXPECT_EQ(ask(viewer, "/getSignalingChannelEndpoint", body("VIEWER")), endpoints);
  EXPECT_EQ(ask(viewer, "/getSignalingChannelEndpoint", body("MASTER")), "403 AccessDeniedException");
  EXPECT_EQ(ask(master, "/getSignalingChannelEndpoint", body("VIEWER")), "403 AccessDeniedException");
  EXPECT_EQ(ask(master, "/getSignalingChannelEndpoint", body("BOTH")), "400 InvalidArgumentException");
}

TEST_F(Desk, HandsOutIceServers) {
  const std::string body = R"({"ChannelARN":")" + arn("door") + R"(","ClientId":"a","Service":"TURN"})";
  EXPECT_EQ(ask(viewer, "/v1/get-ice-server-config", body), R"(200 {"IceServerList":[]})");
  servers = {{{"turn:192.0.2.1:3478?transport=udp"}, "u", "p", 300}};
  EXPECT_EQ(
      ask(viewer, "/v1/get-ice-server-config", body),
      R"(200 {"IceServerList":[{"Uris":["turn:192.0.2.1:3478?transport=udp"],"Username":"u","Password":"p","Ttl":300}]})");
  for (int i = 0; i < 8; ++i) ask(viewer, "/v1/get-ice-server-config", body);
  EXPECT_EQ(ask(viewer, "/v1/get-ice-server-config", body), "400 ClientLimitExceededException");
  wait(seconds(1));
  EXPECT_THAT(ask(viewer, "/v1/get-ice-server-config", body), HasSubstr("200 "));
}

TEST_F(Desk, RefusesWhoCannotSign) {
  const auto r =
      request(viewer, "/describeSignalingChannel", R"({"ChannelName":"door"})", "another secret, as long");
  EXPECT_EQ(outcome(desk().answer(r)), "403 InvalidSignatureException");
  EXPECT_EQ(refused("signature"), 1u);
  EXPECT_EQ(ask("NOBODYNOBODYNOBO", "/listSignalingChannels", "{}"), "403 UnrecognizedClientException");
  key(viewer, false, true, false, {"door"}, false);
  desk().reload();
  EXPECT_EQ(ask(viewer, "/listSignalingChannels", "{}"), "403 UnrecognizedClientException");
  EXPECT_EQ(refused("unknown_key"), 2u);
  auto unsigned_request = request(admin, "/listSignalingChannels", "{}");
  unsigned_request.headers.pop_back();
  EXPECT_EQ(outcome(desk().answer(unsigned_request)), "403 MissingAuthenticationTokenException");
  auto other_body = request(admin, "/listSignalingChannels", "{}");
  other_body.body = R"({"MaxResults":1})";
  EXPECT_EQ(outcome(desk().answer(other_body)), "403 InvalidSignatureException");
  auto get = request(admin, "/listSignalingChannels", "");
  get.method = "GET";
  EXPECT_EQ(outcome(desk().answer(get)).substr(0, 3), "405");
}

TEST_F(Desk, LimitsWhatAKeyAsks) {
  config.operations_per_second = 2;
  for (int i = 0; i < 4; ++i) EXPECT_THAT(ask(admin, "/listSignalingChannels", "{}"), HasSubstr("200 "));
  EXPECT_EQ(ask(admin, "/listSignalingChannels", "{}"), "400 ClientLimitExceededException");
  EXPECT_THAT(ask(viewer, "/listSignalingChannels", "{}"), HasSubstr("200 "));
}

TEST_F(Desk, LetsMastersAndViewersIn) {
  EXPECT_EQ(come(url(master, arn("door"), "")), "door master");
  EXPECT_EQ(come(url(viewer, arn("door"), "client-1")), "door client-1");
  EXPECT_EQ(come(url(viewer, arn("gate-1"), "client-1")), "gate-1 client-1");
  EXPECT_EQ(come(url(viewer, arn("door"), "")), "403 AccessDeniedException");
  EXPECT_EQ(come(url(master, arn("door"), "client-1")), "403 AccessDeniedException");
  EXPECT_EQ(come(url(master, arn("hall"), "")), "403 AccessDeniedException");
  EXPECT_EQ(come(url(viewer, arn("gate-2"), "x")), "404 ResourceNotFoundException");
  EXPECT_EQ(come(url(viewer, "door", "x")), "400 InvalidArgumentException");
  EXPECT_EQ(come(url(viewer, arn("door"), "a%20b")), "400 InvalidArgumentException");
  EXPECT_EQ(come(url(master, arn("door"), "", "another secret, as long")), "403 InvalidSignatureException");
  EXPECT_EQ(counters.total("channel_admitted_total"), 3u);
}

TEST_F(Desk, AUrlOpensOneWebSocket) {
  const auto r = url(master, arn("door"), "");
  EXPECT_EQ(come(r), "door master");
  EXPECT_EQ(come(r), "403 InvalidSignatureException");
  EXPECT_EQ(refused("replayed"), 1u);
  auto changed = r;
  changed.target += "&x=y";
  EXPECT_EQ(come(changed), "403 InvalidSignatureException");
  const auto later = url(viewer, arn("door"), "a");
  wait(seconds(300));
  EXPECT_EQ(come(later), "403 InvalidSignatureException");
  EXPECT_EQ(refused("expired"), 1u);
}

TEST_F(Desk, UsedUrlsAreForgottenWithTheirTimeOrForRoom) {
  config.urls = 2;
  config.connections_per_second = 100;
  const auto first = url(viewer, arn("door"), "a");
  EXPECT_EQ(come(first), "door a");
  EXPECT_EQ(come(url(viewer, arn("door"), "b")), "door b");
  EXPECT_EQ(counters.total("channel_urls_forgotten_total"), 0u);
  EXPECT_EQ(come(url(viewer, arn("door"), "c")), "door c");
  EXPECT_EQ(counters.total("channel_urls_forgotten_total"), 1u);
}

TEST_F(Desk, AHeaderDoesNotOpenAWebSocketNorAUrlAnOperation) {
  auto by_header = request(master, "/channels", "");
  EXPECT_EQ(come(by_header), "400 IncompleteSignatureException");
  auto by_url = url(master, arn("door"), "");
  by_url.method = "POST";
  EXPECT_EQ(outcome(desk().answer(by_url)), "400 IncompleteSignatureException");
}

TEST_F(Desk, ThreeMastersASecondComeToAChannel) {
  config.operations_per_second = 1000;
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(come(url(viewer, arn("door"), "c" + std::to_string(i))).substr(0, 4), "door");
  EXPECT_EQ(come(url(viewer, arn("door"), "c6")), "400 ClientLimitExceededException");
  EXPECT_EQ(come(url(viewer, arn("gate-1"), "c6")), "gate-1 c6");
  wait(seconds(1));
  EXPECT_EQ(come(url(viewer, arn("door"), "c7")), "door c7");
}

TEST_F(Desk, WhoMayNoLongerHasToLeave) {
  desk();
  key(viewer, false, true, false, {"door", "gate-*"});  // the same again
  desk().reload();
  EXPECT_TRUE(ended.empty());
  key(viewer, false, true, false, {"door"});
  desk().reload();
  EXPECT_THAT(ended, ElementsAre(Pair("", viewer)));
  ASSERT_TRUE(directory.remove_access_key(master).ok());
  desk().reload();
  EXPECT_THAT(ended, ElementsAre(Pair("", viewer), Pair("", master)));
}

TEST_F(Desk, WhatWasKnownServesWhileTheDirectoryIsAway) {
  desk();
  directory.fail_with(port::StoreError::Kind::unavailable);
  desk().reload();
  EXPECT_THAT(ask(admin, "/listSignalingChannels", "{}"), HasSubstr("door"));
  EXPECT_EQ(ask(admin, "/createSignalingChannel", R"({"ChannelName":"new"})"),
            "503 ServiceUnavailableException");
  directory.fail_with(std::nullopt);
  ASSERT_TRUE(directory.remove_channel("door").ok());
  desk().retry();
  EXPECT_THAT(ended, ElementsAre(Pair("door", "")));
}

std::string header(const port::HttpResponse& r, std::string_view name) {
  for (const auto& [key, value] : r.headers)
    if (key == name) return value;
  return "";
}

TEST_F(Desk, PagesOfAllowedOriginsMayRead) {
  port::HttpRequest asks;
  asks.method = "OPTIONS";
  asks.target = "/describeSignalingChannel";
  asks.headers = {{"Origin", "https://a.example"}};
  auto r = desk().answer(asks);
  EXPECT_EQ(r.status, 204);
  EXPECT_EQ(header(r, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_THAT(header(r, "Access-Control-Allow-Headers"), HasSubstr("authorization"));
  asks.headers = {{"Origin", "https://b.example"}};
  EXPECT_EQ(header(desk().answer(asks), "Access-Control-Allow-Origin"), "");
  auto refused_one = request(viewer, "/describeSignalingChannel", R"({"ChannelName":"hall"})");
  refused_one.headers.emplace_back("Origin", "https://a.example");
  r = desk().answer(refused_one);
  EXPECT_EQ(header(r, "Access-Control-Allow-Origin"), "https://a.example");
  EXPECT_THAT(header(r, "Access-Control-Expose-Headers"), HasSubstr("x-amzn-ErrorType"));
  EXPECT_EQ(header(r, "Date"), "Tue, 14 Nov 2023 22:13:20 GMT");
}

}  // namespace
}  // namespace tandem::channel
