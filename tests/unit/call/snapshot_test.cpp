// A switch goes through bytes in the middle of a call and goes on as if nothing had happened.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;

struct Snapshots : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};

  void reboot() { sw.reboot(); }
};

TEST_F(Snapshots, Connected) {
  connect(a, b);
  reboot();
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(b.quiet());
  EXPECT_EQ(sw.calls->list().at(0).state, "connected");
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  a.expect(200);
  a.ack();
  reboot();
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  a.expect(200);
  a.ack();
  hang_up(a, b);
  ASSERT_EQ(sw.cdrs.size(), 1u);
  EXPECT_EQ(sw.cdrs[0].caller.party.user, "1001");
  EXPECT_EQ(sw.cdrs[0].dialled, "1002");
  sw.expect_empty();
}

TEST_F(Snapshots, WhileTheDirectoryIsAsked) {
  sw.hold_asks = true;
  a.call("1002");
  EXPECT_TRUE(b.quiet());
  sw.hold_asks = false;
  reboot();
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Snapshots, Ringing) {
  sw.subscriber("1002").forwarding.no_answer = "1003";
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  sw.advance(seconds(10));
  reboot();
  sw.advance(seconds(10));  // the ring time goes on
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  b.expect("ACK");
  c.expect("INVITE");
  reboot();
  c.answer();
  c.expect("ACK");
  a.expect(200);
  a.ack();
  hang_up(c, a);
  sw.expect_empty();
}

TEST_F(Snapshots, BeforeTheAck) {
  a.call("1002");
  b.expect("INVITE");
  b.answer();
  b.expect("ACK");
  a.expect(200);
  reboot();
  sw.advance(seconds(2));
  a.expect(200);  // still retransmitted
  a.ack();
  while (!a.quiet()) a.pop();
  sw.advance(seconds(10));
  EXPECT_TRUE(a.quiet());
  hang_up(b, a);
  sw.expect_empty();
}

TEST_F(Snapshots, RecordsOfLegsThatRangInVain) {
  Phone b2(sw, "1002", "198.51.100.22:5060");
  a.call("1002");
  b.expect("INVITE");
  b2.expect("INVITE");
  b2.ring();
  a.expect(180);
  b.reply(b.invite_text, 486);
  b.expect("ACK");
  const WallTime rang = sw.now.wall;
  sw.advance(milliseconds(100));
  reboot();
  b2.reply(b2.invite_text, 480);
  b2.expect("ACK");
  a.expect(486);
  a.ack_failure();
  ASSERT_EQ(sw.cdrs.size(), 2u);
  EXPECT_EQ(sw.cdrs[0].callee.call_id, b.call_id);
  EXPECT_EQ(sw.cdrs[1].callee.call_id, b2.call_id);
  EXPECT_EQ(sw.cdrs[1].ring, rang);
  EXPECT_EQ(sw.cdrs[1].release_side, port::Cdr::Side::callee);
  sw.expect_empty();
}

TEST_F(Snapshots, CallerCancelsAfterwards) {
  a.call("1002");
  b.expect("INVITE");
  b.ring();
  a.expect(180);
  reboot();
  a.cancel();
  a.expect(200);
  a.expect(487);
  a.ack_failure();
  b.expect("CANCEL");
  b.ok();
  b.reply(b.invite_text, 487);
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Snapshots, InTheMiddleOfAnOffer) {
  connect(a, b);
  a.request("INVITE", sdp(a.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("INVITE");
  reboot();
  b.reply(b.request_text, 200, sdp(b.media, "9 101", "a=rtpmap:9 G722/8000\r\n"));
  b.expect("ACK");
  EXPECT_THAT(std::string(a.expect(200).body_text()), HasSubstr("G722"));
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Snapshots, TheNewestOfSeveralAnsweredOffersIsRepeated) {
  connect(a, b);
  a.request("OPTIONS");
  a.expect(200);
  sw.advance(seconds(20));
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  a.expect(200);
  a.ack();
  sw.advance(seconds(13));  // the next takes the place of OPTIONS in the table, before the last
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  const uint32_t newest = a.expect(200).cseq().number;
  reboot();
  sw.advance(seconds(1));
  EXPECT_EQ(a.expect(200).cseq().number, newest);
  a.ack();
  while (!a.quiet()) a.pop();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Snapshots, AnInfoAnsweredBeforeIsNotPassedOnTwice) {
  connect(a, b);
  a.request("INFO", "Signal=5\r\n", "", "application/dtmf-relay");
  a.expect(200);
  b.expect("INFO");
  b.ok();
  reboot();
  a.again();
  a.expect(200);
  EXPECT_TRUE(b.quiet());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Snapshots, InTheMiddleOfATransfer) {
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:1003@" + domain + ">\r\n");
  b.expect(202);
  b.expect("NOTIFY");
  b.ok();
  c.expect("INVITE");
  reboot();
  c.answer();
  c.expect("ACK");
  b.expect("NOTIFY");
  b.ok();
  b.expect("BYE");
  b.ok();
  reboot();
  hang_up(a, c);
  EXPECT_EQ(sw.cdrs.size(), 2u);
  sw.expect_empty();
}

TEST_F(Snapshots, WhileHangingUp) {
  connect(a, b);
  a.bye();
  a.expect(200);
  b.expect("BYE");
  reboot();
  b.ok();
  EXPECT_EQ(sw.cdrs.size(), 1u);
  sw.expect_empty();
}

TEST_F(Snapshots, Parked) {
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:700@" + domain + ">\r\n");
  b.expect(202);
  b.expect("NOTIFY");
  b.ok();
  b.expect("NOTIFY");
  b.ok();
  b.expect("BYE");
  b.ok();
  reboot();
  c.call("701");
  c.expect(200);
  c.ack();
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Snapshots, GarbageIsRefused) {
  connect(a, b);
  std::vector<std::string> parts;
  sw.calls->snapshot(sw.now, parts);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_FALSE(sw.calls->restore(sw.now, parts[0], "", sw.out));  // it is here already
  SeededRng rng(5);
  for (int i = 0; i < 300; ++i) {
    Switch other({}, {}, {}, 99);
    std::string damaged = parts[0];
    for (int n = 0; n < 4; ++n) damaged[rng.below(damaged.size())] = static_cast<char>(rng.next());
    if (i % 3 == 0) damaged.resize(rng.below(damaged.size()));
    other.calls->restore(other.now, damaged, "", other.out);
    other.calls->resume(other.now, other.out);
    other.advance(seconds(4000));
  }
  EXPECT_EQ(sw.counters.total("call_bad_parts_total"), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
