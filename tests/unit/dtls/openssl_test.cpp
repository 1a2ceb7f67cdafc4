// What only the real one has: fragments, alerts, renegotiation, and a stranger's DTLS on the other side.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "dtls/openssl_endpoint.h"
#include "link.h"
#include "srtp/context.h"

namespace tandem::dtls {
namespace {

using State = Association::State;
using test::endpoint;
using test::Maker;
using test::Octets;
using test::options_for;
using test::real_now;
using test::Wire;

struct Pair {
  std::unique_ptr<Endpoint> a = endpoint(Maker::openssl, 1), b = endpoint(Maker::openssl, 2);
  std::unique_ptr<Association> client, server;
  explicit Pair(size_t mtu = 1200) {
    Options c = options_for(Role::client, *b), s = options_for(Role::server, *a);
    c.mtu = s.mtu = mtu;
    client = a->open(c);
    server = b->open(s);
  }
  bool keyed() const { return client->keys() && server->keys(); }
};

TEST(Openssl, FlightsAreCutToTheMtu) {
  for (const size_t mtu : {size_t{256}, size_t{600}, size_t{1200}}) {
    Pair p(mtu);
    Wire wire(*p.client, *p.server);
    wire.start();
    wire.run();
    EXPECT_TRUE(p.keyed()) << mtu;
    EXPECT_LE(wire.largest, mtu);
    EXPECT_GT(wire.largest, mtu / 4);
  }
}

TEST(Openssl, OnlyAClientHelloBeginsAHandshake) {
  Pair p;
  Datagrams out;
  const Octets data = {23, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0};
  const Octets server_hello = {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0};
  for (const Octets& d : {data, server_hello}) p.server->on_datagram(real_now(), d, Source::validated, out);
  EXPECT_EQ(p.server->state(), State::idle);
  EXPECT_TRUE(p.server->next_timeout().is_never());  // so the limit has not begun to run
  EXPECT_EQ(p.b->troubles().count(Reason::not_dtls), 2u);
  Wire wire(*p.client, *p.server);
  wire.start();
  wire.run();
  EXPECT_TRUE(p.keyed());
}

TEST(Openssl, FragmentsMayBeLost) {
  Pair p(256);
  SeededRng rng(3);
  Wire wire(*p.client, *p.server);
  int lost = 0;
  wire.fate = [&](bool, Octets&) { return rng.below(100) >= 15 || ++lost > 12; };
  wire.start();
  wire.run();
  EXPECT_TRUE(p.keyed());
  EXPECT_GT(lost, 0);
}

TEST(Openssl, ALastFlightIsSentAgainWhenThePeerRepeatsItsOwn) {
  Pair p;
  Wire wire(*p.client, *p.server);
  bool dropped = false;
  wire.fate = [&](bool from_client, Octets&) {
    if (!from_client && p.server->state() == State::established && !dropped) return !(dropped = true);
    return true;
  };
  wire.start();
  wire.run();
  EXPECT_TRUE(dropped);
  EXPECT_TRUE(p.keyed());
}

TEST(Openssl, AForgedAlertCostsAnAttemptAndNotTheAssociation) {
  // An unencrypted fatal alert (handshake_failure) may come from whoever can forge the peer's address.
  const Octets alert = {21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40};
  Pair p;
  Wire wire(*p.client, *p.server);
  Datagrams out;
  p.client->start(real_now(), out);
  out.clear();
  p.client->on_datagram(real_now(), alert, Source::validated, out);
  EXPECT_EQ(p.client->state(), State::handshaking);
  EXPECT_EQ(p.a->troubles().count(Reason::handshake_failed), 1u);
  EXPECT_TRUE(out.empty());
  wire.run();  // after a while, a new ClientHello
  EXPECT_TRUE(p.keyed());

  Pair q;  // but not for ever
  p.client->on_datagram(real_now(), alert, Source::validated, out);
  EXPECT_EQ(p.client->state(), State::established);  // from another epoch: not even looked at
  Now now = real_now();
  q.client->start(now, out);
  for (int i = 0; i < max_attempts; ++i) {
    q.client->on_datagram(now, alert, Source::validated, out);
    q.client->on_datagram(now, alert, Source::validated, out);  // between attempts it hears nothing
    now.mono = now.mono + milliseconds(2);
    q.client->on_timeout(now, out);
  }
  EXPECT_EQ(q.a->troubles().count(Reason::handshake_failed), static_cast<uint64_t>(max_attempts));
  EXPECT_EQ(q.client->state(), State::failed);
  EXPECT_EQ(q.client->failure(), Reason::handshake_failed);
}

TEST(Openssl, AHelloFromAForgedAddressCostsAnAttempt) {
  // It is the first to arrive, from where the peer is, so the server begins with it.
  Pair p;
  const auto stranger = endpoint(Maker::openssl, 9);
  const auto hostile = stranger->open(options_for(Role::client, *p.b));
  Datagrams hello, answer;
  hostile->start(real_now(), hello);
  p.server->on_datagram(real_now(), hello[0], Source::validated, answer);
  ASSERT_FALSE(answer.empty());
  Wire wire(*p.client, *p.server);
  wire.start();
  wire.take(false, answer);  // the peer gets what the stranger has asked for
  wire.run();
  EXPECT_TRUE(p.keyed());
  EXPECT_GT(p.a->troubles().count(Reason::handshake_failed), 0u);
}

/// Somebody else's DTLS: a bare SSL over memory BIOs.
class Stranger {
 public:
  explicit Stranger(bool client, const char* profiles = "SRTP_AES128_CM_SHA1_80") {
    SeededRng rng(77);
    context_ = SSL_CTX_new(DTLS_method());
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    SSL_CTX_use_certificate(context_, x);
    SSL_CTX_use_PrivateKey(context_, key);
    unsigned size = 0;
    X509_digest(x, EVP_sha256(), fingerprint.octets.data(), &size);
    X509_free(x);
    EVP_PKEY_free(key);
    SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    EXPECT_EQ(SSL_CTX_set_tlsext_use_srtp(context_, profiles), 0);
    ssl = SSL_new(context_);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
    SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(ssl, 1200);
    client ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
  }
  ~Stranger() {
    SSL_free(ssl);
    SSL_CTX_free(context_);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  /// Records to the association and back until neither has more.
  void talk(Association& us, Datagrams ours = {}) {
    for (int i = 0; i < 50; ++i) {
      for (const Octets& d : ours) {
        BIO_write(SSL_get_rbio(ssl), d.data(), static_cast<int>(d.size()));
        step();
      }
      ours.clear();
      if (!SSL_is_init_finished(ssl)) step();
      char buffer[16384];
      const int n = BIO_read(SSL_get_wbio(ssl), buffer, sizeof buffer);
      if (n <= 0) return;
      Datagrams out;
      us.on_datagram(real_now(), Octets(buffer, buffer + n), Source::validated, out);
      ours = std::move(out);
    }
  }
  void step() {
    char none[64];
    if (SSL_is_init_finished(ssl))
      SSL_read(ssl, none, sizeof none);
    else
      SSL_do_handshake(ssl);
    ERR_clear_error();
  }
  Octets exported() const {
    Octets out(60);
    EXPECT_EQ(
        SSL_export_keying_material(ssl, out.data(), out.size(), "EXTRACTOR-dtls_srtp", 19, nullptr, 0, 0), 1);
    return out;
  }

  Fingerprint fingerprint;
  SSL* ssl = nullptr;

 private:
  SSL_CTX* context_;
};

Octets joined(const Octets& from, size_t key_at, size_t salt_at) {
  Octets out(16 + 14);
  std::copy_n(from.data() + key_at, 16, out.data());
  std::copy_n(from.data() + salt_at, 14, out.data() + 16);
  return out;
}

TEST(Openssl, AnotherClientAndAnotherServer) {
  for (const bool they_are_client : {true, false}) {
    Stranger them(they_are_client);
    const auto us = endpoint(Maker::openssl, 4);
    Options o;
    o.role = they_are_client ? Role::server : Role::client;
    o.peer = {them.fingerprint};
    const auto association = us->open(o);
    Datagrams first;
    association->start(real_now(), first);
    them.talk(*association, first);
    ASSERT_EQ(association->state(), State::established) << they_are_client;
    ASSERT_TRUE(SSL_is_init_finished(them.ssl));
    // RFC 5764 section 4.2: client key, server key, client salt, server salt.
    const Octets exported = them.exported();
    const Octets client = joined(exported, 0, 32), server = joined(exported, 16, 46);
    const Keys& keys = *association->keys();
    EXPECT_EQ(keys.ours.suite(), srtp::Suite::aes_cm_128_hmac_sha1_80);
    EXPECT_TRUE(std::ranges::equal(keys.ours.bytes(), they_are_client ? server : client));
    EXPECT_TRUE(std::ranges::equal(keys.theirs.bytes(), they_are_client ? client : server));
  }
}

TEST(Openssl, RenegotiationIsRefused) {
  Stranger them(true);
  const auto us = endpoint(Maker::openssl, 4);
  Options o;
  o.role = Role::server;
  o.peer = {them.fingerprint};
  const auto association = us->open(o);
  them.talk(*association);
  ASSERT_EQ(association->state(), State::established);
  const Octets before(association->keys()->ours.bytes().begin(), association->keys()->ours.bytes().end());
  ASSERT_EQ(SSL_renegotiate(them.ssl), 1);
  SSL_do_handshake(them.ssl);
  ERR_clear_error();
  them.talk(*association);
  EXPECT_EQ(association->state(), State::established);
  EXPECT_EQ(Octets(association->keys()->ours.bytes().begin(), association->keys()->ours.bytes().end()),
            before);
}

TEST(Openssl, CloseNotifyIsToldAndEndsNothing) {
  Stranger them(true);
  const auto us = endpoint(Maker::openssl, 4);
  Options o;
  o.role = Role::server;
  o.peer = {them.fingerprint};
  const auto association = us->open(o);
  them.talk(*association);
  ASSERT_EQ(association->state(), State::established);
  EXPECT_FALSE(association->closed_by_peer());
  SSL_shutdown(them.ssl);
  them.talk(*association);
  EXPECT_TRUE(association->closed_by_peer());
  EXPECT_TRUE(association->keys());
}

TEST(Openssl, AClientWithoutSrtpGetsNoKeys) {
  Stranger them(true);
  SSL_set_tlsext_use_srtp(them.ssl, "SRTP_AES128_CM_SHA1_32");
  const auto us = endpoint(Maker::openssl, 4);
  Options o;
  o.role = Role::server;
  o.peer = {them.fingerprint};
  o.suites = {srtp::Suite::aead_aes_128_gcm};
  const auto association = us->open(o);
  them.talk(*association);
  EXPECT_EQ(association->failure(), Reason::no_profile);
  EXPECT_FALSE(association->keys());
}

TEST(Openssl, TheKeysCarryMedia) {
  Pair p;
  Wire wire(*p.client, *p.server);
  wire.start();
  wire.run();
  ASSERT_TRUE(p.keyed());
  srtp::Refusals refusals;
  srtp::Sender sender(p.client->keys()->ours, refusals);
  srtp::Receiver receiver(p.server->keys()->theirs, refusals);
  Octets packet(172 + srtp::tail_room, 0x55);
  packet[0] = 0x80;
  const auto size = sender.protect_rtp(packet, 172);
  ASSERT_TRUE(size);
  EXPECT_TRUE(receiver.unprotect_rtp(packet, *size));
}

TEST(Certificate, IsNewEachTime) {
  SeededRng rng(1);
  const WallTime now{1'700'000'000'000'000'000};
  EXPECT_FALSE(Certificate::make(now, rng).fingerprint(FingerprintHash::sha_256) ==
               Certificate::make(now, rng).fingerprint(FingerprintHash::sha_256));
}

}  // namespace
}  // namespace tandem::dtls
