// Requests inside the dialog (RFC 3261 section 12.2.2): which of them reach the call and which are answered
// here.
#include "base/text.h"
#include "call/sip_leg.h"
#include "sip/headers.h"
#include "sip/multipart.h"
#include "sip/options.h"

namespace tandem::call {

using sip::HeaderId;
using sip::Method;

/// CSeq order (RFC 3261 section 12.2.2) and Require (section 8.2.2.3).
bool SipLeg::acceptable(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  if (!dialog_.accept_cseq(request.cseq().number)) {
    respond(turn, server, 500);
    return false;
  }
  if (std::string unknown = sip::unsupported_options(request, supported_options(world_->config));
      !unknown.empty()) {
    respond_with(turn, server, 420, {{"Unsupported", std::move(unknown)}});
    return false;
  }
  return true;
}

void SipLeg::on_request(Turn& turn, sip::TuEvent& event) {
  const sip::Message* request = world_->transactions.request_of(event.server);
  if (!request) return;
  const sip::ServerTxId server = event.server;
  if (state_ == State::ended || !acceptable(turn, server, *request)) {
    if (state_ == State::ended) respond(turn, server, 481);
    return;
  }
  // Later requests go where this one came from: a phone may have opened a new connection or got a new NAT
  // binding.
  if (state_ == State::confirmed || state_ == State::accepted) dialog_.path = event.path;
  world_->transactions.set_user(server, user(Purpose::uas_other));
  switch (request->method()) {
    case Method::bye:
      return on_bye(turn, server, *request);
    case Method::invite:
      return on_reinvite(turn, server, *request);
    case Method::update:
      return on_update(turn, server, *request);
    case Method::prack:
      return on_prack(turn, server, *request);
    case Method::refer:
      return on_refer(turn, server, *request);
    case Method::info:
    case Method::message:
      return on_info(turn, server, *request);
    case Method::options:
      return respond(turn, server, 200);
    case Method::notify:
      return respond(turn, server, 200);
    case Method::subscribe:
      return respond(turn, server, 489);
    default:
      return respond(turn, server, 405);
  }
}

bool SipLeg::moved_to(const port::Contact& contact) {
  if (state_ != State::accepted && state_ != State::confirmed) return false;
  if (dialog_.path == contact.path || dialog_.path.transport != contact.path.transport) return false;
  const auto target = sip::Uri::parse(dialog_.remote_target);
  const auto is_target = [&](std::string_view text) {
    const auto uri = sip::Uri::parse(text);
    return target.ok() && uri.ok() && uri->user == target->user && iequals(uri->host, target->host) &&
           uri->port == target->port && uri->params.get("gr") == target->params.get("gr");
  };
  if (!is_target(contact.uri) && (contact.gruu.empty() || !is_target(contact.gruu))) return false;
  dialog_.path = contact.path;
  touch();
  return true;
}

void SipLeg::on_bye(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  if (state_ == State::closing || state_ == State::cancelling) {  // both hung up at once
    respond(turn, server, 200);
    final_2xx_.stop();
    if (!our_bye_tx_) state_ = state_ == State::closing ? State::ended : state_;
    return touch();
  }
  bye_tx_ = server;
  world_->transactions.set_user(server, user(Purpose::uas_bye));
  if (state_ == State::ringing) held_status_ = 487;  // RFC 3261 section 15.1.2
  Cause cause = Cause::from_message(request);
  cause.status = 0;
  peer_released(turn, std::move(cause), true);
}

void SipLeg::on_info(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  const auto package = request.method() == Method::info ? request.header("Info-Package") : std::nullopt;
  if (package && !iequals(trim(*package), trickle_package))  // RFC 6086 section 4.2.2
    return respond_with(turn, server, 469, {{"Recv-Info", std::string(trickle_package)}});
  if (package) {
    const auto body = sip::find_body(request, trickle_type);
    const std::string fragment(body.ok() && *body ? as_text(**body) : std::string_view{});
    respond(turn, server, fragment.empty() ? 400 : 200);
    if (fragment.empty()) return;
    info_body_ = fragment;
    LegEvent candidates;
    candidates.kind = LegEvent::Kind::candidates;
    candidates.body = info_body_;
    return push(turn, std::move(candidates));
  }
  LegEvent e;
  e.kind = LegEvent::Kind::info;
  e.method = sip::to_string(request.method());
  e.content_type = request.content_type();
  e.body = request.body_text();
  // The views must outlive the answer, which ends the server transaction's hold on the message.
  std::string keep_type(e.content_type), keep_body(e.body);
  respond(turn, server, 200);
  info_type_ = std::move(keep_type);
  info_body_ = std::move(keep_body);
  e.content_type = info_type_;
  e.body = info_body_;
  push(turn, std::move(e));
}

void SipLeg::on_refer(Turn& turn, sip::ServerTxId server, const sip::Message& request) {
  const auto refer_to = request.header(HeaderId::refer_to);
  const auto target = sip::NameAddr::parse(refer_to.value_or(""));
  if (!refer_to || !target.ok()) return respond(turn, server, 400);
  if (state_ != State::confirmed || refer_tx_ || refer_cseq_) return respond(turn, server, 491);
  refer_tx_ = server;
  world_->transactions.set_user(server, user(Purpose::uas_refer));
  const auto sub = request.header(HeaderId::refer_sub);
  refer_silent_ = sub && istarts_with(trim(*sub), "false");  // RFC 4488
  refer_cseq_ = request.cseq().number;
  LegEvent e;
  e.kind = LegEvent::Kind::transfer;
  e.body = target->uri_text;
  push(turn, std::move(e));
}

void SipLeg::answer_transfer(Turn& turn, int status) {
  if (!refer_tx_) return;
  const sip::ServerTxId server = std::exchange(refer_tx_, sip::ServerTxId{});
  if (refer_silent_ && status < 300)  // confirmed, or the peer waits for a NOTIFY (RFC 4488 section 4)
    respond_with(turn, server, status, {{"Refer-Sub", "false"}});
  else
    respond(turn, server, status);
  touch();
  if (status >= 300) refer_cseq_.reset();
}

void SipLeg::transfer_progress(Turn& turn, int status) {
  if (!refer_cseq_) return;
  const uint32_t id = *refer_cseq_;
  if (status >= 200) refer_cseq_.reset();
  if (refer_silent_ || state_ != State::confirmed) return;
  if (!notify_next_.empty() && notify_next_.back().refer_cseq == id) notify_next_.pop_back();
  notify_next_.push_back({id, status});
  touch();
  if (!notify_out_) send_notify(turn);
}

/// The oldest report that waits.
void SipLeg::send_notify(Turn& turn) {
  const auto [id, status] = notify_next_.front();
  notify_next_.erase(notify_next_.begin());
  sip::Writer w = dialog_.request(Method::notify);
  w.header(HeaderId::event, "refer;id=" + std::to_string(id));
  w.header(HeaderId::subscription_state,
           status >= 200 ? "terminated;reason=noresource" : "active;expires=180");
  w.header(HeaderId::user_agent, world_->config.user_agent);
  const std::string fragment =
      "SIP/2.0 " + std::to_string(status) + " " + std::string(sip::default_reason(status)) + "\r\n";
  notify_tx_ =
      send(turn, Method::notify, std::move(w), "message/sipfrag;version=2.0", fragment, Purpose::notify);
  notify_out_ = static_cast<bool>(notify_tx_);
  if (!notify_out_) notify_next_.clear();  // a full table: the subscription ends with the dialog
}

/// Our NOTIFY was answered, or never will be: the next, or the BYE that waits.
void SipLeg::notify_over(Turn& turn) {
  notify_out_ = false;
  notify_tx_ = {};
  touch();
  if (state_ != State::confirmed || bye_tx_) return notify_next_.clear();
  if (!notify_next_.empty()) return send_notify(turn);
  if (bye_at_.is_never()) return;
  bye_at_ = Instant::never();
  send_bye(turn, release_cause_, dialog_);
}

void SipLeg::send_info(Turn& turn, std::string_view method, std::string_view content_type,
                       std::string_view body) {
  if (state_ != State::confirmed) return;
  sip::Writer w = dialog_.request(sip::method_from(method));
  w.header(HeaderId::user_agent, world_->config.user_agent);
  send_text(turn, method, std::move(w), content_type, body, Purpose::info);
}

void SipLeg::send_candidates(Turn& turn, const std::vector<media::Trickled>&, std::string_view fragment) {
  if (!takes_candidates() || fragment.empty()) return;
  sip::Writer w = dialog_.request(Method::info);
  w.header(HeaderId::user_agent, world_->config.user_agent);
  w.header("Info-Package", trickle_package);
  w.header("Content-Disposition", "Info-Package");
  send_text(turn, "INFO", std::move(w), trickle_type, fragment, Purpose::info);
}

}  // namespace tandem::call
