#include "edge/realm.h"

#include <algorithm>

#include "base/text.h"
#include "sip/uri.h"

namespace tandem::edge {
namespace {

using port::Transport;

std::string_view without_brackets(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') return host.substr(1, host.size() - 2);
  return host;
}

/// As it stands in a URI: IPv6 in brackets.
std::string host_text(std::string_view host) {
  const auto ip = IpAddress::parse(host);
  if (!ip) return lower(host);
  return ip->is_v6() ? "[" + ip->to_string() + "]" : ip->to_string();
}

/// The key both spellings of an address share.
std::string host_key(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto ip = IpAddress::parse(without_brackets(host));
  return ip ? ip->to_string() : lower(host);
}

bool good_host(std::string_view host) {
  if (IpAddress::parse(host)) return true;
  if (host.empty() || host.size() > 253) return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    const char l = to_lower(c);
    return (l >= 'a' && l <= 'z') || is_digit(c) || c == '-' || c == '.';
  });
}

const char* transport_param(Transport t) {
  switch (t) {
    case Transport::udp:
      return "";
    case Transport::tcp:
      return ";transport=tcp";
    case Transport::tls:
      return ";transport=tls";
    case Transport::ws:
    case Transport::wss:
      return ";transport=ws";  // RFC 7118 section 5.2: wss too
  }
  return "";
}

std::string advertised(const Realm& realm, const Listener& l) {
  if (!l.advertised_host.empty()) return l.advertised_host;
  if (!realm.advertised_host.empty()) return realm.advertised_host;
  return l.bound.ip.to_string();
}

std::string problem_with(const Realm& realm, const Listener& l) {
  const std::string where = "realm " + realm.name + ", listener " + l.bound.to_string() + ": ";
  if (!l.bound.ip || l.bound.port == 0) return where + "expected an address and a port";
  const std::string host = advertised(realm, l);
  if (!good_host(host))
    return where + "cannot advertise \"" + host + "\": expected an address or a host name";
  const auto ip = IpAddress::parse(host);
  if (ip && ip->is_unspecified()) return where + "it listens on all addresses, so say which one to advertise";
  return {};
}

}  // namespace

Result<std::shared_ptr<const RealmTable>, std::string> RealmTable::build(std::vector<Realm> realms) {
  if (realms.empty()) return Failure{std::string("at least one realm is needed")};
  std::shared_ptr<RealmTable> table(new RealmTable(std::move(realms)));
  for (const Realm& realm : table->realms_) {
    if (realm.name.empty()) return Failure{std::string("a realm needs a name")};
    if (std::count_if(table->realms_.begin(), table->realms_.end(),
                      [&](const Realm& r) { return r.name == realm.name; }) > 1)
      return Failure{"two realms are called " + realm.name};
    if (realm.listeners.empty()) return Failure{"realm " + realm.name + " has no listener"};
    if (realm.media.first_port > realm.media.last_port)
      return Failure{"realm " + realm.name + ": its media ports run backwards"};
    std::vector<Entry> entries;
    for (const Listener& l : realm.listeners) {
      if (std::string problem = problem_with(realm, l); !problem.empty()) return Failure{std::move(problem)};
      const std::string host = advertised(realm, l);
      const uint16_t port = l.advertised_port != 0 ? l.advertised_port : l.bound.port;
      entries.push_back({l.transport, l.bound, host_text(host) + ":" + std::to_string(port)});
      table->local_hosts_.insert(host_key(host));
      if (!l.bound.ip.is_unspecified()) table->local_hosts_.insert(host_key(l.bound.ip.to_string()));
    }
    table->entries_.push_back(std::move(entries));
  }
  return std::shared_ptr<const RealmTable>(std::move(table));
}

std::optional<port::RealmId> RealmTable::find(std::string_view name) const {
  for (size_t i = 0; i < realms_.size(); ++i)
    if (realms_[i].name == name) return static_cast<port::RealmId>(i);
  return std::nullopt;
}

std::vector<std::string> RealmTable::names() const {
  std::vector<std::string> out;
  for (const Realm& r : realms_) out.push_back(r.name);
  return out;
}

std::optional<port::RealmId> RealmTable::realm_of(Transport transport, const SocketAddress& local) const {
  for (const bool exact : {true, false})
    for (size_t i = 0; i < entries_.size(); ++i)
      for (const Entry& e : entries_[i]) {
        if (e.transport != transport || e.bound.port != local.port) continue;
        if (exact ? e.bound.ip == local.ip : e.bound.ip.is_unspecified())
          return static_cast<port::RealmId>(i);
      }
  return std::nullopt;
}

const RealmTable::Entry& RealmTable::entry_for(const port::Path& path) const {
  const auto& entries = entries_[path.realm < entries_.size() ? path.realm : 0];
  const auto family = path.remote ? path.remote.ip.family : path.local.ip.family;
  const Entry* best = &entries.front();
  int best_score = -1;
  for (const Entry& e : entries) {
    const bool all = e.bound.ip.is_unspecified();
    const bool address = e.bound.ip == path.local.ip || all;
    const bool port = e.bound.port == path.local.port;
    // A connection we opened leaves from a port of its own: the listener's is what peers can reach.
    const int score = (e.transport == path.transport ? 8 : 0) + (path.local && address && port ? 4 : 0) +
                      (e.bound.ip.family == family ? 2 : 0) + (path.local && address ? 1 : 0);
    if (score > best_score) {
      best = &e;
      best_score = score;
    }
  }
  return *best;
}

std::string_view RealmTable::sent_by(const port::Path& path) const { return entry_for(path).sent_by; }

std::string RealmTable::contact_for(const port::Path& path, std::string_view user) const {
  const Entry& e = entry_for(path);
  std::string out = "<sip:";
  if (!user.empty()) out += sip::escape_user(user) + "@";
  out += e.sent_by;
  // What we told them to reach is the listener's transport, even where the path's own has no listener.
  out += transport_param(e.transport);
  out += ">";
  return out;
}

bool RealmTable::is_local(std::string_view host) const { return local_hosts_.contains(host_key(host)); }

bool RealmTable::has_v4(port::RealmId id) const {
  const Realm& r = realm(id);
  return std::any_of(r.listeners.begin(), r.listeners.end(),
                     [](const Listener& l) { return l.bound.ip.is_v4(); });
}

bool RealmTable::has_v6(port::RealmId id) const {
  const Realm& r = realm(id);
  return std::any_of(r.listeners.begin(), r.listeners.end(),
                     [](const Listener& l) { return l.bound.ip.is_v6(); });
}

}  // namespace tandem::edge
