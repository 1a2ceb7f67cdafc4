#include "rtp/statistics.h"

#include <algorithm>

namespace tandem::rtp {
namespace {
constexpr uint16_t max_dropout = 3000;  // A.1
constexpr uint16_t max_misorder = 100;
constexpr uint32_t window_packets = 64;
}  // namespace

/// The highest is about to move on by `ahead`: what of the window falls out of it and has not come is lost.
void ReceiverStatistics::judge(uint32_t ahead) {
  const uint32_t n = std::min<uint32_t>(ahead, window_packets);
  const uint64_t all = n == window_packets ? ~uint64_t{0} : (uint64_t{1} << n) - 1;
  const uint64_t missing = ~(window >> (window_packets - n)) & all;
  if (missing != 0) {
    for (uint32_t bit = n; bit-- > 0;) {  // the oldest first
      const uint32_t back = window_packets - n + bit;
      if ((missing >> bit & 1) != 0 && back <= extended_highest() - base)
        losses.lose(extended_highest() - back, 1);
    }
  }
  if (ahead > window_packets) losses.lose(extended_highest() + 1, ahead - window_packets);
}

void ReceiverStatistics::start_span(uint32_t packet_ssrc, uint16_t sequence) {
  if (started) judge(window_packets);
  past_expected += span_expected();
  past_received += received;
  started = true;
  ssrc = packet_ssrc;
  highest = sequence;
  cycles = 0;
  base = sequence;
  losses.begin(base);
  received = 0;
  window = 1;
  bad_sequence = 0x10000;
  jitter16 = 0;
  has_arrival = false;
  report_expected = 0;
  report_received = 0;
}

/// A.1 without probation (the latch has done that). False: this packet opens a new span.
bool ReceiverStatistics::update_sequence(uint16_t sequence) {
  const auto ahead = static_cast<uint16_t>(sequence - highest);
  if (ahead == 0) {
    ++duplicates;
  } else if (ahead < max_dropout) {
    judge(ahead);
    if (sequence < highest) cycles += 0x10000;
    window = ahead < 64 ? window << ahead | 1 : 1;
    highest = sequence;
  } else if (ahead <= 0x10000 - max_misorder) {
    // A jump: believed when the next packet follows it (the source restarted without a new SSRC).
    const bool restarted = sequence == bad_sequence;
    bad_sequence = static_cast<uint16_t>(sequence + 1);
    if (restarted) return false;
  } else {
    const auto behind = static_cast<uint16_t>(highest - sequence);
    const uint64_t bit = behind < 64 ? uint64_t{1} << behind : 0;
    if (bit != 0 && (window & bit) != 0) {
      ++duplicates;
    } else {
      ++reordered;
      window |= bit;
    }
    if (behind > extended_highest() - base)
      base = extended_highest() - std::min<uint32_t>(behind, extended_highest());
  }
  return true;
}

void ReceiverStatistics::on_packet(Instant now, uint32_t packet_ssrc, uint16_t sequence, uint32_t timestamp,
                                   uint32_t payload_octets, uint32_t clock, bool media) {
  ++packets;
  octets += payload_octets;
  if (!started || packet_ssrc != ssrc || !update_sequence(sequence)) start_span(packet_ssrc, sequence);
  ++received;
  if (!media || clock == 0) return;
  if (clock == clock_rate && has_arrival && timestamp != last_timestamp) {
    const int64_t elapsed =
        std::min<int64_t>((now - last_arrival).count(), 60'000'000'000) * clock / 1'000'000'000;
    const auto d = static_cast<int32_t>(static_cast<uint32_t>(elapsed) - (timestamp - last_timestamp));
    // A pause or a restarted clock is no jitter: more than two seconds of difference only sets the new
    // reference.
    const uint32_t magnitude = d < 0 ? 0u - static_cast<uint32_t>(d) : static_cast<uint32_t>(d);
    if (magnitude < 2 * clock) {
      jitter16 += magnitude - ((jitter16 + 8) >> 4);
      max_jitter16 = std::max(max_jitter16, jitter16);
    }
  }
  clock_rate = clock;
  last_timestamp = timestamp;
  last_arrival = now;
  has_arrival = true;
}

ReportBlock ReceiverStatistics::report() {
  ReportBlock b;
  b.ssrc = ssrc;
  const uint64_t expected_interval = span_expected() - report_expected;
  const uint64_t received_interval = received - report_received;
  report_expected = span_expected();
  report_received = received;
  if (expected_interval > received_interval)
    b.fraction_lost = static_cast<uint8_t>(
        std::min<uint64_t>(255, ((expected_interval - received_interval) << 8) / expected_interval));
  b.cumulative_lost =
      static_cast<int32_t>(static_cast<int64_t>(span_expected()) - static_cast<int64_t>(received));
  b.extended_highest = extended_highest();
  b.jitter = jitter16 >> 4;
  return b;
}

}  // namespace tandem::rtp
