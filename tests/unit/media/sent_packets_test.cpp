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
  EXPECT_EQ(rtp::load16(&sent.again(now + milliseconds(2), 7, 2999)[2]), 2999);
}

TEST(SentPackets, KeepsNoMoreThanItMay) {
  SentPackets sent;
  Instant now{1'000'000'000};
  for (uint16_t n = 0; n < 5000; ++n) sent.keep(now, packet(7, n));
  now = now + milliseconds(10);
  EXPECT_TRUE(sent.again(now, 7, 5000 - SentPackets::most - 1).empty());
  EXPECT_FALSE(sent.again(now, 7, 5000 - SentPackets::most).empty());
  sent.keep(now, std::vector<uint8_t>(3));  // no packet
  EXPECT_FALSE(sent.again(now, 7, 4999).empty());
}

}  // namespace
}  // namespace tandem::media
