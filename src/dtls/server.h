#pragma once
// DTLS as a plain transport of datagrams (RFC 6347, DTLS 1.2), server side: what TURN over DTLS runs on (RFC
// 7350). Nothing to do with DTLS-SRTP, which is association.h's.
//
// A stranger's ClientHello is answered with a cookie and forgotten (RFC 6347 section 4.2.1): there is no
// state for anybody who has not shown that he receives at the address he sends from.
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dtls/association.h"

namespace tandem::dtls {

/// Certificate and key of a listener, shared by all workers and never changed.
class ServerIdentity {
 public:
  /// PEM texts: the chain, leaf first, and its key. `cookie_key`: random, the same on all workers of a
  /// listener. The failure says what is wrong.
  static Result<std::shared_ptr<const ServerIdentity>, std::string> make(
      std::string_view chain, std::string_view key, const std::array<uint8_t, 32>& cookie_key);
  ~ServerIdentity();
  struct Handles;
  const Handles& handles() const { return *handles_; }

 private:
  ServerIdentity();
  std::unique_ptr<Handles> handles_;
};

/// One client that has proved its address.
class ServerSession {
 public:
  virtual ~ServerSession() = default;
  enum class State : uint8_t { handshaking, open, closed };
  virtual State state() const = 0;
  /// Takes a datagram; what is to be sent is appended to `out`. Application data is then read with read().
  virtual State on_datagram(Bytes datagram, Datagrams& out) = 0;
  /// The next datagram of application data; 0: none. `out`: the last flight again, for a client that missed
  /// it.
  virtual size_t read(MutableBytes into, Datagrams& out) = 0;
  /// False: it cannot be sent (closed, or longer than a record).
  virtual bool write(Bytes bytes, Datagrams& out) = 0;
  /// Retransmissions of the handshake, by OpenSSL's own clock (see README): call it now and then, at least
  /// each second while handshaking.
  virtual void on_timeout(Datagrams& out) = 0;
  /// close_notify.
  virtual void close(Datagrams& out) = 0;
};

/// `address`: whatever names where the datagram came from; it is bound into the cookie. A session once a
/// ClientHello has brought its cookie back; else nullptr, and perhaps a HelloVerifyRequest in `out`.
std::unique_ptr<ServerSession> on_client_hello(const std::shared_ptr<const ServerIdentity>& identity,
                                               Bytes datagram, std::string_view address, Datagrams& out);

}  // namespace tandem::dtls
