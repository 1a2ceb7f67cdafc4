#pragma once
// The media side of the world: datagram ports in batches, rewritten in place.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "port/flow.h"

namespace tandem::port {

/// A bound UDP media port of this worker. Slots are dense and reused; generation tells an old tenant from a
/// new one.
struct MediaPortId {
  uint32_t slot = 0;
  uint32_t generation = 0;
  constexpr bool operator==(const MediaPortId&) const = default;
  constexpr explicit operator bool() const { return generation != 0; }
};

struct MediaPort {
  MediaPortId id;
  SocketAddress local;   // bound address
  IpAddress advertised;  // what goes into SDP
  /// The same port in the other address family: what is sent to an address of that family leaves from there.
  /// Unset: it has none.
  SocketAddress other_local;
  IpAddress other_advertised;
};

/// A leg's place on the one port that all WebRTC legs of this worker share in a realm. `leg.id` is the leg's
/// own: what it sends leaves by it. What comes in is of `hub`, whoever's it is: telling that is the
/// receiver's.
struct SharedPort {
  MediaPort leg;
  MediaPortId hub;
  bool connections = false;  // TCP comes to the same numbers (RFC 6544), framed by RFC 4571
};

/// Binding a datagram port is immediate and cannot block, so it is a capability handed to the worker (as Rng
/// is), not a question: an SDP answer needs the number in the same breath. `net` implements it with sockets,
/// the simulator with a table. Every number comes from the realm's range; a port in use by a stranger is
/// skipped and counted.
class MediaPorts {
 public:
  virtual ~MediaPorts() = default;
  /// RTP on an even port and RTCP on the next one (RFC 3550 section 11). Nothing when the range is exhausted.
  /// `like` chooses the address family of the realm's address to bind.
  struct Pair {
    MediaPort rtp;
    MediaPort rtcp;
  };
  virtual std::optional<Pair> open_pair(RealmId realm, IpAddress::Family like) = 0;
  /// The same numbers again, after a restore or a move from another worker. Nothing when a stranger has them.
  virtual std::optional<Pair> reopen_pair(RealmId realm, SocketAddress rtp_local) = 0;
  virtual void close(MediaPortId id) = 0;

  /// Binds the pair in the realm's other family, too; `same`: at that number, after a restore. False: the
  /// realm has no other, or no number of it is free.
  virtual bool widen(RealmId, Pair&, const SocketAddress& /*same*/) { return false; }
  /// Nothing: the realm has no shared port. Each is closed by close(leg.id).
  virtual std::optional<SharedPort> open_shared(RealmId) { return std::nullopt; }
  /// A connection that came to `hub` has shown whose it is: it may stay. Those nobody keeps end after a
  /// while.
  virtual void keep(MediaPortId, const SocketAddress&) {}
  /// Ends a connection of `hub`. Not known: no effect.
  virtual void end(MediaPortId, const SocketAddress&) {}
};

/// A datagram in a receive batch. `bytes` may be rewritten in place, and has `headroom` writable bytes after
/// it (SRTP tags, RTCP growth).
struct MediaPacket {
  MediaPortId port;
  SocketAddress remote;
  MutableBytes bytes;
  uint32_t tailroom = 0;
  bool connection = false;  // it came over TCP; without bytes: a connection that was kept has ended
};

/// A datagram to send. `bytes` points into a MediaPacket's buffer of the same batch, or into `MediaOut::own`.
struct MediaSend {
  MediaPortId port;
  SocketAddress remote;
  Bytes bytes;
  bool connection = false;  // over the TCP connection with `remote`, of a shared port
};

struct MediaOut {
  std::vector<MediaSend> sends;
  std::vector<Buffer> own;  // storage of packets made here (tones, RTCP)
  void clear() {
    sends.clear();
    own.clear();
  }
  void send_own(MediaPortId port, SocketAddress remote, Buffer bytes, bool connection = false) {
    sends.push_back({port, remote, bytes.bytes(), connection});
    own.push_back(std::move(bytes));
  }
};

}  // namespace tandem::port
