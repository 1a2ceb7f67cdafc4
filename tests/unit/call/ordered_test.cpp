// Calls placed over REST (RFC 3725 section 10.1).
#include "unit/call/transfers.h"
#include "unit/call/trunks.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

CallOrder order_of(Switch& sw, const std::string& from, const std::string& to) {
  CallOrder order;
  order.caller = std::make_shared<const port::Subscriber>(sw.directory.at(from));
  order.from = from;
  order.to = to;
  order.by = "token crm";
  return order;
}

CallId place(Switch& sw, const CallOrder& order) {
  const Ordered done = sw.calls->order(sw.now, order, sw.out);
  EXPECT_EQ(done.outcome, Ordered::Outcome::placed);
  sw.pump();
  return done.call;
}

std::string from_of(const sip::Message& m) { return std::string(m.header(sip::HeaderId::from).value_or("")); }

struct Orders : ThreePhones {
  /// A has answered, B is being called.
  CallId first_is_up() {
    const CallId id = place(sw, order_of(sw, "1001", "1002"));
    a.expect("INVITE");
    a.ring();
    a.answer();
    a.expect("ACK");
    b.expect("INVITE");
    return id;
  }
};

TEST_F(Orders, OneAfterTheOther) {
  const CallId id = place(sw, order_of(sw, "1001", "1002"));
  const auto first = a.expect("INVITE");
  EXPECT_THAT(from_of(first), HasSubstr("sip:1002@" + domain));  // whom it will talk with
  EXPECT_THAT(std::string(first.body_text()), HasSubstr("m=audio"));
  EXPECT_TRUE(b.quiet());
  a.ring();
  ASSERT_TRUE(sw.calls->show(id));
  EXPECT_EQ(sw.calls->show(id)->state, "ringing");
  EXPECT_EQ(sw.calls->show(id)->legs.size(), 1u);
  EXPECT_TRUE(b.quiet());
  a.answer();
  a.expect("ACK");  // at once: nothing of it waits for the second
  const auto second = b.expect("INVITE");
  EXPECT_THAT(from_of(second), HasSubstr("sip:1001@" + domain));
  EXPECT_THAT(std::string(second.body_text()), HasSubstr("m=audio"));
  b.ring();
  sw.advance(seconds(1));
  EXPECT_GT(sw.media_sent[*SocketAddress::parse(a.media)], 40);  // it hears ringing
  EXPECT_EQ(sw.cdrs.size(), 0u);
  b.answer();
  b.expect("ACK");
  EXPECT_TRUE(a.quiet());  // the codecs fit
  EXPECT_EQ(sw.calls->show(id)->state, "connected");
  EXPECT_EQ(sw.calls->show(id)->ordered_by, "token crm");
  const int heard = sw.media_sent[*SocketAddress::parse(a.media)];
  sw.advance(seconds(5));
  EXPECT_EQ(sw.media_sent[*SocketAddress::parse(a.media)], heard);
  hang_up(a, b);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  const port::Cdr& cdr = sw.cdrs[0];
  EXPECT_EQ(cdr.key.call, id);
  EXPECT_EQ(cdr.caller.party.user, "1001");
  EXPECT_EQ(cdr.callee.party.user, "1002");
  EXPECT_EQ(cdr.dialled, "1002");
  EXPECT_EQ(cdr.ordered_by, "token crm");
  EXPECT_EQ(cdr.sip_status, 200);
  EXPECT_EQ(cdr.talk_time(), seconds(5));
  EXPECT_EQ(cdr.direction, port::Cdr::Direction::internal);
  sw.expect_empty();
}

TEST_F(Orders, WhatTheFirstIsShown) {
  CallOrder order = order_of(sw, "1001", "1002");
  order.shown = "4711";
  order.display = "The customer";
  place(sw, order);
  EXPECT_THAT(from_of(a.expect("INVITE")), HasSubstr("\"The customer\" <sip:4711@" + domain + ">"));
  a.reply(a.invite_text, 486);
  a.expect("ACK");
  sw.expect_empty();
}

