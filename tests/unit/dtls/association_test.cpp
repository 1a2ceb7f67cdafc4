// Both implementations, held to one contract.
#include "dtls/association.h"

#include "link.h"

namespace tandem::dtls {
namespace {

using State = Association::State;
using test::endpoint;
using test::Maker;
using test::Octets;
using test::options_for;
using test::real_now;
using test::Wire;

class Associations : public testing::TestWithParam<Maker> {
 protected:
  std::unique_ptr<Endpoint> a = endpoint(GetParam(), 1), b = endpoint(GetParam(), 2);
  std::unique_ptr<Association> client, server;

  void open(const Options& for_client, const Options& for_server) {
    client = a->open(for_client);
    server = b->open(for_server);
  }
  void open() { open(options_for(Role::client, *b), options_for(Role::server, *a)); }

  void expect_keyed() {
    ASSERT_EQ(client->state(), State::established);
    ASSERT_EQ(server->state(), State::established);
    ASSERT_TRUE(client->keys() && server->keys());
    EXPECT_TRUE(client->keys()->ours == server->keys()->theirs);
    EXPECT_TRUE(client->keys()->theirs == server->keys()->ours);
    EXPECT_FALSE(client->keys()->ours == client->keys()->theirs);
    EXPECT_TRUE(client->next_timeout().is_never());
    EXPECT_TRUE(server->next_timeout().is_never());
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, Associations, testing::Values(Maker::openssl, Maker::twin),
                         [](const auto& p) { return p.param == Maker::twin ? "twin" : "openssl"; });

TEST_P(Associations, KeyBothDirections) {
  open();
  EXPECT_FALSE(client->keys());
  Wire wire(*client, *server);
  wire.start();
  wire.run();
  expect_keyed();
  EXPECT_EQ(client->keys()->ours.suite(), srtp::Suite::aead_aes_256_gcm);
}

TEST_P(Associations, AnyOfTheFingerprintHashes) {
  for (const auto hash : {FingerprintHash::sha_256, FingerprintHash::sha_384, FingerprintHash::sha_512}) {
    Options o = options_for(Role::client, *b, hash);
    o.peer.insert(o.peer.begin(), a->fingerprint(hash));  // a second certificate that is not used
    open(o, options_for(Role::server, *a, hash));
    Wire wire(*client, *server);
    wire.start();
    wire.run();
    expect_keyed();
  }
}

TEST_P(Associations, TheServersBestCommonProfile) {
  Options c = options_for(Role::client, *b), s = options_for(Role::server, *a);
  c.suites = {srtp::Suite::aes_256_cm_hmac_sha1_80, srtp::Suite::aes_cm_128_hmac_sha1_32,
              srtp::Suite::aes_cm_128_hmac_sha1_80};
  s.suites = {srtp::Suite::aead_aes_128_gcm, srtp::Suite::aes_cm_128_hmac_sha1_80,
              srtp::Suite::aes_cm_128_hmac_sha1_32};
  open(c, s);
  Wire wire(*client, *server);
  wire.start();
  wire.run();
  expect_keyed();
  EXPECT_EQ(server->keys()->ours.suite(), srtp::Suite::aes_cm_128_hmac_sha1_80);
}

TEST_P(Associations, NoCommonProfile) {
  Options c = options_for(Role::client, *b), s = options_for(Role::server, *a);
  c.suites = {srtp::Suite::aead_aes_128_gcm};
  s.suites = {srtp::Suite::aes_cm_128_hmac_sha1_80};
  open(c, s);
  Wire wire(*client, *server);
  wire.start();
  wire.run();
  EXPECT_EQ(server->failure(), Reason::no_profile);
  EXPECT_FALSE(server->keys());
  EXPECT_FALSE(client->keys());
}

TEST_P(Associations, AWrongFingerprintOfTheServer) {
  Options c = options_for(Role::client, *b);
  c.peer[0].octets[0] ^= 1;
  open(c, options_for(Role::server, *a));
  Wire wire(*client, *server);
  wire.start();
  wire.deliver();
  EXPECT_EQ(client->state(), State::failed);
  EXPECT_EQ(client->failure(), Reason::wrong_fingerprint);
  EXPECT_FALSE(client->keys());
  EXPECT_EQ(a->troubles().count(Reason::wrong_fingerprint), 1u);
  EXPECT_TRUE(client->next_timeout().is_never());
}

TEST_P(Associations, AWrongFingerprintOfTheClient) {
  Options s = options_for(Role::server, *a);
  s.peer = {b->fingerprint(FingerprintHash::sha_256)};
  open(options_for(Role::client, *b), s);
  Wire wire(*client, *server);
  wire.start();
  wire.deliver();
  EXPECT_EQ(server->failure(), Reason::wrong_fingerprint);
  EXPECT_FALSE(server->keys());
}

TEST_P(Associations, WithoutAFingerprintNobodyIsBelieved) {
  Options c = options_for(Role::client, *b);
  c.peer.clear();
  open(c, options_for(Role::server, *a));
  Wire wire(*client, *server);
  wire.start();
  wire.deliver();
  EXPECT_EQ(client->failure(), Reason::wrong_fingerprint);
}

TEST_P(Associations, ThroughLossAndRepetition) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    SeededRng rng(seed);
    open();
    Wire wire(*client, *server);
    int lost = 0;
    wire.fate = [&](bool, Octets&) { return rng.below(100) >= 35 || ++lost > 20; };
    wire.start();
    wire.run();
    // A lost last flight leaves one side waiting until the other repeats; run() ends when both are there.
    expect_keyed();
  }
}

TEST_P(Associations, AServerDropsWhoIsNotValidated) {
  auto stranger = endpoint(GetParam(), 9);
  auto hostile = stranger->open(options_for(Role::client, *b));
  open();
  Datagrams hello, answer;
  hostile->start(real_now(), hello);
  for (int i = 0; i < 100; ++i) server->on_datagram(real_now(), hello[0], Source::unvalidated, answer);
  EXPECT_TRUE(answer.empty());
  EXPECT_EQ(server->state(), State::idle);
  EXPECT_EQ(b->troubles().count(Reason::unvalidated_source), 100u);

  Wire wire(*client, *server);
  wire.start();
  Datagrams ignored;
  server->on_datagram(real_now(), hello[0], Source::unvalidated, ignored);  // in the middle of it, too
  wire.run();
  expect_keyed();
}

TEST_P(Associations, AHelloAfterwardsChangesNothing) {
  open();
  Wire wire(*client, *server);
  wire.start();
  wire.run();
  expect_keyed();
  const Octets before(server->keys()->ours.bytes().begin(), server->keys()->ours.bytes().end());
  auto stranger = endpoint(GetParam(), 9);
  auto hostile = stranger->open(options_for(Role::client, *b));
  Datagrams hello, answer;
  hostile->start(real_now(), hello);
  for (int i = 0; i < 10; ++i) {
    server->on_datagram(real_now(), hello[0], Source::validated, answer);  // its address forged, even
    client->on_datagram(real_now(), hello[0], Source::validated, answer);
  }
  expect_keyed();
  EXPECT_EQ(Octets(server->keys()->ours.bytes().begin(), server->keys()->ours.bytes().end()), before);
}

TEST_P(Associations, GarbageEndsNothing) {
  SeededRng rng(5);
  open();
  Wire wire(*client, *server);
  Datagrams ignored;
  const auto garbage = [&](Association& to) {
    Octets d(rng.below(200));
    rng.fill(d);
    to.on_datagram(real_now(), d, Source::validated, ignored);
    to.on_datagram(real_now(), Octets(max_datagram + 1, 22), Source::validated, ignored);
  };
  wire.fate = [&](bool, Octets&) {
    for (int i = 0; i < 20; ++i) garbage(*client), garbage(*server);
    return true;
  };
  wire.start();
  wire.run();
  for (int i = 0; i < 20; ++i) garbage(*client), garbage(*server);
  expect_keyed();
  EXPECT_GT(a->troubles().count(Reason::not_dtls), 0u);
  EXPECT_GT(b->troubles().count(Reason::too_large), 0u);
}

TEST_P(Associations, NobodyThere) {
  open();
  Datagrams out;
  const Now now = real_now();
  client->start(now, out);
  EXPECT_FALSE(client->next_timeout().is_never());
  EXPECT_LE(client->next_timeout(), now.mono + seconds(30));
  client->on_timeout({now.mono + seconds(30), now.wall}, out);
  EXPECT_EQ(client->state(), State::failed);
  EXPECT_EQ(client->failure(), Reason::timed_out);
  EXPECT_TRUE(client->next_timeout().is_never());
  EXPECT_EQ(a->troubles().count(Reason::timed_out), 1u);
  const size_t sent = out.size();
  client->on_timeout({now.mono + seconds(60), now.wall}, out);
  client->start(now, out);
  EXPECT_EQ(out.size(), sent);
}

TEST_P(Associations, TwoClientsOrTwoServersComeToNothing) {
  open(options_for(Role::client, *b), options_for(Role::client, *a));
  Wire wire(*client, *server);
  Datagrams out;
  server->start(real_now(), out);
  wire.take(false, out);
  wire.start();
  wire.deliver();
  EXPECT_FALSE(client->keys());
  EXPECT_FALSE(server->keys());
  open(options_for(Role::server, *b), options_for(Role::server, *a));
  Wire silent(*client, *server);
  silent.start();
  EXPECT_EQ(silent.carried, 0u);
  EXPECT_TRUE(client->next_timeout().is_never());
}

TEST(Twin, RepeatsFromItsSeed) {
  std::vector<Octets> runs;
  for (int i = 0; i < 2; ++i) {
    SeededRng ra(1), rb(2);
    TwinEndpoint a(ra), b(rb);
    const auto client = a.open(options_for(Role::client, b)), server = b.open(options_for(Role::server, a));
    const Now now{{1}, {1}};
    Datagrams hello, reply, done;
    client->start(now, hello);
    server->on_datagram(now, hello[0], Source::validated, reply);
    client->on_datagram(now, reply[0], Source::validated, done);
    server->on_datagram(now, done[0], Source::validated, done);
    ASSERT_TRUE(client->keys() && server->keys());
    runs.emplace_back(client->keys()->ours.bytes().begin(), client->keys()->ours.bytes().end());
  }
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(Twin, RetransmitsOnVirtualTime) {
  SeededRng ra(1), rb(2);
  TwinEndpoint a(ra), b(rb);
  Options o = options_for(Role::client, b);
  o.first_retransmit = seconds(1);
  const auto client = a.open(o);
  Now now{{0}, {0}};
  Datagrams out;
  client->start(now, out);
  for (const int64_t wait : {1, 2, 4, 8}) {
    EXPECT_EQ(client->next_timeout(), now.mono + seconds(wait));
    now.mono = client->next_timeout();
    client->on_timeout(now, out);
  }
  EXPECT_EQ(out.size(), 5u);
  now.mono = client->next_timeout();
  EXPECT_EQ(now.mono, (Instant{0} + seconds(30)));
  client->on_timeout(now, out);
  EXPECT_EQ(client->failure(), Reason::timed_out);
}

}  // namespace
}  // namespace tandem::dtls
