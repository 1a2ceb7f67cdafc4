// From INVITE to BYE (RFC 3665 section 3), and the ways it may end before.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

struct Basic : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
};

TEST_F(Basic, AnEndedCallIsShownToNobodyThoughATelephoneOwesItsAnswer) {
  connect(a, b);
  const CallId id = sw.calls->list().at(0).id;
  EXPECT_TRUE(sw.calls->show(id));
  ASSERT_TRUE(sw.calls->hangup(sw.now, id, Cause::from_q850(16), sw.out));
  sw.pump();
  EXPECT_EQ(sw.calls->call_count(), 1u);
  EXPECT_TRUE(sw.calls->list().empty());
  EXPECT_FALSE(sw.calls->show(id));
  for (Phone* p : {&a, &b}) {
    p->expect("BYE");
    p->ok();
  }
  sw.expect_empty();
}

TEST_F(Basic, CallAnsweredAndEnded) {
  a.call("1002");
  const auto invite = b.expect("INVITE");
  EXPECT_EQ(invite.request_uri(), "sip:1002@198.51.100.2:5060");
  EXPECT_EQ(invite.max_forwards(), 69u);
  EXPECT_NE(invite.call_id(), a.call_id);
  EXPECT_THAT(std::string(invite.body_text()), HasSubstr("192.0.2.100"));
  b.ring();
  a.expect(180);
  sw.advance(seconds(3));
  b.answer();
  b.expect("ACK");
  const auto ok = a.expect(200);
  EXPECT_THAT(std::string(ok.body_text()), HasSubstr("192.0.2.100"));
  a.ack();
  EXPECT_EQ(sw.calls->list().at(0).state, "connected");
  sw.advance(seconds(10));
  a.bye();
  a.expect(200);
  EXPECT_EQ(sw.cdrs.size(), 1u);
  b.expect("BYE");
  b.ok();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  const port::Cdr& cdr = sw.cdrs[0];
  EXPECT_EQ(cdr.caller.party.user, "1001");
  EXPECT_EQ(cdr.callee.party.user, "1002");
  EXPECT_EQ(cdr.dialled, "1002");
  EXPECT_EQ(cdr.caller.call_id, a.call_id);
  EXPECT_EQ(cdr.callee.call_id, b.call_id);
  EXPECT_EQ(cdr.sip_status, 200);
  EXPECT_EQ(cdr.q850_cause, 16);
  EXPECT_EQ(cdr.release_side, port::Cdr::Side::caller);
  EXPECT_EQ(cdr.talk_time(), seconds(10));
  EXPECT_EQ(cdr.answer - cdr.ring, seconds(3));
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(b.quiet());
  sw.expect_empty();
}

/// RFC 3323: neither to the telephone nor to who watches its line; the record knows, and says so.
TEST_F(Basic, WhoWishesNotToBeNamedIsNamedToNobody) {
  a.invite("1002", sdp(a.media), "Privacy: id\r\n");
  const auto invite = b.expect("INVITE");
  EXPECT_THAT(std::string(invite.header(sip::HeaderId::from).value_or("")), HasSubstr("anonymous.invalid"));
  EXPECT_EQ(b.invite_text.find("1001@"), std::string::npos) << "nor in Contact";
  b.ring();
  a.expect(180);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  const port::LineCall of_called = sw.lines->at["1002@" + std::string(domain)].at(0);
  EXPECT_EQ(of_called.remote_uri, "sip:anonymous@anonymous.invalid");
  EXPECT_EQ(of_called.remote_display, "Anonymous");
  EXPECT_EQ(of_called.remote_aor.user, "1001") << "who may replace him may still";
  const port::LineCall of_caller = sw.lines->at["1001@" + std::string(domain)].at(0);
  EXPECT_THAT(of_caller.remote_uri, HasSubstr("1002"));
  hang_up(a, b);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_TRUE(sw.cdrs[0].private_caller);
  EXPECT_EQ(sw.cdrs[0].caller.party.user, "1001");
  sw.expect_empty();
}

