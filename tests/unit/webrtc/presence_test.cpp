// Whom a client watches, and what it says of itself.
#include "unit/webrtc/world.h"

namespace tandem::webrtc {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string dialog_info(const std::string& state) {
  return "<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" "
         "entity=\"sip:1002@one.test\"><dialog id=\"1\"><state>" +
         state + "</state></dialog></dialog-info>";
}

struct Watching : testing::Test {
  World w;
  std::optional<World::Sent> presence, line;

  Watching() { w.sign_in(1, "1001"); }
  void watch() {
    w.say(1, R"({"id":2,"op":"watch","to":"1002"})");
    presence = w.take_sip();
    line = w.take_sip();
  }
  void accept(const World::Sent& request, const std::string& expires = "3600") {
    w.answer(request, 200, {{"Contact", "<sip:192.0.2.1:5060>"}, {"Expires", expires}});
  }
  void notify(const World::Sent& of, uint32_t cseq, const std::string& body,
              const std::string& state = "active") {
    w.ask(of.path, "NOTIFY", std::string(of.message.call_id()), std::string(of.message.from_tag()), cseq,
          "application/xml", body,
          {{"Event", std::string(*of.message.header("Event"))}, {"Subscription-State", state}});
    w.take_sip();
  }
};

TEST(Presence, IsWrittenAndRead) {
  for (const Availability a :
       {Availability::offline, Availability::available, Availability::away, Availability::busy}) {
    const Standing standing{a, "out <until> \"three\" & more"};
    EXPECT_EQ(read_pidf(write_pidf({"a b", "one.test"}, standing)), standing) << to_string(a);
  }
  EXPECT_THAT(write_pidf({"a b", "one.test"}, {}), HasSubstr("entity=\"pres:a%20b@one.test\""));
}

TEST(Presence, OfOtherProgramsIsUnderstood) {
  EXPECT_EQ(
      read_pidf(
          "<p:presence xmlns:p='x'><p:tuple id='a'><p:status><p:basic> open </p:basic></p:status></p:tuple>"
          "<dm:person><r:activities><r:note>x</r:note><r:on-the-phone/></r:activities><dm:note>hi</dm:note></"
          "dm:person>"
          "</p:presence>"),
      (Standing{Availability::busy, "x"}));
  EXPECT_EQ(
      read_pidf(
          "<presence><tuple><status><basic>closed</basic></status></tuple><tuple><status><basic>open</basic>"
          "</status></tuple><person><activities><vacation/></activities></person></presence>")
          .availability,
      Availability::away);
  EXPECT_EQ(read_pidf("no document"), Standing{});
  EXPECT_EQ(read_pidf("<note>" + std::string(300, 'x') + "</note>").note.size(), 256u);
  EXPECT_EQ(read_pidf("<note>" + std::string(255, 'x') + "\xc3\xa4</note>").note.size(), 255u);
  EXPECT_EQ(read_dialog_info(dialog_info("early")), LineState::ringing);
  EXPECT_EQ(read_dialog_info(dialog_info("terminated")), LineState::idle);
}

TEST_F(Watching, TellsHowItIsWithSomebody) {
  watch();
  EXPECT_EQ(presence->message.method(), sip::Method::subscribe);
  EXPECT_EQ(presence->message.header("Event"), "presence");
  EXPECT_EQ(line->message.header("Event"), "dialog");
  EXPECT_THAT(presence->text, HasSubstr("SUBSCRIBE sip:1002@one.test SIP/2.0"));
  w.challenge(*presence, 401);
  presence = w.take_sip();
  EXPECT_TRUE(presence->message.has(sip::HeaderId::authorization));
  EXPECT_EQ(w.next(1), "");
  accept(*presence);
  EXPECT_EQ(w.next(1), R"({"id":2,"ok":true})");
  accept(*line);
  notify(*presence, 1, write_pidf({"1002", "one.test"}, {Availability::away, "back at three"}));
  EXPECT_EQ(w.next(1),
            R"({"event":"presence","peer":"1002@one.test","state":"away","note":"back at three"})");
  notify(*line, 1, dialog_info("confirmed"));
  EXPECT_THAT(w.next(1), HasSubstr(R"("state":"away","note":"back at three","line":"busy")"));
  notify(*line, 2, dialog_info("confirmed"));
  EXPECT_EQ(w.next(1), "") << "the same again is no news";
  notify(*line, 3, dialog_info("terminated"));
  EXPECT_THAT(w.next(1), HasSubstr(R"("line":"idle")"));
}

TEST_F(Watching, AStateMayComeBeforeTheAnswer) {
  watch();
  notify(*presence, 1, write_pidf({"1002", "one.test"}, {Availability::available, ""}));
  EXPECT_THAT(w.next(1), HasSubstr("available"));
  accept(*presence);
  EXPECT_EQ(w.next(1), R"({"id":2,"ok":true})");
}

TEST_F(Watching, WhoIsNobodyIsToldOnceAndForgotten) {
  watch();
  w.answer(*presence, 403);
  EXPECT_THAT(w.next(1), HasSubstr(R"("status":403)"));
  accept(*line);
  notify(*line, 1, dialog_info("confirmed"));
  EXPECT_EQ(w.next(1), "");
  w.pass(hours(2));
  EXPECT_THAT(w.sip, IsEmpty());
}

TEST_F(Watching, IsRefreshedInItsDialogAndMadeAnewWhenThatIsGone) {
  watch();
  accept(*presence, "100");
  accept(*line, "1000");
  w.heard.clear();
  w.pass(seconds(80));
  World::Sent again = w.take_sip();
  EXPECT_EQ(again.message.to_tag(), "node-tag");
  EXPECT_EQ(again.message.call_id(), presence->message.call_id());
  EXPECT_THAT(w.sip, IsEmpty());
  w.answer(again, 481);
  w.pass(seconds(30));
  again = w.take_sip();
  EXPECT_EQ(again.message.to_tag(), "");
  EXPECT_NE(again.message.call_id(), presence->message.call_id());
  accept(again);
  EXPECT_EQ(w.next(1), "") << "nothing of the client's business";
  notify(again, 1, {}, "terminated;reason=deactivated");
  w.pass(seconds(30));
  EXPECT_EQ(w.take_sip().message.to_tag(), "");
}

TEST_F(Watching, EndsWhenItIsNotWanted) {
  watch();
  accept(*presence);
  accept(*line);
  w.heard.clear();
  w.say(1, R"({"id":3,"op":"watch","to":"1002@one.test","on":false})");
  EXPECT_EQ(w.next(1), R"({"id":3,"ok":true})");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(w.take_sip().message.header("Expires"), "0");
  w.pass(hours(2));
  EXPECT_THAT(w.sip, testing::Each(testing::Truly([](const auto& r) {
                return r.bytes.text().starts_with("SUBSCRIBE") &&
                       r.bytes.text().find("Expires: 0") != std::string_view::npos;
              })))
      << "repeated at most";
}

TEST_F(Watching, HasALimit) {
  for (int i = 0; i < 400 && w.next(1).find("too_many") == std::string::npos; ++i) {
    w.say(1, R"({"id":2,"op":"watch","to":"u)" + std::to_string(i) + "\"}");
    while (!w.sip.empty()) accept(w.take_sip());
    EXPECT_LT(i, 201) << "200 are enough";
  }
}

