#include "codec/telephone_event.h"

#include <algorithm>

namespace tandem::codec {
namespace {
constexpr uint8_t ends_sent = 3;
constexpr uint32_t longest_segment = 0xFFFF;
bool newer(uint32_t a, uint32_t b) { return a != b && a - b < 0x80000000U; }
}  // namespace

EventSender::EventSender(uint32_t clock_rate, uint16_t packet_ms)
    : clock_rate_(std::clamp<uint32_t>(clock_rate, 8000, 48000)),
      packet_ticks_(clock_rate_ / 1000 * std::clamp<uint32_t>(packet_ms, 5, 100)) {}

bool EventSender::start(uint8_t event, uint8_t volume, uint32_t duration_ms, uint32_t timestamp) {
  // An hour: nobody presses a key longer, and the ticks stay in 32 bits.
  if (active() || duration_ms == 0) return false;
  left_ = clock_rate_ / 1000 * std::min<uint32_t>(duration_ms, 3'600'000);
  ends_left_ = ends_sent;
  now_ = {event, false, true, std::min<uint8_t>(volume, 63), 0, timestamp};
  return true;
}

void EventSender::stop() { left_ = 0; }

std::optional<EventPacket> EventSender::next() {
  if (!active()) return std::nullopt;
  if (left_ > 0) {
    if (now_.duration == longest_segment) {
      now_.timestamp += longest_segment;
      now_.duration = 0;
    }
    const uint32_t step = std::min({packet_ticks_, left_, longest_segment - now_.duration});
    now_.duration = static_cast<uint16_t>(now_.duration + step);
    left_ -= step;
  }
  EventPacket p = now_;
  now_.marker = false;
  if (left_ == 0) {
    p.end = true;
    --ends_left_;
  }
  return p;
}

HeardEvent EventReceiver::end() {
  running_ = false;
  event_.duration = before_ + segment_;
  return event_;
}

bool EventReceiver::continues(const EventPacket& p) const {
  // The segment before was full; its last packet may have been lost, so what counts is where this one begins.
  return running_ && !p.marker && p.event == event_.event && p.timestamp - timestamp_ == longest_segment;
}

EventNews EventReceiver::on_packet(const EventPacket& p) {
  EventNews news;
  if (any_ && !newer(p.timestamp, timestamp_)) {
    if (p.timestamp != timestamp_ || !running_ || p.event != event_.event) return news;
    segment_ = std::max(segment_, p.duration);
    if (p.end) news.ended = end();
    return news;
  }
  if (continues(p)) {
    before_ += longest_segment;
    timestamp_ = p.timestamp;
    segment_ = p.duration;
    if (p.end) news.ended = end();
    return news;
  }
  if (running_) news.ended = end();
  any_ = true;
  running_ = true;
  event_ = {p.event, p.volume, 0};
  timestamp_ = p.timestamp;
  segment_ = p.duration;
  before_ = 0;
  if (p.end) {
    news.passed = end();
  } else {
    news.started = event_;
  }
  return news;
}

std::optional<HeardEvent> EventReceiver::on_silence(uint32_t timestamp, uint32_t patience) {
  if (!running_) return std::nullopt;
  const uint32_t last = timestamp_ + segment_;
  if (!newer(timestamp, last) || timestamp - last < patience) return std::nullopt;
  return end();
}

}  // namespace tandem::codec
