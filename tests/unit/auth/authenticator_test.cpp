#include "auth/authenticator.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "auth/client.h"

namespace tandem::auth {
namespace {

constexpr std::string_view realm = "example.com";

Now at(Duration since_start) {
  return {Instant{0} + since_start, WallTime{1'800'000'000'000'000'000} + since_start};
}

sip::Message message(const std::string& text) {
  auto parsed = sip::Message::parse(Buffer::copy_of(text));
  if (!parsed) ADD_FAILURE() << "unreadable: " << text;
  return std::move(parsed).value();
}

/// A phone, a server and the time between them.
class AuthTest : public ::testing::Test {
 protected:
  AuthTest() {
    alice.aor = {"1001", "example.com"};
    alice.ha1 = make_ha1("1001", realm, "secret");
    start();
  }
  void start() {
    config.key[0] = 7;
    server = std::make_unique<Authenticator>(config, at(now), rng, counters);
  }

  static sip::Message register_(const std::string& extra = {}, const std::string& uri = "sip:example.com") {
    return message(
        "REGISTER " + uri +
        " SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:1001@example.com>;tag=1\r\n"
        "To: <sip:1001@example.com>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n" +
        extra + "Content-Length: 0\r\n\r\n");
  }
  std::vector<std::string> challenge(bool stale = false, bool secure = true,
                                     std::string_view user_agent = {}) {
    sip::Writer w = sip::Writer::response(401);
    w.header(sip::HeaderId::via, "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1")
        .header(sip::HeaderId::from, "<sip:1001@example.com>;tag=1")
        .header(sip::HeaderId::to, "<sip:1001@example.com>;tag=2")
        .header(sip::HeaderId::call_id, "1")
        .header(sip::HeaderId::cseq, "1 REGISTER");
    server->challenge(at(now), realm, Role::user_agent, stale, secure, w, user_agent, receiver);
    const sip::Message response = message(std::string(std::move(w).finish().text()));
    std::vector<std::string> out;
    for (const auto& h : response.headers())
      if (h.id == sip::HeaderId::www_authenticate) out.emplace_back(h.value);
    return out;
  }
  std::string answer_to(const std::string& one,
                        const Credentials& who = {.user = "1001", .password = "secret"}, uint32_t nc = 1,
                        std::string_view uri = "sip:example.com") {
    return answer(one, "REGISTER", uri, who, "cnonce", nc).value_or("");
  }
  std::string nonce() {
    const std::string one = challenge()[0];
    return std::string(sip::AuthValue::parse(one)->get("nonce").value_or(""));
  }
  Check check(const std::string& authorization, const port::Subscriber* who) {
    const sip::Message request = register_("Authorization: " + authorization + "\r\n");
    return server->check(at(now), request, realm, Role::user_agent, who);
  }
  Check::Outcome outcome(const std::string& authorization, const port::Subscriber* who) {
    return check(authorization, who).outcome;
  }

  using O = Check::Outcome;
  IpAddress receiver;  // of challenges
  Config config;
  SeededRng rng{1};
  CounterSet counters;
  Duration now{};
  port::Subscriber alice;
  std::unique_ptr<Authenticator> server;
};

TEST_F(AuthTest, PhonesThatChokeOnOtherAlgorithmsAreOfferedMd5Alone) {
  const auto one = challenge(false, true, "baresip v1.0.0 (x86_64/linux)");
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(sip::AuthValue::parse(one[0])->get("algorithm"), "MD5");
  EXPECT_EQ(challenge(false, true, "baresip v3.2.0 (x86_64/linux)").size(), 3u);
  config.algorithms = {Algorithm::sha256};
  start();
  EXPECT_EQ(sip::AuthValue::parse(challenge(false, true, "baresip v1.0.0")[0])->get("algorithm"), "SHA-256");
}

TEST_F(AuthTest, ChallengesStrongestFirst) {
  const auto all = challenge();
  ASSERT_EQ(all.size(), 3u);
  const char* names[] = {"SHA-512-256", "SHA-256", "MD5"};
  for (size_t i = 0; i < 3; ++i) {
    const auto value = sip::AuthValue::parse(all[i]);
    ASSERT_TRUE(value);
    EXPECT_EQ(value->scheme, "Digest");
    EXPECT_EQ(value->get("algorithm"), names[i]);
    EXPECT_EQ(value->get("realm"), realm);
    EXPECT_EQ(value->get("qop"), "auth");
    EXPECT_FALSE(value->get("stale"));
  }
  const std::string again = challenge(true)[0];
  EXPECT_EQ(sip::AuthValue::parse(again)->get("stale"), "true");
}

TEST_F(AuthTest, EveryAlgorithmLetsTheRightPasswordIn) {
  for (size_t i = 0; i < 3; ++i) {
    const std::string one = challenge()[i];
    EXPECT_EQ(outcome(answer_to(one, {.user = "1001", .password = "wrong"}), &alice), O::bad) << one;
    EXPECT_EQ(outcome(answer_to(one), &alice), O::ok) << one;
  }
}

TEST_F(AuthTest, UsernameMayCarryTheDomain) {
  const auto check1 =
      check(answer_to(challenge()[0], {.user = "1001@example.com", .password = "secret"}), &alice);
  EXPECT_EQ(check1.outcome, O::ok);
  EXPECT_EQ(outcome(answer_to(challenge()[0], {.user = "1001@other.com", .password = "secret"}), &alice),
            O::bad);
}

TEST_F(AuthTest, TheRealmNeedNotBeTheDomain) {
  alice.aor.domain = "sales.example.com";
  alice.ha1 = make_ha1("1001", realm, "secret", "sales.example.com");
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &alice), O::ok);
  EXPECT_EQ(
      outcome(answer_to(challenge()[0], {.user = "1001@sales.example.com", .password = "secret"}), &alice),
      O::ok);
  EXPECT_EQ(outcome(answer_to(challenge()[0], {.user = "1001@example.com", .password = "secret"}), &alice),
            O::bad);
}

