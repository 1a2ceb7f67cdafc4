// What the demo hands out: passwords a phone's account line can carry.
#include <gtest/gtest.h>

#include "tandem/demo_account.h"

namespace tandem::app {
namespace {

std::string refusal(std::string_view password) {
  const auto checked = check_demo_password(password);
  return checked.ok() ? "" : checked.reason();
}

TEST(DemoPassword, IsAsLongAsRestWantsIt) {
  EXPECT_EQ(refusal("abc"), "a password has at least 8 octets, this one has 3");
  EXPECT_EQ(refusal("seven77"), "a password has at least 8 octets, this one has 7");
  EXPECT_EQ(refusal("eight888"), "");
  EXPECT_EQ(refusal("\u00e4\u00e4\u00e4\u00e4"), "");  // octets, not characters
}

TEST(DemoPassword, HoldsWhatAnAccountLineCanExpress) {
  EXPECT_EQ(refusal("two words; = <b> #'"), "");
  for (const char* password : {"quote\"d123", "back\\slash", "\"abcdefgh\""})
    EXPECT_NE(refusal(password).find("quotation mark"), std::string::npos) << password;
  for (const char* password : {"line\nbreak", "tab\tulator", "broken\xff utf8"})
    EXPECT_NE(refusal(password).find("UTF-8"), std::string::npos) << password;
}

TEST(BaresipAccount, QuotesWhatWouldEndTheValue) {
  EXPECT_EQ(baresip_account("1001", "127.0.0.1", 5060, "secret-12.3"),
            "<sip:1001@127.0.0.1:5060>;auth_user=1001;auth_pass=secret-12.3");
  EXPECT_EQ(baresip_account("1001", "127.0.0.1", 5060, "semi;colon"),
            "<sip:1001@127.0.0.1:5060>;auth_user=1001;auth_pass=\"semi;colon\"");
  EXPECT_EQ(baresip_account("1001", "127.0.0.1", 5060, " two words"),
            "<sip:1001@127.0.0.1:5060>;auth_user=1001;auth_pass=\" two words\"");
}

TEST(BaresipAccount, AnIpv6HostStandsInBrackets) {
  EXPECT_EQ(baresip_account("1001", "::1", 5070, "secret123"),
            "<sip:1001@[::1]:5070>;auth_user=1001;auth_pass=secret123");
}

}  // namespace
}  // namespace tandem::app
