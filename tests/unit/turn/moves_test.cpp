// What outlives an address, a connection, a worker or a boot; and TCP allocations.
#include "world.h"

namespace tandem::turn {
namespace {

constexpr std::string_view peer = "203.0.113.50:7000";

class Moves : public World {
 protected:
  Moves() { timed(); }
  Got mobile(const port::RelayClient& c) {
    return ask(c, method::allocate,
               [](stun::Writer& w) { udp(w), w.add(attribute::mobility_ticket, Bytes{}); });
  }
  static std::string ticket_of(const Got& g) {
    return std::string(g.message().text(attribute::mobility_ticket).value_or(""));
  }
};

TEST_F(Moves, AnAllocationFollowsItsClient) {
  const Got g = mobile(client());
  const auto relay = *g.message().xor_address(attribute::xor_relayed_address);
  const std::string ticket = ticket_of(g);
  ASSERT_FALSE(ticket.empty());
  bind(client(), 0x4001, peer);
  const auto away = client("198.51.100.20:1234");
  const Got moved = refresh(away, 600, ticket);
  ASSERT_EQ(moved.error(), 0);
  const std::string fresh = ticket_of(moved);
  EXPECT_NE(fresh, ticket);
  from_peer(port_at(relay), peer, "x");
  EXPECT_EQ(got_by.back(), away);
  channel(away, 0x4001, "y");
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(permit(client(), peer).error(), 437) << "the old address has nothing any more";
  // The answer was lost: the ticket before is still good.
  const auto further = client("198.51.100.21:1234");
  EXPECT_EQ(refresh(further, 600, ticket).error(), 0);
  EXPECT_EQ(server().size(), 1u);
  EXPECT_EQ(counters.total("turn_moves_total"), 2u);
}

TEST_F(Moves, ATicketAloneMovesNothing) {
  const std::string ticket = ticket_of(mobile(client()));
  timed("bob");
  EXPECT_EQ(refresh(client("198.51.100.20:1"), 600, ticket).error(), 441);
  timed("alice");
  const std::string right = std::exchange(password, "wrong");
  EXPECT_EQ(refresh(client("198.51.100.20:1"), 600, ticket).error(), 401);
  password = right;
  std::string bent = ticket;
  bent[9] ^= 1;
  EXPECT_EQ(refresh(client("198.51.100.20:1"), 600, bent).error(), 437);
  EXPECT_EQ(server().list(now, 1)[0].client, "203.0.113.7:4000");
  allocated(client("203.0.113.7:2"));
  EXPECT_EQ(refresh(client("203.0.113.7:2"), 600, ticket).error(), 405) << "one that was not asked to move";
  config.mobility = false;
  restart();
  EXPECT_EQ(mobile(client()).error(), 405);
}

TEST_F(Moves, AConnectionGoesItsAllocationWaits) {
  const auto c = client("203.0.113.7:9", port::RelayTransport::tls, 4);
  const Got g = mobile(c);
  const auto relay = *g.message().xor_address(attribute::xor_relayed_address);
  permit(c, peer);
  port::RelayEvent e;
  e.client = c;
  server().on_event(now, e, out);
  EXPECT_EQ(server().size(), 1u);
  from_peer(port_at(relay), peer, "x");
  EXPECT_EQ(dropped("client_gone"), 1u);
  const auto again = client("203.0.113.7:10", port::RelayTransport::tls, 5);
  EXPECT_EQ(refresh(again, 600, ticket_of(g)).error(), 0);
  got.clear(), got_by.clear();
  from_peer(port_at(relay), peer, "x");
  EXPECT_EQ(got_by.back(), again);
}

// ---- bytes -----------------------------------------------------------------------------------------------

TEST_F(Moves, ARestoredAllocationBehavesAsTheFirst) {
  const Got g = mobile(client());
  const auto relay = *g.message().xor_address(attribute::xor_relayed_address);
  bind(client(), 0x4001, peer);
  permit(client(), "203.0.113.51:1");
  transaction = next_transaction();
  const auto plain = allocated(client("203.0.113.7:2"));
  const auto tls = client("203.0.113.7:3", port::RelayTransport::tls, 1);
  transaction.reset();
  allocated(tls);
  advance(seconds(100));
  std::vector<Server::Part> parts;
  server().snapshot(now, parts);
  EXPECT_EQ(parts.size(), 2u) << "an allocation over TLS ends with its connection";
  restart();
  ASSERT_TRUE(ports.open_ports.empty());
  now.mono = {50};  // another boot, half a minute later
  now.wall = now.wall + seconds(30);
  for (const auto& p : parts) EXPECT_TRUE(server().restore(now, p.bytes));
  from_peer(port_at(relay), peer, "x");
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].octets, (Octets{0x40, 1, 0, 1, 'x'}));
  EXPECT_EQ(got_by[0], client());
  from_peer(port_at(relay), "203.0.113.51:77", "y");
  EXPECT_EQ(got.size(), 2u);
  channel(client(), 0x4001, "z");
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(refresh(client(), 600).error(), 0) << "its key came along";
  EXPECT_EQ(allocate(client("203.0.113.7:2")).error(), 437);
  EXPECT_EQ(server().list(now, 2)[1].expires_in, 600 - 130);
  EXPECT_EQ(refresh(client("198.51.100.9:5"), 600, ticket_of(g)).error(), 0);
  advance(seconds(471));
  EXPECT_EQ(server().size(), 1u) << "the other was not refreshed";
  EXPECT_FALSE(ports.open_ports.empty());
  EXPECT_EQ(plain.port, relay.port + 1);
}

