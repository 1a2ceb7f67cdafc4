// rooms: media rtp sdp codec base port
// Any bytes on any port of a running relay: nothing may be sent but to the two parties, and every length
// holds.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "dtls/twin_endpoint.h"
#include "media/engine.h"
#include "rtp/arrivals.h"
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

sdp::Description description(const char* host) {
  return sdp::Description::parse(
             std::string("v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 ") + host +
             "\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n")
      .value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (uint8_t id = 1; id < 15; ++id)
    if (const auto at = rtp::find_extension16(Bytes(data, size), id); at && *at + 2 > size) std::abort();
  if (const auto h = rtp::Header::parse({data, size}); h && size_t{h->payload_offset} + h->padding > size)
    std::abort();
  rtp::TelephoneEvent::parse({data, size});

  CountedPorts ports;
  SeededRng rng(1);
  CounterSet counters;
  dtls::TwinEndpoint keys(rng);
  media::Engine engine({}, ports, rng, counters, keys);
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  const auto a = engine.open({}).value();
  const auto b = engine.open({}).value();
  const auto offer = description("10.0.0.1");
  const auto answer = description("10.0.0.2");
  if (!engine.set_remote(now, a, offer, media::SdpRole::offer) ||
      !engine.present(now, b, offer, media::SdpRole::offer) ||
      !engine.set_remote(now, b, answer, media::SdpRole::answer) ||
      !engine.present(now, a, answer, media::SdpRole::answer) || !engine.join(now, a, b))
    std::abort();
  port::MediaOut out;
  // Records of {port and source, length, bytes}.
  for (size_t at = 0; at + 2 <= size;) {
    const uint8_t where = data[at];
    const size_t length = std::min<size_t>(data[at + 1], size - at - 2);
    std::vector<uint8_t> bytes(data + at + 2, data + at + 2 + length);
    at += 2 + length;
    const SocketAddress from{IpAddress::v4(10, 0, 0, static_cast<uint8_t>(1 + (where >> 2 & 1))),
                             static_cast<uint16_t>(4000 + (where >> 3 & 3))};
    port::MediaPacket p{{where & 3u, 1}, from, bytes, 0};
    now.mono = now.mono + milliseconds(20);
    out.clear();
    engine.on_media(now, {&p, 1}, out);
    for (const auto& s : out.sends)
      if (s.bytes.size() != bytes.size() || s.remote.ip.bytes[0] != 10) std::abort();
  }
  engine.statistics(a);
  engine.on_timeout(now, out);
  return 0;
}
