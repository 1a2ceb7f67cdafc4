// A session as bytes and back (proto/ice.proto). What can be worked out again (priorities of pairs,
// foundations, transactions) is not written.
#include <algorithm>

#include "ice.pb.h"
#include "ice/state.h"

namespace tandem::ice {
namespace {

constexpr uint32_t part_format = 1;

std::string text_of(const SocketAddress& a) { return a ? a.to_string() : std::string{}; }
SocketAddress address_of(const std::string& text) {
  return SocketAddress::parse(text).value_or(SocketAddress{});
}

template <class E>
bool read_enum(uint32_t value, E last, E& out) {
  if (value > static_cast<uint32_t>(last)) return false;
  out = static_cast<E>(value);
  return true;
}

bool read_candidate(const std::string& text, Candidate& out) {
  auto c = Candidate::parse(text);
  if (!c || !c->name.empty()) return false;
  out = std::move(c).value();
  return true;
}

void write(const Base& b, proto::IceBase& out) {
  out.set_stream(b.at.stream);
  out.set_component(b.at.component);
  out.set_type(static_cast<uint32_t>(b.at.type));
  out.set_transport(static_cast<uint32_t>(b.at.transport));
  out.set_tcp_type(static_cast<uint32_t>(b.at.tcp_type));
  out.set_address(text_of(b.at.address));
  out.set_advertised(text_of(b.at.advertised));
  out.set_related(text_of(b.at.related));
  out.set_open(b.open);
  out.set_preference(b.preference);
  out.set_foundation(b.foundation);
}

bool read(const proto::IceBase& in, Base& b) {
  b.at.stream = in.stream();
  b.at.component = static_cast<uint16_t>(in.component());
  if (!read_enum(in.type(), CandidateType::relayed, b.at.type) ||
      !read_enum(in.transport(), Transport::tcp, b.at.transport) ||
      !read_enum(in.tcp_type(), TcpType::simultaneous_open, b.at.tcp_type) || in.component() < 1 ||
      in.component() > 2)
    return false;
  b.at.address = address_of(in.address());
  b.at.advertised = address_of(in.advertised());
  b.at.related = address_of(in.related());
  b.open = in.open();
  b.preference = static_cast<uint16_t>(in.preference());
  b.foundation = in.foundation();
  b.priority = candidate_priority(b.at.type, b.at.transport, b.at.tcp_type, b.preference, b.at.component);
  b.reflexive_priority = candidate_priority(CandidateType::peer_reflexive, b.at.transport, b.at.tcp_type,
                                            b.preference, b.at.component);
  return static_cast<bool>(b.at.address);
}

void write(const Pair& p, proto::IcePair& out) {
  out.set_base(p.base);
  out.set_remote(static_cast<uint32_t>(p.remote));
  const bool in_flight = p.state == PairState::in_progress || p.triggered != 0;
  out.set_state(static_cast<uint32_t>(in_flight ? PairState::waiting : p.state));
  out.set_triggered(in_flight);
  out.set_nominating(p.nominating);
  out.set_nominate_on_success(p.nominate_on_success);
  out.set_by_former(p.by_former);
  if (p.valid) out.set_mapped(p.mapped.to_string());
}

void write(const Selection& s, Now now, proto::IceSelection& out) {
  out.set_base(s.base);
  out.set_remote(static_cast<uint32_t>(s.remote));
  out.set_mapped(s.mapped.to_string());
  out.set_priority(s.priority);
  out.set_consent_lost(s.consent.lost);
  out.set_consent_expires(deadline_to_wall(now, s.consent.expires));
  out.set_by_former(s.by_former);
}

void write(const Generation& g, Now now, proto::IceGeneration& out) {
  out.set_local_ufrag(g.local.ufrag);
  out.set_local_pwd(g.local.pwd);
  out.set_remote_ufrag(g.remote.ufrag);
  out.set_remote_pwd(g.remote.pwd);
  out.set_former_ufrag(g.former.ufrag);
  out.set_former_pwd(g.former.pwd);
  out.set_remote_lite(g.remote_lite);
  out.set_remote_ice2(g.remote_ice2);
  out.set_end_of_remote(g.end_of_remote);
  for (const Remote& r : g.remotes) {
    auto& remote = *out.add_remotes();
    remote.set_candidate(r.candidate.to_string());
    remote.set_signalled(r.signalled);
    remote.set_validated(r.validated);
  }
  std::vector<const Pair*> pairs;  // in the order of the triggered-check queue
  for (const Pair& p : g.pairs) pairs.push_back(&p);
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair* a, const Pair* b) { return a->triggered < b->triggered; });
  for (const Pair* p : pairs) write(*p, *out.add_pairs());
  for (const Component& c : g.components) {
    auto& component = *out.add_components();
    component.set_first_valid(deadline_to_wall(now, c.first_valid));
    if (c.selection) write(*c.selection, now, *component.mutable_selection());
  }
  out.set_state(static_cast<uint32_t>(g.state));
  out.set_patience(deadline_to_wall(now, g.patience));
  out.set_patience_over(g.patience_over);
}

