#include "route/resolver.h"

#include <algorithm>

#include "base/text.h"

namespace tandem::route {
namespace {

using port::DnsRecord;
using port::Transport;

constexpr uint16_t type_a = 1, type_aaaa = 28, type_srv = 33, type_naptr = 35;

uint16_t default_port(Transport t) {
  switch (t) {
    case Transport::tls:
      return 5061;
    case Transport::ws:
      return 80;
    case Transport::wss:
      return 443;
    case Transport::udp:
    case Transport::tcp:
      break;
  }
  return 5060;
}

std::optional<Transport> transport_from(std::string_view name) {
  if (iequals(name, "udp")) return Transport::udp;
  if (iequals(name, "tcp")) return Transport::tcp;
  if (iequals(name, "tls")) return Transport::tls;
  return std::nullopt;
}

/// NAPTR services we can use (RFC 3263 section 4.1). WebSocket servers are not connected to.
std::optional<Transport> transport_of_service(std::string_view service) {
  if (iequals(service, "SIP+D2U")) return Transport::udp;
  if (iequals(service, "SIP+D2T")) return Transport::tcp;
  if (iequals(service, "SIPS+D2T")) return Transport::tls;
  return std::nullopt;
}

std::string srv_name(Transport t, const std::string& host) {
  if (t == Transport::tls) return "_sips._tcp." + host;
  return (t == Transport::tcp ? "_sip._tcp." : "_sip._udp.") + host;
}

/// Letters, digits, '-', '_' and '.', as DNS names in URIs are; 253 characters (RFC 1035).
bool is_host_name(std::string_view s) {
  if (s.empty() || s.size() > 253 || s.front() == '.') return false;
  return std::all_of(s.begin(), s.end(), [](char c) {
    const char l = to_lower(c);
    return (l >= 'a' && l <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '.';
  });
}

std::string without_final_dot(std::string name) {
  if (name.ends_with('.')) name.pop_back();
  return name;
}

}  // namespace

const char* to_string(ResolveError e) {
  switch (e) {
    case ResolveError::none:
      return "none";
    case ResolveError::bad_host:
      return "bad_host";
    case ResolveError::not_found:
      return "not_found";
    case ResolveError::no_family:
      return "no_family";
    case ResolveError::timed_out:
      return "timed_out";
  }
  return "";
}

std::optional<ResolveTarget> ResolveTarget::from(const sip::Uri& uri) {
  if (!uri.is_sip()) return std::nullopt;
  ResolveTarget t;
  t.host = uri.host;
  t.port = uri.port;
  t.secure = uri.scheme == sip::Scheme::sips;
  if (const auto maddr = uri.params.get("maddr"); maddr && !maddr->empty()) t.host = *maddr;
  if (const auto name = uri.params.get("transport")) {
    t.transport = transport_from(*name);
    // "sips:...;transport=tcp" is TLS over TCP (RFC 3261 section 26.2.2); an unknown transport cannot be
    // honoured.
    if (t.secure && t.transport == Transport::tcp) t.transport = Transport::tls;
    if (!t.transport && !iequals(*name, "ws") && !iequals(*name, "wss")) return std::nullopt;
  }
  return t;
}

// ---- failures ---------------------------------------------------------------------------------------------

FailureCache::FailureCache(CounterSet& counters, size_t limit, Duration hold)
    : limit_(limit),
      hold_(hold),
      noted_(counters.counter("route_target_failures_total",
                              "Next hops that failed and are tried last for a while")),
      full_(counters.counter("route_failure_cache_full_total", "Failed next hops that were not remembered")) {
}

void FailureCache::note_failure(Instant now, const Hop& hop) {
  noted_.add();
  const Key key{hop.transport, hop.address};
  if (until_.size() >= limit_ && !until_.contains(key)) {
    std::erase_if(until_, [&](const auto& entry) { return entry.second <= now; });
    if (until_.size() >= limit_) {
      full_.add();
      return;
    }
  }
  until_[key] = now + hold_;
}

void FailureCache::note_success(const Hop& hop) { until_.erase({hop.transport, hop.address}); }

bool FailureCache::failed(Instant now, const Hop& hop) const {
  const auto it = until_.find({hop.transport, hop.address});
  return it != until_.end() && it->second > now;
}

void FailureCache::reorder(Instant now, std::vector<Hop>& hops) const {
  if (until_.empty()) return;
  std::stable_partition(hops.begin(), hops.end(), [&](const Hop& h) { return !failed(now, h); });
}

// ---- the machine ------------------------------------------------------------------------------------------

bool Resolver::usable(Transport t) const {
  if (target_.secure && t != Transport::tls) return false;
  return !target_.transport || *target_.transport == t;
}

Transport Resolver::default_transport() const {
  if (target_.secure) return Transport::tls;
  return target_.transport.value_or(Transport::udp);
}

void Resolver::fail(ResolveError error) {
  error_ = error;
  open_.clear();
  stage_ = Stage::done;
}

void Resolver::ask(const Context& c, std::string name, uint16_t type, size_t index) {
  const Instant deadline = std::min(c.now.mono + c.timeout, deadline_);
  open_.push_back({c.out.ask(port::AskDns{std::move(name), type}, deadline, c.asker), type, index});
}

void Resolver::add_hop(Transport transport, IpAddress ip, uint16_t port) {
  if (hops_.size() >= max_hops) return;
  Hop hop{transport, {ip, port}, is_secure(transport) ? target_.host : std::string()};
  if (std::find(hops_.begin(), hops_.end(), hop) == hops_.end()) hops_.push_back(std::move(hop));
}

bool Resolver::start(const Context& c, ResolveTarget target) {
  *this = Resolver();
  target_ = std::move(target);
  deadline_ = c.now.mono + c.patience;
  if (const auto ip = IpAddress::parse(target_.host)) {
    const Transport t = default_transport();
    if (ip->is_v4() ? !target_.v4 : !target_.v6) {
      fail(ResolveError::no_family);
      return true;
    }
    add_hop(t, *ip, target_.port != 0 ? target_.port : default_port(t));
    stage_ = Stage::done;
    return true;
  }
  target_.host = lower(without_final_dot(target_.host));
  if (!is_host_name(target_.host) || (!target_.v4 && !target_.v6)) {
    fail(ResolveError::bad_host);
    return true;
  }
  if (target_.port != 0) {
    servers_.push_back({target_.host, target_.port, default_transport(), {}});
    ask_addresses(c);
  } else if (target_.transport) {
    services_.push_back({srv_name(default_transport(), target_.host), default_transport(), {}});
    ask_srv(c);
  } else {
    stage_ = Stage::naptr;
    ask(c, target_.host, type_naptr, 0);
  }
  return done();
}

bool Resolver::on_answer(const Context& c, port::AskId id, const port::Answer& answer) {
  const auto it = std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.id == id; });
  if (it == open_.end() || !running()) return false;
  const Open question = *it;
  open_.erase(it);
  std::vector<DnsRecord> records;
  if (const auto* dns = std::get_if<port::DnsAnswer>(&answer)) {
    for (const DnsRecord& r : dns->records)
      if (r.type == question.type && records.size() < max_records) {
        ttl_ = std::min(ttl_, r.ttl);
        records.push_back(r);
      }
  } else if (std::holds_alternative<port::AskFailure>(answer)) {
    timed_out_ = true;
  }
  switch (question.type) {
    case type_naptr:
      on_naptr(c, records);
      break;
    case type_srv:
      services_[question.index].records = std::move(records);
      if (open_.empty()) after_srv(c);
      break;
    default: {
      auto& found = servers_[question.index].found[question.type == type_aaaa ? 1 : 0];
      for (const DnsRecord& r : records)
        if (question.type == type_aaaa ? r.address.is_v6() : r.address.is_v4()) found.push_back(r.address);
      if (open_.empty()) finish(c);
    }
  }
  return true;
}

