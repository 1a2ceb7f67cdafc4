// The hot path: one receive batch in, the packets to send out, rewritten where they lie.
#include <algorithm>
#include <bit>
#include <utility>

#include "base/text.h"
#include "ice/glimpse.h"
#include "media/state.h"
#include "rtp/packet.h"

namespace tandem::media {

namespace {

/// Where the payload of a packet begins that has no header extension.
uint16_t without_extension(Bytes packet) {
  return static_cast<uint16_t>(rtp::Header::fixed_bytes + size_t{4} * (packet[0] & 0x0F));
}

}  // namespace

struct EngineState::Batch {
  Now now;
  port::MediaOut& out;
  uint64_t relayed = 0;
  uint64_t consumed = 0;
  uint64_t bridged = 0;
  uint64_t foreign = 0;
  uint64_t malformed = 0;
  uint64_t stray = 0;
  uint64_t not_authentic = 0;
  uint64_t no_keys = 0;
  uint64_t keying = 0;
  uint64_t checks = 0;
  uint64_t strangers = 0;
};

/// With thousands of calls every flow is out of the cache when its packet comes. A batch tells in advance
/// which flows are next: first the flow itself is fetched, then, once it is there, the one it leaves by.
void EngineState::fetch_ahead(std::span<const port::MediaPacket> packets, size_t i) const {
  constexpr size_t hot_lines = 6;
  static_assert(sizeof(Flow) >= hot_lines * 64);
  constexpr size_t far = 8;
  constexpr size_t near = 4;
  if (i + far < packets.size() && packets[i + far].port.slot < flows.size()) {
    const auto* line = reinterpret_cast<const char*>(&flows[packets[i + far].port.slot]);
    for (size_t n = 0; n < hot_lines; ++n) __builtin_prefetch(line + 64 * n, 1);
  }
  if (i + near < packets.size() && packets[i + near].port.slot < flows.size()) {
    const Flow& f = flows[packets[i + near].port.slot];
    if (f.rtp_to.on) __builtin_prefetch(&flows[f.rtp_to.port.slot], 1);
  }
}

void EngineState::on_media(Now now, std::span<port::MediaPacket> packets, port::MediaOut& out) {
  Batch batch{now, out};
  for (size_t i = 0; i < packets.size(); ++i) {
    fetch_ahead(packets, i);
    port::MediaPacket& p = packets[i];
    if (p.port.slot >= flows.size() || flows[p.port.slot].port != p.port || !p.port) {
      ++batch.stray;
      continue;
    }
    Flow& f = flows[p.port.slot];
    if (f.wire == Wire::shared) [[unlikely]]
      on_shared(batch, p);
    else
      on_packet(batch, f, p);
  }
  if (batch.relayed) counters_.relayed.add(batch.relayed);
  if (batch.consumed) counters_.consumed.add(batch.consumed);
  if (batch.bridged) counters_.bridged.add(batch.bridged);
  if (batch.foreign) counters_.foreign.add(batch.foreign);
  if (batch.malformed) counters_.malformed.add(batch.malformed);
  if (batch.stray) counters_.stray.add(batch.stray);
  if (batch.not_authentic) counters_.not_authentic.add(batch.not_authentic);
  if (batch.no_keys) counters_.no_keys.add(batch.no_keys);
  if (batch.keying) counters_.keying.add(batch.keying);
  if (batch.checks) counters_.checks.add(batch.checks);
  if (batch.strangers) counters_.strangers.add(batch.strangers);
}

void EngineState::on_packet(Batch& batch, Flow& f, port::MediaPacket& p) {
  if (f.wire == Wire::opaque) return on_opaque(batch, f, p);
  switch (rtp::kind_of(p.bytes)) {
    case rtp::Kind::rtp:
      return on_rtp(batch, f, p);
    case rtp::Kind::rtcp:
      return on_rtcp(batch, f, p);
    case rtp::Kind::stun:
      if (on_check(batch.now, f, p, batch.out)) {
        ++batch.checks;
        return;
      }
      break;
    case rtp::Kind::dtls:
      if (f.dtls) return on_dtls(batch, f, p);
      if (f.wire == Wire::dtls) return on_opaque(batch, f, p);
      break;
    default:
      break;
  }
  ++f.malformed;
  ++batch.malformed;
}

/// Whose it is, then as on a port of the leg's own. Strangers get nothing and leave nothing behind; a
/// connection of theirs ends.
void EngineState::on_shared(Batch& batch, port::MediaPacket& p) {
  const port::MediaPortId hub = p.port;
  const SharedPorts::From from{hub.slot, p.remote, p.connection};
  const bool check = rtp::kind_of(p.bytes) == rtp::Kind::stun;
  if (check && on_shared_check(batch, p)) return;
  const port::MediaPortId leg = check ? port::MediaPortId{} : shared.by_remote(from);
  Flow* f = flow_of(leg);
  if (!f) {
    if (!p.bytes.empty() || !p.connection) ++batch.strangers;
    // A check of who is a leg's already is no reason: a late answer, a generation that is over.
    if (p.connection && !shared.by_remote(from)) ports.end(hub, p.remote);
    return;
  }
  if (p.connection && p.bytes.empty()) {
    shared.release(from);
    return on_connection_end(batch.now, *f, p.remote);
  }
  p.port = leg;
  const auto refused = [&] { return batch.not_authentic + batch.no_keys + batch.foreign + batch.malformed; };
  const auto before = refused();
  const rtp::Kind kind = rtp::kind_of(p.bytes);
  const bool keyed = f->secured && (kind == rtp::Kind::rtp || kind == rtp::Kind::rtcp);
  on_packet(batch, *f, p);
  if (keyed && refused() == before) shared.heard(batch.now, from);
}

/// False: it is for none of ours, or was not taken.
bool EngineState::on_shared_check(Batch& batch, port::MediaPacket& p) {
  const auto about = ice::glimpse(p.bytes);
  if (!about) return false;
  const port::MediaPortId hub = p.port;
  const port::MediaPortId leg =
      about->request ? shared.by_fragment(hub.slot, about->fragment) : shared.by_mark(hub.slot, about->mark);
  Flow* f = flow_of(leg);
  if (!f) return false;
  const SharedPorts::From from{hub.slot, p.remote, p.connection};
  if (shared.is_taken(batch.now, from, leg)) {
    counters_.taken.add();
    return false;
  }
  p.port = leg;
  const bool taken = hear_check(batch.now, *f, p, batch.out).value_or(false);
  p.port = hub;
  if (!taken) return false;
  ++batch.checks;
  Endpoint* e = endpoints.find(f->endpoint);
  if (!e || !validated(*e, *f, p.remote)) return false;
  shared.claim(batch.now, from, leg);
  if (p.connection) ports.keep(hub, p.remote);
  return true;
}

bool EngineState::admit(Batch& batch, Flow& f, const SocketAddress& from, const Latch::Evidence& evidence) {
  if (f.latch.is_source(from)) return true;
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e) return false;
  if (f.ice) {
    if (validated(*e, f, from)) return true;
    ++f.foreign;
    ++batch.foreign;
    return false;
  }
  switch (f.latch.offer(batch.now.mono, from, evidence, latch_policy(*e))) {
    case Latch::Verdict::refused:
      ++f.foreign;
      ++batch.foreign;
      return false;
    case Latch::Verdict::accepted:
      return true;
    case Latch::Verdict::latched:
      counters_.latched.add();
      emit(*e, MediaEvent::Kind::latched);
      [[fallthrough]];
    case Latch::Verdict::confirmed:
      // Reports that came from a provisional source's host lose their place with it.
      if (Flow* reports = flow_of(f.sibling);
          reports && reports->latch.away() && reports->latch.destination().ip != from.ip)
        reports->latch.forget();
      ++e->revision;
      reroute(*e);  // where the partner's packets go has changed
      want_picture(batch.now, *e);
      return true;
  }
  return false;
}

