#include "media/codecs.h"
#include "media/engine.h"

#include <algorithm>

#include "base/text.h"
#include "media/state.h"
#include "media/trickle.h"

namespace tandem::media {

const char* to_string(Reason r) {
  switch (r) {
    case Reason::ports_exhausted:
      return "ports_exhausted";
    case Reason::too_many_endpoints:
      return "too_many_endpoints";
    case Reason::too_many_media:
      return "too_many_media";
    case Reason::no_common_codec:
      return "no_common_codec";
    case Reason::no_media:
      return "no_media";
    case Reason::not_protected:
      return "not_protected";
    case Reason::bad_candidate:
      return "bad_candidate";
    case Reason::too_many_waiting:
      return "too_many_waiting";
    case Reason::not_connectable:
      return "not_connectable";
    case Reason::no_remote:
      return "no_remote";
    case Reason::unknown_endpoint:
      return "unknown_endpoint";
    case Reason::bad_sound:
      return "bad_sound";
    case Reason::bad_snapshot:
      return "bad_snapshot";
    case Reason::unknown_room:
      return "unknown_room";
    case Reason::room_full:
      return "room_full";
    case Reason::not_recorded:
      return "not_recorded";
    case Reason::port_taken:
      return "port_taken";
    case Reason::count_:
      break;
  }
  return "unknown";
}

namespace {

std::array<Counter*, grade_count> grades(CounterSet& counters) {
  static constexpr std::array<const char*, grade_count> names = {"best", "high", "medium",
                                                                 "low",  "poor", "bad"};
  std::array<Counter*, grade_count> all{};
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = &counters.gauge("media_legs", "legs by how their audio has come lately (ITU-T G.109)",
                             "quality=\"" + std::string(names[i]) + "\"");
  return all;
}

std::array<Counter*, static_cast<size_t>(rtp::RtcpReason::count_)> rtcp_reasons(CounterSet& counters) {
  std::array<Counter*, static_cast<size_t>(rtp::RtcpReason::count_)> all{};
  for (size_t i = 0; i < all.size(); ++i)
    all[i] =
        &counters.counter("media_rtcp_refused_total", "RTCP not understood, by reason",
                          "reason=\"" + std::string(rtp::to_string(static_cast<rtp::RtcpReason>(i))) + "\"");
  return all;
}

}  // namespace

EngineState::EngineState(const EngineConfig& c, port::MediaPorts& p, Rng& r, CounterSet& counters,
                         dtls::Endpoint& keys)
    : config(c),
      ports(p),
      rng(r),
      dtls(keys),
      endpoints(c.endpoints),
      bundled_flows(2 * size_t{most_media_lines} * c.endpoints),
      shared(static_cast<uint32_t>(r.next())),
      effort(counters),
      rooms(c.rooms),
      counters_{
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"relayed\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"consumed\""),
          counters.counter("media_packets_sent_again_total",
                           "packets with pictures that legs had lost, sent to them again"),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"bridged\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"foreign_source\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"malformed\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"stray\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"originated\""),
          counters.counter("media_transport_feedback_total",
                           "Feedbacks to WebRTC legs about when their packets came (transport-cc)"),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"not_authentic\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"not_encrypted\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"no_keys\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"keying\""),
          counters.counter("media_dtls_established_total", "DTLS handshakes that gave keys"),
          counters.counter("media_dtls_unkeyed_total",
                           "answered legs whose DTLS handshake was not done in time"),
          counters.counter("media_not_protected_total",
                           "descriptions refused because media would not have been as secret as it must be"),
          {},
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"check\""),
          counters.counter("media_packets_total", "RTP and RTCP packets by fate", "fate=\"stranger\""),
          counters.counter("media_shared_taken_total",
                           "checks on a shared port from an address that another leg has"),
          counters.gauge("media_shared_legs", "m-lines on the port that WebRTC legs share"),
          counters.counter("media_ice_completed_total", "m-lines whose ICE came to a selected pair"),
          counters.counter("media_ice_unreachable_total",
                           "m-lines for which ICE found no way, or lost the peer's consent"),
          counters.counter("media_ice_restarts_total", "ICE restarts of ours, to find a way that was lost"),
          counters.counter("media_ice_mismatches_total",
                           "m-lines answered without ICE: somebody had rewritten their address"),
          {},
          counters.counter("media_timeouts_total", "legs that fell silent"),
          counters.counter("media_latched_total",
                           "legs whose media came from another address than their SDP's"),
          counters.counter("media_ports_exhausted_total", "port pairs that could not be had"),
          counters.gauge("media_endpoints", "endpoints open"),
          counters.gauge("media_ports", "media ports open"),
          counters.gauge("media_rooms", "conferences with somebody in them"),
          counters.counter("media_rtp_lost_total", "RTP packets of legs' audio that did not come"),
          grades(counters),
          rtcp_reasons(counters),
          {},
          {},
          counters.counter("dtmf_lost_total",
                           "key presses a leg could not be told of, or for which too many others waited")} {
  for (size_t i = 0; i < dtls::reason_count; ++i)
    counters_.dtls_troubles[i] = &counters.counter(
        "media_dtls_troubles_total", "DTLS datagrams, attempts and handshakes that failed, by reason",
        std::string("reason=\"").append(dtls::to_string(static_cast<dtls::Reason>(i))).append("\""));
  for (size_t i = 0; i < ice::reason_count; ++i)
    counters_.ice_troubles[i] = &counters.counter(
        "media_ice_troubles_total", "ICE lines, candidates and datagrams refused, by reason",
        std::string("reason=\"").append(ice::to_string(static_cast<ice::Reason>(i))).append("\""));
  static constexpr std::array<const char*, dtmf_way_count> ways = {"event", "info", "tone"};
  for (size_t i = 0; i < ways.size(); ++i) {
    const std::string label = "way=\"" + std::string(ways[i]) + "\"";
    counters_.dtmf_heard[i] =
        &counters.counter("dtmf_heard_total", "key presses of legs, by how they were told first", label);
    counters_.dtmf_sent[i] =
        &counters.counter("dtmf_sent_total", "key presses to legs, by how they were told", label);
  }
  config.media_lines = std::min<uint8_t>(config.media_lines, most_media_lines);
  config.latch_packets = std::max<uint8_t>(config.latch_packets, 1);
  config.far_latch_packets = std::max<uint8_t>(config.far_latch_packets, 1);
}

