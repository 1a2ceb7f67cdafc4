#pragma once
// A leg: one party's side of a call, in words every signalling protocol knows: offer, answer, progress,
// release, cause. SIP implements it (sip_leg.h); other signalling joins calls by implementing it too. A leg
// never knows its partner.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "call/cause.h"
#include "port/outbox.h"

namespace tandem::media {
struct Trickled;
}

namespace tandem::call {

/// Unique within a call, never reused; 0 is nobody.
using LegId = uint16_t;

/// What happened on a leg. Views are good until the input that caused the event has been dealt with.
struct LegEvent {
  enum class Kind : uint8_t {
    progress,       // called leg: 1xx; `status`; `body` when it brings early media (an answer)
    answered,       // called leg: 2xx; `body` is the answer (`offer_in_answer`: an offer, answer() it)
    refused,        // called leg: final answer, no call; `cause`, `targets` when redirected
    offer,          // new offer in `body`: answer() or refuse_offer()
    offer_wanted,   // the peer wants an offer from us: answer() with one
    answer,         // the answer to what we offered
    offer_refused,  // our offer() was refused (`status`) or abandoned: what was agreed before holds
    confirmed,      // the peer knows that the call is up (ACK)
    released,       // the peer, or a failure on this leg, ended it; `cause`; finish_release() is awaited when
                    // `by_peer`
    transfer,       // the peer asks to be replaced by `body` (Refer-To URI); answer_transfer() it
    info,           // INFO or MESSAGE in the dialog: `content_type`, `body`
    candidates,     // ICE candidates of the peer's: `candidate`, or a fragment of SDP in `body` (RFC 8840)
  };
  Kind kind = Kind::progress;
  LegId leg = 0;
  uint16_t status = 0;
  bool by_peer = false;  // refused, released: by its word, not by a failure or a time-out
  bool offer_in_answer = false;
  std::string_view body;
  std::string_view content_type;
  std::string_view method;  // info: "INFO" or "MESSAGE"
  const media::Trickled* candidate = nullptr;
  Cause cause;
  std::vector<std::string> targets;
};

/// The world as one input sees it: the time, the outbox, and where legs tell what happened to them.
struct Turn {
  Now now;
  port::Outbox& out;
  std::vector<LegEvent>& events;
};

class Leg {
 public:
  virtual ~Leg() = default;

  // ---- a leg that called us
  /// 180, 183 ... with early media in `body` or without.
  virtual void progress(Turn& turn, int status, std::string_view body) = 0;
  /// The call is answered; `body` answers its offer, or offers when it made none.
  virtual void accept(Turn& turn, std::string_view body) = 0;

  // ---- offers and answers once the call is up (and, where the protocol can, before)
  /// Sends an offer now, or as soon as the one in progress is over. `answer` or `offer_refused` follows.
  virtual void offer(Turn& turn, std::string_view body) = 0;
  /// The same; a peer that does not answer at all, or cannot be reached, has refused it, and the leg goes on.
  virtual void offer_patiently(Turn& turn, std::string_view body) { offer(turn, body); }
  /// Takes an offer() back that nobody has answered; no event follows.
  virtual void withdraw_offer(Turn& turn) = 0;
  virtual void answer(Turn& turn, std::string_view body) = 0;
  virtual void refuse_offer(Turn& turn, int status) = 0;

  // ---- transfer asked for by the peer
  virtual void answer_transfer(Turn& turn, int status) = 0;
  /// How the transfer is getting on; a final status ends the report.
  virtual void transfer_progress(Turn& turn, int status) = 0;

  virtual void send_info(Turn& turn, std::string_view method, std::string_view content_type,
                         std::string_view body) = 0;

  // ---- ICE candidates that come later (RFC 8838)
  /// Whether the peer can be told of any now.
  virtual bool takes_candidates() const { return false; }
  /// `candidates` are ours; `fragment` is the same as a body of SDP.
  virtual void send_candidates(Turn&, const std::vector<media::Trickled>& /*candidates*/,
                               std::string_view /*fragment*/) {}

  // ---- the end
  /// Ends the leg from our side in the way its state asks for: refuse, cancel or hang up. `after`: a refusal
  /// waits for this commit.
  virtual void release(Turn& turn, const Cause& cause, port::CommitId after) = 0;
  /// Acknowledges the peer's release, once `after` is durable.
  virtual void finish_release(Turn& turn, port::CommitId after) = 0;
  /// Nothing more will come or has to be sent: the leg may be destroyed.
  virtual bool ended() const = 0;

  virtual void on_timeout(Turn& turn) = 0;
  virtual Instant next_timeout() const = 0;
};

}  // namespace tandem::call
