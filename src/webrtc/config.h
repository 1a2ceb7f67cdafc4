#pragma once
// The limits of the JSON signalling API.
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "sip/timers.h"

namespace tandem::webrtc {

/// Octets and nesting of one message; enforced before anything is built of it.
struct TextLimits {
  size_t octets = 65'536;
  size_t depth = 8;
};

struct GatewayConfig {
  uint16_t node = 0;
  size_t visitors = 10'000;  // WebSockets that have not said hello
  size_t sessions = 10'000;
  size_t sessions_per_user = 1'000;  // of them; a page may sign all its visitors in as one
  size_t calls = 8;                  // of a session, at a time
  TextLimits text;
  Duration hello_within = seconds(10);
  Duration linger = seconds(60);  // a session waits for its client to come back
  uint32_t guesses = 3;           // wrong passwords of a WebSocket
  size_t backlog = 100;           // messages that wait for a client that is away
  sip::Timers timers;
};

}  // namespace tandem::webrtc
