// ICE in calls: candidates by INFO (RFC 8840), and restarts by a re-INVITE of ours.
#include <set>

#include "sdp/description.h"
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CallConfig with_ice() {
  CallConfig c;
  c.ice = media::Ice::accepted;
  c.media_timeout = {};  // nobody here answers a check
  return c;
}

constexpr const char* package = "Info-Package: trickle-ice\r\nContent-Disposition: Info-Package\r\n";
const SocketAddress candidate = *SocketAddress::parse("198.51.100.77:7777");

struct Trickle : ::testing::Test {
  Switch sw{with_ice()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};

  static std::string ice_sdp(const std::string& fragment, const std::string& more = "") {
    return sdp("0.0.0.0:9", "0 101",
               "a=rtcp-mux\r\na=mid:0\r\na=ice-ufrag:" + fragment +
                   "\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\na=ice-options:ice2 trickle\r\n" + more);
  }
  static std::string fragment(const std::string& of) {
    return "a=ice-ufrag:" + of +
           "\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaaaa\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n" +
           "a=candidate:1 1 UDP 2130706431 198.51.100.77 7777 typ host\r\na=end-of-candidates\r\n";
  }
  void invite() {
    a.invite("1002", ice_sdp("AAAA"), "Supported: trickle-ice\r\nRecv-Info: trickle-ice\r\n");
    b.expect("INVITE");
    b.ring();
    const auto ringing = a.expect(180);
    EXPECT_TRUE(ringing.lists(sip::HeaderId::supported, "trickle-ice"));
    EXPECT_EQ(ringing.header("Recv-Info"), "trickle-ice");
  }
  std::string up() {
    b.answer();
    b.expect("ACK");
    const std::string told(as_text(a.expect(200).body()));
    a.ack();
    return told;
  }
  int checks() {
    sw.advance(milliseconds(300));
    return sw.media_sent[candidate];
  }
  static std::string ufrag_of(const std::string& body) {
    return std::string(sdp::Description::parse(body)->attribute(0, "ice-ufrag").value_or(""));
  }
};

TEST_F(Trickle, InTheEarlyDialog) {
  invite();
  a.request("INFO", fragment("AAAA"), package, "application/trickle-ice-sdpfrag");
  a.expect(200);
  EXPECT_THAT(up(), HasSubstr("typ host"));
  EXPECT_GT(checks(), 0);
  EXPECT_TRUE(b.quiet()) << "it is between the leg and us";
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, OnceItIsUp) {
  invite();
  up();
  EXPECT_EQ(checks(), 0);
  a.request("INFO", fragment("AAAA"), package, "application/trickle-ice-sdpfrag");
  a.expect(200);
  EXPECT_GT(checks(), 0);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, AnotherGenerationsAreAnsweredAndForgotten) {
  invite();
  up();
  a.request("INFO", fragment("BBBB"), package, "application/trickle-ice-sdpfrag");
  a.expect(200);
  EXPECT_EQ(checks(), 0);
  EXPECT_EQ(sw.events_seen["call.candidates_refused"], 1);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, OtherPackagesAreRefused) {
  invite();
  up();
  a.request("INFO", "x", "Info-Package: weather\r\n", "text/plain");
  EXPECT_EQ(a.expect(469).header("Recv-Info"), "trickle-ice");
  a.request("INFO", "x", package, "text/plain");
  a.expect(400);
  EXPECT_TRUE(b.quiet());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, WhereIceIsRemovedItIsNotOffered) {
  Switch plain;
  Phone c(plain, "1003", "198.51.100.3:5060"), d(plain, "1004", "198.51.100.4:5060");
  c.call("1004");
  const auto invite = d.expect("INVITE");
  EXPECT_FALSE(invite.lists(sip::HeaderId::supported, "trickle-ice"));
  EXPECT_FALSE(invite.header("Recv-Info"));
  c.invite("1004", sdp(c.media), "Require: trickle-ice\r\n");
}

TEST_F(Trickle, ALostWayIsLookedForByAReInvite) {
  invite();
  const std::string first = ufrag_of(up());
  // Nobody answers (RFC 8863: 39.5 s, and as long again).
  for (int i = 0; i < 900 && a.quiet(); ++i) sw.advance(milliseconds(100));
  EXPECT_EQ(sw.events_seen["call.media_unreachable"], 1);
  const auto again = a.expect("INVITE");
  const std::string offered(as_text(again.body()));
  EXPECT_NE(ufrag_of(offered), first);
  EXPECT_THAT(offered, HasSubstr("typ host"));
  a.reply(a.request_text, 200, ice_sdp("CCCC", "a=candidate:1 1 UDP 1 198.51.100.77 7777 typ host\r\n"));
  a.expect("ACK");
  EXPECT_GT(checks(), 0);
  EXPECT_TRUE(b.quiet());
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, WhoRefusesIsAskedOnlySoOften) {
  invite();
  up();
  std::set<uint32_t> asked;  // CSeq: one that comes again is no other
  for (int i = 0; i < 600; ++i) {
    sw.advance(seconds(1));
    while (!a.quiet()) {
      const auto m = a.parse(a.pop());
      if (m.method() != sip::Method::invite || !m.is_request()) continue;
      asked.insert(m.cseq().number);
      a.reply(a.last, 488);
    }
  }
  EXPECT_EQ(asked.size(), 3u);
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, WhoDoesNotAnswerItKeepsTheCall) {
  invite();
  up();
  sw.advance(seconds(75));
  while (!a.quiet()) a.pop();
  sw.advance(seconds(60));  // the transaction has timed out
  EXPECT_EQ(sw.calls->call_count(), 1u);
  while (!a.quiet()) a.pop();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Trickle, AClientInAnotherNetworkIsOfferedAnew) {
  invite();
  const std::string first = ufrag_of(up());
  const auto call = sw.calls->list().front();
  EXPECT_FALSE(sw.calls->restart_ice(sw.now, call.id, 99, sw.out));
  const uint16_t leg = 1;
  ASSERT_TRUE(sw.calls->restart_ice(sw.now, call.id, leg, sw.out));
  sw.pump();
  EXPECT_NE(ufrag_of(std::string(as_text(a.expect("INVITE").body()))), first);
  EXPECT_FALSE(sw.calls->restart_ice(sw.now, call.id, leg, sw.out)) << "an offer is open";
  a.reply(a.request_text, 200, ice_sdp("CCCC"));
  a.expect("ACK");
  hang_up(a, b);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
