#pragma once
// What was seen, as plain values that are copied to whoever reports them.
#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "base/time.h"

namespace tandem::load {

/// Distribution of whole numbers within 1.6 %: 64 buckets for every power of two, exact below 64.
class Histogram {
 public:
  void add(uint64_t value);
  uint64_t count() const { return count_; }
  /// The value that `share` (0..1) of the entries do not exceed; 0 when there are none.
  uint64_t percentile(double share) const;
  uint64_t max() const { return max_; }

 private:
  static constexpr size_t sub = 64;
  static constexpr size_t buckets = sub * 36;  // to 2^41: with microseconds, 25 days
  static size_t bucket_of(uint64_t value);
  static uint64_t top_of(size_t bucket);
  std::array<uint32_t, buckets> entries_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

struct Statistics {
  // ---- as a caller
  uint64_t started = 0;
  uint64_t answered = 0;
  uint64_t completed = 0;  // answered, and the BYE confirmed
  uint64_t failed = 0;
  uint64_t shed = 0;  // fell due while as many calls as allowed were up
  uint64_t up = 0;    // now
  // ---- as a callee
  uint64_t incoming = 0;
  uint64_t incoming_completed = 0;
  uint64_t incoming_up = 0;
  // ---- registrations
  uint64_t registrations_started = 0;
  uint64_t registered = 0;
  uint64_t registrations_failed = 0;
  // ---- both ways
  uint64_t retransmitted = 0;         // by us, requests and responses
  uint64_t retransmissions_seen = 0;  // requests and final responses that came again
  uint64_t unexpected = 0;            // messages that fit nothing of this run
  uint64_t malformed = 0;
  uint64_t congested = 0;                    // a connection's far side read too slowly
  std::map<std::string, uint64_t> failures;  // by cause: "486 Busy Here", "no answer", ...
  // ---- media
  uint64_t packets_sent = 0, packets_received = 0, packets_lost = 0;
  uint64_t packets_disordered = 0;  // late or twice
  uint64_t streams = 0;             // that ended and had received something, or should have
  uint64_t streams_silent = 0;      // of those: nothing came
  uint64_t late_ticks = 0;          // 1 ms steps in which the generator itself was more than 20 ms late
  // ---- microseconds
  Histogram ring_delay, answer_delay, release_delay, register_delay, packet_delay;
  Histogram connect_delay;  // WebRTC: from the far side's description to keys
  Histogram loss;           // of each stream, in parts per million
  Instant first_start, last_start;

  double achieved_rate() const;  // starts a second
  void fail(const std::string& cause) { ++failures[cause]; }
};

/// The result: one JSON object; times in milliseconds, loss in percent.
std::string to_json(const Statistics& s);
/// What changed since `before`, in one line for people.
std::string progress_line(const Statistics& s, const Statistics& before, int second);

}  // namespace tandem::load
