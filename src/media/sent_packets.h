#pragma once
// What a leg was sent lately, for packets that it reports lost (generic NACK, RFC 4585 section 6.2.1): a
// sender whom we tell that his packets have come forgets them, and has nothing to send again. Inside the
// room.
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace tandem::media {

/// Packets as they left, encrypted, so that what is sent again is the very same one. They are in no snapshot:
/// whoever has failed over asks the sender, as for all that is older.
class SentPackets {
 public:
  static constexpr Duration kept_for = seconds(1);
  static constexpr size_t most_packets = 512;
  static constexpr uint8_t most_times = 10;                    // a packet is sent again
  static constexpr Duration between_times = milliseconds(20);  // at least, of a packet
  /// Octets that may be sent again: half of what is sent the first time, so that nobody makes much of little.
  static constexpr size_t first_budget = 16'384, most_budget = 131'072;

  SentPackets() : packets_(most_packets) {}
  void keep(Instant now, Bytes packet);
  /// The packet of that number to be sent again. Empty: it is not there, was sent too often or too much was.
  Bytes again(Instant now, uint32_t ssrc, uint16_t sequence);

 private:
  struct One {
    Instant at;
    Instant sent_again;
    uint8_t times = 0;
    std::vector<uint8_t> bytes;  // empty: none
  };
  std::vector<One> packets_;  // by sequence number
  size_t budget_ = first_budget;
};

}  // namespace tandem::media
