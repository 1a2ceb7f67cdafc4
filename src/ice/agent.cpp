#include "ice/agent.h"

#include <algorithm>

#include "ice/state.h"

namespace tandem::ice {

std::string_view to_string(State state) {
  static constexpr std::array<std::string_view, 6> names = {"idle",      "checking", "connected",
                                                            "completed", "failed",   "disconnected"};
  return names[static_cast<size_t>(state)];
}

// ---- the machine -----------------------------------------------------------------------------------------

AgentState::AgentState(const Config& c, Rng& r, Troubles& t)
    : config(c), rng(&r), troubles(&t), role(c.role), tie_breaker(r.next()) {
  config.ta = std::clamp<Duration>(config.ta, milliseconds(5), seconds(1));
  config.rto = std::max<Duration>(config.rto, milliseconds(500));
  ta = config.ta;
  if (config.mode == Mode::lite) role = Role::controlled;  // until the peer turns out to be lite too
}

Stream* AgentState::open_stream(StreamId id) {
  return id < streams.size() && streams[id].components > 0 ? &streams[id] : nullptr;
}
const Stream* AgentState::open_stream(StreamId id) const {
  return id < streams.size() && streams[id].components > 0 ? &streams[id] : nullptr;
}

Result<Stream*, Reason> AgentState::stream_or_reason(StreamId id) {
  Stream* s = open_stream(id);
  if (s == nullptr) {
    troubles->add(Reason::unknown_stream);
    return Failure{Reason::unknown_stream};
  }
  return s;
}

Result<StreamId, Reason> AgentState::add_stream(uint16_t components) {
  if (components < 1 || components > 2) return Failure{Reason::bad_component};
  if (streams.size() >= config.max_streams) {
    troubles->add(Reason::too_many_streams);
    return Failure{Reason::too_many_streams};
  }
  Stream& s = streams.emplace_back();
  s.components = components;
  s.current.local = Credentials::make(*rng, config.ufrag_prefix);
  ++revision;
  return static_cast<StreamId>(streams.size() - 1);
}

void AgentState::set_components(StreamId id, uint16_t components) {
  Stream* s = open_stream(id);
  if (s == nullptr || components >= s->components) return;
  s->components = components;
  ++revision;
  for (Base& b : bases)
    if (b.at.stream == id && b.at.component > components) b.open = false;
  std::erase_if(s->locals, [&](const Local& l) { return l.candidate.component > components; });
  for (Generation* g : {&s->current, s->previous.get()}) {
    if (g == nullptr) continue;
    std::erase_if(g->pairs, [&](const Pair& p) { return p.component > components; });
    for (uint16_t c = components; c < 2; ++c) g->components[c] = {};
  }
  if (components == 0) s->previous.reset();
}

namespace {

bool usable(const Candidate& c) {
  const IpAddress& ip = c.address.ip;
  const bool port_counts = c.tcp_type != TcpType::active;
  const bool group = ip.is_v4() ? ip.bytes[0] >= 224 : ip.bytes[0] == 0xff;
  return ip && !ip.is_unspecified() && !group && (c.address.port != 0 || !port_counts);
}

bool is_base(const LocalBase& b) {
  const bool type = b.type == CandidateType::host || b.type == CandidateType::relayed;
  return type && (b.transport == Transport::tcp) == (b.tcp_type != TcpType::none);
}

}  // namespace

Result<BaseId, Reason> AgentState::add_local(const LocalBase& at, Outbox& out) {
  const auto found = stream_or_reason(at.stream);
  if (!found) return Failure{found.reason()};
  Stream& s = **found;
  if (at.component < 1 || at.component > s.components) return Failure{Reason::bad_component};
  Candidate c;
  c.component = at.component;
  c.type = at.type;
  c.transport = at.transport;
  c.tcp_type = at.tcp_type;
  c.address = at.advertised ? at.advertised : at.address;
  if (at.tcp_type == TcpType::active) c.address.port = 9;  // the discard port, as RFC 6544 section 4.5 has it
  c.related = at.related;
  if (!is_base(at) || !usable(c)) return Failure{Reason::bad_address};
  const auto like = [&](const Base& b) { return b.at.stream == at.stream && b.at.component == at.component; };
  if (static_cast<size_t>(std::count_if(bases.begin(), bases.end(), like)) >= config.max_local_candidates) {
    troubles->add(Reason::too_many_candidates);
    return Failure{Reason::too_many_candidates};
  }
  const auto id = static_cast<BaseId>(bases.size());
  Base& base = bases.emplace_back();
  base.at = at;
  // The first of each family, then the second of each...
  uint16_t rank = 0;
  const Base* first = nullptr;
  for (BaseId b = 0; b < id; ++b) {
    const Base& o = bases[b];
    if (!like(o) || o.at.type != at.type || o.at.transport != at.transport || o.at.tcp_type != at.tcp_type)
      continue;
    if (first == nullptr) first = &o;
    if (o.at.address.ip.family == at.address.ip.family) rank = static_cast<uint16_t>(rank + 2);
  }
  if (first != nullptr && first->at.address.ip.family != at.address.ip.family) ++rank;
  base.preference = at.preference.value_or(static_cast<uint16_t>(65535 - rank));
  base.foundation = foundation_of(at.type, base, at.related);
  base.priority = candidate_priority(at.type, at.transport, at.tcp_type, base.preference, at.component);
  base.reflexive_priority = candidate_priority(CandidateType::peer_reflexive, at.transport, at.tcp_type,
                                               base.preference, at.component);
  c.foundation = base.foundation;
  c.priority = base.priority;
  add_local_candidate(at.stream, id, std::move(c), out);
  gather_base(id);
  form_pairs_of_base(s, id);
  thaw(s.current);
  return id;
}

Status<Reason> AgentState::set_remote(Now now, StreamId id, const Description& remote, Outbox& out) {
  const auto found = stream_or_reason(id);
  if (!found) return Failure{found.reason()};
  if (!remote.credentials.valid()) {
    troubles->add(Reason::bad_credentials);
    return Failure{Reason::bad_credentials};
  }
  Stream& s = **found;
  if (s.current.known() && s.current.remote != remote.credentials) restart(id);
  Generation& g = s.current;
  g.remote = remote.credentials;
  g.remote_lite = remote.lite;
  g.remote_ice2 = remote.has_option("ice2");
  g.end_of_remote |= remote.end_of_candidates || !remote.has_option("trickle");
  // Section 14.2, with a bound on what a peer may ask for.
  ta = std::clamp<Duration>(
      std::max<Duration>(ta, milliseconds(std::min(remote.pacing_ms.value_or(50), 1000u))), config.ta,
      seconds(1));
  const Role before = role;
  if (config.mode == Mode::full && remote.lite) role = Role::controlling;
  if (config.mode == Mode::lite) role = remote.lite ? config.role : Role::controlled;
  if (role != before) recompute_priorities();
  if (g.state == State::idle) {
    g.patience = now.mono + config.patience;
    set_state(id, State::checking, out);
  }
  for (const Candidate& c : remote.candidates) (void)add_remote(s, c).ok();
  thaw(g);
  ++revision;
  return Done{};
}

/// Counts what it refuses.
Status<Reason> AgentState::add_remote(Stream& s, const Candidate& c) {
  Generation& g = s.current;
  const auto refused = [&](Reason r) {
    troubles->add(r);
    return Failure{r};
  };
  if (!c.name.empty()) {
    const bool mdns = c.name.size() > 6 && c.name.ends_with(".local");
    return refused(mdns ? Reason::mdns_name : Reason::host_name);
  }
  const std::string_view ufrag = c.extension("ufrag");
  const bool stale = g.known() ? ufrag != g.remote.ufrag : s.previous && ufrag == s.previous->remote.ufrag;
  if (!ufrag.empty() && stale) return refused(Reason::other_generation);
  if (c.component < 1 || c.component > s.components) return refused(Reason::bad_component);
  if (!usable(c)) return refused(Reason::bad_address);
  for (size_t i = 0; i < g.remotes.size(); ++i) {
    Remote& r = g.remotes[i];
    if (r.candidate.address != c.address || r.candidate.component != c.component ||
        r.candidate.transport != c.transport || r.candidate.tcp_type != c.tcp_type)
      continue;
    if (r.signalled) return Done{};
    // What a check has shown before the signalling (section 7.3.1.3).
    r.candidate = c;
    r.signalled = true;
    --g.reflexive;
    for (Pair& p : g.pairs)
      if (p.remote == i) set_terms(g, p);
    form_pairs(s, i);
    return Done{};
  }
  if (g.remotes.size() - g.reflexive >= config.max_remote_candidates)
    return refused(Reason::too_many_candidates);
  g.remotes.push_back({c, true, false});
  ++revision;
  form_pairs(s, g.remotes.size() - 1);
  return Done{};
}

Status<Reason> AgentState::add_trickled(Stream& s, const Candidate& candidate) {
  auto done = add_remote(s, candidate);
  thaw(s.current);
  return done;
}

void AgentState::restart(StreamId id) {
  Stream& s = streams[id];
  const auto selected = [](const Generation& g) {
    return g.components[0].selection.has_value() || g.components[1].selection.has_value();
  };
  // What carries media is kept; of generations that never did, the one that was before the restart.
  if (!s.previous || selected(s.current)) s.previous = std::make_unique<Generation>(std::move(s.current));
  s.current = {};
  s.current.local = Credentials::make(*rng, config.ufrag_prefix);
  for (Gather& g : gathers)  // the NAT may have forgotten, or be another
    if (bases[g.base].at.stream == id && g.step == Gather::Step::done) g.step = Gather::Step::queued;
  ++revision;
}

void AgentState::rollback(StreamId id, Outbox& out) {
  Stream& s = streams[id];
  if (!s.previous) return;
  s.current = std::move(*s.previous);
  s.previous.reset();
  ++revision;
  Event e{Event::Kind::state, id};
  e.state = s.current.state;
  out.events.push_back(std::move(e));
}

void AgentState::move_base(BaseId id, const SocketAddress& address, const SocketAddress& advertised,
                           uint32_t mark, Outbox& out) {
  Base& base = bases[id];
  base.at.mark = mark;
  if (base.at.address == address && base.at.advertised == advertised) return;
  base.open = base.open && address;
  if (address) base.at.address = address;
  base.at.advertised = advertised;
  Stream& s = streams[base.at.stream];
  std::erase_if(s.locals, [&](const Local& l) {
    return l.base == id && l.candidate.type == CandidateType::server_reflexive;
  });
  if (!address) std::erase_if(s.locals, [&](const Local& l) { return l.base == id; });
  for (Local& l : s.locals)
    if (l.base == id) l.candidate.address = advertised ? advertised : address;
  for (Gather& g : gathers)
    if (g.base == id) g.step = Gather::Step::queued;
  ++revision;
  for (Generation* g : {&s.current, s.previous.get()}) {
    if (g == nullptr) continue;
    std::erase_if(g->pairs, [&](const Pair& p) { return p.base == id; });
    for (uint16_t c = 1; c <= s.components; ++c)
      if (const auto& chosen = g->components[c - 1].selection; chosen && chosen->base == id)
        lose_consent(base.at.stream, *g, c, out);
  }
  if (base.open && s.current.running()) {
    form_pairs_of_base(s, id);
    thaw(s.current);
  }
}

Description AgentState::local_description(StreamId id) const {
  Description d;
  const Stream* s = open_stream(id);
  if (s == nullptr) return d;
  d.credentials = s->current.local;
  d.lite = config.mode == Mode::lite;
  d.options = {"ice2"};
  if (config.trickle) d.options.emplace_back("trickle");
  if (config.ta != milliseconds(50))
    d.pacing_ms = static_cast<uint32_t>(std::chrono::duration_cast<milliseconds>(config.ta).count());
  for (const Local& l : s->locals) d.candidates.push_back(l.candidate);
  d.end_of_candidates = s->gathered;
  if (role == Role::controlling && s->current.state == State::completed)
    for (uint16_t c = 1; c <= s->components; ++c)
      d.remote_candidates.push_back(
          {c, s->current.remotes[s->current.components[c - 1].selection->remote].candidate.address});
  return d;
}

bool AgentState::validated(BaseId base, const SocketAddress& from) const {
  if (base >= bases.size() || !bases[base].open) return false;
  const LocalBase& at = bases[base].at;
  const Stream& s = streams[at.stream];
  for (const Generation* g : {&s.current, static_cast<const Generation*>(s.previous.get())})
    if (g != nullptr && std::any_of(g->remotes.begin(), g->remotes.end(), [&](const Remote& r) {
          return r.validated && r.candidate.address == from && r.candidate.component == at.component &&
                 r.candidate.transport == at.transport;
        }))
      return true;
  return false;
}

void AgentState::run(Now now, Outbox& out) {
  gather_due(now, out);
  tell_gathered(out);
  for (StreamId id = 0; id < streams.size(); ++id) {
    Stream& s = streams[id];
    if (s.components == 0) continue;
    if (s.current.running() || s.current.state == State::completed) retransmit(now, s.current, out);
    conclude(now, id, out);
    keep_consent(now, id, s.current, out);
    if (s.previous) keep_consent(now, id, *s.previous, out);
  }
  arm(now);
  if (now.mono >= next_tick_) tick(now, out);
  arm(now);
}

Instant AgentState::next_timeout() const {
  Instant next = next_tick_;
  const auto sooner = [&](Instant t) { next = std::min(next, t); };
  for (const Gather& g : gathers) {
    if (g.step == Gather::Step::asking) sooner(g.transaction.next);
    if (g.step == Gather::Step::done) sooner(g.again);
  }
  for (const Stream& s : streams) {
    if (s.components == 0) continue;
    const Generation& g = s.current;
    if (g.running()) sooner(g.patience);
    if (g.running() || g.state == State::completed)
      for (const Pair& p : g.pairs) {
        if (p.check) sooner(p.check->next);
        if (p.cancelled) sooner(p.cancelled->end);
      }
    for (uint16_t c = 0; c < s.components; ++c) {
      for (const Generation* of : {&g, static_cast<const Generation*>(s.previous.get())}) {
        if (of == nullptr || !of->components[c].selection) continue;
        const Consent& consent = of->components[c].selection->consent;
        sooner(std::min({consent.next, consent.expires, consent.latest.next}));
      }
      const bool nominating = std::any_of(g.pairs.begin(), g.pairs.end(), [&](const Pair& p) {
        return p.component == c + 1 && p.nominating;
      });
      if (role == Role::controlling && config.mode == Mode::full && g.running() &&
          !g.components[c].selection && !nominating)
        sooner(g.components[c].first_valid + config.settle);
    }
  }
  return next;
}

// ---- the interface ---------------------------------------------------------------------------------------

Agent::Agent(const Config& config, Rng& rng, Troubles& troubles)
    : state_(std::make_unique<AgentState>(config, rng, troubles)) {}
Agent::~Agent() = default;
Agent::Agent(Agent&&) noexcept = default;
Agent& Agent::operator=(Agent&&) noexcept = default;

Result<StreamId, Reason> Agent::add_stream(uint16_t components) { return state_->add_stream(components); }

void Agent::set_components(Now now, StreamId stream, uint16_t components, Outbox& out) {
  state_->set_components(stream, components);
  state_->run(now, out);
}

Result<BaseId, Reason> Agent::add_local(Now now, const LocalBase& base, Outbox& out) {
  auto id = state_->add_local(base, out);
  state_->run(now, out);
  return id;
}

void Agent::end_of_local(Now now, Outbox& out) {
  state_->end_of_local = true;
  state_->run(now, out);
}

Description Agent::local_description(StreamId stream) const { return state_->local_description(stream); }

std::optional<Candidate> Agent::default_candidate(StreamId stream, uint16_t component) const {
  const Stream* s = state_->open_stream(stream);
  if (s == nullptr || component < 1 || component > s->components) return std::nullopt;
  const auto& selection = s->current.components[component - 1].selection;
  // A peer-reflexive one stands in no candidate line.
  if (selection && selection->mapped.type != CandidateType::peer_reflexive) return selection->mapped;
  const auto rank = [](const Candidate& c) {
    const bool v4 = c.address.ip.is_v4(), udp = c.transport == Transport::udp;
    return std::tuple(udp, v4, c.type == CandidateType::relayed, c.type == CandidateType::server_reflexive,
                      c.priority);
  };
  const Candidate* best = nullptr;
  for (const Local& l : s->locals)
    if (l.candidate.component == component && (best == nullptr || rank(l.candidate) > rank(*best)))
      best = &l.candidate;
  return best == nullptr ? std::nullopt : std::optional(*best);
}

Status<Reason> Agent::set_remote(Now now, StreamId stream, const Description& remote, Outbox& out) {
  auto done = state_->set_remote(now, stream, remote, out);
  state_->run(now, out);
  return done;
}

Status<Reason> Agent::add_remote_candidate(Now now, StreamId stream, const Candidate& candidate,
                                           Outbox& out) {
  const auto s = state_->stream_or_reason(stream);
  if (!s) return Failure{s.reason()};
  auto done = state_->add_trickled(**s, candidate);
  state_->run(now, out);
  return done;
}

void Agent::end_of_remote(Now now, StreamId stream, Outbox& out) {
  if (Stream* s = state_->open_stream(stream)) s->current.end_of_remote = true;
  state_->run(now, out);
}

std::string_view Agent::remote_fragment(StreamId stream) const {
  const Stream* s = state_->open_stream(stream);
  return s == nullptr ? std::string_view{} : s->current.remote.ufrag;
}

void Agent::restart(Now now, StreamId stream, Outbox& out) {
  if (state_->open_stream(stream) != nullptr) state_->restart(stream);
  state_->run(now, out);
}

void Agent::rollback(Now now, StreamId stream, Outbox& out) {
  if (state_->open_stream(stream) != nullptr) state_->rollback(stream, out);
  state_->run(now, out);
}

bool Agent::on_datagram(Now now, BaseId base, const SocketAddress& from, Bytes datagram, Outbox& out) {
  const bool taken = state_->on_datagram(now, base, from, datagram, out);
  if (taken) state_->run(now, out);
  return taken;
}

void Agent::on_unreachable(Now now, BaseId base, const SocketAddress& to, Outbox& out) {
  state_->on_unreachable(base, to, out);
  state_->run(now, out);
}

void Agent::on_timeout(Now now, Outbox& out) { state_->run(now, out); }
Instant Agent::next_timeout() const { return state_->next_timeout(); }
Role Agent::role() const { return state_->role; }

State Agent::state(StreamId stream) const {
  const Stream* s = state_->open_stream(stream);
  return s == nullptr ? State::idle : s->current.state;
}

std::optional<Path> Agent::path(StreamId stream, uint16_t component) const {
  return state_->path(stream, component);
}
bool Agent::validated(BaseId base, const SocketAddress& from) const { return state_->validated(base, from); }

std::vector<std::string> Agent::fragments(StreamId stream) const {
  std::vector<std::string> all;
  if (const Stream* s = state_->open_stream(stream)) {
    all.push_back(s->current.local.ufrag);
    if (s->previous) all.push_back(s->previous->local.ufrag);
    for (const Generation* g : {&s->current, static_cast<const Generation*>(s->previous.get())})
      if (g && !g->former.ufrag.empty() && std::find(all.begin(), all.end(), g->former.ufrag) == all.end())
        all.push_back(g->former.ufrag);
  }
  return all;
}

void Agent::move_base(Now now, BaseId base, const SocketAddress& address, const SocketAddress& advertised,
                      uint32_t mark, Outbox& out) {
  if (base >= state_->bases.size()) return;
  state_->move_base(base, address, advertised, mark, out);
  state_->run(now, out);
}
uint64_t Agent::revision() const { return state_->revision; }
std::string Agent::snapshot(Now now) const { return state_->snapshot(now); }

Result<Agent, Reason> Agent::restore(Now now, std::string_view part, const Config& config, Rng& rng,
                                     Troubles& troubles) {
  Agent agent(config, rng, troubles);
  if (!agent.state_->restore(now, part)) {
    troubles.add(Reason::bad_snapshot);
    return Failure{Reason::bad_snapshot};
  }
  return agent;
}

}  // namespace tandem::ice
