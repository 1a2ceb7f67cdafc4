#pragma once
// How losses lie in time: bursts and gaps as RFC 3611 section 4.7.2 counts them, and the burst ratio of ITU-T
// G.107 section 7.5.
#include <cstdint>

namespace tandem::rtp {

/// A burst begins and ends with a loss, and fewer than `gap_distance` packets in a row arrive inside it; what
/// lies between bursts is gap, isolated losses included. Plain counters: a snapshot copies the fields.
struct LossRuns {
  static constexpr uint32_t gap_distance = 16;  // Gmin

  uint64_t lost = 0;     // all told
  uint64_t runs = 0;     // of losses next to each other
  uint32_t next = 0;     // the extended sequence number behind the last loss, or where counting began
  uint32_t pending = 0;  // losses of the burst that is not over yet; 1: perhaps an isolated one
  // Transitions between the states: 1 received in a gap, 2 received in a burst, 3 lost in a burst, 4 lost in
  // a gap. 31 and 32 are what 13 and 23 are.
  uint64_t c11 = 0, c13 = 0, c14 = 0, c22 = 0, c23 = 0, c33 = 0;

  /// Counting goes on with this packet.
  void begin(uint32_t extended) { next = extended; }
  /// `count` packets from `extended` on are lost; everything between the last loss and them has arrived.
  void lose(uint32_t extended, uint32_t count);

  struct Summary {
    double burst_density = 0, gap_density = 0;  // share of lost packets in each
    double burst_packets = 0, gap_packets = 0;  // mean lengths; no burst: 0, and the gap is all there was
  };
  /// As if the stream ended before packet `extended`.
  Summary summary(uint32_t extended) const;

  /// Mean length of a run of losses over what it would be were they independent; 1 without losses. `loss` is
  /// the share of packets lost.
  double burst_ratio(double loss) const;
};

}  // namespace tandem::rtp
