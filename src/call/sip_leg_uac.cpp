// The called side of SIP: INVITE as a client (RFC 3261 section 13.2), forks, reliable provisionals,
// challenges.
#include <algorithm>

#include "base/text.h"
#include "call/sip_leg.h"
#include "sip/headers.h"
#include "sip/qvalue.h"

namespace tandem::call {

using sip::HeaderId;
using sip::Method;

namespace {
constexpr size_t max_redirections = 5;
}

void SipLeg::invite(Turn& turn, Invitation invitation, std::string_view body) {
  uac_ = true;
  invitation_ = std::move(invitation);
  offer_body_ = body;
  local_body_ = body;
  offered_ = !body.empty();
  dialog_.uac = true;
  dialog_.call_id = world_->mint.mint(shard_);
  dialog_.local_tag = world_->mint.mint(shard_);
  dialog_.local_uri = invitation_.from;
  dialog_.remote_uri = invitation_.to;
  dialog_.remote_target = invitation_.request_uri;
  dialog_.local_target = world_->contacts.contact_for(invitation_.path, invitation_.contact_user);
  dialog_.path = invitation_.path;
  dialog_.secure = istarts_with(invitation_.request_uri, "sips:");
  dialog_.local_cseq = 1;
  invite_cseq_ = 1;
  state_ = State::inviting;
  send_invite(turn);
}

void SipLeg::invite_again(Turn& turn, std::string_view body) {
  offer_body_ = body;
  local_body_ = body;
  state_ = State::inviting;
  repeat_invite(turn);
}

void SipLeg::repeat_invite(Turn& turn) {
  early_.clear();
  invite_cseq_ = dialog_.local_cseq.value_or(1) + 1;
  dialog_.local_cseq = invite_cseq_;
  send_invite(turn);
}

void SipLeg::send_invite(Turn& turn) {
  sip::Writer w = sip::Writer::request(Method::invite, invitation_.request_uri);
  char number[16];
  const auto digits = [&](uint32_t n) {
    int len = 0;
    char reversed[16];
    do reversed[len++] = static_cast<char>('0' + n % 10);
    while (n /= 10);
    for (int i = 0; i < len; ++i) number[i] = reversed[len - 1 - i];
    return std::string_view(number, static_cast<size_t>(len));
  };
  w.header_number(HeaderId::max_forwards, invitation_.max_forwards);
  for (const std::string& route : invitation_.route) w.header(HeaderId::route, route);
  w.header(HeaderId::from, {dialog_.local_uri, ";tag=", dialog_.local_tag});
  w.header(HeaderId::to, dialog_.remote_uri);
  w.header(HeaderId::call_id, dialog_.call_id);
  w.header(HeaderId::cseq, {digits(invite_cseq_), " INVITE"});
  w.header(HeaderId::contact, dialog_.local_target);
  standard_headers(w);
  session_headers(w);
  for (const auto& [name, value] : invitation_.headers) w.header(name, value);
  authorize(w, invite_cseq_);
  invite_tx_ = send(turn, Method::invite, std::move(w), "application/sdp", offer_body_, Purpose::invite);
  if (!invite_tx_) invite_failed(turn, Cause::from_status(503, "Too many transactions"));
}

void SipLeg::invite_failed(Turn& turn, Cause cause, bool by_peer, std::vector<std::string> targets) {
  const bool told = state_ == State::cancelling;
  state_ = State::ended;
  invite_tx_ = {};
  end_offers(turn);  // an early UPDATE of the peer's may wait
  touch();
  if (told) return;
  LegEvent e;
  e.kind = LegEvent::Kind::refused;
  e.by_peer = by_peer;
  e.status = cause.status;
  e.cause = std::move(cause);
  e.targets = std::move(targets);
  push(turn, std::move(e));
}

void SipLeg::on_client(Turn& turn, sip::TuEvent& event) {
  const Purpose purpose = purpose_of(event.user.detail);
  if (event.kind == sip::TuEvent::Kind::response && event.message) {
    const sip::Message& response = *event.message;
    const bool final = response.status() >= 200;
    switch (purpose) {
      case Purpose::invite:
        return on_invite_response(turn, response, event.path);
      case Purpose::offer:
        return on_offer_response(turn, response);
      case Purpose::refresh:
        return on_refresh_response(turn, response);
      case Purpose::bye:
        if (!final || state_ != State::closing) return touch();
        if (take_challenge(response, dialog_.remote_target)) return send_bye(turn, release_cause_, dialog_);
        state_ = State::ended;
        return touch();
      case Purpose::notify:
        if (final) notify_over(turn);
        return;
      case Purpose::info:
      case Purpose::prack:
        if (response.status() == 481) dialog_gone(turn, 481);
        return;
      default:
        return;
    }
  }
  const int status = event.kind == sip::TuEvent::Kind::timeout ? 408 : 503;
  switch (purpose) {
    case Purpose::invite:
      if (state_ == State::inviting || state_ == State::cancelling)
        invite_failed(turn, Cause::from_status(status, status == 408 ? "No answer" : "Unreachable"));
      break;
    case Purpose::offer:
      if (send_again(turn, event, purpose)) return;
      if (patient_offer_ && local_offer_) return offer_unanswered(turn, status);
      dialog_gone(turn, status);
      break;
    case Purpose::refresh:
      if (send_again(turn, event, purpose)) return;
      refresh_failed(turn, status);
      break;
    case Purpose::bye:
      if (send_again(turn, event, purpose)) return;
      if (state_ == State::closing) state_ = State::ended;
      touch();
      break;
    case Purpose::notify:
      notify_over(turn);
      break;
    default:
      break;
  }
}

void SipLeg::on_invite_response(Turn& turn, const sip::Message& response, const port::Path& path) {
  const int status = response.status();
  if (status < 200) return on_provisional(turn, response, path);
  if (status < 300) return on_invite_2xx(turn, response, path);
  if (state_ == State::inviting || state_ == State::cancelling) on_invite_refused(turn, response);
}

SipLeg::Early& SipLeg::early_dialog(const sip::Message& response, const port::Path& path) {
  const std::string_view tag = response.to_tag();
  for (Early& e : early_)
    if (e.dialog.remote_tag == tag) return e;
  auto made = sip::Dialog::from_response(response, path, dialog_);
  early_.push_back({made.ok() ? std::move(*made) : dialog_, {}});
  early_.back().dialog.remote_tag = tag;
  return early_.back();
}

void SipLeg::on_provisional(Turn& turn, const sip::Message& response, const port::Path& path) {
  if (state_ != State::inviting) return;
  learn_peer(response);
  const auto body = session_body(response);
  const std::string_view tag = response.to_tag();
  if (!tag.empty() && early_.size() < world_->config.max_forks) {
    Early& early = early_dialog(response, path);
    const auto rseq_text = response.header(HeaderId::rseq);
    if (rseq_text && response.lists(HeaderId::require, "100rel")) {
      const auto rseq = parse_u32(*rseq_text);
      if (!rseq || early.rseq.see(*rseq) != sip::RSeqOrder::Verdict::next) return;
      send_prack(turn, early.dialog, response, *rseq);
    }
  }
  LegEvent e;
  e.kind = LegEvent::Kind::progress;
  e.status = static_cast<uint16_t>(response.status());
  if (body && offered_) e.body = *body;
  if (!e.body.empty()) answered_early_ = true;
  push(turn, std::move(e));
}

void SipLeg::send_prack(Turn& turn, sip::Dialog& dialog, const sip::Message& response, uint32_t rseq) {
  sip::Writer w = dialog.request(Method::prack);
  const std::string rack = std::to_string(rseq) + " " + std::to_string(response.cseq().number) + " INVITE";
  w.header(HeaderId::rack, rack);
  w.header(HeaderId::user_agent, world_->config.user_agent);
  sip::OutgoingRequest request;
  request.method = Method::prack;
  request.rest = std::move(w).finish();
  request.path = invitation_.path;
  request.server_name = invitation_.server_name;
  request.user = user(Purpose::prack);
  request.shard = shard_;
  request.keep_transport = true;
  world_->transactions.request(turn.now, std::move(request), turn.out);
  // The INVITE's own sequence goes on from here (RFC 3261 section 12.2.1.1).
  dialog_.local_cseq = std::max(dialog_.local_cseq.value_or(1), dialog.local_cseq.value_or(1));
}

void SipLeg::send_ack(Turn& turn, sip::Dialog& dialog, uint32_t cseq, std::string_view body) {
  sip::Writer w = dialog.request(Method::ack, cseq);
  for (const auto& [header, value] :
       {std::pair(HeaderId::user_agent, std::string_view(world_->config.user_agent))})
    w.header(header, value);
  authorize(w, cseq);
  sip::OutgoingRequest request;
  request.method = Method::ack;
  request.rest = body.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(body));
  request.path = next_path();
  request.server_name = invitation_.server_name;
  request.user = user(Purpose::other);
  request.shard = shard_;
  request.keep_transport = true;
  world_->transactions.send_stateless(turn.now, std::move(request), turn.out);
  if (&dialog == &dialog_) ack_cseq_ = cseq;
  touch();
}