void Resolver::on_naptr(const Context& c, const std::vector<DnsRecord>& all) {
  std::vector<DnsRecord> records;
  for (const DnsRecord& r : all) {
    const auto t = transport_of_service(r.service);
    if (t && usable(*t) && iequals(r.flags, "s") && is_host_name(r.target)) records.push_back(r);
  }
  std::stable_sort(records.begin(), records.end(), [](const DnsRecord& a, const DnsRecord& b) {
    return a.priority != b.priority ? a.priority < b.priority : a.weight < b.weight;
  });
  if (records.size() > max_servers) records.resize(max_servers);
  for (const DnsRecord& r : records)
    services_.push_back({lower(without_final_dot(r.target)), *transport_of_service(r.service), {}});
  // No NAPTR for us: every transport we can use (RFC 3263 section 4.1 leaves the order open). UDP first, as
  // without a connection to make it answers soonest.
  if (services_.empty())
    for (const Transport t : {Transport::udp, Transport::tcp, Transport::tls})
      if (usable(t)) services_.push_back({srv_name(t, target_.host), t, {}});
  ask_srv(c);
}

void Resolver::ask_srv(const Context& c) {
  stage_ = Stage::srv;
  for (size_t i = 0; i < services_.size(); ++i) ask(c, services_[i].name, type_srv, i);
}

