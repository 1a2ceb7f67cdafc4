#include "call/trunk_watch.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "route/resolver.h"
#include "sip/writer.h"

namespace tandem::call {

using sip::HeaderId;
using Health = TrunkStatus::Health;

namespace {

/// A name is looked up again when its records have had their time, within these; sooner when nothing was
/// found.
constexpr uint32_t shortest_lookup = 30, longest_lookup = 3600;
constexpr Duration failed_lookup = seconds(60);
/// First probes are spread over this long, so that a restart does not greet every carrier at once.
constexpr uint64_t spread_ms = 5000;

bool same_watch(const route::Trunk& a, const route::Trunk& b) {
  return a.row.host == b.row.host && a.row.port == b.row.port && a.row.transport == b.row.transport &&
         a.realm == b.realm && a.row.user == b.row.user && a.row.from_domain == b.row.from_domain &&
         a.row.tls_name == b.row.tls_name && a.row.options_seconds == b.row.options_seconds &&
         a.sources_by_name == b.sources_by_name;
}

std::string host_and_port(const port::TrunkRow& row) {
  std::string text = row.host;
  if (row.port) text += ":" + std::to_string(row.port);
  if (row.transport == port::Transport::tcp) text += ";transport=tcp";
  if (row.transport == port::Transport::tls) text += ";transport=tls";
  return text;
}

}  // namespace

struct TrunkWatch::Watched {
  uint32_t number = 0;  // TuRef::detail
  route::Trunk trunk;
  Health health = Health::unknown;
  int last_status = 0;
  route::Resolver resolver;
  std::vector<route::Hop> hops;
  std::vector<IpAddress> addresses;
  size_t hop = 0;
  bool probing = false;
  sip::ClientTxId tx;
  Instant next_probe = Instant::never();
  Instant next_lookup = Instant::never();
};

struct TrunkWatch::Impl {
  sip::TransactionLayer& transactions;
  sip::TokenMint& mint;
  Rng& rng;
  const ContactProvider& contacts;
  const CallConfig& config;
  Counter& alive;
  Counter& dead;
  Counter& down;  // gauge
  Counter& lookups_failed;
  route::FailureCache failures;
  std::map<std::string, std::unique_ptr<Watched>> by_name;
  uint32_t next_number = 1;
  Instant next = Instant::never();  // of all probes and look-ups

