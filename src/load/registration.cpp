// REGISTER (RFC 3261 section 10.2) with digest.
#include <algorithm>

#include "load/agent.h"

namespace tandem::load {

std::string Agent::user_name(const Registration& r) const {
  return settings_.registrations->prefix + std::to_string(r.user);
}

Buffer Agent::write_register(SlotId id, const Registration& r) const {
  const RegistrarSettings& s = *settings_.registrations;
  const Name name(Owner::registration, id, run_);
  const std::string cseq = std::to_string(r.request.cseq);
  const std::string user = user_name(r);
  // A callee registers from where it listens; without one nobody calls.
  const Endpoint& at = settings_.callee ? callee_ : caller_;
  auto w = sip::Writer::request(sip::Method::register_, "sip:" + s.domain);
  w.header(sip::HeaderId::via, {at.via, name.text(), "r", cseq});
  w.header(sip::HeaderId::max_forwards, "70");
  w.header(sip::HeaderId::from, {"<sip:", user, "@", s.domain, ">;tag=", name.text()});
  w.header(sip::HeaderId::to, {"<sip:", user, "@", s.domain, ">"});
  w.header(sip::HeaderId::call_id, {name.text(), "@load"});
  w.header(sip::HeaderId::cseq, {cseq, " REGISTER"});
  w.header(sip::HeaderId::contact, {"<sip:", user, at.contact, ">"});
  w.header_number(sip::HeaderId::expires, s.expires);
  if (!r.request.authorization.empty()) w.header(r.request.authorization_header, r.request.authorization);
  return std::move(w).finish();
}

void Agent::begin_registration(Now now) {
  if (registrations_.full()) {
    ++statistics_.shed;
    return;
  }
  count_start(now);
  const SlotId id = registrations_.emplace();
  Registration& r = *registrations_.find(id);
  const RegistrarSettings& s = *settings_.registrations;
  const uint64_t users = uint64_t{s.last} - s.first + 1;
  r.user = s.first + static_cast<uint32_t>((registration_clock_.begun - 1) % users);
  ++statistics_.registrations_started;
  send_register(now, id, r);
}

void Agent::send_register(Now now, SlotId id, Registration& r) {
  begin_request(Owner::registration, id, r.request, now);
  to_registrar(r, write_register(id, r));
}

void Agent::on_register_response(Now now, SlotId id, Registration& r, const sip::Message& response) {
  if (response.status() < 200 || r.registered || response.cseq().number != r.request.cseq) return;
  const RegistrarSettings& s = *settings_.registrations;
  if (!r.challenged) r.began = r.request.sent;
  const bool challenge = response.status() == 401 || response.status() == 407;
  if (challenge && !r.challenged &&
      take_challenge(r.request, response, "REGISTER", "sip:" + s.domain, user_name(r), s.password)) {
    r.challenged = true;
    ++r.request.cseq;
    return send_register(now, id, r);
  }
  if (response.status() >= 300) return end_registration(id, "REGISTER: " + cause_of(response));
  statistics_.register_delay.add(static_cast<uint64_t>((now.mono - r.began).count() / 1000));
  if (!s.refresh) return end_registration(id, {});
  ++statistics_.registered;
  r.registered = true;
  const uint32_t granted = std::max(response.expires().value_or(s.expires), 2U);
  arm(Owner::registration, id, r.request.due, now.mono + seconds(granted / 2));
}

void Agent::on_registration_timer(Now now, SlotId id) {
  Registration& r = *registrations_.find(id);
  if (r.registered) {
    if (winding_down_) return;
    r.registered = r.challenged = false;
    r.request.authorization.clear();
    ++r.request.cseq;
    ++statistics_.registrations_started;
    return send_register(now, id, r);
  }
  if (again(Owner::registration, id, r.request, now, false) == Again::timed_out)
    return end_registration(id, "no response to REGISTER");
  to_registrar(r, write_register(id, r));
}

void Agent::end_registration(SlotId id, const std::string& cause) {
  registrations_.erase(id);
  if (cause.empty()) {
    ++statistics_.registered;
  } else {
    ++statistics_.registrations_failed;
    statistics_.fail(cause);
  }
}

}  // namespace tandem::load
