#include "media/dtmf_sent.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

#include "codec/dtmf.h"
#include "codec/g711.h"
#include "media/dtmf_heard.h"

namespace tandem::media {
namespace {

constexpr uint32_t longest_ms = 60'000;  // somebody sits on the key
constexpr double ramp_ms = 2;            // at both ends of a tone: no clicks

uint32_t to_ms(Duration d) {
  const auto ms = (d + milliseconds(1) / 2) / milliseconds(1);
  return static_cast<uint32_t>(std::clamp<int64_t>(ms, 0, longest_ms));
}

}  // namespace

bool DtmfSent::begin(Instant now, char digit, uint8_t volume) {
  if (waiting_.size() >= most_waiting) return false;
  waiting_.push_back({digit, volume, now + lag, std::nullopt});
  return true;
}

void DtmfSent::end(char digit, Duration lasted) {
  for (Press& p : waiting_)
    if (p.digit == digit && !p.duration_ms) p.duration_ms = std::max<uint32_t>(1, to_ms(lasted));
}

bool DtmfSent::press(Instant now, char digit, uint8_t volume, Duration lasted) {
  if (!begin(now, digit, volume)) return false;
  waiting_.back().due = now;
  waiting_.back().duration_ms = std::max<uint32_t>(1, to_ms(lasted));
  return true;
}

/// A press has been sent.
void DtmfSent::over() {
  waiting_.pop_front();
  started_ = false;
  sent_ms_ = 0;
  pause_left_ = pause_ms;
}

DtmfSent::Frame DtmfSent::next(Instant now, const Terms& terms, uint32_t timestamp) {
  if (pause_left_ > 0 && !started_) {
    pause_left_ -= std::min(pause_left_, terms.frame_ms);
    return {std::nullopt, !terms.events};
  }
  if (waiting_.empty() || now < waiting_.front().due) return {std::nullopt, !terms.events};
  const Press& press = waiting_.front();
  if (!started_) {
    started_ = true;
    sent_ms_ = 0;
    began_ = timestamp;
    terms_ = terms;
    sender_ = codec::EventSender(terms.event_rate, static_cast<uint16_t>(terms.frame_ms));
    sender_.start(event_of_digit(press.digit).value_or(0), press.volume, longest_ms, timestamp);
  }
  if (terms_.events) return next_event();
  frame_begins_ms_ = sent_ms_;
  sent_ms_ += terms.frame_ms;
  const uint32_t whole = press.duration_ms ? std::max(*press.duration_ms, shortest_ms) : longest_ms;
  if (frame_begins_ms_ >= whole) {  // its last sound was in the frame before
    over();
    pause_left_ -= std::min(pause_left_, terms.frame_ms);
  }
  return {std::nullopt, true};
}

DtmfSent::Frame DtmfSent::next_event() {
  const Press& press = waiting_.front();
  if (press.duration_ms) sender_.last(*press.duration_ms);
  Frame frame;
  frame.event = sender_.next();
  if (frame.event)  // a later segment begins as much later on the stream's clock
    frame.event->timestamp = began_ + static_cast<uint32_t>(uint64_t{frame.event->timestamp - began_} *
                                                            terms_.clock_rate / terms_.event_rate);
  if (!sender_.active()) over();
  return frame;
}

void DtmfSent::render(std::span<int16_t> out, uint32_t rate) const {
  std::fill(out.begin(), out.end(), int16_t{0});
  if (!started_ || terms_.events || waiting_.empty()) return;
  const Press& press = waiting_.front();
  const auto tones = codec::dtmf_tones(press.digit);
  if (!tones) return;
  const double whole_ms = press.duration_ms ? std::max(*press.duration_ms, shortest_ms) : double{longest_ms};
  const double level = -std::clamp<double>(press.volume, 5, 20);  // dBm0 of each tone
  const double peak = codec::zero_dbm0_peak * std::pow(10.0, level / 20);
  const double turn = 2 * std::numbers::pi / rate;
  const uint64_t first = uint64_t{frame_begins_ms_} * rate / 1000;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto n = static_cast<double>(first + i);
    const double at_ms = n * 1000 / rate;
    if (at_ms >= whole_ms) break;
    const double gain = std::min({1.0, at_ms / ramp_ms, (whole_ms - at_ms) / ramp_ms});
    const double sum =
        std::sin(turn * tones->steps[0].frequency1 * n) + std::sin(turn * tones->steps[0].frequency2 * n);
    out[i] = static_cast<int16_t>(std::lround(std::clamp(gain * peak * sum, -32767.0, 32767.0)));
  }
}

DtmfSent::State DtmfSent::state() const {
  return {waiting_, sent_ms_, started_, pause_left_, began_, sender_.state(), terms_};
}

void DtmfSent::go_on(const State& state) {
  waiting_ = state.waiting;
  sent_ms_ = state.sent_ms;
  started_ = state.started && !waiting_.empty();
  pause_left_ = std::min(state.pause_left, pause_ms);
  began_ = state.began;
  terms_ = state.terms;
  sender_ = codec::EventSender(terms_.event_rate, static_cast<uint16_t>(terms_.frame_ms));
  sender_.go_on(state.event);
}

void DtmfLine::begin(uint32_t ssrc, uint16_t last_in, uint32_t timestamp, uint32_t clock_rate) {
  if (open_ && ssrc == ssrc_) return;
  open_ = true;
  ssrc_ = ssrc;
  last_in_ = last_in;
  last_out_ = static_cast<uint16_t>(last_in + offset_);
  timestamp_ = timestamp;
  clock_rate_ = clock_rate;
}

void DtmfLine::close() {
  if (!open_) return;
  open_ = false;
  offset_ = static_cast<uint16_t>(last_out_ - last_in_);
}

std::optional<uint16_t> DtmfLine::pass(const rtp::Header& header, bool event) {
  if (header.ssrc != ssrc_) {  // another stream has begun, with numbers of its own
    close();
    return static_cast<uint16_t>(header.sequence + offset_);
  }
  if (!newer(header)) return std::nullopt;
  last_in_ = header.sequence;
  // Ours went on for longer than the source's press. A clock that jumps by more is another one.
  const auto early = static_cast<int32_t>(timestamp_ - header.timestamp);
  if (!event && early > 0 && early < static_cast<int32_t>(clock_rate_)) return std::nullopt;
  return ++last_out_;
}

void DtmfLine::drop(const rtp::Header& header) {
  if (header.ssrc == ssrc_ && newer(header)) last_in_ = header.sequence;
}

void DtmfLine::go_on(const State& s) {
  open_ = s.open;
  ssrc_ = s.ssrc;
  last_in_ = s.last_in;
  last_out_ = s.last_out;
  offset_ = s.offset;
  timestamp_ = s.timestamp;
  clock_rate_ = std::max<uint32_t>(8000, s.clock_rate);
}

}  // namespace tandem::media