TEST_F(AuthTest, TellsWhoIsClaimed) {
  const auto with = [&](const std::string& user) {
    const sip::Message request =
        register_("Authorization: " + answer_to(challenge()[0], {.user = user, .password = "x"}) + "\r\n");
    return server->claimed(request, realm, Role::user_agent);
  };
  EXPECT_EQ(with("1001"), (port::AddressOfRecord{"1001", "example.com"}));
  EXPECT_EQ(with("1001@Sales.Example.com"), (port::AddressOfRecord{"1001", "sales.example.com"}));
  EXPECT_FALSE(with(""));
  EXPECT_FALSE(server->claimed(register_(), realm, Role::user_agent));
}

TEST_F(AuthTest, OtherRealmsAndHeadersAreNotOurs) {
  const std::string value = answer_to(challenge()[0]);
  const sip::Message foreign = register_("Authorization: " + value + "\r\n");
  EXPECT_EQ(server->check(at(now), foreign, "other.com", Role::user_agent, &alice).outcome,
            O::no_credentials);
  EXPECT_EQ(server->check(at(now), foreign, realm, Role::proxy, &alice).outcome, O::no_credentials);
  EXPECT_EQ(outcome("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", &alice), O::no_credentials);
  EXPECT_EQ(server->check(at(now), register_(), realm, Role::user_agent, &alice).outcome, O::no_credentials);
}

TEST_F(AuthTest, FindsOurCredentialsAmongOthers) {
  const sip::Message request = register_(
      "Authorization: Digest username=\"x\", realm=\"upstream\", nonce=\"n\", uri=\"sip:u\", "
      "response=\"0\"\r\n"
      "Authorization: " +
      answer_to(challenge()[0]) + "\r\n");
  EXPECT_EQ(server->check(at(now), request, realm, Role::user_agent, &alice).outcome, O::ok);
}

// An attacker must not learn which extensions exist.
TEST_F(AuthTest, UnknownUserAndWrongPasswordLookTheSame) {
  const std::string wrong = answer_to(challenge()[0], {.user = "1001", .password = "guess"});
  EXPECT_EQ(outcome(wrong, &alice), O::bad);
  EXPECT_EQ(outcome(wrong, nullptr), O::bad);
  port::Subscriber off = alice;
  off.enabled = false;
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &off), O::bad);
  port::Subscriber bare = alice;
  bare.ha1 = {};
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &bare), O::bad);
}

TEST_F(AuthTest, NobodysDummySecretIsNotAPassword) {
  // Whoever learnt the dummy HA1 of unknown users would still not get in: unknown stays unknown.
  Credentials who{.user = "1001"};
  who.ha1.md5 = ha1_hex(Algorithm::md5, "", "", as_text(config.key));
  EXPECT_EQ(outcome(answer_to(challenge()[2], who), nullptr), O::bad);
}

TEST_F(AuthTest, SomeoneElsesRowIsNotUsed) {
  port::Subscriber bob = alice;
  bob.aor.user = "1002";
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &bob), O::bad);
}

