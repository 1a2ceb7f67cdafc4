#include "srtp/sdes.h"

#include <gtest/gtest.h>

#include "packets.h"

namespace tandem::srtp {
namespace {

using test::hex_of;
using test::key_of;

std::string_view why(std::string_view value) {
  const auto parsed = parse_crypto(value);
  return parsed ? "ok" : to_string(parsed.reason());
}

const std::string inline_key = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

TEST(Sdes, ReadsTheExampleOfTheRfc) {
  const auto c = parse_crypto("1 AES_CM_128_HMAC_SHA1_80 " + inline_key + "|2^20");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->tag, 1u);
  EXPECT_EQ(c->key.suite(), Suite::aes_cm_128_hmac_sha1_80);
  EXPECT_EQ(as_text(c->key.bytes()), "wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#");
  EXPECT_EQ(c->lifetime, uint64_t{1} << 20);
}

TEST(Sdes, WritesWhatItReads) {
  for (const SuiteTraits& t : all_suites) {
    const MasterKey key = key_of(t.suite, 7);
    const std::string text = write_crypto(42, key);
    EXPECT_EQ(text.find("42 " + std::string(t.name) + " inline:"), 0u) << text;
    EXPECT_LE(text.size(), 100u);
    const auto c = parse_crypto(text);
    ASSERT_TRUE(c) << text;
    EXPECT_EQ(c->tag, 42u);
    EXPECT_TRUE(c->key == key);
    EXPECT_FALSE(c->lifetime);
  }
}

TEST(Sdes, PaddingMayBeMissing) {
  const MasterKey key = key_of(Suite::aes_256_cm_hmac_sha1_80);
  std::string text = write_crypto(1, key);
  ASSERT_EQ(text.substr(text.size() - 2), "==");
  text.resize(text.size() - 2);
  const auto c = parse_crypto(text);
  ASSERT_TRUE(c);
  EXPECT_TRUE(c->key == key);
}

TEST(Sdes, Lifetimes) {
  const std::string head = "1 AES_CM_128_HMAC_SHA1_80 " + inline_key;
  EXPECT_EQ(parse_crypto(head + "|1000")->lifetime, 1000u);
  EXPECT_EQ(parse_crypto(head + "|2^48")->lifetime, uint64_t{1} << 48);
  EXPECT_EQ(parse_crypto(head + "|2^0")->lifetime, 1u);
  for (const char* bad : {"|0", "|2^49", "|2^", "|", "|x", "|281474976710657", "|-1"})
    EXPECT_EQ(why(head + bad), "bad_lifetime") << bad;
}

TEST(Sdes, WhatIsPassedOver) {
  const std::string head = "1 AES_CM_128_HMAC_SHA1_80 " + inline_key;
  EXPECT_EQ(why(head + "|1:4"), "mki");
  EXPECT_EQ(why(head + "|2^20|1:4"), "mki");
  EXPECT_EQ(why(head + ";" + inline_key), "several_keys");
  for (const char* parameter : {"KDR=1", "UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "UNAUTHENTICATED_SRTP",
                                "FEC_ORDER=FEC_SRTP", "FEC_KEY=x", "new"})
    EXPECT_EQ(why(head + " " + parameter), "session_parameter") << parameter;
  EXPECT_EQ(why(head + " WSH=64 UNENCRYPTED_SRTCP"), "session_parameter");
  EXPECT_EQ(why(head + " WSH=64 -optional"), "ok");
  EXPECT_EQ(why("1 F8_128_HMAC_SHA1_80 " + inline_key), "unknown_suite");
  EXPECT_EQ(why("1 NULL_HMAC_SHA1_80 " + inline_key), "unknown_suite");
  EXPECT_EQ(why("1 AES_CM_128_HMAC_SHA1_80 outofband:x"), "unknown_method");
}

TEST(Sdes, BadKeys) {
  for (const char* key :
       {"", "AAAA", "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSo!", "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSojAA",
        "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJS==", "====", "d0Rmdmcm VCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"})
    EXPECT_EQ(why("1 AES_CM_128_HMAC_SHA1_80 inline:" + std::string(key)), "bad_key") << key;
  EXPECT_EQ(why("1 AEAD_AES_128_GCM " + inline_key), "bad_key");  // 30 octets; it takes 28
  EXPECT_EQ(why("1 AES_CM_128_HMAC_SHA1_80 inline:" + std::string(100000, 'A')), "bad_key");
}

TEST(Sdes, Grammar) {
  for (const char* value :
       {"", " ", "1", "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80 ",
        "x AES_CM_128_HMAC_SHA1_80 inline:A", "1234567890 AES_CM_128_HMAC_SHA1_80 inline:A",
        "-1 AES_CM_128_HMAC_SHA1_80 inline:A", "1 AES_CM_128_HMAC_SHA1_80 inline"})
    EXPECT_EQ(why(value), "malformed") << value;
  EXPECT_EQ(why("999999999  aes_cm_128_hmac_sha1_80  " + inline_key), "ok");
}

}  // namespace
}  // namespace tandem::srtp
