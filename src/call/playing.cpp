// Sounds that somebody wants those who talk to hear.
#include <algorithm>

#include "call/flow.h"

namespace tandem::call {

namespace {

media::Programme programme_of(const PlayOrder& order) {
  media::Programme programme;
  programme.rounds = order.rounds;
  for (const PlayOrder::Sound& s : order.sounds)
    programme.cues.push_back({s.language, s.prompt, s.file, nullptr});
  return programme;
}

}  // namespace

PlayDone CallFlow::play(const PlayOrder& order) {
  std::vector<Party*> listeners;
  for (const LegId leg : order.legs) {
    Party* p = party(leg);
    if (!p || p->state != Party::State::up) return PlayDone::no_leg;
    listeners.push_back(p);
  }
  if (order.legs.empty())
    for (auto& p : call_.parties)
      if (p->state == Party::State::up && !p->music) listeners.push_back(p.get());
  const auto talks = [this](const Party* p) {
    const Party* partner = party(p->partner);
    return partner && partner->state == Party::State::up;
  };
  // Who waits, or is with a service, hears what that has for him.
  if (call_.state != Call::State::connected || attended() || call_.feature) return PlayDone::not_talking;
  if (listeners.empty() || !std::all_of(listeners.begin(), listeners.end(), talks))
    return PlayDone::not_talking;
  if (std::any_of(listeners.begin(), listeners.end(), [](const Party* p) { return p->music; }))
    return PlayDone::held;
  for (Party* p : listeners)
    if (!play(*p, order)) return PlayDone::failed;
  touch();
  return PlayDone::done;
}

/// Without sounds: its partner again.
bool CallFlow::play(Party& p, const PlayOrder& order) {
  if (order.sounds.empty()) {
    layer_.engine.stop(turn_.now, p.endpoint);
    return true;
  }
  if (!layer_.engine.play(turn_.now, p.endpoint, programme_of(order)).ok()) return false;
  layer_.counters.played.add();
  event(port::Level::info, "call.playing",
        {{"party", p.user}, {"sounds", std::to_string(order.sounds.size())}});
  ask_sounds(p);
  return true;
}

}  // namespace tandem::call
