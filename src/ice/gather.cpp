// Our candidates: of bases, and as STUN servers see them (RFC 8445 section 5.1.1).
#include <algorithm>

#include "ice/state.h"

namespace tandem::ice {

/// The same for candidates of one type whose bases have the same address and whose server is the same
/// (section 5.1.1.3); a small number, since the peer has to repeat nothing of it.
std::string AgentState::foundation_of(CandidateType type, const Base& base, const SocketAddress& server) {
  std::string key(to_string(type));
  key.append(base.at.transport == Transport::udp ? "/udp/" : "/tcp/").append(to_string(base.at.tcp_type));
  key.append("/" + base.at.address.ip.to_string() + "/" + server.ip.to_string());
  const auto known = std::find(foundations.begin(), foundations.end(), key);
  const auto index = known - foundations.begin();
  if (known == foundations.end()) foundations.push_back(std::move(key));
  return std::to_string(index + 1);
}

void AgentState::add_local_candidate(StreamId id, BaseId base, Candidate candidate, Outbox& out) {
  Stream& s = streams[id];
  for (const Local& l : s.locals)  // redundant (section 5.1.3)
    if (l.candidate.address == candidate.address && l.candidate.transport == candidate.transport &&
        l.candidate.component == candidate.component && l.candidate.tcp_type == candidate.tcp_type)
      return;
  if (s.locals.size() >= config.max_local_candidates) return troubles->add(Reason::too_many_candidates);
  ++revision;
  Event e{Event::Kind::candidate, id, candidate.component};
  e.candidate = candidate;
  out.events.push_back(std::move(e));
  s.locals.push_back({std::move(candidate), base});
}

void AgentState::gather_base(BaseId id) {
  const Base& base = bases[id];
  if (config.mode == Mode::lite || base.at.type != CandidateType::host || base.at.transport != Transport::udp)
    return;
  size_t asked = 0;
  for (const SocketAddress& server : config.stun_servers) {
    if (server.ip.family != base.at.address.ip.family ||
        server.ip.is_loopback() != base.at.address.ip.is_loopback())
      continue;
    if (++asked > most_servers) return;
    Gather gather;
    gather.base = id;
    gather.server = server;
    gathers.push_back(gather);
  }
}

/// The first transmission of the next one; false when none is waiting.
bool AgentState::gather_next(Now now, Outbox& out) {
  const auto next = std::find_if(gathers.begin(), gathers.end(),
                                 [](const Gather& g) { return g.step == Gather::Step::queued; });
  if (next == gathers.end()) return false;
  const auto busy = std::count_if(gathers.begin(), gathers.end(),
                                  [](const Gather& g) { return g.step != Gather::Step::done; });
  next->step = Gather::Step::asking;
  next->again = Instant::never();
  next->transaction = {};
  next->transaction.id = new_transaction(next->base);
  next->transaction.rto = std::max(config.rto, Duration(ta * busy));
  send_gather(now, *next, out);
  return true;
}

void AgentState::send_gather(Now now, Gather& gather, Outbox& out) {
  Transaction& t = gather.transaction;
  ++t.sent;
  t.next = now.mono + wait_after(t);
  stun::Writer w(stun::Class::request, stun::method::binding, t.id);
  w.add_fingerprint();
  out.datagrams.push_back({gather.base, gather.server, w.octets()});
}

void AgentState::gather_due(Now now, Outbox& out) {
  for (Gather& gather : gathers) {
    const Stream& s = streams[bases[gather.base].at.stream];
    // A completed stream keeps its own bindings, others are of no use to it.
    const bool needed = bases[gather.base].open && s.current.state != State::completed;
    if (!needed) {
      gather.step = Gather::Step::done;
      gather.told = true;
      gather.again = Instant::never();
    } else if (gather.step == Gather::Step::asking && now.mono >= gather.transaction.next) {
      if (gather.transaction.sent < transmissions) {
        send_gather(now, gather, out);
      } else {
        gather.step = Gather::Step::done;
        gather.told = true;
      }
    } else if (gather.step == Gather::Step::done && now.mono >= gather.again) {
      gather.step = Gather::Step::queued;
      gather.again = Instant::never();
    }
  }
}

bool AgentState::on_gathered(Now now, BaseId base, const SocketAddress& from, const stun::Message& m,
                             Outbox& out) {
  const auto transaction = m.transaction();
  const auto gather = std::find_if(gathers.begin(), gathers.end(), [&](const Gather& g) {
    return g.step == Gather::Step::asking && g.base == base && g.server == from &&
           g.transaction.id == transaction;
  });
  if (gather == gathers.end()) return false;
  gather->step = Gather::Step::done;
  gather->told = true;
  auto mapped = m.xor_address(stun::attribute::xor_mapped_address);
  if (!mapped) mapped = m.address(stun::attribute::mapped_address);
  if (m.message_class() == stun::Class::error) return true;
  if (!mapped || mapped->port == 0 || mapped->ip.is_unspecified()) {
    troubles->add(Reason::bad_response);
    return true;
  }
  gather->again = now.mono + config.keepalive;
  const Base& b = bases[base];
  Candidate c;
  c.foundation = foundation_of(CandidateType::server_reflexive, b, gather->server);
  c.component = b.at.component;
  c.type = CandidateType::server_reflexive;
  c.priority = candidate_priority(c.type, c.transport, c.tcp_type, b.preference, c.component);
  c.address = *mapped;
  c.related = b.at.address;
  add_local_candidate(b.at.stream, base, std::move(c), out);
  return true;
}

/// End of candidates of each stream, once.
void AgentState::tell_gathered(Outbox& out) {
  if (!end_of_local) return;
  for (StreamId id = 0; id < streams.size(); ++id) {
    Stream& s = streams[id];
    if (s.components == 0 || s.gathered) continue;
    const bool waiting = std::any_of(gathers.begin(), gathers.end(), [&](const Gather& g) {
      return !g.told && bases[g.base].at.stream == id;
    });
    if (waiting) continue;
    s.gathered = true;
    ++revision;
    out.events.push_back({Event::Kind::gathered, id});
  }
}

}  // namespace tandem::ice
