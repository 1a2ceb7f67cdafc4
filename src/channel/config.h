#pragma once
// The limits of signalling channels: those of the service whose clients these are, and a few of our own.
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace tandem::channel {

struct SwitchboardConfig {
  size_t connections = 10'000;
  size_t payload = 10'240;               // characters of a message's payload, in base 64
  size_t message = 16'384;               // octets of a message, all of it
  uint32_t descriptions_per_second = 5;  // offers and answers of one connection; twice as many at once
  uint32_t candidates_per_second = 20;   // likewise
  uint32_t refusals = 100;               // messages refused on one connection; the next one ends it
  Duration idle = minutes(10);           // without a message or a ping
  Duration longest = hours(1);           // of a connection
  Duration grace = minutes(1);           // from GO_AWAY to the end
  size_t waiting = 100;                  // messages of a channel that wait for somebody
  size_t waiting_octets = 64 << 20;      // of all channels
};

}  // namespace tandem::channel
