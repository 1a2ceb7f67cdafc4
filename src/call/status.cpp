// What operators see of calls.
#include "call/flow.h"

namespace tandem::call {

std::string_view to_string(Call::State s) {
  switch (s) {
    case Call::State::setup:
      return "setup";
    case Call::State::ringing:
      return "ringing";
    case Call::State::connected:
      return "connected";
    case Call::State::parked:
      return "parked";
    case Call::State::transferring:
      return "transferring";
    case Call::State::releasing:
      return "releasing";
  }
  return "";
}

CallInfo Layer::info(const Call& call) const {
  CallInfo info;
  info.id = call.id;
  info.state = to_string(call.state);
  info.caller = call.caller;
  info.callee = call.callee;
  info.started = call.started;
  info.answered = call.answered;
  info.route = call.rule;
  info.ordered_by = call.ordered_by;
  for (const auto& p : call.parties) {
    if (p->state == Party::State::gone || !p->sip) continue;
    LegInfo& leg = info.legs.emplace_back();
    leg.id = p->id;
    leg.party = p->domain.empty() ? p->user : p->user + "@" + p->domain;
    leg.display = p->display;
    leg.call_id = p->sip->call_id();
    leg.local_tag = p->sip->local_tag();
    leg.remote_tag = p->sip->remote_tag();
    const Party* partner = call.find(p->partner);
    leg.state = p->state == Party::State::setup     ? "setup"
                : p->state == Party::State::ringing ? "ringing"
                : call.attendance && call.attendance->leg == p->id
                    ? std::string(call.attendance->machine->kind())
                : call.state == Call::State::parked ? "parked"
                : p->holds                          ? "holding"
                : partner && partner->holds         ? "held"
                                                    : "connected";
    leg.remote = p->sip->path().remote.to_string();
    if (p->endpoint) leg.media = engine.statistics(p->endpoint);
    if (const auto tape = p->endpoint ? engine.recording(p->endpoint) : std::nullopt)
      leg.recording = tape->paused ? "paused" : "running";
    leg.codec = leg.media.codec;
  }
  return info;
}

}  // namespace tandem::call