TEST_F(Watching, GoesOnAfterARestore) {
  watch();
  accept(*presence);
  accept(*line);
  w.say(1, R"({"id":4,"op":"presence","state":"busy","note":"talks"})");
  w.answer(w.take_sip(), 200, {{"SIP-ETag", "e1"}, {"Expires", "3600"}});
  w.through_bytes();
  std::vector<std::string> events;
  while (!w.sip.empty()) {
    const World::Sent sent = w.take_sip();
    events.push_back(std::string(sip::to_string(sent.message.method())) + " " +
                     std::string(sent.message.header("Event").value_or("")));
    if (sent.message.method() != sip::Method::publish) continue;
    EXPECT_EQ(read_pidf(sent.message.body_text()).note, "talks");
    EXPECT_EQ(sent.message.header("SIP-If-Match"), "e1") << "what is there is changed, no second one made";
  }
  EXPECT_THAT(events,
              testing::UnorderedElementsAre("PUBLISH presence", "SUBSCRIBE presence", "SUBSCRIBE dialog"));
}

TEST_F(Watching, WhatWeAreIsPublishedChangedAndTakenAway) {
  w.say(1, R"({"id":4,"op":"presence","state":"away","note":"lunch"})");
  World::Sent first = w.take_sip();
  EXPECT_EQ(first.message.method(), sip::Method::publish);
  EXPECT_EQ(read_pidf(first.message.body_text()), (Standing{Availability::away, "lunch"}));
  EXPECT_FALSE(first.message.has(sip::HeaderId::sip_if_match));
  w.answer(first, 200, {{"SIP-ETag", "e1"}, {"Expires", "100"}});
  EXPECT_EQ(w.next(1), R"({"id":4,"ok":true})");
  w.pass(seconds(80));
  World::Sent second = w.take_sip();
  EXPECT_EQ(second.message.header("SIP-If-Match"), "e1");
  w.answer(second, 412);
  World::Sent third = w.take_sip();
  EXPECT_FALSE(third.message.has(sip::HeaderId::sip_if_match)) << "forgotten: published anew";
  w.answer(third, 200, {{"SIP-ETag", "e2"}, {"Expires", "3600"}});
  w.say(1, R"({"id":5,"op":"bye"})");
  World::Sent last = w.take_sip();
  EXPECT_EQ(last.message.method(), sip::Method::publish);
  EXPECT_EQ(last.message.header("SIP-If-Match"), "e2");
  EXPECT_EQ(last.message.header("Expires"), "0");
  EXPECT_TRUE(last.message.body().empty());
}

TEST_F(Watching, StrangeWordsAreRefused) {
  for (const char* text : {R"({"id":4,"op":"presence","state":"asleep"})", R"({"id":4,"op":"presence"})",
                           R"({"id":4,"op":"watch"})", R"({"id":4,"op":"watch","to":"a b"})",
                           R"({"id":4,"op":"watch","to":"tel:1"})"}) {
    w.say(1, text);
    EXPECT_THAT(w.next(1), HasSubstr("bad_request")) << text;
  }
  w.say(1, R"({"id":4,"op":"presence","state":"away","note":")" + std::string(257, 'x') + "\"}");
  EXPECT_THAT(w.next(1), HasSubstr("bad_request"));
  EXPECT_THAT(w.sip, IsEmpty());
}

}  // namespace
}  // namespace tandem::webrtc
