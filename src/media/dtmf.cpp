// Key presses in the engine: how each is told, how its partner is told of it, and what of the leg's packets
// goes on meanwhile.
#include <algorithm>

#include "base/text.h"
#include "media/state.h"

namespace tandem::media {
namespace {

constexpr Duration settling = milliseconds(200);  // after a press: late packets have come by then
constexpr Duration most_catch_up = milliseconds(200);
constexpr Duration sound_pause =
    milliseconds(100);  // without packets: those that wait hold no tone's beginning

bool is_event(const PayloadFormat& f) { return iequals(f.encoding, "telephone-event"); }

bool has_event(const std::vector<PayloadFormat>& formats) {
  return std::any_of(formats.begin(), formats.end(), is_event);
}

/// The telephone-event to send to a leg, of the clock given if it has that.
const PayloadFormat* event_to(const Stream& p, uint32_t clock_rate) {
  const PayloadFormat* found = nullptr;
  for (const PayloadFormat& f : p.remote_formats)
    if (is_event(f) && (!found || (f.clock_rate == clock_rate && found->clock_rate != clock_rate)))
      found = &f;
  return found;
}

/// What a tone among packets of that clock is said in.
const PayloadFormat* sound_to(const Stream& p, uint32_t clock_rate, uint8_t like) {
  const PayloadFormat* found = nullptr;
  for (const PayloadFormat& f : p.remote_formats)
    if (can_code(f) && f.clock_rate == clock_rate && (!found || f.payload_type == like)) found = &f;
  return found;
}

std::optional<size_t> audio_line(const Endpoint& e) {
  for (size_t i = 0; i < e.streams.size(); ++i)
    if (e.streams[i].live && e.streams[i].wire == Wire::rtp && iequals(e.streams[i].kind, "audio")) return i;
  return std::nullopt;
}

/// The leg tells its presses in its sound, for all we know.
bool says_tones(const Endpoint& e, const Stream& s) {
  if (e.config.dtmf == Dtmf::inband) return true;
  return e.config.dtmf == Dtmf::automatic && !(has_event(s.local_formats) && has_event(s.remote_formats));
}

std::vector<playout::Format> heard_of(const Stream& s) {
  std::vector<playout::Format> heard;
  for (const PayloadFormat& f : s.local_formats)
    if (can_code(f)) heard.push_back(played(f));
  return heard;
}

}  // namespace

std::optional<DtmfWay> EngineState::dtmf_way(const Endpoint& e, const Stream& s) {
  const std::optional<DtmfWay> tones = said_format(s) ? std::optional(DtmfWay::tone) : std::nullopt;
  switch (e.config.dtmf) {
    case Dtmf::rfc4733:
      return has_event(s.remote_formats) ? std::optional(DtmfWay::event) : std::nullopt;
    case Dtmf::info:
      return DtmfWay::info;
    case Dtmf::inband:
      return tones;
    case Dtmf::automatic:
      break;
  }
  if (has_event(s.remote_formats)) return DtmfWay::event;
  return e.says_info ? std::optional(DtmfWay::info) : tones;
}

EngineState::DtmfTarget EngineState::dtmf_target(const Endpoint& e, size_t index) {
  Endpoint* partner = endpoints.find(e.partner);
  if (!partner || e.room || e.feed == Feed::echo || partner->feed != Feed::partner ||
      index >= e.streams.size() || !e.config.transcode || !partner->config.transcode)
    return {};
  const Stream& s = e.streams[index];
  const Stream* p = s.live && s.wire == Wire::rtp ? counterpart(e, index, *partner) : nullptr;
  if (!p || p->wire != Wire::rtp) return {};
  Stream& stream = partner->streams[static_cast<size_t>(p - partner->streams.data())];
  return {partner, &stream, dtmf_way(*partner, stream)};
}

LegDtmf& EngineState::dtmf_of(Endpoint& e) {
  if (!e.dtmf) {
    e.dtmf = std::make_unique<LegDtmf>();
    e.dtmf->stream = audio_line(e).value_or(0);
    e.dtmf->to = e.partner;
  }
  return *e.dtmf;
}

void EngineState::connect_dtmf(Endpoint& e) {
  const auto line = audio_line(e);
  const DtmfTarget to = line ? dtmf_target(e, *line) : DtmfTarget{};
  bool listens = false;
  if (line && says_tones(e, e.streams[*line])) {
    const Stream& s = e.streams[*line];
    const bool fax = s.bridge && s.bridge->keeps_time();
    // To a partner who hears tones they go as they are, unless they may be told by INFO, too.
    listens = to.partner ? !fax && to.way && (to.way != DtmfWay::tone || e.says_info)
                         : e.room || !endpoints.find(e.partner);
  }
  if (!listens && !e.dtmf) return;
  LegDtmf& d = dtmf_of(e);
  if (line && *line != d.stream) {
    if (Flow* before = d.stream < e.streams.size() ? flow_of(e.streams[d.stream].rtp.id) : nullptr)
      before->dtmf = false;
    d.stream = *line;
    d.line = {};
  }
  if (d.to != e.partner) {
    d.to = e.partner;
    d.sent = {};
    d.line.close();
    d.speaker.reset();
  }
  d.holds = listens && to.partner;
  if (!listens) {
    d.ear.reset();
  } else if (auto formats = heard_of(e.streams[*line]); !d.ear || d.ear->formats() != formats) {
    d.ear = std::make_unique<DtmfEar>(std::move(formats));
  }
  Flow* f = d.stream < e.streams.size() ? flow_of(e.streams[d.stream].rtp.id) : nullptr;
  if (!f) return;
  f->dtmf = d.ear || d.line.open();
  if (d.line.offset() == 0 || e.feed == Feed::echo) return;
  f->rewrite.identity = false;
  f->rewrite.sequence_offset = d.line.offset();
}

void EngineState::arm_dtmf(Endpoint& e) {
  const LegDtmf& d = *e.dtmf;
  Instant next = d.heard.next_timeout();
  if (d.sent.active()) next = std::min(next, d.frame_at);
  if (d.line.open()) next = std::min(next, d.line_at);
  if (next >= e.dtmf_at) return;  // it is looked at again then
  e.dtmf_at = next;
  timers.push(next, {e.id, TimerKind::dtmf});
}

/// What the leg has just told, to whom it concerns.
void EngineState::tell_presses(Now now, Endpoint& e) {
  const LegDtmf& d = *e.dtmf;
  const DtmfTarget to = dtmf_target(e, d.stream);
  for (const PressNews& news : d.heard.news()) {
    if (news.begins) {
      counters_.dtmf_heard[static_cast<size_t>(news.way)]->add();
      emit(e, MediaEvent::Kind::digit, news.digit);
    }
    ++e.revision;
    if (to.partner) tell_partner(now, e, to, news);
  }
  arm_dtmf(e);
}

void EngineState::tell_partner(Now now, Endpoint& e, const DtmfTarget& to, const PressNews& news) {
  LegDtmf& d = *e.dtmf;
  if (!to.way) {
    if (news.begins) counters_.dtmf_lost.add();
    return;
  }
  if (news.begins) counters_.dtmf_sent[static_cast<size_t>(*to.way)]->add();
  if (news.way == DtmfWay::event && d.relayed) return;
  if (to.way == DtmfWay::info) {
    if (news.ends) emit(*to.partner, MediaEvent::Kind::send_digit, news.digit, news.lasted);
    return;
  }
  if (!news.begins) return d.sent.end(news.digit, news.lasted);
  const bool idle = !d.sent.active();
  const bool taken = news.ends ? d.sent.press(now.mono, news.digit, news.volume, news.lasted)
                               : d.sent.begin(now.mono, news.digit, news.volume);
  if (!taken) {
    counters_.dtmf_sent[static_cast<size_t>(*to.way)]->sub();
    return counters_.dtmf_lost.add();
  }
  if (idle) d.frame_at = now.mono;
  open_line(now, e, nullptr);
}

bool EngineState::press(Now now, Endpoint& e, char digit, Duration lasted) {
  if (!event_of_digit(digit)) return false;
  LegDtmf& d = dtmf_of(e);
  if (!e.says_info) {
    e.says_info = true;
    ++e.revision;
    reroute(e);
  }
  d.heard.info(now.mono, digit, lasted);
  tell_presses(now, e);
  const Endpoint* partner = endpoints.find(e.partner);
  return !partner || partner->feed != Feed::partner || dtmf_target(e, d.stream).partner;
}

/// Sound of that type is decoded for the partner, or would be.
bool EngineState::by_bridge(const Endpoint& e, uint8_t payload_type) const {
  const Stream& s = e.streams[e.dtmf->stream];
  return s.bridge && s.bridge->plan().hears(payload_type);
}

/// From now on the packets relayed to the partner are numbered anew: some are left out, and ours put in.
/// `without`: the first that is.
void EngineState::open_line(Now now, Endpoint& e, const rtp::Header* without) {
  LegDtmf& d = *e.dtmf;
  d.line_at = now.mono + settling;
  if (d.line.open()) return;
  const Stream& s = e.streams[d.stream];
  Flow* f = flow_of(s.rtp.id);
  if (!f || !f->received.started || !f->received.has_arrival || by_bridge(e, f->last_payload_type) ||
      (s.bridge && s.bridge->active()))
    return;
  const rtp::ReceiverStatistics& r = f->received;
  const Duration since = std::min<Duration>(now.mono - r.last_arrival, seconds(10));
  uint32_t timestamp =
      r.last_timestamp + static_cast<uint32_t>(since.count() / 1000 * r.clock_rate / 1'000'000);
  uint16_t last = r.highest;
  if (const auto* held = d.ear && d.holds ? d.ear->first() : nullptr) {
    last = static_cast<uint16_t>(held->header.sequence - 1);
    timestamp = held->header.timestamp;
  } else if (without) {
    last = static_cast<uint16_t>(without->sequence - 1);
  }
  d.line.begin(r.ssrc, last, timestamp, r.clock_rate);
  f->dtmf = true;
}

/// False: the packet came too late, or while a press is sent.
bool EngineState::renumber(Endpoint& e, Flow& f, const rtp::Header& header, port::MediaPacket& p,
                           bool event) {
  LegDtmf& d = *e.dtmf;
  if (!d.line.open() || (!event && by_bridge(e, header.payload_type))) return true;
  if (d.sent.active() && !event) {
    d.line.drop(header);
    return false;
  }
  const auto sequence = d.line.pass(header, event);
  if (!sequence) return false;
  if (!d.line.open()) {  // another stream: what the offset is now, it stays
    f.rewrite.identity = false;
    f.rewrite.sequence_offset = d.line.offset();
  }
  // The flow adds its offset behind us.
  const uint16_t offset = f.rewrite.identity ? 0 : f.rewrite.sequence_offset;
  rtp::store16(p.bytes.data() + 2, static_cast<uint16_t>(*sequence - offset));
  if (!event && d.line.take_marker()) p.bytes[1] |= 0x80;
  return true;
}

/// The leg reports about packets of its partner's that have our numbers.
void EngineState::number_back(const Endpoint& partner, MutableBytes compound) const {
  if (partner.dtmf)
    rtp::shift_back(compound, partner.dtmf->line.ssrc(), static_cast<int16_t>(partner.dtmf->line.offset()));
}

bool EngineState::hear_event(Now now, Flow& f, const Clock& clock, const rtp::Header& header,
                             port::MediaPacket& p) {
  Endpoint* e = endpoints.find(f.endpoint);
  const auto event = rtp::TelephoneEvent::parse(
      Bytes(p.bytes).subspan(header.payload_offset, p.bytes.size() - header.payload_offset - header.padding));
  if (!e || !event || (e->dtmf ? e->dtmf->stream : audio_line(*e)) != f.stream) return true;
  const DtmfTarget to = dtmf_target(*e, f.stream);
  const bool takes = !to.partner || to.way == DtmfWay::event;
  LegDtmf& d = dtmf_of(*e);
  bool relays = takes;
  if (event->digit() != 0) {
    const bool idle = !d.sent.active();
    d.heard.event(now.mono, header.ssrc,
                  {event->event, event->end, header.marker, event->volume, event->duration, header.timestamp},
                  clock.rate);
    for (const PressNews& news : d.heard.news())
      if (news.begins) d.relayed = takes && idle;
    relays = takes && (!to.partner || (d.relayed && d.heard.event_leads()));
  }
  if (!relays) {
    open_line(now, *e, &header);
    d.line.drop(header);
  }
  if (event->digit() != 0) tell_presses(now, *e);
  if (!relays) arm_dtmf(*e);
  if (!relays || !to.partner) return relays;
  if (const Bridge* bridge = e->streams[f.stream].bridge.get(); bridge && bridge->active()) return true;
  if (const PayloadFormat* t = event_to(*to.stream, clock.rate); t && t->clock_rate != clock.rate) {
    p.bytes[1] = static_cast<uint8_t>((p.bytes[1] & 0x80) | t->payload_type);
    const uint64_t lasted = uint64_t{event->duration} * t->clock_rate / std::max<uint32_t>(1, clock.rate);
    rtp::store16(p.bytes.data() + header.payload_offset + 2,
                 static_cast<uint16_t>(std::min<uint64_t>(lasted, UINT16_MAX)));
  }
  return renumber(*e, f, header, p, true);
}

/// A packet of sound in the ear: it waits until it is clear, or was a tone and goes nowhere.
bool EngineState::listen(Now now, Endpoint& e, const rtp::Header& header, const port::MediaPacket& p,
                         std::vector<DtmfEar::Held>& released) {
  LegDtmf& d = *e.dtmf;
  const bool was = d.ear->in_tone();
  const Bytes payload =
      Bytes(p.bytes).subspan(header.payload_offset, p.bytes.size() - header.payload_offset - header.padding);
  bool tone = was;
  const auto changes = d.ear->hear(header, payload);
  for (size_t i = 0; i < changes.size(); ++i) {
    tone = true;
    if (changes[i].on && d.holds) open_line(now, e, &header);  // before the held ones are forgotten
    d.heard.tone(now.mono, changes[i]);
    tell_presses(now, e);
  }
  if (d.ear->in_tone()) {
    d.heard.tone_lasts(now.mono);
    arm_dtmf(e);
  }
  if (!d.holds) return false;
  if (tone) {
    while (const auto held = d.ear->release(true)) d.line.drop(held->header);
    d.line.drop(header);
    d.line_at = now.mono + settling;
    return true;
  }
  if (now.mono - d.sound_at > sound_pause)
    while (auto held = d.ear->release(true)) released.push_back(std::move(*held));
  d.sound_at = now.mono;
  d.ear->hold(header, p.bytes);
  while (auto held = d.ear->release(false)) released.push_back(std::move(*held));
  return true;
}

bool EngineState::detour(Now now, Flow& f, const rtp::Header& header, port::MediaPacket& p,
                         std::vector<DtmfEar::Held>& released) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e || !e->dtmf || e->dtmf->stream != f.stream) return false;
  if (e->dtmf->ear) return listen(now, *e, header, p, released);
  return !renumber(*e, f, header, p, false);
}

