#include "codec/resampler.h"

#include <speex/speex_resampler.h>

#include <algorithm>

namespace tandem::codec {
namespace {
constexpr int quality = 3;  // 48 taps at the lower rate: what speexdsp means for telephony
bool fits(uint32_t rate) { return rate >= 8000 && rate <= 48000; }
}  // namespace

std::unique_ptr<Resampler> Resampler::make(uint32_t from_rate, uint32_t to_rate, uint8_t channels) {
  if (!fits(from_rate) || !fits(to_rate) || channels < 1 || channels > 2) return nullptr;
  SpeexResamplerState* state = nullptr;
  if (from_rate != to_rate) {
    int error = RESAMPLER_ERR_SUCCESS;
    state = speex_resampler_init(channels, from_rate, to_rate, quality, &error);
    if (state == nullptr) return nullptr;
  }
  return std::unique_ptr<Resampler>(new Resampler(from_rate, to_rate, channels, state));
}

Resampler::Resampler(uint32_t from_rate, uint32_t to_rate, uint8_t channels, SpeexResamplerState_* state)
    : from_(from_rate), to_(to_rate), channels_(channels), state_(state) {}

Resampler::~Resampler() {
  if (state_ != nullptr) speex_resampler_destroy(state_);
}

size_t Resampler::room_for(size_t samples) const {
  const uint64_t each = samples / channels_;
  return static_cast<size_t>((each * to_ + from_ - 1) / from_ + (from_ == to_ ? 0 : 1)) * channels_;
}

size_t Resampler::process(std::span<const int16_t> in, std::span<int16_t> out) {
  if (in.empty() || in.size() % channels_ != 0 || out.size() < room_for(in.size())) return 0;
  if (state_ == nullptr) {
    std::copy(in.begin(), in.end(), out.begin());
    return in.size();
  }
  auto in_each = static_cast<spx_uint32_t>(in.size() / channels_);
  auto out_each = static_cast<spx_uint32_t>(out.size() / channels_);
  speex_resampler_process_interleaved_int(state_, in.data(), &in_each, out.data(), &out_each);
  return size_t{out_each} * channels_;
}

uint32_t Resampler::delay_us() const {
  if (state_ == nullptr) return 0;
  return static_cast<uint32_t>(uint64_t{1'000'000} *
                               static_cast<uint64_t>(speex_resampler_get_input_latency(state_)) / from_);
}

void Resampler::reset() {
  if (state_ != nullptr) speex_resampler_reset_mem(state_);
}

void to_mono(std::span<const int16_t> in, std::span<int16_t> out) {
  const size_t n = std::min(in.size() / 2, out.size());
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<int16_t>((in[2 * i] + in[2 * i + 1]) / 2);
}

void to_stereo(std::span<const int16_t> in, std::span<int16_t> out) {
  const size_t n = std::min(in.size(), out.size() / 2);
  for (size_t i = 0; i < n; ++i) out[2 * i] = out[2 * i + 1] = in[i];
}

}  // namespace tandem::codec