void SipLeg::on_invite_2xx(Turn& turn, const sip::Message& response, const port::Path& path) {
  const bool chosen = state_ == State::accepted || state_ == State::confirmed || state_ == State::closing ||
                      state_ == State::ended;
  if (chosen && response.to_tag() != dialog_.remote_tag) return other_fork_2xx(turn, response, path);
  if (chosen) {  // retransmission: its ACK was lost
    if (!ack_withheld_) send_ack(turn, dialog_, invite_cseq_, ack_body_);
    return;
  }
  learn_peer(response);
  const bool cancelled = state_ == State::cancelling;
  const uint32_t cseq_now = dialog_.local_cseq.value_or(1);
  auto made = sip::Dialog::from_response(response, path, dialog_);
  if (made.ok()) dialog_ = std::move(*made);
  dialog_.confirm(response);
  dialog_.local_cseq = std::max(cseq_now, dialog_.local_cseq.value_or(1));
  early_.clear();
  invite_tx_ = {};
  state_ = State::accepted;
  if (cancelled) {  // the 200 crossed our CANCEL (RFC 3261 section 9.1): answered, then hung up
    send_ack(turn, dialog_, invite_cseq_, {});
    send_bye(turn, Cause::from_q850(16), dialog_);
    return;
  }
  session_timer_.on_2xx(turn.now, response);
  const auto body = session_body(response);
  const bool complete = offered_ ? (body || answered_early_) : body.has_value();
  if (!complete) {
    send_ack(turn, dialog_, invite_cseq_, {});
    send_bye(turn, Cause::from_status(488, "No session description"), dialog_);
    peer_released(turn, Cause::from_status(488, "No session description"), false);
    return;
  }
  LegEvent e;
  e.kind = LegEvent::Kind::answered;
  e.status = static_cast<uint16_t>(response.status());
  if (body) e.body = *body;
  if (offered_) {
    send_ack(turn, dialog_, invite_cseq_, {});
    state_ = State::confirmed;
    push(turn, std::move(e));
    offer_over(turn);
  } else {
    e.offer_in_answer = true;
    ack_withheld_ = true;
    push(turn, std::move(e));
  }
}