void EngineState::accepted_first(Flow& f) {
  f.active = true;
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e || e->first_packet || f.rtcp) return;
  e->first_packet = true;
  emit(*e, MediaEvent::Kind::first_packet);
}

/// Decrypts where the packet lies. False: it is nobody's, or has been.
bool EngineState::unprotect(Batch& batch, Flow& f, port::MediaPacket& p, bool rtcp) {
  if (!f.secured) {
    ++batch.no_keys;
    return false;
  }
  const auto size = rtcp ? f.secured->open_rtcp(p.bytes) : f.secured->open_rtp(p.bytes);
  if (!size) {
    ++batch.not_authentic;
    return false;
  }
  p.tailroom += static_cast<uint32_t>(p.bytes.size() - *size);
  p.bytes = p.bytes.first(*size);
  return true;
}

Bytes EngineState::forward(Batch& batch, const Destination& to, const port::MediaPacket& p,
                           uint32_t payload_octets) {
  if (!to.on) {
    ++batch.consumed;
    return {};
  }
  Flow& exit = flows[to.port.slot];
  Bytes bytes = p.bytes;
  if (exit.locked && !exit.secured) {
    ++batch.no_keys;
    return {};
  }
  if (exit.tapped) tap_packet(batch.now, exit, Tap::hears, bytes);
  if (exit.secured) {
    const auto size = exit.secured->close_rtp({p.bytes.data(), p.bytes.size() + p.tailroom}, p.bytes.size());
    if (!size) {
      counters_.not_encrypted.add();
      return {};
    }
    bytes = {p.bytes.data(), *size};
    due(exit);
  }
  batch.out.sends.push_back({to.port, to.remote, bytes, to.connection});
  ++exit.sent_packets;
  exit.sent_octets += payload_octets;
  ++batch.relayed;
  return bytes;
}

