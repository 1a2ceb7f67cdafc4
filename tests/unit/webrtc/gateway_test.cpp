// Signing in, leaving, coming back.
#include "unit/webrtc/world.h"

namespace tandem::webrtc {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

TEST(Gateway, ARightPasswordOpensASession) {
  World w;
  EXPECT_THAT(w.sign_in(1, "1001"), testing::MatchesRegex("[0-9]+\\.[a-z0-9]{32}"));
  EXPECT_EQ(w.gateway->sessions(), 1u);
  w.say(1, R"({"id":2,"op":"ping"})");
  EXPECT_EQ(w.next(1), R"({"id":2,"ok":true})");
}

TEST(Gateway, TellsItsTurnServersWithCredentialsOfEach) {
  World w;
  w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"ice_servers"})");
  EXPECT_EQ(w.next(1), R"({"id":2,"ok":true,"ice_servers":[],"lifetime":0})");
  IceServers servers;
  servers.urls = {"turn:192.0.2.1:3478?transport=udp", "turns:192.0.2.1:5349?transport=tcp"};
  servers.lifetime = minutes(10);
  servers.sign = [&](std::string_view user, WallTime until) {
    EXPECT_EQ(until, w.now.wall + minutes(10));
    return std::pair("1:" + std::string(user), std::string("pass"));
  };
  w.gateway->set_ice_servers(servers);
  w.say(1, R"({"id":3,"op":"ice_servers"})");
  EXPECT_EQ(
      w.next(1),
      R"({"id":3,"ok":true,"ice_servers":[{"urls":"turn:192.0.2.1:3478?transport=udp",)"
      R"("username":"1:1001@one.test","credential":"pass"},{"urls":"turns:192.0.2.1:5349?transport=tcp",)"
      R"("username":"1:1001@one.test","credential":"pass"}],"lifetime":600})");
  w.open(2);
  w.say(2, R"({"id":1,"op":"ice_servers"})");
  EXPECT_THAT(w.next(2), HasSubstr("not_signed_in"));
}

TEST(Gateway, NobodyIsToldWhatWasWrong) {
  World w;
  w.subscribers["1002"].enabled = false;
  w.open(1);
  const std::string wrong[] = {R"({"id":1,"op":"hello","user":"1001","password":"no"})",
                               R"({"id":1,"op":"hello","user":"1777","password":"secret-1777"})"};
  std::string first;
  for (const std::string& text : wrong) {
    w.say(1, text);
    const std::string said = w.next(1);
    EXPECT_THAT(said, HasSubstr("\"unauthorized\""));
    if (!first.empty()) {
      EXPECT_EQ(said, first);
    }
    first = said;
  }
  EXPECT_THAT(w.hung_up, IsEmpty());
  w.say(1, R"({"id":1,"op":"hello","user":"1002","password":"secret-1002"})");
  EXPECT_EQ(w.next(1), first) << "a disabled one neither";
  EXPECT_THAT(w.hung_up, testing::ElementsAre(1u)) << "three guesses are enough";
  EXPECT_EQ(w.failures, 3u) << "the node hears of each";
  EXPECT_EQ(w.counters.total("rtc_unauthorized_total"), 3u);
  EXPECT_EQ(w.gateway->sessions(), 0u);
}

/// After a restart every client of an office shows a token that is good no more.
TEST(Gateway, ATokenOfASessionThatIsGoneIsNoGuess) {
  World w;
  for (uint32_t n = 1; n <= 30; ++n) {
    w.open(n);
    w.say(n, R"({"id":1,"op":"hello","resume":"5.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})");
    EXPECT_THAT(w.next(n), HasSubstr("unauthorized"));
    w.say(n, R"({"id":2,"op":"hello","user":"1001","password":"secret-1001"})");
    EXPECT_THAT(w.next(n), HasSubstr("\"session\""));
  }
  EXPECT_EQ(w.failures, 0u);
}

TEST(Gateway, OneSubscriberIsNotEverybody) {
  GatewayConfig c;
  c.sessions_per_user = 2;
  World w(c);
  w.sign_in(1, "1001");
  w.sign_in(2, "1001");
  w.open(3);
  w.say(3, R"({"id":1,"op":"hello","user":"1001","password":"secret-1001"})");
  EXPECT_THAT(w.next(3), HasSubstr("too_many"));
  EXPECT_EQ(w.counters.total("rtc_full_total"), 1u);
  w.sign_in(4, "1002");
  w.say(1, R"({"id":9,"op":"bye"})");
  w.pass(seconds(30));
  w.sign_in(5, "1001");
  EXPECT_EQ(w.gateway->sessions(), 3u);
}

