// Inside the dialog: reliable provisionals, UPDATE, hold, glare, late offers, session timers.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Dialogs : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  SocketAddress media_of(const Phone& p) { return *SocketAddress::parse(p.media); }
};

TEST_F(Dialogs, ReliableProvisionalFromCallee) {  // RFC 3262 section 4
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 183, sdp(b.media), "Require: 100rel\r\nRSeq: 77\r\n");
  const auto prack = b.expect("PRACK");
  EXPECT_EQ(prack.header(sip::HeaderId::rack).value_or(""), "77 1 INVITE");
  EXPECT_EQ(prack.to_tag(), b.tag);
  b.ok();
  const auto progress = a.expect(183);
  EXPECT_THAT(std::string(progress.body_text()), HasSubstr("192.0.2.100"));
  b.reply(b.invite_text, 180, "", "Require: 100rel\r\nRSeq: 78\r\n");
  EXPECT_EQ(b.expect("PRACK").header(sip::HeaderId::rack).value_or(""), "78 1 INVITE");
  b.ok();
  b.reply(b.invite_text, 180, "", "Require: 100rel\r\nRSeq: 80\r\n");  // out of order: not acknowledged
  EXPECT_TRUE(b.quiet());
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, ReliableProvisionalToCaller) {
  a.invite("1002", sdp(a.media), "Require: 100rel\r\n");
  b.expect("INVITE");
  b.reply(b.invite_text, 183, sdp(b.media));
  const auto progress = a.expect(183);
  const std::string rseq(progress.header(sip::HeaderId::rseq).value_or(""));
  EXPECT_FALSE(rseq.empty());
  EXPECT_TRUE(progress.lists(sip::HeaderId::require, "100rel"));
  b.answer();  // the 2xx waits for the PRACK (RFC 3262 section 3)
  b.expect("ACK");
  EXPECT_TRUE(a.quiet());
  sw.advance(milliseconds(600));
  a.expect(183);  // again, T1 later
  a.request("PRACK", "", "RAck: " + rseq + " 1 INVITE\r\n");
  a.expect(200);
  a.expect(200);
  a.ack();
  a.request("PRACK", "", "RAck: " + rseq + " 1 INVITE\r\n");
  a.expect(481);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, PrackNeverComes) {
  a.invite("1002", sdp(a.media), "Require: 100rel\r\n");
  b.expect("INVITE");
  b.ring();
  sw.advance(seconds(33));
  std::string text;
  while (!a.quiet()) text = a.pop();
  EXPECT_THAT(text, HasSubstr("SIP/2.0 504"));
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  EXPECT_EQ(sw.counters.total("call_no_prack_total"), 1u);
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Dialogs, HoldWithMusicAndResume) {
  connect(a, b);
  sw.advance(seconds(1));
  EXPECT_EQ(sw.media_sent[media_of(b)], 0);
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  const auto held = a.expect(200);
  EXPECT_THAT(std::string(held.body_text()), HasSubstr("a=recvonly"));
  a.ack();
  EXPECT_TRUE(b.quiet());  // the held phone hears music and nothing of the signalling
  sw.advance(seconds(1));
  EXPECT_GT(sw.media_sent[media_of(b)], 40);
  EXPECT_EQ(sw.calls->list().at(0).legs.at(0).state, "holding");
  EXPECT_EQ(sw.calls->list().at(0).legs.at(1).state, "held");
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  EXPECT_THAT(std::string(a.expect(200).body_text()), HasSubstr("a=sendrecv"));
  a.ack();
  const int before = sw.media_sent[media_of(b)];
  sw.advance(seconds(1));
  EXPECT_EQ(sw.media_sent[media_of(b)], before);
  hang_up(b, a);
  sw.expect_empty();
}

