#include "rtp/loss_runs.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "rtp/statistics.h"

namespace tandem::rtp {
namespace {

/// 'x' is lost, everything else has arrived.
LossRuns after(const std::string& packets) {
  LossRuns runs;
  runs.begin(0);
  for (uint32_t i = 0; i < packets.size(); ++i)
    if (packets[i] == 'x') runs.lose(i, 1);
  return runs;
}

TEST(LossRuns, NoLossIsOneGap) {
  const auto s = after(std::string(100, '.')).summary(100);
  EXPECT_DOUBLE_EQ(s.burst_density, 0);
  EXPECT_DOUBLE_EQ(s.gap_density, 0);
  EXPECT_DOUBLE_EQ(s.gap_packets, 100);
}

TEST(LossRuns, IsolatedLossesBelongToTheGap) {
  const std::string twenty(20, '.');
  const std::string all = twenty + "x" + twenty + "x" + twenty;
  const auto s = after(all).summary(static_cast<uint32_t>(all.size()));
  EXPECT_DOUBLE_EQ(s.burst_density, 0);
  EXPECT_DOUBLE_EQ(s.gap_density, 2.0 / 62);
}

TEST(LossRuns, ABurstBeginsAndEndsWithALoss) {
  // RFC 3611 section 4.7.2: fewer than 16 packets between losses are burst.
  const std::string all = std::string(32, '.') + "x..x...x" + std::string(24, '.');
  const auto s = after(all).summary(static_cast<uint32_t>(all.size()));
  EXPECT_NEAR(s.burst_packets, 8, 0.01);
  EXPECT_NEAR(s.gap_packets, 57, 0.01) << "all of the gap, and the transition";
  EXPECT_DOUBLE_EQ(s.gap_density, 0);
  // 3 of its 8 packets, by the transition probabilities: p23 = 2/5, p32 = 2/3.
  EXPECT_NEAR(s.burst_density, 0.4 / (0.4 + 2.0 / 3), 1e-9);
}

TEST(LossRuns, BurstRatio) {
  EXPECT_DOUBLE_EQ(after("....").burst_ratio(0), 1);
  EXPECT_DOUBLE_EQ(after("..x..x..").burst_ratio(0.25), 1) << "no worse than random";
  EXPECT_DOUBLE_EQ(after("..xxxx..").burst_ratio(0.5), 2) << "runs of 4, of 2 were they random";
  std::mt19937 random(1);
  std::bernoulli_distribution lost(0.1);
  LossRuns runs;
  runs.begin(0);
  for (uint32_t i = 0; i < 200'000; ++i)
    if (lost(random)) runs.lose(i, 1);
  EXPECT_NEAR(runs.burst_ratio(0.1), 1, 0.02);
}

struct Receiver {
  ReceiverStatistics s;
  void at(uint16_t sequence) {
    s.on_packet({int64_t{sequence} * 20'000'000}, 1, sequence, 0, 160, 8000, false);
  }
};

TEST(LossRuns, OnlyWhatNeverComesIsLost) {
  Receiver r;
  for (uint16_t i = 65500; i != 300; ++i) {
    if (i == 10 || i == 11 || i == 60) continue;  // three never come
    if (i == 100) {
      r.at(101), r.at(102), r.at(100);  // overtaken
      i = 102;
      continue;
    }
    r.at(i);
  }
  EXPECT_EQ(r.s.losses.lost, 3u);
  EXPECT_EQ(r.s.losses.runs, 2u);
  EXPECT_EQ(r.s.lost(), 3);
}

TEST(LossRuns, AgreeWithTheReportsWhateverComes) {
  std::mt19937 random(7);
  Receiver r;
  uint16_t sequence = 0;
  for (int i = 0; i < 20'000; ++i) {
    const uint32_t kind = random() % 100;
    sequence = static_cast<uint16_t>(sequence + (kind < 80 ? 1 : kind < 98 ? random() % 5 : random() % 2000));
    r.at(sequence);
  }
  for (int i = 0; i < 64; ++i) r.at(++sequence);  // what may still come is over
  const int64_t twice = static_cast<int64_t>(r.s.duplicates);
  EXPECT_EQ(static_cast<int64_t>(r.s.losses.lost), r.s.lost() + twice);
}

}  // namespace
}  // namespace tandem::rtp