void EngineState::emit(const Endpoint& e, MediaEvent::Kind kind, char digit, Duration lasted) {
  events.push_back({kind, e.id, e.config.trail, digit, lasted});
}

void EngineState::close(Now now, EndpointId id) {
  Endpoint* e = endpoints.find(id);
  if (!e) return;
  if (e->room) leave(*e);
  unjoin(now, *e);
  for (Stream& s : e->streams) close_ports(s);
  endpoints.erase(id);
  counters_.open_endpoints.sub();
}

EndpointId EngineState::add(const EndpointConfig& c) {
  const EndpointId id = endpoints.emplace();
  Endpoint* e = endpoints.find(id);
  if (!e) return {};
  e->config = c;
  e->id = id;
  counters_.open_endpoints.add();
  return id;
}

void EngineState::unjoin(Now now, Endpoint& e) {
  Endpoint* partner = endpoints.find(e.partner);
  for (Endpoint* each : {&e, partner}) {
    if (!each) continue;
    each->partner = {};
    ++each->revision;
    restart_silence(now, *each);
    begin_reports(now, *each);
  }
  route(e);
  if (partner) route(*partner);
}

Status<Reason> EngineState::join(Now now, Endpoint& a, Endpoint& b, Stage stage) {
  if (&a == &b) return echo(now, a);
  if (a.partner != b.id) unjoin(now, a);
  if (b.partner != a.id) unjoin(now, b);
  a.partner = b.id;
  b.partner = a.id;
  for (Endpoint* e : {&a, &b}) {
    if (e->room) leave(*e);
    e->feed = Feed::partner;
    e->answered = e->answered || stage == Stage::answered;
    ++e->revision;
    restart_silence(now, *e);
    for (const Stream& s : e->streams)
      if (Flow* f = flow_of(s.rtp.id)) f->latch.extend(now.mono, config.learning_window);
  }
  route(a);
  route(b);
  want_picture(now, a);
  want_picture(now, b);
  return Done{};
}