/// What a pair or a selection says of the stream it is in must hold.
struct Place {
  const std::vector<Base>& bases;
  StreamId stream;
  bool fits(const Generation& g, uint32_t base, uint32_t remote) const {
    return base < bases.size() && bases[base].at.stream == stream && remote < g.remotes.size() &&
           g.remotes[remote].candidate.component == bases[base].at.component;
  }
};

bool read(const proto::IcePair& in, const Place& place, Generation& g) {
  Pair p;
  if (!place.fits(g, in.base(), in.remote()) || !read_enum(in.state(), PairState::failed, p.state) ||
      p.state == PairState::in_progress)
    return false;
  p.base = in.base();
  p.remote = in.remote();
  p.component = place.bases[p.base].at.component;
  if (in.triggered()) p.triggered = ++g.last_triggered;
  p.nominating = in.nominating();
  p.nominate_on_success = in.nominate_on_success();
  p.by_former = in.by_former();
  if (!in.mapped().empty()) {
    if (!read_candidate(in.mapped(), p.mapped)) return false;
    p.valid = true;
  }
  g.pairs.push_back(std::move(p));
  return true;
}

bool read(const proto::IceSelection& in, const Place& place, const Generation& g, Now now, uint16_t component,
          std::optional<Selection>& out) {
  Selection s;
  if (!place.fits(g, in.base(), in.remote()) || place.bases[in.base()].at.component != component ||
      !read_candidate(in.mapped(), s.mapped))
    return false;
  s.base = in.base();
  s.remote = in.remote();
  s.priority = in.priority();
  s.by_former = in.by_former();
  s.consent.lost = in.consent_lost();
  if (!s.consent.lost) {
    s.consent.expires = deadline_from_wall(now, in.consent_expires());
    s.consent.next = now.mono;  // the peer may have gone while we were away
  }
  out = std::move(s);
  return true;
}

bool read(const proto::IceGeneration& in, const Place& place, const Config& config, Now now, Generation& g) {
  g.local = {in.local_ufrag(), in.local_pwd()};
  g.remote = {in.remote_ufrag(), in.remote_pwd()};
  g.former = {in.former_ufrag(), in.former_pwd()};
  const bool has_former = !in.former_ufrag().empty() || !in.former_pwd().empty();
  if (!g.local.valid() || (has_former && !g.former.valid()) || (g.known() && !g.remote.valid()) ||
      (!g.known() && !in.remote_pwd().empty()))
    return false;
  g.remote_lite = in.remote_lite();
  g.remote_ice2 = in.remote_ice2();
  g.end_of_remote = in.end_of_remote();
  for (const auto& remote : in.remotes()) {
    Remote r{{}, remote.signalled(), remote.validated()};
    if (!read_candidate(remote.candidate(), r.candidate)) return false;
    g.reflexive += r.signalled ? 0 : 1;
    g.remotes.push_back(std::move(r));
  }
  if (g.reflexive > config.max_peer_reflexive ||
      g.remotes.size() - g.reflexive > config.max_remote_candidates ||
      static_cast<size_t>(in.pairs_size()) > config.max_pairs || in.components_size() != 2)
    return false;
  for (const auto& pair : in.pairs())
    if (!read(pair, place, g)) return false;
  for (uint16_t c = 0; c < 2; ++c) {
    const auto& component = in.components(c);
    g.components[c].first_valid = deadline_from_wall(now, component.first_valid());
    if (component.has_selection() &&
        !read(component.selection(), place, g, now, c + 1, g.components[c].selection))
      return false;
  }
  g.patience = deadline_from_wall(now, in.patience());
  g.patience_over = in.patience_over();
  return read_enum(in.state(), State::disconnected, g.state) && (g.state == State::idle) == !g.known();
}

