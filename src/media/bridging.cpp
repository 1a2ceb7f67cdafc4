// Bridges in the engine: when there is one, its ticks, and the packets it sends.
#include <algorithm>

#include "media/state.h"

namespace tandem::media {
namespace {

constexpr Duration tick = milliseconds(frame_ms);
constexpr Duration most_catch_up = milliseconds(200);

}  // namespace

bool EngineState::connect_bridge(Stream& s, const Endpoint& partner, const Stream& p) {
  const auto plan = plan_bridge(s, p);
  if (!plan) return false;
  if (!s.bridge || s.bridge->plan() != *plan) {
    s.bridge = std::make_unique<Bridge>(*plan);
    s.bridge->learn(s.learnt);
    s.learnt = {};
  }
  s.bridge_to = static_cast<size_t>(&p - partner.streams.data());
  return true;
}

bool EngineState::is_bridged_to(const Endpoint& e, size_t index) const {
  const Endpoint* partner = endpoints.find(e.partner);
  return partner && std::any_of(partner->streams.begin(), partner->streams.end(),
                                [&](const Stream& s) { return s.bridge && s.bridge_to == index; });
}

/// A frame for everybody the endpoint is heard by.
void EngineState::play_bridges(Now now, Endpoint& e, port::MediaOut& out) {
  const auto active = [&] {
    return std::any_of(e.streams.begin(), e.streams.end(),
                       [](const Stream& s) { return s.bridge && s.bridge->active(); });
  };
  Endpoint* partner = endpoints.find(e.partner);
  if (!partner || !active()) {
    e.bridge_at = Instant::never();
    return reroute(e);  // its reports go through again
  }
  const bool late = now.mono - e.bridge_at > most_catch_up;  // just begun, or we slept: a gap, not a burst
  arm_bridge(e, (late ? now.mono : e.bridge_at) + tick);
  for (Stream& s : e.streams) {
    if (!s.bridge || !s.bridge->active() || s.bridge_to >= partner->streams.size()) continue;
    Stream& p = partner->streams[s.bridge_to];
    begin_own(p.own, s.bridge->plan().said.clock_rate);
    const auto said = s.bridge->say(now.mono);
    if (partner->feed != Feed::partner) continue;  // it hears something else meanwhile, by the same stream
    const Exits to = exits_to(p);
    if (said && to.rtp.on) {
      const size_t octets = said->payload.size();
      Buffer packet = Buffer::with_capacity(rtp::Header::fixed_bytes + octets + srtp::tail_room);
      packet.resize(rtp::Header::fixed_bytes + octets);
      rtp::Header h;
      h.marker = said->marker;
      h.payload_type = s.bridge->plan().said.payload_type;
      h.sequence = p.own.sequence++;
      h.timestamp = p.own.timestamp + said->later;
      h.ssrc = p.own.ssrc;
      h.write(packet.data());
      std::copy(said->payload.begin(), said->payload.end(), packet.data() + rtp::Header::fixed_bytes);
      send_rtp(out, to.rtp, std::move(packet));
      ++p.own.packets;
      p.own.octets += octets;
      Flow& exit = flows[to.rtp.port.slot];
      ++exit.sent_packets;
      exit.sent_octets += octets;
      counters_.originated.add();
    }
    p.own.timestamp += s.bridge->frame_ticks();
  }
  if (partner->report_at.is_never()) arm_report(*partner, now.mono + config.rtcp_interval);
}

}  // namespace tandem::media
