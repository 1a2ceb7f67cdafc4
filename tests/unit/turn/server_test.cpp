// Allocations, permissions, channels and what passes through them.
#include "world.h"

namespace tandem::turn {
namespace {

class Turn : public World {
 protected:
  Turn() { timed(); }
  static constexpr std::string_view peer = "203.0.113.50:7000";
};

// ---- Allocate --------------------------------------------------------------------------------------------

TEST_F(Turn, AllocationAnswers) {
  const Got g = allocate(client());
  const auto m = g.message();
  EXPECT_EQ(m.message_class(), stun::Class::success);
  EXPECT_EQ(m.xor_address(attribute::xor_relayed_address), at("192.0.2.1:50000"));
  EXPECT_EQ(m.xor_address(attribute::xor_mapped_address), at("203.0.113.7:4000"));
  EXPECT_EQ(m.u32(attribute::lifetime), 600u);
  EXPECT_EQ(m.check_integrity(as_bytes(stun::long_term_key_md5(user, config.realm, password))),
            stun::Integrity::good);
  EXPECT_TRUE(m.has_fingerprint());
  EXPECT_FALSE(m.find(attribute::mobility_ticket));
}

TEST_F(Turn, SentAgainItIsTheSameAllocationAnotherIsAMismatch) {
  transaction = next_transaction();
  const auto first = allocated(client());
  EXPECT_EQ(allocated(client()), first);
  transaction.reset();
  EXPECT_EQ(allocate(client()).error(), 437);
  EXPECT_EQ(server().size(), 1u);
  EXPECT_EQ(seats["alice"].size(), 1u);
}

TEST_F(Turn, LifetimesAreClamped) {
  const auto lifetime = [&](uint16_t port, uint32_t wanted) {
    const auto c = client("203.0.113.7:" + std::to_string(port));
    return ask(c, method::allocate, [&](stun::Writer& w) { udp(w), w.add_u32(attribute::lifetime, wanted); })
        .message()
        .u32(attribute::lifetime);
  };
  EXPECT_EQ(lifetime(1, 0), 600u);
  EXPECT_EQ(lifetime(2, 599), 600u);
  EXPECT_EQ(lifetime(3, 1200), 1200u);
  EXPECT_EQ(lifetime(4, 0xFFFFFFFF), 3600u);
}

TEST_F(Turn, MalformedAllocations) {
  int n = 100;
  const auto code = [&](const Fill& fill) {
    return ask(client("203.0.113.7:" + std::to_string(++n)), method::allocate, fill).error();
  };
  const auto family = [](stun::Writer& w, uint16_t type, uint8_t f) { w.add_u32(type, uint32_t{f} << 24); };
  const Octets token(8, 1);
  EXPECT_EQ(code([](stun::Writer&) {}), 400);
  EXPECT_EQ(code([](stun::Writer& w) { w.add_u32(attribute::requested_transport, 132u << 24); }), 442);
  EXPECT_EQ(code([](stun::Writer& w) { tcp(w); }), 400) << "a TCP allocation over UDP";
  EXPECT_EQ(code([&](stun::Writer& w) { udp(w), family(w, attribute::requested_address_family, 3); }), 440);
  EXPECT_EQ(code([&](stun::Writer& w) {
              udp(w), family(w, attribute::requested_address_family, 1),
                  family(w, attribute::additional_address_family, 2);
            }),
            400);
  EXPECT_EQ(code([&](stun::Writer& w) { udp(w), family(w, attribute::additional_address_family, 1); }), 400);
  EXPECT_EQ(code([&](stun::Writer& w) { udp(w), w.add(attribute::reservation_token, token); }), 508);
  EXPECT_EQ(code([&](stun::Writer& w) {
              udp(w), w.add(attribute::reservation_token, token),
                  w.add(attribute::even_port, Bytes(token).first(1));
            }),
            400);
  EXPECT_EQ(code([&](stun::Writer& w) { udp(w), w.add(attribute::mobility_ticket, token); }), 405);
  const Got unknown =
      ask(client("203.0.113.7:9"), method::allocate, [](stun::Writer& w) { udp(w), w.add_u32(0x7001, 0); });
  EXPECT_EQ(unknown.error(), 420);
  EXPECT_TRUE(unknown.message().find(attribute::unknown_attributes));
  EXPECT_EQ(server().size(), 0u);
  EXPECT_TRUE(seats["alice"].empty()) << "what was refused holds no seat";
  EXPECT_TRUE(ports.open_ports.empty());
}

TEST_F(Turn, Families) {
  const auto ask_family = [&](uint16_t port, uint16_t type, uint8_t f) {
    return ask(client("203.0.113.7:" + std::to_string(port)), method::allocate,
               [&](stun::Writer& w) { udp(w), w.add_u32(type, uint32_t{f} << 24); });
  };
  EXPECT_EQ(ask_family(1, attribute::requested_address_family, 2)
                .message()
                .xor_address(attribute::xor_relayed_address),
            at("[2001:db8::1]:50000"));
  const Got both = ask_family(2, attribute::additional_address_family, 2);
  EXPECT_EQ(both.message().xor_addresses(attribute::xor_relayed_address)->size(), 2u);
  const auto c = client("203.0.113.7:2");
  EXPECT_EQ(permit(c, "[2001:db8::9]:1").error(), 0);
  EXPECT_EQ(permit(c, "203.0.113.9:1").error(), 0);
  EXPECT_EQ(permit(client("203.0.113.7:1"), "203.0.113.9:1").error(), 443)
      << "an IPv6 relay reaches no IPv4 peer";
  // One family can be given up, and then its peers are out of reach.
  const Got end = ask(c, method::refresh, [](stun::Writer& w) {
    w.add_u32(attribute::lifetime, 0).add_u32(attribute::requested_address_family, 1u << 24);
  });
  EXPECT_EQ(end.error(), 0);
  EXPECT_EQ(permit(c, "203.0.113.9:1").error(), 443);
  EXPECT_EQ(permit(c, "[2001:db8::9]:1").error(), 0);
  EXPECT_EQ(ask(c, method::refresh,
                [](stun::Writer& w) { w.add_u32(attribute::requested_address_family, 1u << 24); })
                .error(),
            443);
  ports.v6 = {};
  EXPECT_EQ(ask_family(3, attribute::requested_address_family, 2).error(), 440);
  const Got partial = ask_family(4, attribute::additional_address_family, 2);
  EXPECT_EQ(partial.error(), 0);
  const auto why = partial.message().find(attribute::address_error_code);
  ASSERT_TRUE(why);
  EXPECT_EQ((*why)[0], 2);
  EXPECT_EQ((*why)[2] * 100 + (*why)[3], 440);
}

TEST_F(Turn, EvenPortsAndReservations) {
  ports.first = 50001;
  const Octets reserve = {0x80}, even = {0x00};
  const Got plain = ask(client("203.0.113.7:1"), method::allocate,
                        [&](stun::Writer& w) { udp(w), w.add(attribute::even_port, even); });
  EXPECT_EQ(plain.message().xor_address(attribute::xor_relayed_address), at("192.0.2.1:50002"));
  EXPECT_FALSE(plain.message().find(attribute::reservation_token));
  ports.first = 50004;
  const Got rtp = ask(client("203.0.113.7:2"), method::allocate,
                      [&](stun::Writer& w) { udp(w), w.add(attribute::even_port, reserve); });
  EXPECT_EQ(rtp.message().xor_address(attribute::xor_relayed_address), at("192.0.2.1:50004"));
  const auto token = rtp.message().find(attribute::reservation_token);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->size(), 8u);
  const Octets kept(token->begin(), token->end());
  const Got rtcp = ask(client("203.0.113.7:3"), method::allocate,
                       [&](stun::Writer& w) { udp(w), w.add(attribute::reservation_token, kept); });
  EXPECT_EQ(rtcp.message().xor_address(attribute::xor_relayed_address), at("192.0.2.1:50005"));
  const auto again = [&](uint16_t port) {
    return ask(client("203.0.113.7:" + std::to_string(port)), method::allocate,
               [&](stun::Writer& w) { udp(w), w.add(attribute::reservation_token, kept); })
        .error();
  };
  EXPECT_EQ(again(4), 508) << "a reservation is used once";
  const Got third = ask(client("203.0.113.7:5"), method::allocate,
                        [&](stun::Writer& w) { udp(w), w.add(attribute::even_port, reserve); });
  const auto unused = third.message().find(attribute::reservation_token);
  const Octets late(unused->begin(), unused->end());
  const size_t before = ports.open_ports.size();
  advance(seconds(31)), advance(seconds(6));
  EXPECT_EQ(ports.open_ports.size(), before - 1) << "and given back when nobody comes";
  EXPECT_EQ(ask(client("203.0.113.7:6"), method::allocate,
                [&](stun::Writer& w) { udp(w), w.add(attribute::reservation_token, late); })
                .error(),
            508);
}

TEST_F(Turn, AReservationEndsWithItsAllocation) {
  const Octets reserve = {0x80};
  for (int i = 0; i < 5; ++i) {
    ask(client(), method::allocate, [&](stun::Writer& w) { udp(w), w.add(attribute::even_port, reserve); });
    EXPECT_EQ(ports.open_ports.size(), 2u);
    EXPECT_EQ(refresh(client(), 0).error(), 0);
    EXPECT_EQ(ports.open_ports.size(), 0u) << "nobody pins ports past his quota";
  }
}

TEST_F(Turn, QuotasAndRates) {
  config.allocations_per_user = 2;
  EXPECT_EQ(allocate(client("203.0.113.7:1")).error(), 0);
  EXPECT_EQ(allocate(client("203.0.113.7:2")).error(), 0);
  EXPECT_EQ(allocate(client("203.0.113.7:3")).error(), 486);
  timed("alice", hours(2));
  EXPECT_EQ(allocate(client("203.0.113.7:4")).error(), 486) << "a new ticket at the door is the same user";
  timed("bob");
  EXPECT_EQ(allocate(client("203.0.113.7:5")).error(), 0);
  timed("alice");
  EXPECT_EQ(refresh(client("203.0.113.7:1"), 0).error(), 0);
  EXPECT_EQ(allocate(client("203.0.113.7:6")).error(), 0);

  config.allocations_per_user = 0;
  config.allocations_per_second = 5;
  restart(), seats.clear();
  int made = 0;
  for (int i = 0; i < 60; ++i)
    made += allocate(client("203.0.113.8:" + std::to_string(100 + i))).error() == 0;
  EXPECT_EQ(made, 20);
  config.allocations_per_second = 0, config.allocations = 3;
  restart();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(allocate(client("203.0.113.8:" + std::to_string(100 + i))).error(), 0);
  EXPECT_EQ(allocate(client("203.0.113.8:200")).error(), 508);
}

TEST_F(Turn, SeatsAreRenewedWhileTheAllocationLives) {
  allocated(client());
  server().on_timeout(now, out);
  now.mono = now.mono + seconds(31);
  server().on_timeout(now, out);
  ASSERT_EQ(out.seats.size(), 1u);
  EXPECT_TRUE(out.seats[0].held);
  EXPECT_EQ(out.seats[0].pool.name, "alice");
  EXPECT_EQ(out.seats[0].seats, std::vector<uint64_t>(seats["alice"].begin(), seats["alice"].end()));
}

// ---- life and end ----------------------------------------------------------------------------------------

TEST_F(Turn, RefreshedOrGone) {
  allocated(client());
  advance(seconds(500));
  EXPECT_EQ(refresh(client(), 600).message().u32(attribute::lifetime), 600u);
  advance(seconds(599));
  EXPECT_EQ(server().size(), 1u);
  advance(seconds(2));
  EXPECT_EQ(server().size(), 0u);
  EXPECT_TRUE(ports.open_ports.empty());
  EXPECT_TRUE(seats["alice"].empty());
  EXPECT_EQ(event_count("turn.ended"), 1u);
  EXPECT_EQ(refresh(client(), 600).error(), 437);
  EXPECT_EQ(permit(client(), peer).error(), 437);
  allocated(client());
  EXPECT_EQ(refresh(client(), 0).message().u32(attribute::lifetime), 0u);
  EXPECT_EQ(server().size(), 0u);
  EXPECT_TRUE(server().next_timeout().is_never() || server().next_timeout() > now.mono);
}

TEST_F(Turn, AThousandRefreshesFillNoQueue) {
  allocated(client());
  for (int i = 0; i < 1000; ++i) refresh(client(), 3600), permit(client(), peer);
  int entries = 0;
  while (!server().next_timeout().is_never() && entries < 1000) {
    const Instant next = server().next_timeout();
    now.wall = now.wall + (next - now.mono), now.mono = next;
    server().on_timeout(now, out);
    ++entries;
  }
  EXPECT_LT(entries, 300) << "housekeeping, and nothing for each of the thousand";
  EXPECT_EQ(server().size(), 0u);
}

TEST_F(Turn, AClosedConnectionEndsItsAllocation) {
  const auto c = client("203.0.113.7:9", port::RelayTransport::tls, 4);
  allocated(c);
  port::RelayEvent e;
  e.client = c;
  server().on_event(now, e, out);
  EXPECT_EQ(server().size(), 0u);
  EXPECT_TRUE(ports.open_ports.empty());
}

// ---- packets ---------------------------------------------------------------------------------------------

TEST_F(Turn, ChannelDataBothWays) {
  const auto relay = allocated(client());
  EXPECT_EQ(bind(client(), 0x4001, peer).error(), 0);
  channel(client(), 0x4001, "hello");
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].from, relay);
  EXPECT_EQ(sent[0].peer, at(peer));
  EXPECT_EQ(as_text(sent[0].octets), "hello");
  from_peer(port_at(relay), peer, "world");
  const Got g = take();
  EXPECT_EQ(g.octets, (Octets{0x40, 0x01, 0, 5, 'w', 'o', 'r', 'l', 'd'})) << "no padding over UDP";
  EXPECT_EQ(server().list(now, 10)[0].packets_up, 1u);
  EXPECT_EQ(server().list(now, 10)[0].octets_down, 5u);
}

