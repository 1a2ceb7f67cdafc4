// Legs that change calls: attended transfer, INVITE with Replaces (RFC 3891), pick-up, retrieving from park.
// The party goes into the call it joins; when that call lives on another worker, this whole call moves there
// first.
#include <algorithm>

#include "call/flow.h"
#include "call/part_codec.h"
#include "sip/headers.h"

namespace tandem::call {

std::string to_part(const Next& next) {
  proto::CallNext part;
  if (const auto* r = std::get_if<Replacement>(&next)) {
    auto& to = *part.mutable_replacement();
    to.set_newcomer(r->newcomer);
    to.set_referrer(r->referrer);
    to.set_tag(r->tag);
    to.set_by(static_cast<uint32_t>(r->by));
    to.set_only(static_cast<uint32_t>(r->only));
    to.set_call_id(r->call_id);
    to.set_peer_tag(r->peer_tag);
  } else if (const auto* s = std::get_if<route::ServiceCall>(&next)) {
    auto& to = *part.mutable_service();
    to.set_kind(static_cast<uint32_t>(s->kind));
    to.set_domain(s->domain);
    to.set_name(s->name);
  }
  return part.SerializeAsString();
}

std::optional<Next> next_from(std::string_view bytes) {
  proto::CallNext part;
  if (!part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  if (part.has_service())
    return route::ServiceCall{clamp_enum(part.service().kind(), route::ServiceCall::Kind::conference),
                              part.service().domain(), part.service().name()};
  const auto& from = part.replacement();
  if (from.tag().empty()) return std::nullopt;
  Replacement r;
  r.newcomer = static_cast<LegId>(from.newcomer());
  r.referrer = static_cast<LegId>(from.referrer());
  r.tag = from.tag();
  r.by = from.by() == static_cast<uint32_t>(Replacement::By::plan) ? Replacement::By::plan
                                                                   : Replacement::By::peer;
  r.only = clamp_enum(from.only(), Replacement::Only::parked);
  r.call_id = from.call_id();
  r.peer_tag = from.peer_tag();
  return r;
}

/// The dialog a peer names: normally our tag is the to-tag; a phone that describes somebody else's dialog may
/// see it from the other end.
Replacement CallFlow::named(const sip::Replaces& replaces, LegId newcomer, LegId referrer) const {
  const bool usual = layer_.mint.owner(replaces.to_tag).has_value();
  Replacement r;
  r.newcomer = newcomer;
  r.referrer = referrer;
  r.tag = usual ? replaces.to_tag : replaces.from_tag;
  r.by = Replacement::By::peer;
  r.only = replaces.early_only ? Replacement::Only::early : Replacement::Only::any;
  r.call_id = replaces.call_id;
  r.peer_tag = usual ? replaces.from_tag : replaces.to_tag;
  return r;
}

/// One of this call's legs is to take the place of a leg of another, wherever that is.
void CallFlow::join_other(const Replacement& r) {
  const auto found = layer_.dialogs.find(r.tag);
  if (found == layer_.dialogs.end()) {
    const auto owner = layer_.mint.owner(r.tag);
    if (!owner || owner->node != layer_.config.node || layer_.worker_of(owner->shard) == layer_.config.worker)
      return replace_failed(r, 481);
    return move_away(owner->shard, to_part(r));
  }
  const Layer::Where where = found->second;
  Call* other = layer_.find(where.call);
  if (!other || where.call == call_.id) return replace_failed(r, 481);
  const auto at = std::find_if(call_.parties.begin(), call_.parties.end(),
                               [&](const auto& p) { return p->id == r.newcomer; });
  const Party* claimant = party(r.referrer ? r.referrer : r.newcomer);
  if (at == call_.parties.end() || !claimant) return replace_failed(r, 481);
  int status = 0;
  {
    std::vector<LegEvent> none;
    Turn probe{turn_.now, turn_.out, none};
    status = CallFlow(layer_, *other, probe).judge(where.leg, r, *claimant);
  }
  if (status) return replace_failed(r, status);
  if ((*at)->sip->offer_in_progress()) (*at)->leg->refuse_offer(turn_, 491);
  const std::string by = r.referrer ? claimant->aor.to_string() : std::string{};
  // Out of this call ...
  port::CommitId commit = 0;
  if (Pairing* pair = pair_of(r.newcomer)) commit = close_pair(*pair, Cause{}, port::Cdr::Side::system);
  std::unique_ptr<Party> newcomer = std::move(*at);
  const bool unnamed = call_.private_caller && newcomer->caller;
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
  layer_.run(now, *other, turn_.out, [&](CallFlow& flow) {
    // Who wished not to be named where he called is the caller here now.
    if (const Party* x = flow.party(where.leg); unnamed && x && x->caller) flow.call_.private_caller = true;
    flow.replace(where.leg, std::move(newcomer), by);
  });
  if (Party* referrer = party(r.referrer); referrer && referrer->state == Party::State::up) {
    referrer->leg->transfer_progress(turn_, 200);
    referrer->partner = 0;
    release(*referrer, Cause::from_q850(16, "Transferred"), commit);
  }
  for (auto& p : call_.parties) release(*p, Cause::from_q850(16), commit);
}

void CallFlow::replace_failed(const Replacement& r, int status) {
  Party* referrer = party(r.referrer);
  Party* newcomer = party(r.newcomer);
  if (const Party* claimant = referrer ? referrer : newcomer; status == 403 && claimant) {
    layer_.counters.replaces_refused.add();
    event(port::Level::notice, "call.replaces_refused", {{"by", claimant->user}});
  }
  if (referrer && referrer->state == Party::State::up) return referrer->leg->transfer_progress(turn_, status);
  if (!newcomer || newcomer->state == Party::State::gone) return;
  if (call_.setup && call_.setup->origin == newcomer->id)
    return refuse_caller(*newcomer, Cause::from_status(status));
  release(*newcomer, Cause::from_status(status));
}

int CallFlow::judge(LegId replaced, const Replacement& r, const Party& claimant) const {
  const Party* x = call_.find(replaced);
  if (!x || !x->sip || x->state == Party::State::gone) return 481;
  const bool up = x->state == Party::State::up;
  if (r.by == Replacement::By::peer) {
    if (x->sip->call_id() != r.call_id || r.peer_tag.empty() || !x->sip->knows_peer(r.peer_tag)) return 481;
    if (!may_take(*x, claimant, r.referrer != 0)) return 403;
  }
  if (r.only == Replacement::Only::early && up) return 486;
  if (r.only == Replacement::Only::parked && (call_.state != Call::State::parked || !up)) return 481;
  return can_replace(*x) ? 0 : 481;
}

bool CallFlow::can_replace(const Party& x) const {
  if (call_.state == Call::State::parked && x.state == Party::State::up) return true;
  if (x.state == Party::State::up) {
    const Party* partner = call_.find(x.partner);
    if (call_.attendance && call_.attendance->leg == x.id)
      return !call_.attendance->room.empty() && !call_.setup;
    return partner && partner->state == Party::State::up && !call_.setup;
  }
  return call_.setup.has_value();  // it rings, or it is the caller of somebody who rings
}

/// RFC 3891 section 8: knowing a dialog's name gives no right to it, whoever watches the line knows it.
/// presence::may_replace shows the names by the same rule.
bool CallFlow::may_take(const Party& x, const Party& claimant, bool referred) const {
  const auto is_claimant = [&](const Party& p) {
    if (p.state == Party::State::gone) return false;
    return claimant.aor.user.empty() ? !claimant.trunk.empty() && p.trunk == claimant.trunk
                                     : p.aor == claimant.aor;
  };
  if (is_claimant(x)) return true;
  if (x.state == Party::State::up) {
    const Party* partner = call_.find(x.partner);
    return partner && is_claimant(*partner);
  }
  for (const auto& p : call_.parties)
    if (is_claimant(*p)) return true;
  return !referred && !x.caller && !x.pickup_group.empty() && x.pickup_group == claimant.pickup_group &&
         x.aor.domain == claimant.aor.domain;
}

void CallFlow::replace(LegId replaced, std::unique_ptr<Party> arriving, const std::string& transferred_by) {
  const auto known = arriving->sip ? layer_.dialogs.find(arriving->sip->local_tag()) : layer_.dialogs.end();
  const Layer::Where before = known == layer_.dialogs.end() ? Layer::Where{} : known->second;
  call_.parties.push_back(std::move(arriving));
  Party& newcomer = *call_.parties.back();
  Party& x = *party(replaced);
  newcomer.id = call_.next_leg++;
  newcomer.branch = -1;
  newcomer.attempt = 0;
  newcomer.sip->rename(call_.id, newcomer.id, call_.shard);
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
  if (attended() == &x) return take_seat(x, newcomer);
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
  play(newcomer, tones().ringback);
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
    p->line_told = false;  // whom it talks with has changed
  }
  join(a, b);
  Pairing& pair = open_pair(a, b);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  pair.cdr.transferred_by = transferred_by;
  record_by_policy(pair);
  call_.state = Call::State::connected;
  if (!call_.answered.ns) call_.answered = turn_.now.wall;
  line(a, port::LineCall::State::confirmed);
  line(b, port::LineCall::State::confirmed);
  match(a, b);
  update_hold(a);
  update_hold(b);
}

/// The whole call goes to the worker of a shard (and this object ends): it is stored, its names are told to
/// the dispatch, its ports are closed so that the new owner can bind them. From then on it mints names of
/// that shard, since only what was minted before is forwarded.
void CallFlow::move_away(uint16_t shard, std::string then) {
  port::CallMove move;
  move.to_worker = layer_.worker_of(shard);
  call_.shard = shard;
  move.then = std::move(then);
  for (const auto& p : call_.parties) {
    if (!p->sip) continue;
    move.local_tags.push_back(p->sip->local_tag());
    p->sip->branches(move.branches);
  }
  // What was recorded here is made whole here; that it was goes along, for the new owner to begin another.
  for (Pairing& pair : call_.pairs) {
    const LegId recorded = pair.recording;
    if (!pair.open || !recorded) continue;
    end_recording(pair);
    pair.recording = recorded;
  }
  move.part = layer_.part_of(turn_.now, call_, true);
  turn_.out.moves.push_back(std::move(move));
  layer_.counters.moved.add();
  call_.asks.clear();
  call_.attendance.reset();  // nobody moves out of a conference
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
  const auto next = next_from(then);
  if (!next) return;
  if (const auto* service = std::get_if<route::ServiceCall>(&*next)) {
    if (call_.setup) serve(*service);
    return;
  }
  const Replacement& r = std::get<Replacement>(*next);
  // Only once: the other call may have ended, or moved on, while this one was under way.
  if (layer_.dialogs.find(r.tag) == layer_.dialogs.end()) return replace_failed(r, 481);
  join_other(r);
}

/// INVITE with Replaces (RFC 3891 section 3).
void CallFlow::start_replacing(Party& caller, const sip::Message& request) {
  const auto replaces = sip::Replaces::parse(request.header(sip::HeaderId::replaces).value_or(""));
  if (!replaces.ok()) return refuse_caller(caller, Cause::from_status(400));
  const Replacement r = named(*replaces, caller.id, 0);
  if (!caller.trunk.empty()) return replace_failed(r, 403);
  join_other(r);
}

}  // namespace tandem::call
