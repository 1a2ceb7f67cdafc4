#pragma once
// A server, the world it relays from as a table, and a client that answers challenges.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "auth/digest.h"
#include "turn/credentials.h"
#include "turn/server.h"

namespace tandem::turn {

namespace method = stun::method;
namespace attribute = stun::attribute;
using Octets = std::vector<uint8_t>;

inline SocketAddress at(std::string_view text) { return SocketAddress::parse(text).value(); }

class FakePorts final : public port::RelayPorts {
 public:
  IpAddress v4 = *IpAddress::parse("192.0.2.1"), v6 = *IpAddress::parse("2001:db8::1");
  uint16_t first = 50000, last = 50099;
  std::map<uint32_t, port::RelayPort> open_ports;
  std::set<SocketAddress> strangers;
  std::vector<port::RelayConnection> closed_connections;
  std::vector<port::RelayClient> closed_clients;
  std::vector<std::pair<port::RelayConnection, port::RelayClient>> spliced;
  std::vector<std::shared_ptr<port::PipeMeter>> meters;
  std::vector<port::RelayClient> kept;
  std::vector<SocketAddress> connects;
  bool refuse_connect = false;

  bool has(IpAddress::Family f) const override {
    return static_cast<bool>(f == IpAddress::Family::v6 ? v6 : v4);
  }
  std::optional<port::RelayPort> open(IpAddress::Family f, bool even) override {
    for (uint32_t n = first; n <= last; ++n)
      if ((!even || n % 2 == 0) && free(f, n)) return add(f, n);
    return std::nullopt;
  }
  std::optional<std::pair<port::RelayPort, port::RelayPort>> open_pair(IpAddress::Family f) override {
    for (uint32_t n = first; n < last; n += 2)
      if (free(f, n) && free(f, n + 1)) {
        const auto low = add(f, n);
        return std::pair{low, add(f, n + 1)};
      }
    return std::nullopt;
  }
  std::optional<port::RelayPort> open_tcp(IpAddress::Family f) override { return open(f, false); }
  std::optional<port::RelayPort> reopen(SocketAddress local, bool) override {
    if (!free(local.ip.family, local.port)) return std::nullopt;
    return add(local.ip.family, local.port);
  }
  void close(port::RelayPortId id) override { open_ports.erase(id.slot); }
  port::RelayConnection connect(port::RelayPortId, SocketAddress peer) override {
    if (refuse_connect) return 0;
    connects.push_back(peer);
    return ++last_connection_;
  }
  void splice(port::RelayConnection peer, const port::RelayClient& client,
              std::shared_ptr<port::PipeMeter> meter) override {
    spliced.emplace_back(peer, client);
    meters.push_back(std::move(meter));
  }
  void keep(const port::RelayClient& client) override { kept.push_back(client); }
  void let_go(const port::RelayClient& client) override { std::erase(kept, client); }
  void close(port::RelayConnection peer) override { closed_connections.push_back(peer); }
  void close(const port::RelayClient& client) override { closed_clients.push_back(client); }

  port::RelayConnection last_connection() const { return last_connection_; }

 private:
  bool free(IpAddress::Family f, uint32_t n) const {
    const SocketAddress wanted{f == IpAddress::Family::v6 ? v6 : v4, static_cast<uint16_t>(n)};
    if (strangers.contains(wanted)) return false;
    for (const auto& [slot, p] : open_ports)
      if (p.local == wanted) return false;
    return true;
  }
  port::RelayPort add(IpAddress::Family f, uint32_t n) {
    port::RelayPort p{
        {next_slot_++, 1}, {f == IpAddress::Family::v6 ? v6 : v4, static_cast<uint16_t>(n)}, {}};
    open_ports[p.id.slot] = p;
    return p;
  }
  uint32_t next_slot_ = 0;
  port::RelayConnection last_connection_ = 0;
};

/// What a client got, parsed; owns the octets.
struct Got {
  Octets octets;
  bool is_stun() const { return !octets.empty() && octets[0] < 0x40; }
  stun::Message message() const { return stun::Message::parse(octets).value(); }
  uint16_t error() const {
    if (octets.empty()) return 1;  // nothing came
    const auto m = stun::Message::parse(octets);
    return m && m->error() ? m->error()->code : uint16_t{0};
  }
};

class World : public ::testing::Test {
 protected:
  World() {
    config.enabled = true;
    config.realm = "example.org";
    config.secrets = {"a secret of sixteen octets"};
    config.nonce_key = {1, 2, 3};
    config.challenges_per_second = 0;
    config.allocations_per_second = 0;
    config.policy.own = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("198.51.100.9")};
    config.policy.relays = {*IpAddress::parse("192.0.2.1")};
    config.policy.first_port = 50000;
    config.policy.last_port = 50099;
    // Documentation addresses stand for the open internet here.
    for (const char* block : {"192.0.2.128/25", "198.51.100.0/25", "203.0.113.0/24", "2001:db8::/32"})
      config.policy.allow.push_back(*IpPrefix::parse(block));
    config.policy.allow.push_back(*IpPrefix::parse("192.0.2.1/32"));
    now.wall = {1'700'000'000'000'000'000};
    now.mono = {1'000'000'000};
  }
  Server& server() {
    if (!server_) server_ = std::make_unique<Server>(config, ports, rng, counters);
    return *server_;
  }
  void restart() { server_.reset(); }