TEST_F(Turn, ChannelDataIsPaddedOnStreams) {
  const auto c = client("203.0.113.7:9", port::RelayTransport::tcp, 1);
  const auto relay = allocated(c);
  bind(c, 0x4001, peer);
  from_peer(port_at(relay), peer, "world");
  EXPECT_EQ(take().octets, (Octets{0x40, 0x01, 0, 5, 'w', 'o', 'r', 'l', 'd', 0, 0, 0}));
}

TEST_F(Turn, NobodyMakesWorkWithALongRequest) {
  const auto stream = client("203.0.113.7:9", port::RelayTransport::tcp, 1);
  const auto binding = [&](size_t attributes) {
    Octets o(20 + 4 * attributes);
    o[1] = 1;
    o[2] = static_cast<uint8_t>(4 * attributes >> 8), o[3] = static_cast<uint8_t>(4 * attributes);
    o[4] = 0x21, o[5] = 0x12, o[6] = 0xA4, o[7] = 0x42;
    for (size_t i = 0; i < attributes; ++i)
      o[20 + 4 * i] = static_cast<uint8_t>(0x40 | i >> 8), o[21 + 4 * i] = static_cast<uint8_t>(i);
    return o;
  };
  const Got few = send_raw(stream, binding(1019));
  EXPECT_EQ(few.error(), 420);
  EXPECT_LT(few.octets.size(), 200u);
  EXPECT_TRUE(send_raw(stream, binding(1020)).octets.empty()) << "4,100 octets";
  EXPECT_EQ(dropped("bad_length"), 1u);
  // What carries data may be longer.
  allocated(stream);
  permit(stream, "203.0.113.50:1");
  indicate(stream, "203.0.113.50:1", std::string(1000, 'x'));
  EXPECT_EQ(sent.size(), 1u);
}

