#include "session.h"

namespace tandem::service {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string text_of(const port::Question& question) {
  using std::to_string;
  return std::visit(
      Overloaded{[](const port::AskWaiting& q) { return "waiting " + q.aor.to_string(); },
                 [](const port::AskSound& q) { return "sound " + q.file.name; },
                 [](const port::AskVoicemails& q) { return "voicemails " + q.mailbox.to_string(); },
                 [](const port::MarkVoicemail& q) {
                   return (q.heard ? "mark " : "unmark ") + to_string(q.id) + " of " + q.mailbox.to_string();
                 },
                 [](const port::RemoveVoicemail& q) {
                   return "remove " + to_string(q.id) + " of " + q.mailbox.to_string();
                 },
                 [](const port::RemoveRecording& q) { return "remove " + q.file.name; },
                 [](const port::SetMailboxPin& q) { return "pin " + q.pin + " of " + q.mailbox.to_string(); },
                 [](const auto&) { return std::string("another question"); }},
      question);
}

std::string text_of(const Utterance& word) {
  switch (word.kind) {
    case Utterance::Kind::prompt:
      return word.prompt;
    case Utterance::Kind::file:
      return std::string(to_text(word.file.place)) + ":" + word.file.name;
    case Utterance::Kind::beep:
      return "BEEP";
  }
  return {};
}

std::string text_of(const Order& order) {
  const auto on = [](bool is) { return std::string(is ? " on" : " off"); };
  return std::visit(
      Overloaded{[](const Say& o) {
                   std::string text = "say";
                   for (const Utterance& word : o.words) text += " " + text_of(word);
                   return text;
                 },
                 [](const Silence&) { return std::string("silence"); },
                 [](const Record& o) {
                   return "record " + o.file.name + " " + std::to_string(o.longest / seconds(1)) + "s" +
                          (o.deposit ? " from " + o.deposit->message.from + " for " +
                                           o.deposit->message.mailbox.to_string() + ", at most " +
                                           std::to_string(o.deposit->most)
                                     : "");
                 },
                 [](const StopRecord&) { return std::string("stop-record"); },
                 [](const Ask& o) { return "ask " + text_of(o.question); },
                 [](const Dial& o) { return "dial " + o.number + (o.as_caller ? " as caller" : ""); },
                 [](const Enter& o) {
                   return "enter " + o.name + "@" + o.domain + (o.moderator ? " as moderator" : "") +
                          (o.muted ? " muted" : "");
                 },
                 [&](const Mute& o) { return "mute" + on(o.on); },
                 [&](const Lecture& o) { return "lecture" + on(o.on); },
                 [&](const Lock& o) { return "lock" + on(o.on); },
                 [](const WrongPin&) { return std::string("wrong-pin"); },
                 [](const HangUp& o) { return "hang-up " + std::to_string(o.status); }},
      order);
}

}  // namespace

std::string text_of(const Orders& orders) {
  std::string text;
  for (const Order& order : orders) text += (text.empty() ? "" : "; ") + text_of(order);
  return text;
}

template <class Step>
std::string Session::step(Step&& step) {
  if (restored_ && now_.wall != began) {
    const std::string part = machine_->snapshot(now_);
    now_.mono.ns += 77'000'000'000;  // another boot has another origin
    auto made = restore(now_, part);
    EXPECT_TRUE(made.ok());
    if (made) machine_ = std::move(made).value();
  }
  EXPECT_FALSE(over_) << "after the end";
  last_.clear();
  step();
  for (size_t i = 0; i < last_.size(); ++i)
    if (std::holds_alternative<HangUp>(last_[i])) {
      EXPECT_EQ(i + 1, last_.size()) << "orders after the end";
      over_ = true;
    }
  now_.mono.ns += 1'000'000;
  now_.wall.ns += 1'000'000;
  return text_of(last_);
}

std::string Session::start() {
  return step([&] { machine_->start(now_, last_); });
}
std::string Session::key(char key) {
  return step([&] { machine_->on_key(now_, key, last_); });
}
std::string Session::keys(std::string_view keys) {
  std::string text;
  for (const char c : keys)
    if (const std::string one = key(c); !one.empty()) text += (text.empty() ? "" : "; ") + one;
  return text;
}
std::string Session::said() {
  return step([&] { machine_->on_said(now_, last_); });
}
std::string Session::recorded(Recorded how) {
  return step([&] { machine_->on_recorded(now_, how, last_); });
}
std::string Session::answer(const port::Answer& answer) {
  return step([&] { machine_->on_answer(now_, answer, last_); });
}
std::string Session::not_taken(int status) {
  return step([&] { machine_->on_not_taken(now_, status, last_); });
}
std::string Session::room(RoomEvent event, uint32_t count) {
  return step([&] { machine_->on_room(now_, event, count, last_); });
}

std::string Session::pass(Duration time) {
  std::string text;
  for (;;) {
    const Duration left = machine_->next_timeout() - now_.mono;
    if (over_ || left > time) break;
    if (const std::string one = timeout(); !one.empty()) text += (text.empty() ? "" : "; ") + one;
    time -= left;
  }
  now_.mono = now_.mono + time;
  now_.wall = now_.wall + time;
  return text;
}

std::string Session::timeout() {
  const Duration left = std::max(machine_->next_timeout() - now_.mono, Duration{0});
  now_.mono = now_.mono + left;
  now_.wall = now_.wall + left;
  return step([&] { machine_->on_timeout(now_, last_); });
}

}  // namespace tandem::service
