#include "playout/jitter_buffer.h"

#include <algorithm>

namespace tandem::playout {
namespace {

constexpr uint32_t memory = 256;  // packets: some five seconds
constexpr uint32_t prior = 16;    // what was learnt before counts like so many
constexpr float in_time = 0.98F;
constexpr Duration longest_jump = seconds(5);  // a timestamp further off is another source's

}  // namespace

JitterBuffer::JitterBuffer(const JitterConfig& config)
    : config_(config), wanted_(std::clamp<Duration>(milliseconds(40), config.least, config.most)) {
  held_.reserve(config_.packets);
  learn(wanted_);
}

int64_t JitterBuffer::ticks(Instant t) const {
  const int64_t whole = t.ns / 1'000'000'000;
  return whole * config_.clock_rate + t.ns % 1'000'000'000 * config_.clock_rate / 1'000'000'000;
}

Duration JitterBuffer::duration(int64_t n) const {
  const int64_t rate = config_.clock_rate;
  return Duration(n / rate * 1'000'000'000 + n % rate * 1'000'000'000 / rate);
}

int64_t JitterBuffer::extend(uint32_t timestamp) {
  return highest_ + static_cast<int32_t>(timestamp - static_cast<uint32_t>(highest_));
}

void JitterBuffer::learn(Duration wanted) {
  wanted_ = std::clamp(wanted, config_.least, config_.most);
  lateness_ = {};
  observed_ = prior;
  const auto bin = static_cast<size_t>(wanted_ / bin_width);
  lateness_[std::min(bin == 0 ? 0 : bin - 1, bins - 1)] = 1;
}

void JitterBuffer::restart() {
  counts_.dropped += held_.size();
  held_.clear();
  started_ = playing_ = false;
  filled_ = 0;
}

void JitterBuffer::hold(Duration delay) {
  restart();
  wanted_ = std::clamp(delay, config_.least, config_.most);
  fixed_ = true;
}

/// How late this packet is, and what delay would have had all but a few in time.
void JitterBuffer::observe(Instant now, int64_t transit) {
  if (now - span_began_ > base_span) {
    least_before_ = least_now_;
    least_now_ = transit;
    span_began_ = now;
  }
  least_now_ = std::min(least_now_, transit);
  const Duration late = duration(transit - base());
  const auto bin = std::min(static_cast<size_t>(late / bin_width), bins - 1);
  observed_ = std::min(observed_ + 1, memory);
  const float weight = 1.0F / static_cast<float>(observed_);
  for (float& share : lateness_) share -= share * weight;
  lateness_[bin] += weight;
  float sum = 0;
  size_t enough = 0;
  while (enough + 1 < bins && (sum += lateness_[enough]) < in_time) ++enough;
  if (fixed_) return;
  wanted_ = std::clamp<Duration>(bin_width * static_cast<int64_t>(enough + 1), config_.least, config_.most);
}

JitterBuffer::Inserted JitterBuffer::insert(Instant now, uint16_t sequence, uint32_t timestamp,
                                            uint8_t payload_type, Bytes payload) {
  if (started_) {
    const Duration jump = duration(extend(timestamp) - highest_);
    if (jump > longest_jump || jump < -longest_jump) restart();
  }
  if (!started_) {
    started_ = true;
    highest_ = timestamp;
    span_began_ = now;
    least_now_ = least_before_ = ticks(now) - highest_;
  }
  const int64_t at = extend(timestamp);
  highest_ = std::max(highest_, at);
  observe(now, ticks(now) - at);
  if (playing_ && at < position_) {
    ++counts_.late;
    return Inserted::late;
  }
  const auto place =
      std::upper_bound(held_.begin(), held_.end(), at, [](int64_t a, const Packet& p) { return a < p.at; });
  if (place != held_.begin() && std::prev(place)->at == at) {
    ++counts_.duplicate;
    return Inserted::duplicate;
  }
  Packet packet;
  packet.at = at;
  packet.sequence = sequence;
  packet.payload_type = payload_type;
  packet.arrived = now;
  packet.payload = Buffer::copy_of(payload);
  held_.insert(place, std::move(packet));
  if (held_.size() > config_.packets) {
    held_.erase(held_.begin());
    ++counts_.dropped;
  }
  return Inserted::kept;
}

JitterBuffer::Next JitterBuffer::next(Instant now) {
  if (!playing_) {
    if (held_.empty() || duration(ticks(now) - held_.front().at - base()) < wanted_) return Next::nothing;
    playing_ = true;
    return Next::packet;
  }
  drop_late(now);
  if (held_.empty()) {
    // After so long the next packet begins a spurt of talk, and waits until the delay is right again.
    if (duration(filled_) > longest_wait) playing_ = false;
    return playing_ ? Next::missing : Next::nothing;
  }
  const Packet& first = held_.front();
  if (first.at - position_ <= filled_) return Next::packet;
  return first.sequence == static_cast<uint16_t>(last_sequence_ + 1) ? Next::pause : Next::missing;
}

/// What has been concealed already is played late only where more delay is wanted anyway.
void JitterBuffer::drop_late(Instant now) {
  while (!held_.empty() && filled_ > 0 && held_.front().at + frame_ <= position_ + filled_ &&
         delay(now) >= wanted_ - slack) {
    last_sequence_ = held_.front().sequence;
    held_.erase(held_.begin());
    ++counts_.late;
  }
}

JitterBuffer::Packet JitterBuffer::take() {
  Packet packet = std::move(held_.front());
  held_.erase(held_.begin());
  position_ = packet.at;
  filled_ = 0;
  last_sequence_ = packet.sequence;
  ++counts_.played;
  return packet;
}

void JitterBuffer::played(uint32_t n) {
  position_ += n;
  frame_ = n;
}

/// While later packets are here the position goes on in its own time; with none here it stays, and what comes
/// late is played with more delay.
void JitterBuffer::concealed(uint32_t n) { filled_ += n; }

Bytes JitterBuffer::after_missing() const {
  if (held_.empty() || held_.front().sequence != static_cast<uint16_t>(last_sequence_ + 2)) return {};
  return held_.front().payload.bytes();
}

uint32_t JitterBuffer::gap() const {
  if (held_.empty()) return 0;
  return static_cast<uint32_t>(std::max<int64_t>(0, held_.front().at - position_ - filled_));
}

Duration JitterBuffer::delay(Instant now, uint32_t ahead) const {
  return duration(ticks(now) - position_ - filled_ - base() + ahead);
}

}  // namespace tandem::playout
