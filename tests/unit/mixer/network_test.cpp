// Members behind real networks, of every packet length, who change their minds about codecs.
#include <gtest/gtest.h>

#include "base/rng.h"
#include "unit/mixer/conference.h"

namespace tandem::mixer {
namespace {

using namespace testing;

TEST(Network, LossJitterAndAnotherClock) {
  for (const double ppm : {200.0, -200.0}) {
    Conference c;
    Phone& listener = c.join(l16(16000));
    const auto member = c.mixer.join({{pcmu()}, pcmu()});
    ASSERT_TRUE(member.ok());
    auto encoder = std::move(playout::Speaker::make({pcmu(), audio_rate, 20, 5})).value();
    SeededRng rng(4);
    struct Packet {
      uint16_t sequence;
      uint32_t timestamp;
      std::vector<uint8_t> payload;
    };
    std::multimap<int64_t, Packet> on_the_way;
    int64_t made = 0;
    uint16_t sequence = 65'000;
    uint32_t timestamp = 0xFFFF'0000;
    uint64_t lost = 0;
    Duration longest{};
    const Instant beginning = c.now;
    const Voice voice = tone(500);
    const auto send_until_now = [&] {
      for (;;) {
        const double at = static_cast<double>(made + int64_t{frame_samples}) / audio_rate / (1 + ppm * 1e-6);
        const Instant due = beginning + Duration(static_cast<int64_t>(at * 1e9));
        if (due > c.now) return;
        Samples sound(frame_samples);
        for (int16_t& s : sound) s = static_cast<int16_t>(voice(made++));
        const auto said = encoder.say(sound);
        const bool gone = rng.below(100) < 5;
        lost += gone;
        const auto late = static_cast<int64_t>(rng.below(30'000'000));
        if (!gone)
          on_the_way.emplace(due.ns + late,
                             Packet{sequence, timestamp, {said->payload.begin(), said->payload.end()}});
        ++sequence;
        timestamp += encoder.frame_ticks();
      }
    };
    for (int t = 0; t < 50 * 300; ++t) {  // five minutes: 60 ms of drift
      send_until_now();
      while (!on_the_way.empty() && on_the_way.begin()->first <= c.now.ns) {
        const auto& [at, p] = *on_the_way.begin();
        c.mixer.packet(Instant{at}, *member, p.sequence, p.timestamp, 0, p.payload);
        on_the_way.erase(on_the_way.begin());
      }
      c.tick();
      if (t > 500) longest = std::max(longest, c.mixer.counts(c.now, *member)->delay);
    }
    const MemberCounts counts = *c.mixer.counts(c.now, *member);
    EXPECT_LT(longest, milliseconds(80)) << ppm;
    EXPECT_LT(counts.player.concealed, lost * 160 * 3 / 2);
    EXPECT_NEAR(listener.hears(500, 5000), -20, 1.5);
  }
}

TEST(Network, EveryPacketLength) {
  struct Case {
    playout::Format format;
    uint32_t ptime, ticks;
  };
  Conference c;
  std::vector<Case> cases;
  for (const uint32_t ms : {10, 20, 30, 40, 60}) {
    cases.push_back({pcmu(), ms, ms * 8});
    cases.push_back({l16(44100), ms, ms * 441 / 10});
    if (ms != 30) cases.push_back({opus(), ms, ms * 48});
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    MemberConfig config;
    config.ptime_ms = cases[i].ptime;
    Phone& p = c.join(cases[i].format, config);
    if (i < 5) p.says = tone(500 + 250 * static_cast<double>(i));
  }
  c.run(4000);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Phone& p = *c.phones[i];
    ASSERT_GT(p.got.size(), 3800 / cases[i].ptime);
    EXPECT_TRUE(p.got.front().marker);
    for (size_t k = 1; k < p.got.size(); ++k) {
      ASSERT_EQ(p.got[k].timestamp - p.got[k - 1].timestamp, cases[i].ticks)
          << p.format.name << " " << cases[i].ptime;
      ASSERT_FALSE(p.got[k].marker);
      ASSERT_EQ(p.got[k].payload_type, p.format.payload_type);
    }
    if (p.format.name == "opus") continue;  // five tones are no voice
    for (size_t k = 0; k < 5; ++k) {
      const double level = p.hears(500 + 250 * static_cast<double>(k));
      if (k == i) {
        EXPECT_LT(level, -50);
      } else {
        EXPECT_NEAR(level, -20, 1) << p.format.name << " " << cases[i].ptime << " hears " << k;
      }
    }
  }
}

TEST(Network, NothingIsSentInASilence) {
  MixerConfig config;
  config.noise_dbov = 127;
  Conference c(config);
  Phone& p = c.join(opus("usedtx=1"));
  Phone& talker = c.join(pcmu());
  talker.says = tone(500);
  c.run(2000);
  EXPECT_NEAR(p.hears(500, 500), -20, 1.5);
  talker.says = silence();
  c.run(2000);
  const size_t before = p.got.size();
  c.run(2000);
  EXPECT_LT(p.got.size() - before, 30u);
  talker.says = tone(500);
  c.run(500);
  const auto marked = std::count_if(p.got.begin() + static_cast<std::ptrdiff_t>(before), p.got.end(),
                                    [](const Outgoing& o) { return o.marker; });
  EXPECT_GE(marked, 1);
  EXPECT_TRUE(p.got[p.got.size() - 20].timestamp < p.got.back().timestamp);
}

/// The longest stretch of next to nothing, in milliseconds.
uint32_t longest_gap(std::span<const int16_t> sound) {
  uint32_t longest = 0, now = 0;
  for (size_t at = 0; at + 16 <= sound.size(); at += 16) {
    now = dbov_of(sound.subspan(at, 16)) < -40 ? now + 1 : 0;
    longest = std::max(longest, now);
  }
  return longest;
}

TEST(Network, AnotherCodecInMidCall) {
  Conference c;
  Phone& listener = c.join(l16(16000));
  MemberConfig config;
  config.heard = {
      pcmu(), pcma(), g722(), opus(), {13, "CN", 8000, 1, ""}, {101, "telephone-event", 8000, 1, ""}};
  config.said = pcmu();
  const MemberId id = *c.mixer.join(config);
  const Voice voice = tone(500);
  int64_t made = 0;
  uint16_t sequence = 1;
  double seconds = 0;
  for (const playout::Format& f : {pcmu(), g722(), opus(), pcma(), opus(), pcmu()}) {
    auto speaker = std::move(playout::Speaker::make({f, audio_rate, 20, 5})).value();
    for (int i = 0; i < 100; ++i) {
      Samples sound(frame_samples);
      for (int16_t& s : sound) s = static_cast<int16_t>(voice(made++));
      const auto said = speaker.say(sound);
      c.mixer.packet(c.now, id, sequence++, static_cast<uint32_t>(seconds * f.clock_rate + 0.5),
                     f.payload_type, said->payload);
      seconds += 0.02;
      c.listen();
    }
    EXPECT_NEAR(listener.hears(500, 500), -20, 1) << f.name;
  }
  const size_t settled = audio_rate / 2;
  EXPECT_LE(longest_gap(std::span(listener.heard).subspan(settled)), 40u);
  EXPECT_EQ(c.mixer.counts().unknown_packets, 0u);
  const std::array<uint8_t, 4> octets{1, 2, 3, 4};
  c.mixer.packet(c.now, id, sequence, 0, 77, octets);
  c.mixer.packet(c.now, id, sequence, 0, 101, octets);
  EXPECT_EQ(c.mixer.counts().unknown_packets, 2u);
}

TEST(Network, AnotherDescriptionInMidCall) {
  Conference c;
  c.join(l16(16000)).says = tone(800);
  Phone& p = c.join(pcmu());
  p.says = tone(500);
  c.run(1000);
  EXPECT_EQ(c.mixer.reformat(p.id, {pcmu()}, playout::Format{99, "AMR", 8000, 1, ""}, 20).reason(),
            Refusal::no_codec);
  c.run(500);
  EXPECT_NEAR(p.hears(800, 300), -20, 1) << "as before";
  ASSERT_TRUE(c.mixer.reformat(p.id, {g722()}, g722(), 40).ok());
  Phone next(p.id, g722(), g722(), 40);
  next.says = tone(500);
  next.sequence = 9000;
  c.by_id[p.id.packed()] = &next;
  c.phones.pop_back();
  for (int i = 0; i < 100; ++i) {
    next.talk(c.mixer, c.now);
    c.tick();
  }
  EXPECT_NEAR(next.hears(800, 500), -20, 1);
  EXPECT_LT(next.hears(500, 500), -50);
  EXPECT_NEAR(c.phones[0]->hears(500, 500), -20, 1);
  ASSERT_TRUE(c.mixer.reformat(next.id, {}, std::nullopt, 20).ok());
  const size_t got = next.got.size();
  c.run(500);
  EXPECT_EQ(next.got.size(), got);
}

TEST(Network, AnotherPayloadTypeInMidCall) {
  Conference c;
  Phone& listener = c.join(l16(16000));
  Phone& p = c.join(opus());
  p.says = tone(500);
  c.run(1000);
  playout::Format other = opus();
  other.payload_type = 111;
  ASSERT_TRUE(c.mixer.reformat(p.id, {other}, other, 20).ok());
  p.format = other;
  const uint64_t played = c.mixer.counts(c.now, p.id)->jitter.played;
  c.run(1000);
  EXPECT_LE(longest_gap(std::span(listener.heard).subspan(audio_rate / 2)), 40u);
  EXPECT_GT(c.mixer.counts(c.now, p.id)->jitter.played, played + 45) << "earlier players count";
  EXPECT_EQ(p.got.back().payload_type, 111);
}

TEST(Network, ADescriptionWithoutEnd) {
  Mixer mixer{MixerConfig{}};
  MemberConfig config;
  for (uint8_t i = 0; i < 100; ++i) config.heard.push_back({i, "L16", 8000U + i, 1, ""});
  config.heard.push_back({100, "AMR", 8000, 1, ""});
  const MemberId id = *mixer.join(config);
  const std::array<uint8_t, 320> octets{};
  for (uint8_t i = 0; i < 101; ++i) mixer.packet(Instant{1}, id, i, 0, i, octets);
  EXPECT_EQ(mixer.counts().unknown_packets, 101 - Source::most_voices);
  EXPECT_EQ(mixer.counts(Instant{1}, id)->player.refused, Source::most_voices - 1) << "of clocks L16 has not";
}

TEST(Network, WhoNeedsNoCodec) {
  Conference c;
  EXPECT_EQ(c.mixer.join({{pcmu()}, playout::Format{99, "AMR", 8000, 1, ""}}).reason(), Refusal::no_codec);
  EXPECT_EQ(c.mixer.size(), 0u);
  Phone& p = c.join(pcmu());
  const auto only_talks = c.mixer.join({{pcmu()}, std::nullopt});
  const auto only_listens = c.mixer.join({{}, pcmu()});
  ASSERT_TRUE(only_talks.ok() && only_listens.ok());
  Phone talker(*only_talks, pcmu(), pcmu(), 20), listener(*only_listens, pcmu(), pcmu(), 20);
  c.by_id[talker.id.packed()] = &talker;
  c.by_id[listener.id.packed()] = &listener;
  talker.says = tone(500);
  for (int i = 0; i < 100; ++i) {
    talker.talk(c.mixer, c.now);
    c.tick();
  }
  EXPECT_TRUE(talker.got.empty());
  EXPECT_NEAR(listener.hears(500), -20, 1);
  EXPECT_NEAR(p.hears(500), -20, 1);
}

}  // namespace
}  // namespace tandem::mixer
