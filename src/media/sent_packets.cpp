#include "media/sent_packets.h"

#include <algorithm>

#include "rtp/packet.h"

namespace tandem::media {

void SentPackets::keep(Instant now, Bytes packet) {
  if (packet.size() < rtp::Header::fixed_bytes) return;
  One& one = packets_[rtp::load16(&packet[2]) % most_packets];
  one.at = one.sent_again = now;
  one.times = 0;
  one.bytes.assign(packet.begin(), packet.end());
  budget_ = std::min(budget_ + packet.size() / 2, most_budget);
}

Bytes SentPackets::again(Instant now, uint32_t ssrc, uint16_t sequence) {
  One& one = packets_[sequence % most_packets];
  if (one.bytes.empty() || rtp::load16(&one.bytes[2]) != sequence || rtp::load32(&one.bytes[8]) != ssrc ||
      now - one.at > kept_for || one.times >= most_times || now - one.sent_again < between_times ||
      one.bytes.size() > budget_)
    return {};
  ++one.times;
  one.sent_again = now;
  budget_ -= one.bytes.size();
  return one.bytes;
}

}  // namespace tandem::media
