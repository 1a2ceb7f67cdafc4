#pragma once
// The ICE session of one leg: its agent, and which of the agent's streams and bases are which m-line and
// port. Inside the room.
#include <optional>
#include <vector>

#include "ice/agent.h"
#include "media/engine.h"
#include "port/media.h"

namespace tandem::media {

/// Where a port is bound, and as what peers see that when it is another address. IPv6 first.
struct Bound {
  SocketAddress local, advertised;
};
std::vector<Bound> bound_of(const port::MediaPort& port);

struct Connectivity {
  /// A base of a line: where checks and media go in and out.
  struct Place {
    ice::BaseId base = 0;
    bool rtcp = false;
    bool connection = false;  // TCP, of a shared port
    IpAddress::Family family = IpAddress::Family::v4;
  };
  struct Line {
    std::optional<ice::StreamId> stream;  // nothing: the m-line is not connected by ICE
    uint16_t components = 2;              // RTP, and RTCP unless it is multiplexed
    std::vector<Place> places;
    /// Both sides have said so: nobody but who has passed a check is believed, and nothing goes anywhere
    /// else.
    bool agreed = false;
    bool restarting = false;  // the offer in progress brings new credentials of ours
  };

  explicit Connectivity(ice::Agent a) : agent(std::move(a)) {}

  ice::Agent agent;
  ice::Outbox out;               // what is to be sent and told with the next time-out
  std::vector<Line> lines;       // by m-line
  uint64_t revision = 0;         // of the agent, as the endpoint's counts it
  std::vector<Trickled> untold;  // of ours, since the latest description
  bool peer_trickles = false;
  uint32_t restarts = 0;  // of ours, since a way was found
  Instant restart_at = Instant::never();

  const Line* line(size_t i) const { return i < lines.size() && lines[i].stream ? &lines[i] : nullptr; }
  bool agreed(size_t i) const { return line(i) && lines[i].agreed; }
  /// By what a packet from `remote` came; null: the line has no such base.
  static const Place* place_of(const Line& l, bool rtcp, bool connection, const SocketAddress& remote) {
    for (const Place& p : l.places)
      if (p.rtcp == rtcp && p.connection == connection && p.family == remote.ip.family) return &p;
    return nullptr;
  }
  static const Place* place_of(const Line& l, ice::BaseId base) {
    for (const Place& p : l.places)
      if (p.base == base && (!p.rtcp || l.components > 1)) return &p;
    return nullptr;
  }
};

}  // namespace tandem::media