DtmfSent* EngineState::pressed_by(Endpoint& e, const Stream& s, const Endpoint& partner) {
  const bool ours = e.dtmf && &s == &e.streams[e.dtmf->stream] && e.dtmf->to == partner.id;
  return ours && e.dtmf->sent.active() ? &e.dtmf->sent : nullptr;
}

/// A packet of ours: among those relayed, or else on the partner's own stream.
void EngineState::send_on_line(Now now, LegDtmf& d, Stream& p, rtp::Header header, Bytes payload,
                               port::MediaOut& out) {
  const Exits to = exits_to(p);
  if (!to.rtp.on) return;
  const bool relayed = d.line.open();
  header.ssrc = relayed ? d.line.ssrc() : p.own.ssrc;
  header.sequence = relayed ? d.line.next() : p.own.sequence;
  if (!relayed) p.own.said(now.mono, header.timestamp, payload.size());
  if (relayed && p.one_source && !p.own.relay(now.mono, header, payload.size(), false)) return;
  Buffer packet = Buffer::with_capacity(rtp::Header::fixed_bytes + payload.size() + srtp::tail_room);
  packet.resize(rtp::Header::fixed_bytes + payload.size());
  header.write(packet.data());
  std::copy(payload.begin(), payload.end(), packet.data() + rtp::Header::fixed_bytes);
  send_rtp(now, out, to.rtp, std::move(packet));
  Flow& exit = flows[to.rtp.port.slot];
  ++exit.sent_packets;
  exit.sent_octets += payload.size();
  counters_.originated.add();
}

