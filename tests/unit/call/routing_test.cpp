// Whom a call reaches: several contacts, forwarding, groups, trunks.
#include "unit/call/harness.h"
#include "unit/call/trunks.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

struct Routing : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};

  void answered_by(Phone& p) {
    p.answer();
    p.expect("ACK");
    a.expect(200);
    a.ack();
    hang_up(a, p);
    sw.expect_empty();
  }
  void cancelled(Phone& p) {
    p.expect("CANCEL");
    p.ok();
    p.reply(p.invite_text, 487);
    p.expect("ACK");
  }
};

TEST_F(Routing, AllContactsRing) {
  Phone b2(sw, "1002", "198.51.100.22:5060");
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  b.ring();
  b2.ring();
  a.expect(180);
  EXPECT_TRUE(a.quiet());  // one 180 for both
  b2.answer();
  b2.expect("ACK");
  a.expect(200);
  a.ack();
  const auto cancel = b.expect("CANCEL");
  EXPECT_THAT(std::string(cancel.header(sip::HeaderId::reason).value_or("")), HasSubstr("elsewhere"));
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  ASSERT_EQ(sw.cdrs.size(), 1u);  // of the phone that rang in vain
  hang_up(a, b2);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  const port::Cdr &lost = sw.cdrs[0], &won = sw.cdrs[1];
  EXPECT_EQ(lost.sip_status, 487);
  EXPECT_EQ(lost.q850_cause, 26);
  EXPECT_EQ(lost.release_side, port::Cdr::Side::system);
  EXPECT_EQ(lost.answer.ns, 0);
  EXPECT_NE(lost.ring.ns, 0);
  EXPECT_EQ(lost.caller.call_id, won.caller.call_id);
  EXPECT_EQ(lost.callee.call_id, b.call_id);
  EXPECT_EQ(lost.callee.remote, b.addr);
  EXPECT_EQ(lost.callee.party.user, "1002");
  EXPECT_EQ(lost.dialled, "1002");
  EXPECT_EQ(lost.key.call, won.key.call);
  EXPECT_EQ(won.callee.call_id, b2.call_id);
  EXPECT_EQ(won.q850_cause, 16);
  EXPECT_NE(won.answer.ns, 0);
  sw.expect_empty();
}

TEST_F(Routing, EachLegInVainHasItsOwnRecord) {
  Phone b2(sw, "1002", "198.51.100.22:5060"), b3(sw, "1002", "198.51.100.23:5060");
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  b3.expect("INVITE");
  b.ring();
  a.expect(180);
  b2.reply(b2.invite_text, 486);
  b2.expect("ACK");
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.advance(seconds(10));
  a.cancel();
  a.expect(200);
  a.expect(487);
  EXPECT_EQ(sw.last_after, sw.last_commit);  // the 487 waits for the last of them
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  sw.sent[b3.addr].clear();  // retransmissions
  b3.answer();               // nothing was heard of it before: still the one record
  b3.expect("ACK");
  b3.expect("BYE");
  b3.ok();
  ASSERT_EQ(sw.cdrs.size(), 3u);
  const port::Cdr &busy = sw.cdrs[0], &rang = sw.cdrs[1], &silent = sw.cdrs[2];
  EXPECT_EQ(busy.callee.call_id, b2.call_id);
  EXPECT_EQ(busy.sip_status, 486);
  EXPECT_EQ(busy.release_side, port::Cdr::Side::callee);
  EXPECT_EQ(busy.ring.ns, 0);
  EXPECT_EQ(rang.callee.call_id, b.call_id);
  EXPECT_NE(rang.ring.ns, 0);
  EXPECT_EQ(silent.callee.call_id, b3.call_id);
  EXPECT_EQ(silent.ring.ns, 0);
  for (const port::Cdr* cdr : {&rang, &silent}) {
    EXPECT_EQ(cdr->sip_status, 487);
    EXPECT_EQ(cdr->release_side, port::Cdr::Side::caller);
    EXPECT_EQ(cdr->end - busy.end, Duration(seconds(10)));
  }
  EXPECT_EQ(sw.counters.total("call_cdr_total"), 3u);
  sw.expect_empty();
}

