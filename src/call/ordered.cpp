// Calls placed over REST ("click to dial", RFC 3725 section 10.1): the first party is rung, and when it has
// answered, the second is called for it as if it had dialled.
//
// Of RFC 3725's flows none is followed to the letter, because its controller has no media and we do. The
// first party is offered our own media (Flow I offers none, so that its 2xx could not be acknowledged before
// the second party has answered): its INVITE is over at once, whatever the second does, and it hears ringing
// or early media meanwhile. The second is offered what the first has answered, as in a transfer; a re-INVITE
// (Flow III and IV need one always) is sent only when the two have no format in common.
#include "base/text.h"
#include "call/flow.h"
#include "call/stand_in.h"

namespace tandem::call {

Party& CallFlow::add_stand_in() {
  auto made = std::make_unique<Party>();
  made->id = call_.next_leg++;
  made->leg = std::make_unique<StandIn>();
  made->state = Party::State::up;  // there is nothing to be answered to it
  call_.parties.push_back(std::move(made));
  ++layer_.legs;
  touch();
  return *call_.parties.back();
}

/// As the caller's telephone would have sent it: the user part when the host is ours.
std::string CallFlow::number_of(std::string_view dialled) const {
  const auto uri = sip::Uri::parse(dialled);
  if (!uri.ok() || !uri->is_sip() || uri->user.empty()) return std::string(dialled);
  if (!layer_.plan->serves(uri->host) && !layer_.contacts.is_local(uri->host)) return std::string(dialled);
  return sip::unescape(uri->user).value_or(std::string(uri->user));
}

void CallFlow::start(const CallOrder& order) {
  const port::Subscriber& row = *order.caller;
  call_.started = turn_.now.wall;
  call_.domain = row.aor.domain;
  call_.ordered_by = order.by;
  call_.caller = order.own ? row.aor.user : number_of(order.from);
  call_.callee = number_of(order.to);
  Party& stand_in = add_stand_in();
  stand_in.user = order.shown.empty() ? call_.callee : order.shown;
  stand_in.display = order.display;
  stand_in.domain = row.aor.domain;
  stand_in.source = route::FromSubscriber{row.aor, row.call_class, row.caller_number, row.pickup_group};
  layer_.counters.started.add();
  layer_.counters.ordered.add();
  Setup& setup = call_.setup.emplace();
  setup.purpose = Setup::Purpose::first;
  setup.number = call_.next_attempt++;
  setup.origin = stand_in.id;
  setup.source = stand_in.source;
  setup.domain = call_.domain;
  setup.started = turn_.now.wall;
  setup.seen.push_back(lower(call_.caller));
  setup.dialled = call_.callee;
  const bool emergency = dials_emergency();
  setup.dialled = call_.caller;
  if (order.own) setup.gruu.aor = row.aor;  // these telephones, whatever the plan makes of the number
  const Duration longest = layer_.config.setup_timeout;
  call_.setup_until = turn_.now.mono + (order.ring.count() > 0 ? std::min(order.ring, longest) : longest);
  event(port::Level::info, "call.ordered", {{"from", call_.caller}, {"to", call_.callee}, {"by", order.by}});
  if (take_seats(stand_in, emergency)) proceed();
}

/// The first party: whose call it is, by its own telephones, or whom its number leads to.
void CallFlow::ring_first() {
  const port::AddressOfRecord own = call_.setup->gruu.aor;
  if (own.user.empty()) return route(true);
  Branch& b = add_extension(own);
  b.forwards = false;
  b.own = true;
  advance();
}

/// It talks with nobody yet, and waits for the second.
void CallFlow::first_answered(Party& stand_in, Party& first) {
  Setup second;
  second.number = call_.next_attempt++;
  second.origin = first.id;
  second.source = stand_in.source;
  second.dialled = call_.callee;
  second.domain = call_.domain;
  second.started = call_.setup->started;
  second.seen.push_back(lower(call_.callee));
  end_setup(Cause::cancelled(26, "Answered elsewhere"));
  gone(stand_in);
  call_.setup = std::move(second);
  call_.setup_until = turn_.now.mono + layer_.config.setup_timeout;
  call_.state = Call::State::ringing;
  line(first, port::LineCall::State::confirmed);
  event(port::Level::info, "call.first_answered", {{"by", first.user}});
  play(first, tones().ringback);
  touch();
  route(false);
}

/// Nobody to call the second for.
void CallFlow::first_failed(const Cause& cause) {
  Party* stand_in = origin();
  fail_attempt(cause, port::Cdr::Side::system);
  if (stand_in) gone(*stand_in);
}

}  // namespace tandem::call
