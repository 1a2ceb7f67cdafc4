// Requests of AWS's published examples and of its test suite for Signature Version 4, and what is done to
// them.
#include "auth/sigv4.h"

#include <gtest/gtest.h>

namespace tandem::auth {
namespace {

constexpr std::string_view secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
constexpr WallTime then{1'440'938'160'000'000'000};  // 2015-08-30T12:36:00Z

port::HttpRequest vanilla(std::string method, std::string target, std::string signature,
                          std::string service = "service") {
  port::HttpRequest r;
  r.method = std::move(method);
  r.target = std::move(target);
  r.headers = {{"Host", "example.amazonaws.com"},
               {"X-Amz-Date", "20150830T123600Z"},
               {"Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/" + service +
                                     "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signature}};
  return r;
}

SigV4Config config(std::string service = "service") { return {"us-east-1", std::move(service)}; }

std::string outcome(const port::HttpRequest& r, WallTime now = then, SigV4Config c = config(),
                    std::string_view key = secret) {
  const auto claims = sigv4_claims(r);
  if (!claims.ok()) return to_string(claims.reason());
  const auto good = sigv4_check(now, c, r, *claims, key);
  return good.ok() ? "good" : to_string(good.reason());
}

const std::string vanilla_signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

TEST(SigV4, ChecksTheTestSuitesRequests) {
  EXPECT_EQ(outcome(vanilla("GET", "/", vanilla_signature)), "good");
  EXPECT_EQ(outcome(vanilla("GET", "/?Param2=value2&Param1=value1",
                            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")),
            "good");
  EXPECT_EQ(outcome(vanilla("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")),
            "good");
}

TEST(SigV4, ChecksTheExampleOfTheDocumentation) {
  port::HttpRequest r = vanilla("GET", "/?Action=ListUsers&Version=2010-05-08", "");
  r.headers = {{"host", "iam.amazonaws.com"},
               {"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
               {"x-amz-date", "20150830T123600Z"},
               {"authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
                "SignedHeaders=content-type;host;x-amz-date, "
                "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"}};
  EXPECT_EQ(outcome(r, then, config("iam")), "good");
}

TEST(SigV4, WhatWasChangedOnTheWayIsRefused) {
  EXPECT_EQ(outcome(vanilla("PUT", "/", vanilla_signature)), "signature");
  EXPECT_EQ(outcome(vanilla("GET", "/x", vanilla_signature)), "signature");
  EXPECT_EQ(outcome(vanilla("GET", "/?a=b", vanilla_signature)), "signature");
  auto other_host = vanilla("GET", "/", vanilla_signature);
  other_host.headers[0].second = "example.com";
  EXPECT_EQ(outcome(other_host), "signature");
  auto other_time = vanilla("GET", "/", vanilla_signature);
  other_time.headers[1].second = "20150830T123601Z";
  EXPECT_EQ(outcome(other_time), "signature");
  auto body = vanilla("GET", "/", vanilla_signature);
  body.body = "x";
  EXPECT_EQ(outcome(body), "signature");
  auto hash = vanilla("GET", "/", vanilla_signature);  // a header that is not signed cannot say otherwise
  hash.headers.emplace_back("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD");
  EXPECT_EQ(outcome(hash), "body");
  EXPECT_EQ(outcome(vanilla("GET", "/", vanilla_signature), then, config(), "another secret"), "signature");
  EXPECT_EQ(outcome(vanilla("GET", "/", vanilla_signature), then, config(), ""), "signature");
}

TEST(SigV4, ClocksMayDifferByFiveMinutes) {
  const auto r = vanilla("GET", "/", vanilla_signature);
  EXPECT_EQ(outcome(r, then + minutes(5)), "good");
  EXPECT_EQ(outcome(r, then + minutes(5) + seconds(1)), "expired");
  EXPECT_EQ(outcome(r, then + -minutes(5)), "good");
  EXPECT_EQ(outcome(r, then + -minutes(5) + -seconds(1)), "too_early");
}

TEST(SigV4, AnotherScopeIsRefused) {
  const auto r = vanilla("GET", "/", vanilla_signature);
  EXPECT_EQ(outcome(r, then, config("kinesisvideo")), "scope");
  EXPECT_EQ(outcome(r, then, {"eu-west-1", "service"}), "scope");
  auto other_day = r;
  other_day.headers[1].second = "20150831T123600Z";
  EXPECT_EQ(outcome(other_day), "scope");
}

port::HttpRequest with_authorization(std::string value) {
  auto r = vanilla("GET", "/", vanilla_signature);
  r.headers[2].second = std::move(value);
  return r;
}

TEST(SigV4, WhatCannotBeReadIsIncomplete) {
  const std::string credential = "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request",
                    headers = "SignedHeaders=host;x-amz-date", signature = "Signature=" + vanilla_signature;
  for (const std::string& bad : std::vector<std::string>{
           "Bearer x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ",
           "AWS4-HMAC-SHA512 " + credential + ", " + headers + ", " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", " + headers,
           "AWS4-HMAC-SHA256 " + headers + ", " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", " + credential + ", " + headers + ", " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", " + headers + ", " + signature + ", Other=1",
           "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/aws4_request, " + headers + ", " +
               signature,
           "AWS4-HMAC-SHA256 Credential=/20150830/us-east-1/service/aws4_request, " + headers + ", " +
               signature,
           "AWS4-HMAC-SHA256 " + credential + "x, " + headers + ", " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=x-amz-date, " +
               signature,  // the host is not signed
           "AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=x-amz-date;host, " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", SignedHeaders=Host;x-amz-date, " + signature,
           "AWS4-HMAC-SHA256 " + credential + ", " + headers + ", Signature=" + std::string(63, 'a'),
           "AWS4-HMAC-SHA256 " + credential + ", " + headers + ", Signature=" + std::string(64, 'A')})
    EXPECT_EQ(outcome(with_authorization(bad)), "incomplete") << bad;
  auto twice = vanilla("GET", "/", vanilla_signature);
  twice.headers.push_back(twice.headers[2]);
  EXPECT_EQ(outcome(twice), "incomplete");
  auto dates = vanilla("GET", "/", vanilla_signature);
  dates.headers.push_back(dates.headers[1]);
  EXPECT_EQ(outcome(dates), "incomplete");
  for (const char* time : {"", "20150830", "20150830T123600", "20150230T123600Z", "20151330T123600Z",
                           "20150830T243600Z", "2015083aT123600Z", "00000830T123600Z", "99990830T123600Z"}) {
    auto r = vanilla("GET", "/", vanilla_signature);
    r.headers[1].second = time;
    EXPECT_EQ(outcome(r), "incomplete") << time;
  }
  auto none = vanilla("GET", "/", vanilla_signature);
  none.headers.pop_back();
  EXPECT_EQ(outcome(none), "missing");
}

/// A URL as clients of signalling channels sign it.
port::HttpRequest url(std::string expires = "299") {
  port::HttpRequest r;
  r.method = "GET";
  r.target =
      "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-ChannelARN=arn%3Aaws%3Akinesisvideo%3Aus-west-2%"
      "3A123456789012%3A"
      "channel%2FtestChannel%2F1234567890&X-Amz-ClientId=TestClientId&X-Amz-Credential=AKIA4F7WJQR7FMMWMNXI%"
      "2F"
      "20191201%2Fus-west-2%2Fkinesisvideo%2Faws4_request&X-Amz-Date=20191201T000000Z&X-Amz-Expires=" +
      expires + "&X-Amz-SignedHeaders=host";
  r.headers = {{"Host", "kvs.awsamazon.com"}};
  SigV4Claims claims;
  claims.access_key = "AKIA4F7WJQR7FMMWMNXI";
  claims.time = "20191201T000000Z";
  claims.day = "20191201";
  claims.region = "us-west-2";
  claims.service = "kinesisvideo";
  claims.headers = {"host"};
  r.target += "&X-Amz-Signature=" + sigv4_signature(r, claims, secret);
  return r;
}
constexpr WallTime signed_url{1'575'158'400'000'000'000};  // 2019-12-01T00:00:00Z
const SigV4Config of_url{"us-west-2", "kinesisvideo"};

TEST(SigV4, AUrlIsGoodForAWhile) {
  EXPECT_EQ(outcome(url(), signed_url + seconds(299), of_url), "good");
  EXPECT_EQ(outcome(url(), signed_url + seconds(300), of_url), "expired");
  EXPECT_EQ(outcome(url("10"), signed_url + seconds(11), of_url), "expired");
  EXPECT_EQ(outcome(url("604800"), signed_url + seconds(301), of_url),
            "expired");  // never longer than we say
  EXPECT_EQ(outcome(url(), signed_url + -seconds(301), of_url), "too_early");
  for (const char* bad : {"", "0", "-1", "604801", "x"})
    EXPECT_EQ(outcome(url(bad), signed_url, of_url), "incomplete") << bad;
}

TEST(SigV4, AUrlThatWasChangedIsRefused) {
  const auto good = url();
  const auto with = [&](std::string_view from, std::string_view to) {
    auto r = good;
    r.target.replace(r.target.find(from), from.size(), to);
    return outcome(r, signed_url, of_url);
  };
  EXPECT_EQ(with("TestClientId", "TestClientIe"), "signature");
  EXPECT_EQ(with("X-Amz-ClientId=TestClientId&", ""), "signature");
  EXPECT_EQ(with("testChannel", "restChannel"), "signature");
  EXPECT_EQ(with("Expires=299", "Expires=298"), "signature");
  EXPECT_EQ(with("20191201T000000Z", "20191201T000100Z"), "signature");
  EXPECT_EQ(with("X-Amz-SignedHeaders", "X-Amz-Security-Token=x&X-Amz-SignedHeaders"), "signature");
  // The same in other words is the same; a member that stands twice is nobody's.
  EXPECT_EQ(with("TestClientId", "Test%43lientId"), "good");
  EXPECT_EQ(with("X-Amz-ClientId=", "X-Amz-ClientId=Other&X-Amz-ClientId="), "incomplete");
  auto both = good;
  both.headers.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=x");
  EXPECT_EQ(outcome(both, signed_url, of_url), "incomplete");
}

TEST(SigV4, AQueryWithTooManyMembersIsRefused) {
  auto r = url();
  for (int i = 0; i < 64; ++i) r.target += "&a" + std::to_string(i);
  EXPECT_EQ(outcome(r, signed_url, of_url), "incomplete");
}

TEST(SigV4, MembersAreDecoded) {
  EXPECT_EQ(query_member("/?a=1&b=x%2Fy%zz", "b"), "x/y%zz");
  EXPECT_EQ(query_member("/?a", "a"), "");
  EXPECT_EQ(query_member("/?a", "b"), std::nullopt);
  EXPECT_EQ(query_member("/", "b"), std::nullopt);
}

}  // namespace
}  // namespace tandem::auth
