#include "playout/time_scaler.h"

#include <algorithm>
#include <cmath>

namespace tandem::playout {
namespace {

constexpr size_t shortest_us = 2'500, longest_us = 9'000;  // 400 to 111 Hz
constexpr float quiet = 64.0F;                             // RMS: nobody hears a seam below it

float blend(int16_t from, int16_t to, size_t i, size_t n) {
  const float share = (static_cast<float>(i) + 0.5F) / static_cast<float>(n);
  return static_cast<float>(from) * (1 - share) + static_cast<float>(to) * share;
}

int16_t sample(float v) { return static_cast<int16_t>(std::lround(std::clamp(v, -32768.0F, 32767.0F))); }

}  // namespace

Period find_period(std::span<const int16_t> sound, uint32_t audio_rate, size_t channels) {
  const size_t frames = sound.size() / channels;
  const size_t shortest = size_t{audio_rate} * shortest_us / 1'000'000;
  const size_t longest = std::min(size_t{audio_rate} * longest_us / 1'000'000, frames / 2);
  if (longest < shortest) return {};
  const size_t step = std::max<size_t>(1, audio_rate / 8000) * channels;
  const size_t stride = channels;
  float energy = 0;
  for (size_t i = 0; i < sound.size(); i += step) energy += static_cast<float>(sound[i]) * sound[i];
  const float rms = std::sqrt(energy / static_cast<float>((sound.size() + step - 1) / step));
  if (rms < quiet) return {longest, 1};
  Period best;
  for (size_t lag = shortest; lag <= longest; ++lag) {
    float cross = 0, a = 0, b = 0;
    for (size_t i = 0; i < longest * stride; i += step) {
      const float x = sound[i];
      const float y = sound[i + lag * stride];
      cross += x * y;
      a += x * x;
      b += y * y;
    }
    const float norm = std::sqrt(a * b);
    const float match = norm > 0 ? cross / norm : 0;
    if (match > best.match) best = {lag, match};
  }
  return best;
}

size_t shorten(std::span<int16_t> sound, const Period& period, size_t channels) {
  const size_t n = period.frames * channels;
  if (n == 0 || sound.size() < 2 * n) return sound.size();
  for (size_t i = 0; i < n; ++i)
    sound[i] = sample(blend(sound[i], sound[i + n], i / channels, period.frames));
  std::copy(sound.begin() + static_cast<std::ptrdiff_t>(2 * n), sound.end(),
            sound.begin() + static_cast<std::ptrdiff_t>(n));
  return sound.size() - n;
}

size_t lengthen(std::span<int16_t> sound, size_t size, const Period& period, size_t channels) {
  const size_t n = period.frames * channels;
  if (n == 0 || size < 2 * n || sound.size() < size + n) return size;
  std::copy_backward(sound.begin() + static_cast<std::ptrdiff_t>(n),
                     sound.begin() + static_cast<std::ptrdiff_t>(size),
                     sound.begin() + static_cast<std::ptrdiff_t>(size + n));
  // [0, n) stands; what follows it now lies at 2n. Between them: from that sound back into the first period.
  for (size_t i = 0; i < n; ++i)
    sound[n + i] = sample(blend(sound[2 * n + i], sound[i], i / channels, period.frames));
  return size + n;
}

}  // namespace tandem::playout
