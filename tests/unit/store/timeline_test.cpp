// Pieces of two sides in any order; frames in theirs.
#include "store/timeline.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace tandem::store_test {
namespace {

using store::Timeline;
using Samples = std::vector<int16_t>;

Samples count_from(int first, size_t n) {
  Samples s;
  for (size_t i = 0; i < n; ++i) s.push_back(static_cast<int16_t>(first + static_cast<int>(i)));
  return s;
}
Samples take(Timeline& t, uint64_t most = UINT64_MAX) {
  Samples out;
  t.take(most, out);
  return out;
}

TEST(Timeline, WaitsForTheSlowerSide) {
  Timeline t(2, 100, 10'000);
  t.put(0, 0, count_from(1, 4));
  EXPECT_EQ(t.ready(), 0U);
  t.put(1, 0, count_from(11, 2));
  EXPECT_EQ(take(t), (Samples{1, 11, 2, 12}));
  t.put(1, 2, count_from(13, 2));
  EXPECT_EQ(take(t), (Samples{3, 13, 4, 14}));
}

TEST(Timeline, WaitsNoLongerThanItsPatience) {
  Timeline t(2, 3, 10'000);
  t.put(0, 0, count_from(1, 5));
  EXPECT_EQ(take(t), (Samples{1, 0, 2, 0}));
  t.put(1, 0, count_from(11, 5));  // two are too late
  EXPECT_EQ(t.late(), 2U);
  EXPECT_EQ(take(t), (Samples{3, 13, 4, 14, 5, 15}));
}

TEST(Timeline, WhatNobodyPutIsSilence) {
  Timeline t(1, 100, 100'000);
  t.put(0, 2, count_from(7, 1));
  t.put(0, 5000, count_from(8, 1));
  EXPECT_EQ(t.ready(), 5001U);
  const Samples s = take(t);
  ASSERT_EQ(s.size(), 5001U);
  EXPECT_EQ(s[2], 7);
  EXPECT_EQ(s[5000], 8);
  EXPECT_EQ(std::count(s.begin(), s.end(), 0), 4999);
}

TEST(Timeline, ALeapCostsNoMemoryForWhatLiesBetween) {
  Timeline t(2, 100, UINT64_MAX / 4);
  t.put(0, 0, count_from(1, 10));
  t.put(0, 1'000'000'000'000, count_from(1, 10));
  EXPECT_EQ(t.trim(0), 2U * 2 * 1600);
}

TEST(Timeline, APauseIsCutOutOnBothSides) {
  Timeline t(2, 100, 10'000);
  EXPECT_TRUE(t.pause(3));
  EXPECT_FALSE(t.pause(4));
  EXPECT_TRUE(t.resume(6));
  EXPECT_FALSE(t.resume(8));
  t.put(0, 0, count_from(1, 10));
  t.put(1, 0, count_from(11, 4));
  t.put(1, 4, count_from(15, 6));
  EXPECT_EQ(take(t), (Samples{1, 11, 2, 12, 3, 13, 7, 17, 8, 18, 9, 19, 10, 20}));
}

TEST(Timeline, ManyPausesAddUp) {
  Timeline t(1, 0, 100'000);
  Samples expected;
  const Samples all = count_from(0, 9000);
  for (uint64_t at = 0; at < 9000; at += 30) {
    // Ten of thirty are paused; the pieces lie across the edges.
    t.pause(at + 10);
    t.resume(at + 20);
    expected.insert(expected.end(), all.begin() + static_cast<ptrdiff_t>(at),
                    all.begin() + static_cast<ptrdiff_t>(at) + 10);
    expected.insert(expected.end(), all.begin() + static_cast<ptrdiff_t>(at) + 20,
                    all.begin() + static_cast<ptrdiff_t>(at) + 30);
  }
  Samples got;
  for (size_t at = 0; at < 9000; at += 7) {
    t.put(0, at, std::span(all).subspan(at, std::min<size_t>(7, 9000 - at)));
    if (at % 5 == 0) t.take(UINT64_MAX, got);
  }
  t.take(UINT64_MAX, got);
  EXPECT_EQ(got, expected);
}

TEST(Timeline, AnOpenPauseKeepsNothingMore) {
  Timeline t(1, 0, 10'000);
  t.put(0, 0, count_from(1, 2));
  t.pause(2);
  t.put(0, 2, count_from(3, 5));
  t.end(7);
  EXPECT_EQ(take(t), (Samples{1, 2}));
  EXPECT_EQ(t.length(), 2U);
}

TEST(Timeline, EndsWhereItIsTold) {
  Timeline longer(1, 0, 10'000), shorter(1, 0, 10'000), late(1, 0, 10'000);
  longer.put(0, 0, count_from(1, 2));
  longer.end(4);
  EXPECT_EQ(take(longer), (Samples{1, 2, 0, 0}));
  shorter.put(0, 0, count_from(1, 4));
  shorter.end(2);
  EXPECT_EQ(take(shorter), (Samples{1, 2}));
  late.put(0, 0, count_from(1, 4));
  take(late);
  late.end(2);  // what is taken stays
  EXPECT_EQ(late.taken(), 4U);
  EXPECT_EQ(late.ready(), 0U);
  late.put(0, 4, count_from(1, 4));
  EXPECT_EQ(late.ready(), 0U);
}

TEST(Timeline, NothingPastTheLongest) {
  Timeline t(1, 0, 5);
  t.put(0, 0, count_from(1, 4));
  EXPECT_FALSE(t.full());
  t.put(0, 4, count_from(5, 4));
  EXPECT_TRUE(t.full());
  t.put(0, UINT64_MAX - 1, count_from(1, 4));
  EXPECT_EQ(take(t), (Samples{1, 2, 3, 4, 5}));
}

TEST(Timeline, TrimForgetsTheOldest) {
  Timeline t(1, 0, 100'000);
  t.put(0, 0, Samples(1600 * 3, 7));
  EXPECT_EQ(t.trim(1600), 3200U);
  const Samples s = take(t);
  ASSERT_EQ(s.size(), 4800U);
  EXPECT_EQ(s[3199], 0);
  EXPECT_EQ(s[3200], 7);
}

/// Against the obvious: two arrays and a list of pauses.
TEST(Timeline, AnyOrderGivesWhatTwoArraysWouldGive) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRng rng(seed);
    constexpr size_t n = 6000;
    Timeline t(2, n, n);
    std::vector<char> paused(n, 0);
    for (size_t at = rng.below(500); at < n;) {
      const size_t to = std::min<size_t>(n, at + rng.below(700));
      t.pause(at);
      t.resume(to);
      std::fill(paused.begin() + static_cast<ptrdiff_t>(at), paused.begin() + static_cast<ptrdiff_t>(to), 1);
      at = to + 1 + rng.below(900);
    }
    Samples sides[2] = {Samples(n, 0), Samples(n, 0)};
    for (int i = 0; i < 60; ++i) {
      const auto side = static_cast<uint8_t>(rng.below(2));
      const size_t at = rng.below(n), length = std::min<size_t>(n - at, rng.below(400));
      const Samples piece = count_from(static_cast<int>(rng.below(20'000)), length);
      std::copy(piece.begin(), piece.end(), sides[side].begin() + static_cast<ptrdiff_t>(at));
      t.put(side, at, piece);
    }
    t.end(n);
    Samples expected;
    for (size_t i = 0; i < n; ++i)
      if (!paused[i]) {
        expected.push_back(sides[0][i]);
        expected.push_back(sides[1][i]);
      }
    Samples got;
    while (t.ready() > 0) t.take(1 + rng.below(900), got);
    ASSERT_EQ(got, expected) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tandem::store_test
