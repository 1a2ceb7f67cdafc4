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
  touch();
  offer_over(turn);
}

/// Whatever kept an offer of ours from going out may be over.
void SipLeg::offer_over(Turn& turn) {
  if (queued_offer_.empty() || state_ != State::confirmed || bye_tx_ || local_offer_ || refresh_out_ ||
      uas_offer_tx_ || final_2xx_.active() || !glare_retry_.is_never())
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
  session_headers(w, false);
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
  if (status == 491) {  // section 14.1: the side that made the Call-ID waits longer
    world_->counters.glare.add();
    if (queued_offer_.empty()) queued_offer_ = offer_body_;
    const uint64_t ms = uac_ ? 2100 + 10 * world_->rng.below(191) : 10 * world_->rng.below(201);
    glare_retry_ = turn.now.mono + milliseconds(std::max<uint64_t>(ms, 10));
    return;
  }
  if (status == 481 || status == 408) return dialog_gone(turn, status);
  LegEvent e;
  const auto body = status < 300 ? session_body(response) : std::nullopt;
  if (body) {
    dialog_.refresh_target(response);
    local_body_ = offer_body_;
    agree_session_timer_uac(turn.now, response);
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
  if (final_2xx_.active() && answer_in_ack_) return respond(turn, server, 491);
  final_2xx_.stop();  // who asks again has seen our 2xx
  dialog_.refresh_target(request);
  learn_peer(request);
  agree_session_timer_uas(request);
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
  if (body && (local_offer_ || (initial_open && uac_) || (final_2xx_.active() && answer_in_ack_))) {
    world_->counters.glare.add();
    return respond(turn, server, 491);
  }
  if (body && (uas_offer_tx_ || initial_open)) return respond(turn, server, 500);
  if (state_ == State::confirmed) dialog_.refresh_target(request);
  if (request.has(HeaderId::session_expires)) {
    agree_session_timer_uas(request);
    if (state_ == State::confirmed && session_seconds_)
      start_session_timer(turn.now, session_seconds_, we_refresh_);
  }
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
  if (session_seconds_ && uas_offer_method_ == Method::invite)
    start_session_timer(turn.now, session_seconds_, we_refresh_);
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

void SipLeg::session_headers(sip::Writer& writer, bool response) const {
  if (!session_seconds_) return;
  // "uac" and "uas" are the roles in this very transaction (section 4).
  const bool uac_refreshes = response ? !we_refresh_ : we_refresh_;
  writer.header(HeaderId::session_expires,
                {std::to_string(session_seconds_), uac_refreshes ? ";refresher=uac" : ";refresher=uas"});
  if (response && uac_refreshes) writer.header(HeaderId::require, "timer");
  if (!response && min_se_ > 90) writer.header_number(HeaderId::min_se, min_se_);
}

void SipLeg::agree_session_timer_uas(const sip::Message& request) {
  const auto header = request.header(HeaderId::session_expires);
  const auto se = sip::SessionExpires::parse(header.value_or(""));
  const uint32_t ours = world_->config.session_expires;
  if (header && se.ok()) {
    session_seconds_ = std::max(ours ? std::min(se->seconds, ours) : se->seconds, world_->config.min_se);
    // Table 2 of section 9: who supports it and asked keeps the duty, unless it gave it to us.
    we_refresh_ = se->refresher == sip::SessionExpires::Refresher::uas || !peer_timer_;
  } else {
    session_seconds_ = ours;
    we_refresh_ = true;
  }
}

void SipLeg::agree_session_timer_uac(Now now, const sip::Message& response) {
  const auto header = response.header(HeaderId::session_expires);
  const auto se = sip::SessionExpires::parse(header.value_or(""));
  if (header && se.ok() && se->seconds >= 30) {
    session_seconds_ = se->seconds;
    we_refresh_ = se->refresher != sip::SessionExpires::Refresher::uas;
    return start_session_timer(now, session_seconds_, we_refresh_);
  }
  // The peer knows no session timer: we refresh, which finds a dead peer all the same (section 7.2).
  if (session_seconds_) start_session_timer(now, session_seconds_, true);
}

void SipLeg::start_session_timer(Now now, uint32_t secs, bool we_refresh) {
  we_refresh_ = we_refresh;
  const Duration interval = seconds(secs);
  refresh_at_ = we_refresh ? now.mono + interval / 2 : Instant::never();
  // Section 10: the other side hangs up a little before the end.
  const Duration margin = we_refresh ? Duration(0) : std::min<Duration>(seconds(32), interval / 3);
  expires_at_ = now.mono + (interval - margin);
}

void SipLeg::send_refresh(Turn& turn) {
  if (state_ != State::confirmed) return;
  if (local_offer_ || uas_offer_tx_ || refresh_out_ || final_2xx_.active()) {
    refresh_at_ = turn.now.mono + seconds(5);
    return;
  }
  const Method method = peer_update_ ? Method::update : Method::invite;
  sip::Writer w = dialog_.request(method);
  standard_headers(w);
  session_headers(w, false);
  refresh_out_ = true;
  offer_tx_ =
      send(turn, method, std::move(w), "application/sdp",
           method == Method::invite ? std::string_view(local_body_) : std::string_view{}, Purpose::refresh);
  if (!offer_tx_) {
    refresh_out_ = false;
    refresh_at_ = turn.now.mono + seconds(5);
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
    agree_session_timer_uac(turn.now, response);
  } else if (status == 481 || status == 408) {
    return dialog_gone(turn, status);
  } else if (status == 422) {
    const auto min = response.header(HeaderId::min_se);
    const auto parsed = sip::parse_delta_seconds(min.value_or(""));
    if (parsed.ok() && *parsed <= 86400) {
      min_se_ = std::max(min_se_, *parsed);
      session_seconds_ = std::max(session_seconds_, min_se_);
    }
    refresh_at_ = turn.now.mono + milliseconds(100);
  } else {
    refresh_at_ = turn.now.mono + (status == 491 ? milliseconds(2500) : milliseconds(10000));
  }
  offer_over(turn);
}

/// 481, 408 or silence to a request inside the dialog ends it (RFC 3261 section 12.2.1.2).
void SipLeg::dialog_gone(Turn& turn, int status) {
  local_offer_ = refresh_out_ = withdrawn_ = false;
  offer_tx_ = {};
  if (state_ != State::confirmed || bye_tx_) return;
  const Cause cause =
      Cause::from_q850(status == 481 ? 41 : 102, status == 481 ? "Dialog lost" : "Peer silent");
  if (status == 481)
    state_ = State::ended;
  else
    send_bye(turn, cause, dialog_);
  peer_released(turn, cause, false);
}

}  // namespace tandem::call
