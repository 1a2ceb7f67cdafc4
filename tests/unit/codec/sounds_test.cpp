// Resampling, telephone events, comfort noise, DTMF in the sound, tones of countries.
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "codec/comfort_noise.h"
#include "codec/country_tones.h"
#include "codec/dtmf.h"
#include "codec/goertzel.h"
#include "codec/resampler.h"
#include "codec/telephone_event.h"
#include "rtp/packet.h"
#include "speech.h"

namespace tandem::codec {
namespace {
using namespace testing;

TEST(Resample, EveryPairKeepsTimeAndSoundAndItsDelay) {
  for (const uint32_t from : {8000, 16000, 24000, 32000, 48000})
    for (const uint32_t to : {8000, 16000, 24000, 32000, 48000}) {
      const auto there = Resampler::make(from, to);
      const auto back = Resampler::make(to, from);
      // A sweep from 300 to 3000 Hz: alike to itself at one delay only.
      Samples tone(from * 5 / 2);
      for (size_t i = 0; i < tone.size(); ++i) {
        const double t = static_cast<double>(i) / from;
        tone[i] = static_cast<int16_t>(8000 * std::sin(2 * M_PI * (300 + 540 * t) * t));
      }
      Samples heard;
      for (size_t at = 0; at < tone.size(); at += from / 100) {
        Samples out(there->room_for(from / 100));
        const size_t n = there->process(std::span(tone).subspan(at, from / 100), out);
        ASSERT_EQ(n, to / 100);
        Samples again(back->room_for(n));
        ASSERT_EQ(back->process(std::span(out).first(n), again), from / 100);
        heard.insert(heard.end(), again.begin(), again.begin() + from / 100);
      }
      const double delay = (there->delay_us() + back->delay_us()) * 1e-6 * from;
      EXPECT_LE(there->delay_us(), 3100U);
      EXPECT_NEAR(static_cast<double>(delay_of(tone, heard, from / 100)), delay, from / 1000.0 * 0.1 + 1.01);
      EXPECT_GT(segmental_snr(tone, heard, from), from == to ? 44 : 12) << from << " " << to;
    }
}

TEST(Resample, RefusesWhatItCannot) {
  EXPECT_EQ(Resampler::make(7999, 8000), nullptr);
  EXPECT_EQ(Resampler::make(8000, 96000), nullptr);
  EXPECT_EQ(Resampler::make(8000, 16000, 3), nullptr);
  const auto r = Resampler::make(8000, 16000, 2);
  Samples in(160), out(160);
  EXPECT_EQ(r->process(in, out), 0U) << "no room";
  EXPECT_EQ(r->process(std::span(in).first(3), out), 0U) << "half a sample";
}

TEST(Channels, MonoAndStereo) {
  const Samples stereo = {100, 200, -32768, -32768, 32767, 32767};
  Samples mono(3), twice(6);
  to_mono(stereo, mono);
  EXPECT_EQ(mono, (Samples{150, -32768, 32767}));
  to_stereo(mono, twice);
  EXPECT_EQ(twice, (Samples{150, 150, -32768, -32768, 32767, 32767}));
}

std::vector<EventPacket> sent(EventSender& s) {
  std::vector<EventPacket> all;
  while (const auto p = s.next()) all.push_back(*p);
  return all;
}

TEST(TelephoneEvent, EndsThriceAndHasOneMarker) {
  for (const uint32_t clock : {8000, 48000}) {
    EventSender s(clock, 20);
    ASSERT_TRUE(s.start(5, 10, 70, 1000));
    EXPECT_FALSE(s.start(6, 10, 70, 1000)) << "one at a time";
    const auto all = sent(s);
    ASSERT_EQ(all.size(), 6U);  // 20, 40, 60, and 70 three times
    for (size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].marker, i == 0);
      EXPECT_EQ(all[i].end, i >= 3);
      EXPECT_EQ(all[i].timestamp, 1000U);
      EXPECT_EQ(all[i].duration, clock / 1000 * std::min<size_t>(20 * (i + 1), 70));
    }
    EXPECT_FALSE(s.active());
    EXPECT_FALSE(s.start(5, 10, 0, 0));
  }
}

TEST(TelephoneEvent, StopsWhenTheKeyIsReleased) {
  EventSender s(8000, 20);
  ASSERT_TRUE(s.start(11, 10, 10000, 0));
  s.next();
  s.next();
  s.stop();
  const auto rest = sent(s);
  ASSERT_EQ(rest.size(), 3U);
  EXPECT_EQ(rest[0].duration, 320);
  EXPECT_TRUE(rest[0].end);
}

