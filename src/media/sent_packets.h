#pragma once
// What a leg was sent lately, for packets that it reports lost (generic NACK, RFC 4585 section 6.2.1): a
// sender whom we tell that his packets have come forgets them, and has nothing to send again. Inside the
// room.
#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace tandem::media {

/// Packets as they left, encrypted, so that what is sent again is the very same one. They are in no snapshot:
/// whoever has failed over asks the sender, as for all that is older.
class SentPackets {
 public:
  static constexpr Duration longest = seconds(1);
  static constexpr size_t most = 1024;               // packets
  static constexpr uint8_t most_times = 10;          // a packet is sent again
  static constexpr Duration rest = milliseconds(5);  // at least, between two times

  void keep(Instant now, Bytes packet);
  /// The packet of that number to be sent again. Empty: it is not there, or has been sent too often.
  Bytes again(Instant now, uint32_t ssrc, uint16_t sequence);

 private:
  struct One {
    Instant at;
    Instant sent_again;
    uint8_t times = 0;
    std::vector<uint8_t> bytes;
  };
  std::deque<One> packets_;  // the oldest first; the room of those that are over is used again
};

}  // namespace tandem::media
