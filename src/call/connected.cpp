// What legs tell, and how they end.
#include <algorithm>
#include <utility>

#include "base/text.h"
#include "call/flow.h"

namespace tandem::call {

void CallFlow::on_leg(const LegEvent& e) {
  Party* p = party(e.leg);
  if (!p) return;
  touch();
  if (p->state ==
      Party::State::gone) {  // hung up by us already; what the peer still says is only acknowledged
    if (e.kind == LegEvent::Kind::released && e.by_peer) p->leg->finish_release(turn_, 0);
    if (e.kind == LegEvent::Kind::offer || e.kind == LegEvent::Kind::offer_wanted)
      p->leg->refuse_offer(turn_, 481);
    if (e.kind == LegEvent::Kind::transfer) p->leg->answer_transfer(turn_, 481);
    return;
  }
  switch (e.kind) {
    case LegEvent::Kind::progress:
      return on_progress(*p, e);
    case LegEvent::Kind::answered:
      return on_answered(*p, e);
    case LegEvent::Kind::refused:
      return on_refused(*p, e);
    case LegEvent::Kind::offer:
      return on_offer(*p, e);
    case LegEvent::Kind::offer_wanted:
      return on_offer_wanted(*p);
    case LegEvent::Kind::answer:
      return on_answer_body(*p, e);
    case LegEvent::Kind::offer_refused:
      return on_offer_refused(*p, e);
    case LegEvent::Kind::confirmed:
      return tell_candidates(*p);
    case LegEvent::Kind::released:
      return on_released(*p, e);
    case LegEvent::Kind::transfer:
      return on_transfer(*p, std::string(e.body));
    case LegEvent::Kind::info:
      return on_info(*p, e);
    case LegEvent::Kind::candidates:
      return on_candidates(*p, e);
  }
}

/// What cannot be read, or is of another generation, is counted where it is refused; the call goes on
/// without.
void CallFlow::on_candidates(Party& p, const LegEvent& e) {
  const auto taken = e.candidate ? layer_.engine.trickle(turn_.now, p.endpoint, *e.candidate)
                                 : layer_.engine.trickle_fragment(turn_.now, p.endpoint, e.body);
  if (!taken.ok())
    event(port::Level::info, "call.candidates_refused",
          {{"party", p.user}, {"why", media::to_string(taken.reason())}});
  touch();
}

/// Ours that came after the description, as soon as the peer can be told.
void CallFlow::tell_candidates(Party& p) {
  if (!p.endpoint || !p.leg->takes_candidates() || !layer_.engine.trickles(p.endpoint)) return;
  const auto told = layer_.engine.take_candidates(p.endpoint);
  if (!told.empty()) p.leg->send_candidates(turn_, told, layer_.engine.fragment_of(p.endpoint, told));
}

bool CallFlow::restart_ice(LegId leg) {
  Party* p = party(leg);
  return p && restart_ice(*p);
}

/// New credentials by an offer of ours; what is connected goes on until the new is.
bool CallFlow::restart_ice(Party& p) {
  if (p.state != Party::State::up || p.negotiation != Negotiation::none ||
      (p.sip && p.sip->offer_in_progress()))
    return false;
  const auto offer = layer_.engine.restart(turn_.now, p.endpoint);
  if (!offer.ok()) return false;
  event(port::Level::notice, "call.media_restart", {{"party", p.user}});
  p.negotiation = Negotiation::own;
  p.negotiation_until = turn_.now.mono + layer_.config.refresh_timeout;
  p.leg->offer_patiently(turn_, *offer);
  touch();
  return true;
}

/// Key presses are media's, which knows how the partner is told of them; candidates (RFC 8840) the leg itself
/// takes, and what it could not is no business of the partner's; anything else is.
void CallFlow::on_info(Party& p, const LegEvent& e) {
  if (iequals(e.content_type, trickle_type)) return;
  if (const auto press = e.method == "INFO" ? read_dtmf(e.content_type, e.body) : std::nullopt) {
    p.dtmf_form = press->form;
    if (layer_.engine.press(turn_.now, p.endpoint, press->digit, press->lasted)) return;
  }
  Party* partner = party(p.partner);
  if (partner && partner->state == Party::State::up)
    partner->leg->send_info(turn_, e.method, e.content_type, e.body);
}

void CallFlow::on_released(Party& p, const LegEvent& e) {
  const auto finish = [&](port::CommitId commit) {
    if (e.by_peer) p.leg->finish_release(turn_, commit);
    gone(p);
  };
  const auto side_of = [&](const Pairing& pair) {
    if (!e.by_peer) return port::Cdr::Side::system;
    return pair.a == p.id ? port::Cdr::Side::caller : port::Cdr::Side::callee;
  };
  const bool is_origin = call_.setup && call_.setup->origin == p.id;
  const auto giver_up = e.by_peer ? port::Cdr::Side::caller : port::Cdr::Side::system;
  if (call_.setup && p.branch >= 0 && p.attempt == call_.setup->number) {  // gone while it rang
    if (e.by_peer) p.leg->finish_release(turn_, 0);
    LegEvent refused;
    refused.kind = LegEvent::Kind::refused;
    refused.leg = p.id;
    refused.by_peer = e.by_peer;
    refused.cause = e.cause.status ? e.cause : Cause::from_status(480, e.cause.text);
    return on_refused(p, refused);
  }
  if (is_origin && p.state != Party::State::up) {  // the caller gave up
    Cause cause = e.cause;
    if (!cause.status) cause.status = 487;
    event(port::Level::info, "call.cancelled");
    return finish(fail_attempt(cause, giver_up));
  }
  port::CommitId commit = 0;
  if (Pairing* pair = pair_of(p.id)) commit = close_pair(*pair, e.cause, side_of(*pair));
  Party* partner = party(p.partner);
  const bool being_transferred = call_.setup && partner && call_.setup->origin == partner->id;
  if (is_origin) {
    // Who was being transferred left; the transfer ends with it.
    Cause cause = e.cause;
    cause.status = 487;
    Party* referrer = party(call_.setup->referrer);
    if (const port::CommitId attempt = fail_attempt(cause, giver_up)) commit = attempt;
    if (referrer && referrer->state == Party::State::up) referrer->leg->transfer_progress(turn_, 487);
  }
  if (call_.state == Call::State::parked) unpark_line();
  finish(commit);
  if (being_transferred) {  // the referrer hung up without waiting for the outcome (RFC 5589 section 6.1)
    partner->partner = 0;
    return;
  }
  if (partner && partner->state != Party::State::gone) {
    event(port::Level::info, "call.ended", {{"by", p.user}, {"cause", std::to_string(e.cause.q850)}});
    Cause cause = e.cause;
    release(*partner, cause, commit);
  }
}

/// Ends a leg from our side.
void CallFlow::release(Party& p, const Cause& cause, port::CommitId after) {
  if (p.state == Party::State::gone) return;
  p.leg->release(turn_, cause, after);
  gone(p, cause);
}

/// The party takes no part any more; its leg may still have to wait for an answer. One that was called and
/// did not answer leaves its record here, whatever the way it ended.
void CallFlow::gone(Party& p, const Cause& cause, port::Cdr::Side side) {
  if (p.state == Party::State::gone) return;
  if (call_.attendance && call_.attendance->leg == p.id) end_attendance();
  if (Pairing* pair = pair_of(p.id)) close_pair(*pair, Cause{}, port::Cdr::Side::system);
  record_called(p, cause, side);
  p.state = Party::State::gone;
  give_back(port::SeatPool::Kind::trunk, p.trunk, p.seat);
  line(p, port::LineCall::State::terminated);
  layer_.engine.close(turn_.now, p.endpoint);
  p.endpoint = {};
  p.negotiation = Negotiation::none;
  p.negotiation_until = p.farewell_until = Instant::never();
  if (Party* from = origin(); p.early_media && from && from->state == Party::State::up && !from->partner)
    play(*from, tones().ringback);  // somebody else rings, or it is over at once
  if (Party* partner = party(p.partner); partner && partner->partner == p.id) partner->partner = 0;
  p.partner = 0;
  touch();
}

void CallFlow::release_all(const Cause& cause, port::CommitId after) {
  port::CommitId commit = after;
  for (Pairing& pair : call_.pairs)
    if (pair.open) commit = close_pair(pair, cause, port::Cdr::Side::system);
  if (call_.setup) {
    Cause unanswered = cause;
    if (!unanswered.status) unanswered.status = 480;
    if (const port::CommitId c = fail_attempt(unanswered, port::Cdr::Side::system)) commit = c;
  }
  if (call_.state == Call::State::parked) unpark_line();
  for (auto& p : call_.parties) release(*p, cause, commit);
}

void CallFlow::hangup(const Cause& cause) { release_all(cause); }

void CallFlow::on_media(const media::MediaEvent& e) {
  Party* p = nullptr;
  for (auto& each : call_.parties)
    if (each->endpoint == e.endpoint && each->state != Party::State::gone) p = each.get();
  if (!p) return;
  switch (e.kind) {
    case media::MediaEvent::Kind::timeout: {
      Party* partner = party(p->partner);
      if (p->holds || (partner && partner->holds) || p->state != Party::State::up) return;
      layer_.counters.media_timeouts.add();
      event(port::Level::notice, "call.media_timeout", {{"party", p->user}});
      return release_all(Cause::from_q850(102, "RTP timeout"));
    }
    case media::MediaEvent::Kind::send_digit:
      if (p->state == Party::State::up)
        p->leg->send_info(turn_, "INFO", content_type_of(p->dtmf_form),
                          write_dtmf({p->dtmf_form, e.digit, e.lasted}));
      return;
    case media::MediaEvent::Kind::sound_wanted:
      return ask_sounds(*p);
    case media::MediaEvent::Kind::unreachable:  // the media time-out ends what stays silent
      return event(port::Level::notice, "call.media_unreachable", {{"party", p->user}});
    case media::MediaEvent::Kind::restart_due:  // busy with an offer, or not answered yet: it is due again
                                                // later
      restart_ice(*p);
      return;
    case media::MediaEvent::Kind::candidates:
      return tell_candidates(*p);
    case media::MediaEvent::Kind::unkeyed:
      if (p->state != Party::State::up) return;
      event(port::Level::notice, "call.media_unkeyed", {{"party", p->user}});
      return release_all(Cause::from_q850(102, "DTLS handshake failed"));
    case media::MediaEvent::Kind::played:
      if (call_.feature && call_.feature_leg == p->id) return finish_feature();
      if (attended() == p && std::exchange(call_.attendance->saying, false))
        tell([&](service::Machine& m, service::Orders& out) { m.on_said(turn_.now, out); });
      return;
    case media::MediaEvent::Kind::digit:
      // While it dials for its caller, and before it has begun, it is deaf.
      if (attended() == p && !call_.setup && !awaits_answer(*p) && !locked_out())
        tell([&](service::Machine& m, service::Orders& out) { m.on_key(turn_.now, e.digit, out); });
      return;
    default:
      return;
  }
}

void CallFlow::on_answer(const OpenAsk& open, const port::Answer& answer) {
  const bool of_setup = open.branch >= 0;
  if (of_setup && (!call_.setup || call_.setup->number != open.attempt ||
                   static_cast<size_t>(open.branch) >= call_.setup->branches.size())) {
    layer_.counters.late_answers.add();
    return;
  }
  const auto branch = static_cast<size_t>(open.branch);
  touch();
  switch (open.what) {
    case OpenAsk::What::profile:
      return on_profile(branch, answer);
    case OpenAsk::What::bindings:
      return on_bindings(branch, answer);
    case OpenAsk::What::line:
      return on_called_line(branch, answer);
    case OpenAsk::What::caller_line: {
      if (!call_.setup) return;
      if (other_calls(answer) >= call_.feature_asks) {
        layer_.counters.limit_subscriber.add();
        return fail_setup(Cause::from_status(486, "Too many calls"));
      }
      call_.feature_asks = 0;
      return route(false);
    }
    case OpenAsk::What::trunk_seat:
    case OpenAsk::What::domain_seat:
      return on_caller_seat(open.what, answer);
    case OpenAsk::What::hop_seat:
      return on_hop_seat(branch, answer);
    case OpenAsk::What::feature:
      return on_feature_stored(answer);
    case OpenAsk::What::forward_target:
      return on_forward_target(answer);
    case OpenAsk::What::pickup:
      return on_line_found(answer, false);
    case OpenAsk::What::retrieve:
      return on_line_found(answer, true);
    case OpenAsk::What::park_probe:
      return on_park_probe(answer);
    case OpenAsk::What::sound:
      return on_sound(open.file, answer);
    case OpenAsk::What::service:
    case OpenAsk::What::recorded:
      return on_service_answer(open, answer);
  }
}

void CallFlow::on_timeout() {
  const Instant now = turn_.now.mono;
  for (size_t i = 0; i < call_.parties.size(); ++i) {
    Party& p = *call_.parties[i];
    if (p.leg->next_timeout() <= now) p.leg->on_timeout(turn_);
    if (p.farewell_until <= now) release(p, p.farewell, p.farewell_after);
    if (p.negotiation_until <= now) {
      LegEvent refused;
      refused.kind = LegEvent::Kind::offer_refused;
      refused.leg = p.id;
      refused.status = 504;
      p.leg->withdraw_offer(turn_);
      on_offer_refused(p, refused);
    }
  }
  if (call_.setup && call_.setup_until <= now) {
    layer_.counters.setup_timeouts.add();
    call_.setup_until = Instant::never();
    call_.setup->otherwise.clear();
    call_.setup->redirections.clear();
    for (size_t i = 0; i < call_.setup->branches.size(); ++i) release_branch(i, Cause::from_q850(19));
    return fail_setup(Cause::from_status(480, "Setup timeout"));
  }
  if (call_.setup && call_.setup->group_until <= now) {
    call_.setup->group_until = Instant::never();
    call_.setup->redirections.clear();
    for (Branch& b : call_.setup->branches) {
      if (b.state != Branch::State::done) b.state = Branch::State::failed;
      b.stop = Instant::never();
    }
    for (size_t i = 0; i < call_.setup->branches.size(); ++i) release_branch(i, Cause::from_q850(19));
    Cause cause = Cause::from_status(480, "No answer");
    cause.q850 = 19;
    return fail_setup(cause);
  }
  if (call_.setup) {
    const uint64_t number = call_.setup->number;
    const auto same = [&] { return call_.setup && call_.setup->number == number; };
    for (size_t i = 0; same() && i < call_.setup->branches.size(); ++i) {
      const Branch& b = call_.setup->branches[i];
      if (b.state == Branch::State::ringing && b.stop <= now) on_ring_timeout(i);
    }
    if (same()) {
      bool due = false;
      for (const Branch& b : call_.setup->branches)
        due = due || (b.state == Branch::State::waiting && b.start <= now);
      if (due) advance();
    }
  }
  if (call_.park_until <= now) on_park_timeout();
  if (call_.feature_until <= now) finish_feature();
  if (call_.attendance) service_timeout();
}

Instant Layer::next_timeout(const Call& call) {
  Instant next = std::min(call.park_until, call.feature_until);
  for (const auto& p : call.parties)
    next = std::min({next, p->leg->next_timeout(), p->negotiation_until, p->farewell_until});
  if (call.attendance) {
    next = std::min(next, call.attendance->machine->next_timeout());
    if (call.attendance->recording) next = std::min(next, call.attendance->recording->until);
  }
  if (!call.setup) return next;
  next = std::min({next, call.setup_until, call.setup->group_until});
  for (const Branch& b : call.setup->branches) {
    if (b.state == Branch::State::waiting) next = std::min(next, b.start);
    if (b.state == Branch::State::ringing) next = std::min(next, b.stop);
  }
  return next;
}

// ---- questions

void CallFlow::ask(OpenAsk::What what, port::Question question, int branch, Duration patience) {
  OpenAsk open;
  open.what = what;
  open.attempt = call_.setup ? call_.setup->number : 0;
  open.branch = branch;
  const Duration wait = patience.count() > 0 ? patience : layer_.config.ask_timeout;
  open.id = turn_.out.ask(std::move(question), turn_.now.mono + wait, {port::Asker::Room::call, call_.id});
  call_.asks.push_back(open);
  touch();
}

// ---- media, where a failure only means silence

void CallFlow::play(Party& p, const codec::ToneSequence& tones) {
  p.music = true;
  if (!layer_.engine.play(turn_.now, p.endpoint, tones).ok()) event(port::Level::debug, "call.no_tone");
}

/// As the network sounds in the country of the call's domain.
codec::CountryTones CallFlow::tones() const {
  const port::DomainRow* domain = layer_.plan->domain(call_.domain);
  return media::tones_of(domain ? domain->country_code : std::string{});
}

/// Nobody could be reached for a party that is up: it hears why, then it is hung up.
void CallFlow::part_with(Party& p, const Cause& cause, port::CommitId after) {
  if (p.state != Party::State::up || layer_.config.farewell.count() <= 0) return release(p, cause, after);
  const bool busy = cause.q850 == 17 || cause.status == 486 || cause.status == 600;
  play(p, busy ? tones().busy : tones().congestion);
  p.farewell_until = turn_.now.mono + layer_.config.farewell;
  p.farewell = cause;
  p.farewell_after = after;
  call_.state = Call::State::connected;
  touch();
}

/// For who waits: the operator's file, else a melody of our own.
void CallFlow::play_music(Party& p) {
  const std::string& name = layer_.config.hold_music;
  if (name.empty()) return play(p, codec::ToneSequence::music());
  p.music = true;
  const media::Cue cue{{}, {}, {port::SoundPlace::sounds, name}, nullptr};
  if (!layer_.engine.play(turn_.now, p.endpoint, media::Programme{{cue}, 0}).ok())
    return event(port::Level::debug, "call.no_tone");
  ask_sounds(p);
}

/// What the party's programme waits for.
void CallFlow::ask_sounds(const Party& p) {
  for (const port::SoundFile& file : layer_.engine.wanted(p.endpoint)) {
    ask(OpenAsk::What::sound, port::AskSound{file});
    call_.asks.back().file = file;
  }
}

void CallFlow::on_sound(const port::SoundFile& file, const port::Answer& answer) {
  const auto* sound = std::get_if<port::SoundResult>(&answer);
  if (sound && !sound->ok())
    event(port::Level::warning, "call.no_sound", {{"why", std::string(port::to_text(sound->reason()))}});
  for (auto& p : call_.parties) {
    const auto wanted = layer_.engine.wanted(p->endpoint);
    if (std::find(wanted.begin(), wanted.end(), file) == wanted.end()) continue;
    if (sound && sound->ok())
      layer_.engine.supply(p->endpoint, file, **sound);
    else if (p->music && !(attended() == p.get() && call_.attendance->saying))
      play(*p, codec::ToneSequence::music());
    else
      layer_.engine.supply(p->endpoint, file, nullptr);  // the rest is said without it
  }
}

void CallFlow::join(Party& a, Party& b) {
  if (!layer_.engine.join(turn_.now, a.endpoint, b.endpoint).ok())
    event(port::Level::warning, "call.not_joined");
}

}  // namespace tandem::call
