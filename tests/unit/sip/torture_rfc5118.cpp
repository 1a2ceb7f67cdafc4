// RFC 5118: IPv6 torture messages. Body lengths are those of the text as it stands here (the RFC miscounts
// three of them).
#include <gtest/gtest.h>

#include <vector>

#include "torture_support.h"

namespace tandem::sip {
namespace {

using torture::parse;
using torture::wire;

std::string register_to(std::string_view uri) {
  return wire("REGISTER " + std::string(uri) + R"( SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
Contact: "Caller" <sip:caller@[2001:db8::1]>
CSeq: 98176 REGISTER
Content-Length: 0

)");
}

std::string with_body(std::string_view head, std::string_view body) {
  const std::string b = wire(body);
  return wire(head) + "Content-Length: " + std::to_string(b.size()) + "\r\n\r\n" + b;
}

// 4.1 Valid SIP Message with an IPv6 Reference
TEST(TortureIpv6, Good) {
  const std::string text = register_to("sip:[2001:db8::10]");
  EXPECT_VALID(text);
  const auto m = parse(text);
  EXPECT_EQ(m->parsed_request_uri()->host, "[2001:db8::10]");
  EXPECT_EQ(m->top_via().host, "[2001:db8::9:1]");
  EXPECT_EQ(m->contact()->uri.host, "[2001:db8::1]");
}

// 4.2 Invalid SIP Message with an IPv6 Reference: 400
TEST(TortureIpv6, Bad) {
  const std::string text = register_to("sip:2001:db8::10");
  const auto v = torture::verdict(text);
  EXPECT_FALSE(v.parse);
  EXPECT_TRUE(v.strict);
  EXPECT_FALSE(parse(text)->parsed_request_uri());
}

// 4.3 Port Ambiguous in a SIP URI: well-formed; the "port" is the address's last group
TEST(TortureIpv6, PortAmbiguous) {
  const std::string text = register_to("sip:[2001:db8::10:5070]");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->parsed_request_uri()->port, 0);
  EXPECT_EQ(IpAddress::parse(parse(text)->parsed_request_uri()->host), IpAddress::parse("2001:db8::10:5070"));
}

// 4.4 Port Unambiguous in a SIP URI
TEST(TortureIpv6, PortUnambiguous) {
  const std::string text = register_to("sip:[2001:db8::10]:5070");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->parsed_request_uri()->port, 5070);
}

// 4.5 IPv6 Reference Delimiters in Via Header: both forms of `received` are taken
TEST(TortureIpv6, ViaReceivedDelimiters) {
  const std::string text = wire(R"(
BYE sip:[2001:db8::10] SIP/2.0
To: sip:user@example.com;tag=bd76ya
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Max-Forwards: 70
CSeq: 321 BYE
Content-Length: 0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(IpAddress::parse(*parse(text)->top_via().params.get("received")),
            IpAddress::parse("2001:db8::9:255"));
  const std::string bare = torture::replaced(text, "[2001:db8::9:255]", "2001:db8::9:255");
  EXPECT_VALID(bare);
  EXPECT_EQ(IpAddress::parse(*parse(bare)->top_via().params.get("received")),
            IpAddress::parse("2001:db8::9:255"));
  EXPECT_EQ(parse(bare)->top_via().branch, "z9hG4bKas3-111");
}

// 4.6 SIP Request with IPv6 Addresses in SDP Body
TEST(TortureIpv6, InSdp) {
  const std::string text = with_body(R"(
INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::20];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::20]>
CSeq: 8612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
)",
                                     R"(
v=0
o=assistant 971731711378798081 0 IN IP6 2001:db8::20
s=Live video feed for today's meeting
c=IN IP6 2001:db8::20
t=3338481189 3370017201
m=audio 6000 RTP/AVP 2
a=rtpmap:2 G726-32/8000
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->body().size(), 251u);
  EXPECT_EQ(parse(text)->to()->uri.user, "user");
}