TEST_F(AuthTest, ReplayIsRefusedAndCountsMayArriveOutOfOrder) {
  const std::string one = challenge()[0];
  const std::string first = answer_to(one, {.user = "1001", .password = "secret"}, 1);
  EXPECT_EQ(outcome(first, &alice), O::ok);
  EXPECT_EQ(outcome(first, &alice), O::stale);
  EXPECT_EQ(counters.total("auth_replays_total"), 1u);
  const Credentials who{.user = "1001", .password = "secret"};
  EXPECT_EQ(outcome(answer_to(one, who, 3), &alice), O::ok);
  EXPECT_EQ(outcome(answer_to(one, who, 2), &alice), O::ok);
  EXPECT_EQ(outcome(answer_to(one, who, 2), &alice), O::stale);
  EXPECT_EQ(outcome(answer_to(one, who, 500), &alice), O::ok);
  EXPECT_EQ(outcome(answer_to(one, who, 4), &alice),
            O::stale);  // out of the window: cannot be told from a replay
}

TEST_F(AuthTest, ChangingTheCountOfACapturedAnswerDoesNotHelp) {
  std::string captured = answer_to(challenge()[0]);
  EXPECT_EQ(outcome(captured, &alice), O::ok);
  captured.replace(captured.find("nc=00000001"), 11, "nc=00000002");
  EXPECT_EQ(outcome(captured, &alice), O::bad);
}

TEST_F(AuthTest, WithoutQopANonceIsGoodOnce) {
  const std::string old_style = "Digest realm=\"example.com\", nonce=\"" + nonce() + "\"";
  EXPECT_EQ(outcome(answer_to(old_style), &alice), O::ok);
  EXPECT_EQ(outcome(answer_to(old_style), &alice), O::stale);
  config.require_qop = true;
  start();
  EXPECT_EQ(outcome(answer_to(old_style), &alice), O::bad);
}

TEST_F(AuthTest, NoMemoryBeforeThePasswordIsRight) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(outcome(answer_to(challenge()[0], {.user = "1001", .password = "guess"}), &alice), O::bad);
    EXPECT_EQ(outcome(answer_to(challenge()[0]), nullptr), O::bad);
  }
  EXPECT_EQ(server->nonces_in_use(), 0u);
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &alice), O::ok);
  EXPECT_EQ(server->nonces_in_use(), 1u);
}

TEST_F(AuthTest, OldNoncesAreStale) {
  const std::string one = challenge()[0];
  now = config.nonce_lifetime;
  EXPECT_EQ(outcome(answer_to(one), &alice), O::ok);
  now += seconds(1);
  EXPECT_EQ(outcome(answer_to(one, {.user = "1001", .password = "secret"}, 2), &alice), O::stale);
  EXPECT_EQ(outcome(answer_to(one, {.user = "1001", .password = "wrong"}, 2), &alice), O::bad);
}

TEST_F(AuthTest, NoncesFromTheFutureAreStale) {
  now = minutes(1);
  const std::string one = challenge()[0];
  now = minutes(1) - seconds(4);  // a clock step an NTP daemon may make
  EXPECT_EQ(outcome(answer_to(one), &alice), O::ok);
  now = seconds(0);
  EXPECT_EQ(outcome(answer_to(one, {.user = "1001", .password = "secret"}, 2), &alice), O::stale);
}

TEST_F(AuthTest, ForgedNoncesAreStale) {
  const std::string one = challenge()[0];
  const size_t at_nonce = one.find("nonce=\"") + 7;
  for (size_t i : {size_t{0}, size_t{9}, size_t{20}, size_t{42}}) {
    std::string forged = one;
    forged[at_nonce + i] = forged[at_nonce + i] == 'A' ? 'E' : 'A';
    EXPECT_EQ(outcome(answer_to(forged), &alice), O::stale) << i;
  }
  EXPECT_EQ(outcome(answer_to(R"(Digest realm="example.com", nonce="abc", qop="auth")"), &alice), O::stale);
  EXPECT_EQ(server->nonces_in_use(), 0u);
}

