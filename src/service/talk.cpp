#include "service/talk.h"

#include <algorithm>

#include "crypto/secret.h"
#include "prompt/names.h"

namespace tandem::service {
namespace {

// Whoever carries the orders out has deadlines of its own, and shorter ones: these are for when it fails.
constexpr Duration ask_limit = seconds(30);
constexpr Duration dial_limit = minutes(10);
constexpr Duration save_limit = seconds(60);     // a recording, after its end
constexpr Duration parting_limit = seconds(60);  // for the last words

bool is_key(char c) { return (c >= '0' && c <= '9') || c == '*' || c == '#'; }

}  // namespace

Words& Words::say(std::string_view prompt) {
  list_.push_back({Utterance::Kind::prompt, std::string(prompt), {}});
  return *this;
}

Words& Words::all(const prompt::Phrase& phrase) {
  for (const std::string& name : phrase) say(name);
  return *this;
}

Words& Words::file(port::SoundFile file) {
  list_.push_back({Utterance::Kind::file, {}, std::move(file)});
  return *this;
}

Words& Words::beep() {
  list_.push_back({Utterance::Kind::beep, {}, {}});
  return *this;
}

Words& Words::add(const Words& more) {
  list_.insert(list_.end(), more.list_.begin(), more.list_.end());
  return *this;
}

Talk::~Talk() { crypto::wipe(ahead_); }

void Talk::start(Now now, Orders& out) {
  until_ = now.mono + longest_;
  begin(now, out);
}

void Talk::on_key(Now now, char c, Orders& out) {
  // A to D are no keys of people's telephones: nothing is asked by them, and nothing is wrong about them.
  if (stage_ != Stage::talking || !is_key(c)) return;
  if (under_way_ == UnderWay::ask) {
    if (ahead_.size() < most_keys_ahead) ahead_ += c;
    return;
  }
  if (under_way_ != UnderWay::dial) key(now, c, out);
}

void Talk::on_said(Now now, Orders& out) {
  if (!speaking_) return;
  speaking_ = false;
  if (stage_ == Stage::parting) return hang_up(status_, out);
  if (stage_ == Stage::talking && under_way_ == UnderWay::nothing) said(now, out);
}

void Talk::on_recorded(Now now, Recorded how, Orders& out) {
  if (stage_ != Stage::talking) return;
  if (under_way_ != UnderWay::record && under_way_ != UnderWay::save) return;
  end_under_way();
  recorded(now, how, out);
}

void Talk::on_answer(Now now, const port::Answer& answer, Orders& out) {
  if (stage_ != Stage::talking || under_way_ != UnderWay::ask) return;
  end_under_way();
  answered(now, answer, out);
  play_keys_ahead(now, out);
}

void Talk::on_not_taken(Now now, int status, Orders& out) {
  if (stage_ != Stage::talking || under_way_ != UnderWay::dial) return;
  end_under_way();
  not_taken(now, status, out);
}

void Talk::on_room(Now now, RoomEvent event, uint32_t count, Orders& out) {
  if (stage_ == Stage::talking) room(now, event, count, out);
}

void Talk::on_timeout(Now now, Orders& out) {
  if (now.mono < next_timeout()) return;
  if (stage_ == Stage::parting) return hang_up(status_, out);
  if (now.mono >= until_) return part(now, Words().say(prompt::goodbye), 200, out);
  switch (under_way_) {
    case UnderWay::ask:
      return on_answer(now, port::AskFailure::timed_out, out);
    case UnderWay::dial:
      return on_not_taken(now, 408, out);
    case UnderWay::record:
    case UnderWay::save:
      return on_recorded(now, Recorded::failed, out);
    case UnderWay::nothing:
      wait_no_more();
      return due(now, out);
  }
}

Instant Talk::next_timeout() const {
  if (stage_ == Stage::over) return Instant::never();
  return stage_ == Stage::parting ? due_ : std::min(due_, until_);
}

void Talk::play_keys_ahead(Now now, Orders& out) {
  std::string keys;
  keys.swap(ahead_);
  for (const char c : keys) on_key(now, c, out);  // what has to wait again is ahead again
  crypto::wipe(keys);
}

void Talk::say(Words words, Orders& out) {
  wait_no_more();
  speaking_ = true;
  out.push_back(Say{std::move(words).take()});
}

void Talk::hush(Orders& out) {
  wait_no_more();
  if (!speaking_) return;
  speaking_ = false;
  out.push_back(Silence{});
}

void Talk::ask(Now now, port::Question question, Orders& out) {
  under_way_ = UnderWay::ask;
  wait(now, ask_limit);
  out.push_back(Ask{std::move(question)});
}

void Talk::record(Now now, Record order, Orders& out) {
  under_way_ = UnderWay::record;
  wait(now, order.longest + save_limit);
  out.push_back(std::move(order));
}

void Talk::stop_record(Now now, Orders& out) {
  if (under_way_ != UnderWay::record) return;
  under_way_ = UnderWay::save;
  wait(now, save_limit);
  out.push_back(StopRecord{});
}

void Talk::dial(Now now, std::string number, bool as_caller, Orders& out) {
  hush(out);
  ++dials_;
  under_way_ = UnderWay::dial;
  wait(now, dial_limit);
  until_ = std::max(until_, due_ + minutes(1));  // ringing is nobody's dawdling
  out.push_back(Dial{std::move(number), as_caller});
}

void Talk::part(Now now, Words words, int status, Orders& out) {
  if (words.empty()) return hang_up(status, out);
  stage_ = Stage::parting;
  under_way_ = UnderWay::nothing;
  status_ = status;
  say(std::move(words), out);
  wait(now, parting_limit);
}

void Talk::hang_up(int status, Orders& out) {
  stage_ = Stage::over;
  speaking_ = false;
  status_ = status;
  crypto::wipe(ahead_);
  out.push_back(HangUp{status});
}

std::string_view why_not_taken(int status) {
  switch (status) {
    case 486:
    case 600:
      return prompt::line_busy;
    case 403:
    case 607:
      return prompt::not_permitted;
    case 404:
    case 410:
    case 484:
    case 604:
      return prompt::number_unknown;
    case 408:
    case 480:
    case 487:
    case 603:
      return prompt::not_available;
    case 503:
      return prompt::lines_full;
    default:
      return prompt::call_failed;
  }
}

}  // namespace tandem::service