TEST(Gateway, ATokenServesInsteadOfAPassword) {
  World w;
  w.open(1);
  w.say(1, R"({"id":1,"op":"hello","user":"1001","token":"good-1002"})");
  EXPECT_THAT(w.next(1), HasSubstr("unauthorized"));
  w.say(1, R"({"id":2,"op":"hello","user":"1777","token":"good-1777"})");
  EXPECT_THAT(w.next(1), HasSubstr("unauthorized")) << "nobody of that name";
  w.say(1, R"({"id":3,"op":"hello","user":"1001","token":"good-1001"})");
  EXPECT_THAT(w.next(1), HasSubstr("\"session\""));
  EXPECT_EQ(w.failures, 2u);
}

TEST(Gateway, ATokenIsGoodForTheHelloItCameWith) {
  World w;
  w.open(1);
  w.directory_away = true;
  w.say(1, R"({"id":1,"op":"hello","user":"1001","token":"good-1001"})");
  EXPECT_THAT(w.next(1), HasSubstr("unavailable"));
  w.directory_away = false;
  w.say(1, R"({"id":2,"op":"hello","user":"1002","password":"no"})");
  EXPECT_THAT(w.next(1), HasSubstr("unauthorized"));
  w.say(1, R"({"id":3,"op":"hello","user":"1001","password":"no"})");
  EXPECT_THAT(w.next(1), HasSubstr("unauthorized"));
  EXPECT_EQ(w.gateway->sessions(), 0u);
}

TEST(Gateway, NothingIsDoneBeforeHello) {
  World w;
  w.open(1);
  w.say(1, R"({"id":4,"op":"call","to":"1002","sdp":"v=0"})");
  EXPECT_THAT(w.next(1), HasSubstr("not_signed_in"));
  w.say(1, R"({"id":5,"op":"hello","versions":[2,3],"user":"1001","password":"secret-1001"})");
  EXPECT_THAT(w.next(1), HasSubstr("unsupported_version"));
  w.directory_away = true;
  w.say(1, R"({"id":6,"op":"hello","user":"1001","password":"secret-1001"})");
  EXPECT_THAT(w.next(1), HasSubstr("unavailable"));
  EXPECT_TRUE(w.sip.empty());
}

TEST(Gateway, WhoIsSilentIsHungUp) {
  World w;
  w.open(1);
  w.sign_in(2, "1001");
  w.pass(seconds(60));
  EXPECT_THAT(w.hung_up, testing::ElementsAre(1u));
  EXPECT_EQ(w.counters.total("rtc_silent_total"), 1u);
}

TEST(Gateway, LimitsHold) {
  GatewayConfig c;
  c.sessions = 1;
  c.visitors = 1;
  c.calls = 1;
  World w(c);
  w.sign_in(1, "1001");
  w.open(2);
  w.say(2, R"({"id":1,"op":"hello","user":"1002","password":"secret-1002"})");
  EXPECT_THAT(w.next(2), HasSubstr("too_many"));
  w.open(3);
  EXPECT_THAT(w.hung_up, testing::ElementsAre(2u, 3u));
  EXPECT_EQ(w.counters.total("rtc_full_total"), 2u);
  w.call_up(1);
  w.say(1, R"({"id":2,"op":"call","to":"1003","sdp":"v=0"})");
  EXPECT_THAT(w.next(1), HasSubstr("too_many"));
}

TEST(Gateway, RegistersAsATelephoneOnAWebSocket) {
  World w;
  w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"register"})");
  auto first = w.take_sip();
  EXPECT_EQ(first.message.method(), sip::Method::register_);
  EXPECT_TRUE(port::is_inner(first.path.flow));
  EXPECT_EQ(first.path.remote, World::web(1).remote) << "rate limits see where it comes from";
  EXPECT_THAT(first.text, testing::ContainsRegex("Contact: <sip:1001@[a-z0-9]+\\.invalid;transport=ws>;"
                                                 "\\+sip\\.instance=\"<urn:uuid:[-0-9a-f]+>\";reg-id=1"));
  w.challenge(first, 401);
  auto second = w.take_sip();
  EXPECT_THAT(second.text, HasSubstr("Authorization: Digest username=\"1001\""));
  EXPECT_EQ(second.message.cseq().number, first.message.cseq().number + 1);
  EXPECT_EQ(w.next(1), "") << "not yet";
  w.answer(second, 200, {{"Expires", "300"}});
  EXPECT_EQ(w.next(1), R"({"id":2,"ok":true,"registered":true})");
  w.pass(seconds(239));
  EXPECT_TRUE(w.sip.empty());
  w.pass(seconds(2));
  auto refresh = w.take_sip();
  EXPECT_EQ(refresh.message.call_id(), first.message.call_id());
  EXPECT_GT(refresh.message.cseq().number, second.message.cseq().number);
  w.answer(refresh, 503);
  EXPECT_EQ(w.next(1), R"({"event":"registered","on":false,"status":503})");
  w.pass(seconds(31));
  w.answer(w.take_sip(), 200, {{"Expires", "300"}});
  EXPECT_EQ(w.next(1), R"({"event":"registered","on":true,"status":200})");
  w.say(1, R"({"id":3,"op":"register","on":false})");
  auto away = w.take_sip();
  EXPECT_EQ(away.message.expires(), 0u);
  w.answer(away, 200);
  EXPECT_EQ(w.next(1), R"({"id":3,"ok":true,"registered":false})");
  w.pass(seconds(3600));
  EXPECT_TRUE(w.sip.empty());
}