/// Every component of a completed stream has its pair; local_description relies on it.
bool is_whole(const Stream& s) {
  for (uint16_t c = 0; c < s.components; ++c)
    if (s.current.state == State::completed && !s.current.components[c].selection) return false;
  return true;
}

bool read(const proto::IceStream& in, const Place& place, const Config& config, Now now, Stream& s) {
  if (in.components() > 2 || static_cast<size_t>(in.locals_size()) > config.max_local_candidates)
    return false;
  s.components = static_cast<uint16_t>(in.components());
  s.gathered = in.gathered();
  for (const auto& local : in.locals()) {
    Local l{{}, local.base()};
    if (l.base >= place.bases.size() || place.bases[l.base].at.stream != place.stream ||
        !read_candidate(local.candidate(), l.candidate))
      return false;
    s.locals.push_back(std::move(l));
  }
  if (!read(in.current(), place, config, now, s.current)) return false;
  if (in.has_previous()) {
    s.previous = std::make_unique<Generation>();
    if (!read(in.previous(), place, config, now, *s.previous)) return false;
  }
  return is_whole(s);
}

}  // namespace

std::string AgentState::snapshot(Now now) const {
  proto::IcePart part;
  part.set_format(part_format);
  part.set_lite(config.mode == Mode::lite);
  part.set_controlling(role == Role::controlling);
  part.set_tie_breaker(tie_breaker);
  part.set_role_changes(role_changes);
  part.set_ta_ns(ta.count());
  part.set_end_of_local(end_of_local);
  part.set_revision(revision);
  for (const Base& b : bases) write(b, *part.add_bases());
  for (const auto& f : foundations) part.add_foundations(f);
  for (const Gather& g : gathers) {
    auto& gather = *part.add_gathers();
    gather.set_base(g.base);
    gather.set_server(text_of(g.server));
    gather.set_done(g.step == Gather::Step::done);
    gather.set_told(g.told);
    gather.set_again(deadline_to_wall(now, g.again));
  }
  for (const Stream& s : streams) {
    auto& stream = *part.add_streams();
    stream.set_components(s.components);
    stream.set_gathered(s.gathered);
    for (const Local& l : s.locals) {
      auto& local = *stream.add_locals();
      local.set_base(l.base);
      local.set_candidate(l.candidate.to_string());
    }
    write(s.current, now, *stream.mutable_current());
    if (s.previous) write(*s.previous, now, *stream.mutable_previous());
  }
  std::string bytes;
  part.SerializeToString(&bytes);
  return bytes;
}

bool AgentState::restore(Now now, std::string_view bytes) {
  proto::IcePart part;
  if (bytes.size() > INT32_MAX || !part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      part.format() != part_format || static_cast<size_t>(part.streams_size()) > config.max_streams)
    return false;
  config.mode = part.lite() ? Mode::lite : Mode::full;
  role = part.controlling() ? Role::controlling : Role::controlled;
  tie_breaker = part.tie_breaker();
  role_changes = part.role_changes();
  ta = std::clamp<Duration>(Duration(part.ta_ns()), milliseconds(5), seconds(1));
  end_of_local = part.end_of_local();
  revision = part.revision();
  foundations.assign(part.foundations().begin(), part.foundations().end());
  for (const auto& base : part.bases())
    if (!read(base, bases.emplace_back()) || base.stream() >= static_cast<uint32_t>(part.streams_size()))
      return false;
  for (const auto& g : part.gathers()) {
    Gather gather;
    gather.base = g.base();
    gather.server = address_of(g.server());
    if (gather.base >= bases.size() || !gather.server) return false;
    gather.step = g.done() ? Gather::Step::done : Gather::Step::queued;
    gather.told = g.told();
    gather.again = deadline_from_wall(now, g.again());
    gathers.push_back(gather);
  }
  for (const auto& stream : part.streams()) {
    const Place place{bases, static_cast<StreamId>(streams.size())};
    if (!read(stream, place, config, now, streams.emplace_back())) return false;
  }
  recompute_priorities();
  arm(now);
  return true;
}

}  // namespace tandem::ice
