#include "net/tls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cerrno>

#include "base/address.h"
#include "base/text.h"
#include "net/certified_names.h"
#include "net/sockets.h"

namespace tandem::net {
namespace {

/// The most recent OpenSSL error as text, and a clean queue.
std::string ssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  return reason ? reason : "unknown error";
}

std::string unreadable(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? "" : error_text(errno);
}

Result<SslContext, std::string> new_context(const SSL_METHOD* method) {
  SslContext context(SSL_CTX_new(method), SSL_CTX_free);
  if (!context) return Failure{"cannot set up TLS: " + ssl_error()};
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(),
                      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
  return context;
}

Status<std::string> use_identity(SSL_CTX* context, const TlsFiles& files) {
  if (const auto why = unreadable(files.certificate); !why.empty())
    return Failure{fmt::format("cannot read certificate {}: {}", files.certificate, why)};
  if (const auto why = unreadable(files.key); !why.empty())
    return Failure{fmt::format("cannot read private key {}: {}", files.key, why)};
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
    return Failure{fmt::format("certificate {} is not usable: {}", files.certificate, ssl_error())};
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return Failure{fmt::format("private key {} is not usable: {}", files.key, ssl_error())};
  if (SSL_CTX_check_private_key(context) != 1)
    return Failure{
        fmt::format("private key {} does not belong to certificate {}", files.key, files.certificate)};
  return Done{};
}

Status<std::string> use_trust(SSL_CTX* context, const std::string& ca) {
  if (ca.empty()) {
    SSL_CTX_set_default_verify_paths(context);
    return Done{};
  }
  if (SSL_CTX_load_verify_locations(context, ca.c_str(), nullptr) != 1)
    return Failure{fmt::format("cannot read trusted certificates {}: {}", ca, ssl_error())};
  return Done{};
}

}  // namespace

namespace {

/// The certificates of a listener. Lives as long as the default one's SSL_CTX, which connections hold on to.
struct Alternatives {
  struct Entry {
    std::vector<std::string> names;
    SslContext context;  // null: the default
  };
  std::vector<Entry> entries;
};

void free_alternatives(void*, void* alternatives, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Alternatives*>(alternatives);
}

int alternatives_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_alternatives);
  return index;
}

/// RFC 6066 section 3. A name we do not know gets the default: telephones often ask for what they were
/// configured with, an address or an old name, and it is theirs to judge the certificate.
int choose_certificate(SSL* ssl, int*, void* alternatives) {
  const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!asked) return SSL_TLSEXT_ERR_NOACK;
  for (const auto matches : {is_certified, serves_name})  // a name in full before a wildcard
    for (const auto& entry : static_cast<const Alternatives*>(alternatives)->entries)
      if (matches(entry.names, asked)) {
        if (entry.context) SSL_set_SSL_CTX(ssl, entry.context.get());
        return SSL_TLSEXT_ERR_OK;
      }
  return SSL_TLSEXT_ERR_OK;
}

Result<SslContext, std::string> one_server_context(const TlsFiles& files, const std::string& client_ca,
                                                   bool request_client_certificate) {
  auto context = new_context(TLS_server_method());
  if (!context.ok()) return context;
  SSL_CTX* c = context->get();
  SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);
  static constexpr unsigned char session_context[] = "tandem";
  SSL_CTX_set_session_id_context(c, session_context, sizeof session_context - 1);
  if (auto done = use_identity(c, files); !done.ok()) return Failure{done.reason()};
  if (request_client_certificate) {
    if (auto done = use_trust(c, client_ca); !done.ok()) return Failure{done.reason()};
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
  }
  return context;
}

}  // namespace

