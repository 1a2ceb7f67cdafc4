#pragma once
// The TURN side of the world (RFC 8656, RFC 6062): clients by their 5-tuple, relay ports towards peers,
// packets in batches and rewritten in place.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/time.h"
#include "port/enum_text.h"

namespace tandem::port {

/// Between client and server.
enum class RelayTransport : uint8_t { udp, tcp, tls, dtls };
template <>
struct EnumText<RelayTransport> {
  static constexpr std::string_view names[] = {"udp", "tcp", "tls", "dtls"};
};

/// The 5-tuple of a client (RFC 8656 section 2.2): a listener and a remote address over UDP, else a
/// connection or a DTLS association of this worker. `generation` tells a connection from the one before it in
/// the same slot; 0 over UDP.
struct RelayClient {
  RelayTransport transport = RelayTransport::udp;
  uint16_t listener = 0;
  uint32_t slot = 0;
  uint32_t generation = 0;
  SocketAddress remote;
  bool operator==(const RelayClient&) const = default;
};
struct RelayClientHash {
  size_t operator()(const RelayClient& c) const noexcept {
    const uint64_t name = uint64_t{c.generation} << 32 | c.slot;
    return SocketAddressHash{}(c.remote) ^
           mix64(name << 8 ^ uint64_t{c.listener} << 2 ^ static_cast<uint64_t>(c.transport));
  }
};

/// A bound relay port of this worker, named as a media port is. generation 0 names nothing.
struct RelayPortId {
  uint32_t slot = 0;
  uint32_t generation = 0;
  constexpr bool operator==(const RelayPortId&) const = default;
  constexpr explicit operator bool() const { return generation != 0; }
};
struct RelayPort {
  RelayPortId id;
  SocketAddress local;   // bound
  IpAddress advertised;  // what clients are told; the port number is that of `local`
};
/// A TCP connection with a peer (RFC 6062). Unique on its worker while it lives; 0 names nothing.
using RelayConnection = uint32_t;

/// How much may go through pipes (RFC 6062), and how much has.
class PipeMeter {
 public:
  virtual ~PipeMeter() = default;
  /// Octets that may pass now. `up`: to the peer.
  virtual size_t budget(Instant now, bool up) = 0;
  virtual void passed(Instant now, bool up, size_t octets) = 0;
};

/// What the worker may do to the world in the same breath; none of it waits.
class RelayPorts {
 public:
  virtual ~RelayPorts() = default;
  /// Is there an address of that family to relay from?
  virtual bool has(IpAddress::Family family) const = 0;
  /// A port nobody has. Nothing when all are taken.
  virtual std::optional<RelayPort> open(IpAddress::Family family, bool even) = 0;
  /// An even port and the next one (RFC 8656 section 7.1, EVEN-PORT with R).
  virtual std::optional<std::pair<RelayPort, RelayPort>> open_pair(IpAddress::Family family) = 0;
  /// A port that peers may connect to and connections are made from (RFC 6062 section 5.1).
  virtual std::optional<RelayPort> open_tcp(IpAddress::Family family) = 0;
  /// The same number again, after a restore or a move. Nothing when a stranger has it.
  virtual std::optional<RelayPort> reopen(SocketAddress local, bool tcp) = 0;
  virtual void close(RelayPortId id) = 0;

  /// Begins to connect from a TCP port; a RelayEvent says how it went. 0: no descriptor is left.
  virtual RelayConnection connect(RelayPortId from, SocketAddress peer) = 0;
  /// From now on, and after what is being sent to the client, both connections are one pipe. Neither was read
  /// from before. The pipe ends by itself, with closed events for both. `meter` is asked as long as the pipe
  /// is open.
  virtual void splice(RelayConnection peer, const RelayClient& client, std::shared_ptr<PipeMeter> meter) = 0;
  virtual void close(RelayConnection peer) = 0;
  /// It has an allocation: its connection, or association, may be silent as long as that lasts.
  virtual void keep(const RelayClient& client) = 0;
  /// It has none any more.
  virtual void let_go(const RelayClient& client) = 0;
  /// After what is queued for it has been written. UDP clients have nothing to close.
  virtual void close(const RelayClient& client) = 0;
};

/// Writable bytes before a packet from a peer: a Data indication's header with an IPv6 address is 48.
inline constexpr size_t relay_headroom = 64;
/// And after it: padding to a multiple of 4.
inline constexpr size_t relay_tailroom = 4;

/// A datagram of a receive batch, or one STUN message or ChannelData message of a stream, cut to its length.
struct RelayPacket {
  RelayPortId port;    // from a peer; names nothing: from a client
  RelayClient client;  // from a client
  SocketAddress peer;  // from a peer
  MutableBytes bytes;  // within relay_headroom and relay_tailroom
};

/// What leaves. Bytes point into a RelayPacket of the same batch, or into RelayOut::own.
struct RelayToClient {
  RelayClient client;
  Bytes bytes;
};
struct RelayToPeer {
  RelayPortId port;
  SocketAddress peer;
  Bytes bytes;
  bool dont_fragment = false;
};
struct RelayOut {
  std::vector<RelayToClient> to_clients;
  std::vector<RelayToPeer> to_peers;
  std::vector<Buffer> own;
  bool empty() const { return to_clients.empty() && to_peers.empty(); }
  void clear() {
    to_clients.clear();
    to_peers.clear();
    own.clear();
  }
};

struct RelayEvent {
  enum class Kind : uint8_t {
    client_closed,   // `client` is gone: a connection, or a DTLS association
    connected,       // `connection` is up
    connect_failed,  // and is gone
    accepted,        // `connection` is new, from `peer` to the TCP port `port`
    closed,          // `connection` is gone, whoever ended it
  };
  Kind kind = Kind::client_closed;
  RelayClient client;
  RelayPortId port;
  RelayConnection connection = 0;
  SocketAddress peer;
};

/// An allocation that follows its client to another worker (RFC 8016), in three steps: asked for with the
/// ticket by the worker the client speaks to, sent as a part, or refused with an empty one.
struct RelayMove {
  uint16_t to_worker = 0;
  bool answer = false;
  uint64_t request = 0;  // of the worker that asks
  uint16_t from_worker = 0;
  std::string user;
  std::string ticket;
  std::string part;
};

}  // namespace tandem::port
