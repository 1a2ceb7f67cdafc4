// The message parser on well-formed and plainly broken messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "sip/message.h"

namespace tandem::sip {
namespace {

const std::string invite =
    "INVITE sip:bob@biloxi.example.com;transport=tcp SIP/2.0\r\n"
    "Via: SIP/2.0/UDP pc33.example.com:5070;rport;branch=z9hG4bKnashds8, SIP/2.0/TCP "
    "[2001:db8::1];branch=z9hG4bKx\r\n"
    "Max-Forwards: 70\r\n"
    "To: Bob <sip:bob@biloxi.example.com>\r\n"
    "From: \"Alice \\\"A\\\" <x>\" <sip:alice@atlanta.example.com;a=b>;tag=1928301774\r\n"
    "Call-ID: a84b4c76e66710@pc33.example.com\r\n"
    "CSeq: 314159 INVITE\r\n"
    "m: <sip:alice@pc33.example.com>;q=0.7,\r\n"
    "\t\"Smith, J\" <sip:js@example.com?a=b,c>\r\n"
    "Supported: 100rel, replaces;x=y\r\n"
    "k: timer\r\n"
    "X-Thing: one\r\n"
    "Content-Type: application/sdp ; charset=utf-8\r\n"
    "Content-Length: 4\r\n"
    "\r\n"
    "v=0\n";

Result<Message, Reason> parse(std::string_view text, const Limits& limits = {}) {
  return Message::parse(Buffer::copy_of(text), limits);
}
Reason why(std::string_view text, const Limits& limits = {}) {
  auto m = parse(text, limits);
  return m ? Reason::count_ : m.reason();
}
std::string with(std::string_view from, std::string_view to) {
  std::string s = invite;
  const size_t at = s.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return s.replace(at, from.size(), to);
}

TEST(Message, AnswersWhatEveryRoomAsks) {
  auto m = parse(invite);
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->is_request());
  EXPECT_EQ(m->method(), Method::invite);
  EXPECT_EQ(m->request_uri(), "sip:bob@biloxi.example.com;transport=tcp");
  EXPECT_EQ(m->parsed_request_uri()->host, "biloxi.example.com");
  EXPECT_EQ(m->top_via().host, "pc33.example.com");
  EXPECT_EQ(m->top_via().port, 5070);
  EXPECT_EQ(m->top_via().branch, "z9hG4bKnashds8");
  EXPECT_TRUE(m->top_via().wants_rport());
  EXPECT_EQ(m->from_tag(), "1928301774");
  EXPECT_EQ(m->to_tag(), "");
  EXPECT_EQ(m->from()->uri.user, "alice");
  EXPECT_EQ(m->from()->display, "Alice \\\"A\\\" <x>");
  EXPECT_EQ(m->call_id(), "a84b4c76e66710@pc33.example.com");
  EXPECT_EQ(m->cseq().number, 314159u);
  EXPECT_EQ(m->max_forwards(), 70u);
  EXPECT_EQ(m->contact()->params.get("q"), "0.7");
  EXPECT_EQ(m->content_type(), "application/sdp");
  EXPECT_EQ(m->body_text(), "v=0\n");
  EXPECT_EQ(m->header("x-thing"), "one");
  EXPECT_EQ(m->header("CONTACT"), m->header(HeaderId::contact));
  EXPECT_FALSE(m->has(HeaderId::route));
  EXPECT_EQ(m->status(), 0);
}

TEST(Message, WalksCommaListsOverSeveralHeaders) {
  auto m = parse(invite);
  ASSERT_TRUE(m);
  std::vector<std::string> contacts;
  m->for_each_value(HeaderId::contact, [&](std::string_view v) { contacts.emplace_back(v); });
  EXPECT_THAT(contacts, testing::ElementsAre("<sip:alice@pc33.example.com>;q=0.7",
                                             "\"Smith, J\" <sip:js@example.com?a=b,c>"));
  EXPECT_TRUE(m->lists(HeaderId::supported, "TIMER"));
  EXPECT_TRUE(m->lists(HeaderId::supported, "replaces"));
  EXPECT_FALSE(m->lists(HeaderId::supported, "path"));
}

TEST(Message, ResponseTakesItsMethodFromCSeq) {
  auto m = parse(
      "SIP/2.0 180 Ringing now\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: sip:a@b;tag=1\r\nt: "
      "<sip:c@d>;tag=2\r\n"
      "i: x\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n");
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->is_response());
  EXPECT_EQ(m->status(), 180);
  EXPECT_EQ(m->reason_phrase(), "Ringing now");
  EXPECT_EQ(m->method(), Method::invite);
  EXPECT_EQ(m->from_tag(), "1");
  EXPECT_EQ(m->to_tag(), "2");
  EXPECT_EQ(m->request_uri(), "");
}

TEST(Message, ViewsSurviveMoves) {
  auto parsed = parse(invite);
  ASSERT_TRUE(parsed);
  std::optional<Message> held = std::move(*parsed);
  Message last = std::move(*held);
  EXPECT_EQ(last.top_via().branch, "z9hG4bKnashds8");
  EXPECT_EQ(last.header(HeaderId::max_forwards), "70");
  EXPECT_EQ(last.bytes().size(), invite.size());
  EXPECT_EQ(std::move(last).take().text(), invite);
}

TEST(Message, CutsADatagramAtItsContentLength) {
  auto m = parse(invite + "trailing bytes");
  ASSERT_TRUE(m);
  EXPECT_EQ(m->body_text(), "v=0\n");
  EXPECT_EQ(m->bytes().size(), invite.size());
}

TEST(Message, BodyRunsToTheEndWithoutContentLength) {
  auto m = parse(with("Content-Length: 4\r\n", ""));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->body_text(), "v=0\n");
}

