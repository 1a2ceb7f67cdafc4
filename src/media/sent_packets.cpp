#include "media/sent_packets.h"

#include <algorithm>
#include <utility>

#include "rtp/packet.h"

namespace tandem::media {

void SentPackets::keep(Instant now, Bytes packet) {
  if (packet.size() < rtp::Header::fixed_bytes) return;
  One one;
  if (!packets_.empty() && (packets_.size() >= most || now - packets_.front().at > longest)) {
    one = std::move(packets_.front());
    packets_.pop_front();
    // After a lively time a calm one needs less.
    if (!packets_.empty() && now - packets_.front().at > longest) packets_.pop_front();
  }
  one.at = one.sent_again = now;
  one.times = 0;
  one.bytes.assign(packet.begin(), packet.end());
  packets_.push_back(std::move(one));
}

Bytes SentPackets::again(Instant now, uint32_t ssrc, uint16_t sequence) {
  const auto found = std::find_if(packets_.rbegin(), packets_.rend(), [&](const One& one) {
    return rtp::load16(&one.bytes[2]) == sequence && rtp::load32(&one.bytes[8]) == ssrc;
  });
  if (found == packets_.rend() || now - found->at > longest || found->times >= most_times ||
      now - found->sent_again < rest)
    return {};
  ++found->times;
  found->sent_again = now;
  return found->bytes;
}

}  // namespace tandem::media
