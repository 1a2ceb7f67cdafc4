#pragma once
// Faults planted around the product, never in it: each stands for a mistake the product or its driver could
// make, and each has to be found by an invariant.
#include <array>
#include <cstdint>
#include <string_view>

#include "base/rng.h"

namespace tandem::sim {

enum class Fault : uint8_t {
  none,
  lost_timer,     // a worker's timer is never called again
  leaked_port,    // a media port is closed and stays bound
  shared_port,    // a media port in use is handed out again
  double_cdr,     // a record is written twice, under two keys
  lost_cdr,       // a record is dropped, and reported durable
  invented_cdr,   // a record of a call that never was
  early_commit,   // records are reported durable before they are written
  lying_disk,     // sync() does nothing
  lost_commit,    // commits are never reported
  forgotten_ask,  // a question for a subscriber is never answered
  lost_answer,    // the answer of another worker gets lost
  lost_line,      // a line is not told that its call ended
  lost_forget,    // the first worker of a moved call is not told that it ended
  lost_move,      // a call gets lost on its way to another worker
  lost_part,      // one call of a snapshot is not restored
  crossed_media,  // packets go to the port of another call
  reused_index,   // a packet is followed by another one under the same index
  wrong_key,      // packets arrive as if encrypted with another key
  lost_ack,       // ACKs of the nodes never leave
  lost_prack,     // nor their PRACKs
  lost_notify,    // nor their NOTIFYs
  lost_message,   // a message is reported stored, and is not
  lost_watch,     // subscriptions of a snapshot are not restored
  lost_append,    // the spool refuses a record and nobody is told
  lost_memory,    // a worker keeps some memory of each call that ended
  count_,
};

struct FaultText {
  std::string_view name, what;
};
inline constexpr std::array<FaultText, static_cast<size_t>(Fault::count_)> fault_texts{{
    {"none", ""},
    {"lost_timer", "a worker's timers are never called again"},
    {"leaked_port", "a media port is closed and stays bound"},
    {"shared_port", "a media port in use is handed out again"},
    {"double_cdr", "a record is written twice, under two keys"},
    {"lost_cdr", "a record is dropped, and reported durable"},
    {"invented_cdr", "a record of a call that never was"},
    {"early_commit", "records are reported durable before they are written"},
    {"lying_disk", "syncing the spool does nothing"},
    {"lost_commit", "commits are never reported"},
    {"forgotten_ask", "a question for a subscriber is never answered"},
    {"lost_answer", "the answer of another worker gets lost"},
    {"lost_line", "a line is not told that its call ended"},
    {"lost_forget", "the first worker of a moved call is not told that it ended"},
    {"lost_move", "a call gets lost on its way to another worker"},
    {"lost_part", "one call of a snapshot is not restored"},
    {"crossed_media", "packets go to the port of another call"},
    {"reused_index", "each packet is followed by another one under the same index"},
    {"wrong_key", "packets arrive as if encrypted with another key"},
    {"lost_ack", "ACKs of the nodes never leave"},
    {"lost_prack", "PRACKs of the nodes never leave"},
    {"lost_notify", "NOTIFYs of the nodes never leave"},
    {"lost_message", "a message is reported stored, and is not"},
    {"lost_watch", "subscriptions of a snapshot are not restored"},
    {"lost_append", "the spool forgets a record without a word"},
    {"lost_memory", "a worker keeps some memory of each call that ended"},
}};

/// Decides when the planted fault strikes.
class Sabotage {
 public:
  Sabotage(Fault fault, uint64_t seed) : fault_(fault) {
    SeededRng rng(seed);
    countdown_ = fault == Fault::lost_move ? 1 : 3 + rng.below(10);  // few calls move
  }
  /// True for one occurrence of it, somewhere near the beginning.
  bool once(Fault fault) {
    if (fault != fault_ || !armed_ || countdown_ == 0 || --countdown_ > 0) return false;
    ++struck_;
    return true;
  }
  bool always(Fault fault) {
    if (fault != fault_ || !armed_) return false;
    ++struck_;
    return true;
  }
  /// Nothing strikes before.
  void arm() { armed_ = true; }
  bool planted() const { return fault_ != Fault::none; }
  uint64_t struck() const { return struck_; }

 private:
  Fault fault_;
  uint64_t countdown_;
  uint64_t struck_ = 0;
  bool armed_ = false;
};

}  // namespace tandem::sim
