#pragma once
// Statistics of one received RTP stream (RFC 3550 sections 6.4, A.1, A.3, A.8).
#include <cstdint>

#include "base/time.h"
#include "rtp/loss_runs.h"
#include "rtp/rtcp.h"

namespace tandem::rtp {

/// What a receiver knows of a source. Plain values: a snapshot copies the fields. A new SSRC starts a new
/// span, and the totals of the earlier ones are kept.
struct ReceiverStatistics {
  // touched by every packet
  uint64_t packets = 0;   // over all sources of this stream, as are octets, duplicates and reordered
  uint64_t octets = 0;    // payload only
  uint64_t received = 0;  // of the current source, duplicates included
  uint64_t window = 0;    // bit n: highest - n has been seen
  Instant last_arrival;
  uint32_t ssrc = 0;
  uint32_t last_timestamp = 0;
  uint32_t clock_rate = 8000;  // of the last packet
  uint32_t jitter16 = 0;       // in 1/16 of a timestamp unit, as in A.8
  uint32_t max_jitter16 = 0;
  uint16_t highest = 0;
  bool started = false;
  bool has_arrival = false;  // last_arrival and last_timestamp mean something

  // the rest of the current span
  uint32_t cycles = 0;  // count of wraps, shifted by 16
  uint32_t base = 0;    // extended sequence of the first packet
  uint32_t bad_sequence = 0x10000;

  uint64_t duplicates = 0;
  uint64_t reordered = 0;
  uint64_t past_expected = 0;  // of earlier spans
  uint64_t past_received = 0;

  LossRuns losses;  // of packets that are further back than the window: those may still come

  // the interval since the last report we sent
  uint64_t report_expected = 0;
  uint64_t report_received = 0;

  /// `media` is false for payloads whose timestamp says nothing about arrival (RFC 4733 events repeat it).
  void on_packet(Instant now, uint32_t packet_ssrc, uint16_t sequence, uint32_t timestamp,
                 uint32_t payload_octets, uint32_t clock, bool media);

  uint32_t extended_highest() const { return cycles + highest; }
  uint64_t expected() const { return past_expected + span_expected(); }
  int64_t lost() const {
    return static_cast<int64_t>(expected()) - static_cast<int64_t>(past_received + received);
  }
  double jitter_ms() const { return to_ms(jitter16); }
  double max_jitter_ms() const { return to_ms(max_jitter16); }

  /// A report block about this source, fraction lost since the previous call (A.3). LSR and DLSR are the
  /// caller's.
  ReportBlock report();

 private:
  uint64_t span_expected() const { return started ? uint64_t{extended_highest()} - base + 1 : 0; }
  double to_ms(uint32_t j16) const { return clock_rate == 0 ? 0 : j16 / 16.0 * 1000.0 / clock_rate; }
  void start_span(uint32_t packet_ssrc, uint16_t sequence);
  bool update_sequence(uint16_t sequence);
  void judge(uint32_t ahead);
};

}  // namespace tandem::rtp