/// What the leg's voice holds is heard from now on.
Status<Reason> EngineState::begin_voice(Now now, Endpoint& e) {
  const bool playing = e.feed == Feed::voice;
  e.feed = Feed::voice;
  ++e.revision;
  if (!playing) {
    arm_voice(e, now.mono);
    begin_reports(now, e);
  }
  restart_silence(now, e);
  reroute(e);
  return Done{};
}

Status<Reason> EngineState::play(Now now, Endpoint& e, const codec::ToneSequence& sequence) {
  const auto stream = voice_stream(e);
  if (!stream) return Failure{e.remote ? Reason::no_common_codec : Reason::no_remote};
  e.voice_stream = *stream;
  e.voice.begin(sequence);
  return begin_voice(now, e);
}

Status<Reason> EngineState::play(Now now, Endpoint& e, Programme programme) {
  const auto stream = voice_stream(e);
  if (!stream) return Failure{e.remote ? Reason::no_common_codec : Reason::no_remote};
  if (programme.cues.empty()) return Failure{Reason::bad_sound};
  for (const Cue& cue : programme.cues)
    if (cue.sound && cue.sound->rate != port::sound_rate) return Failure{Reason::bad_sound};
  e.voice_stream = *stream;
  e.voice.begin(std::move(programme));
  return begin_voice(now, e);
}

Status<Reason> EngineState::echo(Now now, Endpoint& e) {
  if (!e.remote) return Failure{Reason::no_remote};
  if (e.room) leave(e);
  e.feed = Feed::echo;
  e.answered = true;
  e.voice_at = Instant::never();
  ++e.revision;
  begin_reports(now, e);
  restart_silence(now, e);
  reroute(e);
  return Done{};
}

void EngineState::stop(Now now, Endpoint& e) {
  if (e.feed == Feed::partner || e.feed == Feed::room) return;
  e.feed = e.room ? Feed::room : Feed::partner;
  e.room_starts = true;
  e.voice.end();
  e.voice_at = Instant::never();
  if (e.partner) e.report_at = Instant::never();
  ++e.revision;
  restart_silence(now, e);
  reroute(e);
}

LegStatistics EngineState::statistics(const Endpoint& e) const {
  LegStatistics out;
  bool have_audio = false;
  for (const Stream& s : e.streams) {
    const Flow* f = flow_of(s.rtp.id);
    if (!f) continue;
    out.packets_received += f->received.packets;
    out.octets_received += f->received.octets;
    out.packets_sent += f->sent_packets;
    out.octets_sent += f->sent_octets;
    out.packets_expected += f->received.expected();
    out.packets_lost += f->wire == Wire::opaque ? 0 : f->received.lost();
    out.duplicates += f->received.duplicates;
    out.reordered += f->received.reordered;
    out.foreign_dropped += f->foreign;
    out.malformed_dropped += f->malformed;
    if (const Flow* rtcp = flow_of(s.rtcp.id)) {
      out.foreign_dropped += rtcp->foreign;
      out.malformed_dropped += rtcp->malformed;
    }
    if (have_audio || !iequals(s.kind, "audio")) continue;
    have_audio = true;
    audio_statistics(s, *f, out);
  }
  return out;
}

// ---- the public face ----

Engine::Engine(const EngineConfig& config, port::MediaPorts& ports, Rng& rng, CounterSet& counters,
               dtls::Endpoint& keys)
    : state_(std::make_unique<EngineState>(config, ports, rng, counters, keys)) {}

Engine::~Engine() {
  // Sockets outlive nobody: a worker that goes gives its ports back.
  state_->endpoints.for_each([&](EndpointId, Endpoint& e) {
    for (Stream& s : e.streams) state_->close_ports(s);
  });
}

Result<EndpointId, Reason> Engine::open(const EndpointConfig& config) {
  const EndpointId id = state_->add(config);
  if (!id) return Failure{Reason::too_many_endpoints};
  return id;
}

void Engine::close(Now now, EndpointId id) { state_->close(now, id); }
bool Engine::exists(EndpointId id) const { return state_->endpoints.find(id) != nullptr; }
size_t Engine::size() const { return state_->endpoints.size(); }

