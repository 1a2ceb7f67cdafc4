// TURN's sockets: datagrams, relay ports, connections, pipes, DTLS, and which worker a client comes to.
#include <netinet/in.h>
#include <openssl/ssl.h>

#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "net/clock.h"
#include "net/source_counts.h"
#include "net/system_rng.h"
#include "net/turn_dtls.h"
#include "net/turn_frame.h"
#include "net/turn_plane.h"
#include "net/turn_steering.h"
#include "turn/server.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using Family = IpAddress::Family;
using Kind = port::RelayEvent::Kind;
using Transport = port::RelayTransport;

TurnNetConfig base() {
  TurnNetConfig c;
  c.relay_v4 = loopback;
  c.relay_v6 = loopback6;
  c.advertised_v4 = IpAddress::v4(192, 0, 2, 9);
  c.first_port = 42000;
  c.last_port = 42099;
  return c;
}

/// A plane whose worker is the test.
class Turning final : public TurnSink {
 public:
  explicit Turning(const TurnNetConfig& c = base(), size_t per_source = 100)
      : config(c),
        numbers(c.first_port, c.last_port, rng),
        sources(per_source),
        plane(config, numbers, sources, *this, counters) {}
  void relay_packets(std::span<port::RelayPacket> packets) override {
    for (port::RelayPacket& p : packets) {
      got.push_back({p.port, p.client, p.peer, std::string(as_text(p.bytes))});
      if (on_packet) on_packet(p);
    }
    plane.send(out);
    out.clear();
  }
  void relay_event(const port::RelayEvent& e) override {
    events.push_back(e);
    if (on_event) on_event(e);
  }
  Now batch_now() override { return {net::now().mono + skew, {}}; }

  /// Looks around until it is so, with a deadline.
  template <class Until>
  void until(Until done, const char* what) {
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << "never: " << what;
      plane.look();
      if (plane.next_deadline() <= batch_now().mono) plane.on_deadlines();
      std::this_thread::yield();
    }
  }
  void until_packets(size_t n) {
    until([&] { return got.size() >= n; }, "packets");
  }
  const port::RelayEvent& until_event(Kind kind) {
    static const port::RelayEvent none;
    const port::RelayEvent* found = nullptr;
    until(
        [&] {
          for (const auto& e : events)
            if (e.kind == kind) found = &e;
          return found != nullptr;
        },
        "event");
    return found ? *found : none;
  }
  void pass(Duration d) { skew += d; }
  uint64_t count(std::string_view name, std::string_view label = "") {
    uint64_t sum = 0;
    for (const auto& e : counters.entries())
      if (e.name == name && e.labels.find(label) != std::string::npos) sum += e.counter.value();
    return sum;
  }
  SocketAddress listen_udp() {
    auto fd = std::move(bind_udp({loopback, 0}, {})).value();
    const SocketAddress at = local_address(fd.get());
    plane.add_udp(3, std::move(fd));
    return at;
  }
  SocketAddress listen_stream(Transport t = Transport::tcp, const TlsContext* tls = nullptr) {
    auto fd = std::move(listen_tcp({loopback, 0}, {}, 16)).value();
    const SocketAddress at = local_address(fd.get());
    plane.add_stream(4, std::move(fd), t, tls);
    return at;
  }

  struct Got {
    port::RelayPortId port;
    port::RelayClient client;
    SocketAddress peer;
    std::string text;
  };
  TurnNetConfig config;
  SystemRng rng;
  TurnPortPool numbers;
  SourceCounts sources;
  CounterSet counters;
  port::RelayOut out;
  std::vector<Got> got;
  std::vector<port::RelayEvent> events;
  std::function<void(port::RelayPacket&)> on_packet;
  std::function<void(const port::RelayEvent&)> on_event;
  Duration skew{0};
  TurnPlane plane;
};

