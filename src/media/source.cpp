// What happens without a packet: tones we play, reports about them, the time-out of a dead leg.
#include <algorithm>
#include <array>

#include "base/text.h"
#include "media/state.h"
#include "rtp/packet.h"

namespace tandem::media {
namespace {

constexpr Duration frame = milliseconds(frame_ms);
constexpr Duration most_catch_up = milliseconds(200);

/// The first G.711 format the leg can hear.
std::optional<std::pair<codec::G711, uint8_t>> g711_of(const Stream& s) {
  for (const PayloadFormat& f : s.remote_formats) {
    if (f.clock_rate != 8000 || f.channels != 1) continue;
    if (iequals(f.encoding, "PCMU")) return {{codec::G711::mu_law, f.payload_type}};
    if (iequals(f.encoding, "PCMA")) return {{codec::G711::a_law, f.payload_type}};
  }
  return std::nullopt;
}

std::string cname_of(const Endpoint& e) { return std::to_string(e.session_id); }

}  // namespace

std::optional<size_t> EngineState::g711_stream(const Endpoint& e) const {
  for (size_t i = 0; i < e.streams.size(); ++i) {
    const Stream& s = e.streams[i];
    if (s.live && s.wire == Wire::rtp && iequals(s.kind, "audio") && g711_of(s)) return i;
  }
  return std::nullopt;
}

/// A stream of ours begins, or goes on at another clock.
void EngineState::begin_own(OwnStream& own, uint32_t clock_rate) {
  if (own.ssrc != 0 && own.clock_rate == clock_rate) return;
  own.ssrc = static_cast<uint32_t>(rng.next()) | 1;
  own.sequence = static_cast<uint16_t>(rng.next() & 0x7FFF);
  own.timestamp = static_cast<uint32_t>(rng.next());
  own.clock_rate = clock_rate;
}

/// Indices no snapshot knows of, too many of them: the next owner would use them again.
void EngineState::due(const Flow& exit) {
  if (!exit.secured->snapshot_due()) return;
  if (Endpoint* e = endpoints.find(exit.endpoint)) ++e->revision;
}

void EngineState::send_rtp(port::MediaOut& out, const Destination& to, Buffer packet) {
  const Flow& exit = flows[to.port.slot];
  if (exit.secured) {
    const auto size = exit.secured->close_rtp(packet.writable(), packet.size());
    if (!size) return counters_.not_encrypted.add();
    packet.resize(*size);
    due(exit);
  }
  out.send_own(to.port, to.remote, std::move(packet));
}

void EngineState::send_rtcp(port::MediaOut& out, const Destination& to, Buffer packet) {
  const Flow& exit = flows[to.port.slot];
  if (exit.secured) {
    const auto size = exit.secured->close_rtcp(packet.writable(), packet.size());
    if (!size) return counters_.not_encrypted.add();
    packet.resize(*size);
    due(exit);
  }
  out.send_own(to.port, to.remote, std::move(packet));
}

void EngineState::arm_bridge(Endpoint& e, Instant at) {
  e.bridge_at = at;
  timers.push(at, {e.id, TimerKind::bridge});
}
void EngineState::arm_tone(Endpoint& e, Instant at) {
  e.tone_at = at;
  timers.push(at, {e.id, TimerKind::tone});
}
void EngineState::arm_report(Endpoint& e, Instant at) {
  e.report_at = at;
  timers.push(at, {e.id, TimerKind::report});
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
    Endpoint* e = endpoints.find(due.key.endpoint);
    if (!e) continue;
    switch (due.key.kind) {
      case TimerKind::tone:
        if (e->tone_at == due.deadline) play_frame(now, *e, out);
        break;
      case TimerKind::report:
        if (e->report_at == due.deadline) send_reports(now, *e, out);
        break;
      case TimerKind::bridge:
        if (e->bridge_at == due.deadline) play_bridges(now, *e, out);
        break;
      case TimerKind::silence:
        if (e->silence_at == due.deadline) check_silence(now, *e);
        break;
    }
  }
}