TEST(TelephoneEvent, ALongOneIsHeardAsOne) {
  EventSender s(48000, 20);
  ASSERT_TRUE(s.start(1, 10, 5000, 0xFFFFFF00));
  EventReceiver r;
  std::optional<HeardEvent> ended;
  int started = 0;
  for (const EventPacket& p : sent(s)) {
    const EventNews news = r.on_packet(p);
    started += news.started ? 1 : 0;
    EXPECT_FALSE(ended && news.ended);
    if (news.ended) ended = news.ended;
  }
  EXPECT_EQ(started, 1);
  EXPECT_EQ(ended, (HeardEvent{1, 10, 240000}));
}

TEST(TelephoneEvent, OnTheWireAndBack) {
  EventSender s(8000, 20);
  ASSERT_TRUE(s.start(15, 63, 40, 7));
  const EventPacket p = *s.next();
  uint8_t wire[4];
  rtp::TelephoneEvent{p.event, p.end, p.volume, p.duration}.write(wire);
  const auto read = rtp::TelephoneEvent::parse(wire);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->digit(), 'D');
  EXPECT_EQ(read->duration, 160);
  EXPECT_EQ(read->volume, 63);
}

TEST(TelephoneEvent, LossReorderingAndRepetitionChangeNothing) {
  EventSender s(8000, 20);
  s.start(3, 10, 100, 5000);
  const auto first = sent(s);
  s.start(3, 10, 100, 9000);
  const auto second = sent(s);
  SeededRng rng(3);
  for (int round = 0; round < 200; ++round) {
    EventReceiver r;
    int begun = 0, over = 0;
    const auto hear = [&](const EventPacket& p) {
      const EventNews n = r.on_packet(p);
      begun += (n.started ? 1 : 0) + (n.passed ? 1 : 0);
      over += (n.ended ? 1 : 0) + (n.passed ? 1 : 0);
    };
    for (const auto* press : {&first, &second}) {
      const size_t kept = rng.below(press->size());
      for (size_t i = 0; i < press->size(); ++i)
        if (i == kept || rng.below(2) == 0) {
          hear((*press)[i]);
          if (rng.below(3) == 0) hear((*press)[i]);
          if (i > 0 && rng.below(3) == 0 && press == &second) hear(first[i]);
        }
    }
    if (r.on_silence(9000 + 800 + 4000, 4000)) ++over;
    EXPECT_EQ(begun, 2);
    EXPECT_EQ(over, 2);
  }
}

TEST(ComfortNoise, KeepsLevelAndSpectrum) {
  SeededRng rng(1);
  Samples hiss(16000), heard(16000);
  double low = 0;
  for (int16_t& s : hiss) {
    low = 0.8 * low + static_cast<double>(rng.below(2001)) - 1000;  // more below than above
    s = static_cast<int16_t>(low / 4);
  }
  std::array<uint8_t, noise_octets> payload{};
  ASSERT_EQ(describe_noise(hiss, payload), noise_octets);
  NoiseGenerator g(5);
  ASSERT_TRUE(g.set(payload));
  g.render(heard);
  std::array<uint8_t, noise_octets> again{};
  describe_noise(std::span(heard).subspan(800), again);
  EXPECT_NEAR(again[0], payload[0], 1);
  for (size_t i = 1; i < noise_octets; ++i) EXPECT_NEAR(again[i], payload[i], 8) << i;
  EXPECT_LT(payload[1], 127 - 60) << "neighbours alike: the first coefficient is far from 0";
}

TEST(ComfortNoise, LevelAloneIsWhiteAndAnyPayloadIsStable) {
  NoiseGenerator g;
  Samples heard(8000);
  g.render(heard);
  EXPECT_EQ(heard, Samples(8000)) << "silence before the first";
  EXPECT_FALSE(g.set({}));
  const uint8_t level = 40;
  ASSERT_TRUE(g.set({&level, 1}));
  g.render(heard);
  std::array<uint8_t, noise_octets> payload{};
  describe_noise(std::span(heard).subspan(800), payload);
  EXPECT_NEAR(payload[0], 40, 1);
  for (size_t i = 1; i < noise_octets; ++i) EXPECT_NEAR(payload[i], 127, 8);
  describe_noise(Samples(160), payload);
  EXPECT_EQ(payload[0], 127);
  EXPECT_EQ(payload[1], 127);
  SeededRng rng(2);
  for (int round = 0; round < 100; ++round) {
    Octets any(1 + rng.below(20));
    rng.fill(any);
    any[0] = 30;
    NoiseGenerator wild;
    ASSERT_TRUE(wild.set(any));
    wild.render(heard);
    const auto rest = std::span(heard).subspan(4000);
    double energy = 0;
    for (const int16_t s : rest) energy += static_cast<double>(s) * s;
    EXPECT_LT(std::sqrt(energy / 4000), 32768 * std::pow(10, -30 / 20.0) * 3);
  }
}

