// A SIP leg as bytes and back (proto/call.proto), and its transactions when it moves.
#include "call/part_codec.h"
#include "call/sip_leg.h"

namespace tandem::call {

namespace {

void write(const Invitation& from, proto::CallInvitation& to) {
  to.set_request_uri(from.request_uri);
  call::write(from.path, *to.mutable_path());
  to.set_server_name(from.server_name);
  for (const std::string& r : from.route) to.add_route(r);
  to.set_from(from.from);
  to.set_to(from.to);
  to.set_contact_user(from.contact_user);
  for (const auto& [name, value] : from.headers) {
    auto* h = to.add_headers();
    h->set_name(name);
    h->set_value(value);
  }
  to.set_max_forwards(from.max_forwards);
  to.set_keep_transport(from.keep_transport);
}

Invitation read(const proto::CallInvitation& from) {
  Invitation to;
  to.request_uri = from.request_uri();
  to.path = call::read(from.path());
  to.server_name = from.server_name();
  to.route.assign(from.route().begin(), from.route().end());
  to.from = from.from();
  to.to = from.to();
  to.contact_user = from.contact_user();
  for (const auto& h : from.headers()) to.headers.emplace_back(h.name(), h.value());
  to.max_forwards = from.max_forwards();
  to.keep_transport = from.keep_transport();
  return to;
}

}  // namespace

void SipLeg::save(Now now, proto::SipLeg& to) const {
  to.set_id(id_);
  to.set_uac(uac_);
  to.set_state(static_cast<uint32_t>(state_));
  to.set_dialog(sip::to_part(dialog_));
  for (const Early& e : early_) {
    to.add_early(sip::to_part(e.dialog));
    to.add_early_rseq(e.rseq.last.value_or(0));  // an RSeq is never 0
  }
  if (uac_) write(invitation_, *to.mutable_invitation());
  to.set_offer_body(offer_body_);
  for (const std::string& t : refused_tags_) to.add_refused_tags(t);
  to.set_offer_pending(static_cast<bool>(uas_offer_tx_));
  to.set_offer_method(static_cast<uint32_t>(uas_offer_method_));
  to.set_invite_cseq(invite_cseq_);
  to.set_ack_cseq(ack_cseq_);
  to.set_ack_body(ack_body_);
  to.set_local_body(local_body_);
  to.set_queued_offer(queued_offer_);
  to.set_local_offer(local_offer_);
  to.set_answer_in_ack(answer_in_ack_);
  to.set_offered(offered_);
  to.set_answered_early(answered_early_);
  to.set_ack_withheld(ack_withheld_);
  to.set_refresh_out(refresh_out_);
  to.set_withdrawn(withdrawn_);
  to.set_auth_tries(auth_tries_);
  to.set_credentials(nonce_auth_);
  to.set_proxy_credentials(nonce_proxy_);
  to.set_credentials_cseq(auth_cseq_);
  call::write(release_cause_, *to.mutable_release_cause());
  to.set_held_status(static_cast<uint32_t>(held_status_));
  if (final_2xx_.waiting()) to.set_final_2xx(final_2xx_.to_part(now));
  if (!uac_) to.set_provisional(provisional_.to_part(now));
  to.set_provisional_has_body(provisional_has_body_);
  to.set_accept_waits(accept_waits_);
  to.set_peer_100rel(peer_100rel_);
  to.set_requires_100rel(requires_100rel_);
  to.set_peer_update(peer_update_);
  to.set_peer_trickle(peer_trickle_);
  to.set_patient_offer(patient_offer_);
  to.set_remote_agent(remote_agent_);
  to.set_glare_at(deadline_to_wall(now, glare_retry_));
  to.set_session_timer(session_timer_.to_part(now));
  if (refer_cseq_) to.set_refer_cseq(*refer_cseq_);
  to.set_refer_silent(refer_silent_);
  to.set_notify_out(notify_out_);
  for (const Report& r : notify_next_) {
    to.add_report_cseq(r.refer_cseq);
    to.add_report_status(static_cast<uint32_t>(r.status));
  }
  to.set_bye_at(deadline_to_wall(now, bye_at_));
  to.set_offer_wanted(offer_wanted_);
  for (const auto& [status, body] : provisional_queue_) {
    to.add_queued_status(static_cast<uint32_t>(status));
    to.add_queued_body(body);
  }
  to.set_closing_at(deadline_to_wall(now, closing_until_));
}

std::unique_ptr<SipLeg> SipLeg::load(Now now, SipWorld& world, uint64_t call, uint16_t shard,
                                     const proto::SipLeg& from) {
  auto leg = std::make_unique<SipLeg>(world, call, static_cast<LegId>(from.id()), shard);
  auto dialog = sip::dialog_from_part(from.dialog());
  if (!dialog || from.id() == 0 || from.id() > 0xffff) return nullptr;
  leg->dialog_ = std::move(*dialog);
  leg->uac_ = from.uac();
  leg->state_ = clamp_enum(from.state(), State::ended);
  for (int i = 0; i < from.early_size(); ++i) {
    auto early = sip::dialog_from_part(from.early(i));
    if (!early) return nullptr;
    leg->early_.push_back({std::move(*early), {}});
    if (i < from.early_rseq_size() && from.early_rseq(i)) leg->early_.back().rseq.last = from.early_rseq(i);
  }
  if (from.has_invitation()) leg->invitation_ = read(from.invitation());
  leg->offer_body_ = from.offer_body();
  leg->refused_tags_.assign(from.refused_tags().begin(), from.refused_tags().end());
  leg->offer_pending_ = from.offer_pending();
  leg->uas_offer_method_ = clamp_enum(from.offer_method(), sip::Method::other);
  leg->invite_cseq_ = from.invite_cseq();
  leg->ack_cseq_ = from.ack_cseq();
  leg->ack_body_ = from.ack_body();
  leg->local_body_ = from.local_body();
  leg->queued_offer_ = from.queued_offer();
  leg->local_offer_ = from.local_offer();
  leg->answer_in_ack_ = from.answer_in_ack();
  leg->offered_ = from.offered();
  leg->answered_early_ = from.answered_early();
  leg->ack_withheld_ = from.ack_withheld();
  leg->refresh_out_ = from.refresh_out();
  leg->withdrawn_ = from.withdrawn();
  leg->auth_tries_ = static_cast<uint8_t>(from.auth_tries());
  leg->nonce_auth_ = from.credentials();
  leg->nonce_proxy_ = from.proxy_credentials();
  leg->auth_cseq_ = from.credentials_cseq();
  leg->release_cause_ = call::read(from.release_cause());
  leg->held_status_ = static_cast<int>(from.held_status());
  if (!from.final_2xx().empty()) {
    auto ok = sip::OkRetransmitter::from_part(now, world.config.timers, from.final_2xx());
    if (!ok) return nullptr;
    leg->final_2xx_ = std::move(*ok);
  }
  if (!from.provisional().empty()) {
    auto provisional = sip::ReliableProvisional::from_part(now, from.provisional());
    if (!provisional) return nullptr;
    leg->provisional_ = std::move(*provisional);
  }
  auto timer = sip::SessionTimer::from_part(now, session_policy(world.config), from.session_timer());
  if (!timer) return nullptr;
  leg->session_timer_ = *timer;
  leg->provisional_has_body_ = from.provisional_has_body();
  leg->accept_waits_ = from.accept_waits();
  leg->peer_100rel_ = from.peer_100rel();
  leg->requires_100rel_ = from.requires_100rel();
  leg->peer_update_ = from.peer_update();
  leg->peer_trickle_ = from.peer_trickle();
  leg->patient_offer_ = from.patient_offer();
  leg->remote_agent_ = from.remote_agent();
  leg->glare_retry_ = deadline_from_wall(now, from.glare_at());
  if (from.has_refer_cseq()) leg->refer_cseq_ = from.refer_cseq();
  leg->refer_silent_ = from.refer_silent();
  leg->notify_out_ = from.notify_out();
  for (int i = 0; i < from.report_cseq_size() && i < from.report_status_size(); ++i)
    leg->notify_next_.push_back({from.report_cseq(i), static_cast<int>(from.report_status(i))});
  leg->bye_at_ = deadline_from_wall(now, from.bye_at());
  leg->offer_wanted_ = from.offer_wanted();
  for (int i = 0; i < from.queued_status_size() && i < from.queued_body_size(); ++i)
    leg->provisional_queue_.emplace_back(static_cast<int>(from.queued_status(i)), from.queued_body(i));
  leg->closing_until_ = deadline_from_wall(now, from.closing_at());
  return leg;
}

void SipLeg::adopt(Purpose purpose, const sip::TransactionLayer::Restored& restored) {
  touch();
  switch (purpose) {
    case Purpose::invite:
      invite_tx_ = restored.client;
      break;
    case Purpose::offer:
    case Purpose::refresh:
      offer_tx_ = restored.client;
      break;
    case Purpose::bye:
      our_bye_tx_ = restored.client;
      break;
    case Purpose::notify:
      notify_tx_ = restored.client;
      break;
    case Purpose::uas_invite:
      if (state_ == State::ringing) uas_tx_ = restored.server;
      break;
    case Purpose::uas_offer:  // one that was refused looks the same, but for its request
      if (world_->transactions.request_of(restored.server) && std::exchange(offer_pending_, false))
        uas_offer_tx_ = restored.server;
      break;
    case Purpose::uas_final:
      final_tx_ = restored.server;
      break;
    case Purpose::uas_bye:
      bye_tx_ = restored.server;
      break;
    case Purpose::uas_refer:
      refer_tx_ = restored.server;
      break;
    default:
      break;
  }
}

void SipLeg::take_transactions(Now now, std::vector<std::string>& parts) {
  const auto keep = [&](std::string part) {
    if (!part.empty()) parts.push_back(std::move(part));
  };
  for (sip::ServerTxId* id : {&uas_tx_, &uas_offer_tx_, &bye_tx_, &refer_tx_, &final_tx_}) {
    if (*id) keep(world_->transactions.take(now, *id));
    *id = {};
  }
  for (sip::ClientTxId* id : {&invite_tx_, &offer_tx_, &our_bye_tx_, &notify_tx_}) {
    if (*id) keep(world_->transactions.take(now, *id));
    *id = {};
  }
}

}  // namespace tandem::call
