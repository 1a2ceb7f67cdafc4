#include "webrtc/phone.h"

#include <algorithm>

#include "base/text.h"
#include "sip/writer.h"
#include "webrtc/phone_parts.h"
#include "webrtc/trickle.h"

namespace tandem::webrtc {
namespace {

std::string quoted_name(const std::string& name) { return name.empty() ? name : sip::quote(name) + " "; }

}  // namespace

Phone::Phone(const PhoneWorld& world, PhoneConfig config) : world_(world), config_(std::move(config)) {
  registration_call_id_ = world_.mint.mint(0);
  registration_tag_ = world_.mint.mint(0);
}
Phone::~Phone() = default;

std::string Phone::contact() const {
  return "<sip:" + sip::escape_user(config_.aor.user) + "@" + config_.host + ";transport=ws>";
}

sip::TuRef Phone::user(Purpose purpose, uint32_t number) const {
  return {port::Asker::Room::call, config_.object, number << 8 | static_cast<uint32_t>(purpose)};
}

Phone::Call* Phone::find(std::string_view name) {
  for (auto& [number, c] : calls_)
    if (c->name == name) return c.get();
  return nullptr;
}

/// What the other side says it is about. The remote tag of an early dialog may still change (section 12.1.2).
Phone::Call* Phone::by_dialog(const sip::Message& m) {
  for (auto& [number, c] : calls_)
    if (c->dialog.call_id == m.call_id() && c->dialog.local_tag == m.to_tag()) return c.get();
  return nullptr;
}

Phone::Call& Phone::make_call() {
  const uint32_t number = next_call_++;
  auto& made = calls_[number] = std::make_unique<Call>();
  made->number = number;
  made->name = "c" + std::to_string(number);
  return *made;
}

Result<Phone::Call*, Fault> Phone::wanted(const Request& r) {
  Call* c = find(r.call);
  if (!c || c->reported) return Failure{Fault{Code::unknown_call, "there is no call " + r.call, 0}};
  return c;
}

/// A number or a name of our own domain, or a whole SIP URI. Nothing: it is none of these.
std::optional<std::string> Phone::target_of(std::string_view to) const {
  if (!is_plain_text(to) || to.find_first_of(" <>\"?") != std::string_view::npos) return std::nullopt;
  std::string uri(to);
  if (!istarts_with(to, "sip:") && !istarts_with(to, "sips:") && !istarts_with(to, "tel:")) {
    const size_t at = to.rfind('@');
    const std::string_view name = to.substr(0, at);
    const std::string_view domain = at == std::string_view::npos ? config_.aor.domain : to.substr(at + 1);
    uri = "sip:" + sip::escape_user(name) + "@" + std::string(domain);
  }
  return sip::Uri::parse(uri).ok() ? std::optional(uri) : std::nullopt;
}

sip::ClientTxId Phone::send(Now now, sip::Method method, Buffer rest, sip::TuRef user) {
  sip::OutgoingRequest r;
  r.method = method;
  r.rest = std::move(rest);
  r.path = config_.path;
  r.user = user;
  if (method != sip::Method::ack) return world_.transactions.request(now, std::move(r), world_.out);
  world_.transactions.send_stateless(now, std::move(r), world_.out);
  return {};
}

void Phone::tell(std::string_view event, const Call& c, Fields fields) {
  fields.insert(fields.begin(), {"call", c.name});
  news_.push_back({event, std::move(fields), 0, {}});
}

/// The client is told once; what SIP still has to do about it goes on without it.
void Phone::end(Call& c, int status, std::string_view reason, std::string_view by) {
  if (std::exchange(c.reported, true)) return;
  Fields f{{"by", std::string(by)}};
  if (status != 0) f.emplace_back("status", int64_t{status});
  if (!reason.empty()) f.emplace_back("reason", std::string(reason));
  tell("ended", c, std::move(f));
}

// ---- what the client wants -------------------------------------------------------------------------------

Result<std::string, Fault> Phone::call(Now now, const Request& r) {
  if (calls_.size() >= config_.calls) return Failure{Fault{Code::too_many, "so many calls are enough", 0}};
  const auto target = target_of(r.to);
  if (!target) return Failure{Fault{Code::bad_request, "\"to\" is no number, name or SIP URI", 0}};
  Call& c = make_call();
  c.outgoing = true;
  c.target = *target;
  c.peer_uri = *target;
  c.local_sdp = r.sdp;
  sip::Dialog& d = c.dialog;
  d.uac = true;
  d.call_id = world_.mint.mint(0);
  d.local_tag = world_.mint.mint(0);
  d.local_uri = quoted_name(config_.display) + "<sip:" + sip::escape_user(config_.aor.user) + "@" +
                config_.aor.domain + ">";
  d.remote_uri = "<" + c.target + ">";
  d.remote_target = c.target;
  d.local_target = contact();
  d.path = config_.path;
  send_invite(now, c);
  return c.name;
}

void Phone::send_invite(Now now, Call& c, const std::optional<auth::Answer>& credentials) {
  sip::Dialog& d = c.dialog;
  d.local_cseq = ++c.invite_cseq;
  sip::Writer w = sip::Writer::request(sip::Method::invite, c.target);
  w.header(sip::HeaderId::max_forwards, "70")
      .header(sip::HeaderId::from, d.local_uri + ";tag=" + d.local_tag)
      .header(sip::HeaderId::to, d.remote_uri)
      .header(sip::HeaderId::call_id, d.call_id)
      .header(sip::HeaderId::cseq, std::to_string(c.invite_cseq) + " INVITE")
      .header(sip::HeaderId::contact, d.local_target)
      .header(sip::HeaderId::allow, allowed)
      .header(sip::HeaderId::supported, "replaces, trickle-ice")
      .header("Recv-Info", "trickle-ice");
  if (credentials) w.header(credentials->header, credentials->value);
  c.invite = send(now, sip::Method::invite, std::move(w).body("application/sdp", as_bytes(c.local_sdp)),
                  user(Purpose::invite, c.number));
  if (!c.invite) end(c, 503, "Too many transactions", "failure");
}

void Phone::send_ack(Now now, Call& c, uint32_t cseq, std::string_view sdp) {
  c.acked_cseq = cseq;
  c.ack_sdp = sdp;
  sip::Writer w = c.dialog.request(sip::Method::ack, cseq);
  send(now, sip::Method::ack,
       sdp.empty() ? std::move(w).finish() : std::move(w).body("application/sdp", as_bytes(sdp)), {});
}

void Phone::send_bye(Now now, Call& c) {
  c.state = Call::State::ending;
  send(now, sip::Method::bye, c.dialog.request(sip::Method::bye).finish(), user(Purpose::bye, c.number));
}

Status<Fault> Phone::answer(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  if (!c.server) return Failure{Fault{Code::wrong_state, "nothing waits for an answer", 0}};
  accept(now, c, r.sdp);
  return Done{};
}

Status<Fault> Phone::reject(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  const sip::Message* m = c.server ? world_.transactions.request_of(c.server) : nullptr;
  if (!m) return Failure{Fault{Code::wrong_state, "nothing waits for an answer", 0}};
  const sip::ServerTxId server = std::exchange(c.server, {});
  c.answer_by = Instant::never();
  respond(now, server, *m, static_cast<int>(r.status), &c);
  if (c.state != Call::State::incoming) return Done{};  // an offer in mid-call: it goes on as it was
  end(c, static_cast<int>(r.status), {}, "us");
  calls_.erase(c.number);
  return Done{};
}

Status<Fault> Phone::hang_up(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  switch (c.state) {
    case Call::State::calling:
      c.cancelled = true;
      c.state = Call::State::ending;
      world_.transactions.cancel(now, c.invite, world_.out);
      break;
    case Call::State::incoming: {
      Request refusal = r;
      refusal.status = 603;
      return reject(now, refusal);
    }
    case Call::State::up:
      send_bye(now, c);
      break;
    case Call::State::ending:
      break;
  }
  end(c, 0, {}, "us");
  return Done{};
}

Status<Fault> Phone::offer(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  if (c.state != Call::State::up || !c.offered.empty() || c.server || c.ok.waiting())
    return Failure{Fault{Code::wrong_state, "another offer is under way, or the call is not up", 0}};
  c.offered = r.sdp;
  sip::Writer w = c.dialog.request(sip::Method::invite);
  w.header(sip::HeaderId::allow, allowed).header(sip::HeaderId::supported, "replaces, trickle-ice");
  c.invite_cseq = *c.dialog.local_cseq;
  c.invite = send(now, sip::Method::invite, std::move(w).body("application/sdp", as_bytes(r.sdp)),
                  user(Purpose::reinvite, c.number));
  return Done{};
}

/// They travel in INFO (RFC 8840), so not before there is a dialog.
Status<Fault> Phone::candidates(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  constexpr size_t most_waiting = 256;
  if (c.candidates.size() + r.candidates.size() > most_waiting)
    return Failure{Fault{Code::too_many, "so many candidates are enough", 0}};
  c.candidates.insert(c.candidates.end(), r.candidates.begin(), r.candidates.end());
  c.last_candidates = c.last_candidates || r.end;
  send_waiting(now, c);
  return Done{};
}

Status<Fault> Phone::dtmf(Now now, const Request& r) {
  const auto found = wanted(r);
  if (!found.ok()) return Failure{found.reason()};
  Call& c = **found;
  constexpr size_t most_digits = 64;
  if (c.state != Call::State::up) return Failure{Fault{Code::wrong_state, "the call is not up", 0}};
  if (c.digits.size() + r.digits.size() > most_digits)
    return Failure{Fault{Code::too_many, "so many digits are enough", 0}};
  c.digits.insert(c.digits.end(), r.digits.begin(), r.digits.end());
  c.digit_ms = r.duration_ms;
  next_digit(now, c);
  return Done{};
}

// ---- for a client that comes back ------------------------------------------------------------------------

std::vector<Fields> Phone::calls() const {
  std::vector<Fields> all;
  for (const auto& [number, c] : calls_) {
    if (c->reported) continue;
    const char* state = c->state == Call::State::calling    ? "calling"
                        : c->state == Call::State::incoming ? "incoming"
                                                            : "up";
    Fields f{{"call", c->name},
             {"state", std::string(state)},
             {"outgoing", c->outgoing},
             {"peer", c->peer_uri},
             {"name", c->peer_name}};
    if (c->server && !c->wants_offer) f.emplace_back("offer", c->remote_sdp);
    if (c->server && c->wants_offer) f.emplace_back("offer_wanted", true);
    all.push_back(std::move(f));
  }
  return all;
}

void Phone::leave(Now now) {
  leaving_ = true;
  struct Open {
    std::string name;
    bool rings;
  };
  std::vector<Open> open;
  for (const auto& [number, c] : calls_)
    if (!c->reported) open.push_back({c->name, c->state == Call::State::incoming});
  for (const Open& o : open) {
    Request r;
    r.call = o.name;
    r.status = 480;  // this one is gone; the subscriber's others go on ringing
    static_cast<void>(o.rings ? reject(now, r) : hang_up(now, r));
  }
  if (wants_registration_) set_registered(now, false, 0);
  for (const auto& [number, w] : watches_)
    if (w->dialog) subscribe(now, *w, 0, 0);
  if (std::exchange(standing_, std::nullopt)) send_publication(now, 0);
}

void Phone::on_timeout(Now now) {
  if (register_at_ <= now.mono) {
    register_at_ = Instant::never();
    send_registration(now, 0);
  }
  if (publish_at_ <= now.mono) {
    publish_at_ = Instant::never();
    send_publication(now, 0);
  }
  std::vector<uint32_t> numbers;
  for (const auto& [number, w] : watches_) numbers.push_back(number);
  for (const uint32_t number : numbers)
    if (Watch* w = find_watch(number); w && w->again <= now.mono) {
      w->again = Instant::never();
      subscribe(now, *w, 0, subscription_seconds);
    }
  numbers.clear();
  for (const auto& [number, c] : calls_) numbers.push_back(number);
  for (const uint32_t number : numbers) {
    Call& c = *calls_.at(number);
    switch (c.ok.on_timeout(now)) {
      case sip::ResendStep::resend:
        break;  // a WebSocket is reliable, and so are we
      case sip::ResendStep::give_up:
        send_bye(now, c);
        end(c, 408, "No ACK", "failure");
        break;
      case sip::ResendStep::nothing:
        break;
    }
    if (c.answer_by > now.mono) continue;
    c.answer_by = Instant::never();
    const sip::Message* m = world_.transactions.request_of(c.server);
    if (m && c.state == Call::State::up) respond(now, std::exchange(c.server, {}), *m, 500, &c);
  }
}

Instant Phone::next_timeout() const {
  Instant next = std::min(register_at_, publish_at_);
  for (const auto& [number, w] : watches_) next = std::min(next, w->again);
  for (const auto& [number, c] : calls_) next = std::min({next, c->ok.next_timeout(), c->answer_by});
  return next;
}

}  // namespace tandem::webrtc
