#include "sim/group.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/world.h"

namespace tandem::sim {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Group::Kind::count_)> kind_texts{
    "basic", "cross",  "cancel", "refuse",  "hold",  "blind",    "attended", "pickup",  "park",
    "echo",  "nobody", "ring",   "forward", "glare", "reliable", "watch",    "message", "mail"};
constexpr Duration patience = seconds(30);       // for the play as planned, retransmissions included
constexpr Duration long_patience = seconds(75);  // where it takes a second try of something slow
constexpr Duration last_patience =
    seconds(100);                         // for its end after everybody hung up (Timers B and F are 32 s)
constexpr uint64_t latched_by = 40;       // packets, some of them lost: 2.4 s
constexpr Duration cooling = seconds(4);  // late retransmissions of the last call find nobody else's
constexpr Duration until_silent =
    seconds(75);  // a BYE that went with its connection: the node ends the call when no media comes

}  // namespace

std::string_view Group::text_of(Kind kind) { return kind_texts[static_cast<size_t>(kind)]; }

bool Line::registered() const {
  for (const Phone* p : phones)
    if (!p->registered()) return false;
  return true;
}

bool Line::connections() const {
  for (const Phone* p : phones)
    if (p->config().transport != port::Transport::udp) return true;
  return false;
}

Group::Group(World& world, uint64_t id, Kind kind, std::vector<Line*> lines, uint64_t seed)
    : world_(world), id_(id), kind_(kind), lines_(std::move(lines)), rng_(seed) {
  talk_ms_ = 3000 + static_cast<int64_t>(rng_.below(3000));
  for (Line* line : lines_) {
    line->busy = true;
    for (Phone* p : line->phones) p->listen(this, id_);
  }
}

std::string Group::text() const {
  std::string out = fmt::format("group {} ({}", id_, kind_texts[static_cast<size_t>(kind_)]);
  for (const Line* line : lines_) out += " " + line->number;
  out += ")";
  for (const Ref& r : all_)
    if (const Session* s = r.get())
      out += fmt::format(" [{}{}{} {} state {} status {} up {} sent {} heard {} {}]", r.phone->number(),
                         r.phone->config().private_address ? " behind NAT" : "",
                         r.phone->config().transport == port::Transport::tcp ? " over TCP" : "",
                         s->caller ? "calls" : "is called", static_cast<int>(s->state), s->status, s->was_up,
                         s->sent, s->heard, s->call_id);
  return out;
}

bool Group::touches(const SimNode& node) const {
  for (const Line* line : lines_)
    if (&line->node() == &node) return true;
  return false;
}

bool Group::uses_connections() const {
  for (const Line* line : lines_)
    if (line->connections()) return true;
  return false;
}

bool Group::of(const Line& line, const Phone& phone) const {
  return std::find(line.phones.begin(), line.phones.end(), &phone) != line.phones.end();
}

void Group::disturb(std::string_view why) {
  if (disturbed_.empty()) disturbed_ = why;
}

void Group::later(int64_t least_ms, int64_t most_ms, Task task) {
  world_.schedule().after(milliseconds(least_ms + static_cast<int64_t>(rng_.below(
                                                      static_cast<uint64_t>(most_ms - least_ms) + 1))),
                          [this, t = std::move(task)]() mutable {
                            if (!done_) t();
                          });
}

std::string Group::slot() const { return std::to_string(701 + id_ % 99); }

void Group::start() {
  const bool slow = kind_ == Kind::watch || kind_ == Kind::message || kind_ == Kind::mail ||
                    kind_ == Kind::ring || kind_ == Kind::forward || kind_ == Kind::glare;
  world_.schedule().after(slow ? long_patience : patience, [this] { watchdog(); });
  switch (kind_) {
    case Kind::watch:
      watching_ = true;
      errand_ = c().watch(*this, id_, b().number);
      return;
    case Kind::message:
      return send_text();
    case Kind::mail:
      b().phones.front()->unregister();
      return write_when_away(0);
    default:
      return begin_call();
  }
}

void Group::begin_call() {
  const std::string number = kind_ == Kind::echo     ? "*43"
                             : kind_ == Kind::nobody ? "8999"
                             : kind_ == Kind::ring   ? b().ring_group
                                                     : b().number;
  a_ = {&a(), a().call(*this, id_, number, kind_ == Kind::reliable).id};
  all_.push_back(a_);
}

/// The first member of a ring group, and a line whose calls are forwarded when it does not answer.
bool Group::stays_silent(const Phone& phone) const {
  return of(*lines_[1], phone) &&
         (kind_ == Kind::ring || (kind_ == Kind::forward && !lines_[1]->forwards_busy));
}