TEST_F(Routing, BusyOnOneRingsOnTheOther) {
  Phone b2(sw, "1002", "198.51.100.22:5060");
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  EXPECT_EQ(a.sw->sent[a.addr].size(), 1u);  // the 100
  b2.reply(b2.invite_text, 603);
  b2.expect("ACK");
  a.expect(603);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Routing, DoNotDisturb) {
  sw.subscriber("1002").do_not_disturb = true;
  a.call("1002");
  a.expect(486);
  a.ack_failure();
  EXPECT_TRUE(b.quiet());
  sw.expect_empty();
}

TEST_F(Routing, ForwardAlways) {
  sw.subscriber("1002").forwarding.always = "1003";
  a.call("1002");
  EXPECT_TRUE(b.quiet());
  const auto invite = c.expect("INVITE");
  EXPECT_EQ(invite.header(sip::HeaderId::diversion).value_or(""),
            "<sip:1002@example.org>;reason=unconditional");
  EXPECT_THAT(std::string(invite.header(sip::HeaderId::history_info).value_or("")), HasSubstr("index=1"));
  c.answer();
  c.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, c);
  EXPECT_EQ(sw.cdrs.at(0).forwarded_by, "1002@example.org");
  EXPECT_EQ(sw.cdrs.at(0).dialled, "1002");
  EXPECT_EQ(sw.cdrs.at(0).callee.party.user, "1003");
  sw.expect_empty();
}

TEST_F(Routing, ForwardBusy) {
  sw.subscriber("1002").forwarding.busy = "1003";
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  c.expect("INVITE");
  answered_by(c);
}

TEST_F(Routing, ForwardNoAnswer) {
  sw.subscriber("1002").forwarding.no_answer = "1003";
  sw.subscriber("1002").forwarding.no_answer_seconds = 15;
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  sw.advance(seconds(14));
  EXPECT_TRUE(c.quiet());
  sw.advance(seconds(1));
  cancelled(b);
  EXPECT_THAT(std::string(c.expect("INVITE").header(sip::HeaderId::diversion).value_or("")),
              HasSubstr("no-answer"));
  answered_by(c);
}

TEST_F(Routing, ForwardNoAnswerWhenTheRingingGotLost) {
  sw.subscriber("1002").forwarding.no_answer = "1003";
  sw.subscriber("1002").forwarding.no_answer_seconds = 15;
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 100);  // and its 180 never came
  sw.advance(seconds(15));
  cancelled(b);
  c.expect("INVITE");
  answered_by(c);
}

TEST_F(Routing, ForwardUnreachable) {
  sw.subscriber("1002").forwarding.unreachable = "1003";
  sw.bindings.clear();
  sw.bind("1003", "198.51.100.3:5060");
  a.call("1002");
  c.expect("INVITE");
  answered_by(c);
}

TEST_F(Routing, ForwardInCircles) {
  sw.subscriber("1002").forwarding.always = "1003";
  sw.subscriber("1003").forwarding.always = "1002";
  a.call("1002");
  // 1003 may not send it back to 1002: it rings there.
  c.expect("INVITE");
  EXPECT_GE(sw.counters.total("call_refused_total"), 1u);
  answered_by(c);
}

TEST_F(Routing, RedirectedByPhone) {
  a.call("1002");
  b.expect("INVITE");
  std::string text = "SIP/2.0 302 Moved\r\n";
  const auto m = b.parse(b.invite_text);
  for (const auto& h : m.headers())
    if (h.id == sip::HeaderId::via || h.id == sip::HeaderId::from || h.id == sip::HeaderId::call_id ||
        h.id == sip::HeaderId::cseq)
      text += std::string(h.name) + ": " + std::string(h.value) + "\r\n";
  text += "To: <sip:1002@example.org>;tag=x\r\nContact: <sip:1003@example.org>\r\nContent-Length: 0\r\n\r\n";
  b.send(text);
  b.expect("ACK");
  c.expect("INVITE");
  answered_by(c);
}

port::PlanRows group_rows(port::RingGroupRow::Strategy strategy) {
  port::PlanRows rows;
  port::DomainRow d;
  d.name = domain;
  rows.domains.push_back(d);
  port::RingGroupRow g;
  g.domain = domain;
  g.name = "600";
  g.strategy = strategy;
  g.timeout_seconds = 40;
  g.member_timeout_seconds = 10;
  g.otherwise = "1004";
  rows.ring_groups.push_back(g);
  for (uint32_t i = 0; i < 2; ++i) {
    port::RingGroupMemberRow m;
    m.domain = domain;
    m.group = "600";
    m.position = i;
    m.target = i == 0 ? "1002" : "1003";
    rows.ring_group_members.push_back(m);
  }
  return rows;
}

