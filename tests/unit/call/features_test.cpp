// Pick-up, park and feature codes.
#include "unit/call/transfers.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

struct Features : ThreePhones {};

// ---- pick-up and park

TEST_F(Features, PickUp) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  EXPECT_EQ(sw.lines->at.at("1002@example.org").at(0).state, port::LineCall::State::early);
  c.call("*81002");
  c.expect(200);
  c.ack();
  a.expect(200);
  a.ack();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, c);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "1002");
  EXPECT_EQ(sw.cdrs[0].q850_cause, 26);
  EXPECT_EQ(sw.cdrs[1].callee.party.user, "1003");
  sw.expect_empty();
}

TEST_F(Features, NothingToPickUp) {
  c.call("*81002");
  c.expect(404);
  c.ack_failure();
  sw.expect_empty();
}

TEST_F(Features, GroupPickUp) {
  sw.subscriber("1002").pickup_group = "sales";
  sw.subscriber("1003").pickup_group = "sales";
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  c.call("*8");
  c.expect(200);
  c.ack();
  a.expect(200);
  a.ack();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  hang_up(c, a);
  sw.expect_empty();
}

TEST_F(Features, ParkAndRetrieve) {
  connect(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.calls->list().at(0).state, "parked");
  ASSERT_TRUE(sw.lines->at.count("park+701@example.org"));
  sw.advance(seconds(1));
  EXPECT_GT(sw.media_sent[*SocketAddress::parse(a.media)], 40);  // music
  c.call("701");
  c.expect(200);
  c.ack();
  EXPECT_FALSE(sw.lines->at.count("park+701@example.org"));
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, c);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Features, WhoWishesNotToBeNamedIsNotNamedByTheSlot) {
  connect_unnamed(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  const port::LineCall parked = sw.lines->at.at("park+701@example.org").at(0);
  EXPECT_EQ(parked.remote_uri, "sip:anonymous@anonymous.invalid");
  EXPECT_EQ(parked.remote_display, "Anonymous");
  a.bye();
  a.expect(200);
  sw.expect_empty();
}

TEST_F(Features, ParkedTooLong) {
  sw.calls.reset();
  sw.config.media_timeout = {};  // these phones send nothing
  sw.build();
  connect(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  Phone b2(sw, "1002", "198.51.100.2:5080");
  sw.bindings["1002"].erase(sw.bindings["1002"].begin());
  sw.advance_until_sent(b2.addr, seconds(121));
  b2.expect("INVITE");  // the parker is called back
  b2.answer();
  b2.expect("ACK");
  EXPECT_EQ(sw.calls->list().at(0).state, "connected");
  hang_up(b2, a);
  sw.expect_empty();
}

TEST_F(Features, ParkedPartyHangsUp) {
  connect(a, b);
  refer(b, "700");
  expect_fragment(b, "200", "terminated");
  b.expect("BYE");
  b.ok();
  a.bye();
  a.expect(200);
  c.call("701");
  c.expect(404);
  c.ack_failure();
  sw.expect_empty();
}

// ---- features

TEST_F(Features, EchoTest) {
  a.call("*43");
  const auto ok = a.expect(200);
  EXPECT_THAT(std::string(ok.body_text()), HasSubstr("PCMU"));
  a.ack();
  a.bye();
  a.expect(200);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "*43");
  sw.expect_empty();
}

TEST_F(Features, ForwardingThatLeadsNowhereIsRefused) {
  struct Case {
    const char* code;
    int status;
    const char* why;
  };
  sw.subscriber("1007").enabled = false;
  for (const auto& [code, status, why] :
       {Case{"*721001", 403, "Cannot forward to oneself"},
        Case{"*90*1001#", 403, "Cannot forward to oneself"}, Case{"*721999", 404, "nobody has that number"},
        Case{"*921007", 404, "nobody has that number"}, Case{"*94**43", 403, "Cannot forward there"},
        Case{"*72701", 403, "Cannot forward to a feature code"}, Case{"*72", 484, "wants a number"}}) {
    Phone phone(sw, "1001", "198.51.100.1:5061", false);
    phone.call(code);
    phone.expect(status);
    EXPECT_THAT(phone.last, HasSubstr(why)) << code;
    phone.ack_failure();
  }
  for (const auto& q : sw.asked_questions) EXPECT_FALSE(std::holds_alternative<port::SetFeature>(q));
  a.call("*72" + b.user);
  a.expect(200);
  a.ack();
  const auto* set = std::get_if<port::SetFeature>(&sw.asked_questions.back());
  ASSERT_TRUE(set);
  EXPECT_EQ(set->value, b.user);
  sw.advance(seconds(3));
  a.expect("BYE");
  a.ok();
  sw.fail_directory = true;
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("*72" + b.user);
  again.expect(503);
  again.ack_failure();
  sw.expect_empty();
}

TEST_F(Features, EchoTestWithoutOffer) {
  a.invite("*43", "");
  a.expect(200);
  a.ack(sdp(a.media));
  a.bye();
  a.expect(200);
  sw.expect_empty();
}

TEST_F(Features, EchoTestWithoutACodec) {
  a.invite("*43", sdp(a.media, "3"));  // GSM
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Features, FeatureCodeSets) {
  a.call("*78");
  a.expect(200);
  a.ack();
  bool asked = false;
  for (const auto& q : sw.asked_questions)
    if (const auto* set = std::get_if<port::SetFeature>(&q))
      asked = set->kind == port::SetFeature::Kind::dnd && set->value == "1" && set->aor.user == "1001";
  EXPECT_TRUE(asked);
  sw.advance(seconds(3));
  a.expect("BYE");
  a.ok();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::system);
  sw.fail_directory = true;
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("*78");
  again.expect(503);
  again.ack_failure();
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
