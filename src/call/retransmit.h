#pragma once
// A message sent again and again until the peer acknowledges it: 2xx to INVITE (RFC 3261 section 13.3.1.4)
// and reliable provisional responses (RFC 3262 section 3). A value: what is sent, when next, and when to give
// up.
#include <algorithm>
#include <string>

#include "base/time.h"
#include "sip/timers.h"

namespace tandem::call {

struct Retransmit {
  std::string message;  // empty: nothing awaits an acknowledgement
  uint32_t number = 0;  // CSeq of the 2xx's INVITE, RSeq of the provisional
  Duration interval{};
  Instant next = Instant::never();
  Instant give_up = Instant::never();

  bool active() const { return !message.empty(); }
  /// `t2` zero: the interval doubles without bound (provisionals).
  void start(Now now, std::string bytes, uint32_t n, const sip::Timers& timers) {
    message = std::move(bytes);
    number = n;
    interval = timers.t1;
    next = now.mono + interval;
    give_up = now.mono + 64 * timers.t1;
  }
  void stop() { *this = Retransmit{}; }
  /// Nothing is sent any more, but its acknowledgement may still come (RFC 3262 section 3).
  void rest() {
    const uint32_t n = number;
    stop();
    number = n;
  }
  enum class Due : uint8_t { no, again, over };
  Due on_timeout(Now now, Duration cap) {
    if (!active()) return Due::no;
    if (now.mono >= give_up) return Due::over;
    if (now.mono < next) return Due::no;
    interval = cap.count() ? std::min(2 * interval, cap) : 2 * interval;
    next = now.mono + interval;
    return Due::again;
  }
  Instant next_timeout() const { return active() ? std::min(next, give_up) : Instant::never(); }
};

}  // namespace tandem::call
