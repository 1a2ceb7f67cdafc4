// Park: a party waits in a numbered slot, with music, until somebody dials the slot. A slot is an
// address-of-record of its own
// ("park+701"), so that every worker can find who waits there.
#include "base/text.h"
#include "call/flow.h"

namespace tandem::call {

namespace {

port::AddressOfRecord slot_aor(uint32_t slot, const std::string& domain) {
  return {"park+" + std::to_string(slot), domain};
}

}  // namespace

/// The party being transferred is parked: in `slot`, or in the first free one when it is empty.
void CallFlow::park(std::string_view slot) {
  Setup& setup = *call_.setup;
  const port::ParkRow* row = layer_.plan->park(setup.domain);
  const auto number = parse_u32(slot);
  if (setup.purpose != Setup::Purpose::transfer || !row || (!slot.empty() && !number))
    return fail_setup(Cause::from_status(403, "Only a call can be parked"));
  call_.park_any = slot.empty();
  call_.park_probe = call_.park_any ? row->first_slot : *number;
  if (call_.park_probe < row->first_slot || call_.park_probe > row->last_slot)
    return fail_setup(Cause::from_status(404, "No such park slot"));
  probe_slot();
}

void CallFlow::probe_slot() {
  ask(OpenAsk::What::park_probe, port::AskLine{slot_aor(call_.park_probe, call_.setup->domain)});
}

void CallFlow::on_park_probe(const port::Answer& answer) {
  if (!call_.setup || call_.setup->purpose != Setup::Purpose::transfer) return;
  const auto* found = std::get_if<port::LineAnswer>(&answer);
  if (!found) {
    layer_.counters.ask_failures.add();
    return fail_setup(Cause::from_status(503, "Park unavailable"));
  }
  if (found->calls.empty()) return park_in(std::to_string(call_.park_probe));
  const port::ParkRow* row = layer_.plan->park(call_.setup->domain);
  if (!call_.park_any || !row || call_.park_probe >= row->last_slot)
    return fail_setup(Cause::from_status(486, "Park slot taken"));
  ++call_.park_probe;
  probe_slot();
}

void CallFlow::park_in(std::string_view slot) {
  Party* waiting = origin();
  if (!waiting) return end_setup();
  const std::string domain = call_.setup->domain;
  const port::ParkRow* row = layer_.plan->park(domain);
  Party* referrer = party(call_.setup->referrer);
  call_.parker = referrer ? referrer->user : std::string{};
  call_.park_slot = slot;
  call_.domain = domain;
  if (referrer && referrer->state == Party::State::up) {
    referrer->leg->transfer_progress(turn_, 200);
    port::CommitId commit = 0;
    if (Pairing* pair = pair_of(referrer->id)) commit = close_pair(*pair, Cause{}, port::Cdr::Side::system);
    referrer->partner = 0;
    release(*referrer, Cause::from_q850(16, "Parked"), commit);
  }
  waiting->partner = 0;
  end_setup();
  call_.state = Call::State::parked;
  const uint32_t patience = row && row->timeout_seconds ? row->timeout_seconds : layer_.config.park_seconds;
  call_.park_until = turn_.now.mono + seconds(patience);
  layer_.engine.unjoin(turn_.now, waiting->endpoint);
  play_music(*waiting);
  waiting->music = true;
  line(*waiting, port::LineCall::State::parked);
  park_line(*waiting, port::LineCall::State::parked);
  event(port::Level::info, "call.parked", {{"slot", call_.park_slot}});
}

void CallFlow::unpark_line() {
  for (auto& p : call_.parties)
    if (p->state == Party::State::up && !p->partner) park_line(*p, port::LineCall::State::terminated);
  call_.park_until = Instant::never();
  call_.state = Call::State::connected;
}

/// Nobody came: the parker (or whom the plan names) is called.
void CallFlow::on_park_timeout() {
  call_.park_until = Instant::never();
  Party* waiting = nullptr;
  for (auto& p : call_.parties)
    if (p->state == Party::State::up) waiting = p.get();
  if (!waiting || call_.setup) return;
  const port::ParkRow* row = layer_.plan->park(call_.domain);
  const std::string number = row && !row->otherwise.empty() ? row->otherwise : call_.parker;
  if (number.empty()) return release_all(Cause::from_q850(19, "Parked too long"));
  Setup& setup = call_.setup.emplace();
  setup.purpose = Setup::Purpose::park_return;
  setup.number = call_.next_attempt++;
  setup.origin = waiting->id;
  setup.source = route::FromPlan{waiting->user};
  setup.dialled = number;
  setup.domain = call_.domain;
  setup.started = turn_.now.wall;
  setup.seen.push_back(lower(number));
  call_.setup_until = turn_.now.mono + layer_.config.setup_timeout;
  park_line(*waiting, port::LineCall::State::terminated);
  call_.state = Call::State::transferring;
  route(true);
}

}  // namespace tandem::call