TEST_F(Basic, TheOkToByeWaitsForTheRecord) {
  connect(a, b);
  port::CommitId held = 0;
  sw.lose = [&](const port::Send& s) {
    if (s.path.remote == a.addr && s.bytes.text().find("SIP/2.0 200") == 0) held = s.after;
    return false;
  };
  a.bye();
  EXPECT_NE(held, 0u);
  EXPECT_EQ(held, sw.last_commit);
  a.expect(200);
  b.expect("BYE");
  b.ok();
  sw.expect_empty();
}

TEST_F(Basic, CalleeHangsUp) {
  connect(a, b);
  hang_up(b, a);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::callee);
  sw.expect_empty();
}

TEST_F(Basic, CallerCancels) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 487);
  EXPECT_EQ(sw.cdrs[0].answer.ns, 0);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::caller);
  sw.expect_empty();
}

TEST_F(Basic, CancelCrossesAnswer) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  b.expect("CANCEL");
  b.answer();  // was already on its way
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Basic, CalleeBusy) {
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  a.expect(486);
  a.ack_failure();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 486);
  EXPECT_EQ(sw.cdrs[0].q850_cause, 17);
  EXPECT_EQ(sw.cdrs[0].callee.party.user, "1002");
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::callee);
  sw.expect_empty();
}

TEST_F(Basic, NobodyThere) {
  a.call("1999");
  a.expect(404);
  a.ack_failure();
  EXPECT_EQ(sw.cdrs.at(0).q850_cause, 1);
  sw.subscriber("1003");
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("1003");
  again.expect(480);
  again.ack_failure();
  EXPECT_EQ(sw.cdrs.at(1).q850_cause, 20);
  for (const port::Cdr& cdr : sw.cdrs) EXPECT_EQ(cdr.release_side, port::Cdr::Side::system);
  sw.expect_empty();
}

TEST_F(Basic, DirectoryAway) {
  sw.fail_directory = true;
  a.call("1002");
  a.expect(503);
  a.ack_failure();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::system);
  sw.expect_empty();
}

TEST_F(Basic, RingsUntilTheTimeIsUp) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  sw.advance(seconds(60));
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  a.expect(480);
  a.ack_failure();
  EXPECT_EQ(sw.cdrs.at(0).q850_cause, 19);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::system);
  sw.expect_empty();
}

TEST_F(Basic, AckNeverComes) {
  a.call("1002");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  a.expect(200);
  sw.advance(seconds(3));
  a.expect(200);  // retransmitted (RFC 3261 section 13.3.1.4)
  sw.advance(seconds(30));
  std::string text;
  while (text.find("BYE") != 0 && !a.quiet()) text = a.pop();
  EXPECT_THAT(text, HasSubstr("BYE "));
  a.reply(text, 200);
  b.expect("BYE");
  b.ok();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::system);
  EXPECT_EQ(sw.counters.total("call_no_ack_total"), 1u);
  sw.expect_empty();
}

