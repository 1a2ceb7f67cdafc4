// Tokens: who signed them, for whom, for how long; and everything that must not pass for one.
#include "auth/bearer.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "crypto/base64.h"
#include "crypto/hash.h"

namespace tandem::auth {
namespace {

constexpr int64_t today = 1'800'000'000;
const Now now{Instant{1}, WallTime{today * 1'000'000'000}};
const std::string secret(40, 's');

std::string part(std::string_view text) { return crypto::base64url(as_bytes(text)); }

/// A key pair of the test's own.
class Signer {
 public:
  explicit Signer(EVP_PKEY* key) : key_(key) {}
  std::string pem() const {
    BIO* out = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(out, key_.get());
    char* text = nullptr;
    const auto size = static_cast<size_t>(BIO_get_mem_data(out, &text));
    std::string pem(text, size);
    BIO_free(out);
    return pem;
  }
  std::string sign(std::string_view text) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key_.get());
    size_t size = 0;
    const auto* bytes = as_bytes(text).data();
    EVP_DigestSign(context, nullptr, &size, bytes, text.size());
    std::string out(size, '\0');
    EVP_DigestSign(context, reinterpret_cast<uint8_t*>(out.data()), &size, bytes, text.size());
    out.resize(size);
    EVP_MD_CTX_free(context);
    return EVP_PKEY_is_a(key_.get(), "EC") == 1 ? raw(out) : out;
  }

 private:
  /// R and S of 32 octets (RFC 7518 section 3.4).
  static std::string raw(const std::string& der) {
    const auto* at = as_bytes(der).data();
    ECDSA_SIG* parts = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size()));
    std::string out(64, '\0');
    auto* to = reinterpret_cast<uint8_t*>(out.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(parts), to, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parts), to + 32, 32);
    ECDSA_SIG_free(parts);
    return out;
  }
  struct Free {
    void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
  };
  std::unique_ptr<EVP_PKEY, Free> key_;
};

class Tokens : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    rsa = new Signer(EVP_RSA_gen(2048));
    ec = new Signer(EVP_EC_gen("P-256"));
  }
  static void TearDownTestSuite() {
    delete rsa;
    delete ec;
  }
  TokenChecker& checker() {
    if (!made_) {
      config.keys.push_back(*make_token_key("", "HS256", secret));
      config.keys.push_back(*make_token_key("rsa-1", "RS256", rsa->pem()));
      config.keys.push_back(*make_token_key("ec-1", "ES256", ec->pem()));
      made_ = std::make_unique<TokenChecker>(config, counters);
    }
    return *made_;
  }
  static std::string claims(const std::string& more = "", int64_t expires = today + 60) {
    return R"({"sub":"1001","exp":)" + std::to_string(expires) + more + "}";
  }
  static std::string hs256(const std::string& body, const std::string& header = R"({"alg":"HS256"})",
                           const std::string& key = secret) {
    const std::string text = part(header) + "." + part(body);
    return text + "." + part(as_text(crypto::hmac(crypto::Hash::sha256, key, text).view()));
  }
  static std::string signed_by(const Signer& signer, const std::string& header, const std::string& body) {
    const std::string text = part(header) + "." + part(body);
    return text + "." + part(signer.sign(text));
  }
  std::string outcome(const std::string& token) {
    const auto got = checker().check(now, token);
    return got.ok() ? got->user + "@" + got->domain : to_string(got.reason());
  }

  static Signer *rsa, *ec;
  TokenConfig config;
  CounterSet counters;

 private:
  std::unique_ptr<TokenChecker> made_;
};
Signer* Tokens::rsa = nullptr;
Signer* Tokens::ec = nullptr;

TEST_F(Tokens, EachAlgorithmWithItsKey) {
  EXPECT_EQ(outcome(hs256(claims())), "1001@");
  EXPECT_EQ(outcome(signed_by(*rsa, R"({"alg":"RS256","kid":"rsa-1"})", claims())), "1001@");
  EXPECT_EQ(outcome(signed_by(*ec, R"({"alg":"ES256","kid":"ec-1"})",
                              R"({"sub":"1001@Example.COM","exp":1800000060})")),
            "1001@example.com");
  EXPECT_EQ(counters.total("auth_tokens_total"), 3u);
  EXPECT_EQ(checker().check(now, hs256(claims()))->expires.unix_seconds(), today + 60);
}