void Engine::set_media_timeout(Now now, EndpointId id, Duration timeout) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return;
  e->config.media_timeout = timeout;
  state_->restart_silence(now, *e);
}

Srtp Engine::srtp(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? e->config.srtp : Srtp::passed;
}

bool Engine::restrict(EndpointId id, sdp::Description& description) const {
  const Endpoint* e = state_->endpoints.find(id);
  return !e || !e->config.only_codecs || restrict_audio(description, e->config.codecs);
}

bool Engine::demand_srtp(EndpointId id) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e || (e->config.srtp != Srtp::accepted && e->config.srtp != Srtp::offered)) return false;
  e->config.srtp = Srtp::required;
  ++e->revision;
  return true;
}

Status<Reason> Engine::set_remote(Now now, EndpointId id, const sdp::Description& remote, SdpRole role) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->set_remote(now, *e, remote, role);
}

Result<std::string, Reason> Engine::present(Now now, EndpointId id, const sdp::Description& from,
                                            SdpRole role, EndpointId other) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->present(now, *e, from, role, state_->endpoints.find(other));
}

bool Engine::is_direct(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e && e->direct;
}

Result<std::string, Reason> Engine::answer(Now now, EndpointId id, sdp::Direction wanted) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->answer(now, *e, wanted);
}

Result<std::string, Reason> Engine::offer(Now now, EndpointId id, sdp::Direction direction) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->offer(now, *e, direction);
}

void Engine::rollback(Now now, EndpointId id) {
  if (Endpoint* e = state_->endpoints.find(id)) state_->rollback(now, *e);
}

std::string Engine::local_description(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e && e->local ? e->local->to_string() : std::string{};
}

std::optional<sdp::Description> Engine::remote_description(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? e->remote : std::nullopt;
}

sdp::Direction Engine::remote_direction(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  if (!e || !e->remote) return sdp::Direction::sendrecv;
  for (size_t i = 0; i < e->remote->media_count(); ++i)
    if (e->remote->media(i).port != 0) return e->remote->direction(i);
  return sdp::Direction::inactive;
}

Status<Reason> Engine::trickle(Now now, EndpointId id, const Trickled& candidate) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->trickle(now, *e, candidate);
}

Status<Reason> Engine::trickle_fragment(Now now, EndpointId id, std::string_view body) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  bool any = false;
  for (const Trickled& each : read_fragment(body)) any |= state_->trickle(now, *e, each).ok();
  if (!any) return Failure{Reason::bad_candidate};
  return Done{};
}

std::vector<Trickled> Engine::take_candidates(EndpointId id) {
  Endpoint* e = state_->endpoints.find(id);
  return e && e->ice ? std::exchange(e->ice->untold, {}) : std::vector<Trickled>{};
}

std::string Engine::fragment_of(EndpointId id, const std::vector<Trickled>& told) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? state_->fragment_of(*e, told) : std::string{};
}

bool Engine::trickles(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e && e->ice && e->ice->peer_trickles;
}

Result<std::string, Reason> Engine::restart(Now now, EndpointId id) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->restart_ice(now, *e);
}

Status<Reason> Engine::join(Now now, EndpointId a, EndpointId b, Stage stage) {
  Endpoint* first = state_->endpoints.find(a);
  Endpoint* second = state_->endpoints.find(b);
  if (!first || !second) return Failure{Reason::unknown_endpoint};
  return state_->join(now, *first, *second, stage);
}

void Engine::unjoin(Now now, EndpointId id) {
  if (Endpoint* e = state_->endpoints.find(id)) state_->unjoin(now, *e);
}

EndpointId Engine::peer(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? e->partner : EndpointId{};
}

Status<Reason> Engine::play(Now now, EndpointId id, const codec::ToneSequence& sequence) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->play(now, *e, sequence);
}

Status<Reason> Engine::play(Now now, EndpointId id, Programme programme) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  for (Cue& cue : programme.cues)
    if (!cue.prompt.empty()) find_prompt(cue, state_->prompts.get());
  return state_->play(now, *e, std::move(programme));
}

void Engine::supply(EndpointId id, const port::SoundFile& file, const port::SoundPtr& sound) {
  if (Endpoint* e = state_->endpoints.find(id)) e->voice.supply(file, sound);
}

