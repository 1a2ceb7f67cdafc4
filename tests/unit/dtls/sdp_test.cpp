#include <gtest/gtest.h>

#include "dtls/fingerprint.h"
#include "dtls/setup.h"

namespace tandem::dtls {
namespace {

std::string pairs(size_t octets) {
  std::string text = "0A";
  for (size_t i = 1; i < octets; ++i) text += ":fE";
  return text;
}

TEST(Fingerprint, ReadsAndWritesEachHash) {
  for (const auto& [name, octets] : {std::pair{"sha-256", 32u}, {"sha-384", 48u}, {"sha-512", 64u}}) {
    const auto f = Fingerprint::parse(name + (" " + pairs(octets)));
    ASSERT_TRUE(f) << name;
    EXPECT_EQ(f->view().size(), octets);
    EXPECT_EQ(f->view()[0], 0x0A);
    EXPECT_EQ(f->view()[octets - 1], 0xFE);
    const std::string text = f->to_string();
    EXPECT_EQ(text.substr(0, 12), std::string(name) + " 0A:F");
    EXPECT_TRUE(*Fingerprint::parse(text) == *f);
  }
  EXPECT_TRUE(Fingerprint::parse("SHA-256 " + pairs(32)));
}

TEST(Fingerprint, RefusesTheRest) {
  for (const std::string& bad :
       {std::string(), std::string("sha-256"), "sha-256 " + pairs(31), "sha-256 " + pairs(33),
        "sha-256  " + pairs(32), "sha-256 " + pairs(32) + " ", "sha-1 " + pairs(20), "md5 " + pairs(16),
        "sha-512 " + pairs(32), "sha-256 0G" + pairs(32).substr(2), "sha-256 " + std::string(95, '0')})
    EXPECT_FALSE(Fingerprint::parse(bad)) << bad;
}

TEST(Fingerprint, AnotherHashIsAnotherFingerprint) {
  Fingerprint a, b;
  EXPECT_TRUE(a == b);
  b.hash = FingerprintHash::sha_512;
  EXPECT_FALSE(a == b);
  b = a;
  b.octets[31] = 1;
  EXPECT_FALSE(a == b);
}

TEST(Setup, RolesOfOfferAndAnswer) {
  using enum dtls::Setup;
  EXPECT_EQ(role_from(actpass, active), Role::server);
  EXPECT_EQ(role_from(actpass, passive), Role::client);
  EXPECT_EQ(role_from(active, actpass), Role::client);
  EXPECT_EQ(role_from(passive, actpass), Role::server);
  EXPECT_EQ(role_from(active, passive), Role::client);
  EXPECT_EQ(role_from(passive, active), Role::server);
  for (const dtls::Setup s : {active, passive, actpass}) {
    EXPECT_FALSE(role_from(s, s));
    const auto ours = role_from(answer_to(s), s), theirs = role_from(s, answer_to(s));
    ASSERT_TRUE(ours && theirs);
    EXPECT_NE(*ours, *theirs);
    EXPECT_EQ(parse_setup(to_string(s)), s);
  }
  EXPECT_EQ(answer_to(actpass), active);
  EXPECT_FALSE(parse_setup("holdconn"));
  EXPECT_FALSE(parse_setup(""));
}

}  // namespace
}  // namespace tandem::dtls
