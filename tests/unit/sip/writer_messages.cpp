// What we write: well-formed, complete, and proof against what peers put into the values.
#include <gtest/gtest.h>

#include <vector>

#include "sip/strict.h"
#include "sip/writer.h"

namespace tandem::sip {
namespace {

const std::string invite =
    "INVITE sip:bob@example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP pc33.example.com:5070;rport;received=6.6.6.6;branch=z9hG4bKtop, SIP/2.0/TCP "
    "192.0.2.9;branch=z9hG4bKold\r\n"
    "Record-Route: <sip:p1.example.com;lr>,\r\n <sip:p2.example.com;lr>\r\n"
    "Max-Forwards: 70\r\nTo: <sip:bob@example.com>\r\nFrom: <sip:alice@example.com>;tag=a\r\n"
    "Call-ID: one@pc33\r\nCSeq: 7 INVITE\r\nTimestamp: 54\r\nContact: <sip:alice@pc33>\r\nContent-Length: "
    "0\r\n\r\n";

Message parse(std::string_view text) {
  auto m = Message::parse(Buffer::copy_of(text));
  EXPECT_TRUE(m) << (m ? "" : to_string(m.reason())) << "\n" << text;
  if (!m) std::abort();
  return std::move(*m);
}
const SocketAddress source = *SocketAddress::parse("198.51.100.4:41000");

TEST(Writer, WritesARequest) {
  Writer w = Writer::request(Method::message, "sip:bob@example.com");
  w.header(HeaderId::via, "SIP/2.0/UDP h;branch=z9hG4bK1")
      .header(HeaderId::from, {"<", "sip:a@b", ">;tag=", "1"})
      .header(HeaderId::to, "<sip:bob@example.com>")
      .header(HeaderId::call_id, "x")
      .header(HeaderId::cseq, "1 MESSAGE")
      .header("X-Own", "value")
      .header_number(HeaderId::max_forwards, 70);
  EXPECT_FALSE(w.damaged());
  const Buffer b = std::move(w).body("text/plain", as_bytes("hello"));
  EXPECT_EQ(
      b.text(),
      "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
      "To: <sip:bob@example.com>\r\nCall-ID: x\r\nCSeq: 1 MESSAGE\r\nX-Own: value\r\nMax-Forwards: 70\r\n"
      "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_FALSE(strict_check(parse(b.text())));
}

TEST(Writer, CutsWhatWouldInject) {
  const std::string_view attacks[] = {"v\r\nEvil: 1", "v\nEvil: 1", "v\rEvil: 1",
                                      std::string_view("v\0Evil", 6), "v\r\n\r\nbody"};
  for (const std::string_view attack : attacks) {
    Writer w = Writer::response(200);
    w.header(HeaderId::subject, attack);
    EXPECT_TRUE(w.damaged());
    EXPECT_EQ(std::move(w).finish().text(), "SIP/2.0 200 OK\r\nSubject: v\r\nContent-Length: 0\r\n\r\n");
    Writer pieces = Writer::response(200);
    pieces.header(HeaderId::subject, {"a", attack, "z"});
    EXPECT_TRUE(pieces.damaged());
    EXPECT_EQ(std::move(pieces).finish().text(),
              "SIP/2.0 200 OK\r\nSubject: avz\r\nContent-Length: 0\r\n\r\n");
  }
  Writer uri = Writer::request(Method::bye, "sip:a@b SIP/2.0\r\nEvil: 1\r\n");
  EXPECT_TRUE(uri.damaged());
  EXPECT_EQ(std::move(uri).finish().text(), "BYE sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n");
  Writer name = Writer::response(200);
  name.header("X\r\nEvil", "1").header("", "1");
  EXPECT_TRUE(name.damaged());
  EXPECT_EQ(std::move(name).finish().text(), "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n");
  Writer phrase = Writer::response(200, "Fine\r\nEvil: 1");
  EXPECT_TRUE(phrase.damaged());
  EXPECT_EQ(std::move(phrase).finish().text(), "SIP/2.0 200 Fine\r\nContent-Length: 0\r\n\r\n");
}

TEST(Writer, UnfoldsWhatItCopies) {
  const Message m = parse(invite);
  Writer w = Writer::response(200);
  w.copy(m, HeaderId::record_route);
  EXPECT_FALSE(w.damaged());
  EXPECT_EQ(std::move(w).finish().text(),
            "SIP/2.0 200 OK\r\nRecord-Route: <sip:p1.example.com;lr>, "
            "<sip:p2.example.com;lr>\r\nContent-Length: 0\r\n\r\n");
}

TEST(Writer, GrowsPastItsFirstBlock) {
  Writer w = Writer::response(200);
  for (int i = 0; i < 200; ++i) w.header("X-Long", std::string(100, 'x'));
  const Buffer b = std::move(w).body("text/plain", as_bytes(std::string(70000, 'y')));
  EXPECT_EQ(b.text().substr(b.size() - 3), "yyy");
  EXPECT_GT(b.size(), 90000u);
}

TEST(Writer, EmptyBodyHasNoType) {
  EXPECT_EQ(std::move(Writer::response(200)).body("application/sdp", {}).text(),
            "SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(Writer, StatusOutOfRangeIsDamage) {
  for (const int status : {-1, 0, 99, 700, 100000}) {
    Writer w = Writer::response(status);
    EXPECT_TRUE(w.damaged());
    EXPECT_EQ(std::move(w).finish().text().substr(0, 12), "SIP/2.0 500 ");
  }
  EXPECT_EQ(default_reason(486), "Busy Here");
  EXPECT_EQ(default_reason(299), "OK");
  EXPECT_EQ(default_reason(499), "Bad Request");
}

TEST(ResponseTo, CompletesTheTopVia) {
  const Message request = parse(invite);
  const Message r = parse(std::move(response_to(request, source, 180, "ours")).finish().text());
  EXPECT_EQ(r.top_via().text,
            "SIP/2.0/UDP pc33.example.com:5070;branch=z9hG4bKtop;received=198.51.100.4;rport=41000");
  std::vector<std::string> vias;
  r.for_each_value(HeaderId::via, [&](std::string_view v) { vias.emplace_back(v); });
  ASSERT_EQ(vias.size(), 2u);
  EXPECT_EQ(vias[1], "SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKold");
  EXPECT_EQ(r.to_tag(), "ours");
  EXPECT_EQ(r.from_tag(), "a");
  EXPECT_EQ(r.call_id(), "one@pc33");
  EXPECT_EQ(r.cseq().number, 7u);
  EXPECT_TRUE(r.has(HeaderId::record_route));
  EXPECT_FALSE(r.has(HeaderId::timestamp));
}

TEST(ResponseTo, ReceivedOnlyWhereItSaysSomething) {
  const auto via_of = [](std::string_view via, std::string_view from) {
    std::string text = invite;
    const size_t at = text.find("Via: "), end = text.find("\r\n", at);
    text.replace(at, end - at, "Via: " + std::string(via));
    const Message request = parse(text);
    const Message r =
        parse(std::move(response_to(request, *SocketAddress::parse(from), 200, "t")).finish().text());
    return std::string(r.top_via().text);
  };
  EXPECT_EQ(via_of("SIP/2.0/UDP 192.0.2.1:5070;branch=x", "192.0.2.1:5070"),
            "SIP/2.0/UDP 192.0.2.1:5070;branch=x");
  EXPECT_EQ(via_of("SIP/2.0/UDP 192.0.2.1;branch=x", "192.0.2.2:9"),
            "SIP/2.0/UDP 192.0.2.1;branch=x;received=192.0.2.2");
  EXPECT_EQ(via_of("SIP/2.0/UDP 192.0.2.1;rport;branch=x", "192.0.2.1:9"),
            "SIP/2.0/UDP 192.0.2.1;branch=x;received=192.0.2.1;rport=9");
  EXPECT_EQ(via_of("SIP/2.0/TCP h;branch=x", "[2001:db8::1]:9"),
            "SIP/2.0/TCP h;branch=x;received=2001:db8::1");
  EXPECT_EQ(via_of("SIP/2.0/UDP [2001:db8::1];branch=x", "[2001:db8:0::1]:9"),
            "SIP/2.0/UDP [2001:db8::1];branch=x");
}

TEST(ResponseTo, TagAndRecordRouteWhereTheyBelong) {
  const Message request = parse(invite);
  const Message trying = parse(std::move(response_to(request, source, 100, "ours")).finish().text());
  EXPECT_EQ(trying.to_tag(), "");
  EXPECT_FALSE(trying.has(HeaderId::record_route));
  EXPECT_EQ(trying.header(HeaderId::timestamp), "54");
  EXPECT_FALSE(parse(std::move(response_to(request, source, 486, "ours")).finish().text())
                   .has(HeaderId::record_route));
  std::string in_dialog = invite;
  in_dialog.replace(in_dialog.find("To: <sip:bob@example.com>"), 25, "To: <sip:bob@example.com>;tag=theirs");
  EXPECT_EQ(parse(std::move(response_to(parse(in_dialog), source, 200, "ours")).finish().text()).to_tag(),
            "theirs");
  std::string options = invite;
  options.replace(0, 6, "OPTIONS");
  options.replace(options.find("7 INVITE"), 8, "7 OPTIONS");
  EXPECT_FALSE(parse(std::move(response_to(parse(options), source, 200, "ours")).finish().text())
                   .has(HeaderId::record_route));
}

}  // namespace
}  // namespace tandem::sip
