// A phone through bytes and back.
#include "sip.pb.h"
#include "webrtc.pb.h"
#include "webrtc/phone_parts.h"

namespace tandem::webrtc {
void Phone::save_call(Now now, const Call& c, proto::RtcCall& to) {
  to.set_number(c.number);
  to.set_state(static_cast<uint32_t>(c.state));
  to.set_outgoing(c.outgoing);
  to.set_dialog(sip::to_part(c.dialog));
  to.set_target(c.target);
  to.set_peer_uri(c.peer_uri);
  to.set_peer_name(c.peer_name);
  to.set_local_sdp(c.local_sdp);
  to.set_remote_sdp(c.remote_sdp);
  to.set_reported(c.reported);
  to.set_invite_cseq(c.invite_cseq);
  to.set_challenged(c.challenged);
  to.set_cancelled(c.cancelled);
  to.set_early(c.early);
  to.set_offered(c.offered);
  to.set_acked_cseq(c.acked_cseq);
  to.set_ack_sdp(c.ack_sdp);
  to.set_wants_offer(c.wants_offer);
  to.set_answer_by_at(deadline_to_wall(now, c.answer_by));
  if (c.ok.waiting()) to.set_ok(c.ok.to_part(now));
  for (const Candidate& one : c.candidates) {
    auto* out = to.add_candidates();
    out->set_candidate(one.candidate);
    out->set_mid(one.mid);
    out->set_ufrag(one.ufrag);
  }
  to.set_last_candidates(c.last_candidates);
  to.set_digits(std::string(c.digits.begin(), c.digits.end()));
  to.set_digit_ms(c.digit_ms);
}

bool Phone::load_call(Now now, const proto::RtcCall& from) {
  auto dialog = sip::dialog_from_part(from.dialog());
  if (!dialog || from.number() == 0 || from.number() >= next_call_) return false;
  auto& c = calls_[from.number()];
  c = std::make_unique<Call>();
  c->number = from.number();
  c->name = "c" + std::to_string(from.number());
  c->state =
      static_cast<Call::State>(std::min<uint32_t>(from.state(), static_cast<uint32_t>(Call::State::ending)));
  c->outgoing = from.outgoing();
  c->dialog = std::move(*dialog);
  c->dialog.path = config_.path;
  c->target = from.target();
  c->peer_uri = from.peer_uri();
  c->peer_name = from.peer_name();
  c->local_sdp = from.local_sdp();
  c->remote_sdp = from.remote_sdp();
  c->reported = from.reported();
  c->invite_cseq = from.invite_cseq();
  c->challenged = from.challenged();
  c->cancelled = from.cancelled();
  c->early = from.early();
  c->offered = from.offered();
  c->acked_cseq = from.acked_cseq();
  c->ack_sdp = from.ack_sdp();
  c->wants_offer = from.wants_offer();
  c->answer_by = deadline_from_wall(now, from.answer_by_at());
  if (!from.ok().empty())
    if (auto ok = sip::OkRetransmitter::from_part(now, world_.timers, from.ok())) c->ok = std::move(*ok);
  for (const auto& one : from.candidates())
    c->candidates.push_back({one.candidate(), one.mid(), one.ufrag()});
  c->last_candidates = from.last_candidates();
  c->digits.assign(from.digits().begin(), from.digits().end());
  c->digit_ms = from.digit_ms();
  return true;
}

void Phone::save(Now now, proto::RtcSession& to) const {
  to.set_user(config_.aor.user);
  to.set_domain(config_.aor.domain);
  to.set_display(config_.display);
  to.set_instance(config_.instance);
  to.set_host(config_.host);
  to.set_wants_registration(wants_registration_);
  to.set_registration_call_id(registration_call_id_);
  to.set_registration_tag(registration_tag_);
  to.set_registration_cseq(registration_cseq_);
  to.set_next_call(next_call_);
  for (const auto& [number, c] : calls_) save_call(now, *c, *to.add_calls());
  for (const auto& [number, w] : watches_)
    if (!w->line) to.add_watches(w->peer);
  if (!standing_) return;
  to.set_publishes(true);
  to.set_availability(static_cast<uint32_t>(standing_->availability));
  to.set_note(standing_->note);
  to.set_etag(etag_);
}

bool Phone::load(Now now, const proto::RtcSession& from) {
  wants_registration_ = from.wants_registration();
  registration_call_id_ = from.registration_call_id();
  registration_tag_ = from.registration_tag();
  registration_cseq_ = from.registration_cseq();
  next_call_ = std::max<uint32_t>(from.next_call(), 1);
  for (const auto& c : from.calls())
    if (calls_.size() < config_.calls && !load_call(now, c)) return false;
  for (const std::string& peer : from.watches()) make_watches(peer);
  if (!from.publishes()) return true;
  const auto most = static_cast<uint32_t>(Availability::busy);
  standing_ = Standing{static_cast<Availability>(std::min(from.availability(), most)), from.note()};
  etag_ = from.etag();
  return true;
}

void Phone::adopt(const sip::TransactionLayer::Restored& restored) {
  const auto it = calls_.find(restored.user.detail >> 8);
  if (it == calls_.end()) return;
  const auto purpose = static_cast<Purpose>(restored.user.detail & 0xFF);
  // One that has been answered stays a while for what comes again, and is nobody's to answer.
  if (restored.server && world_.transactions.request_of(restored.server))
    it->second->server = restored.server;
  else if (restored.client && (purpose == Purpose::invite || purpose == Purpose::reinvite))
    it->second->invite = restored.client;
}

void Phone::wake(Now now, const auth::Credentials& credentials) {
  config_.credentials = credentials;
  if (wants_registration_) send_registration(now, 0);
  if (standing_) send_publication(now, 0);
  for (auto& [number, w] : watches_) subscribe(now, *w, 0, subscription_seconds);
  for (auto& [number, c] : calls_) next_digit(now, *c);
}

}  // namespace tandem::webrtc