TEST_F(Turn, IndicationsBothWays) {
  const auto relay = allocated(client());
  indicate(client(), peer, "early");
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(dropped("no_permission"), 1u);
  permit(client(), peer);
  indicate(client(), peer, "hello");
  indicate(client(), peer, "whole", true);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(as_text(sent[0].octets), "hello");
  EXPECT_FALSE(sent[0].dont_fragment);
  EXPECT_TRUE(sent[1].dont_fragment);
  for (const char* from : {"203.0.113.50:7000", "203.0.113.50:1"}) {
    got.clear();
    from_peer(port_at(relay), from, "answer");
    const Got g = take();
    ASSERT_TRUE(g.is_stun());
    const auto m = g.message();
    EXPECT_EQ(m.message_class(), stun::Class::indication);
    EXPECT_EQ(m.method(), method::data);
    EXPECT_EQ(m.xor_address(attribute::xor_peer_address), at(from));
    EXPECT_EQ(m.text(attribute::data), "answer");
  }
  from_peer(port_at(relay), "203.0.113.51:7000", "stranger");
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(dropped("no_permission"), 2u);
}

TEST_F(Turn, IndicationsOfIpv6Peers) {
  const Got g = ask(client(), method::allocate, [](stun::Writer& w) {
    udp(w), w.add_u32(attribute::requested_address_family, 2u << 24);
  });
  const auto relay = *g.message().xor_address(attribute::xor_relayed_address);
  permit(client(), "[2001:db8::7]:1");
  from_peer(port_at(relay), "[2001:db8::7]:99", "six");
  const Got d = take();
  EXPECT_EQ(d.message().xor_address(attribute::xor_peer_address), at("[2001:db8::7]:99"));
  EXPECT_EQ(d.message().text(attribute::data), "six");
}