std::vector<port::SoundFile> Engine::wanted(EndpointId id) const {
  std::vector<port::SoundFile> files;
  const Endpoint* e = state_->endpoints.find(id);
  if (const Programme* programme = e ? e->voice.programme() : nullptr)
    for (const Cue& cue : programme->cues)
      if (!cue.sound && std::find(files.begin(), files.end(), cue.file) == files.end())
        files.push_back(cue.file);
  return files;
}

Result<RoomId, Reason> Engine::room(const RoomConfig& config) { return state_->room(config); }

Status<Reason> Engine::enter(Now now, EndpointId id, RoomId room, const Seat& seat) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->enter(now, *e, room, seat);
}

void Engine::leave(Now now, EndpointId id) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e || !e->room) return;
  state_->leave(*e);
  state_->restart_silence(now, *e);
  state_->route(*e);
}

void Engine::seat(EndpointId id, const Seat& seat) {
  if (Endpoint* e = state_->endpoints.find(id)) state_->seat(*e, seat);
}

void Engine::set_lecture(RoomId room, bool on) {
  if (Room* r = state_->room_of(room)) r->mixer.set_lecture({on, true});
}

bool Engine::lecture(RoomId room) const {
  const Room* r = state_->room_of(room);
  return r && r->mixer.lecture().on;
}

RoomId Engine::room_of(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? e->room : RoomId{};
}

std::vector<Occupant> Engine::roster(RoomId room) const { return state_->roster(room); }

void Engine::use(port::Recorder& recorder) { state_->recorder = &recorder; }

Result<port::RecordingId, Reason> Engine::record(Now now, EndpointId id, const port::RecordingOrder& order) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->record(now, *e, order);
}

void Engine::pause_recording(EndpointId id, bool on) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e || !e->tap || e->tap->paused() == on) return;
  e->tap->pause(on);
  ++e->revision;
}

std::optional<Engine::Recorded> Engine::recording(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  if (!e || !e->tap) return std::nullopt;
  return Recorded{e->tap->id(), e->tap->position(), e->tap->paused()};
}

std::optional<Engine::Recorded> Engine::stop_recording(EndpointId id) {
  const auto last = recording(id);
  if (!last) return std::nullopt;
  Endpoint* e = state_->endpoints.find(id);
  e->tap.reset();
  ++e->revision;
  state_->connect_tap(*e);
  return last;
}

void Engine::use(std::shared_ptr<const port::PromptLibrary> prompts) { state_->prompts = std::move(prompts); }

bool Engine::press(Now now, EndpointId id, char digit, Duration lasted) {
  Endpoint* e = state_->endpoints.find(id);
  return e && state_->press(now, *e, digit, lasted);
}

Status<Reason> Engine::echo(Now now, EndpointId id) {
  Endpoint* e = state_->endpoints.find(id);
  if (!e) return Failure{Reason::unknown_endpoint};
  return state_->echo(now, *e);
}

void Engine::stop(Now now, EndpointId id) {
  if (Endpoint* e = state_->endpoints.find(id)) state_->stop(now, *e);
}

void Engine::on_media(Now now, std::span<port::MediaPacket> packets, port::MediaOut& out) {
  state_->on_media(now, packets, out);
}
void Engine::on_timeout(Now now, port::MediaOut& out) { state_->on_timeout(now, out); }
Instant Engine::next_timeout() const { return state_->timers.next(); }
bool Engine::has_events() const { return !state_->events.empty(); }

void Engine::take_events(std::vector<MediaEvent>& out) {
  out.insert(out.end(), state_->events.begin(), state_->events.end());
  state_->events.clear();
}

LegStatistics Engine::statistics(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? state_->statistics(*e) : LegStatistics{};
}

std::string Engine::snapshot(Now now, std::span<const EndpointId> ids) const {
  return state_->snapshot(now, ids);
}
Result<std::vector<EndpointId>, Reason> Engine::restore(Now now, std::string_view part) {
  return state_->restore(now, part);
}
uint64_t Engine::revision(EndpointId id) const {
  const Endpoint* e = state_->endpoints.find(id);
  return e ? e->revision : 0;
}

}  // namespace tandem::media
