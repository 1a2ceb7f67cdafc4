#include "call/trunk_registration.h"

#include <algorithm>

#include "auth/client.h"
#include "base/text.h"
#include "call/layer.h"
#include "route/resolver.h"
#include "sip/headers.h"
#include "sip/uri.h"
#include "sip/writer.h"

namespace tandem::call {

using sip::HeaderId;

std::string_view to_string(TrunkStatus::State s) {
  switch (s) {
    case TrunkStatus::State::idle:
      return "idle";
    case TrunkStatus::State::trying:
      return "trying";
    case TrunkStatus::State::registered:
      return "registered";
    case TrunkStatus::State::refused:
      return "refused";
    case TrunkStatus::State::unreachable:
      return "unreachable";
  }
  return "";
}

std::string_view to_string(TrunkStatus::Health h) {
  switch (h) {
    case TrunkStatus::Health::unknown:
      return "unknown";
    case TrunkStatus::Health::up:
      return "up";
    case TrunkStatus::Health::down:
      return "down";
  }
  return "";
}

bool owns_trunk(std::string_view trunk, const CallConfig& config) {
  return sip::worker_of_shard(sip::shard_of(trunk), std::max<uint16_t>(config.workers, 1)) == config.worker;
}

namespace {

bool same_registration(const port::TrunkRow& a, const port::TrunkRow& b) {
  return a.host == b.host && a.port == b.port && a.transport == b.transport && a.realm == b.realm &&
         a.user == b.user && a.from_domain == b.from_domain && a.auth_user == b.auth_user &&
         a.auth_realm == b.auth_realm && a.password == b.password && a.ha1.md5 == b.ha1.md5 &&
         a.ha1.sha256 == b.ha1.sha256 && a.ha1.sha512_256 == b.ha1.sha512_256 &&
         a.expires_seconds == b.expires_seconds;
}

}  // namespace

struct TrunkRegistrations::Registration {
  uint32_t number = 0;  // TuRef::detail
  route::Trunk trunk;
  TrunkStatus status;
  std::string call_id, tag, contact;
  uint32_t cseq = 0;
  uint32_t failures = 0;
  uint32_t expires = 0;
  bool leaving = false;
  uint8_t auth_tries = 0;
  std::string credentials;
  bool proxy = false;
  sip::ClientTxId tx;
  route::Resolver resolver;
  std::vector<route::Hop> hops;
  size_t hop = 0;
  Instant next = Instant::never();
};

struct TrunkRegistrations::Impl {
  sip::TransactionLayer& transactions;
  sip::TokenMint& mint;
  Rng& rng;
  const ContactProvider& contacts;
  const TrunkContacts& tokens;
  const CallConfig& config;
  Counter& ok;
  Counter& failed;
  route::FailureCache failures;
  std::map<std::string, std::unique_ptr<Registration>> by_name;
  uint32_t next_number = 1;