// 4.7 Multiple IP Addresses in SIP Headers
TEST(TortureIpv6, MixedVias) {
  const std::string text = wire(R"(
BYE sip:user@host.example.net SIP/2.0
Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144
Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200
Call-ID: 997077@lau_4100
Max-Forwards: 70
CSeq: 89187 BYE
To: sip:user@example.net;tag=9817--94
From: sip:user@example.com;tag=81x2
Content-Length: 0

)");
  EXPECT_VALID(text);
  std::vector<std::string> hosts;
  const auto m = parse(text);
  m->for_each_value(HeaderId::via, [&](std::string_view v) { hosts.emplace_back(Via::parse(v)->host); });
  EXPECT_EQ(hosts, (std::vector<std::string>{"[2001:db8::9:1]", "192.0.2.1", "[2001:db8::9:255]"}));
  EXPECT_EQ(m->top_via().port, 6050);
}

// 4.8 Multiple IP Addresses in SDP
TEST(TortureIpv6, MixedSdp) {
  const std::string text = with_body(R"(
INVITE sip:user@[2001:db8::10] SIP/2.0
To: sip:user@[2001:db8::10]
From: sip:user@example.com;tag=81x2
Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "Caller" <sip:caller@[2001:db8::9:1]>
Max-Forwards: 70
CSeq: 8912 INVITE
Content-Type: application/sdp
)",
                                     R"(
v=0
o=bob 280744730 28977631 IN IP4 host.example.com
s=
t=0 0
m=audio 22334 RTP/AVP 0
c=IN IP4 192.0.2.1
m=video 6024 RTP/AVP 107
c=IN IP6 2001:db8::1
a=rtpmap:107 H263-1998/90000
)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->body().size(), 189u);
}

// 4.9 IPv4-Mapped IPv6 Addresses
TEST(TortureIpv6, Ipv4Mapped) {
  const std::string text = with_body(R"(
INVITE sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:user@east.example.com;tag=81x2
Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19
Via: SIP/2.0/UDP [::ffff:192.0.2.2];branch=z9hG4bKas3-111
Call-ID: SSG9559905523997077@hlau_4100
Contact: "T. desk phone" <sip:ted@[::ffff:192.0.2.2]>
CSeq: 612 INVITE
Max-Forwards: 70
Content-Type: application/sdp
)",
                                     R"(
v=0
o=assistant 971731711378798081 0 IN IP6 ::ffff:192.0.2.2
s=Call me soon, please!
c=IN IP6 ::ffff:192.0.2.2
t=3338481189 3370017201
m=audio 6000 RTP/AVP 2
a=rtpmap:2 G726-32/8000
m=video 6024 RTP/AVP 107
a=rtpmap:107 H263-1998/90000
)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->top_via().host, "[::ffff:192.0.2.10]");
  EXPECT_EQ(parse(text)->top_via().port, 19823);
  EXPECT_EQ(parse(text)->body().size(), 245u);
}

// 4.10 IPv6 Reference Bug in RFC 3261 ABNF: three colons before an embedded IPv4 address must be tolerated
TEST(TortureIpv6, ThreeColons) {
  const std::string text = wire(R"(
OPTIONS sip:user@[2001:db8:::192.0.2.1] SIP/2.0
To: sip:user@[2001:db8:::192.0.2.1]
From: sip:user@example.com;tag=810x2
Via: SIP/2.0/UDP lab1.east.example.com;branch=z9hG4bKas3-111
Call-ID: G9559905523997077@hlau_4100
CSeq: 689 OPTIONS
Max-Forwards: 70
Content-Length: 0

)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m->parsed_request_uri());
  EXPECT_TRUE(equivalent(*m->parsed_request_uri(), *Uri::parse("sip:user@[2001:db8::192.0.2.1]")));
  EXPECT_VALID(torture::replaced(text, ":::", "::"));
  EXPECT_FALSE(Uri::parse("sip:user@[2001:db8:::1]"));
  EXPECT_FALSE(Uri::parse("sip:user@[2001:db8:::1:192.0.2.1]"));
}

}  // namespace
}  // namespace tandem::sip
