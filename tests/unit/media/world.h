#pragma once
// A media engine with phones around it: ports are a table, packets are vectors, time jumps.
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dtls/twin_endpoint.h"
#include "media/engine.h"
#include "rtp/packet.h"
#include "rtp/rtcp.h"

namespace tandem::media {

/// Ports 20000 and up on 192.0.2.100, counting what is open.
class FakePorts final : public port::MediaPorts {
 public:
  explicit FakePorts(uint16_t pairs = 1000) : pairs_(pairs) {}

  std::optional<Pair> open_pair(port::RealmId, IpAddress::Family like) override {
    for (uint16_t i = 0; i < pairs_; ++i) {
      const auto number = static_cast<uint16_t>(20000 + 2 * i);
      if (!numbers_.contains(number)) return bind(number, like);
    }
    return std::nullopt;
  }
  std::optional<Pair> reopen_pair(port::RealmId, SocketAddress rtp) override {
    if (numbers_.contains(rtp.port)) return std::nullopt;
    return bind(rtp.port, rtp.ip.family);
  }
  void close(port::MediaPortId id) override {
    const auto it = open_.find(id.slot);
    if (it == open_.end() || it->second.id != id) {
      ++wrong_closes;
      return;
    }
    numbers_.erase(it->second.local.port);
    open_.erase(it);
  }
  bool widen(port::RealmId, Pair& pair, const SocketAddress&) override {
    if (!two_families) return false;
    for (port::MediaPort* p : {&pair.rtp, &pair.rtcp}) {
      p->other_local = {p->local.ip.is_v4() ? v6() : v4(), p->local.port};
      p->other_advertised = p->other_local.ip;
      open_[p->id.slot] = *p;
    }
    return true;
  }
  std::optional<port::SharedPort> open_shared(port::RealmId) override {
    if (shared_number == 0) return std::nullopt;
    if (!hub_) hub_ = {fresh_slot(), ++generation_};
    port::SharedPort out{{{}, {v4(), shared_number}, v4(), {}, {}}, hub_, connections};
    if (two_families) out.leg.other_local = {v6(), shared_number}, out.leg.other_advertised = v6();
    out.leg.id = {fresh_slot(), ++generation_};
    open_[out.leg.id.slot] = out.leg;
    return out;
  }
  void keep(port::MediaPortId hub, const SocketAddress& remote) override {
    if (hub == hub_) kept.insert(remote);
  }
  void end(port::MediaPortId hub, const SocketAddress& remote) override {
    if (hub != hub_) return;
    kept.erase(remote);
    ended.push_back(remote);
  }
  /// The number of the port that legs share; 0: there is none.
  uint16_t shared_number = 0;
  bool connections = true, two_families = false;
  std::set<SocketAddress> kept;
  std::vector<SocketAddress> ended;

  size_t open() const { return open_.size(); }
  /// The id bound to that number now.
  port::MediaPortId id_of(uint16_t number) const {
    if (number != 0 && number == shared_number) return hub_;
    for (const auto& [slot, p] : open_)
      if (p.local.port == number) return p.id;
    return {};
  }
  uint16_t number_of(port::MediaPortId id) const {
    const auto it = open_.find(id.slot);
    return it == open_.end() || it->second.id != id ? 0 : it->second.local.port;
  }
  void take(uint16_t number) { numbers_.insert(number); }

  size_t wrong_closes = 0;

  static IpAddress v4() { return IpAddress::v4(192, 0, 2, 100); }
  static IpAddress v6() { return *IpAddress::parse("2001:db8::100"); }

 private:
  uint32_t fresh_slot() const {
    uint32_t slot = 0;
    while (open_.contains(slot) || (hub_ && hub_.slot == slot)) ++slot;
    return slot;
  }
  Pair bind(uint16_t number, IpAddress::Family family) {
    const IpAddress ip = family == IpAddress::Family::v6 ? v6() : v4();
    const auto one = [&](uint16_t n) {
      const uint32_t slot = fresh_slot();
      port::MediaPort p{{slot, ++generation_}, {ip, n}, ip, {}, {}};
      open_[slot] = p;
      numbers_.insert(n);
      return p;
    };
    const auto rtp = one(number);
    const auto rtcp = one(static_cast<uint16_t>(number + 1));
    return Pair{rtp, rtcp};
  }
  uint16_t pairs_;
  uint32_t generation_ = 0;
  port::MediaPortId hub_;
  std::map<uint32_t, port::MediaPort> open_;
  std::set<uint16_t> numbers_;
};

struct Sent {
  uint16_t from = 0;  // our port number
  SocketAddress to;
  std::vector<uint8_t> bytes;
  Instant when{};
  bool connection = false;
  uint16_t sequence() const { return rtp::load16(&bytes[2]); }
  uint32_t timestamp() const { return rtp::load32(&bytes[4]); }
  uint32_t ssrc() const { return rtp::load32(&bytes[8]); }
  uint8_t payload_type() const { return bytes[1] & 0x7F; }
};

inline SocketAddress at(const std::string& text) { return SocketAddress::parse(text).value(); }

/// An SDP of a phone: one audio line at `address`.
inline std::string phone_sdp(const std::string& address, const std::string& formats = "0 8 101",
                             const std::string& attributes = "") {
  const SocketAddress a = at(address);
  const std::string family = a.ip.is_v6() ? "IP6 " : "IP4 ";
  return "v=0\r\no=phone 1 1 IN " + family + a.ip.to_string() + "\r\ns=-\r\nc=IN " + family +
         a.ip.to_string() + "\r\nt=0 0\r\nm=audio " + std::to_string(a.port) + " RTP/AVP " + formats +
         "\r\na=rtpmap:101 telephone-event/8000\r\n" + attributes;
}

inline sdp::Description parsed(const std::string& text) { return sdp::Description::parse(text).value(); }

/// A stream a phone sends.
struct Voice {
  SocketAddress from;
  uint32_t ssrc = 0x11111111;
  uint16_t sequence = 100;
  uint32_t timestamp = 8000;
  uint8_t payload_type = 0;
  std::vector<uint8_t> packet(size_t payload = 160) {
    std::vector<uint8_t> bytes(12 + payload, 0xD5);
    rtp::Header h;
    h.payload_type = payload_type;
    h.sequence = sequence++;
    h.timestamp = timestamp;
    h.ssrc = ssrc;
    h.write(bytes.data());
    timestamp += 160;
    return bytes;
  }
};

struct World {
  FakePorts ports;
  SeededRng rng{7};
  SeededRng key_rng{17};
  std::unique_ptr<dtls::Endpoint> keys;
  CounterSet counters;
  EngineConfig config;
  std::unique_ptr<Engine> engine;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  std::vector<Sent> sent;
  Duration late{};  // by which every timer fires: a worker that has too much to do