/// Another branch of a downstream fork answered too: acknowledged and ended (RFC 3261 section 13.2.2.4).
void SipLeg::other_fork_2xx(Turn& turn, const sip::Message& response, const port::Path& path) {
  auto made = sip::Dialog::from_response(response, path, dialog_);
  if (!made.ok()) return;
  sip::Dialog dialog = std::move(*made);
  dialog.confirm(response);
  send_ack(turn, dialog, invite_cseq_, {});
  const std::string tag(response.to_tag());
  if (std::find(refused_tags_.begin(), refused_tags_.end(), tag) != refused_tags_.end()) return;
  if (refused_tags_.size() >= world_->config.max_forks) return;
  refused_tags_.push_back(tag);
  world_->counters.late_2xx.add();
  send_bye(turn, Cause::from_q850(26, "Answered elsewhere"), dialog);
}

/// A 401 or 407 that we can answer: the next request of the dialog carries what it asks for. A request that
/// carried credentials is tried again only when they were right but late ("stale").
bool SipLeg::take_challenge(const sip::Message& response, std::string_view uri) {
  const int status = response.status();
  if ((status != 401 && status != 407) || !invitation_.credentials) return false;
  const bool carried = auth_cseq_ != 0 && response.cseq().number == auth_cseq_;
  if (!carried) auth_tries_ = 0;
  if (auth_tries_ >= 2) return false;
  const auto answer = auth::answer(response, sip::to_string(response.method()), uri, *invitation_.credentials,
                                   world_->rng.token(16));
  if (!answer || (carried && !answer->stale)) return false;
  ++auth_tries_;
  nonce_auth_ = answer->value;
  nonce_proxy_ = answer->header == HeaderId::proxy_authorization;
  auth_cseq_ = dialog_.local_cseq.value_or(1) + 1;
  return true;
}