void EngineState::forward_rtcp(Batch& batch, const Destination& to, const port::MediaPacket& p) {
  Flow* const found = to.on ? flow_of(to.port) : nullptr;
  if (!found) {
    ++batch.consumed;
    return;
  }
  Flow& exit = *found;
  Bytes bytes = p.bytes;
  if (exit.locked) {
    if (!exit.secured) {
      ++batch.no_keys;
      return;
    }
    const auto size = exit.secured->close_rtcp({p.bytes.data(), p.bytes.size() + p.tailroom}, p.bytes.size());
    if (!size) return counters_.not_encrypted.add();
    bytes = {p.bytes.data(), *size};
    due(exit);
  }
  batch.out.sends.push_back({to.port, to.remote, bytes, to.connection});
  ++batch.relayed;
}

void EngineState::on_rtp(Batch& batch, Flow& f, port::MediaPacket& p) {
  // Before anything is believed of it: what is not authentic moves no latch and no statistics.
  if (f.locked && !f.rtcp && !unprotect(batch, f, p, false)) return;
  auto header = rtp::Header::parse(p.bytes, f.wire != Wire::rtp);
  if (f.rtcp || !header) {
    ++f.malformed;
    ++batch.malformed;
    return;
  }
  if (!admit(batch, f, p.remote, {header->ssrc, header->sequence, true})) return;

  if (f.transport_id != 0) [[unlikely]]
    if (count_arrival(batch.now, f, p)) header->payload_offset = without_extension(p.bytes);
  if (f.bundle) {
    f.last_accepted = batch.now.mono;
    Flow* member = member_of(f, header->ssrc, header->payload_type);
    if (!member) {
      ++f.malformed;
      ++batch.malformed;
      return;
    }
    return take_rtp(batch, *member, *header, p);
  }
  take_rtp(batch, f, *header, p);
}

