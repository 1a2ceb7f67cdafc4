// Reading a REGISTER and judging it, in the order of RFC 3261 section 10.3. Nothing is changed here: a
// request that is refused leaves every binding as it was.
#include <algorithm>

#include "base/text.h"
#include "registrar/state.h"
#include "sip/options.h"
#include "sip/qvalue.h"

namespace tandem::registrar {
namespace {

constexpr uint32_t highest_reg_id = 0x7fffffff;

/// "0.7" -> 700 (section 25.1, qvalue); anything else counts as 1.
/// +sip.instance="<urn:uuid:...>" without the quotes.
std::string_view read_instance(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
    value = value.substr(1, value.size() - 2);
  return value;
}

uint16_t port_or_default(const sip::Uri& uri, bool secure) {
  return uri.port != 0 ? uri.port : static_cast<uint16_t>(secure ? 5061 : 5060);
}

/// Whether two Contacts of one request name the same thing, by match()'s rules.
template <class Contact>
bool same_contact(const Contact& a, const Contact& b) {
  return a.uri == b.uri || sip::equivalent(a.parsed, b.parsed);
}

}  // namespace

Status<Registrar::Refusal> Registrar::read(const sip::Message& request, const port::Subscriber& who,
                                           Request& out) const {
  // Step 1: the Request-URI names a domain of ours.
  const auto uri = request.parsed_request_uri();
  if (!uri || !uri->is_sip()) return Failure{Refusal{416}};
  if (!domain_of(uri->host)) return Failure{Refusal{404}};
  // Step 2: extensions.
  std::string unsupported = sip::unsupported_options(request, "path, outbound, gruu");
  if (!unsupported.empty()) return Failure{Refusal{420, {}, std::move(unsupported)}};
  // Step 3, authentication, was the caller's. Steps 4 and 5: who may change what.
  if (auto r = read_target(request, who, out); !r) return r;
  if (request.call_id().size() > config_.call_id_bytes) {
    limit_bytes_.add();
    return Failure{Refusal{400, "Call-ID Too Long"}};
  }
  request.for_each_value(sip::HeaderId::via, [&](std::string_view) { ++out.vias; });
  if (auto r = read_path(request, out); !r) return r;
  out.wants_gruu =
      request.lists(sip::HeaderId::supported, "gruu") || request.lists(sip::HeaderId::require, "gruu");
  // Step 6 and what step 7 can check without looking at the bindings.
  if (auto r = read_contacts(request, out); !r) return r;
  const bool asks_outbound = request.lists(sip::HeaderId::supported, "outbound") ||
                             request.lists(sip::HeaderId::require, "outbound");
  const bool any_reg_id =
      std::any_of(out.contacts.begin(), out.contacts.end(), [](const Wanted& w) { return w.reg_id != 0; });
  if (!asks_outbound || !any_reg_id) return Done{};
  if (out.contacts.size() > 1) return Failure{Refusal{400, "One Contact With reg-id Only"}};
  // RFC 5626 section 6: the flow is the first hop's to keep, and that one must know it.
  if (out.vias > 1 && !out.first_hop_outbound) return Failure{Refusal{439}};
  out.outbound = true;
  return Done{};
}

Status<Registrar::Refusal> Registrar::read_target(const sip::Message& request, const port::Subscriber& who,
                                                  Request& out) const {
  const auto to = request.to();
  if (!to || !to->uri.is_sip()) return Failure{Refusal{400, "Bad To"}};
  const auto domain = domain_of(to->uri.host);
  const auto user = sip::unescape(to->uri.user);
  if (!domain || !user || user->empty()) return Failure{Refusal{404}};
  if (*user != who.aor.user || *domain != who.aor.domain) return Failure{Refusal{403}};
  out.aor = who.aor;
  out.max_contacts = config_.contacts_per_aor;
  if (who.max_contacts != 0) out.max_contacts = std::min(out.max_contacts, who.max_contacts);
  return Done{};
}

Status<Registrar::Refusal> Registrar::read_path(const sip::Message& request, Request& out) const {
  bool good = true;
  request.for_each_value(sip::HeaderId::path, [&](std::string_view item) {
    const auto hop = sip::NameAddr::parse(item);
    if (!hop || !hop->uri.is_sip() || item.find_first_of("\r\n") != std::string_view::npos) {
      good = false;
      return;
    }
    if (!out.routes.empty()) out.routes.push_back('\n');
    out.routes.append(item);
    out.first_hop_outbound = hop->uri.params.has("ob");  // the last value is the hop next to the phone
  });
  if (!good) return Failure{Refusal{400, "Bad Path"}};
  if (out.routes.size() > config_.path_bytes) {
    limit_bytes_.add();
    return Failure{Refusal{400, "Path Too Long"}};
  }
  return Done{};
}

Status<Registrar::Refusal> Registrar::read_contacts(const sip::Message& request, Request& out) const {
  Status<Refusal> result = Done{};
  request.for_each_value(sip::HeaderId::contact, [&](std::string_view item) {
    if (!result) return false;
    if (item == "*")
      out.star = true;
    else
      result = read_contact(request, item, out);
    return result.ok();
  });
  if (!result) return result;
  if (out.star && (!out.contacts.empty() || request.expires() != 0u))
    return Failure{Refusal{400, "Bad Wildcard Contact"}};
  return result;
}

Status<Registrar::Refusal> Registrar::read_contact(const sip::Message& request, std::string_view item,
                                                   Request& out) const {
  const auto contact = sip::NameAddr::parse(item);
  if (!contact || !contact->uri.is_sip()) return Failure{Refusal{400, "Bad Contact"}};
  Wanted w;
  w.uri = contact->uri_text;
  w.parsed = contact->uri;
  // Headers in a Contact would be put into the requests sent there: not on this server.
  if (!w.parsed.headers.empty()) return Failure{Refusal{400, "Headers In Contact"}};
  if (const auto instance = contact->params.get("+sip.instance")) w.instance = read_instance(*instance);
  if (w.uri.size() > config_.contact_bytes || w.instance.size() > config_.instance_bytes) {
    limit_bytes_.add();
    return Failure{Refusal{400, "Contact Too Long"}};
  }
  if (const auto reg_id = contact->params.get("reg-id"); reg_id && !w.instance.empty()) {
    const auto number = parse_u32(*reg_id);
    if (!number || *number == 0 || *number > highest_reg_id) return Failure{Refusal{400, "Bad reg-id"}};
    w.reg_id = *number;
  }
  if (const auto q = contact->params.get("q")) w.q = sip::qvalue(*q);
  w.expires = request.expires().value_or(config_.default_expires);
  if (const auto expires = contact->params.get("expires"))
    w.expires = sip::parse_delta_seconds(*expires).value_or(config_.default_expires);
  if (w.expires != 0 && w.expires < config_.min_expires) return Failure{Refusal{423}};
  w.expires = std::min(w.expires, config_.max_expires);
  out.contacts.push_back(w);
  return Done{};
}

/// Step 7: room. A contact stands once in a request, and two do not name one binding (`a;x=1` and `a;x=2` are
/// both equivalent to `a`): each would be counted, and the room of one given to many.
Status<Registrar::Refusal> Registrar::judge(const Request& request, const Aor* aor) const {
  size_t bindings = aor ? aor->bindings.size() : 0;
  // Whoever gives up all he has and binds all he may needs no more; each is compared with all others. What he
  // gives up may have lapsed here meanwhile.
  if (request.contacts.size() > request.max_contacts + std::max<size_t>(bindings, request.max_contacts)) {
    limit_contacts_.add();
    return Failure{Refusal{403, "Too Many Contacts"}};
  }
  size_t gone = 0;  // would be given up for a new one
  if (aor)
    for (const Binding& b : aor->bindings) gone += b.connection_gone();
  std::vector<const Binding*> named;
  for (size_t i = 0; i < request.contacts.size(); ++i) {
    const Wanted& w = request.contacts[i];
    const Binding* known = nullptr;
    if (aor) {
      const auto it = match(aor->bindings, w, request.outbound);
      if (it != aor->bindings.end()) known = &*it;
    }
    const bool twice =
        (known && std::find(named.begin(), named.end(), known) != named.end()) ||
        std::any_of(request.contacts.begin(), request.contacts.begin() + static_cast<std::ptrdiff_t>(i),
                    [&](const Wanted& before) { return same_contact(before, w); });
    if (twice) return Failure{Refusal{400, "Contact Listed Twice"}};
    if (known) named.push_back(known);
    if (known && known->connection_gone()) --gone;
    if (known && w.expires == 0) --bindings;
    if (!known && w.expires != 0) ++bindings;
  }
  if (bindings > request.max_contacts + gone && bindings > (aor ? aor->bindings.size() : 0)) {
    limit_contacts_.add();
    return Failure{Refusal{403, "Too Many Contacts"}};
  }
  if (!aor && bindings > 0 && aors_.full()) {
    limit_aors_.add();
    return Failure{Refusal{503}};
  }
  return Done{};
}

/// How the contact will be reached: as its URI says, or back the way the REGISTER came.
void Registrar::place(const sip::Message& request, const port::Path& path, const Request& read,
                      const Wanted& wanted, Binding& binding) const {
  binding.path = path;
  binding.outbound = read.outbound && wanted.reg_id != 0;
  binding.fixed = binding.outbound || !read.routes.empty();
  binding.flow_only = false;
  binding.flow_lost = false;
  const sip::Via& via = request.top_via();
  const auto via_ip = IpAddress::parse(via.host);
  const auto contact_ip = IpAddress::parse(wanted.parsed.host);
  const bool secure = port::is_secure(path.transport) || wanted.parsed.scheme == sip::Scheme::sips;
  const bool contact_is_source =
      contact_ip == path.remote.ip && port_or_default(wanted.parsed, secure) == path.remote.port;
  // Another host than the one that asks, or a name that could lead anywhere. Whoever registers says where he
  // is and nothing about others: requests from our own listener would be believed by trunks and inner hosts.
  const bool elsewhere = !contact_ip || *contact_ip != path.remote.ip;
  if (!read.routes.empty()) return;         // by its Path, and the first hop of that is where it came from
  if (read.vias > 1 && !elsewhere) return;  // a proxy is between us: what we see is the proxy
  if (port::is_websocket(path.transport)) {
    binding.fixed = binding.flow_only = true;  // RFC 7118: nobody can open one to a browser
    return;
  }
  // What the phone takes for its own address is not where it is: a NAT stands between.
  const bool via_differs =
      via_ip && (*via_ip != path.remote.ip ||
                 (!port::is_reliable(path.transport) && via.port != 0 && via.port != path.remote.port));
  const bool behind_nat = elsewhere || (!contact_is_source && via_differs);
  if (port::is_reliable(path.transport)) {
    // An open connection is reused first (RFC 5923 is not needed to answer). Over TLS it is the only way: a
    // connection of our own would have to be verified, and a telephone has no certificate for its address.
    binding.fixed = true;
    binding.flow_only = behind_nat || port::is_secure(path.transport);
    return;
  }
  binding.fixed = binding.fixed || behind_nat;
}

Registrar::Reply Registrar::refuse(const sip::Message& request, const port::Path& path,
                                   const Refusal& refusal) {
  refused_.add();
  sip::Writer w = sip::response_to(request, path.remote, refusal.status, rng_.token(10), refusal.reason);
  if (refusal.status == 420) w.header(sip::HeaderId::unsupported, refusal.unsupported);
  if (refusal.status == 423) w.header_number(sip::HeaderId::min_expires, config_.min_expires);
  if (refusal.status == 503) w.header_number(sip::HeaderId::retry_after, 30 + rng_.below(60));
  return {refusal.status, std::move(w).finish()};
}

}  // namespace tandem::registrar
