// Checks as a STUN client: requests, their retransmission, and what their answers mean (RFC 8445
// section 7.2).
#include <algorithm>

#include "ice/state.h"

namespace tandem::ice {
namespace {

Role other(Role r) { return r == Role::controlling ? Role::controlled : Role::controlling; }

}  // namespace

Duration AgentState::check_rto() const {
  int pending = 0;
  for (const Stream& s : streams)
    for (const Pair& p : s.current.pairs)
      pending += p.state == PairState::waiting || p.state == PairState::in_progress ? 1 : 0;
  // So that the first of every check goes out before the second of any. Section 14.3 multiplies by the number
  // of checks once more, which for a hundred makes minutes.
  return std::max(config.rto, Duration(ta * pending));
}

stun::TransactionId AgentState::new_transaction(BaseId base) {
  stun::TransactionId id = stun::new_transaction(*rng);
  if (const uint32_t mark = bases[base].at.mark)
    for (size_t i = 0; i < 4; ++i) id[i] = static_cast<uint8_t>(mark >> (24 - 8 * i));
  return id;
}

void AgentState::transmit(const Generation& g, BaseId base, const SocketAddress& to, const Transaction& t,
                          bool by_former, Outbox& out) const {
  using namespace stun;
  Writer w(Class::request, method::binding, t.id);
  w.add(attribute::username, g.remote.ufrag + ":" + (by_former ? g.former : g.local).ufrag);
  w.add_u32(attribute::priority, bases[base].reflexive_priority);
  w.add_u64(t.role == Role::controlling ? attribute::ice_controlling : attribute::ice_controlled,
            t.tie_breaker);
  if (t.use_candidate) w.add(attribute::use_candidate, "");
  w.add_integrity(as_bytes(g.remote.pwd)).add_fingerprint();
  if (w.ok()) out.datagrams.push_back({base, to, w.octets()});
}

void AgentState::send_check(Now now, Generation& g, Pair& pair, Outbox& out) {
  if (pair.check) pair.cancelled = pair.check;
  pair.triggered = 0;
  pair.state = PairState::in_progress;
  Transaction t;
  t.id = new_transaction(pair.base);
  t.role = role;
  t.tie_breaker = tie_breaker;
  t.use_candidate = role == Role::controlling && pair.nominating;
  t.rto = check_rto();
  t.sent = 1;
  t.end = now.mono + config.patience;
  const bool reliable = bases[pair.base].at.transport == Transport::tcp;
  t.next = reliable ? t.end : std::min(t.end, now.mono + wait_after(t));
  transmit(g, pair, t, out);
  pair.check = t;
}

void AgentState::fail_pair(Pair& pair) {
  pair.state = PairState::failed;
  pair.valid = false;
  pair.nominating = false;
  pair.nominate_on_success = false;
  pair.check.reset();
}

void AgentState::retransmit(Now now, Generation& g, Outbox& out) {
  for (Pair& pair : g.pairs) {
    if (pair.cancelled && now.mono >= pair.cancelled->end) pair.cancelled.reset();
    if (!pair.check || now.mono < pair.check->next) continue;
    Transaction& t = *pair.check;
    // A pair whose next check is due has its old one cancelled: its silence means nothing (section 7.3.1.4).
    if (pair.triggered != 0) {
      pair.cancelled = pair.check;
      pair.check.reset();
    } else if (now.mono >= t.end || t.sent == transmissions) {
      fail_pair(pair);
    } else {
      ++t.sent;
      t.next = std::min(t.end, now.mono + wait_after(t));
      transmit(g, pair, t, out);
    }
  }
}

bool AgentState::on_response(Now now, StreamId id, BaseId base, const SocketAddress& from,
                             const stun::Message& m, Outbox& out) {
  if (on_gathered(now, base, from, m, out) || on_check_response(now, id, base, from, m, out)) return true;
  Stream& s = streams[id];
  if (on_consent_response(now, id, s.current, base, from, m, out)) return true;
  if (s.previous && on_consent_response(now, id, *s.previous, base, from, m, out)) return true;
  troubles->add(Reason::unmatched_response);
  return false;
}

bool AgentState::on_check_response(Now now, StreamId id, BaseId base, const SocketAddress& from,
                                   const stun::Message& m, Outbox& out) {
  Generation& g = streams[id].current;
  const stun::TransactionId transaction = m.transaction();
  const auto is_it = [&](const std::optional<Transaction>& t) { return t && t->id == transaction; };
  const auto pair = std::find_if(g.pairs.begin(), g.pairs.end(), [&](const Pair& p) {
    return p.base == base && (is_it(p.check) || is_it(p.cancelled));
  });
  if (pair == g.pairs.end()) return false;
  if (m.check_integrity(as_bytes(g.remote.pwd)) != stun::Integrity::good) {
    troubles->add(Reason::bad_response);
    return true;
  }
  const bool was_cancelled = !is_it(pair->check);
  const Transaction t = was_cancelled ? *pair->cancelled : *pair->check;
  if (from != g.remotes[pair->remote].candidate.address) {
    troubles->add(Reason::asymmetric_response);
    if (!was_cancelled && pair->triggered == 0) fail_pair(*pair);
    return true;
  }
  (was_cancelled ? pair->cancelled : pair->check).reset();
  if (m.message_class() == stun::Class::error) {
    const auto error = m.error();
    on_check_error(g, *pair, t, error ? error->code : uint16_t{0}, out);
    return true;
  }
  const auto mapped = m.xor_address(stun::attribute::xor_mapped_address);
  if (mapped)
    on_check_success(now, id, *pair, t, *mapped, out);
  else
    troubles->add(Reason::bad_response), fail_pair(*pair);
  return true;
}

void AgentState::on_check_error(Generation& g, Pair& pair, const Transaction& t, uint16_t code, Outbox& out) {
  bool again = code == 487;
  // Unless another answer, or a request, has changed the role since (section 7.2.5.1).
  if (again && t.role == role) {
    again = role_changes < config.max_role_changes;
    if (again) {
      change_role(other(role), out);
      tie_breaker = rng->next();
    } else {
      troubles->add(Reason::too_many_roles);
    }
  }
  if (pair.check || pair.triggered != 0) return;  // a later check speaks for the pair
  if (!again) return fail_pair(pair);
  pair.state = PairState::waiting;
  pair.triggered = ++g.last_triggered;
}

void AgentState::change_role(Role to, Outbox& out) {
  role = to;
  ++role_changes;
  ++revision;
  for (Stream& s : streams)
    for (Pair& p : s.current.pairs) {
      p.nominating = p.nominate_on_success = false;
      const auto& selection = s.current.components[p.component - 1].selection;
      if (to != Role::controlling || !selection || selection->base != p.base || selection->remote != p.remote)
        continue;
      // What the peer nominated may have been lost on the way back: now it is ours to say.
      p.nominating = true;
      p.triggered = ++s.current.last_triggered;
    }
  recompute_priorities();
  Event e{Event::Kind::role};
  e.role = to;
  out.events.push_back(std::move(e));
}

Candidate AgentState::mapped_candidate(const Stream& s, const Pair& pair, const SocketAddress& mapped) const {
  const Base& base = bases[pair.base];
  for (const Local& l : s.locals) {
    // The port of an active TCP candidate is known only once it has connected.
    const bool same =
        base.at.tcp_type == TcpType::active ? l.base == pair.base : l.candidate.address == mapped;
    if (same && l.candidate.transport == base.at.transport && l.candidate.component == pair.component)
      return l.candidate;
  }
  Candidate c;
  c.foundation = base.foundation;
  c.component = pair.component;
  c.transport = base.at.transport;
  c.tcp_type = base.at.tcp_type;
  c.priority = base.reflexive_priority;
  c.address = mapped;
  c.type = CandidateType::peer_reflexive;
  c.related = base.at.address;
  return c;
}

void AgentState::on_check_success(Now now, StreamId id, Pair& pair, const Transaction& t,
                                  const SocketAddress& mapped, Outbox& out) {
  Stream& s = streams[id];
  Generation& g = s.current;
  g.remotes[pair.remote].validated = true;
  pair.mapped = mapped_candidate(s, pair, mapped);
  pair.valid = true;
  set_terms(g, pair);
  const bool nominated =
      role == Role::controlling ? t.use_candidate && t.role == role : pair.nominate_on_success;
  // A nomination of ours that is still to be sent, or to be answered, goes on.
  if (nominated || !pair.nominating) {
    pair.state = PairState::succeeded;
    pair.triggered = 0;
    pair.check.reset();
    pair.cancelled.reset();
  }
  Component& c = g.components[pair.component - 1];
  if (c.first_valid.is_never()) c.first_valid = now.mono;
  ++revision;
  thaw_foundation(pair.foundation);
  if (nominated) select(now, id, pair, out);
}

void AgentState::on_unreachable(BaseId base, const SocketAddress& to, Outbox& out) {
  // ICMP says as much of a UDP pair, but anybody can forge it (section 7.2.5.2.2).
  if (base >= bases.size() || !bases[base].open || bases[base].at.transport != Transport::tcp) return;
  const StreamId id = bases[base].at.stream;
  Stream& s = streams[id];
  for (Pair& p : s.current.pairs)
    if (p.base == base && s.current.remotes[p.remote].candidate.address == to) {
      p.triggered = 0;
      p.cancelled.reset();
      fail_pair(p);
    }
  for (Generation* g : {&s.current, s.previous.get()}) {
    if (g == nullptr) continue;
    for (uint16_t c = 1; c <= s.components; ++c) {
      const auto& selection = g->components[c - 1].selection;
      if (selection && selection->base == base && g->remotes[selection->remote].candidate.address == to)
        lose_consent(id, *g, c, out);
    }
  }
}

}  // namespace tandem::ice