void EngineState::send_press(Now now, LegDtmf& d, Stream& p, const codec::EventPacket& event,
                             uint8_t payload_type, port::MediaOut& out) {
  rtp::Header h;
  h.marker = event.marker;
  h.payload_type = payload_type;
  h.timestamp = event.timestamp;
  std::array<uint8_t, 4> body{};
  rtp::TelephoneEvent{event.event, event.end, event.volume, event.duration}.write(body.data());
  send_on_line(now, d, p, h, body, out);
}

/// A frame of what is sent to the partner, where no bridge does that.
void EngineState::play_press(Now now, Endpoint& e, const DtmfTarget& to, port::MediaOut& out) {
  LegDtmf& d = *e.dtmf;
  Stream& p = *to.stream;
  const Flow* f = flow_of(e.streams[d.stream].rtp.id);
  const PayloadFormat* own = said_format(p);
  if (!d.line.open() && own) speak(now, p.own, own->clock_rate);
  const bool relayed = d.line.open();
  const uint32_t clock = relayed ? d.line.clock_rate() : p.own.clock_rate;
  uint32_t& own_timestamp = p.own.timestamp;
  const uint32_t timestamp = relayed ? d.line.timestamp() : own_timestamp;
  const PayloadFormat* event = event_to(p, clock);
  const PayloadFormat* sound = sound_to(p, clock, f ? f->last_payload_type : 0);
  const bool as_events = to.way == DtmfWay::event;
  if (!as_events && sound && (!d.speaker || d.spoken != played(*sound))) {
    d.spoken = played(*sound);
    d.speaker.reset();
    if (auto made = playout::Speaker::make({d.spoken, 8000, p.ptime_ms, 5}); made.ok())
      d.speaker.emplace(std::move(*made));
  }
  const uint32_t frame = !as_events && d.speaker ? d.speaker->frame_ms() : p.ptime_ms;
  const auto next =
      d.sent.next(now.mono, {as_events, clock, event ? event->clock_rate : clock, frame}, timestamp);
  if (next.event && event) send_press(now, d, p, *next.event, event->payload_type, out);
  if (next.sound && d.speaker) {
    std::vector<int16_t> samples(d.speaker->frame_samples());
    d.sent.render(samples, 8000);
    if (const auto said = d.speaker->say(samples)) {
      rtp::Header h;
      h.marker = said->marker;
      h.payload_type = d.spoken.payload_type;
      h.timestamp = timestamp + said->later;
      send_on_line(now, d, p, h, said->payload, out);
    }
  }
  (relayed ? d.line.advance(frame * (clock / 1000)) : void(own_timestamp += frame * (clock / 1000)));
  d.line.mark();
  d.frame_at = (now.mono - d.frame_at > most_catch_up ? now.mono : d.frame_at) + milliseconds(frame);
}

