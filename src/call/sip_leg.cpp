#include "call/sip_leg.h"

#include <algorithm>

#include "base/text.h"
#include "media/engine.h"
#include "sip/headers.h"
#include "sip/multipart.h"
#include "sip/uri.h"

namespace tandem::call {

using sip::HeaderId;
using sip::Method;

SipLegCounters::SipLegCounters(CounterSet& counters)
    : glare(counters.counter("call_glare_total",
                             "Re-INVITEs that crossed one of the peer's (RFC 3261 section 14.1)")),
      no_ack(counters.counter("call_no_ack_total", "2xx responses whose ACK never came")),
      no_prack(
          counters.counter("call_no_prack_total", "Reliable provisional responses whose PRACK never came")),
      session_expired(
          counters.counter("call_session_expired_total", "Session timers that ran out (RFC 4028)")),
      late_2xx(counters.counter("call_late_2xx_total",
                                "2xx responses of forks that came too late and were ended")),
      queue_full(counters.counter("call_provisional_queue_full_total",
                                  "Provisional responses dropped behind a lost PRACK")),
      redirections_dropped(counters.counter("call_redirections_dropped_total",
                                            "Contacts of a 3xx beyond the five that are followed")) {}

SipLeg::SipLeg(SipWorld& world, uint64_t call, LegId id, uint16_t shard)
    : world_(&world), call_(call), id_(id), shard_(shard), session_timer_(session_policy(world.config)) {}

SipLeg::~SipLeg() = default;

sip::SessionTimerPolicy session_policy(const CallConfig& config) {
  return {config.session_expires > 0, config.session_expires, config.min_se};
}

void SipLeg::push(Turn& turn, LegEvent event) {
  event.leg = id_;
  touch();
  turn.events.push_back(std::move(event));
}

std::optional<std::string_view> session_body(const sip::Message& message) {
  const auto body = sip::find_body(message, "application/sdp");
  if (!body.ok() || !*body || (*body)->empty()) return std::nullopt;
  return as_text(**body);
}

void SipLeg::learn_peer(const sip::Message& message) {
  if (message.lists(HeaderId::supported, "100rel") || message.lists(HeaderId::require, "100rel"))
    peer_100rel_ = true;
  if (const auto packages = message.header("Recv-Info"))
    peer_trickle_ = packages->find(trickle_package) != std::string_view::npos;
  if (message.has(HeaderId::allow)) peer_update_ = message.lists(HeaderId::allow, "UPDATE");
  const auto agent = message.header(message.is_request() ? HeaderId::user_agent : HeaderId::server);
  if (agent && remote_agent_.empty()) remote_agent_ = agent->substr(0, 128);
}

void SipLeg::standard_headers(sip::Writer& writer) const {
  writer.header(HeaderId::allow, allowed_methods);
  writer.header(HeaderId::supported, supported_options(world_->config));
  if (world_->config.ice != media::Ice::removed) writer.header("Recv-Info", trickle_package);
  writer.header(HeaderId::user_agent, world_->config.user_agent);
}

std::string_view supported_options(const CallConfig& config) {
  return config.ice == media::Ice::removed ? "100rel, timer, replaces, norefersub"
                                           : "100rel, timer, replaces, norefersub, trickle-ice";
}

namespace {

/// Transport named by a URI (";transport=tcp"), or that of its scheme.
std::optional<port::Transport> transport_of(const sip::Uri& uri) {
  const auto name = uri.params.get("transport");
  if (!name) return uri.scheme == sip::Scheme::sips ? std::optional(port::Transport::tls) : std::nullopt;
  if (iequals(*name, "udp")) return port::Transport::udp;
  if (iequals(*name, "tcp"))
    return uri.scheme == sip::Scheme::sips ? port::Transport::tls : port::Transport::tcp;
  if (iequals(*name, "tls")) return port::Transport::tls;
  return std::nullopt;
}

}  // namespace

/// A stream keeps its connection. Over UDP the peer's own word (Contact or Route) counts when it is an
/// address we can believe: the one it sends from, or a public one; a private address that differs is hidden
/// behind a NAT and the source counts.
port::Path SipLeg::next_path() const {
  port::Path path = dialog_.path;
  if (path.transport != port::Transport::udp && path.flow) return path;
  const auto uri = sip::Uri::parse(dialog_.next_hop_uri());
  if (!uri.ok()) return path;
  const auto ip = IpAddress::parse(uri->host);
  if (!ip || ip->family != path.remote.ip.family) return path;
  const bool same_host = *ip == path.remote.ip;
  if (!same_host && ip->is_private()) return path;
  const auto transport = transport_of(*uri);
  // A stream of ours that is opened again goes where it led, unless the peer names another port for streams.
  if (!transport && same_host && uac_ && port::is_reliable(path.transport)) return path;
  if (transport && *transport != path.transport) {
    path.transport = *transport;
    path.flow = {};
  }
  const bool secure = port::is_secure(path.transport);
  path.remote = {*ip, uri->port ? uri->port : static_cast<uint16_t>(secure ? 5061 : 5060)};
  return path;
}

/// Does the peer take connections? To whom we opened one we can open another. Who opened it to us can be
/// asked for at an address of its own that we have seen it use; behind a NAT, and on a WebSocket, a telephone
/// has none.
bool SipLeg::connects_anew() const {
  if (!port::is_reliable(dialog_.path.transport)) return false;
  if (uac_) return invitation_.path.remote && !invitation_.path.flow;
  if (port::is_websocket(dialog_.path.transport)) return false;
  const auto uri = sip::Uri::parse(dialog_.next_hop_uri());
  const auto ip = uri.ok() ? IpAddress::parse(uri->host) : std::nullopt;
  return ip && *ip == dialog_.path.remote.ip;
}

/// The connection a request failed on is left behind, so that the next is sent over another. False: there is
/// none, or the request had been sent over another already.
bool SipLeg::leave_connection(const sip::TuEvent& failed) {
  if (failed.kind != sip::TuEvent::Kind::transport_failed || !failed.path.flow || !connects_anew())
    return false;
  // The peer may have come over a connection of its own since; its port there is nobody's to connect to.
  if (uac_) dialog_.path = invitation_.path;
  dialog_.path.flow = {};
  touch();
  return true;
}

/// Connections end while calls go on: an idle one is closed on either side. One that is gone says nothing
/// about the dialog (RFC 3261 section 12), so its request is sent once more. True: it is out.
bool SipLeg::send_again(Turn& turn, const sip::TuEvent& failed, Purpose purpose) {
  if (purpose == Purpose::bye) {
    if (state_ != State::closing || !leave_connection(failed)) return false;
    send_bye(turn, release_cause_, dialog_);
    return true;
  }
  const bool offer = purpose == Purpose::offer;
  if (state_ != State::confirmed || bye_tx_ || withdrawn_ || !(offer ? local_offer_ : refresh_out_) ||
      !leave_connection(failed))
    return false;
  local_offer_ = refresh_out_ = false;
  offer_tx_ = {};
  if (offer) {
    if (queued_offer_.empty()) queued_offer_ = offer_body_;
    offer_over(turn);
  } else {
    send_refresh(turn);
  }
  return true;
}

sip::ClientTxId SipLeg::send_text(Turn& turn, std::string_view method, sip::Writer&& writer,
                                  std::string_view content_type, std::string_view body, Purpose purpose) {
  sip::OutgoingRequest request;
  request.method = sip::method_from(method);
  if (request.method == Method::other) request.method_text = method;
  request.rest =
      body.empty() ? std::move(writer).finish() : std::move(writer).body(content_type, as_bytes(body));
  const bool inside = state_ == State::accepted || state_ == State::confirmed || state_ == State::closing ||
                      !invitation_.path.remote;
  request.path = inside ? next_path() : invitation_.path;
  request.server_name = invitation_.server_name;
  request.user = user(purpose);
  request.shard = shard_;
  request.keep_transport = inside || invitation_.keep_transport;
  touch();
  return world_->transactions.request(turn.now, std::move(request), turn.out);
}

sip::ClientTxId SipLeg::send(Turn& turn, Method method, sip::Writer&& writer, std::string_view content_type,
                             std::string_view body, Purpose purpose) {
  return send_text(turn, sip::to_string(method), std::move(writer), content_type, body, purpose);
}

void SipLeg::respond(Turn& turn, sip::ServerTxId server, int status, std::string_view body,
                     port::CommitId after) {
  const sip::Message* request = world_->transactions.request_of(server);
  const port::Path* path = world_->transactions.path_of(server);
  if (!request || !path) return;
  sip::Writer w = sip::response_to(*request, path->remote, status, dialog_.local_tag);
  const Method method = request->method();
  const bool target_refresh = method == Method::invite || method == Method::update;
  if (target_refresh && status < 300 && status > 100) {
    w.header(HeaderId::contact, dialog_.local_target);
    standard_headers(w);
    if (status >= 200) answer_session_timer(turn, w, *request);
  } else if (status == 405 || status == 501 || (method == Method::options && status == 200)) {
    w.header(HeaderId::allow, allowed_methods);
    w.header(HeaderId::accept, "application/sdp");
    w.header(HeaderId::supported, supported_options(world_->config));
  }
  if (status == 500 && target_refresh) w.header_number(HeaderId::retry_after, world_->rng.below(11));
  Buffer bytes = body.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(body));
  touch();
  if (method == Method::invite && status >= 200 && status < 300) {
    final_2xx_.start(turn.now, world_->config.timers, request->cseq().number, bytes.bytes());
    // Among the answered INVITEs of a snapshot this one has to be found again: it sends the repetitions.
    if (final_tx_) world_->transactions.set_user(final_tx_, user(Purpose::uas_other));
    final_tx_ = server;
    world_->transactions.set_user(server, user(Purpose::uas_final));
  }
  world_->transactions.respond(turn.now, server, std::move(bytes), turn.out, after);
}

