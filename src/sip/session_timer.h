#pragma once
// Session timers (RFC 4028): who refreshes a session and when it is taken for dead. A value without I/O; the
// owner of the dialog writes the headers it is given and sends the re-INVITE, UPDATE or BYE it is told to.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "sip/message.h"

namespace tandem::sip {

struct SessionTimerPolicy {
  bool enabled = true;       // off: asked for by nobody here; a peer that asks still gets it
  uint32_t interval = 1800;  // seconds; what we ask for
  uint32_t min_se = 90;      // seconds; least we accept (section 5: never below 90)
};

class SessionTimer {
 public:
  explicit SessionTimer(SessionTimerPolicy policy = {});

  // ---- we send INVITE, re-INVITE or UPDATE (section 7)
  /// Values for Session-Expires and Min-SE; empty: leave the header out. "Supported: timer" goes along
  /// always.
  struct Offer {
    std::string session_expires;
    std::string min_se;
  };
  Offer offer() const;
  /// 422: true when the request should be sent again with a new offer(); a few times in a row at most.
  bool on_422(const Message& response);
  /// The 2xx: starts, restarts or stops the timer. A peer that keeps no time is refreshed by us all the same
  /// (section 7.2: the UAC may), which is how a dead one is noticed.
  void on_2xx(Now now, const Message& response);

  // ---- we answer one (sections 8 and 9)
  struct Reply {
    bool too_small = false;       // answer 422 with `min_se` as Min-SE, nothing else
    uint32_t min_se = 0;          // seconds
    std::string session_expires;  // for the 2xx; empty: no session timer
    bool require_timer = false;   // "Require: timer" in the 2xx: the peer is to refresh
    uint32_t seconds = 0;
    bool we_refresh = false;
  };
  Reply on_request(const Message& request) const;
  /// When the 2xx with this reply leaves.
  void on_2xx_sent(Now now, const Reply& reply);

  enum class Step : uint8_t {
    nothing,
    refresh,  // send a re-INVITE or UPDATE with offer()
    expired,  // section 10: nobody refreshed; send BYE
  };
  Step on_timeout(Now now);
  Instant next_timeout() const { return refresh_at_ < expires_at_ ? refresh_at_ : expires_at_; }
  /// A refresh that met glare (491) or a busy moment is tried again after `delay`.
  void retry_refresh(Now now, Duration delay);
  void stop();

  bool running() const { return running_; }
  bool we_refresh() const { return we_refresh_; }
  uint32_t interval() const { return interval_; }  // seconds, as agreed

  std::string to_part(Now now) const;
  static std::optional<SessionTimer> from_part(Now now, SessionTimerPolicy policy, std::string_view part);

 private:
  void run(Now now, uint32_t seconds, bool we_refresh);

  SessionTimerPolicy policy_;
  bool running_ = false;
  bool we_refresh_ = false;
  uint32_t interval_ = 0;
  uint8_t refusals_ = 0;      // 422 in a row
  uint32_t peer_min_se_ = 0;  // largest Min-SE seen in a 422 or a request
  Instant refresh_at_ = Instant::never();
  Instant expires_at_ = Instant::never();
};

}  // namespace tandem::sip
