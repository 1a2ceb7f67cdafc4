// Conferences: who is in them, who waits for a moderator, what all are told. The sound is the media room's.
#include <algorithm>

#include "call/flow.h"

namespace tandem::call {

namespace {

/// A tone for who comes and goes disturbs nobody but in a small conference.
constexpr size_t told_of_newcomers = 20;

bool is(const Meeting::Member& m, const Call& call) { return m.call == call.id; }

/// Two notes: up for who comes, down for who goes.
codec::ToneSequence chime(bool coming) {
  codec::ToneSequence tones;
  const uint16_t first = coming ? 480 : 640, second = coming ? 640 : 480;
  tones.steps = {{first, 0, -16, 120}, {second, 0, -16, 120}};
  tones.repeats = 1;
  return tones;
}

}  // namespace

void CallFlow::carry_out(service::Enter& enter) {
  Attendance& a = *call_.attendance;
  const auto refused = [&](service::RoomEvent why) {
    tell([&](service::Machine& m, service::Orders& out) { m.on_room(turn_.now, why, 0, out); });
  };
  const port::ConferenceRow* row = layer_.plan->conference(enter.domain, enter.name);
  if (!row) return refused(service::RoomEvent::ended);
  const std::string room = enter.name + "@" + enter.domain;
  const auto there = layer_.meetings.find(room);
  const size_t members = there == layer_.meetings.end() ? 0 : there->second.members.size();
  if (members >= row->members) return refused(service::RoomEvent::full);
  if (members > 0 && there->second.locked && !enter.moderator) return refused(service::RoomEvent::locked);
  Meeting& meeting = layer_.meetings[room];
  a.room = room;
  a.moderator = enter.moderator;
  a.muted = enter.muted;
  const bool led =
      std::any_of(meeting.members.begin(), meeting.members.end(), [](const auto& m) { return m.moderator; });
  a.waits = row->wait && !row->moderator_pin.empty() && !enter.moderator && !led;
  meeting.members.push_back({call_.id, a.leg, a.moderator, a.muted, a.waits});
  touch();
  if (a.waits) {
    play_music(*attended());
    return tell([&](service::Machine& m, service::Orders& out) {
      m.on_room(turn_.now, service::RoomEvent::waiting, 0, out);
    });
  }
  sit_down(meeting, meeting.members.back());
  if (enter.moderator && !led) open_meeting(room);
}

/// Into the room of the media.
void CallFlow::sit_down(Meeting& meeting, Meeting::Member& member) {
  Attendance& a = *call_.attendance;
  Party& p = *attended();
  const size_t at = a.room.rfind('@');
  const port::ConferenceRow* row = layer_.plan->conference(a.room.substr(at + 1), a.room.substr(0, at));
  media::RoomConfig config;
  config.name = a.room;
  if (row) config.members = row->members;
  const auto room = layer_.engine.room(config);
  if (room.ok() && meeting.members.size() == 1 && row && row->lecture) layer_.engine.set_lecture(*room, true);
  media::Seat seat;
  seat.muted = a.muted;
  seat.lecturer = a.moderator;
  p.music = false;
  layer_.engine.stop(turn_.now, p.endpoint);
  if (!room.ok() || !layer_.engine.enter(turn_.now, p.endpoint, *room, seat).ok()) {
    leave_meeting();
    return tell([&](service::Machine& m, service::Orders& out) {
      m.on_room(turn_.now, service::RoomEvent::full, 0, out);
    });
  }
  a.waits = member.waits = false;
  const auto others = static_cast<uint32_t>(
      std::count_if(meeting.members.begin(), meeting.members.end(), [](const auto& m) { return !m.waits; }) -
      1);
  event(port::Level::info, "conference.entered",
        {{"conference", a.room}, {"others", std::to_string(others)}});
  if (row && row->announce) sound_meeting(meeting, true);
  record_by_policy(*pair_of(p.id));
  const bool lecture = layer_.engine.lecture(*room);
  const bool otherwise = row && row->lecture != lecture && !a.moderator;
  tell([&](service::Machine& m, service::Orders& out) {
    m.on_room(turn_.now, service::RoomEvent::entered, others, out);
    const auto news = lecture ? service::RoomEvent::lecture_on : service::RoomEvent::lecture_off;
    if (otherwise) m.on_room(turn_.now, news, others, out);
  });
}

/// A moderator is there: who waited for one may enter.
void CallFlow::open_meeting(const std::string& room) {
  const auto found = layer_.meetings.find(room);
  if (found == layer_.meetings.end()) return;
  std::vector<Meeting::Member> waiting;
  for (const auto& m : found->second.members)
    if (m.waits && !is(m, call_)) waiting.push_back(m);
  for (const auto& m : waiting)
    if (Call* other = layer_.find(m.call))
      layer_.run(turn_.now, *other, turn_.out, [&](CallFlow& flow) {
        const auto there = layer_.meetings.find(room);
        if (there == layer_.meetings.end() || !flow.attended() || flow.call_.attendance->room != room) return;
        for (Meeting::Member& member : there->second.members)
          if (is(member, flow.call_)) return flow.sit_down(there->second, member);
      });
}

/// This call's caller leaves; the conference ends with its last moderator when its row says so.
void CallFlow::leave_meeting() {
  Attendance& a = *call_.attendance;
  const std::string room = std::exchange(a.room, {});
  const bool waited = std::exchange(a.waits, false);
  if (const Party* p = party(a.leg); p && !waited) layer_.engine.leave(turn_.now, p->endpoint);
  touch();
  const auto found = layer_.meetings.find(room);
  if (found == layer_.meetings.end()) return;
  Meeting& meeting = found->second;
  std::erase_if(meeting.members, [&](const auto& m) { return is(m, call_); });
  event(port::Level::info, "conference.left", {{"conference", room}});
  if (meeting.members.empty()) {
    layer_.meetings.erase(found);
    return;
  }
  const size_t at = room.rfind('@');
  const port::ConferenceRow* row = layer_.plan->conference(room.substr(at + 1), room.substr(0, at));
  const bool led =
      std::any_of(meeting.members.begin(), meeting.members.end(), [](const auto& m) { return m.moderator; });
  if (row && row->announce && !waited) sound_meeting(meeting, false);
  if (a.moderator && !led && row && row->ends) tell_meeting(room, service::RoomEvent::ended, true);
}

/// To everybody else in the conference; `moderators`: to them too.
void CallFlow::tell_meeting(const std::string& room, service::RoomEvent what, bool moderators) {
  const auto found = layer_.meetings.find(room);
  if (found == layer_.meetings.end()) return;
  const std::vector<Meeting::Member> members = found->second.members;
  for (const auto& m : members) {
    if (is(m, call_) || (m.moderator && !moderators)) continue;
    if (Call* other = layer_.find(m.call))
      layer_.run(turn_.now, *other, turn_.out, [&](CallFlow& flow) { flow.on_room(what); });
  }
}

void CallFlow::on_room(service::RoomEvent what) {
  if (!attended() || call_.attendance->room.empty()) return;
  tell([&](service::Machine& m, service::Orders& out) { m.on_room(turn_.now, what, 0, out); });
}

void CallFlow::sound_meeting(const Meeting& meeting, bool coming) {
  if (meeting.members.size() > told_of_newcomers) return;
  for (const auto& m : meeting.members) {
    if (is(m, call_) || m.waits) continue;
    Call* other = layer_.find(m.call);
    if (const Party* p = other ? other->find(m.leg) : nullptr)
      (void)layer_.engine.play(turn_.now, p->endpoint, chime(coming));
  }
}

void CallFlow::mute(bool on) {
  Attendance& a = *call_.attendance;
  const auto found = layer_.meetings.find(a.room);
  if (a.room.empty() || found == layer_.meetings.end()) return;
  a.muted = on;
  for (Meeting::Member& m : found->second.members)
    if (is(m, call_)) m.muted = on;
  media::Seat seat;
  seat.muted = on;
  seat.lecturer = a.moderator;
  layer_.engine.seat(attended()->endpoint, seat);
  touch();
}

void CallFlow::carry_out(service::Mute& order) { mute(order.on); }

void CallFlow::set_lecture(bool on) {
  const std::string name = call_.attendance->room;
  if (name.empty() || call_.attendance->waits) return;
  layer_.engine.set_lecture(layer_.engine.room_of(attended()->endpoint), on);
  touch();
  tell_meeting(name, on ? service::RoomEvent::lecture_on : service::RoomEvent::lecture_off, false);
}

void CallFlow::operator_lecture(bool on) {
  if (!attended()) return;
  set_lecture(on);
  if (!call_.attendance->moderator)
    on_room(on ? service::RoomEvent::lecture_on : service::RoomEvent::lecture_off);
}

void CallFlow::carry_out(service::Lecture& lecture) {
  if (call_.attendance->moderator) set_lecture(lecture.on);
}

void CallFlow::carry_out(service::Lock& lock) {
  const Attendance& a = *call_.attendance;
  const auto found = layer_.meetings.find(a.room);
  if (a.moderator && found != layer_.meetings.end()) found->second.locked = lock.on;
  touch();
}

/// Who was brought there by an attended transfer takes the seat of who brought it.
bool CallFlow::take_seat(Party& x, Party& newcomer) {
  Attendance& a = *call_.attendance;
  if (!accept_newcomer(newcomer, newcomer)) return false;
  const auto found = layer_.meetings.find(a.room);
  if (found == layer_.meetings.end()) return false;
  port::CommitId commit = 0;
  if (Pairing* ending = pair_of(x.id)) commit = close_pair(*ending, Cause{}, port::Cdr::Side::system);
  a.leg = newcomer.id;
  layer_.engine.leave(turn_.now, x.endpoint);
  release(x, Cause::from_q850(16, "Replaced"), commit);
  newcomer.state = Party::State::up;
  newcomer.partner = 0;
  newcomer.music = false;
  newcomer.line_told = false;
  Pairing& pair = open_pair(newcomer, newcomer);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  line(newcomer, port::LineCall::State::confirmed);
  for (Meeting::Member& m : found->second.members)
    if (is(m, call_)) {
      m.leg = newcomer.id;
      if (!m.waits)
        sit_down(found->second, m);
      else
        play_music(newcomer);
      break;
    }
  return true;
}

// ---- what operators see and do

std::vector<ConferenceInfo> Layer::conferences() const {
  std::vector<ConferenceInfo> all;
  for (const auto& [room, meeting] : meetings) {
    ConferenceInfo& info = all.emplace_back();
    const size_t at = room.rfind('@');
    info.name = room.substr(0, at);
    info.domain = room.substr(at + 1);
    info.locked = meeting.locked;
    for (const Meeting::Member& m : meeting.members) {
      const auto call = calls.find(m.call);
      const Party* p = call == calls.end() ? nullptr : call->second->find(m.leg);
      if (!p) continue;
      ConferenceInfo::Member& member = info.members.emplace_back();
      member.call = m.call;
      member.party = p->domain.empty() ? p->user : p->user + "@" + p->domain;
      member.display = p->display;
      member.moderator = m.moderator;
      member.muted = m.muted;
      member.waits = m.waits;
      const media::RoomId id = engine.room_of(p->endpoint);
      info.lecture = info.lecture || engine.lecture(id);
      for (const media::Occupant& o : engine.roster(id))
        if (o.endpoint == p->endpoint) member.talks = o.talks, member.level = o.level;
    }
  }
  return all;
}

std::vector<CallId> Layer::members_of(std::string_view domain, std::string_view name) const {
  std::vector<CallId> found;
  const auto it = meetings.find(std::string(name).append("@").append(domain));
  if (it == meetings.end()) return found;
  for (const Meeting::Member& m : it->second.members) found.push_back(m.call);
  return found;
}

bool Layer::set_conference(Now now, std::string_view domain, std::string_view name,
                           std::optional<bool> locked, std::optional<bool> lecture, port::Outbox& out) {
  const auto it = meetings.find(std::string(name).append("@").append(domain));
  if (it == meetings.end()) return false;
  if (locked) it->second.locked = *locked;
  if (!lecture) return true;
  for (const Meeting::Member& m : it->second.members) {
    Call* call = m.waits ? nullptr : find(m.call);
    if (!call) continue;
    // On whose word is of no matter; it hears of it like the others.
    run(now, *call, out, [&](CallFlow& flow) { flow.operator_lecture(*lecture); });
    break;
  }
  return true;
}

}  // namespace tandem::call
