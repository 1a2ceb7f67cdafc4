// Offers and answers once the dialog is there: re-INVITE (RFC 3261 section 14), UPDATE (RFC 3311), and the
// session timer that rides on them (RFC 4028).
#include <algorithm>

#include "base/text.h"
#include "call/sip_leg.h"
#include "sip/headers.h"

namespace tandem::call {

using sip::HeaderId;
using sip::Method;

void SipLeg::offer(Turn& turn, std::string_view body) {
  queued_offer_ = body;
  patient_offer_ = false;
  touch();
  offer_over(turn);
}

void SipLeg::offer_patiently(Turn& turn, std::string_view body) {
  queued_offer_ = body;
  patient_offer_ = true;
  touch();
  offer_over(turn);
}

/// A path that is lost takes the signalling with it for a while. The session timer ends what stays away.
void SipLeg::offer_unanswered(Turn& turn, int status) {
  patient_offer_ = local_offer_ = false;
  offer_tx_ = {};
  touch();
  if (!std::exchange(withdrawn_, false)) {
    LegEvent e;
    e.kind = LegEvent::Kind::offer_refused;
    e.status = static_cast<uint16_t>(status);
    push(turn, std::move(e));
  }
  offer_over(turn);
}

/// Whatever kept an offer of ours from going out may be over.
void SipLeg::offer_over(Turn& turn) {
  if (queued_offer_.empty() || state_ != State::confirmed || bye_tx_ || local_offer_ || refresh_out_ ||
      uas_offer_tx_ || final_2xx_.waiting() || !bye_at_.is_never() || !glare_retry_.is_never())
    return;
  offer_body_ = std::move(queued_offer_);
  queued_offer_.clear();
  send_reinvite(turn);
}

void SipLeg::withdraw_offer(Turn& turn) {
  queued_offer_.clear();
  glare_retry_ = Instant::never();
  if (!local_offer_ || withdrawn_) return;
  world_->transactions.cancel(turn.now, offer_tx_, turn.out);
  withdrawn_ = true;
  touch();
}

void SipLeg::send_reinvite(Turn& turn) {
  sip::Writer w = dialog_.request(Method::invite);
  standard_headers(w);
  session_headers(w);
  authorize(w, dialog_.local_cseq.value_or(0));
  local_offer_ = true;
  offer_tx_ = send(turn, Method::invite, std::move(w), "application/sdp", offer_body_, Purpose::offer);
  if (offer_tx_) return;
  local_offer_ = false;
  LegEvent e;
  e.kind = LegEvent::Kind::offer_refused;
  e.status = 503;
  push(turn, std::move(e));
}

void SipLeg::on_offer_response(Turn& turn, const sip::Message& response) {
  const int status = response.status();
  if (status < 200) return;
  const uint32_t cseq = response.cseq().number;
  if (status < 300) send_ack(turn, dialog_, cseq, {});
  if (!local_offer_) return;  // a retransmission
  local_offer_ = false;
  offer_tx_ = {};
  touch();
  if (std::exchange(withdrawn_, false)) {
    // The 2xx crossed our CANCEL: the peer has taken what nobody wants any more, so it gets the old
    // description again.
    if (status < 300 && queued_offer_.empty()) queued_offer_ = local_body_;
    return offer_over(turn);
  }
  if (state_ != State::confirmed) return;
  if (status == 491) {
    world_->counters.glare.add();
    if (queued_offer_.empty()) queued_offer_ = offer_body_;
    glare_retry_ = turn.now.mono + glare_delay();
    return;
  }
  if ((status == 422 && session_timer_.on_422(response)) || take_challenge(response, dialog_.remote_target)) {
    if (queued_offer_.empty()) queued_offer_ = offer_body_;
    return offer_over(turn);
  }
  if (status == 408 && patient_offer_) return offer_unanswered(turn, status);
  if (status == 481 || status == 408) return dialog_gone(turn, status);
  patient_offer_ = false;
  LegEvent e;
  const auto body = status < 300 ? session_body(response) : std::nullopt;
  if (body) {
    dialog_.refresh_target(response);
    local_body_ = offer_body_;
    session_timer_.on_2xx(turn.now, response);
    e.kind = LegEvent::Kind::answer;
    e.body = *body;
  } else {
    e.kind = LegEvent::Kind::offer_refused;
    e.status = static_cast<uint16_t>(status < 300 ? 488 : status);
  }
  push(turn, std::move(e));
  offer_over(turn);
}

void SipLeg::on_reinvite(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  if (local_offer_ || refresh_out_) {
    world_->counters.glare.add();
    return respond(turn, server, 491);
  }
  if (uas_offer_tx_ || state_ == State::ringing) return respond(turn, server, 500);  // section 14.2
  if (state_ != State::confirmed) return respond(turn, server, 491);
  if (final_2xx_.waiting() && answer_in_ack_) return respond(turn, server, 491);
  if (interval_too_small(turn, server, request)) return;
  final_2xx_.stop();  // who asks again has seen our 2xx
  dialog_.refresh_target(request);
  learn_peer(request);
  uas_offer_tx_ = server;
  uas_offer_method_ = Method::invite;
  world_->transactions.set_user(server, user(Purpose::uas_offer));
  const auto body = session_body(request);
  offer_wanted_ = !body;
  LegEvent e;
  e.kind = body ? LegEvent::Kind::offer : LegEvent::Kind::offer_wanted;
  if (body) e.body = *body;
  push(turn, std::move(e));
}

void SipLeg::on_update(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  const auto body = session_body(request);
  const bool initial_open =
      offered_ && !answered_early_ && state_ != State::confirmed && state_ != State::accepted;
  // RFC 3311 section 5.2: 491 while the peer owes us an answer, 500 while we owe it one.
  const bool owed = local_offer_ || (initial_open && uac_) || (final_2xx_.waiting() && answer_in_ack_) ||
                    (refresh_out_ && !peer_update_);
  if (body && owed) {
    world_->counters.glare.add();
    return respond(turn, server, 491);
  }
  if (body && (uas_offer_tx_ || initial_open)) return respond(turn, server, 500);
  if (interval_too_small(turn, server, request)) return;
  if (state_ == State::confirmed) dialog_.refresh_target(request);
  if (!body) return respond(turn, server, 200);
  uas_offer_tx_ = server;
  uas_offer_method_ = Method::update;
  offer_wanted_ = false;
  world_->transactions.set_user(server, user(Purpose::uas_offer));
  LegEvent e;
  e.kind = LegEvent::Kind::offer;
  e.body = *body;
  push(turn, std::move(e));
}

void SipLeg::answer(Turn& turn, std::string_view body) {
  touch();
  if (ack_withheld_) {
    ack_withheld_ = false;
    ack_body_ = body;
    local_body_ = body;
    send_ack(turn, dialog_, invite_cseq_, ack_body_);
    state_ = State::confirmed;
    return offer_over(turn);
  }
  if (!uas_offer_tx_) return;
  local_body_ = body;
  if (uas_offer_method_ == Method::invite) answer_in_ack_ = offer_wanted_;
  respond(turn, std::exchange(uas_offer_tx_, sip::ServerTxId{}), 200, body);
  offer_over(turn);
}

void SipLeg::refuse_offer(Turn& turn, int status) {
  touch();
  if (ack_withheld_) {
    ack_withheld_ = false;
    send_ack(turn, dialog_, invite_cseq_, {});
    const Cause cause = Cause::from_status(status);
    send_bye(turn, cause, dialog_);
    return peer_released(turn, cause, false);
  }
  if (!uas_offer_tx_) return;
  respond(turn, std::exchange(uas_offer_tx_, sip::ServerTxId{}), status);
  offer_over(turn);
}

// ---- RFC 4028

/// RFC 3261 section 14.1: the side that made the Call-ID waits longer.
Duration SipLeg::glare_delay() {
  return milliseconds(uac_ ? 2100 + 10 * world_->rng.below(191)
                           : std::max<uint64_t>(10, 10 * world_->rng.below(201)));
}

/// Section 5: answered with 422. True: it was.
bool SipLeg::interval_too_small(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  const auto reply = session_timer_.on_request(request);
  if (reply.too_small) respond_with(turn, server, 422, {{"Min-SE", std::to_string(reply.min_se)}});
  return reply.too_small;
}

void SipLeg::session_headers(sip::Writer& writer) const {
  const auto offer = session_timer_.offer();
  if (!offer.session_expires.empty()) writer.header(HeaderId::session_expires, offer.session_expires);
  if (!offer.min_se.empty()) writer.header(HeaderId::min_se, offer.min_se);
}

/// In our 2xx to an INVITE or UPDATE. No session has a timer before its INVITE is answered.
void SipLeg::answer_session_timer(Turn& turn, sip::Writer& writer, const sip::Message& request) {
  if (state_ != State::accepted && state_ != State::confirmed) return;
  const auto reply = session_timer_.on_request(request);
  session_timer_.on_2xx_sent(turn.now, reply);
  if (!reply.session_expires.empty()) writer.header(HeaderId::session_expires, reply.session_expires);
  if (reply.require_timer) writer.header(HeaderId::require, "timer");
}

void SipLeg::send_refresh(Turn& turn) {
  if (state_ != State::confirmed || local_offer_ || uas_offer_tx_ || refresh_out_ || final_2xx_.waiting())
    return session_timer_.retry_refresh(turn.now, seconds(5));
  const Method method = peer_update_ ? Method::update : Method::invite;
  sip::Writer w = dialog_.request(method);
  standard_headers(w);
  session_headers(w);
  authorize(w, dialog_.local_cseq.value_or(0));
  refresh_out_ = true;
  offer_tx_ =
      send(turn, method, std::move(w), "application/sdp",
           method == Method::invite ? std::string_view(local_body_) : std::string_view{}, Purpose::refresh);
  if (!offer_tx_) {
    refresh_out_ = false;
    session_timer_.retry_refresh(turn.now, seconds(5));
  }
}

void SipLeg::on_refresh_response(Turn& turn, const sip::Message& response) {
  const int status = response.status();
  if (status < 200) return;
  if (status < 300 && response.method() == Method::invite)
    send_ack(turn, dialog_, response.cseq().number, {});
  if (!refresh_out_) return;
  refresh_out_ = false;
  offer_tx_ = {};
  touch();
  if (state_ != State::confirmed) return;
  if (status < 300) {
    dialog_.refresh_target(response);
    session_timer_.on_2xx(turn.now, response);
  } else if (status == 481 || status == 408) {
    return dialog_gone(turn, status);
  } else if ((status == 422 && session_timer_.on_422(response)) ||
             take_challenge(response, dialog_.remote_target)) {
    return send_refresh(turn);
  } else {
    session_timer_.retry_refresh(turn.now, status == 491 ? glare_delay() : seconds(10));
  }
  offer_over(turn);
}

/// A peer that cannot be connected to now may be a little later: the session timer knows how long to try.
void SipLeg::refresh_failed(Turn& turn, int status) {
  if (status == 408 || state_ != State::confirmed || bye_tx_ || !refresh_out_ || !connects_anew())
    return dialog_gone(turn, status);
  refresh_out_ = false;
  offer_tx_ = {};
  touch();
  session_timer_.retry_refresh(turn.now, seconds(10));
  offer_over(turn);
}

/// 481, 408 or silence to a request inside the dialog ends it (RFC 3261 section 12.2.1.2).
void SipLeg::dialog_gone(Turn& turn, int status) {
  if (state_ != State::confirmed || bye_tx_) {
    local_offer_ = refresh_out_ = withdrawn_ = false;
    offer_tx_ = {};
    return;
  }
  const Cause cause =
      Cause::from_q850(status == 481 ? 41 : 102, status == 481 ? "Dialog lost" : "Peer silent");
  if (status == 481)
    state_ = State::ended;
  else
    send_bye(turn, cause, dialog_);
  peer_released(turn, cause, false);
}

}  // namespace tandem::call