void Resolver::after_srv(const Context& c) {
  bool refused = false;
  for (Service& s : services_) {
    order_srv(s.records, c.rng);
    for (const DnsRecord& r : s.records) {
      // "." says: decidedly not available at this domain (RFC 2782).
      if (r.target.empty() || r.target == ".") refused = true;
      if (!is_host_name(r.target) || servers_.size() >= max_servers) continue;
      servers_.push_back({lower(without_final_dot(r.target)), r.port, s.transport, {}});
    }
  }
  if (servers_.empty() && refused) return fail(ResolveError::not_found);
  if (servers_.empty())
    servers_.push_back({target_.host, default_port(default_transport()), default_transport(), {}});
  ask_addresses(c);
}

void Resolver::ask_addresses(const Context& c) {
  stage_ = Stage::address;
  for (size_t i = 0; i < servers_.size(); ++i) {
    // A server may be named by its address, against the RFC.
    if (const auto ip = IpAddress::parse(servers_[i].name)) {
      servers_[i].found[ip->is_v6() ? 1 : 0].push_back(*ip);
      continue;
    }
    if (target_.v4) ask(c, servers_[i].name, type_a, i);
    if (target_.v6) ask(c, servers_[i].name, type_aaaa, i);
  }
  if (open_.empty()) finish(c);
}

void Resolver::finish(const Context& c) {
  for (const Server& s : servers_) {
    const int first = target_.prefer_v6 ? 1 : 0;
    for (const int family : {first, 1 - first}) {
      if (family == 0 ? !target_.v4 : !target_.v6) continue;
      for (const IpAddress& ip : s.found[static_cast<size_t>(family)]) add_hop(s.transport, ip, s.port);
    }
  }
  stage_ = Stage::done;
  if (hops_.empty()) return fail(timed_out_ ? ResolveError::timed_out : ResolveError::not_found);
  c.failures.reorder(c.now.mono, hops_);
}

void Resolver::order_srv(std::vector<DnsRecord>& records, Rng& rng) {
  // Weight 0 first within a priority, so that it has a small chance (RFC 2782).
  std::stable_sort(records.begin(), records.end(), [](const DnsRecord& a, const DnsRecord& b) {
    return a.priority != b.priority ? a.priority < b.priority : (a.weight == 0) > (b.weight == 0);
  });
  for (size_t begin = 0; begin < records.size(); ++begin) {
    uint64_t sum = 0;
    size_t end = begin;
    while (end < records.size() && records[end].priority == records[begin].priority)
      sum += records[end++].weight;
    const uint64_t chosen = rng.below(sum + 1);
    uint64_t running = 0;
    for (size_t i = begin; i < end; ++i) {
      running += records[i].weight;
      if (running < chosen) continue;
      std::rotate(records.begin() + static_cast<ptrdiff_t>(begin),
                  records.begin() + static_cast<ptrdiff_t>(i),
                  records.begin() + static_cast<ptrdiff_t>(i) + 1);
      break;
    }
  }
}

}  // namespace tandem::route
