// RFC 4475 sections 3.2 to 3.4: well-formed messages whose fault, if any, is for a layer above to find. Each
// test asserts that the parser takes the message and that it shows what the layer needs for the answer the
// RFC expects.
#include <gtest/gtest.h>

#include "sip/refuse.h"
#include "torture_support.h"

namespace tandem::sip {
namespace {

using torture::parse;
using torture::sdp;
using torture::wire;

// 3.2.1 Missing Transaction Identifier: the magic cookie alone is no RFC 3261 branch; match as RFC 2543 did.
TEST(TortureTransaction, Badbranch) {
  const std::string text = wire(R"(
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK
Accept: application/sdp
Call-ID: badbranch.sadonfo23i420jv0as0derf3j3n
CSeq: 8 OPTIONS
l: 0

)");
  EXPECT_VALID(text);
  EXPECT_FALSE(parse(text)->top_via().rfc3261_branch());
}

// 3.3.1 Missing Required Header Fields: 400 (here nothing to answer with: no From, To or Call-ID)
TEST(TortureApplication, Insuf) {
  const std::string text = wire(R"(
INVITE sip:user@example.com SIP/2.0
CSeq: 193942 INVITE
Via: SIP/2.0/UDP 192.0.2.95;branch=z9hG4bKkdj.insuf
Content-Type: application/sdp
l: 152

)") + sdp("192.0.2.95");
  EXPECT_REFUSED(text, Reason::missing_header);
  EXPECT_FALSE(refuse_malformed(as_bytes(text), Reason::missing_header,
                                *SocketAddress::parse("192.0.2.95:5060"), "t"));
}

// 3.3.2 Request-URI with Unknown Scheme: 416
TEST(TortureApplication, Unkscm) {
  const std::string text = wire(R"(
OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0
To: sip:user@example.com
From: sip:caller@example.net;tag=384
Max-Forwards: 3
Call-ID: unkscm.nasdfasser0q239nwsdfasdkl34
CSeq: 3923423 OPTIONS
Via: SIP/2.0/TCP host9.example.com;branch=z9hG4bKkdjuw39234
Content-Length: 0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->parsed_request_uri()->scheme, Scheme::other);
}

// 3.3.3 Request-URI with Known but Atypical Scheme: 416
TEST(TortureApplication, Novelsc) {
  const std::string text = wire(R"(
OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0
To: sip:user@example.com
From: sip:caller@example.net;tag=384
Max-Forwards: 3
Call-ID: novelsc.asdfasser0q239nwsdfasdkl34
CSeq: 3923423 OPTIONS
Via: SIP/2.0/TCP host9.example.com;branch=z9hG4bKkdjuw39234
Content-Length: 0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->parsed_request_uri()->scheme, Scheme::other);
}

// 3.3.4 Unknown URI Schemes in Header Fields: a registrar answers 400, a proxy may pass it on.
TEST(TortureApplication, Unksm2) {
  const std::string text = wire(R"(
REGISTER sip:example.com SIP/2.0
To: isbn:2983792873
From: <http://www.example.com>;tag=3234233
Call-ID: unksm2.daksdj@hyphenated-host.example.com
CSeq: 234902 REGISTER
Max-Forwards: 70
Via: SIP/2.0/UDP 192.0.2.21:5060;branch=z9hG4bKkdjuw
Contact: <name:John_Smith>
l: 0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->to()->uri.scheme, Scheme::other);
  EXPECT_EQ(parse(text)->from()->uri_text, "http://www.example.com");
  EXPECT_EQ(parse(text)->contact()->uri.scheme, Scheme::other);
}

// 3.3.5 Proxy-Require and Require: 420 with Unsupported
TEST(TortureApplication, Bext01) {
  const std::string text = wire(R"(
OPTIONS sip:user@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.net;tag=242etr
Max-Forwards: 6
Call-ID: bext01.0ha0isndaksdj
Require: nothingSupportsThis, nothingSupportsThisEither
Proxy-Require: noProxiesSupportThis, norDoAnyProxiesSupportThis
CSeq: 8 OPTIONS
Via: SIP/2.0/TLS fold-and-staple.example.com;branch=z9hG4bKkdjuw
Content-Length: 0

)");
  EXPECT_VALID(text);
  EXPECT_TRUE(parse(text)->lists(HeaderId::require, "nothingSupportsThisEither"));
  EXPECT_TRUE(parse(text)->lists(HeaderId::proxy_require, "noProxiesSupportThis"));
}

// 3.3.6 Unknown Content-Type: 415 with Accept
TEST(TortureApplication, Invut) {
  const std::string text = wire(R"(
INVITE sip:user@example.com SIP/2.0
Contact: <sip:caller@host5.example.net>
To: sip:j.user@example.com
From: sip:caller@example.net;tag=8392034
Max-Forwards: 70
Call-ID: invut.0ha0isndaksdjadsfij34n23d
CSeq: 235448 INVITE
Via: SIP/2.0/UDP somehost.example.com;branch=z9hG4bKkdjuw
Content-Type: application/unknownformat
Content-Length: 40

<audio>
 <pcmu port="443"/>
</audio>
)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->content_type(), "application/unknownformat");
  EXPECT_EQ(parse(text)->body().size(), 40u);
}

// 3.3.7 Unknown Authorization Scheme: 401
TEST(TortureApplication, Regauth01) {
  const std::string text = wire(R"(
REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=87321hj23128
Max-Forwards: 8
Call-ID: regaut01.0ha0isndaksdj
CSeq: 9338 REGISTER
Via: SIP/2.0/TCP 192.0.2.253;branch=z9hG4bKkdjuw
Authorization: NoOneKnowsThisScheme opaque-data=here
Content-Length:0

)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  const auto auth = AuthValue::parse(*m->header(HeaderId::authorization));
  ASSERT_TRUE(auth);
  EXPECT_EQ(auth->scheme, "NoOneKnowsThisScheme");
  EXPECT_EQ(auth->get("opaque-data"), "here");
}

// 3.3.8 Multiple Values in Single Value Required Fields: 400
TEST(TortureApplication, Multi01) {
  EXPECT_REFUSED(wire(R"(
INVITE sip:user@company.com SIP/2.0
Contact: <sip:caller@host25.example.net>
Via: SIP/2.0/UDP 192.0.2.25;branch=z9hG4bKkdjuw
Max-Forwards: 70
CSeq: 5 INVITE
Call-ID: multi01.98asdh@192.0.2.1
CSeq: 59 INVITE
Call-ID: multi01.98asdh@192.0.2.2
From: sip:caller@example.com;tag=3413415
To: sip:user@example.com
To: sip:other@example.net
From: sip:caller@example.net;tag=2923420123
Content-Type: application/sdp
l: 154
Contact: <sip:caller@host36.example.net>
Max-Forwards: 5

)") + sdp("192.0.2.25"),
                 Reason::duplicate_header);
}

// 3.3.9 Multiple Content-Length Values: 400
TEST(TortureApplication, Mcl01) {
  EXPECT_REFUSED(wire(R"(
OPTIONS sip:user@example.com SIP/2.0
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bK293423
To: sip:user@example.com
From: sip:other@example.net;tag=3923942
Call-ID: mcl01.fhn2323orihawfdoa3o4r52o3irsdf
CSeq: 15932 OPTIONS
Content-Length: 13
Max-Forwards: 60
Content-Length: 5
Content-Type: text/plain

There's no way to know how many octets are supposed to be here.
)"),
                 Reason::duplicate_header);
}

// 3.3.10 200 OK Response with Broadcast Via Header Field Value: dropped by whoever would forward it
TEST(TortureApplication, Bcast) {
  const std::string text = wire(R"(
SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23
Call-ID: bcast.0384840201234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 154
Content-Type: application/sdp
Contact: <sip:user@host28.example.com>

)") + sdp("192.0.2.198");
  EXPECT_VALID(text);
  std::string_view last;
  const auto m = parse(text);
  m->for_each_value(HeaderId::via, [&](std::string_view v) { last = v; });
  EXPECT_EQ(Via::parse(last)->host, "255.255.255.255");
}

// 3.3.11 Max-Forwards of Zero: the UAS answers, a proxy says 483
TEST(TortureApplication, Zeromf) {
  const std::string text = wire(R"(
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: sip:caller@example.net;tag=3ghsd41
Call-ID: zeromf.jfasdlfnm2o2l43r5u0asdfas
CSeq: 39234321 OPTIONS
Via: SIP/2.0/UDP host1.example.com;branch=z9hG4bKkdjuw2349i
Max-Forwards: 0
Content-Length: 0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->max_forwards(), 0u);
}

// 3.3.12 REGISTER with a Contact Header Parameter: without brackets the parameter is the header's
TEST(TortureApplication, Cparam01) {
  const std::string text = wire(R"(
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP saturn.example.com:5060;branch=z9hG4bKkdjuw
Max-Forwards: 70
From: sip:watson@example.com;tag=DkfVgjkrtMwaerKKpe
To: sip:watson@example.com
Call-ID: cparam01.70710@saturn.example.com
CSeq: 2 REGISTER
Contact: sip:+19725552222@gw1.example.net;unknownparam
l: 0

)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  EXPECT_FALSE(m->contact()->uri.params.has("unknownparam"));
  EXPECT_TRUE(m->contact()->params.has("unknownparam"));
  EXPECT_EQ(m->contact()->uri_text, "sip:+19725552222@gw1.example.net");
}

// 3.3.13 REGISTER with a url-parameter: inside the brackets it is the URI's
TEST(TortureApplication, Cparam02) {
  const std::string text = wire(R"(
REGISTER sip:example.com SIP/2.0
Via: SIP/2.0/UDP saturn.example.com:5060;branch=z9hG4bKkdjuw
Max-Forwards: 70
From: sip:watson@example.com;tag=838293
To: sip:watson@example.com
Call-ID: cparam02.70710@saturn.example.com
CSeq: 3 REGISTER
Contact: <sip:+19725552222@gw1.example.net;unknownparam>
l: 0

)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  EXPECT_TRUE(m->contact()->uri.params.has("unknownparam"));
  EXPECT_FALSE(m->contact()->params.has("unknownparam"));
}

// 3.3.14 REGISTER with a URL Escaped Header: kept as part of the binding
TEST(TortureApplication, Regescrt) {
  const std::string text = wire(R"(
REGISTER sip:example.com SIP/2.0
To: sip:user@example.com
From: sip:user@example.com;tag=8
Max-Forwards: 70
Call-ID: regescrt.k345asrl3fdbv@192.0.2.1
CSeq: 14398234 REGISTER
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>
L:0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->contact()->uri.headers, "Route=%3Csip:sip.example.com%3E");
}

// 3.3.15 Unacceptable Accept Offering: 406
TEST(TortureApplication, Sdp01) {
  const std::string text = wire(R"(
INVITE sip:user@example.com SIP/2.0
To: sip:j_user@example.com
Contact: <sip:caller@host15.example.net>
From: sip:caller@example.net;tag=234
Max-Forwards: 5
Call-ID: sdp01.ndaksdj9342dasdd
Accept: text/nobodyKnowsThis
CSeq: 8 INVITE
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw
Content-Length: 150
Content-Type: application/sdp

)") + sdp("192.0.2.5");
  EXPECT_VALID(text);
  EXPECT_TRUE(parse(text)->lists(HeaderId::accept, "text/nobodyKnowsThis"));
  EXPECT_FALSE(parse(text)->lists(HeaderId::accept, "application/sdp"));
}

// 3.4.1 INVITE with RFC 2543 Syntax: no branch, tag, Max-Forwards or Content-Length; must be taken.
TEST(TortureBackward, Inv2543) {
  const std::string text = wire(R"(
INVITE sip:UserB@example.com SIP/2.0
Via: SIP/2.0/UDP iftgw.example.com
From: <sip:+13035551111@ift.client.example.net;user=phone>
Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>
To: sip:+16505552222@ss1.example.net;user=phone
Call-ID: inv2543.1717@ift.client.example.com
CSeq: 56 INVITE
Content-Type: application/sdp

v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.5
s=-
c=IN IP4 192.0.2.5
t=0 0
m=audio 49217 RTP/AVP 0
)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  EXPECT_EQ(m->from_tag(), "");
  EXPECT_EQ(m->top_via().branch, "");
  EXPECT_EQ(m->body_text().substr(0, 3), "v=0");
  EXPECT_EQ(m->to()->params.get("user"), "phone");
}

}  // namespace
}  // namespace tandem::sip
