#include "codec/comfort_noise.h"

#include <algorithm>
#include <cmath>

namespace tandem::codec {
namespace {
constexpr float coefficient_unit = 258.0F / 32768.0F;
constexpr int coefficient_zero = 127;
constexpr float glide = 1.0F / 64;  // of the way to the new level, each sample

/// Levinson and Durbin's recursion: reflection coefficients of A(z) = 1 + a1 z^-1 + ...
std::array<double, noise_order> reflections(std::span<const int16_t> samples) {
  std::array<double, noise_order + 1> r{};
  for (size_t lag = 0; lag <= noise_order; ++lag)
    for (size_t i = lag; i < samples.size(); ++i)
      r[lag] += static_cast<double>(samples[i]) * samples[i - lag];
  r[0] *= 1.0001;  // a floor 40 dB below: pure tones and silence stay stable
  std::array<double, noise_order> k{};
  std::array<double, noise_order + 1> a{1};
  double error = r[0];
  for (size_t m = 1; m <= noise_order && error > 1; ++m) {
    double sum = r[m];
    for (size_t i = 1; i < m; ++i) sum += a[i] * r[m - i];
    k[m - 1] = -sum / error;
    const auto before = a;
    for (size_t i = 1; i < m; ++i) a[i] = before[i] + k[m - 1] * before[m - i];
    a[m] = k[m - 1];
    error *= 1 - k[m - 1] * k[m - 1];
  }
  return k;
}
}  // namespace

size_t describe_noise(std::span<const int16_t> samples, std::array<uint8_t, noise_octets>& out) {
  double energy = 0;
  for (const int16_t x : samples) energy += static_cast<double>(x) * x;
  const double rms = samples.empty() ? 0 : std::sqrt(energy / static_cast<double>(samples.size()));
  const double dbov = rms < 0.02 ? 127 : -20 * std::log10(rms / 32768);
  out[0] = static_cast<uint8_t>(std::clamp(std::lround(dbov), 0L, 127L));
  const auto k = reflections(samples);
  for (size_t i = 0; i < noise_order; ++i)
    out[1 + i] =
        static_cast<uint8_t>(std::clamp(std::lround(k[i] / coefficient_unit) + coefficient_zero, 0L, 254L));
  return noise_octets;
}

bool NoiseGenerator::set(Bytes payload) {
  if (payload.empty()) return false;
  reflection_.fill(0);
  float power_gain = 1;  // of the filter: the excitation is that much weaker
  for (size_t i = 0; i < noise_order && i + 1 < payload.size(); ++i) {
    // 255 would be past 1, an unstable filter.
    const int n = std::min<int>(payload[1 + i], 2 * coefficient_zero) - coefficient_zero;
    reflection_[i] = static_cast<float>(n) * coefficient_unit;
    power_gain *= 1 - reflection_[i] * reflection_[i];
  }
  // Uniform noise in [-1, 1) has a third of the power of full scale.
  const float rms = 32768.0F * std::pow(10.0F, -static_cast<float>(payload[0] & 0x7F) / 20);
  target_ = rms * std::sqrt(3.0F * power_gain);
  return true;
}

float NoiseGenerator::white() {
  random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return static_cast<float>(static_cast<int32_t>(random_ >> 32)) * (1.0F / 2147483648.0F);
}

void NoiseGenerator::render(std::span<int16_t> out) {
  for (int16_t& sample : out) {
    gain_ += (target_ - gain_) * glide;
    float forward = white() * gain_;
    for (size_t m = noise_order; m-- > 0;) {
      forward -= reflection_[m] * backward_[m];
      backward_[m + 1] = backward_[m] + reflection_[m] * forward;
    }
    backward_[0] = forward;
    sample = static_cast<int16_t>(std::lrint(std::clamp(forward, -32768.0F, 32767.0F)));
  }
}

}  // namespace tandem::codec