TEST_F(Basic, LostAckToTheCalleeIsRepeated) {
  a.call("1002");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  b.answer();  // it did not get it
  b.expect("ACK");
  a.expect(200);
  a.ack();
  EXPECT_TRUE(a.quiet());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Basic, BothHangUpAtOnce) {
  connect(a, b);
  a.bye();
  a.expect(200);
  b.bye();
  b.expect("BYE");
  b.expect(200);
  b.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Basic, StrangersAndWrongTags) {
  connect(a, b);
  Phone spy(sw, "1003", "198.51.100.9:5060");
  spy.call_id = a.call_id;
  spy.peer_tag = a.peer_tag;
  spy.remote_uri = a.remote_uri;
  spy.target = a.target;
  spy.cseq = 10;
  spy.bye();  // right Call-ID and our tag, but not the caller's
  spy.expect(481);
  EXPECT_EQ(sw.calls->call_count(), 1u);
  EXPECT_EQ(sw.counters.total("call_no_dialog_total"), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Basic, Unauthenticated) {
  Phone stranger(sw, "", "203.0.113.9:5060");
  stranger.user = "1001";
  stranger.call("1002");
  stranger.expect(403);
  stranger.ack_failure();
  EXPECT_TRUE(b.quiet());
  sw.expect_empty();
}

/// Of one reason.
uint64_t sdp_errors(const Switch& sw, const std::string& reason) {
  for (const auto& e : sw.counters.entries())
    if (e.name == "sdp_parse_errors_total" && e.labels == "reason=\"" + reason + "\"")
      return e.counter.value();
  return 0;
}

TEST_F(Basic, BadBodies) {
  a.invite("1002", "this is no session description");
  a.expect(400);
  a.ack_failure();
  EXPECT_EQ(sw.counters.total("sdp_parse_errors_total"), 1u);
  EXPECT_EQ(sdp_errors(sw, "bad_line"), 1u);
  Phone second(sw, "1001", "198.51.100.1:5062", false);
  second.invite("1002", sdp(second.media) + "m=audio 0 RTP/AVP 0\r\n", "");
  b.expect("INVITE");
  b.ring();
  second.expect(180);
  second.cancel();
  second.expect(200);
  second.expect(487);
  second.ack_failure();
  Phone third(sw, "1001", "198.51.100.1:5063", false);
  third.invite(
      "1002",
      "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n");
  third.expect(488);
  third.ack_failure();
  Phone fourth(sw, "1001", "198.51.100.1:5064", false);
  fourth.new_branch();
  fourth.remote_uri = "sip:1002@" + domain;
  fourth.invite_branch = fourth.branch;
  fourth.invite_cseq = 1;
  fourth.send(Phone::with_body(fourth.head("INVITE", fourth.remote_uri, 1), "hello", "text/plain"));
  fourth.expect(415);
  fourth.ack_failure();
  EXPECT_GE(sw.counters.total("call_bad_sdp_total"), 1u);
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  sw.expect_empty();
}

TEST_F(Basic, CalleeAnswersNonsense) {
  a.call("1002");
  b.expect("INVITE");
  b.answer("v=1\r\n");
  EXPECT_EQ(sdp_errors(sw, "bad_version"), 1u);
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  a.expect(488);
  a.ack_failure();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Basic, ReofferOfNonsense) {
  connect(a, b);
  a.request("INVITE", "v=0\r\no=x\r\n");
  a.expect(400);
  a.ack_failure();
  EXPECT_EQ(sdp_errors(sw, "bad_origin"), 1u);
  EXPECT_EQ(sw.counters.total("sdp_parse_errors_total"), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Basic, UnknownRequire) {
  a.invite("1002", sdp(a.media), "Require: teleport\r\n");
  const auto refusal = a.expect(420);
  EXPECT_EQ(refusal.header(sip::HeaderId::unsupported).value_or(""), "teleport");
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Basic, TooManyHops) {
  a.new_branch();
  a.remote_uri = "sip:1002@" + domain;
  a.invite_branch = a.branch;
  a.invite_cseq = 1;
  std::string text = Phone::with_body(a.head("INVITE", a.remote_uri, 1), sdp(a.media));
  text.replace(text.find("Max-Forwards: 70"), 16, "Max-Forwards: 0");
  a.send(text);
  a.expect(483);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Basic, MergedRequest) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  Phone fork(sw, "1001", "198.51.100.1:5070", false);
  fork.tag = a.tag;
  fork.call_id = a.call_id;
  fork.call("1002");
  fork.expect(482);
  fork.ack_failure();
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  sw.expect_empty();
}

TEST(Limits, CallsPerWorker) {
  CallConfig config;
  config.max_calls = 1;
  Switch sw(config);
  Phone a(sw, "1001", "198.51.100.1:5060"), b(sw, "1002", "198.51.100.2:5060"),
      c(sw, "1003", "198.51.100.3:5060");
  connect(a, b);
  c.call("1002");
  const auto refusal = c.expect(503);
  EXPECT_TRUE(refusal.has(sip::HeaderId::retry_after));
  c.ack_failure();
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST(Limits, PortsExhausted) {
  Switch sw({}, {}, {}, 11, std::make_shared<media::FakePorts>(1));
  Phone a(sw, "1001", "198.51.100.1:5060"), b(sw, "1002", "198.51.100.2:5060");
  a.call("1002");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  a.expect(503);
  a.ack_failure();
  sw.expect_empty();
}

TEST(Limits, CallsOfASubscriber) {
  Switch sw;
  Phone a(sw, "1001", "198.51.100.1:5060"), b(sw, "1002", "198.51.100.2:5060");
  sw.subscriber("1001").max_calls = 1;
  connect(a, b);
  Phone a2(sw, "1001", "198.51.100.1:5061", false);
  a2.call("1002");
  a2.expect(486);
  a2.ack_failure();
  hang_up(a, b);
  sw.expect_empty();
}

TEST(Limits, CallsOfASubscriberThatComeIn) {
  Switch sw;
  Phone a(sw, "1001", "198.51.100.1:5060"), b(sw, "1002", "198.51.100.2:5060"),
      b2(sw, "1002", "198.51.100.22:5060"), c(sw, "1003", "198.51.100.3:5060");
  sw.subscriber("1002").max_calls = 2;
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");  // two phones ring for one call
  b.ring();
  b2.ring();
  a.expect(180);
  c.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  Phone d(sw, "1004", "198.51.100.4:5060");
  d.call("1002");
  d.expect(486);
  d.ack_failure();
  EXPECT_TRUE(b.quiet());
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  EXPECT_EQ(sw.cdrs.back().release_side, port::Cdr::Side::system);
  // He cannot call out either, and being busy has his calls forwarded.
  Phone b3(sw, "1002", "198.51.100.23:5060", false);
  b3.call("1004");
  b3.expect(486);
  b3.ack_failure();
  sw.directory["1002"].forwarding.busy = "1005";
  Phone e(sw, "1005", "198.51.100.5:5060"), d2(sw, "1004", "198.51.100.4:5061", false);
  d2.call("1002");
  e.expect("INVITE");
  e.answer();
  e.expect("ACK");
  d2.expect(200);
  d2.ack();
  hang_up(d2, e);
  EXPECT_EQ(sw.cdrs.back().forwarded_by, "1002@example.org");
  EXPECT_EQ(sw.counters.total("call_refused_total"), 3u);
}

TEST(Limits, ContactsRungAtOnce) {
  CallConfig config;
  config.max_forks = 2;
  Switch sw(config);
  Phone a(sw, "1001", "198.51.100.1:5060");
  Phone b(sw, "1002", "198.51.100.2:5060"), c(sw, "1002", "198.51.100.3:5060"),
      d(sw, "1002", "198.51.100.4:5060");
  a.call("1002");
  b.expect("INVITE");
  c.expect("INVITE");
  EXPECT_TRUE(d.quiet());
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  b.reply(b.invite_text, 486);
  c.reply(c.invite_text, 486);
  b.expect("ACK");
  c.expect("ACK");
  a.expect(486);
  a.ack_failure();
  sw.expect_empty();
}

TEST(Limits, LegsOfACall) {
  CallConfig config;
  config.max_legs = 2;
  Switch sw(config);
  Phone a(sw, "1001", "198.51.100.1:5060");
  Phone b(sw, "1002", "198.51.100.2:5060"), c(sw, "1002", "198.51.100.3:5060");
  a.call("1002");
  b.expect("INVITE");
  EXPECT_TRUE(c.quiet());
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST(Limits, Diversions) {
  CallConfig config;
  config.max_forwards = 2;
  Switch sw(config);
  Phone a(sw, "1001", "198.51.100.1:5060"), d(sw, "1005", "198.51.100.5:5060");
  sw.subscriber("1002").forwarding.always = "1003";
  sw.subscriber("1003").forwarding.always = "1004";
  sw.subscriber("1004").forwarding.always = "1005";
  a.call("1002");
  a.expect(480);  // 1004 is as far as it goes, and nobody is there
  a.ack_failure();
  EXPECT_TRUE(d.quiet());
  EXPECT_EQ(sw.counters.total("call_refused_total"), 1u);
  sw.expect_empty();
}

TEST(Limits, DrainingTakesNoNewCalls) {
  Switch sw;
  Phone a(sw, "1001", "198.51.100.1:5060"), b(sw, "1002", "198.51.100.2:5060"),
      c(sw, "1003", "198.51.100.3:5060");
  connect(a, b);
  sw.calls->refuse_new_calls(true);
  c.call("1002");
  c.expect(503);
  c.ack_failure();
  hang_up(b, a);
  sw.expect_empty();
}

/// Many calls at once over a wire that loses, with phones that do one random thing after the other.
TEST(Storm, NothingIsLeftAndEveryCallHasOneRecord) {
  uint64_t answered = 0, records = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRng chance(seed);
    CallConfig config;
    config.media_timeout = {};
    Switch sw(config, {}, {}, seed);
    std::vector<std::unique_ptr<Phone>> phones;
    for (int i = 0; i < 6; ++i)
      phones.push_back(std::make_unique<Phone>(sw, "100" + std::to_string(i),
                                               "198.51.100." + std::to_string(i + 1) + ":5060"));
    std::vector<std::unique_ptr<Phone>> callers;
    for (int i = 0; i < 12; ++i) {
      auto caller = std::make_unique<Phone>(sw, "100" + std::to_string(i % 6),
                                            "198.51.101." + std::to_string(i + 1) + ":5060", false);
      const char* codes[] = {"1001", "1002", "1003", "*43", "*81001", "701", "1999", "*78"};
      caller->call(codes[chance.below(8)]);
      callers.push_back(std::move(caller));
    }
    const auto act = [&](Phone& p) {
      if (p.quiet()) return;
      const std::string text = p.pop();
      if (chance.below(20) == 0) return;  // lost
      const auto m = p.parse(text);
      if (m.is_request()) {
        if (m.method() == sip::Method::ack) return;
        if (m.method() == sip::Method::invite && m.to_tag().empty()) {
          p.call_id = m.call_id();
          p.peer_tag = m.from_tag();
          p.remote_uri = std::string(m.from()->uri_text);
          p.invite_text = text;
          if (const auto c = m.contact(); c.ok()) p.target = c->uri_text;
          const uint64_t what = chance.below(6);
          if (what == 0) return p.reply(text, 486);
          if (what == 1) return p.ring();
          if (what == 2) return p.reply(text, 183, sdp(p.media), "Require: 100rel\r\nRSeq: 9\r\n");
          return p.answer();
        }
        if (m.method() == sip::Method::cancel) {
          p.reply(text, 200);
          return p.reply(p.invite_text, 487);
        }
        return p.reply(text, chance.below(10) == 0 ? 481 : 200,
                       m.method() == sip::Method::invite ? sdp(p.media) : "");
      }
      if (m.cseq().method == sip::Method::invite && m.status() >= 300) return p.ack_failure();
      if (m.cseq().method != sip::Method::invite || m.status() < 200) {
        if (m.status() == 180 && chance.below(4) == 0) p.cancel();
        return;
      }
      p.peer_tag = m.to_tag();
      if (const auto c = m.contact(); c.ok()) p.target = c->uri_text;
      p.ack();
      switch (chance.below(6)) {
        case 0:
          return p.bye();
        case 1:
          return p.request("INVITE", directed(sdp(p.media), "sendonly"));
        case 2:
          return p.request("REFER", "", "Refer-To: <sip:1004@" + domain + ">\r\n");
        case 3:
          return p.request("REFER", "", "Refer-To: <sip:700@" + domain + ">\r\n");
        case 4:
          return p.request("INVITE", sdp(p.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
        default:
          return;
      }
    };
    for (int round = 0; round < 300; ++round) {
      for (auto& p : phones) act(*p);
      for (auto& p : callers) act(*p);
      sw.advance(milliseconds(static_cast<int64_t>(chance.below(300))));
    }
    for (const auto& info : sw.calls->list()) sw.calls->hangup(sw.now, info.id, Cause{}, sw.out);
    sw.pump();
    sw.expect_empty();
    // Every call that began has at least its one record, and no key stands twice (expect_empty).
    std::set<uint64_t> recorded;
    for (const auto& c : sw.cdrs) recorded.insert(c.key.call);
    EXPECT_EQ(sw.counters.total("call_cdr_total"), sw.cdrs.size());
    EXPECT_LE(recorded.size(), sw.counters.total("call_started_total"));
    answered += sw.counters.total("call_answered_total");
    records += sw.cdrs.size();
    if (HasFailure()) break;
  }
  EXPECT_GT(answered, 100u);  // the storm is one
  EXPECT_GT(records, 300u);
}

}  // namespace
}  // namespace tandem::call::test