  void start(Now now, Registration& r, port::Outbox& out);
  void send(Now now, Registration& r, port::Outbox& out);
  void on_response(Now now, Registration& r, const sip::Message& response, port::Outbox& out);
  void on_failure(Now now, Registration& r, int status, port::Outbox& out);
  void again(Now now, Registration& r, Duration in);
  bool challenge(Now now, Registration& r, const sip::Message& response, port::Outbox& out);
  route::Resolver::Context context(Now now, port::Outbox& out) {
    return {now, rng, out, failures, {port::Asker::Room::call, trunk_object}, config.ask_timeout};
  }
};

TrunkRegistrations::TrunkRegistrations(sip::TransactionLayer& transactions, sip::TokenMint& mint, Rng& rng,
                                       CounterSet& counters, const ContactProvider& contacts,
                                       const TrunkContacts& tokens, const CallConfig& config)
    : impl_(
          new Impl{transactions,
                   mint,
                   rng,
                   contacts,
                   tokens,
                   config,
                   counters.counter("trunk_registrations_total", "REGISTERs to trunks", "result=\"ok\""),
                   counters.counter("trunk_registrations_total", "REGISTERs to trunks", "result=\"failed\""),
                   route::FailureCache(counters),
                   {},
                   1}) {}
TrunkRegistrations::~TrunkRegistrations() = default;

void TrunkRegistrations::set_plan(Now now, const route::Plan& plan, port::Outbox& out) {
  std::map<std::string, const route::Trunk*> wanted;
  for (const route::Trunk* t : plan.trunks()) {
    const bool ours = owns_trunk(t->row.name, impl_->config);
    if (ours && t->row.enabled && t->row.kind == port::TrunkRow::Kind::registration) wanted[t->row.name] = t;
  }
  for (auto it = impl_->by_name.begin(); it != impl_->by_name.end();) {
    const auto still = wanted.find(it->first);
    if (still == wanted.end() || !same_registration(still->second->row, it->second->trunk.row)) {
      it->second->leaving = true;
      if (it->second->status.state == TrunkStatus::State::registered) impl_->send(now, *it->second, out);
      it = impl_->by_name.erase(it);
    } else {
      wanted.erase(still);
      ++it;
    }
  }
  for (const auto& [name, trunk] : wanted) {
    auto r = std::make_unique<Registration>();
    r->number = impl_->next_number++;
    r->trunk = *trunk;
    r->status.trunk = name;
    r->call_id = impl_->mint.mint(sip::shard_of(name));
    Registration& ref = *r;
    impl_->by_name[name] = std::move(r);
    impl_->start(now, ref, out);
  }
}

void TrunkRegistrations::Impl::start(Now now, Registration& r, port::Outbox& out) {
  r.next = Instant::never();
  r.auth_tries = 0;
  if (r.status.state != TrunkStatus::State::registered) r.status.state = TrunkStatus::State::trying;
  route::ResolveTarget target;
  target.host = r.trunk.row.host;
  target.port = r.trunk.row.port;
  target.transport = r.trunk.row.transport;
  target.secure = port::is_secure(r.trunk.row.transport);
  r.hop = 0;
  if (!r.resolver.start(context(now, out), std::move(target))) return;
  r.hops = r.resolver.hops();
  if (r.hops.empty()) return on_failure(now, r, 0, out);
  send(now, r, out);
}

void TrunkRegistrations::Impl::send(Now now, Registration& r, port::Outbox& out) {
  if (r.hop >= r.hops.size()) return on_failure(now, r, 0, out);
  const route::Hop& hop = r.hops[r.hop];
  const port::TrunkRow& row = r.trunk.row;
  const uint16_t shard = sip::shard_of(row.name);
  port::Path path;
  path.transport = hop.transport;
  path.realm = r.trunk.realm;
  path.remote = hop.address;
  const std::string domain = row.from_domain.empty() ? row.host : row.from_domain;
  const std::string aor = "<sip:" + sip::escape_user(row.user) + "@" + domain + ">";
  if (r.tag.empty()) r.tag = mint.mint(shard);
  r.contact = contacts.contact_for(path, tokens.user_for(row.name));
  sip::Writer w = sip::Writer::request(sip::Method::register_, "sip:" + domain);
  w.header_number(HeaderId::max_forwards, 70);
  w.header(HeaderId::from, {aor, ";tag=", r.tag});
  w.header(HeaderId::to, aor);
  w.header(HeaderId::call_id, r.call_id);
  w.header(HeaderId::cseq, std::to_string(++r.cseq) + " REGISTER");
  w.header(HeaderId::contact, r.contact);
  w.header_number(HeaderId::expires, r.leaving ? 0 : r.expires ? r.expires : row.expires_seconds);
  w.header(HeaderId::user_agent, config.user_agent);
  if (!r.credentials.empty())
    w.header(r.proxy ? HeaderId::proxy_authorization : HeaderId::authorization, r.credentials);
  sip::OutgoingRequest request;
  request.method = sip::Method::register_;
  request.rest = std::move(w).finish();
  request.path = path;
  request.server_name = row.tls_name.empty() ? hop.server_name : row.tls_name;
  request.user = {port::Asker::Room::call, trunk_object, r.number};
  request.shard = shard;
  r.tx = transactions.request(now, std::move(request), out);
  if (!r.tx) on_failure(now, r, 503, out);
}

void TrunkRegistrations::Impl::again(Now now, Registration& r, Duration in) {
  r.next = now.mono + in;
  r.status.next_try = now.wall + in;
}

/// Back-off: 5 s, doubled to 10 min, with a fifth of it left to chance so that many trunks do not come back
/// at once.
void TrunkRegistrations::Impl::on_failure(Now now, Registration& r, int status, port::Outbox& out) {
  if (r.leaving) return;
  if ((status == 0 || status == 408 || status >= 500) && r.hop + 1 < r.hops.size()) {
    failures.note_failure(now.mono, r.hops[r.hop]);
    ++r.hop;
    return send(now, r, out);
  }
  failed.add();
  r.status.last_status = status;
  r.status.state = status >= 400 && status < 500 && status != 408 ? TrunkStatus::State::refused
                                                                  : TrunkStatus::State::unreachable;
  const uint32_t step = std::min<uint32_t>(r.failures++, 7);
  const auto base = std::min<int64_t>(5000LL << step, 600'000);
  again(now, r, milliseconds(base + static_cast<int64_t>(rng.below(static_cast<uint64_t>(base / 5)))));
  out.event(port::Level::warning, "trunk.registration_failed", 0,
            {{"trunk", r.trunk.row.name}, {"status", std::to_string(status)}});
}

bool TrunkRegistrations::Impl::challenge(Now now, Registration& r, const sip::Message& response,
                                         port::Outbox& out) {
  const port::TrunkRow& row = r.trunk.row;
  const auto credentials = trunk_credentials(row);
  if (!credentials) return false;
  const std::string domain = row.from_domain.empty() ? row.host : row.from_domain;
  const auto made = auth::answer(response, "REGISTER", "sip:" + domain, *credentials, rng.token(16));
  if (!made || (r.auth_tries > 0 && !made->stale) || r.auth_tries >= 2) return false;
  ++r.auth_tries;
  r.credentials = made->value;
  r.proxy = made->header == HeaderId::proxy_authorization;
  send(now, r, out);
  return true;
}

void TrunkRegistrations::Impl::on_response(Now now, Registration& r, const sip::Message& response,
                                           port::Outbox& out) {
  const int status = response.status();
  if (status < 200) return;
  r.status.last_status = status;
  if ((status == 401 || status == 407) && challenge(now, r, response, out)) return;
  r.credentials.clear();  // a nonce is used for one exchange: no nonce-count to keep over a restart
  if (status == 423) {    // RFC 3261 section 10.2.8
    const auto min = sip::parse_delta_seconds(response.header(HeaderId::min_expires).value_or(""));
    if (min.ok() && *min > r.trunk.row.expires_seconds && *min <= 86400 && r.expires < *min) {
      r.expires = *min;
      return send(now, r, out);
    }
  }
  if (status >= 300) return on_failure(now, r, status, out);
  if (r.leaving) return;
  // What the registrar granted: on our contact, else in Expires.
  uint32_t granted = response.expires().value_or(r.trunk.row.expires_seconds);
  const std::string ours = tokens.user_for(r.trunk.row.name);
  response.for_each_value(HeaderId::contact, [&](std::string_view value) {
    const auto contact = sip::NameAddr::parse(value);
    if (!contact.ok() || contact->star || contact->uri.user != ours) return;
    if (const auto e = contact->params.get("expires"))
      if (const auto n = parse_u32(*e)) granted = *n;
  });
  granted = std::clamp<uint32_t>(granted, 10, 86400);
  if (r.status.state != TrunkStatus::State::registered)
    out.event(port::Level::info, "trunk.registered", 0, {{"trunk", r.trunk.row.name}});
  ok.add();
  failures.note_success(r.hops[r.hop]);
  r.failures = 0;
  r.status.state = TrunkStatus::State::registered;
  r.status.expires = now.wall + seconds(granted);
  again(now, r, milliseconds(granted * 800LL));
}

void TrunkRegistrations::on_sip(Now now, const sip::TuEvent& event, port::Outbox& out) {
  for (auto& [name, r] : impl_->by_name) {
    if (r->number != event.user.detail || !(r->tx == event.client)) continue;
    if (event.kind == sip::TuEvent::Kind::response && event.message)
      return impl_->on_response(now, *r, *event.message, out);
    if (event.kind == sip::TuEvent::Kind::timeout) return impl_->on_failure(now, *r, 408, out);
    if (event.kind == sip::TuEvent::Kind::transport_failed) return impl_->on_failure(now, *r, 503, out);
    return;
  }
}

void TrunkRegistrations::on_answer(Now now, port::AskId id, const port::Answer& answer, port::Outbox& out) {
  for (auto& [name, r] : impl_->by_name) {
    if (!r->resolver.running() || !r->resolver.on_answer(impl_->context(now, out), id, answer)) continue;
    if (!r->resolver.done()) return;
    r->hops = r->resolver.hops();
    return r->hops.empty() ? impl_->on_failure(now, *r, 0, out) : impl_->send(now, *r, out);
  }
}

void TrunkRegistrations::on_timeout(Now now, port::Outbox& out) {
  for (auto& [name, r] : impl_->by_name)
    if (r->next <= now.mono) impl_->start(now, *r, out);
}

Instant TrunkRegistrations::next_timeout() const {
  Instant next = Instant::never();
  for (const auto& [name, r] : impl_->by_name) next = std::min(next, r->next);
  return next;
}

void TrunkRegistrations::unregister_all(Now now, port::Outbox& out) {
  for (auto& [name, r] : impl_->by_name) {
    r->leaving = true;
    r->next = Instant::never();
    if (r->status.state == TrunkStatus::State::registered) impl_->send(now, *r, out);
  }
}

void TrunkRegistrations::describe(TrunkStatus& status) const {
  const auto it = impl_->by_name.find(status.trunk);
  if (it != impl_->by_name.end()) status = it->second->status;
}

}  // namespace tandem::call
