#include "media/dtmf_heard.h"

#include <algorithm>
#include <string_view>

namespace tandem::media {
namespace {

constexpr std::string_view digits = "0123456789*#ABCD";

constexpr uint8_t bit(DtmfWay way) { return static_cast<uint8_t>(1 << static_cast<unsigned>(way)); }

}  // namespace

char digit_of_event(uint8_t event) { return event < digits.size() ? digits[event] : 0; }

std::optional<uint8_t> event_of_digit(char digit) {
  const size_t at = digits.find(digit);
  if (digit == 0 || at == digits.npos) return std::nullopt;
  return static_cast<uint8_t>(at);
}

void DtmfHeard::add(const PressNews& news) {
  if (news_count_ < news_.size()) news_[news_count_++] = news;
}

/// False: another way has told of this press already.
bool DtmfHeard::begin(Instant now, char digit, DtmfWay way, uint8_t volume) {
  for (size_t i = last_.size(); i-- > 0;) {  // the oldest first: each way tells in order
    Press& p = last_[i];
    if (p.digit != digit) continue;
    const bool near = p.running || now - p.at < same_press;
    // A tone is heard anew after a restore.
    if (p.way == way ? p.running && way == DtmfWay::tone : near && (p.told & bit(way)) == 0) {
      p.told |= bit(way);
      return false;
    }
  }
  end(now, way, {});  // one at a time by one way
  std::copy_backward(last_.begin(), last_.end() - 1, last_.end());
  last_[0] = {digit, way, bit(way), true, now};
  add({digit, way, true, false, volume, {}});
  return true;
}

void DtmfHeard::end(Instant now, DtmfWay way, Duration lasted) {
  for (Press& p : last_) {
    if (!p.running || p.way != way) continue;
    p.running = false;
    p.at = now;
    if (news_count_ > 0 && news_[news_count_ - 1].begins && news_[news_count_ - 1].digit == p.digit &&
        news_[news_count_ - 1].way == way) {
      news_[news_count_ - 1].ends = true;
      news_[news_count_ - 1].lasted = lasted;
      return;
    }
    return add({p.digit, way, false, true, 10, lasted});
  }
}

void DtmfHeard::end_event(Instant now, const codec::HeardEvent& event) {
  end(now, DtmfWay::event, Duration(int64_t{event.duration} * 1'000'000'000 / clock_rate_));
}

void DtmfHeard::event(Instant now, uint32_t ssrc, const codec::EventPacket& packet, uint32_t clock_rate) {
  news_count_ = 0;
  if (ssrc != ssrc_ || clock_rate != clock_rate_) {  // its timestamps are of another line
    if (const auto event = events_.give_up()) end_event(now, *event);
    events_ = {};
    ssrc_ = ssrc;
    clock_rate_ = std::max<uint32_t>(1000, clock_rate);
  }
  event_at_ = now;
  const codec::EventNews heard = events_.on_packet(packet);
  if (heard.ended) end_event(now, *heard.ended);
  for (const auto& started : {heard.started, heard.passed})
    if (started) event_leads_ = begin(now, digit_of_event(started->event), DtmfWay::event, started->volume);
  if (heard.passed) end_event(now, *heard.passed);
}

void DtmfHeard::info(Instant now, char digit, Duration lasted) {
  news_count_ = 0;
  if (begin(now, digit, DtmfWay::info, 10)) end(now, DtmfWay::info, lasted);
}

void DtmfHeard::tone(Instant now, const codec::DtmfChange& change) {
  news_count_ = 0;
  tone_at_ = now;
  if (!change.on) return end(now, DtmfWay::tone, milliseconds(change.at_ms - tone_begins_ms_));
  tone_begins_ms_ = change.at_ms;
  tone_began_ = now;
  begin(now, change.digit, DtmfWay::tone, static_cast<uint8_t>(std::clamp(-change.level, 0, 63)));
}

void DtmfHeard::on_silence(Instant now) {
  news_count_ = 0;
  if (events_.active() && now - event_at_ >= patience)
    if (const auto event = events_.give_up()) end_event(now, *event);
  for (const Press& p : last_)
    if (p.running && p.way == DtmfWay::tone && now - tone_at_ >= patience)
      return end(now, DtmfWay::tone, std::max(Duration{}, tone_at_ - tone_began_));
}

Instant DtmfHeard::next_timeout() const {
  Instant next = Instant::never();
  if (events_.active()) next = event_at_ + patience;
  for (const Press& p : last_)
    if (p.running && p.way == DtmfWay::tone) next = std::min(next, tone_at_ + patience);
  return next;
}

DtmfHeard::State DtmfHeard::state() const {
  return {events_.state(), ssrc_, clock_rate_, event_at_, event_leads_, last_};
}

void DtmfHeard::go_on(const State& state) {
  events_.go_on(state.events);
  ssrc_ = state.ssrc;
  clock_rate_ = std::max<uint32_t>(1000, state.clock_rate);
  event_at_ = state.event_at;
  event_leads_ = state.event_leads;
  last_ = state.last;
  tone_at_ = tone_began_ = event_at_;
}

}  // namespace tandem::media