TEST_F(Turn, WhatIsNoChannelGoesNowhere) {
  channel(client(), 0x4001, "x");
  EXPECT_EQ(dropped("no_allocation"), 1u);
  allocated(client());
  channel(client(), 0x4001, "x");
  EXPECT_EQ(dropped("no_channel"), 1u);
  bind(client(), 0x4001, peer);
  channel(client(), 0x4001, "short", 1);
  send_raw(client(), Octets{0x40, 1});
  EXPECT_EQ(dropped("bad_length"), 2u);
  EXPECT_TRUE(sent.empty());
  channel(client(), 0x4001, "longer", -2);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(as_text(sent[0].octets), "long") << "what stands behind the length is padding";
}

TEST_F(Turn, ChannelRules) {
  allocated(client());
  EXPECT_EQ(bind(client(), 0x3FFF, peer).error(), 400);
  EXPECT_EQ(bind(client(), 0x8000, peer).error(), 400);
  EXPECT_EQ(bind(client(), 0x7FFF, peer).error(), 0);
  EXPECT_EQ(bind(client(), 0x7FFF, peer).error(), 0) << "again is a refresh";
  EXPECT_EQ(bind(client(), 0x4000, peer).error(), 400) << "the peer has another number";
  EXPECT_EQ(bind(client(), 0x7FFF, "203.0.113.51:1").error(), 400) << "the number has another peer";
  EXPECT_EQ(bind(client(), 0x4000, "[2001:db8::9]:1").error(), 443);
  EXPECT_EQ(ask(client(), method::channel_bind).error(), 400);
  advance(seconds(550)), refresh(client(), 600);
  channel(client(), 0x7FFF, "x");
  EXPECT_EQ(sent.size(), 1u);
  advance(seconds(51));
  channel(client(), 0x7FFF, "x");
  EXPECT_EQ(sent.size(), 1u) << "a channel lasts ten minutes";
  EXPECT_EQ(bind(client(), 0x4000, peer).error(), 0) << "then its peer may have another number";
}