/// RFC 7515 appendix A.1: somebody else's token, and its key.
TEST_F(Tokens, TheExampleOfTheRfc) {
  config.keys.push_back(*make_token_key(
      "", "HS256",
      *crypto::base64url_decode(
          "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")));
  TokenChecker rfc(config, counters);
  const auto got = rfc.check(
      {Instant{}, WallTime{1'300'819'000LL * 1'000'000'000}},
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.reason(), TokenFault::subject);  // all is right with it but that it names nobody
}

TEST_F(Tokens, TheAlgorithmIsTheKeysAndNotTheTokens) {
  EXPECT_EQ(outcome(part(R"({"alg":"none"})") + "." + part(claims()) + "."), "algorithm");
  EXPECT_EQ(outcome(part(R"({"alg":"None","kid":"rsa-1"})") + "." + part(claims()) + "."), "algorithm");
  // The public key as an HMAC secret.
  EXPECT_EQ(outcome(hs256(claims(), R"({"alg":"HS256","kid":"rsa-1"})", rsa->pem())), "algorithm");
  EXPECT_EQ(outcome(signed_by(*ec, R"({"alg":"ES256","kid":"rsa-1"})", claims())), "algorithm");
  EXPECT_EQ(outcome(signed_by(*rsa, R"({"alg":"RS512","kid":"rsa-1"})", claims())), "algorithm");
}

TEST_F(Tokens, WhoeverDidNotSignIsRefused) {
  EXPECT_EQ(outcome(hs256(claims(), R"({"alg":"HS256"})", std::string(40, 't'))), "signature");
  EXPECT_EQ(outcome(signed_by(Signer(EVP_RSA_gen(2048)), R"({"alg":"RS256","kid":"rsa-1"})", claims())),
            "signature");
  EXPECT_EQ(outcome(signed_by(Signer(EVP_EC_gen("P-256")), R"({"alg":"ES256","kid":"ec-1"})", claims())),
            "signature");
  EXPECT_EQ(outcome(hs256(claims(), R"({"alg":"HS256","kid":"gone"})")), "key");
  std::string other = hs256(claims());
  const std::string admin = hs256(R"({"sub":"1009","exp":1800000060})");
  other.replace(other.find('.') + 1, other.rfind('.') - other.find('.') - 1,
                admin.substr(admin.find('.') + 1, admin.rfind('.') - admin.find('.') - 1));
  EXPECT_EQ(outcome(other), "signature");
  const std::string head = part(R"({"alg":"ES256","kid":"ec-1"})") + "." + part(claims()) + ".";
  EXPECT_EQ(outcome(head + part(std::string(64, '\0'))), "signature");  // R and S of nothing
  EXPECT_EQ(outcome(head + part("short")), "signature");
  EXPECT_EQ(outcome(head), "signature");
}

TEST_F(Tokens, TheyBeginAndEnd) {
  EXPECT_EQ(outcome(hs256(claims("", today - 29))), "1001@");  // within the skew
  EXPECT_EQ(outcome(hs256(claims("", today - 30))), "expired");
  EXPECT_EQ(outcome(hs256(R"({"sub":"1001"})")), "malformed");  // one that never ends
  EXPECT_EQ(outcome(hs256(R"({"sub":"1001","exp":"tomorrow"})")), "malformed");
  EXPECT_EQ(outcome(hs256(R"({"sub":"1001","exp":-1})")), "malformed");
  EXPECT_EQ(outcome(hs256(R"({"sub":"1001","exp":1e300})")), "malformed");
  EXPECT_EQ(outcome(hs256(R"({"sub":"1001","exp":18446744073709551615})")), "malformed");
  EXPECT_EQ(outcome(hs256(R"({"sub":"1001","exp":1800000060.5})")), "1001@");
  EXPECT_EQ(outcome(hs256(claims(R"(,"nbf":1800000030)"))), "1001@");
  EXPECT_EQ(outcome(hs256(claims(R"(,"nbf":1800000031)"))), "too_early");
  EXPECT_EQ(outcome(hs256(claims(R"(,"iat":1800000031)"))), "too_early");
  EXPECT_EQ(outcome(hs256(claims(R"(,"nbf":true)"))), "malformed");
}

