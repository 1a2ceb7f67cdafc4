// RFC 4475 section 3.1.1: valid messages that break careless parsers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/text.h"
#include "sip/framer.h"
#include "sip/multipart.h"
#include "torture_support.h"

namespace tandem::sip {
namespace {

using torture::parse;
using torture::replaced;
using torture::sdp;
using torture::wire;

std::vector<std::string> values(const Message& m, HeaderId id) {
  std::vector<std::string> out;
  m.for_each_value(id, [&](std::string_view v) { out.emplace_back(v); });
  return out;
}

// 3.1.1.1 A Short Tortuous INVITE
TEST(TortureValid, Wsinv) {
  const std::string text = wire(R"(
INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 150
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \"\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->to_tag(), "1918181833n");
  EXPECT_EQ(m->from_tag(), "98asjd8");
  EXPECT_EQ(m->from()->display, "J Rosenberg \\\\\\\"");
  EXPECT_EQ(m->max_forwards(), 68u);
  EXPECT_EQ(m->cseq().number, 9u);
  EXPECT_EQ(m->cseq().method, Method::invite);
  EXPECT_EQ(m->top_via().transport, "UDP");
  EXPECT_EQ(m->top_via().host, "192.0.2.2");
  EXPECT_EQ(m->top_via().branch, "390skdjuw");
  const auto vias = values(*m, HeaderId::via);
  ASSERT_EQ(vias.size(), 3u);
  const auto second = Via::parse(vias[1]), third = Via::parse(vias[2]);
  ASSERT_TRUE(second && third);
  EXPECT_EQ(second->host, "spindle.example.com");
  EXPECT_EQ(second->branch, "z9hG4bK9ikj8");
  EXPECT_EQ(third->branch, "z9hG4bK30239");
  EXPECT_EQ(m->header(HeaderId::subject), "");
  EXPECT_EQ(m->contact()->params.get("newparam"), "newvalue");
  EXPECT_TRUE(m->contact()->params.has("secondparam"));
  EXPECT_EQ(m->contact()->params.get("q"), "0.33");
  EXPECT_EQ(m->contact()->display, "Quoted string \\\"\\\"");
  EXPECT_EQ(NameAddr::parse(*m->header(HeaderId::route))->uri.params.get("unknownwith"), "value");
  EXPECT_EQ(m->body().size(), 150u);
}

// 3.1.1.2 Wide Range of Valid Characters
TEST(TortureValid, Intmeth) {
  std::string text = wire(R"(
!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0
Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~
To: "BEL:\<07> NUL:\<00> DEL:\<7F>" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>
From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="работающий";tag=_token~1'+`*%!-.
Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{
CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~
Max-Forwards: 255
extensionHeader-!.%*+_`'~:)"
                          "\xEF\xBB\xBF"
                          R"(大停電
Content-Length: 0

)");
  text = replaced(text, "<07>", "\x07");
  text = replaced(text, "<00>", std::string_view("\0", 1));
  text = replaced(text, "<7F>", "\x7f");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->method(), Method::other);
  EXPECT_EQ(m->method_text(), "!interesting-Method0123456789_*+`.%indeed'~");
  const auto uri = m->parsed_request_uri();
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->user, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
  EXPECT_EQ(uri->password, "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
  EXPECT_EQ(uri->host, "example.com");
  EXPECT_EQ(m->from()->display, "token1~` token2'+_ token3*%!.-");
  EXPECT_EQ(m->from_tag(), "_token~1'+`*%!-.");
  EXPECT_EQ(m->call_id(), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
  EXPECT_EQ(m->to()->display, std::string_view("BEL:\\\x07 NUL:\\\0 DEL:\\\x7f", 20));
}

// 3.1.1.3 Valid Use of the % Escaping Mechanism
TEST(TortureValid, Esc01) {
  const std::string text = wire(R"(
INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0
To: sip:%75se%72@example.com
From: <sip:I%20have%20spaces@example.net>;tag=938
Max-Forwards: 87
i: esc01.239409asdfakjkn23onasd0-3234
CSeq: 234234 INVITE
Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw
C: application/sdp
Contact:
  <sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>
Content-Length: 150

)") + sdp("192.0.2.1");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->parsed_request_uri()->host, "example.net");
  EXPECT_EQ(unescape(m->parsed_request_uri()->user), "sips:user@example.com");
  EXPECT_TRUE(equivalent(m->to()->uri, *Uri::parse("sip:user@example.com")));
  EXPECT_EQ(unescape(m->from()->uri.user), "I have spaces");
  EXPECT_TRUE(equivalent(m->contact()->uri, *Uri::parse("sip:caller@host5.example.net;lr;name=value%2541")));
}

// 3.1.1.4 Escaped Nulls in URIs
TEST(TortureValid, Escnull) {
  const std::string text = wire(R"(
REGISTER sip:example.com SIP/2.0
To: sip:null-%00-null@example.com
From: sip:null-%00-null@example.com;tag=839923423
Max-Forwards: 70
Call-ID: escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd
CSeq: 14398234 REGISTER
Via: SIP/2.0/UDP host5.example.com;branch=z9hG4bKkdjuw
Contact: <sip:%00@host5.example.com>
Contact: <sip:%00%00@host5.example.com>
L:0

)");
  EXPECT_VALID(text);
  const auto contacts = values(*parse(text), HeaderId::contact);
  ASSERT_EQ(contacts.size(), 2u);
  const auto one = NameAddr::parse(contacts[0]), two = NameAddr::parse(contacts[1]);
  ASSERT_TRUE(one && two);
  EXPECT_EQ(unescape(one->uri.user)->size(), 1u);
  EXPECT_EQ(unescape(two->uri.user)->size(), 2u);
  EXPECT_FALSE(equivalent(one->uri, two->uri));
}

// 3.1.1.5 Use of % When It Is Not an Escape
TEST(TortureValid, Esc02) {
  const std::string text = wire(R"(
RE%47IST%45R sip:registrar.example.com SIP/2.0
To: "%Z%45" <sip:resource@example.com>
From: "%Z%45" <sip:resource@example.com>;tag=f232jadfj23
Call-ID: esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf
Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234
CSeq: 29344 RE%47IST%45R
Max-Forwards: 70
Contact: <sip:alias1@host1.example.com>
C%6Fntact: <sip:alias2@host2.example.com>
Contact: <sip:alias3@host3.example.com>
l: 0

)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->method(), Method::other);  // not REGISTER
  EXPECT_EQ(m->to()->display, "%Z%45");
  EXPECT_EQ(m->top_via().branch, "z9hG4bK209%fzsnel234");
  EXPECT_EQ(values(*m, HeaderId::contact).size(), 2u);  // C%6Fntact is another header
  EXPECT_EQ(m->header("C%6Fntact"), "<sip:alias2@host2.example.com>");
}

// 3.1.1.6 Message with No LWS between Display Name and <
TEST(TortureValid, Lwsdisp) {
  const std::string text = wire(R"(
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: caller<sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID: lwsdisp.1234abcd@funky.example.com
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP funky.example.com;branch=z9hG4bKkdjuw
l: 0

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->from()->display, "caller");
  EXPECT_EQ(parse(text)->from_tag(), "323");
}

std::string times(std::string_view what, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += what;
  return out;
}

// 3.1.1.7 Long Values in Header Fields
TEST(TortureValid, Longreq) {
  const std::string name = times("amazinglylongcallername", 5);
  std::string text = "INVITE sip:user@example.com SIP/2.0\n";
  text += "To: \"I have a user name of " + times("extreme", 10) +
          " proportion\"<sip:user@example.com:6000;unknownparam1=very" + times("long", 20) +
          "value;longparam" + times("name", 25) + "=shortvalue;very" + times("long", 25) +
          "ParameterNameWithNoValue>\n";
  text += "F: sip:" + name + "@example.net;tag=12" + times("982", 50) + "424;unknownheaderparam" +
          times("name", 20) + "=unknowheaderparam" + times("value", 15) + ";unknownValueless" +
          times("paramname", 10) + "\n";
  text += "Call-ID: longreq.one" + times("really", 20) + "longcallid\nCSeq: 3882340 INVITE\n";
  text += "Unknown-" + times("Long", 20) + "-Name: unknown-" + times("long", 20) + "-value;unknown-" +
          times("long", 20) + "-parameter-name = unknown-" + times("long", 20) + "-parameter-value\n";
  const char* spellings[] = {
      "Via:", "v:", "V:", "ViA:", "VIa:", "VIA:", "via:", "viA:", "vIa:", "vIA:", "V : ", "v  :"};
  for (int i = 33; i > 0; --i)
    text += std::string(spellings[static_cast<size_t>(33 - i) % 12]) + " SIP/2.0/TCP sip" +
            std::to_string(i) + ".example.com\n";
  text += "Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very" + times("long", 50) +
          "branchvalue\n";
  text += "Max-Forwards: 70\nContact: <sip:" + name +
          "@host5.example.net>\nContent-Type: application/sdp\nl: 150\n\n";
  text = wire(text) + sdp("192.0.2.1");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  EXPECT_EQ(values(*m, HeaderId::via).size(), 34u);
  EXPECT_EQ(m->from_tag().size(), 155u);
  EXPECT_EQ(m->to()->uri.port, 6000);
  EXPECT_EQ(m->body().size(), 150u);
}

// 3.1.1.8 Extra Trailing Octets in a UDP Datagram
TEST(TortureValid, Dblreq) {
  const std::string first = wire(R"(
REGISTER sip:example.com SIP/2.0
To: sip:j.user@example.com
From: sip:j.user@example.com;tag=43251j3j324
Max-Forwards: 8
I: dblreq.0ha0isndaksdj99sdfafnl3lk233412
Contact: sip:j.user@host.example.com
CSeq: 8 REGISTER
Via: SIP/2.0/UDP 192.0.2.125;branch=z9hG4bKkdjuw23492
Content-Length: 0

)");
  const std::string second = wire(R"(

INVITE sip:joe@example.com SIP/2.0
t: sip:joe@example.com
From: sip:caller@example.net;tag=141334
Max-Forwards: 8
Call-ID: dblreq.0ha0isnda977644900765@192.0.2.15
CSeq: 8 INVITE
Via: SIP/2.0/UDP 192.0.2.15;branch=z9hG4bKkdjuw380234
Content-Type: application/sdp
Content-Length: 151

)") + replaced(sdp("192.0.2.15"), "m=video", "m =video");
  EXPECT_VALID(first + second);
  const auto m = parse(first + second);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->method(), Method::register_);
  EXPECT_EQ(m->bytes().size(), first.size());  // the rest of a datagram is dropped
  EXPECT_TRUE(m->body().empty());
}

// 3.1.1.9 Semicolon-Separated Parameters in URI User Part
TEST(TortureValid, Semiuri) {
  const std::string text = wire(R"(
OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0
To: sip:j_user@example.com
From: sip:caller@example.org;tag=33242
Max-Forwards: 3
Call-ID: semiuri.0ha0isndaksdj
CSeq: 8 OPTIONS
Accept: application/sdp, application/pkcs7-mime,
        multipart/mixed, multipart/signed,
        message/sip, message/sipfrag
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKkdjuw
l: 0

)");
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->parsed_request_uri()->user, "user;par=u%40example.net");
  EXPECT_EQ(m->parsed_request_uri()->params.text(), "");
  EXPECT_THAT(values(*m, HeaderId::accept),
              testing::ElementsAre("application/sdp", "application/pkcs7-mime", "multipart/mixed",
                                   "multipart/signed", "message/sip", "message/sipfrag"));
}

// 3.1.1.10 Varied and Unknown Transport Types
TEST(TortureValid, Transports) {
  const std::string text = wire(R"(
OPTIONS sip:user@example.com SIP/2.0
To: sip:user@example.com
From: <sip:caller@example.com>;tag=323
Max-Forwards: 70
Call-ID:  transports.kijh4akdnaqjkwendsasfdj
Accept: application/sdp
CSeq: 60 OPTIONS
Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKkdjuw
Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKklasjdhf
Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bK2980unddj
Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en
Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bK0a9idfnee
l: 0

)");
  EXPECT_VALID(text);
  std::vector<std::string> transports;
  const auto m = parse(text);
  m->for_each_value(HeaderId::via,
                    [&](std::string_view v) { transports.emplace_back(Via::parse(v)->transport); });
  EXPECT_THAT(transports, testing::ElementsAre("UDP", "SCTP", "TLS", "UNKNOWN", "TCP"));
}

// 3.1.1.11 Multipart MIME Message: a binary part with NULs, CRs and LFs of its own.
TEST(TortureValid, Mpart01) {
  const std::string signature = *from_hex(
      "3082015206092A864886F70D010702A08201433082013F020101310930070605"
      "2B0E03021A300B06092A864886F70D010701318201203082011C020101307C30"
      "70310B300906035504061302555331133011060355040813"
      "0A43616C69666F72"
      "6E69613111300F0603550407130853616E204A6F7365310E300C060355040A13"
      "05736970697431293027060355040B1320536970697420546573742043657274"
      "6966696361746520417574686F726974790208019500710233011330070605"
      "2B0E03021A300D06092A864886F70D01010105000481808EF466F948F0522DD2"
      "E5978E9D95AAE9F2FE15A06659716292E8DA2AA8D8350A68CEFFAE3CBD2BFF16"
      "75DDD5648E593DD64728F26220F7E941749E330D9A15EDABDB93D10C42102E7B"
      "7289D29CC0C9AE2EFBC7C0CFF9172F3B027E4FC027E1546DE4B6AA3ABB3E66CC"
      "CB5DD6C64B8383149CB8E6FF182D944FE57B65BC99D005");
  const std::string body = wire(R"(
--7a9cbec02ceef655
Content-Type: text/plain
Content-Transfer-Encoding: binary

Hello
--7a9cbec02ceef655
Content-Type: application/octet-stream
Content-Transfer-Encoding: binary

)") + signature + "\r\n--7a9cbec02ceef655--\r\n";
  const std::string text = wire(R"(
MESSAGE sip:kumiko@example.org SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-;rport
Max-Forwards: 70
Route: <sip:127.0.0.1:5080>
Identity: r5mwreLuyDRYBi/0TiPwEsY3rEVsk/G2WxhgTV1PF7hHuLIK0YWVKZhKv9Mj8UeXqkMVbnVq37CD+813gvYjcBUaZngQmXc9WNZSDNGCzA+fWl9MEUHWIZo1CeJebdY/XlgKeTa0Olvq0rt70Q5jiSfbqMJmQFteeivUhkMWYUA=
Contact: <sip:fluffy@127.0.0.1:5070>
To: <sip:kumiko@example.org>
From: <sip:fluffy@example.com>;tag=2fb0dcc9
Call-ID: 3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..
CSeq: 1 MESSAGE
Content-Transfer-Encoding: binary
Content-Type: multipart/mixed;boundary=7a9cbec02ceef655
Date: Sat, 15 Oct 2005 04:44:56 GMT
User-Agent: SIPimp.org/0.2.5 (curses)
)") + "Content-Length: " + std::to_string(body.size()) +
                           "\r\n\r\n" + body;
  EXPECT_VALID(text);
  const auto m = parse(text);
  ASSERT_TRUE(m);
  std::vector<std::string> parts;
  EXPECT_TRUE(for_each_part(*m->header(HeaderId::content_type), m->body(), [&](const BodyPart& part) {
    parts.emplace_back(part.content_type);
    parts.emplace_back(as_text(part.body));
  }));
  EXPECT_THAT(parts, testing::ElementsAre("text/plain", "Hello", "application/octet-stream", signature));
  EXPECT_EQ(parse_date(*m->header(HeaderId::date)).value_or(0), 1129351496);
}

// 3.1.1.12 Unusual Reason Phrase
TEST(TortureValid, Unreason) {
  const std::string text = wire(R"(
SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое
Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923
Call-ID: unreason.1234ksdfak3j2erwedfsASdf
CSeq: 35 INVITE
From: sip:user@example.com;tag=11141343
To: sip:user@example.edu;tag=2229
Content-Length: 154
Content-Type: application/sdp
Contact: <sip:user@host198.example.com>

)") + sdp("192.0.2.198");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->status(), 200);
  EXPECT_EQ(parse(text)->reason_phrase(), "= 2**3 * 5**2 но сто девяносто девять - простое");
}

// 3.1.1.13 Empty Reason Phrase
TEST(TortureValid, Noreason) {
  const std::string text = "SIP/2.0 100 \r\n" + wire(R"(
Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe
Call-ID: noreason.asndj203insdf99223ndf
CSeq: 35 INVITE
From: <sip:user@example.com>;tag=39ansfi3
To: <sip:user@example.edu>;tag=902jndnke3
Content-Length: 0
Contact: <sip:user@host105.example.com>

)");
  EXPECT_VALID(text);
  EXPECT_EQ(parse(text)->reason_phrase(), "");
}

}  // namespace
}  // namespace tandem::sip