// ---- the play --------------------------------------------------------------------------------------------

void Group::incoming(Phone& phone, Session& session) {
  const Ref ref{&phone, session.id};
  all_.push_back(ref);
  if (lines_.size() > 1 && of(b(), phone)) {
    if (&phone == b().phones.front()) {
      b_ = ref;
      while_ringing();
    }
  } else if (lines_.size() > 2 && of(*lines_[2], phone)) {
    c_ = ref;
  }
  const bool first = &phone == b().phones.front() || (lines_.size() > 2 && &phone == &c());
  const auto with = [this, ref](auto f) {
    return [this, ref, f] {
      if (Session* s = ref.get(); s && !pressed_) f(*ref.phone, *s);
    };
  };
  session.reliable = kind_ == Kind::reliable;
  later(10, 150, with([](Phone& p, Session& s) { p.ring(s); }));
  if (stays_silent(phone)) return;
  if (kind_ == Kind::forward && of(b(), phone))
    return later(200, 1200, with([](Phone& p, Session& s) { p.refuse(s, 486); }));
  if (kind_ == Kind::cancel || (kind_ == Kind::pickup && of(b(), phone)) || !first) {
    if (kind_ != Kind::refuse) return;
  }
  if (kind_ == Kind::refuse) {
    const int status = std::array{486, 603, 480, 404}[id_ % 4];
    return later(200, 1200, with([status](Phone& p, Session& s) { p.refuse(s, status); }));
  }
  later(200, 1500, with([](Phone& p, Session& s) { p.answer(s); }));
}

/// The called phone rings: what others do about it. (The caller may never hear of it: a 180 can get lost.)
void Group::while_ringing() {
  if (kind_ == Kind::cancel)
    later(200, 2500, [this] {
      planned_end_ = true;
      if (Session* s = a_.get()) a_.phone->hang_up(*s);
    });
  if (kind_ == Kind::pickup)
    later(600, 1200, [this] {
      if (pressed_) return;
      c_ = {&c(), c().call(*this, id_, "**" + b().number).id};
      all_.push_back(c_);
    });
}

void Group::up(Phone& phone, Session& session) {
  if (pressed_) return phone.hang_up(session);
  if (a_.phone == &phone && a_.session == session.id) return connected_first();
  if (consult_.phone == &phone && consult_.session == session.id) {
    later(500, 900, [this] { ask_transfer(c().number(), consult_); });
  }
  if (c_.phone == &phone && c_.session == session.id && (kind_ == Kind::blind || kind_ == Kind::park))
    finish_talk(a_, c_);
}

/// The ACK may be late: whoever is called is told later that the call is up.
template <class F>
void Group::when_up(Ref ref, F f) {
  Session* s = ref.get();
  if (!s || pressed_ || s->state == Session::State::over) return;
  if (s->state == Session::State::up) return f(*ref.phone, *s);
  later(200, 200, [this, ref, f] { when_up(ref, f); });
}

void Group::ask_transfer(const std::string& number, Ref consultation) {
  when_up(b_, [this, number, consultation](Phone& p, Session& s) {
    transfer_asked_ = true;
    p.transfer(s, number, consultation.get());
  });
}

void Group::hold(Ref who, std::string_view direction) {
  when_up(who, [direction](Phone& p, Session& s) { p.offer(s, direction); });
}

void Group::connected_first() {
  switch (kind_) {
    case Kind::basic:
    case Kind::cross:
    case Kind::reliable:
      return finish_talk(a_, b_);
    case Kind::ring:
    case Kind::forward:
      return finish_talk(a_, c_);
    case Kind::glare:
      return later(800, 1200, [this] { offer_both(); });
    case Kind::watch:
      return talk_until_seen(0);
    case Kind::echo:
      return finish_talk(a_, a_);
    case Kind::pickup:
      return finish_talk(a_, c_);
    case Kind::hold:
      return later(800, 1200, [this] { hold(id_ % 2 ? a_ : b_, "sendonly"); });
    case Kind::blind:
      return later(800, 1200, [this] { ask_transfer(c().number(), {}); });
    case Kind::park:
      return later(800, 1200, [this] { ask_transfer(slot(), {}); });
    case Kind::attended:
      return later(500, 800, [this] { hold(b_, "sendonly"); });
    default:
      return;
  }
}

