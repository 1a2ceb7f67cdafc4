// Seats: how the calls of a trunk and of a domain are counted while they live on many workers. Whoever owns
// the name grants a seat before the call goes on; it is given back when the leg, the attempt or the call it
// was for ends (docs/decisions/seats.md).
#include <algorithm>
#include <map>

#include "call/flow.h"

namespace tandem::call {

namespace {

using Kind = port::SeatPool::Kind;

uint64_t draw(Rng& rng) {
  uint64_t seat = 0;
  while (seat == 0) seat = rng.next();
  return seat;
}

bool counts(const route::Trunk* trunk) {
  return trunk && (trunk->row.max_calls > 0 || trunk->row.max_calls_per_second > 0);
}
bool counts(const port::DomainRow* domain) { return domain && domain->max_calls > 0; }

bool anybody(const Call& call) {
  return std::any_of(call.parties.begin(), call.parties.end(),
                     [](const auto& p) { return p->state != Party::State::gone; });
}

/// The seat was asked for, and whether it was granted is not known here yet.
bool waits(const Call& call, OpenAsk::What what) {
  return std::any_of(call.asks.begin(), call.asks.end(), [&](const OpenAsk& a) { return a.what == what; });
}
bool waits(const Call& call, const Reservation& r) {
  return std::any_of(call.asks.begin(), call.asks.end(), [&](const OpenAsk& a) {
    return a.what == OpenAsk::What::hop_seat && a.attempt == r.attempt && a.branch == r.branch;
  });
}

/// f(pool, seat) for every seat the call is known to hold.
template <class F>
void each_seat(const Call& call, F&& f) {
  if (call.seat && !waits(call, OpenAsk::What::domain_seat))
    f(port::SeatPool{Kind::domain, call.domain}, call.seat);
  for (const auto& p : call.parties)
    if (p->seat && !(p->caller && waits(call, OpenAsk::What::trunk_seat)))
      f(port::SeatPool{Kind::trunk, p->trunk}, p->seat);
  for (const Reservation& r : call.reservations)
    if (!waits(call, r)) f(port::SeatPool{Kind::trunk, r.trunk}, r.seat);
}

}  // namespace

bool Layer::counts_calls() const {
  const auto trunks = plan->trunks();
  const auto domains = plan->domains();
  return std::any_of(trunks.begin(), trunks.end(), [](const route::Trunk* t) { return counts(t); }) ||
         std::any_of(domains.begin(), domains.end(), [](const port::DomainRow* d) { return counts(d); });
}

/// Says of every seat that it is still taken. A call that began before its trunk or domain had a limit gets
/// its seat here.
void Layer::renew_seats(Now now, port::Outbox& out) {
  next_renewal = counts_calls() ? now.mono + seat_renewal : Instant::never();
  if (next_renewal.is_never()) return;
  std::map<port::SeatPool, std::vector<uint64_t>> held;
  for (const auto& [id, call] : calls) {
    if (!anybody(*call)) continue;
    if (!call->seat && counts(plan->domain(call->domain))) call->seat = draw(rng);
    for (const auto& p : call->parties) {
      if (p->trunk.empty() || p->state == Party::State::gone) continue;
      const bool talks = p->caller || p->state == Party::State::up;
      if (!p->seat && talks && counts(plan->trunk(p->trunk))) p->seat = draw(rng);
    }
    each_seat(*call, [&](port::SeatPool pool, uint64_t seat) { held[std::move(pool)].push_back(seat); });
  }
  for (auto& [pool, seats] : held) out.seats.push_back({pool, true, std::move(seats)});
}

/// Emergency calls take their seats without asking: no limit stops them.
bool CallFlow::dials_emergency() const {
  const auto decision = layer_.plan->decide(request_of_setup(false));
  const auto* out = std::get_if<route::TrunkCall>(&decision.action);
  return out && out->emergency;
}

/// Takes the seats a new call needs. False: they were asked for, and proceed() follows the answers.
bool CallFlow::take_seats(Party& caller, bool unasked) {
  const bool of_trunk = !caller.trunk.empty() && counts(layer_.plan->trunk(caller.trunk));
  const bool of_domain = counts(layer_.plan->domain(call_.domain));
  if (of_trunk) caller.seat = draw(layer_.rng);
  if (of_domain) call_.seat = draw(layer_.rng);
  if (!of_trunk && !of_domain) return true;
  if (unasked || dials_emergency()) {
    tell_seats();
    return true;
  }
  if (of_trunk) ask(OpenAsk::What::trunk_seat, port::AskSeat{{Kind::trunk, caller.trunk}, caller.seat});
  if (of_domain) ask(OpenAsk::What::domain_seat, port::AskSeat{{Kind::domain, call_.domain}, call_.seat});
  return false;
}

/// Counted and told, in words for the caller.
Cause CallFlow::no_seat(const port::SeatPool& pool, const port::Answer& answer) {
  const auto* seat = std::get_if<port::SeatAnswer>(&answer);
  const bool trunk = pool.kind == Kind::trunk;
  std::string limit = "unknown";
  if (!seat) {
    layer_.counters.ask_failures.add();
  } else if (seat->verdict == port::SeatAnswer::Verdict::too_fast) {
    limit = "max_calls_per_second";
    layer_.counters.limit_trunk_rate.add();
  } else {
    limit = "max_calls";
    (trunk ? layer_.counters.limit_trunk : layer_.counters.limit_domain).add();
  }
  if (trunk)
    event(port::Level::notice, "trunk.full", {{"trunk", pool.name}, {"limit", limit}});
  else
    event(port::Level::notice, "domain.full", {{"domain", pool.name}, {"limit", limit}});
  Cause cause = Cause::from_status(503, trunk ? "Trunk full" : "Domain full");
  cause.q850 = 34;  // no circuit available
  return cause;
}

/// The owner has answered for one of the seats the caller needs.
void CallFlow::on_caller_seat(OpenAsk::What what, const port::Answer& answer) {
  Party* caller = origin();
  if (!caller) return;
  const bool of_trunk = what == OpenAsk::What::trunk_seat;
  const auto* seat = std::get_if<port::SeatAnswer>(&answer);
  if (seat && seat->verdict == port::SeatAnswer::Verdict::granted) {
    const bool more = std::any_of(call_.asks.begin(), call_.asks.end(), [](const OpenAsk& a) {
      return a.what == OpenAsk::What::trunk_seat || a.what == OpenAsk::What::domain_seat;
    });
    return more ? void() : proceed();
  }
  const port::SeatPool pool =
      of_trunk ? port::SeatPool{Kind::trunk, caller->trunk} : port::SeatPool{Kind::domain, call_.domain};
  // Without an answer it may have been granted all the same: then it is given back.
  if (seat) (of_trunk ? caller->seat : call_.seat) = 0;
  refuse_caller(*caller, no_seat(pool, answer),
                {{"Retry-After", std::to_string(layer_.config.retry_after_seconds)}});
}

/// A seat for the trunk this branch is about to try. False: it was asked for.
bool CallFlow::reserve(size_t branch, const route::Trunk& trunk) {
  if (!counts(&trunk)) return true;
  Branch& b = call_.setup->branches[branch];
  const auto same = [&](const Reservation& r) {
    return r.attempt == call_.setup->number && r.branch == static_cast<int>(branch) && r.hop == b.hop;
  };
  auto it = std::find_if(call_.reservations.begin(), call_.reservations.end(), same);
  if (it == call_.reservations.end()) {
    call_.reservations.push_back(
        {draw(layer_.rng), trunk.row.name, call_.setup->number, static_cast<int>(branch), b.hop});
    it = call_.reservations.end() - 1;
  }
  const port::SeatPool pool{Kind::trunk, it->trunk};
  const uint64_t seat = it->seat;
  touch();
  if (call_.setup->emergency) {
    turn_.out.seats.push_back({pool, true, {seat}});
    return true;
  }
  b.state = Branch::State::asking;
  ask(OpenAsk::What::hop_seat, port::AskSeat{pool, seat}, static_cast<int>(branch));
  return false;
}

void CallFlow::on_hop_seat(size_t branch, const port::Answer& answer) {
  Branch& b = call_.setup->branches[branch];
  if (b.state != Branch::State::asking || b.kind != Branch::Kind::trunk || b.hop >= b.hops.size()) return;
  const auto* seat = std::get_if<port::SeatAnswer>(&answer);
  const route::Trunk* trunk = layer_.plan->trunk(b.hops[b.hop].trunk);
  if (trunk && seat && seat->verdict == port::SeatAnswer::Verdict::granted)
    return resolve_trunk(branch, *trunk);
  const bool refused = seat && seat->verdict != port::SeatAnswer::Verdict::granted;
  if (refused)  // nothing was taken, so there is nothing to give back
    std::erase_if(call_.reservations, [&](const Reservation& r) {
      return r.attempt == call_.setup->number && r.branch == static_cast<int>(branch) && r.hop == b.hop;
    });
  if (trunk) b.cause = no_seat({Kind::trunk, trunk->row.name}, answer);
  ++b.hop;
  next_hop(branch);
}

/// The branch's seat is the answered party's from now on.
void CallFlow::keep_seat(Party& called) {
  const auto it =
      std::find_if(call_.reservations.begin(), call_.reservations.end(), [&](const Reservation& r) {
        return r.attempt == called.attempt && r.branch == called.branch && r.trunk == called.trunk;
      });
  if (it == call_.reservations.end()) return;
  called.seat = it->seat;
  call_.reservations.erase(it);
}

void CallFlow::give_back(Kind kind, const std::string& name, uint64_t& seat) {
  if (seat) turn_.out.seats.push_back({{kind, name}, false, {seat}});
  seat = 0;
}

/// After every turn: whatever ended an attempt or the call, its seats go back from here. (A party's goes with
/// the party, in gone().)
void CallFlow::settle_seats() {
  std::erase_if(call_.reservations, [&](Reservation& r) {
    if (call_.setup && call_.setup->number == r.attempt &&
        static_cast<size_t>(r.branch) < call_.setup->branches.size()) {
      const Branch& b = call_.setup->branches[static_cast<size_t>(r.branch)];
      const bool tried = b.state == Branch::State::asking || b.state == Branch::State::resolving ||
                         b.state == Branch::State::ringing;
      if (tried && b.hop == r.hop) return false;
    }
    give_back(Kind::trunk, r.trunk, r.seat);
    return true;
  });
  if (call_.seat && !anybody(call_)) give_back(Kind::domain, call_.domain, call_.seat);
}

/// After a restore or a move, and for calls that do not ask: the owners hear of the seats that are taken
/// here.
void CallFlow::tell_seats() {
  each_seat(call_, [&](port::SeatPool pool, uint64_t seat) {
    turn_.out.seats.push_back({std::move(pool), true, {seat}});
  });
}

}  // namespace tandem::call
