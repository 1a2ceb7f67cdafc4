#pragma once
// What a leg hears under an SSRC of ours: what we say to it, and what others say whose packets are numbered
// anew to go on under it, so that it meets one source from the first packet to the last. A browser plays one
// source of a line and no other. Inside the room, as state.h.
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/rng.h"
#include "base/time.h"
#include "rtp/packet.h"

namespace tandem::media {

/// It keeps its SSRC and goes on where it stopped. Values only, for snapshots.
struct OwnStream {
  uint32_t ssrc = 0;           // 0: none yet
  uint32_t clock_rate = 8000;  // of `timestamp`: one SSRC has one (RFC 7160)
  uint16_t sequence = 0;       // of the next packet
  uint32_t timestamp = 0;      // of what we say next
  uint64_t packets = 0;
  uint64_t octets = 0;
  uint64_t reported = 0, reported_before = 0;  // packets sent at our last two reports
  /// Percent of it that the peer is likely to miss, by its reports; nothing: it has sent none.
  std::optional<uint8_t> expected_loss;
  // of the peer's last SR, for our reports
  uint32_t peer_report_ntp = 0;
  Instant peer_report_at;
  // of the last packet
  uint32_t sent_timestamp = 0;
  Instant sent_at = Instant::never();

  /// Whose packets go on under it since we said the last.
  struct Relayed {
    uint32_t ssrc = 0;
    uint16_t numbers = 0;  // theirs so far, at most most_reordered: what is further back came under another's
    uint16_t sequence_offset = 0;
    uint32_t timestamp_offset = 0;
  };
  std::optional<Relayed> relayed;  // nothing: what is heard is ours

  /// Numbers that a source goes back by are its packets' disorder, and those it leaves out are lost; more of
  /// them are a new beginning (RFC 3550 appendix A.1).
  static constexpr int most_reordered = 1000, most_lost = 3000;

  /// Clocks it may change by another SSRC; then it keeps the one it has (RFC 7160 section 4.1 allows for
  /// that): a sender of SRTP has no more than 64.
  static constexpr uint8_t most_changes = 16;
  uint8_t clock_changes = 0;

  /// It begins, or goes on at another clock under another SSRC.
  void begin(uint32_t rate, Rng& rng);
  /// It has an SSRC, for what is told about other streams.
  void name(uint32_t rate, Rng& rng) {
    if (ssrc == 0) begin(rate, rng);
  }
  /// We speak now: behind what others have said.
  void take_over(Instant now);
  /// A packet of ours is on its way, with `sequence` before this call.
  void said(Instant now, uint32_t packet_timestamp, size_t payload_octets);
  /// A packet of somebody else's goes out under this SSRC: `header` becomes what it says then, with a marker
  /// where a source takes over. `sound`: its timestamp is of `clock_rate`, and no event's. False: it comes
  /// too late, and would have a number that is taken.
  bool relay(Instant now, rtp::Header& header, size_t payload_octets, bool sound);
  /// The timestamp that belongs to `now`, for sender reports.
  uint32_t timestamp_at(Instant now) const;

  /// Reports of who is relayed, on their way to the leg: they become reports about this stream.
  void speak_for(MutableBytes compound) const;
  /// Reports of the leg's about this stream, on their way to who is relayed: in its own numbers.
  void tell_back(MutableBytes compound) const;

 private:
  uint32_t ticks(Duration d) const;
  uint32_t following(Instant now) const;
};

}  // namespace tandem::media