/// A STUN request of that method with nothing in it.
std::string stun_message(uint16_t type, size_t body = 0) {
  std::string m(20 + body, '\0');
  m[0] = static_cast<char>(type >> 8), m[1] = static_cast<char>(type);
  m[2] = static_cast<char>(body >> 8), m[3] = static_cast<char>(body);
  m[4] = 0x21, m[5] = 0x12, m[6] = static_cast<char>(0xA4), m[7] = 0x42;
  return m;
}
std::string channel_message(std::string_view text) {
  std::string m = {0x40, 0x01, static_cast<char>(text.size() >> 8), static_cast<char>(text.size())};
  m += text;
  m.resize((m.size() + 3) & ~size_t{3});
  return m;
}

// ---- framing ---------------------------------------------------------------------------------------------

TEST(TurnFrame, Lengths) {
  const auto length = [](std::string_view s) { return turn_frame_length(as_bytes(s)); };
  EXPECT_EQ(length(""), 0u);
  EXPECT_EQ(length(stun_message(1)), 20u);
  EXPECT_EQ(length(stun_message(1, 8)), 28u);
  for (size_t n = 1; n < 20; ++n) EXPECT_EQ(length(stun_message(1).substr(0, n)), 0u) << n;
  EXPECT_FALSE(length(stun_message(1, 6))) << "no multiple of 4";
  std::string wrong = stun_message(1);
  wrong[6] ^= 1;
  EXPECT_FALSE(length(wrong));
  EXPECT_FALSE(length(wrong.substr(0, 7))) << "known by its cookie before it is whole";
  EXPECT_EQ(length(std::string("\x40\x01\x00\x05", 4)), 12u) << "padded";
  EXPECT_EQ(length(std::string("\x40\x01\x00", 3)), 0u);
  EXPECT_EQ(length(std::string("\x4f\xff\xff\xff", 4)), 4u + 65536);
  EXPECT_FALSE(length("\x80")) << "RTP";
  EXPECT_FALSE(length(std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8))) << "TLS";
}

// ---- ports -----------------------------------------------------------------------------------------------

TEST(TurnPorts, EachNumberHasOneHolderAndRests) {
  SeededRng rng(1);
  TurnPortNumbers n(100, 109, rng);
  std::set<uint16_t> taken;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(taken.insert(n.take(false).value()).second);
  EXPECT_FALSE(n.take(false));
  n.give_back(104), n.give_back(104), n.give_back(107);
  EXPECT_EQ(n.free(), 2u);
  EXPECT_EQ(n.take(false), 104) << "the one that rested longest";
  EXPECT_FALSE(n.take(true));
  EXPECT_EQ(n.take(false), 107);
  EXPECT_FALSE(n.take_this(104));
  for (const uint16_t p : {102, 103, 105, 108}) n.give_back(p);
  EXPECT_EQ(n.take_pair(), 102);
  EXPECT_FALSE(n.take_pair()) << "104 is held";
  EXPECT_TRUE(n.take_this(105));
  EXPECT_EQ(n.take(true), 108);
  n.give_back(1), n.give_back(60000);
  EXPECT_EQ(n.free(), 0u);
}

TEST(TurnPorts, StrangersArePassedOver) {
  TurnNetConfig c = base();
  c.first_port = 42100, c.last_port = 42103;
  Turning t(c);
  auto stranger = bind_udp({loopback, 42101}, {});
  std::set<uint16_t> numbers;
  for (int i = 0; i < 3; ++i) {
    const auto p = t.plane.open(Family::v4, false);
    ASSERT_TRUE(p);
    EXPECT_EQ(p->advertised, IpAddress::v4(192, 0, 2, 9));
    numbers.insert(p->local.port);
  }
  EXPECT_FALSE(t.plane.open(Family::v4, false));
  EXPECT_FALSE(numbers.contains(42101));
  EXPECT_GE(t.count("net_turn_port_strangers_total"), 1u);
  EXPECT_EQ(t.count("net_turn_ports_exhausted_total"), 1u);
  const auto pair = t.plane.open_pair(Family::v6);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->first.local.port % 2, 0);
  EXPECT_EQ(pair->second.local.port, pair->first.local.port + 1);
  t.plane.close(pair->second.id);
  EXPECT_TRUE(t.plane.reopen(pair->second.local, false));
  EXPECT_FALSE(t.plane.reopen(pair->first.local, false)) << "ours, and open";
  EXPECT_FALSE(t.plane.reopen({IpAddress::v4(127, 0, 0, 2), 42100}, false)) << "not our address";
}

