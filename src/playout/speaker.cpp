#include "playout/speaker.h"

#include <algorithm>

namespace tandem::playout {

Speaker::Speaker() = default;
Speaker::~Speaker() = default;
Speaker::Speaker(Speaker&&) noexcept = default;
Speaker& Speaker::operator=(Speaker&&) noexcept = default;

Result<Speaker, codec::FormatReason> Speaker::make(const SpeakerConfig& config) {
  const Format& f = config.format;
  auto encoder =
      codec::make_encoder({f.name, f.clock_rate, f.channels, f.fmtp}, {config.audio_rate, config.complexity});
  if (!encoder.ok()) return Failure{encoder.reason()};
  return around(config, std::move(*encoder));
}

Result<Speaker, codec::FormatReason> Speaker::around(const SpeakerConfig& config,
                                                     std::unique_ptr<codec::Encoder> encoder) {
  Speaker s;
  s.config_ = config;
  s.encoder_ = std::move(encoder);
  const codec::Shape& shape = s.encoder_->shape();
  if (shape.audio_rate != config.audio_rate) {
    s.resampler_ = codec::Resampler::make(config.audio_rate, shape.audio_rate);
    if (!s.resampler_) return Failure{codec::FormatReason::bad_rate};
    s.last_.resize(config.audio_rate / 100);
  }
  // Whole frames of the codec, and of 10 ms, so that every rate divides.
  const uint32_t codec_ms = std::max<uint32_t>(10, shape.frame_us / 1000);
  const uint32_t wanted = std::clamp<uint32_t>(config.ptime_ms, codec_ms, 60);
  s.frame_ms_ = wanted / codec_ms * codec_ms;
  if (shape.name == "opus" && s.frame_ms_ == 50) s.frame_ms_ = 40;  // RFC 6716: 10, 20, 40, 60
  if (shape.name == "opus" && s.frame_ms_ == 30) s.frame_ms_ = 20;
  s.frame_samples_ = size_t{config.audio_rate} / 1000 * s.frame_ms_;
  s.frame_ticks_ = shape.clock_rate / 1000 * s.frame_ms_;
  s.resampled_.resize(codec::samples_in(shape, s.frame_ms_ + 10));
  s.stereo_.resize(codec::samples_in(shape, s.frame_ms_));
  s.payload_.resize(codec::largest_payload);
  return s;
}

std::optional<Speaker::Said> Speaker::say(std::span<const int16_t> sound) {
  std::span<const int16_t> at_rate = sound;
  if (resampler_) {
    at_rate = std::span(resampled_).first(resampler_->process(sound, resampled_));
    const auto end = sound.last(std::min(sound.size(), last_.size()));
    std::copy(end.begin(), end.end(), last_.begin());
  }
  if (encoder_->shape().channels == 2) {
    codec::to_stereo(at_rate, stereo_);
    at_rate = std::span<const int16_t>(stereo_).first(at_rate.size() * 2);
  }
  const auto encoded = encoder_->encode(at_rate, payload_);
  if (!encoded.ok() || encoded->octets == 0) {
    silent_ = true;
    return std::nullopt;
  }
  return Said{Bytes(payload_).first(encoded->octets), encoded->skipped, std::exchange(silent_, false)};
}

std::optional<Speaker> Speaker::twin() const {
  auto encoder = encoder_->twin();
  if (!encoder) return std::nullopt;
  auto made = around(config_, std::move(encoder));
  if (!made.ok()) return std::nullopt;
  Speaker& s = *made;
  if (s.resampler_) {
    s.last_ = last_;
    s.resampler_->process(last_, s.resampled_);
  }
  s.silent_ = silent_;
  return std::move(s);
}

}  // namespace tandem::playout