void Group::offered(Phone&, Session&, int status) {
  if (status != 200) return fail(fmt::format("re-INVITE answered with {}", status));
  ++offers_;
  if (kind_ == Kind::glare) {
    if (offers_ == 2) finish_talk(a_, b_);
    return;
  }
  if (kind_ == Kind::attended) {
    return later(200, 400, [this] {
      if (pressed_ || !b_.get() || b_.get()->state != Session::State::up) return;
      consult_ = {b_.phone, b_.phone->call(*this, id_, c().number()).id};
      all_.push_back(consult_);
    });
  }
  if (offers_ == 1) later(800, 1500, [this] { hold(id_ % 2 ? a_ : b_, "sendrecv"); });
  if (offers_ == 2) finish_talk(a_, b_);
}

void Group::transferred(Phone& phone, Session& session, int status) {
  if (transfer_status_ != 0) return;
  transfer_status_ = status;
  if (status != 200) return fail(fmt::format("transfer ended with {}", status));
  // A phone that was told hangs up, unless it was hung up before.
  const Ref ref{&phone, session.id};
  later(2000, 3000, [ref] {
    if (Session* s = ref.get()) ref.phone->hang_up(*s);
  });
  if (kind_ == Kind::park)
    later(500, 1500, [this] {
      if (pressed_) return;
      c_ = {&c(), c().call(*this, id_, slot()).id};
      all_.push_back(c_);
    });
  if (kind_ == Kind::attended) finish_talk(a_, c_);
}

void Group::finish_talk(Ref one, Ref other) {
  later(talk_ms_, talk_ms_, [this, one, other] {
    if (pressed_) return;
    planned_end_ = true;
    if (other.get() && other.get() != one.get()) {
      check_voice(one, other);
      check_voice(other, one);
    }
    hang_up_one(one, other);
  });
}

void Group::hang_up_one(Ref one, Ref other) {
  const uint64_t who = rng_.below(5);
  if (who != 0)
    if (Session* s = (who < 3 ? one : other).get()) return (who < 3 ? one : other).phone->hang_up(*s);
  for (const Ref& r : {one, other})  // both at once
    if (Session* s = r.get()) r.phone->hang_up(*s);
}

/// Whoever talked for so long has heard the other: through both networks' loss, and behind NAT after
/// latching.
void Group::check_voice(Ref at, Ref from) {
  Session* s = at.get();
  const Session* other = from.get();
  if (!s || !other || s->state != Session::State::up || other->state != Session::State::up) return;
  if (s->sent < latched_by || other->sent < latched_by) return;  // an ACK was late
  if (!s->voices.contains(from.phone->id()) && !s->pitches.contains(pitch_of(from.phone->id())))
    fail(fmt::format("{} does not hear {}", at.phone->number(), from.phone->number()));
}

/// Also in a call that was disturbed. (Marked packets are looked at as they come.)
void Group::check_pitches() const {
  for (const Ref& r : all_) {
    const Session* s = r.get();
    if (!s) continue;
    for (const uint32_t pitch : s->pitches) {
      const bool ours = std::any_of(lines_.begin(), lines_.end(), [pitch](const Line* line) {
        return std::any_of(line->phones.begin(), line->phones.end(),
                           [pitch](const Phone* p) { return pitch_of(p->id()) == pitch; });
      });
      if (!ours)
        world_.judge().violation("nobody hears another call", fmt::format("{}: phone {} hears pitch {}",
                                                                          text(), r.phone->number(), pitch));
    }
  }
}

size_t Group::sides(const std::function<bool(const Session&)>& which) const {
  return static_cast<size_t>(std::count_if(all_.begin(), all_.end(), [&](const Ref& r) {
    const Session* s = r.get();
    return s && which(*s);
  }));
}

// ---- its end ---------------------------------------------------------------------------------------------

void Group::watchdog() {
  if (done_) return;
  pressed_ = late_ = true;
  for (size_t i = 0; i < all_.size(); ++i)
    if (Session* s = all_[i].get()) all_[i].phone->hang_up(*s);
  if (kind_ == Kind::mail) b().phones.front()->start_registering();
  if (watching_) stop_watching();
  world_.schedule().after(last_patience, [this] {
    if (!done_) world_.judge().violation("every call ends", text());
  });
  look();
}

void Group::over(Phone& phone, Session& session) {
  // A BYE that overtakes the last NOTIFY says as much to a phone that asked for a transfer.
  if (transfer_asked_ && b_.phone == &phone && b_.session == session.id && session.bye_received && !pressed_)
    transferred(phone, session, 200);
  look();
}

