#include "load/sound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/text.h"
#include "codec/codec.h"

namespace tandem::load {
namespace {

struct Kind {
  std::string_view name;
  uint32_t clock_rate;
  uint8_t channels;
  uint8_t payload_type;
  std::string_view fmtp;
};
constexpr std::array<Kind, 5> kinds = {{{"PCMU", 8000, 1, 0, ""},
                                        {"PCMA", 8000, 1, 8, ""},
                                        {"G722", 8000, 1, 9, ""},
                                        {"G729", 8000, 1, 18, "annexb=no"},
                                        {"opus", 48000, 2, 96, ""}}};
constexpr uint32_t packet_ms = 20;
constexpr size_t packets = 200;

/// Harmonics of a voice whose pitch moves, four syllables a second, a pause in each: codecs that save work or
/// bits on silence and on plain tones find neither.
std::vector<int16_t> voice(uint32_t rate, uint8_t channels) {
  const size_t count = size_t{rate} * packet_ms * packets / 1000;
  std::vector<int16_t> out;
  out.reserve(count * channels);
  double phase = 0;
  for (size_t i = 0; i < count; ++i) {
    const double t = static_cast<double>(i) / rate;
    phase += 2 * std::numbers::pi * (130 + 30 * std::sin(2 * std::numbers::pi * 0.7 * t)) / rate;
    double sample = 0;
    for (int h = 1; h <= 24; ++h) sample += std::sin(h * phase) / (1 + 0.02 * (h - 5) * (h - 5));
    const double syllable = std::max(0.0, std::sin(2 * std::numbers::pi * 2 * t));
    out.insert(out.end(), channels, static_cast<int16_t>(2500 * syllable * sample));
  }
  return out;
}

}  // namespace

std::shared_ptr<const Sound> make_sound(std::string_view codec) {
  const auto kind =
      std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return iequals(k.name, codec); });
  if (kind == kinds.end()) return nullptr;
  const auto encoder = codec::make_encoder({kind->name, kind->clock_rate, kind->channels, kind->fmtp});
  if (!encoder) return nullptr;
  const codec::Shape& shape = (*encoder)->shape();
  const std::vector<int16_t> samples = voice(shape.audio_rate, shape.channels);
  const size_t frame = codec::samples_in(shape, packet_ms);
  auto sound = std::make_shared<Sound>();
  sound->name = kind->name;
  sound->clock_rate = kind->clock_rate;
  sound->channels = kind->channels;
  sound->payload_type = kind->payload_type;
  sound->fmtp = kind->fmtp;
  sound->ticks = kind->clock_rate * packet_ms / 1000;
  for (size_t at = 0; at + frame <= samples.size(); at += frame) {
    std::vector<uint8_t> payload(codec::largest_payload);
    const auto size = (*encoder)->encode(std::span(samples).subspan(at, frame), payload);
    if (!size || size->octets == 0) continue;
    payload.resize(size->octets);
    sound->payloads.push_back(std::move(payload));
  }
  return sound;
}

}  // namespace tandem::load
