// The callee's side: answers what comes, and ends with the BYE.
#include <algorithm>

#include "base/hash.h"
#include "load/agent.h"

namespace tandem::load {
namespace {

/// A retransmitted INVITE, and the CANCEL for it, carry the same (RFC 3261 section 17.2.3).
uint64_t key_of(const sip::Message& request) {
  return hash64(request.call_id(), hash64(request.top_via().branch));
}

}  // namespace

Buffer Agent::write_response(SlotId id, const IncomingCall& call, int status) const {
  const Name tag(Owner::callee, id, run_);
  auto w = sip::response_to(*call.invite, call.path.remote, status, tag.text());
  if (status < 300) w.header(sip::HeaderId::contact, {"<sip:load", callee_.contact, ">"});
  if (status != 200) return std::move(w).finish();
  w.header(sip::HeaderId::allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE");
  return std::move(w).body("application/sdp", as_bytes(description(call.stream, callee_)));
}

void Agent::on_invite(Now now, const port::Path& path, sip::Message invite) {
  const uint64_t key = key_of(invite);
  if (const auto known = incoming_by_key_.find(key); known != incoming_by_key_.end()) {
    ++statistics_.retransmissions_seen;
    const IncomingCall& call = *incoming_.find(known->second);
    if (call.invite)
      reply(path,
            write_response(known->second, call, call.state == IncomingCall::State::ringing ? 180 : 200));
    return;
  }
  if (!settings_.callee || winding_down_ || incoming_.full()) {
    statistics_.fail(settings_.callee ? "refused as a callee" : "INVITE to a caller");
    return reply(path, sip::response_to(invite, path.remote, settings_.callee ? 503 : 480, "load").finish());
  }
  const SlotId id = incoming_.emplace();
  IncomingCall& call = *incoming_.find(id);
  call.key = key;
  call.path = path;
  call.invite.emplace(std::move(invite));
  call.stream = open_stream(now, settings_.callee->rtp, callee_sound_,
                            settings_.callee->webrtc ? Wire::webrtc_answering : Wire::plain);
  incoming_by_key_.emplace(key, id);
  ++statistics_.incoming;
  statistics_.incoming_up = incoming_.size();
  reply(path, write_response(id, call, 180));
  if (settings_.callee->ring.count() <= 0) return answer(now, id, call);
  arm(Owner::callee, id, call.due, now.mono + settings_.callee->ring);
}

void Agent::answer(Now now, SlotId id, IncomingCall& call) {
  call.state = IncomingCall::State::answered;
  start_stream(now, call.stream, *call.invite);
  call.interval = timers_.t1;
  call.give_up = now.mono + timers_.timer_h();
  arm(Owner::callee, id, call.due, now.mono + call.interval);
  reply(call.path, write_response(id, call, 200));
}

/// A 2xx is repeated until its ACK, over any transport (section 13.3.1.4).
void Agent::on_callee_timer(Now now, SlotId id) {
  IncomingCall& call = *incoming_.find(id);
  if (call.state == IncomingCall::State::ringing) return answer(now, id, call);
  if (now.mono >= call.give_up) return end_incoming(id, "no ACK");
  call.interval = std::min(2 * call.interval, timers_.t2);
  arm(Owner::callee, id, call.due, std::min(now.mono + call.interval, call.give_up));
  ++statistics_.retransmitted;
  reply(call.path, write_response(id, call, 200));
}

void Agent::on_ack(SlotId id) {
  IncomingCall* call = incoming_.find(id);
  if (!call || call->state != IncomingCall::State::answered) return;
  call->state = IncomingCall::State::confirmed;
  call->due = Instant::never();
  call->invite.reset();
}

void Agent::on_in_dialog(Now now, const port::Path& path, const sip::Message& request) {
  const auto named = read_name(request.to_tag(), run_);
  const bool ack = request.method() == sip::Method::ack;
  if (!named) {
    if (ack) return;  // to a refusal of ours, whose tag names nothing
    ++statistics_.unexpected;
    return reply(path, sip::response_to(request, path.remote, 481, {}).finish());
  }
  if (ack) return named->owner == Owner::callee ? on_ack(named->id) : void();
  if (request.method() == sip::Method::bye) return on_bye(now, path, request, *named);
  auto w = sip::response_to(request, path.remote, 200, {});
  const bool caller = named->owner == Owner::caller;
  const Endpoint& at = caller ? caller_ : callee_;
  w.header(sip::HeaderId::contact, {"<sip:load", at.contact, ">"});
  const bool offers = request.method() == sip::Method::invite || !request.body().empty();
  if (!offers) return reply(path, std::move(w).finish());
  SlotId stream;
  if (const OutgoingCall* out = caller ? outgoing_.find(named->id) : nullptr) stream = out->stream;
  if (const IncomingCall* in = caller ? nullptr : incoming_.find(named->id)) stream = in->stream;
  if (!request.body().empty()) start_stream(now, stream, request);
  reply(path, std::move(w).body("application/sdp", as_bytes(description(stream, at))));
}

/// The tag is ours, so a BYE whose call is gone is one that came again: the same answer, without a state that
/// would wait for it (timer J).
void Agent::on_bye(Now now, const port::Path& path, const sip::Message& request, const Named& named) {
  reply(path, sip::response_to(request, path.remote, 200, {}).finish());
  if (named.owner == Owner::caller) {
    if (outgoing_.find(named.id)) return end_call(now, named.id, "ended by the far side");
  } else if (incoming_.find(named.id)) {
    return end_incoming(named.id, {});
  }
  ++statistics_.retransmissions_seen;
}

void Agent::on_cancel(const port::Path& path, const sip::Message& request) {
  const auto known = incoming_by_key_.find(key_of(request));
  if (known == incoming_by_key_.end())
    return reply(path, sip::response_to(request, path.remote, 481, "load").finish());
  const SlotId id = known->second;
  const Name tag(Owner::callee, id, run_);
  reply(path, sip::response_to(request, path.remote, 200, tag.text()).finish());
  const IncomingCall& call = *incoming_.find(id);
  if (call.state != IncomingCall::State::ringing) return;
  reply(call.path, write_response(id, call, 487));
  end_incoming(id, "cancelled by the caller");
}

void Agent::end_incoming(SlotId id, const std::string& cause) {
  const IncomingCall& call = *incoming_.find(id);
  streams_.close(call.stream);
  incoming_by_key_.erase(call.key);
  incoming_.erase(id);
  statistics_.incoming_up = incoming_.size();
  if (cause.empty())
    ++statistics_.incoming_completed;
  else
    statistics_.fail(cause);
}

}  // namespace tandem::load