struct Groups : ::testing::Test {
  void set(port::RingGroupRow::Strategy strategy) {
    sw = std::make_unique<Switch>(CallConfig{}, group_rows(strategy));
    a = std::make_unique<Phone>(*sw, "1001", "198.51.100.1:5060");
    b = std::make_unique<Phone>(*sw, "1002", "198.51.100.2:5060");
    c = std::make_unique<Phone>(*sw, "1003", "198.51.100.3:5060");
    d = std::make_unique<Phone>(*sw, "1004", "198.51.100.4:5060");
  }
  void cancelled(Phone& p) {
    p.expect("CANCEL");
    p.ok();
    p.reply(p.invite_text, 487);
    p.expect("ACK");
  }
  std::unique_ptr<Switch> sw;
  std::unique_ptr<Phone> a, b, c, d;
};

TEST_F(Groups, Parallel) {
  set(port::RingGroupRow::Strategy::parallel);
  a->call("600");
  b->expect("INVITE");
  c->expect("INVITE");
  b->ring();
  c->ring();
  a->expect(180);
  c->answer();
  c->expect("ACK");
  a->expect(200);
  a->ack();
  cancelled(*b);
  hang_up(*a, *c);
  ASSERT_EQ(sw->cdrs.size(), 2u);
  for (const port::Cdr& cdr : sw->cdrs) EXPECT_EQ(cdr.dialled, "600");
  EXPECT_EQ(sw->cdrs[0].callee.party.user, "1002");
  EXPECT_EQ(sw->cdrs[0].q850_cause, 26);
  EXPECT_EQ(sw->cdrs[1].callee.party.user, "1003");
  EXPECT_NE(sw->cdrs[1].answer.ns, 0);
  sw->expect_empty();
}

TEST_F(Groups, SequentialThenOverflow) {
  set(port::RingGroupRow::Strategy::sequential);
  a->call("600");
  b->expect("INVITE");
  b->ring();
  a->expect(180);
  EXPECT_TRUE(c->quiet());
  sw->advance(seconds(10));
  cancelled(*b);
  c->expect("INVITE");
  c->reply(c->invite_text, 486);  // the next does not wait for the clock
  c->expect("ACK");
  d->expect("INVITE");
  d->answer();
  d->expect("ACK");
  a->expect(200);
  a->ack();
  hang_up(*a, *d);
  sw->expect_empty();
}

// ---- GRUUs (RFC 5627)

struct Gruus : ::testing::Test {
  Gruus() {
    sw.bindings["1001"][0].instance = "desk";
    sw.bindings["1001"][1].instance = "cell";
  }
  Switch sw;
  Phone desk{sw, "1001", "198.51.100.1:5060"};
  Phone cell{sw, "1001", "198.51.100.1:5061"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};
};

TEST_F(Gruus, OnlyThatInstanceRings) {
  b.invite("sip:1001@" + domain + ";gr=cell", sdp(b.media));
  cell.expect("INVITE");
  EXPECT_TRUE(desk.quiet());
  cell.answer();
  cell.expect("ACK");
  b.expect(200);
  b.ack();
  hang_up(b, cell);
  sw.expect_empty();
}

TEST_F(Gruus, AnInstanceThatIsAwayIsNotMadeUpForByOthers) {
  b.invite("sip:1001@" + domain + ";gr=tablet", sdp(b.media));
  b.expect(480);
  b.ack_failure();
  sw.directory["1001"].forwarding.unreachable = "1003";  // and forwarding goes on from there
  Phone again(sw, "1002", "198.51.100.2:5061", false);
  again.invite("sip:1001@" + domain + ";gr=tablet", sdp(again.media));
  c.expect("INVITE");
  EXPECT_TRUE(desk.quiet());
  EXPECT_TRUE(cell.quiet());
  c.reply(c.invite_text, 486);
  c.expect("ACK");
  again.expect(486);
  again.ack_failure();
  sw.expect_empty();
}

TEST_F(Gruus, ATransferReachesTheInstance) {
  connect(b, c);
  b.request("REFER", "", "Refer-To: <sip:1001@" + domain + ";gr=desk>\r\n");
  desk.expect("INVITE");
  EXPECT_TRUE(cell.quiet());
}