TEST(TurnPorts, WithoutAnAddressThereIsNoFamily) {
  TurnNetConfig c = base();
  c.relay_v6 = {};
  Turning t(c);
  EXPECT_TRUE(t.plane.has(Family::v4));
  EXPECT_FALSE(t.plane.has(Family::v6));
  EXPECT_FALSE(t.plane.open(Family::v6, false));
}

// ---- datagrams -------------------------------------------------------------------------------------------

TEST(TurnDatagrams, BothWays) {
  Turning t;
  const SocketAddress at = t.listen_udp();
  UdpClient client, peer;
  client.send(at, "from client");
  t.until_packets(1);
  EXPECT_EQ(t.got[0].text, "from client");
  EXPECT_EQ(t.got[0].client.remote, client.address());
  EXPECT_EQ(t.got[0].client.listener, 3);
  EXPECT_FALSE(t.got[0].port);
  const auto port = t.plane.open(Family::v4, false);
  ASSERT_TRUE(port);
  for (const bool df : {false, true, false})
    t.out.to_peers.push_back({port->id, peer.address(), as_bytes("x"), df});
  t.out.to_peers.push_back({{77, 1}, peer.address(), as_bytes("no such port"), false});
  t.out.to_clients.push_back({t.got[0].client, as_bytes("to client")});
  t.plane.send(t.out);
  t.out.clear();
  EXPECT_EQ(client.receive(), "to client");
  SocketAddress from;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(peer.receive(&from), "x");
  EXPECT_EQ(from, port->local);
  EXPECT_EQ(t.count("net_turn_dropped_total", "closed_port"), 1u);
  // A peer's packet has room around it.
  t.on_packet = [&](port::RelayPacket& p) {
    uint8_t* head = p.bytes.data() - port::relay_headroom;
    std::fill(head, p.bytes.data(), uint8_t{'h'});
    std::fill_n(p.bytes.data() + p.bytes.size(), port::relay_tailroom, uint8_t{'t'});
    t.out.to_clients.push_back(
        {t.got[0].client, Bytes(head, port::relay_headroom + p.bytes.size() + port::relay_tailroom)});
  };
  for (int i = 0; i < 3; ++i) peer.send(port->local, "in " + std::to_string(i));
  t.until_packets(4);
  for (int i = 0; i < 3; ++i) {
    const std::string in = client.receive();
    EXPECT_EQ(in.substr(port::relay_headroom), "in " + std::to_string(i) + "tttt");
  }
  EXPECT_EQ(t.got[1].port, port->id);
  EXPECT_EQ(t.got[1].peer, peer.address());
  t.on_packet = nullptr;
  peer.send(port->local, std::string(6000, 'x'));
  peer.send(port->local, "after");
  t.until([&] { return t.got.back().text == "after"; }, "the one behind it");
  EXPECT_EQ(t.count("net_turn_dropped_total", "too_long"), 1u);
  t.plane.close(port->id);
  EXPECT_EQ(t.plane.open_ports(), 0u);
}

TEST(TurnDatagrams, AClientComesToTheWorkerThatCanBeComputed) {
  constexpr uint16_t workers = 4;
  for (const IpAddress& ip : {loopback, loopback6}) {
    std::vector<Fd> sockets;
    SocketAddress at{ip, 0};
    for (uint16_t w = 0; w < workers; ++w) {
      sockets.push_back(std::move(bind_udp(at, {.reuse_port = true})).value());
      at = local_address(sockets.back().get());
    }
    ASSERT_TRUE(steer(sockets.back().get(), ip.family, true, workers));
    std::set<int> seen;
    for (int i = 0; i < 32; ++i) {
      UdpClient client(ip);
      client.send(at, "x");
      const int expected = turn::shard_of_client(client.address()) % workers;
      EXPECT_TRUE(await_readable(sockets[static_cast<size_t>(expected)].get()))
          << client.address().to_string();
      char in[8];
      EXPECT_EQ(recv(sockets[static_cast<size_t>(expected)].get(), in, sizeof in, MSG_DONTWAIT), 1);
      seen.insert(expected);
    }
    EXPECT_GT(seen.size(), 1u);
    ASSERT_TRUE(steer(sockets.back().get(), ip.family, false, workers));
    const int all = turn::shard_of_client({ip, 0}) % workers;
    for (int i = 0; i < 8; ++i) {
      UdpClient client(ip);
      client.send(at, "x");
      EXPECT_TRUE(await_readable(sockets[static_cast<size_t>(all)].get()));
      char in[8];
      EXPECT_EQ(recv(sockets[static_cast<size_t>(all)].get(), in, sizeof in, MSG_DONTWAIT), 1);
    }
  }
}

