// Targets that are not subscribers: trunks, tried one after the other, and URIs an administrator wrote down.
#include "base/text.h"
#include "call/flow.h"
#include "media/codecs.h"
#include "sip/writer.h"

namespace tandem::call {

std::optional<auth::Credentials> trunk_credentials(const port::TrunkRow& row) {
  if (row.auth_user.empty() && row.user.empty()) return std::nullopt;
  auth::Credentials credentials;
  credentials.user = row.auth_user.empty() ? row.user : row.auth_user;
  credentials.password = row.password;
  credentials.realm = row.auth_realm;
  credentials.ha1 = row.ha1;
  return credentials;
}

/// Whether the next trunk or address may do better. Busy and the like are the callee's word and stand, and
/// 6xx is everybody's (RFC 3261 section 21.6). A redirection (3xx) is not followed: who may be called, and at
/// whose expense, is for the dial plan to say.
bool CallFlow::trunk_failover(const Cause& cause) const {
  const int s = cause.status;
  return s == 0 || (s >= 300 && s < 400) || s == 408 || s == 401 || s == 407 || s == 403 ||
         (s >= 500 && s < 600);
}

void CallFlow::next_hop(size_t branch) {
  Branch& b = call_.setup->branches[branch];
  for (; b.hop < b.hops.size(); ++b.hop) {
    const route::Trunk* trunk = layer_.plan->trunk(b.hops[b.hop].trunk);
    if (!trunk) continue;
    if (passes_over(b)) {
      layer_.counters.trunk_passed_over.add();
      continue;
    }
    if (!speaks_to(*trunk)) {
      b.cause = Cause::from_status(488, "No codec of the trunk");
      continue;
    }
    if (reserve(branch, *trunk)) resolve_trunk(branch, *trunk);
    return;
  }
  fail_branch(branch, b.cause.status ? b.cause : Cause::from_status(503, "No trunk"));
}

/// A trunk that is down is tried when all are; an emergency call tries it after those that are up.
bool CallFlow::passes_over(const Branch& b) const {
  if (!layer_.trunk_down(b.hops[b.hop].trunk)) return false;
  for (size_t i = call_.setup->emergency ? b.hop + 1 : 0; i < b.hops.size(); ++i)
    if (layer_.plan->trunk(b.hops[i].trunk) && !layer_.trunk_down(b.hops[i].trunk)) return true;
  return false;
}

/// What the caller offers can reach the trunk. A caller without an offer is asked by the trunk's.
bool CallFlow::speaks_to(const route::Trunk& trunk) {
  const Party* from = origin();
  auto offer = from ? layer_.engine.remote_description(from->endpoint) : std::nullopt;
  const bool reached = !offer || (transcodes() ? media::can_reach(*offer, trunk.row.codecs)
                                               : media::restrict_audio(*offer, trunk.row.codecs));
  if (!reached) {
    layer_.counters.no_codec.add();
    event(port::Level::notice, "trunk.no_codec", {{"trunk", trunk.row.name}});
  }
  return reached;
}

void CallFlow::count_no_codec(const Party& p) const {
  layer_.counters.no_codec.add();
  if (p.trunk.empty())
    turn_.out.event(port::Level::notice, "call.no_codec", call_.id, {{"party", p.user}});
  else
    turn_.out.event(port::Level::notice, "trunk.no_codec", call_.id, {{"trunk", p.trunk}});
}

Cause no_codec(const Party& p) {
  return Cause::from_status(488, p.trunk.empty() ? "No codec of the subscriber" : "No codec of the trunk");
}

/// Cuts a leg's description down to what its row allows. False: no audio is left.
bool CallFlow::fit(const Party& p, sdp::Description& description) const {
  if (layer_.engine.restrict(p.endpoint, description)) return true;
  count_no_codec(p);
  return false;
}

/// An offer to `to` of what `like` described.
Result<std::string, media::Reason> CallFlow::present_offer(const Party& to, const sdp::Description& like,
                                                           media::EndpointId other) {
  auto offer = layer_.engine.present(turn_.now, to.endpoint, like, media::SdpRole::offer, other);
  if (!offer.ok() && offer.reason() == media::Reason::no_common_codec) count_no_codec(to);
  return offer;
}

void CallFlow::resolve_trunk(size_t branch, const route::Trunk& trunk) {
  Branch& b = call_.setup->branches[branch];
  b.addresses.clear();
  b.address = 0;
  resolve(branch, trunk.row.host, trunk.row.port, trunk.row.transport, port::is_secure(trunk.row.transport),
          trunk.realm);
}

route::Resolver::Context CallFlow::resolver_context() {
  return {turn_.now,
          layer_.rng,
          turn_.out,
          layer_.failures,
          {port::Asker::Room::call, call_.id},
          layer_.config.ask_timeout};
}

/// RFC 3263. `transport` unset: the records say.
void CallFlow::resolve(size_t branch, std::string_view host, uint16_t port,
                       std::optional<port::Transport> transport, bool secure, port::RealmId realm) {
  Branch& b = call_.setup->branches[branch];
  b.state = Branch::State::resolving;
  b.realm = realm;
  route::ResolveTarget target;
  target.host = host;
  target.port = port;
  target.transport = transport;
  target.secure = secure;
  b.resolver = std::make_unique<route::Resolver>();
  if (b.resolver->start(resolver_context(), std::move(target))) on_resolved(branch);
}

/// An answer no other part of the call waits for may be one of its resolvers'.
bool CallFlow::on_dns(port::AskId id, const port::Answer& answer) {
  if (!call_.setup) return false;
  for (size_t i = 0; i < call_.setup->branches.size(); ++i) {
    Branch& b = call_.setup->branches[i];
    if (b.state != Branch::State::resolving || !b.resolver) continue;
    if (!b.resolver->on_answer(resolver_context(), id, answer)) continue;
    touch();
    if (b.resolver->done()) on_resolved(i);
    return true;
  }
  return false;
}

void CallFlow::on_resolved(size_t branch) {
  Branch& b = call_.setup->branches[branch];
  const std::unique_ptr<route::Resolver> resolver = std::move(b.resolver);
  const route::Trunk* trunk =
      b.kind == Branch::Kind::trunk ? layer_.plan->trunk(b.hops[b.hop].trunk) : nullptr;
  b.addresses.clear();
  b.address = 0;
  for (const route::Hop& hop : resolver->hops()) {
    NextHop next;
    next.path.transport = hop.transport;
    next.path.realm = b.realm;
    next.path.remote = hop.address;
    next.server_name = trunk && !trunk->row.tls_name.empty() ? trunk->row.tls_name : hop.server_name;
    b.addresses.push_back(std::move(next));
  }
  if (!b.addresses.empty()) return ring_address(branch);
  b.cause = Cause::from_status(503, route::to_string(resolver->error()));
  on_branch_over(branch);
}

void CallFlow::address_uri(const Branch& branch, const Party& from, Invitation& invitation) const {
  invitation.request_uri = branch.uri;
  invitation.from = from_header(from, from.user, from.domain);
  invitation.to = "<" + branch.uri + ">";
}

void CallFlow::address_trunk(const route::TrunkHop& hop, const route::Trunk& trunk, const Party& from,
                             Invitation& invitation) const {
  const port::TrunkRow& row = trunk.row;
  const std::string number = sip::escape_user(hop.number);
  invitation.request_uri = "sip:" + number + "@" + row.host;
  if (row.port) invitation.request_uri += ":" + std::to_string(row.port);
  if (row.transport == port::Transport::tcp) invitation.request_uri += ";transport=tcp";
  if (row.transport == port::Transport::tls) invitation.request_uri += ";transport=tls";
  invitation.to = "<sip:" + number + "@" + row.host + ">";
  const std::string shown = hop.caller_number.empty() ? row.user : hop.caller_number;
  const std::string domain = row.from_domain.empty() ? row.host : row.from_domain;
  const std::string identity = "<sip:" + sip::escape_user(shown) + "@" + domain + ">";
  if (hop.caller_number.empty() || call_.private_caller) {
    // RFC 3323, RFC 3325: the carrier may know, the callee may not.
    invitation.from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    invitation.headers.emplace_back("Privacy", "id");
  } else {
    invitation.from = from.display.empty() ? identity : sip::quote(from.display) + " " + identity;
  }
  if (!shown.empty()) invitation.headers.emplace_back("P-Asserted-Identity", identity);
  invitation.contact_user = row.user.empty() ? hop.caller_number : row.user;
  invitation.credentials = trunk_credentials(row);
}

void CallFlow::ring_address(size_t branch) {
  const Party* from = origin();
  if (!from) return;
  Invitation invitation;
  std::string trunk_name, user, host;
  {
    Branch& b = call_.setup->branches[branch];
    const NextHop& hop = b.addresses[b.address];
    invitation.path = hop.path;
    invitation.server_name = hop.server_name;
    b.state = Branch::State::ringing;
    const Duration ring = b.ring.count() ? b.ring : layer_.config.setup_timeout;
    if (b.stop.is_never()) b.stop = turn_.now.mono + ring;
    if (b.kind == Branch::Kind::uri) {
      address_uri(b, *from, invitation);
      if (const auto uri = sip::Uri::parse(b.uri); uri.ok()) {
        user = uri->user;
        host = uri->host;
      }
    } else {
      const route::Trunk* trunk = layer_.plan->trunk(b.hops[b.hop].trunk);
      if (!trunk) return fail_branch(branch, Cause::from_status(503, "Trunk removed"));
      address_trunk(b.hops[b.hop], *trunk, *from, invitation);
      trunk_name = trunk->row.name;
      user = b.hops[b.hop].number;
      host = trunk->row.host;
    }
  }
  diversion_headers(invitation);
  Party* called = call_leg(branch, std::move(invitation));
  if (!call_.setup) return;
  if (!called) return on_branch_over(branch);
  called->trunk = trunk_name;
  called->user = user;
  called->domain = host;
  if (!trunk_name.empty()) called->source = route::FromTrunk{trunk_name, user};
}

}  // namespace tandem::call
