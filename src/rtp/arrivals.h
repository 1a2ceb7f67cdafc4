#pragma once
// When the packets of a transport came: transport-wide congestion control
// (draft-holmer-rmcat-transport-wide-cc-extensions-01). Whoever sends them gives each a number over all its
// streams, in a header extension, and estimates its bandwidth from what is told here.
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace tandem::rtp {

/// What came since the last feedback, by numbers.
class Arrivals {
 public:
  /// More than so many packets, received or not, are told in several feedbacks.
  static constexpr size_t most_packets = 512;
  /// Octets that a feedback takes at most.
  static constexpr size_t longest_feedback = 20 + 2 * most_packets + 2 * most_packets + 4;

  /// Of what has been told already, twice, or too far away to be of this stream, nothing is kept.
  void on_packet(Instant now, uint16_t number);
  bool empty() const { return arrived_.empty(); }

  /// Section 3.1: one RTCP packet about the first that came and those behind it; what it does not hold waits
  /// for the next. How long it is; 0: nothing came, or `out` is shorter than longest_feedback.
  size_t write(MutableBytes out, uint32_t sender, uint32_t media);

 private:
  struct Arrival {
    int64_t number;  // without wrapping
    Instant at;
  };
  std::vector<Arrival> arrived_;   // by number
  std::optional<int64_t> latest_;  // the highest that ever came
  std::optional<int64_t> told_;    // up to which all has been told
  uint8_t feedbacks_ = 0;
};

/// The two octets of the header extension `id` of an RTP packet (RFC 8285, both forms), where they lie;
/// nothing: it has no such one. 1 to 14.
std::optional<size_t> find_extension16(Bytes packet, uint8_t id);

}  // namespace tandem::rtp