TEST_F(Turn, PermissionsLastFiveMinutes) {
  const auto relay = allocated(client());
  permit(client(), peer);
  advance(seconds(299));
  from_peer(port_at(relay), peer, "x");
  EXPECT_EQ(got.size(), 1u);
  advance(seconds(2));
  got.clear();
  from_peer(port_at(relay), peer, "x");
  EXPECT_TRUE(got.empty());
  indicate(client(), peer, "x");
  EXPECT_TRUE(sent.empty());
  advance(seconds(61));
  EXPECT_EQ(server().list(now, 1)[0].permissions, 0u);
}

TEST_F(Turn, SeveralPeersAllOrNone) {
  config.permissions = 2;
  allocated(client());
  const auto several = [&](std::initializer_list<const char*> peers) {
    return ask(client(), method::create_permission, [&](stun::Writer& w) {
      for (const char* p : peers) w.add_xor_address(attribute::xor_peer_address, at(p));
    });
  };
  EXPECT_EQ(several({}).error(), 400);
  EXPECT_EQ(several({"203.0.113.1:1", "127.0.0.1:1"}).error(), 403);
  EXPECT_EQ(several({"203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1"}).error(), 508);
  EXPECT_EQ(server().list(now, 1)[0].permissions, 0u);
  EXPECT_EQ(several({"203.0.113.1:1", "203.0.113.2:1"}).error(), 0);
  EXPECT_EQ(several({"203.0.113.1:1"}).error(), 0);
  EXPECT_EQ(several({"203.0.113.3:1"}).error(), 508);
  EXPECT_EQ(bind(client(), 0x4000, "203.0.113.3:1").error(), 508);
}

