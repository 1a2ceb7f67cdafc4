// Clients of the JSON API: their WebSockets to the worker of their subscriber, their telephones' SIP to and
// from the rest of this one.
#include "base/text.h"
#include "node/worker_impl.h"

namespace tandem::node {
namespace {

using Room = port::Asker::Room;

std::pair<uint64_t, uint64_t> key_of(port::FlowId f) {
  return {uint64_t{f.node} << 16 | f.worker, uint64_t{f.generation} << 32 | f.slot};
}

}  // namespace

/// A WebSocket stays with the worker that took it over; what it says is for the worker of whoever it says it
/// is.
void Worker::Impl::websocket(Now now, port::WebSocketEvent e) {
  traced = out.sends.size();
  if (e.request && e.request->guest) return channel_event(now, std::move(e));
  const auto key = key_of(e.path.flow);
  webrtc::Outcome outcome;
  switch (e.kind) {
    case port::WebSocketEvent::Kind::opened:
      web_homes[key] = settings.index;
      rtc.on_opened(now, e.path, outcome);
      break;
    case port::WebSocketEvent::Kind::message:
      web_text(now, e.path, std::move(e.bytes));
      break;
    case port::WebSocketEvent::Kind::closed: {
      const auto home = web_homes.extract(key);
      if (!home.empty() && home.mapped() != settings.index)
        out.mail(home.mapped(), std::make_unique<WebMail>(WebMail::Kind::closed, e.path, Buffer{}));
      else
        rtc.on_closed(now, e.path.flow, outcome);
      break;
    }
    case port::WebSocketEvent::Kind::alive:
    case port::WebSocketEvent::Kind::congested:  // its queue is bounded by `net`, which ends who never reads
    case port::WebSocketEvent::Kind::drained:
      break;
  }
  carry_out(std::move(outcome));
  settle(now);
}

void Worker::Impl::web_text(Now now, const port::Path& path, Buffer bytes) {
  const auto it = web_homes.find(key_of(path.flow));
  if (it == web_homes.end()) return;
  const auto shard = webrtc::Gateway::home_of(bytes.text(), settings.rtc.text, default_domain());
  const uint16_t home = shard ? worker_of(*shard) : it->second;
  if (home != it->second) {  // another user's turn at the same WebSocket: what it was is over
    web_input(now, it->second, WebMail::Kind::closed, path, {});
    web_input(now, home, WebMail::Kind::opened, path, {});
    it->second = home;
  }
  web_input(now, home, WebMail::Kind::text, path, std::move(bytes));
}

void Worker::Impl::web_input(Now now, uint16_t worker, WebMail::Kind kind, const port::Path& path,
                             Buffer bytes) {
  if (worker != settings.index)
    out.mail(worker, std::make_unique<WebMail>(kind, path, std::move(bytes)));
  else
    web_input(now, kind, path, bytes);
}

void Worker::Impl::web_input(Now now, WebMail::Kind kind, const port::Path& path, const Buffer& bytes) {
  webrtc::Outcome outcome;
  if (kind == WebMail::Kind::opened)
    rtc.on_opened(now, path, outcome);
  else if (kind == WebMail::Kind::text)
    rtc.on_text(now, path.flow, bytes.text(), outcome);
  else
    rtc.on_closed(now, path.flow, outcome);
  carry_out(std::move(outcome));
}

void Worker::Impl::carry_out(webrtc::Outcome&& outcome) {
  for (port::Received& r : outcome.sip) from_inner.push_back(std::move(r));
  for (webrtc::Outcome::Text& t : outcome.texts)
    out.send({t.web, Buffer::copy_of(as_bytes(t.text)), 0, 0, {}});
  for (const port::FlowId flow : outcome.hang_ups) out.close_flow(flow);
  for (const port::FlowId flow : outcome.gone) inner_gone.push_back(flow);
  for (webrtc::Outcome::Lookup& l : outcome.lookups) rtc_lookups.push_back(std::move(l));
  for (port::Path& p : outcome.failures) rtc_failures.push_back(std::move(p));
}

/// The row a client's password is checked against.
void Worker::Impl::on_rtc_row(Now now, uint64_t object, const port::Answer& answer) {
  webrtc::Outcome outcome;
  if (const auto* row = std::get_if<std::shared_ptr<const port::Subscriber>>(&answer))
    rtc.on_subscriber(now, object, row->get(), challenge_realm((*row)->aor.domain), outcome);
  else if (std::holds_alternative<port::NotFound>(answer))
    rtc.on_subscriber(now, object, nullptr, default_domain(), outcome);
  else
    rtc.on_lookup_failed(now, object, outcome);
  carry_out(std::move(outcome));
}

/// What clients' telephones have to do with this worker, until nothing is left; true when something was.
bool Worker::Impl::settle_rtc(Now now) {
  bool any = divert(now);
  while (!from_inner.empty()) {
    any = true;
    port::Received r = std::move(from_inner.front());
    from_inner.pop_front();
    take_in(now, std::move(r));
  }
  for (webrtc::Outcome::Lookup& l : std::exchange(rtc_lookups, {})) {
    any = true;
    if (!l.token.empty() && !token_fits(now, l)) continue;
    out.ask(port::AskSubscriber{std::move(l.aor)}, now.mono + settings.ask_timeout, {Room::rtc, l.object});
  }
  for (const port::FlowId flow : std::exchange(inner_gone, {})) {
    any = true;
    port::FlowEvent e;
    e.kind = port::FlowEvent::Kind::closed;
    e.flow = flow;
    e.path.flow = flow;
    flow_changed(now, e);
  }
  for (const port::Path& p : std::exchange(rtc_failures, {})) auth_failed(now, p);
  return any;
}

/// A token speaks for one user; his name is said beside it, since it says which worker is to look at it.
bool Worker::Impl::token_fits(Now now, const webrtc::Outcome::Lookup& l) {
  bool good = false;
  if (auth::is_ticket(l.token)) {
    good = auth::ticket_fits(settings.tickets, l.token, l.aor, now.wall);
  } else if (const auto claims = tokens.check(now, l.token); claims.ok()) {
    good = claims->user == l.aor.user &&
           (claims->domain.empty() ? default_domain() : lower(claims->domain)) == l.aor.domain;
  }
  webrtc::Outcome outcome;
  rtc.on_token(now, l.object, good, outcome);
  carry_out(std::move(outcome));
  return good;
}

/// Takes what is for inner flows out of the sends since this input began.
bool Worker::Impl::divert(Now now) {
  const auto first = out.sends.begin() + static_cast<std::ptrdiff_t>(std::min(traced, out.sends.size()));
  const auto inner = std::stable_partition(first, out.sends.end(),
                                           [](const port::Send& s) { return !port::is_inner(s.path.flow); });
  if (inner == out.sends.end()) return false;
  std::vector<port::Send> taken(std::make_move_iterator(inner), std::make_move_iterator(out.sends.end()));
  out.sends.erase(inner, out.sends.end());
  for (port::Send& s : taken) {
    const uint16_t home = worker_of(webrtc::shard_of(s.path.flow));
    if (home != settings.index)
      out.mail(home, std::make_unique<InnerMail>(settings.index, std::move(s)));
    else if (!to_inner(now, s))
      transactions.on_send_failed(now, s.notify, out, pending);
  }
  return true;
}

/// False: its session has ended.
bool Worker::Impl::to_inner(Now now, port::Send& s) {
  if (!rtc.knows(s.path.flow)) return false;
  webrtc::Outcome outcome;
  rtc.on_sip(now, s.path.flow, std::move(s.bytes), outcome);
  carry_out(std::move(outcome));
  return true;
}

/// As received(); no bytes have crossed a wire.
void Worker::Impl::take_in(Now now, port::Received in) {
  messages_received.add();
  auto parsed = sip::Message::parse(std::move(in.bytes), settings.parser);
  if (!parsed.ok()) return parse_failures.add();
  sip::Message message = std::move(*parsed);
  if (message.is_request()) {
    const auto verdict = gate.admit(now, message, in.path, {calls.call_count(), draining});
    if (verdict.kind == edge::Verdict::Kind::drop) return;
    if (verdict.kind == edge::Verdict::Kind::refuse)
      return out.send({in.path, gate.refusal(message, in.path, verdict), 0, 0, {}});
  }
  if (!to_owner(message, in.path)) transactions.on_message(now, std::move(message), in.path, out, pending);
}

std::string Worker::Impl::default_domain() const {
  const auto domains = plan->domains();
  return domains.empty() ? std::string{} : domains.front()->name;
}

// ---- mail ------------------------------------------------------------------------------------------------

void WebMail::deliver(Now now, Worker& worker) { worker.impl_->web_input(now, kind, path, bytes); }

void InnerMail::deliver(Now now, Worker& worker) {
  Worker::Impl& impl = *worker.impl_;
  if (impl.to_inner(now, send) || send.notify == 0) return;
  impl.out.mail(from, std::make_unique<InnerFailedMail>(send.notify));
}

void InnerFailedMail::deliver(Now now, Worker& worker) {
  Worker::Impl& impl = *worker.impl_;
  impl.transactions.on_send_failed(now, send, impl.out, impl.pending);
}

}  // namespace tandem::node