TEST_F(Dialogs, NewCodecsGoToTheOtherSide) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 0 101", "a=rtpmap:9 G722/8000\r\n"));
  const auto offer = b.expect("INVITE");
  EXPECT_THAT(std::string(offer.body_text()), HasSubstr("G722"));
  EXPECT_FALSE(offer.to_tag().empty());
  b.reply(b.request_text, 200, sdp(b.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("ACK");
  EXPECT_THAT(std::string(a.expect(200).body_text()), HasSubstr("RTP/AVP 9 101"));
  a.ack();
  // Refused: both stay as they were.
  a.request("INVITE", sdp(a.media, "18 101", "a=rtpmap:18 G729/8000\r\n"));
  b.expect("INVITE");
  b.reply(b.request_text, 488);
  b.expect("ACK");
  a.expect(488);
  a.ack_failure();
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, TheOtherSideDoesNotAnswerTheOffer) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("INVITE");
  const std::string reinvite = b.request_text;
  b.reply(reinvite, 180);
  sw.advance(seconds(20));
  a.expect(504);
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(reinvite, 487);
  b.expect("ACK");
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, AnOfferIsTakenBack) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("INVITE");
  const std::string reinvite = b.request_text;
  b.reply(reinvite, 180);
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(reinvite, 200, sdp(b.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));  // crossed
  b.expect("ACK");
  const auto back = b.expect("INVITE");  // as it was
  EXPECT_THAT(std::string(back.body_text()), HasSubstr("RTP/AVP 0 8 101"));
  b.reply(b.request_text, 200, sdp(b.media));
  b.expect("ACK");
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, Glare) {  // RFC 3261 section 14.1
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("INVITE");
  const std::string ours = b.request_text;
  b.request("INVITE", sdp(b.media, "18 101", "a=rtpmap:18 G729/8000\r\n"));
  b.expect(491);
  b.ack_failure();
  b.reply(ours, 491);
  b.expect("ACK");
  EXPECT_TRUE(b.quiet());
  sw.advance(milliseconds(2000));
  EXPECT_TRUE(b.quiet());
  sw.advance_until_sent(b.addr, milliseconds(2100));  // we made that Call-ID: 2.1 to 4 s
  b.expect("INVITE");
  b.reply(b.request_text, 200, sdp(b.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  EXPECT_EQ(sw.counters.total("call_glare_total"), 2u);
  hang_up(a, b);
  sw.expect_empty();
}

/// The side that waits longer finds that the other has offered: its own offer is old by then.
TEST_F(Dialogs, AfterGlareTheOffersOfBothAreWhatTheySayNow) {
  connect(a, b);
  const auto version = [](std::string_view text) {
    const size_t id = text.find("o=- ") + 4;
    return std::stoull(std::string(text.substr(text.find(' ', id) + 1)));
  };
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  const auto asked = b.expect("INVITE");
  const std::string ours = b.request_text;
  b.request("INVITE", directed(sdp(b.media), "sendonly"));
  b.expect(491);
  b.ack_failure();
  b.reply(ours, 491);
  b.expect("ACK");
  sw.advance(milliseconds(1000));
  b.request("INVITE", directed(sdp(b.media), "sendonly"));
  const auto held = b.expect(200);
  b.ack();
  EXPECT_THAT(std::string(held.body_text()), HasSubstr("a=recvonly"));
  a.expect(491);
  a.ack_failure();
  sw.advance(seconds(5));
  EXPECT_TRUE(b.quiet()) << "nobody waits for it any more";
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  const auto again = b.expect("INVITE");
  EXPECT_GT(version(again.body_text()), version(held.body_text()));
  EXPECT_GT(version(held.body_text()), 0u);
  b.reply(b.request_text, 200, directed(sdp(b.media, "9 101", "a=rtpmap:9 G722/8000\r\n"), "sendonly"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, Update) {  // RFC 3311
  connect(a, b);
  a.request("UPDATE", directed(sdp(a.media), "sendonly"));
  EXPECT_THAT(std::string(a.expect(200).body_text()), HasSubstr("a=recvonly"));
  a.request("UPDATE");
  EXPECT_TRUE(a.expect(200).body().empty());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, LateOffer) {  // the offer in the 2xx, the answer in the ACK
  a.invite("1002", "");
  const auto invite = b.expect("INVITE");
  EXPECT_TRUE(invite.body().empty());
  b.answer();
  EXPECT_TRUE(b.quiet());  // its ACK needs the caller's answer
  const auto ok = a.expect(200);
  EXPECT_THAT(std::string(ok.body_text()), HasSubstr("192.0.2.100"));
  a.ack(sdp(a.media, "0 101"));
  const auto ack = b.expect("ACK");
  EXPECT_THAT(std::string(ack.body_text()), HasSubstr("RTP/AVP 0 101"));
  EXPECT_THAT(std::string(ack.body_text()), HasSubstr("192.0.2.100"));
  b.answer();  // its 2xx again: the same ACK again
  EXPECT_THAT(std::string(b.expect("ACK").body_text()), HasSubstr("RTP/AVP 0 101"));
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, LateOfferWithoutAnswer) {
  a.invite("1002", "");
  b.expect("INVITE");
  b.answer();
  a.expect(200);
  a.ack();
  a.expect("BYE");
  a.ok();
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Dialogs, ReinviteWithoutOffer) {
  connect(a, b);
  b.request("INVITE");
  EXPECT_THAT(std::string(b.expect(200).body_text()), HasSubstr("m=audio"));
  b.ack(sdp(b.media));
  EXPECT_TRUE(a.quiet());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, DownstreamForks) {  // two phones behind a proxy answer one INVITE
  a.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 180, "", "", "fork1");
  b.reply(b.invite_text, 180, "", "", "fork2");
  a.expect(180);
  b.reply(b.invite_text, 200, sdp(b.media), "", "fork2");
  EXPECT_EQ(b.expect("ACK").to_tag(), "fork2");
  a.expect(200);
  a.ack();
  b.reply(b.invite_text, 200, sdp("198.51.100.3:4000"), "", "fork1");
  EXPECT_EQ(b.expect("ACK").to_tag(), "fork1");
  const auto bye = b.expect("BYE");
  EXPECT_EQ(bye.to_tag(), "fork1");
  b.ok();
  EXPECT_EQ(sw.counters.total("call_late_2xx_total"), 1u);
  EXPECT_EQ(sw.calls->call_count(), 1u);
  b.tag = "fork2";
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, SessionRefreshByUs) {  // RFC 4028
  sw.calls.reset();
  sw.config.session_expires = 90;
  sw.config.media_timeout = {};
  sw.build();
  connect(a, b);
  sw.advance(seconds(45));
  const auto to_a = a.expect("INVITE");
  EXPECT_EQ(to_a.header(sip::HeaderId::session_expires).value_or(""), "90;refresher=uac");
  a.reply(a.request_text, 200, sdp(a.media), "Session-Expires: 90;refresher=uac\r\n");
  a.expect("ACK");
  b.expect("INVITE");
  b.reply(b.request_text, 200, sdp(b.media));
  b.expect("ACK");
  EXPECT_EQ(sw.calls->call_count(), 1u);
  // The next refresh is lost in silence: the call ends.
  sw.advance(seconds(45));
  a.expect("INVITE");
  b.expect("INVITE");
  const std::string refresh = b.request_text;
  b.reply(refresh, 481);
  b.expect("ACK");
  EXPECT_EQ(sw.cdrs.size(), 1u);
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

TEST_F(Dialogs, SessionExpiresWithoutRefresh) {
  a.invite("1002", sdp(a.media), "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  const auto ok = a.expect(200);
  EXPECT_EQ(ok.header(sip::HeaderId::session_expires).value_or(""), "90;refresher=uac");
  EXPECT_TRUE(ok.lists(sip::HeaderId::require, "timer"));
  a.ack();
  sw.advance(seconds(59));
  EXPECT_EQ(sw.cdrs.size(), 0u);
  sw.advance(seconds(2));
  a.expect("BYE");
  a.ok();
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.counters.total("call_session_expired_total"), 1u);
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Dialogs, SessionIntervalTooSmall) {
  a.invite("1002", sdp(a.media), "Supported: timer\r\nSession-Expires: 20\r\n");
  EXPECT_EQ(a.expect(422).header(sip::HeaderId::min_se).value_or(""), "90");
  a.ack_failure();
  Phone again(sw, "1001", "198.51.100.1:5061", false);
  again.call("1002");
  b.expect("INVITE");
  b.reply(b.invite_text, 422, "", "Min-SE: 3600\r\n");
  b.expect("ACK");
  const auto invite = b.expect("INVITE");
  EXPECT_EQ(invite.header(sip::HeaderId::session_expires).value_or(""), "3600");
  EXPECT_EQ(invite.cseq().number, 2u);
  b.answer();
  EXPECT_EQ(b.expect("ACK").cseq().number, 2u);
  again.expect(200);
  again.ack();
  hang_up(again, b);
  sw.expect_empty();
}

TEST_F(Dialogs, InfoGoesThrough) {
  connect(a, b);
  a.request("INFO", "Signal=5\r\nDuration=160\r\n", "", "application/dtmf-relay");
  a.expect(200);
  const auto info = b.expect("INFO");
  EXPECT_EQ(info.content_type(), "application/dtmf-relay");
  EXPECT_THAT(std::string(info.body_text()), HasSubstr("Signal=5"));
  b.ok();
  a.request("OPTIONS");
  EXPECT_TRUE(a.expect(200).lists(sip::HeaderId::allow, "UPDATE"));
  a.request("SUBSCRIBE", "", "Event: dialog\r\n");
  a.expect(489);
  a.request("PUBLISH");
  a.expect(405);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, OldSequenceNumbers) {
  connect(a, b);
  a.cseq = 20;
  a.request("OPTIONS");
  a.expect(200);
  a.cseq = 5;
  a.request("OPTIONS");
  a.expect(500);
  a.cseq = 30;
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, MediaOnHoldIsSilent) {
  sw.calls.reset();
  sw.config.media_timeout = seconds(20);
  sw.config.session_expires = 0;
  sw.build();
  connect(a, b);
  a.request("INVITE", directed(sdp(a.media), "inactive"));
  a.expect(200);
  a.ack();
  sw.advance(minutes(10));
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(b.quiet());
  EXPECT_EQ(sw.counters.total("call_media_timeouts_total"), 0u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, MediaStops) {
  sw.calls.reset();
  sw.config.media_timeout = seconds(20);
  sw.config.session_expires = 0;
  sw.build();
  connect(a, b);
  sw.advance(seconds(25));
  const auto bye = a.expect("BYE");
  EXPECT_THAT(std::string(bye.header(sip::HeaderId::reason).value_or("")), HasSubstr("RTP timeout"));
  a.ok();
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.counters.total("call_media_timeouts_total"), 1u);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].release_side, port::Cdr::Side::system);
  sw.expect_empty();
}

TEST_F(Dialogs, BrokenReinvites) {
  connect(a, b);
  a.request("INVITE", "nonsense");
  a.expect(400);
  a.ack_failure();
  a.request("INVITE", "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\n");
  b.expect("INVITE");
  b.reply(b.request_text, 488);
  b.expect("ACK");
  a.expect(488);
  a.ack_failure();
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Dialogs, OperatorHangsUp) {
  connect(a, b);
  const CallId id = sw.calls->list().at(0).id;
  EXPECT_FALSE(sw.calls->hangup(sw.now, id + 1, Cause{}, sw.out));
  EXPECT_TRUE(sw.calls->hangup(sw.now, id, Cause::from_q850(41, "Operator"), sw.out));
  sw.pump();
  a.expect("BYE");
  a.ok();
  b.expect("BYE");
  b.ok();
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].q850_cause, 41);
  sw.expect_empty();
}