TEST_F(Moves, RestoringWhatIsOverdueTakenOrDamaged) {
  const auto relay = allocated(client());
  std::vector<Server::Part> parts;
  server().snapshot(now, parts);
  ASSERT_EQ(parts.size(), 1u);
  restart();
  now.wall = now.wall + hours(1);
  EXPECT_TRUE(server().restore(now, parts[0].bytes));
  server().on_timeout(now, out);
  EXPECT_EQ(server().size(), 0u);
  restart();
  ports.strangers.insert(relay);
  EXPECT_FALSE(server().restore(now, parts[0].bytes));
  EXPECT_EQ(counters.total("turn_restore_failed_total"), 1u);
  ports.strangers.clear();
  for (size_t i = 0; i < parts[0].bytes.size(); ++i) {
    std::string cut = parts[0].bytes.substr(0, i);
    server().restore(now, cut);
    std::string bent = parts[0].bytes;
    bent[i] = static_cast<char>(bent[i] ^ 0x55);
    server().restore(now, bent);
  }
  restart();
  EXPECT_TRUE(ports.open_ports.empty());
}

TEST_F(Moves, TenantsOfOnePortComeBackTogether) {
  ports.last = ports.first;
  const auto a = client("203.0.113.7:1"), b = client("203.0.113.7:2");
  ASSERT_EQ(allocated(a), allocated(b));
  permit(a, "203.0.113.50:1"), permit(b, "203.0.113.51:1");
  std::vector<Server::Part> parts;
  server().snapshot(now, parts);
  restart();
  for (const auto& p : parts) EXPECT_TRUE(server().restore(now, p.bytes));
  EXPECT_EQ(ports.open_ports.size(), 1u);
  got.clear(), got_by.clear();
  from_peer(port_at(at("192.0.2.1:50000")), "203.0.113.51:9", "x");
  EXPECT_EQ(got_by.back(), b);
  EXPECT_EQ(permit(b, "203.0.113.50:1").error(), 508);
}

// ---- between workers -------------------------------------------------------------------------------------

