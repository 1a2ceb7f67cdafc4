// What happens to a phone's calls: SIP comes in, the client is told.
#include <algorithm>

#include "base/text.h"
#include "sip/writer.h"
#include "webrtc/phone_parts.h"
#include "webrtc/trickle.h"

namespace tandem::webrtc {
namespace {

std::string_view sdp_of(const sip::Message& m) {
  return iequals(m.content_type(), "application/sdp") ? m.body_text() : std::string_view{};
}

/// Reason of RFC 3326: the Q.850 cause and its text, for a client that wants more than "it has ended".
Fields reasons_of(const sip::Message& m) {
  Fields f;
  m.for_each_value(sip::HeaderId::reason, [&](std::string_view text) {
    const auto reason = sip::ReasonValue::parse(text);
    if (!reason.ok() || !reason->cause) return;
    if (iequals(reason->protocol, "Q.850")) f.emplace_back("cause", int64_t{*reason->cause});
  });
  return f;
}

}  // namespace

void Phone::on_event(Now now, sip::TuEvent&& e) {
  switch (e.kind) {
    case sip::TuEvent::Kind::request:
      return on_request(now, std::move(e));
    case sip::TuEvent::Kind::ack:
      return on_ack(now, *e.message);
    case sip::TuEvent::Kind::cancel:
      return on_cancel(now, e);
    case sip::TuEvent::Kind::response:
    case sip::TuEvent::Kind::timeout:
    case sip::TuEvent::Kind::transport_failed:
      if (e.client || e.message) return on_response(now, e);
      return;
    case sip::TuEvent::Kind::ack_missing:
    case sip::TuEvent::Kind::stray_response:
    case sip::TuEvent::Kind::done:
      return;
  }
}

// ---- answers to what we sent -----------------------------------------------------------------------------

void Phone::on_response(Now now, const sip::TuEvent& e) {
  const int status = e.message                                        ? e.message->status()
                     : e.kind == sip::TuEvent::Kind::transport_failed ? 503
                                                                      : 408;
  const uint32_t number = e.user.detail >> 8;
  const auto purpose = static_cast<Purpose>(e.user.detail & 0xFF);
  if (purpose == Purpose::errand) {
    const auto it = errands_.find(number);
    if (it != errands_.end() && status >= 200) on_errand_answer(now, it->second, e, status);
    return;
  }
  const auto it = calls_.find(number);
  if (it == calls_.end()) return;
  Call& c = *it->second;
  if (purpose == Purpose::bye) {
    if (status >= 200) calls_.erase(it);
  } else if (purpose == Purpose::invite) {
    on_invite_answer(now, c, e, status);
  } else if (status >= 200) {
    on_reinvite_answer(now, c, e, status);
  }
}

void Phone::on_invite_answer(Now now, Call& c, const sip::TuEvent& e, int status) {
  if (status < 200) {
    if (!e.message || status == 100 || c.cancelled) return;
    if (!e.message->to_tag().empty()) {
      if (auto d = sip::Dialog::from_response(*e.message, config_.path, c.dialog); d.ok())
        c.dialog = std::move(*d);
      c.early = true;
    }
    Fields f{{"status", int64_t{status}}};
    if (const std::string_view sdp = sdp_of(*e.message); !sdp.empty()) {
      c.remote_sdp = sdp;
      f.emplace_back("sdp", std::string(sdp));
    }
    tell("ringing", c, std::move(f));
    return send_waiting(now, c);
  }
  if (status < 300) return on_answered(now, c, *e.message, e.path);
  if ((status == 401 || status == 407) && e.message && !c.challenged && !c.cancelled) {
    c.challenged = true;
    const auto credentials =
        auth::answer(*e.message, "INVITE", c.target, config_.credentials, world_.mint.rng().token(16));
    if (credentials) return send_invite(now, c, credentials);
  }
  end(c, status, e.message ? e.message->reason_phrase() : std::string_view("No answer"), "peer");
  calls_.erase(c.number);
}

void Phone::on_answered(Now now, Call& c, const sip::Message& m, const port::Path&) {
  if (c.state == Call::State::up && c.acked_cseq == m.cseq().number)  // repeated
    return send_ack(now, c, c.acked_cseq, std::string(c.ack_sdp));
  auto d = sip::Dialog::from_response(m, config_.path, c.dialog);
  if (!d.ok()) {
    end(c, 400, "An answer that makes no dialog", "failure");
    calls_.erase(c.number);
    return;
  }
  d->state = sip::Dialog::State::confirmed;
  c.dialog = std::move(*d);
  send_ack(now, c, m.cseq().number);
  if (c.cancelled || leaving_) {  // it crossed our CANCEL
    send_bye(now, c);
    return end(c, 0, {}, "us");
  }
  c.state = Call::State::up;
  c.remote_sdp = sdp_of(m);
  tell("answered", c, {{"sdp", c.remote_sdp}});
  send_waiting(now, c);
}

void Phone::on_reinvite_answer(Now now, Call& c, const sip::TuEvent& e, int status) {
  if (status < 300 && e.message) {
    const bool repeated = c.offered.empty();
    send_ack(now, c, e.message->cseq().number);
    if (repeated) return;
    c.dialog.refresh_target(*e.message);
    c.local_sdp = std::exchange(c.offered, {});
    c.remote_sdp = sdp_of(*e.message);
    return tell("answer", c, {{"sdp", c.remote_sdp}});
  }
  c.offered.clear();
  if (status == 408 || status == 481) {  // section 12.2.1.2: the dialog is gone
    if (c.state == Call::State::up) send_bye(now, c);
    return end(c, status, "The other side is gone", "failure");
  }
  tell("offer_refused", c, {{"status", int64_t{status}}});
}

// ---- requests --------------------------------------------------------------------------------------------

void Phone::respond(Now now, sip::ServerTxId server, const sip::Message& m, int status, Call* c,
                    std::string_view sdp) {
  const std::string_view tag = c ? std::string_view(c->dialog.local_tag) : std::string_view{};
  sip::Writer w =
      sip::response_to(m, config_.path.remote, status, tag.empty() ? world_.mint.mint(0) : std::string(tag));
  if (m.method() == sip::Method::invite && status < 300) {
    w.header(sip::HeaderId::contact, contact()).header(sip::HeaderId::allow, allowed);
    w.header(sip::HeaderId::supported, "replaces, trickle-ice").header("Recv-Info", "trickle-ice");
  }
  Buffer out = sdp.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(sdp));
  if (c && m.method() == sip::Method::invite && status >= 200 && status < 300)
    c->ok.start(now, world_.timers, m.cseq().number, out.bytes());
  world_.transactions.respond(now, server, std::move(out), world_.out);
}