TEST_F(Tokens, TheyAreForUsFromWhomWeTrust) {
  config.issuer = "https://id.example";
  config.audience = "tandem";
  const std::string iss = R"(,"iss":"https://id.example")";
  EXPECT_EQ(outcome(hs256(claims(iss + R"(,"aud":"tandem")"))), "1001@");
  EXPECT_EQ(outcome(hs256(claims(iss + R"(,"aud":["a","tandem"])"))), "1001@");
  EXPECT_EQ(outcome(hs256(claims(iss))), "audience");
  EXPECT_EQ(outcome(hs256(claims(iss + R"(,"aud":["a",7])"))), "audience");
  EXPECT_EQ(outcome(hs256(claims(R"(,"aud":"tandem")"))), "issuer");
  EXPECT_EQ(outcome(hs256(claims(R"(,"aud":"tandem","iss":"https://id.example.evil")"))), "issuer");
}

TEST_F(Tokens, OnesForSomebodyElseAreRefusedByWhoHasNoName) {
  EXPECT_EQ(outcome(hs256(claims(R"(,"aud":"billing")"))), "audience");
}

TEST_F(Tokens, TheSubjectIsASubscriber) {
  for (const char* sub : {R"("")", "7", R"("@example.com")", R"("1001@")", R"("10\u000001")", "null"})
    EXPECT_EQ(outcome(hs256(R"({"exp":1800000060,"sub":)" + std::string(sub) + "}")), "subject") << sub;
  EXPECT_EQ(outcome(hs256(R"({"exp":1800000060,"sub":")" + std::string(300, 'x') + "\"}")), "subject");
  EXPECT_EQ(outcome(hs256(R"({"exp":1800000060})")), "subject");
}

TEST_F(Tokens, WhatIsNoTokenAtAll) {
  for (const std::string& text : std::vector<std::string>{
           "", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", part("{}") + "..",
           part("[]") + "." + part("{}") + ".", part(R"({"alg":7})") + "." + part("{}") + ".",
           part(R"({"alg":"HS256","crit":["b64"],"b64":false})") + "..", hs256("not json"), hs256("[]"),
           hs256(std::string(30, '[')), part(std::string(9, '[') + std::string(9, ']')) + "..",
           std::string(9000, 'a')})
    EXPECT_EQ(outcome(text), "malformed") << text;
}

TEST_F(Tokens, KeysThatAreNone) {
  EXPECT_EQ(make_token_key("", "HS256", "short").reason(), "a secret of less than 32 octets");
  EXPECT_EQ(make_token_key("", "HS256", rsa->pem()).reason(), "a PEM file, which is no secret for HS256");
  EXPECT_EQ(make_token_key("", "RS256", "rubbish").reason(), "no PEM public key or certificate");
  EXPECT_EQ(make_token_key("", "RS256", ec->pem()).reason(), "a key that is not for RS256");
  EXPECT_EQ(make_token_key("", "ES256", rsa->pem()).reason(), "a key that is not for ES256");
  EXPECT_EQ(make_token_key("", "RS256", Signer(EVP_RSA_gen(1024)).pem()).reason(),
            "an RSA key under 2048 bits");
  EXPECT_EQ(make_token_key("", "ES256", Signer(EVP_EC_gen("P-384")).pem()).reason(),
            "neither RSA nor elliptic curve P-256");
}

TEST_F(Tokens, TheChallengeSaysWhereToGetOne) {
  config.server = "https://id.example/get";
  EXPECT_EQ(checker().challenge("example.com", false),
            R"(Bearer realm="example.com", authz_server="https://id.example/get")");
  EXPECT_EQ(TokenChecker({}, counters).challenge("a", true), R"(Bearer realm="a", error="invalid_token")");
  EXPECT_FALSE(TokenChecker({}, counters).enabled());
}

}  // namespace
}  // namespace tandem::auth
