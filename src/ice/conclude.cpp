// How it ends well or not: nomination, selected pairs, states (RFC 8445 section 8), and consent to go on
// (RFC 7675).
#include <algorithm>

#include "ice/state.h"

namespace tandem::ice {
namespace {

/// The best pair of a component media may go over.
template <class G>
auto* best_valid(G& g, uint16_t component) {
  decltype(g.pairs.data()) best = nullptr;
  for (auto& p : g.pairs)
    if (p.component == component && p.valid && (best == nullptr || p.valid_priority > best->valid_priority))
      best = &p;
  return best;
}

/// Something may still come of it.
bool is_open(const Pair& p) {
  return p.triggered != 0 || p.state == PairState::frozen || p.state == PairState::waiting ||
         p.state == PairState::in_progress;
}

}  // namespace

Path AgentState::path_of(const Generation& g, BaseId base, size_t remote, const Candidate& mapped) const {
  const Candidate& r = g.remotes[remote].candidate;
  return {base, mapped.address, r.address, mapped.type, r.type, mapped.transport};
}

std::optional<Path> AgentState::path(StreamId id, uint16_t component) const {
  const Stream* s = open_stream(id);
  if (s == nullptr || component < 1 || component > s->components) return std::nullopt;
  for (const Generation* g : {&s->current, static_cast<const Generation*>(s->previous.get())}) {
    if (g == nullptr) continue;
    const auto& selection = g->components[component - 1].selection;
    if (selection && !selection->consent.lost)
      return path_of(*g, selection->base, selection->remote, selection->mapped);
  }
  if (!s->current.running() || config.mode == Mode::lite) return std::nullopt;
  const Pair* best = best_valid(s->current, component);
  if (best == nullptr) return std::nullopt;
  return path_of(s->current, best->base, best->remote, best->mapped);
}

void AgentState::set_state(StreamId id, State state, Outbox& out) {
  Stream& s = streams[id];
  if (s.current.state == state) return;
  s.current.state = state;
  ++revision;
  if (state == State::completed) s.previous.reset();
  if (state == State::failed || state == State::disconnected) s.current.pairs.clear();
  Event e{Event::Kind::state, id};
  e.state = state;
  out.events.push_back(std::move(e));
}

/// Controlling, regular nomination: the best valid pair, once no better one can come of it or `settle` is
/// over.
void AgentState::nominate(Now now, Generation& g, uint16_t component) {
  Component& c = g.components[component - 1];
  if (c.selection) return;
  Pair* best = best_valid(g, component);
  if (best == nullptr) {
    c.first_valid = Instant::never();
    return;
  }
  for (const Pair& p : g.pairs) {
    if (p.component != component) continue;
    if (p.nominating) return;
    const bool better = is_open(p) && p.priority > best->priority;
    if (better && now.mono < c.first_valid + config.settle) return;
  }
  best->nominating = true;
  best->triggered = ++g.last_triggered;
}

/// The pair is nominated: it carries the component's media, and the others of it are done with
/// (section 8.1.2).
void AgentState::select(Now now, StreamId id, Pair& pair, Outbox& out) {
  Generation& g = streams[id].current;
  const uint16_t component = pair.component;
  auto& selection = g.components[component - 1].selection;
  pair.nominating = pair.nominate_on_success = false;
  const BaseId base = pair.base;
  const size_t remote = pair.remote;
  if (selection && selection->base == base && selection->remote == remote) return;
  selection = Selection{base, remote, pair.mapped, pair.priority, pair.by_former, {}};
  if (config.mode == Mode::full) {
    selection->consent.next = now.mono + consent_wait();
    selection->consent.expires = now.mono + config.consent_expiry;
  } else {
    selection->consent.next = now.mono + config.keepalive;
  }
  ++revision;
  Event e{Event::Kind::selected, id, component};
  e.path = path_of(g, base, remote, selection->mapped);
  out.events.push_back(std::move(e));
  std::erase_if(g.pairs, [&](const Pair& p) {
    return p.component == component && (p.base != base || p.remote != remote);
  });
}

/// Two lite agents check nothing: the best pair of each component is taken (section 8.2). Host candidates are
/// ordered as both sides see them, so both take the same.
void AgentState::select_without_checks(Now now, StreamId id, Outbox& out) {
  Stream& s = streams[id];
  Generation& g = s.current;
  for (uint16_t component = 1; component <= s.components; ++component) {
    std::optional<Pair> best;
    for (size_t r = 0; r < g.remotes.size(); ++r)
      for (BaseId b = 0; b < bases.size(); ++b) {
        if (bases[b].at.stream != id || bases[b].at.component != component ||
            !compatible(bases[b], g.remotes[r].candidate))
          continue;
        Pair p;
        p.base = b;
        p.remote = r;
        p.component = component;
        set_terms(g, p);
        if (!best || p.priority > best->priority) best = std::move(p);
      }
    if (!best || g.components[component - 1].selection) continue;
    best->mapped = mapped_candidate(
        s, *best,
        bases[best->base].at.advertised ? bases[best->base].at.advertised : bases[best->base].at.address);
    g.remotes[best->remote].validated = true;
    select(now, id, *best, out);
  }
}

/// Brings the stream's state up to what its pairs say (sections 7.2.5.4 and 8.1.2).
void AgentState::conclude(Now now, StreamId id, Outbox& out) {
  Stream& s = streams[id];
  Generation& g = s.current;
  if (s.components == 0 || !g.known() || g.state == State::failed || g.state == State::disconnected) return;
  if (config.mode == Mode::lite && g.remote_lite) select_without_checks(now, id, out);
  bool selected = true, valid = true;
  for (uint16_t c = 1; c <= s.components; ++c) {
    if (config.mode == Mode::full && role == Role::controlling) nominate(now, g, c);
    const bool done = g.components[c - 1].selection.has_value();
    selected &= done;
    valid &= done || (config.mode == Mode::full && best_valid(g, c) != nullptr);
  }
  if (selected) return set_state(id, State::completed, out);
  set_state(id, valid ? State::connected : State::checking, out);
  if (now.mono >= g.patience) {
    if (g.patience_over) return set_state(id, State::failed, out);
    // What is under way, or still to be trickled, may come to something for as long again.
    g.patience_over = true;
    g.patience = now.mono + config.patience;
  }
  if (g.patience_over && g.end_of_remote && std::none_of(g.pairs.begin(), g.pairs.end(), is_open))
    set_state(id, State::failed, out);
}

Duration AgentState::consent_wait() {
  const auto base = config.consent_interval.count();
  return Duration(base * 8 / 10 + static_cast<int64_t>(rng->below(static_cast<uint64_t>(base * 4 / 10) + 1)));
}

// ---- consent ---------------------------------------------------------------------------------------------

/// A new check, or the latest again: on a lossy path one of six alone would now and then be too few.
void AgentState::ask_consent(Now now, Generation& g, Selection& selection, Outbox& out) {
  Consent& consent = selection.consent;
  Transaction& t = consent.latest;
  if (now.mono >= consent.next) {
    consent.next = now.mono + consent_wait();
    t = {};
    t.id = new_transaction(selection.base);
    t.role = role;
    t.tie_breaker = tie_breaker;
    t.rto = config.rto;
    consent.asked = std::min(consent.asked, now.mono);
    std::move_backward(consent.sent.begin(), consent.sent.end() - 1, consent.sent.end());
    consent.sent[0] = t.id;
  }
  ++t.sent;
  const bool again = bases[selection.base].at.transport == Transport::udp && t.sent < transmissions;
  t.next = again ? now.mono + wait_after(t) : Instant::never();
  transmit(g, selection, t, out);
}

/// Asks for consent, and finds out that there is none; lite, only keeps bindings alive (section 11).
void AgentState::keep_consent(Now now, StreamId id, Generation& g, Outbox& out) {
  for (uint16_t c = 1; c <= streams[id].components; ++c) {
    auto& selection = g.components[c - 1].selection;
    if (!selection || selection->consent.lost) continue;
    Consent& consent = selection->consent;
    if (now.mono >= consent.expires) {
      lose_consent(id, g, c, out);
    } else if (config.mode == Mode::full) {
      if (now.mono >= std::min(consent.next, consent.latest.next)) ask_consent(now, g, *selection, out);
    } else if (now.mono >= consent.next) {
      stun::Writer w(stun::Class::indication, stun::method::binding, stun::new_transaction(*rng));
      w.add_fingerprint();
      out.datagrams.push_back({selection->base, g.remotes[selection->remote].candidate.address, w.octets()});
      consent.next = now.mono + config.keepalive;
    }
  }
}

void AgentState::lose_consent(StreamId id, Generation& g, uint16_t component, Outbox& out) {
  Selection& selection = *g.components[component - 1].selection;
  if (selection.consent.lost) return;
  selection.consent = {};
  selection.consent.lost = true;
  ++revision;
  Event e{Event::Kind::consent_lost, id, component};
  e.path = path_of(g, selection.base, selection.remote, selection.mapped);
  out.events.push_back(std::move(e));
  if (&g == &streams[id].current) set_state(id, State::disconnected, out);
}

bool AgentState::on_consent_response(Now now, StreamId id, Generation& g, BaseId base,
                                     const SocketAddress& from, const stun::Message& m, Outbox& out) {
  const stun::TransactionId transaction = m.transaction();
  for (uint16_t c = 1; c <= streams[id].components; ++c) {
    auto& selection = g.components[c - 1].selection;
    if (!selection || selection->consent.lost || selection->base != base) continue;
    Consent& consent = selection->consent;
    const auto sent = std::find(consent.sent.begin(), consent.sent.end(), transaction);
    if (sent == consent.sent.end() || transaction == stun::TransactionId{}) continue;
    if (m.check_integrity(as_bytes(g.remote.pwd)) != stun::Integrity::good) {
      troubles->add(Reason::bad_response);
      return true;
    }
    if (from != g.remotes[selection->remote].candidate.address) {
      troubles->add(Reason::asymmetric_response);
      return true;
    }
    *sent = {};  // one answer each
    consent.latest.next = consent.asked = Instant::never();
    if (m.message_class() == stun::Class::success) {
      consent.expires = now.mono + config.consent_expiry;
    } else if (const auto error = m.error(); error && error->code == 403) {
      lose_consent(id, g, c, out);  // revoked (RFC 7675 section 5.2)
    } else if (error && error->code == 487 && role_changes < config.max_role_changes) {
      change_role(role == Role::controlling ? Role::controlled : Role::controlling, out);
      tie_breaker = rng->next();
    }
    return true;
  }
  return false;
}

}  // namespace tandem::ice