// Its source may be invented: neither a ban nor a guess comes of it.
TEST_F(AuthTest, InADatagramANonceThatWasNotSentToItsSourceIsStaleWhateverThePassword) {
  const IpAddress here = IpAddress::v4(192, 0, 2, 9), there = IpAddress::v4(192, 0, 2, 10);
  receiver = here;
  const auto tried = [&](const std::string& one, const std::string& password, const IpAddress& from) {
    const std::string value = answer_to(one, {.user = "1001", .password = password});
    const sip::Message request = register_("Authorization: " + value + "\r\n");
    return server->check(at(now), request, realm, Role::user_agent, &alice, &from).outcome;
  };
  for (const std::string password : {"secret", "wrong"}) {
    SCOPED_TRACE(password);
    EXPECT_EQ(tried(R"(Digest realm="example.com", nonce="abc", qop="auth")", password, here), O::stale);
    EXPECT_EQ(tried(challenge()[0], password, there), O::stale);
  }
  const std::string one = challenge()[0];
  EXPECT_EQ(tried(one, "wrong", here), O::bad);
  EXPECT_EQ(tried(one, "secret", here), O::ok);
  now += config.nonce_lifetime + seconds(1);
  EXPECT_EQ(tried(one, "secret", here), O::stale);
  EXPECT_EQ(tried(one, "wrong", here), O::stale);
  EXPECT_EQ(server->nonces_in_use(), 1u);
}

TEST_F(AuthTest, ANonceIsForOneRealmAndOneWorker) {
  std::string other_realm = challenge()[0];
  other_realm.replace(other_realm.find("example.com"), 11, "example.org");
  alice.aor.domain = "example.org";
  alice.ha1 = make_ha1("1001", "example.org", "secret");
  const sip::Message request = register_("Authorization: " + answer_to(other_realm) + "\r\n");
  EXPECT_EQ(server->check(at(now), request, "example.org", Role::user_agent, &alice).outcome, O::stale);

  alice.aor.domain = "example.com";
  alice.ha1 = make_ha1("1001", realm, "secret");
  const std::string one = answer_to(challenge()[0]);
  EXPECT_EQ(outcome(one, &alice), O::ok);
  config.scope = 1;  // a second worker with the same key
  start();
  EXPECT_EQ(outcome(one, &alice), O::stale);
}

TEST_F(AuthTest, ARestartForgetsAndThereforeRefuses) {
  const std::string one = answer_to(challenge()[0]);
  EXPECT_EQ(outcome(one, &alice), O::ok);
  now = seconds(10);
  start();  // the same key: the nonce still verifies, its counts are gone
  EXPECT_EQ(outcome(one, &alice), O::stale);
}

TEST_F(AuthTest, TheTableIsBoundedAndWhatItForgotIsStale) {
  config.nonces = 4;
  start();
  std::vector<std::string> answers;
  for (int i = 0; i < 6; ++i) {
    now += milliseconds(10);
    answers.push_back(answer_to(challenge()[0]));
    EXPECT_EQ(outcome(answers.back(), &alice), O::ok);
  }
  EXPECT_EQ(server->nonces_in_use(), 4u);
  EXPECT_EQ(counters.total("auth_nonces_evicted_total"), 2u);
  for (const std::string& old : answers) EXPECT_EQ(outcome(old, &alice), O::stale);
  now += milliseconds(10);
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &alice), O::ok);
}

TEST_F(AuthTest, TheNonceInUseStaysTheIdleOneGoes) {
  config.nonces = 2;
  start();
  const Credentials who{.user = "1001", .password = "secret"};
  const std::string busy = challenge()[0];
  EXPECT_EQ(outcome(answer_to(busy, who, 1), &alice), O::ok);
  for (uint32_t i = 2; i < 10; ++i) {
    now += milliseconds(10);
    EXPECT_EQ(outcome(answer_to(challenge()[0]), &alice), O::ok);
    EXPECT_EQ(outcome(answer_to(busy, who, i), &alice), O::ok) << i;
  }
}

TEST_F(AuthTest, AManyLinedTableStaysConsistent) {
  config.nonces = 1000;
  start();
  std::vector<std::string> kept;
  for (int i = 0; i < 1500; ++i) {
    now += milliseconds(1);
    kept.push_back(answer_to(challenge()[2]));
    ASSERT_EQ(outcome(kept.back(), &alice), O::ok);
  }
  for (const std::string& one : kept) ASSERT_EQ(outcome(one, &alice), O::stale);
  EXPECT_EQ(counters.total("auth_replays_total"), 1000u);
}