void Phone::on_request(Now now, sip::TuEvent&& e) {
  const sip::Message* m = world_.transactions.request_of(e.server);
  if (!m) return;
  if (m->method() == sip::Method::notify)
    if (Watch* w = watch_of(*m)) {
      if (w->dialog && !w->dialog->accept_cseq(m->cseq().number))
        return respond(now, e.server, *m, 500, nullptr);
      on_state(now, *w, *m);
      return respond(now, e.server, *m, 200, nullptr);
    }
  Call* c = m->to_tag().empty() ? nullptr : by_dialog(*m);
  if (!m->to_tag().empty() && !c) return respond(now, e.server, *m, 481, nullptr);
  if (c && !c->dialog.accept_cseq(m->cseq().number)) return respond(now, e.server, *m, 500, c);
  switch (m->method()) {
    case sip::Method::invite:
      if (c) return on_reinvite(now, *c, e.server, *m);
      return on_invite(now, e.server, *m, e.path);
    case sip::Method::bye: {
      if (!c) return respond(now, e.server, *m, 481, nullptr);
      Fields reasons = reasons_of(*m);
      if (!std::exchange(c->reported, true)) {
        reasons.insert(reasons.begin(), {"by", std::string("peer")});
        tell("ended", *c, std::move(reasons));
      }
      respond(now, e.server, *m, 200, c);
      if (c->server)
        if (const sip::Message* open = world_.transactions.request_of(c->server))
          respond(now, c->server, *open, 487, c);
      calls_.erase(c->number);
      return;
    }
    case sip::Method::info:
      if (c) on_info(*c, *m);
      return respond(now, e.server, *m, c ? 200 : 481, c);
    case sip::Method::notify:
      if (c) on_notify(*c, *m);
      return respond(now, e.server, *m, c ? 200 : 481, c);
    case sip::Method::message: {
      const auto from = m->from();
      Fields f{{"from", from.ok() ? std::string(from->uri_text) : std::string()},
               {"name", from.ok() ? sip::unquote(from->display) : std::string()},
               {"type", std::string(m->content_type())},
               {"text", std::string(m->body_text())}};
      news_.push_back({"message", std::move(f), 0, {}});
      return respond(now, e.server, *m, 200, c);
    }
    case sip::Method::options:
      return respond(now, e.server, *m, 200, c);
    default:
      return respond(now, e.server, *m, 405, c);
  }
}

void Phone::on_invite(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path) {
  if (leaving_) return respond(now, server, m, 480, nullptr);
  if (calls_.size() >= config_.calls) return respond(now, server, m, 486, nullptr);
  auto d = sip::Dialog::from_request(m, path, world_.mint.mint(0), contact());
  if (!d.ok()) return respond(now, server, m, 400, nullptr);
  Call& c = make_call();
  c.state = Call::State::incoming;
  c.dialog = std::move(*d);
  c.dialog.path = config_.path;
  c.server = server;
  c.remote_sdp = sdp_of(m);
  c.wants_offer = c.remote_sdp.empty();
  world_.transactions.set_user(server, user(Purpose::invite, c.number));
  if (const auto from = m.from(); from.ok()) {
    c.peer_uri = from->uri_text;
    c.peer_name = sip::unquote(from->display);
  }
  Fields f{{"peer", c.peer_uri}, {"name", c.peer_name}};
  if (const auto to = m.to(); to.ok()) f.emplace_back("to", std::string(to->uri_text));
  if (c.wants_offer)
    f.emplace_back("offer_wanted", true);
  else
    f.emplace_back("offer", c.remote_sdp);
  respond(now, server, m, 180, &c);
  tell("incoming", c, std::move(f));
}

