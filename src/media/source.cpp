// What happens without a packet: tones and sounds we play, the time-out of a dead leg.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "media/state.h"
#include "rtp/packet.h"

namespace tandem::media {
namespace {

constexpr Duration most_catch_up = milliseconds(200);
constexpr Duration picture_rest = milliseconds(500);  // between two requests to one leg

/// What music and announcements are said in. Who hears one source hears it at the clock it has, if the leg
/// has a codec of that: another would be another source.
const PayloadFormat* voice_format(const Stream& s) {
  if (s.one_source && s.own.packets > 0)
    for (const PayloadFormat& f : s.remote_formats)
      if (can_code(f) && f.clock_rate == s.own.clock_rate) return &f;
  return said_format(s);
}

}  // namespace

const PayloadFormat* said_format(const Stream& s) {
  const auto f = std::find_if(s.remote_formats.begin(), s.remote_formats.end(),
                              [](const PayloadFormat& each) { return can_code(each); });
  return f == s.remote_formats.end() ? nullptr : &*f;
}

std::optional<size_t> EngineState::voice_stream(const Endpoint& e) const {
  for (size_t i = 0; i < e.streams.size(); ++i) {
    const Stream& s = e.streams[i];
    if (s.live && s.wire == Wire::rtp && iequals(s.kind, "audio") && said_format(s)) return i;
  }
  return std::nullopt;
}

/// What is said next on that stream is ours.
void EngineState::speak(Now now, OwnStream& own, uint32_t clock_rate) {
  own.begin(clock_rate, rng);
  own.take_over(now.mono);
}

/// Indices no snapshot knows of, too many of them: the next owner would use them again.
void EngineState::due(const Flow& exit) {
  if (!exit.secured->snapshot_due()) return;
  if (Endpoint* e = endpoints.find(exit.endpoint)) ++e->revision;
}

void EngineState::send_rtp(Now now, port::MediaOut& out, const Destination& to, Buffer packet) {
  const Flow& exit = flows[to.port.slot];
  if (exit.locked && !exit.secured) return counters_.no_keys.add();
  if (exit.tapped) tap_packet(now, exit, Tap::hears, packet.bytes());
  if (exit.secured) {
    const auto size = exit.secured->close_rtp(packet.writable(), packet.size());
    if (!size) return counters_.not_encrypted.add();
    packet.resize(*size);
    due(exit);
  }
  out.send_own(to.port, to.remote, std::move(packet), to.connection);
}

void EngineState::send_rtcp(port::MediaOut& out, const Destination& to, Buffer packet) {
  const Flow* const found = flow_of(to.port);
  if (!found) return;
  const Flow& exit = *found;
  if (exit.locked) {
    if (!exit.secured) return counters_.no_keys.add();
    const auto size = exit.secured->close_rtcp(packet.writable(), packet.size());
    if (!size) return counters_.not_encrypted.add();
    packet.resize(*size);
    due(exit);
  }
  out.send_own(to.port, to.remote, std::move(packet), to.connection);
}

void EngineState::arm_bridge(Endpoint& e, Instant at) {
  e.bridge_at = at;
  timers.push(at, {e.id, TimerKind::bridge});
}
void EngineState::arm_voice(Endpoint& e, Instant at) {
  e.voice_at = at;
  timers.push(at, {e.id, TimerKind::voice});
}
void EngineState::arm_report(Endpoint& e, Instant at) {
  e.report_at = at;
  timers.push(at, {e.id, TimerKind::report});
}
void EngineState::arm_tap(Endpoint& e, Instant at) {
  e.tap_at = at;
  timers.push(at, {e.id, TimerKind::tap});
}
void EngineState::arm_silence(Endpoint& e, Instant at) {
  e.silence_at = at;
  timers.push(at, {e.id, TimerKind::silence});
}

void EngineState::restart_silence(Now now, Endpoint& e) {
  e.quiet_since = now.mono;
  e.timed_out = false;
  if (e.config.media_timeout <= Duration::zero()) {
    e.silence_at = Instant::never();
  } else if (e.silence_at.is_never() || e.silence_at > now.mono + e.config.media_timeout) {
    arm_silence(e, now.mono + e.config.media_timeout);
  }
}

void EngineState::on_timeout(Now now, port::MediaOut& out) {
  TimerQueue<TimerKey>::Due due;
  while (timers.pop_due(now.mono, due)) {
    if (due.key.kind == TimerKind::room) {
      play_room(now, due.key.endpoint, due.deadline, out);
      continue;
    }
    Endpoint* e = endpoints.find(due.key.endpoint);
    if (!e) continue;
    switch (due.key.kind) {
      case TimerKind::voice:
        if (e->voice_at == due.deadline) play_voice(now, *e, out);
        break;
      case TimerKind::report:
        if (e->report_at == due.deadline) send_reports(now, *e, out);
        break;
      case TimerKind::bridge:
        if (e->bridge_at == due.deadline) play_bridges(now, *e, out);
        break;
      case TimerKind::tap:
        if (e->tap_at == due.deadline) play_tap(now, *e);
        break;
      case TimerKind::silence:
        if (e->silence_at == due.deadline) check_silence(now, *e);
        break;
      case TimerKind::keying:
        if (e->keying_at == due.deadline) on_keying(now, *e, out);
        break;
      case TimerKind::ice:
        if (e->ice_at == due.deadline) on_ice_timeout(now, *e, out);
        break;
      case TimerKind::restart:
        if (e->ice && e->ice->restart_at == due.deadline) on_restart_timeout(now, *e);
        break;
      case TimerKind::picture:
        if (e->picture_at == due.deadline) ask_for_pictures(now, *e, out);
        break;
      case TimerKind::arrivals:
        if (e->arrivals_at == due.deadline) tell_arrivals(now, *e, out);
        break;
      case TimerKind::dtmf:
        if (e->dtmf_at == due.deadline) on_dtmf_timeout(now, *e, out);
        break;
      case TimerKind::room:
        break;
    }
  }
}

/// A frame of ours on its way: header, statistics.
void EngineState::send_said(Now now, port::MediaOut& out, Stream& s, const playout::Speaker::Said& said,
                            uint8_t payload_type, const Destination& to) {
  const size_t octets = said.payload.size();
  Buffer packet = Buffer::with_capacity(rtp::Header::fixed_bytes + octets + srtp::tail_room);
  packet.resize(rtp::Header::fixed_bytes + octets);
  rtp::Header h;
  h.marker = said.marker;
  h.payload_type = payload_type;
  h.sequence = s.own.sequence;
  h.timestamp = s.own.timestamp + said.later;
  h.ssrc = s.own.ssrc;
  h.write(packet.data());
  std::copy(said.payload.begin(), said.payload.end(), packet.data() + rtp::Header::fixed_bytes);
  send_rtp(now, out, to, std::move(packet));
  s.own.said(now.mono, h.timestamp, octets);
  Flow& exit = flows[to.port.slot];
  ++exit.sent_packets;
  exit.sent_octets += octets;
  counters_.originated.add();
}

void EngineState::play_voice(Now now, Endpoint& e, port::MediaOut& out) {
  if (e.feed != Feed::voice || e.voice_stream >= e.streams.size()) {
    e.voice_at = Instant::never();
    return;
  }
  Stream& s = e.streams[e.voice_stream];
  const PayloadFormat* f = voice_format(s);
  Instant next = e.voice_at + milliseconds(e.voice.frame_ms());
  if (f) {
    speak(now, s.own, f->clock_rate);
    effort.frame(e.voice_at, now.mono);
    e.voice.set_complexity(effort.complexity());
    if (s.own.expected_loss) e.voice.set_expected_loss(*s.own.expected_loss);
    const auto said = e.voice.say(played(*f), s.ptime_ms);
    const Duration frame = milliseconds(e.voice.frame_ms());
    next = e.voice_at + frame;
    const Exits to = exits_to(s);
    if (said && to.rtp.on) send_said(now, out, s, *said, f->payload_type, to.rtp);
    s.own.timestamp += e.voice.frame_ticks();
    if (now.mono - next > most_catch_up) {  // we slept: the missed frames are a gap, not a burst
      const auto missed = static_cast<uint32_t>((now.mono - next) / frame);
      s.own.timestamp += missed * e.voice.frame_ticks();
      next = next + frame * missed;
    }
  }
  if (e.voice.finished()) {
    emit(e, MediaEvent::Kind::played);
    stop(now, e);
    return;
  }
  arm_voice(e, next);
}

void EngineState::want_picture(Now now, const Endpoint& viewer) {
  Endpoint* sender = endpoints.find(viewer.partner);
  if (!sender || !sender->picture_at.is_never()) return;
  const bool has = std::any_of(sender->streams.begin(), sender->streams.end(),
                               [](const Stream& s) { return s.live && iequals(s.kind, "video"); });
  if (!has) return;
  sender->picture_at = now.mono;
  if (sender->picture_asked) sender->picture_at = std::max(now.mono, *sender->picture_asked + picture_rest);
  timers.push(sender->picture_at, {sender->id, TimerKind::picture});
}

/// Nothing where no picture has come yet: the first is a whole one.
void EngineState::ask_for_pictures(Now now, Endpoint& e, port::MediaOut& out) {
  e.picture_at = Instant::never();
  e.picture_asked = now.mono;
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Stream& s = e.streams[i];
    const Flow* f = flow_of(s.rtp.id);
    const Exits to = exits_to(s);
    if (!s.live || s.wire != Wire::rtp || !iequals(s.kind, "video") || !f || !f->received.started ||
        !to.rtcp.on)
      continue;
    const auto feedback = e.remote->attributes(i, "rtcp-fb");
    if (std::none_of(feedback.begin(), feedback.end(),
                     [](std::string_view v) { return v.find("pli") != std::string_view::npos; }))
      continue;
    s.own.name(90'000, rng);
    constexpr size_t size = 20;
    Buffer packet = Buffer::with_capacity(size + srtp::tail_room);
    packet.resize(size);
    rtp::write_picture_loss(packet.writable().first(size), s.own.ssrc, f->received.ssrc);
    send_rtcp(out, to.rtcp, std::move(packet));
    counters_.originated.add();
  }
}

void EngineState::check_silence(Now now, Endpoint& e) {
  if (e.config.media_timeout <= Duration::zero()) {
    e.silence_at = Instant::never();
    return;
  }
  const auto expects_media = [](const Endpoint& of) {
    return std::any_of(of.streams.begin(), of.streams.end(),
                       [](const Stream& s) { return s.live && s.direction == sdp::Direction::sendrecv; });
  };
  const auto last_heard = [this](const Endpoint& from) {
    Instant last = from.quiet_since;
    for (const Stream& s : from.streams)
      for (const Flow* f : {flow_of(s.rtp.id), flow_of(s.rtcp.id)})
        if (f && f->active) last = std::max(last, f->last_accepted);
    return last;
  };
  // Who only listens (muted, discontinuous transmission) may send nothing for as long as the other side
  // talks.
  const Endpoint* partner = endpoints.find(e.partner);
  const Instant last = partner ? std::max(last_heard(e), last_heard(*partner)) : last_heard(e);
  const bool joined = partner || e.feed != Feed::partner;
  if (!joined || !expects_media(e) || (partner && !expects_media(*partner))) {
    // On hold or not yet talking: the count begins when that ends, and is looked at again then.
    e.quiet_since = now.mono;
    arm_silence(e, now.mono + e.config.media_timeout);
    return;
  }
  if (now.mono - last < e.config.media_timeout) {
    e.timed_out = false;
    arm_silence(e, last + e.config.media_timeout);
    return;
  }
  if (!e.timed_out) {
    e.timed_out = true;
    counters_.timeouts.add();
    emit(e, MediaEvent::Kind::timeout);
  }
  arm_silence(e, now.mono + e.config.media_timeout);
}

}  // namespace tandem::media
