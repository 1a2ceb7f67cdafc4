#pragma once
// A conference: legs that hear each other through a mixer. Inside the room, as state.h.
#include <string>
#include <vector>

#include "media/engine.h"
#include "mixer/mixer.h"

namespace tandem::media {

struct Room {
  explicit Room(const RoomConfig& c);

  RoomConfig config;
  mixer::Mixer mixer;
  Instant next;                      // tick
  std::vector<EndpointId> occupant;  // by slot of the member's id
};

}  // namespace tandem::media