std::string digits_in(std::span<const int16_t> sound) {
  DtmfDetector d;
  std::string digits;
  for (size_t at = 0; at < sound.size(); at += 160)
    for (const DtmfChange& c : d.process(sound.subspan(at, std::min<size_t>(160, sound.size() - at))))
      if (c.on) digits += c.digit;
  return digits;
}

Samples two_tones(double low, double high, double low_dbm0, double high_dbm0, size_t ms) {
  Samples s(8000);
  for (size_t i = 0; i < ms * 8; ++i) {
    const double t = static_cast<double>(i + 1) / 8000 * 2 * M_PI;
    s[1600 + i] = static_cast<int16_t>(22828 * (std::pow(10, low_dbm0 / 20) * std::sin(low * t) +
                                                std::pow(10, high_dbm0 / 20) * std::sin(high * t)));
  }
  return s;
}

TEST(DtmfInBand, EveryDigitOnceWithItsTimes) {
  const std::string all = "123A456B789C*0#D1122";
  Samples sound;
  for (const char c : all) {
    ToneGenerator g(*dtmf_tones(c, 60, 50));
    Samples one(110 * 8);
    g.render(one);
    sound.insert(sound.end(), one.begin(), one.end());
  }
  EXPECT_EQ(digits_in(sound), all);
  EXPECT_FALSE(dtmf_tones('E'));
  DtmfDetector d;
  std::vector<DtmfChange> changes;
  for (size_t at = 0; at + 80 <= 1760; at += 80)
    for (const DtmfChange& c : d.process(std::span(sound).subspan(at, 80))) changes.push_back(c);
  ASSERT_GE(changes.size(), 2U);
  EXPECT_TRUE(changes[0].on);
  EXPECT_NEAR(changes[0].at_ms, 30, 15);
  EXPECT_FALSE(changes[1].on);
  EXPECT_NEAR(changes[1].at_ms, 60 + 20, 25);
}

TEST(DtmfInBand, TwistLevelDurationAndFrequencyHaveLimits) {
  EXPECT_EQ(digits_in(two_tones(770, 1336, -10, -10, 60)), "5");
  EXPECT_EQ(digits_in(two_tones(770, 1336, -8, -14, 60)), "5") << "6 dB";
  EXPECT_EQ(digits_in(two_tones(770, 1336, -6, -18, 60)), "") << "12 dB";
  EXPECT_EQ(digits_in(two_tones(770, 1336, -12, -9, 60)), "5") << "reverse 3 dB";
  EXPECT_EQ(digits_in(two_tones(770, 1336, -16, -8, 60)), "") << "reverse 8 dB";
  EXPECT_EQ(digits_in(two_tones(770, 1336, -45, -45, 60)), "") << "too faint";
  EXPECT_EQ(digits_in(two_tones(770, 1336, -10, -10, 18)), "") << "too short";
  EXPECT_EQ(digits_in(two_tones(770 * 1.012, 1336 * 0.988, -10, -10, 60)), "5") << "1.2 % off";
  EXPECT_EQ(digits_in(two_tones(770 * 1.05, 1336, -10, -10, 60)), "") << "5 % off";
}

TEST(DtmfInBand, SpeechIsNoDigit) { EXPECT_EQ(digits_in(speech(8000)), ""); }

TEST(CountryTones, SoundAsTheirNetworksDo) {
  for (const char* c : {"AU", "CA", "CN", "DE", "ES", "FR", "GB", "IT", "JP", "KR", "US"}) {
    const auto t = country_tones(c);
    ASSERT_TRUE(t) << c;
    for (const ToneSequence& s : {t->dial, t->ringback, t->busy, t->congestion}) {
      EXPECT_FALSE(s.steps.empty()) << c;
      EXPECT_NE(s.steps[0].frequency1, 0) << c;
      EXPECT_EQ(s.repeats, 0U);
    }
    EXPECT_NE(t->ringback, t->busy);
  }
  EXPECT_FALSE(country_tones("XX"));
  ToneGenerator us(country_tones("us")->ringback);
  Samples on(16000), off(32000);
  us.render(on);
  us.render(off);
  EXPECT_NEAR(tone_level(on, 440), -19, 0.3);
  EXPECT_NEAR(tone_level(on, 480), -19, 0.3);
  EXPECT_EQ(off, Samples(32000));
  ToneGenerator gb(country_tones("GB")->congestion);
  Samples cadence(1500 * 8);
  gb.render(cadence);
  EXPECT_GT(tone_level(std::span(cadence).subspan(750 * 8, 225 * 8), 400), -11);
  EXPECT_LT(tone_level(std::span(cadence).subspan(400 * 8, 350 * 8), 400), -90);
}

}  // namespace
}  // namespace tandem::codec
