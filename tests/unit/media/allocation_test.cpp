// The hot path takes no memory: every operator new of this program is counted.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "world.h"

namespace {
size_t allocations = 0;
}

// Not inlined: the compiler would otherwise pair malloc with delete and warn.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tandem::media {
namespace {

TEST(Allocation, RelayingTakesNone) {
  World w;
  Call c = establish(w);
  w.talk(c.voice_a, c.a_port);
  w.talk(c.voice_b, c.b_port);
  std::vector<std::vector<uint8_t>> storage;
  std::vector<port::MediaPacket> batch;
  for (int i = 0; i < 64; ++i) storage.push_back(i % 2 ? c.voice_a.packet() : c.voice_b.packet());
  std::vector<uint8_t> report(160);
  report.resize(rtp::write_report(report, 0xAAAA, std::nullopt, rtp::ReportBlock{}, "a"));
  storage.push_back(report);
  for (size_t i = 0; i < storage.size(); ++i) {
    const bool rtcp = i + 1 == storage.size();
    const bool from_a = i % 2 == 1 || rtcp;
    SocketAddress from = from_a ? c.voice_a.from : c.voice_b.from;
    if (rtcp) from.port++;
    const uint16_t port = from_a ? c.a_port : c.b_port;
    batch.push_back({w.ports.id_of(static_cast<uint16_t>(port + rtcp)), from, storage[i], 0});
  }
  port::MediaOut out;
  w.engine->on_media(w.now, batch,
                     out);  // the first batch sizes the list of sends and confirms the RTCP source
  EXPECT_EQ(out.sends.size(), 65u);
  out.clear();
  allocations = 0;
  w.engine->on_media(w.now, batch, out);
  EXPECT_EQ(allocations, 0u);
  EXPECT_EQ(out.sends.size(), 65u);
}

}  // namespace
}  // namespace tandem::media