TEST_F(Gruus, ARestartDoesNotWidenIt) {
  sw.hold_asks = true;
  b.invite("sip:1001@" + domain + ";gr=cell", sdp(b.media));
  sw.reboot();
  sw.hold_asks = false;
  sw.pump();
  cell.expect("INVITE");
  EXPECT_TRUE(desk.quiet());
}

// ---- trunks

struct Trunks : ::testing::Test {
  Switch sw{CallConfig{}, trunk_rows()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
  Phone backup{sw, "trunk:backup", "203.0.113.20:5060"};
};

TEST_F(Trunks, OutWithChallenge) {
  a.call("0301234567");
  const auto invite = carrier.expect("INVITE");
  EXPECT_EQ(invite.request_uri(), "sip:301234567@203.0.113.10:5060");
  EXPECT_THAT(std::string(invite.header(sip::HeaderId::p_asserted_identity).value_or("")),
              HasSubstr("1001@203.0.113.10"));
  carrier.reply(
      carrier.invite_text, 407, "",
      "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\r\n");
  carrier.expect("ACK");
  const auto again = carrier.expect("INVITE");
  EXPECT_EQ(again.cseq().number, 2u);
  EXPECT_EQ(again.call_id(), invite.call_id());
  EXPECT_THAT(std::string(again.header(sip::HeaderId::proxy_authorization).value_or("")),
              HasSubstr("username=\"acme\""));
  carrier.answer();
  EXPECT_EQ(carrier.expect("ACK").cseq().number, 2u);
  a.expect(200);
  a.ack();
  hang_up(a, carrier);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].direction, port::Cdr::Direction::outbound);
  EXPECT_EQ(sw.cdrs[0].callee.trunk, "carrier");
  sw.expect_empty();
}

TEST_F(Trunks, WrongPasswordGoesToTheNext) {
  a.call("0301234567");
  carrier.expect("INVITE");
  const std::string challenge =
      "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"\r\n";
  carrier.reply(carrier.invite_text, 401, "", challenge);
  carrier.expect("ACK");
  carrier.expect("INVITE");
  carrier.reply(carrier.invite_text, 401, "", challenge);
  carrier.expect("ACK");
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  a.expect(486);
  a.ack_failure();
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 502);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::callee);
  EXPECT_EQ(sw.cdrs[1].sip_status, 486);
  sw.expect_empty();
}

TEST_F(Trunks, Failover) {
  a.call("0301234567");
  carrier.expect("INVITE");
  carrier.reply(carrier.invite_text, 503);
  carrier.expect("ACK");
  backup.expect("INVITE");
  backup.answer();
  backup.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(backup, a);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].callee.trunk, "carrier");
  EXPECT_EQ(sw.cdrs[0].sip_status, 503);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::callee);
  EXPECT_EQ(sw.cdrs[0].direction, port::Cdr::Direction::outbound);
  EXPECT_EQ(sw.cdrs[1].callee.trunk, "backup");
  sw.expect_empty();
}

TEST_F(Trunks, SilentTrunk) {
  a.call("0301234567");
  carrier.expect("INVITE");
  sw.advance_until_sent(backup.addr, seconds(33));  // Timer B
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 404);
  backup.expect("ACK");
  a.expect(404);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Trunks, In) {
  carrier.user = "+49301112";
  carrier.call("49301001");
  const auto invite = a.expect("INVITE");
  EXPECT_THAT(std::string(invite.header(sip::HeaderId::from).value_or("")), HasSubstr("49301112"));
  a.answer();
  a.expect("ACK");
  carrier.expect(200);
  carrier.ack();
  hang_up(carrier, a);
  EXPECT_EQ(sw.cdrs.at(0).direction, port::Cdr::Direction::inbound);
  sw.expect_empty();
}