/// A session refresh says what was said before, and is answered likewise: the client need not know.
void Phone::on_reinvite(Now now, Call& c, sip::ServerTxId server, const sip::Message& m) {
  if (!c.offered.empty()) return respond(now, server, m, 491, &c);
  if (c.server || c.ok.waiting() || c.state != Call::State::up) return respond(now, server, m, 500, &c);
  c.dialog.refresh_target(m);
  c.server = server;
  world_.transactions.set_user(server, user(Purpose::reinvite, c.number));
  const std::string_view sdp = sdp_of(m);
  if (!sdp.empty() && sdp == c.remote_sdp && !c.local_sdp.empty())
    return accept(now, c, std::string(c.local_sdp));
  c.wants_offer = sdp.empty();
  c.answer_by = now.mono + offer_patience;
  if (c.wants_offer) return tell("offer_wanted", c);
  c.remote_sdp = sdp;
  tell("offer", c, {{"sdp", c.remote_sdp}});
}

void Phone::accept(Now now, Call& c, std::string_view sdp) {
  const sip::Message* m = world_.transactions.request_of(c.server);
  if (!m) return;
  c.local_sdp = sdp;
  c.state = Call::State::up;
  c.answer_by = Instant::never();
  c.dialog.state = sip::Dialog::State::confirmed;
  respond(now, std::exchange(c.server, {}), *m, 200, &c, sdp);
  send_waiting(now, c);
}

void Phone::on_ack(Now now, const sip::Message& m) {
  Call* c = by_dialog(m);
  if (!c || !c->ok.on_ack(m.cseq().number)) return;
  if (std::exchange(c->wants_offer, false)) {
    c->remote_sdp = sdp_of(m);
    tell("answer", *c, {{"sdp", c->remote_sdp}});
  }
  if (c->state == Call::State::up && leaving_) send_bye(now, *c);
}

void Phone::on_cancel(Now now, const sip::TuEvent& e) {
  const auto it = calls_.find(e.user.detail >> 8);
  if (it == calls_.end() || it->second->state != Call::State::incoming) return;
  Call& c = *it->second;
  Fields f{{"by", std::string("peer")}};
  if (e.message)
    for (Field& reason : reasons_of(*e.message)) f.push_back(std::move(reason));
  if (!std::exchange(c.reported, true)) tell("ended", c, std::move(f));
  if (const sip::Message* m = world_.transactions.request_of(c.server)) respond(now, c.server, *m, 487, &c);
  calls_.erase(it);
}

void Phone::on_info(Call& c, const sip::Message& m) {
  if (iequals(m.content_type(), fragment_type)) {
    const Fragment fragment = read_fragment(m.body_text());
    std::vector<Fields> list;
    for (const Candidate& one : fragment.candidates)
      list.push_back({{"candidate", one.candidate}, {"mid", one.mid}, {"ufrag", one.ufrag}});
    return tell("candidates", c, {{"candidates", std::move(list)}, {"end", fragment.end}});
  }
  if (!istarts_with(m.content_type(), "application/dtmf")) return;
  const std::string_view body = m.body_text();
  const size_t signal = body.find("Signal=");
  const std::string_view digit = trim(signal == std::string_view::npos ? body : body.substr(signal + 7));
  if (!digit.empty() && std::string_view("0123456789*#ABCD").find(digit[0]) != std::string_view::npos)
    tell("dtmf", c, {{"digit", std::string(digit.substr(0, 1))}});
}

/// How a transfer we asked for is getting on (RFC 3515 section 2.4.5): the status line of a message/sipfrag.
void Phone::on_notify(Call& c, const sip::Message& m) {
  const std::string_view body = m.body_text();
  if (!body.starts_with("SIP/2.0 ") || body.size() < 11) return;
  const auto status = parse_u32(body.substr(8, 3));
  if (status) tell("transfer", c, {{"status", int64_t{*status}}, {"final", *status >= 200}});
}

void Phone::send_waiting(Now now, Call& c) {
  const bool dialog =
      c.state == Call::State::up || (c.outgoing && c.early && c.state == Call::State::calling);
  if (!dialog || (c.candidates.empty() && !c.last_candidates)) return;
  Errand& e = errand(sip::Method::info, 0);
  e.call = c.number;
  e.package = "trickle-ice";
  e.content_type = fragment_type;
  e.body = write_fragment(c.offered.empty() ? c.local_sdp : c.offered, c.candidates, c.last_candidates);
  c.candidates.clear();
  c.last_candidates = false;
  send_errand(now, e);
}

}  // namespace tandem::webrtc