/// Two workers of one node over the same ports.
class TwoWorkers : public Moves {
 protected:
  TwoWorkers() {
    config.workers = 2;
    config.worker = 1;
    other = std::make_unique<Server>(config, ports, other_rng, other_counters);
    config.worker = 0;
  }
  /// Carries mail until there is none.
  void carry() {
    while (!out.relay_moves.empty()) {
      auto move = std::move(out.relay_moves.front());
      out.relay_moves.erase(out.relay_moves.begin());
      (move.to_worker == 0 ? server() : *other).on_move(now, std::move(move), out);
      collect();
    }
  }
  /// The request `fill` writes, put to the other worker.
  Got ask_other(const port::RelayClient& c, uint16_t m, const Fill& fill) {
    for (int i = 0; i < 2; ++i) {
      stun::Writer w(stun::Class::request, m, next_transaction());
      fill(w), sign(w);
      got.clear(), got_by.clear();
      Packet p = around(w.octets());
      p.packet.client = c;
      other->on_packets(now, {&p.packet, 1}, out);
      collect(), carry();
      while (!out.new_asks.empty()) {
        const auto asker = out.new_asks.front().asker;
        out.asks.clear(), out.new_asks.clear();
        other->on_answer(now, asker.object, port::SeatAnswer{port::SeatAnswer::Verdict::granted}, out);
        collect(), carry();
      }
      if (got.empty() || (got[0].error() != 438 && got[0].error() != 401)) break;
      nonce = std::string(got[0].message().text(attribute::nonce).value_or(""));
    }
    return take();
  }
  SeededRng other_rng{8};
  CounterSet other_counters;
  std::unique_ptr<Server> other;
};

TEST_F(TwoWorkers, AnAllocationMovesToTheOther) {
  const Got g = mobile(client());
  const auto relay = *g.message().xor_address(attribute::xor_relayed_address);
  bind(client(), 0x4001, peer);
  const auto away = client("198.51.100.20:1234");
  const auto with = [&](const std::string& ticket) {
    return ask_other(away, method::refresh, [&](stun::Writer& w) {
      w.add_u32(attribute::lifetime, 600).add(attribute::mobility_ticket, ticket);
    });
  };
  const std::string right = std::exchange(password, "wrong");
  EXPECT_EQ(with(ticket_of(g)).error(), 401) << "asked for with the wrong key it stays";
  password = right;
  EXPECT_EQ(server().size(), 1u);
  ASSERT_EQ(with(ticket_of(g)).error(), 0);
  EXPECT_EQ(server().size(), 0u);
  EXPECT_EQ(other->size(), 1u);
  EXPECT_EQ(seats["alice"].size(), 1u) << "its seat went with it";
  Packet p = around(as_bytes("x"));
  p.packet.port = port_at(relay).id;
  p.packet.peer = at(peer);
  got.clear(), got_by.clear();
  other->on_packets(now, {&p.packet, 1}, out);
  collect();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got_by[0], away);
  EXPECT_EQ(with(std::string(18, '\0')).error(), 400) << "a ticket of nobody's, on an allocation of ours";
}

/// A ticket travels in the clear: who sees it may ask for the allocation while it moves, signed as himself.
TEST_F(TwoWorkers, ATicketSeenIsNoAllocationWon) {
  const Got g = mobile(client());
  subscriber("thief", "of the house");
  const auto put = [&](const port::RelayClient& c, const std::string& ticket) {
    stun::Writer w(stun::Class::request, method::refresh, next_transaction());
    w.add_u32(attribute::lifetime, 600).add(attribute::mobility_ticket, ticket);
    sign(w);
    Packet p = around(w.octets());
    p.packet.client = c;
    other->on_packets(now, {&p.packet, 1}, out);
    collect();
  };
  const auto with_nonce = [&](const port::RelayClient& c, const std::string& ticket) {
    got.clear(), got_by.clear();
    put(c, ticket);
    if (got.empty()) return;
    nonce = std::string(got[0].message().text(attribute::nonce).value_or(""));
    got.clear(), got_by.clear();
    put(c, ticket);
  };
  const auto owner = client("198.51.100.20:1234"), thief = client("198.51.100.66:1");
  const std::string name = std::exchange(user, "thief"), secret = std::exchange(password, "of the house");
  with_nonce(thief, ticket_of(g));
  ASSERT_EQ(out.new_asks.size(), 1u) << "his row is looked up";
  const auto asker = out.new_asks.front().asker;
  out.asks.clear(), out.new_asks.clear();
  user = name, password = secret;
  with_nonce(owner, ticket_of(g));
  carry();
  ASSERT_EQ(other->size(), 1u);
  EXPECT_EQ(got.back().error(), 0);
  got.clear(), got_by.clear();
  other->on_answer(now, asker.object, rows.begin()->second, out);
  collect();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got_by[0], thief);
  EXPECT_EQ(got[0].error(), 441);
  ASSERT_EQ(other->list(now, 10).size(), 1u);
  EXPECT_EQ(other->list(now, 10)[0].client, owner.remote.to_string());
}

