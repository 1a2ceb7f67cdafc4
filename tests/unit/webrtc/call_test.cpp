// Calls of clients of the JSON API.
#include "unit/webrtc/world.h"

namespace tandem::webrtc {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Calls : testing::Test {
  World w;
  std::string token = w.sign_in(1, "1001");

  void say(const std::string& text) { w.say(1, text); }
  std::string next() { return w.next(1); }
  std::string place(const std::string& to = "1002") {
    say(R"({"id":2,"op":"call","to":")" + to + R"(","sdp":)" + quoted(offer_sdp) + "}");
    return next();
  }
  /// An INVITE to the client; what it is told of it is taken. The path of its flow.
  port::Path ring(const std::string& call_id, const std::string& body = offer_sdp) {
    say(R"({"id":90,"op":"register"})");
    const auto registration = w.take_sip();
    w.answer(registration, 200, {{"Expires", "600"}});
    next();
    w.ask(registration.path, "INVITE", call_id, "", 1, "application/sdp", body);
    return registration.path;
  }
};

TEST_F(Calls, OneIsPlacedAnsweredAndHungUp) {
  EXPECT_EQ(place(), R"({"id":2,"ok":true,"call":"c1"})");
  auto first = w.take_sip();
  EXPECT_EQ(first.message.request_uri(), "sip:1002@one.test");
  EXPECT_THAT(first.text, HasSubstr("From: \"Ann\" <sip:1001@one.test>;tag="));
  w.challenge(first);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
  auto invite = w.take_sip();
  EXPECT_THAT(invite.text, HasSubstr("Proxy-Authorization: Digest"));
  EXPECT_EQ(invite.message.body_text(), offer_sdp);
  w.answer(invite, 180);
  EXPECT_EQ(next(), R"({"event":"ringing","call":"c1","status":180})");
  w.answer(invite, 183, {}, answer_sdp);
  EXPECT_THAT(next(), HasSubstr(R"("status":183,"sdp":"v=0)"));
  w.answer(invite, 200, {}, answer_sdp);
  EXPECT_THAT(next(), HasSubstr(R"({"event":"answered","call":"c1","sdp":"v=0)"));
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
  w.answer(invite, 200, {}, answer_sdp);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack) << "a repeated 2xx";
  EXPECT_EQ(next(), "");
  say(R"({"id":3,"op":"hangup","call":"c1"})");
  auto bye = w.take_sip();
  EXPECT_EQ(bye.message.method(), sip::Method::bye);
  EXPECT_EQ(next(), R"({"id":3,"ok":true})");
  EXPECT_EQ(next(), R"({"event":"ended","call":"c1","by":"us"})");
  w.answer(bye, 200);
  say(R"({"id":4,"op":"hangup","call":"c1"})");
  EXPECT_THAT(next(), HasSubstr("unknown_call"));
}

TEST_F(Calls, ABusyLineIsToldAsSuch) {
  place();
  w.answer(w.take_sip(), 486);
  EXPECT_EQ(next(), R"({"event":"ended","call":"c1","by":"peer","status":486,"reason":"Busy Here"})");
}

TEST_F(Calls, AWrongPasswordInTheNodeIsTriedOnce) {
  place();
  w.challenge(w.take_sip());
  w.take_sip();  // ACK
  w.challenge(w.take_sip());
  EXPECT_THAT(next(), HasSubstr("\"status\":407"));
}

TEST_F(Calls, OneThatRingsIsCancelled) {
  place();
  auto invite = w.take_sip();
  w.answer(invite, 180);
  next();
  say(R"({"id":3,"op":"hangup","call":"c1"})");
  auto cancel = w.take_sip();
  EXPECT_EQ(cancel.message.method(), sip::Method::cancel);
  next();
  EXPECT_THAT(next(), HasSubstr("\"ended\""));
  w.answer(cancel, 200);
  w.answer(invite, 487);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
  EXPECT_EQ(next(), "");
}

TEST_F(Calls, AnAnswerThatCrossesTheCancelIsHungUp) {
  place();
  auto invite = w.take_sip();
  w.answer(invite, 180);
  say(R"({"id":3,"op":"hangup","call":"c1"})");
  w.take_sip();  // CANCEL
  w.answer(invite, 200, {}, answer_sdp);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::bye);
}

TEST_F(Calls, StrangeTargetsAreRefused) {
  for (const char* to : {"a b", "x>y", "1002?Replaces=x", "sip:", "tel:<1>"}) {
    EXPECT_THAT(place(to), HasSubstr("bad_request")) << to;
  }
  EXPECT_TRUE(w.sip.empty());
  EXPECT_THAT(place("*97"), HasSubstr("\"ok\":true"));
  EXPECT_EQ(w.take_sip().message.request_uri(), "sip:*97@one.test");
  EXPECT_THAT(place("sip:x@two.test;transport=tcp"), HasSubstr("\"ok\":true"));
  EXPECT_EQ(w.take_sip().message.request_uri(), "sip:x@two.test;transport=tcp");
}

TEST_F(Calls, OneComesInAndIsAnswered) {
  const auto path = ring("in1");
  auto ringing = w.take_sip();
  EXPECT_EQ(ringing.message.status(), 100);
  ringing = w.take_sip();
  EXPECT_EQ(ringing.message.status(), 180);
  EXPECT_THAT(next(),
              HasSubstr(R"({"event":"incoming","call":"c1","peer":"sip:1002@one.test","name":"Bob")"));
  say(R"({"id":5,"op":"answer","call":"c1","sdp":)" + quoted(answer_sdp) + "}");
  auto ok = w.take_sip();
  EXPECT_EQ(ok.message.status(), 200);
  EXPECT_EQ(ok.message.body_text(), answer_sdp);
  const std::string tag(ok.message.to_tag());
  w.ask(path, "ACK", "in1", tag, 1);
  EXPECT_EQ(next(), R"({"id":5,"ok":true})");
  w.ask(path, "BYE", "in1", tag, 2, "", "", {{"Reason", "Q.850;cause=16;text=\"Normal\""}});
  EXPECT_EQ(w.take_sip().message.status(), 200);
  EXPECT_EQ(next(), R"({"event":"ended","call":"c1","by":"peer","cause":16})");
  EXPECT_EQ(next(), "");
}

TEST_F(Calls, OneThatNobodyAcknowledgesEnds) {
  ring("in1");
  w.sip.clear();
  say(R"({"id":5,"op":"answer","call":"c1","sdp":)" + quoted(answer_sdp) + "}");
  w.take_sip();
  w.heard[1].clear();
  w.pass(seconds(40));
  EXPECT_THAT(next(), HasSubstr("\"No ACK\""));
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::bye);
}