void SipLeg::respond_with(Turn& turn, sip::ServerTxId server, int status,
                          const std::vector<std::pair<std::string, std::string>>& headers) {
  const sip::Message* request = world_->transactions.request_of(server);
  const port::Path* path = world_->transactions.path_of(server);
  if (!request || !path) return;
  sip::Writer w = sip::response_to(*request, path->remote, status, dialog_.local_tag);
  for (const auto& [name, value] : headers) w.header(name, value);
  world_->transactions.respond(turn.now, server, std::move(w).finish(), turn.out);
}

void SipLeg::send_bye(Turn& turn, const Cause& cause, sip::Dialog& dialog) {
  sip::Writer w = dialog.request(Method::bye);
  w.header(HeaderId::reason, cause.reason_header());
  w.header(HeaderId::user_agent, world_->config.user_agent);
  const bool own = &dialog == &dialog_;
  if (own) {
    authorize(w, dialog_.local_cseq.value_or(0));
    release_cause_ = cause;
  }
  const sip::ClientTxId tx =
      send(turn, Method::bye, std::move(w), {}, {}, own ? Purpose::bye : Purpose::other);
  if (!own) return;
  our_bye_tx_ = tx;
  // A full transaction table: the peer's session timer or media time-out has to find out.
  state_ = tx ? State::closing : State::ended;
  closing_until_ = turn.now.mono + world_->config.timers.timer_f() + seconds(5);
}

