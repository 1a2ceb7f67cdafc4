// The calling side of SIP: INVITE as a server (RFC 3261 section 13.3), reliable provisionals (RFC 3262
// section 3).
#include "base/text.h"
#include "call/sip_leg.h"
#include "sip/headers.h"

namespace tandem::call {

using sip::HeaderId;
using sip::Method;

namespace {
constexpr size_t max_queued_provisionals = 8;
}

bool SipLeg::take_invite(Turn& turn, sip::ServerTxId server, const port::Path& path) {
  const sip::Message* request = world_->transactions.request_of(server);
  if (!request) return false;
  const std::string tag = world_->mint.mint(shard_);
  const auto user_part = request->parsed_request_uri();
  const std::string_view contact_user = user_part.ok() ? user_part->user : std::string_view{};
  auto dialog =
      sip::Dialog::from_request(*request, path, tag, world_->contacts.contact_for(path, contact_user));
  dialog_.local_tag = tag;
  if (!dialog.ok()) {
    respond(turn, server, 400);
    state_ = State::ended;
    return false;
  }
  dialog_ = std::move(*dialog);
  uas_tx_ = server;
  world_->transactions.set_user(server, user(Purpose::uas_invite));
  state_ = State::ringing;
  learn_peer(*request);
  requires_100rel_ = request->lists(HeaderId::require, "100rel");
  offered_ = session_body(*request).has_value();
  if (interval_too_small(turn, server, *request)) {
    state_ = State::ended;
    uas_tx_ = {};
    return false;
  }
  // RFC 3262 section 3: a random start below 2^31.
  provisional_ = sip::ReliableProvisional(static_cast<uint32_t>(1 + world_->rng.below(0x7ffffffe)));
  return true;
}

void SipLeg::progress(Turn& turn, int status, std::string_view body) {
  if (state_ != State::ringing || held_status_ || status <= 100 || status >= 200) return;
  if (!offered_) body = {};
  const bool reliable =
      requires_100rel_ || (peer_100rel_ && world_->config.reliable_provisional && !body.empty());
  if (!reliable) return respond(turn, uas_tx_, status, body);
  if (!provisional_.idle()) {
    if (provisional_queue_.size() < max_queued_provisionals)
      provisional_queue_.emplace_back(status, body);
    else
      world_->counters.queue_full.add();
    return;
  }
  send_provisional(turn, status, body);
}

void SipLeg::send_provisional(Turn& turn, int status, std::string_view body) {
  const sip::Message* request = world_->transactions.request_of(uas_tx_);
  const port::Path* path = world_->transactions.path_of(uas_tx_);
  if (!request || !path) return;
  sip::Writer w = sip::response_to(*request, path->remote, status, dialog_.local_tag);
  w.header(HeaderId::contact, dialog_.local_target);
  standard_headers(w);
  w.header(HeaderId::require, "100rel");
  w.header_number(HeaderId::rseq, provisional_.next_rseq());
  Buffer bytes = body.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(body));
  provisional_.start(turn.now, world_->config.timers, request->cseq().number, bytes.bytes());
  provisional_has_body_ = !body.empty();
  if (!body.empty()) local_body_ = body;
  touch();
  world_->transactions.respond(turn.now, uas_tx_, std::move(bytes), turn.out);
}

void SipLeg::on_prack(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  const auto header = request.header(HeaderId::rack);
  const auto rack = sip::RAck::parse(header.value_or(""));
  if (!rack.ok() || !provisional_.on_prack(*rack)) return respond(turn, server, rack.ok() ? 481 : 400);
  if (provisional_has_body_) answered_early_ = true;
  touch();
  if (const auto body = session_body(request); body && answered_early_ && !local_offer_ && !uas_offer_tx_) {
    uas_offer_tx_ = server;
    uas_offer_method_ = Method::prack;
    world_->transactions.set_user(server, user(Purpose::uas_offer));
    LegEvent e;
    e.kind = LegEvent::Kind::offer;
    e.body = *body;
    push(turn, std::move(e));
  } else {
    respond(turn, server, 200);
  }
  if (accept_waits_) {
    accept_waits_ = false;
    return send_final_2xx(turn);
  }
  if (!provisional_queue_.empty()) {
    const auto [status, body] = std::move(provisional_queue_.front());
    provisional_queue_.erase(provisional_queue_.begin());
    send_provisional(turn, status, body);
  }
}