void Group::look() {
  if (done_) return;
  if (kind_ == Kind::message || kind_ == Kind::mail) return look_at_message();
  for (const Ref& r : all_)
    if (const Session* s = r.get(); s && s->state != Session::State::over) return;
  // Nothing is alive; something may still be about to begin, unless the first call is past.
  const Session* first = a_.get();
  if (!first) return kind_ == Kind::watch && pressed_ && !watching_ ? end() : void();
  const bool waits = first->was_up && !planned_end_ && !pressed_;
  if (waits && (kind_ == Kind::park || kind_ == Kind::pickup)) return;
  if (watching_) {
    if (seen_idle_ || disturbed()) stop_watching();
    return;
  }
  end();
}

void Group::end() {
  done_ = true;
  check_pitches();
  judge();
  world_.schedule().after(disturbed() && uses_connections() ? until_silent : cooling, [this] {
    for (Line* line : lines_) {
      line->busy = false;
      for (Phone* p : line->phones) p->listen(nullptr, 0);
    }
  });
}

void Group::fail(std::string_view what) {
  if (disturbed_.empty())
    world_.judge().violation("an undisturbed call goes as planned", fmt::format("{}: {}", text(), what));
  disturb("failed");
}

void Group::expect(SimNode& node, Ref caller, Ref callee, bool answered, size_t records) {
  const Session *from = caller.get(), *to = callee.get();
  if (!from || (callee.phone && !to)) return;
  world_.judge().expect(
      {node.node(), from->call_id, to ? to->call_id : std::string{}, answered, text(), records});
}

/// Each phone that was called and did not talk (it refused, or another was first) has a record of its own.
void Group::expect_in_vain() {
  for (const Ref& r : all_)
    if (const Session* s = r.get(); s && !s->caller && !s->was_up && s->status >= 300)
      expect(r.phone->node(), r, {}, false);
}

void Group::judge() {
  const Session *a = a_.get(), *b = b_.get(), *c = c_.get();
  if (!disturbed_.empty()) return;
  if (late_) return fail("not over in time");
  SimNode& node = lines_[0]->node();
  if (kind_ == Kind::message || kind_ == Kind::mail) {
    if (told_ != 200 && told_ != 202) return fail(fmt::format("the message is answered with {}", told_));
    if (messages_ == 0) return fail("the message never came");
    return;
  }
  const bool failing = kind_ == Kind::cancel || kind_ == Kind::refuse || kind_ == Kind::nobody;
  if (failing ? a->status < 400 : !a->was_up) return fail("the first call does not go as planned");
  if (!failing && !planned_end_) return fail("ended before its time");
  expect_in_vain();
  switch (kind_) {
    case Kind::cancel:
      if (a->status != 487) return fail("not cancelled");
      return expect(node, a_, {}, true, 0);
    case Kind::refuse:
      return expect(node, a_, {}, true, 0);
    case Kind::nobody:
      return expect(node, a_, {}, false);
    case Kind::echo:
      return expect(node, a_, {}, true);
    case Kind::cross:
      if (!b || b->status != 200) return fail("B was not connected");
      expect(node, a_, {}, true);
      return expect(lines_[1]->node(), b_, {}, true);
    case Kind::watch:
      if (!seen_busy_ || !seen_idle_) return fail("the watcher was not told");
      [[fallthrough]];
    case Kind::basic:
    case Kind::hold:
    case Kind::glare:
      if (!b || b->status != 200) return fail("B was not connected");
      return expect(node, a_, b_, true);
    case Kind::reliable:
      if (!b || b->status != 200) return fail("B was not connected");
      if (!b->pracked) return fail("a provisional answer was not acknowledged");
      if (a->prack_status >= 300) return fail(fmt::format("PRACK is answered with {}", a->prack_status));
      return expect(node, a_, b_, true);
    case Kind::ring:
    case Kind::forward:
      if (!c || c->status != 200) return fail("the second line was not connected");
      return expect(node, a_, c_, true);
    case Kind::pickup:
      if (!c || !c->was_up) return fail("C was not connected");
      return expect(node, a_, c_, true);
    case Kind::blind:
    case Kind::park:
    case Kind::attended:
      if (!b || b->status != 200 || !c || c->status != 200) return fail("B or C was not connected");
      if (transfer_status_ != 200) return fail("not transferred");
      expect(node, a_, b_, true);
      if (kind_ == Kind::attended) expect(node, consult_, c_, true);
      return expect(node, a_, c_, true);
    case Kind::message:  // judged above
    case Kind::mail:
    case Kind::count_:
      return;
  }
}

}  // namespace tandem::sim