/// The leg ends by itself: no offer of either side will be answered any more, and no transaction may wait.
void SipLeg::end_offers(Turn& turn) {
  if (uas_offer_tx_) respond(turn, std::exchange(uas_offer_tx_, sip::ServerTxId{}), 481);
  if (offer_tx_ && !withdrawn_) world_->transactions.cancel(turn.now, offer_tx_, turn.out);
  local_offer_ = refresh_out_ = withdrawn_ = false;
  offer_tx_ = {};
}

/// The dialog is over because of the peer or of a failure; tells the call once.
void SipLeg::peer_released(Turn& turn, Cause cause, bool by_peer) {
  if (!by_peer) end_offers(turn);
  final_2xx_.stop();
  provisional_.on_final();
  session_timer_.stop();
  glare_retry_ = bye_at_ = Instant::never();
  queued_offer_.clear();
  LegEvent e;
  e.kind = LegEvent::Kind::released;
  e.by_peer = by_peer;
  e.cause = std::move(cause);
  push(turn, std::move(e));
}

void SipLeg::release(Turn& turn, const Cause& cause, port::CommitId after) {
  glare_retry_ = Instant::never();
  session_timer_.stop();
  queued_offer_.clear();
  provisional_.on_final();
  touch();
  if (bye_tx_ || held_status_) return finish_release(turn, after);
  if (uas_offer_tx_) {
    respond(turn, uas_offer_tx_, uas_offer_method_ == Method::prack ? 200 : 488);
    uas_offer_tx_ = {};
  }
  switch (state_) {
    case State::fresh:
      state_ = State::ended;
      break;
    case State::inviting:
      // Cancelled forks learn why, so that phones do not show a missed call (RFC 3326 section 3.1).
      world_->transactions.cancel(
          turn.now, invite_tx_, turn.out,
          cause.q850 == 26 ? "SIP;cause=200;text=\"Call completed elsewhere\"" : std::string_view{});
      state_ = State::cancelling;
      closing_until_ = turn.now.mono + world_->config.timers.timer_b() + seconds(40);
      break;
    case State::ringing:
      refuse(turn, cause, after, {});
      break;
    case State::accepted:
      if (uac_) {
        send_ack(turn, dialog_, invite_cseq_, {});
        send_bye(turn, cause, dialog_);
      } else {
        // The ACK may still be under way: a UAS may not send BYE before it (RFC 3261 section 15), so it waits
        // in on_ack().
        release_cause_ = cause;
        state_ = State::closing;
        closing_until_ =
            turn.now.mono + world_->config.timers.timer_h() + world_->config.timers.timer_f() + seconds(5);
      }
      break;
    case State::confirmed:
      final_2xx_.stop();
      if (offer_tx_ && !withdrawn_) world_->transactions.cancel(turn.now, offer_tx_, turn.out);
      if (report_open() && !refer_cseq_) {
        release_cause_ = cause;
        bye_at_ = turn.now.mono + 8 * world_->config.timers.t1;
        break;
      }
      send_bye(turn, cause, dialog_);
      break;
    case State::cancelling:
    case State::closing:
    case State::ended:
      break;
  }
}

