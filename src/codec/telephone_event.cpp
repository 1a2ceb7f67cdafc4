#include "codec/telephone_event.h"

#include <algorithm>

namespace tandem::codec {
namespace {
constexpr uint8_t ends_sent = 3;
constexpr uint32_t longest_segment = 0xFFFF;
constexpr uint32_t longest_ms = 3'600'000;  // nobody presses a key longer, and the ticks stay in 32 bits
bool newer(uint32_t a, uint32_t b) { return a != b && a - b < 0x80000000U; }
}  // namespace

EventSender::EventSender(uint32_t clock_rate, uint16_t packet_ms)
    : clock_rate_(std::clamp<uint32_t>(clock_rate, 8000, 48000)),
      packet_ticks_(clock_rate_ / 1000 * std::clamp<uint32_t>(packet_ms, 5, 100)) {}

bool EventSender::start(uint8_t event, uint8_t volume, uint32_t duration_ms, uint32_t timestamp) {
  if (active() || duration_ms == 0) return false;
  state_ = {{event, false, true, std::min<uint8_t>(volume, 63), 0, timestamp},
            0,
            clock_rate_ / 1000 * std::min(duration_ms, longest_ms),
            ends_sent};
  return true;
}

void EventSender::stop() { state_.left = 0; }

void EventSender::last(uint32_t duration_ms) {
  const uint32_t wanted = clock_rate_ / 1000 * std::min(duration_ms, longest_ms);
  state_.left = wanted - std::min(wanted, state_.played);
}

std::optional<EventPacket> EventSender::next() {
  if (!active()) return std::nullopt;
  State& s = state_;
  if (s.left > 0) {
    if (s.now.duration == longest_segment) {
      s.now.timestamp += longest_segment;
      s.now.duration = 0;
    }
    const uint32_t step = std::min({packet_ticks_, s.left, longest_segment - s.now.duration});
    s.now.duration = static_cast<uint16_t>(s.now.duration + step);
    s.left -= step;
    s.played += step;
  }
  EventPacket p = s.now;
  s.now.marker = false;
  if (s.left == 0) {
    p.end = true;
    --s.ends_left;
  }
  return p;
}

HeardEvent EventReceiver::end() {
  state_.running = false;
  state_.event.duration = state_.before + state_.segment;
  return state_.event;
}

bool EventReceiver::continues(const EventPacket& p) const {
  // The segment before was full; its last packet may have been lost, so what counts is where this one begins.
  return state_.running && !p.marker && p.event == state_.event.event &&
         p.timestamp - state_.timestamp == longest_segment;
}

EventNews EventReceiver::on_packet(const EventPacket& p) {
  EventNews news;
  if (state_.any && !newer(p.timestamp, state_.timestamp)) {
    if (p.timestamp != state_.timestamp || !state_.running || p.event != state_.event.event) return news;
    state_.segment = std::max(state_.segment, p.duration);
    if (p.end) news.ended = end();
    return news;
  }
  if (continues(p)) {
    state_.before += longest_segment;
    state_.timestamp = p.timestamp;
    state_.segment = p.duration;
    if (p.end) news.ended = end();
    return news;
  }
  if (state_.running) news.ended = end();
  state_.any = true;
  state_.running = true;
  state_.event = {p.event, p.volume, 0};
  state_.timestamp = p.timestamp;
  state_.segment = p.duration;
  state_.before = 0;
  if (p.end) {
    news.passed = end();
  } else {
    news.started = state_.event;
  }
  return news;
}

std::optional<HeardEvent> EventReceiver::give_up() {
  if (!state_.running) return std::nullopt;
  return end();
}

std::optional<HeardEvent> EventReceiver::on_silence(uint32_t timestamp, uint32_t patience) {
  if (!state_.running) return std::nullopt;
  const uint32_t last = state_.timestamp + state_.segment;
  if (!newer(timestamp, last) || timestamp - last < patience) return std::nullopt;
  return end();
}

}  // namespace tandem::codec