/// Whoever calls from outside can write what he likes into From.
TEST_F(Trunks, NobodyOutsideIsAnExtension) {
  struct Case {
    const char *number, *shown;
  };
  for (const auto& [number, shown] :
       {Case{"1002", "<sip:1002@203.0.113.10>"}, Case{"boss", "<sip:boss@203.0.113.10>"},
        Case{"+49301112", "<sip:+49301112@example.org>"},
        Case{"0301112000", "<sip:0301112000@example.org>"}}) {
    Phone outside(sw, "trunk:carrier", "203.0.113.10:5060");
    outside.user = number;  // From: <sip:...@example.org>
    outside.call("49301001");
    const auto invite = a.expect("INVITE");
    EXPECT_THAT(std::string(invite.header(sip::HeaderId::from).value_or("")), HasSubstr(shown));
    const auto lines = sw.lines->at["1001@example.org"];
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].remote_uri, "sip:" + std::string(number) + "@203.0.113.10");
    a.reply(a.invite_text, 486);
    a.expect("ACK");
    outside.expect(486);
    outside.ack_failure();
    EXPECT_EQ(sw.cdrs.back().caller.party.domain, "203.0.113.10");
  }
  sw.expect_empty();
}

TEST_F(Trunks, NotForEverybody) {
  sw.subscriber("1001").call_class = port::CallClass::internal;
  a.call("0301234567");
  a.expect(403);
  a.ack_failure();
  EXPECT_TRUE(carrier.quiet());
  sw.expect_empty();
}

TEST_F(Trunks, Anonymous) {
  a.invite("0301234567", sdp(a.media), "Privacy: id\r\n");
  const auto invite = carrier.expect("INVITE");
  EXPECT_THAT(std::string(invite.header(sip::HeaderId::from).value_or("")), HasSubstr("anonymous.invalid"));
  EXPECT_EQ(invite.header(sip::HeaderId::privacy).value_or(""), "id");
  carrier.reply(carrier.invite_text, 603);
  carrier.expect("ACK");
  a.expect(603);
  a.ack_failure();
  EXPECT_TRUE(backup.quiet());
  sw.expect_empty();
}

TEST(TrunkNames, Resolved) {
  Switch sw(CallConfig{}, trunk_rows("sip.carrier.example"));
  Phone a(sw, "1001", "198.51.100.1:5060");
  Phone one(sw, "trunk:carrier", "203.0.113.31:5060"), two(sw, "trunk:carrier", "203.0.113.32:5060");
  Phone backup(sw, "trunk:backup", "203.0.113.20:5060");
  sw.names["sip.carrier.example"] = {"203.0.113.31", "203.0.113.32"};
  a.call("0301234567");
  one.expect("INVITE");
  one.reply(one.invite_text, 503);
  one.expect("ACK");
  two.expect("INVITE");
  two.answer();
  two.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, two);
  sw.names.clear();  // and when the name is gone: the next trunk
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("0301234567");
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  again.expect(486);
  again.ack_failure();
  sw.expect_empty();
}

TEST(TrunkRegistration, RegistersAndRefreshes) {
  Switch sw(CallConfig{}, registration_rows());
  Phone carrier(sw, "trunk:carrier", "203.0.113.10:5060");
  sw.calls->set_plan(sw.now, sw.plan, sw.out);
  sw.pump();
  const auto first = carrier.expect("REGISTER");
  EXPECT_EQ(first.request_uri(), "sip:203.0.113.10");
  EXPECT_EQ(first.expires(), 300u);
  carrier.reply(
      carrier.request_text, 401, "",
      "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n");
  const auto second = carrier.expect("REGISTER");
  EXPECT_TRUE(second.has(sip::HeaderId::authorization));
  carrier.reply(carrier.request_text, 200, "", "Expires: 100\r\n");
  ASSERT_EQ(sw.calls->trunks().size(), 2u);  // the backup trunk is only known by its address
  EXPECT_EQ(sw.calls->trunks()[1].state, TrunkStatus::State::idle);
  EXPECT_EQ(sw.calls->trunks()[0].state, TrunkStatus::State::registered);
  sw.advance_until_sent(carrier.addr, seconds(80));
  carrier.expect("REGISTER");
  carrier.reply(carrier.request_text, 503);
  EXPECT_EQ(sw.calls->trunks()[0].state, TrunkStatus::State::unreachable);
  sw.advance_until_sent(carrier.addr, seconds(7));
  carrier.expect("REGISTER");
  carrier.reply(carrier.request_text, 200, "", "Expires: 100\r\n");
  EXPECT_EQ(sw.calls->trunks()[0].state, TrunkStatus::State::registered);
  sw.calls->unregister_trunks(sw.now, sw.out);
  sw.pump();
  EXPECT_EQ(carrier.expect("REGISTER").expires(), 0u);
  carrier.reply(carrier.request_text, 200);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
