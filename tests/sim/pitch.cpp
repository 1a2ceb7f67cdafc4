#include "sim/pitch.h"

#include <cmath>
#include <numbers>

namespace tandem::sim {
namespace {

// Above ringing tones and music, below the end of the band.
constexpr double lowest_hz = 1130, apart_hz = 25, near_hz = 2.5, rate = 8000, amplitude = 8000;
constexpr double halves_near_hz = 8;
constexpr size_t block_samples = 320;
constexpr int blocks_alike = 3;
constexpr uint32_t pitches = 64;

/// Between the first and the last upward crossing of zero lies a whole number of periods. 0: that is no tone
/// of ours.
double hertz_of(std::span<const int16_t> sound) {
  double first = 0, last = 0, power = 0;
  uint32_t periods = 0;
  for (size_t i = 1; i < sound.size(); ++i) {
    const double a = sound[i - 1], b = sound[i];
    power += b * b;
    if (!(a < 0 && b >= 0)) continue;
    const double at = static_cast<double>(i) - b / (b - a);
    if (periods++ == 0) first = at;
    last = at;
  }
  const double loud = std::sqrt(power / static_cast<double>(sound.size())) * std::numbers::sqrt2;
  if (periods < 3 || loud < amplitude * 0.85 || loud > amplitude * 1.15) return 0;
  return (periods - 1) * rate / (last - first);
}

}  // namespace

uint32_t pitch_of(uint32_t phone) { return phone % pitches; }

PitchedVoice::PitchedVoice(uint32_t phone)
    : step_(2 * std::numbers::pi * (lowest_hz + apart_hz * pitch_of(phone)) / rate) {}

void PitchedVoice::say(codec::G711 law, std::span<uint8_t> out) {
  for (uint8_t& code : out) {
    const auto sample = static_cast<int16_t>(amplitude * std::sin(phase_));
    code = law == codec::G711::mu_law ? codec::encode_mu_law(sample) : codec::encode_a_law(sample);
    phase_ = std::fmod(phase_ + step_, 2 * std::numbers::pi);
  }
}

/// Both halves have to agree: concealment has a pitch of its own.
std::optional<uint32_t> PitchEar::judge() const {
  const std::span<const int16_t> all(block_);
  const double hz = hertz_of(all);
  if (hz == 0 || std::abs(hertz_of(all.first(all.size() / 2)) - hz) > halves_near_hz ||
      std::abs(hertz_of(all.last(all.size() / 2)) - hz) > halves_near_hz)
    return std::nullopt;
  const double pitch = std::round((hz - lowest_hz) / apart_hz);
  if (pitch < 0 || pitch >= pitches || std::abs(lowest_hz + apart_hz * pitch - hz) > near_hz)
    return std::nullopt;
  return static_cast<uint32_t>(pitch);
}

std::optional<uint32_t> PitchEar::hear(codec::G711 law, std::span<const uint8_t> sound) {
  std::optional<uint32_t> heard;
  for (const uint8_t code : sound) {
    block_.push_back(law == codec::G711::mu_law ? codec::decode_mu_law(code) : codec::decode_a_law(code));
    if (block_.size() < block_samples) continue;
    const auto now = judge();
    alike_ = now && now == before_ ? alike_ + 1 : 1;
    if (now && alike_ >= blocks_alike) heard = now;
    before_ = now;
    block_.clear();
  }
  return heard;
}

}  // namespace tandem::sim