// ---- streams ---------------------------------------------------------------------------------------------

TEST(TurnStreams, MessagesAreCutFromTheStream) {
  Turning t;
  const SocketAddress at = t.listen_stream();
  StreamClient c(at);
  const std::string first = stun_message(1, 8), second = channel_message("hello");
  c.send(first.substr(0, 3));
  t.until([&] { return t.count("net_turn_connections_total") == 1; }, "the connection");
  c.send(first.substr(3) + second + second.substr(0, 2));
  t.until_packets(2);
  EXPECT_EQ(t.got[0].text, first);
  EXPECT_EQ(t.got[1].text, second);
  EXPECT_EQ(t.got[1].client.transport, Transport::tcp);
  EXPECT_EQ(t.got[1].client.listener, 4);
  c.send(second.substr(2));
  t.until_packets(3);
  EXPECT_EQ(t.got[2].text, second);
  t.out.to_clients.push_back({t.got[0].client, as_bytes("answer")});
  t.plane.send(t.out);
  t.out.clear();
  EXPECT_EQ(c.receive(6), "answer");
  const std::string big = channel_message(std::string(65535, 'b'));
  std::thread writer([&] { c.send(big); });
  t.until_packets(4);
  writer.join();
  EXPECT_EQ(t.got[3].text, big);
  t.plane.close(t.got[0].client);
  EXPECT_TRUE(c.ended());
  EXPECT_EQ(t.until_event(Kind::client_closed).client, t.got[0].client);
}

TEST(TurnStreams, WhoSpeaksNoTurnIsClosed) {
  Turning t;
  StreamClient c(t.listen_stream());
  c.send("\x80 not TURN");
  t.until_event(Kind::client_closed);
  EXPECT_EQ(t.count("net_turn_closed_total", "framing"), 1u);
  EXPECT_TRUE(c.ended());
}

TEST(TurnStreams, SilentSlowAndIdleConnections) {
  Turning t;
  const SocketAddress at = t.listen_stream();
  StreamClient silent(at), slow(at), good(at);
  slow.send(stun_message(1) + "\x40");
  good.send(stun_message(1));
  StreamClient asks(at);  // its address, and no more
  asks.send(stun_message(1));
  t.until_packets(3);
  t.until([&] { return t.count("net_turn_connections_open") == 4; }, "all four");
  port::RelayClient kept;
  for (const auto& each : t.got)
    if (each.client.remote == local_address(good.fd())) t.plane.keep(kept = each.client);
  t.pass(t.config.partial_message + seconds(2));
  t.until([&] { return t.events.size() == 1; }, "the slow one's end");
  t.pass(t.config.without_allocation);
  t.until([&] { return t.events.size() == 3; }, "the ends of those without an allocation");
  EXPECT_EQ(t.count("net_turn_closed_total", "slow"), 3u);
  // An allocation says how long it lasts; without it the connection is as any other.
  t.pass(t.config.idle + hours(1));
  EXPECT_EQ(t.events.size(), 3u);
  t.plane.let_go(kept);
  t.pass(t.config.without_allocation - seconds(2));
  EXPECT_EQ(t.events.size(), 3u) << "it may ask for another";
  t.pass(seconds(4));
  t.until([&] { return t.events.size() == 4; }, "its end");
  EXPECT_EQ(t.count("net_turn_closed_total", "slow"), 4u);
  EXPECT_EQ(t.count("net_turn_connections_open"), 0u);
}