TEST_F(AuthTest, UriMayDifferInFormButNotInMeaning) {
  EXPECT_FALSE(
      check(answer_to(challenge()[0], {.user = "1001", .password = "secret"}, 1, "sip:EXAMPLE.com"), &alice)
          .uri_differs);
  const Check other = check(
      answer_to(challenge()[0], {.user = "1001", .password = "secret"}, 1, "sip:1002@example.com"), &alice);
  EXPECT_EQ(other.outcome, O::ok);
  EXPECT_TRUE(other.uri_differs);
  EXPECT_EQ(counters.total("auth_uri_differs_total"), 1u);
  config.strict_uri = true;
  start();
  EXPECT_EQ(
      outcome(answer_to(challenge()[0], {.user = "1001", .password = "secret"}, 1, "sip:1002@example.com"),
              &alice),
      O::bad);
}

TEST_F(AuthTest, AlgorithmsThatAreNotOfferedAreNotAccepted) {
  config.algorithms = {Algorithm::sha256};
  start();
  ASSERT_EQ(challenge().size(), 1u);
  std::string downgraded = challenge()[0];
  downgraded.replace(downgraded.find("SHA-256"), 7, "MD5");
  EXPECT_EQ(outcome(answer_to(downgraded), &alice), O::bad);
  EXPECT_EQ(outcome(answer_to(challenge()[0]), &alice), O::ok);
}

TEST_F(AuthTest, MalformedCredentialsAreBad) {
  const std::string good = answer_to(challenge()[0]);
  const auto with = [&](std::string_view what, std::string_view by) {
    std::string changed = good;
    const size_t place = changed.find(what);
    EXPECT_NE(place, std::string::npos) << what;
    return changed.replace(place, what.size(), by);
  };
  EXPECT_EQ(outcome(with("nc=00000001", "nc=00000000"), &alice), O::bad);
  EXPECT_EQ(outcome(with("nc=00000001", "nc=1"), &alice), O::bad);
  EXPECT_EQ(outcome(with("nc=00000001", "nc=zzzzzzzz"), &alice), O::bad);
  EXPECT_EQ(outcome(with("qop=auth", "qop=token"), &alice), O::bad);
  EXPECT_EQ(outcome(with("cnonce=\"cnonce\"", "cnonce=\"\""), &alice), O::bad);
  EXPECT_EQ(outcome(with("cnonce=\"cnonce\"", "cnonce=\"" + std::string(300, 'x') + "\""), &alice), O::bad);
  EXPECT_EQ(outcome(with("SHA-512-256", "SHA-7"), &alice), O::bad);
  EXPECT_EQ(outcome(with("response=\"", "response=\"" + std::string(64, '0')), &alice), O::bad);
  EXPECT_EQ(outcome(with("response=\"", "x=\""), &alice), O::bad);
  EXPECT_EQ(server->nonces_in_use(), 0u);
  EXPECT_EQ(counters.total("auth_checks_total"), 9u);
}

TEST_F(AuthTest, IntegrityProtectionIsCheckedWhenTheClientUsesIt) {
  const std::string demand =
      "Digest realm=\"example.com\", algorithm=SHA-512-256, qop=\"auth-int\", nonce=\"" + nonce() + "\"";
  const auto signed_for = [&](std::string_view body) {
    return answer(demand, "MESSAGE", "sip:1002@example.com", {.user = "1001", .password = "secret"}, "c", 1,
                  body)
        .value_or("");
  };
  const auto send = [&](const std::string& authorization) {
    const sip::Message request = message(
        "MESSAGE sip:1002@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1\r\n"
        "From: <sip:1001@example.com>;tag=1\r\nTo: <sip:1002@example.com>\r\nCall-ID: 1\r\nCSeq: 1 "
        "MESSAGE\r\n"
        "Proxy-Authorization: " +
        authorization + "\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    return server->check(at(now), request, realm, Role::proxy, &alice).outcome;
  };
  EXPECT_EQ(send(signed_for("jello")), O::bad);
  EXPECT_EQ(send(signed_for("hello")), O::ok);
}

TEST_F(AuthTest, NoncesAreUniqueWithinAMillisecond) { EXPECT_NE(nonce(), nonce()); }

}  // namespace
TEST_F(AuthTest, OffersMd5FirstInClearOnly) {
  const auto secure = challenge(false, true), clear = challenge(false, false);
  ASSERT_EQ(secure.size(), 3u);
  ASSERT_EQ(clear.size(), 3u);
  EXPECT_NE(secure[0].find("algorithm=SHA-512-256"), std::string::npos) << secure[0];
  EXPECT_NE(clear[0].find("algorithm=MD5"), std::string::npos) << clear[0];
  EXPECT_NE(clear[1].find("algorithm=SHA-512-256"), std::string::npos) << clear[1];
}

}  // namespace tandem::auth
