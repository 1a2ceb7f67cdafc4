#include "media/own_stream.h"

#include <algorithm>

#include "rtp/xr.h"

namespace tandem::media {
namespace {

constexpr Duration frame = milliseconds(20);      // a packet is taken to last, where the next is another's
constexpr Duration longest = seconds(24 * 3600);  // of a silence that timestamps keep count of

/// How far `a` is ahead of `b` in a space that wraps.
int32_t ahead(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b); }

}  // namespace

uint32_t OwnStream::ticks(Duration d) const {
  const auto microseconds = static_cast<uint64_t>(std::clamp(d, Duration::zero(), longest).count()) / 1000;
  return static_cast<uint32_t>(microseconds * clock_rate / 1'000'000);
}

void OwnStream::begin(uint32_t rate, Rng& rng) {
  if (ssrc != 0 && clock_rate == rate) return;
  if (ssrc != 0 && clock_changes == most_changes) {
    clock_rate = rate;
    relayed.reset();
    return;
  }
  if (ssrc != 0) ++clock_changes;
  ssrc = static_cast<uint32_t>(rng.next()) | 1;
  sequence = static_cast<uint16_t>(rng.next() & 0x7FFF);
  timestamp = sent_timestamp = static_cast<uint32_t>(rng.next());
  clock_rate = rate;
  relayed.reset();
  sent_at = Instant::never();
}

/// Where a packet of another source begins: when it comes, but behind the one before.
uint32_t OwnStream::following(Instant now) const {
  if (sent_at.is_never()) return timestamp;
  return sent_timestamp + ticks(std::max<Duration>(now - sent_at, frame));
}

uint32_t OwnStream::timestamp_at(Instant now) const {
  return relayed ? sent_timestamp + ticks(now - sent_at) : timestamp;
}

void OwnStream::take_over(Instant now) {
  if (!relayed) return;
  relayed.reset();
  timestamp = following(now);
}

void OwnStream::said(Instant now, uint32_t packet_timestamp, size_t payload_octets) {
  ++sequence;
  ++packets;
  octets += payload_octets;
  sent_timestamp = packet_timestamp;
  sent_at = now;
}

bool OwnStream::relay(Instant now, rtp::Header& header, size_t payload_octets, bool sound) {
  const auto number = [&] { return static_cast<uint16_t>(header.sequence + relayed->sequence_offset); };
  const auto behind = [&] { return static_cast<int16_t>(sequence - number()); };  // 0: the next
  if (!relayed || relayed->ssrc != header.ssrc || behind() > most_reordered || behind() < -most_lost) {
    uint32_t begins = following(now);
    if (!relayed && !sent_at.is_never() && ahead(timestamp, begins) > 0) begins = timestamp;
    relayed =
        Relayed{header.ssrc, 0, static_cast<uint16_t>(sequence - header.sequence), begins - header.timestamp};
    header.marker = true;
    sent_timestamp = begins;
    sent_at = now;
  }
  const int16_t back = behind();
  if (back > relayed->numbers) return false;
  header.sequence = number();
  header.timestamp += relayed->timestamp_offset;
  header.ssrc = ssrc;
  if (back <= 0) {
    sequence = static_cast<uint16_t>(header.sequence + 1);
    relayed->numbers = static_cast<uint16_t>(std::min(relayed->numbers + 1 - back, most_reordered));
  }
  if (sound && ahead(header.timestamp, sent_timestamp) >= 0) {
    sent_timestamp = header.timestamp;
    sent_at = now;
  }
  ++packets;
  octets += payload_octets;
  return true;
}

void OwnStream::speak_for(MutableBytes compound) const {
  if (!relayed) return;
  rtp::restamp_sender(
      compound, relayed->ssrc,
      {relayed->timestamp_offset, static_cast<uint32_t>(packets), static_cast<uint32_t>(octets)});
  rtp::rename_source(compound, relayed->ssrc, ssrc);
}

void OwnStream::tell_back(MutableBytes compound) const {
  if (!relayed) return;
  rtp::shift_back(compound, ssrc, static_cast<int16_t>(relayed->sequence_offset));
  rtp::rename_source(compound, ssrc, relayed->ssrc);
}

}  // namespace tandem::media