TEST(TurnStreams, LimitsOfConnections) {
  TurnNetConfig config = base();
  config.connections = 3;
  Turning t(config, 2);
  const SocketAddress at = t.listen_stream();
  StreamClient a(at), b(at), c(at);
  t.until([&] { return t.count("net_turn_refused_total", "source") == 1; }, "the third of one source");
  EXPECT_TRUE(c.ended());
  Turning narrow([] {
    TurnNetConfig n = base();
    n.connections = 1;
    return n;
  }());
  const SocketAddress there = narrow.listen_stream();
  StreamClient d(there), e(there);
  narrow.until([&] { return narrow.count("net_turn_refused_total", "full") == 1; }, "the second of all");
  const auto relay = narrow.plane.open_tcp(Family::v4);
  EXPECT_EQ(narrow.plane.connect(relay->id, at), 0u) << "connections to peers are among them";
}

TEST(TurnStreams, ASlowReaderLosesPacketsThenTheConnection) {
  Turning t;
  StreamClient c(t.listen_stream());
  c.send(stun_message(1));
  t.until_packets(1);
  const std::string big(16000, 'x');
  for (int i = 0; i < 2000 && t.count("net_turn_dropped_total", "slow_reader") == 0; ++i) {
    t.out.to_clients.push_back({t.got[0].client, as_bytes(big)});
    t.plane.send(t.out);
    t.out.clear();
  }
  EXPECT_GT(t.count("net_turn_dropped_total", "slow_reader"), 0u);
  t.pass(t.config.write_stall + seconds(2));
  t.until_event(Kind::client_closed);
  EXPECT_EQ(t.count("net_turn_closed_total", "slow"), 1u);
}

// ---- TCP relays ------------------------------------------------------------------------------------------

/// Lets so much through, and counts it.
struct Metered final : port::PipeMeter {
  size_t budget(Instant, bool) override { return left; }
  void passed(Instant, bool to_peer, size_t octets) override {
    if (left != SIZE_MAX) left -= octets;
    (to_peer ? up : down) += octets;
  }
  size_t left = SIZE_MAX;
  uint64_t up = 0, down = 0;
};

TEST(TurnPipes, AConnectionToAPeerBecomesAPipe) {
  Turning t;
  const SocketAddress at = t.listen_stream();
  StreamServer peer;
  const auto port = t.plane.open_tcp(Family::v4);
  ASSERT_TRUE(port);
  const port::RelayConnection connection = t.plane.connect(port->id, peer.address());
  ASSERT_NE(connection, 0u);
  EXPECT_EQ(t.until_event(Kind::connected).connection, connection);
  StreamClient far = peer.accept();
  EXPECT_EQ(remote_address(far.fd()), port->local) << "from the relayed address itself";
  EXPECT_TRUE(far.send("early"));  // before anybody is bound to it: it waits
  StreamClient near(at);
  t.on_packet = [&](port::RelayPacket& p) {
    t.out.to_clients.push_back({p.client, as_bytes("bound!")});
    t.plane.splice(connection, p.client, std::make_shared<Metered>());
  };
  near.send(stun_message(0x000b) + "what follows");
  t.until_packets(1);
  t.on_packet = nullptr;
  std::string up, down;
  t.until([&] { return await_readable(far.fd(), std::chrono::milliseconds(0)); }, "octets at the peer");
  EXPECT_EQ(far.receive(12), "what follows");
  t.until([&] { return await_readable(near.fd(), std::chrono::milliseconds(0)); }, "octets at the client");
  EXPECT_EQ(near.receive(6), "bound!");
  t.until([&] { return t.count("net_turn_piped_octets_total") >= 5; }, "the early ones");
  EXPECT_EQ(near.receive(5), "early");
  // More than all buffers hold, both ways, with a reader that takes its time.
  const std::string much(4 << 20, 'm');
  std::thread sender([&] { far.send(much); });
  std::future<std::string> reader = std::async(std::launch::async, [&] { return near.receive(much.size()); });
  t.until([&] { return reader.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }, "all of it");
  sender.join();
  EXPECT_EQ(reader.get(), much);
  { StreamClient gone = std::move(near); }
  t.until([&] { return t.count("net_turn_connections_open") == 0; }, "the end of both");
  EXPECT_TRUE(far.ended());
  EXPECT_EQ(t.until_event(Kind::closed).connection, connection);
}

