// What comes in at a phone.
#include <fmt/format.h>

#include "sim/phone.h"
#include "sip/headers.h"

namespace tandem::sim {
namespace {

constexpr Duration t1 = milliseconds(500), t2 = seconds(4), ack_patience = seconds(32);

using Kind = sip::TuEvent::Kind;

}  // namespace

void Phone::event(sip::TuEvent&& e) {
  switch (e.kind) {
    case Kind::request:
      if (const sip::Message* m = transactions_.request_of(e.server)) on_request(std::move(e), *m);
      return;
    case Kind::ack:
      if (e.message) on_ack(*e.message);
      return;
    case Kind::cancel:
      for (auto& [id, s] : sessions_)
        if (s.server == e.server && s.state == Session::State::incoming) {
          if (const sip::Message* m = transactions_.request_of(e.server)) respond(e.server, *m, 487, &s);
          s.status = 487;
          return finish(s);
        }
      return;
    case Kind::response:
      if (e.message && e.message->status() >= 200) {
        const int status = e.message->status();
        return on_final(std::move(e), status);
      }
      if (e.message && e.user.detail == invite)
        if (Session* s = session(static_cast<uint32_t>(e.user.object));
            s && s->state == Session::State::calling)
          on_provisional(*s, e);
      return;
    case Kind::timeout:
      return on_final(std::move(e), 408);
    case Kind::transport_failed:
      if (e.client) return on_final(std::move(e), 503);
      return;
    case Kind::stray_response:
      if (e.message && e.message->cseq().method == sip::Method::invite && e.message->status() / 100 == 2)
        if (Session* s = find(e.message->call_id(), e.message->from_tag()); s && !s->ack.empty())
          request(sip::Method::ack, Buffer::copy_of(s->ack), s, invite);
      return;
    case Kind::ack_missing:
    case Kind::done:
      return;
  }
}

// ---- requests --------------------------------------------------------------------------------------------

void Phone::respond(sip::ServerTxId server, const sip::Message& m, int status, Session* s, std::string body) {
  sip::Writer w = sip::response_to(m, node_.address(), status, s ? s->local_tag : mint_.mint(0));
  if (status < 300) w.header(sip::HeaderId::contact, contact());
  Buffer response =
      body.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(body));
  if (s && m.method() == sip::Method::invite && status / 100 == 2) {
    s->ok = response.text();
    s->acked = false;
    s->server = server;
    repeat_ok(s->id, t1, schedule_.now() + ack_patience, s->ok);
  }
  transactions_.respond(now(), server, std::move(response), out_);
}

/// RFC 3261 section 13.3.1.4: a 2xx is repeated until its ACK.
void Phone::repeat_ok(uint32_t id, Duration interval, Instant give_up, std::string ok) {
  schedule_.after(interval, [this, id, interval, give_up, text = std::move(ok)]() mutable {
    Session* s = session(id);
    if (!s || s->acked || s->ok != text || s->state == Session::State::over) return;
    if (schedule_.now() >= give_up) {
      s->acked = true;
      send_bye(*s);
      return flush();
    }
    transactions_.respond(now(), s->server, Buffer::copy_of(text), out_);
    flush();
    repeat_ok(id, std::min<Duration>(2 * interval, t2), give_up, std::move(text));
  });
}

