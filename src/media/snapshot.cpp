// A call's media as bytes and back (proto/media.proto). What can be worked out again from the descriptions
// (formats, clocks, destinations) is not written.
#include <algorithm>

#include "media.pb.h"
#include "media/dtmf_part.h"
#include "media/state.h"
#include "media/trickle.h"

namespace tandem::media {
namespace {

constexpr uint32_t part_format = 1;
constexpr int most_places = 8;  // of an m-line: RTP and RTCP, two families, UDP and TCP

std::string text_of(const SocketAddress& a) { return a ? a.to_string() : std::string{}; }
SocketAddress address_of(const std::string& text) {
  return SocketAddress::parse(text).value_or(SocketAddress{});
}

void write(const Latch& latch, Now now, proto::MediaLatch& out) {
  const Latch::State& l = latch.state();
  out.set_expected(text_of(l.expected));
  if (l.confirmed) out.set_source(text_of(l.source));
  out.set_provisional(l.provisional);
  out.set_former(text_of(l.former));
  out.set_next(text_of(l.next));
  // A window that never opened stays closed on every clock.
  out.set_window_end(l.window_end < now.mono ? 0 : deadline_to_wall(now, l.window_end));
  if (l.candidate.packets == 0) return;
  proto::MediaCandidate& c = *out.mutable_candidate();
  c.set_source(text_of(l.candidate.source));
  c.set_since(deadline_to_wall(now, l.candidate.since));
  c.set_last(deadline_to_wall(now, l.candidate.last));
  c.set_ssrc(l.candidate.ssrc);
  c.set_sequence(l.candidate.sequence);
  c.set_packets(l.candidate.packets);
}

Latch read(const proto::MediaLatch& in, Now now) {
  Latch::State l;
  l.expected = address_of(in.expected());
  l.source = address_of(in.source());
  l.confirmed = static_cast<bool>(l.source);
  l.provisional = l.confirmed && in.provisional();
  l.former = address_of(in.former());
  l.next = address_of(in.next());
  l.window_end = in.window_end() == 0 ? now.mono - seconds(1) : deadline_from_wall(now, in.window_end());
  if (const auto& c = in.candidate(); c.packets() > 0 && c.packets() <= UINT8_MAX)
    l.candidate = {address_of(c.source()),
                   deadline_from_wall(now, c.since()),
                   deadline_from_wall(now, c.last()),
                   c.ssrc(),
                   static_cast<uint16_t>(c.sequence()),
                   static_cast<uint8_t>(c.packets())};
  return Latch(l);
}

void write(const rtp::ReceiverStatistics& r, Now now, proto::MediaReceived& out) {
  out.set_packets(r.packets);
  out.set_octets(r.octets);
  out.set_duplicates(r.duplicates);
  out.set_reordered(r.reordered);
  out.set_past_expected(r.past_expected);
  out.set_past_received(r.past_received);
  out.set_started(r.started);
  out.set_ssrc(r.ssrc);
  out.set_highest(r.highest);
  out.set_cycles(r.cycles);
  out.set_base(r.base);
  out.set_received(r.received);
  out.set_window(r.window);
  out.set_bad_sequence(r.bad_sequence);
  out.set_jitter16(r.jitter16);
  out.set_max_jitter16(r.max_jitter16);
  out.set_last_timestamp(r.last_timestamp);
  out.set_last_arrival(deadline_to_wall(now, r.last_arrival));
  out.set_has_arrival(r.has_arrival);
  out.set_clock_rate(r.clock_rate);
  out.set_report_expected(r.report_expected);
  out.set_report_received(r.report_received);
  proto::MediaLossRuns& losses = *out.mutable_losses();
  losses.set_lost(r.losses.lost);
  losses.set_runs(r.losses.runs);
  losses.set_next(r.losses.next);
  losses.set_pending(r.losses.pending);
  losses.set_c11(r.losses.c11);
  losses.set_c13(r.losses.c13);
  losses.set_c14(r.losses.c14);
  losses.set_c22(r.losses.c22);
  losses.set_c23(r.losses.c23);
  losses.set_c33(r.losses.c33);
}

rtp::ReceiverStatistics read(const proto::MediaReceived& in, Now now) {
  rtp::ReceiverStatistics r;
  r.packets = in.packets();
  r.octets = in.octets();
  r.duplicates = in.duplicates();
  r.reordered = in.reordered();
  r.past_expected = in.past_expected();
  r.past_received = in.past_received();
  r.started = in.started();
  r.ssrc = in.ssrc();
  r.highest = static_cast<uint16_t>(in.highest());
  r.cycles = in.cycles();
  r.base = in.base();
  r.received = in.received();
  r.window = in.window();
  r.bad_sequence = in.bad_sequence();
  r.jitter16 = in.jitter16();
  r.max_jitter16 = in.max_jitter16();
  r.last_timestamp = in.last_timestamp();
  r.last_arrival = deadline_from_wall(now, in.last_arrival());
  r.has_arrival = in.has_arrival();
  r.clock_rate = in.clock_rate();
  r.report_expected = in.report_expected();
  r.report_received = in.report_received();
  const proto::MediaLossRuns& losses = in.losses();
  r.losses = {losses.lost(), losses.runs(), losses.next(), losses.pending(), losses.c11(),
              losses.c13(),  losses.c14(),  losses.c22(),  losses.c23(),     losses.c33()};
  return r;
}

void write(const Flow& f, Now now, proto::MediaFlow& out) {
  write(f.latch, now, *out.mutable_latch());
  write(f.received, now, *out.mutable_received());
  out.set_active(f.active);
  out.set_last_accepted(deadline_to_wall(now, f.last_accepted));
  out.set_last_payload_type(f.last_payload_type);
  out.set_foreign(f.foreign);
  out.set_malformed(f.malformed);
  out.set_sent_packets(f.sent_packets);
  out.set_sent_octets(f.sent_octets);
}

void read(const proto::MediaFlow& in, Now now, Flow& f) {
  f.latch = read(in.latch(), now);
  f.received = read(in.received(), now);
  f.graded_expected = f.received.expected();
  f.graded_lost = f.received.lost();
  f.active = in.active();
  f.last_accepted = deadline_from_wall(now, in.last_accepted());
  f.last_payload_type = static_cast<uint8_t>(in.last_payload_type());
  f.foreign = in.foreign();
  f.malformed = in.malformed();
  f.sent_packets = in.sent_packets();
  f.sent_octets = in.sent_octets();
}

void write(const OwnStream& o, Now now, proto::MediaOwnStream& out) {
  out.set_ssrc(o.ssrc);
  out.set_clock_rate(o.clock_rate);
  out.set_sequence(o.sequence);
  out.set_timestamp(o.timestamp);
  out.set_packets(o.packets);
  out.set_octets(o.octets);
  out.set_reported(o.reported);
  out.set_reported_before(o.reported_before);
  out.set_peer_report_ntp(o.peer_report_ntp);
  out.set_peer_report_at(deadline_to_wall(now, o.peer_report_at));
  if (o.ssrc != 0) out.set_at(now.wall.ns);
  out.set_clock_changes(o.clock_changes);
  out.set_sent_timestamp(o.sent_timestamp);
  out.set_sent_at(deadline_to_wall(now, o.sent_at));
  out.set_relayed(o.relayed.has_value());
  if (!o.relayed) return;
  out.set_relayed_ssrc(o.relayed->ssrc);
  out.set_relayed_numbers(o.relayed->numbers);
  out.set_sequence_offset(o.relayed->sequence_offset);
  out.set_timestamp_offset(o.relayed->timestamp_offset);
}

/// Frames our stream may have gone on for after the snapshot, with nobody left who knows. No part is a day
/// old.
int64_t frames_since(const proto::MediaOwnStream& in, Now now) {
  constexpr Duration frame = milliseconds(frame_ms), day = seconds(86'400);
  if (in.at() <= 0 || in.at() >= now.wall.ns) return 0;
  const Duration since = std::min(now.wall - WallTime{in.at()}, day);
  return (since + frame - Duration{1}) / frame;
}

/// Behind all that may have been said: numbers and times that a listener has had already are late to it, and
/// not played.
OwnStream read(const proto::MediaOwnStream& in, Now now) {
  OwnStream o;
  o.ssrc = in.ssrc();
  o.clock_rate = in.clock_rate();
  // Who is relayed goes on counting by himself.
  const int64_t frames = in.relayed() ? 0 : frames_since(in, now);
  o.sequence = static_cast<uint16_t>(in.sequence() + frames);
  o.timestamp = static_cast<uint32_t>(in.timestamp() + frames * (o.clock_rate / 1000 * frame_ms));
  o.packets = in.packets();
  o.octets = in.octets();
  o.reported = in.reported();
  o.reported_before = in.reported_before();
  o.peer_report_ntp = in.peer_report_ntp();
  o.peer_report_at = deadline_from_wall(now, in.peer_report_at());
  o.clock_changes = static_cast<uint8_t>(std::min<uint32_t>(in.clock_changes(), OwnStream::most_changes));
  o.sent_timestamp = in.sent_timestamp();
  o.sent_at = deadline_from_wall(now, in.sent_at());
  if (in.relayed())
    o.relayed = OwnStream::Relayed{in.relayed_ssrc(), static_cast<uint16_t>(in.relayed_numbers()),
                                   static_cast<uint16_t>(in.sequence_offset()), in.timestamp_offset()};
  return o;
}

void write(const rtp::ReportBlock& b, proto::MediaReport& out) {
  out.set_ssrc(b.ssrc);
  out.set_fraction_lost(b.fraction_lost);
  out.set_cumulative_lost(b.cumulative_lost);
  out.set_extended_highest(b.extended_highest);
  out.set_jitter(b.jitter);
  out.set_last_sr(b.last_sr);
  out.set_delay_since_last_sr(b.delay_since_last_sr);
}

rtp::ReportBlock read(const proto::MediaReport& in) {
  return {in.ssrc(),
          static_cast<uint8_t>(in.fraction_lost()),
          in.cumulative_lost(),
          in.extended_highest(),
          in.jitter(),
          in.last_sr(),
          in.delay_since_last_sr()};
}

void write_config(const EndpointConfig& c, proto::MediaEndpoint& out) {
  out.set_realm(c.realm);
  out.set_family(c.family == IpAddress::Family::v6 ? 6 : 4);
  if (c.signalling) out.set_signalling(c.signalling.to_string());
  out.set_fixed_source(!c.symmetric);
  out.set_may_be_direct(!c.anchored);
  out.set_media_timeout_ns(c.media_timeout.count());
  out.set_trail(c.trail);
  for (const std::string& codec : c.codecs) out.add_codecs(codec);
  out.set_only_codecs(c.only_codecs);
  out.set_transcode(c.transcode);
  out.set_srtp(static_cast<uint32_t>(c.srtp));
  out.set_srtp_keying(static_cast<uint32_t>(c.srtp_keying));
  out.set_ice(static_cast<uint32_t>(c.ice));
  out.set_ice_lite(c.ice_lite);
  out.set_webrtc(c.webrtc);
  out.set_dtmf(static_cast<uint32_t>(c.dtmf));
}

EndpointConfig read_config(const proto::MediaEndpoint& in) {
  EndpointConfig c;
  c.realm = static_cast<port::RealmId>(in.realm());
  c.family = in.family() == 6 ? IpAddress::Family::v6 : IpAddress::Family::v4;
  c.signalling = IpAddress::parse(in.signalling()).value_or(IpAddress{});
  c.symmetric = !in.fixed_source();
  c.anchored = !in.may_be_direct();
  c.media_timeout = Duration(in.media_timeout_ns());
  c.trail = in.trail();
  c.codecs.assign(in.codecs().begin(), in.codecs().end());
  c.only_codecs = in.only_codecs();
  c.transcode = in.transcode();
  if (in.srtp() <= static_cast<uint32_t>(Srtp::required)) c.srtp = static_cast<Srtp>(in.srtp());
  c.srtp_keying = in.srtp_keying() == 1 ? SrtpKeying::dtls : SrtpKeying::sdes;
  if (in.ice() <= static_cast<uint32_t>(Ice::offered)) c.ice = static_cast<Ice>(in.ice());
  c.ice_lite = in.ice_lite();
  c.webrtc = in.webrtc();
  if (in.dtmf() <= static_cast<uint32_t>(Dtmf::inband)) c.dtmf = static_cast<Dtmf>(in.dtmf());
  return c;
}

void write(const Programme& programme, const OwnVoice::Place& place, proto::MediaProgramme& out) {
  for (const Cue& c : programme.cues) {
    auto& cue = *out.add_cues();
    cue.set_language(c.language);
    cue.set_prompt(c.prompt);
    cue.set_place(static_cast<uint32_t>(c.file.place));
    cue.set_file(c.file.name);
  }
  out.set_rounds(programme.rounds);
  out.set_round(place.round);
  out.set_cue(place.cue);
  out.set_sample(place.sample);
}

void write_voice(const OwnVoice& voice, proto::MediaEndpoint& out) {
  if (const Programme* programme = voice.programme())
    return write(*programme, voice.place(), *out.mutable_programme());
  if (!voice.tones()) return;
  for (const codec::ToneStep& s : voice.tones()->sequence().steps) {
    auto& step = *out.add_tone_steps();
    step.set_frequency1(s.frequency1);
    step.set_frequency2(s.frequency2);
    step.set_level(s.level);
    step.set_milliseconds(s.milliseconds);
  }
  out.set_tone_repeats(voice.tones()->sequence().repeats);
  out.set_tone_position(voice.tones()->position());
}

/// Prompts are found again; files are another's to read, and waited for.
Programme read(const proto::MediaProgramme& in, const port::PromptLibrary* prompts) {
  Programme programme;
  programme.rounds = in.rounds();
  for (const auto& c : in.cues()) {
    Cue& cue = programme.cues.emplace_back();
    cue.language = c.language();
    cue.prompt = c.prompt();
    if (c.place() <= static_cast<uint32_t>(port::SoundPlace::voicemail))
      cue.file.place = static_cast<port::SoundPlace>(c.place());
    cue.file.name = c.file();
    if (!cue.prompt.empty()) find_prompt(cue, prompts);
  }
  return programme;
}

void read_voice(const proto::MediaEndpoint& in, const port::PromptLibrary* prompts, OwnVoice& voice) {
  if (in.has_programme()) {
    voice.begin(read(in.programme(), prompts));
    return voice.seek({in.programme().round(), in.programme().cue(), in.programme().sample()});
  }
  codec::ToneSequence sequence;
  for (const auto& s : in.tone_steps())
    sequence.steps.push_back({static_cast<uint16_t>(s.frequency1()), static_cast<uint16_t>(s.frequency2()),
                              static_cast<int8_t>(s.level()), static_cast<uint16_t>(s.milliseconds())});
  sequence.repeats = in.tone_repeats();
  voice.begin(sequence);
  voice.seek_tones(in.tone_position());
}

/// An empty text is no description; one that no longer parses fails the restore.
bool read_description(const std::string& text, std::optional<sdp::Description>& out) {
  if (text.empty()) return true;
  auto parsed = sdp::Description::parse(text);
  if (!parsed) return false;
  out = std::move(parsed).value();
  return true;
}

bool read_checkpoint(const proto::MediaEndpoint& in, Now now, Endpoint& e) {
  if (!in.has_checkpoint()) return true;
  e.checkpoint = std::make_unique<Checkpoint>();
  e.checkpoint->direct = in.checkpoint().direct();
  for (const auto& l : in.checkpoint().latches()) {
    auto& kept = e.checkpoint->latches.emplace_back();
    if (l.present()) kept = Checkpoint::Latches{read(l.rtp(), now), read(l.rtcp(), now)};
  }
  return read_description(in.checkpoint().remote(), e.checkpoint->remote) &&
         read_description(in.checkpoint().local(), e.checkpoint->local);
}

void write(const Trickled& c, proto::MediaTrickled& out) {
  out.set_mid(c.mid);
  out.set_line(c.line ? *c.line + 1u : 0);
  out.set_fragment(c.fragment);
  out.set_candidate(c.candidate);
}

Trickled read(const proto::MediaTrickled& in) {
  Trickled c{in.mid(), std::nullopt, in.fragment(), in.candidate()};
  if (in.line() > 0 && in.line() <= most_media_lines) c.line = static_cast<uint16_t>(in.line() - 1);
  return c;
}

void write_connectivity(const Connectivity& ice, Now now, proto::MediaIce& out) {
  out.set_agent(ice.agent.snapshot(now));
  out.set_peer_trickles(ice.peer_trickles);
  out.set_restarts(ice.restarts);
  out.set_restart_at(deadline_to_wall(now, ice.restart_at));
  for (const Trickled& c : ice.untold) write(c, *out.add_untold());
  for (const Connectivity::Line& l : ice.lines) {
    auto& line = *out.add_lines();
    if (!l.stream) continue;
    line.set_present(true);
    line.set_stream(*l.stream);
    line.set_components(l.components);
    for (const Connectivity::Place& p : l.places) {
      if (!p.connection) p.rtcp ? line.set_rtcp(p.base) : line.set_rtp(p.base);
      auto& place = *line.add_places();
      place.set_base(p.base);
      place.set_rtcp(p.rtcp);
      place.set_connection(p.connection);
      place.set_v6(p.family == IpAddress::Family::v6);
    }
    line.set_agreed(l.agreed);
    line.set_restarting(l.restarting);
  }
}

void write_checkpoint(const Checkpoint& c, Now now, proto::MediaCheckpoint& out) {
  out.set_direct(c.direct);
  if (c.remote) out.set_remote(c.remote->to_string());
  if (c.local) out.set_local(c.local->to_string());
  for (const auto& l : c.latches) {
    auto& kept = *out.add_latches();
    if (!l) continue;
    kept.set_present(true);
    write(l->rtp, now, *kept.mutable_rtp());
    write(l->rtcp, now, *kept.mutable_rtcp());
  }
}

}  // namespace

std::string EngineState::snapshot(Now now, std::span<const EndpointId> wanted) const {
  std::vector<EndpointId> ids;
  for (const EndpointId id : wanted)
    if (endpoints.find(id)) ids.push_back(id);
  proto::MediaPart part;
  part.set_format(part_format);
  for (const EndpointId id : ids) {
    const Endpoint* e = endpoints.find(id);
    proto::MediaEndpoint& out = *part.add_endpoints();
    write_config(e->config, out);
    if (e->remote) out.set_remote(e->remote->to_string());
    if (e->local) out.set_local(e->local->to_string());
    out.set_session_id(e->session_id);
    out.set_version(e->version);
    out.set_direct(e->direct);
    out.set_revision(e->revision);
    if (e->ice) write_connectivity(*e->ice, now, *out.mutable_connectivity());
    out.set_bundle_begins(e->bundle_begins);
    for (const Trickled& c : e->early_candidates) write(c, *out.add_early_candidates());
    if (e->checkpoint) write_checkpoint(*e->checkpoint, now, *out.mutable_checkpoint());
    for (const Stream& s : e->streams) {
      proto::MediaStream& stream = *out.add_streams();
      const Flow* rtp = flow_of(s.rtp.id);
      const Flow* rtcp = flow_of(s.rtcp.id);
      if (rtp && rtcp) {
        if (s.carrier) {
          stream.set_bundled(true);
        } else {
          stream.set_rtp_local(s.rtp.local.to_string());
          stream.set_other_local(text_of(s.rtp.other_local));
          stream.set_shared(s.shared);
        }
        write(*rtp, now, *stream.mutable_rtp());
        write(*rtcp, now, *stream.mutable_rtcp());
      }
      write(s.own, now, *stream.mutable_own());
      if (s.has_report) write(s.report, *stream.mutable_report());
      stream.set_round_trip_ms(s.round_trip_ms);
      for (const SentReports::One& sent : s.sent_reports.last) {
        if (sent.ntp == 0) continue;
        auto& kept = *stream.add_sent_reports();
        kept.set_ntp(sent.ntp);
        kept.set_at(deadline_to_wall(now, sent.at));
      }
      if (s.reference) {
        auto& kept = *stream.mutable_reference();
        kept.set_ssrc(s.reference->ssrc);
        kept.set_ntp(s.reference->ntp);
        kept.set_at(deadline_to_wall(now, s.reference->at));
      }
      if (s.dtls) {
        write_keying(s, *stream.mutable_dtls());
      } else if (s.secured) {
        stream.set_srtp_sender(s.secured->sender_record());
        stream.set_srtp_receiver(s.secured->receiver_record());
      }
      if (s.bridge) {
        stream.set_learnt_ns(s.bridge->learnt().count());
        stream.set_fax(s.bridge->keeps_time());
      }
    }
    const auto partner = std::find(ids.begin(), ids.end(), e->partner);
    if (e->partner && partner != ids.end()) out.set_partner(static_cast<uint32_t>(partner - ids.begin()) + 1);
    out.set_feed(static_cast<uint32_t>(e->feed));
    if (e->feed == Feed::voice) write_voice(e->voice, out);
    out.set_voice_stream(static_cast<uint32_t>(e->voice_stream));
    if (const Room* room = rooms.find(e->room)) {
      auto& seat = *out.mutable_room();
      seat.set_name(room->config.name);
      seat.set_members(static_cast<uint32_t>(room->config.members));
      seat.set_talkers(static_cast<uint32_t>(room->config.talkers));
      seat.set_lecture(room->mixer.lecture().on);
      seat.set_muted(e->seat.muted);
      seat.set_deafened(e->seat.deafened);
      seat.set_lecturer(e->seat.lecturer);
      if (const auto counts = room->mixer.counts(now.mono, e->member))
        seat.set_learnt_ns(counts->wanted_delay.count());
    }
    out.set_says_info(e->says_info);
    if (e->dtmf) write_dtmf(*e->dtmf, now, *out.mutable_presses());
    out.set_answered(e->answered);
    out.set_first_packet(e->first_packet);
    out.set_timed_out(e->timed_out);
    out.set_quiet_since(deadline_to_wall(now, e->quiet_since));
    out.set_voice_at(deadline_to_wall(now, e->voice_at));
    out.set_report_at(deadline_to_wall(now, e->report_at));
    out.set_silence_at(deadline_to_wall(now, e->silence_at));
  }
  return part.SerializeAsString();
}

/// Back in its conference, which others of it may have opened here already.
bool EngineState::sit_down(Now now, const proto::MediaSeat& in, Endpoint& e) {
  RoomConfig c;
  c.name = in.name();
  c.members = in.members();
  c.talkers = in.talkers();
  const auto id = room(c);
  if (!id.ok()) return false;
  const uint64_t revision = e.revision;
  if (!enter(now, e, *id, {in.muted(), in.deafened(), in.lecturer()}).ok()) return false;
  mixer::Mixer& mixer = room_of(*id)->mixer;
  mixer.set_lecture({in.lecture(), true});
  constexpr int64_t most = 1'000'000'000;
  static_cast<void>(mixer.learn(e.member, Duration(std::clamp<int64_t>(in.learnt_ns(), 0, most))));
  e.revision = revision;
  return true;
}

/// On its ports, which are there. Selected pairs ask for consent at once.
bool EngineState::restore_ice(Now now, const proto::MediaEndpoint& in, Endpoint& e) {
  e.bundle_begins = in.bundle_begins();
  for (const auto& c : in.early_candidates())
    if (e.early_candidates.size() < most_early_candidates) e.early_candidates.push_back(read(c));
  if (!in.has_connectivity()) return true;
  const proto::MediaIce& part = in.connectivity();
  auto agent =
      ice::Agent::restore(now, part.agent(), ice_config(e, ice::Role::controlled), rng, ice_troubles);
  if (!agent || part.lines_size() > config.media_lines) return false;
  e.ice = std::make_unique<Connectivity>(std::move(agent).value());
  for (const auto& l : part.lines()) {
    Connectivity::Line& line = e.ice->lines.emplace_back();
    if (!l.present()) continue;
    line.stream = l.stream();
    line.components = l.components() == 1 ? 1 : 2;
    line.agreed = l.agreed();
    line.restarting = l.restarting();
    if (l.places_size() > most_places || e.ice->lines.size() > e.streams.size()) return false;
    for (const auto& p : l.places())
      line.places.push_back(
          {p.base(), p.rtcp(), p.connection(), p.v6() ? IpAddress::Family::v6 : IpAddress::Family::v4});
    if (line.places.empty()) {
      const auto family = e.streams[e.ice->lines.size() - 1].rtp.local.ip.family;
      line.places = {{l.rtp(), false, false, family}, {l.rtcp(), true, false, family}};
    }
  }
  e.ice->peer_trickles = part.peer_trickles();
  e.ice->restarts = part.restarts();
  if (const Instant at = deadline_from_wall(now, part.restart_at()); !at.is_never()) {
    e.ice->restart_at = at;
    timers.push(at, {e.id, TimerKind::restart});
  }
  for (const auto& c : part.untold())
    if (e.ice->untold.size() < most_early_candidates) e.ice->untold.push_back(read(c));
  if (!e.ice->untold.empty()) emit(e, MediaEvent::Kind::candidates);
  e.ice->revision = e.ice->agent.revision();
  for (size_t i = 0; i < e.ice->lines.size(); ++i) settle_ice_line(now, e, i);
  name_fragments(e);
  return true;
}

/// The ports may have other numbers than the agent remembers; connections are gone. What was selected over
/// those is lost, and a restart due.
void EngineState::settle_ice_line(Now now, Endpoint& e, size_t i) {
  const Connectivity::Line* line = e.ice->line(i);
  const Stream& s = e.streams[i];
  if (!line || !s.has_ports) return;
  const auto path = e.ice->agent.path(*line->stream, 1);
  for (const Connectivity::Place& p : line->places) {
    if (path && p.base == path->base && p.connection)
      e.ice->agent.on_unreachable(now, p.base, path->remote, e.ice->out);
    SocketAddress here, seen;  // unset: it has no such place any more
    for (const Bound& b : bound_of(p.rtcp ? s.rtcp : s.rtp))
      if (b.local.ip.family == p.family && (!p.connection || s.connections))
        here = b.local, seen = b.advertised;
    e.ice->agent.move_base(now, p.base, here, seen, s.shared ? shared.mark_of(s.rtp.id) : 0, e.ice->out);
  }
  if (s.shared)
    if (const auto left = e.ice->agent.path(*line->stream, 1))
      shared.claim(now, {shared.hub_of(s.rtp.id).slot, left->remote, false}, s.rtp.id);
}

/// The same ports as before where that can be. A place on a shared port has whatever number that has here;
/// where there is none, a pair takes its place.
Status<Reason> EngineState::restore_ports(const proto::MediaStream& in, Endpoint& e, size_t index) {
  const auto local = SocketAddress::parse(in.rtp_local());
  if (!local) return Failure{Reason::bad_snapshot};
  Stream& s = e.streams[index];
  if (in.shared()) {
    if (open_shared(s, e, index) || open_ports(s, e, index)) return Done{};
    return Failure{Reason::ports_exhausted};
  }
  auto pair = ports.reopen_pair(e.config.realm, *local);
  if (!pair) return Failure{Reason::port_taken};
  if (const auto other = SocketAddress::parse(in.other_local())) ports.widen(e.config.realm, *pair, *other);
  adopt_ports(s, *pair, e.id, index);
  return Done{};
}

/// One endpoint with its ports; paths and timers come when all are there.
Status<Reason> EngineState::restore_endpoint(Now now, const proto::MediaEndpoint& in, Endpoint& e) {
  e.session_id = in.session_id();
  e.version = in.version();
  e.direct = in.direct();
  if (!read_description(in.remote(), e.remote) || !read_description(in.local(), e.local) ||
      !read_checkpoint(in, now, e) || in.streams_size() > config.media_lines || in.feed() > 3)
    return Failure{Reason::bad_snapshot};
  for (const auto& stream : in.streams()) {
    const size_t index = e.streams.size();
    Stream& s = e.streams.emplace_back();
    s.own = read(stream.own(), now);
    s.has_report = stream.has_report();
    s.report = read(stream.report());
    s.round_trip_ms = stream.round_trip_ms();
    for (int i = stream.sent_reports_size(); i-- > 0;)  // the oldest first
      s.sent_reports.add(stream.sent_reports(i).ntp(), deadline_from_wall(now, stream.sent_reports(i).at()));
    if (stream.has_reference())
      s.reference = {stream.reference().ssrc(), stream.reference().ntp(),
                     deadline_from_wall(now, stream.reference().at())};
    s.learnt = Duration(stream.learnt_ns());
    s.was_fax = stream.fax();
    if (stream.rtp_local().empty()) continue;
    if (const auto bound = restore_ports(stream, e, index); !bound.ok()) return Failure{bound.reason()};
    read(stream.rtp(), now, *flow_of(s.rtp.id));
    read(stream.rtcp(), now, *flow_of(s.rtcp.id));
  }
  if (!restore_ice(now, in, e)) return Failure{Reason::bad_snapshot};
  e.says_info = in.says_info();
  apply_terms(now, e);
  for (size_t i = 0; i < e.streams.size() && static_cast<int>(i) < in.streams_size(); ++i) {
    const auto& stream = in.streams(static_cast<int>(i));
    if (stream.bundled()) {
      if (!e.streams[i].carrier) return Failure{Reason::bad_snapshot};
      read(stream.rtp(), now, *flow_of(e.streams[i].rtp.id));
    }
    if (stream.has_dtls()) {
      if (!read_keying(now, stream.dtls(), e, i)) return Failure{Reason::bad_snapshot};
    } else if (Secured* keys = e.streams[i].secured.get();
               keys && !keys->restore(as_bytes(stream.srtp_sender()), as_bytes(stream.srtp_receiver()))) {
      return Failure{Reason::bad_snapshot};
    }
    // It may have begun since, with numbers nobody knows: they are another's now.
    if (OwnStream& own = e.streams[i].own;
        e.streams[i].secured && !e.streams[i].secured->has_sent(own.ssrc)) {
      own.ssrc = 0;
      own.relayed.reset();
    }
  }
  arm_keying(e, Instant::never());
  run_ice(now, e, nullptr);
  e.revision = in.revision();
  e.feed = static_cast<Feed>(in.feed());
  e.voice_stream = in.voice_stream();
  if (e.feed == Feed::voice) read_voice(in, prompts.get(), e.voice);
  e.answered = in.answered();
  e.first_packet = in.first_packet();
  e.timed_out = in.timed_out();
  e.quiet_since = deadline_from_wall(now, in.quiet_since());
  if (e.feed == Feed::voice) {
    Instant next = deadline_from_wall(now, in.voice_at());
    if (e.voice_stream < static_cast<size_t>(in.streams_size()) && !next.is_never())
      next = next +
             milliseconds(frame_ms) * frames_since(in.streams(static_cast<int>(e.voice_stream)).own(), now);
    arm_voice(e, next);
  }
  if (const Instant at = deadline_from_wall(now, in.report_at()); !at.is_never()) arm_report(e, at);
  arm_silence(e, deadline_from_wall(now, in.silence_at()));
  return Done{};
}

Result<std::vector<EndpointId>, Reason> EngineState::restore(Now now, std::string_view bytes) {
  proto::MediaPart part;
  if (bytes.size() > INT32_MAX || !part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      part.format() != part_format)
    return Failure{Reason::bad_snapshot};
  std::vector<EndpointId> ids;
  const auto fail = [&](Reason r) {
    for (const EndpointId id : ids) close(now, id);
    return Failure{r};
  };
  for (const auto& in : part.endpoints()) {
    const EndpointId id = add(read_config(in));
    if (!id) return fail(Reason::too_many_endpoints);
    ids.push_back(id);
  }
  // First those that must have a certain number: who has lost his place on a shared port takes any.
  for (const bool shared_ones : {false, true})
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto& in = part.endpoints(static_cast<int>(i));
      const bool shares = std::any_of(in.streams().begin(), in.streams().end(),
                                      [](const proto::MediaStream& s) { return s.shared(); });
      if (shares != shared_ones) continue;
      const auto restored = restore_endpoint(now, in, *endpoints.find(ids[i]));
      if (!restored) return fail(restored.reason());
    }
  for (size_t i = 0; i < ids.size(); ++i) {
    const uint32_t partner = part.endpoints(static_cast<int>(i)).partner();
    if (partner == 0) continue;
    // Both must name each other, or a damaged part could leave a path that only one side knows.
    if (partner > ids.size() || part.endpoints(static_cast<int>(partner - 1)).partner() != i + 1)
      return fail(Reason::bad_snapshot);
    endpoints.find(ids[i])->partner = ids[partner - 1];
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    Endpoint& e = *endpoints.find(ids[i]);
    const auto& in = part.endpoints(static_cast<int>(i));
    if (in.has_presses() && in.presses().stream() < e.streams.size()) {
      LegDtmf& d = dtmf_of(e);
      read_dtmf(in.presses(), now, d);
      d.to = e.partner;
      arm_dtmf(e);
    }
    route(e);
    if (in.has_room() && !sit_down(now, in.room(), e)) return fail(Reason::room_full);
    const Programme* programme = e.feed == Feed::voice ? e.voice.programme() : nullptr;
    if (programme &&
        std::any_of(programme->cues.begin(), programme->cues.end(), [](const Cue& c) { return !c.sound; }))
      emit(e, MediaEvent::Kind::sound_wanted);
  }
  return ids;
}

}  // namespace tandem::media
