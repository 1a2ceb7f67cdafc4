// Structured headers, one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sip/header_id.h"
#include "sip/headers.h"

namespace tandem::sip {
namespace {

TEST(HeaderName, EveryNameFindsItself) {
  for (size_t i = 0; i < static_cast<size_t>(HeaderId::other); ++i) {
    const auto id = static_cast<HeaderId>(i);
    std::string name(to_string(id));
    EXPECT_EQ(header_id(name), id) << name;
    for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    EXPECT_EQ(header_id(name), id) << name;
    // Nothing else reads as it: one letter changed, one more, and what a careless case fold would let
    // through.
    for (size_t k = 0; k < name.size(); ++k) {
      std::string other = name;
      other[k] = static_cast<char>(other[k] ^ 0x40);
      EXPECT_NE(header_id(other), id) << other;
      other[k] = name[k] == '-' ? '\r' : '*';
      EXPECT_NE(header_id(other), id) << other;
    }
    EXPECT_NE(header_id(name + "x"), id);
  }
  EXPECT_EQ(to_string(HeaderId::other), "");
}

TEST(HeaderName, CompactForms) {
  EXPECT_EQ(header_id("v"), HeaderId::via);
  EXPECT_EQ(header_id("F"), HeaderId::from);
  EXPECT_EQ(header_id("t"), HeaderId::to);
  EXPECT_EQ(header_id("i"), HeaderId::call_id);
  EXPECT_EQ(header_id("m"), HeaderId::contact);
  EXPECT_EQ(header_id("l"), HeaderId::content_length);
  EXPECT_EQ(header_id("c"), HeaderId::content_type);
  EXPECT_EQ(header_id("e"), HeaderId::content_encoding);
  EXPECT_EQ(header_id("s"), HeaderId::subject);
  EXPECT_EQ(header_id("k"), HeaderId::supported);
  EXPECT_EQ(header_id("o"), HeaderId::event);
  EXPECT_EQ(header_id("u"), HeaderId::allow_events);
  EXPECT_EQ(header_id("r"), HeaderId::refer_to);
  EXPECT_EQ(header_id("b"), HeaderId::referred_by);
  EXPECT_EQ(header_id("x"), HeaderId::session_expires);
  EXPECT_EQ(header_id("z"), HeaderId::other);
  EXPECT_EQ(header_id(""), HeaderId::other);
  EXPECT_EQ(header_id("-"), HeaderId::other);
}

TEST(HeaderMethod, IsCaseSensitive) {
  for (int i = 0; i < static_cast<int>(Method::other); ++i)
    EXPECT_EQ(method_from(to_string(static_cast<Method>(i))), static_cast<Method>(i));
  EXPECT_EQ(method_from("invite"), Method::other);
  EXPECT_EQ(method_from("INVITEX"), Method::other);
  EXPECT_EQ(method_from("IN"), Method::other);
  EXPECT_EQ(method_from(""), Method::other);
}

std::vector<std::string> items(std::string_view value) {
  std::vector<std::string> out;
  ListCursor list(value);
  std::string_view item;
  while (list.next(item)) out.emplace_back(item);
  return out;
}

TEST(HeaderList, MindsQuotesAndBrackets) {
  EXPECT_THAT(items("a, b ,,c,"), testing::ElementsAre("a", "b", "c"));
  EXPECT_THAT(items(R"("x, \", y" <sip:a,b@c>;p="q,r" , <sip:d,e>)"),
              testing::ElementsAre(R"("x, \", y" <sip:a,b@c>;p="q,r")", "<sip:d,e>"));
  EXPECT_THAT(items("a\r\n , b"), testing::ElementsAre("a", "b"));
  EXPECT_THAT(items(R"("open, x)"), testing::ElementsAre(R"("open, x)"));
  EXPECT_THAT(items("<open, x"), testing::ElementsAre("<open, x"));
  EXPECT_THAT(items(" ,\t, "), testing::IsEmpty());
}

Reason name_addr_fault(std::string_view text) {
  const auto n = NameAddr::parse(text);
  return n ? Reason::count_ : n.reason();
}

TEST(HeaderNameAddr, Forms) {
  auto n = NameAddr::parse(R"("A \"B\"" <sip:a@b;x=y?z=1>;tag=1 ; q=0.5)");
  ASSERT_TRUE(n);
  EXPECT_EQ(n->display, R"(A \"B\")");
  EXPECT_EQ(n->uri.params.get("x"), "y");
  EXPECT_EQ(n->uri.headers, "z=1");
  EXPECT_EQ(n->tag(), "1");
  EXPECT_EQ(n->params.get("q"), "0.5");
  n = NameAddr::parse("sip:a@b;x=y;tag=2");  // without brackets all parameters are the header's
  ASSERT_TRUE(n);
  EXPECT_EQ(n->uri_text, "sip:a@b");
  EXPECT_EQ(n->params.get("x"), "y");
  EXPECT_FALSE(n->uri.params.has("x"));
  n = NameAddr::parse("Two Words<tel:+123>");
  ASSERT_TRUE(n);
  EXPECT_EQ(n->display, "Two Words");
  EXPECT_EQ(n->uri.user, "+123");
  n = NameAddr::parse(" * ");
  ASSERT_TRUE(n);
  EXPECT_TRUE(n->star);
  n = NameAddr::parse("sip:a@b;note=\"<x>\"");
  ASSERT_TRUE(n);
  EXPECT_EQ(n->uri_text, "sip:a@b");
}

TEST(HeaderNameAddr, Refusals) {
  EXPECT_EQ(name_addr_fault(""), Reason::bad_name_addr);
  EXPECT_EQ(name_addr_fault("\"A <sip:a@b>"), Reason::bad_quoted_string);
  EXPECT_EQ(name_addr_fault("\"A\" sip:a@b"), Reason::bad_name_addr);
  EXPECT_EQ(name_addr_fault("<sip:a@b"), Reason::bad_name_addr);
  EXPECT_EQ(name_addr_fault("<sip:a@b> x"), Reason::bad_name_addr);
  EXPECT_EQ(name_addr_fault("sip:a@b?x=y"), Reason::bad_name_addr);
  EXPECT_EQ(name_addr_fault("sip:a@b,sip:c@d"), Reason::bad_name_addr);
  EXPECT_EQ(name_addr_fault("<>"), Reason::bad_uri);
  EXPECT_EQ(name_addr_fault("<sip:a@b:x>"), Reason::bad_port);
}

TEST(HeaderVia, Forms) {
  auto v = Via::parse(
      "SIP / 2.0 /\r\n TCP  host.example.com : 5070 ; branch = z9hG4bKx ;rport; received=192.0.2.1");
  ASSERT_TRUE(v);
  EXPECT_EQ(v->transport, "TCP");
  EXPECT_EQ(v->host, "host.example.com");
  EXPECT_EQ(v->port, 5070);
  EXPECT_EQ(v->branch, "z9hG4bKx");
  EXPECT_TRUE(v->rfc3261_branch());
  EXPECT_TRUE(v->wants_rport());
  v = Via::parse("SIP/2.0/WSS [2001:db8::1]:443;branch=1");
  ASSERT_TRUE(v);
  EXPECT_EQ(v->host, "[2001:db8::1]");
  EXPECT_EQ(v->port, 443);
  EXPECT_FALSE(v->rfc3261_branch());
  for (const char* bad : {"", "SIP/2.0", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/2.0/UDP ;branch=x",
                          "SIP/2.0/UDPhost", "SIP/2.0/UDP host:x", "SIP/2.0/UDP host extra;branch=x",
                          "SIP/2.0/UDP [::1;branch=x", "/2.0/UDP host", "SIP//UDP host"}) {
    const auto fault = Via::parse(bad);
    ASSERT_FALSE(fault) << bad;
    EXPECT_EQ(fault.reason(), Reason::bad_via);
  }
}

TEST(HeaderNumbers, CSeqAndRAck) {
  EXPECT_EQ(CSeq::parse(" 4294967295\r\n  INVITE ")->number, 4294967295u);
  EXPECT_EQ(CSeq::parse("1 FOO")->method, Method::other);
  for (const char* bad :
       {"", "INVITE", "1", "1INVITE", "4294967296 INVITE", "-1 INVITE", "1 INVITE x", "1 IN(V"})
    EXPECT_FALSE(CSeq::parse(bad)) << bad;
  EXPECT_EQ(RAck::parse("776656 1 INVITE")->cseq, 1u);
  for (const char* bad : {"", "1", "1 2", "1 INVITE", "1 2 INVITE x", "1 4294967296 INVITE", "x 1 INVITE"})
    EXPECT_FALSE(RAck::parse(bad)) << bad;
}

TEST(HeaderReplaces, NeedsBothTags) {
  const auto r = Replaces::parse("425928@bobster.example.org;to-tag=7743;from-tag=6472;early-only");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->call_id, "425928@bobster.example.org");
  EXPECT_EQ(r->to_tag, "7743");
  EXPECT_EQ(r->from_tag, "6472");
  EXPECT_TRUE(r->early_only);
  EXPECT_EQ(Replaces::parse("id;local-tag=a;remote-tag=b")->to_tag, "b");
  for (const char* bad :
       {"", ";to-tag=a;from-tag=b", "id", "id;to-tag=a", "id;from-tag=a", "i d;to-tag=a;from-tag=b"})
    EXPECT_FALSE(Replaces::parse(bad)) << bad;
}

TEST(HeaderTimers, SessionExpiresAndDeltaSeconds) {
  EXPECT_EQ(SessionExpires::parse("1800 ; Refresher=UAC")->refresher, SessionExpires::Refresher::uac);
  EXPECT_EQ(SessionExpires::parse("90")->refresher, SessionExpires::Refresher::unspecified);
  for (const char* bad : {"", "x", "90x", "90;refresher=me", "99999999999"})
    EXPECT_FALSE(SessionExpires::parse(bad)) << bad;
  EXPECT_EQ(parse_delta_seconds("120 (I'm in a meeting)").value_or(0), 120u);
  EXPECT_EQ(parse_delta_seconds("18000;duration=3600").value_or(0), 18000u);
  for (const char* bad : {"", "-1", "1.5", "4294967296", "12 x"})
    EXPECT_FALSE(parse_delta_seconds(bad)) << bad;
}

TEST(HeaderEvents, EventAndSubscriptionState) {
  EXPECT_EQ(EventType::parse("presence.winfo;id=7")->package, "presence.winfo");
  EXPECT_EQ(EventType::parse("dialog ; id = 7")->id, "7");
  EXPECT_FALSE(EventType::parse(";id=7"));
  EXPECT_FALSE(EventType::parse("dialog id"));
  const auto s = SubscriptionState::parse("terminated;reason=probation;retry-after=5;expires=0");
  ASSERT_TRUE(s);
  EXPECT_EQ(s->state, "terminated");
  EXPECT_EQ(s->reason, "probation");
  EXPECT_EQ(s->retry_after, 5u);
  EXPECT_EQ(s->expires, 0u);
  EXPECT_FALSE(SubscriptionState::parse(""));
}

TEST(HeaderAuth, ReadsCommaSeparatedParameters) {
  const auto a =
      AuthValue::parse("Digest realm=\"a, b\", nonce=\"x\\\"y\",\r\n qop=auth, nc=00000001,stale=FALSE");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->scheme, "Digest");
  EXPECT_EQ(a->get("realm"), "a, b");
  EXPECT_EQ(a->get("NONCE"), "x\\\"y");
  EXPECT_EQ(a->get("qop"), "auth");
  EXPECT_EQ(a->get("stale"), "FALSE");
  EXPECT_EQ(a->get("opaque"), std::nullopt);
  EXPECT_EQ(AuthValue::parse("").reason(), Reason::bad_auth);
  EXPECT_EQ(AuthValue::parse("Digest").reason(), Reason::bad_auth);
  EXPECT_EQ(AuthValue::parse("Digest ").reason(), Reason::bad_auth);
  EXPECT_EQ(AuthValue::parse("Digest realm=\"x").reason(), Reason::bad_quoted_string);
}

TEST(HeaderReason, Forms) {
  const auto r = ReasonValue::parse(R"(Q.850 ;cause=16 ;text="Normal; clearing")");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->protocol, "Q.850");
  EXPECT_EQ(r->cause, 16u);
  EXPECT_EQ(r->text, "Normal; clearing");
  EXPECT_FALSE(ReasonValue::parse(""));
  EXPECT_FALSE(ReasonValue::parse("SIP cause=1"));
}