TEST_F(Calls, OneComesInAndIsRefused) {
  ring("in1");
  w.sip.clear();
  next();
  say(R"({"id":5,"op":"reject","call":"c1","status":486})");
  EXPECT_EQ(w.take_sip().message.status(), 486);
  next();
  EXPECT_THAT(next(), HasSubstr("\"ended\""));
  say(R"({"id":6,"op":"answer","call":"c1","sdp":"v=0"})");
  EXPECT_THAT(next(), HasSubstr("unknown_call"));
}

TEST_F(Calls, WhoLeavesWhileItRingsSpeaksForNobodyElse) {
  ring("in-2");
  w.sip.clear();
  EXPECT_THAT(next(), HasSubstr("incoming"));
  say(R"({"id":5,"op":"bye"})");
  std::vector<int> statuses;
  while (!w.sip.empty())
    if (const auto sent = w.take_sip(); !sent.message.is_request()) statuses.push_back(sent.message.status());
  EXPECT_EQ(statuses, std::vector<int>{480});
}

TEST_F(Calls, ACallerThatGivesUpIsToldOf) {
  const auto path = ring("in1");
  w.sip.clear();
  next();
  w.ask(path, "CANCEL", "in1", "", 1, "", "", {{"Reason", "Q.850;cause=26"}});
  EXPECT_EQ(w.take_sip().message.status(), 200);
  EXPECT_EQ(w.take_sip().message.status(), 487);
  EXPECT_EQ(next(), R"({"event":"ended","call":"c1","by":"peer","cause":26})");
}