TEST_F(Turn, DeniedPeersOnEveryWayIn) {
  const auto c = client();
  allocated(c);
  size_t denied = 0;
  for (const char* p :
       {"127.0.0.1:80", "10.0.0.1:80", "169.254.169.254:80", "0.0.0.0:80", "255.255.255.255:80",
        "224.0.0.1:80", "100.64.0.1:80", "192.168.0.1:80", "198.51.100.200:80"}) {
    EXPECT_EQ(permit(c, p).error(), 403) << p;
    EXPECT_EQ(bind(c, 0x4000, p).error(), 403) << p;
    indicate(c, p, "x");
    denied += 2;
  }
  EXPECT_EQ(counters.total("turn_denied_peers_total"), denied);
  EXPECT_EQ(labelled("turn_denied_peers_total", "metadata"), 2u);
  EXPECT_TRUE(sent.empty());
  // Our own relay address: relay ports only.
  EXPECT_EQ(permit(c, "192.0.2.1:1").error(), 0);
  EXPECT_EQ(bind(c, 0x4001, "192.0.2.1:5060").error(), 0) << "opened by the test's own allow list";
}

TEST_F(Turn, ARelayReachesRelaysButNothingElseAtItsAddress) {
  config.policy.allow.pop_back();  // 192.0.2.1 lies in a documentation block: another address stands in
  config.policy.relays = {*IpAddress::parse("5.5.5.5")};
  config.policy.own = {*IpAddress::parse("5.5.5.5")};
  ports.v4 = *IpAddress::parse("5.5.5.5");
  const auto a = client("203.0.113.7:1"), b = client("203.0.113.7:2");
  (void)allocated(a);
  const auto relay_b = allocated(b);
  EXPECT_EQ(permit(a, relay_b.to_string()).error(), 0);
  indicate(a, relay_b.to_string(), "x");
  EXPECT_EQ(sent.size(), 1u);
  indicate(a, "5.5.5.5:22", "x");
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(dropped("denied_peer"), 1u);
  EXPECT_EQ(bind(a, 0x4000, "5.5.5.5:22").error(), 403);
}