  void advance(Duration d) {
    now.mono = now.mono + d;
    now.wall = now.wall + d;
    server().on_timeout(now, out);
    take_seats();
  }

  static port::RelayClient client(std::string_view remote = "203.0.113.7:4000",
                                  port::RelayTransport t = port::RelayTransport::udp, uint32_t slot = 0) {
    port::RelayClient c;
    c.transport = t;
    c.remote = at(remote);
    if (t != port::RelayTransport::udp) c.slot = slot, c.generation = 1;
    return c;
  }

  /// Room around a packet, as the driver gives it.
  struct Packet {
    Octets area;
    port::RelayPacket packet;
  };
  static Packet around(Bytes bytes) {
    Packet p;
    p.area.assign(port::relay_headroom + bytes.size() + port::relay_tailroom, 0xEE);
    std::copy(bytes.begin(), bytes.end(), p.area.begin() + port::relay_headroom);
    p.packet.bytes = MutableBytes(p.area).subspan(port::relay_headroom, bytes.size());
    return p;
  }

  struct Sent {
    SocketAddress from, peer;
    Octets octets;
    bool dont_fragment = false;
  };
  /// Hands it in, and takes what came out of it. Questions are answered as `row` and `seat` say.
  void hand_in(Packet& p) {
    server().on_packets(now, {&p.packet, 1}, out);
    collect();
    answer_asks();
  }
  void collect() {
    for (const auto& s : out.relay.to_clients) {
      got.emplace_back(Got{{s.bytes.begin(), s.bytes.end()}});
      got_by.push_back(s.client);
    }
    for (const auto& s : out.relay.to_peers)
      sent.push_back({ports.open_ports.at(s.port.slot).local,
                      s.peer,
                      {s.bytes.begin(), s.bytes.end()},
                      s.dont_fragment});
    out.relay.clear();
  }
  void answer_asks() {
    while (!hold_asks && !out.asks.empty()) {
      const auto asked = std::move(out.asks.front());
      const auto asker = out.new_asks.front().asker;
      out.asks.erase(out.asks.begin());
      out.new_asks.erase(out.new_asks.begin());
      EXPECT_EQ(asker.room, port::Asker::Room::turn);
      port::Answer answer = port::NotFound{};
      if (const auto* q = std::get_if<port::AskSubscriber>(&asked.question)) {
        asked_for.push_back(q->aor.to_string());
        if (const auto it = rows.find(q->aor); it != rows.end()) answer = it->second;
      } else if (const auto* s = std::get_if<port::AskSeat>(&asked.question)) {
        auto& held = seats[s->pool.name];
        const bool granted = held.size() < config.allocations_per_user;
        if (granted) held.insert(s->seat);
        answer =
            port::SeatAnswer{granted ? port::SeatAnswer::Verdict::granted : port::SeatAnswer::Verdict::full};
      }
      server().on_answer(now, asker.object, answer, out);
      collect();
    }
    take_seats();
  }
  void take_seats() {
    for (const auto& u : out.seats)
      if (!u.held)
        for (const uint64_t s : u.seats) seats[u.pool.name].erase(s);
    out.seats.clear();
  }
  Got take() {
    if (got.empty()) return {};
    Got g = std::move(got.front());
    got.erase(got.begin());
    got_by.erase(got_by.begin());
    return g;
  }

  Got send_raw(const port::RelayClient& c, Bytes bytes) {
    got.clear(), got_by.clear();
    Packet p = around(bytes);
    p.packet.client = c;
    hand_in(p);
    return take();
  }
  void from_peer(const port::RelayPort& to, std::string_view peer, std::string_view text) {
    Packet p = around(as_bytes(text));
    p.packet.port = to.id;
    p.packet.peer = at(peer);
    hand_in(p);
  }
  const port::RelayPort& port_at(const SocketAddress& local) const {
    for (const auto& [slot, p] : ports.open_ports)
      if (p.local == local) return p;
    ADD_FAILURE() << "no port " << local.to_string();
    static const port::RelayPort none;
    return none;
  }

  // ---- a client's requests

