// What RFC 3261 and its companions ask of a user agent when messages cross, repeat, get lost or come in the
// wrong order: one rule a test.
#include "unit/call/trunks.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

const std::string g722 = "a=rtpmap:9 G722/8000\r\n";

/// A 3xx to its INVITE with these Contacts.
void redirect(Phone& p, int status, const std::string& contacts) {
  const sip::Message m = p.parse(p.invite_text);
  std::string text = "SIP/2.0 " + std::to_string(status) + " Moved\r\n";
  for (const auto& h : m.headers())
    if (h.id == sip::HeaderId::via || h.id == sip::HeaderId::from || h.id == sip::HeaderId::call_id ||
        h.id == sip::HeaderId::cseq)
      text += std::string(h.name) + ": " + std::string(h.value) + "\r\n";
  text += "To: " + std::string(m.header(sip::HeaderId::to).value_or("")) + ";tag=" + p.tag +
          "\r\nContact: " + contacts + "\r\nContent-Length: 0\r\n\r\n";
  p.send(text);
  p.expect("ACK");
}

struct Rules : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};

  void rings() {
    a.call("1002");
    b.expect("INVITE");
    b.ring();
    a.expect(180);
  }
  void cancelled(Phone& p) {
    p.expect("CANCEL");
    p.ok();
    p.reply(p.invite_text, 487);
    p.expect("ACK");
  }
  std::string body_of(const sip::Message& m) { return std::string(m.body_text()); }
};

// ---- CANCEL (RFC 3261 section 9.1)

TEST_F(Rules, CancelIsHeldUntilTheFirstProvisional) {
  a.call("1002");
  b.expect("INVITE");
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  EXPECT_TRUE(b.quiet());
  b.reply(b.invite_text, 100);
  cancelled(b);
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Rules, AHeldCancelMeetsTheAnswer) {
  a.call("1002");
  b.expect("INVITE");
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  b.answer();  // without any 1xx before
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  EXPECT_TRUE(b.quiet());
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Rules, AnotherContactAnswersTooLate) {
  Phone b2(sw, "1002", "198.51.100.22:5060");
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  b.ring();
  b2.ring();
  a.expect(180);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  b2.expect("CANCEL");
  b2.answer();  // both picked up
  b2.expect("ACK");
  b2.expect("BYE");
  b2.ok();
  EXPECT_TRUE(b.quiet());
  hang_up(a, b);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].callee.call_id, b2.call_id);
  EXPECT_EQ(sw.cdrs[0].answer.ns, 0);
  sw.expect_empty();
}

// ---- final answers (RFC 3261 section 16.7 item 5, section 21.6)

TEST_F(Rules, AGlobalFailureEndsAllContacts) {
  Phone b2(sw, "1002", "198.51.100.22:5060");
  sw.subscriber("1002").forwarding.unreachable = "1003";
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  b2.reply(b2.invite_text, 100);
  b.reply(b.invite_text, 607);  // RFC 8197: unwanted
  b.expect("ACK");
  cancelled(b2);
  a.expect(607);
  a.ack_failure();
  EXPECT_TRUE(c.quiet());
  sw.expect_empty();
}

// ---- refusals before there is a dialog (RFC 3261 section 8.2.2)

TEST_F(Rules, EveryUnknownOptionIsNamed) {
  a.invite("1002", sdp(a.media), "Require: teleport, timer\r\nRequire: warp\r\n");
  EXPECT_EQ(a.expect(420).header(sip::HeaderId::unsupported).value_or(""), "teleport, warp");
  a.ack_failure();
  EXPECT_TRUE(b.quiet());
  sw.expect_empty();
}

