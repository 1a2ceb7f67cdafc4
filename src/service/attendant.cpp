#include "service/attendant.h"

#include <algorithm>

#include "base/text.h"
#include "prompt/names.h"

namespace tandem::service {

namespace {
constexpr Duration longest_talk = minutes(30);
}

Attendant::Attendant(port::MenuRow menu, std::vector<port::MenuChoiceRow> choices)
    : Talk(longest_talk), menu_(std::move(menu)), choices_(std::move(choices)) {}

void Attendant::begin(Now /*now*/, Orders& out) {
  heard_ = 1;
  greet({}, out);
}

void Attendant::greet(Words before, Orders& out) {
  typed_.clear();
  if (menu_.greeting.empty()) before.say(prompt::welcome);
  for (const std::string& piece : menu_.greeting)
    if (piece.find('.') == std::string::npos)
      before.say(piece);
    else
      before.file({port::SoundPlace::sounds, piece});
  say(std::move(before), out);
}

void Attendant::again(Now now, std::string_view why, Orders& out) {
  Words words;
  if (!why.empty()) words.say(why);
  if (heard_ >= menu_.tries) return otherwise(now, std::move(words), out);
  ++heard_;
  greet(std::move(words), out);
}

void Attendant::otherwise(Now now, Words before, Orders& out) {
  typed_.clear();
  if (menu_.otherwise.empty()) {
    if (!is_announcement()) before.say(prompt::goodbye);
    return part(now, std::move(before), 200, out);
  }
  last_ = true;
  if (before.empty()) return connect(now, menu_.otherwise, false, out);
  say(std::move(before), out);
}

void Attendant::said(Now now, Orders& out) {
  if (last_) return connect(now, menu_.otherwise, false, out);
  if (is_announcement()) return otherwise(now, {}, out);
  wait(now, seconds(std::max(menu_.wait_seconds, 1U)));
}

void Attendant::key(Now now, char key, Orders& out) {
  if (is_announcement() || last_) return;
  hush(out);
  const bool ends = key == '#' && !typed_.empty();
  typed_ += key;
  if (ends && !chosen() && !more_could_follow()) {
    typed_.pop_back();
    return act(now, out);
  }
  if (!more_could_follow()) return act(now, out);
  wait(now, seconds(std::max(menu_.between_seconds, 1U)));
}

void Attendant::due(Now now, Orders& out) {
  if (typed_.empty()) return again(now, {}, out);
  act(now, out);
}

const port::MenuChoiceRow* Attendant::chosen() const {
  const auto row = std::find_if(choices_.begin(), choices_.end(),
                                [&](const port::MenuChoiceRow& c) { return c.keys == typed_; });
  return row == choices_.end() ? nullptr : &*row;
}

bool Attendant::more_could_follow() const {
  if (is_number() && typed_.size() < most_keys) return true;
  return std::any_of(choices_.begin(), choices_.end(), [&](const port::MenuChoiceRow& c) {
    return c.keys.size() > typed_.size() && c.keys.starts_with(typed_);
  });
}

bool Attendant::is_number() const {
  return menu_.extensions && std::all_of(typed_.begin(), typed_.end(), is_digit);
}

void Attendant::act(Now now, Orders& out) {
  if (const port::MenuChoiceRow* choice = chosen()) {
    if (choice->target.empty()) return greet({}, out);
    return connect(now, choice->target, false, out);
  }
  if (is_number()) return connect(now, typed_, true, out);
  again(now, prompt::invalid, out);
}

void Attendant::connect(Now now, std::string number, bool as_caller, Orders& out) {
  typed_.clear();
  if (!may_dial()) return part(now, Words().say(prompt::too_many_tries).say(prompt::goodbye), 480, out);
  dial(now, std::move(number), as_caller, out);
}

void Attendant::not_taken(Now now, int status, Orders& out) {
  Words words;
  words.say(why_not_taken(status));
  if (last_) return part(now, words.say(prompt::goodbye), status, out);
  greet(std::move(words), out);
}

std::unique_ptr<Machine> attendant(const port::MenuRow& menu, std::vector<port::MenuChoiceRow> choices) {
  return std::make_unique<Attendant>(menu, std::move(choices));
}

}  // namespace tandem::service
