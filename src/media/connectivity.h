#pragma once
// The ICE session of one leg: its agent, and which of the agent's streams and bases are which m-line and
// port. Inside the room.
#include <optional>
#include <vector>

#include "ice/agent.h"
#include "port/media.h"

namespace tandem::media {

struct Connectivity {
  struct Line {
    std::optional<ice::StreamId> stream;  // nothing: the m-line is not connected by ICE
    uint16_t components = 2;              // RTP, and RTCP unless it is multiplexed
    ice::BaseId rtp = 0, rtcp = 0;
    /// Both sides have said so: nobody but who has passed a check is believed, and nothing goes anywhere
    /// else.
    bool agreed = false;
  };

  explicit Connectivity(ice::Agent a) : agent(std::move(a)) {}

  ice::Agent agent;
  ice::Outbox out;          // what is to be sent and told with the next time-out
  std::vector<Line> lines;  // by m-line
  uint64_t revision = 0;    // of the agent, as the endpoint's counts it

  const Line* line(size_t i) const { return i < lines.size() && lines[i].stream ? &lines[i] : nullptr; }
  bool agreed(size_t i) const { return line(i) && lines[i].agreed; }
  static ice::BaseId base_of(const Line& l, bool rtcp) { return rtcp ? l.rtcp : l.rtp; }
};

}  // namespace tandem::media
