// The caller's side: INVITE, ACK, CANCEL, BYE.
#include <algorithm>
#include <vector>

#include "load/agent.h"

namespace tandem::load {
namespace {

constexpr char invite_transaction = 'i';
constexpr char ack_transaction = 'a';
constexpr char bye_transaction = 'b';

/// Record-Route of a 2xx, last first (RFC 3261 section 12.1.2), as one comma list.
std::string route_set(const sip::Message& response) {
  std::vector<std::string_view> values;
  response.for_each_value(sip::HeaderId::record_route, [&](std::string_view v) { values.push_back(v); });
  std::string routes;
  for (auto v = values.rbegin(); v != values.rend(); ++v) {
    if (!routes.empty()) routes += ", ";
    routes += *v;
  }
  return routes;
}

uint64_t microseconds_between(Instant from, Instant to) {
  return static_cast<uint64_t>(std::max<int64_t>(0, (to - from).count()) / 1000);
}

}  // namespace

// ---- writing ---------------------------------------------------------------------------------------------

void Agent::call_head(sip::Writer& w, SlotId id, const OutgoingCall& call, sip::Method method,
                      char transaction) const {
  const Name name(Owner::caller, id, run_);
  const std::string cseq = std::to_string(call.request.cseq);
  w.header(sip::HeaderId::via, {caller_.via, name.text(), std::string_view(&transaction, 1), cseq});
  w.header(sip::HeaderId::max_forwards, "70");
  w.header(sip::HeaderId::from, {"<", settings_.caller->from, ">;tag=", name.text()});
  if (call.to.empty())
    w.header(sip::HeaderId::to, {"<", settings_.caller->to, ">"});
  else
    w.header(sip::HeaderId::to, call.to);
  w.header(sip::HeaderId::call_id, {name.text(), "@load"});
  w.header(sip::HeaderId::cseq, {cseq, " ", sip::to_string(method)});
}

Buffer Agent::write_invite(SlotId id, const OutgoingCall& call) const {
  auto w = sip::Writer::request(sip::Method::invite, settings_.caller->to);
  call_head(w, id, call, sip::Method::invite, invite_transaction);
  w.header(sip::HeaderId::contact, {"<sip:load", caller_.contact, ">"});
  w.header(sip::HeaderId::allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE");
  if (!call.request.authorization.empty())
    w.header(call.request.authorization_header, call.request.authorization);
  return std::move(w).body("application/sdp", as_bytes(description(call.stream, caller_)));
}

Buffer Agent::write_in_dialog(SlotId id, const OutgoingCall& call, sip::Method method) const {
  auto w = sip::Writer::request(method, call.target);
  call_head(w, id, call, method, method == sip::Method::ack ? ack_transaction : bye_transaction);
  if (!call.routes.empty()) w.header(sip::HeaderId::route, call.routes);
  if (!call.request.authorization.empty())
    w.header(call.request.authorization_header, call.request.authorization);
  return std::move(w).finish();
}

Buffer Agent::write_cancel(SlotId id, const OutgoingCall& call) const {
  auto w = sip::Writer::request(sip::Method::cancel, settings_.caller->to);
  call_head(w, id, call, sip::Method::cancel, invite_transaction);
  return std::move(w).finish();
}

Buffer Agent::write_refusal_ack(const sip::Message& response) const {
  auto w = sip::Writer::request(sip::Method::ack, settings_.caller->to);
  const std::string_view via = caller_.via;
  w.header(sip::HeaderId::via,
           {via.substr(0, via.rfind("z9hG4bK")), response.top_via().branch});  // the INVITE's branch
  w.header(sip::HeaderId::max_forwards, "70");
  w.copy(response, sip::HeaderId::from);
  w.copy(response, sip::HeaderId::to);
  w.copy(response, sip::HeaderId::call_id);
  w.header(sip::HeaderId::cseq, {std::to_string(response.cseq().number), " ACK"});
  return std::move(w).finish();
}

// ---- the call --------------------------------------------------------------------------------------------

void Agent::begin_call(Now now) {
  if (outgoing_.full()) {
    ++statistics_.shed;
    return;
  }
  count_start(now);
  const SlotId id = outgoing_.emplace();
  OutgoingCall& call = *outgoing_.find(id);
  call.began = now.mono;
  call.stream = open_stream(now, settings_.caller->rtp, caller_sound_,
                            settings_.caller->webrtc ? Wire::webrtc_offering : Wire::plain);
  ++statistics_.started;
  statistics_.up = outgoing_.size();
  send_invite(now, id, call);
}

void Agent::send_invite(Now now, SlotId id, OutgoingCall& call) {
  call.state = OutgoingCall::State::calling;
  begin_request(Owner::caller, id, call.request, now);
  to_target(id, write_invite(id, call));
}

void Agent::on_caller_response(Now now, SlotId id, const sip::Message& response) {
  OutgoingCall* call = outgoing_.find(id);
  const bool refusal = response.method() == sip::Method::invite && response.status() >= 300;
  if (!call || (refusal && response.cseq().number != call->request.cseq)) {
    // Of an ended call or of an INVITE from before the challenge: the far side did not see our ACK.
    ++statistics_.retransmissions_seen;
    if (refusal) to_target(id, write_refusal_ack(response));
    return;
  }
  if (response.method() == sip::Method::invite) return on_invite_response(now, id, *call, response);
  if (response.method() == sip::Method::bye) return on_bye_response(now, id, *call, response);
  // 200 to our CANCEL: what counts is the final response to the INVITE.
  if (call->state == OutgoingCall::State::cancelling && response.status() >= 200)
    arm(Owner::caller, id, call->request.due, call->request.give_up);
}

void Agent::on_invite_response(Now now, SlotId id, OutgoingCall& call, const sip::Message& response) {
  using State = OutgoingCall::State;
  if (response.status() >= 300) return on_refused(now, id, call, response);
  if (response.status() >= 200) return on_answered(now, id, call, response);
  if (call.state != State::calling && call.state != State::proceeding) return;
  if (response.status() == 180 || response.status() == 183)
    if (!call.rang) {
      call.rang = true;
      statistics_.ring_delay.add(microseconds_between(call.began, now.mono));
    }
  if (call.state != State::calling) return;
  call.state = State::proceeding;
  arm(Owner::caller, id, call.request.due, call.began + settings_.caller->patience);
}

void Agent::on_answered(Now now, SlotId id, OutgoingCall& call, const sip::Message& response) {
  using State = OutgoingCall::State;
  if (call.state == State::talking || call.state == State::releasing) {
    ++statistics_.retransmissions_seen;
    if (call.state == State::talking) to_target(id, write_in_dialog(id, call, sip::Method::ack));
    return;
  }
  call.to = std::string(response.header(sip::HeaderId::to).value_or(""));
  const auto contact = response.contact();
  call.target = contact && !contact->uri_text.empty() ? std::string(contact->uri_text) : settings_.caller->to;
  call.routes = route_set(response);
  call.state = State::talking;
  ++statistics_.answered;
  statistics_.answer_delay.add(microseconds_between(call.began, now.mono));
  to_target(id, write_in_dialog(id, call, sip::Method::ack));
  start_stream(now, call.stream, response);
  if (settings_.caller->hold.count() <= 0) return release(now, id, call);
  arm(Owner::caller, id, call.request.due, now.mono + settings_.caller->hold);
}

void Agent::on_refused(Now now, SlotId id, OutgoingCall& call, const sip::Message& response) {
  to_target(id, write_refusal_ack(response));
  const bool challenge = response.status() == 401 || response.status() == 407;
  const CallerSettings& c = *settings_.caller;
  if (challenge && !call.challenged &&
      take_challenge(call.request, response, "INVITE", c.to, c.user, c.password)) {
    call.challenged = true;
    ++call.request.cseq;
    return send_invite(now, id, call);
  }
  const bool gave_up = call.state == OutgoingCall::State::cancelling;
  end_call(now, id, gave_up ? "no answer" : cause_of(response));
}

void Agent::release(Now now, SlotId id, OutgoingCall& call) {
  call.state = OutgoingCall::State::releasing;
  streams_.stop_sending(call.stream);
  ++call.request.cseq;
  // The nonce of the INVITE's credentials would need another response for this method and count.
  call.request.authorization.clear();
  begin_request(Owner::caller, id, call.request, now);
  to_target(id, write_in_dialog(id, call, sip::Method::bye));
}

void Agent::on_bye_response(Now now, SlotId id, OutgoingCall& call, const sip::Message& response) {
  if (call.state != OutgoingCall::State::releasing || response.status() < 200 ||
      response.cseq().number != call.request.cseq)
    return;
  const bool challenge = response.status() == 401 || response.status() == 407;
  const CallerSettings& c = *settings_.caller;
  if (challenge && !call.bye_challenged &&
      take_challenge(call.request, response, "BYE", call.target, c.user, c.password)) {
    call.bye_challenged = true;
    ++call.request.cseq;
    begin_request(Owner::caller, id, call.request, now);
    return to_target(id, write_in_dialog(id, call, sip::Method::bye));
  }
  statistics_.release_delay.add(microseconds_between(call.request.sent, now.mono));
  end_call(now, id, response.status() < 300 ? "" : "BYE: " + cause_of(response));
}

void Agent::on_caller_timer(Now now, SlotId id) {
  using State = OutgoingCall::State;
  OutgoingCall& call = *outgoing_.find(id);
  switch (call.state) {
    case State::calling:
      if (again(Owner::caller, id, call.request, now, true) == Again::timed_out)
        return end_call(now, id, "no response to INVITE");
      return to_target(id, write_invite(id, call));
    case State::proceeding:
      return cancel(now, id, call);
    case State::cancelling:
      if (again(Owner::caller, id, call.request, now, false) == Again::timed_out)
        return end_call(now, id, "no final response after CANCEL");
      return to_target(id, write_cancel(id, call));
    case State::talking:
      return release(now, id, call);
    case State::releasing:
      if (again(Owner::caller, id, call.request, now, false) == Again::timed_out)
        return end_call(now, id, "no response to BYE");
      return to_target(id, write_in_dialog(id, call, sip::Method::bye));
  }
}

void Agent::cancel(Now now, SlotId id, OutgoingCall& call) {
  call.state = OutgoingCall::State::cancelling;
  begin_request(Owner::caller, id, call.request, now);
  to_target(id, write_cancel(id, call));
}

void Agent::end_call(Now now, SlotId id, const std::string& cause) {
  streams_.close(outgoing_.find(id)->stream);
  outgoing_.erase(id);
  last_ended_ = now.mono;
  statistics_.up = outgoing_.size();
  if (cause.empty()) {
    ++statistics_.completed;
  } else {
    ++statistics_.failed;
    statistics_.fail(cause);
  }
}

}  // namespace tandem::load