void EngineState::on_dtmf_timeout(Now now, Endpoint& e, port::MediaOut& out) {
  e.dtmf_at = Instant::never();
  if (!e.dtmf) return;
  LegDtmf& d = *e.dtmf;
  if (d.heard.next_timeout() <= now.mono) {
    d.heard.on_silence(now.mono);
    tell_presses(now, e);
  }
  const DtmfTarget to = dtmf_target(e, d.stream);
  const bool sounds = to.way == DtmfWay::event || to.way == DtmfWay::tone;
  if (d.sent.active() && (!to.partner || !sounds)) d.sent = {};
  if (d.sent.active() && d.frame_at <= now.mono) {
    const Bridge* bridge = e.streams[d.stream].bridge.get();
    if (bridge && bridge->active())
      d.frame_at = now.mono + milliseconds(frame_ms);  // its frames are by the bridge's clock
    else
      play_press(now, e, to, out);
    d.line_at = now.mono + settling;
  }
  if (d.line.open() && !d.sent.active() && !d.heard.pressed() && d.line_at <= now.mono) {
    d.line.close();
    ++e.revision;
    reroute(e);
  } else if (d.line.open() && d.line_at <= now.mono) {
    d.line_at = now.mono + settling;
  }
  arm_dtmf(e);
}

}  // namespace tandem::media