void Phone::on_request(sip::TuEvent&& e, const sip::Message& m) {
  Session* s = m.to_tag().empty() ? nullptr : find(m.call_id(), m.to_tag());
  if (m.method() == sip::Method::invite && m.to_tag().empty()) return on_invite(std::move(e), m);
  if (!s && on_errand_request(e, m)) return;
  if (!s && m.method() != sip::Method::options) return respond(e.server, m, 481, nullptr);
  if (s && s->state == Session::State::over && m.method() != sip::Method::bye &&
      m.method() != sip::Method::notify)
    return respond(e.server, m, 481, s);
  if (s && !s->dialog.accept_cseq(m.cseq().number)) return respond(e.server, m, 500, s);
  switch (m.method()) {
    case sip::Method::invite:
      return on_reinvite(*s, std::move(e), m);
    case sip::Method::bye:
      respond(e.server, m, 200, s);
      s->bye_received = true;
      if (s->state != Session::State::ending) finish(*s);
      return;
    case sip::Method::update: {
      s->dialog.refresh_target(m);
      if (m.body().empty()) return respond(e.server, m, 200, s);
      take_sdp(*s, m);
      return respond(e.server, m, 200, s, sdp(*s, "sendrecv"));
    }
    case sip::Method::prack:
      return on_prack(*s, e, m);
    case sip::Method::notify: {
      const std::string body(m.body_text());  // the request goes with its answer
      respond(e.server, m, 200, s);
      return on_notify(*s, body);
    }
    default:
      return respond(e.server, m, m.method() == sip::Method::refer ? 603 : 200, s);
  }
}

void Phone::on_invite(sip::TuEvent&& e, const sip::Message& m) {
  if (!user_) return respond(e.server, m, 486, nullptr);
  const uint32_t id = next_session_++;
  auto dialog = sip::Dialog::from_request(m, e.path, mint_.mint(0), contact());
  if (!dialog.ok()) return judge_.violation("an INVITE makes a dialog", sip::to_string(dialog.reason()));
  Session& s = sessions_[id];
  users_[id] = user_;
  s.id = id;
  s.group = group_;
  s.state = Session::State::incoming;
  s.begun = schedule_.now();
  s.call_id = m.call_id();
  s.dialog = std::move(*dialog);
  s.local_tag = s.dialog.local_tag;
  s.server = e.server;
  s.media_port = static_cast<uint16_t>(10'000 + 2 * (id % 10'000));
  take_sdp(s, m);
  users_[id]->incoming(*this, s);
}

void Phone::ring(Session& s) {
  const sip::Message* m = transactions_.request_of(s.server);
  if (!m || s.state != Session::State::incoming) return;
  s.reliable = s.reliable && m->lists(sip::HeaderId::supported, "100rel");
  if (s.reliable)
    ring_reliably(s, *m);
  else
    respond(s.server, *m, 180, &s);
  flush();
}

void Phone::answer(Session& s) {
  const sip::Message* m = transactions_.request_of(s.server);
  if (!m || s.state != Session::State::incoming) return;
  if (s.reliable && !s.pracked)  // first what was said before
    return schedule_.after(milliseconds(100), [this, id = s.id] {
      if (Session* again = session(id)) answer(*again);
    });
  s.state = Session::State::answered;
  s.status = 200;
  respond(s.server, *m, 200, &s, sdp(s, "sendrecv"));
  s.dialog.state = sip::Dialog::State::confirmed;
  flush();
}

void Phone::refuse(Session& s, int status) {
  const sip::Message* m = transactions_.request_of(s.server);
  if (!m || s.state != Session::State::incoming) return;
  s.status = status;
  respond(s.server, *m, status, &s);
  finish(s);
  flush();
}

void Phone::on_reinvite(Session& s, sip::TuEvent&& e, const sip::Message& m) {
  if (s.offering) {
    ++glares_;
    return respond(e.server, m, 491, &s);
  }
  if (!s.acked) return respond(e.server, m, 500, &s);
  s.dialog.refresh_target(m);
  take_sdp(s, m);
  std::string_view direction = s.direction;
  const std::string_view body = m.body_text();
  if (body.find("a=sendonly") != std::string_view::npos)
    direction = "recvonly";
  else if (body.find("a=inactive") != std::string_view::npos)
    direction = "inactive";
  else if (body.find("a=recvonly") != std::string_view::npos)
    direction = "sendonly";
  respond(e.server, m, 200, &s, sdp(s, direction));
}

void Phone::on_ack(const sip::Message& m) {
  Session* s = find(m.call_id(), m.to_tag());
  if (!s) return;
  s->acked = true;
  take_sdp(*s, m);
  if (s->state != Session::State::answered) return;
  become_up(*s);
  if (s->hang_up_later) hang_up(*s);
}

