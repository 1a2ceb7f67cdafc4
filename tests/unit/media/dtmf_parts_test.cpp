// One press however it is told; presses on their way; a stream with packets taken out and put in.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "codec/dtmf.h"
#include "media/dtmf_heard.h"
#include "media/dtmf_sent.h"

namespace tandem::media {
namespace {

constexpr Instant start{1'000'000'000};
Instant at(int ms) { return start + milliseconds(ms); }

struct Ear {
  DtmfHeard heard;
  std::string digits;
  std::vector<int64_t> lasted;
  void take() {
    for (const PressNews& n : heard.news()) {
      if (n.begins) digits.push_back(n.digit);
      if (n.ends) lasted.push_back(n.lasted / milliseconds(1));
    }
  }
  void event(int ms, uint8_t code, uint32_t began, uint16_t duration, bool end = false) {
    heard.event(at(ms), 7, {code, end, duration <= 160, 10, duration, began}, 8000);
    take();
  }
  void info(int ms, char digit) {
    heard.info(at(ms), digit, milliseconds(100));
    take();
  }
  void tone(int ms, char digit, bool on) {
    heard.tone(at(ms), {digit, on, -9, static_cast<uint32_t>(ms)});
    take();
  }
  void silence(int ms) {
    heard.on_silence(at(ms));
    take();
  }
};

TEST(DtmfHeard, EachWayAndAllTogether) {
  Ear e;
  e.event(0, 1, 1000, 160);
  e.tone(30, '1', true);
  e.event(80, 1, 1000, 800, true);
  e.event(90, 1, 1000, 800, true);
  e.tone(110, '1', false);
  e.info(300, '1');
  EXPECT_EQ(e.digits, "1");
  EXPECT_EQ(e.lasted, (std::vector<int64_t>{100}));
  EXPECT_FALSE(e.heard.pressed());
}

TEST(DtmfHeard, TheSameKeyTwiceByTwoWays) {
  Ear e;
  e.event(0, 5, 1000, 160);
  e.event(60, 5, 1000, 480, true);
  e.event(120, 5, 2000, 160);
  e.event(180, 5, 2000, 480, true);
  e.info(200, '5');
  e.info(260, '5');
  EXPECT_EQ(e.digits, "55");
  e.info(320, '5');  // a third nobody else told of
  EXPECT_EQ(e.digits, "555");
}

TEST(DtmfHeard, LateIsAnother) {
  Ear e;
  e.info(0, '9');
  e.event(600, 9, 1000, 160);
  EXPECT_EQ(e.digits, "99");
}

TEST(DtmfHeard, WhatFallsSilentEnds) {
  Ear e;
  e.event(0, 2, 1000, 160);
  e.event(100, 2, 1000, 960);
  EXPECT_EQ(e.heard.next_timeout(), at(100) + DtmfHeard::patience);
  e.silence(200);
  EXPECT_TRUE(e.lasted.empty());
  e.silence(300);
  EXPECT_EQ(e.lasted, (std::vector<int64_t>{120}));
  e.event(310, 2, 1000, 1120, true);  // its end, at last
  EXPECT_EQ(e.digits, "2");
  e.tone(400, '3', true);
  e.silence(700);
  EXPECT_EQ(e.digits, "23");
  EXPECT_EQ(e.lasted.size(), 2u);
}

TEST(DtmfHeard, AnotherSourceHasAnotherClock) {
  Ear e;
  e.event(0, 2, 0x80000000, 800, true);
  e.heard.event(at(300), 8, {3, true, true, 10, 800, 5}, 8000);
  e.take();
  EXPECT_EQ(e.digits, "23");
}

TEST(DtmfHeard, GoesOnFromASnapshot) {
  Ear e, other;
  e.event(0, 2, 1000, 160);
  other.heard.go_on(e.heard.state());
  other.event(40, 2, 1000, 480);
  other.event(80, 2, 1000, 800, true);
  EXPECT_EQ(other.digits, "");
  EXPECT_EQ(other.lasted, (std::vector<int64_t>{100}));
  e.tone(500, '4', true);
  other.heard.go_on(e.heard.state());
  other.tone(520, '4', true);  // by a detector that has heard nothing before
  EXPECT_EQ(other.digits, "");
}

constexpr DtmfSent::Terms events{true, 8000, 8000, 20}, tones{false, 8000, 8000, 20};

/// Frames of 20 ms until it has nothing more to send.
struct Receiver {
  std::vector<codec::EventPacket> packets;
  std::vector<int16_t> sound;
  uint32_t timestamp = 0;
  int ms = 0;
  void run(DtmfSent& sent, const DtmfSent::Terms& terms, int until = 100'000) {
    for (; sent.active() && ms < until; ms += 20, timestamp += 160) {
      const auto frame = sent.next(at(ms), terms, timestamp);
      if (frame.event) packets.push_back(*frame.event);
      if (!frame.sound) continue;
      std::array<int16_t, 160> samples;
      sent.render(samples, 8000);
      sound.insert(sound.end(), samples.begin(), samples.end());
    }
  }
  std::string digits() const {
    codec::DtmfDetector detector;
    std::string all;
    for (size_t i = 0; i + 160 <= sound.size(); i += 160)
      for (const auto& c : detector.process(std::span(sound).subspan(i, 160)))
        if (c.on) all.push_back(c.digit);
    return all;
  }
};

TEST(DtmfSent, WhatIsStillPressedGrowsUntilItsEnd) {
  DtmfSent sent;
  ASSERT_TRUE(sent.begin(at(0), '5', 12));
  Receiver r;
  r.run(sent, events, 140);
  EXPECT_EQ(r.packets.size(), 4u) << "60 ms later, so that its end is known in time";
  sent.end('5', milliseconds(110));
  r.run(sent, events);
  ASSERT_EQ(r.packets.size(), 8u);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(r.packets[i].timestamp, 480u);
    EXPECT_EQ(r.packets[i].duration, std::min<size_t>(160 * (i + 1), 880)) << i;
    EXPECT_EQ(r.packets[i].end, i >= 5);
    EXPECT_EQ(r.packets[i].marker, i == 0);
    EXPECT_EQ(r.packets[i].volume, 12);
  }
}

TEST(DtmfSent, ALongEventHasSegmentsOnTheClockOfTheStream) {
  DtmfSent sent;
  ASSERT_TRUE(sent.press(at(0), '1', 10, seconds(10)));
  Receiver r;
  r.run(sent, {true, 48000, 8000, 20});
  EXPECT_EQ(r.packets.back().timestamp, 65535u * 6);
  EXPECT_EQ(r.packets.back().duration, 80000 - 65535);
}

TEST(DtmfSent, TonesAreAsLongAsThePressAndApart) {
  DtmfSent sent;
  for (const char digit : {'1', '1', '#'}) ASSERT_TRUE(sent.press(at(0), digit, 10, milliseconds(90)));
  Receiver r;
  r.run(sent, tones);
  EXPECT_EQ(r.digits(), "11#");
  size_t loud = 0;
  for (const int16_t s : r.sound) loud += std::abs(s) > 50;
  EXPECT_NEAR(static_cast<double>(loud) / 8, 3 * 90, 8);
}

TEST(DtmfSent, SomeOnlyMayWait) {
  DtmfSent sent;
  for (size_t i = 0; i < DtmfSent::most_waiting; ++i)
    ASSERT_TRUE(sent.press(at(0), '1', 10, milliseconds(60)));
  EXPECT_FALSE(sent.press(at(0), '1', 10, milliseconds(60)));
}

TEST(DtmfSent, GoesOnFromASnapshot) {
  for (const auto& terms : {events, tones}) {
    DtmfSent sent, other;
    sent.press(at(0), '7', 10, milliseconds(200));
    Receiver r;
    r.run(sent, terms, 100);
    other.go_on(sent.state());
    r.run(other, terms);
    if (terms.events) {
      ASSERT_EQ(r.packets.size(), 12u);
      EXPECT_EQ(r.packets.back().duration, 1600);
      EXPECT_EQ(r.packets.back().timestamp, 0u);
      for (size_t i = 1; i < r.packets.size(); ++i) EXPECT_FALSE(r.packets[i].marker);
    } else {
      EXPECT_EQ(r.digits(), "7");
    }
  }
}

rtp::Header packet(uint16_t sequence, uint32_t timestamp, uint32_t ssrc = 1) {
  rtp::Header h;
  h.sequence = sequence;
  h.timestamp = timestamp;
  h.ssrc = ssrc;
  return h;
}

TEST(DtmfLine, OutAndInWithoutAGap) {
  DtmfLine line;
  line.begin(1, 65534, 1000, 8000);
  line.drop(packet(65535, 1160));
  EXPECT_EQ(line.next(), 65535);
  EXPECT_EQ(line.next(), 0);
  line.advance(480);
  EXPECT_EQ(line.pass(packet(0, 1320), false), std::nullopt) << "before ours have ended";
  EXPECT_EQ(line.pass(packet(1, 1480), false), 1);
  EXPECT_EQ(line.pass(packet(0, 1320), false), std::nullopt) << "overtaken";
  EXPECT_EQ(line.pass(packet(2, 1640), false), 2);
  line.close();
  EXPECT_EQ(line.offset(), 0);
  line.begin(1, 2, 2000, 8000);
  line.drop(packet(3, 2000));
  line.drop(packet(4, 2000));
  EXPECT_EQ(line.pass(packet(5, 2160), false), 3);
  line.close();
  EXPECT_EQ(line.offset(), 0xFFFE);
  line.begin(1, 9, 4000, 8000);
  EXPECT_EQ(line.pass(packet(10, 4000), false), 8) << "on from the offset";
}

TEST(DtmfLine, AnotherStreamEndsIt) {
  DtmfLine line;
  line.begin(1, 10, 1000, 8000);
  EXPECT_EQ(line.next(), 11);
  EXPECT_EQ(line.pass(packet(500, 9, 2), false), 501);
  EXPECT_FALSE(line.open());
}

TEST(DtmfLine, AClockThatJumpsBackIsFollowed) {
  DtmfLine line;
  line.begin(1, 10, 100'000, 8000);
  EXPECT_EQ(line.pass(packet(11, 5), false), 11);
}

}  // namespace
}  // namespace tandem::media
