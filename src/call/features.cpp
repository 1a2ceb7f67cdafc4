// Feature codes: what answers by itself (echo test, tones), what changes a setting, and what picks up or
// retrieves another call.
#include <algorithm>

#include "call/flow.h"

namespace tandem::call {

namespace {

using Kind = port::SetFeature::Kind;

codec::ToneSequence confirmation() {
  codec::ToneSequence tones;
  tones.steps = {
      {425, 0, -10, 150}, {0, 0, -10, 100}, {425, 0, -10, 150}, {0, 0, -10, 100}, {600, 0, -10, 300}};
  tones.repeats = 1;
  return tones;
}

codec::ToneSequence test_tone() {
  codec::ToneSequence tones;
  tones.steps = {{440, 0, -10, 500}, {554, 0, -10, 500}, {659, 0, -10, 500}, {0, 0, -10, 500}};
  tones.repeats = 5;
  return tones;
}

std::vector<std::pair<Kind, bool>> settings_of(port::Feature kind) {
  switch (kind) {
    case port::Feature::dnd_on:
      return {{Kind::dnd, true}};
    case port::Feature::dnd_off:
      return {{Kind::dnd, false}};
    case port::Feature::forward_always_on:
      return {{Kind::forward_always, true}};
    case port::Feature::forward_always_off:
      return {{Kind::forward_always, false}};
    case port::Feature::forward_busy_on:
      return {{Kind::forward_busy, true}};
    case port::Feature::forward_busy_off:
      return {{Kind::forward_busy, false}};
    case port::Feature::forward_no_answer_on:
      return {{Kind::forward_no_answer, true}};
    case port::Feature::forward_no_answer_off:
      return {{Kind::forward_no_answer, false}};
    case port::Feature::forward_unreachable_on:
      return {{Kind::forward_unreachable, true}};
    case port::Feature::forward_unreachable_off:
      return {{Kind::forward_unreachable, false}};
    case port::Feature::forward_all_off:
      return {{Kind::forward_always, false},
              {Kind::forward_busy, false},
              {Kind::forward_no_answer, false},
              {Kind::forward_unreachable, false}};
    default:
      return {};
  }
}

/// Why a caller cannot talk with us alone.
Cause no_media(media::Reason reason) {
  const int status = status_of(reason);
  return Cause::from_status(status, status == 488 ? "No codec of ours" : "No media ports");
}

}  // namespace

void CallFlow::feature(const route::FeatureCall& f) {
  Setup& setup = *call_.setup;
  Party* caller = origin();
  if (!caller) return end_setup();
  const bool fresh = setup.purpose == Setup::Purpose::call && caller->state != Party::State::up;
  touch();
  switch (f.kind) {
    case port::Feature::park:
      return park(f.argument);
    case port::Feature::unpark:
      if (!fresh) return park(f.argument);  // a transfer to an occupied or free slot parks there
      call_.feature = f;
      call_.feature_leg = caller->id;
      return ask(OpenAsk::What::retrieve, port::AskLine{{"park+" + f.argument, setup.domain}});
    case port::Feature::pickup_directed:
    case port::Feature::pickup_group: {
      if (!fresh) return fail_setup(Cause::from_status(403));
      const std::string group = f.argument.empty() ? caller->pickup_group : f.argument;
      const bool directed = f.kind == port::Feature::pickup_directed;
      if (!directed && group.empty()) return fail_setup(Cause::from_status(404, "No pick-up group"));
      call_.feature = f;
      call_.feature_leg = caller->id;
      return ask(OpenAsk::What::pickup,
                 port::AskLine{{directed ? f.argument : "pickup+" + group, setup.domain}});
    }
    case port::Feature::voicemail:
    case port::Feature::voicemail_other:
    case port::Feature::voicemail_leave:
      return serve_mailbox(f);
    case port::Feature::echo:
    case port::Feature::say_number:
    case port::Feature::hold_music:
      break;
    default:
      if (!fresh) return fail_setup(Cause::from_status(403));
      return set_feature(f);
  }
  if (!fresh) return fail_setup(Cause::from_status(403));
  if (const auto up = accept_alone(*caller); !up.ok()) return fail_setup(no_media(up.reason()));
  call_.feature = f;
  call_.feature_leg = caller->id;
  if (f.kind == port::Feature::echo) {
    if (!layer_.engine.echo(turn_.now, caller->endpoint).ok()) event(port::Level::warning, "call.no_echo");
  } else {
    f.kind == port::Feature::say_number ? play(*caller, test_tone()) : play_music(*caller);
  }
  Pairing& pair = open_pair(*caller, *caller);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  end_setup();
  call_.state = Call::State::connected;
  call_.answered = turn_.now.wall;
  layer_.counters.answered.add();
  line(*caller, port::LineCall::State::confirmed);
}

void CallFlow::set_feature(const route::FeatureCall& f) {
  Party* caller = origin();
  if (caller->aor.user.empty() || settings_of(f.kind).empty()) return fail_setup(Cause::from_status(403));
  call_.feature = f;
  call_.feature_leg = caller->id;
  f.argument.empty() ? store_feature(f) : check_forward(f);
}

/// A forwarding is looked up in the dial plan as the calls it will divert will be, so that whoever sets it
/// hears at once that it leads nowhere.
void CallFlow::check_forward(const route::FeatureCall& f) {
  const Party* caller = origin();
  route::CallRequest request = request_of_setup(true);
  request.source = caller->source;
  request.dialled = f.argument;
  const route::Decision target = layer_.plan->decide(request);
  if (const auto* reject = std::get_if<route::Reject>(&target.action); reject && !target.local_first)
    return fail_setup(Cause::from_status(reject->status, "Cannot forward there: " + reject->text));
  if (std::holds_alternative<route::FeatureCall>(target.action))
    return fail_setup(Cause::from_status(403, "Cannot forward to a feature code"));
  const auto* extension = std::get_if<route::Extension>(&target.action);
  const port::AddressOfRecord* aor = target.local_first ? &*target.local_first
                                     : extension        ? &extension->aor
                                                        : nullptr;
  if (aor && *aor == caller->aor) return fail_setup(Cause::from_status(403, "Cannot forward to oneself"));
  // Whom the plan sends elsewhere when there is no such subscriber need not be one.
  if (!extension || target.local_first) return store_feature(f);
  ask(OpenAsk::What::forward_target, port::AskSubscriber{*aor});
}

void CallFlow::on_forward_target(const port::Answer& answer) {
  if (!origin() || !call_.feature) return;
  if (std::holds_alternative<port::AskFailure>(answer)) {
    layer_.counters.ask_failures.add();
    return fail_setup(Cause::from_status(503, "Directory unavailable"));
  }
  const auto* row = std::get_if<port::SubscriberAnswer>(&answer);
  if (!row || !*row || !(*row)->enabled)
    return fail_setup(Cause::from_status(404, "Cannot forward there: nobody has that number"));
  const route::FeatureCall f = *call_.feature;
  store_feature(f);
}

void CallFlow::store_feature(const route::FeatureCall& f) {
  const Party* caller = origin();
  const auto settings = settings_of(f.kind);
  call_.feature_asks = static_cast<uint32_t>(settings.size());
  call_.feature_failed = false;
  for (const auto& [kind, on] : settings) {
    const std::string value = !on ? std::string{} : kind == Kind::dnd ? "1" : f.argument;
    ask(OpenAsk::What::feature, port::SetFeature{caller->aor, kind, value});
  }
}

void CallFlow::on_feature_stored(const port::Answer& answer) {
  if (!std::holds_alternative<port::Stored>(answer)) call_.feature_failed = true;
  if (call_.feature_asks == 0 || --call_.feature_asks > 0) return;
  Party* caller = origin();
  if (!caller || !call_.feature) return;
  if (call_.feature_failed) {
    layer_.counters.ask_failures.add();
    return fail_setup(Cause::from_status(503, "Not stored"));
  }
  if (const auto up = accept_alone(*caller); !up.ok()) return fail_setup(no_media(up.reason()));
  Pairing& pair = open_pair(*caller, *caller);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  end_setup();
  call_.state = Call::State::connected;
  call_.answered = turn_.now.wall;
  layer_.counters.answered.add();
  play(*caller, confirmation());
  call_.feature_until = turn_.now.mono + seconds(3);  // when no media ever flows, the tone has no end either
  line(*caller, port::LineCall::State::confirmed);
}

/// The tone has been heard: goodbye.
void CallFlow::finish_feature() {
  call_.feature_until = Instant::never();
  Party* p = party(call_.feature_leg);
  if (!p || p->state != Party::State::up) return;
  port::CommitId commit = 0;
  if (Pairing* pair = pair_of(p->id)) commit = close_pair(*pair, Cause{}, port::Cdr::Side::system);
  release(*p, Cause{}, commit);
}

/// Pick-up: a call that rings at the line. Retrieve: the one that waits in the slot.
void CallFlow::on_line_found(const port::Answer& answer, bool parked) {
  Party* caller = origin();
  if (!caller || !call_.setup) return;
  const auto* found = std::get_if<port::LineAnswer>(&answer);
  if (!found) {
    layer_.counters.ask_failures.add();
    return fail_setup(Cause::from_status(503));
  }
  const port::LineCall* chosen = nullptr;
  for (const port::LineCall& c : found->calls) {
    const bool fits = parked ? c.state == port::LineCall::State::parked
                             : !c.initiator && (c.state == port::LineCall::State::early ||
                                                c.state == port::LineCall::State::proceeding ||
                                                c.state == port::LineCall::State::trying);
    if (fits && c.call != call_.id && (!chosen || c.since < chosen->since)) chosen = &c;
  }
  if (!chosen)
    return fail_setup(Cause::from_status(404, parked ? "Nobody waits there" : "Nothing rings there"));
  Replacement r;
  r.newcomer = caller->id;
  r.tag = chosen->local_tag;
  // Whoever answered, or retrieved it, in the meantime keeps it.
  r.only = parked ? Replacement::Only::parked : Replacement::Only::early;
  if (chosen->worker != layer_.config.worker && layer_.dialogs.find(r.tag) == layer_.dialogs.end())
    return move_away(layer_.shard_at(chosen->worker, call_.shard), to_part(r));
  join_other(r);
}

}  // namespace tandem::call