TEST_F(Calls, AnInviteWithoutAnOfferIsAnsweredWithOne) {
  const auto path = ring("in1", "");
  w.sip.clear();
  EXPECT_THAT(next(), HasSubstr("\"offer_wanted\":true"));
  say(R"({"id":5,"op":"answer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  auto ok = w.take_sip();
  next();
  w.ask(path, "ACK", "in1", std::string(ok.message.to_tag()), 1, "application/sdp", answer_sdp);
  EXPECT_THAT(next(), HasSubstr(R"({"event":"answer","call":"c1","sdp":"v=0)"));
}

TEST_F(Calls, OffersInMidCallGoBothWays) {
  const auto invite = w.call_up(1);
  const std::string id(invite.message.call_id()), tag(invite.message.from_tag());
  w.ask(invite.path, "INVITE", id, tag, 5, "application/sdp", answer_sdp + "a=sendonly\r\n");
  EXPECT_EQ(w.take_sip().message.status(), 100);
  EXPECT_THAT(next(), HasSubstr(R"({"event":"offer","call":"c1","sdp":)"));
  say(R"({"id":5,"op":"answer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  EXPECT_EQ(w.take_sip().message.status(), 200);
  w.ask(invite.path, "ACK", id, tag, 5);
  next();
  say(R"({"id":6,"op":"offer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  EXPECT_EQ(next(), R"({"id":6,"ok":true})");
  auto again = w.take_sip();
  w.ask(invite.path, "INVITE", id, tag, 6, "application/sdp", answer_sdp);
  w.take_sip();  // 100
  EXPECT_EQ(w.take_sip().message.status(), 491) << "two offers met";
  w.ask(invite.path, "ACK", id, tag, 6);
  w.answer(again, 200, {}, answer_sdp);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
  EXPECT_THAT(next(), HasSubstr(R"({"event":"answer","call":"c1")"));
  say(R"({"id":7,"op":"offer","call":"c1","sdp":)" + quoted(offer_sdp) + "}");
  next();
  w.answer(w.take_sip(), 488);
  EXPECT_EQ(w.take_sip().message.method(), sip::Method::ack);
  EXPECT_EQ(next(), R"({"event":"offer_refused","call":"c1","status":488})");
}

TEST_F(Calls, ARefreshIsNotTheClientsBusiness) {
  const auto invite = w.call_up(1);
  const std::string id(invite.message.call_id()), tag(invite.message.from_tag());
  w.ask(invite.path, "INVITE", id, tag, 5, "application/sdp", answer_sdp);
  w.take_sip();  // 100
  auto ok = w.take_sip();
  EXPECT_EQ(ok.message.status(), 200);
  EXPECT_EQ(ok.message.body_text(), offer_sdp);
  EXPECT_EQ(next(), "");
}

TEST_F(Calls, AnOfferTheClientSleepsOverIsRefused) {
  const auto invite = w.call_up(1);
  const std::string id(invite.message.call_id()), tag(invite.message.from_tag());
  w.ask(invite.path, "INVITE", id, tag, 5, "application/sdp", answer_sdp + "a=inactive\r\n");
  w.sip.clear();
  w.pass(seconds(21));
  EXPECT_EQ(w.take_sip().message.status(), 500);
  next();
  say(R"({"id":7,"op":"answer","call":"c1","sdp":"v=0"})");
  EXPECT_THAT(next(), HasSubstr("wrong_state"));
}

TEST_F(Calls, DigitsGoOneAfterTheOther) {
  const auto invite = w.call_up(1);
  say(R"({"id":5,"op":"dtmf","call":"c1","digits":"1#","duration":200})");
  EXPECT_EQ(next(), R"({"id":5,"ok":true})");
  auto one = w.take_sip();
  EXPECT_EQ(one.message.body_text(), "Signal=1\r\nDuration=200\r\n");
  EXPECT_TRUE(w.sip.empty()) << "the second waits";
  w.answer(one, 200);
  EXPECT_THAT(w.take_sip().text, HasSubstr("Signal=#"));
  w.ask(invite.path, "INFO", std::string(invite.message.call_id()), std::string(invite.message.from_tag()), 5,
        "application/dtmf-relay", "Signal=7\r\nDuration=100\r\n");
  EXPECT_EQ(w.take_sip().message.status(), 200);
  EXPECT_EQ(next(), R"({"event":"dtmf","call":"c1","digit":"7"})");
}

TEST_F(Calls, ATransferIsReported) {
  const auto invite = w.call_up(1);
  say(R"({"id":5,"op":"transfer","call":"c1","to":"1003"})");
  auto refer = w.take_sip();
  EXPECT_EQ(refer.message.header(sip::HeaderId::refer_to), "<sip:1003@one.test>");
  EXPECT_EQ(next(), "");
  w.answer(refer, 202);
  EXPECT_EQ(next(), R"({"id":5,"ok":true,"status":202})");
  w.ask(invite.path, "NOTIFY", std::string(invite.message.call_id()), std::string(invite.message.from_tag()),
        5, "message/sipfrag", "SIP/2.0 200 OK\r\n", {{"Event", "refer"}});
  EXPECT_EQ(next(), R"({"event":"transfer","call":"c1","status":200,"final":true})");
  say(R"({"id":6,"op":"transfer","call":"c1","to":"1004"})");
  w.take_sip();  // 200 to the NOTIFY
  w.answer(w.take_sip(), 403);
  EXPECT_THAT(next(), HasSubstr(R"({"id":6,"ok":false,"error":{"code":"failed")"));
}

TEST_F(Calls, TwoCallsAreJoined) {
  w.call_up(1);
  const auto second = w.call_up(1, "1003");
  say(R"({"id":5,"op":"transfer","call":"c1","with":"c2"})");
  const std::string to(*w.take_sip().message.header(sip::HeaderId::refer_to));
  EXPECT_THAT(to, HasSubstr("?Replaces=" + std::string(second.message.call_id()) +
                            "%3Bto-tag%3Dnode-tag%3Bfrom-tag%3D" + std::string(second.message.from_tag())));
  say(R"({"id":6,"op":"transfer","call":"c1","with":"c1"})");
  EXPECT_THAT(next(), HasSubstr("unknown_call"));
}

TEST_F(Calls, CandidatesTrickleBothWays) {
  place();
  auto invite = w.take_sip();
  say(R"({"id":4,"op":"candidates","call":"c1","candidates":[{"candidate":"candidate:1 1 udp 1 192.0.2.7 9 typ host","mid":"0"}]})");
  EXPECT_TRUE(w.sip.empty()) << "there is no dialog to send them in";
  w.answer(invite, 180);
  auto info = w.take_sip();
  EXPECT_EQ(info.message.method(), sip::Method::info);
  EXPECT_EQ(info.message.header("Info-Package"), "trickle-ice");
  EXPECT_THAT(std::string(info.message.body_text()), HasSubstr("a=ice-ufrag:abcd\r\n"));
  EXPECT_THAT(std::string(info.message.body_text()),
              HasSubstr("a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n"));
  w.heard[1].clear();
  w.ask(info.path, "INFO", std::string(invite.message.call_id()), std::string(invite.message.from_tag()), 3,
        std::string("application/trickle-ice-sdpfrag"),
        "a=ice-ufrag:zzzz\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:5 1 udp 1 192.0.2.1 4000 typ "
        "host\r\n"
        "a=end-of-candidates\r\n",
        {{"Info-Package", "trickle-ice"}});
  EXPECT_EQ(
      next(),
      R"({"event":"candidates","call":"c1","candidates":[{"candidate":"candidate:5 1 udp 1 192.0.2.1 4000 typ host","mid":"0","ufrag":"zzzz"}],"end":true})");
}

TEST_F(Calls, MessagesGoBothWays) {
  say(R"({"id":5,"op":"message","to":"1002","text":"héllo"})");
  auto first = w.take_sip();
  EXPECT_EQ(first.message.body_text(), "héllo");
  w.challenge(first);
  auto second = w.take_sip();
  EXPECT_THAT(second.text, HasSubstr("Proxy-Authorization"));
  w.answer(second, 202);
  EXPECT_EQ(next(), R"({"id":5,"ok":true,"status":202})");
  w.ask(second.path, "MESSAGE", "m1", "", 1, "text/plain", "and to you");
  EXPECT_EQ(w.take_sip().message.status(), 200);
  EXPECT_EQ(
      next(),
      R"({"event":"message","from":"sip:1002@one.test","name":"Bob","type":"text/plain","text":"and to you"})");
}

TEST_F(Calls, StrangersDialogsAreUnknown) {
  const auto invite = w.call_up(1);
  w.ask(invite.path, "BYE", "nobody", "tag", 4);
  EXPECT_EQ(w.take_sip().message.status(), 481);
  w.ask(invite.path, "PUBLISH", "nobody", "", 4);
  EXPECT_EQ(w.take_sip().message.status(), 405);
  w.give(invite.path, Buffer::copy_of(as_bytes("SIP/2.0 what")));
  EXPECT_TRUE(w.sip.empty());
}

}  // namespace
}  // namespace tandem::webrtc
