#include "crypto/hash.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "crypto/base64.h"

namespace tandem::crypto {
namespace {

std::string hex_of(Hash h, std::string_view text) { return std::string(hash_hex(h, {text}).view()); }
std::string hmac_hex(Hash h, std::string_view key, std::string_view text) {
  return std::string(hex(hmac(h, key, text)).view());
}

// RFC 1321 appendix A.5, FIPS 180-4 examples.
TEST(Hash, KnownValues) {
  EXPECT_EQ(hex_of(Hash::md5, ""), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(hex_of(Hash::md5, "message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(hex_of(Hash::sha1, "abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex_of(Hash::sha256, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of(Hash::sha512_256, "abc"),
            "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
}

TEST(Hash, PiecesAreOneText) {
  EXPECT_EQ(hash(Hash::sha256, {"a", "", "bc"}).bytes, hash(Hash::sha256, "abc").bytes);
}

TEST(Hash, ContextsAreCleanAfterEachUse) {
  const std::string first = hex_of(Hash::md5, "one");
  hex_of(Hash::md5, "two");
  EXPECT_EQ(hex_of(Hash::md5, "one"), first);
}

// RFC 2202 and RFC 4231 test cases 2 and 6 (a key longer than the block).
TEST(Hmac, KnownValues) {
  EXPECT_EQ(hmac_hex(Hash::md5, "Jefe", "what do ya want for nothing?"), "750c783e6ab0b503eaa86e310a5db738");
  EXPECT_EQ(hmac_hex(Hash::sha1, "Jefe", "what do ya want for nothing?"),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(hmac_hex(Hash::sha256, "Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hmac_hex(Hash::sha256, std::string(131, '\xaa'),
                     "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(ConstantTimeEqual, ComparesWholeTexts) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("abc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "abd"));
  EXPECT_FALSE(constant_time_equal("xbc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "ab"));
}

// RFC 4648 section 10.
TEST(Base64, KnownValues) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : cases) {
    EXPECT_EQ(base64(as_bytes(plain)), encoded);
    EXPECT_EQ(base64_decode(encoded), plain);
  }
}

TEST(Base64, EveryByteSurvivesBothAlphabets) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(base64_decode(base64(as_bytes(all))), all);
  EXPECT_EQ(base64url_decode(base64url(as_bytes(all))), all);
  EXPECT_EQ(base64url(as_bytes(all)).find_first_of("+/="), std::string::npos);
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  EXPECT_FALSE(base64_decode("Zg="));
  EXPECT_FALSE(base64_decode("Zg"));
  EXPECT_FALSE(base64_decode("Z==="));
  EXPECT_FALSE(base64_decode("Zh=="));  // stray bits: another text for "f"
  EXPECT_FALSE(base64_decode("Zm 9"));
  EXPECT_FALSE(base64_decode("===="));
  EXPECT_FALSE(base64url_decode("Zm9vY+=="));
  EXPECT_FALSE(base64url_decode("Z"));
}

}  // namespace
}  // namespace tandem::crypto
