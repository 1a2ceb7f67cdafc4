// What a leg hears from us alone, in whatever codec it speaks.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "codec/goertzel.h"
#include "media/network_tones.h"
#include "playout/player.h"
#include "unit/media/world.h"

namespace tandem::media {
namespace {

constexpr uint32_t rate = 8000;

port::SoundPtr sine(double hertz, Duration length) {
  auto sound = std::make_shared<port::Sound>();
  sound->samples.resize(static_cast<size_t>(length.count() / 1'000'000) * port::sound_rate / 1000);
  for (size_t i = 0; i < sound->samples.size(); ++i)
    sound->samples[i] = static_cast<int16_t>(
        8000 * std::sin(2 * std::numbers::pi * hertz * static_cast<double>(i) / port::sound_rate));
  return sound;
}

/// What a phone makes of the packets it got, one render() a packet.
std::vector<int16_t> heard(const std::vector<Sent>& sent, const playout::Format& format, Instant from) {
  playout::PlayerConfig config;
  config.formats = {format};
  config.audio_rate = rate;
  playout::Player ear(config);
  std::vector<int16_t> all;
  Instant at = from;
  for (const Sent& s : sent) {
    if (rtp::kind_of(s.bytes) != rtp::Kind::rtp || s.payload_type() != format.payload_type) continue;
    ear.packet(at, s.sequence(), s.timestamp(), s.payload_type(), Bytes(s.bytes).subspan(12));
    std::array<int16_t, 160> out;
    ear.render(at, out);
    all.insert(all.end(), out.begin(), out.end());
    at = at + milliseconds(20);
  }
  return all;
}

double level(const std::vector<int16_t>& sound, size_t from_ms, size_t to_ms, double hertz) {
  return codec::tone_level(std::span(sound).subspan(from_ms * 8, (to_ms - from_ms) * 8), hertz);
}

struct Codec {
  const char* name;
  const char* formats;
  const char* attributes;
  playout::Format format;
};
const Codec codecs[] = {
    {"PCMA", "8", "", {8, "PCMA", 8000, 1, ""}},
    {"G722", "9", "", {9, "G722", 8000, 1, ""}},
    {"G729", "18", "", {18, "G729", 8000, 1, ""}},
    {"opus", "96", "a=rtpmap:96 opus/48000/2\r\n", {96, "opus", 48000, 2, ""}},
    {"L16", "97", "a=rtpmap:97 L16/16000\r\n", {97, "L16", 16000, 1, ""}},
};

/// A leg alone with us.
EndpointId alone(World& w, const Codec& c, EndpointConfig config = {}, const std::string& more = "") {
  const EndpointId a = w.engine->open(config).value();
  (void)w.engine
      ->set_remote(w.now, a, parsed(phone_sdp("10.0.0.1:4000", c.formats, c.attributes + more)),
                   SdpRole::offer)
      .ok();
  (void)w.engine->answer(w.now, a).value();
  return a;
}

TEST(OwnVoice, ATonesLevelIsTheSameInEveryCodec) {
  for (const Codec& c : codecs) {
    World w;
    const EndpointId a = alone(w, c);
    const Instant from = w.now.mono;
    ASSERT_TRUE(w.engine->play(w.now, a, codec::ToneSequence::steady(1000, -12))) << c.name;
    w.pass(seconds(2));
    const auto sound = heard(w.sent, c.format, from);
    ASSERT_GT(sound.size(), 12000u) << c.name;
    EXPECT_NEAR(level(sound, 500, 1400, 1000), -12, 1) << c.name;
    EXPECT_LT(level(sound, 500, 1400, 1500), -40) << c.name;
  }
}

TEST(OwnVoice, AProgrammeIsItsSoundsOneAfterTheOther) {
  for (const Codec& c : codecs) {
    World w;
    const EndpointId a = alone(w, c);
    const Instant from = w.now.mono;
    Programme programme;
    programme.cues = {{"en", "one", {}, sine(700, milliseconds(500))},
                      {"en", "two", {}, sine(1300, milliseconds(500))}};
    ASSERT_TRUE(w.engine->play(w.now, a, programme));
    w.pass(milliseconds(2000));
    EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u) << c.name;
    const auto sound = heard(w.sent, c.format, from);
    EXPECT_NEAR(static_cast<double>(sound.size()), 8000, 161) << c.name;
    EXPECT_GT(level(sound, 150, 450, 700), -16) << c.name;
    EXPECT_LT(level(sound, 150, 450, 1300), -40) << c.name;
    EXPECT_GT(level(sound, 650, 950, 1300), -16) << c.name;
    EXPECT_LT(level(sound, 650, 950, 700), -40) << c.name;
  }
}

TEST(OwnVoice, RoundsAreCounted) {
  World w;
  const EndpointId a = alone(w, codecs[0]);
  Programme programme{{{"en", "x", {}, sine(700, milliseconds(100))}}, 3};
  ASSERT_TRUE(w.engine->play(w.now, a, programme));
  w.pass(seconds(1));
  EXPECT_EQ(w.take_sent().size(), 15u);
  programme.rounds = 0;  // music
  ASSERT_TRUE(w.engine->play(w.now, a, programme));
  w.pass(seconds(10));
  EXPECT_GE(w.take_sent().size(), 500u);
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
}

TEST(OwnVoice, AFileThatIsNotReadYetIsSilenceUntilItComes) {
  World w;
  const EndpointId a = alone(w, codecs[0]);
  const port::SoundFile file{port::SoundPlace::sounds, "hold.wav"};
  ASSERT_TRUE(w.engine->play(w.now, a, Programme{{{"", "", file, nullptr}}, 1}));
  ASSERT_EQ(w.engine->wanted(a), std::vector{file});
  w.pass(milliseconds(500));
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 0u);
  const Instant from = w.now.mono;
  w.take_sent();
  w.engine->supply(a, file, sine(900, milliseconds(400)));
  EXPECT_TRUE(w.engine->wanted(a).empty());
  w.pass(milliseconds(390));
  EXPECT_GT(level(heard(w.sent, codecs[0].format, from), 100, 380, 900), -16);
  w.pass(milliseconds(100));
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
}