/// A packet of the leg's, in the flow of its line.
void EngineState::take_rtp(Batch& batch, Flow& f, const rtp::Header& h, port::MediaPacket& p) {
  const rtp::Header* header = &h;
  const auto octets = static_cast<uint32_t>(p.bytes.size() - header->payload_offset - header->padding);
  const Clock* clock = f.clock_of(header->payload_type);
  f.received.on_packet(batch.now.mono, header->ssrc, header->sequence, header->timestamp, octets,
                       clock ? clock->rate : 8000, !clock || !clock->event);
  f.last_accepted = batch.now.mono;
  f.last_payload_type = header->payload_type;
  if (!f.active) accepted_first(f);
  if (f.received.packets % graded_packets == 0) [[unlikely]]
    grade(f);
  if (clock && octets > clock->longest) [[unlikely]]
    pack_anew(f);
  if (f.tapped) tap_packet(batch.now, f, Tap::says, p.bytes);
  if (clock && clock->event && f.wire == Wire::rtp) {
    if (!hear_event(batch.now, f, *clock, *header, p)) {
      ++batch.consumed;
      return;
    }
  } else if (f.dtmf) [[unlikely]] {
    std::vector<DtmfEar::Held> released;
    const bool taken = detour(batch.now, f, *header, p, released);
    pass_released(batch, f, released);
    if (taken) return;
  }
  pass_on(batch, f, *header, Bytes(p.bytes).subspan(header->payload_offset, octets), p);
}

/// What the leg sends lasts longer than its partner takes: from now on it goes over a bridge.
void EngineState::pack_anew(const Flow& f) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e || f.stream >= e->streams.size() || std::exchange(e->streams[f.stream].too_long, true)) return;
  reroute(*e);
}

/// Packets that had to wait, from copies of ours.
void EngineState::pass_released(Batch& batch, Flow& f, std::vector<DtmfEar::Held>& released) {
  for (const DtmfEar::Held& held : released) {
    Endpoint* e = endpoints.find(f.endpoint);
    if (!e || !e->dtmf) return;
    Buffer copy = Buffer::with_capacity(held.packet.size() + srtp::tail_room);
    copy.resize(held.packet.size());
    std::copy(held.packet.begin(), held.packet.end(), copy.data());
    port::MediaPacket p;
    p.bytes = copy.writable().first(held.packet.size());
    p.tailroom = static_cast<uint32_t>(copy.writable().size() - held.packet.size());
    if (!renumber(*e, f, held.header, p, false)) continue;
    const size_t octets = p.bytes.size() - held.header.payload_offset - held.header.padding;
    rtp::Header header = held.header;
    header.sequence = rtp::load16(p.bytes.data() + 2);
    pass_on(batch, f, header, Bytes(p.bytes).subspan(header.payload_offset, octets), p);
    batch.out.own.push_back(std::move(copy));
  }
}

/// Over the bridge, or rewritten and out.
void EngineState::pass_on(Batch& batch, Flow& f, const rtp::Header& h, Bytes payload, port::MediaPacket& p) {
  const rtp::Header* header = &h;
  if (f.bridged && cross_bridge(batch, f, *header, payload)) return;

  if (!f.rewrite.identity && f.rtp_to.on) {
    const Rewrite& r = f.rewrite;
    uint8_t* b = p.bytes.data();
    if (r.sequence_offset) rtp::store16(b + 2, static_cast<uint16_t>(rtp::load16(b + 2) + r.sequence_offset));
    for (size_t i = 0; i < r.map_size; ++i)
      if (r.map[i].from == header->payload_type) b[1] = static_cast<uint8_t>((b[1] & 0x80) | r.map[i].to);
    if (r.as_own && !go_on_as_own(batch.now, f, *header, payload.size(), p)) {
      ++batch.consumed;
      return;
    }
  }
  const Bytes sent = forward(batch, f.rtp_to, p, static_cast<uint32_t>(payload.size()));
  if (f.rewrite.kept && !sent.empty()) keep_sent(batch.now, f, header->payload_type, sent);
}

void EngineState::keep_sent(Now now, const Flow& f, uint8_t payload_type, Bytes packet) {
  const Endpoint* e = endpoints.find(f.endpoint);
  Endpoint* hearer = e ? endpoints.find(e->partner) : nullptr;
  if (!hearer || f.rewrite.hearer >= hearer->streams.size() || f.stream >= e->streams.size()) return;
  for (const PayloadFormat& p : e->streams[f.stream].local_formats)
    if (p.payload_type == payload_type && iequals(p.encoding, "rtx")) return;  // sent again already
  auto& kept = hearer->streams[f.rewrite.hearer].sent_packets;
  if (!kept) kept = std::make_unique<SentPackets>();
  kept->keep(now.mono, packet);
}