TEST(Message, DropsLineEndsInFront) {
  auto m = parse("\r\n\r\n" + invite);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->bytes().size(), invite.size());
  EXPECT_EQ(m->method(), Method::invite);
}

TEST(Message, NamesEachFailure) {
  EXPECT_EQ(why(""), Reason::empty);
  EXPECT_EQ(why("\r\n\r\n"), Reason::empty);
  EXPECT_EQ(why("INVITE"), Reason::no_end_of_headers);
  EXPECT_EQ(why("INVITE\r\n\r\n"), Reason::bad_start_line);
  EXPECT_EQ(why("IN<VITE sip:a@b SIP/2.0\r\n\r\n"), Reason::bad_method);
  EXPECT_EQ(why(with("SIP/2.0\r\n", "SIP/3.0\r\n")), Reason::bad_version);
  EXPECT_EQ(why("SIP/2.0 99 X\r\n\r\n"), Reason::bad_status);
  EXPECT_EQ(why("SIP/2.0 2000 X\r\n\r\n"), Reason::bad_status);
  EXPECT_EQ(why("SIP/2.1 200 OK\r\n\r\n"), Reason::bad_version);
  EXPECT_EQ(why(with("Max-Forwards: 70\r\n", "Max-Forwards 70\r\n")), Reason::bad_header_name);
  EXPECT_EQ(why(with("X-Thing: one", "X Thing: one")), Reason::bad_header_name);
  EXPECT_EQ(why(with("X-Thing: one", ": one")), Reason::bad_header_name);
  EXPECT_EQ(why(with("Max-Forwards: 70\r\n", "Max-Forwards: 70\n")), Reason::bad_line);
  EXPECT_EQ(why(with("Max-Forwards: 70\r\n", "Max-Forwards: 7\r0\r\n")), Reason::bad_line);
  EXPECT_EQ(why(with("X-Thing: one", std::string_view("X-Thing: o\0e", 12))), Reason::bad_line);
  EXPECT_EQ(why(invite.substr(0, invite.find("\r\n\r\n") + 2)), Reason::no_end_of_headers);
  EXPECT_EQ(why(with("Call-ID: a84b4c76e66710@pc33.example.com\r\n", "")), Reason::missing_header);
  EXPECT_EQ(why(with("X-Thing: one", "CSeq: 314160 INVITE")), Reason::duplicate_header);
  EXPECT_EQ(why(with("X-Thing: one", "t: sip:other@example.com")), Reason::duplicate_header);
  EXPECT_EQ(why(with("SIP/2.0/UDP pc33", "SIP/2.0 pc33")), Reason::bad_via);
  EXPECT_EQ(why(with("pc33.example.com:5070", "pc33.example.com:507000")), Reason::bad_via);
  EXPECT_EQ(why(with("314159 INVITE", "INVITE")), Reason::bad_cseq);
  EXPECT_EQ(why(with("314159 INVITE", "99999999999 INVITE")), Reason::bad_cseq);
  EXPECT_EQ(why(with("314159 INVITE", "314159 BYE")), Reason::cseq_method_mismatch);
  EXPECT_EQ(why(with("Bob <sip:bob@biloxi.example.com>", "Bob <sip:bob@biloxi.example.com")),
            Reason::bad_name_addr);
  EXPECT_EQ(why(with("Bob <sip", "\"Bob <sip")), Reason::bad_quoted_string);
  EXPECT_EQ(why(with("Content-Length: 4", "Content-Length: -4")), Reason::bad_content_length);
  EXPECT_EQ(why(with("Content-Length: 4", "Content-Length: 99999999999999999999999")),
            Reason::bad_content_length);
  EXPECT_EQ(why(with("Content-Length: 4", "Content-Length: 5")), Reason::body_too_short);
}

TEST(Message, KeepsToItsLimits) {
  Limits limits;
  limits.message_bytes = static_cast<uint32_t>(invite.size());
  EXPECT_TRUE(parse(invite, limits));
  --limits.message_bytes;
  EXPECT_EQ(why(invite, limits), Reason::too_large);
  limits = {};
  limits.headers = 12;
  EXPECT_TRUE(parse(invite, limits));
  limits.headers = 11;
  EXPECT_EQ(why(invite, limits), Reason::too_many_headers);
  limits = {};
  limits.header_bytes = 90;
  EXPECT_EQ(why(invite, limits), Reason::header_too_long);
  limits = {};
  limits.list_values = 2;
  EXPECT_TRUE(parse(invite, limits));
  limits.list_values = 1;
  EXPECT_EQ(why(invite, limits), Reason::too_many_values);
}

TEST(Message, HoldsAsManyHeadersAsTheLimitSays) {
  std::string many;
  for (int i = 0; i < 115; ++i) many += "X-" + std::to_string(i) + ": " + std::to_string(i) + "\r\n";
  auto m = parse(with("X-Thing: one\r\n", many));
  ASSERT_TRUE(m);
  EXPECT_EQ(m->headers().size(), 126u);
  EXPECT_EQ(m->header("X-114"), "114");
  EXPECT_EQ(m->body_text(), "v=0\n");
  EXPECT_EQ(m->top_via().branch, "z9hG4bKnashds8");
}

TEST(Message, StartLineMayBeLoose) {
  auto m = parse(
      with("INVITE sip:bob@biloxi.example.com;transport=tcp SIP", "INVITE  sip:bob@biloxi.example.com  SIP"));
  ASSERT_TRUE(m);
  EXPECT_TRUE(m->loose_start_line());
  EXPECT_EQ(m->request_uri(), "sip:bob@biloxi.example.com");
  EXPECT_FALSE(parse(invite)->loose_start_line());
}

}  // namespace
}  // namespace tandem::sip
