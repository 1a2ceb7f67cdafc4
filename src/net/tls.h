#pragma once
// TLS contexts (OpenSSL), and certificates that can be read again while connections run.
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/config.h"

struct ssl_ctx_st;

namespace tandem::net {

/// A connection keeps the context it began with.
using SslContext = std::shared_ptr<ssl_ctx_st>;

/// TLS 1.2 and later, no renegotiation, no compression. The failure names the file and what is wrong with it.
/// A client that asks for a name in one of `more` is shown that certificate; any other gets `files`.
Result<SslContext, std::string> load_server_context(const TlsFiles& files, bool request_client_certificate,
                                                    const std::vector<TlsFiles>& more = {});
/// For connections we open. `identity` may be empty: then we present no certificate.
Result<SslContext, std::string> load_client_context(const std::string& ca, const TlsFiles& identity);

/// The context new connections take; any thread.
class TlsContext {
 public:
  enum class Side { server, client };
  TlsContext(Side side, TlsFiles files, bool request_client_certificate = false,
             std::vector<TlsFiles> more = {})
      : side_(side),
        files_(std::move(files)),
        more_(std::move(more)),
        request_client_certificate_(request_client_certificate) {}
  /// Reads the files; on failure the context in use stays.
  Status<std::string> load();
  SslContext current() const;

 private:
  const Side side_;
  const TlsFiles files_;
  const std::vector<TlsFiles> more_;
  const bool request_client_certificate_;
  mutable std::mutex mutex_;
  SslContext context_;  // under mutex_
};

/// Writes a new self-signed certificate (EC P-256, ten years) and its key (mode 0600, never world-readable in
/// between). `names` are DNS names, IP addresses and "sip:DOMAIN" URIs for the subjectAltName; the first is
/// also the common name.
Status<std::string> make_self_signed(const std::string& certificate_path, const std::string& key_path,
                                     const std::vector<std::string>& names);
/// The names and addresses in a self-signed certificate; none when the file is no such certificate.
std::vector<std::string> self_signed_names(const std::string& certificate_path);

}  // namespace tandem::net