TEST_F(Turn, Bandwidth) {
  config.bytes_per_second = 200'000;
  const auto relay = allocated(client());
  bind(client(), 0x4001, peer);
  const std::string big(200, 'x');
  for (int i = 0; i < 1000; ++i) channel(client(), 0x4001, big);
  EXPECT_EQ(sent.size(), 500u) << "half a second's worth at once";
  EXPECT_EQ(dropped("bandwidth"), 500u);
  for (int i = 0; i < 1000; ++i) from_peer(port_at(relay), peer, big);
  EXPECT_EQ(got.size(), 500u) << "each direction by itself";
  advance(milliseconds(100));
  sent.clear();
  for (int i = 0; i < 1000; ++i) channel(client(), 0x4001, big);
  EXPECT_EQ(sent.size(), 100u);
  config.bytes_per_second = 0, config.total_bytes_per_second = 200'000;
  restart(), ports.open_ports.clear(), seats.clear(), sent.clear();
  allocated(client());
  bind(client(), 0x4001, peer);
  for (int i = 0; i < 1000; ++i) channel(client(), 0x4001, big);
  EXPECT_EQ(sent.size(), 500u);
}

TEST_F(Turn, UnsignedRefusalsAreLimitedToo) {
  config.challenges_per_second = 1;
  stun::Writer w(stun::Class::request, 0x0123, next_transaction());
  size_t answered = 0;
  for (int i = 0; i < 100; ++i) answered += send_raw(client(), w.octets()).error() == 400;
  EXPECT_EQ(answered, 4u);
  EXPECT_EQ(dropped("challenges"), 96u);
}

// ---- sharing ---------------------------------------------------------------------------------------------

class Shared : public Turn {
 protected:
  Shared() {
    ports.last = ports.first + 1;  // two ports
    config.tenants = 4;
  }
  port::RelayClient number(int i) const { return client("203.0.113.7:" + std::to_string(i)); }
};

TEST_F(Shared, PortsAreSharedOnceTheyAreAllTaken) {
  std::map<SocketAddress, int> users;
  for (int i = 1; i <= 8; ++i) ++users[allocated(number(i))];
  EXPECT_EQ(users.size(), 2u);
  for (const auto& [relay, count] : users) EXPECT_EQ(count, 4) << relay.to_string();
  EXPECT_EQ(allocate(number(9)).error(), 508) << "as many tenants as may be";
  EXPECT_EQ(counters.total("turn_ports_shared_total"), 6u);
  for (int i = 1; i <= 8; ++i) refresh(number(i), 0);
  EXPECT_TRUE(ports.open_ports.empty()) << "the last tenant closes the port";
  for (int i = 1; i <= 4; ++i) EXPECT_EQ(allocate(number(i)).error(), 0);
}

TEST_F(Shared, APeerBelongsToOneTenant) {
  const auto relay = allocated(number(1));
  allocated(number(2));
  ASSERT_EQ(allocated(number(3)), relay);
  EXPECT_EQ(permit(number(1), "203.0.113.50:1").error(), 0);
  EXPECT_EQ(permit(number(3), "203.0.113.50:2").error(), 508) << "whose would its packets be?";
  EXPECT_EQ(bind(number(3), 0x4000, "203.0.113.50:2").error(), 508);
  EXPECT_EQ(counters.total("turn_port_conflicts_total"), 2u);
  EXPECT_EQ(permit(number(3), "203.0.113.51:2").error(), 0);
  from_peer(port_at(relay), "203.0.113.50:9", "a");
  EXPECT_EQ(got_by.back(), number(1));
  from_peer(port_at(relay), "203.0.113.51:9", "b");
  EXPECT_EQ(got_by.back(), number(3));
  from_peer(port_at(relay), "203.0.113.52:9", "c");
  EXPECT_EQ(got.size(), 2u);
  indicate(number(3), "203.0.113.50:1", "x");
  EXPECT_TRUE(sent.empty()) << "and only he may send there";
  // Lapsed, or with its tenant gone, the peer is free again.
  EXPECT_EQ(refresh(number(1), 0).error(), 0);
  EXPECT_EQ(permit(number(3), "203.0.113.50:2").error(), 0);
  got.clear(), got_by.clear();
  from_peer(port_at(relay), "203.0.113.50:9", "d");
  EXPECT_EQ(got_by.back(), number(3));
}