TEST_F(TwoWorkers, AReservedPortMovesToTheOther) {
  const Octets reserve = {0x80};
  const Got g =
      ask(client(), method::allocate, [&](stun::Writer& w) { udp(w), w.add(attribute::even_port, reserve); });
  const auto token = g.message().find(attribute::reservation_token);
  const Octets kept(token->begin(), token->end());
  const auto with = [&](std::string_view from) {
    return ask_other(client(from), method::allocate,
                     [&](stun::Writer& w) { udp(w), w.add(attribute::reservation_token, kept); });
  };
  timed("bob");
  EXPECT_EQ(with("203.0.113.7:7").error(), 508) << "another's reservation";
  timed("alice");
  const Got second = with("203.0.113.7:8");
  ASSERT_EQ(second.error(), 0);
  EXPECT_EQ(second.message().xor_address(attribute::xor_relayed_address), at("192.0.2.1:50001"));
  EXPECT_EQ(with("203.0.113.7:9").error(), 508);
  EXPECT_EQ(ports.open_ports.size(), 2u);
}

// ---- RFC 6062 --------------------------------------------------------------------------------------------

class Tcp : public Moves {
 protected:
  const port::RelayClient control = client("203.0.113.7:9", port::RelayTransport::tcp, 1);
  const port::RelayClient data = client("203.0.113.7:10", port::RelayTransport::tcp, 2);
  SocketAddress relay;
  void SetUp() override {
    const Got g = ask(control, method::allocate, tcp);
    ASSERT_EQ(g.error(), 0);
    relay = *g.message().xor_address(attribute::xor_relayed_address);
  }
  Got connect_to(std::string_view where) {
    return ask(control, method::connect,
               [&](stun::Writer& w) { w.add_xor_address(attribute::xor_peer_address, at(where)); });
  }
  Got bind_to(const port::RelayClient& c, uint32_t id) {
    return ask(c, method::connection_bind, [&](stun::Writer& w) { w.add_u32(attribute::connection_id, id); });
  }
  void event(port::RelayEvent::Kind kind, port::RelayConnection connection, std::string_view from = {}) {
    port::RelayEvent e;
    e.kind = kind;
    e.connection = connection;
    if (!from.empty()) e.peer = at(from), e.port = port_at(relay).id;
    got.clear(), got_by.clear();
    server().on_event(now, e, out);
    collect();
  }
};

using Kind = port::RelayEvent::Kind;

TEST_F(Tcp, ConnectThenBind) {
  EXPECT_TRUE(connect_to(peer).octets.empty()) << "the answer waits for the peer";
  ASSERT_EQ(ports.connects.size(), 1u);
  EXPECT_EQ(connect_to(peer).error(), 446);
  event(Kind::connected, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got_by[0], control);
  const auto id = got[0].message().u32(attribute::connection_id);
  ASSERT_TRUE(id);
  EXPECT_EQ(bind_to(control, *id).error(), 400) << "not on the control connection";
  EXPECT_EQ(bind_to(data, *id + 1).error(), 400);
  EXPECT_EQ(bind_to(data, *id).error(), 0);
  ASSERT_EQ(ports.spliced.size(), 1u);
  EXPECT_EQ(ports.spliced[0], (std::pair{port::RelayConnection{1}, data}));
  EXPECT_EQ(bind_to(client("203.0.113.7:11", port::RelayTransport::tcp, 3), *id).error(), 400) << "once";
  event(Kind::closed, 1);
  EXPECT_TRUE(connect_to(peer).octets.empty()) << "and the peer can be connected to again";
}

