// Transport-wide feedback, read back as the draft says it is read.
#include "rtp/arrivals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "base/rng.h"
#include "rtp/packet.h"

namespace tandem::rtp {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct Feedback {
  uint32_t sender = 0, media = 0;
  uint16_t base = 0, count = 0;
  uint8_t number = 0;
  std::map<uint16_t, int64_t> at;  // of those that came: in quarters of a millisecond
};

/// Sections 3.1 to 3.1.5. Everything is checked that a reader may stumble over.
Feedback read(Bytes p) {
  Feedback f;
  EXPECT_EQ(p[0] & 0xDF, 0x8F);
  EXPECT_EQ(p[1], 205);
  EXPECT_EQ(size_t{load16(&p[2])} * 4 + 4, p.size());
  f.sender = load32(&p[4]), f.media = load32(&p[8]);
  f.base = load16(&p[12]), f.count = load16(&p[14]);
  f.number = p[19];
  int64_t time = int64_t{load32(&p[16]) >> 8} * 256;
  size_t at = 20;
  std::vector<uint8_t> symbols;
  while (symbols.size() < f.count) {
    const uint16_t chunk = load16(&p[at]);
    at += 2;
    if ((chunk & 0x8000) == 0)
      symbols.insert(symbols.end(), chunk & 0x1FFF, static_cast<uint8_t>(chunk >> 13));
    else
      for (int shift = 12; shift >= 0; shift -= 2) symbols.push_back(chunk >> shift & 3);
  }
  symbols.resize(f.count);
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] == 0) continue;
    if (symbols[i] == 1) {
      time += p[at];
      at += 1;
    } else {
      time += static_cast<int16_t>(load16(&p[at]));
      at += 2;
    }
    f.at[static_cast<uint16_t>(f.base + i)] = time;
  }
  const size_t padding = (p[0] & 0x20) != 0 ? p[p.size() - 1] : 0;
  EXPECT_EQ(at + padding, p.size());
  return f;
}

struct Transport : testing::Test {
  Arrivals arrivals;
  std::array<uint8_t, Arrivals::longest_feedback> room{};
  void come(int64_t us, uint16_t number) { arrivals.on_packet(Instant{us * 1000}, number); }
  Feedback feedback() {
    const size_t n = arrivals.write(room, 7, 9);
    EXPECT_GT(n, 0u);
    return read(Bytes(room).first(n));
  }
};

