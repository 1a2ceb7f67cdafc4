// Codecs of two legs: what each is offered, and who is asked again when they change partners.
#include "unit/call/harness.h"
#include "unit/call/trunks.h"

namespace tandem::call::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CallConfig transcoding() {
  CallConfig c;
  c.codecs = {"PCMU", "PCMA", "G722", "opus"};
  return c;
}

/// The payload types of the audio line.
std::string formats(const sip::Message& m) {
  const std::string body(as_text(m.body()));
  const size_t at = body.find("RTP/AVP ");
  return at == std::string::npos ? body : body.substr(at + 8, body.find('\r', at) - at - 8);
}

struct Transcode : ::testing::Test {
  Switch sw{transcoding()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};
  Phone c{sw, "1003", "198.51.100.3:5060"};

  /// `x` speaks `of_x` only and calls `y`, who answers with `of_y`.
  void connect_with(Phone& x, const std::string& of_x, Phone& y, const std::string& of_y) {
    x.invite(y.user, sdp(x.media, of_x));
    y.expect("INVITE");
    y.answer(sdp(y.media, of_y));
    y.expect("ACK");
    EXPECT_EQ(formats(x.expect(200)), of_x);
    x.ack();
    EXPECT_TRUE(x.quiet());
    EXPECT_TRUE(y.quiet());
  }
};

