#include "rtp/rtcp.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <vector>

namespace tandem::rtp {
namespace {

using Octets = std::vector<uint8_t>;

Octets report(bool sender, bool with_block) {
  SenderInfo info{0x0123456789ABCDEF, 16000, 100, 16000};
  ReportBlock block;
  block.ssrc = 0x22222222;
  block.fraction_lost = 12;
  block.cumulative_lost = -3;
  block.extended_highest = 0x00010005;
  block.jitter = 40;
  block.last_sr = 0xAABBCCDD;
  block.delay_since_last_sr = 65536;
  Octets out(200);
  out.resize(write_report(out, 0x11111111, sender ? std::optional(info) : std::nullopt,
                          with_block ? std::optional(block) : std::nullopt, "cname@host"));
  return out;
}

TEST(Rtcp, WritesAndReadsReports) {
  const Octets b = report(true, true);
  ASSERT_EQ(b.size() % 4, 0u);
  auto reader = RtcpReader::open(b);
  ASSERT_TRUE(reader);
  const auto first = reader->next();
  ASSERT_TRUE(first);
  const auto r = Report::parse(*first);
  ASSERT_TRUE(r && r->sender);
  EXPECT_EQ(r->ssrc, 0x11111111u);
  EXPECT_EQ(r->sender->ntp, 0x0123456789ABCDEFu);
  EXPECT_EQ(r->sender->packets, 100u);
  EXPECT_EQ(r->sender->octets, 16000u);
  ASSERT_EQ(r->block_count, 1);
  EXPECT_EQ(r->blocks[0].ssrc, 0x22222222u);
  EXPECT_EQ(r->blocks[0].fraction_lost, 12);
  EXPECT_EQ(r->blocks[0].cumulative_lost, -3);
  EXPECT_EQ(r->blocks[0].extended_highest, 0x00010005u);
  EXPECT_EQ(r->blocks[0].jitter, 40u);
  EXPECT_EQ(r->blocks[0].last_sr, 0xAABBCCDDu);
  EXPECT_EQ(r->blocks[0].delay_since_last_sr, 65536u);
  const auto sdes = reader->next();
  ASSERT_TRUE(sdes);
  EXPECT_EQ(sdes->type, 202);
  EXPECT_EQ(sdes->count, 1);
  EXPECT_EQ(as_text(sdes->body.subspan(6, 10)), "cname@host");
  EXPECT_FALSE(reader->next());
}

TEST(Rtcp, ReceiverReportWithoutBlocks) {
  auto reader = RtcpReader::open(report(false, false));
  ASSERT_TRUE(reader);
  const Octets b = report(false, false);
  reader = RtcpReader::open(b);
  const auto r = Report::parse(*reader->next());
  ASSERT_TRUE(r);
  EXPECT_FALSE(r->sender);
  EXPECT_EQ(r->block_count, 0);
}

TEST(Rtcp, EveryTruncationIsRefusedOrAPrefixOfWholePackets) {
  const Octets b = report(true, true);
  for (size_t n = 0; n < b.size(); ++n) {
    const bool whole = n == 52;  // SR with one block, without the SDES
    EXPECT_EQ(RtcpReader::open(Bytes(b).first(n)).ok(), whole) << n;
  }
}

TEST(Rtcp, LengthsAreChecked) {
  Octets b = report(false, true);
  b[3] = 0xFF;
  EXPECT_EQ(RtcpReader::open(b).reason(), RtcpReason::past_end);
  EXPECT_TRUE(RtcpReader::open(b, true)) << "SRTCP: the rest is ciphertext";
  b = report(false, true);
  b[3] = 0;  // nothing left for the SSRC; what follows is read as a packet
  EXPECT_FALSE(RtcpReader::open(b));
  b = report(false, true);
  b[0] = 0x1F;
  EXPECT_EQ(RtcpReader::open(b).reason(), RtcpReason::bad_version);
  b = report(false, true);
  b[1] = 100;
  EXPECT_EQ(RtcpReader::open(b).reason(), RtcpReason::not_rtcp);
  b = report(false, true);
  b[0] = 0x80 | 31;  // says 31 blocks
  const auto packet = RtcpReader::open(b)->next();
  EXPECT_EQ(Report::parse(*packet).reason(), RtcpReason::short_report);
  b = report(false, true);
  b[0] |= 0x20;  // padding in a packet that is not the last
  b[31] = 4;
  EXPECT_EQ(RtcpReader::open(b).reason(), RtcpReason::bad_padding);
  Octets last = {0xA0, 203, 0, 1, 0, 0, 0, 8};
  EXPECT_EQ(RtcpReader::open(last).reason(), RtcpReason::bad_padding) << "longer than the body";
  last.back() = 4;
  const auto bye = RtcpReader::open(last)->next();
  EXPECT_TRUE(bye->body.empty());
  EXPECT_EQ(RtcpReader::open(Octets{0x80, 201, 0}).reason(), RtcpReason::too_short);
  // An SR of one word: its length minus its fields would be negative.
  const Octets empty_sr = {0x81, 200, 0, 0, 0x80, 203, 0, 0};
  EXPECT_EQ(Report::parse(*RtcpReader::open(empty_sr)->next()).reason(), RtcpReason::short_report);
}

TEST(Rtcp, SmallBuffersAreLeftAlone) {
  Octets out(20);
  EXPECT_EQ(write_report(out, 1, SenderInfo{}, std::nullopt, "x"), 0u);
}

TEST(Rtcp, NtpTime) {
  EXPECT_EQ(ntp_time({0}) >> 32, 2208988800u);
  EXPECT_EQ(ntp_time({1'500'000'000}) & 0xFFFFFFFF, 0x80000000u);
  EXPECT_EQ(ntp_middle(0x1234567890ABCDEF), 0x567890ABu);
}

TEST(TakeOutNacks, LeavesWhatIsNotDone) {
  // A receiver report, a NACK of 100, 101, 116 and 65535, 0, and a picture loss.
  const std::vector<uint8_t> whole = {0x80, 201, 0, 1, 0, 0, 0, 9,   0x81, 205,  0,    4,    0, 0,
                                      0,    9,   0, 0, 0, 7, 0, 100, 0x80, 0x01, 0xFF, 0xFF, 0, 1,
                                      0x81, 206, 0, 2, 0, 0, 0, 9,   0,    0,    0,    7};
  const auto without = [&](std::vector<uint16_t> done, uint32_t of = 7) {
    auto b = whole;
    b.resize(take_out_nacks(b, [&](uint32_t media, uint16_t n) {
      return media == of && std::find(done.begin(), done.end(), n) != done.end();
    }));
    EXPECT_TRUE(RtcpReader::open(b)) << b.size();
    return b;
  };
  EXPECT_EQ(without({}), whole);
  EXPECT_EQ(without({100, 101, 116, 65535, 0}, 8), whole);
  auto expected = whole;
  expected.erase(expected.begin() + 8, expected.begin() + 28);
  EXPECT_EQ(without({100, 101, 116, 65535, 0}), expected);
  expected = whole;
  expected[21] = 116;
  expected[22] = expected[23] = 0;
  EXPECT_EQ(without({100, 101}), expected);
  expected = whole;
  expected.erase(expected.begin() + 20, expected.begin() + 24);
  expected[11] = 3;
  expected[20] = expected[21] = expected[23] = 0;  // 0 alone
  EXPECT_EQ(without({65535, 100, 101, 116}), expected);
  std::vector<uint8_t> alone(whole.begin() + 8, whole.begin() + 28);
  EXPECT_EQ(take_out_nacks(alone, [](uint32_t, uint16_t) { return true; }), 0u);
  std::vector<uint8_t> empty = {0x81, 205, 0, 2, 0, 0, 0, 9, 0, 0, 0, 7};
  EXPECT_EQ(take_out_nacks(empty, [](uint32_t, uint16_t) { return false; }), 0u) << "it asks for nothing";
  std::vector<uint8_t> headless = {0x81, 201, 0, 0};
  headless.insert(headless.end(), whole.begin() + 8, whole.begin() + 28);
  ASSERT_TRUE(RtcpReader::open(headless));
  EXPECT_EQ(take_out_nacks(headless, [](uint32_t, uint16_t) { return true; }), 0u);
}

}  // namespace
}  // namespace tandem::rtp
