#include "dtls/openssl_endpoint.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/srtp.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "crypto/secret.h"
#include "dtls/datagram_bio.h"
#include "dtls/openssl.h"

namespace tandem::dtls {
namespace {

// ---- configuration ---------------------------------------------------------------------------------------

/// OpenSSL's names of the protection profiles.
const char* profile_name(srtp::Suite suite) {
  switch (suite) {
    case srtp::Suite::aes_cm_128_hmac_sha1_80:
      return "SRTP_AES128_CM_SHA1_80";
    case srtp::Suite::aes_cm_128_hmac_sha1_32:
      return "SRTP_AES128_CM_SHA1_32";
    case srtp::Suite::aead_aes_128_gcm:
      return "SRTP_AEAD_AES_128_GCM";
    case srtp::Suite::aead_aes_256_gcm:
      return "SRTP_AEAD_AES_256_GCM";
    case srtp::Suite::aes_256_cm_hmac_sha1_80:
    case srtp::Suite::aes_256_cm_hmac_sha1_32:
      return nullptr;
  }
  return nullptr;
}

std::string profile_list(const std::vector<srtp::Suite>& suites) {
  std::string list;
  for (const srtp::Suite suite : suites) {
    const char* name = profile_name(suite);
    if (!name) continue;
    if (!list.empty()) list.push_back(':');
    list.append(name);
  }
  return list;
}

constexpr bool is_dtls(Bytes datagram) {
  // ContentType, version 254.x (RFC 6347 section 4.1); the whole first record is there.
  return datagram.size() >= 13 && datagram[0] >= 20 && datagram[0] <= 23 && datagram[1] == 254 &&
         datagram.size() >= 13u + (size_t{datagram[11]} << 8 | datagram[12]);
}

/// What a server waits for: a handshake record with a first fragment of a ClientHello.
constexpr bool is_client_hello(Bytes datagram) {
  return datagram[0] == 22 && datagram.size() > 13 && datagram[13] == 1;
}

/// The random of a ClientHello (RFC 6347 section 4.2.2: 13 octets of record, 12 of handshake header, 2 of
/// version). Empty when this is no first fragment of a first ClientHello.
Bytes client_random(Bytes datagram) {
  constexpr size_t at = 13 + 12 + 2, octets = 32;
  if (!is_client_hello(datagram) || datagram.size() < at + octets) return {};
  const Bytes sequence = datagram.subspan(17, 2), fragment_offset = datagram.subspan(19, 3);
  const auto zero = [](Bytes b) { return std::all_of(b.begin(), b.end(), [](uint8_t o) { return o == 0; }); };
  return zero(sequence) && zero(fragment_offset) ? datagram.subspan(at, octets) : Bytes{};
}

class OpensslAssociation final : public Association {
 public:
  OpensslAssociation(SSL_CTX* context, Options options, Troubles& troubles);

  void start(Now now, Datagrams& out) override;
  void on_datagram(Now now, Bytes datagram, Source source, Datagrams& out) override;
  void on_timeout(Now now, Datagrams& out) override;
  Instant next_timeout() const override;

  State state() const override { return state_; }
  std::optional<Reason> failure() const override { return failure_; }
  const Keys* keys() const override { return keys_ ? &*keys_ : nullptr; }
  bool closed_by_peer() const override { return closed_by_peer_; }

  /// OpenSSL asks what to make of the peer's certificate, when its signature has yet to be seen.
  static int verify(X509_STORE_CTX* store, void*);
  static unsigned retransmit_after(SSL* ssl, unsigned before_us);

 private:
  void begin_attempt();
  void prefer_latest_hello(Bytes datagram);
  void handshake(Now now, Datagrams& out);
  void after_handshake(Datagrams& out);
  void finish();
  void attempt_failed(Now now, Reason reason, Datagrams& out, size_t sent_before);
  void fail(Reason reason);
  void set_timer(Now now);

