// URIs: forms, refusals, comparison (RFC 3261 section 19.1.4), escapes.
#include <gtest/gtest.h>

#include "sip/strict.h"
#include "sip/uri.h"

namespace tandem::sip {
namespace {

Uri uri(std::string_view text) {
  auto u = Uri::parse(text);
  EXPECT_TRUE(u) << text;
  return u ? *u : Uri{};
}
Reason why(std::string_view text) {
  const auto u = Uri::parse(text);
  return u ? Reason::count_ : u.reason();
}

TEST(Uri, TakesEveryPart) {
  const Uri u = uri("sips:alice:secret@[2001:db8::1]:5061;transport=tls;lr?to=bob%40b&x=y");
  EXPECT_EQ(u.scheme, Scheme::sips);
  EXPECT_EQ(u.user, "alice");
  EXPECT_EQ(u.password, "secret");
  EXPECT_EQ(u.host, "[2001:db8::1]");
  EXPECT_EQ(u.port, 5061);
  EXPECT_EQ(u.params.get("TRANSPORT"), "tls");
  EXPECT_TRUE(u.params.has("lr"));
  EXPECT_FALSE(u.params.has("ttl"));
  EXPECT_EQ(u.headers, "to=bob%40b&x=y");
}

TEST(Uri, TakesTheShortForms) {
  EXPECT_EQ(uri("SIP:example.com").host, "example.com");
  EXPECT_EQ(uri("sip:a@b").port, 0);
  EXPECT_EQ(uri("sip:host?subject=x").headers, "subject=x");
  EXPECT_EQ(uri("sip:user;x=y?z@host;lr").user, "user;x=y?z");
  EXPECT_EQ(uri("tel:+1-201-555-0123;phone-context=x").user, "+1-201-555-0123");
  EXPECT_EQ(uri("tel:*43").user, "*43");
  EXPECT_EQ(uri("urn:service:sos").scheme, Scheme::other);
}

TEST(Uri, RefusesWithAReason) {
  EXPECT_EQ(why(""), Reason::bad_uri);
  EXPECT_EQ(why("sip"), Reason::bad_uri);
  EXPECT_EQ(why("sip:"), Reason::bad_host);
  EXPECT_EQ(why("sip:@host"), Reason::bad_uri);
  EXPECT_EQ(why("sip:a@b@c"), Reason::bad_uri);
  EXPECT_EQ(why("sip:a b@host"), Reason::bad_uri);
  EXPECT_EQ(why("sip:a@host\r\nX: y"), Reason::bad_uri);
  EXPECT_EQ(why("<sip:a@host>"), Reason::bad_uri);
  EXPECT_EQ(why("sip:a%4@host"), Reason::bad_escape);
  EXPECT_EQ(why("sip:a%zz@host"), Reason::bad_escape);
  EXPECT_EQ(why("sip:a@"), Reason::bad_host);
  EXPECT_EQ(why("sip:a@[::1"), Reason::bad_host);
  EXPECT_EQ(why("sip:a@[192.0.2.1]"), Reason::bad_host);
  EXPECT_EQ(why("sip:a@[fe80::1%25eth0]"), Reason::bad_host);
  EXPECT_EQ(why("sip:a@ho(st"), Reason::bad_host);
  EXPECT_EQ(why("sip:a@host:"), Reason::bad_port);
  EXPECT_EQ(why("sip:a@host:0"), Reason::bad_port);
  EXPECT_EQ(why("sip:a@host:65536"), Reason::bad_port);
  EXPECT_EQ(why("sip:a@host:50x"), Reason::bad_port);
  EXPECT_EQ(why("sip:a@host:-1"), Reason::bad_port);
  EXPECT_EQ(why("tel:"), Reason::bad_uri);
  EXPECT_EQ(why("tel:+"), Reason::bad_uri);
  EXPECT_EQ(why("tel:hello"), Reason::bad_uri);
  EXPECT_EQ(why("1x:y"), Reason::bad_uri);
}

TEST(Uri, ParamsWalkQuotesAndWhiteSpace) {
  const Params p(R"( a = 1 ;; b="x;y\";z" ; c)");
  EXPECT_EQ(p.get("a"), "1");
  EXPECT_EQ(p.get("b"), R"("x;y\";z")");
  EXPECT_EQ(p.get("C"), "");
  EXPECT_EQ(p.get("d"), std::nullopt);
  int n = 0;
  p.for_each([&n](const Param& x) { n += x.has_value ? 10 : 1; });
  EXPECT_EQ(n, 21);
}

// The examples of section 19.1.4.
TEST(Uri, ComparesAsTheRfcSays) {
  const auto same = [](std::string_view a, std::string_view b) {
    const bool forth = equivalent(uri(a), uri(b));
    EXPECT_EQ(forth, equivalent(uri(b), uri(a))) << a << " " << b;
    return forth;
  };
  EXPECT_TRUE(same("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"));
  EXPECT_TRUE(same("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"));
  EXPECT_TRUE(same("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"));
  EXPECT_TRUE(same("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                   "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"));
  EXPECT_TRUE(same("sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                   "sip:alice@atlanta.com?priority=urgent&subject=project%20x"));
  EXPECT_FALSE(same("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"));
  EXPECT_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"));
  EXPECT_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"));
  EXPECT_FALSE(same("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"));
  EXPECT_FALSE(same("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"));
  EXPECT_FALSE(same("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"));
  EXPECT_FALSE(same("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"));
  EXPECT_FALSE(same("sip:a@b", "sips:a@b"));
  EXPECT_FALSE(same("sip:a%3bb@h", "sip:a;b@h"));  // an escaped reserved character is another one
  EXPECT_TRUE(same("sip:a@[2001:db8::1]", "sip:a@[2001:DB8:0::1]"));
  EXPECT_TRUE(same("tel:+1-201-555-0123", "tel:+1(201)5550123"));
  EXPECT_FALSE(same("tel:123;phone-context=a", "tel:123;phone-context=b"));
  EXPECT_TRUE(same("sip:a@b;maddr=x;maddr=y", "sip:a@b;maddr=x"));
}

TEST(Uri, ComparingManyParametersStaysCheap) {
  std::string many = "sip:a@b";
  for (int i = 0; i < 5000; ++i) many += ";p" + std::to_string(i);
  EXPECT_TRUE(equivalent(uri(many), uri(many)));
  EXPECT_FALSE(equivalent(uri(many), uri(many + ";x")));
}

TEST(Uri, EscapesBothWays) {
  EXPECT_EQ(unescape("a%20b%2F"), "a b/");
  EXPECT_EQ(unescape("%"), std::nullopt);
  EXPECT_EQ(unescape("%4"), std::nullopt);
  EXPECT_EQ(unescape("%g0"), std::nullopt);
  EXPECT_EQ(escape_user("a b@c\r\n"), "a%20b%40c%0D%0A");
  EXPECT_EQ(unescape(escape_user("100% \"quoted\"")), "100% \"quoted\"");
}

TEST(Uri, StrictWantsTheGrammar) {
  EXPECT_FALSE(strict_uri("sip:alice@example.com;lr;x=y"));
  EXPECT_FALSE(strict_uri("sip:alice@example.com."));
  EXPECT_EQ(strict_uri("sip:#21@example.com"), Reason::bad_uri);
  EXPECT_EQ(strict_uri("sip:a@under_score.example.com"), Reason::bad_host);
  EXPECT_EQ(strict_uri("sip:a@example.123"), Reason::bad_host);
  EXPECT_EQ(strict_uri("sip:a@-x.com"), Reason::bad_host);
  EXPECT_EQ(strict_uri("sip:a@999.0.2.1"), Reason::bad_host);
  EXPECT_EQ(strict_uri("sip:a@b.com;;lr"), Reason::bad_params);
  EXPECT_EQ(strict_uri("sip:a@b.com;x="), Reason::bad_params);
  EXPECT_EQ(strict_uri("sip:a@b.com?x"), Reason::bad_uri);
  EXPECT_EQ(strict_uri("tel:123"), Reason::bad_uri);
  EXPECT_FALSE(strict_uri("tel:123;phone-context=example.com"));
}

}  // namespace
}  // namespace tandem::sip