/// What the leg has lost of what we have is sent again, and asked of nobody else. False: it has asked for
/// nothing else.
bool EngineState::send_again(Batch& batch, const Flow& f, port::MediaPacket& p) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e) return true;
  struct Line {
    SentPackets& packets;
    Destination to;
  };
  std::vector<Line> lines;
  for (Stream& s : e->streams)
    if (const Destination to = s.sent_packets ? exits_to(s).rtp : Destination{}; to.on)
      lines.push_back({*s.sent_packets, to});
  if (lines.empty()) return true;
  const size_t left = rtp::take_out_nacks(p.bytes, [&](uint32_t ssrc, uint16_t sequence) {
    for (Line& line : lines) {
      const Bytes packet = line.packets.again(batch.now.mono, ssrc, sequence);
      if (packet.empty()) continue;
      Buffer copy = Buffer::with_capacity(packet.size());
      copy.resize(packet.size());
      std::copy(packet.begin(), packet.end(), copy.data());
      batch.out.send_own(line.to.port, line.to.remote, std::move(copy), line.to.connection);
      counters_.again.add();
      return true;
    }
    return false;
  });
  p.tailroom += static_cast<uint32_t>(p.bytes.size() - left);
  p.bytes = p.bytes.first(left);
  return left > 0;
}

/// The packet, otherwise rewritten, becomes one of the own stream of who hears it. False: it is too late.
bool EngineState::go_on_as_own(Now now, const Flow& f, const rtp::Header& h, size_t payload_octets,
                               port::MediaPacket& p) {
  Endpoint* e = endpoints.find(f.endpoint);
  Endpoint* hearer = e && e->feed != Feed::echo ? endpoints.find(e->partner) : e;
  if (!hearer || f.rewrite.hearer >= hearer->streams.size()) return false;
  OwnStream& own = hearer->streams[f.rewrite.hearer].own;
  const Clock* clock = f.clock_of(h.payload_type);
  const bool sound = !clock || !clock->event;
  if (clock && sound) own.begin(clock->rate, rng);
  own.name(8000, rng);
  uint8_t* b = p.bytes.data();
  rtp::Header header = h;
  header.sequence = rtp::load16(b + 2);
  const auto before = own.relayed.value_or(OwnStream::Relayed{});
  if (!own.relay(now.mono, header, payload_octets, sound)) return false;
  const bool begins =
      own.relayed->ssrc != before.ssrc || own.relayed->sequence_offset != before.sequence_offset;
  if (begins) ++hearer->revision;
  // Of pictures the marker says something else.
  if (begins && iequals(hearer->streams[f.rewrite.hearer].kind, "audio")) b[1] |= 0x80;
  rtp::store16(b + 2, header.sequence);
  rtp::store32(b + 4, header.timestamp);
  rtp::store32(b + 8, header.ssrc);
  return true;
}

/// True: the packet went over the bridge. Key presses do so at once and as they are while speech does; what
/// the receiver takes goes past it.
bool EngineState::cross_bridge(Batch& batch, Flow& f, const rtp::Header& header, Bytes payload) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (e && e->room) {
    const Clock* clock = f.clock_of(header.payload_type);
    if (!clock || !clock->event) hear_in_room(batch.now, *e, header, payload);
    ++batch.bridged;
    return true;
  }
  Endpoint* partner = e ? endpoints.find(e->partner) : nullptr;
  if (!e || !partner || f.stream >= e->streams.size()) return false;
  Stream& s = e->streams[f.stream];
  if (!s.bridge || s.bridge_to >= partner->streams.size()) return false;
  Bridge& bridge = *s.bridge;
  if (bridge.plan().hears(header.payload_type)) {
    const bool begins = !bridge.active();
    if (!bridge.hear(batch.now.mono, header, payload)) return true;
    ++batch.bridged;
    if (begins) {
      s.bridge_at = batch.now.mono;
      arm_bridge(*e, batch.now.mono);
      reroute(*e);
    }
    return true;
  }
  const Clock* clock = f.clock_of(header.payload_type);
  if (clock && !clock->event) bridge.passed_by();
  if (!bridge.active() || !clock || !clock->event) return false;
  ++batch.bridged;
  if (bridge.plan().event_to == BridgePlan::no_type) return true;
  OwnStream& own = partner->streams[s.bridge_to].own;
  speak(batch.now, own, bridge.plan().said.clock_rate);
  const auto event = bridge.event(batch.now.mono, header, own.timestamp);
  if (event && f.rtp_to.on && payload.size() >= 4)
    send_event(batch, f, bridge, *event, own, payload, clock->rate);
  return true;
}

