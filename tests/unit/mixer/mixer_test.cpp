// Who hears whom, how loud, and what it costs.
#include "mixer/mixer.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "unit/mixer/conference.h"

namespace tandem::mixer {
namespace {

using namespace testing;

TEST(Mixer, EachHearsAllButItself) {
  Conference c;
  // Formats that keep a wave: what they do to a tone is within a decibel.
  const std::vector<playout::Format> formats = {pcmu(),     pcma(),     g722(), l16(8000),
                                                l16(16000), l16(48000), pcmu()};
  std::vector<double> tones;
  for (size_t i = 0; i < formats.size(); ++i) {
    tones.push_back(400 + 350 * static_cast<double>(i));
    c.join(formats[i]).says = tone(tones[i]);
  }
  c.run(3000);
  for (size_t i = 0; i < formats.size(); ++i)
    for (size_t k = 0; k < formats.size(); ++k) {
      if (i == k) {
        EXPECT_LT(c.phones[i]->hears(tones[k]), -50) << i << " hears itself";
      } else {
        EXPECT_NEAR(c.phones[i]->hears(tones[k]), -20, 1) << i << " hears " << k;
      }
    }
  EXPECT_EQ(c.mixer.talkers().size(), formats.size());
}

TEST(Mixer, CodersOfSpeechToo) {
  Conference c;
  std::vector<playout::Format> formats = {opus(), opus("useinbandfec=1"), pcmu()};
#ifdef TANDEM_G729
  formats.push_back(g729());
#endif
  std::vector<double> tones;
  for (size_t i = 0; i < formats.size(); ++i) {
    tones.push_back(500 + 300 * static_cast<double>(i));
    c.join(formats[i]);
  }
  for (size_t k = 0; k < formats.size(); ++k) {  // one at a time: such coders model one voice
    for (size_t i = 0; i < formats.size(); ++i) c.phones[i]->says = i == k ? tone(tones[k]) : silence();
    c.run(3000);
    for (size_t i = 0; i < formats.size(); ++i) {
      if (i == k) {
        EXPECT_LT(c.phones[i]->hears(tones[k]), -50) << i << " hears itself";
      } else {
        EXPECT_NEAR(c.phones[i]->hears(tones[k]), -20, 2) << i << " hears " << k;
      }
    }
  }
}

TEST(Mixer, TwoHundredAndOneEncode) {
  Conference c;
  for (int i = 0; i < 200; ++i) c.join(g722());
  EXPECT_EQ(c.mixer.join({{pcmu()}, pcmu()}).reason(), Refusal::full);
  EXPECT_EQ(c.mixer.counts().refused[static_cast<size_t>(Refusal::full)], 1u);
  c.phones[0]->says = tone(500);
  c.phones[1]->says = tone(900);
  for (size_t i = 2; i < 200; ++i) c.phones[i]->sends = false;
  c.run(2000);
  const MixerCounts before = c.mixer.counts();
  c.run(1000);
  const MixerCounts& after = c.mixer.counts();
  EXPECT_EQ(after.ticks - before.ticks, 50u);
  EXPECT_EQ(after.shared_encodes - before.shared_encodes, 50u);
  EXPECT_EQ(after.own_encodes - before.own_encodes, 100u);
  EXPECT_EQ(after.mixed - before.mixed, 100u);
  EXPECT_EQ(after.rendered - before.rendered, 100u);
  for (size_t i = 2; i < 200; ++i) {
    EXPECT_EQ(c.phones[i]->got.back().payload.data(), c.phones[2]->got.back().payload.data());
    EXPECT_NEAR(c.phones[i]->hears(500), -20, 1);
    EXPECT_NEAR(c.phones[i]->hears(900), -20, 1);
  }
  EXPECT_LT(c.phones[0]->hears(500), -50);
  EXPECT_NEAR(c.phones[0]->hears(900), -20, 1);

  c.phones[0]->says = c.phones[1]->says = silence();
  c.run(3000);  // they come back to the others
  const MixerCounts quiet = c.mixer.counts();
  c.run(1000);
  EXPECT_EQ(c.mixer.counts().shared_encodes - quiet.shared_encodes, 50u);
  EXPECT_EQ(c.mixer.counts().own_encodes, quiet.own_encodes);
  EXPECT_EQ(c.mixer.counts().mixed, quiet.mixed);
}

TEST(Mixer, OneEncodeAFormat) {
  Conference c;
  for (int i = 0; i < 30; ++i) c.join(i % 3 == 0 ? pcmu() : i % 3 == 1 ? opus() : opus("usedtx=1"));
  c.run(1000);
  const MixerCounts before = c.mixer.counts();
  c.run(1000);
  EXPECT_EQ(c.mixer.counts().shared_encodes - before.shared_encodes, 150u);
  EXPECT_EQ(c.mixer.counts().own_encodes, before.own_encodes);
}

TEST(Mixer, SmallNoisesDoNotAddUp) {
  MixerConfig config;
  config.noise_dbov = 127;
  Conference c(config);
  SeededRng rng(1);
  for (int i = 0; i < 100; ++i)  // each at -58 dBov: together they would be at -38
    c.join(l16(16000)).says = [&rng](int64_t) { return static_cast<double>(rng.below(140)) - 70; };
  c.run(3000);
  EXPECT_LT(dbov_of(c.phones[0]->last(1000)), -90);
  c.phones[1]->says = tone(500, -25);
  c.run(500);
  EXPECT_NEAR(c.phones[0]->hears(500, 200), -25, 0.5);
  EXPECT_EQ(c.mixer.talkers().size(), 1u);
}

TEST(Mixer, ALoudBackgroundIsLearnt) {
  Conference c;
  SeededRng rng(2);
  Phone& street = c.join(pcmu());
  street.says = [&rng](int64_t) { return static_cast<double>(rng.below(700)) - 350; };  // -44 dBov
  c.join(pcmu());
  c.run(8000);
  EXPECT_TRUE(c.mixer.talkers().empty());
}

TEST(Mixer, TheLineSoundsAlive) {
  Conference c;
  Phone& p = c.join(l16(16000));
  c.run(1000);
  EXPECT_NEAR(dbov_of(p.last(500)), -70, 1);
}

TEST(Mixer, TheLoudestAreHeard) {
  Conference c;
  Phone& listener = c.join(l16(16000));
  for (int i = 0; i < 12; ++i) c.join(l16(16000)).says = tone(300 + 200 * i, -36 + i);
  c.run(2000);
  for (int i = 0; i < 12; ++i) {
    if (i < 4) {
      EXPECT_LT(listener.hears(300 + 200 * i), -70) << i;
    } else {
      EXPECT_NEAR(listener.hears(300 + 200 * i), -36 + i, 0.5) << i;
    }
  }
  EXPECT_EQ(c.mixer.talkers().size(), 8u);
  EXPECT_EQ(c.mixer.talkers().front().member, c.phones[12]->id);
  EXPECT_GT(c.mixer.counts().left_out, 250u);
  // Nobody is pushed aside by somebody who is hardly louder.
  c.phones[4]->says = tone(300 + 200 * 3, -30);
  c.run(1000);
  EXPECT_LT(listener.hears(300 + 200 * 3, 500), -70);
  c.phones[4]->says = tone(300 + 200 * 3, -24);
  c.run(1000);
  EXPECT_NEAR(listener.hears(300 + 200 * 3, 500), -24, 0.5);
  EXPECT_LT(listener.hears(300 + 200 * 4, 500), -70);
}

TEST(Mixer, TooMuchIsBroughtDownWithoutBreaking) {
  Conference c;
  Phone& listener = c.join(l16(16000));
  std::vector<double> tones;
  for (int i = 0; i < 8; ++i) {
    tones.push_back(300 + 350 * i);
    c.join(l16(16000)).says = tone(tones.back(), 0);  // 22828 each
  }
  c.run(3000);
  double wanted = 0, all = 0;
  for (const double f : tones) wanted += std::pow(10, listener.hears(f) / 10);
  int peak = 0;
  for (const int16_t s : listener.last(1000)) {
    all += static_cast<double>(s) * s;
    peak = std::max(peak, std::abs(s));
  }
  all = 2 * all / audio_rate / (22828.0 * 22828.0);
  EXPECT_LT(10 * std::log10((all - wanted) / wanted), -30);
  EXPECT_LE(peak, 29204);
  EXPECT_GT(c.mixer.counts().limited, 100u);
  for (const double f : tones) EXPECT_NEAR(listener.hears(f), listener.hears(tones[0]), 0.5) << f;
}

TEST(Mixer, SilenceCostsNothing) {
  Conference c;
  for (int i = 0; i < 50; ++i) c.join(g722()).sends = false;
  c.phones[0]->sends = true;
  c.phones[0]->says = tone(500);
  c.run(1000);
  EXPECT_EQ(c.mixer.counts().rendered, c.mixer.counts().ticks - 2) << "the first packets wait for the delay";
  c.phones[0]->sends = false;
  c.run(1000);
  const uint64_t before = c.mixer.counts().rendered;
  c.run(1000);
  EXPECT_EQ(c.mixer.counts().rendered, before);
}

}  // namespace
}  // namespace tandem::mixer