void SipLeg::finish_release(Turn& turn, port::CommitId after) {
  touch();
  if (bye_tx_) {
    respond(turn, bye_tx_, 200, {}, after);
    bye_tx_ = {};
  }
  if (uas_tx_ && held_status_) {
    respond(turn, uas_tx_, held_status_, {}, after);
    uas_tx_ = {};
    held_status_ = 0;
  }
  if (uas_offer_tx_) {
    respond(turn, uas_offer_tx_, 487);
    uas_offer_tx_ = {};
  }
  if (offer_tx_ && !withdrawn_) world_->transactions.cancel(turn.now, offer_tx_, turn.out);
  final_2xx_.stop();
  if (state_ == State::inviting) {  // BYE inside an early dialog: the INVITE itself still has to end
    world_->transactions.cancel(turn.now, invite_tx_, turn.out);
    state_ = State::cancelling;
    closing_until_ = turn.now.mono + world_->config.timers.timer_b() + seconds(40);
    return;
  }
  state_ = State::ended;
}

void SipLeg::on_timeout(Turn& turn) {
  const Now now = turn.now;
  switch (final_2xx_.on_timeout(now)) {
    case sip::ResendStep::resend:
      world_->transactions.respond(now, final_tx_, final_2xx_.response(), turn.out);
      break;
    case sip::ResendStep::give_up: {
      // RFC 3261 section 13.3.1.4: no ACK for 64*T1, the dialog is confirmed but the session should be
      // terminated.
      world_->counters.no_ack.add();
      const bool told = state_ == State::closing;
      const Cause cause = told ? release_cause_ : Cause::from_q850(102, "No ACK");
      send_bye(turn, cause, dialog_);
      if (!told) peer_released(turn, cause, false);
      return;
    }
    case sip::ResendStep::nothing:
      break;
  }
  switch (provisional_.on_timeout(now)) {
    case sip::ResendStep::resend:
      world_->transactions.respond(now, uas_tx_, provisional_.response(), turn.out);
      break;
    case sip::ResendStep::give_up: {
      world_->counters.no_prack.add();
      // Refused here with 504 (RFC 3262 section 3); the call learns that the leg is gone.
      const Cause cause = Cause::from_status(504, "No PRACK");
      refuse(turn, cause, 0, {});
      peer_released(turn, cause, false);
      return;
    }
    case sip::ResendStep::nothing:
      break;
  }
  if (now.mono >= bye_at_) {
    bye_at_ = Instant::never();
    notify_next_.clear();
    send_bye(turn, release_cause_, dialog_);
  }
  if (now.mono >= closing_until_) {
    closing_until_ = Instant::never();
    state_ = State::ended;
    return touch();
  }
  if (now.mono >= glare_retry_) {
    glare_retry_ = Instant::never();
    offer_over(turn);
  }
  switch (session_timer_.on_timeout(now)) {
    case sip::SessionTimer::Step::expired: {
      world_->counters.session_expired.add();
      const Cause cause = Cause::from_q850(102, "Session timer expired");
      send_bye(turn, cause, dialog_);
      return peer_released(turn, cause, false);
    }
    case sip::SessionTimer::Step::refresh:
      return send_refresh(turn);
    case sip::SessionTimer::Step::nothing:
      break;
  }
}