void EngineState::send_event(Batch& batch, const Flow& f, const Bridge& bridge, const Bridge::Event& event,
                             OwnStream& own, Bytes payload, uint32_t rate) {
  Buffer packet = Buffer::with_capacity(rtp::Header::fixed_bytes + 4 + srtp::tail_room);
  packet.resize(rtp::Header::fixed_bytes + 4);
  rtp::Header h;
  h.marker = event.begins;
  h.payload_type = bridge.plan().event_to;
  h.sequence = own.sequence;
  h.timestamp = event.timestamp;
  h.ssrc = own.ssrc;
  h.write(packet.data());
  uint8_t* body = packet.data() + rtp::Header::fixed_bytes;
  std::copy_n(payload.begin(), 4, body);
  const uint64_t lasted =
      uint64_t{rtp::load16(payload.data() + 2)} * bridge.plan().event_to_rate / std::max<uint32_t>(1, rate);
  rtp::store16(body + 2, static_cast<uint16_t>(std::min<uint64_t>(lasted, UINT16_MAX)));
  send_rtp(batch.now, batch.out, f.rtp_to, std::move(packet));
  own.said(batch.now.mono, event.timestamp, 4);
  Flow& exit = flows[f.rtp_to.port.slot];
  ++exit.sent_packets;
  exit.sent_octets += 4;
}

void EngineState::on_dtls(Batch& batch, Flow& f, const port::MediaPacket& p) {
  if (on_handshake(batch.now, f, p.remote, p.bytes, batch.out)) {
    ++batch.keying;
    return;
  }
  ++f.foreign;
  ++batch.foreign;
}

void EngineState::on_opaque(Batch& batch, Flow& f, port::MediaPacket& p) {
  if (f.rtcp || p.bytes.empty()) {
    ++f.malformed;
    ++batch.malformed;
    return;
  }
  if (!admit(batch, f, p.remote, {0, 0, false})) return;
  f.last_accepted = batch.now.mono;
  if (f.wire == Wire::opaque) {
    ++f.received.packets;
    f.received.octets += p.bytes.size();
    if (!f.active) accepted_first(f);
  }
  forward(batch, f.rtp_to, p, static_cast<uint32_t>(p.bytes.size()));
}

/// RTCP follows its RTP: the SDP's RTCP address, or the host that RTP was latched to when the report speaks
/// for the stream that comes from there.
bool EngineState::admit_rtcp(Batch& batch, Flow& f, const SocketAddress& from, uint32_t ssrc) {
  if (f.latch.is_source(from)) return true;
  if (f.ice) return admit(batch, f, from, {0, 0, false});
  if (!f.rtcp) {  // multiplexed: the RTP latch decides, and only the SDP's address may confirm it by a report
    if (f.mux && !f.latch.confirmed() && from == f.latch.expected())
      return admit(batch, f, from, {0, 0, false});
  } else if (!f.latch.confirmed()) {
    const Flow* media = flow_of(f.sibling);
    const bool follows = media && media->latch.confirmed() && media->latch.destination().ip == from.ip &&
                         media->received.started && media->received.ssrc == ssrc;
    if (follows || (f.latch.expected() && from == f.latch.expected())) {
      f.latch.confirm(from);
      if (Endpoint* e = endpoints.find(f.endpoint)) {
        ++e->revision;
        reroute(*e);
      }
      return true;
    }
  }
  ++f.foreign;
  ++batch.foreign;
  return false;
}