TEST_F(Transport, EachPacketIsToldWithItsTime) {
  come(640'000, 10), come(641'000, 11), come(645'250, 13);
  const Feedback f = feedback();
  EXPECT_EQ(f.sender, 7u);
  EXPECT_EQ(f.media, 9u);
  EXPECT_EQ(f.number, 0);
  EXPECT_EQ(f.count, 4);
  EXPECT_THAT(f.at, ElementsAre(Pair(10, 2560), Pair(11, 2564), Pair(13, 2581)));
  EXPECT_TRUE(arrivals.empty());
  EXPECT_EQ(arrivals.write(room, 7, 9), 0u);
}

TEST_F(Transport, OrderIsOfNumbersAndTimesMayGoBack) {
  come(100'000, 2), come(101'000, 1), come(102'000, 3), come(103'000, 2);
  const Feedback f = feedback();
  EXPECT_EQ(f.base, 1);
  EXPECT_THAT(f.at, ElementsAre(Pair(1, 404), Pair(2, 400), Pair(3, 408)));
}

TEST_F(Transport, WhatIsMissingBetweenTwoFeedbacksIsToldByTheSecond) {
  come(100'000, 65'533), come(101'000, 65'534);
  EXPECT_EQ(feedback().count, 2);
  come(200'000, 65'534);  // told already
  EXPECT_TRUE(arrivals.empty());
  come(201'000, 2);
  const Feedback f = feedback();
  EXPECT_EQ(f.number, 1);
  EXPECT_EQ(f.base, 65'535);
  EXPECT_EQ(f.count, 4);
  EXPECT_THAT(f.at, ElementsAre(Pair(2, 804)));
}

TEST_F(Transport, MuchIsToldInSeveralFeedbacks) {
  for (uint16_t i = 0; i < 1300; ++i)
    if (i % 100 != 50) come(1'000'000 + i * 100, i);
  come(9'000'000'000, 1300);  // a silence longer than a difference may be
  size_t packets = 0;
  uint16_t next = 0;
  while (!arrivals.empty()) {
    const Feedback f = feedback();
    EXPECT_EQ(f.base, next);
    EXPECT_LE(f.count, Arrivals::most_packets);
    next = static_cast<uint16_t>(f.base + f.count);
    packets += f.at.size();
  }
  EXPECT_EQ(packets, 1301u - 13);
  EXPECT_EQ(next, 1301);
}

TEST_F(Transport, AnotherSenderBeginsAnew) {
  come(100'000, 1), come(101'000, 30'000);
  const Feedback f = feedback();
  EXPECT_EQ(f.base, 30'000);
  EXPECT_EQ(f.count, 1);
}

TEST_F(Transport, AnyOrderIsReadBackAsItCame) {
  SeededRng rng(5);
  for (int round = 0; round < 200; ++round) {
    Arrivals each;
    std::map<uint16_t, int64_t> came;
    const auto base = static_cast<uint16_t>(rng.below(65'536));
    int64_t us = 50'000'000;
    for (int i = 0; i < 300; ++i) {
      const auto number = static_cast<uint16_t>(base + rng.below(400));
      us += static_cast<int64_t>(rng.below(rng.below(20) == 0 ? 900'000 : 3'000));
      each.on_packet(Instant{us * 1000}, number);
      came.emplace(number, us);
    }
    while (const size_t n = each.write(room, 1, 2))
      for (const auto& [number, quarters] : read(Bytes(room).first(n)).at) {
        ASSERT_TRUE(came.contains(number));
        ASSERT_NEAR(static_cast<double>(quarters) * 250, static_cast<double>(came[number]), 250) << number;
        came.erase(number);
      }
    EXPECT_TRUE(came.empty());
  }
}

std::vector<uint8_t> with_extension(std::vector<uint8_t> words, uint16_t profile = 0xBEDE) {
  std::vector<uint8_t> p(12);
  p[0] = 0x90;
  p.push_back(static_cast<uint8_t>(profile >> 8)), p.push_back(static_cast<uint8_t>(profile));
  p.push_back(0), p.push_back(static_cast<uint8_t>(words.size() / 4));
  p.insert(p.end(), words.begin(), words.end());
  p.push_back(0x55);
  return p;
}

TEST(Extension16, IsFoundWhereItLies) {
  // An audio level (one octet), padding, then the number.
  const auto p = with_extension({0x10, 0x7F, 0x00, 0x31, 0xAB, 0xCD, 0x00, 0x00});
  const auto at = find_extension16(p, 3);
  ASSERT_TRUE(at);
  EXPECT_EQ(load16(&p[*at]), 0xABCD);
  EXPECT_FALSE(find_extension16(p, 1)) << "it has one octet";
  EXPECT_FALSE(find_extension16(p, 4));
  const auto two = with_extension({0x01, 0x01, 0x7F, 0x03, 0x02, 0xAB, 0xCD, 0x00}, 0x1000);
  ASSERT_TRUE(find_extension16(two, 3));
  EXPECT_EQ(load16(&two[*find_extension16(two, 3)]), 0xABCD);
}

TEST(Extension16, NothingIsReadPastItsEnd) {
  EXPECT_FALSE(find_extension16(with_extension({0x10, 0x7F, 0xF0, 0x31}), 3)) << "15 ends it";
  EXPECT_FALSE(find_extension16(with_extension({0x10, 0x7F, 0x00, 0x31}), 3)) << "cut";
  EXPECT_FALSE(find_extension16(with_extension({0x01, 0x01, 0x7F, 0x03}, 0x1000), 3));
  EXPECT_FALSE(find_extension16(with_extension({0x31, 0xAB, 0xCD, 0x00}, 0x4242), 3)) << "another profile";
  const auto whole = with_extension({0x31, 0xAB, 0xCD, 0x00});
  for (size_t n = 0; n < whole.size() - 1; ++n) EXPECT_FALSE(find_extension16(Bytes(whole).first(n), 3)) << n;
}

}  // namespace
}  // namespace tandem::rtp