Result<SslContext, std::string> load_server_context(const TlsFiles& files, bool request_client_certificate,
                                                    const std::vector<TlsFiles>& more) {
  auto context = one_server_context(files, files.ca, request_client_certificate);
  if (!context.ok() || more.empty()) return context;
  auto alternatives = std::make_unique<Alternatives>();
  alternatives->entries.push_back({server_names(SSL_CTX_get0_certificate(context->get())), nullptr});
  for (const TlsFiles& other : more) {
    auto loaded = one_server_context(other, files.ca, request_client_certificate);
    if (!loaded.ok()) return loaded;
    auto names = server_names(SSL_CTX_get0_certificate(loaded->get()));
    alternatives->entries.push_back({std::move(names), std::move(loaded).value()});
  }
  SSL_CTX* c = context->get();
  if (SSL_CTX_set_ex_data(c, alternatives_index(), alternatives.get()) != 1)
    return Failure{"cannot set up TLS: " + ssl_error()};
  SSL_CTX_set_tlsext_servername_callback(c, choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(c, alternatives.release());
  return context;
}

Result<SslContext, std::string> load_client_context(const std::string& ca, const TlsFiles& identity) {
  auto context = new_context(TLS_client_method());
  if (!context.ok()) return context;
  if (auto done = use_trust(context->get(), ca); !done.ok()) return Failure{done.reason()};
  if (!identity.certificate.empty())
    if (auto done = use_identity(context->get(), identity); !done.ok()) return Failure{done.reason()};
  return context;
}

Status<std::string> TlsContext::load() {
  auto fresh = side_ == Side::server ? load_server_context(files_, request_client_certificate_, more_)
                                     : load_client_context(files_.ca, files_);
  if (!fresh.ok()) return Failure{fresh.reason()};
  const std::lock_guard lock(mutex_);
  context_ = std::move(fresh).value();
  return Done{};
}

SslContext TlsContext::current() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

// ---- self-signed certificates ----

namespace {

template <class T, void (*free_function)(T*)>
struct OpenSslFree {
  void operator()(T* p) const { free_function(p); }
};
using Key = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, OpenSslFree<X509, X509_free>>;

void add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  if (X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())) {
    X509_add_ext(certificate, e, -1);
    X509_EXTENSION_free(e);
  }
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    if (name.find_first_of(",\n") != std::string::npos) continue;  // would read as another extension value
    const char* kind = IpAddress::parse(name) ? "IP" : istarts_with(name, "sip:") ? "URI" : "DNS";
    out += fmt::format("{}{}:{}", out.empty() ? "" : ",", kind, name);
  }
  return out;
}

Certificate sign(EVP_PKEY* key, const std::vector<std::string>& names) {
  Certificate certificate(X509_new());
  X509* x = certificate.get();
  X509_set_version(x, X509_VERSION_3);
  BIGNUM* serial = BN_new();
  BN_rand(serial, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY);
  BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x));
  BN_free(serial);
  X509_gmtime_adj(X509_getm_notBefore(x), -3600);  // peers whose clock is behind
  X509_time_adj_ex(X509_getm_notAfter(x), 3650, 0, nullptr);
  X509_set_pubkey(x, key);
  X509_NAME* subject = X509_get_subject_name(x);
  const std::string common = names.empty() ? "tandem" : names.front();
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1, 0);
  X509_set_issuer_name(x, subject);
  // No CA constraint: phones and browsers that pin this certificate trust it as itself, not as an issuer.
  add_extension(x, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(x, NID_ext_key_usage, "serverAuth,clientAuth");
  if (const std::string san = alternative_names(names); !san.empty())
    add_extension(x, NID_subject_alt_name, san);
  if (X509_sign(x, key, EVP_sha256()) == 0) return nullptr;
  return certificate;
}

template <class Write>
Status<std::string> write_pem(const std::string& path, mode_t mode, Write write) {
  unlink(path.c_str());  // a new file, so that the mode below is the mode it has
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!fd) return Failure{fmt::format("cannot write {}: {}", path, error_text(errno))};
  FILE* file = fdopen(fd.get(), "w");
  if (!file) return Failure{fmt::format("cannot write {}: {}", path, error_text(errno))};
  fd.release();
  const bool written = write(file) == 1;
  if (fclose(file) != 0 || !written)
    return Failure{fmt::format("cannot write {}: {}", path, error_text(errno))};
  return Done{};
}

}  // namespace

Status<std::string> make_self_signed(const std::string& certificate_path, const std::string& key_path,
                                     const std::vector<std::string>& names) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return Failure{"cannot make a key: " + ssl_error()};
  const Certificate certificate = sign(key.get(), names);
  if (!certificate) return Failure{"cannot sign a certificate: " + ssl_error()};
  auto done = write_pem(key_path, 0600, [&](FILE* f) {
    return PEM_write_PrivateKey(f, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  if (!done.ok()) return done;
  return write_pem(certificate_path, 0644, [&](FILE* f) { return PEM_write_X509(f, certificate.get()); });
}

std::vector<std::string> self_signed_names(const std::string& certificate_path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(certificate_path.c_str(), "re"), fclose);
  if (!file) return {};
  const Certificate certificate(PEM_read_X509(file.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!certificate || X509_self_signed(certificate.get(), 1) != 1) return {};
  return server_names(certificate.get());
}

}  // namespace tandem::net
