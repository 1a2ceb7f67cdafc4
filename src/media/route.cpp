// Which flow leads where. Runs when a description, a latch or a path changes, never per packet.
#include <algorithm>

#include "base/text.h"
#include "media/state.h"

namespace tandem::media {

/// The m-line of `partner` that stream `index` of `e` belongs to: the same place when the kinds agree (one
/// offer and its answer), else the m-line of that kind with the same rank (legs that were joined later).
const Stream* counterpart(const Endpoint& e, size_t index, const Endpoint& partner) {
  const Stream& s = e.streams[index];
  if (index < partner.streams.size() && iequals(partner.streams[index].kind, s.kind) &&
      partner.streams[index].live)
    return &partner.streams[index];
  size_t rank = 0;
  for (size_t i = 0; i < index; ++i)
    if (iequals(e.streams[i].kind, s.kind) && e.streams[i].live) ++rank;
  for (const Stream& p : partner.streams)
    if (iequals(p.kind, s.kind) && p.live && rank-- == 0) return &p;
  return nullptr;
}

namespace {

/// Payload types `from` sends as its description names them, into those its partner expects for the same
/// codec.
Rewrite rewrite_between(const Stream& from, const Stream& to) {
  Rewrite r;
  if (from.wire != Wire::rtp || to.wire != Wire::rtp) return r;
  for (const PayloadFormat& f : from.local_formats) {
    if (f.encoding.empty()) continue;
    const PayloadFormat* match = nullptr;
    for (const PayloadFormat& t : to.remote_formats) {
      if (!f.same_codec(t)) continue;
      if (!match) match = &t;
      if (t.payload_type == f.payload_type) match = &t;
    }
    if (!match || match->payload_type == f.payload_type || r.map_size == r.map.size()) continue;
    r.map[r.map_size++] = {f.payload_type, match->payload_type};
    r.identity = false;
  }
  return r;
}

/// Octets a millisecond of it has; 0: that depends.
uint32_t octets_per_ms(const PayloadFormat& f) {
  if (iequals(f.encoding, "PCMU") || iequals(f.encoding, "PCMA") || iequals(f.encoding, "G722")) return 8;
  if (iequals(f.encoding, "G729")) return 1;
  if (iequals(f.encoding, "L16")) return f.clock_rate / 1000 * 2 * f.channels;
  return 0;
}

/// How long a packet of each payload type may be for the partner.
void set_longest(Flow& f, const Stream& from, const Stream* to) {
  for (size_t i = 0; i < f.clock_count; ++i) {
    Clock& c = f.clocks[i];
    c.longest = 0xFFFF;
    if (!to || to->maxptime_ms == 0 || !iequals(from.kind, "audio")) continue;
    for (const PayloadFormat& p : from.local_formats)
      if (p.payload_type == c.payload_type && octets_per_ms(p) > 0)
        c.longest = static_cast<uint16_t>(std::min(octets_per_ms(p) * to->maxptime_ms, 0xFFFFU));
  }
}

}  // namespace

bool PayloadFormat::same_codec(const PayloadFormat& other) const {
  return clock_rate == other.clock_rate && channels == other.channels && iequals(encoding, other.encoding);
}

LatchPolicy EngineState::latch_policy(const Endpoint& e) const {
  return {e.config.symmetric,   e.config.signalling,      e.answered,
          config.latch_packets, config.far_latch_packets, config.far_latch_delay};
}

/// How to reach stream `s`: {RTP, RTCP}. Off while the leg does not want to receive.
EngineState::Exits EngineState::exits_to(const Stream& s) const {
  Exits out;
  const Flow* rtp = flow_of(s.exit());
  const Flow* rtcp = flow_of(s.rtcp.id);
  if (!s.live || !rtp || !rtcp) return out;
  out.rtp = {s.exit(), rtp->latch.destination(), static_cast<bool>(rtp->latch.destination()),
             rtp->connection};
  if (s.mux || s.carrier) {  // what stands on another line's port has that alone
    out.rtcp = out.rtp;
  } else if (s.shared) {
    out.rtcp.on = false;  // it has no port of its own
  } else {
    // Behind a NAT the SDP's RTCP address leads nowhere: wait until the leg's own reports show the way.
    const bool lost = rtp->latch.away() && !rtcp->latch.confirmed();
    out.rtcp = {s.rtcp.id, rtcp->latch.destination(), !lost && rtcp->latch.destination()};
  }
  if (!sdp::receives(s.direction)) out.rtp.on = false;
  return out;
}

void EngineState::route(Endpoint& e) {
  connect_tap(e);
  const Endpoint* partner = endpoints.find(e.partner);
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Stream& s = e.streams[i];
    Flow* rtp = flow_of(s.rtp.id);
    Flow* rtcp = flow_of(s.rtcp.id);
    if (!rtp || !rtcp) continue;
    Exits to;
    Rewrite rewrite;
    bool bridged = false;
    set_longest(*rtp, s, nullptr);
    if (e.feed == Feed::echo) {
      to = exits_to(s);
      to.rtcp.on = false;  // its own reports would be about a stream it does not know
      // A phone must not meet its own SSRC (RFC 3550 section 8.2).
      rewrite.identity = false;
      rewrite.as_own = true;
      rewrite.hearer = static_cast<uint8_t>(i);
    } else if (partner && s.live) {
      if (const Stream* p = counterpart(e, i, *partner)) {
        to = exits_to(*p);
        if (partner->feed != Feed::partner) to.rtp.on = to.rtcp.on = false;
        // One is decrypted here and the other is not: neither could make anything of what the other sends.
        if ((s.wire == Wire::rtp) != (p->wire == Wire::rtp)) to = {};
        rewrite = rewrite_between(s, *p);
        rewrite.hearer = static_cast<uint8_t>(p - partner->streams.data());
        rewrite.as_own = p->one_source && s.wire == Wire::rtp;
        rewrite.identity = rewrite.identity && !rewrite.as_own;
        rewrite.kept = p->asks_again && rtp->transport_id != 0 && s.wire == Wire::rtp && p->wire == Wire::rtp;
        const bool transcode = e.config.transcode && partner->config.transcode;
        if (transcode && s.wire == Wire::rtp && p->wire == Wire::rtp) set_longest(*rtp, s, p);
        bridged = transcode && connect_bridge(s, *partner, *p);
        if (bridged && s.bridge->active()) to.rtcp.on = false;  // its reports are about what only we hear
      }
    }
    if (!bridged) s.bridge.reset();  // no bridge leads out of a conference
    if (e.room && i == e.voice_stream) bridged = true;
    rtp->bridged = bridged;
    if (s.wire != Wire::rtp) rewrite = {};
    rtp->rtp_to = to.rtp;
    rtp->rtcp_to = to.rtcp;
    rtp->rewrite = rewrite;
    rtcp->rtcp_to = to.rtcp;
    rtcp->rtp_to = {};
  }
  connect_dtmf(e);
}

void EngineState::reroute(Endpoint& e) {
  route(e);
  if (Endpoint* partner = endpoints.find(e.partner)) route(*partner);
}

}  // namespace tandem::media