Instant SipLeg::next_timeout() const {
  if (state_ == State::ended) return Instant::never();
  return std::min({final_2xx_.next_timeout(), provisional_.next_timeout(), session_timer_.next_timeout(),
                   glare_retry_, bye_at_, closing_until_});
}

bool SipLeg::knows_peer(std::string_view tag) const {
  if (dialog_.remote_tag == tag) return true;
  return std::any_of(early_.begin(), early_.end(),
                     [&](const Early& e) { return e.dialog.remote_tag == tag; });
}

void SipLeg::branches(std::vector<std::string>& out) const {
  for (const sip::ServerTxId tx : {uas_tx_, uas_offer_tx_, bye_tx_, refer_tx_, final_tx_})
    if (const sip::Message* request = tx ? world_->transactions.request_of(tx) : nullptr)
      out.emplace_back(request->top_via().branch);
  for (const sip::ClientTxId tx : {invite_tx_, offer_tx_, our_bye_tx_, notify_tx_})
    if (const std::string_view branch = world_->transactions.branch_of(tx); !branch.empty())
      out.emplace_back(branch);
}

void SipLeg::on_stray(Turn& turn, const sip::Message& response, const port::Path& path) {
  if (!uac_ || response.method() != Method::invite || response.status() < 200 || response.status() >= 300)
    return;
  if (response.cseq().number == invite_cseq_) return on_invite_2xx(turn, response, path);
  if (response.cseq().number == ack_cseq_) send_ack(turn, dialog_, ack_cseq_, {});
}

void SipLeg::rename(uint64_t call, LegId id, uint16_t shard) {
  call_ = call;
  id_ = id;
  shard_ = shard;
  touch();
  // Answers to client transactions still name the old call: nothing of it may be waited for any more. The
  // call that gives a leg away does so only when no offer of ours is out; what the peer has asked is
  // re-addressed.
  if (uas_tx_) world_->transactions.set_user(uas_tx_, user(Purpose::uas_invite));
  if (uas_offer_tx_) world_->transactions.set_user(uas_offer_tx_, user(Purpose::uas_offer));
  if (bye_tx_) world_->transactions.set_user(bye_tx_, user(Purpose::uas_bye));
  if (refer_tx_) world_->transactions.set_user(refer_tx_, user(Purpose::uas_refer));
}

}  // namespace tandem::call
