#include "service/conference_door.h"

#include "prompt/names.h"

namespace tandem::service {
namespace {

constexpr Duration longest_conference = hours(24);
constexpr Duration enter_limit = seconds(30);  // for the conference to say how it took the caller
constexpr Duration command_pause = seconds(3);

}  // namespace

ConferenceDoor::ConferenceDoor(port::ConferenceRow row)
    : Talk(longest_conference), row_(std::move(row)), lecture_(row_.lecture) {}

void ConferenceDoor::begin(Now now, Orders& out) {
  if (row_.pin.empty() && row_.moderator_pin.empty()) return enter(now, false, out);
  ask_pin({}, out);
}

void ConferenceDoor::ask_pin(Words before, Orders& out) {
  entry_.clear();
  before.say(row_.pin.empty() ? prompt::enter_moderator_pin : prompt::enter_pin);
  say(std::move(before), out);
}

void ConferenceDoor::judge(Now now, Orders& out) {
  const bool moderator = entry_.is(row_.moderator_pin), member = entry_.is(row_.pin), none = entry_.empty();
  entry_.clear();
  if (moderator || member || (none && row_.pin.empty())) return enter(now, moderator, out);
  if (!none) out.push_back(WrongPin{});
  Words words;
  words.say(none ? prompt::nothing_entered : prompt::invalid_pin);
  if (++tries_ < pin_tries) return ask_pin(std::move(words), out);
  part(now, words.say(prompt::too_many_tries).say(prompt::goodbye), 401, out);
}

void ConferenceDoor::enter(Now now, bool moderator, Orders& out) {
  state_ = State::entering;
  moderator_ = moderator;
  muted_ = row_.muted && !moderator;
  wait(now, enter_limit);
  out.push_back(Enter{row_.domain, row_.name, moderator, muted_});
}

void ConferenceDoor::key(Now now, char key, Orders& out) {
  if (state_ == State::pin) {
    hush(out);
    if (entry_.on_key(key)) return judge(now, out);
    return wait(now, pin_pause);
  }
  if (state_ != State::inside) return;
  if (key == '*') {
    star_ = true;
    return wait(now, command_pause);
  }
  if (!star_) return;
  star_ = false;
  wait_no_more();
  command(key, out);
}

void ConferenceDoor::command(char key, Orders& out) {
  if (key == '6') {
    out.push_back(Mute{!muted_});
    set_muted(!muted_, out);
  }
  if (!moderator_) return;
  if (key == '5') {
    out.push_back(Lecture{!lecture_});
    set_lecture(!lecture_, out);
  }
  if (key == '7') {
    locked_ = !locked_;
    out.push_back(Lock{locked_});
    say(Words().say(locked_ ? prompt::conference_now_locked : prompt::conference_unlocked), out);
  }
}

void ConferenceDoor::set_muted(bool on, Orders& out) {
  muted_ = on;
  if (state_ == State::inside) say(Words().say(on ? prompt::muted : prompt::unmuted), out);
}

void ConferenceDoor::set_lecture(bool on, Orders& out) {
  lecture_ = on;
  if (state_ == State::inside)
    say(Words().say(on ? prompt::conference_lecture_on : prompt::conference_lecture_off), out);
}

void ConferenceDoor::said(Now now, Orders& /*out*/) {
  if (state_ == State::pin) wait(now, pin_wait);
}

void ConferenceDoor::due(Now now, Orders& out) {
  switch (state_) {
    case State::pin:
      return judge(now, out);
    case State::entering:
      return part(now, Words().say(prompt::not_now), 503, out);
    case State::waiting:
      return;
    case State::inside:
      star_ = false;
      return;
  }
}

void ConferenceDoor::entered(uint32_t others, Orders& out) {
  state_ = State::inside;
  Words words;
  if (recorded_) words.say(prompt::recorded);
  words.all(prompt::language(row_.language).participants(others + 1));
  if (lecture_ && !moderator_)
    words.say(prompt::conference_lecture_on);
  else if (muted_)
    words.say(prompt::muted);
  say(std::move(words), out);
}

void ConferenceDoor::room(Now now, RoomEvent event, uint32_t count, Orders& out) {
  if (state_ == State::pin) return;
  star_ = false;  // of a command that began before this happened
  switch (event) {
    case RoomEvent::waiting:
      if (state_ != State::entering) return;
      state_ = State::waiting;
      return say(Words().say(prompt::conference_wait), out);
    case RoomEvent::entered:
      if (state_ != State::inside) entered(count, out);
      return;
    case RoomEvent::full:
      return part(now, Words().say(prompt::conference_full), 486, out);
    case RoomEvent::locked:
      return part(now, Words().say(prompt::conference_locked), 403, out);
    case RoomEvent::ended:
      return part(now, Words().say(prompt::conference_ended), 200, out);
    case RoomEvent::removed:
      return part(now, Words().say(prompt::conference_removed), 200, out);
    case RoomEvent::recorded:
      recorded_ = true;
      if (state_ == State::inside) say(Words().say(prompt::recorded), out);
      return;
    // What the caller ordered himself was said then.
    case RoomEvent::muted:
    case RoomEvent::unmuted:
      if (muted_ != (event == RoomEvent::muted)) set_muted(!muted_, out);
      return;
    case RoomEvent::lecture_on:
    case RoomEvent::lecture_off:
      if (lecture_ != (event == RoomEvent::lecture_on)) set_lecture(!lecture_, out);
      return;
  }
}

std::unique_ptr<Machine> conference_door(const port::ConferenceRow& conference) {
  return std::make_unique<ConferenceDoor>(conference);
}

}  // namespace tandem::service
