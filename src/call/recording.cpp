// Calls are recorded: because the row of a party, or the configuration, says so, or because somebody asks for
// it.
#include <cstdio>
#include <utility>

#include "call/flow.h"

namespace tandem::call {

namespace {

/// Never wins over everything, and to be told over being recorded in silence.
port::RecordPolicy stricter(port::RecordPolicy a, port::RecordPolicy b) {
  using Policy = port::RecordPolicy;
  for (const Policy p : {Policy::never, Policy::announced, Policy::silent})
    if (a == p || b == p) return p;
  return Policy::on_demand;
}

}  // namespace

port::RecordPolicy CallFlow::policy_of(const Pairing& pair) const {
  const auto of = [&](LegId leg) {
    const Party* p = call_.find(leg);
    return !p || p->recording == port::RecordPolicy::standard ? layer_.config.recording : p->recording;
  };
  return stricter(of(pair.a), of(pair.b));
}

/// Two begin to talk.
void CallFlow::record_by_policy(Pairing& pair) {
  const port::RecordPolicy policy = policy_of(pair);
  if (policy == port::RecordPolicy::announced || policy == port::RecordPolicy::silent)
    begin_recording(pair, policy == port::RecordPolicy::announced);
}

/// What its first leg says is the left channel, what it hears the right one.
bool CallFlow::begin_recording(Pairing& pair, bool announce) {
  const Party* a = party(pair.a);
  if (!a || !a->endpoint || pair.recording) return false;
  port::RecordingOrder order;
  char tail[40];
  std::snprintf(tail, sizeof tail, "%016llx-%u-%zu", static_cast<unsigned long long>(call_.id), pair.number,
                pair.cdr.recordings.size() + 1);
  order.file = {port::SoundPlace::recordings, port::dated_name(turn_.now.wall, tail)};
  order.format = layer_.config.recording_format;
  order.fields = {{"caller", call_.caller}, {"callee", call_.callee}, {"domain", call_.domain}};
  if (!layer_.engine.record(turn_.now, a->endpoint, order).ok()) {
    layer_.counters.not_recorded.add();
    event(port::Level::warning, "call.not_recorded");
    return false;
  }
  pair.recording = a->id;
  pair.cdr.recordings.push_back(order.file.name + "." + std::string(port::extension_of(order.format)));
  layer_.counters.recorded.add();
  event(port::Level::info, "call.recording", {{"file", pair.cdr.recordings.back()}});
  touch();
  if (announce) {
    announce_recording(party(pair.a));
    if (pair.b != pair.a) announce_recording(party(pair.b));
  }
  return true;
}

/// Each hears it alone, and is heard meanwhile. In a conference the machine says it between its own words.
void CallFlow::announce_recording(Party* p) {
  if (p && p == attended() && !call_.attendance->room.empty()) return on_room(service::RoomEvent::recorded);
  if (!p || p->state != Party::State::up || p->music) return;
  (void)layer_.engine.play(turn_.now, p->endpoint,
                           media::Programme{{media::Cue{{}, "recorded", {}, nullptr}}});
}

/// Nobody waits for the file: the recorder counts, and logs, what fails.
void CallFlow::end_recording(Pairing& pair) {
  const LegId leg = std::exchange(pair.recording, LegId{0});
  const Party* p = party(leg);
  if (!p || !p->endpoint) return;
  if (const auto stopped = layer_.engine.stop_recording(p->endpoint))
    turn_.out.ask(port::CloseRecording{stopped->id, stopped->position},
                  turn_.now.mono + layer_.config.ask_timeout, {port::Asker::Room::none, 0});
  touch();
}

RecordingDone CallFlow::record(RecordingAction action, bool announce) {
  Pairing* pair = nullptr;
  for (Pairing& each : call_.pairs)
    if (each.open) pair = &each;
  if (!pair) return RecordingDone::not_talking;
  if (action != RecordingAction::start && !pair->recording) return RecordingDone::not_recorded;
  const Party* recorded = party(pair->recording);
  switch (action) {
    case RecordingAction::start:
      if (pair->recording) return RecordingDone::done;
      if (policy_of(*pair) == port::RecordPolicy::never) return RecordingDone::forbidden;
      return begin_recording(*pair, announce) ? RecordingDone::done : RecordingDone::failed;
    case RecordingAction::stop:
      end_recording(*pair);
      return RecordingDone::done;
    case RecordingAction::pause:
    case RecordingAction::resume:
      if (recorded) layer_.engine.pause_recording(recorded->endpoint, action == RecordingAction::pause);
      return RecordingDone::done;
  }
  return RecordingDone::failed;
}

/// A recording does not go along with a call: it ends where the call was, and another begins here.
void CallFlow::record_again() {
  for (Pairing& pair : call_.pairs)
    if (pair.open && std::exchange(pair.recording, LegId{0})) begin_recording(pair, false);
}

}  // namespace tandem::call
