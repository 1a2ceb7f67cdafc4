#include "media/dtmf_ear.h"

#include <algorithm>

namespace tandem::media {
namespace {

constexpr uint32_t detector_rate = 8000;
constexpr uint32_t longest_gap_ms = 60;  // that is filled; a longer one is silence
constexpr size_t most_held = 16;

}  // namespace

DtmfEar::Voice* DtmfEar::voice_of(uint8_t payload_type) {
  if (voice_ && voice_->payload_type == payload_type) return voice_->decoder ? &*voice_ : nullptr;
  const auto f = std::find_if(formats_.begin(), formats_.end(),
                              [&](const playout::Format& each) { return each.payload_type == payload_type; });
  if (f == formats_.end()) return nullptr;
  Voice& v = voice_.emplace(Voice{});
  v.payload_type = payload_type;
  v.clock_rate = f->clock_rate;
  next_.reset();
  auto decoder = codec::make_decoder({f->name, f->clock_rate, f->channels, f->fmtp}, {detector_rate, 0});
  if (!decoder.ok()) return nullptr;
  v.decoder = std::move(*decoder);
  const codec::Shape& shape = v.decoder->shape();
  decoded_.resize(codec::samples_in(shape, codec::longest_payload_ms));
  if (shape.audio_rate != detector_rate) {
    v.resampler = codec::Resampler::make(shape.audio_rate, detector_rate);
    if (!v.resampler) v.decoder.reset();
  }
  return v.decoder ? &v : nullptr;
}

void DtmfEar::take(Voice& v, std::span<const int16_t> samples) {
  if (v.decoder->shape().channels == 2) {
    mono_.resize(samples.size() / 2);
    codec::to_mono(samples, mono_);
    samples = mono_;
  }
  if (v.resampler) {
    resampled_.resize(v.resampler->room_for(samples.size()));
    samples = std::span<const int16_t>(resampled_).first(v.resampler->process(samples, resampled_));
  }
  sound_.insert(sound_.end(), samples.begin(), samples.end());
}

std::span<const codec::DtmfChange> DtmfEar::hear(const rtp::Header& header, Bytes payload) {
  sound_.clear();
  Voice* v = voice_of(header.payload_type);
  if (!v || payload.empty()) return {};
  const codec::Shape& shape = v->decoder->shape();
  if (next_ && header.timestamp != *next_) {
    const auto ahead = static_cast<int32_t>(header.timestamp - *next_);
    if (ahead < 0 && ahead > -static_cast<int32_t>(v->clock_rate)) return {};  // late
    const uint32_t gap_ms =
        ahead < 0 ? longest_gap_ms + 1 : static_cast<uint32_t>(ahead) / (v->clock_rate / 1000);
    if (gap_ms > 0 && gap_ms <= longest_gap_ms) {
      const auto lost = std::span(decoded_).first(codec::samples_in(shape, gap_ms));
      v->decoder->decode_lost(lost, payload);
      take(*v, lost);
    } else if (gap_ms > 0) {
      sound_.assign(detector_rate / 1000 * longest_gap_ms, 0);
    }
  }
  const auto samples = v->decoder->decode(payload, decoded_);
  if (!samples.ok()) return {};
  take(*v, std::span<const int16_t>(decoded_).first(*samples));
  last_ms_ = static_cast<uint32_t>(*samples * 1000 / shape.channels / shape.audio_rate);
  next_ = header.timestamp + last_ms_ * (v->clock_rate / 1000);
  const auto changes = detector_.process(sound_);
  for (const codec::DtmfChange& c : changes) in_tone_ = c.on;
  return changes;
}

void DtmfEar::hold(const rtp::Header& header, Bytes packet) {
  if (held_.size() >= most_held) held_.pop_front();
  held_.push_back({header, {packet.begin(), packet.end()}, last_ms_});
}

std::optional<DtmfEar::Held> DtmfEar::release(bool all) {
  if (held_.empty()) return std::nullopt;
  uint32_t behind = 0;
  for (size_t i = 1; i < held_.size(); ++i) behind += held_[i].ms;
  if (!all && behind < look_ahead_ms) return std::nullopt;
  Held first = std::move(held_.front());
  held_.pop_front();
  return first;
}

}  // namespace tandem::media