  explicit World(uint16_t pairs = 1000, EngineConfig c = {}, std::unique_ptr<dtls::Endpoint> with = nullptr)
      : ports(pairs), keys(std::move(with)), config(c) {
    if (!keys) keys = std::make_unique<dtls::TwinEndpoint>(key_rng);
    engine = std::make_unique<Engine>(config, ports, rng, counters, *keys);
  }

  void drain(const port::MediaOut& out) {
    for (const auto& s : out.sends)
      sent.push_back(
          {ports.number_of(s.port), s.remote, {s.bytes.begin(), s.bytes.end()}, now.mono, s.connection});
  }
  /// One datagram arrives at our port `to`.
  void receive(const SocketAddress& from, uint16_t to, std::vector<uint8_t> bytes, bool connection = false) {
    constexpr uint32_t room = 32;
    const size_t size = bytes.size();
    bytes.resize(size + room);
    port::MediaPacket p{ports.id_of(to), from, MutableBytes(bytes).first(size), room, connection};
    port::MediaOut out;
    engine->on_media(now, {&p, 1}, out);
    drain(out);
  }
  void talk(Voice& v, uint16_t to, int packets = 1) {
    for (int i = 0; i < packets; ++i) {
      receive(v.from, to, v.packet());
      pass(milliseconds(20));
    }
  }
  /// Time passes; timers fire in order at their own moment.
  void pass(Duration d) {
    const Instant end = now.mono + d;
    while (engine->next_timeout() + late <= end) {
      const Instant t = std::max(engine->next_timeout() + late, now.mono);
      now.wall = now.wall + (t - now.mono);
      now.mono = t;
      port::MediaOut out;
      engine->on_timeout(now, out);
      drain(out);
    }
    now.wall = now.wall + (end - now.mono);
    now.mono = end;
  }
  std::vector<Sent> take_sent() { return std::exchange(sent, {}); }
  std::vector<MediaEvent> events() {
    std::vector<MediaEvent> out;
    engine->take_events(out);
    return out;
  }
  size_t count(MediaEvent::Kind kind) {
    size_t n = 0;
    for (const MediaEvent& e : events()) n += e.kind == kind;
    return n;
  }
  uint16_t port_of(const std::string& body) { return parsed(body).media(0).port; }
};

/// A and B talking through the engine; A offered.
struct Call {
  EndpointId a;
  EndpointId b;
  uint16_t a_port = 0;  // ours, towards A
  uint16_t b_port = 0;
  std::string to_a;
  std::string to_b;
  Voice voice_a{at("10.0.0.1:4000"), 0xAAAA};
  Voice voice_b{at("10.0.0.2:5000"), 0xBBBB, 30000};
};

inline Call establish(World& w, const std::string& offer, const std::string& answer,
                      EndpointConfig config = {}) {
  Call c;
  c.a = w.engine->open(config).value();
  c.b = w.engine->open(config).value();
  (void)w.engine->set_remote(w.now, c.a, parsed(offer), SdpRole::offer).ok();
  c.to_b = w.engine->present(w.now, c.b, parsed(offer), SdpRole::offer).value();
  (void)w.engine->set_remote(w.now, c.b, parsed(answer), SdpRole::answer).ok();
  c.to_a = w.engine->present(w.now, c.a, parsed(answer), SdpRole::answer).value();
  (void)w.engine->join(w.now, c.a, c.b).ok();
  c.a_port = w.port_of(c.to_a);
  c.b_port = w.port_of(c.to_b);
  return c;
}
inline Call establish(World& w, EndpointConfig config = {}) {
  return establish(w, phone_sdp("10.0.0.1:4000"), phone_sdp("10.0.0.2:5000"), config);
}

}  // namespace tandem::media
