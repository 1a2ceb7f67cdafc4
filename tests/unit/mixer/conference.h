#pragma once
// For tests: a conference, phones that talk into it, and what they hear.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <numbers>
#include <vector>

#include "codec/goertzel.h"
#include "mixer/mixer.h"

namespace tandem::mixer::testing {

using Samples = std::vector<int16_t>;

inline playout::Format pcmu() { return {0, "PCMU", 8000, 1, ""}; }
inline playout::Format pcma() { return {8, "PCMA", 8000, 1, ""}; }
inline playout::Format g722() { return {9, "G722", 8000, 1, ""}; }
inline playout::Format g729() { return {18, "G729", 8000, 1, "annexb=no"}; }
inline playout::Format opus(const char* fmtp = "") { return {96, "opus", 48000, 2, fmtp}; }
inline playout::Format l16(uint32_t rate = 16000) { return {97, "L16", rate, 1, ""}; }

/// Level of a tone in 16 kHz sound, dBm0.
inline double level(std::span<const int16_t> sound, double hertz) {
  return codec::tone_level(sound, hertz / 2);  // which takes it for 8 kHz
}

/// A sample of its sound by its number, at 16 kHz.
using Voice = std::function<double(int64_t)>;
inline Voice tone(double hertz, double dbm0 = -20) {
  const double peak = 22828 * std::pow(10, dbm0 / 20);
  return [=](int64_t i) {
    return peak * std::sin(2 * std::numbers::pi * hertz * static_cast<double>(i) / audio_rate);
  };
}
inline Voice silence() {
  return [](int64_t) { return 0.0; };
}

struct Phone {
  Phone(MemberId member, const playout::Format& speaks, const playout::Format& hears, uint32_t ptime)
      : id(member),
        format(speaks),
        speaker(std::move(playout::Speaker::make({speaks, audio_rate, ptime, 5})).value()),
        decoder(std::move(codec::make_decoder({hears.name, hears.clock_rate, hears.channels, hears.fmtp},
                                              {audio_rate, 5}))
                    .value()),
        resampler(codec::Resampler::make(decoder->shape().audio_rate, audio_rate)) {}

  MemberId id;
  playout::Format format;
  playout::Speaker speaker;
  std::unique_ptr<codec::Decoder> decoder;
  std::unique_ptr<codec::Resampler> resampler;
  Voice says = silence();
  bool sends = true;
  uint16_t sequence = 100;
  uint32_t timestamp = 5000;
  int64_t made = 0;  // samples
  Samples waiting;
  Samples heard;
  std::vector<Outgoing> got;  // their payloads point nowhere by now
  std::vector<std::vector<uint8_t>> payloads;

  /// 20 ms of sound; packets when a frame is full.
  void talk(Mixer& mixer, Instant now) {
    for (size_t i = 0; i < frame_samples; ++i)
      waiting.push_back(static_cast<int16_t>(std::lround(std::clamp(says(made++), -32768.0, 32767.0))));
    const size_t each = speaker.frame_samples();
    while (waiting.size() >= each) {
      const auto said = sends ? speaker.say(std::span(waiting).first(each)) : std::nullopt;
      if (said)
        mixer.packet(now, id, sequence++, timestamp + said->later, format.payload_type, said->payload);
      timestamp += speaker.frame_ticks();
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(each));
    }
  }
  void hear(const Outgoing& o) {
    got.push_back(o);
    payloads.emplace_back(o.payload.begin(), o.payload.end());
    Samples pcm(48 * 120 * 2), out(48 * 120 * 2);
    const auto n = decoder->decode(o.payload, pcm);
    ASSERT_TRUE(n.ok());
    const size_t m = resampler->process(std::span(pcm).first(*n), out);
    heard.insert(heard.end(), out.begin(), out.begin() + static_cast<std::ptrdiff_t>(m));
  }
  /// The last so many milliseconds heard.
  std::span<const int16_t> last(uint32_t ms) const {
    const size_t n = std::min<size_t>(heard.size(), size_t{audio_rate} / 1000 * ms);
    return std::span(heard).last(n);
  }
  double hears(double hertz, uint32_t ms = 1000) const { return level(last(ms), hertz); }
};

struct Conference {
  explicit Conference(const MixerConfig& config = {}) : mixer(config) {}

  Mixer mixer;
  Instant now{1'000'000'000'000};
  std::vector<std::unique_ptr<Phone>> phones;
  std::map<uint64_t, Phone*> by_id;

  Phone& join(const playout::Format& format, MemberConfig config = {}) {
    config.heard = {format};
    config.said = format;
    const auto id = mixer.join(config);
    EXPECT_TRUE(id.ok());
    phones.push_back(std::make_unique<Phone>(id.value_or(MemberId{}), format, format, config.ptime_ms));
    by_id[phones.back()->id.packed()] = phones.back().get();
    return *phones.back();
  }
  void tick() {
    for (const auto& p : phones) p->talk(mixer, now);
    listen();
  }
  void listen() {
    for (const Outgoing& o : mixer.tick(now)) {
      const auto p = by_id.find(o.member.packed());
      if (p != by_id.end()) p->second->hear(o);
    }
    now = now + milliseconds(tick_ms);
  }
  void run(uint32_t ms) {
    for (uint32_t t = 0; t < ms; t += tick_ms) tick();
  }
};

}  // namespace tandem::mixer::testing