TEST(OwnVoice, AFileThatIsNotThereIsPassedOver) {
  World w;
  const EndpointId a = alone(w, codecs[0]);
  const port::SoundFile file{port::SoundPlace::sounds, "nothing.wav"};
  ASSERT_TRUE(w.engine->play(
      w.now, a, Programme{{{"", "", file, nullptr}, {"en", "x", {}, sine(900, milliseconds(200))}}, 1}));
  w.engine->supply(a, file, nullptr);
  w.pass(milliseconds(300));
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
  EXPECT_EQ(w.take_sent().size(), 10u);
}

TEST(OwnVoice, WhatCannotBePlayedIsRefused) {
  World w;
  const EndpointId a = alone(w, codecs[0]);
  EXPECT_EQ(w.engine->play(w.now, a, Programme{}).reason(), Reason::bad_sound);
  auto odd = std::make_shared<port::Sound>(port::Sound{44100, {1, 2, 3}});
  EXPECT_EQ(w.engine->play(w.now, a, Programme{{{"en", "x", {}, odd}}, 1}).reason(), Reason::bad_sound);
  // Sounds of no length at all come to an end too, however often.
  auto empty = std::make_shared<port::Sound>();
  ASSERT_TRUE(w.engine->play(w.now, a, Programme{{{"en", "x", {}, empty}}, 2}));
  w.pass(milliseconds(100));
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
}

TEST(OwnVoice, PacketsLastAsTheLegWishes) {
  for (const auto& [wish, ms] : {std::pair{"a=ptime:40\r\n", 40u},
                                 {"a=maxptime:10\r\n", 10u},
                                 {"a=ptime:7\r\n", 10u},
                                 {"a=ptime:500\r\n", 60u},
                                 {"a=ptime:x\r\n", 20u}}) {
    World w;
    const EndpointId a = alone(w, codecs[0], {}, wish);
    ASSERT_TRUE(w.engine->play(w.now, a, codec::ToneSequence::music()));
    w.pass(milliseconds(1199));
    const auto sent = w.take_sent();
    ASSERT_EQ(sent.size(), 1200 / ms) << wish;
    EXPECT_EQ(sent[0].bytes.size(), 12 + ms * 8);
    EXPECT_EQ(sent[1].timestamp() - sent[0].timestamp(), ms * 8);
  }
}

TEST(OwnVoice, AfterASnapshotTheProgrammeGoesOnWhereItWas) {
  World w;
  auto prompts = std::make_shared<port::PromptLibrary>();
  prompts->add("en", "long", sine(800, seconds(1)));
  w.engine->use(prompts);
  const EndpointId a = alone(w, codecs[0]);
  ASSERT_TRUE(w.engine->play(w.now, a,
                             Programme{{{"en", "long", {}, prompts->find("en", "long")},
                                        {"", "", {{}, "f.wav"}, sine(500, seconds(1))}},
                                       1}));
  w.pass(milliseconds(610));
  const auto before = w.take_sent();
  const std::string part = w.engine->snapshot(w.now, std::vector{a});
  w.engine = std::make_unique<Engine>(w.config, w.ports, w.rng, w.counters, *w.keys);  // another node
  w.engine->use(prompts);
  const auto ids = w.engine->restore(w.now, part);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(w.count(MediaEvent::Kind::sound_wanted), 1u);
  EXPECT_EQ(w.engine->wanted(ids->front()), (std::vector<port::SoundFile>{{{}, "f.wav"}}));
  w.engine->supply(ids->front(), {{}, "f.wav"}, sine(500, seconds(1)));
  w.pass(milliseconds(1500));
  EXPECT_EQ(w.count(MediaEvent::Kind::played), 1u);
  const auto after = w.take_sent();
  ASSERT_FALSE(after.empty());
  EXPECT_EQ(after[0].ssrc(), before[0].ssrc());
  EXPECT_EQ(after[0].sequence(), static_cast<uint16_t>(before.back().sequence() + 1));
  EXPECT_EQ(after[0].timestamp(), before.back().timestamp() + 160);
  EXPECT_EQ(after[0].bytes[1] & 0x80, 0) << "no new spurt of talk";
  EXPECT_EQ(before.size() + after.size(), 100u) << "not a sample said twice or left out";
}

TEST(NetworkTones, SoundAsInTheCountryOfTheCallingCode) {
  EXPECT_EQ(tones_of("44").ringback.steps.size(), 4u) << "twice, and a pause";
  EXPECT_EQ(tones_of("1").ringback.steps.at(0).frequency1, 440);
  EXPECT_EQ(tones_of("82").ringback.steps.at(0).frequency2, 480);
  EXPECT_EQ(tones_of("1").busy.steps.at(0).frequency2, 620);
  for (const char* unknown : {"", "999", "4", "441"})
    EXPECT_EQ(tones_of(unknown).ringback, codec::ToneSequence::ringback()) << unknown;
}

}  // namespace
}  // namespace tandem::media