void EngineState::refuse_rtcp(Batch& batch, Flow& f, std::optional<rtp::RtcpReason> reason) {
  if (reason) counters_.rtcp_refused[static_cast<size_t>(*reason)]->add();
  ++f.malformed;
  ++batch.malformed;
}

void EngineState::on_rtcp(Batch& batch, Flow& f, port::MediaPacket& p) {
  if (f.locked && !unprotect(batch, f, p, true)) return;
  auto reader = rtp::RtcpReader::open(p.bytes, f.wire != Wire::rtp);
  if (!reader) return refuse_rtcp(batch, f, reader.reason());
  if (!f.rtcp && !f.mux) return refuse_rtcp(batch, f, std::nullopt);
  if (!admit_rtcp(batch, f, p.remote, rtp::load32(p.bytes.data() + 4))) return;
  f.last_accepted = batch.now.mono;
  f.active = true;
  if (f.wire == Wire::rtp) {
    if (!send_again(batch, f, p)) return;
    reader = rtp::RtcpReader::open(p.bytes);
    if (!reader) return refuse_rtcp(batch, f, reader.reason());
  }
  const Flow* media = f.rtcp ? flow_of(f.sibling) : &f;
  if (media && media->secured) media->secured->shift_back(p.bytes);
  if (f.bundle) return share_rtcp(batch, f, *reader, p);
  if (f.wire == Wire::rtp)
    if (const auto read = read_reports(batch.now, f, *reader); !read)
      return refuse_rtcp(batch, f, read.reason());
  if (const Endpoint* e = endpoints.find(f.endpoint); e && f.wire == Wire::rtp)
    translate_reports(*e, 1u << f.stream, p.bytes);
  forward_rtcp(batch, f.rtcp_to, p);
}

/// What a leg reports, in the words of its partner: about packets that were numbered anew on their way to the
/// leg, and from sources that the partner hears under another name. `lines` are those it is about, a bit
/// each.
void EngineState::translate_reports(const Endpoint& e, uint32_t lines, MutableBytes compound) const {
  const Endpoint* partner = endpoints.find(e.partner);
  if (!partner) return;
  for (; lines != 0; lines &= lines - 1) {
    const auto line = static_cast<size_t>(std::countr_zero(lines));
    if (line >= e.streams.size()) return;
    e.streams[line].own.tell_back(compound);
    if (const Stream* p = counterpart(e, line, *partner)) p->own.speak_for(compound);
  }
  number_back(*partner, compound);
}

/// What comes by the port of a bundle is for each line it is about, once where these share a port again.
void EngineState::share_rtcp(Batch& batch, const Flow& f, const rtp::RtcpReader& reader,
                             port::MediaPacket& p) {
  const Endpoint* e = endpoints.find(f.endpoint);
  if (!e || !e->bundle || f.wire != Wire::rtp) return;
  const uint32_t lines = concerned(*e, reader);
  std::vector<Flow*> members;
  for (uint32_t left = lines; left != 0; left &= left - 1)
    if (Flow* member = flow_of(e->streams[static_cast<size_t>(std::countr_zero(left))].rtp.id))
      members.push_back(member);
  // All read it before the first partner is sent it: from then on it has his words, and may be encrypted.
  for (Flow* member : members)
    if (const auto read = read_reports(batch.now, *member, reader); !read)
      return refuse_rtcp(batch, *member, read.reason());
  translate_reports(*e, lines, p.bytes);
  while (!members.empty()) {
    const Destination to = members.front()->rtcp_to;
    std::erase_if(members, [&](const Flow* member) { return member->rtcp_to == to; });
    if (members.empty()) return forward_rtcp(batch, to, p);
    if (!to.on) continue;
    Buffer copy = Buffer::with_capacity(p.bytes.size() + srtp::tail_room);
    copy.resize(p.bytes.size());
    std::copy(p.bytes.begin(), p.bytes.end(), copy.data());
    send_rtcp(batch.out, to, std::move(copy));
    ++batch.relayed;
  }
}

}  // namespace tandem::media
