// Session descriptions made to hurt: each is refused by name, and the calls that run hear nothing of it.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

std::string repeated(size_t times, const std::string& line) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += line;
  return all;
}

std::string numbered(size_t times, const std::string& before, const std::string& after) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += before + std::to_string(i) + after;
  return all;
}

struct Bomb {
  const char* name;
  std::string body;
};

std::vector<Bomb> bombs(const std::string& media) {
  const std::string whole = sdp(media);
  std::string formats = "0";
  for (int i = 0; i < 3000; ++i) formats += " " + std::to_string(96 + i % 32);
  // A message of more than 64 KB is refused before anybody looks at its body.
  return {
      {"thousands of m-lines", whole + repeated(2000, "m=audio 1 RTP/AVP 0\r\n")},
      {"hundreds of m-lines", whole + repeated(500, "m=audio 1 RTP/AVP 0\r\n")},
      {"thousands of codecs", sdp(media, formats)},
      {"thousands of rtpmaps", whole + numbered(2000, "a=rtpmap:96 x/", "\r\n")},
      {"a thousand candidates",
       whole + "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n" +
           numbered(1000, "a=candidate:", " 1 UDP 1 198.51.100.9 4000 typ host\r\n")},
      {"hundreds of keys", whole + numbered(500, "a=crypto:",
                                            " AES_CM_128_HMAC_SHA1_80 "
                                            "inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n")},
      {"a thousand fingerprints", whole + repeated(1000, "a=fingerprint:sha-256 00:11:22\r\n")},
      {"a line without an end", whole + "a=" + std::string(40000, 'x')},
      {"no line at all", std::string(40000, '=')},
      {"nothing but zeros", std::string(1000, '\0')},
  };
}

/// The ACK of a re-INVITE that was refused: the INVITE's own branch.
void reject_seen(Phone& p) {
  p.branch = p.invite_branch;
  p.send(p.with_body(p.head("ACK", p.target, p.invite_cseq), ""));
}

struct Attacks : ::testing::Test {
  Switch sw;
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
};

TEST_F(Attacks, BombsInAnInviteAreRefused) {
  connect(a, b);
  for (const Bomb& bomb : bombs(a.media)) {
    SCOPED_TRACE(bomb.name);
    Phone attacker(sw, "1003", "198.51.100.66:5060");
    attacker.invite("1002", bomb.body);
    std::string answer = attacker.pop();
    while (answer.find("SIP/2.0 100") == 0) answer = attacker.pop();
    const int status = attacker.parse(answer).status();
    EXPECT_TRUE(status == 400 || status == 488 || status == 415) << status;
    attacker.ack_failure();
    EXPECT_TRUE(b.quiet()) << "it got through";
    EXPECT_EQ(sw.engine->size(), 2u);
  }
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Attacks, AnInviteWithoutAContactLeavesNothing) {
  for (const char* contact : {"", "Contact: <sip:\r\n", "Contact: nobody\r\n", "Contact: *\r\n"}) {
    SCOPED_TRACE(contact);
    a = Phone(sw, "1001", "198.51.100.1:5060", false);
    a.new_branch();
    a.remote_uri = "sip:1002@" + domain;
    std::string text = a.head("INVITE", a.remote_uri, ++a.cseq);
    text.replace(text.find("Contact:"), std::string::npos, contact);
    a.invite_branch = a.branch;
    a.send(Phone::with_body(text, sdp(a.media)));
    a.expect(400);
    a.ack_failure();
    EXPECT_TRUE(b.quiet());
    EXPECT_EQ(sw.calls->call_count(), 0u);
    EXPECT_EQ(sw.calls->leg_count(), 0u);
  }
  sw.expect_empty();
}

TEST_F(Attacks, BombsInAReInviteLeaveTheCallAsItWas) {
  connect(a, b);
  for (const Bomb& bomb : bombs(a.media)) {
    SCOPED_TRACE(bomb.name);
    a.request("INVITE", bomb.body);
    std::string answer = a.pop();
    while (answer.find("SIP/2.0 100") == 0) answer = a.pop();
    const int status = a.parse(answer).status();
    EXPECT_TRUE(status == 400 || status == 488 || status == 415) << status;
    reject_seen(a);
    EXPECT_TRUE(b.quiet());
    EXPECT_EQ(sw.engine->size(), 2u);
  }
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Attacks, BombsInAnAnswerEndTheirOwnCallOnly) {
  Phone c(sw, "1003", "198.51.100.3:5060"), d(sw, "1004", "198.51.100.4:5060");
  connect(c, d);
  for (const Bomb& bomb : bombs(b.media)) {
    SCOPED_TRACE(bomb.name);
    a.call("1002");
    b.expect("INVITE");
    b.answer(bomb.body);
    b.expect("ACK");
    b.expect("BYE");
    b.ok();
    std::string answer = a.pop();
    while (answer.find("SIP/2.0 100") == 0) answer = a.pop();
    EXPECT_GE(a.parse(answer).status(), 400);
    a.ack_failure();
    EXPECT_EQ(sw.engine->size(), 2u);
    a = Phone(sw, "1001", "198.51.100.1:5060", false);
    b = Phone(sw, "1002", "198.51.100.2:5060", false);
  }
  hang_up(c, d);
  sw.expect_empty();
}

// ---- keys

CallConfig encrypted(media::Srtp policy) {
  CallConfig c;
  c.srtp = policy;
  return c;
}

const std::string key =
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n";

std::string savp(std::string body) {
  body.replace(body.find("RTP/AVP"), 7, "RTP/SAVP");
  return body + key;
}

struct Keys : ::testing::Test {
  Switch sw{encrypted(media::Srtp::required)};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
};

TEST_F(Keys, AnOfferWhoseKeysWereTakenOutIsRefused) {
  a.call("1002");
  a.expect(488);
  a.ack_failure();
  EXPECT_TRUE(b.quiet());
  sw.expect_empty();
}

TEST_F(Keys, AnAnswerWhoseKeysWereTakenOutEndsTheCall) {
  a.invite("1002", savp(sdp(a.media)));
  const auto invite = b.expect("INVITE");
  EXPECT_NE(invite.body_text().find("RTP/SAVP"), std::string::npos);
  b.answer();  // RTP/AVP
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Keys, AReInviteInTheClearChangesNothing) {
  a.invite("1002", savp(sdp(a.media)));
  b.expect("INVITE");
  b.answer(savp(sdp(b.media)));
  b.expect("ACK");
  a.expect(200);
  a.ack();
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  a.expect(488);
  EXPECT_TRUE(b.quiet());
  EXPECT_EQ(sw.calls->call_count(), 1u);
  reject_seen(a);
  hang_up(a, b);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
