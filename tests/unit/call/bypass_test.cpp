// Media that goes past us: each phone is told where the other one is, whoever that is by now.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CallConfig bypassing() {
  CallConfig c;
  c.bypass_media = true;
  return c;
}

/// "c=IN IP4 198.51.100.1" and "m=audio 10002 " of whoever takes media at `p`.
bool sends_to(std::string_view body, const Phone& p) {
  const auto where = *SocketAddress::parse(p.media);
  return body.find("c=IN IP4 " + where.ip.to_string()) != std::string_view::npos &&
         body.find("m=audio " + std::to_string(where.port) + " ") != std::string_view::npos;
}

struct Bypass : ::testing::Test {
  Switch sw{bypassing()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};

  /// The next message of `p` is a re-INVITE that sends its media to `to`; it agrees.
  void moves_to(Phone& p, const Phone& to) {
    const auto offer = p.expect("INVITE");
    EXPECT_FALSE(offer.to_tag().empty());
    EXPECT_TRUE(sends_to(offer.body_text(), to)) << offer.body_text();
    p.reply(p.request_text, 200, sdp(p.media));
    p.expect("ACK");
  }
};

TEST_F(Bypass, NoPortIsTaken) {
  a.call("1002");
  EXPECT_TRUE(sends_to(b.expect("INVITE").body_text(), a));
  b.answer();
  b.expect("ACK");
  EXPECT_TRUE(sends_to(a.expect(200).body_text(), b));
  a.ack();
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(b.quiet());
  EXPECT_EQ(sw.ports->open(), 0u);
  sw.advance(minutes(10));  // nothing is heard of the media, and that ends no call
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Bypass, TheOtherPhoneLearnsOfHold) {
  connect(a, b);
  a.request("INVITE", directed(sdp(a.media), "sendonly"));
  EXPECT_THAT(std::string(b.expect("INVITE").body_text()), HasSubstr("a=sendonly"));
  b.reply(b.request_text, 200, directed(sdp(b.media), "recvonly"));
  b.expect("ACK");
  const auto held = a.expect(200);
  EXPECT_THAT(std::string(held.body_text()), HasSubstr("a=recvonly"));
  EXPECT_TRUE(sends_to(held.body_text(), b));
  a.ack();
  EXPECT_EQ(sw.calls->list().at(0).legs.at(0).state, "holding");
  sw.advance(seconds(1));
  EXPECT_EQ(sw.ports->open(), 0u);
  EXPECT_TRUE(sw.media_sent.empty());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Bypass, BothLearnOfATransfer) {
  connect(a, b);
  b.request("REFER", "", "Refer-To: <sip:1003@" + std::string(domain) + ">\r\n");
  b.expect(202);
  b.expect("NOTIFY");
  b.ok();
  EXPECT_TRUE(sends_to(c.expect("INVITE").body_text(), a));
  c.answer();
  c.expect("ACK");
  moves_to(a, c);
  EXPECT_TRUE(c.quiet());  // it was told of a's place in its INVITE
  b.expect("NOTIFY");
  b.ok();
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.ports->open(), 0u);
  hang_up(a, c);
  sw.expect_empty();
}

TEST_F(Bypass, WhoTalksWithUsHasAPortAndGivesItBack) {
  a.call("*43");
  const auto answer = a.expect(200);
  EXPECT_THAT(std::string(answer.body_text()), HasSubstr("c=IN IP4 192.0.2.1"));
  a.ack();
  EXPECT_GT(sw.ports->open(), 0u);
  a.bye();
  a.expect(200);
  sw.expect_empty();
}

TEST_F(Bypass, OtherFamiliesAreAnchored) {
  Phone six(sw, "1006", "[2001:db8::6]:5060");
  six.media = "203.0.113.6:10600";
  a.call("1006");
  EXPECT_THAT(std::string(six.expect("INVITE").body_text()), Not(HasSubstr("198.51.100.1")));
  six.answer();
  six.expect("ACK");
  a.expect(200);
  a.ack();
  EXPECT_GT(sw.ports->open(), 0u);
  hang_up(a, six);
  sw.expect_empty();
}

TEST_F(Bypass, HoldsAcrossARestore) {
  connect(a, b);
  sw.reboot();
  EXPECT_EQ(sw.ports->open(), 0u);
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  EXPECT_TRUE(sends_to(b.expect("INVITE").body_text(), a));
  b.reply(b.request_text, 200, sdp(b.media));
  b.expect("ACK");
  EXPECT_TRUE(sends_to(a.expect(200).body_text(), b));
  a.ack();
  hang_up(b, a);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
