// What those hear who wait.
#include "unit/call/harness.h"

namespace tandem::call::test {
namespace {

CallConfig with_music() {
  CallConfig c;
  c.hold_music = "harp.wav";
  return c;
}

struct Music : ::testing::Test {
  Switch sw{with_music()};
  Phone a{sw, "1001", "198.51.100.1:5060"};
  Phone b{sw, "1002", "198.51.100.2:5060"};

  void hold() {
    connect(a, b);
    a.request("INVITE", directed(sdp(a.media), "sendonly"));
    a.expect(200);
    a.ack();
  }
  static SocketAddress media_of(const Phone& p) { return *SocketAddress::parse(p.media); }
  size_t asked() const {
    size_t n = 0;
    for (const auto& q : sw.asked_questions)
      if (const auto* f = std::get_if<port::AskSound>(&q))
        n += f->file == port::SoundFile{port::SoundPlace::sounds, "harp.wav"};
    return n;
  }
};

TEST_F(Music, OnHoldTheOperatorsFileIsPlayed) {
  auto harp = std::make_shared<port::Sound>();
  harp->samples.assign(port::sound_rate / 10, 1000);
  sw.sounds["harp.wav"] = harp;
  hold();
  EXPECT_EQ(asked(), 1u);
  sw.advance(seconds(2));
  EXPECT_NEAR(sw.media_sent[media_of(b)], 100, 3);
  EXPECT_EQ(sw.events_seen["call.no_sound"], 0);
  a.request("INVITE", directed(sdp(a.media), "sendrecv"));
  a.expect(200);
  a.ack();
  const int before = sw.media_sent[media_of(b)];
  sw.advance(seconds(1));
  EXPECT_EQ(sw.media_sent[media_of(b)], before);
  hang_up(b, a);
  sw.expect_empty();
}

TEST_F(Music, WithoutTheFileItIsAMelodyOfOurs) {
  hold();
  sw.advance(seconds(1));
  EXPECT_GT(sw.media_sent[media_of(b)], 40);
  EXPECT_EQ(sw.events_seen["call.no_sound"], 1);
  hang_up(b, a);
  sw.expect_empty();
}

TEST_F(Music, AfterARestoreItIsReadAgainAndGoesOn) {
  auto harp = std::make_shared<port::Sound>();
  harp->samples.assign(port::sound_rate / 10, 1000);
  sw.sounds["harp.wav"] = harp;
  hold();
  sw.advance(seconds(1));
  sw.reboot();
  sw.advance(seconds(1));
  EXPECT_EQ(asked(), 2u);
  EXPECT_NEAR(sw.media_sent[media_of(b)], 100, 4);
  hang_up(b, a);
  sw.expect_empty();
}

}  // namespace
}  // namespace tandem::call::test
