// rooms: rtp base
// Compounds: walked without reading past the end, whatever the counts and lengths say.
#include <cstdlib>

#include "rtp/rtcp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  auto reader = rtp::RtcpReader::open({data, size});
  if (!reader) return 0;
  size_t walked = 0;
  uint32_t sum = 0;
  while (const auto packet = reader->next()) {
    walked += 4 + packet->body.size();
    for (const uint8_t b : packet->body) sum += b;
    if (const auto report = rtp::Report::parse(*packet)) {
      if (report->block_count > 31) std::abort();
      for (size_t i = 0; i < report->block_count; ++i) sum += report->blocks[i].ssrc;
    }
  }
  if (walked > size) std::abort();
  return sum == 0xFFFFFFFF ? 1 : 0;
}
