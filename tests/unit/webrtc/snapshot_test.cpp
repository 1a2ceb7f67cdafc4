// Sessions through bytes: another boot, another gateway, the same calls.
#include "unit/webrtc/world.h"

namespace tandem::webrtc {
namespace {

using testing::HasSubstr;

TEST(RtcSnapshot, ACallGoesOnUnderItsName) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  const auto invite = w.call_up(1);
  w.through_bytes();
  EXPECT_THAT(w.come_back(2, token), HasSubstr(R"("calls":[{"call":"c1","state":"up")"));
  w.say(2, R"({"id":2,"op":"offer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  auto again = w.take_sip();
  EXPECT_EQ(again.message.call_id(), invite.message.call_id());
  EXPECT_EQ(again.path.flow, invite.path.flow) << "the same inner flow";
  EXPECT_GT(again.message.cseq().number, invite.message.cseq().number);
  w.answer(again, 200, {}, answer_sdp);
  w.take_sip();
  w.ask(invite.path, "BYE", std::string(invite.message.call_id()), std::string(invite.message.from_tag()), 9);
  EXPECT_EQ(w.take_sip().message.status(), 200);
}

TEST(RtcSnapshot, OneThatRingsIsStillAnswered) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"register"})");
  const auto registration = w.take_sip();
  w.answer(registration, 200, {{"Expires", "600"}});
  w.ask(registration.path, "INVITE", "in1", "", 1, "application/sdp", answer_sdp);
  w.through_bytes();
  auto again = w.take_sip();
  EXPECT_EQ(again.message.method(), sip::Method::register_) << "its contact is said anew";
  w.challenge(again, 401);
  EXPECT_THAT(w.take_sip().text, HasSubstr("Authorization: Digest"))
      << "with the row's secret, which is in no snapshot";
  EXPECT_THAT(w.come_back(2, token), HasSubstr(R"("state":"incoming")"));
  w.say(2, R"({"id":3,"op":"answer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  auto ok = w.take_sip();
  EXPECT_EQ(ok.message.status(), 200);
  EXPECT_EQ(ok.message.body_text(), offer_sdp);
  w.ask(registration.path, "ACK", "in1", std::string(ok.message.to_tag()), 1);
  w.pass(seconds(40));
  w.say(2, R"({"id":4,"op":"hangup","call":"c1"})");
  bool bye = false;
  while (!w.sip.empty()) bye = w.take_sip().message.method() == sip::Method::bye || bye;
  EXPECT_TRUE(bye);
}

/// Its INVITE's transaction is still there, to repeat the 200.
TEST(RtcSnapshot, OneThatHasJustBeenAnsweredIsUpAndNothingElse) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"register"})");
  const auto registration = w.take_sip();
  w.answer(registration, 200, {{"Expires", "600"}});
  w.ask(registration.path, "INVITE", "in1", "", 1, "application/sdp", answer_sdp);
  w.say(1, R"({"id":3,"op":"answer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  auto ok = w.take_sip();
  while (ok.message.status() != 200) ok = w.take_sip();
  const std::string tag(ok.message.to_tag());
  w.ask(registration.path, "ACK", "in1", tag, 1);
  w.through_bytes();
  while (!w.sip.empty()) w.take_sip();
  const std::string back = w.come_back(2, token);
  EXPECT_THAT(back, HasSubstr(R"("state":"up")"));
  EXPECT_THAT(back, testing::Not(HasSubstr("\"offer\""))) << "nothing waits for an answer";
  w.ask(registration.path, "INVITE", "in1", tag, 2, "application/sdp", offer_sdp);
  EXPECT_THAT(w.next(2), HasSubstr(R"({"event":"offer","call":"c1")"));
}

TEST(RtcSnapshot, OneThatIsPlacedIsStillAnswered) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"call","to":"1002","sdp":)" + quoted(offer_sdp) + "}");
  const auto invite = w.take_sip();
  w.answer(invite, 180);
  w.through_bytes();
  EXPECT_THAT(w.come_back(2, token), HasSubstr(R"("state":"calling")"));
  w.answer(invite, 200, {}, answer_sdp);
  EXPECT_THAT(w.next(2), HasSubstr(R"({"event":"answered","call":"c1")"));
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
}

TEST(RtcSnapshot, WhoDoesNotComeBackIsHungUp) {
  World w;
  w.sign_in(1, "1001");
  w.call_up(1);
  w.through_bytes();
  w.pass(seconds(61));
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::bye);
  w.pass(seconds(10));
  EXPECT_EQ(w.gateway->sessions(), 0u);
}

TEST(RtcSnapshot, ADirectoryThatIsAwayIsAskedAgain) {
  World w;
  w.sign_in(1, "1001");
  w.say(1, R"({"id":2,"op":"register"})");
  w.answer(w.take_sip(), 200, {{"Expires", "600"}});
  w.directory_away = true;
  w.through_bytes();
  EXPECT_TRUE(w.sip.empty());
  w.pass(seconds(12));
  EXPECT_TRUE(w.sip.empty());
  w.directory_away = false;
  w.pass(seconds(6));
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::register_);
}

TEST(RtcSnapshot, WhoWasRemovedMeanwhileIsNot) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  w.subscribers.erase("1001");
  w.through_bytes();
  EXPECT_THAT(w.come_back(2, token), HasSubstr("unauthorized"));
}

TEST(RtcSnapshot, DamagedPartsAreRefused) {
  World w;
  w.sign_in(1, "1001");
  w.call_up(1);
  std::vector<Gateway::Part> parts;
  w.gateway->snapshot(w.now, parts);
  ASSERT_EQ(parts.size(), 1u);
  Outcome out;
  EXPECT_FALSE(w.gateway->restore(w.now, parts[0].bytes, out)) << "it is here already";
  World other;
  EXPECT_FALSE(other.gateway->restore(other.now, "what", out));
  for (size_t i = 0; i < parts[0].bytes.size(); i += 3) {
    std::string cut = parts[0].bytes.substr(0, i);
    World one;
    one.gateway->restore(one.now, cut, out);  // whatever it makes of it
    one.pass(seconds(100));
    cut = parts[0].bytes;
    cut[i] = static_cast<char>(cut[i] ^ 0x55);
    World two;
    two.gateway->restore(two.now, cut, out);
    two.pass(seconds(100));
  }
}

TEST(RtcSnapshot, TheHomeOfAWebSocketIsReadOffItsFirstWords) {
  World w;
  const std::string token = w.sign_in(1, "1001");
  const auto home = [](const std::string& text) { return Gateway::home_of(text, {}, "one.test"); };
  const auto by_user = home(R"({"id":1,"op":"hello","user":"1001","password":"x"})");
  ASSERT_TRUE(by_user);
  EXPECT_EQ(by_user, home(R"({"id":1,"op":"hello","user":"1001@ONE.test"})"));
  EXPECT_EQ(by_user, home(R"({"id":1,"op":"hello","resume":")" + token + "\"}"));
  w.say(1, R"({"id":2,"op":"register"})");
  EXPECT_EQ(by_user, shard_of(w.take_sip().path.flow)) << "and where its telephone is";
  EXPECT_FALSE(home(R"({"id":1,"op":"ping"})"));
  EXPECT_FALSE(home(R"({"id":1,"op":"hello","resume":"99999.x"})"));
  EXPECT_FALSE(home("what"));
}

}  // namespace
}  // namespace tandem::webrtc
