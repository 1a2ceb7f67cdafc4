#include "auth/digest.h"

#include <gtest/gtest.h>

#include "auth/client.h"

namespace tandem::auth {
namespace {

std::string response_of(const DigestInput& in) { return std::string(digest_response(in).view()); }

DigestInput mufasa(Algorithm a) {
  DigestInput in;
  in.algorithm.algorithm = a;
  in.qop = Qop::auth;
  in.method = "GET";
  in.uri = "/dir/index.html";
  in.nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
  in.cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
  in.nc = "00000001";
  return in;
}

// RFC 7616 section 3.9.1.
TEST(Digest, Rfc7616ExampleWithMd5AndSha256) {
  for (const auto& [algorithm, expected] :
       {std::pair{Algorithm::md5, "8ca523f5e9506fed4657c9700eebdbec"},
        std::pair{Algorithm::sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"}}) {
    const std::string ha1 = ha1_hex(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
    DigestInput in = mufasa(algorithm);
    in.ha1 = ha1;
    EXPECT_EQ(response_of(in), expected);
  }
}

// RFC 2617 section 3.5, what every MD5-only phone was built against.
TEST(Digest, Rfc2617Example) {
  DigestInput in;
  in.qop = Qop::auth;
  const std::string ha1 = ha1_hex(Algorithm::md5, "Mufasa", "testrealm@host.com", "Circle Of Life");
  in.ha1 = ha1;
  in.method = "GET";
  in.uri = "/dir/index.html";
  in.nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
  in.cnonce = "0a4f113b";
  in.nc = "00000001";
  EXPECT_EQ(response_of(in), "6629fae49393a05397450978507c4ef1");
  in.qop = Qop::none;  // RFC 2069: no cnonce, no count
  EXPECT_EQ(response_of(in), "670fd8c2df070c60b045671b8b24ff02");
}

TEST(Digest, SessionVariantMixesNonceAndCnonceIn) {
  DigestInput in = mufasa(Algorithm::md5);
  const std::string ha1 = ha1_hex(Algorithm::md5, "Mufasa", "http-auth@example.org", "Circle of Life");
  in.ha1 = ha1;
  in.algorithm.session = true;
  const std::string session(crypto::hash_hex(crypto::Hash::md5, {ha1, ":", in.nonce, ":", in.cnonce}).view());
  DigestInput plain = in;
  plain.algorithm.session = false;
  plain.ha1 = session;
  EXPECT_EQ(response_of(in), response_of(plain));
}

TEST(Digest, IntegrityCoversTheBody) {
  DigestInput in = mufasa(Algorithm::sha256);
  in.ha1 = "x";
  in.qop = Qop::auth_int;
  in.body = "one";
  const std::string one = response_of(in);
  in.body = "two";
  EXPECT_NE(response_of(in), one);
}

TEST(AlgorithmName, Reading) {
  EXPECT_EQ(algorithm_from(std::nullopt)->algorithm, Algorithm::md5);
  EXPECT_EQ(algorithm_from("sha-256")->algorithm, Algorithm::sha256);
  EXPECT_FALSE(algorithm_from("SHA-256")->session);
  EXPECT_TRUE(algorithm_from("SHA-512-256-sess")->session);
  EXPECT_EQ(algorithm_from("SHA-512-256-sess")->algorithm, Algorithm::sha512_256);
  EXPECT_FALSE(algorithm_from("SHA-1"));
  EXPECT_FALSE(algorithm_from("-sess"));
  EXPECT_FALSE(algorithm_from(""));
}

TEST(Ha1, HoldsBothFormsOfUsername) {
  const port::Ha1 ha1 = make_ha1("1001", "example.com", "secret");
  EXPECT_EQ(ha1_of(ha1, Algorithm::md5, false), ha1_hex(Algorithm::md5, "1001", "example.com", "secret"));
  EXPECT_EQ(ha1_of(ha1, Algorithm::sha256, true),
            ha1_hex(Algorithm::sha256, "1001@example.com", "example.com", "secret"));
  EXPECT_EQ(ha1_of(ha1, Algorithm::sha512_256, false).size(), 64u);
  port::Ha1 imported;
  imported.md5 = ha1_hex(Algorithm::md5, "1001", "example.com", "secret");
  EXPECT_EQ(ha1_of(imported, Algorithm::md5, false), imported.md5);
  EXPECT_TRUE(ha1_of(imported, Algorithm::md5, true).empty());
  EXPECT_TRUE(ha1_of(imported, Algorithm::sha256, false).empty());
}

// ---- the client

std::string get(std::string_view value, std::string_view name) {
  const auto parsed = sip::AuthValue::parse(value);
  return parsed ? std::string(parsed->get(name).value_or("(absent)")) : "(unreadable)";
}

constexpr std::string_view mufasa_challenge =
    "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, "
    "nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", "
    "opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";

TEST(Answer, Rfc7616Example) {
  const Credentials who{.user = "Mufasa", .password = "Circle of Life"};
  const auto value =
      answer(mufasa_challenge, "GET", "/dir/index.html", who, "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
  ASSERT_TRUE(value);
  EXPECT_EQ(get(*value, "response"), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
  EXPECT_EQ(get(*value, "username"), "Mufasa");
  EXPECT_EQ(get(*value, "nc"), "00000001");
  EXPECT_EQ(get(*value, "qop"), "auth");
  EXPECT_EQ(get(*value, "opaque"), "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS");
}

// RFC 7616 section 3.9.2 with the values of its erratum 4897 (the RFC had cut a SHA-512 short, which
// SHA-512/256 is not).
TEST(Answer, Rfc7616ExampleWithSha512_256AndHashedUser) {
  const Credentials who{.user = "J\xc3\xa4s\xc3\xb8n Doe", .password = "Secret, or not?"};
  const auto value = answer(
      "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, "
      "nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", "
      "opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true",
      "GET", "/doe.json", who, "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v");
  ASSERT_TRUE(value);
  EXPECT_EQ(get(*value, "username"), "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b");
  EXPECT_EQ(get(*value, "response"), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
  EXPECT_EQ(get(*value, "userhash"), "true");
}

TEST(Answer, CountsRequestsOnANonce) {
  const auto value = answer(mufasa_challenge, "GET", "/", {.user = "a", .password = "b"}, "c", 0x1f);
  EXPECT_EQ(get(value.value_or(""), "nc"), "0000001f");
}

TEST(Answer, KeepsToItsRealm) {
  Credentials who{.user = "a", .password = "b", .realm = "trunk.example.com"};
  EXPECT_FALSE(answer(mufasa_challenge, "INVITE", "sip:x@y", who, "c"));
  who.realm = "http-auth@example.org";
  EXPECT_TRUE(answer(mufasa_challenge, "INVITE", "sip:x@y", who, "c"));
}

TEST(Answer, NothingForWhatItCannotDo) {
  const Credentials who{.user = "a", .password = "b"};
  for (std::string_view challenge :
       {R"(Basic realm="x")", R"(Digest realm="x")", R"(Digest nonce="x")",
        R"(Digest realm="x", nonce="y", algorithm=SHA-1)", R"(Digest realm="x", nonce="y", qop="token")", ""})
    EXPECT_FALSE(answer(challenge, "INVITE", "sip:x@y", who, "c")) << challenge;
}

sip::Message message(std::string_view text) {
  auto parsed = sip::Message::parse(Buffer::copy_of(text));
  if (!parsed) ADD_FAILURE() << "unreadable: " << text;
  return std::move(parsed).value();
}

std::string refusal(std::string_view status_line, std::string_view challenges) {
  return std::string(status_line) +
         "\r\nVia: SIP/2.0/UDP a.example.com;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: "
         "<sip:a@b>;tag=2\r\n"
         "Call-ID: 1\r\nCSeq: 1 REGISTER\r\n" +
         std::string(challenges) + "Content-Length: 0\r\n\r\n";
}

TEST(Answer, TakesTheTopmostChallengeItCan) {
  const auto response =
      message(refusal("SIP/2.0 401 Unauthorized",
                      "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=AKAv1-MD5\r\n"
                      "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=SHA-256\r\n"
                      "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\", algorithm=MD5, stale=TRUE\r\n"));
  const auto reply = answer(response, "REGISTER", "sip:b", {.user = "a", .password = "b"}, "c");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header, sip::HeaderId::authorization);
  EXPECT_EQ(get(reply->value, "algorithm"), "SHA-256");
  EXPECT_FALSE(reply->stale);
}

TEST(Answer, ProxyChallengesAreAnsweredAsSuch) {
  const auto response =
      message(refusal("SIP/2.0 407 Proxy Authentication Required",
                      "Proxy-Authenticate: Digest realm=\"x\", nonce=\"n\", qop=\"auth\", stale=true\r\n"));
  const auto reply = answer(response, "INVITE", "sip:b", {.user = "a", .password = "b"}, "c");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header, sip::HeaderId::proxy_authorization);
  EXPECT_TRUE(reply->stale);
  EXPECT_FALSE(answer(
      message(refusal("SIP/2.0 403 Forbidden", "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n")),
      "INVITE", "sip:b", {.user = "a"}, "c"));
}

}  // namespace
}  // namespace tandem::auth
