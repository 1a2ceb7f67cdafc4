#include "playout/player.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "playout/time_scaler.h"

namespace tandem::playout {
namespace {

constexpr Duration steering_pause = milliseconds(100);  // between two changes, so that nobody hears a warble
constexpr Duration too_much = milliseconds(15);         // more delay than wanted
constexpr Duration too_little = milliseconds(4);        // less: packets begin to come too late
constexpr Duration far_too_much = milliseconds(60);
constexpr float fair_match = 0.65F;

uint32_t clock_of(const PlayerConfig& config) {
  for (const Format& f : config.formats)
    if (!iequals(f.name, "CN") && !iequals(f.name, "telephone-event")) return f.clock_rate;
  return 8000;
}

JitterConfig jitter_of(const PlayerConfig& config) {
  JitterConfig jitter = config.jitter;
  jitter.clock_rate = clock_of(config);
  return jitter;
}

}  // namespace

Player::Player(const PlayerConfig& config)
    : config_(config), buffer_(jitter_of(config)), noise_(config.noise_seed) {
  const uint32_t clock = clock_of(config);
  frame_ticks_ = clock / 50;
  for (size_t i = 0; i < config.formats.size(); ++i) {
    const Format& f = config.formats[i];
    Source s;
    s.format = i;
    s.noise = iequals(f.name, "CN");
    if (s.noise || f.clock_rate == clock)
      sources_.push_back(std::move(s));  // another clock is another player
  }
  // 120 ms of 48 kHz stereo decoded; a frame and a payload more may wait.
  decoded_.resize(size_t{48} * codec::longest_payload_ms * 2);
  resampled_.resize(size_t{48} * (codec::longest_payload_ms + 10));
  queue_.resize(size_t{config.audio_rate} / 1000 * (codec::longest_payload_ms * 2 + longest_frame_ms));
}

Player::~Player() = default;
Player::Player(Player&&) noexcept = default;
Player& Player::operator=(Player&&) noexcept = default;

Player::Source* Player::source_of(uint8_t payload_type) {
  for (Source& s : sources_)
    if (config_.formats[s.format].payload_type == payload_type) return &s;
  return nullptr;
}

/// Makes the decoder when there is none yet.
bool Player::ready(Source& source) {
  if (source.noise || source.decoder) return true;
  if (std::exchange(source.tried, true)) return false;
  const Format& f = config_.formats[source.format];
  auto decoder = codec::make_decoder({f.name, f.clock_rate, f.channels, f.fmtp}, {config_.audio_rate, 5});
  if (!decoder.ok()) return false;
  const uint32_t rate = (*decoder)->shape().audio_rate;
  if (rate != config_.audio_rate) {
    source.resampler = codec::Resampler::make(rate, config_.audio_rate);
    if (!source.resampler) return false;
  }
  source.decoder = std::move(*decoder);
  return true;
}

void Player::packet(Instant now, uint16_t sequence, uint32_t timestamp, uint8_t payload_type, Bytes payload) {
  Source* source = source_of(payload_type);
  if (!source || !ready(*source)) {
    ++counts_.refused;
    return;
  }
  buffer_.insert(now, sequence, timestamp, payload_type, payload);
}

void Player::restart() {
  buffer_.restart();
  for (Source& s : sources_)
    if (s.decoder) s.decoder->reset();
  silent_ = false;
  begin_ = end_ = voice_end_ = 0;
}

void Player::hold(Duration delay) {
  if (std::exchange(held_, true)) return;
  buffer_.hold(delay);
  silent_ = false;
  begin_ = end_ = voice_end_ = 0;
}

JitterCounts Player::jitter_counts() const { return buffer_.counts(); }
Duration Player::wanted_delay() const { return buffer_.wanted(); }
void Player::learn(Duration wanted) { buffer_.learn(wanted); }
Duration Player::delay(Instant now) const { return buffer_.delay(now, ticks_of(queued())); }

uint32_t Player::ticks_of(size_t samples) const {
  return static_cast<uint32_t>(samples * clock_of(config_) / config_.audio_rate);
}

bool Player::render(Instant now, std::span<int16_t> out) {
  make(now, out.size());
  if (!held_) {
    steer(now);
    make(now, out.size());  // what was shortened
  }
  const bool voice = voice_end_ > begin_;
  std::copy_n(queue_.begin() + static_cast<std::ptrdiff_t>(begin_), out.size(), out.begin());
  begin_ += out.size();
  counts_.rendered += out.size();
  return voice;
}

/// Until so many samples wait in the queue.
void Player::make(Instant now, size_t samples) {
  using Next = JitterBuffer::Next;
  while (queued() < samples) {
    switch (buffer_.next(now)) {
      case Next::packet:
        play_packet();
        break;
      case Next::missing:
        fill(std::min(frame_ticks_, buffer_.gap() ? buffer_.gap() : frame_ticks_), buffer_.after_missing());
        break;
      case Next::pause:
        fill(std::min(frame_ticks_, buffer_.gap()), {});
        break;
      case Next::nothing:
        background(ticks_of(samples - queued()));
        break;
    }
  }
}

void Player::play_packet() {
  const JitterBuffer::Packet packet = buffer_.take();
  Source* s = source_of(packet.payload_type);
  if (s->noise) {  // it says how the silence sounds, and lasts no time of its own
    silent_ = noise_.set(packet.payload.bytes()) || silent_;
    return;
  }
  const codec::Shape& shape = s->decoder->shape();
  const auto samples = s->decoder->decode(packet.payload.bytes(), decoded_);
  if (!samples.ok() || *samples == 0) {
    ++counts_.refused;
    return fill(frame_ticks_, {});
  }
  silent_ = s->decoder->in_silence();
  concealing_ = false;
  playing_ = s;
  frame_ticks_ = static_cast<uint32_t>(*samples / shape.channels * shape.clock_rate / shape.audio_rate);
  buffer_.played(frame_ticks_);
  push(*s, std::span(decoded_).first(*samples), true);
}

/// Sound in place of what is missing.
void Player::fill(uint32_t ticks, Bytes next) {
  buffer_.concealed(ticks);
  concealing_ = true;
  if (silent_ || !playing_ || held_) return background(ticks);
  counts_.concealed += stand_in(ticks, next, true);
}

/// What the decoder makes without a payload; samples of it.
size_t Player::stand_in(uint32_t ticks, Bytes next, bool voice) {
  const codec::Shape& shape = playing_->decoder->shape();
  const size_t samples = size_t{ticks} * shape.audio_rate / shape.clock_rate * shape.channels;
  const std::span<int16_t> sound = std::span(decoded_).first(std::min(samples, decoded_.size()));
  playing_->decoder->decode_lost(sound, next);
  const size_t before = queued();
  push(*playing_, sound, voice);
  return queued() - before;
}

/// Nobody talks.
void Player::background(uint32_t ticks) {
  if (silent_ && config_.comfort_noise && playing_ && playing_->decoder->in_silence()) {
    counts_.noise += stand_in(std::max<uint32_t>(1, ticks), {}, false);
    return;
  }
  const size_t samples = std::max<size_t>(1, size_t{ticks} * config_.audio_rate / clock_of(config_));
  const std::span<int16_t> sound = std::span(resampled_).first(std::min(samples, resampled_.size()));
  std::fill(sound.begin(), sound.end(), int16_t{0});
  if (silent_ && config_.comfort_noise) noise_.render(sound);
  counts_.noise += sound.size();
  Source none;
  push(none, sound, false);
}

void Player::push(Source& source, std::span<int16_t> sound, bool voice) {
  if (source.decoder && source.decoder->shape().channels == 2) {
    codec::to_mono(sound, sound.first(sound.size() / 2));
    sound = sound.first(sound.size() / 2);
  }
  if (source.resampler) sound = std::span(resampled_).first(source.resampler->process(sound, resampled_));
  if (begin_ > 0) {
    std::copy(queue_.begin() + static_cast<std::ptrdiff_t>(begin_),
              queue_.begin() + static_cast<std::ptrdiff_t>(end_), queue_.begin());
    end_ -= begin_;
    voice_end_ -= std::min(voice_end_, begin_);
    begin_ = 0;
  }
  const size_t room = std::min(sound.size(), queue_.size() - end_);
  std::copy_n(sound.begin(), room, queue_.begin() + static_cast<std::ptrdiff_t>(end_));
  end_ += room;
  if (voice) voice_end_ = end_;
}

/// Brings the delay to what is wanted, and follows the sender's clock: a period at a time, where it is not
/// heard.
void Player::steer(Instant now) {
  const bool voice = voice_end_ > begin_;  // in a background no clock is followed
  if (!voice || !playing_ || concealing_ || now - steered_ < steering_pause) return;
  const size_t twenty = size_t{config_.audio_rate} / 50;
  if (queued() < twenty) return;
  const Duration off = delay(now) - buffer_.wanted();
  const bool longer = off < -too_little;
  if (off <= too_much && !longer) return;
  const std::span<int16_t> sound = std::span(queue_).subspan(begin_, queued());
  const Period period = find_period(sound, config_.audio_rate, 1);
  if (period.frames == 0 || (period.match < fair_match && off < far_too_much && off > -far_too_much)) return;
  steered_ = now;
  if (longer) {
    const size_t size = lengthen(std::span(queue_).subspan(begin_), sound.size(), period, 1);
    counts_.lengthened += size - sound.size();
    end_ = begin_ + size;
  } else {
    const size_t left = shorten(sound, period, 1);
    counts_.shortened += sound.size() - left;
    end_ = begin_ + left;
  }
  voice_end_ = end_;
}

}  // namespace tandem::playout