TEST(TurnPipes, ARateHolds) {
  Turning t;
  const SocketAddress at = t.listen_stream();
  StreamServer peer;
  const auto port = t.plane.open_tcp(Family::v4);
  const auto connection = t.plane.connect(port->id, peer.address());
  t.until_event(Kind::connected);
  StreamClient far = peer.accept(), near(at);
  const auto meter = std::make_shared<Metered>();
  meter->left = 100'000;
  t.on_packet = [&](port::RelayPacket& p) { t.plane.splice(connection, p.client, meter); };
  near.send(stun_message(0x000b));
  t.until_packets(1);
  std::thread sender([&] { far.send(std::string(1 << 20, 'm')); });
  t.until([&] { return t.count("net_turn_piped_octets_total") >= 99'000; }, "the burst");
  for (int i = 0; i < 50; ++i) t.plane.look();
  EXPECT_EQ(meter->down, 100'000u) << "not an octet more";
  meter->left = SIZE_MAX;
  std::future<std::string> reader = std::async(std::launch::async, [&] { return near.receive(1 << 20); });
  t.until(
      [&] {
        t.pass(milliseconds(5));  // time flies
        return reader.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
      },
      "all of it in the end");
  sender.join();
  EXPECT_EQ(reader.get().size(), size_t{1} << 20);
}

TEST(TurnPipes, PeersConnectAndFailedConnects) {
  Turning t;
  const auto port = t.plane.open_tcp(Family::v4);
  StreamClient peer(port->local);
  const port::RelayEvent e = t.until_event(Kind::accepted);
  EXPECT_EQ(e.port, port->id);
  EXPECT_EQ(e.peer, local_address(peer.fd()));
  t.plane.close(e.connection);
  EXPECT_TRUE(peer.ended());
  SocketAddress nobody;
  {
    StreamServer short_lived;
    nobody = short_lived.address();
  }
  const auto connection = t.plane.connect(port->id, nobody);
  ASSERT_NE(connection, 0u);
  EXPECT_EQ(t.until_event(Kind::connect_failed).connection, connection);
  EXPECT_EQ(t.plane.connect({99, 1}, nobody), 0u);
}

// ---- TLS and DTLS ----------------------------------------------------------------------------------------

TEST(TurnTls, MessagesThroughTls) {
  TempDir dir;
  TlsContext context(TlsContext::Side::server, dir.certificate({"localhost"}));
  ASSERT_TRUE(context.load().ok());
  Turning t;
  const SocketAddress at = t.listen_stream(Transport::tls, &context);
  StreamClient c(at);
  std::future<std::string> hands = std::async(std::launch::async, [&] { return c.start_tls(); });
  t.until([&] { return hands.wait_for(std::chrono::seconds(0)) == std::future_status::ready; },
          "the handshake");
  EXPECT_EQ(hands.get(), "localhost");
  c.send(stun_message(1));
  t.until_packets(1);
  EXPECT_EQ(t.got[0].client.transport, Transport::tls);
  t.out.to_clients.push_back({t.got[0].client, as_bytes("answer")});
  t.plane.send(t.out);
  EXPECT_EQ(c.receive(6), "answer");
  StreamClient plain(at);
  plain.send(stun_message(1) + stun_message(1));
  t.until([&] { return t.count("net_turn_closed_total", "handshake") == 1; }, "the end of who speaks no TLS");
  StreamClient silent(at);
  t.until([&] { return t.count("net_turn_connections_total") == 3; }, "the connection");
  t.pass(t.config.handshake + seconds(2));
  t.until([&] { return t.count("net_turn_closed_total", "handshake") == 2; }, "the end of who says nothing");
}

std::string file_text(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(TurnDtlsSockets, AnAssociationOnlyForWhoProvesItsAddress) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"localhost"});
  const auto identity =
      dtls::ServerIdentity::make(file_text(files.certificate), file_text(files.key), {1, 2, 3});
  ASSERT_TRUE(identity.ok()) << identity.reason();
  Turning t;
  auto fd = std::move(bind_udp({loopback, 0}, {})).value();
  const SocketAddress at = local_address(fd.get());
  t.plane.dtls().add_listener(6, std::move(fd), *identity);

  UdpClient stranger;
  stranger.send(at, "\x16\xfe\xfd not a hello");
  t.until([&] { return t.count("net_turn_dropped_total", "no_association") == 1; }, "the stray");

  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(DTLS_client_method()), SSL_CTX_free);
  std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  auto socket = std::move(bind_udp({loopback, 0}, {})).value();
  const RawAddress to = to_raw(at);
  ASSERT_EQ(connect(socket.get(), to.get(), to.length), 0);
  BIO* bio = BIO_new_dgram(socket.get(), BIO_NOCLOSE);
  BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, const_cast<sockaddr*>(to.get()));
  SSL_set_bio(ssl.get(), bio, bio);
  t.until([&] { return SSL_connect(ssl.get()) == 1; }, "the handshake");
  EXPECT_GE(t.count("net_turn_cookies_total"), 1u);
  EXPECT_EQ(t.plane.dtls().size(), 1u);
  const std::string request = stun_message(1, 8);
  ASSERT_EQ(SSL_write(ssl.get(), request.data(), static_cast<int>(request.size())),
            static_cast<int>(request.size()));
  t.until_packets(1);
  EXPECT_EQ(t.got[0].text, request);
  EXPECT_EQ(t.got[0].client.transport, Transport::dtls);
  EXPECT_EQ(t.got[0].client.remote, local_address(socket.get()));
  t.out.to_clients.push_back({t.got[0].client, as_bytes("answer")});
  t.plane.send(t.out);
  t.out.clear();
  char in[100];
  t.until([&] { return SSL_read(ssl.get(), in, sizeof in) == 6; }, "the answer");
  // What is not from the client, or damaged, changes nothing.
  UdpClient other;
  other.send(at, "\x17\xfe\xfd garbage");
  t.until([&] { return t.count("net_turn_dropped_total", "no_association") == 2; }, "the stray");
  EXPECT_EQ(t.plane.dtls().size(), 1u);
  SSL_shutdown(ssl.get());
  t.until_event(Kind::client_closed);
  EXPECT_EQ(t.plane.dtls().size(), 0u);
}

