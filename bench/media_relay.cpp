// rooms: media rtp sdp base port
// Cost of the flow engine: packets in batches of 64 from both sides of many calls, no sockets.
// items_per_second is packets per second of the engine alone.
#include <benchmark/benchmark.h>
#include <time.h>

#include <string>
#include <vector>

#include "dtls/twin_endpoint.h"
#include "media/engine.h"
#include "rtp/packet.h"

namespace {

using namespace tandem;

class CountedPorts final : public port::MediaPorts {
 public:
  std::optional<Pair> open_pair(port::RealmId, IpAddress::Family) override { return Pair{one(), one()}; }
  std::optional<Pair> reopen_pair(port::RealmId, SocketAddress) override { return std::nullopt; }
  void close(port::MediaPortId) override {}

 private:
  port::MediaPort one() {
    const IpAddress ip = IpAddress::v4(192, 0, 2, 1);
    const uint32_t slot = next_++;
    return {{slot, 1}, {ip, static_cast<uint16_t>(10000 + slot)}, ip};
  }
  uint32_t next_ = 0;
};

std::string description(uint32_t call, uint8_t side) {
  return "v=0\r\no=- 1 1 IN IP4 10.0.0." + std::to_string(side) + "\r\ns=-\r\nc=IN IP4 10.0.0." +
         std::to_string(side) + "\r\nt=0 0\r\nm=audio " + std::to_string(2000 + 2 * call) +
         " RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
}

struct Leg {
  port::MediaPortId port;
  SocketAddress from;
  std::vector<uint8_t> packet;
};

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void relay(benchmark::State& state) {
  CountedPorts ports;
  SeededRng rng(1);
  CounterSet counters;
  dtls::TwinEndpoint keys(rng);
  media::Engine engine({}, ports, rng, counters, keys);
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  std::vector<Leg> legs;
  const auto calls = static_cast<uint32_t>(state.range(0));
  for (uint32_t i = 0; i < calls; ++i) {
    const auto a = engine.open({}).value();
    const auto b = engine.open({}).value();
    const auto offer = sdp::Description::parse(description(i, 1)).value();
    const auto answer = sdp::Description::parse(description(i, 2)).value();
    if (!engine.set_remote(now, a, offer, media::SdpRole::offer) ||
        !engine.present(now, b, offer, media::SdpRole::offer) ||
        !engine.set_remote(now, b, answer, media::SdpRole::answer) ||
        !engine.present(now, a, answer, media::SdpRole::answer) || !engine.join(now, a, b)) {
      state.SkipWithError("a call was not set up");
      return;
    }
    for (const uint8_t side : {2, 1}) {  // present(b) bound its ports first
      Leg leg{{4 * i + (side == 2 ? 0u : 2u), 1},
              {IpAddress::v4(10, 0, 0, side), static_cast<uint16_t>(2000 + 2 * i)},
              std::vector<uint8_t>(172)};
      rtp::Header h;
      h.ssrc = i * 2 + side;
      h.write(leg.packet.data());
      legs.push_back(std::move(leg));
    }
  }
  constexpr size_t batch_size = 64;
  std::vector<port::MediaPacket> batch(batch_size);
  port::MediaOut out;
  size_t at = 0;
  uint64_t sent = 0;
  uint64_t received = 0;
  for (auto _ : state) {
    for (auto& p : batch) {
      Leg& leg = legs[at];
      if (++at == legs.size()) {
        at = 0;
        now.mono = now.mono + milliseconds(20);
      }
      uint8_t* b = leg.packet.data();
      rtp::store16(b + 2, static_cast<uint16_t>(rtp::load16(b + 2) + 1));
      rtp::store32(b + 4, rtp::load32(b + 4) + 160);
      p = {leg.port, leg.from, leg.packet, 0};
    }
    // Only the engine is timed, in CPU seconds: what a batch costs the generator is not the relay's.
    const auto start = cpu_seconds();
    out.clear();
    engine.on_media(now, batch, out);
    state.SetIterationTime(cpu_seconds() - start);
    sent += out.sends.size();
    received += batch_size;
    benchmark::DoNotOptimize(out.sends.data());
  }
  if (sent != received) state.SkipWithError("packets were lost");
  state.SetItemsProcessed(static_cast<int64_t>(received));
}
BENCHMARK(relay)->Arg(1)->Arg(100)->Arg(1000)->Arg(5000)->UseManualTime();

/// Anchoring of one call: two endpoints, offer and answer through both, until both are closed.
void setup(benchmark::State& state) {
  CountedPorts ports;
  SeededRng rng(1);
  CounterSet counters;
  dtls::TwinEndpoint keys(rng);
  media::Engine engine({}, ports, rng, counters, keys);
  const Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  const std::string offer_text = description(1, 1);
  const std::string answer_text = description(1, 2);
  for (auto _ : state) {
    const auto a = engine.open({}).value();
    const auto b = engine.open({}).value();
    const auto offer = sdp::Description::parse(offer_text).value();
    bool ok = engine.set_remote(now, a, offer, media::SdpRole::offer).ok();
    ok = ok && engine.present(now, b, offer, media::SdpRole::offer).ok();
    const auto answer = sdp::Description::parse(answer_text).value();
    ok = ok && engine.set_remote(now, b, answer, media::SdpRole::answer).ok();
    ok = ok && engine.present(now, a, answer, media::SdpRole::answer).ok();
    ok = ok && engine.join(now, a, b).ok();
    if (!ok) {
      state.SkipWithError("a call was not set up");
      return;
    }
    engine.close(now, a);
    engine.close(now, b);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(setup)->Iterations(2000);  // the fake never reuses a port slot

}  // namespace

BENCHMARK_MAIN();
