#include "media/sent_packets.h"

#include <gtest/gtest.h>

#include "rtp/packet.h"

namespace tandem::media {
namespace {

std::vector<uint8_t> packet(uint32_t ssrc, uint16_t sequence) {
  std::vector<uint8_t> bytes(50);
  rtp::Header h;
  h.ssrc = ssrc;
  h.sequence = sequence;
  h.write(bytes.data());
  return bytes;
}

TEST(SentPackets, KeepsTheLastSecond) {
  SentPackets sent;
  Instant now{1'000'000'000};
  for (uint16_t n = 0; n < 3000; ++n) {
    sent.keep(now, packet(7, n));
    now = now + milliseconds(4);
  }
  EXPECT_TRUE(sent.again(now, 7, 2700).empty());
  EXPECT_FALSE(sent.again(now, 7, 2800).empty());
  EXPECT_TRUE(sent.again(now, 8, 2800).empty());
  const Bytes again = sent.again(now, 7, 2999);
  EXPECT_TRUE(again.empty()) << "it has hardly left";
  EXPECT_EQ(rtp::load16(&sent.again(now + milliseconds(20), 7, 2999)[2]), 2999);
}

TEST(SentPackets, KeepsNoMoreThanItMay) {
  SentPackets sent;
  Instant now{1'000'000'000};
  for (uint16_t n = 0; n < 5000; ++n) sent.keep(now, packet(7, n));
  now = now + milliseconds(20);
  EXPECT_TRUE(sent.again(now, 7, 5000 - SentPackets::most_packets - 1).empty());
  EXPECT_FALSE(sent.again(now, 7, 5000 - SentPackets::most_packets).empty());
  sent.keep(now, std::vector<uint8_t>(3));  // no packet
  EXPECT_FALSE(sent.again(now, 7, 4999).empty());
}

TEST(SentPackets, SendsNoMoreThanHalfAgain) {
  SentPackets sent;
  Instant now{1'000'000'000};
  std::vector<uint8_t> large = packet(7, 0);
  large.resize(1000);
  size_t first = 0, again = 0;
  for (uint16_t n = 0; n < 400; ++n) {
    rtp::store16(&large[2], n);
    sent.keep(now, large);
    first += large.size();
    now = now + milliseconds(2);
  }
  for (int round = 0; round < 10; ++round) {
    now = now + milliseconds(20);
    for (uint16_t n = 0; n < 400; ++n) again += sent.again(now, 7, n).size();
  }
  EXPECT_LE(again, SentPackets::most_budget);
  EXPECT_GE(again, SentPackets::most_budget - 1000);
  EXPECT_LE(SentPackets::most_budget, first / 2);
}

TEST(SentPackets, APacketNotMoreThanTenTimes) {
  SentPackets sent;
  Instant now{1'000'000'000};
  sent.keep(now, packet(7, 1));
  size_t times = 0;
  for (int i = 0; i < 40; ++i) {
    now = now + milliseconds(20);
    times += sent.again(now, 7, 1).empty() ? 0 : 1;
  }
  EXPECT_EQ(times, SentPackets::most_times);
}

}  // namespace
}  // namespace tandem::media
