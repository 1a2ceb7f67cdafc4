// ICE at a leg (RFC 8445): from descriptions to a session, from its checks to where packets come from and go.
#include <algorithm>

#include "base/text.h"
#include "media/ice_lines.h"
#include "media/state.h"

namespace tandem::media {
namespace {

/// Of one leg's life: a line that is refused and comes back is another stream each time.
constexpr size_t most_streams = 64;

uint16_t components_of(const sdp::Description& d, size_t i, bool mux) {
  return mux || d.media(i).proto.find("RTP/") == std::string_view::npos ? 1 : 2;
}

bool muxed(const sdp::Description& d, size_t i) {
  return i < d.media_count() && d.has_attribute(i, "rtcp-mux");
}

}  // namespace

std::vector<Bound> bound_of(const port::MediaPort& p) {
  std::vector<Bound> all;
  const auto add = [&](const SocketAddress& local, const IpAddress& seen) {
    if (local) all.push_back({local, seen != local.ip ? SocketAddress{seen, local.port} : SocketAddress{}});
  };
  add(p.local, p.advertised);
  add(p.other_local, p.other_advertised);
  if (all.size() > 1 && all.front().local.ip.is_v4()) std::swap(all.front(), all.back());
  return all;
}

ice::Config EngineState::ice_config(const Endpoint& e, ice::Role role) const {
  ice::Config c;
  c.mode = e.config.ice_lite ? ice::Mode::lite : ice::Mode::full;
  c.role = role;
  // Half trickle (RFC 8838 section 16): ours are all in the description but those that STUN servers tell of
  // later; the peer's may come whenever they do.
  c.trickle = true;
  c.stun_servers = config.stun_servers;
  c.max_streams = most_streams;
  return c;
}

Connectivity::Line& EngineState::ice_line_of(Now now, Endpoint& e, size_t i, uint16_t components) {
  Connectivity& ice = *e.ice;
  if (ice.lines.size() <= i) ice.lines.resize(i + 1);
  Connectivity::Line& line = ice.lines[i];
  if (line.stream) return line;
  const auto stream = ice.agent.add_stream(components);
  if (!stream) return line;
  line = {*stream, components, {}, false};
  add_places(now, e, i, line);
  return line;
}

/// IPv6 before IPv4 (RFC 6724 section 10.3, RFC 8421 section 4), UDP before TCP.
void EngineState::add_places(Now now, Endpoint& e, size_t i, Connectivity::Line& line) {
  Stream& s = e.streams[i];
  if (!s.shared && !s.rtp.other_local) {
    port::MediaPorts::Pair both{s.rtp, s.rtcp};
    if (ports.widen(e.config.realm, both, {})) s.rtp = both.rtp, s.rtcp = both.rtcp;
  }
  for (const bool connection : {false, true}) {
    if (connection && !s.connections) break;
    for (const bool rtcp : {false, true}) {
      if (rtcp && line.components < 2) break;
      for (const Bound& b : bound_of(rtcp ? s.rtcp : s.rtp)) {
        ice::LocalBase base;
        base.stream = *line.stream;
        base.component = rtcp ? 2 : 1;
        base.address = b.local;
        base.advertised = b.advertised;
        base.mark = s.shared ? shared.mark_of(s.rtp.id) : 0;
        if (connection) {
          base.transport = ice::Transport::tcp;
          base.tcp_type = ice::TcpType::passive;
        }
        if (const auto id = e.ice->agent.add_local(now, base, e.ice->out))
          line.places.push_back({*id, rtcp, connection, b.local.ip.family});
      }
    }
  }
}

void EngineState::close_ice_line(Now now, Endpoint& e, size_t i) {
  if (!e.ice || !e.ice->line(i)) return;
  e.ice->agent.close_stream(now, *e.ice->lines[i].stream, e.ice->out);
  e.ice->lines[i] = {};
}

void EngineState::drop_idle_ice(Endpoint& e) {
  const auto idle = [](const Connectivity::Line& l) { return !l.stream; };
  if (e.ice && std::all_of(e.ice->lines.begin(), e.ice->lines.end(), idle)) e.ice.reset();
}

/// Lines that were refused, or gave up their ports, have nothing to connect any more.
void EngineState::close_portless_ice(Now now, Endpoint& e) {
  if (!e.ice) return;
  for (size_t i = 0; i < e.ice->lines.size(); ++i)
    if (i >= e.streams.size() || !e.streams[i].has_ports) close_ice_line(now, e, i);
  drop_idle_ice(e);
}

/// Our side of an answer. What it says of ICE holds from now on.
void EngineState::answer_ice(Now now, Endpoint& e, sdp::Description& local,
                             const std::vector<size_t>& bundled) {
  const sdp::Description& offer = *e.remote;
  for (size_t i = 0; i < std::min(local.media_count(), offer.media_count()); ++i) {
    if (local.media(i).port == 0) continue;
    if (joins(bundled, i)) {
      close_ice_line(now, e, i);
      continue;
    }
    const auto theirs = ice_line(offer, i, ice_troubles);
    if (!theirs) {
      close_ice_line(now, e, i);
      if (ice_mismatch(offer, i, ice_troubles)) {
        counters_.ice_mismatches.add();
        local.add_attribute(i, "ice-mismatch");
      }
      continue;
    }
    const bool rtp = local.media(i).proto.find("RTP/") != std::string_view::npos;
    if (rtp && muxed(offer, i) && !muxed(local, i)) local.add_attribute(i, "rtcp-mux");
    const uint16_t components = components_of(local, i, muxed(offer, i) && muxed(local, i));
    if (!e.ice) e.ice = std::make_unique<Connectivity>(make_agent(e, ice::Role::controlled));
    Connectivity::Line& line = ice_line_of(now, e, i, components);
    if (!line.stream) continue;
    if (components < line.components) {
      e.ice->agent.set_components(now, *line.stream, components, e.ice->out);
      line.components = components;
    }
    if (!e.ice->agent.set_remote(now, *line.stream, *theirs, e.ice->out)) {
      close_ice_line(now, e, i);
      continue;
    }
    line.agreed = true;
    e.ice->peer_trickles = theirs->has_option("trickle");
  }
  write_ice(now, e, local, bundled);
  take_early_candidates(now, e);
}

/// Our side of an offer: what has been connected by ICE stays so, the rest as the policy says.
void EngineState::offer_ice(Now now, Endpoint& e, sdp::Description& local,
                            const std::vector<size_t>& bundled) {
  const bool anew = e.config.ice == Ice::offered;
  for (size_t i = 0; i < local.media_count(); ++i) {
    const bool connected = e.ice && e.ice->agreed(i);
    if (local.media(i).port == 0 || (!anew && !connected) || joins(bundled, i)) continue;
    const bool rtp = local.media(i).proto.find("RTP/") != std::string_view::npos;
    if (rtp && !muxed(local, i)) local.add_attribute(i, "rtcp-mux");
    if (!e.ice) e.ice = std::make_unique<Connectivity>(make_agent(e, ice::Role::controlling));
    ice_line_of(now, e, i, rtp && !e.streams[i].shared ? 2 : 1);
  }
  write_ice(now, e, local, bundled);
}

ice::Agent EngineState::make_agent(const Endpoint& e, ice::Role role) {
  return {ice_config(e, role), rng, ice_troubles};
}

/// Lines that join another's port repeat its credentials, as browsers do: RFC 9143 section 7.1.3 leaves them
/// out, and there are peers that miss them.
void EngineState::write_ice(Now now, Endpoint& e, sdp::Description& local,
                            const std::vector<size_t>& bundled) {
  if (!e.ice) return;
  e.ice->agent.end_of_local(now, e.ice->out);
  // What the description says is told.
  std::erase_if(e.ice->out.events, [](const ice::Event& event) {
    return event.kind == ice::Event::Kind::candidate || event.kind == ice::Event::Kind::gathered;
  });
  e.ice->untold.clear();
  for (size_t i = 0; i < local.media_count(); ++i)
    if (const Connectivity::Line* line = e.ice->line(i); line && local.media(i).port != 0)
      add_ice(local, i, e.ice->agent.local_description(*line->stream));
  const Connectivity::Line* tag = bundled.empty() ? nullptr : e.ice->line(bundled.front());
  for (size_t n = 1; tag && n < bundled.size(); ++n) {
    ice::Description shared = e.ice->agent.local_description(*tag->stream);
    shared.candidates.clear();
    shared.remote_candidates.clear();
    shared.end_of_candidates = false;
    add_ice(local, bundled[n], shared);
  }
}

/// The leg's answer to what we offered.
void EngineState::agree_ice(Now now, Endpoint& e) {
  if (!e.ice || !e.remote || !e.local) return;
  for (size_t i = 0; i < e.ice->lines.size(); ++i) {
    Connectivity::Line& line = e.ice->lines[i];
    if (!line.stream) continue;
    const auto theirs = ice_line(*e.remote, i, ice_troubles);
    if (!theirs || !e.ice->agent.set_remote(now, *line.stream, *theirs, e.ice->out)) {
      close_ice_line(now, e, i);
      continue;
    }
    if (line.components > 1 && muxed(*e.remote, i) && muxed(*e.local, i)) {
      e.ice->agent.set_components(now, *line.stream, 1, e.ice->out);
      line.components = 1;
    }
    line.agreed = true;
    line.restarting = false;
    e.ice->peer_trickles = theirs->has_option("trickle");
  }
  take_early_candidates(now, e);
  drop_idle_ice(e);
}

/// The offer was refused: what it brought in goes.
void EngineState::roll_ice_back(Now now, Endpoint& e) {
  if (!e.ice) return;
  for (size_t i = 0; i < e.ice->lines.size(); ++i) {
    if (!e.ice->agreed(i)) close_ice_line(now, e, i);
    if (e.ice->line(i) && std::exchange(e.ice->lines[i].restarting, false))
      e.ice->agent.rollback(now, *e.ice->lines[i].stream, e.ice->out);
  }
  drop_idle_ice(e);
}

/// Sources and destinations of stream `i` are what its checks have found. True: something changed.
bool EngineState::follow_ice(Endpoint& e, size_t i) {
  const Connectivity::Line& line = e.ice->lines[i];
  bool changed = false;
  for (const bool rtcp : {false, true}) {
    Flow* f = flow_of(rtcp ? e.streams[i].rtcp.id : e.streams[i].rtp.id);
    if (!f) continue;
    if (!f->ice) f->latch = Latch{};
    f->ice = true;
    const auto path = e.ice->agent.path(*line.stream, rtcp ? 2 : 1);
    const bool connection = path && path->transport == ice::Transport::tcp;
    if (path ? f->latch.is_source(path->remote) && f->connection == connection : !f->latch.confirmed())
      continue;
    f->connection = connection;
    changed = true;
    if (path)
      f->latch.confirm(path->remote);
    else
      f->latch.forget();
  }
  return changed;
}

/// Whether who sends from there is the leg, as far as that can be told before a packet has been looked into.
bool EngineState::validated(const Endpoint& e, const Flow& f, const SocketAddress& from) const {
  const Connectivity::Line* line = e.ice ? e.ice->line(f.stream) : nullptr;
  return line && std::any_of(line->places.begin(), line->places.end(), [&](const Connectivity::Place& p) {
           return p.rtcp == f.rtcp && p.family == from.ip.family && e.ice->agent.validated(p.base, from);
         });
}

std::optional<bool> EngineState::hear_check(Now now, Flow& f, const port::MediaPacket& p,
                                            port::MediaOut& out) {
  Endpoint* e = endpoints.find(f.endpoint);
  const Connectivity::Line* line = e && e->ice ? e->ice->line(f.stream) : nullptr;
  if (!line || (f.rtcp && line->components < 2)) return std::nullopt;
  const Connectivity::Place* place = Connectivity::place_of(*line, f.rtcp, p.connection, p.remote);
  if (!place) return std::nullopt;
  const bool taken = e->ice->agent.on_datagram(now, place->base, p.remote, p.bytes, e->ice->out);
  run_ice(now, *e, &out);
  return taken;
}

void EngineState::on_connection_end(Now now, Flow& f, const SocketAddress& remote) {
  Endpoint* e = endpoints.find(f.endpoint);
  const Connectivity::Line* line = e && e->ice ? e->ice->line(f.stream) : nullptr;
  const Connectivity::Place* place = line ? Connectivity::place_of(*line, false, true, remote) : nullptr;
  if (!place) return;
  e->ice->agent.on_unreachable(now, place->base, remote, e->ice->out);
  run_ice(now, *e, nullptr);
}

void EngineState::name_fragments(const Endpoint& e) {
  if (!e.ice) return;
  for (size_t i = 0; i < e.streams.size(); ++i)
    if (const Connectivity::Line* line = e.ice->line(i); line && e.streams[i].shared)
      shared.set_fragments(e.streams[i].rtp.id, e.ice->agent.fragments(*line->stream));
}

void EngineState::on_ice_timeout(Now now, Endpoint& e, port::MediaOut& out) {
  e.ice_at = Instant::never();
  if (!e.ice) return;
  e.ice->agent.on_timeout(now, e.ice->out);
  run_ice(now, e, &out);
}

void EngineState::send_checks(const Endpoint& e, port::MediaOut& out) {
  for (ice::Datagram& d : e.ice->out.datagrams) {
    for (size_t i = 0; i < e.ice->lines.size() && i < e.streams.size(); ++i) {
      const Connectivity::Line* line = e.ice->line(i);
      const Connectivity::Place* place = line ? Connectivity::place_of(*line, d.base) : nullptr;
      if (!place) continue;
      Buffer packet = Buffer::with_capacity(d.bytes.size());
      packet.resize(d.bytes.size());
      std::copy(d.bytes.begin(), d.bytes.end(), packet.data());
      out.send_own(place->rtcp ? e.streams[i].rtcp.id : e.streams[i].rtp.id, d.to, std::move(packet),
                   place->connection);
      break;
    }
  }
  e.ice->out.datagrams.clear();
}

void EngineState::count_ice_troubles() {
  for (size_t i = 0; i < ice::reason_count; ++i)
    counters_.ice_troubles[i]->set(ice_troubles.count(static_cast<ice::Reason>(i)));
}

/// After anything that may have moved the agent: its datagrams leave, its news are taken, its next deadline
/// is set. Without `out` the datagrams wait for the time-out, which is now.
void EngineState::run_ice(Now now, Endpoint& e, port::MediaOut* out) {
  if (!e.ice) return;
  bool moved = false;
  for (const ice::Event& event : std::exchange(e.ice->out.events, {})) {
    switch (event.kind) {
      case ice::Event::Kind::state:
        if (event.state == ice::State::completed) {
          counters_.ice_completed.add();
          if (!misses_way(e)) {  // a line that has found its way says nothing of one that has not
            e.ice->restarts = 0;
            e.ice->restart_at = Instant::never();
          }
        }
        if (event.state == ice::State::failed || event.state == ice::State::disconnected) {
          counters_.ice_unreachable.add();
          emit(e, MediaEvent::Kind::unreachable);
          lose_way(now, e);
        }
        moved = true;
        break;
      case ice::Event::Kind::selected:
      case ice::Event::Kind::consent_lost:
        moved = true;
        break;
      case ice::Event::Kind::candidate:
      case ice::Event::Kind::gathered:
        keep_untold(e, event);
        break;
      case ice::Event::Kind::role:
        break;
    }
  }
  if (moved) {
    bool changed = false;
    for (size_t i = 0; i < e.streams.size(); ++i)
      if (e.ice->agreed(i)) changed |= follow_ice(e, i);
    if (changed) {
      reroute(e);
      want_picture(now, e);
      arm_keying(e, now.mono);  // a client of DTLS may have waited for the path
    }
  }
  if (out) send_checks(e, *out);
  if (e.ice->revision != e.ice->agent.revision()) {
    e.ice->revision = e.ice->agent.revision();
    ++e.revision;
    name_fragments(e);
  }
  count_ice_troubles();
  const Instant next = e.ice->out.datagrams.empty() ? e.ice->agent.next_timeout() : now.mono;
  if (next == e.ice_at) return;
  e.ice_at = next;
  timers.push(next, {e.id, TimerKind::ice});
}

}  // namespace tandem::media