TEST_F(Rules, UnknownOptionsInsideTheDialogToo) {
  connect(a, b);
  a.request("OPTIONS", "", "Require: teleport, warp\r\n");
  EXPECT_EQ(a.expect(420).header(sip::HeaderId::unsupported).value_or(""), "teleport, warp");
  a.request("INVITE", sdp(a.media), "Require: warp\r\n");
  EXPECT_EQ(a.expect(420).header(sip::HeaderId::unsupported).value_or(""), "warp");
  a.ack_failure();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, ANewAttemptIsNoMergedRequest) {
  rings();
  Phone again(sw, "1001", "198.51.100.1:5070", false);
  again.tag = a.tag;
  again.call_id = a.call_id;
  again.cseq = a.cseq;  // the next CSeq of the same caller (section 8.1.3.5)
  again.call("1003");
  c.expect("INVITE");
  c.answer();
  c.expect("ACK");
  again.expect(200);
  again.ack();
  hang_up(again, c);
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  cancelled(b);
  sw.expect_empty();
}

// ---- hold (RFC 3264 section 8.4)

struct HoldOffer {
  const char* name;
  const char* direction;
  bool null_address;
  const char* answered;
};
struct Hold : Rules, ::testing::WithParamInterface<HoldOffer> {};

TEST_P(Hold, IsAnsweredAndTakenBack) {
  const HoldOffer& hold = GetParam();
  connect(a, b);
  std::string offer = directed(sdp(a.media), hold.direction);
  if (hold.null_address)
    offer.replace(offer.find("c=IN IP4 "), offer.find("\r\n", offer.find("c=")) - offer.find("c="),
                  "c=IN IP4 0.0.0.0");
  a.request("INVITE", offer);
  EXPECT_THAT(body_of(a.expect(200)), HasSubstr(hold.answered));
  a.ack();
  EXPECT_EQ(sw.calls->list().at(0).legs.at(0).state, "holding");
  EXPECT_EQ(sw.calls->list().at(0).legs.at(1).state, "held");
  EXPECT_TRUE(b.quiet());
  sw.advance(seconds(100));  // longer than media may be silent
  EXPECT_EQ(sw.calls->call_count(), 1u);
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  EXPECT_THAT(body_of(a.expect(200)), HasSubstr("a=sendrecv"));
  a.ack();
  EXPECT_EQ(sw.calls->list().at(0).legs.at(0).state, "connected");
  hang_up(b, a);
  sw.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(Rules, Hold,
                         ::testing::Values(HoldOffer{"SendOnly", "sendonly", false, "a=recvonly"},
                                           HoldOffer{"Inactive", "inactive", false, "a=inactive"},
                                           HoldOffer{"NullAddress", "sendrecv", true, "m=audio"},
                                           HoldOffer{"NullAddressSendOnly", "sendonly", true, "a=recvonly"}),
                         [](const auto& of) { return std::string(of.param.name); });

/// A call with pictures, its directions as they are said.
std::string seen(const std::string& address, const std::string& sound, const std::string& pictures) {
  return sdp(address) + "a=" + sound +
         "\r\nm=video 6000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=" + pictures + "\r\n";
}

TEST_F(Rules, ACameraTurnedOffAndOnIsToldAndAHoldIsNot) {
  a.invite(b.user, seen(a.media, "sendrecv", "sendrecv"));
  b.expect("INVITE");
  b.answer(seen(b.media, "sendrecv", "sendrecv"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  for (const std::string pictures : {"recvonly", "sendrecv", "recvonly"}) {
    a.request("INVITE", seen(a.media, "sendrecv", pictures));
    const std::string told = body_of(b.expect("INVITE"));
    EXPECT_THAT(told.substr(told.find("m=video")), HasSubstr("a=" + pictures)) << told;
    b.reply(b.request_text, 200, seen(b.media, "sendrecv", pictures == "recvonly" ? "sendonly" : "sendrecv"));
    b.expect("ACK");
    a.expect(200);
    a.ack();
  }
  for (const auto& [sound, pictures] : {std::pair{"sendonly", "inactive"}, {"sendrecv", "recvonly"}}) {
    a.request("INVITE", seen(a.media, sound, pictures));
    a.expect(200);
    a.ack();
    EXPECT_TRUE(b.quiet());
  }
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, AHoldThatCameWithOtherNewsIsTakenBack) {
  connect(a, b);
  b.request("INVITE", directed(sdp(b.media, "9 101", g722), "sendonly"));
  EXPECT_THAT(body_of(a.expect("INVITE")), HasSubstr("a=sendonly"));
  a.reply(a.request_text, 200, directed(sdp(a.media, "9 101", g722), "recvonly"));
  a.expect("ACK");
  b.expect(200);
  b.ack();
  b.request("INVITE", directed(sdp(b.media, "9 101", g722), "sendrecv"));
  EXPECT_THAT(body_of(a.expect("INVITE")), HasSubstr("a=sendrecv"));
  a.reply(a.request_text, 200, sdp(a.media, "9 101", g722));
  a.expect("ACK");
  b.expect(200);
  b.ack();
  hang_up(a, b);
  sw.expect_empty();
}

// ---- re-INVITE and UPDATE (RFC 3261 section 14, RFC 3311 section 5.2)

TEST_F(Rules, ASecondReinviteBeforeTheFirstIsAnswered) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", g722));
  b.expect("INVITE");
  const std::string branch = a.invite_branch;
  const uint32_t cseq = a.invite_cseq;
  a.request("INVITE", sdp(a.media, "0 101"));
  EXPECT_TRUE(a.expect(500).has(sip::HeaderId::retry_after));  // section 14.2
  a.ack_failure();
  a.invite_branch = branch;
  a.invite_cseq = cseq;
  b.reply(b.request_text, 488);
  b.expect("ACK");
  a.expect(488);
  a.ack_failure();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, AReinviteBeforeTheCallIsAnswered) {
  rings();
  const std::string branch = a.invite_branch;
  const uint32_t cseq = a.invite_cseq;
  a.request("INVITE", sdp(a.media));
  EXPECT_TRUE(a.expect(500).has(sip::HeaderId::retry_after));  // section 14.2
  a.ack_failure();
  a.invite_branch = branch;
  a.invite_cseq = cseq;
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, AReinviteWhoseAckNeverComes) {
  connect(a, b);
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  a.expect(200);
  sw.advance(seconds(3));
  a.expect(200);  // again
  sw.advance(seconds(30));
  std::string text;
  while (text.find("BYE") != 0 && !a.quiet()) text = a.pop();
  EXPECT_THAT(text, HasSubstr("BYE "));
  a.reply(text, 200);
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.counters.total("call_no_ack_total"), 1u);
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Rules, WhoOfferedHangsUpBeforeTheAnswer) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", g722));
  b.expect("INVITE");
  const std::string reinvite = b.request_text;
  b.reply(reinvite, 100);
  a.bye();
  a.expect(200);
  a.expect(487);  // section 15.1.2
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.expect("BYE");
  b.ok();
  b.reply(reinvite, 487);
  b.expect("ACK");
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Rules, WhoShouldAnswerHangsUp) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", g722));
  b.expect("INVITE");
  const std::string reinvite = b.request_text;
  b.bye();
  b.expect(200);
  b.reply(reinvite, 487);
  b.expect("ACK");
  EXPECT_GE(a.expect(488).status(), 400);
  a.ack_failure();
  a.expect("BYE");
  a.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Rules, TheCallersUpdateBeforeTheAnswer) {
  rings();
  a.request("UPDATE", sdp(a.media));  // we have its offer and owe the answer: 500, not 491
  EXPECT_TRUE(a.expect(500).has(sip::HeaderId::retry_after));
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, TheCalledPartysUpdateBeforeItsAnswer) {
  rings();
  b.request("UPDATE", sdp(b.media));  // it owes the answer to our offer
  b.expect(491);
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, AnUpdateWhileTheAnswerIsDueInTheAck) {
  a.invite("1002", "");
  b.expect("INVITE");
  b.answer();
  a.expect(200);  // with our offer
  a.request("UPDATE", sdp(a.media));
  a.expect(491);
  a.ack(sdp(a.media));
  b.expect("ACK");
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Rules, AnOldReinvite) {
  connect(a, b);
  a.cseq = 20;
  a.request("UPDATE");
  a.expect(200);
  a.cseq = 5;
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  a.expect(500);
  a.ack_failure();
  EXPECT_EQ(sw.calls->list().at(0).legs.at(0).state, "connected");
  a.cseq = 30;
  hang_up(a, b);
  sw.expect_empty();
}

