// The strict policy on messages that parse() takes, one fault each.
#include <gtest/gtest.h>

#include "torture_support.h"

namespace tandem::sip {
namespace {

const std::string good = torture::wire(R"(
SUBSCRIBE sip:bob@example.com;transport=tcp SIP/2.0
Via: SIP/2.0/UDP pc33.example.com:5070;branch=z9hG4bKx;received=2001:db8::1
Max-Forwards: 70
To: "Bob" <sip:bob@example.com>
From: Alice A. <sip:alice@example.com>;tag=1
Call-ID: a84b4c76e66710@pc33.example.com
CSeq: 2147483647 SUBSCRIBE
Contact: <sip:alice@pc33.example.com>;q=0.7;expires=3600, <sip:alice@[2001:db8::7]>;q=1.000
Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>
Event: dialog;id=7
Expires: 4294967295
Supported: replaces, timer
Allow:
Session-Expires: 1800;refresher=uac
Content-Type: text/plain;charset="utf-8"
User-Agent: Phone/1.0 (a (nested) comment)
Date: Sat, 13 Nov 2010 23:29:00 GMT
Warning: 307 isi.edu "Session parameter 'foo' not understood", 301 isi.edu "x"
Authorization: Digest username="bob", nc=00000001
Content-Length: 0

)");

Reason with(std::string_view what, std::string_view by) {
  const std::string text = torture::replaced(good, what, by);
  EXPECT_FALSE(text.empty()) << what;
  const auto v = torture::verdict(text);
  EXPECT_FALSE(v.parse) << to_string(*v.parse);
  return v.strict.value_or(Reason::count_);
}

TEST(Strict, TakesWhatIsWellFormed) { EXPECT_VALID(good); }

TEST(Strict, NamesTheFault) {
  EXPECT_EQ(with("bob@example.com;transport=tcp SIP", "bob@example.com;;lr SIP"), Reason::bad_params);
  EXPECT_EQ(with("bob@example.com;transport=tcp SIP", "bob@exa_mple.com SIP"), Reason::bad_host);
  EXPECT_EQ(with(";branch=z9hG4bKx;", ";branch=z9hG4bKx;;"), Reason::bad_via);
  EXPECT_EQ(with(";branch=z9hG4bKx", ";branch=z9hG4bKx;a=(b)"), Reason::bad_via);
  EXPECT_EQ(with("SIP/2.0/UDP", "SIP/3.0/UDP"), Reason::bad_via);
  EXPECT_EQ(with("Max-Forwards: 70", "Max-Forwards: 256"), Reason::bad_number);
  EXPECT_EQ(with("Max-Forwards: 70", "Max-Forwards: +7"), Reason::bad_number);
  EXPECT_EQ(with("\"Bob\" <sip:bob@example.com>", "Bob, Esq. <sip:bob@example.com>"), Reason::bad_name_addr);
  EXPECT_EQ(with("\"Bob\" <sip:bob@example.com>", "<sip:bob@example.com >"), Reason::bad_name_addr);
  EXPECT_EQ(with("\"Bob\" <sip:bob@example.com>", "<sip:b^b@example.com>"), Reason::bad_uri);
  EXPECT_EQ(with("sip:alice@example.com>;tag=1", "sip:alice@example.com>;tag=1;"), Reason::bad_params);
  EXPECT_EQ(with("a84b4c76e66710@", "a84b 4c76e66710@"), Reason::bad_token);
  EXPECT_EQ(with("2147483647", "2147483648"), Reason::bad_cseq);
  EXPECT_EQ(with("q=0.7;", "q=0.7777;"), Reason::bad_params);
  EXPECT_EQ(with("q=1.000", "q=1.001"), Reason::bad_params);
  EXPECT_EQ(with("expires=3600", "expires=4294967296"), Reason::bad_number);
  EXPECT_EQ(with("<sip:p1.example.com;lr>, ", "sip:p1.example.com, "), Reason::bad_name_addr);
  EXPECT_EQ(with("<sip:p1.example.com;lr>, ", "<sip:p1.example.com;lr>,, "), Reason::bad_name_addr);
  EXPECT_EQ(with("dialog;id=7", ";id=7"), Reason::bad_token);
  EXPECT_EQ(with("4294967295", "4294967296"), Reason::bad_number);
  EXPECT_EQ(with("replaces, timer", "replaces,, timer"), Reason::bad_token);
  EXPECT_EQ(with("replaces, timer", "replaces; timer"), Reason::bad_token);
  EXPECT_EQ(with("refresher=uac", "refresher=me"), Reason::bad_params);
  EXPECT_EQ(with("text/plain", "text"), Reason::bad_token);
  EXPECT_EQ(with("Sat, 13", "Sat 13"), Reason::bad_date);
  EXPECT_EQ(with("307 isi", "3070 isi"), Reason::bad_number);
  EXPECT_EQ(with("not understood\"", "not understood"), Reason::bad_quoted_string);
  EXPECT_EQ(with("username=\"bob\"", "username=\"bob"), Reason::bad_quoted_string);
  EXPECT_EQ(with("Supported:", "Event: dialog;id=7\r\nSupported:"), Reason::duplicate_header);
  EXPECT_EQ(with("Supported:", "X-Bell: a\x07\r\nSupported:"), Reason::bad_line);
  EXPECT_EQ(with("Contact: ", "Record-Route: *\r\nContact: "), Reason::bad_name_addr);
}

TEST(Strict, CommentsNestOnlySoDeep) {
  EXPECT_EQ(with("(nested)", "((((((( deep )))))))"), Reason::count_);
  EXPECT_EQ(with("(nested)", "(((((((( deeper ))))))))"), Reason::nested_too_deep);
  EXPECT_EQ(with("(nested)", "(open"), Reason::bad_token);
  EXPECT_EQ(with("(nested)", "closed)) "), Reason::bad_token);
}

TEST(Strict, StarIsAContact) {
  EXPECT_EQ(with("<sip:alice@pc33.example.com>;q=0.7;expires=3600", "*"), Reason::count_);
}

// What the parser itself refuses in a tag: it could not be matched later.
TEST(Strict, TagsMustBeFound) {
  EXPECT_EQ(*torture::verdict(
                 torture::replaced(good, "\"Bob\" <sip:bob@example.com>", "<sip:bob@example.com>;x=\"y"))
                 .parse,
            Reason::bad_quoted_string);
  EXPECT_EQ(*torture::verdict(
                 torture::replaced(good, "\"Bob\" <sip:bob@example.com>", "<sip:bob@example.com>;tag="))
                 .parse,
            Reason::bad_params);
  EXPECT_EQ(*torture::verdict(torture::replaced(good, "\"Bob\" <sip:bob@example.com>", "*")).parse,
            Reason::bad_name_addr);
}

}  // namespace
}  // namespace tandem::sip
