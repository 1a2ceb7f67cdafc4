// rooms: media ice stun sdp rtp base port
// A leg on a port that many share. First octet even: what follows is a body of
// application/trickle-ice-sdpfrag, before and after the answer; candidates of it may be checked, nothing else
// is sent. Odd: datagrams and frames of any content, some with the leg's fragment in them; nobody knows the
// password, so nothing is sent, kept or claimed.
#include <cstdlib>
#include <string>
#include <vector>

#include "dtls/twin_endpoint.h"
#include "media/engine.h"

namespace {

using namespace tandem;

constexpr port::MediaPortId hub{0, 1}, leg_port{1, 1};

class OneHub final : public port::MediaPorts {
 public:
  std::optional<Pair> open_pair(port::RealmId, IpAddress::Family) override { return std::nullopt; }
  std::optional<Pair> reopen_pair(port::RealmId, SocketAddress) override { return std::nullopt; }
  void close(port::MediaPortId) override {}
  std::optional<port::SharedPort> open_shared(port::RealmId) override {
    const IpAddress ip = IpAddress::v4(192, 0, 2, 1);
    return port::SharedPort{{leg_port, {ip, 50'000}, ip, {}, {}}, hub, true};
  }
  void keep(port::MediaPortId, const SocketAddress&) override { std::abort(); }
};

sdp::Description offer() {
  return sdp::Description::parse(
             "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP "
             "0\r\na=mid:0\r\n"
             "a=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:"
             "trickle\r\n")
      .value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool datagrams = data[0] & 1;
  OneHub ports;
  SeededRng rng(1);
  CounterSet counters;
  dtls::TwinEndpoint keys(rng);
  media::Engine engine({}, ports, rng, counters, keys);
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  media::EndpointConfig config;
  config.ice = media::Ice::accepted;
  const auto leg = engine.open(config).value();
  if (!engine.set_remote(now, leg, offer(), media::SdpRole::offer)) std::abort();
  const std::string_view body(reinterpret_cast<const char*>(data + 1), size - 1);
  if (!datagrams) (void)engine.trickle_fragment(now, leg, body).ok();
  const auto told = engine.answer(now, leg);
  if (!told.ok()) std::abort();
  port::MediaOut out;
  if (!datagrams) {
    (void)engine.trickle_fragment(now, leg, body).ok();
    now.mono = now.mono + seconds(1);
    engine.on_timeout(now, out);
    for (const auto& s : out.sends)
      if (s.port != leg_port || s.bytes.size() < 20 || s.bytes[0] > 1) std::abort();
    return 0;
  }
  const std::string fragment(*sdp::Description::parse(*told)->attribute(0, "ice-ufrag"));
  // Records of {what, length, bytes}.
  for (size_t at = 1; at + 2 <= size;) {
    const uint8_t what = data[at];
    const size_t length = std::min<size_t>(data[at + 1], size - at - 2);
    std::vector<uint8_t> bytes(data + at + 2, data + at + 2 + length);
    at += 2 + length;
    // A known fragment where the record says so: USERNAME begins behind the first attribute's header.
    if ((what & 2) && bytes.size() >= 24 + fragment.size())
      std::copy(fragment.begin(), fragment.end(), bytes.begin() + 24);
    port::MediaPacket p{hub, {IpAddress::v4(10, 0, 0, what), 4000}, bytes, 0, (what & 1) != 0};
    now.mono = now.mono + milliseconds(20);
    out.clear();
    engine.on_media(now, {&p, 1}, out);
    if (!out.sends.empty()) std::abort();
  }
  return 0;
}