  // given
  SSL_CTX* context_;
  Options options_;
  Troubles* troubles_;
  // owned
  DatagramLink link_;
  Owned<SSL> ssl_;
  // state
  State state_ = State::idle;
  int attempts_failed_ = 0;
  std::array<uint8_t, 32> hello_random_{};  // of the ClientHello a server is at
  bool wrong_fingerprint_ = false;
  bool closed_by_peer_ = false;
  std::optional<Reason> failure_;
  std::optional<Keys> keys_;
  Instant retransmit_ = Instant::never();
  Instant resume_ = Instant::never();  // a client between two attempts hears nothing until then
  Instant limit_ = Instant::never();
};

OpensslAssociation::OpensslAssociation(SSL_CTX* context, Options options, Troubles& troubles)
    : context_(context), options_(std::move(options)), troubles_(&troubles) {
  options_.mtu = std::clamp<size_t>(options_.mtu, 256, 9000);
  begin_attempt();
}

void OpensslAssociation::begin_attempt() {
  wrong_fingerprint_ = false;
  retransmit_ = Instant::never();
  ssl_.reset(SSL_new(context_));
  if (!ssl_) std::abort();
  BIO* bio = new_datagram_bio(link_);
  if (!bio) std::abort();
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_mtu(ssl_.get(), static_cast<long>(options_.mtu));
  DTLS_set_timer_cb(ssl_.get(), retransmit_after);
  const std::string profiles = profile_list(options_.suites);
  if (!profiles.empty()) SSL_set_tlsext_use_srtp(ssl_.get(), profiles.c_str());
  if (options_.role == Role::client)
    SSL_set_connect_state(ssl_.get());
  else
    SSL_set_accept_state(ssl_.get());
}

int OpensslAssociation::verify(X509_STORE_CTX* store, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& self = *static_cast<OpensslAssociation*>(SSL_get_app_data(ssl));
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  for (const Fingerprint& expected : self.options_.peer)
    if (certificate && fingerprint_of(certificate, expected.hash) == expected) return 1;
  self.wrong_fingerprint_ = true;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

unsigned OpensslAssociation::retransmit_after(SSL* ssl, unsigned before_us) {
  constexpr unsigned longest = 8'000'000;
  const auto& self = *static_cast<const OpensslAssociation*>(SSL_get_app_data(ssl));
  const auto first = std::chrono::duration_cast<microseconds>(self.options_.first_retransmit).count();
  return before_us == 0 ? static_cast<unsigned>(first) : std::min(2 * before_us, longest);
}

void OpensslAssociation::start(Now now, Datagrams& out) {
  if (options_.role != Role::client || state_ != State::idle) return;
  state_ = State::handshaking;
  limit_ = now.mono + options_.limit;
  handshake(now, out);
}

void OpensslAssociation::on_datagram(Now now, Bytes datagram, Source source, Datagrams& out) {
  if (source != Source::validated) return troubles_->add(Reason::unvalidated_source);
  if (datagram.size() > max_datagram) return troubles_->add(Reason::too_large);
  if (!is_dtls(datagram)) return troubles_->add(Reason::not_dtls);
  if (state_ == State::failed || (state_ == State::idle && options_.role == Role::client)) return;
  if (!resume_.is_never()) return;
  if (state_ == State::idle) {
    if (!is_client_hello(datagram)) return troubles_->add(Reason::not_dtls);
    state_ = State::handshaking;
    limit_ = now.mono + options_.limit;
  }
  if (options_.role == Role::server && state_ == State::handshaking) prefer_latest_hello(datagram);
  link_.in = datagram;
  if (state_ == State::handshaking)
    handshake(now, out);
  else
    after_handshake(out);
  link_.in = {};
}

/// Until its answer has been answered a server cannot tell which of two ClientHellos is its peer's, and a
/// peer that was not answered repeats its own: the later one counts. From then on the peer is committed, and
/// so are we.
void OpensslAssociation::prefer_latest_hello(Bytes datagram) {
  const Bytes random = client_random(datagram);
  if (random.empty()) return;
  const OSSL_HANDSHAKE_STATE at = SSL_get_state(ssl_.get());
  if (at == TLS_ST_SW_SRVR_DONE && !std::equal(random.begin(), random.end(), hello_random_.begin()))
    begin_attempt();
  if (SSL_get_state(ssl_.get()) == TLS_ST_BEFORE)
    std::copy(random.begin(), random.end(), hello_random_.begin());
}

void OpensslAssociation::handshake(Now now, Datagrams& out) {
  const size_t sent_before = out.size();
  link_.out = &out;
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  const int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
  link_.out = nullptr;
  ERR_clear_error();
  if (done == 1) {
    finish();
  } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
    if (wrong_fingerprint_)
      fail(Reason::wrong_fingerprint);
    else
      attempt_failed(now, Reason::handshake_failed, out, sent_before);
    return;
  }
  set_timer(now);
}

/// Only OpenSSL reads these: repeats of the peer's last flight, which it answers, alerts, and what is
/// refused.
void OpensslAssociation::after_handshake(Datagrams& out) {
  link_.out = &out;
  ERR_clear_error();
  std::array<uint8_t, 2048> ignored;
  while (SSL_read(ssl_.get(), ignored.data(), static_cast<int>(ignored.size())) > 0) {
  }
  if ((SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0) closed_by_peer_ = true;
  link_.out = nullptr;
  ERR_clear_error();
}

/// RFC 5764 section 4.2: client key, server key, client salt, server salt.
void OpensslAssociation::finish() {
  const SRTP_PROTECTION_PROFILE* profile = SSL_get_selected_srtp_profile(ssl_.get());
  const auto suite = profile ? srtp::suite_of_profile(static_cast<uint16_t>(profile->id)) : std::nullopt;
  if (!suite) return fail(Reason::no_profile);
  static constexpr std::string_view label = "EXTRACTOR-dtls_srtp";
  const size_t key = srtp::traits(*suite).key_octets, salt = srtp::traits(*suite).salt_octets;
  crypto::Secret<2 * 46> exported;
  if (SSL_export_keying_material(ssl_.get(), exported.data(), 2 * (key + salt), label.data(), label.size(),
                                 nullptr, 0, 0) != 1)
    return fail(Reason::handshake_failed);
  const auto master = [&](size_t side) {
    crypto::Secret<46> one;
    std::copy_n(exported.data() + side * key, key, one.data());
    std::copy_n(exported.data() + 2 * key + side * salt, salt, one.data() + key);
    return srtp::MasterKey::from(*suite, one.first(key + salt)).value();
  };
  const size_t us = options_.role == Role::client ? 0 : 1;
  keys_.emplace(Keys{master(us), master(1 - us)});
  state_ = State::established;
}

/// Alerts are not authenticated before the handshake is over, and neither is a first flight: whoever can send
/// from the peer's address can ruin an attempt, not the association. Our own alert is kept back but for the
/// last attempt: it would end the peer's good one.
void OpensslAssociation::attempt_failed(Now now, Reason reason, Datagrams& out, size_t sent_before) {
  if (++attempts_failed_ >= max_attempts) return fail(reason);
  troubles_->add(reason);
  out.resize(sent_before);
  begin_attempt();
  link_.in = {};
  // A client waits before it begins anew: flights that answer its last ClientHello are still on their way.
  if (options_.role == Role::client) resume_ = now.mono + options_.first_retransmit;
}

void OpensslAssociation::fail(Reason reason) {
  troubles_->add(reason);
  failure_ = reason;
  state_ = State::failed;
  retransmit_ = resume_ = limit_ = Instant::never();
}

void OpensslAssociation::set_timer(Now now) {
  timeval left{};
  if (state_ == State::established) limit_ = Instant::never();
  if (state_ == State::handshaking && DTLSv1_get_timeout(ssl_.get(), &left) == 1)
    retransmit_ = now.mono + seconds(left.tv_sec) + microseconds(left.tv_usec);
  else
    retransmit_ = Instant::never();
}

void OpensslAssociation::on_timeout(Now now, Datagrams& out) {
  if (state_ != State::handshaking) return;
  if (now.mono >= limit_) return fail(Reason::timed_out);
  if (now.mono >= resume_) {
    resume_ = Instant::never();
    return handshake(now, out);
  }
  if (now.mono < retransmit_) return;
  const size_t sent_before = out.size();
  link_.out = &out;
  ERR_clear_error();
  // 0: by OpenSSL's own clock it is not yet time. It tells how long it still is.
  const long done = DTLSv1_handle_timeout(ssl_.get());
  link_.out = nullptr;
  ERR_clear_error();
  if (done < 0) return attempt_failed(now, Reason::handshake_failed, out, sent_before);
  set_timer(now);
}

Instant OpensslAssociation::next_timeout() const { return std::min({retransmit_, resume_, limit_}); }

}  // namespace

// ---- Endpoint --------------------------------------------------------------------------------------------

struct OpensslEndpoint::Context {
  Owned<SSL_CTX> ssl;
};

OpensslEndpoint::OpensslEndpoint(Certificate certificate)
    : certificate_(std::move(certificate)), context_(std::make_unique<Context>()) {
  context_->ssl.reset(SSL_CTX_new(DTLS_method()));
  SSL_CTX* c = context_->ssl.get();
  if (!c || SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
      SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384") != 1 ||
      SSL_CTX_use_certificate(c, certificate_.handles().certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(c, certificate_.handles().key.get()) != 1)
    std::abort();  // memory, or an OpenSSL without these
  SSL_CTX_set_options(
      c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(c, OpensslAssociation::verify, nullptr);
}

OpensslEndpoint::~OpensslEndpoint() = default;

std::unique_ptr<Association> OpensslEndpoint::open(const Options& options) {
  return std::make_unique<OpensslAssociation>(context_->ssl.get(), options, troubles_);
}

}  // namespace tandem::dtls