void SipLeg::authorize(sip::Writer& writer, uint32_t cseq) const {
  if (auth_cseq_ == 0 || cseq != auth_cseq_) return;
  writer.header(nonce_proxy_ ? HeaderId::proxy_authorization : HeaderId::authorization, nonce_auth_);
}

/// The INVITE again, with what the peer asked for. True when it is out.
bool SipLeg::retry_invite(Turn& turn, const sip::Message& response) {
  const int status = response.status();
  if (status == 422) {
    if (!session_timer_.on_422(response)) return false;
  } else if (!take_challenge(response, invitation_.request_uri)) {
    return false;
  }
  repeat_invite(turn);
  return true;
}

/// The contacts of a 3xx, the preferred first (RFC 3261 sections 8.1.3.4 and 20.10).
std::vector<std::string> SipLeg::redirections(const sip::Message& response) const {
  std::vector<std::pair<uint16_t, std::string>> found;
  response.for_each_value(HeaderId::contact, [&](std::string_view value) {
    const auto contact = sip::NameAddr::parse(value);
    if (!contact.ok() || contact->star) return;
    found.emplace_back(sip::qvalue(contact->params.get("q").value_or("1")), contact->uri_text);
  });
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  if (found.size() > max_redirections) {
    world_->counters.redirections_dropped.add(found.size() - max_redirections);
    found.resize(max_redirections);
  }
  std::vector<std::string> targets;
  targets.reserve(found.size());
  for (auto& [q, target] : found) targets.push_back(std::move(target));
  return targets;
}

void SipLeg::on_invite_refused(Turn& turn, const sip::Message& response) {
  const int status = response.status();
  if (state_ == State::inviting && retry_invite(turn, response)) return;
  std::vector<std::string> targets;
  if (status < 400) targets = redirections(response);
  Cause cause = Cause::from_status(status, response.reason_phrase());
  if (const auto reason = response.header(HeaderId::reason)) {
    const auto parsed = sip::ReasonValue::parse(*reason);
    if (parsed.ok() && iequals(parsed->protocol, "Q.850") && parsed->cause && *parsed->cause > 0 &&
        *parsed->cause < 128)
      cause.q850 = static_cast<uint16_t>(*parsed->cause);
  }
  invite_failed(turn, std::move(cause), true, std::move(targets));
}

}  // namespace tandem::call
