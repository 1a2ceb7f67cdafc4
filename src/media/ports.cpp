#include <algorithm>

#include "media/state.h"

namespace tandem::media {

Flow* EngineState::flow_of(port::MediaPortId id) {
  if (id.slot & bundled_bit) return bundled_flows.find({id.slot & ~bundled_bit, id.generation});
  if (!id || id.slot >= flows.size() || flows[id.slot].port != id) return nullptr;
  return &flows[id.slot];
}

void EngineState::adopt_ports(Stream& s, const port::MediaPorts::Pair& pair, EndpointId id, size_t index) {
  s.rtp = pair.rtp;
  s.rtcp = pair.rtcp;
  s.has_ports = true;
  const size_t needed = std::max(pair.rtp.id.slot, pair.rtcp.id.slot) + size_t{1};
  if (flows.size() < needed) flows.resize(needed);
  for (const bool rtcp : {false, true}) {
    Flow& f = flows[(rtcp ? pair.rtcp : pair.rtp).id.slot];
    f = Flow{};
    f.port = (rtcp ? pair.rtcp : pair.rtp).id;
    f.sibling = (rtcp ? pair.rtp : pair.rtcp).id;
    f.rtcp = rtcp;
    f.endpoint = id;
    f.stream = static_cast<uint8_t>(index);
  }
  counters_.open_ports.add(2);
}

bool EngineState::open_ports(Stream& s, const Endpoint& e, size_t index) {
  const auto pair = ports.open_pair(e.config.realm, e.config.family);
  if (!pair) {
    counters_.ports_exhausted.add();
    return false;
  }
  adopt_ports(s, *pair, e.id, index);
  return true;
}

void EngineState::adopt_bundled(Stream& s, const Endpoint& e, size_t index) {
  for (const bool rtcp : {false, true}) {
    const SlotId slot = bundled_flows.emplace();
    (rtcp ? s.rtcp : s.rtp).id = {slot.slot | bundled_bit, slot.generation};
  }
  for (const bool rtcp : {false, true}) {
    Flow& f = *flow_of((rtcp ? s.rtcp : s.rtp).id);
    f.port = (rtcp ? s.rtcp : s.rtp).id;
    f.sibling = (rtcp ? s.rtp : s.rtcp).id;
    f.rtcp = rtcp;
    f.endpoint = e.id;
    f.stream = static_cast<uint8_t>(index);
  }
  const Stream& tag = e.streams[e.bundle->tag()];
  s.rtp.local = tag.rtp.local;
  s.rtp.advertised = tag.rtp.advertised;
  s.carrier = tag.rtp.id;
  s.has_ports = true;
}

bool EngineState::open_shared(Stream& s, const Endpoint& e, size_t index) {
  auto place = ports.open_shared(e.config.realm);
  if (!place) return false;
  adopt_shared(s, std::move(*place), e, index);
  return true;
}

void EngineState::adopt_shared(Stream& s, port::SharedPort place, const Endpoint& e, size_t index) {
  port::MediaPort& leg = place.leg;
  if (leg.local.ip.family != e.config.family && leg.other_local) {
    std::swap(leg.local, leg.other_local);
    std::swap(leg.advertised, leg.other_advertised);
  }
  const size_t needed = std::max(leg.id.slot, place.hub.slot) + size_t{1};
  if (flows.size() < needed) flows.resize(needed);
  if (Flow& hub = flows[place.hub.slot]; hub.port != place.hub) {
    hub = Flow{};
    hub.port = place.hub;
    hub.wire = Wire::shared;
  }
  const SlotId reports = bundled_flows.emplace();
  s.rtp = leg;
  s.rtcp = {{reports.slot | bundled_bit, reports.generation}, leg.local, leg.advertised, {}, {}};
  s.has_ports = s.shared = true;
  s.connections = place.connections;
  for (const bool rtcp : {false, true}) {
    Flow& f = rtcp ? *flow_of(s.rtcp.id) : flows[leg.id.slot];
    f = Flow{};
    f.port = rtcp ? s.rtcp.id : s.rtp.id;
    f.sibling = rtcp ? s.rtp.id : s.rtcp.id;
    f.rtcp = rtcp;
    f.endpoint = e.id;
    f.stream = static_cast<uint8_t>(index);
  }
  shared.add(leg.id, place.hub);
  counters_.shared_legs.add();
}

void EngineState::close_shared(Stream& s) {
  const port::MediaPortId hub = shared.hub_of(s.rtp.id);
  for (const SharedPorts::From& from : shared.remove(s.rtp.id)) ports.end(hub, from.remote);
  if (Flow* f = flow_of(s.rtp.id)) {
    forget_grade(*f);
    *f = Flow{};
  }
  bundled_flows.erase({s.rtcp.id.slot & ~bundled_bit, s.rtcp.id.generation});
  ports.close(s.rtp.id);
  s.shared = s.has_ports = s.live = s.connections = false;
  s.rtp = s.rtcp = {};
  counters_.shared_legs.sub();
}

void EngineState::close_ports(Stream& s) {
  if (!s.has_ports) return;
  if (s.shared) return close_shared(s);
  if (s.carrier) {
    for (const port::MediaPortId id : {s.rtp.id, s.rtcp.id}) {
      if (Flow* f = flow_of(id)) forget_grade(*f);
      bundled_flows.erase({id.slot & ~bundled_bit, id.generation});
    }
    s.carrier = {};
    s.has_ports = s.live = false;
    s.rtp = s.rtcp = {};
    return;
  }
  for (const port::MediaPortId id : {s.rtp.id, s.rtcp.id}) {
    if (Flow* f = flow_of(id)) {
      forget_grade(*f);
      *f = Flow{};
    }
    ports.close(id);
  }
  s.has_ports = false;
  s.live = false;
  s.rtp = {};
  s.rtcp = {};
  counters_.open_ports.sub(2);
}

}  // namespace tandem::media
