// Legs that change calls: attended transfer, INVITE with Replaces (RFC 3891), pick-up, retrieving from park.
// The party goes into the call it joins; when that call lives on another worker, this whole call moves there
// first.
#include <algorithm>

#include "base/text.h"
#include "call/flow.h"
#include "sip/headers.h"

namespace tandem::call {

/// `newcomer` of this call is to take the place of the leg with our tag `tag`, wherever that is. `referrer`
/// (or 0) asked for it and is told the outcome.
void CallFlow::join_other(LegId newcomer_id, LegId referrer_id, std::string_view tag) {
  const auto found = layer_.dialogs.find(tag);
  if (found == layer_.dialogs.end()) {
    const auto owner = layer_.mint.owner(tag);
    const uint16_t worker =
        owner ? sip::worker_of_shard(owner->shard, std::max<uint16_t>(layer_.config.workers, 1)) : 0;
    if (!owner || owner->node != layer_.config.node || worker == layer_.config.worker)
      return replace_failed(newcomer_id, referrer_id, 481);
    return move_away(worker, "replace " + std::to_string(newcomer_id) + " " + std::to_string(referrer_id) +
                                 " " + std::string(tag));
  }
  const Layer::Where where = found->second;
  Call* other = layer_.find(where.call);
  if (!other || where.call == call_.id) return replace_failed(newcomer_id, referrer_id, 481);
  const auto at = std::find_if(call_.parties.begin(), call_.parties.end(),
                               [&](const auto& p) { return p->id == newcomer_id; });
  bool possible = false;
  {
    std::vector<LegEvent> none;
    Turn probe{turn_.now, turn_.out, none};
    possible = at != call_.parties.end() && CallFlow(layer_, *other, probe).can_replace(where.leg);
  }
  if (!possible) return replace_failed(newcomer_id, referrer_id, 481);
  if ((*at)->sip->offer_in_progress()) (*at)->leg->refuse_offer(turn_, 491);
  const std::string by = party(referrer_id) ? party(referrer_id)->aor.to_string() : std::string{};
  // Out of this call ...
  port::CommitId commit = 0;
  if (Pairing* pair = pair_of(newcomer_id)) commit = close_pair(*pair, Cause{}, port::Cdr::Side::system);
  std::unique_ptr<Party> newcomer = std::move(*at);
  call_.parties.erase(at);
  if (call_.setup && call_.setup->origin == newcomer->id) {
    call_.setup.reset();
    call_.setup_until = Instant::never();
  }
  call_.feature.reset();
  newcomer->partner = 0;
  newcomer->negotiation = Negotiation::none;
  newcomer->negotiation_until = Instant::never();
  layer_.engine.unjoin(turn_.now, newcomer->endpoint);
  // ... and into the other.
  const Now now = turn_.now;
  layer_.run(now, *other, turn_.out,
             [&](CallFlow& flow) { flow.replace(where.leg, std::move(newcomer), by); });
  if (Party* referrer = party(referrer_id); referrer && referrer->state == Party::State::up) {
    referrer->leg->transfer_progress(turn_, 200);
    referrer->partner = 0;
    release(*referrer, Cause::from_q850(16, "Transferred"), commit);
  }
  for (auto& p : call_.parties) release(*p, Cause::from_q850(16), commit);
}

void CallFlow::replace_failed(LegId newcomer_id, LegId referrer_id, int status) {
  if (Party* referrer = party(referrer_id); referrer && referrer->state == Party::State::up)
    return referrer->leg->transfer_progress(turn_, status);
  Party* newcomer = party(newcomer_id);
  if (!newcomer || newcomer->state == Party::State::gone) return;
  if (call_.setup && call_.setup->origin == newcomer_id)
    return refuse_caller(*newcomer, Cause::from_status(status));
  release(*newcomer, Cause::from_status(status));
}

bool CallFlow::can_replace(LegId replaced) const {
  const Party* x = call_.find(replaced);
  if (!x || x->state == Party::State::gone) return false;
  if (call_.state == Call::State::parked && x->state == Party::State::up) return true;
  if (x->state == Party::State::up) {
    const Party* partner = call_.find(x->partner);
    return partner && partner->state == Party::State::up && !call_.setup;
  }
  return call_.setup.has_value();  // it rings, or it is the caller of somebody who rings
}

void CallFlow::replace(LegId replaced, std::unique_ptr<Party> arriving, std::string transferred_by) {
  const auto known = arriving->sip ? layer_.dialogs.find(arriving->sip->local_tag()) : layer_.dialogs.end();
  const Layer::Where before = known == layer_.dialogs.end() ? Layer::Where{} : known->second;
  call_.parties.push_back(std::move(arriving));
  Party& newcomer = *call_.parties.back();
  Party& x = *party(replaced);
  newcomer.id = call_.next_leg++;
  newcomer.branch = -1;
  newcomer.attempt = 0;
  newcomer.sip->rename(call_.id, newcomer.id);
  know_dialog(newcomer);
  layer_.aliases[before] = {call_.id, newcomer.id};
  touch();
  event(port::Level::info, "call.replaced", {{"party", newcomer.user}, {"instead_of", x.user}});
  bool done = false;
  if (call_.state == Call::State::parked && x.state == Party::State::up)
    done = retrieve(x, newcomer);
  else if (x.state == Party::State::up)
    done = replace_talking(x, newcomer, transferred_by);
  else if (call_.setup->origin == x.id)
    done = replace_calling(x, newcomer, transferred_by);
  else
    done = pick_up(newcomer);
  if (!done) release(newcomer, Cause::from_status(488, "No common codec"));
}

bool CallFlow::retrieve(Party& parked, Party& newcomer) {
  if (!accept_newcomer(newcomer, parked)) return false;
  if (call_.setup) end_setup();  // the parker was being called back
  unpark_line();
  begin_pair(parked, newcomer, {});
  return true;
}

bool CallFlow::replace_talking(Party& x, Party& newcomer, const std::string& transferred_by) {
  Party& partner = *party(x.partner);
  if (!accept_newcomer(newcomer, partner)) return false;
  port::CommitId commit = 0;
  const Pairing* pair = pair_of(x.id);
  const bool was_a = pair && pair->a == x.id;
  if (Pairing* ending = pair_of(x.id)) commit = close_pair(*ending, Cause{}, port::Cdr::Side::system);
  x.partner = partner.partner = 0;
  release(x, Cause::from_q850(16, "Replaced"), commit);
  was_a ? begin_pair(newcomer, partner, transferred_by) : begin_pair(partner, newcomer, transferred_by);
  return true;
}

/// The consultation call still rings: the newcomer waits for its answer.
bool CallFlow::replace_calling(Party& x, Party& newcomer, const std::string& transferred_by) {
  if (!accept_newcomer(newcomer, newcomer)) return false;
  call_.setup->origin = newcomer.id;
  call_.setup->transferred_by = transferred_by;
  play(newcomer, codec::ToneSequence::ringback());
  release(x, Cause::from_status(487, "Transferred"));
  return true;
}

/// The newcomer answers in place of whoever rings.
bool CallFlow::pick_up(Party& newcomer) {
  Party* from = origin();
  if (!from || !accept_newcomer(newcomer, *from)) return false;
  if (from->state != Party::State::up) {
    const auto like = layer_.engine.remote_description(newcomer.endpoint);
    auto shown = from->has_sdp ? layer_.engine.answer(turn_.now, from->endpoint)
                               : layer_.engine.offer(turn_.now, from->endpoint);
    if (!shown.ok() && like)
      shown = layer_.engine.present(turn_.now, from->endpoint, *like, media::SdpRole::answer);
    if (!shown.ok()) {
      fail_setup(Cause::from_status(488));
      return false;
    }
    if (!from->has_sdp) from->negotiation = Negotiation::match;
    from->leg->accept(turn_, *shown);
  }
  connect(*from, newcomer);
  return true;
}

/// Two parties that were brought together talk.
void CallFlow::begin_pair(Party& a, Party& b, const std::string& transferred_by) {
  a.partner = b.id;
  b.partner = a.id;
  for (Party* p : {&a, &b}) {
    p->state = Party::State::up;
    p->music = false;
  }
  join(a, b);
  Pairing& pair = open_pair(a, b);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  pair.cdr.transferred_by = transferred_by;
  call_.state = Call::State::connected;
  if (!call_.answered.ns) call_.answered = turn_.now.wall;
  line(a, port::LineCall::State::confirmed);
  line(b, port::LineCall::State::confirmed);
  match(a, b);
  update_hold(a);
  update_hold(b);
}

/// The whole call goes to another worker (and this object ends): it is stored, its names are told to the
/// dispatch, its ports are closed so that the new owner can bind them.
void CallFlow::move_away(uint16_t worker, std::string then) {
  port::CallMove move;
  move.to_worker = worker;
  move.then = std::move(then);
  for (const auto& p : call_.parties) {
    if (!p->sip) continue;
    move.local_tags.push_back(p->sip->local_tag());
    p->sip->branches(move.branches);
  }
  move.part = layer_.part_of(turn_.now, call_, true);
  turn_.out.moves.push_back(std::move(move));
  layer_.counters.moved.add();
  call_.asks.clear();
  call_.setup.reset();
  call_.pairs.clear();
  for (auto& p : call_.parties) {
    layer_.engine.close(turn_.now, p->endpoint);
    layer_.forget_leg(call_, *p);
  }
  call_.parties.clear();
  call_.seat = 0;  // it goes along
  call_.reservations.clear();
}

void CallFlow::go_on(std::string_view then) {
  if (then.substr(0, 8) != "replace ") return;
  then.remove_prefix(8);
  const size_t first = then.find(' ');
  const size_t second = then.find(' ', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return;
  const auto newcomer = parse_u32(then.substr(0, first));
  const auto referrer = parse_u32(then.substr(first + 1, second - first - 1));
  if (!newcomer || !referrer) return;
  const std::string_view tag = then.substr(second + 1);
  // Only once: the other call may have ended, or moved on, while this one was under way.
  if (layer_.dialogs.find(tag) == layer_.dialogs.end())
    return replace_failed(static_cast<LegId>(*newcomer), static_cast<LegId>(*referrer), 481);
  join_other(static_cast<LegId>(*newcomer), static_cast<LegId>(*referrer), tag);
}

/// INVITE with Replaces (RFC 3891 section 3).
void CallFlow::start_replacing(Party& caller, const sip::Message& request) {
  const auto replaces = sip::Replaces::parse(request.header(sip::HeaderId::replaces).value_or(""));
  if (!replaces.ok()) return refuse_caller(caller, Cause::from_status(400));
  if (caller.trunk.empty() == false) return refuse_caller(caller, Cause::from_status(403));
  const std::string_view tag = layer_.mint.owner(replaces->to_tag) ? replaces->to_tag : replaces->from_tag;
  if (const auto found = layer_.dialogs.find(tag); found != layer_.dialogs.end()) {
    const Call* other = layer_.find(found->second.call);
    const Party* x = other ? other->find(found->second.leg) : nullptr;
    if (x && x->sip->call_id() != replaces->call_id) return refuse_caller(caller, Cause::from_status(481));
    if (x && x->state == Party::State::up && replaces->early_only)
      return refuse_caller(caller, Cause::from_status(486));
  }
  join_other(caller.id, 0, tag);
}

}  // namespace tandem::call
