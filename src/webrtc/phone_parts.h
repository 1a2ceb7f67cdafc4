#pragma once
// What a phone is made of; nobody outside this room includes it.
#include <deque>
#include <string>
#include <vector>

#include "webrtc/phone.h"

namespace tandem::webrtc {

/// What a telephone here understands, in Allow.
constexpr std::string_view allowed = "INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, INFO, MESSAGE, OPTIONS";

/// How long the client may think about an offer of the other side in mid-call.
constexpr Duration offer_patience = seconds(20);

constexpr uint32_t subscription_seconds = 3600;

struct Phone::Call {
  enum class State : uint8_t {
    calling,   // our INVITE is under way
    incoming,  // theirs waits for the client
    up,        // answered; an ACK may still be missing
    ending,    // our BYE or CANCEL is under way
  };
  uint32_t number = 0;
  std::string name;  // "c7"
  State state = State::calling;
  bool outgoing = false;
  sip::Dialog dialog;
  std::string target;                 // Request-URI of our INVITE
  std::string peer_uri, peer_name;    // who is at the other end
  std::string local_sdp, remote_sdp;  // last said and heard
  bool reported = false;              // the client has been told that it has ended

  // our INVITE
  sip::ClientTxId invite;
  uint32_t invite_cseq = 0;
  bool challenged = false, cancelled = false, early = false;
  std::string offered;  // our re-INVITE's, until it is answered
  uint32_t acked_cseq = 0;
  std::string ack_sdp;

  // their INVITE, until it is answered
  sip::ServerTxId server;
  bool wants_offer = false;  // it had no description: ours is the offer
  Instant answer_by = Instant::never();
  sip::OkRetransmitter ok;

  std::vector<Candidate> candidates;  // until there is a dialog
  bool last_candidates = false;
  std::deque<char> digits;
  int64_t digit_ms = 160;
  bool digit_under_way = false;
};

/// A request that is not about offer and answer, and who waits for how it comes out.
struct Phone::Errand {
  uint32_t number = 0;
  sip::Method method = sip::Method::message;
  int64_t id = 0;     // the client's request; 0: nobody waits
  uint32_t call = 0;  // in whose dialog; 0: none
  bool digit = false;
  bool challenged = false;
  uint32_t expires = 0;  // REGISTER
  std::string uri, call_id, tag, content_type, body, package, refer_to;
  std::string event, etag;  // SUBSCRIBE, PUBLISH
  uint32_t watch = 0;       // SUBSCRIBE
  uint32_t cseq = 0;
};

/// One subscription (RFC 6665); whom we watch we have two of, of his presence and of his line.
struct Phone::Watch {
  uint32_t number = 0;
  bool line = false;
  std::string peer;  // as the client is told
  std::string uri, call_id, tag;
  std::optional<sip::Dialog> dialog;  // once it is accepted
  Instant again = Instant::never();   // refreshed, or tried again
  bool known = false;                 // its state has come
  Standing standing;
  LineState state = LineState::idle;
};

}  // namespace tandem::webrtc