TEST_F(Orders, TheFirstDoesNotAnswer) {
  CallOrder order = order_of(sw, "1001", "1002");
  order.ring = seconds(20);
  place(sw, order);
  a.expect("INVITE");
  a.ring();
  sw.advance(seconds(20));
  a.expect("CANCEL");
  a.ok();
  a.reply(a.invite_text, 487);
  a.expect("ACK");
  EXPECT_TRUE(b.quiet());
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].caller.party.user, "1001");
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "1002");
  EXPECT_EQ(sw.cdrs[0].ordered_by, "token crm");
  EXPECT_EQ(sw.cdrs[0].answer.ns, 0);
  sw.expect_empty();
}

TEST_F(Orders, TheFirstRefuses) {
  place(sw, order_of(sw, "1001", "1002"));
  a.expect("INVITE");
  a.reply(a.invite_text, 603);
  a.expect("ACK");
  EXPECT_TRUE(b.quiet());
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 603);
  sw.expect_empty();
}

TEST_F(Orders, TheFirstIsNotRegistered) {
  sw.bindings.erase("1001");
  place(sw, order_of(sw, "1001", "1002"));
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(b.quiet());
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 480);
  EXPECT_EQ(sw.cdrs[0].caller.party.user, "1001");
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "1002");
  sw.expect_empty();
}

TEST_F(Orders, TheSecondIsBusy) {
  first_is_up();
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  sw.media_sent.clear();
  sw.advance(seconds(2));
  sw.reboot();
  sw.advance(milliseconds(2900));
  EXPECT_TRUE(a.quiet()) << "it hears why first";
  EXPECT_NEAR(sw.media_sent[*SocketAddress::parse(a.media)], 245, 10);
  sw.advance(milliseconds(200));
  const auto bye = a.expect("BYE");
  EXPECT_THAT(std::string(bye.header(sip::HeaderId::reason).value_or("")), HasSubstr("cause=17"));
  a.ok();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 486);
  EXPECT_EQ(sw.cdrs[0].ordered_by, "token crm");
  sw.expect_empty();
}

TEST_F(Orders, WhoHearsThatTheSecondIsBusyMayLeave) {
  first_is_up();
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  sw.advance(seconds(1));
  a.bye();
  a.expect(200);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Orders, TheFirstLeavesWhileTheSecondRings) {
  first_is_up();
  b.ring();
  a.bye();
  a.expect(200);
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::caller);
  sw.expect_empty();
}

TEST_F(Orders, HungUpInEitherStage) {
  const CallId ringing = place(sw, order_of(sw, "1001", "1002"));
  a.expect("INVITE");
  a.ring();
  EXPECT_TRUE(sw.calls->hangup(sw.now, ringing, {}, sw.out));
  sw.pump();
  a.expect("CANCEL");
  a.ok();
  a.reply(a.invite_text, 487);
  a.expect("ACK");
  const CallId up = first_is_up();
  b.ring();
  EXPECT_TRUE(sw.calls->hangup(sw.now, up, {}, sw.out));
  sw.pump();
  a.expect("BYE");
  a.ok();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Orders, EarlyMediaOfTheSecond) {
  first_is_up();
  b.ring();
  sw.advance(seconds(1));
  b.reply(b.invite_text, 183, sdp(b.media));
  const int heard = sw.media_sent[*SocketAddress::parse(a.media)];
  EXPECT_GT(heard, 0);
  sw.advance(seconds(2));
  EXPECT_EQ(sw.media_sent[*SocketAddress::parse(a.media)], heard);  // what the second sends is what it hears
  b.reply(b.invite_text, 480);
  b.expect("ACK");
  sw.advance(seconds(5));
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

TEST_F(Orders, ItsOwnTelephonesRingWhateverIsSet) {
  sw.directory["1001"].do_not_disturb = true;
  sw.directory["1001"].forwarding.always = "1003";
  place(sw, order_of(sw, "1001", "1002"));
  a.expect("INVITE");
  EXPECT_TRUE(c.quiet());
  a.reply(a.invite_text, 486);
  a.expect("ACK");
  sw.expect_empty();
}

TEST_F(Orders, SurvivesARestart) {
  const CallId id = place(sw, order_of(sw, "1001", "1002"));
  a.expect("INVITE");
  a.ring();
  sw.reboot();
  ASSERT_TRUE(sw.calls->show(id));
  a.answer();
  a.expect("ACK");
  b.expect("INVITE");
  b.ring();
  sw.reboot();
  EXPECT_EQ(sw.calls->show(id)->ordered_by, "token crm");
  b.answer();
  b.expect("ACK");
  sw.reboot();
  sw.advance(seconds(3));
  hang_up(b, a);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].ordered_by, "token crm");
  EXPECT_EQ(sw.cdrs[0].caller.party.user, "1001");
  sw.expect_empty();
}

