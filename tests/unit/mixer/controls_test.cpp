// What the chair can do, what is played, and what a successor takes over.
#include <gtest/gtest.h>

#include "unit/mixer/conference.h"

namespace tandem::mixer {
namespace {

using namespace testing;

constexpr double nothing = -50;

class Four : public ::testing::Test {
 protected:
  Conference c;
  Four() {
    for (int i = 0; i < 4; ++i) c.join(l16(16000)).says = tone(hertz(i));
    c.run(1000);
  }
  static double hertz(int i) { return 500 + 300 * i; }
  MemberId id(int i) const { return c.phones[static_cast<size_t>(i)]->id; }
  bool hears(int listener, int talker) const {
    const double level = c.phones[static_cast<size_t>(listener)]->hears(hertz(talker), 200);
    EXPECT_TRUE(level < nothing || level > -30) << level;
    return level > nothing;
  }
  /// Whom each hears: "123 023 013 012".
  std::string who() const {
    std::string text;
    for (int i = 0; i < 4; ++i) {
      if (i > 0) text += ' ';
      for (int k = 0; k < 4; ++k)
        if (hears(i, k)) text += static_cast<char>('0' + k);
    }
    return text;
  }
};

TEST_F(Four, Mute) {
  EXPECT_EQ(who(), "123 023 013 012");
  EXPECT_TRUE(c.mixer.mute(id(1), true).ok());
  c.run(500);
  EXPECT_EQ(who(), "23 023 03 02");
  EXPECT_EQ(c.mixer.talkers().size(), 3u);
  const RosterEntry e = c.mixer.roster()[1];
  EXPECT_TRUE(e.talks && e.muted) << "so that somebody can tell it";
  EXPECT_FALSE(e.mixed);
  EXPECT_NEAR(e.level, 26, 1);  // -20 dBm0 is 23 dB below a full sine, and that is at -3 dBov
  EXPECT_TRUE(c.mixer.mute(id(1), false).ok());
  c.run(500);
  EXPECT_EQ(who(), "123 023 013 012");
}

TEST_F(Four, Deafen) {
  EXPECT_TRUE(c.mixer.deafen(id(2), true).ok());
  c.run(500);
  EXPECT_EQ(who(), "123 023  012");
  EXPECT_TRUE(c.mixer.deafen(id(2), false).ok());
  c.run(500);
  EXPECT_EQ(who(), "123 023 013 012");
}

TEST_F(Four, Gain) {
  EXPECT_TRUE(c.mixer.set_gain(id(0), 2).ok());
  c.run(500);
  EXPECT_NEAR(c.phones[1]->hears(hertz(0), 200), -14, 0.3);
  EXPECT_TRUE(c.mixer.set_gain(id(0), 0).ok());
  c.run(500);
  EXPECT_EQ(who(), "123 23 13 12");
  c.phones[2]->says = silence();
  c.run(200);
  EXPECT_TRUE(c.mixer.set_gain(id(2), 0).ok());
  c.run(1000);
  EXPECT_FALSE(c.mixer.roster()[2].mixed) << "who was just being faded out";
  EXPECT_TRUE(c.mixer.set_gain(id(0), 1000).ok());
  EXPECT_EQ(c.mixer.member(id(0))->gain, 4);
  EXPECT_TRUE(c.mixer.set_gain(id(0), std::nanf("")).ok());
  EXPECT_EQ(c.mixer.member(id(0))->gain, 1);
}

TEST_F(Four, Lecture) {
  EXPECT_TRUE(c.mixer.set_lecturer(id(0), true).ok());
  EXPECT_TRUE(c.mixer.set_lecturer(id(1), true).ok());
  c.mixer.set_lecture({true, true});
  c.run(500);
  EXPECT_EQ(who(), "123 023 01 01") << "lecturers hear the audience";
  c.mixer.set_lecture({true, false});
  c.run(500);
  EXPECT_EQ(who(), "1 0 01 01") << "and here they do not";
  EXPECT_TRUE(c.mixer.give_floor(id(3), true).ok());
  c.run(500);
  EXPECT_EQ(who(), "13 03 013 01") << "a question";
  c.mixer.set_lecture({true, true});
  c.run(500);
  EXPECT_EQ(who(), "123 023 013 01") << "is heard by all; who asks hears what the audience hears";
  EXPECT_TRUE(c.mixer.give_floor(id(3), false).ok());
  c.mixer.set_lecture({});
  c.run(500);
  EXPECT_EQ(who(), "123 023 013 012");
  EXPECT_EQ(c.mixer.counts().abrupt, 0u);
}

TEST_F(Four, ChangesAreFades) {
  // Each of the four hears tones only, so nothing bends more sharply than all of them together.
  for (const auto& p : c.phones) p->heard.clear();
  const auto tell = [&](int round) {
    (void)c.mixer.mute(id(0), round % 2 == 0);
    (void)c.mixer.deafen(id(1), round % 3 == 0);
    (void)c.mixer.set_gain(id(2), round % 2 == 0 ? 0.3F : 1.5F);
    (void)c.mixer.set_lecturer(id(3), true);
    c.mixer.set_lecture({round % 4 < 2, round % 4 == 1});
  };
  for (int round = 0; round < 24; ++round) {
    tell(round);
    c.run(140);
  }
  double bend = 0;
  for (int i = 0; i < 4; ++i) {
    const double w = 2 * std::numbers::pi * hertz(i) / audio_rate;
    bend += 1.5 * 2283 * w * w;
  }
  for (const auto& p : c.phones) {
    int most = 0;
    for (size_t i = 2; i < p->heard.size(); ++i)
      most = std::max(most, std::abs(p->heard[i] - 2 * p->heard[i - 1] + p->heard[i - 2]));
    EXPECT_LT(most, bend);
  }
}

TEST_F(Four, NobodyOfThatId) {
  const MemberId gone = id(3);
  EXPECT_TRUE(c.mixer.leave(gone).ok());
  EXPECT_EQ(c.mixer.leave(gone).reason(), Refusal::no_member);
  EXPECT_EQ(c.mixer.mute(gone, true).reason(), Refusal::no_member);
  EXPECT_EQ(c.mixer.reformat(gone, {}, std::nullopt, 20).reason(), Refusal::no_member);
  EXPECT_FALSE(c.mixer.member(gone));
  EXPECT_FALSE(c.mixer.counts(c.now, gone));
  c.run(20);
  EXPECT_EQ(c.mixer.counts().unknown_packets, 1u);
  EXPECT_EQ(c.mixer.size(), 3u);
}

TEST_F(Four, WhoIsToBeSeen) {
  c.phones[2]->says = tone(hertz(2), -10);
  c.run(1500);
  EXPECT_EQ(c.mixer.dominant(), id(2));
  EXPECT_EQ(c.mixer.talkers().front().member, id(2));
  EXPECT_NEAR(c.mixer.talkers().front().level, 16, 1);
  c.phones[2]->says = tone(hertz(2), -20);
  c.phones[0]->says = tone(hertz(0), -10);
  c.run(300);
  EXPECT_EQ(c.mixer.dominant(), id(2)) << "not yet";
  c.run(1500);
  EXPECT_EQ(c.mixer.dominant(), id(0));
  (void)c.mixer.set_lecturer(id(3), true);
  c.mixer.set_lecture({true, true});
  c.run(1500);
  EXPECT_EQ(c.mixer.dominant(), id(3)) << "not of the audience";
  EXPECT_EQ(c.mixer.talkers().front().member, id(0)) << "whom the lecturers hear";
  EXPECT_TRUE(c.mixer.leave(id(3)).ok());
  c.run(20);
  EXPECT_NE(c.mixer.dominant(), id(3));
}

std::shared_ptr<const Sound> sound_of(double hertz, uint32_t rate, double seconds, double dbm0 = -20) {
  auto s = std::make_shared<Sound>();
  s->rate = rate;
  for (int i = 0; i < rate * seconds; ++i)
    s->samples.push_back(static_cast<int16_t>(22828 * std::pow(10, dbm0 / 20) *
                                              std::sin(2 * std::numbers::pi * hertz * i / rate)));
  return s;
}

class Played : public ::testing::Test {
 protected:
  Conference c;
  std::vector<SoundId> finished;
  Played() {
    for (int i = 0; i < 3; ++i) c.join(i == 2 ? g722() : l16(16000));
    c.run(500);
  }
  void run(uint32_t ms) {
    for (uint32_t t = 0; t < ms; t += tick_ms) {
      c.tick();
      finished.insert(finished.end(), c.mixer.finished().begin(), c.mixer.finished().end());
    }
  }
};

TEST_F(Played, ToAll) {
  for (const uint32_t rate : {8000, 11025, 16000, 44100, 48000}) {
    finished.clear();
    const auto id = c.mixer.play(sound_of(700, rate, 1.5));
    ASSERT_TRUE(id.ok());
    run(1000);
    EXPECT_TRUE(finished.empty());
    for (const auto& p : c.phones) EXPECT_NEAR(p->hears(700, 500), -20, 0.5) << rate;
    EXPECT_NEAR(level(c.mixer.mix(), 700), -20, 1);
    run(540);
    EXPECT_EQ(finished, std::vector{*id}) << rate;
    run(500);
    for (const auto& p : c.phones) EXPECT_LT(p->hears(700, 300), -60) << rate;
  }
}

TEST_F(Played, ToOneAloneWhoMayBeDeaf) {
  c.phones[1]->says = tone(1200);
  c.run(500);
  for (const bool deaf : {false, true}) {
    (void)c.mixer.deafen(c.phones[0]->id, deaf);
    const auto id = c.mixer.play(sound_of(700, 8000, 1), c.phones[0]->id, 2);
    ASSERT_TRUE(id.ok());
    run(900);
    EXPECT_NEAR(c.phones[0]->hears(700, 500), -14, 0.5);
    EXPECT_LT(c.phones[1]->hears(700, 500), -60);
    EXPECT_LT(c.phones[2]->hears(700, 500), -60);
    if (deaf) {
      EXPECT_LT(c.phones[0]->hears(1200, 500), -60);
    } else {
      EXPECT_NEAR(c.phones[0]->hears(1200, 500), -20, 0.5);
    }
    EXPECT_NEAR(c.phones[2]->hears(1200, 500), -20, 0.5);
    EXPECT_LT(level(c.mixer.mix(), 700), -40);
    run(200);
  }
  EXPECT_EQ(finished.size(), 2u);
}

TEST_F(Played, RepeatsAndStops) {
  const auto id = c.mixer.play(sound_of(700, 16000, 0.1), std::nullopt, 1, 1000);
  ASSERT_TRUE(id.ok());
  run(2000);
  EXPECT_NEAR(c.phones[0]->hears(700, 500), -20, 0.5);
  EXPECT_TRUE(c.mixer.stop(*id));
  EXPECT_FALSE(c.mixer.stop(*id)) << "twice";
  run(20);
  EXPECT_EQ(finished, std::vector{*id});
  run(500);
  EXPECT_LT(c.phones[0]->hears(700, 300), -60);
}

TEST_F(Played, Limits) {
  const auto s = sound_of(700, 16000, 0.5);
  const MemberId one = c.phones[0]->id;
  EXPECT_EQ(c.mixer.play(nullptr).reason(), Refusal::bad_sound);
  EXPECT_EQ(c.mixer.play(std::make_shared<Sound>()).reason(), Refusal::bad_sound);
  EXPECT_EQ(c.mixer.play(sound_of(700, 4000, 0.5)).reason(), Refusal::bad_sound);
  EXPECT_EQ(c.mixer.play(s, MemberId{77, 1}).reason(), Refusal::no_member);
  ASSERT_TRUE(c.mixer.play(s, one).ok());
  EXPECT_EQ(c.mixer.play(s, one).reason(), Refusal::too_many_sounds);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(c.mixer.play(s).ok());
  EXPECT_EQ(c.mixer.play(s).reason(), Refusal::too_many_sounds);
  EXPECT_EQ(c.mixer.counts().refused[static_cast<size_t>(Refusal::too_many_sounds)], 2u);
  EXPECT_EQ(c.mixer.counts().refused[static_cast<size_t>(Refusal::bad_sound)], 3u);
  EXPECT_TRUE(c.mixer.leave(one).ok());
  run(20);
  EXPECT_EQ(finished.size(), 1u) << "nobody is there to hear it";
  run(600);
  EXPECT_EQ(finished.size(), 5u);
}

TEST(Mixer, EntryAndExit) {
  MixerConfig config;
  config.entry = sound_of(1000, 8000, 0.3);
  config.exit = sound_of(1600, 8000, 0.3);
  Conference c(config);
  Phone& host = c.join(l16(16000));
  c.run(1000);
  host.heard.clear();
  Phone& guest = c.join(pcmu());
  c.run(300);
  EXPECT_NEAR(host.hears(1000, 200), -20, 1);
  c.run(300);
  EXPECT_LT(host.hears(1000, 200), -60);
  EXPECT_TRUE(c.mixer.leave(guest.id).ok());
  c.phones.pop_back();
  c.run(300);
  EXPECT_NEAR(host.hears(1600, 200), -20, 1);
  EXPECT_TRUE(c.mixer.finished().empty());
}

TEST_F(Four, ASuccessorGoesOn) {
  (void)c.mixer.mute(id(1), true);
  (void)c.mixer.set_gain(id(2), 0.5F);
  (void)c.mixer.set_lecturer(id(0), true);
  c.mixer.set_lecture({true, false});
  (void)c.mixer.give_floor(id(2), true);
  c.run(1000);
  const uint32_t timestamp = c.phones[3]->got.back().timestamp;
  const MixerState state = c.mixer.snapshot();

  Conference next;
  next.now = c.now;
  const auto ids = next.mixer.restore(state);
  ASSERT_TRUE(ids.ok());
  ASSERT_EQ(ids->size(), 4u);
  EXPECT_GT(state.members[0].learnt, Duration::zero());
  EXPECT_EQ(next.mixer.snapshot().members[0].learnt, state.members[0].learnt);
  next.phones = std::move(c.phones);
  for (size_t i = 0; i < 4; ++i) {
    next.phones[i]->id = (*ids)[i];
    next.by_id[(*ids)[i].packed()] = next.phones[i].get();
  }
  next.tick();
  EXPECT_EQ(next.phones[3]->got.back().timestamp, timestamp + 320);
  next.run(500);
  c.phones = std::move(next.phones);
  EXPECT_EQ(who(), "2 02 0 02");
  EXPECT_NEAR(c.phones[3]->hears(hertz(2), 200), -26, 0.5);
  EXPECT_EQ(next.mixer.lecture(), (Lecture{true, false}));

  MixerConfig small;
  small.members = 3;
  Mixer full(small);
  EXPECT_EQ(full.restore(state).reason(), Refusal::full);
  EXPECT_EQ(full.size(), 0u) << "all or nothing";
}

}  // namespace
}  // namespace tandem::mixer