void EngineState::play_frame(Now now, Endpoint& e, port::MediaOut& out) {
  if (e.feed != Feed::tone || e.tone_stream >= e.streams.size()) {
    e.tone_at = Instant::never();
    return;
  }
  Stream& s = e.streams[e.tone_stream];
  Instant next = e.tone_at + frame;
  if (now.mono - next > most_catch_up) {  // we slept: the missed frames are a gap, not a burst
    const auto missed = static_cast<uint32_t>((now.mono - next) / frame);
    s.own.timestamp += missed * frame_samples;
    next = next + frame * missed;
  }
  std::array<int16_t, frame_samples> samples;
  e.tone.render(samples);
  const auto law = g711_of(s);
  const Exits to = exits_to(s);
  if (law && to.rtp.on) {
    Buffer packet = Buffer::with_capacity(rtp::Header::fixed_bytes + frame_samples + srtp::tail_room);
    packet.resize(rtp::Header::fixed_bytes + frame_samples);
    rtp::Header h;
    h.marker = e.tone_starts;
    h.payload_type = law->second;
    h.sequence = s.own.sequence++;
    h.timestamp = s.own.timestamp;
    h.ssrc = s.own.ssrc;
    h.write(packet.data());
    codec::encode(law->first, samples, packet.writable().subspan(rtp::Header::fixed_bytes, frame_samples));
    send_rtp(out, to.rtp, std::move(packet));
    e.tone_starts = false;
    ++s.own.packets;
    s.own.octets += frame_samples;
    Flow& exit = flows[to.rtp.port.slot];
    ++exit.sent_packets;
    exit.sent_octets += frame_samples;
    counters_.originated.add();
  }
  s.own.timestamp += frame_samples;
  if (e.tone.finished()) {
    emit(e, MediaEvent::Kind::tone_finished);
    stop(now, e);
    return;
  }
  arm_tone(e, next);
}

/// Whether what the leg hears on that stream is ours.
bool EngineState::speaks(const Endpoint& e, size_t index) const {
  switch (e.feed) {
    case Feed::tone:
      return index == e.tone_stream;
    case Feed::echo:
      return true;
    case Feed::partner:
      return is_bridged_to(e, index);
  }
  return false;
}

/// SR for what we originate, with a block about what we hear (RFC 3550 section 6.4.1).
void EngineState::send_reports(Now now, Endpoint& e, port::MediaOut& out) {
  bool speaking = e.feed != Feed::partner;
  for (size_t i = 0; i < e.streams.size(); ++i) {
    if (!speaks(e, i)) continue;
    speaking = true;
    Stream& s = e.streams[i];
    Flow* f = flow_of(s.rtp.id);
    const Exits to = exits_to(s);
    if (!f || s.wire != Wire::rtp || !to.rtcp.on) continue;
    const bool echoing = e.feed == Feed::echo;
    rtp::SenderInfo info;
    info.ntp = rtp::ntp_time(now.wall);
    info.packets = static_cast<uint32_t>(echoing ? f->sent_packets : s.own.packets);
    info.octets = static_cast<uint32_t>(echoing ? f->sent_octets : s.own.octets);
    info.rtp_timestamp = s.own.timestamp;
    if (echoing) {
      const int64_t since = f->received.has_arrival ? (now.mono - f->received.last_arrival).count() : 0;
      info.rtp_timestamp = f->received.last_timestamp +
                           static_cast<uint32_t>(since / 1000 * f->received.clock_rate / 1'000'000);
    }
    std::optional<rtp::ReportBlock> block;
    if (f->received.started) {
      block = f->received.report();
      if (s.own.peer_report_ntp != 0) {
        block->last_sr = s.own.peer_report_ntp;
        block->delay_since_last_sr =
            static_cast<uint32_t>((now.mono - s.own.peer_report_at).count() / 1000 * 65536 / 1'000'000);
      }
    }
    s.own.last_report_ntp = rtp::ntp_middle(info.ntp);
    constexpr size_t longest = 160;
    Buffer packet = Buffer::with_capacity(longest + srtp::tail_room);
    packet.resize(longest);
    const size_t size = rtp::write_report(packet.writable().first(longest),
                                          echoing ? s.own.echo_ssrc : s.own.ssrc, info, block, cname_of(e));
    packet.resize(size);
    send_rtcp(out, to.rtcp, std::move(packet));
    counters_.originated.add();
  }
  if (speaking)
    arm_report(e, now.mono + config.rtcp_interval);
  else
    e.report_at = Instant::never();
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