TEST(HeaderDate, Rfc1123Only) {
  EXPECT_EQ(parse_date("Sat, 13 Nov 2010 23:29:00 GMT").value_or(0), 1289690940);
  EXPECT_EQ(parse_date("Thu, 01 Jan 1970 00:00:00 GMT").value_or(-1), 0);
  EXPECT_EQ(parse_date("Thu, 29 Feb 2024 12:00:00 GMT").value_or(0), 1709208000);
  for (const char* bad :
       {"", "Sat, 13 Nov 2010 23:29:00 EST", "Sat, 13 Nov 10 23:29:00 GMT", "Sat, 32 Nov 2010 23:29:00 GMT",
        "Wed, 29 Feb 2023 12:00:00 GMT", "Xxx, 13 Nov 2010 23:29:00 GMT", "Sat, 13 Xxx 2010 23:29:00 GMT",
        "Sat, 13 Nov 2010 24:29:00 GMT", "Sat, 13 Nov 2010 23:29:00 GMTx", "Sat, +3 Nov 2010 23:29:00 GMT"})
    EXPECT_EQ(parse_date(bad).value_or(-7), -7) << bad;
}

TEST(HeaderQuoting, BothWays) {
  EXPECT_EQ(unquote(R"("a\"b\\c")"), R"(a"b\c)");
  EXPECT_EQ(unquote("plain"), "plain");
  EXPECT_EQ(unquote("\""), "\"");
  EXPECT_EQ(quote("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(quote("x\r\nInjected: y"), "\"xInjected: y\"");
}

}  // namespace
}  // namespace tandem::sip