// ---- redirection (RFC 3261 section 8.1.3.4)

TEST_F(Rules, RedirectionsAreFollowedByPreference) {
  Phone d(sw, "1004", "198.51.100.4:5060");
  a.call("1002");
  b.expect("INVITE");
  redirect(b, 302, "<sip:1004@example.org>;q=0.2, <sip:1003@example.org>;q=0.7");
  EXPECT_TRUE(d.quiet());
  const auto first = c.expect("INVITE");
  c.reply(c.invite_text, 486);
  c.expect("ACK");
  const auto second = d.expect("INVITE");
  EXPECT_EQ(first.header("Diversion"), second.header("Diversion"));  // 1002 sent it both times
  d.answer();
  d.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, d);
  sw.expect_empty();
}

TEST_F(Rules, RedirectionsEndWithAGlobalFailure) {
  Phone d(sw, "1004", "198.51.100.4:5060");
  a.call("1002");
  b.expect("INVITE");
  redirect(b, 302, "<sip:1003@example.org>, <sip:1004@example.org>");
  c.expect("INVITE");
  c.reply(c.invite_text, 603);
  c.expect("ACK");
  EXPECT_TRUE(d.quiet());
  a.expect(603);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Rules, RedirectionsAreCountedAndLimited) {
  std::string contacts;
  for (int i = 0; i < 20; ++i)
    contacts += std::string(i ? ", " : "") + "<sip:20" + std::to_string(10 + i) + "@example.org>";
  a.call("1002");
  b.expect("INVITE");
  redirect(b, 302, contacts);
  a.expect(404);
  a.ack_failure();
  EXPECT_EQ(sw.counters.total("call_redirections_dropped_total"), 15u);
  sw.expect_empty();
}

