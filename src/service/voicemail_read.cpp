#include "service/voicemail_read.h"

#include <algorithm>

#include "prompt/names.h"
#include "service/voicemail_leave.h"

namespace tandem::service {
namespace {

constexpr Duration longest_talk = minutes(30);  // and the longest message
constexpr Duration key_wait = seconds(8);
constexpr uint32_t most_silent = 3;
constexpr Duration longest_greeting = seconds(120);

}  // namespace

MailboxReader::MailboxReader(port::MailboxRow mailbox, bool own, Duration offset)
    : Talk(longest_talk + seconds(mailbox.max_seconds)),
      mailbox_(std::move(mailbox)),
      own_(own),
      offset_(offset) {}

MailboxReader::~MailboxReader() { crypto::wipe(new_pin_); }

void MailboxReader::begin(Now now, Orders& out) {
  if (!mailbox_.pin.empty()) return ask_pin({}, State::pin, out);
  if (own_) return list(now, out);
  part(now, Words().say(prompt::not_permitted), 403, out);
}

void MailboxReader::do_job(Now now, Job job, port::Question question, Orders& out) {
  job_ = job;
  ask(now, std::move(question), out);
}

void MailboxReader::key(Now now, char key, Orders& out) {
  silent_ = 0;
  switch (state_) {
    case State::pin:
    case State::new_pin:
    case State::new_pin_again:
      return pin_key(now, key, out);
    case State::listing:
      return;
    case State::menu:
      hush(out);
      return menu_key(now, key, out);
    case State::message:
      hush(out);
      return message_key(now, key, out);
    case State::greeting:
      hush(out);
      return greeting_key(now, key, out);
    case State::greeting_order:
      if (key == '#') say(Words().beep(), out);  // who knows it need not hear it
      if (key == '*') greeting_menu({}, out);
      return;
    case State::greeting_record:
      if (key == '#') stop_record(now, out);
      return;
  }
}

void MailboxReader::said(Now now, Orders& out) {
  if (is_pin_state()) return wait(now, pin_wait);
  if (state_ == State::greeting_order) {
    state_ = State::greeting_record;
    Record order;
    order.file = greeting_of(aor());
    order.longest = longest_greeting;
    return record(now, std::move(order), out);
  }
  if (state_ != State::message || !playing_) return wait(now, key_wait);
  playing_ = false;
  if (item().heard) return choices({}, out);
  do_job(now, Job::mark_heard, port::MarkVoicemail{aor(), item().id, true}, out);
}

void MailboxReader::due(Now now, Orders& out) {
  if (is_pin_state()) return judge(now, out);
  if (++silent_ >= most_silent) return part(now, Words().say(prompt::goodbye), 200, out);
  repeat(now, {}, out);
}

void MailboxReader::repeat(Now now, Words before, Orders& out) {
  switch (state_) {
    case State::menu:
      return menu(std::move(before), out);
    case State::message:
      return choices(std::move(before), out);
    case State::greeting:
      return greeting_menu(std::move(before), out);
    default:
      return part(now, Words().say(prompt::goodbye), 200, out);  // nothing else waits for a choice
  }
}

void MailboxReader::answered(Now now, const port::Answer& answer, Orders& out) {
  if (state_ == State::listing) {
    const auto* listed = std::get_if<port::VoicemailsAnswer>(&answer);
    if (!listed) return part(now, Words().say(prompt::not_now), 503, out);
    take(*listed);
    return menu({}, out);
  }
  if (job_ == Job::hear_greeting) {
    const auto* sound = std::get_if<port::SoundResult>(&answer);
    Words words;
    words.say(prompt::your_greeting);
    if (sound && sound->ok())
      words.file(greeting_file(aor()));
    else
      words.add(standard_greeting(mailbox_, false));
    job_ = Job::none;
    return greeting_menu(std::move(words), out);
  }
  // What is gone already is as good as removed.
  const bool gone = std::holds_alternative<port::NotFound>(answer) &&
                    (job_ == Job::remove || job_ == Job::standard_greeting);
  job_done(now, gone || std::holds_alternative<port::Stored>(answer), out);
}

void MailboxReader::job_done(Now now, bool done, Orders& out) {
  const Job job = std::exchange(job_, Job::none);
  if (job == Job::mark_heard) {  // that it failed is told by the message being new the next time
    item().heard = item().heard || done;
    return choices({}, out);
  }
  if (job == Job::set_pin) {
    if (done) mailbox_.pin = new_pin_;
    crypto::wipe(new_pin_);
    return menu(Words().say(done ? prompt::pin_changed : prompt::not_now), out);
  }
  if (!done) return repeat(now, Words().say(prompt::not_now), out);
  if (job == Job::standard_greeting) return greeting_menu(Words().say(prompt::greeting_standard), out);
  if (job == Job::keep) {
    item().heard = true;
    return next(now, Words().say(prompt::message_kept), out);
  }
  item().removed = true;
  next(now, Words().say(prompt::message_deleted), out);
}

// ---- PINs ------------------------------------------------------------------------------------------------

bool MailboxReader::is_pin_state() const {
  return state_ == State::pin || state_ == State::new_pin || state_ == State::new_pin_again;
}

void MailboxReader::ask_pin(Words before, State state, Orders& out) {
  state_ = state;
  entry_.clear();
  before.say(state == State::pin       ? prompt::enter_pin
             : state == State::new_pin ? prompt::enter_new_pin
                                       : prompt::enter_new_pin_again);
  say(std::move(before), out);
}

void MailboxReader::pin_key(Now now, char key, Orders& out) {
  hush(out);
  if (entry_.on_key(key)) return judge(now, out);
  wait(now, pin_pause);
}

void MailboxReader::judge(Now now, Orders& out) {
  if (state_ == State::new_pin) return judge_new(now, out);
  if (state_ == State::new_pin_again) return judge_again(now, out);
  const bool right = entry_.is(mailbox_.pin), none = entry_.empty();
  entry_.clear();
  if (right) {
    tries_ = 0;
    return list(now, out);
  }
  if (!none) out.push_back(WrongPin{});
  Words words;
  words.say(none ? prompt::nothing_entered : prompt::invalid_pin);
  if (++tries_ < pin_tries) return ask_pin(std::move(words), State::pin, out);
  part(now, words.say(prompt::too_many_tries).say(prompt::goodbye), 401, out);
}

void MailboxReader::judge_new(Now /*now*/, Orders& out) {
  if (entry_.empty()) return menu({}, out);  // thought better of
  if (!entry_.is_too_short() && !entry_.is_too_long()) {
    new_pin_ = entry_.typed();
    return ask_pin({}, State::new_pin_again, out);
  }
  Words words;
  words.say(entry_.is_too_short() ? prompt::pin_too_short : prompt::invalid);
  if (++tries_ < pin_tries) return ask_pin(std::move(words), State::new_pin, out);
  menu(std::move(words), out);
}

void MailboxReader::judge_again(Now now, Orders& out) {
  const bool same = entry_.is(new_pin_);
  entry_.clear();
  if (same) return do_job(now, Job::set_pin, port::SetMailboxPin{aor(), new_pin_}, out);
  crypto::wipe(new_pin_);
  Words words;
  words.say(prompt::pins_differ);
  if (++tries_ < pin_tries) return ask_pin(std::move(words), State::new_pin, out);
  menu(std::move(words), out);
}

// ---- menus -----------------------------------------------------------------------------------------------

void MailboxReader::list(Now now, Orders& out) {
  state_ = State::listing;
  ask(now, port::AskVoicemails{aor()}, out);
}

void MailboxReader::take(const port::VoicemailsAnswer& answer) {
  const size_t most = std::min<size_t>({answer.messages.size(), mailbox_.max_messages, most_messages});
  for (size_t i = 0; i < most; ++i) {
    const port::Voicemail& m = answer.messages[i];
    items_.push_back({m.id, m.from, m.received, m.file, m.heard});
  }
}

void MailboxReader::menu(Words before, Orders& out) {
  state_ = State::menu;
  tries_ = 0;
  entry_.clear();
  uint32_t fresh = 0, old = 0;
  for (const Item& i : items_)
    if (!i.removed) ++(i.heard ? old : fresh);
  before.all(grammar().messages(fresh, old));
  if (fresh > 0) before.all(grammar().choice(prompt::choice_new, '1'));
  if (old > 0) before.all(grammar().choice(prompt::choice_old, '2'));
  before.all(grammar().choice(prompt::choice_greeting, '3'))
      .all(grammar().choice(prompt::choice_pin, '4'))
      .all(grammar().choice(prompt::choice_exit, '#'));
  say(std::move(before), out);
}

void MailboxReader::menu_key(Now now, char key, Orders& out) {
  switch (key) {
    case '1':
    case '2':
      return open(now, key == '2', out);
    case '3':
      return greeting_menu({}, out);
    case '4':
      return ask_pin({}, State::new_pin, out);
    case '#':
    case '*':
      return part(now, Words().say(prompt::goodbye), 200, out);
    default:
      return menu(Words().say(prompt::invalid), out);
  }
}

void MailboxReader::greeting_menu(Words before, Orders& out) {
  state_ = State::greeting;
  before.all(grammar().choice(prompt::choice_hear_greeting, '1'))
      .all(grammar().choice(prompt::choice_record_greeting, '2'))
      .all(grammar().choice(prompt::choice_default_greeting, '3'))
      .all(grammar().choice(prompt::choice_back, '#'));
  say(std::move(before), out);
}

void MailboxReader::greeting_key(Now now, char key, Orders& out) {
  switch (key) {
    case '1':
      return do_job(now, Job::hear_greeting, port::AskSound{greeting_file(aor())}, out);
    case '2':
      return order_greeting(out);
    case '3':
      return do_job(now, Job::standard_greeting, port::RemoveRecording{greeting_file(aor())}, out);
    case '#':
    case '*':
      return menu({}, out);
    default:
      return greeting_menu(Words().say(prompt::invalid), out);
  }
}

void MailboxReader::order_greeting(Orders& out) {
  state_ = State::greeting_order;
  say(Words().say(prompt::record_greeting).beep(), out);
}

void MailboxReader::recorded(Now /*now*/, Recorded how, Orders& out) {
  Words words;
  words.say(how == Recorded::kept        ? prompt::greeting_saved
            : how == Recorded::too_short ? prompt::message_too_short
                                         : prompt::not_now);
  greeting_menu(std::move(words), out);
}

// ---- messages --------------------------------------------------------------------------------------------

void MailboxReader::open(Now now, bool heard, Orders& out) {
  list_.clear();
  at_ = 0;
  for (uint32_t i = 0; i < items_.size(); ++i)
    if (!items_[i].removed && items_[i].heard == heard) list_.push_back(i);
  if (list_.empty()) return menu(Words().say(prompt::no_more_messages), out);
  state_ = State::message;
  play(now, {}, out);
}

void MailboxReader::play(Now now, Words before, Orders& out) {
  playing_ = true;
  before.all(grammar().envelope(at_ + 1, {item().received, offset_}, {now.wall, offset_}, item().from))
      .file({port::SoundPlace::voicemail, item().file});
  say(std::move(before), out);
}

void MailboxReader::choices(Words before, Orders& out) {
  playing_ = false;
  before.all(grammar().choice(prompt::choice_play_again, '1'))
      .all(grammar().choice(prompt::choice_keep, '2'))
      .all(grammar().choice(prompt::choice_delete, '3'));
  if (has_next()) before.all(grammar().choice(prompt::choice_next, '6'));
  if (at_ > 0) before.all(grammar().choice(prompt::choice_previous, '4'));
  if (!item().from.empty()) before.all(grammar().choice(prompt::choice_call_back, '0'));
  say(before.all(grammar().choice(prompt::choice_back, '#')), out);
}

bool MailboxReader::has_next() const {
  return std::any_of(list_.begin() + at_ + 1, list_.end(), [&](uint32_t i) { return !items_[i].removed; });
}

void MailboxReader::message_key(Now now, char key, Orders& out) {
  switch (key) {
    case '1':
      return play(now, {}, out);
    case '2':
      return do_job(now, Job::keep, port::MarkVoicemail{aor(), item().id, true}, out);
    case '3':
    case '7':
      return do_job(now, Job::remove, port::RemoveVoicemail{aor(), item().id}, out);
    case '4':
      return previous(now, out);
    case '6':
      return next(now, {}, out);
    case '0':
      return call_back(now, out);
    case '#':
    case '*':
      return menu({}, out);
    default:
      return choices(Words().say(prompt::invalid), out);
  }
}

void MailboxReader::next(Now now, Words before, Orders& out) {
  if (!has_next()) return menu(before.say(prompt::no_more_messages), out);
  do ++at_;
  while (item().removed);
  play(now, std::move(before), out);
}

void MailboxReader::previous(Now now, Orders& out) {
  uint32_t to = at_;
  while (to > 0 && items_[list_[to - 1]].removed) --to;
  Words words;
  if (to == 0)
    words.say(prompt::first_message);
  else
    at_ = to - 1;
  play(now, std::move(words), out);
}

void MailboxReader::call_back(Now now, Orders& out) {
  if (item().from.empty() || !may_dial()) return choices(Words().say(prompt::invalid), out);
  dial(now, item().from, true, out);
}

void MailboxReader::not_taken(Now now, int status, Orders& out) {
  repeat(now, Words().say(why_not_taken(status)), out);
}

std::unique_ptr<Machine> read_messages(const port::MailboxRow& mailbox, bool own, Duration offset) {
  return std::make_unique<MailboxReader>(mailbox, own, offset);
}

}  // namespace tandem::service
