#pragma once
// How like one sound is to another that was made of it: delay, level of a tone, spectrum, wave.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <vector>

namespace tandem::media {

/// How many samples `heard` comes later than `said`, by correlation: every fourth lag by every sixteenth
/// sample, then exactly around what was found.
inline size_t lag_of(std::span<const int16_t> said, std::span<const int16_t> heard, size_t most) {
  const auto likeness = [&](size_t lag, size_t step) {
    const size_t n = std::min(said.size(), heard.size() - lag);
    const int16_t *s = said.data(), *h = heard.data() + lag;
    double sum = 0;
    for (size_t i = 0; i < n; i += step) sum += static_cast<double>(s[i]) * h[i];
    return sum;
  };
  const auto best_of = [&](size_t from, size_t to, size_t step) {
    size_t best = from;
    double sum = -1e300;
    for (size_t lag = from; lag < to && lag < heard.size(); lag += step)
      if (const double l = likeness(lag, step * step); l > sum) {
        sum = l;
        best = lag;
      }
    return best;
  };
  const size_t near = best_of(0, most, 4);
  return best_of(near < 4 ? 0 : near - 4, near + 5, 1);
}

/// The power spectra of segments of 20 ms, in bands of 100 Hz.
class Spectrum {
 public:
  Spectrum(uint32_t rate, uint32_t to_hz) : segment_(rate / 50) {
    for (uint32_t hz = 200; hz <= to_hz; hz += 100)
      for (size_t i = 0; i < segment_; ++i) {
        const double turn = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(segment_);
        const double w = 0.5 - 0.5 * std::cos(turn);
        const double phase = 2 * std::numbers::pi * hz * static_cast<double>(i) / rate;
        re_.push_back(static_cast<float>(w * std::cos(phase)));
        im_.push_back(static_cast<float>(w * std::sin(phase)));
      }
  }
  size_t segment() const { return segment_; }
  /// dB; quiet bands are all alike.
  std::vector<float> of(std::span<const int16_t> x) const {
    std::vector<float> bands(re_.size() / segment_);
    const float *re = re_.data(), *im = im_.data();
    const int16_t* sound = x.data();
    for (float& band : bands) {
      float a = 0, b = 0;
      for (size_t i = 0; i < segment_; ++i) {
        const auto v = static_cast<float>(sound[i]);
        a += re[i] * v;
        b += im[i] * v;
      }
      re += segment_;
      im += segment_;
      band = 10 * std::log10((a * a + b * b) / static_cast<float>(segment_) + 1000);
    }
    return bands;
  }

 private:
  size_t segment_;
  std::vector<float> re_, im_;
};

struct Likeness {
  size_t lag = 0;         // samples
  double distance = 100;  // log-spectral: mean over segments of the rms difference of the bands, dB
  double snr = -100;      // segmental, each segment within -10 and 45 dB
  size_t segments = 0;    // that hold speech, and were compared
};

/// Every second segment of `said` that holds speech (above -44 dBm0), after aligning: a delay of up to
/// 150 ms.
inline Likeness likeness(std::span<const int16_t> said, std::span<const int16_t> heard, uint32_t rate) {
  static const Spectrum narrow(8000, 3400), wide(16000, 7000);
  const Spectrum& spectrum = rate == 8000 ? narrow : wide;
  Likeness l;
  l.lag = lag_of(said, heard, rate * 150 / 1000);
  heard = heard.subspan(std::min(l.lag, heard.size()));
  const size_t n = spectrum.segment();
  double distance = 0, snr = 0;
  for (size_t at = 0; at + n <= std::min(said.size(), heard.size()); at += 2 * n) {
    const int16_t *s = said.data() + at, *h = heard.data() + at;
    double signal = 0, noise = 0;
    for (size_t i = 0; i < n; ++i) {
      const double e = static_cast<double>(s[i]) - h[i];
      signal += static_cast<double>(s[i]) * s[i];
      noise += e * e;
    }
    if (std::sqrt(signal / static_cast<double>(n)) < 200) continue;
    snr += std::clamp(10 * std::log10(signal / std::max(noise, 1.0)), -10.0, 45.0);
    const auto a = spectrum.of({s, n}), b = spectrum.of({h, n});
    double squares = 0;
    for (size_t i = 0; i < a.size(); ++i) squares += static_cast<double>(a[i] - b[i]) * (a[i] - b[i]);
    distance += std::sqrt(squares / static_cast<double>(a.size()));
    ++l.segments;
  }
  if (l.segments == 0) return l;
  l.distance = distance / static_cast<double>(l.segments);
  l.snr = snr / static_cast<double>(l.segments);
  return l;
}

}  // namespace tandem::media