// ---- connections

/// B is called over a connection that we open to it, which ends when the call is up.
struct Connected : Dialogs {
  Connected() {
    sw.connection_transport = port::Transport::tcp;
    sw.connections[b.addr] = {0, 0, 7, 1};
    sw.bindings["1002"].front().path.transport = port::Transport::tcp;
    sw.lose = [this](const port::Send& s) {
      if (s.path.remote != b.addr) return false;
      const bool lost = unreachable || (closed && s.path.flow);
      if (lost && s.notify) failed.push_back(s.notify);
      path = s.path;
      return lost;
    };
  }
  /// What was lost is heard of.
  void hear_of_it() {
    EXPECT_TRUE(b.quiet());
    EXPECT_EQ(failed.size(), 1u);
    for (const port::SendId send : std::exchange(failed, {})) sw.fail(send);
  }
  void expect_anew() const {
    EXPECT_FALSE(path.flow);
    EXPECT_EQ(path.transport, port::Transport::tcp);
  }
  bool closed = false;       // the connection is
  bool unreachable = false;  // and no other can be had
  std::vector<port::SendId> failed;
  port::Path path;  // of what was sent to B last
};

TEST_F(Connected, AnOfferIsSentOverAnother) {
  connect(a, b);
  closed = true;
  a.request("INVITE", sdp(a.media, "9 0 101", "a=rtpmap:9 G722/8000\r\n"));
  hear_of_it();
  EXPECT_THAT(std::string(b.expect("INVITE").body_text()), HasSubstr("G722"));
  expect_anew();
  b.reply(b.request_text, 200, sdp(b.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Connected, AByeIsSentOverAnother) {
  connect(a, b);
  closed = true;
  a.bye();
  a.expect(200);
  hear_of_it();
  b.expect("BYE");
  expect_anew();
  b.ok();
  sw.expect_empty();
}

TEST_F(Connected, AByeIsTriedTwiceAndNotMore) {
  connect(a, b);
  closed = unreachable = true;
  a.bye();
  a.expect(200);
  hear_of_it();
  hear_of_it();
  EXPECT_TRUE(failed.empty());
  sw.expect_empty();
  EXPECT_TRUE(b.quiet());
}

TEST_F(Connected, ARefreshIsSentOverAnotherUntilOneCanBeHad) {
  sw.calls.reset();
  sw.config.session_expires = 90;
  sw.config.media_timeout = {};
  sw.build();
  const auto refreshed = [](Phone& p) {
    p.expect("INVITE");
    p.reply(p.request_text, 200, sdp(p.media));
    p.expect("ACK");
  };
  connect(a, b);
  closed = true;
  sw.advance(seconds(45));
  refreshed(a);
  hear_of_it();
  expect_anew();
  refreshed(b);
  unreachable = true;
  sw.advance(seconds(45));
  refreshed(a);
  hear_of_it();
  EXPECT_TRUE(failed.empty());
  EXPECT_EQ(sw.calls->call_count(), 1u);
  unreachable = false;
  sw.advance(seconds(10));
  refreshed(b);
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

// ---- a leg that ends by itself leaves no transaction behind

TEST_F(Dialogs, WhoSaysThatTheDialogIsGoneHasItsOfferAnswered) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  a.expect(100);
  b.expect("INVITE");
  const std::string reinvite = b.request_text;
  b.reply(reinvite, 180);
  b.request("INFO", "hello", "", "text/plain");
  b.expect(200);
  a.expect("INFO");
  a.reply(a.request_text, 481);
  a.expect(481);
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.expect("BYE");
  b.ok();
  b.reply(reinvite, 487);
  b.expect("ACK");
  sw.expect_empty();
}

TEST_F(Dialogs, WhoSaysThatTheDialogIsGoneHasOurOfferCancelled) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("INVITE");
  const std::string reinvite = b.request_text;
  b.reply(reinvite, 100);
  a.request("INFO", "hello", "", "text/plain");
  b.expect("INFO");
  b.reply(b.request_text, 481);
  b.expect("CANCEL");
  b.ok();
  b.reply(reinvite, 487);
  b.expect("ACK");
  a.expect(200);  // the INFO
  a.expect(488);
  a.ack_failure();
  a.expect("BYE");
  a.ok();
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