  using Fill = std::function<void(stun::Writer&)>;
  stun::TransactionId next_transaction() {
    stun::TransactionId id{};
    const uint64_t n = ++transactions_;
    std::copy_n(reinterpret_cast<const uint8_t*>(&n), 8, id.begin());
    return id;
  }
  /// Signed with what `user` and `password` say, the nonce of the last challenge, and another try when it is
  /// stale.
  Got ask(const port::RelayClient& c, uint16_t m, const Fill& fill = {}) {
    const auto id = transaction ? *transaction : next_transaction();
    Got answer;
    for (int i = 0; i < 2; ++i) {
      stun::Writer w(stun::Class::request, m, id);
      if (fill) fill(w);
      sign(w);
      answer = send_raw(c, w.octets());
      if (answer.error() != 401 && answer.error() != 438) break;
      nonce = std::string(answer.message().text(attribute::nonce).value_or(""));
    }
    return answer;
  }
  void sign(stun::Writer& w) {
    w.add(attribute::username, user).add(attribute::realm, config.realm).add(attribute::nonce, nonce);
    w.add_integrity(as_bytes(stun::long_term_key_md5(user, config.realm, password))).add_fingerprint();
  }
  static void udp(stun::Writer& w) { w.add_u32(attribute::requested_transport, 17u << 24); }
  static void tcp(stun::Writer& w) { w.add_u32(attribute::requested_transport, 6u << 24); }
  Got allocate(const port::RelayClient& c) { return ask(c, method::allocate, udp); }
  /// The relayed address of a new allocation.
  SocketAddress allocated(const port::RelayClient& c) {
    const Got g = allocate(c);
    EXPECT_EQ(g.error(), 0);
    return g.octets.empty()
               ? SocketAddress{}
               : g.message().xor_address(attribute::xor_relayed_address).value_or(SocketAddress{});
  }
  Got permit(const port::RelayClient& c, std::string_view peer) {
    return ask(c, method::create_permission,
               [&](stun::Writer& w) { w.add_xor_address(attribute::xor_peer_address, at(peer)); });
  }
  Got bind(const port::RelayClient& c, uint16_t number, std::string_view peer) {
    return ask(c, method::channel_bind, [&](stun::Writer& w) {
      w.add_u32(attribute::channel_number, uint32_t{number} << 16);
      w.add_xor_address(attribute::xor_peer_address, at(peer));
    });
  }
  Got refresh(const port::RelayClient& c, uint32_t lifetime, std::string_view ticket = {}) {
    return ask(c, method::refresh, [&](stun::Writer& w) {
      w.add_u32(attribute::lifetime, lifetime);
      if (!ticket.empty()) w.add(attribute::mobility_ticket, ticket);
    });
  }
  void channel(const port::RelayClient& c, uint16_t number, std::string_view text, int extra = 0) {
    Octets o = {static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number), 0,
                static_cast<uint8_t>(static_cast<int>(text.size()) + extra)};
    o.insert(o.end(), text.begin(), text.end());
    send_raw(c, o);
  }
  Got indicate(const port::RelayClient& c, std::string_view peer, std::string_view text, bool df = false) {
    stun::Writer w(stun::Class::indication, method::send, next_transaction());
    w.add_xor_address(attribute::xor_peer_address, at(peer));
    if (df) w.add(attribute::dont_fragment, Bytes{});
    w.add(attribute::data, text);
    return send_raw(c, w.octets());
  }
  /// As an application hands it out.
  void timed(std::string_view name = "alice", Duration ttl = hours(1)) {
    user = timed_username(now.wall + ttl, name);
    password = timed_password(config.secrets.front(), user);
  }
  void subscriber(std::string_view name, std::string_view secret) {
    auto row = std::make_shared<port::Subscriber>();
    row->aor = {std::string(name), "example.org"};
    row->ha1 = auth::make_ha1(name, "example.org", secret);
    rows[row->aor] = row;
  }
  uint64_t dropped(std::string_view reason) const { return labelled("turn_dropped_total", reason); }
  uint64_t labelled(std::string_view name, std::string_view label) const {
    for (const auto& e : counters.entries())
      if (e.name == name && e.labels.find("\"" + std::string(label) + "\"") != std::string::npos)
        return e.counter.value();
    return 0;
  }
  size_t event_count(std::string_view name) const {
    return static_cast<size_t>(
        std::count_if(out.events.begin(), out.events.end(), [&](const auto& e) { return e.name == name; }));
  }

  Config config;
  FakePorts ports;
  SeededRng rng{7};
  CounterSet counters;
  port::Outbox out;
  Now now;
  std::vector<Got> got;
  std::vector<port::RelayClient> got_by;
  std::vector<Sent> sent;
  std::map<port::AddressOfRecord, port::SubscriberAnswer> rows;
  std::map<std::string, std::set<uint64_t>> seats;
  std::vector<std::string> asked_for;
  bool hold_asks = false;
  std::string user, password, nonce;
  std::optional<stun::TransactionId> transaction;  // of the next requests, to send one again

 private:
  std::unique_ptr<Server> server_;
  uint64_t transactions_ = 0;
};

}  // namespace tandem::turn
