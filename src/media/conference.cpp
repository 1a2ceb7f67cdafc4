// Conferences in the engine: who is in which, and their ticks.
#include <algorithm>

#include "base/text.h"
#include "media/state.h"

namespace tandem::media {
namespace {

constexpr Duration tick = milliseconds(20);
constexpr Duration most_catch_up = milliseconds(200);

mixer::MixerConfig mixer_config(const RoomConfig& c) {
  mixer::MixerConfig config;
  config.members = c.members;
  config.talkers = c.talkers;
  return config;
}

/// What the leg may send us, and what we say to it.
std::vector<playout::Format> heard_of(const Stream& s) {
  std::vector<playout::Format> heard;
  for (const PayloadFormat& f : s.local_formats)
    if (can_code(f) || iequals(f.encoding, "CN")) heard.push_back(played(f));
  return heard;
}

std::optional<playout::Format> said_of(const Stream& s) {
  const PayloadFormat* f = said_format(s);
  return f && sdp::receives(s.direction) ? std::optional(played(*f)) : std::nullopt;
}

}  // namespace

Room::Room(const RoomConfig& c) : config(c), mixer(mixer_config(c)) {}

Result<RoomId, Reason> EngineState::room(const RoomConfig& c) {
  std::optional<RoomId> found;
  rooms.for_each([&](RoomId id, const Room& r) {
    if (r.config.name == c.name) found = id;
  });
  if (found) return *found;
  const RoomId id = rooms.emplace(c);
  if (!id) return Failure{Reason::room_full};
  counters_.open_rooms.add();
  return id;
}

Room* EngineState::room_of(RoomId id) { return rooms.find(id); }

Status<Reason> EngineState::enter(Now now, Endpoint& e, RoomId id, const Seat& seat) {
  Room* r = room_of(id);
  if (!r) return Failure{Reason::unknown_room};
  const auto refuse = [&](Reason why) {
    if (r->mixer.size() == 0) close_room(id);  // it was opened for this one
    return Failure{why};
  };
  const auto stream = voice_stream(e);
  if (!stream) return refuse(e.remote ? Reason::no_common_codec : Reason::no_remote);
  if (e.room) leave(e);
  unjoin(now, e);
  const Stream& s = e.streams[*stream];
  mixer::MemberConfig member;
  member.heard = heard_of(s);
  member.said = said_of(s);
  member.ptime_ms = s.ptime_ms;
  member.muted = seat.muted;
  member.deafened = seat.deafened;
  member.lecturer = seat.lecturer;
  const auto joined = r->mixer.join(member);
  if (!joined.ok())
    return refuse(joined.reason() == mixer::Refusal::full ? Reason::room_full : Reason::no_common_codec);
  if (r->occupant.size() <= joined->slot) r->occupant.resize(joined->slot + 1);
  r->occupant[joined->slot] = e.id;
  e.room = id;
  e.member = *joined;
  e.seat = seat;
  e.voice_stream = *stream;
  if (e.feed != Feed::voice) {  // who is being told something hears it to its end
    e.feed = Feed::room;
    e.room_starts = true;
  }
  e.answered = true;
  ++e.revision;
  if (r->mixer.size() == 1) arm_room(id, *r, now.mono + tick);
  begin_reports(now, e);
  restart_silence(now, e);
  route(e);
  return Done{};
}

/// The last one turns off the light.
void EngineState::leave(Endpoint& e) {
  Room* r = room_of(e.room);
  const RoomId id = std::exchange(e.room, {});
  if (e.feed == Feed::room) e.feed = Feed::partner;
  ++e.revision;
  if (!r) return;
  static_cast<void>(r->mixer.leave(e.member));
  if (e.member.slot < r->occupant.size()) r->occupant[e.member.slot] = {};
  if (r->mixer.size() == 0) close_room(id);
}

void EngineState::close_room(RoomId id) {
  rooms.erase(id);
  counters_.open_rooms.sub();
}

void EngineState::seat(Endpoint& e, const Seat& seat) {
  Room* r = room_of(e.room);
  if (!r) return;
  e.seat = seat;
  ++e.revision;
  static_cast<void>(r->mixer.mute(e.member, seat.muted));
  static_cast<void>(r->mixer.deafen(e.member, seat.deafened));
  static_cast<void>(r->mixer.set_lecturer(e.member, seat.lecturer));
}

/// A description has changed: other payload types, another wish.
void EngineState::reseat(Endpoint& e) {
  Room* r = room_of(e.room);
  const auto stream = voice_stream(e);
  if (!r || !stream) return;
  const Stream& s = e.streams[*stream];
  e.voice_stream = *stream;
  static_cast<void>(r->mixer.reformat(e.member, heard_of(s), said_of(s), s.ptime_ms));
}

void EngineState::hear_in_room(Now now, Endpoint& e, const rtp::Header& header, Bytes payload) {
  Room* r = room_of(e.room);
  if (!r) return;
  if (e.room_ssrc && *e.room_ssrc != header.ssrc) r->mixer.restart(e.member);
  e.room_ssrc = header.ssrc;
  r->mixer.packet(now.mono, e.member, header.sequence, header.timestamp, header.payload_type, payload);
}

void EngineState::arm_room(RoomId id, Room& r, Instant at) {
  r.next = at;
  timers.push(at, {id, TimerKind::room});
}

void EngineState::play_room(Now now, RoomId id, Instant deadline, port::MediaOut& out) {
  Room* r = room_of(id);
  if (!r || r->next != deadline) return;
  effort.frame(deadline, now.mono);
  r->mixer.set_complexity(effort.complexity());
  for (const mixer::Outgoing& o : r->mixer.tick(now.mono)) {
    Endpoint* e = o.member.slot < r->occupant.size() ? endpoints.find(r->occupant[o.member.slot]) : nullptr;
    if (!e || e->feed != Feed::room || e->voice_stream >= e->streams.size()) continue;
    Stream& s = e->streams[e->voice_stream];
    const PayloadFormat* f = said_format(s);
    const Exits to = exits_to(s);
    if (!f || !to.rtp.on) continue;
    speak(now, s.own, f->clock_rate);
    if (std::exchange(e->room_starts, false)) e->room_base = s.own.timestamp - o.timestamp;
    s.own.timestamp = e->room_base + o.timestamp;
    send_said(now, out, s, {o.payload, 0, o.marker}, o.payload_type, to.rtp);
    s.own.timestamp += f->clock_rate / 1000 * s.ptime_ms;
  }
  const bool late = now.mono - deadline > most_catch_up;  // a gap, not a burst
  arm_room(id, *r, (late ? now.mono : deadline) + tick);
}

std::vector<Occupant> EngineState::roster(RoomId id) {
  std::vector<Occupant> all;
  const Room* r = room_of(id);
  if (!r) return all;
  for (const mixer::RosterEntry& m : r->mixer.roster()) {
    const Endpoint* e =
        m.member.slot < r->occupant.size() ? endpoints.find(r->occupant[m.member.slot]) : nullptr;
    if (e) all.push_back({e->id, e->config.trail, e->seat, m.talks, m.level});
  }
  return all;
}

}  // namespace tandem::media