void SipLeg::accept(Turn& turn, std::string_view body) {
  if (state_ != State::ringing || held_status_) return;
  offer_body_ = body;
  if (!provisional_.idle() && provisional_has_body_) {  // RFC 3262 section 3: the 2xx waits for the PRACK
    accept_waits_ = true;
    return touch();
  }
  send_final_2xx(turn);
}

void SipLeg::send_final_2xx(Turn& turn) {
  provisional_.on_final();
  provisional_queue_.clear();
  answer_in_ack_ = !offered_;
  local_body_ = offer_body_;
  state_ = State::accepted;
  dialog_.state = sip::Dialog::State::confirmed;
  respond(turn, uas_tx_, 200, offer_body_);
  uas_tx_ = {};
  offer_body_.clear();
}

void SipLeg::on_ack(Turn& turn, const sip::Message& ack) {
  if (!final_2xx_.on_ack(ack.cseq().number)) return;
  touch();
  if (state_ == State::closing) return send_bye(turn, release_cause_, dialog_);
  const bool first = state_ == State::accepted;
  if (first) state_ = State::confirmed;
  const auto body = session_body(ack);
  const bool wants_answer = std::exchange(answer_in_ack_, false);
  if (wants_answer && !body) {
    const Cause cause = Cause::from_status(488, "No answer in the ACK");
    send_bye(turn, cause, dialog_);
    return peer_released(turn, cause, false);
  }
  if (wants_answer) {
    LegEvent e;
    e.kind = LegEvent::Kind::answer;
    e.body = *body;
    push(turn, std::move(e));
  }
  if (first) {
    LegEvent e;
    e.kind = LegEvent::Kind::confirmed;
    push(turn, std::move(e));
  }
  offer_over(turn);
}

void SipLeg::refuse(Turn& turn, const Cause& cause, port::CommitId after,
                    const std::vector<std::pair<std::string, std::string>>& headers) {
  const sip::Message* request = world_->transactions.request_of(uas_tx_);
  const port::Path* path = world_->transactions.path_of(uas_tx_);
  provisional_.on_final();
  provisional_queue_.clear();
  state_ = State::ended;
  touch();
  if (!request || !path) return;
  const int status = cause.status >= 300 ? cause.status : Cause::from_q850(cause.q850).status;
  sip::Writer w = sip::response_to(*request, path->remote, status, dialog_.local_tag);
  w.header(HeaderId::reason, cause.reason_header());
  if (status == 503) w.header_number(HeaderId::retry_after, world_->config.retry_after_seconds);
  for (const auto& [name, value] : headers) w.header(name, value);
  world_->transactions.respond(turn.now, uas_tx_, std::move(w).finish(), turn.out, after);
  uas_tx_ = {};
}

void SipLeg::on_server(Turn& turn, sip::TuEvent& event) {
  const Purpose purpose = purpose_of(event.user.detail);
  switch (event.kind) {
    case sip::TuEvent::Kind::cancel:
      if (purpose == Purpose::uas_invite && state_ == State::ringing && !held_status_) {
        held_status_ = 487;
        Cause cause = event.message ? Cause::from_message(*event.message) : Cause{};
        cause.status = 487;
        peer_released(turn, std::move(cause), true);
      } else if (purpose == Purpose::uas_offer && uas_offer_tx_ == event.server) {
        respond(turn, uas_offer_tx_, 487);
        uas_offer_tx_ = {};
        LegEvent e;
        e.kind = LegEvent::Kind::offer_refused;
        e.status = 487;
        e.by_peer = true;
        push(turn, std::move(e));
      }
      break;
    case sip::TuEvent::Kind::transport_failed:
      if (purpose == Purpose::uas_invite && state_ == State::ringing) {
        // The transaction stays until it has its final answer (RFC 6026 section 7.1), which a caller that
        // comes back is sent.
        const Cause cause = Cause::from_status(503, "Caller unreachable");
        refuse(turn, cause, 0, {});
        peer_released(turn, cause, false);
      }
      break;
    case sip::TuEvent::Kind::done:
      if (uas_tx_ == event.server) uas_tx_ = {};
      if (uas_offer_tx_ == event.server) uas_offer_tx_ = {};
      if (bye_tx_ == event.server) bye_tx_ = {};
      if (refer_tx_ == event.server) refer_tx_ = {};
      break;
    default:
      break;
  }
}

}  // namespace tandem::call
