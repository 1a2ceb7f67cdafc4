// rooms: turn base port crypto stun
// sources: src/net/turn_frame.cpp
// Anything a client or a peer may send, over datagrams and streams, signed where the input says so that more
// than the first check is reached: the server neither crashes nor answers a stranger with more than a
// challenge, and what it relays lies within what came in.
#include <cstdlib>

#include "net/turn_frame.h"
#include "turn/credentials.h"
#include "turn/server.h"

namespace {

using namespace tandem;
using namespace tandem::turn;

class Ports final : public port::RelayPorts {
 public:
  bool has(IpAddress::Family) const override { return true; }
  std::optional<port::RelayPort> open(IpAddress::Family f, bool even) override {
    return next_ > 40 ? std::nullopt : std::optional(make(f, even));
  }
  std::optional<std::pair<port::RelayPort, port::RelayPort>> open_pair(IpAddress::Family f) override {
    if (next_ > 40) return std::nullopt;
    const auto low = make(f, true);
    return std::pair{low, make(f, false)};
  }
  std::optional<port::RelayPort> open_tcp(IpAddress::Family f) override { return open(f, false); }
  std::optional<port::RelayPort> reopen(SocketAddress local, bool) override {
    return port::RelayPort{{next_++, 1}, local, {}};
  }
  void close(port::RelayPortId) override {}
  port::RelayConnection connect(port::RelayPortId, SocketAddress) override { return ++connections_; }
  void splice(port::RelayConnection, const port::RelayClient&, std::shared_ptr<port::PipeMeter>) override {}
  void keep(const port::RelayClient&) override {}
  void let_go(const port::RelayClient&) override {}
  void close(port::RelayConnection) override {}
  void close(const port::RelayClient&) override {}

 private:
  port::RelayPort make(IpAddress::Family f, bool even) {
    if (even && next_ % 2 != 0) ++next_;
    IpAddress ip = IpAddress::v4(192, 0, 2, 1);
    ip.family = f;
    const uint32_t n = next_++;
    return {{n, 1}, {ip, static_cast<uint16_t>(50000 + n)}, {}};
  }
  uint32_t next_ = 0, connections_ = 0;
};

constexpr std::string_view secret = "a secret of sixteen octets", realm = "r";

/// The attributes of the input under a right signature.
std::vector<uint8_t> sign(const stun::Message& m, Bytes raw, const std::string& user,
                          std::string_view nonce) {
  stun::Writer w(m.message_class(), m.method(), m.transaction());
  w.add(stun::attribute::username, user)
      .add(stun::attribute::realm, realm)
      .add(stun::attribute::nonce, nonce);
  for (size_t at = 20; at + 4 <= raw.size();) {
    const auto type = static_cast<uint16_t>(raw[at] << 8 | raw[at + 1]);
    const size_t size = static_cast<size_t>(raw[at + 2] << 8 | raw[at + 3]);
    if (size > raw.size() - at - 4) break;
    if (type != stun::attribute::message_integrity && type != stun::attribute::message_integrity_sha256 &&
        type != stun::attribute::fingerprint)
      w.add(type, raw.subspan(at + 4, size));
    at += 4 + ((size + 3) & ~size_t{3});
  }
  w.add_integrity(as_bytes(stun::long_term_key_md5(user, realm, timed_password(secret, user))));
  return w.octets();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Config config;
  config.enabled = true;
  config.realm = realm;
  config.secrets = {std::string(secret)};
  config.allocations_per_user = 0;
  config.allocations = 8;
  Ports ports;
  SeededRng rng(1);
  CounterSet counters;
  Server server(config, ports, rng, counters);
  Server twin(config, ports, rng, counters);
  port::Outbox out;
  Now now{{1'000'000'000}, {1'700'000'000'000'000'000}};
  const std::string user = "1800000000:f";
  const std::string nonce =
      Nonces(config.nonce_key, config.nonce_lifetime).mint(now, IpAddress::v4(203, 0, 113, 7));

  // One octet says how the next message comes, two how long it is.
  for (Bytes rest(data, size); rest.size() > 3;) {
    const uint8_t how = rest[0];
    const size_t length = std::min<size_t>(size_t{rest[1]} << 8 | rest[2], rest.size() - 3);
    Bytes message = rest.subspan(3, length);
    rest = rest.subspan(3 + length);
    const auto frame = net::turn_frame_length(message);
    if (frame && *frame > 65535 + 24) std::abort();
    port::RelayPacket p;
    std::vector<uint8_t> signed_one;
    if (how & 0x80) {
      p.port = {static_cast<uint32_t>(how & 7), 1};
      p.peer = {IpAddress::v4(8, 8, 8, static_cast<uint8_t>(how >> 3 & 7)), 53};
    } else {
      p.client.transport = static_cast<port::RelayTransport>(how & 3);
      p.client.slot = how >> 2 & 3;
      p.client.generation = p.client.transport == port::RelayTransport::udp ? 0 : 1;
      p.client.remote = {IpAddress::v4(203, 0, 113, 7), static_cast<uint16_t>(4000 + p.client.slot)};
      const auto m = stun::Message::parse(message);
      if ((how & 0x40) && m) {
        signed_one = sign(*m, message, user, nonce);
        message = signed_one;
      }
    }
    std::vector<uint8_t> area(port::relay_headroom + message.size() + port::relay_tailroom);
    std::copy(message.begin(), message.end(), area.begin() + port::relay_headroom);
    p.bytes = MutableBytes(area).subspan(port::relay_headroom, message.size());
    server.on_packets(now, {&p, 1}, out);
    for (const auto& s : out.relay.to_peers)
      if (s.bytes.data() < area.data() || s.bytes.data() + s.bytes.size() > area.data() + area.size())
        std::abort();
    if (out.relay.to_clients.size() > 1) std::abort();
    out.relay.clear();
    out.new_asks.clear(), out.asks.clear(), out.events.clear(), out.seats.clear(), out.relay_moves.clear();
    now.mono = now.mono + milliseconds(rest.size());
    now.wall = now.wall + milliseconds(rest.size());
    server.on_timeout(now, out);
    if (server.size() > config.allocations || server.waiting() > config.waiting) std::abort();
  }
  std::vector<Server::Part> parts;
  server.snapshot(now, parts);
  for (const auto& part : parts)
    if (!twin.restore(now, part.bytes)) std::abort();
  twin.restore(now, {reinterpret_cast<const char*>(data), size});
  return 0;
}
