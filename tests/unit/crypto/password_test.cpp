#include "crypto/password.h"

#include <gtest/gtest.h>

namespace tandem::crypto {
namespace {

TEST(Password, MatchesItselfAlone) {
  const std::string stored = password_hash("correct horse", PasswordSalt{1, 2, 3});
  EXPECT_TRUE(stored.starts_with("$scrypt$ln=15,r=8,p=1$"));
  EXPECT_EQ(stored.find("horse"), std::string::npos);
  EXPECT_TRUE(password_matches("correct horse", stored));
  EXPECT_FALSE(password_matches("correct horsE", stored));
  EXPECT_FALSE(password_matches("", stored));
}

TEST(Password, TheSaltMakesEachHashAnother) {
  EXPECT_NE(password_hash("same", PasswordSalt{1}), password_hash("same", PasswordSalt{2}));
}

// RFC 7914 section 12, the second vector; its salt is "NaCl", N = 1024, r = 8, p = 16.
TEST(Password, AgreesWithTheRfc) {
  const std::string stored = "$scrypt$ln=10,r=8,p=16$TmFDbA$_bq-HJ00cgB4VucZDQHp_nxq18vII3gw53N2Y0s3MWI";
  EXPECT_TRUE(password_matches("password", stored));
  EXPECT_FALSE(password_matches("Password", stored));
}

TEST(Password, WhatIsNoHashMatchesNothing) {
  const std::string salt = "$TmFDbA", hash = "$_bq-HJ00cgB4VucZDQHp_nxq18vII3gw53N2Y0s3MWI";
  for (const std::string& stored :
       {std::string(), std::string("$scrypt$"), std::string("password"), "$scrypt$ln=10,r=8,p=16" + salt,
        "$scrypt$ln=10,r=8,p=16" + salt + "$AAAA", "$scrypt$ln=10,r=8" + salt + hash,
        "$scrypt$ln=0,r=8,p=16" + salt + hash, "$scrypt$ln=10,r=8,p=16,x=1" + salt + hash,
        // A damaged row must not cost gigabytes or minutes.
        "$scrypt$ln=24,r=64,p=1" + salt + hash, "$scrypt$ln=20,r=8,p=64" + salt + hash})
    EXPECT_FALSE(password_matches("password", stored)) << stored;
}

}  // namespace
}  // namespace tandem::crypto