TEST_F(Rules, RedirectionsSurviveARestart) {
  Phone d(sw, "1004", "198.51.100.4:5060");
  a.call("1002");
  b.expect("INVITE");
  redirect(b, 302, "<sip:1003@example.org>, <sip:1004@example.org>");
  c.expect("INVITE");
  sw.reboot();
  c.reply(c.invite_text, 486);
  c.expect("ACK");
  d.expect("INVITE");
  d.answer();
  d.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, d);
  sw.expect_empty();
}

// ---- trunks

struct TrunkRules : ::testing::Test {
  Switch sw{CallConfig{}, trunk_rows()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
  Phone backup{sw, "trunk:backup", "203.0.113.20:5060"};

  void challenge(const std::string& nonce, bool stale) {
    carrier.reply(carrier.request_text, 407, "",
                  "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"" + nonce +
                      "\", algorithm=MD5, qop=\"auth\"" + (stale ? ", stale=true" : "") + "\r\n");
    carrier.expect("ACK");
  }
  std::string answer_to(const std::string& nonce) {
    const auto invite = carrier.expect("INVITE");
    const std::string value(invite.header(sip::HeaderId::proxy_authorization).value_or(""));
    EXPECT_THAT(value, HasSubstr("nonce=\"" + nonce + "\""));
    return value;
  }
};

TEST_F(TrunkRules, AStaleNonceIsAnsweredOnce) {  // RFC 3261 section 22.1, RFC 7616 section 3.3
  a.call("0301234567");
  carrier.expect("INVITE");
  challenge("one", false);
  answer_to("one");
  challenge("two", true);
  answer_to("two");
  challenge("three", true);
  EXPECT_TRUE(carrier.quiet());  // it would have us ask for ever
  backup.expect("INVITE");
  backup.reply(backup.invite_text, 486);
  backup.expect("ACK");
  a.expect(486);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkRules, AChallengeInsideTheDialogIsAnswered) {  // RFC 3261 section 22.2: any request may get one
  a.call("0301234567");
  carrier.expect("INVITE");
  carrier.answer();
  carrier.expect("ACK");
  a.expect(200);
  a.ack();
  a.request("INVITE", sdp(a.media, "9 101", g722));
  carrier.expect("INVITE");
  challenge("one", false);
  answer_to("one");
  sw.reboot();
  carrier.reply(carrier.request_text, 200, sdp(carrier.media, "9 101", g722));
  const auto ack = carrier.expect("ACK");
  EXPECT_THAT(std::string(ack.header(sip::HeaderId::proxy_authorization).value_or("")), HasSubstr("\"one\""));
  a.expect(200);
  a.ack();
  a.bye();
  a.expect(200);
  const auto bye = carrier.expect("BYE");
  EXPECT_FALSE(bye.has(sip::HeaderId::proxy_authorization));  // each request its own answer
  const std::string challenge_text =
      "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"two\", algorithm=MD5\r\n";
  carrier.reply(carrier.request_text, 401, "", challenge_text);
  const auto again = carrier.expect("BYE");
  EXPECT_EQ(again.cseq().number, bye.cseq().number + 1);
  EXPECT_EQ(again.header(sip::HeaderId::reason), bye.header(sip::HeaderId::reason));
  EXPECT_THAT(std::string(again.header(sip::HeaderId::authorization).value_or("")),
              HasSubstr("nonce=\"two\""));
  carrier.reply(carrier.request_text, 401, "", challenge_text);  // not ours: no third
  EXPECT_TRUE(carrier.quiet());
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(TrunkRules, WhoCalledInMayBeChallengingToo) {
  carrier.call("49301001");
  a.expect("INVITE");
  a.answer();
  a.expect("ACK");
  carrier.expect(200);
  carrier.ack();
  a.bye();
  a.expect(200);
  carrier.expect("BYE");
  carrier.reply(carrier.request_text, 407, "",
                "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"one\", algorithm=MD5\r\n");
  const auto again = carrier.expect("BYE");
  EXPECT_THAT(std::string(again.header(sip::HeaderId::proxy_authorization).value_or("")),
              HasSubstr("username=\"acme\""));
  carrier.ok();
  sw.expect_empty();
}

TEST_F(TrunkRules, AGlobalFailureIsTheLastWord) {
  a.call("0301234567");
  carrier.expect("INVITE");
  carrier.reply(carrier.invite_text, 604);
  carrier.expect("ACK");
  EXPECT_TRUE(backup.quiet());
  a.expect(604);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(TrunkRules, ACarrierDoesNotRedirectOurCalls) {
  a.call("0301234567");
  carrier.expect("INVITE");
  redirect(carrier, 302, "<sip:900123456@203.0.113.66>");
  backup.expect("INVITE");  // the next trunk, as after any failure of one
  redirect(backup, 300, "<sip:900123456@203.0.113.66>");
  EXPECT_TRUE(sw.sent[*SocketAddress::parse("203.0.113.66:5060")].empty());
  EXPECT_FALSE(a.expect(480).has(sip::HeaderId::contact));
  a.ack_failure();
  EXPECT_EQ(sw.counters.total("trunk_redirections_total"), 2u);
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].sip_status, 302);
  EXPECT_EQ(sw.cdrs[1].sip_status, 300);
  EXPECT_EQ(sw.cdrs[1].release_side, port::Cdr::Side::callee);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
