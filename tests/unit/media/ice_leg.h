#pragma once
// A leg with ICE: a peer with an agent of its own, and a telephone at the other side.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ice/agent.h"
#include "media/ice_lines.h"
#include "unit/media/world.h"

namespace tandem::media {

inline const SocketAddress at_b = at("198.51.100.2:5000");

inline bool is_check(const Sent& s) { return s.bytes.size() > 1 && s.bytes[0] <= 3; }

/// A peer with an agent of its own. What it says of its addresses need not be where its packets come from.
struct Peer {
  explicit Peer(ice::Role role, ice::Mode mode = ice::Mode::full) {
    ice::Config c;
    c.role = role;
    c.mode = mode;
    c.trickle = false;
    agent = std::make_unique<ice::Agent>(c, rng, troubles);
  }
  void base(ice::StreamId stream, uint16_t component, const std::string& address, Now now,
            bool active_tcp = false) {
    ice::LocalBase b;
    if (active_tcp) {
      b.transport = ice::Transport::tcp;
      b.tcp_type = ice::TcpType::active;
    }
    b.stream = stream;
    b.component = component;
    b.address = at(address);
    bases.push_back({agent->add_local(now, b, out).value(), b.address, active_tcp});
  }
  /// `place`: what c= and m= say.
  std::string sdp(const std::string& place, const std::string& more = "a=rtcp-mux\r\n",
                  const std::string& formats = "0 101") {
    sdp::Description d = parsed(phone_sdp(place, formats, more));
    add_ice(d, 0, agent->local_description(0));
    return d.to_string();
  }
  void hear_of(const std::string& told, Now now) {
    ice::Troubles unread;
    const auto theirs = ice_line(parsed(told), 0, unread);
    ASSERT_TRUE(theirs);
    ASSERT_TRUE(agent->set_remote(now, 0, *theirs, out).ok());
  }

  SeededRng rng{31};
  ice::Troubles troubles;
  std::unique_ptr<ice::Agent> agent;
  ice::Outbox out;
  struct Base {
    ice::BaseId id;
    SocketAddress at;
    bool connection = false;
  };
  std::vector<Base> bases;
  std::optional<SocketAddress> mapped;  // by a NAT: of what leaves and what comes back
  bool deaf = false;
};

class IceLeg : public ::testing::Test {
 protected:
  World w;
  EndpointId leg_a, leg_b;
  std::string told_a, told_b;
  uint16_t port_a = 0, port_b = 0;
  Voice voice_b{at_b, 0xB1B1B1B1, 30'000};
  std::vector<Sent> media;

  static EndpointConfig policy(Ice ice, bool lite = false) {
    EndpointConfig c;
    c.ice = ice;
    c.ice_lite = lite;
    return c;
  }
  void open(const EndpointConfig& of_a) {
    leg_a = w.engine->open(of_a).value();
    leg_b = w.engine->open({}).value();
  }
  /// A offers, B answers in the clear and without ICE.
  void offer(const std::string& text) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(text), SdpRole::offer).ok());
    told_b = w.engine->present(w.now, leg_b, parsed(text), SdpRole::offer, leg_a).value();
    port_b = w.port_of(told_b);
    const auto answer = parsed(phone_sdp("198.51.100.2:5000", "0 101"));
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, answer, SdpRole::answer).ok());
    told_a = w.engine->present(w.now, leg_a, answer, SdpRole::answer, leg_b).value();
    port_a = w.port_of(told_a);
    ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
  }
  /// B offers, A is offered it.
  void offer_to_a() {
    const auto text = parsed(phone_sdp("198.51.100.2:5000", "0 101"));
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_b, text, SdpRole::offer).ok());
    told_a = w.engine->present(w.now, leg_a, text, SdpRole::offer, leg_b).value();
    port_a = w.port_of(told_a);
  }
  void answer_of_a(const std::string& text) {
    ASSERT_TRUE(w.engine->set_remote(w.now, leg_a, parsed(text), SdpRole::answer).ok());
    told_b = w.engine->present(w.now, leg_b, parsed(text), SdpRole::answer, leg_a).value();
    port_b = w.port_of(told_b);
    ASSERT_TRUE(w.engine->join(w.now, leg_a, leg_b).ok());
  }

  /// Checks go to and fro for so long; other packets are put by.
  void carry(Peer& p, Duration time = seconds(2)) {
    for (Duration gone{}; gone < time; gone += milliseconds(10)) {
      p.agent->on_timeout(w.now, p.out);
      for (int round = 0; round < 4; ++round) {
        for (auto& d : std::exchange(p.out.datagrams, {}))
          w.receive(p.mapped.value_or(base_at(p, d.base)), d.to.port, d.bytes, is_connection(p, d.base));
        w.pass(Duration{});
        for (const Sent& s : w.take_sent()) {
          if (!is_check(s)) {
            media.push_back(s);
            continue;
          }
          if (p.deaf) continue;
          for (const Peer::Base& b : p.bases)
            if (s.to == p.mapped.value_or(b.at) && s.connection == b.connection)
              p.agent->on_datagram(w.now, b.id, {w.ports.id_of(s.from) ? ours(s.from) : SocketAddress{}},
                                   s.bytes, p.out);
        }
      }
      w.pass(milliseconds(10));
    }
  }
  static SocketAddress ours(uint16_t port) { return {IpAddress::v4(192, 0, 2, 100), port}; }
  static bool is_connection(const Peer& p, ice::BaseId id) {
    for (const Peer::Base& b : p.bases)
      if (b.id == id) return b.connection;
    return false;
  }
  static SocketAddress base_at(const Peer& p, ice::BaseId id) {
    for (const Peer::Base& b : p.bases)
      if (b.id == id) return b.at;
    return {};
  }
  std::vector<Sent> receive(const SocketAddress& source, uint16_t to, std::vector<uint8_t> bytes) {
    w.take_sent();
    w.receive(source, to, std::move(bytes));
    std::vector<Sent> out;
    for (const Sent& s : w.take_sent())
      if (!is_check(s)) out.push_back(s);
    return out;
  }
  /// Both are heard, A from `source`.
  void talk(const SocketAddress& source) {
    Voice voice_a{source, 0xA1A1A1A1};
    voice_a.sequence = next_;
    next_ = static_cast<uint16_t>(next_ + 3);
    for (int i = 0; i < 3; ++i) {
      const auto to_b = receive(source, port_a, voice_a.packet());
      ASSERT_EQ(to_b.size(), 1u);
      EXPECT_EQ(to_b[0].to, at_b);
      const auto to_a = receive(at_b, port_b, voice_b.packet());
      ASSERT_EQ(to_a.size(), 1u);
      EXPECT_EQ(to_a[0].to, source);
    }
  }
  uint16_t next_ = 100;

  /// A, the offerer, behind a NAT: its c= and its candidate are an address nobody reaches.
  void connect(Peer& a, const EndpointConfig& how = policy(Ice::accepted)) {
    open(how);
    (void)a.agent->add_stream(1).value();
    a.base(0, 1, "10.0.0.7:6000", w.now);
    a.agent->end_of_local(w.now, a.out);
    a.mapped = at("203.0.113.9:40000");
    offer(a.sdp("10.0.0.7:6000"));
    a.hear_of(told_a, w.now);
    carry(a);
  }
};

}  // namespace tandem::media