TEST(TurnDtlsSockets, BadIdentities) {
  TempDir dir;
  const TlsFiles one = dir.certificate({"one"}, "one"), two = dir.certificate({"two"}, "two");
  EXPECT_FALSE(dtls::ServerIdentity::make("", "", {}).ok());
  EXPECT_FALSE(dtls::ServerIdentity::make(file_text(one.certificate), "nonsense", {}).ok());
  EXPECT_FALSE(dtls::ServerIdentity::make(file_text(one.certificate), file_text(two.key), {}).ok());
}

// ---- the whole runtime -----------------------------------------------------------------------------------

TEST(TurnRuntime, AddressesInUseAndUnreadableCertificates) {
  World world;
  auto taken = bind_udp({loopback, 0}, {});
  world.config.turn = base();
  world.config.turn.listeners.push_back({Transport::udp, local_address(taken->get()), {}});
  auto done = world.try_start();
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.reason().find("cannot listen for TURN on udp 127.0.0.1:"), std::string::npos)
      << done.reason();
  for (const Transport t : {Transport::tls, Transport::dtls}) {
    World other;
    other.config.turn = base();
    other.config.turn.listeners.push_back({t, {loopback, 0}, {"/nonexistent.crt", "/nonexistent.key", ""}});
    done = other.try_start();
    ASSERT_FALSE(done.ok());
    EXPECT_NE(done.reason().find("/nonexistent.crt"), std::string::npos) << done.reason();
  }
}

}  // namespace
}  // namespace tandem::net::test