  void arm();
  void look_up(Now now, Watched& w, port::Outbox& out);
  void looked_up(Now now, Watched& w, port::Outbox& out);
  void probe(Now now, Watched& w, port::Outbox& out);
  void send(Now now, Watched& w, port::Outbox& out);
  void no_answer(Now now, Watched& w, int status, port::Outbox& out);
  void result(Now now, Watched& w, Health health, int status, port::Outbox& out);
  void tell(const Watched& w, port::Outbox& out) const;
  void count_down();
  route::Resolver::Context context(Now now, port::Outbox& out) {
    return {now, rng, out, failures, {port::Asker::Room::call, watch_object}, config.ask_timeout};
  }
};

TrunkWatch::TrunkWatch(sip::TransactionLayer& transactions, sip::TokenMint& mint, Rng& rng,
                       CounterSet& counters, const ContactProvider& contacts, const CallConfig& config)
    : impl_(new Impl{
          transactions,
          mint,
          rng,
          contacts,
          config,
          counters.counter("trunk_probes_total", "OPTIONS to trunks", "result=\"alive\""),
          counters.counter("trunk_probes_total", "OPTIONS to trunks", "result=\"dead\""),
          counters.gauge("trunk_down", "Trunks that do not answer OPTIONS now"),
          counters.counter("trunk_lookups_failed_total", "Look-ups of trunks' host names that found nothing"),
          route::FailureCache(counters),
          {},
          1}) {}
TrunkWatch::~TrunkWatch() = default;

void TrunkWatch::set_plan(Now now, const route::Plan& plan, port::Outbox& out) {
  std::map<std::string, const route::Trunk*> wanted;
  for (const route::Trunk* t : plan.trunks())
    if (owns_trunk(t->row.name, impl_->config) && (t->row.options_seconds > 0 || t->sources_by_name))
      wanted[t->row.name] = t;
  std::erase_if(impl_->by_name, [&](const auto& known) {
    const auto still = wanted.find(known.first);
    if (still == wanted.end() || !same_watch(*still->second, known.second->trunk)) {
      if (known.second->health == Health::down && still == wanted.end()) {
        known.second->health = Health::unknown;  // no longer probed: it may be tried
        impl_->tell(*known.second, out);
      }
      return true;
    }
    wanted.erase(still);
    return false;
  });
  for (const auto& [name, trunk] : wanted) {
    auto w = std::make_unique<Watched>();
    w->number = impl_->next_number++;
    w->trunk = *trunk;
    if (trunk->row.options_seconds > 0)
      w->next_probe = now.mono + milliseconds(static_cast<int64_t>(impl_->rng.below(spread_ms)));
    Watched& ref = *w;
    impl_->by_name[name] = std::move(w);
    impl_->tell(ref, out);
    impl_->look_up(now, ref, out);
  }
  impl_->count_down();
  impl_->arm();
}

void TrunkWatch::Impl::arm() {
  next = Instant::never();
  for (const auto& [name, w] : by_name) next = std::min({next, w->next_probe, w->next_lookup});
}

void TrunkWatch::Impl::count_down() {
  uint64_t n = 0;
  for (const auto& [name, w] : by_name) n += w->health == Health::down;
  down.set(n);
}

void TrunkWatch::Impl::tell(const Watched& w, port::Outbox& out) const {
  port::TrunkNews news;
  news.trunk = w.trunk.row.name;
  news.host = w.trunk.row.host;
  news.down = w.health == Health::down;
  if (w.trunk.sources_by_name) news.addresses = w.addresses;
  out.trunk_news.push_back(std::move(news));
}

void TrunkWatch::Impl::look_up(Now now, Watched& w, port::Outbox& out) {
  w.next_lookup = Instant::never();
  route::ResolveTarget target;
  target.host = w.trunk.row.host;
  target.port = w.trunk.row.port;
  target.transport = w.trunk.row.transport;
  target.secure = port::is_secure(w.trunk.row.transport);
  w.resolver = route::Resolver{};
  if (w.resolver.start(context(now, out), std::move(target))) looked_up(now, w, out);
}

void TrunkWatch::Impl::looked_up(Now now, Watched& w, port::Outbox& out) {
  if (w.resolver.hops().empty()) {  // what was known serves on
    lookups_failed.add();
    w.next_lookup = now.mono + failed_lookup;
    if (w.hops.empty())
      out.event(port::Level::warning, "trunk.unresolved", 0,
                {{"trunk", w.trunk.row.name}, {"why", route::to_string(w.resolver.error())}});
    return;
  }
  w.hops = w.resolver.hops();
  if (!w.probing) w.hop = 0;
  if (w.resolver.ttl() != UINT32_MAX)
    w.next_lookup = now.mono + seconds(std::clamp(w.resolver.ttl(), shortest_lookup, longest_lookup));
  std::vector<IpAddress> found;
  for (const route::Hop& hop : w.hops)
    if (found.size() < max_addresses && std::find(found.begin(), found.end(), hop.address.ip) == found.end())
      found.push_back(hop.address.ip);
  std::sort(found.begin(), found.end());
  w.addresses = std::move(found);
  tell(w, out);
}

void TrunkWatch::Impl::probe(Now now, Watched& w, port::Outbox& out) {
  w.next_probe = Instant::never();
  if (w.hops.empty()) return result(now, w, Health::down, 0, out);
  w.hop = 0;
  w.probing = true;
  send(now, w, out);
}

void TrunkWatch::Impl::send(Now now, Watched& w, port::Outbox& out) {
  const route::Hop& hop = w.hops[w.hop];
  const port::TrunkRow& row = w.trunk.row;
  const uint16_t shard = sip::shard_of(row.name);
  port::Path path;
  path.transport = hop.transport;
  path.realm = w.trunk.realm;
  path.remote = hop.address;
  const std::string target = "sip:" + host_and_port(row);
  const std::string domain = row.from_domain.empty() ? row.host : row.from_domain;
  const std::string user = row.user.empty() ? "" : sip::escape_user(row.user) + "@";
  sip::Writer writer = sip::Writer::request(sip::Method::options, target);
  writer.header_number(HeaderId::max_forwards, 70);
  writer.header(HeaderId::from, {"<sip:", user, domain, ">;tag=", mint.mint(shard)});
  writer.header(HeaderId::to, {"<", target, ">"});
  writer.header(HeaderId::call_id, mint.mint(shard));
  writer.header(HeaderId::cseq, "1 OPTIONS");
  writer.header(HeaderId::contact, contacts.contact_for(path, row.user));
  writer.header(HeaderId::accept, "application/sdp");
  writer.header(HeaderId::user_agent, config.user_agent);
  sip::OutgoingRequest request;
  request.method = sip::Method::options;
  request.rest = std::move(writer).finish();
  request.path = path;
  request.server_name = row.tls_name.empty() ? hop.server_name : row.tls_name;
  request.user = {port::Asker::Room::call, watch_object, w.number};
  request.shard = shard;
  w.tx = transactions.request(now, std::move(request), out);
  if (!w.tx) no_answer(now, w, 0, out);
}

/// Another of its servers may live.
void TrunkWatch::Impl::no_answer(Now now, Watched& w, int status, port::Outbox& out) {
  if (w.hop < w.hops.size()) failures.note_failure(now.mono, w.hops[w.hop]);
  if (w.hop + 1 < w.hops.size()) {
    ++w.hop;
    return send(now, w, out);
  }
  result(now, w, Health::down, status, out);
}

void TrunkWatch::Impl::result(Now now, Watched& w, Health health, int status, port::Outbox& out) {
  const Health before = std::exchange(w.health, health);
  w.probing = false;
  w.last_status = status;
  w.next_probe = now.mono + seconds(w.trunk.row.options_seconds);
  (health == Health::up ? alive : dead).add();
  if (health == Health::down && before != Health::down)
    out.event(port::Level::warning, "trunk.down", 0,
              {{"trunk", w.trunk.row.name}, {"status", std::to_string(status)}});
  if (health == Health::up && before == Health::down)
    out.event(port::Level::notice, "trunk.up", 0, {{"trunk", w.trunk.row.name}});
  count_down();
  tell(w, out);  // also without a change: a mail may have been lost
}

void TrunkWatch::on_sip(Now now, const sip::TuEvent& event, port::Outbox& out) {
  const auto it = std::find_if(impl_->by_name.begin(), impl_->by_name.end(), [&](const auto& known) {
    const Watched& w = *known.second;
    return w.number == event.user.detail && w.probing && w.tx == event.client;
  });
  if (it == impl_->by_name.end()) return;
  Watched& w = *it->second;
  if (event.kind == sip::TuEvent::Kind::response && event.message) {
    const int status = event.message->status();
    if (status < 200) return;
    if (status == 503) {  // RFC 3261 section 21.5.4
      impl_->no_answer(now, w, status, out);
    } else {
      if (w.hop < w.hops.size()) impl_->failures.note_success(w.hops[w.hop]);
      impl_->result(now, w, Health::up, status, out);
    }
  } else if (event.kind == sip::TuEvent::Kind::timeout ||
             event.kind == sip::TuEvent::Kind::transport_failed) {
    impl_->no_answer(now, w, 0, out);
  }
  impl_->arm();
}

void TrunkWatch::on_answer(Now now, port::AskId id, const port::Answer& answer, port::Outbox& out) {
  for (auto& [name, w] : impl_->by_name) {
    if (!w->resolver.running() || !w->resolver.on_answer(impl_->context(now, out), id, answer)) continue;
    if (w->resolver.done()) impl_->looked_up(now, *w, out);
    return impl_->arm();
  }
}

void TrunkWatch::on_timeout(Now now, port::Outbox& out) {
  for (auto& [name, w] : impl_->by_name) {
    if (w->next_lookup <= now.mono) impl_->look_up(now, *w, out);
    if (w->next_probe <= now.mono) impl_->probe(now, *w, out);
  }
  impl_->arm();
}

Instant TrunkWatch::next_timeout() const { return impl_->next; }

void TrunkWatch::describe(TrunkStatus& status) const {
  const auto it = impl_->by_name.find(status.trunk);
  if (it == impl_->by_name.end() || it->second->trunk.row.options_seconds == 0) return;
  status.health = it->second->health;
  status.probe_status = it->second->last_status;
}

}  // namespace tandem::call