TEST_F(Orders, NoneWhileDraining) {
  sw.calls->refuse_new_calls(true);
  EXPECT_EQ(sw.calls->order(sw.now, order_of(sw, "1001", "1002"), sw.out).outcome,
            Ordered::Outcome::draining);
  sw.calls->refuse_new_calls(false);
  sw.config.max_calls = 0;
  sw.build();
  EXPECT_EQ(sw.calls->order(sw.now, order_of(sw, "1001", "1002"), sw.out).outcome, Ordered::Outcome::full);
  sw.expect_empty();
}

struct OrdersOut : ::testing::Test {
  Switch sw{{}, trunk_rows()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
};

TEST_F(OrdersOut, TheSecondIsOutside) {
  place(sw, order_of(sw, "1001", "0305550000"));
  a.expect("INVITE");
  a.answer();
  a.expect("ACK");
  const auto out = carrier.expect("INVITE");
  EXPECT_THAT(std::string(out.request_uri()), HasSubstr("305550000"));
  carrier.reply(carrier.invite_text, 200, sdp(carrier.media));
  carrier.expect("ACK");
  hang_up(a, carrier);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].direction, port::Cdr::Direction::outbound);
  sw.expect_empty();
}

TEST_F(OrdersOut, WhatTheCallerMayNotDialIsRefused) {
  sw.directory["1001"].call_class = port::CallClass::internal;
  place(sw, order_of(sw, "1001", "0305550000"));
  a.expect("INVITE");
  a.answer();
  a.expect("ACK");
  EXPECT_TRUE(carrier.quiet());
  sw.advance(seconds(5));
  a.expect("BYE");
  a.ok();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 403);
  sw.expect_empty();
}

TEST_F(OrdersOut, TheFirstIsOutsideOnTheCallersAccount) {
  Phone b{sw, "1002", "198.51.100.2:5060"};
  CallOrder order = order_of(sw, "1001", "1002");
  order.own = false;
  order.from = "0305550000";
  place(sw, order);
  EXPECT_TRUE(a.quiet());
  carrier.expect("INVITE");
  carrier.reply(carrier.invite_text, 200, sdp(carrier.media));
  carrier.expect("ACK");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  hang_up(b, carrier);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].direction, port::Cdr::Direction::outbound);
  EXPECT_EQ(sw.cdrs[0].caller.trunk, "carrier");
  // ... and only with its permissions.
  sw.directory["1001"].call_class = port::CallClass::internal;
  order.caller = std::make_shared<const port::Subscriber>(sw.directory["1001"]);
  place(sw, order);
  EXPECT_TRUE(carrier.quiet());
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[1].sip_status, 403);
  // A feature code is nobody to ring.
  order.from = "*43";
  place(sw, order);
  EXPECT_EQ(sw.cdrs.size(), 3u);
  sw.expect_empty();
}

TEST(OrderSeats, CountLikeAnyCall) {
  port::PlanRows rows = trunk_rows();
  rows.domains[0].max_calls = 1;
  Switch sw({}, rows);
  Phone a(sw, "1001", "198.51.100.1:5060"), b(sw, "1002", "198.51.100.2:5060");
  place(sw, order_of(sw, "1001", "1002"));
  a.expect("INVITE");
  place(sw, order_of(sw, "1002", "1001"));
  EXPECT_TRUE(b.quiet());
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 503);
  a.reply(a.invite_text, 486);
  a.expect("ACK");
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
