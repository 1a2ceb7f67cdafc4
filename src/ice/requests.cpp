// Checks as a STUN server: who may ask, what is answered, and what follows from it (RFC 8445 section 7.3).
#include <algorithm>
#include <utility>

#include "ice/state.h"

namespace tandem::ice {

using stun::Class;
using stun::Message;
namespace attribute = stun::attribute;

bool AgentState::on_datagram(Now now, BaseId base, const SocketAddress& from, Bytes datagram, Outbox& out) {
  const auto refused = [&](Reason r) {
    troubles->add(r);
    return false;
  };
  if (base >= bases.size() || !bases[base].open) return refused(Reason::unknown_base);
  const auto m = Message::parse(datagram);
  if (!m) return refused(Reason::not_stun);
  if (m->method() != stun::method::binding) return refused(Reason::not_binding);
  switch (m->message_class()) {
    case Class::request:
      return on_request(now, base, from, *m, out);
    case Class::indication:
      return false;  // a keep-alive (section 11)
    default:
      return on_response(now, bases[base].at.stream, base, from, *m, out);
  }
}

/// Answers with an error. To a request nobody has authenticated only as many as the configuration allows.
void AgentState::refuse(Now now, BaseId base, const SocketAddress& from, const Message& m,
                        const Refusal& refusal, const Credentials* authenticated, Outbox& out) {
  troubles->add(refusal.reason);
  if (authenticated == nullptr) {
    if (now.mono - answers_since_ >= seconds(1)) {
      answers_since_ = now.mono;
      answers_ = 0;
    }
    if (answers_ >= config.unauthenticated_answers) return;
    ++answers_;
  }
  stun::Writer w(Class::error, stun::method::binding, m.transaction());
  w.add_error(refusal.code, refusal.phrase);
  if (refusal.code == 420) w.add_unknown_attributes(refusal.unknown);
  if (authenticated != nullptr) w.add_integrity(as_bytes(authenticated->pwd));
  w.add_fingerprint();
  if (w.ok()) out.datagrams.push_back({base, from, w.octets()});
}

/// Until here nothing has been kept or allocated.
AgentState::Authentic AgentState::authenticate(Now now, Stream& s, BaseId base, const SocketAddress& from,
                                               const Message& m, Outbox& out) {
  static const Refusal bad_request{400, "Bad Request", Reason::unauthenticated, {}};
  static const Refusal unauthenticated{401, "Unauthenticated", Reason::wrong_credentials, {}};
  const auto username = m.text(attribute::username);
  if (!username) return refuse(now, base, from, m, bad_request, nullptr, out), Authentic{};
  // "ours:theirs"; only our part counts, since a check may be here before their description is.
  const size_t colon = username->find(':');
  const std::string_view ours = username->substr(0, colon);
  const std::string_view theirs =
      colon == std::string_view::npos ? std::string_view{} : username->substr(colon + 1);
  Generation* const previous = s.previous.get();
  Authentic found;
  if (colon == std::string_view::npos || ours.empty()) {
    // nobody's
  } else if (ours == s.current.local.ufrag) {
    found = {&s.current, &s.current.local, false};
  } else if (ours == s.current.former.ufrag && theirs == s.current.remote.ufrag) {
    found = {&s.current, &s.current.former, true};
  } else if (previous != nullptr && ours == previous->local.ufrag) {
    const bool restarted =
        s.current.known() && theirs == s.current.remote.ufrag && theirs != previous->remote.ufrag;
    found = {restarted ? &s.current : previous, &previous->local, restarted};
  } else if (previous != nullptr && ours == previous->former.ufrag && theirs == previous->remote.ufrag) {
    found = {previous, &previous->former, true};
  }
  if (found.generation == nullptr)
    return refuse(now, base, from, m, unauthenticated, nullptr, out), Authentic{};
  switch (m.check_integrity(as_bytes(found.ours->pwd))) {
    case stun::Integrity::good:
      break;
    case stun::Integrity::absent:
      return refuse(now, base, from, m, bad_request, nullptr, out), Authentic{};
    default:
      return refuse(now, base, from, m, unauthenticated, nullptr, out), Authentic{};
  }
  if (found.by_former && found.generation->former != *found.ours) {
    found.generation->former = *found.ours;
    // What the generation before has heard of these is known here, too.
    if (previous != nullptr && found.generation != previous)
      for (const Heard& h : previous->heard)
        if (h.from) s.current.heard[s.current.next_heard++ % s.current.heard.size()] = h;
    ++revision;
  }
  return found;
}

/// Section 7.3.1.1. False when the request was refused. A lite agent never gives way: it cannot control.
bool AgentState::settle_role(Now now, BaseId base, const SocketAddress& from, const Message& m,
                             const Credentials& ours, Outbox& out) {
  const auto theirs =
      m.u64(role == Role::controlling ? attribute::ice_controlling : attribute::ice_controlled);
  if (!theirs) return true;
  const bool ours_larger = tie_breaker >= *theirs;
  bool keep = role == Role::controlling ? ours_larger : !ours_larger;
  if (config.mode == Mode::lite) keep = true;
  if (!keep && role_changes >= config.max_role_changes) {
    troubles->add(Reason::too_many_roles);
    keep = true;
  }
  if (keep) {
    refuse(now, base, from, m, {487, "Role Conflict", Reason::role_conflict, {}}, &ours, out);
    return false;
  }
  change_role(role == Role::controlling ? Role::controlled : Role::controlling, out);
  return true;
}

/// Who overhears a check and sends it from his own address would be taken for the peer: by a lite agent at
/// once, since it asks nobody back.
bool AgentState::is_replay(Generation& g, BaseId base, const SocketAddress& from, const Message& m) {
  const stun::TransactionId transaction = m.transaction();
  const auto known = std::find_if(g.heard.begin(), g.heard.end(),
                                  [&](const Heard& h) { return h.from && h.transaction == transaction; });
  if (known != g.heard.end()) return known->base != base || known->from != from;
  g.heard[g.next_heard++ % g.heard.size()] = {transaction, base, from};
  return false;
}

/// The candidate a request came from, made when it is a new one (section 7.3.1.3).
std::optional<size_t> AgentState::remote_of(Generation& g, const Base& base, const SocketAddress& from,
                                            uint32_t priority) {
  for (size_t i = 0; i < g.remotes.size(); ++i) {
    const Candidate& c = g.remotes[i].candidate;
    // Who connects to us does so from a port no candidate has named.
    if (c.address == from && c.component == base.at.component && c.transport == base.at.transport &&
        (c.tcp_type != TcpType::active || !g.remotes[i].signalled))
      return i;
  }
  if (g.reflexive >= config.max_peer_reflexive) return std::nullopt;
  ++g.reflexive;
  ++revision;
  Remote r;
  r.candidate.foundation = rng->token(32);  // like no other
  r.candidate.component = base.at.component;
  r.candidate.transport = base.at.transport;
  if (base.at.tcp_type != TcpType::none)
    r.candidate.tcp_type = base.at.tcp_type == TcpType::passive  ? TcpType::active
                           : base.at.tcp_type == TcpType::active ? TcpType::passive
                                                                 : TcpType::simultaneous_open;
  r.candidate.priority = std::max(priority, 1u);
  r.candidate.address = from;
  r.candidate.type = CandidateType::peer_reflexive;
  g.remotes.push_back(std::move(r));
  return g.remotes.size() - 1;
}

bool AgentState::on_request(Now now, BaseId base, const SocketAddress& from, const Message& m, Outbox& out) {
  const StreamId id = bases[base].at.stream;
  Stream& s = streams[id];
  const Authentic authentic = authenticate(now, s, base, from, m, out);
  Generation* const g = authentic.generation;
  if (g == nullptr) return false;
  Refusal refusal{420, "Unknown Attribute", Reason::unknown_attribute,
                  m.unknown_required({attribute::username, attribute::message_integrity,
                                      attribute::message_integrity_sha256, attribute::priority,
                                      attribute::use_candidate})};
  const auto priority = m.u32(attribute::priority);
  if (refusal.unknown.empty()) refusal = {400, "Bad Request", Reason::bad_request, {}};
  if (refusal.code == 420 || !priority ||
      (!m.u64(attribute::ice_controlling) && !m.u64(attribute::ice_controlled))) {
    refuse(now, base, from, m, refusal, authentic.ours, out);
    return false;
  }
  if (is_replay(*g, base, from, m)) {
    troubles->add(Reason::replayed);
    return false;
  }
  if (!settle_role(now, base, from, m, *authentic.ours, out)) return false;
  const auto remote = remote_of(*g, bases[base], from, *priority);
  if (!remote) {
    // No answer: the peer's pair shall fail as ours does, or it might nominate what we do not know.
    troubles->add(Reason::too_many_reflexive);
    return true;
  }
  g->remotes[*remote].validated = true;

  stun::Writer w(Class::success, stun::method::binding, m.transaction());
  w.add_xor_address(attribute::xor_mapped_address, from);
  w.add_integrity(as_bytes(authentic.ours->pwd)).add_fingerprint();
  out.datagrams.push_back({base, from, w.octets()});
  if (g == &s.current) act_on(now, id, base, *remote, m, authentic.by_former, out);
  return true;
}

/// Whether a pair may take the place of the selected one. A peer that keeps to RFC 8445 nominates once, and
/// again only when that has failed for it: its last word counts. One of RFC 5245 may nominate everything that
/// works: then both sides go by priority (section 8.1.1). But Chromium says no more than RFC 5245 and moves
/// to a lesser pair when the network of the better is gone: what is selected is asked at once, and gives way
/// unless it answers.
bool AgentState::accepts_nomination(Now now, Generation& g, const Pair& pair) const {
  auto& selection = g.components[pair.component - 1].selection;
  if (!selection) return true;
  Consent& consent = selection->consent;
  if (consent.lost || (selection->base == pair.base && selection->remote == pair.remote)) return false;
  if (g.remote_ice2 || pair.priority > selection->priority) return true;
  if (config.mode == Mode::lite) return false;
  if (consent.asked.is_never()) {
    consent.next = now.mono;
    return false;
  }
  return now.mono >= consent.asked + 2 * config.rto;
}

/// Sections 7.3.1.4, 7.3.1.5 and 7.3.2: triggered checks, and nominations by the peer.
void AgentState::act_on(Now now, StreamId id, BaseId base, size_t remote, const Message& m, bool by_former,
                        Outbox& out) {
  Stream& s = streams[id];
  Generation& g = s.current;
  if (g.state == State::failed || g.state == State::disconnected) return;
  const bool nominates = role == Role::controlled && m.find(attribute::use_candidate).has_value();
  auto at = std::find_if(g.pairs.begin(), g.pairs.end(),
                         [&](const Pair& p) { return p.base == base && p.remote == remote; });
  Pair* pair = at == g.pairs.end() ? nullptr : &*at;
  auto& selection = g.components[bases[base].at.component - 1].selection;
  const bool concluded = selection.has_value();
  if (pair == nullptr) {
    if ((concluded || config.mode == Mode::lite) && !nominates) return;
    pair = add_pair(s, base, remote);
    if (pair == nullptr) return;
  }
  const stun::TransactionId transaction = m.transaction();
  if (pair->trigger == transaction) return;  // a retransmission
  pair->trigger = transaction;
  pair->by_former = by_former;
  if (concluded && selection->base == base && selection->remote == remote &&
      std::exchange(selection->by_former, by_former) != by_former)
    ++revision;
  const bool nominated = nominates && accepts_nomination(now, g, *pair);
  if (config.mode == Mode::lite) {
    // No check of ours: what the peer sent from is what it is reached at.
    pair->mapped = mapped_candidate(
        s, *pair, bases[base].at.advertised ? bases[base].at.advertised : bases[base].at.address);
    pair->valid = true;
    pair->state = PairState::succeeded;
    if (nominated) select(now, id, *pair, out);
    return;
  }
  // A nomination of ours that goes unanswered is another matter: a peer that has heard it asks for consent.
  if (pair->valid && !(pair->nominating && pair->check)) {
    if (nominated) select(now, id, *pair, out);
    return;
  }
  if (concluded && !nominated) return;
  pair->nominate_on_success |= nominated;
  if (pair->check) pair->cancelled = pair->check;
  pair->check.reset();
  pair->state = PairState::waiting;
  if (pair->triggered == 0) pair->triggered = ++g.last_triggered;
}

}  // namespace tandem::ice
