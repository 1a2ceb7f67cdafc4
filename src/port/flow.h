#pragma once
// Where bytes come from and go to. A flow is a pipe with a name; who holds the name needs no socket.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"

namespace tandem::port {

enum class Transport : uint8_t { udp, tcp, tls, ws, wss };
constexpr bool is_reliable(Transport t) { return t != Transport::udp; }
constexpr bool is_websocket(Transport t) { return t == Transport::ws || t == Transport::wss; }
constexpr bool is_secure(Transport t) { return t == Transport::tls || t == Transport::wss; }
const char* to_string(Transport t);  // "UDP", as in a Via

/// Index into the configured realms; 0 is the default realm.
using RealmId = uint16_t;

/// A listener socket (UDP) or a connection (TCP, TLS, WS, WSS). It belongs to the worker that opened it;
/// other workers may send to it by name. generation 0 names nothing.
struct FlowId {
  uint16_t node = 0;
  uint16_t worker = 0;
  uint32_t slot = 0;
  uint32_t generation = 0;
  constexpr bool operator==(const FlowId&) const = default;
  constexpr explicit operator bool() const { return generation != 0; }
};

/// Who the other end of a TLS connection proved to be: the names in its verified certificate (RFC 5922
/// section 7.1), lower case, addresses as text. Written once, then only read, by any worker.
using CertifiedNames = std::shared_ptr<const std::vector<std::string>>;

/// One hop as the message travelled it, or is to travel it. For an answer to a request, the request's Path.
/// With no flow, `net` picks the realm's listener (UDP) or reuses or opens a connection to `remote`.
struct Path {
  Transport transport = Transport::udp;
  RealmId realm = 0;
  FlowId flow;
  SocketAddress local;   // ours, as bound (not as advertised)
  SocketAddress remote;  // theirs, as seen
  CertifiedNames peer;   // null: no certificate, or not verified. Ends with the connection: in no snapshot.

  /// `peer` belongs to the flow and adds nothing.
  bool operator==(const Path& o) const {
    return transport == o.transport && realm == o.realm && flow == o.flow && local == o.local &&
           remote == o.remote;
  }
};

/// A commit of the spool, counted per worker from 1; 0 means "no need to wait".
using CommitId = uint64_t;
/// Names a send whose failure the sender wants to hear of; 0: nobody does.
using SendId = uint64_t;

struct Send {
  Path path;
  Buffer bytes;
  CommitId after = 0;  // held by the worker until this commit is durable (output commit); drivers see 0
  SendId notify = 0;
  std::string server_name;  // TLS: the name the peer's certificate must carry; empty: the remote address
  uint32_t lane = 0;        // without a flow: sends of different lanes share no connection
};

/// A whole message (streams are framed by Content-Length before they get here).
struct Received {
  Path path;
  Buffer bytes;
};

struct FlowEvent {
  enum class Kind : uint8_t {
    opened,       // a connection is up (accepted or connected)
    closed,       // gone, whoever ended it
    send_failed,  // `send` was not and will not be delivered (refused, no route, timed out, queue full)
    congested,    // the peer reads too slowly: this flow's queue passed its high-water mark
    drained,      // and is below its low-water mark again
    keepalive,    // RFC 5626 ping or STUN binding seen on this flow
  };
  Kind kind;
  FlowId flow;
  Path path;
  SendId send = 0;
};

}  // namespace tandem::port
