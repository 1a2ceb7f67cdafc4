// A caller talks with a service of ours: its orders are carried out here, and what comes of them goes back to
// it.
#include <algorithm>
#include <utility>

#include "call/flow.h"
#include "call/replacement.h"
#include "port/message_plan.h"
#include "route/zone.h"

namespace tandem::call {

namespace {

/// A message that is put away waits for the disk.
constexpr Duration recording_patience = seconds(10);

/// What a mailbox takes: busy, silent, not there. What the caller may not do, or we cannot, is told as it is.
bool is_unanswered(int status) {
  switch (status) {
    case 404:
    case 408:
    case 410:
    case 480:
    case 486:
    case 487:
    case 600:
    case 603:
      return true;
    default:
      return false;
  }
}

bool is_busy(int status) { return status == 486 || status == 600 || status == 603; }

service::Recorded outcome_of(const port::Answer& answer, bool deposited) {
  if (const auto* failure = std::get_if<port::AskFailure>(&answer))
    return deposited && *failure == port::AskFailure::refused ? service::Recorded::full
                                                              : service::Recorded::failed;
  if (std::holds_alternative<port::Stored>(answer)) return service::Recorded::kept;
  const auto* closed = std::get_if<port::RecordingAnswer>(&answer);
  if (!closed) return service::Recorded::failed;
  switch (closed->end) {
    case port::RecordingEnd::whole:
    case port::RecordingEnd::cut:
      return service::Recorded::kept;
    case port::RecordingEnd::discarded:
      return service::Recorded::too_short;
    case port::RecordingEnd::unfinished:
    case port::RecordingEnd::unknown:
      break;
  }
  return service::Recorded::failed;
}

}  // namespace

Party* CallFlow::attended() {
  Party* p = call_.attendance ? party(call_.attendance->leg) : nullptr;
  return p && p->state == Party::State::up ? p : nullptr;
}

/// Something to the machine, and then what it wants.
void CallFlow::tell(const std::function<void(service::Machine&, service::Orders&)>& what) {
  service::Orders orders;
  what(*call_.attendance->machine, orders);
  touch();
  carry_out(std::move(orders));
}

// ---- how it begins

void CallFlow::serve(const route::ServiceCall& s) {
  using Kind = route::ServiceCall::Kind;
  Party* caller = origin();
  if (!caller) return end_setup();
  switch (s.kind) {
    case Kind::menu: {
      const auto menu = layer_.plan->menu(s.domain, s.name, turn_.now.wall);
      if (!menu.row) return fail_setup(Cause::from_status(404, "No such menu"));
      std::vector<port::MenuChoiceRow> choices;
      for (const port::MenuChoiceRow* c : menu.choices) choices.push_back(*c);
      return attend(service::attendant(*menu.row, std::move(choices)));
    }
    case Kind::voicemail: {
      const port::MailboxRow* box = layer_.plan->mailbox(s.domain, s.name);
      if (!box) return fail_setup(Cause::from_status(404, "No such mailbox"));
      const service::Caller from{caller->aor, call_.private_caller ? std::string{} : caller->user,
                                 call_.private_caller ? std::string{} : caller->display};
      return attend(
          service::leave_message(*box, from, is_busy(call_.setup->best.status),
                                 std::to_string(call_.id) + "-" + std::to_string(call_.next_service)));
    }
    case Kind::conference: {
      // All that meet are on the worker the conference's name belongs to.
      const std::string room = s.name + "@" + s.domain;
      const uint16_t shard = sip::shard_of(room);
      if (layer_.worker_of(shard) != layer_.config.worker) return move_away(shard, to_part(s));
      call_.shard = shard;  // also when another number of workers is restored
      const port::ConferenceRow* row = layer_.plan->conference(s.domain, s.name);
      if (!row) return fail_setup(Cause::from_status(404, "No such conference"));
      const bool asks = !row->pin.empty() || !row->moderator_pin.empty();
      const std::string door = asks ? "conference " + room : std::string{};
      if (may_try(door)) attend(service::conference_door(*row), door);
      return;
    }
  }
}

void CallFlow::serve_mailbox(const route::FeatureCall& f) {
  Party* caller = origin();
  if (caller->aor.user.empty()) return fail_setup(Cause::from_status(403));
  const std::string domain = call_.setup->domain;
  if (f.kind == port::Feature::voicemail_leave)
    return serve({route::ServiceCall::Kind::voicemail, domain, f.argument});
  const bool own = f.kind == port::Feature::voicemail;
  const std::string& user = own ? caller->aor.user : f.argument;
  if (user.empty()) return fail_setup(Cause::from_status(484, "Whose mailbox?"));
  const port::MailboxRow* box = layer_.plan->mailbox(domain, user);
  if (!box) return fail_setup(Cause::from_status(404, "No such mailbox"));
  const auto zone = route::Zone::parse(box->time_zone);
  const int32_t offset = zone.ok() ? zone->offset_at(turn_.now.wall) : 0;
  const std::string door = box->pin.empty() ? std::string{} : "mailbox " + user + "@" + domain;
  if (may_try(door)) attend(service::read_messages(*box, own, seconds(offset)), door);
}

/// Who guesses: an address of ours, or a number on a trunk.
std::string CallFlow::guesser(const Party& p) const {
  return p.aor.user.empty() ? p.trunk + " " + p.user : p.aor.to_string();
}

/// Who has used up its tries in call after call waits.
bool CallFlow::may_try(const std::string& door) {
  if (door.empty() || !layer_.pins.refuses(turn_.now.mono, door, guesser(*origin()))) return true;
  layer_.counters.limit_pins.add();
  event(port::Level::notice, "call.pins_limited", {{"door", door}});
  fail_setup(Cause::from_status(403, "Too many wrong PINs"));
  return false;
}

/// The tries were used up since the call began, by it or by others: many calls that stand at the door at once
/// have no more of them than one after the other. The call ends before what is typed is looked at.
bool CallFlow::locked_out() {
  const Attendance& a = *call_.attendance;
  if (a.door.empty() || !a.machine->awaits_pin() ||
      !layer_.pins.refuses(turn_.now.mono, a.door, guesser(*attended())))
    return false;
  layer_.counters.limit_pins.add();
  event(port::Level::notice, "call.pins_limited", {{"door", a.door}});
  service::HangUp end{403};
  carry_out(end);
  return true;
}

/// Nobody took the call: the mailbox of whom it was for does. False: there is none, or it does not want it.
bool CallFlow::take_message(const Cause& cause) {
  Setup& setup = *call_.setup;
  const Party* from = origin();
  if (!from || setup.mailbox.user.empty() || !is_unanswered(cause.status)) return false;
  const bool calls = setup.purpose == Setup::Purpose::call || setup.purpose == Setup::Purpose::service;
  const port::AddressOfRecord whose = std::exchange(setup.mailbox, {});
  const port::MailboxRow* box = layer_.plan->mailbox(whose.domain, whose.user);
  if (!box || !box->unanswered || !calls || whose == from->aor) return false;
  setup.best = cause;
  for (auto& p : call_.parties)  // of a group that has run out of time
    if (rings(*p)) release(*p, Cause::from_q850(19));
  event(port::Level::info, "call.voicemail", {{"status", std::to_string(cause.status)}});
  serve({route::ServiceCall::Kind::voicemail, whose.domain, whose.user});
  return true;
}

/// The caller of the setup talks with the machine from now on.
void CallFlow::attend(std::unique_ptr<service::Machine> machine, std::string door) {
  Party* caller = origin();
  if (!caller) return end_setup();
  const LegId leg = caller->id;
  const bool was_up = caller->state == Party::State::up;
  if (!was_up) {
    if (const auto up = accept_alone(*caller); !up.ok()) {
      const int status = status_of(up.reason());
      return fail_setup(Cause::from_status(status, status == 488 ? "No codec of ours" : "No media ports"));
    }
  } else {
    layer_.engine.stop(turn_.now, caller->endpoint);
    caller->music = false;
    layer_.engine.unjoin(turn_.now, caller->endpoint);
    if (call_.setup->purpose != Setup::Purpose::service) transfer_done(nullptr);
    caller = party(leg);
    if (!caller || caller->state != Party::State::up) return;
    caller->partner = 0;
    if (call_.attendance) end_attendance();
    if (Pairing* pair = pair_of(leg)) close_pair(*pair, Cause{}, port::Cdr::Side::system);
  }
  Pairing& pair = open_pair(*caller, *caller);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  end_setup();
  call_.state = Call::State::connected;
  if (!call_.answered.ns) call_.answered = turn_.now.wall;
  layer_.counters.answered.add();
  line(*caller, port::LineCall::State::confirmed);
  call_.attendance = std::make_unique<Attendance>();
  Attendance& a = *call_.attendance;
  a.leg = leg;
  a.number = call_.next_service++;
  a.machine = std::move(machine);
  a.door = std::move(door);
  event(port::Level::info, "call.served", {{"by", std::string(a.machine->kind())}});
  a.awaits_answer = !layer_.engine.remote_description(caller->endpoint);
  if (!a.awaits_answer) begin_service();
}

/// Who made no offer answers ours in its ACK (RFC 3264 section 4, RFC 3261 section 13.2.1). Until then there
/// is nowhere to say anything to.
bool CallFlow::awaits_answer(const Party& p) { return attended() == &p && call_.attendance->awaits_answer; }

void CallFlow::begin_service() {
  call_.attendance->awaits_answer = false;
  tell([&](service::Machine& m, service::Orders& out) { m.start(turn_.now, out); });
}

// ---- its orders

void CallFlow::carry_out(service::Orders orders) {
  const uint64_t number = call_.attendance ? call_.attendance->number : 0;
  for (service::Order& order : orders) {
    // The order before may have ended it, or begun another.
    if (!attended() || call_.attendance->number != number) return;
    std::visit([&](auto& o) { carry_out(o); }, order);
  }
}

void CallFlow::carry_out(service::Say& say) {
  Attendance& a = *call_.attendance;
  Party& p = *attended();
  const std::string language(a.machine->language());
  media::Programme programme;
  for (service::Utterance& u : say.words) {
    media::Cue& cue = programme.cues.emplace_back();
    cue.language = language;
    if (u.kind == service::Utterance::Kind::file)
      cue.file = std::move(u.file);
    else
      cue.prompt = u.kind == service::Utterance::Kind::beep ? "beep" : std::move(u.prompt);
  }
  a.saying = true;
  if (!programme.cues.empty() && layer_.engine.play(turn_.now, p.endpoint, std::move(programme)).ok())
    return ask_sounds(p);
  a.saying = false;  // nothing of it can be said: it is over
  tell([&](service::Machine& m, service::Orders& out) { m.on_said(turn_.now, out); });
}

void CallFlow::carry_out(service::Silence&) {
  call_.attendance->saying = false;
  layer_.engine.stop(turn_.now, attended()->endpoint);
}

void CallFlow::carry_out(service::Record& r) {
  Attendance& a = *call_.attendance;
  port::RecordingOrder order;
  order.file = r.file;
  order.sides = 1;
  order.longest = r.longest;
  if (r.deposit) order.fields = port::to_fields({r.deposit->message, r.deposit->most, r.shortest});
  if (!layer_.engine.record(turn_.now, attended()->endpoint, order).ok())
    return tell([&](service::Machine& m, service::Orders& out) {
      m.on_recorded(turn_.now, service::Recorded::failed, out);
    });
  a.recording = ServiceRecording{r.file, r.shortest, std::move(r.deposit), turn_.now.mono + r.longest};
}

void CallFlow::carry_out(service::StopRecord&) { close_recording(); }

void CallFlow::carry_out(service::Ask& asked) {
  ask(OpenAsk::What::service, std::move(asked.question));
  call_.asks.back().service = call_.attendance->number;
}

void CallFlow::carry_out(service::Dial& dial) {
  Party& p = *attended();
  call_.attendance->saying = false;
  Setup& setup = call_.setup.emplace();
  setup.purpose = Setup::Purpose::service;
  setup.number = call_.next_attempt++;
  setup.origin = p.id;
  setup.source = dial.as_caller ? p.source : route::CallSource(route::FromPlan{p.user});
  setup.dialled = dial.number;
  setup.domain = p.aor.domain.empty() ? call_.domain : p.aor.domain;
  setup.started = turn_.now.wall;
  setup.seen.push_back(dial.number);
  call_.setup_until = turn_.now.mono + layer_.config.setup_timeout;
  call_.state = Call::State::transferring;
  play(p, tones().ringback);
  touch();
  route(true);
}

/// What the machine dialled: somebody has answered (`failure` null), or nobody does.
void CallFlow::dial_done(const Cause* failure) {
  Party* p = attended();
  if (!failure) {
    if (!p) return;
    end_attendance();
    if (Pairing* pair = pair_of(p->id)) close_pair(*pair, Cause{}, port::Cdr::Side::system);
    return;
  }
  fail_attempt(*failure, port::Cdr::Side::system);
  if (!p) return;
  call_.state = Call::State::connected;
  p->music = false;
  layer_.engine.stop(turn_.now, p->endpoint);
  tell([&](service::Machine& m, service::Orders& out) { m.on_not_taken(turn_.now, failure->status, out); });
}

void CallFlow::carry_out(service::WrongPin&) {
  const std::string& door = call_.attendance->door;
  if (!door.empty()) layer_.pins.failed(turn_.now.mono, door, guesser(*attended()));
}

void CallFlow::carry_out(service::HangUp& end) {
  Party& p = *attended();
  const Cause cause = end.status < 300 ? Cause{} : Cause::from_status(end.status);
  port::CommitId commit = 0;
  if (Pairing* pair = pair_of(p.id)) commit = close_pair(*pair, cause, port::Cdr::Side::system);
  release(p, cause, commit);
}

// ---- recordings

/// The recording ends; what is in it goes where it was meant to, or nowhere when it is too short.
void CallFlow::close_recording() {
  Attendance& a = *call_.attendance;
  const Party* p = party(a.leg);
  if (!a.recording || a.recording->until.is_never() || !p) return;
  a.recording->until = Instant::never();
  const auto stopped = layer_.engine.stop_recording(p->endpoint);
  if (!stopped) return on_recorded(port::AskFailure::unavailable);
  port::CloseRecording close{stopped->id, stopped->position};
  const Duration length(static_cast<int64_t>(stopped->position) * 1'000'000'000 / port::sound_rate);
  close.discard = length < a.recording->shortest;
  port::Question question = close;
  if (a.recording->deposit && !close.discard)
    question = port::LeaveVoicemail{close, a.recording->deposit->message, a.recording->deposit->most};
  ask(OpenAsk::What::recorded, std::move(question), -1, recording_patience);
  call_.asks.back().service = a.number;
}

void CallFlow::on_recorded(const port::Answer& answer) {
  const service::Recorded outcome = outcome_of(answer, call_.attendance->recording->deposit.has_value());
  call_.attendance->recording.reset();
  tell([&](service::Machine& m, service::Orders& out) { m.on_recorded(turn_.now, outcome, out); });
}

// ---- what comes back

void CallFlow::on_service_answer(const OpenAsk& open, const port::Answer& answer) {
  if (!attended() || call_.attendance->number != open.service) return layer_.counters.late_answers.add();
  if (open.what == OpenAsk::What::recorded) {
    if (call_.attendance->recording) on_recorded(answer);
    return;
  }
  tell([&](service::Machine& m, service::Orders& out) { m.on_answer(turn_.now, answer, out); });
}

void CallFlow::service_timeout() {
  if (!attended()) return;
  const Instant now = turn_.now.mono;
  if (call_.attendance->recording && call_.attendance->recording->until <= now) close_recording();
  if (!attended() || call_.attendance->machine->next_timeout() > now || locked_out()) return;
  tell([&](service::Machine& m, service::Orders& out) { m.on_timeout(turn_.now, out); });
}

/// After a restore. Questions are not part of a call: what was asked has no answer. A recording does not go
/// along.
void CallFlow::serve_again(const std::vector<OpenAsk>& open) {
  if (call_.attendance->recording) on_recorded(port::AskFailure::unavailable);
  for (const OpenAsk& a : open)
    if (a.what == OpenAsk::What::service) on_service_answer(a, port::AskFailure::unavailable);
}

/// Its caller goes, or talks with somebody else now. What was recorded is kept.
void CallFlow::end_attendance() {
  close_recording();
  if (!call_.attendance->room.empty()) leave_meeting();
  call_.attendance.reset();
  touch();
}

}  // namespace tandem::call