TEST(Gateway, AClientComesBackToItsCalls) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  const auto invite = w.call_up(1);
  w.close(1);
  w.pass(seconds(30));
  w.ask(invite.path, "MESSAGE", "m1", "", 1, "text/plain", "are you there?");
  w.take_sip();  // its 200
  w.open(2);
  w.say(2, R"({"id":1,"op":"hello","resume":")" + token + "\"}");
  const std::string welcome = w.next(2);
  EXPECT_THAT(welcome, HasSubstr(R"("calls":[{"call":"c1","state":"up","outgoing":true)"));
  EXPECT_EQ(World::member(welcome, "session"), token);
  EXPECT_THAT(w.next(2), HasSubstr("are you there?")) << "messages wait";
  w.pass(seconds(120));
  EXPECT_TRUE(w.sip.empty()) << "and the call is still up";
  w.say(2, R"({"id":2,"op":"offer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::invite) << "with its restart of ICE";
  EXPECT_EQ(w.counters.total("rtc_resumed_total"), 1u);
}

TEST(Gateway, ASecondWebSocketTakesTheSessionOver) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  w.open(2);
  w.say(2, R"({"id":1,"op":"hello","resume":")" + token + "\"}");
  EXPECT_EQ(w.next(1), R"({"event":"replaced"})");
  EXPECT_THAT(w.hung_up, testing::ElementsAre(1u));
  w.close(1);
  w.pass(seconds(300));
  EXPECT_EQ(w.gateway->sessions(), 1u) << "the old one's end is nobody's";
}

TEST(Gateway, AStrangersTokenIsRefused) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  w.open(2);
  for (const std::string& bad :
       {token.substr(0, token.size() - 1) + "!", token.substr(0, token.find('.')) + ".", std::string("."),
        std::string("99999999999999999999.x"), std::string("abc")}) {
    w.say(2, R"({"id":1,"op":"hello","resume":")" + bad + "\"}");
    EXPECT_THAT(w.next(2), HasSubstr("unauthorized")) << bad;
  }
}

TEST(Gateway, WhoStaysAwayIsHungUpAndForgotten) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  const auto invite = w.call_up(1);
  w.close(1);
  w.pass(seconds(61));
  auto bye = w.take_sip();
  EXPECT_EQ(bye.message.method(), sip::Method::bye);
  w.answer(bye, 200);
  w.pass(seconds(10));
  EXPECT_EQ(w.gateway->sessions(), 0u);
  ASSERT_EQ(w.gone.size(), 1u);
  EXPECT_EQ(w.gone[0], invite.path.flow) << "the registrar forgets its contact by that";
  w.open(2);
  w.say(2, R"({"id":1,"op":"hello","resume":")" + token + "\"}");
  EXPECT_THAT(w.next(2), HasSubstr("unauthorized"));
  EXPECT_EQ(w.counters.total("rtc_sessions"), 0u);
}

TEST(Gateway, ByeLeavesAtOnce) {
  World w;
  w.sign_in(1, "1001");
  w.call_up(1);
  w.say(1, R"({"id":5,"op":"bye"})");
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::bye);
  EXPECT_THAT(w.next(1), HasSubstr("\"id\":5"));
  EXPECT_THAT(w.hung_up, testing::ElementsAre(1u));
  w.close(1);
  w.pass(seconds(40));
  EXPECT_EQ(w.gateway->sessions(), 0u);
}

TEST(Gateway, WhatWaitsForOneThatIsAwayIsBounded) {
  World w;
  w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"register"})");
  const auto path = w.take_sip().path;
  w.close(1);
  for (uint32_t i = 0; i < 150; ++i)
    w.ask(path, "MESSAGE", "m" + std::to_string(i), "", 1, "text/plain", "hello");
  EXPECT_EQ(w.counters.total("rtc_messages_dropped_total"), 50u);
}

}  // namespace
}  // namespace tandem::webrtc
