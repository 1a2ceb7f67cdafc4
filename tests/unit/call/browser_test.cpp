// Legs over WebSockets (RFC 7118): what browsers are told, and where a phone is found that has lost its
// connection.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* second_connection = "198.51.100.2:6000";

struct Browsers : ::testing::Test {
  Browsers() {
    port::Contact& contact = sw.bindings["1002"].front();
    contact.path.transport = port::Transport::wss;
    contact.path.flow = {1, 0, 7, 1};
    sw.connections[b.addr] = contact.path.flow;
    contact.instance = "<urn:uuid:1>";
  }
  static std::string as_browser(const std::string& setup) {
    std::string text = sdp("198.51.100.2:4000", "0",
                           "a=setup:" + setup + "\r\na=fingerprint:sha-256 " + fingerprint() +
                               "\r\na=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
                               "a=candidate:1 1 udp 2130706431 198.51.100.2 4000 typ host\r\n");
    return text.replace(text.find("RTP/AVP"), 7, "UDP/TLS/RTP/SAVPF");
  }
  static std::string fingerprint() {
    std::string out = "AB";
    for (int i = 1; i < 32; ++i) out += ":AB";
    return out;
  }
  /// The call as the line of 1002 knows it.
  port::LineCall line() { return sw.lines->at["1002@" + std::string(domain)].at(0); }
  port::Contact moved(const std::string& uri) {
    port::Contact to = sw.bindings["1002"].front();
    to.uri = uri;
    to.path.remote = *SocketAddress::parse(second_connection);
    to.path.flow = {1, 0, 8, 1};
    return to;
  }
  void tell(const port::Contact& contact) {
    const port::LineCall call = line();
    sw.calls->phone_moved(sw.now, call.call, call.local_tag, contact, sw.out);
    sw.pump();
  }

  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  std::string target = "sip:1002@198.51.100.2:5060";
};

TEST_F(Browsers, AreOfferedWebRtcWhateverTheCallerSpeaks) {
  a.call("1002");
  const std::string offer(b.expect("INVITE").body_text());
  for (const char* line : {"UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 ", "a=setup:actpass", "a=rtcp-mux",
                           "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:"})
    EXPECT_THAT(offer, HasSubstr(line));
  EXPECT_THAT(offer, Not(HasSubstr("a=crypto")));
  b.answer(as_browser("active"));
  b.expect("ACK");
  const std::string answer(a.expect(200).body_text());
  EXPECT_THAT(answer, HasSubstr("RTP/AVP"));
  for (const char* line : {"fingerprint", "candidate", "ice-", "SAVP"})
    EXPECT_THAT(answer, Not(HasSubstr(line)));
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Browsers, WithoutEncryptionAreRefused) {
  a.call("1002");
  b.expect("INVITE");
  b.answer();  // plain RTP: no browser does this, and nobody may
  std::string text;
  while (!a.quiet()) text = a.pop();
  EXPECT_THAT(text, Not(HasSubstr("SIP/2.0 200")));
}

TEST_F(Browsers, ThatRegisterAgainAreFoundOnTheirNewConnection) {
  a.call("1002");
  b.expect("INVITE");
  b.answer(as_browser("active"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  tell(moved(target));
  a.bye();
  a.expect(200);
  EXPECT_TRUE(b.quiet());
  const auto& there = sw.sent[*SocketAddress::parse(second_connection)];
  ASSERT_EQ(there.size(), 1u);
  EXPECT_THAT(there.front(), HasSubstr("BYE " + target));
  EXPECT_THAT(there.front(), HasSubstr("Via: SIP/2.0/WSS"));
}

TEST_F(Browsers, AnotherPhoneOfTheSubscriberIsNotTheOneInTheCall) {
  a.call("1002");
  b.expect("INVITE");
  b.answer(as_browser("active"));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  tell(moved("sip:1002@198.51.100.3:5060"));
  port::Contact gruu = moved("sip:1002@elsewhere.invalid");
  gruu.gruu = "sip:1002@" + std::string(domain) + ";gr=urn:uuid:1";
  tell(gruu);  // the leg's target is no GRUU
  port::Contact over_udp = moved(target);
  over_udp.path.transport = port::Transport::udp;
  tell(over_udp);
  EXPECT_EQ(sw.counters.total("call_phones_moved_total"), 0u);
  sw.calls->phone_moved(sw.now, 12345, "nobody", moved(target), sw.out);
  hang_up(a, b);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