TEST_F(Shared, ALapsedPermissionGivesThePeerBack) {
  allocated(number(1)), allocated(number(2)), allocated(number(3));
  permit(number(1), "203.0.113.50:1");
  advance(seconds(301));
  EXPECT_EQ(permit(number(3), "203.0.113.50:1").error(), 0);
  EXPECT_EQ(permit(number(1), "203.0.113.50:1").error(), 508);
  advance(seconds(100));
  from_peer(port_at(at("192.0.2.1:50000")), "203.0.113.50:9", "x");
  EXPECT_EQ(got_by.back(), number(3)) << "the sweep of the one who had it takes nothing away";
}

TEST_F(Shared, AChannelEndsWhenThePeerIsSomebodyElses) {
  const auto relay = allocated(number(1));
  allocated(number(2));
  ASSERT_EQ(allocated(number(3)), relay);
  bind(number(1), 0x4001, "203.0.113.50:1");
  advance(seconds(301));
  channel(number(1), 0x4001, "a");
  EXPECT_EQ(sent.size(), 1u) << "a channel lasts longer than its permission";
  EXPECT_EQ(permit(number(3), "203.0.113.50:1").error(), 0);
  channel(number(1), 0x4001, "b");
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(dropped("no_channel"), 1u);
}

TEST_F(Shared, AChannelWhosePermissionIsForgottenEndsThenToo) {
  const auto relay = allocated(number(1));
  allocated(number(2));
  ASSERT_EQ(allocated(number(3)), relay);
  bind(number(1), 0x4001, "203.0.113.50:1");
  for (int i = 0; i < 5; ++i) advance(seconds(90));  // whatever is swept is swept
  channel(number(1), 0x4001, "a");
  EXPECT_EQ(sent.size(), 1u);
  from_peer(port_at(relay), "203.0.113.50:1", "x");
  EXPECT_EQ(dropped("no_permission"), 1u) << "remembered is not permitted";
  EXPECT_EQ(permit(number(3), "203.0.113.50:1").error(), 0);
  channel(number(1), 0x4001, "b");
  EXPECT_EQ(sent.size(), 1u);
  EXPECT_EQ(dropped("no_channel"), 1u);
}

TEST_F(Shared, NobodyJoinsAPair) {
  const Octets even = {0};
  const Got pair =
      ask(number(1), method::allocate, [&](stun::Writer& w) { udp(w), w.add(attribute::even_port, even); });
  ASSERT_EQ(pair.error(), 0);
  const auto other = allocated(number(2));
  for (int i = 3; i <= 5; ++i) EXPECT_EQ(allocated(number(i)), other);
}

TEST_F(Shared, WhoMayMoveSharesWithNobody) {
  const auto mobile = [&](int i) {
    return ask(number(i), method::allocate,
               [](stun::Writer& w) { udp(w), w.add(attribute::mobility_ticket, Bytes{}); });
  };
  EXPECT_EQ(mobile(1).error(), 0);
  const auto relay = allocated(number(2));
  EXPECT_EQ(allocated(number(3)), relay);
  EXPECT_EQ(mobile(4).error(), 508);
}

}  // namespace
}  // namespace tandem::turn
