#include "rtp/xr.h"

#include <gtest/gtest.h>

#include <vector>

#include "rtp/packet.h"

namespace tandem::rtp {
namespace {

using Octets = std::vector<uint8_t>;

VoipMetrics some_metrics() {
  VoipMetrics m;
  m.ssrc = 0x22222222;
  m.loss_rate = 13;
  m.discard_rate = 2;
  m.burst_density = 100;
  m.gap_density = 1;
  m.burst_duration_ms = 120;
  m.gap_duration_ms = 4000;
  m.round_trip_ms = 80;
  m.end_system_delay_ms = 65;
  m.signal_level = -20;
  m.noise_level = -60;
  m.r_factor = 88;
  m.mos_lq = 43;
  m.mos_cq = 42;
  m.receiver_config = standard_concealment | adaptive_jitter_buffer;
  m.jitter_buffer_ms = 40;
  m.jitter_buffer_max_ms = 200;
  m.jitter_buffer_abs_max_ms = 300;
  return m;
}

Octets extended(const XrContents& contents) {
  Octets out(100);
  out.resize(write_xr(out, 0x11111111, contents));
  return out;
}

RtcpPacket packet_of(Bytes compound) { return *RtcpReader::open(compound)->next(); }

TEST(Xr, WritesAndReadsEveryBlock) {
  XrContents contents;
  contents.reference_time = 0x0123456789ABCDEF;
  contents.dlrr = Dlrr{0x33333333, 0xAABBCCDD, 65536};
  contents.metrics = some_metrics();
  const Octets b = extended(contents);
  ASSERT_EQ(b.size(), 72u);
  auto reader = XrReader::open(packet_of(b));
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->ssrc(), 0x11111111u);
  auto block = reader->next();
  ASSERT_TRUE(block);
  EXPECT_EQ(*read_reference_time(*block), 0x0123456789ABCDEFu);
  block = reader->next();
  ASSERT_TRUE(block);
  ASSERT_EQ(*count_dlrr(*block), 1u);
  EXPECT_EQ(read_dlrr(*block, 0).ssrc, 0x33333333u);
  EXPECT_EQ(read_dlrr(*block, 0).last_rr, 0xAABBCCDDu);
  EXPECT_EQ(read_dlrr(*block, 0).delay_since_last_rr, 65536u);
  block = reader->next();
  ASSERT_TRUE(block);
  const auto m = VoipMetrics::parse(*block);
  ASSERT_TRUE(m);
  EXPECT_EQ(m->ssrc, 0x22222222u);
  EXPECT_EQ(m->loss_rate, 13);
  EXPECT_EQ(m->burst_density, 100);
  EXPECT_EQ(m->gap_duration_ms, 4000);
  EXPECT_EQ(m->signal_level, -20);
  EXPECT_EQ(m->residual_echo_return_loss, VoipMetrics::unavailable);
  EXPECT_EQ(m->gmin, 16);
  EXPECT_EQ(m->mos_cq, 42);
  EXPECT_EQ(m->receiver_config, 0xF0);
  EXPECT_EQ(m->jitter_buffer_abs_max_ms, 300);
  EXPECT_FALSE(reader->next());
}

TEST(Xr, TheWireIsRfc3611s) {
  XrContents contents;
  contents.metrics = some_metrics();
  const Octets b = extended(contents);
  EXPECT_EQ(Octets(b.begin(), b.begin() + 8), (Octets{0x80, 207, 0, 10, 0x11, 0x11, 0x11, 0x11}));
  EXPECT_EQ(Octets(b.begin() + 8, b.begin() + 12), (Octets{7, 0, 0, 8})) << "BT, reserved, length";
  EXPECT_EQ(b[16], 13) << "loss rate";
  EXPECT_EQ(b[28], 0xEC) << "signal level -20";
  EXPECT_EQ(b[32], 88) << "R";
}

TEST(Xr, NothingToSayIsNothing) {
  EXPECT_TRUE(extended({}).empty());
  Octets small(20);
  XrContents contents;
  contents.metrics = some_metrics();
  EXPECT_EQ(write_xr(small, 1, contents), 0u);
}

TEST(Xr, HostileLengths) {
  const auto open = [](Octets b) { return XrReader::open({207, 0, b}); };
  EXPECT_EQ(open({}).reason(), RtcpReason::short_xr);
  EXPECT_EQ(open({0, 0, 1}).reason(), RtcpReason::short_xr);
  EXPECT_EQ(open({0, 0, 0, 1, 7, 0, 0}).reason(), RtcpReason::xr_past_end) << "half a header";
  EXPECT_EQ(open({0, 0, 0, 1, 7, 0, 0xFF, 0xFF}).reason(), RtcpReason::xr_past_end);
  EXPECT_EQ(open({0, 0, 0, 1, 7, 0, 0, 1}).reason(), RtcpReason::xr_past_end);
  EXPECT_TRUE(open({0, 0, 0, 1})) << "no block at all";

  const auto first = [](const Octets& b) { return *XrReader::open({207, 0, b})->next(); };
  const Octets empty_metrics = {0, 0, 0, 1, 7, 0, 0, 0};
  EXPECT_EQ(VoipMetrics::parse(first(empty_metrics)).reason(), RtcpReason::bad_xr_length);
  const Octets short_time = {0, 0, 0, 1, 4, 0, 0, 1, 1, 2, 3, 4};
  EXPECT_EQ(read_reference_time(first(short_time)).reason(), RtcpReason::bad_xr_length);
  const Octets odd_dlrr = {0, 0, 0, 1, 5, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(count_dlrr(first(odd_dlrr)).reason(), RtcpReason::bad_xr_length);
  const Octets no_dlrr = {0, 0, 0, 1, 5, 0, 0, 0};
  EXPECT_EQ(*count_dlrr(first(no_dlrr)), 0u);
}

TEST(Xr, EveryTruncationIsRefused) {
  XrContents contents;
  contents.dlrr = Dlrr{1, 2, 3};
  contents.metrics = some_metrics();
  const Octets whole = extended(contents);
  for (size_t words = 1; words * 4 < whole.size(); ++words) {
    Octets b(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(words * 4));
    store16(&b[2], static_cast<uint16_t>(words - 1));  // the packet's own length is right
    if (b.size() < 8) continue;
    const auto reader = XrReader::open(packet_of(b));
    const bool between_blocks = b.size() == 8 || b.size() == 24;
    EXPECT_EQ(reader.ok(), between_blocks) << b.size();
  }
}

Octets receiver_report(uint32_t ssrc, uint32_t highest) {
  ReportBlock block;
  block.ssrc = ssrc;
  block.extended_highest = highest;
  Octets out(100);
  out.resize(write_report(out, 0x99, std::nullopt, block, "x"));
  return out;
}

uint32_t highest_in(const Octets& b) {
  return Report::parse(*RtcpReader::open(b)->next())->blocks[0].extended_highest;
}

TEST(ShiftBack, ReportBlocks) {
  Octets b = receiver_report(7, 0x00024005);
  shift_back(b, 7, 0x4000);
  EXPECT_EQ(highest_in(b), 0x00020005u);
  b = receiver_report(7, 0x00011000);  // wrapped because of the jump
  shift_back(b, 7, 0x4000);
  EXPECT_EQ(highest_in(b), 0x0000D000u);
  b = receiver_report(7, 0x00001000);  // the receiver began to count after the jump
  shift_back(b, 7, 0x4000);
  EXPECT_EQ(highest_in(b), 0x0000D000u);
  b = receiver_report(8, 0x00024005);
  shift_back(b, 7, 0x4000);
  EXPECT_EQ(highest_in(b), 0x00024005u) << "another's packets";
  b = receiver_report(7, 0x0002FFFE);  // packets were left out: the numbers are behind
  shift_back(b, 7, -6);
  EXPECT_EQ(highest_in(b), 0x00030004u);
}

TEST(ShiftBack, NacksAndExtendedReports) {
  Octets b = receiver_report(7, 0x00024005);
  const size_t nack = b.size();
  for (const uint8_t octet : {0x81, 205, 0, 4, 0, 0, 0, 9, 0, 0, 0, 7, 0x40, 0x01, 0, 0xFF, 0x40, 0x20, 0, 0})
    b.push_back(static_cast<uint8_t>(octet));
  const size_t xr = b.size();
  for (const uint8_t octet :
       {0x80, 207, 0, 5, 0, 0, 0, 9, 1, 0, 0, 3, 0, 0, 0, 7, 0x40, 0x00, 0x40, 0x10, 0xC0, 0, 0, 0})
    b.push_back(static_cast<uint8_t>(octet));
  ASSERT_TRUE(RtcpReader::open(b));
  shift_back(b, 7, 0x4000);
  EXPECT_EQ(load16(&b[nack + 12]), 0x0001);
  EXPECT_EQ(load16(&b[nack + 14]), 0x00FF) << "a bit mask";
  EXPECT_EQ(load16(&b[nack + 16]), 0x0020);
  EXPECT_EQ(load16(&b[xr + 16]), 0x0000);
  EXPECT_EQ(load16(&b[xr + 18]), 0x0010);
  const Octets was = b;
  shift_back(b, 7, 0);
  EXPECT_EQ(b, was);
  Octets rubbish = {0x81, 201, 0, 1, 0, 0, 0, 7};  // no room for its block
  const Octets before = rubbish;
  shift_back(rubbish, 7, 1);
  EXPECT_EQ(rubbish, before);
}

TEST(RenameSource, WhereverItStands) {
  Octets b = receiver_report(7, 0x00024005);  // of 0x99, with its CNAME
  const auto add = [&](std::initializer_list<int> octets) {
    const size_t at = b.size();
    for (const int octet : octets) b.push_back(static_cast<uint8_t>(octet));
    return at;
  };
  const size_t chunks =
      add({0x82, 202, 0, 5, 0, 0, 0, 5, 1, 1, 'x', 0, 0, 0, 0, 7, 1, 3, 'a', 'b', 'c', 0, 0, 0});
  const size_t bye = add({0x81, 203, 0, 1, 0, 0, 0, 7});
  const size_t picture_loss = add({0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 7});
  const size_t xr =
      add({0x80, 207, 0, 11, 0, 0, 0, 9, 4, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 7,  // a reference time
           5,    0,   0, 3,  0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0, 7,              // DLRR
           1,    0,   0, 2,  0, 0, 0, 7, 0, 0, 0, 7});
  ASSERT_TRUE(RtcpReader::open(b));
  const Octets before = b;
  rename_source(b, 7, 0x0A0B0C0D);
  std::vector<size_t> changed;
  for (size_t i = 0; i + 4 <= b.size(); i += 4)
    if (load32(&b[i]) != load32(&before[i])) {
      EXPECT_EQ(load32(&b[i]), 0x0A0B0C0Du) << i;
      changed.push_back(i);
    }
  EXPECT_EQ(changed,
            (std::vector<size_t>{8, chunks + 12, picture_loss + 4, picture_loss + 8, xr + 24, xr + 40}));
  EXPECT_EQ(load32(&b[bye + 4]), 7u) << "his stream ends, ours does not";
  rename_source(b, 0x0A0B0C0D, 7);
  EXPECT_EQ(b, before);
  rename_source(b, 0x99, 1);
  EXPECT_EQ(load32(&b[4]), 1u);
  EXPECT_EQ(load32(&b[36]), 1u) << "the chunk with its CNAME";
}

TEST(RestampSender, OnlyOfWhoIsMeant) {
  Octets b(100);
  b.resize(write_report(b, 7, SenderInfo{0x1122334455667788, 1000, 10, 1600}, std::nullopt, "x"));
  const Octets before = b;
  restamp_sender(b, 8, {1, 2, 3});
  EXPECT_EQ(b, before);
  restamp_sender(b, 7, {0xFFFFFFFF, 20, 3200});
  const auto info = Report::parse(*RtcpReader::open(b)->next())->sender;
  ASSERT_TRUE(info);
  EXPECT_EQ(info->ntp, 0x1122334455667788u);
  EXPECT_EQ(info->rtp_timestamp, 999u);
  EXPECT_EQ(info->packets, 20u);
  EXPECT_EQ(info->octets, 3200u);
}

}  // namespace
}  // namespace tandem::rtp
