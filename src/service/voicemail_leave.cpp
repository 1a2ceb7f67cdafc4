#include "service/voicemail_leave.h"

#include "prompt/names.h"

namespace tandem::service {

port::SoundFile greeting_of(const port::AddressOfRecord& mailbox) {
  return {port::SoundPlace::voicemail, port::mailbox_folder(mailbox) + "/greeting"};
}

port::SoundFile greeting_file(const port::AddressOfRecord& mailbox) {
  port::SoundFile file = greeting_of(mailbox);
  file.name += "." + std::string(port::extension_of(port::RecordingFormat::wav));
  return file;
}

Words standard_greeting(const port::MailboxRow& mailbox, bool busy) {
  Words words;
  words.all(prompt::language(mailbox.language).not_available(mailbox.user, busy)).say(prompt::leave_message);
  return words;
}

MessageTaker::MessageTaker(port::MailboxRow mailbox, Caller caller, bool busy, std::string tail)
    : Talk(2 * seconds(mailbox.max_seconds) + minutes(10)),
      mailbox_(std::move(mailbox)),
      caller_(std::move(caller)),
      busy_(busy),
      tail_(std::move(tail)) {}

void MessageTaker::begin(Now now, Orders& out) { ask(now, port::AskWaiting{aor()}, out); }

void MessageTaker::answered(Now now, const port::Answer& answer, Orders& out) {
  if (state_ == State::counting) {
    const auto* waiting = std::get_if<port::WaitingAnswer>(&answer);
    if (!waiting) return part(now, Words().say(prompt::mailbox_away), 503, out);
    if (waiting->voice_new + waiting->voice_old >= mailbox_.max_messages)
      return part(now, Words().say(prompt::mailbox_full), 486, out);
    state_ = State::looking;
    return ask(now, port::AskSound{greeting_file(aor())}, out);
  }
  const auto* sound = std::get_if<port::SoundResult>(&answer);
  state_ = State::greeting;
  Words words =
      sound && sound->ok() ? Words().file(greeting_file(aor())) : standard_greeting(mailbox_, busy_);
  say(words.beep(), out);
}

void MessageTaker::key(Now now, char key, Orders& out) {
  if (key != '#') return;
  if (state_ == State::greeting) say(Words().beep(), out);  // who knows it need not hear it
  if (state_ == State::message) stop_record(now, out);
}

void MessageTaker::said(Now now, Orders& out) {
  if (state_ != State::greeting) return;
  state_ = State::message;
  Record order;
  order.file = {port::SoundPlace::voicemail,
                port::mailbox_folder(aor()) + "/" + port::dated_name(now.wall, tail_)};
  order.longest = seconds(mailbox_.max_seconds);
  order.shortest = shortest;
  Deposit& deposit = order.deposit.emplace();
  deposit.most = mailbox_.max_messages;
  deposit.message.mailbox = aor();
  deposit.message.from = caller_.number;
  deposit.message.from_display = caller_.display;
  deposit.message.received = now.wall;
  record(now, std::move(order), out);
}

void MessageTaker::recorded(Now now, Recorded how, Orders& out) {
  Words words;
  switch (how) {
    case Recorded::kept:
      return part(now, words.say(prompt::message_saved).say(prompt::goodbye), 200, out);
    case Recorded::full:
      return part(now, words.say(prompt::mailbox_full), 486, out);
    case Recorded::failed:
      return part(now, words.say(prompt::mailbox_away), 503, out);
    case Recorded::too_short:
      break;
  }
  words.say(prompt::message_too_short);
  if (tried_) return part(now, words.say(prompt::goodbye), 200, out);
  tried_ = true;
  state_ = State::greeting;
  say(words.say(prompt::leave_message).beep(), out);
}

std::unique_ptr<Machine> leave_message(const port::MailboxRow& mailbox, const Caller& caller, bool busy,
                                       std::string tail) {
  return std::make_unique<MessageTaker>(mailbox, caller, busy, std::move(tail));
}

}  // namespace tandem::service
