#include "rtp/statistics.h"

#include <gtest/gtest.h>

namespace tandem::rtp {
namespace {

struct Receiver {
  ReceiverStatistics s;
  void at(int64_t ms, uint16_t sequence, uint32_t timestamp, uint32_t ssrc = 1) {
    s.on_packet({1'000'000'000 + ms * 1'000'000}, ssrc, sequence, timestamp, 160, 8000, true);
  }
};

TEST(Statistics, PerfectStream) {
  Receiver r;
  for (int i = 0; i < 50; ++i) r.at(20 * i, static_cast<uint16_t>(65530 + i), 160u * i);
  EXPECT_EQ(r.s.packets, 50u);
  EXPECT_EQ(r.s.octets, 8000u);
  EXPECT_EQ(r.s.expected(), 50u);
  EXPECT_EQ(r.s.lost(), 0);
  EXPECT_EQ(r.s.extended_highest(), 65536u + 43) << "wrapped once";
  EXPECT_DOUBLE_EQ(r.s.jitter_ms(), 0);
}

TEST(Statistics, JitterByHand) {
  // A.8 in 1/16 units: J += |D| - ((J + 8) >> 4). Arrivals 0, 25, 40, 60 ms for a 20 ms stream: D = 40, 40, 0
  // units.
  Receiver r;
  r.at(0, 1, 0);
  r.at(25, 2, 160);
  EXPECT_EQ(r.s.jitter16, 40u);
  r.at(40, 3, 320);
  EXPECT_EQ(r.s.jitter16, 40u + 40 - 3);
  r.at(60, 4, 480);
  EXPECT_EQ(r.s.jitter16, 77u - 5);
  EXPECT_DOUBLE_EQ(r.s.jitter_ms(), 72 / 16.0 / 8);
  EXPECT_DOUBLE_EQ(r.s.max_jitter_ms(), 77 / 16.0 / 8);
}

TEST(Statistics, LossDuplicatesAndReordering) {
  Receiver r;
  r.at(0, 10, 0);
  r.at(20, 11, 160);
  r.at(60, 13, 480);
  r.at(61, 12, 320);   // late
  r.at(62, 13, 480);   // twice
  r.at(63, 12, 320);   // twice
  r.at(120, 16, 960);  // 14, 15 lost
  EXPECT_EQ(r.s.expected(), 7u);
  EXPECT_EQ(r.s.packets, 7u);
  EXPECT_EQ(r.s.duplicates, 2u);
  EXPECT_EQ(r.s.reordered, 1u);
  EXPECT_EQ(r.s.lost(), 0) << "A.3: duplicates hide losses";
}

TEST(Statistics, ReportsTheInterval) {
  Receiver r;
  for (int i = 0; i < 10; ++i) r.at(20 * i, static_cast<uint16_t>(i), 160u * i);
  EXPECT_EQ(r.s.report().fraction_lost, 0);
  for (int i = 10; i < 20; i += 2) r.at(20 * i, static_cast<uint16_t>(i), 160u * i);  // every other
  const ReportBlock b = r.s.report();
  EXPECT_EQ(b.fraction_lost, (4 << 8) / 9) << "10..18 expected 9, five came";
  EXPECT_EQ(b.cumulative_lost, 4);
  EXPECT_EQ(b.extended_highest, 18u);
  EXPECT_EQ(r.s.report().fraction_lost, 0) << "nothing since";
}

TEST(Statistics, NewSourceStartsAnewAndTotalsStay) {
  Receiver r;
  for (int i = 0; i < 10; ++i) r.at(20 * i, static_cast<uint16_t>(i == 9 ? 10 : i), 160u * i);  // 9 lost
  for (int i = 0; i < 5; ++i) r.at(200 + 20 * i, static_cast<uint16_t>(40000 + i), 99999 + 160u * i, 2);
  EXPECT_EQ(r.s.ssrc, 2u);
  EXPECT_EQ(r.s.expected(), 16u);
  EXPECT_EQ(r.s.lost(), 1);
  EXPECT_EQ(r.s.report().cumulative_lost, 0);
}

TEST(Statistics, JumpInSequenceIsARestartWhenItGoesOn) {
  Receiver r;
  for (int i = 0; i < 5; ++i) r.at(20 * i, static_cast<uint16_t>(i), 160u * i);
  r.at(100, 30000, 800);
  EXPECT_EQ(r.s.highest, 4) << "one wild packet moves nothing";
  r.at(120, 30001, 960);
  r.at(140, 30002, 1120);
  EXPECT_EQ(r.s.highest, 30002);
  EXPECT_LE(r.s.expected(), 8u);
}

TEST(Statistics, PausesAndEventsAreNoJitter) {
  Receiver r;
  r.at(0, 1, 0);
  r.at(20, 2, 160);
  r.at(60'000, 3, 320);  // a hold without a running clock
  EXPECT_EQ(r.s.jitter16, 0u);
  r.s.on_packet({1'000'000'000 + 60'100'000'000}, 1, 4, 320, 4, 8000, false);
  EXPECT_EQ(r.s.jitter16, 0u);
  EXPECT_EQ(r.s.packets, 4u);
}

}  // namespace
}  // namespace tandem::rtp
