// What a phone does outside of calls: instant messages (RFC 3428) and watching others' calls (RFC 6665, RFC
// 4235); and reliable provisional answers (RFC 3262).
#include <fmt/format.h>

#include "base/text.h"
#include "sim/phone.h"
#include "sip/headers.h"

namespace tandem::sim {
namespace {

constexpr Duration t1 = milliseconds(500), prack_patience = seconds(32);
constexpr std::string_view watched_for =
    "90";  // seconds; every play is over before, and what a broken connection left behind goes

}  // namespace

// ---- messages and subscriptions --------------------------------------------------------------------------

Errand& Phone::errand(PhoneUser& user, uint64_t group, sip::Method method, std::string_view number) {
  const uint32_t id = next_session_++;
  Errand& e = errands_[id];
  e.id = id;
  e.group = group;
  e.user = &user;
  e.method = method;
  e.call_id = fmt::format("errand-{}-{}-{}", config_.id, id, rng_.token(10));
  e.local_tag = mint_.mint(0);
  e.target = fmt::format("sip:{}@{}", number, config_.domain);
  return e;
}

uint32_t Phone::send_message(PhoneUser& user, uint64_t group, std::string_view number,
                             std::string_view text) {
  Errand& e = errand(user, group, sip::Method::message, number);
  e.text = text;
  send_errand(e);
  flush();
  return e.id;
}

uint32_t Phone::watch(PhoneUser& user, uint64_t group, std::string_view number) {
  Errand& e = errand(user, group, sip::Method::subscribe, number);
  e.expires = watched_for;
  send_errand(e);
  flush();
  return e.id;
}

void Phone::stop_watching(uint32_t id) {
  const auto found = errands_.find(id);
  if (found == errands_.end()) return;
  Errand& e = found->second;
  e.expires = "0";
  e.tries = 0;
  if (e.dialog.remote_tag.empty()) return e.user->told(*this, id, 481);  // it never began
  send_errand(e);
  flush();
}

void Phone::send_errand(Errand& e, std::string_view authorization_header, std::string_view authorization) {
  const std::string from = fmt::format("<sip:{}@{}>", config_.user, config_.domain);
  const bool inside = !e.dialog.remote_tag.empty();
  sip::Writer w = inside ? e.dialog.request(e.method) : sip::Writer::request(e.method, e.target);
  if (!inside) {
    e.dialog.uac = true;
    e.dialog.call_id = e.call_id;
    e.dialog.local_tag = e.local_tag;
    e.dialog.local_uri = from;
    e.dialog.remote_uri = "<" + e.target + ">";
    e.dialog.remote_target = e.target;
    e.dialog.local_target = contact();
    e.dialog.local_cseq = ++e.cseq;
    w.header(sip::HeaderId::max_forwards, "70")
        .header(sip::HeaderId::from, from + ";tag=" + e.local_tag)
        .header(sip::HeaderId::to, "<" + e.target + ">")
        .header(sip::HeaderId::call_id, e.call_id)
        .header(sip::HeaderId::cseq, fmt::format("{} {}", e.cseq, sip::to_string(e.method)));
    if (e.method == sip::Method::subscribe) w.header(sip::HeaderId::contact, contact());
  }
  if (e.method == sip::Method::subscribe)
    w.header(sip::HeaderId::event, "dialog")
        .header(sip::HeaderId::accept, "application/dialog-info+xml")
        .header(sip::HeaderId::expires, e.expires);
  if (!authorization.empty()) w.header(authorization_header, authorization);
  Buffer whole = e.method == sip::Method::message ? std::move(w).body("text/plain", as_bytes(e.text))
                                                  : std::move(w).finish();
  request(e.method, std::move(whole), nullptr, errand_answer, e.id);
}

void Phone::on_errand_answer(const sip::TuEvent& event, int status) {
  const auto found = errands_.find(static_cast<uint32_t>(event.user.object));
  if (found == errands_.end()) return;
  Errand& e = found->second;
  if ((status == 401 || status == 407) && event.message && ++e.tries < 4) {
    const auth::Credentials credentials{config_.user, config_.password, config_.domain, {}};
    const std::string uri = e.dialog.remote_tag.empty() ? e.target : e.dialog.remote_target;
    const auto answer =
        auth::answer(*event.message, sip::to_string(e.method), uri, credentials, rng_.token(8));
    if (answer) return send_errand(e, status == 401 ? "Authorization" : "Proxy-Authorization", answer->value);
  }
  if (e.method == sip::Method::subscribe && status / 100 == 2 && e.dialog.remote_tag.empty()) {
    auto dialog = sip::Dialog::from_response(*event.message, event.path, e.dialog);
    if (!dialog.ok())
      return judge_.violation("a 2xx to SUBSCRIBE makes a dialog", sip::to_string(dialog.reason()));
    e.dialog = std::move(*dialog);
    if (e.expires == "0") return send_errand(e);  // it was to end before it had begun
  }
  e.user->told(*this, e.id, status);
}

bool Phone::on_errand_request(const sip::TuEvent& e, const sip::Message& m) {
  if (m.method() == sip::Method::message && m.to_tag().empty()) {
    const std::string text(m.body_text());
    respond(e.server, m, 200, nullptr);
    if (user_) user_->message(*this, text);
    return true;
  }
  if (m.method() != sip::Method::notify) return false;
  for (auto& [id, errand] : errands_) {
    if (errand.call_id != m.call_id() || errand.local_tag != m.to_tag()) continue;
    const std::string text(m.body_text());
    const auto state = m.header(sip::HeaderId::subscription_state);
    const bool active = state && !istarts_with(*state, "terminated");
    respond(e.server, m, 200, nullptr);
    errand.user->notified(*this, id, text, active);
    return true;
  }
  return false;
}

// ---- reliable provisional answers ------------------------------------------------------------------------

/// A 180 that is repeated until its PRACK (RFC 3262 section 3).
void Phone::ring_reliably(Session& s, const sip::Message& m) {
  s.rseq = static_cast<uint32_t>(1 + rng_.below(1'000'000));
  sip::Writer w = sip::response_to(m, node_.address(), 180, s.local_tag);
  w.header(sip::HeaderId::contact, contact()).header(sip::HeaderId::require, "100rel");
  w.header_number(sip::HeaderId::rseq, s.rseq);
  Buffer response = std::move(w).finish();
  s.provisional = response.text();
  transactions_.respond(now(), s.server, std::move(response), out_);
  repeat_provisional(s.id, t1, schedule_.now() + prack_patience);
}

void Phone::repeat_provisional(uint32_t id, Duration interval, Instant give_up) {
  schedule_.after(interval, [this, id, interval, give_up] {
    Session* s = session(id);
    if (!s || s->provisional.empty() || s->state != Session::State::incoming || schedule_.now() >= give_up)
      return;
    transactions_.respond(now(), s->server, Buffer::copy_of(s->provisional), out_);
    flush();
    repeat_provisional(id, 2 * interval, give_up);
  });
}

void Phone::on_prack(Session& s, const sip::TuEvent& e, const sip::Message& m) {
  const auto text = m.header(sip::HeaderId::rack);
  const auto rack = sip::RAck::parse(text.value_or(std::string_view{}));
  if (!rack.ok() || rack->rseq != s.rseq) return respond(e.server, m, 481, &s);
  s.provisional.clear();
  s.pracked = true;
  respond(e.server, m, 200, &s);
}

void Phone::on_provisional(Session& s, const sip::TuEvent& e) {
  const auto rseq = e.message->header(sip::HeaderId::rseq);
  if (!rseq || !e.message->lists(sip::HeaderId::require, "100rel")) return;
  const auto number = parse_u32(*rseq);
  if (!number || *number <= s.rseq) return;  // repeated: its PRACK is under way
  auto dialog = sip::Dialog::from_response(*e.message, e.path, s.dialog);
  if (!dialog.ok()) return judge_.violation("a reliable 1xx makes a dialog", sip::to_string(dialog.reason()));
  s.rseq = *number;
  sip::Writer w = dialog->request(sip::Method::prack);
  w.header(sip::HeaderId::rack, fmt::format("{} {} INVITE", s.rseq, s.invite_cseq));
  s.last_cseq = *dialog->local_cseq;
  s.dialog.local_cseq = s.last_cseq;
  request(sip::Method::prack, std::move(w).finish(), &s, prack);
}

}  // namespace tandem::sim
