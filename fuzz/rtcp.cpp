// rooms: rtp base
// Compounds: walked without reading past the end, whatever the counts and lengths say; extended reports
// likewise; shifted back and renamed without a change of their lengths; and what is left without some of the
// packets it asks for is a compound again.
#include <cstdlib>
#include <vector>

#include "rtp/rtcp.h"
#include "rtp/xr.h"

namespace {
using namespace tandem;

uint32_t walk_extended(const rtp::RtcpPacket& packet) {
  uint32_t sum = 0;
  auto blocks = rtp::XrReader::open(packet);
  if (!blocks) return 0;
  size_t walked = 4;
  while (const auto block = blocks->next()) {
    walked += 4 + block->body.size();
    for (const uint8_t b : block->body) sum += b;
    switch (static_cast<rtp::XrType>(block->type)) {
      case rtp::XrType::receiver_reference_time:
        if (const auto time = rtp::read_reference_time(*block); time.ok())
          sum += static_cast<uint32_t>(*time);
        break;
      case rtp::XrType::dlrr:
        if (const auto count = rtp::count_dlrr(*block); count.ok())
          for (size_t i = 0; i < *count; ++i) sum += rtp::read_dlrr(*block, i).last_rr;
        break;
      case rtp::XrType::voip_metrics:
        if (const auto metrics = rtp::VoipMetrics::parse(*block); metrics.ok()) sum += metrics->loss_rate;
        break;
      default:
        break;
    }
  }
  if (walked != packet.body.size()) std::abort();
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto reader = rtp::RtcpReader::open({data, size});
  if (!reader) return 0;
  size_t walked = 0;
  uint32_t sum = 0;
  uint32_t ssrc = 0;
  while (const auto packet = reader->next()) {
    walked += 4 + packet->body.size();
    for (const uint8_t b : packet->body) sum += b;
    if (packet->type == 200 || packet->type == 201) {
      const auto report = rtp::Report::parse(*packet);
      if (!report) continue;
      if (report->block_count > 31) std::abort();
      for (size_t i = 0; i < report->block_count; ++i) ssrc = report->blocks[i].ssrc;
    }
    if (packet->type == 207) sum += walk_extended(*packet);
  }
  if (walked > size) std::abort();
  std::vector<uint8_t> copy(data, data + size);
  rtp::shift_back(copy, ssrc, 0x4001);
  if (!rtp::RtcpReader::open(copy)) std::abort();
  const uint32_t sender = size >= 8 ? uint32_t{data[4]} << 24 | data[5] << 16 | data[6] << 8 | data[7] : 0;
  for (const uint32_t source : {sender, ssrc}) {
    rtp::rename_source(copy, source, 0x01020304);
    rtp::restamp_sender(copy, 0x01020304, {7, 8, 9});
  }
  if (!rtp::RtcpReader::open(copy)) std::abort();
  for (const uint16_t done : {0, 1, 3}) {  // a bit of the number that says so
    copy.assign(data, data + size);
    copy.resize(rtp::take_out_nacks(copy, [&](uint32_t, uint16_t n) { return (n & done) == done; }));
    if (!copy.empty() && !rtp::RtcpReader::open(copy)) std::abort();
  }
  return sum == 0xFFFFFFFF ? 1 : 0;
}
