// A phone's requests that are not about offer and answer: REGISTER, MESSAGE, INFO, REFER, and what all of
// these have in common.
#include <algorithm>

#include "base/text.h"
#include "sip/writer.h"
#include "webrtc/phone_parts.h"

namespace tandem::webrtc {
namespace {

constexpr uint32_t registration_seconds = 600;
constexpr Duration registration_retry = seconds(30);

}  // namespace

Phone::Errand& Phone::errand(sip::Method method, int64_t id) {
  const uint32_t number = next_errand_++;
  Errand& e = errands_[number];
  e.number = number;
  e.method = method;
  e.id = id;
  return e;
}

void Phone::send_errand(Now now, Errand& e, const std::optional<auth::Answer>& credentials) {
  const auto call = calls_.find(e.call);
  Watch* watched = find_watch(e.watch);
  const std::string_view name = sip::to_string(e.method);
  std::optional<sip::Writer> w;
  if (call != calls_.end()) {
    w.emplace(call->second->dialog.request(e.method));
  } else if (watched && watched->dialog) {
    w.emplace(watched->dialog->request(e.method));
  } else {
    const std::string us = "<sip:" + sip::escape_user(config_.aor.user) + "@" + config_.aor.domain + ">";
    w.emplace(sip::Writer::request(e.method, e.uri));
    w->header(sip::HeaderId::max_forwards, "70")
        .header(sip::HeaderId::from, us + ";tag=" + e.tag)
        .header(sip::HeaderId::to, e.method == sip::Method::register_ ? us : "<" + e.uri + ">")
        .header(sip::HeaderId::call_id, e.call_id)
        .header(sip::HeaderId::cseq, {std::to_string(++e.cseq), " ", name});
  }
  if (e.method == sip::Method::register_) {
    w->header(sip::HeaderId::contact, contact() + ";+sip.instance=\"<" + config_.instance + ">\";reg-id=1");
    w->header(sip::HeaderId::expires, std::to_string(e.expires));
    w->header(sip::HeaderId::supported, "outbound, path, gruu");
  }
  if (e.method == sip::Method::subscribe && !(watched && watched->dialog))
    w->header(sip::HeaderId::contact, contact());
  if (!e.event.empty())
    w->header(sip::HeaderId::event, e.event).header(sip::HeaderId::expires, std::to_string(e.expires));
  if (!e.etag.empty()) w->header(sip::HeaderId::sip_if_match, e.etag);
  if (!e.package.empty()) w->header("Info-Package", e.package);
  if (!e.refer_to.empty()) w->header(sip::HeaderId::refer_to, e.refer_to);
  if (credentials) w->header(credentials->header, credentials->value);
  Buffer rest =
      e.content_type.empty() ? std::move(*w).finish() : std::move(*w).body(e.content_type, as_bytes(e.body));
  if (send(now, e.method, std::move(rest), user(Purpose::errand, e.number))) return;
  sip::TuEvent nothing{sip::TuEvent::Kind::transport_failed, {}, {}, {}, {}, {}};
  on_errand_answer(now, e, nothing, 503);
}

void Phone::on_errand_answer(Now now, Errand& e, const sip::TuEvent& event, int status) {
  if ((status == 401 || status == 407) && event.message && !e.challenged) {
    e.challenged = true;
    const auto credentials = auth::answer(*event.message, sip::to_string(e.method), e.uri,
                                          config_.credentials, world_.mint.rng().token(16), 1, e.body);
    if (credentials) return send_errand(now, e, credentials);
  }
  if (e.method == sip::Method::register_) {
    registration_answered(now, e, event, status);
  } else if (e.method == sip::Method::subscribe) {
    subscription_answered(now, e, event, status);
  } else if (e.method == sip::Method::publish) {
    publication_answered(now, e, event, status);
  } else {
    answered(e.id, event, status, {{"status", int64_t{status}}});
  }
  const uint32_t call = e.digit ? e.call : 0;
  errands_.erase(e.number);
  if (const auto it = calls_.find(call); it != calls_.end()) {
    it->second->digit_under_way = false;
    next_digit(now, *it->second);
  }
}

/// The client's request is answered, when one waits.
void Phone::answered(int64_t id, const sip::TuEvent& event, int status, Fields fields) {
  if (id == 0) return;
  PhoneNews news{{}, std::move(fields), id, {}};
  if (status >= 300)
    news.fault = Fault{Code::failed,
                       event.message ? std::string(event.message->reason_phrase()) : "No answer", status};
  news_.push_back(std::move(news));
}

// ---- registration ----------------------------------------------------------------------------------------

void Phone::set_registered(Now now, bool on, int64_t id) {
  wants_registration_ = on;
  register_at_ = Instant::never();
  send_registration(now, id);
}

void Phone::send_registration(Now now, int64_t id) {
  Errand& e = errand(sip::Method::register_, id);
  e.uri = "sip:" + config_.aor.domain;
  e.call_id = registration_call_id_;
  e.tag = registration_tag_;
  e.cseq = registration_cseq_;
  registration_cseq_ += 2;  // one more for the challenge
  e.expires = wants_registration_ ? registration_seconds : 0;
  send_errand(now, e);
}

void Phone::registration_answered(Now now, Errand& e, const sip::TuEvent& event, int status) {
  const bool before = registered_;
  registered_ = status < 300 && e.expires > 0;
  answered(e.id, event, status, {{"registered", registered_}});
  if (e.id == 0 && before != registered_)
    news_.push_back({"registered", {{"on", registered_}, {"status", int64_t{status}}}, 0, {}});
  if (!wants_registration_) return;
  if (status >= 300) {
    register_at_ = now.mono + registration_retry;
    return;
  }
  uint32_t granted = event.message->expires().value_or(registration_seconds);
  event.message->for_each_value(sip::HeaderId::contact, [&](std::string_view text) {
    const auto one = sip::NameAddr::parse(text);
    if (one.ok() && one->uri.host == config_.host)
      if (const auto expires = one->params.get("expires")) granted = parse_u32(*expires).value_or(granted);
  });
  register_at_ = now.mono + seconds(std::max<int64_t>(granted * 8 / 10, 20));
}

// ---- in calls and outside --------------------------------------------------------------------------------

void Phone::next_digit(Now now, Call& c) {
  if (c.digit_under_way || c.digits.empty() || c.state != Call::State::up) return;
  c.digit_under_way = true;
  Errand& e = errand(sip::Method::info, 0);
  e.call = c.number;
  e.digit = true;
  e.content_type = "application/dtmf-relay";
  e.body =
      "Signal=" + std::string(1, c.digits.front()) + "\r\nDuration=" + std::to_string(c.digit_ms) + "\r\n";
  c.digits.pop_front();
  send_errand(now, e);
}

Status<Fault> Phone::transfer(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  if (c.state != Call::State::up) return Failure{Fault{Code::wrong_state, "the call is not up", 0}};
  std::string to;
  if (!r.with.empty()) {
    const Call* other = find(r.with);
    if (!other || other->reported || other == &c)
      return Failure{Fault{Code::unknown_call, "there is no other call " + r.with, 0}};
    if (other->state != Call::State::up) return Failure{Fault{Code::wrong_state, "that call is not up", 0}};
    to = "<" + other->dialog.remote_target + "?Replaces=" + other->dialog.call_id + "%3Bto-tag%3D" +
         other->dialog.remote_tag + "%3Bfrom-tag%3D" + other->dialog.local_tag + ">";
  } else {
    const auto target = target_of(r.to);
    if (!target) return Failure{Fault{Code::bad_request, "\"to\" is no number, name or SIP URI", 0}};
    to = "<" + *target + ">";
  }
  if (errands_full()) return Failure{Fault{Code::too_many, "too much is under way", 0}};
  Errand& e = errand(sip::Method::refer, r.id);
  e.call = c.number;
  e.refer_to = std::move(to);
  send_errand(now, e);
  return Done{};
}

Status<Fault> Phone::message(Now now, const Request& r) {
  const auto target = target_of(r.to);
  if (!target) return Failure{Fault{Code::bad_request, "\"to\" is no number, name or SIP URI", 0}};
  if (errands_full()) return Failure{Fault{Code::too_many, "too much is under way", 0}};
  Errand& e = errand(sip::Method::message, r.id);
  e.uri = *target;
  e.call_id = world_.mint.mint(0);
  e.tag = world_.mint.mint(0);
  e.content_type = "text/plain;charset=UTF-8";
  e.body = r.text;
  send_errand(now, e);
  return Done{};
}

}  // namespace tandem::webrtc
