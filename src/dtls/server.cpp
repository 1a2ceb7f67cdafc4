#include "dtls/server.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/secret.h"
#include "dtls/datagram_bio.h"
#include "dtls/openssl.h"

namespace tandem::dtls {
namespace {

constexpr unsigned cookie_octets = 32;
constexpr long link_mtu = 1200;  // of handshake flights: what every path carries

struct Link : DatagramLink {
  std::string_view address;
  const ServerIdentity::Handles* identity = nullptr;
};

std::string ssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  return reason ? reason : "unknown error";
}

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeAddress {
  void operator()(BIO_ADDR* a) const { BIO_ADDR_free(a); }
};
std::unique_ptr<BIO, FreeBio> text_bio(std::string_view text) {
  return std::unique_ptr<BIO, FreeBio>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

bool is_client_hello(Bytes d) { return d.size() > 25 && d[0] == 22 && d[1] == 254 && d[13] == 1; }

}  // namespace

struct ServerIdentity::Handles {
  Owned<SSL_CTX> context;
  crypto::Secret<32> cookie_key;
};

namespace {

crypto::Digest cookie_of(SSL* ssl) {
  const Link& link = static_cast<const Link&>(link_of(SSL_get_rbio(ssl)));
  return crypto::hmac(crypto::Hash::sha256, as_text(link.identity->cookie_key.first(32)), link.address);
}

int make_cookie(SSL* ssl, unsigned char* cookie, unsigned* size) {
  const auto digest = cookie_of(ssl);
  std::copy_n(digest.bytes.begin(), cookie_octets, cookie);
  *size = cookie_octets;
  return 1;
}

int check_cookie(SSL* ssl, const unsigned char* cookie, unsigned size) {
  return crypto::constant_time_equal(cookie_of(ssl).view(), Bytes(cookie, size)) ? 1 : 0;
}

class Session final : public ServerSession {
 public:
  explicit Session(std::shared_ptr<const ServerIdentity> identity) : identity_(std::move(identity)) {
    link_.identity = &identity_->handles();
    link_.mtu = link_mtu;
    ssl_.reset(SSL_new(identity_->handles().context.get()));
    BIO* bio = ssl_ ? new_datagram_bio(link_) : nullptr;
    if (!bio) {
      state_ = State::closed;
      return;
    }
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_options(ssl_.get(), SSL_OP_COOKIE_EXCHANGE | SSL_OP_NO_QUERY_MTU);
    SSL_set_mtu(ssl_.get(), link_mtu);
    SSL_set_accept_state(ssl_.get());
  }

  /// True once the cookie came back.
  bool listen(Bytes hello, std::string_view address, Datagrams& out) {
    if (state_ == State::closed) return false;
    ERR_clear_error();
    link_.in = hello;
    link_.out = &out;
    link_.address = address;
    const std::unique_ptr<BIO_ADDR, FreeAddress> unused(BIO_ADDR_new());
    const int heard = unused ? DTLSv1_listen(ssl_.get(), unused.get()) : 0;
    link_.peek = false;
    if (heard == 1) {
      link_.in = hello;  // it was only looked at
      run(SSL_do_handshake(ssl_.get()));
    }
    link_.in = {};
    link_.out = nullptr;
    link_.address = {};
    return heard == 1 && state_ != State::closed;
  }

  State state() const override { return state_; }

  State on_datagram(Bytes datagram, Datagrams& out) override {
    if (state_ == State::closed) return state_;
    link_.in = datagram;
    if (state_ == State::handshaking) {
      link_.out = &out;
      ERR_clear_error();
      run(SSL_do_handshake(ssl_.get()));
      link_.out = nullptr;
      link_.in = {};
    }
    return state_;  // open: read() takes it from here
  }

  size_t read(MutableBytes into, Datagrams& out) override {
    if (state_ != State::open) return 0;
    ERR_clear_error();
    link_.out = &out;
    const int n = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
    link_.out = nullptr;
    if (n > 0) return static_cast<size_t>(n);
    link_.in = {};
    // A damaged record is dropped without a word; only the peer's close_notify ends a session.
    if (SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN) state_ = State::closed;
    return 0;
  }

  bool write(Bytes bytes, Datagrams& out) override {
    if (state_ != State::open) return false;
    ERR_clear_error();
    link_.out = &out;
    const int n = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    link_.out = nullptr;
    return n == static_cast<int>(bytes.size());
  }

  void on_timeout(Datagrams& out) override {
    if (state_ != State::handshaking) return;
    link_.out = &out;
    if (DTLSv1_handle_timeout(ssl_.get()) < 0) state_ = State::closed;
    link_.out = nullptr;
  }

  void close(Datagrams& out) override {
    if (state_ == State::open) {
      link_.out = &out;
      SSL_shutdown(ssl_.get());
      link_.out = nullptr;
    }
    state_ = State::closed;
  }

 private:
  void run(int done) {
    if (done == 1) {
      state_ = State::open;
      return;
    }
    const int error = SSL_get_error(ssl_.get(), done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) state_ = State::closed;
  }

  const std::shared_ptr<const ServerIdentity> identity_;
  Link link_;
  Owned<SSL> ssl_;
  State state_ = State::handshaking;
};

}  // namespace

ServerIdentity::ServerIdentity() : handles_(std::make_unique<Handles>()) {}
ServerIdentity::~ServerIdentity() = default;

Result<std::shared_ptr<const ServerIdentity>, std::string> ServerIdentity::make(
    std::string_view chain, std::string_view key, const std::array<uint8_t, 32>& cookie_key) {
  ERR_clear_error();
  std::shared_ptr<ServerIdentity> made(new ServerIdentity);
  made->handles_->context.reset(SSL_CTX_new(DTLS_server_method()));
  SSL_CTX* c = made->handles_->context.get();
  if (!c) return Failure{"cannot set up DTLS: " + ssl_error()};
  SSL_CTX_set_min_proto_version(c, DTLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                             SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_cookie_generate_cb(c, make_cookie);
  SSL_CTX_set_cookie_verify_cb(c, check_cookie);
  std::copy(cookie_key.begin(), cookie_key.end(), made->handles_->cookie_key.data());
  const auto certificates = text_bio(chain);
  Owned<X509> leaf(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  if (!leaf || SSL_CTX_use_certificate(c, leaf.get()) != 1)
    return Failure{"certificate is not usable: " + ssl_error()};
  while (X509* more = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr))
    if (SSL_CTX_add0_chain_cert(c, more) != 1) {
      X509_free(more);
      return Failure{"certificate chain is not usable: " + ssl_error()};
    }
  ERR_clear_error();  // the end of the file is one
  const auto key_text = text_bio(key);
  Owned<EVP_PKEY> private_key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!private_key || SSL_CTX_use_PrivateKey(c, private_key.get()) != 1)
    return Failure{"private key is not usable: " + ssl_error()};
  if (SSL_CTX_check_private_key(c) != 1)
    return Failure{std::string("private key does not belong to the certificate")};
  return std::shared_ptr<const ServerIdentity>(std::move(made));
}

std::unique_ptr<ServerSession> on_client_hello(const std::shared_ptr<const ServerIdentity>& identity,
                                               Bytes datagram, std::string_view address, Datagrams& out) {
  if (!is_client_hello(datagram)) return nullptr;
  auto session = std::make_unique<Session>(identity);
  if (!session->listen(datagram, address, out)) return nullptr;
  return session;
}

}  // namespace tandem::dtls
