// Checklists: which pairs there are, which may be checked, and whose turn it is (RFC 8445 section 6.1).
#include <algorithm>

#include "base/hash.h"
#include "ice/state.h"

namespace tandem::ice {
namespace {

bool is_link_local(const IpAddress& ip) {
  return ip.is_v6() && ip.bytes[0] == 0xfe && (ip.bytes[1] & 0xc0) == 0x80;
}

/// Who connects to whom (RFC 6544 section 6.2). A passive base begins nothing: its pairs come with the
/// connections it accepts.
bool directions_fit(TcpType ours, TcpType theirs) {
  return (ours == TcpType::active && theirs == TcpType::passive) ||
         (ours == TcpType::simultaneous_open && theirs == TcpType::simultaneous_open);
}

bool is_pending(PairState s) { return s == PairState::waiting || s == PairState::in_progress; }

}  // namespace

bool AgentState::compatible(const Base& base, const Candidate& remote) const {
  const IpAddress &ours = base.at.address.ip, &theirs = remote.address.ip;
  if (!base.open || base.at.component != remote.component || base.at.transport != remote.transport ||
      ours.family != theirs.family)
    return false;
  // Our own host and link are not the peer's to send us to.
  if (ours.is_loopback() != theirs.is_loopback() || is_link_local(ours) != is_link_local(theirs))
    return false;
  return base.at.transport == Transport::udp || directions_fit(base.at.tcp_type, remote.tcp_type);
}

size_t AgentState::pairs_allowed() const {
  const auto open =
      std::count_if(streams.begin(), streams.end(), [](const Stream& s) { return s.components > 0; });
  return std::max<size_t>(1, config.max_pairs / std::max<size_t>(1, static_cast<size_t>(open)));
}

void AgentState::set_terms(const Generation& g, Pair& pair) const {
  const Base& base = bases[pair.base];
  const Candidate& remote = g.remotes[pair.remote].candidate;
  const auto by_role = [&](uint32_t ours) {
    return role == Role::controlling ? pair_priority(ours, remote.priority)
                                     : pair_priority(remote.priority, ours);
  };
  pair.foundation = hash64(remote.foundation, hash64(base.foundation));
  pair.priority = by_role(base.priority);
  if (pair.valid) pair.valid_priority = by_role(pair.mapped.priority);
}

void AgentState::recompute_priorities() {
  for (Stream& s : streams)
    for (Pair& pair : s.current.pairs) set_terms(s.current, pair);
}

/// A pair the limit has no room for takes the place of the least one nothing speaks for.
Pair* AgentState::add_pair(Stream& s, BaseId base, size_t remote) {
  Generation& g = s.current;
  Pair pair;
  pair.base = base;
  pair.remote = remote;
  pair.component = bases[base].at.component;
  set_terms(g, pair);
  if (g.pairs.size() < pairs_allowed()) return &g.pairs.emplace_back(std::move(pair));
  troubles->add(Reason::too_many_pairs);
  // What the peer has reached us by is worth more than what it has only named.
  const bool reached = g.remotes[remote].validated;
  Pair* least = nullptr;
  for (Pair& p : g.pairs) {
    const bool idle = p.triggered == 0 && !p.valid && (reached || p.state != PairState::in_progress);
    if (idle && (least == nullptr || p.priority < least->priority)) least = &p;
  }
  if (least == nullptr || (least->priority >= pair.priority && !reached)) return nullptr;
  *least = std::move(pair);
  return least;
}

void AgentState::form_pairs(Stream& s, size_t remote) {
  if (config.mode == Mode::lite) return;
  Generation& g = s.current;
  const StreamId id = static_cast<StreamId>(&s - streams.data());
  for (BaseId b = 0; b < bases.size(); ++b) {
    if (bases[b].at.stream != id || !compatible(bases[b], g.remotes[remote].candidate)) continue;
    const bool have = std::any_of(g.pairs.begin(), g.pairs.end(),
                                  [&](const Pair& p) { return p.base == b && p.remote == remote; });
    const bool concluded = g.components[bases[b].at.component - 1].selection.has_value();
    if (!have && !concluded) add_pair(s, b, remote);
  }
}

void AgentState::form_pairs_of_base(Stream& s, BaseId base) {
  if (config.mode == Mode::lite) return;
  Generation& g = s.current;
  if (g.components[bases[base].at.component - 1].selection) return;
  for (size_t r = 0; r < g.remotes.size(); ++r)
    if (compatible(bases[base], g.remotes[r].candidate)) add_pair(s, base, r);
}

/// Whether another pair of the foundation is being checked on behalf of all: one of an earlier stream, or of
/// a component not higher. A later one does not count: with trickled candidates each side would otherwise
/// wait for what the other has frozen.
bool AgentState::foundation_busy(const Generation& g, const Pair& pair) const {
  for (const Stream& s : streams) {
    const bool own = &s.current == &g;
    if (!own && !s.current.known()) continue;  // it checks nothing yet
    for (const Pair& p : s.current.pairs)
      if (p.foundation == pair.foundation && is_pending(p.state) && (!own || p.component <= pair.component))
        return true;
    if (own) return false;
  }
  return false;
}

/// Sections 6.1.2.6 and 6.1.4.2: of each foundation one pair at a time, the lowest component and then the
/// highest priority first, until one has succeeded.
void AgentState::thaw(Generation& g) {
  std::vector<Pair*> frozen;
  for (Pair& p : g.pairs)
    if (p.state == PairState::frozen) frozen.push_back(&p);
  std::sort(frozen.begin(), frozen.end(), [](const Pair* a, const Pair* b) {
    return a->component != b->component ? a->component < b->component : a->priority > b->priority;
  });
  for (Pair* p : frozen)
    if (!foundation_busy(g, *p)) p->state = PairState::waiting;
}

/// A pair has succeeded: those of its foundation will too (section 7.2.5.3.3).
void AgentState::thaw_foundation(uint64_t foundation) {
  for (Stream& s : streams)
    for (Pair& p : s.current.pairs)
      if (p.foundation == foundation && p.state == PairState::frozen) p.state = PairState::waiting;
}

/// Section 6.1.4.2, steps 1 to 3.
Pair* AgentState::next_pair(Generation& g) {
  Pair* next = nullptr;
  for (Pair& p : g.pairs)
    if (p.triggered != 0 && (next == nullptr || p.triggered < next->triggered)) next = &p;
  if (next != nullptr || !g.running()) return next;
  for (int round = 0; round < 2 && next == nullptr; ++round) {
    if (round == 1) thaw(g);
    for (Pair& p : g.pairs)
      if (p.state == PairState::waiting && (next == nullptr || p.priority > next->priority ||
                                            (p.priority == next->priority && p.component < next->component)))
        next = &p;
  }
  return next;
}

bool AgentState::has_work() const {
  for (const Gather& gather : gathers)
    if (gather.step == Gather::Step::queued) return true;
  for (const Stream& s : streams) {
    const Generation& g = s.current;
    if (!g.known() || (!g.running() && g.state != State::completed)) continue;
    for (const Pair& p : g.pairs)
      if (p.triggered != 0 || (g.running() && (p.state == PairState::waiting ||
                                               (p.state == PairState::frozen && !foundation_busy(g, p)))))
        return true;
  }
  return false;
}

void AgentState::arm(Now now) {
  if (!has_work())
    next_tick_ = Instant::never();
  else if (next_tick_.is_never())
    next_tick_ = std::max(now.mono, last_tick_ + ta);
}

/// Timer Ta has fired: one new transaction, of a server or of the next checklist that has one.
void AgentState::tick(Now now, Outbox& out) {
  last_tick_ = now.mono;
  next_tick_ = Instant::never();
  if (gather_next(now, out)) return;
  for (size_t i = 0; i < streams.size(); ++i) {
    const size_t at = (turn_ + i) % streams.size();
    Generation& g = streams[at].current;
    if (!g.known() || (!g.running() && g.state != State::completed)) continue;
    if (Pair* pair = next_pair(g)) {
      send_check(now, g, *pair, out);
      turn_ = at + 1;
      return;
    }
  }
}

}  // namespace tandem::ice