void Phone::on_notify(Session& s, std::string_view body) {
  if (!body.starts_with("SIP/2.0 ") || body.size() < 11) return;
  const int status = std::stoi(std::string(body.substr(8, 3)));
  if (status >= 200) users_[s.id]->transferred(*this, s, status);
}

// ---- final answers ---------------------------------------------------------------------------------------

void Phone::on_final(sip::TuEvent&& e, int status) {
  if (e.user.detail == registration) return on_registered(e, status);
  if (e.user.detail == errand_answer) return on_errand_answer(e, status);
  Session* s = session(static_cast<uint32_t>(e.user.object));
  if (!s) return;
  switch (e.user.detail) {
    case invite:
      return on_invite_answer(*s, e, status);
    case reinvite:
      return on_reinvite_answer(*s, e, status);
    case bye:
      s->bye_status = status;
      return finish(*s);
    case prack:
      s->prack_status = status;
      return;
    case refer:
      if (status >= 300) users_[s->id]->transferred(*this, *s, status);
      return;
    default:
      return;
  }
}

void Phone::on_invite_answer(Session& s, const sip::TuEvent& e, int status) {
  if (status / 100 == 2) {
    if (!s.ack.empty())
      return request(sip::Method::ack, Buffer::copy_of(s.ack), &s, invite), void();  // a repetition
    s.status = status;
    auto dialog = sip::Dialog::from_response(*e.message, e.path, s.dialog);
    if (!dialog.ok()) return judge_.violation("a 2xx makes a dialog", sip::to_string(dialog.reason()));
    s.dialog = std::move(*dialog);
    s.dialog.state = sip::Dialog::State::confirmed;
    s.dialog.local_cseq = std::max(*s.dialog.local_cseq, s.last_cseq);
    take_sdp(s, *e.message);
    send_ack(s, s.invite_cseq);
    if (s.cancelled) {
      s.was_up = true;
      return send_bye(s);
    }
    return become_up(s);
  }
  if (s.state != Session::State::calling) return;
  if ((status == 401 || status == 407) && e.message && ++s.tries < 4 && !s.cancelled) {
    s.challenged = true;
    const auth::Credentials credentials{config_.user, config_.password, config_.domain, {}};
    const auto answer = auth::answer(*e.message, "INVITE", s.target, credentials, rng_.token(8));
    if (answer) return send_invite(s, status == 401 ? "Authorization" : "Proxy-Authorization", answer->value);
  }
  s.status = status;
  finish(s);
}

void Phone::on_reinvite_answer(Session& s, const sip::TuEvent& e, int status) {
  if (status / 100 == 2) {
    if (!s.offering) return request(sip::Method::ack, Buffer::copy_of(s.ack), &s, invite), void();
    s.offering = false;
    s.direction = s.wanted_direction;
    s.dialog.refresh_target(*e.message);
    take_sdp(s, *e.message);
    send_ack(s, s.invite_cseq);
    if (s.state == Session::State::up) users_[s.id]->offered(*this, s, status);
    return;
  }
  s.offering = false;
  if (s.state != Session::State::up) return;
  if (status == 491) {  // RFC 3261 section 14.1
    ++glares_;
    schedule_.after(milliseconds((s.caller ? 2100 : 0) + static_cast<int64_t>(rng_.below(1900))),
                    [this, id = s.id] {
                      if (Session* again = session(id)) offer(*again, again->wanted_direction);
                    });
    return;
  }
  users_[s.id]->offered(*this, s, status);
}

void Phone::become_up(Session& s) {
  s.state = Session::State::up;
  s.was_up = true;
  s.connected = schedule_.now();
  talk(s.id);
  users_[s.id]->up(*this, s);
}

void Phone::finish(Session& s) {
  if (s.state == Session::State::over) return;
  s.state = Session::State::over;
  users_[s.id]->over(*this, s);
}

}  // namespace tandem::sim