TEST_F(Transcode, MoreIsOfferedThanTheCallerSpeaks) {
  a.invite("1002", sdp(a.media, "0 101"));
  const auto invite = b.expect("INVITE");
  EXPECT_EQ(formats(invite), "0 101 8 9 96");
  EXPECT_THAT(std::string(as_text(invite.body())), HasSubstr("a=rtpmap:96 opus/48000/2"));
  b.answer(sdp(b.media, "8 101"));
  b.expect("ACK");
  EXPECT_EQ(formats(a.expect(200)), "0 101");
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transcode, WhatPassesIsPreferred) {
  a.invite("1002", sdp(a.media, "0 8 101"));
  b.expect("INVITE");
  b.answer(sdp(b.media, "9 8 101"));
  b.expect("ACK");
  EXPECT_EQ(formats(a.expect(200)), "8 101");
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(Transcode, EncryptedMediaIsOfferedAsItIs) {
  std::string offer = sdp(a.media, "0 101");
  offer.replace(offer.find("RTP/AVP"), 7, "RTP/SAVP");
  a.invite("1002", offer);
  EXPECT_THAT(std::string(as_text(b.expect("INVITE").body())), HasSubstr("RTP/SAVP 0 101\r\n"));
  b.reply(b.invite_text, 488);
  b.expect("ACK");
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(Transcode, AfterATransferTheOldPartyIsAskedOnce) {
  connect_with(a, "0 101", b, "8 101");
  b.request("REFER", "", "Refer-To: <sip:1003@" + std::string(domain) + ">\r\n");
  b.expect(202);
  b.expect("NOTIFY");
  b.ok();
  EXPECT_EQ(formats(c.expect("INVITE")), "0 101 8 9 96");
  c.answer(sdp(c.media, "8 101"));
  c.expect("ACK");
  const auto again = a.expect("INVITE");
  EXPECT_EQ(formats(again).substr(0, 5), "8 101");
  a.reply(a.request_text, 200, sdp(a.media, "0 101"));  // still speaks nothing else
  a.expect("ACK");
  EXPECT_TRUE(a.quiet());
  EXPECT_TRUE(c.quiet());
  b.expect("NOTIFY");
  b.ok();
  b.expect("BYE");
  b.ok();
  EXPECT_EQ(sw.calls->call_count(), 1u);
  hang_up(a, c);
  sw.expect_empty();
}

struct TranscodeTrunk : ::testing::Test {
  static port::PlanRows rows() {
    port::PlanRows rows = trunk_rows();
    for (port::TrunkRow& t : rows.trunks) t.codecs = {"PCMA", "G722/8000"};
    return rows;
  }
  Switch sw{transcoding(), rows()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone carrier{sw, "trunk:carrier", "203.0.113.10:5060"};
};

TEST_F(TranscodeTrunk, TheTrunkIsOfferedItsOwnCodecs) {
  a.invite("0301234567", sdp(a.media, "0 101"));
  EXPECT_EQ(formats(carrier.expect("INVITE")), "8 9 101");
  carrier.answer(sdp(carrier.media, "8 101"));
  carrier.expect("ACK");
  EXPECT_EQ(formats(a.expect(200)), "0 101");
  a.ack();
  a.request("INVITE", sdp(a.media, "0 18 101"));  // what it speaks changes, what the trunk takes does not
  EXPECT_EQ(formats(carrier.expect("INVITE")), "8 9 101");
  carrier.reply(carrier.request_text, 200, sdp(carrier.media, "9 101"));
  carrier.expect("ACK");
  EXPECT_EQ(formats(a.expect(200)), "0 101");
  a.ack();
  hang_up(a, carrier);
  sw.expect_empty();
}

TEST_F(TranscodeTrunk, WhatNobodyCanDecodeDoesNotReachIt) {
  a.invite("0301234567", sdp(a.media, "97", "a=rtpmap:97 AMR/8000\r\n"));
  a.expect(488);
  a.ack_failure();
  EXPECT_TRUE(carrier.quiet());
  EXPECT_EQ(sw.events_seen["trunk.no_codec"], 2);  // and neither does the trunk after it
  sw.expect_empty();
}

struct OwnTerms : ::testing::Test {
  static CallConfig config() {
    CallConfig c = transcoding();
    c.srtp = media::Srtp::accepted;
    return c;
  }
  Switch sw{config()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};

  static std::string body(const sip::Message& m) { return std::string(as_text(m.body())); }
  static std::string keyed(std::string sdp) {
    sdp.replace(sdp.find("RTP/AVP"), 7, "RTP/SAVP");
    return sdp + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
  }
};

TEST_F(OwnTerms, ASubscribersCodecsComeFirstAndAreAll) {
  sw.subscriber("1002").codecs = {"G722", "PCMA"};
  a.invite("1002", sdp(a.media, "0 8 101"));
  EXPECT_EQ(formats(b.expect("INVITE")), "8 9 101");  // what passes before what is made
  b.answer(sdp(b.media, "9 101"));
  b.expect("ACK");
  EXPECT_EQ(formats(a.expect(200)), "0 101");
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(OwnTerms, ACallersCodecsAreAllItMaySpeak) {
  sw.subscriber("1001").codecs = {"PCMA"};
  a.invite("1002", sdp(a.media, "0 8 101"));
  EXPECT_EQ(formats(b.expect("INVITE")).substr(0, 5), "8 101");
  b.answer(sdp(b.media, "8 101"));
  b.expect("ACK");
  EXPECT_EQ(formats(a.expect(200)), "8 101");
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(OwnTerms, WhoSpeaksNothingAllowedIsRefused) {
  sw.subscriber("1001").codecs = {"PCMA"};
  a.invite("1002", sdp(a.media, "0 101"));
  a.expect(488);
  a.ack_failure();
  EXPECT_EQ(sw.events_seen["call.no_codec"], 1);
  sw.expect_empty();
}

TEST_F(OwnTerms, SrtpIsDemandedOfWhoMustHaveIt) {
  sw.subscriber("1002").srtp = port::SrtpPolicy::required;
  a.invite("1002", sdp(a.media, "0 101"));
  const std::string offered = body(b.expect("INVITE"));
  EXPECT_THAT(offered, HasSubstr("RTP/SAVP "));
  EXPECT_THAT(offered, HasSubstr("a=crypto:"));
  b.answer(sdp(b.media, "0 101"));  // no silent downgrade
  b.expect("ACK");
  b.expect("BYE");
  b.ok();
  a.expect(488);
  a.ack_failure();
  sw.expect_empty();
}

TEST_F(OwnTerms, WhoMustEncryptIsRefusedInTheClear) {
  sw.subscriber("1001").srtp = port::SrtpPolicy::required;
  a.invite("1002", sdp(a.media, "0 101"));
  a.expect(488);
  a.ack_failure();
  EXPECT_TRUE(b.quiet()) << "nobody is rung for it";
  sw.expect_empty();
}

TEST_F(OwnTerms, WhoTakesOnlyEncryptedMediaIsAskedOnceMore) {
  a.invite("1002", sdp(a.media, "0 101"));
  EXPECT_THAT(body(b.expect("INVITE")), HasSubstr("RTP/AVP "));
  b.reply(b.invite_text, 488);
  b.expect("ACK");
  const auto again = b.expect("INVITE");
  EXPECT_THAT(body(again), HasSubstr("RTP/SAVP "));
  EXPECT_EQ(again.cseq().number, 2u);
  b.answer(keyed(sdp(b.media, "0 101")));
  b.expect("ACK");
  EXPECT_THAT(body(a.expect(200)), Not(HasSubstr("crypto")));
  a.ack();
  hang_up(a, b);
  sw.expect_empty();
}

TEST_F(OwnTerms, AndNotMoreThanOnce) {
  a.invite("1002", sdp(a.media, "0 101"));
  for (int i = 0; i < 2; ++i) {
    b.expect("INVITE");
    b.reply(b.invite_text, 488);
    b.expect("ACK");
  }
  a.expect(488);
  a.ack_failure();
  EXPECT_EQ(sw.events_seen["call.offered_encrypted"], 1);
  sw.expect_empty();
}

/// What a row's policy offers to a telephone or a trunk, from a caller in the clear and from one with keys.
struct PolicyOfRow {
  port::SrtpPolicy policy;
  bool keyed_caller;
  const char* profile;
  bool keys;
};

class RowsSrtp : public ::testing::TestWithParam<PolicyOfRow> {
 protected:
  static port::PlanRows rows() {
    port::PlanRows rows = trunk_rows();
    for (port::TrunkRow& t : rows.trunks) t.srtp = GetParam().policy;
    return rows;
  }
  Switch sw{OwnTerms::config(), rows()};
  Phone a{sw, "1001", "198.51.100.1:5060"};

  void call(const std::string& number) {
    const std::string plain = sdp(a.media, "0 101");
    a.invite(number, GetParam().keyed_caller ? OwnTerms::keyed(plain) : plain);
  }
  static void refuse(Phone& a, Phone& b) {
    b.reply(b.invite_text, 486);
    b.expect("ACK");
    a.expect(486);
    a.ack_failure();
  }
  static void expect_offer(const std::string& offer) {
    EXPECT_THAT(offer, HasSubstr(std::string(" ") + GetParam().profile + " ")) << offer;
    EXPECT_EQ(offer.find("a=crypto:") != std::string::npos, GetParam().keys) << offer;
  }
};

TEST_P(RowsSrtp, OfASubscriber) {
  Phone b(sw, "1002", "198.51.100.2:5060");
  sw.subscriber("1002").srtp = GetParam().policy;
  call("1002");
  expect_offer(OwnTerms::body(b.expect("INVITE")));
  refuse(a, b);
  sw.expect_empty();
}

TEST_P(RowsSrtp, OfATrunk) {
  Phone carrier(sw, "trunk:carrier", "203.0.113.10:5060");
  call("0301234567");
  expect_offer(OwnTerms::body(carrier.expect("INVITE")));
  refuse(a, carrier);
  sw.expect_empty();
}

INSTANTIATE_TEST_SUITE_P(All, RowsSrtp,
                         ::testing::Values(PolicyOfRow{port::SrtpPolicy::refused, true, "RTP/AVP", false},
                                           PolicyOfRow{port::SrtpPolicy::accepted, false, "RTP/AVP", false},
                                           PolicyOfRow{port::SrtpPolicy::accepted, true, "RTP/AVP", true},
                                           PolicyOfRow{port::SrtpPolicy::offered, false, "RTP/AVP", true},
                                           PolicyOfRow{port::SrtpPolicy::required, false, "RTP/SAVP", true},
                                           PolicyOfRow{port::SrtpPolicy::required, true, "RTP/SAVP", true}));

}  // namespace
}  // namespace tandem::call::test