TEST_F(Tcp, AllPipesDrawFromOneMeter) {
  config.bytes_per_second = 200'000;
  restart(), ports.open_ports.clear(), seats.clear();
  ask(control, method::allocate, tcp);
  EXPECT_EQ(ports.kept.back(), control);
  const auto pipe = [&](std::string_view to, uint32_t number, const port::RelayClient& with) {
    permit(control, to);
    connect_to(to);
    event(Kind::connected, number);
    EXPECT_EQ(bind_to(with, *got.at(0).message().u32(attribute::connection_id)).error(), 0);
  };
  pipe("203.0.113.50:80", ports.last_connection() + 1, data);
  pipe("203.0.113.51:80", ports.last_connection() + 1,
       client("203.0.113.7:12", port::RelayTransport::tcp, 4));
  ASSERT_EQ(ports.meters.size(), 2u);
  EXPECT_EQ(ports.meters[0]->budget(now.mono, true), 100'000u);
  ports.meters[0]->passed(now.mono, true, 60'000);
  EXPECT_EQ(ports.meters[1]->budget(now.mono, true), 40'000u);
  EXPECT_EQ(ports.meters[1]->budget(now.mono, false), 100'000u) << "each direction by itself";
  const auto list = server().list(now, 10);
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].octets_up, 60'000u);
}

TEST_F(Tcp, ConnectionsThatFail) {
  connect_to(peer);
  event(Kind::connect_failed, 1);
  EXPECT_EQ(got.at(0).error(), 447);
  connect_to(peer);
  got.clear();
  advance(seconds(31)), collect();
  EXPECT_EQ(got.at(0).error(), 447) << "one that takes too long";
  EXPECT_EQ(ports.closed_connections.size(), 1u);
  ports.refuse_connect = true;
  EXPECT_EQ(connect_to(peer).error(), 447);
  EXPECT_EQ(connect_to("127.0.0.1:22").error(), 403);
  EXPECT_EQ(connect_to("192.168.1.1:80").error(), 403);
  EXPECT_EQ(connect_to("[2001:db8::9]:80").error(), 443);
}

TEST_F(Tcp, PeersConnectToo) {
  event(Kind::accepted, 9, peer);
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(ports.closed_connections, std::vector<port::RelayConnection>{9}) << "without a permission";
  permit(control, peer);
  event(Kind::accepted, 10, peer);
  ASSERT_EQ(got.size(), 1u);
  const auto m = got[0].message();
  EXPECT_EQ(m.method(), method::connection_attempt);
  EXPECT_EQ(m.message_class(), stun::Class::indication);
  EXPECT_EQ(m.xor_address(attribute::xor_peer_address), at(peer));
  const uint32_t id = *m.u32(attribute::connection_id);
  timed("bob");
  EXPECT_EQ(bind_to(data, id).error(), 441);
  timed("alice");
  EXPECT_EQ(bind_to(data, id).error(), 0);
  event(Kind::accepted, 11, peer);
  advance(seconds(31));
  EXPECT_EQ(ports.closed_connections.back(), 11u) << "whom nobody binds is closed";
  EXPECT_EQ(refresh(control, 0).error(), 0);
  EXPECT_EQ(ports.closed_connections.back(), 10u) << "and all of them with the allocation";
}

TEST_F(Tcp, RulesOfTcpAllocations) {
  const auto code = [&](const Fill& fill) {
    return ask(client("203.0.113.7:99", port::RelayTransport::tls, 99), method::allocate, fill).error();
  };
  EXPECT_EQ(code([](stun::Writer& w) { tcp(w), w.add(attribute::dont_fragment, Bytes{}); }), 400);
  EXPECT_EQ(code([](stun::Writer& w) { tcp(w), w.add(attribute::even_port, Bytes(Octets{0})); }), 400);
  EXPECT_EQ(code([](stun::Writer& w) { tcp(w), w.add(attribute::mobility_ticket, Bytes{}); }), 405);
  EXPECT_EQ(bind(control, 0x4000, peer).error(), 400);
  const auto plain = client("203.0.113.7:12", port::RelayTransport::tcp, 12);
  allocated(plain);
  EXPECT_EQ(ask(plain, method::connect,
                [](stun::Writer& w) { w.add_xor_address(attribute::xor_peer_address, at(peer)); })
                .error(),
            400)
      << "on a UDP allocation";
  config.tcp_relay = false;
  restart();
  EXPECT_EQ(code([](stun::Writer& w) { tcp(w); }), 442);
  EXPECT_EQ(connect_to(peer).error(), 400);
}

}  // namespace
}  // namespace tandem::turn
