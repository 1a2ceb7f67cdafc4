// The port that WebRTC legs of a worker share: datagrams of both families, connections with frames, and their
// limits.
#include <sys/epoll.h>

#include <set>

#include "net/media_plane.h"
#include "net/port_range.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using Family = IpAddress::Family;

/// A number that was free on both addresses a moment ago, for UDP and TCP.
uint16_t free_number() {
  for (;;) {
    auto udp = bind_udp({loopback, 0}, {});
    const uint16_t number = local_address(udp->get()).port;
    if (bind_udp({loopback6, number}, {}).ok() && listen_tcp({loopback, number}, {}, 1).ok() &&
        listen_tcp({loopback6, number}, {}, 1).ok())
      return number;
  }
}

std::string framed(std::string_view text) {
  std::string out{static_cast<char>(text.size() >> 8), static_cast<char>(text.size() & 0xFF)};
  return out.append(text);
}

/// What came over a connection, or how one ended.
struct Came {
  std::string text;
  SocketAddress from;
  bool connection = false;
  port::MediaPortId port;
};

class SharedPort : public ::testing::Test {
 protected:
  SharedPort() {
    number = free_number();
    world.config.media.push_back({.bind_v4 = loopback, .bind_v6 = loopback6, .webrtc_port = number});
    world.on_media = [&](TestWorker& w, Now, std::span<port::MediaPacket> packets) {
      for (const port::MediaPacket& p : packets) {
        const std::string text(as_text(p.bytes));
        if (text == "keep me") w.media().keep(p.port, p.remote);
        if (text == "end me") w.media().end(p.port, p.remote);
        came.push({text, p.remote, p.connection, p.port});
      }
    };
  }
  port::SharedPort place() {
    port::SharedPort out;
    world.on_worker(0, [&](Now, TestWorker& w) { out = *w.media().open_shared(0); });
    return out;
  }
  void send(port::MediaPortId leg, const SocketAddress& to, std::string text, bool connection) {
    world.on_worker(
        0, [&](Now, TestWorker& w) { w.out.media.send_own(leg, to, Buffer::copy_of(text), connection); });
  }
  SocketAddress v4() const { return {loopback, number}; }
  uint64_t open_connections() { return world.count("net_media_connections_open"); }

  Record<Came> came;  // outlives the threads of `world`
  uint16_t number = 0;
  World world;
};

TEST_F(SharedPort, LegsSendAndHearByOneNumberInBothFamilies) {
  world.start();
  const auto a = place(), b = place();
  EXPECT_NE(a.leg.id, b.leg.id);
  EXPECT_EQ(a.hub, b.hub);
  EXPECT_EQ(a.leg.local, v4());
  EXPECT_EQ(a.leg.other_local, (SocketAddress{loopback6, number}));
  UdpClient four, six(loopback6);
  four.send(v4(), "four");
  six.send({loopback6, number}, "six");
  std::set<std::string> texts;
  for (int i = 0; i < 2; ++i) {
    const Came c = came.take("a datagram");
    EXPECT_EQ(c.port, a.hub);
    EXPECT_FALSE(c.connection);
    texts.insert(c.text);
  }
  EXPECT_EQ(texts, (std::set<std::string>{"four", "six"}));
  world.on_worker(0, [&](Now, TestWorker& w) {
    for (int i = 0; i < 100; ++i) {
      w.out.media.send_own(i % 2 ? a.leg.id : b.leg.id, four.address(), Buffer::copy_of("4"));
      w.out.media.send_own(i % 2 ? b.leg.id : a.leg.id, six.address(), Buffer::copy_of("6"));
    }
  });
  for (int i = 0; i < 100; ++i) {
    SocketAddress from;
    ASSERT_EQ(four.receive(&from), "4");
    EXPECT_EQ(from, v4());
    ASSERT_EQ(six.receive(&from), "6");
    EXPECT_EQ(from, (SocketAddress{loopback6, number}));
  }
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.media().close(a.leg.id);
    w.out.media.send_own(a.leg.id, four.address(), Buffer::copy_of("late"));
  });
  world.await_counter("net_media_dropped_total", 1, "closed_port");
}

TEST_F(SharedPort, EachWorkerHasItsOwn) {
  world.config.workers = 2;
  while (listen_tcp({loopback, static_cast<uint16_t>(number + 1)}, {}, 1).ok() == false)
    number = free_number();
  world.config.media[0].webrtc_port = number;
  world.start();
  for (uint16_t i = 0; i < 2; ++i)
    world.on_worker(i, [&](Now, TestWorker& w) {
      EXPECT_EQ(w.media().open_shared(0)->leg.local.port, number + i);
      EXPECT_FALSE(w.media().open_shared(1)) << "no such realm";
    });
}

TEST_F(SharedPort, ANumberThatSomebodyHasIsTold) {
  const auto other = listen_tcp(v4(), {}, 1);
  const auto done = world.try_start();
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.reason().find("WebRTC media port " + v4().to_string() + " (tcp)"), std::string::npos)
      << done.reason();
}

TEST_F(SharedPort, FramesGoBothWays) {
  world.start();
  const auto leg = place();
  StreamClient client(v4());
  const SocketAddress us = local_address(client.fd());
  const std::string first = framed("keep me");
  for (const char c : first) ASSERT_TRUE(client.send(std::string(1, c)));  // in whatever pieces
  Came c = came.take("the first frame");
  EXPECT_TRUE(c.connection);
  EXPECT_EQ(c.port, leg.hub);
  EXPECT_EQ(c.from, us);
  ASSERT_TRUE(client.send(framed("one") + framed("") + framed(std::string(1500, 'x')) + framed("two")));
  EXPECT_EQ(came.take("one").text, "one");
  EXPECT_EQ(came.take("a long one").text.size(), 1500u);
  EXPECT_EQ(came.take("two").text, "two");
  send(leg.leg.id, us, "to you", true);
  EXPECT_EQ(client.receive(8), framed("to you"));
  // Without the mark it is a datagram, and nobody is there.
  send(leg.leg.id, {loopback, 9}, "nobody", true);
  world.await_counter("net_media_dropped_total", 1, "no_connection");
}

TEST_F(SharedPort, TheEndOfAConnectionThatWasKeptIsTold) {
  world.start();
  place();
  SocketAddress us;
  {
    StreamClient client(v4());
    us = local_address(client.fd());
    ASSERT_TRUE(client.send(framed("keep me")));
    came.take("the first frame");
    StreamClient other(v4());
    ASSERT_TRUE(other.send(framed("not kept")));
    EXPECT_EQ(came.take("another").text, "not kept");
  }
  const Came end = came.take("its end");
  EXPECT_TRUE(end.text.empty());
  EXPECT_TRUE(end.connection);
  EXPECT_EQ(end.from, us);
  world.await_counter("net_media_connections_closed_total", 2, "peer");
  EXPECT_EQ(came.size(), 0u);
  EXPECT_EQ(open_connections(), 0u);
}

TEST_F(SharedPort, WhoShowsNothingIsClosed) {
  world.config.limits.media_first_check = milliseconds(50);
  world.start();
  place();
  StreamClient silent(v4()), slow(v4());
  ASSERT_TRUE(slow.send(std::string("\0", 1)));
  EXPECT_TRUE(silent.ended());
  EXPECT_TRUE(slow.ended());
  world.await_counter("net_media_connections_closed_total", 2, "unproven");
  EXPECT_EQ(came.size(), 0u);
}

TEST_F(SharedPort, WhoIsSentAwayIsClosed) {
  world.start();
  place();
  StreamClient client(v4());
  ASSERT_TRUE(client.send(framed("end me")));
  EXPECT_TRUE(client.ended());
  world.await_counter("net_media_connections_closed_total", 1, "unproven");
}

TEST_F(SharedPort, AFrameThatIsTooLongEndsIt) {
  world.start();
  place();
  StreamClient client(v4());
  ASSERT_TRUE(client.send(framed("keep me")));
  came.take("the first frame");
  ASSERT_TRUE(client.send("\xFF\xFF"));
  EXPECT_TRUE(client.ended());
  world.await_counter("net_media_connections_closed_total", 1, "framing");
  EXPECT_TRUE(came.take("its end").text.empty());
}

TEST_F(SharedPort, IdleOnesAreClosed) {
  world.config.limits.media_idle = milliseconds(50);
  world.start();
  place();
  StreamClient client(v4());
  ASSERT_TRUE(client.send(framed("keep me")));
  came.take("the first frame");
  EXPECT_TRUE(client.ended());
  world.await_counter("net_media_connections_closed_total", 1, "idle");
  EXPECT_TRUE(came.take("its end").text.empty());
}

TEST_F(SharedPort, OnlySoManyComeIn) {
  world.config.limits.media_connections_per_source = 3;
  world.config.limits.media_connections_unproven = 2;
  world.start();
  place();
  StreamClient one(v4()), two(v4());
  world.await_counter("net_media_connections_total", 2);
  StreamClient third(v4());
  EXPECT_TRUE(third.ended());
  world.await_counter("net_media_connections_refused_total", 1, "unproven");
  for (StreamClient* c : {&one, &two}) ASSERT_TRUE(c->send(framed("keep me")));
  came.take("one"), came.take("two");
  StreamClient fourth(v4());
  ASSERT_TRUE(fourth.send(framed("keep me")));
  came.take("the fourth");
  StreamClient fifth(v4());
  EXPECT_TRUE(fifth.ended());
  world.await_counter("net_media_connections_refused_total", 1, "source");
}

TEST_F(SharedPort, ASlowReaderLosesMediaAndTheRestArrivesWhole) {
  world.config.limits.media_write_queue_bytes = 4096;
  world.start();
  const auto leg = place();
  StreamClient client(v4());
  const SocketAddress us = local_address(client.fd());
  ASSERT_TRUE(client.send(framed("keep me")));
  came.take("the first frame");
  const std::string frame(1000, 'm');
  const auto dropped = [&] { return world.count("net_media_dropped_total", "queue_full"); };
  const auto taken = [&] { return world.count("net_media_frames_sent_total"); };
  uint64_t given = 0;
  while (dropped() == 0) {
    ASSERT_LT(given, 100'000U) << "nothing is ever dropped";
    world.on_worker(0, [&](Now, TestWorker& w) {
      for (int i = 0; i < 50; ++i) w.out.media.send_own(leg.leg.id, us, Buffer::copy_of(frame), true);
    });
    given += 50;
  }
  // What a task leaves is sent after it.
  const auto until = std::chrono::steady_clock::now() + patience;
  while (taken() + dropped() < given) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << taken() << " and " << dropped() << " of " << given;
    std::this_thread::yield();
  }
  const uint64_t sent = taken();
  for (uint64_t i = 0; i < sent; ++i) ASSERT_EQ(client.receive(1002), framed(frame)) << i;
  send(leg.leg.id, us, "and on", true);
  EXPECT_EQ(client.receive(8), framed("and on"));
}

TEST_F(SharedPort, WhoReadsNothingIsClosed) {
  world.config.limits.media_write_queue_bytes = 4096;
  world.config.limits.write_stall = milliseconds(50);
  world.start();
  const auto leg = place();
  StreamClient client(v4());
  const SocketAddress us = local_address(client.fd());
  ASSERT_TRUE(client.send(framed("keep me")));
  came.take("the first frame");
  // A full queue may still be taken by the system; media goes on coming until nothing is taken any more.
  const auto until = std::chrono::steady_clock::now() + patience;
  while (world.count("net_media_connections_closed_total", "write_stall") == 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "it is never closed";
    world.on_worker(0, [&](Now, TestWorker& w) {
      for (int i = 0; i < 50; ++i)
        w.out.media.send_own(leg.leg.id, us, Buffer::copy_of(std::string(1000, 'm')), true);
    });
  }
  EXPECT_TRUE(came.take("its end").text.empty());
  EXPECT_GT(world.count("net_media_dropped_total", "queue_full"), 0u);
}

TEST(MediaPorts, APairMayHaveBothFamilies) {
  RuntimeConfig config;
  config.media.push_back(
      {.bind_v4 = loopback, .bind_v6 = loopback6, .first_port = 41900, .last_port = 41919});
  PortRanges ranges(config);
  Fd poll{epoll_create1(0)};
  CounterSet counters;
  MediaPlane plane(ranges, poll.get(), 0, Limits{}, counters);
  auto pair = *plane.open_pair(0, Family::v4);
  ASSERT_TRUE(plane.widen(0, pair, {}));
  EXPECT_EQ(pair.rtp.other_local.ip, loopback6);
  EXPECT_EQ(pair.rtcp.other_local.port, pair.rtp.other_local.port + 1);
  EXPECT_FALSE(plane.widen(0, pair, {})) << "it has both";
  UdpClient four, six(loopback6);
  six.send(pair.rtp.other_local, "six");
  ASSERT_TRUE(await_readable(poll.get()));
  epoll_event event{};
  ASSERT_EQ(epoll_wait(poll.get(), &event, 1, 0), 1);
  ASSERT_EQ(plane.receive(event.data.u64), 1u);
  EXPECT_EQ(plane.batch()[0].port, pair.rtp.id);
  const std::string text = "out";
  const port::MediaSend sends[] = {{pair.rtp.id, four.address(), as_bytes(text)},
                                   {pair.rtp.id, six.address(), as_bytes(text)},
                                   {pair.rtcp.id, six.address(), as_bytes(text)}};
  plane.send(sends);
  SocketAddress from;
  EXPECT_EQ(four.receive(&from), "out");
  EXPECT_EQ(from, pair.rtp.local);
  std::set<SocketAddress> sources;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(six.receive(&from), "out");
    sources.insert(from);
  }
  EXPECT_EQ(sources, (std::set<SocketAddress>{pair.rtp.other_local, pair.rtcp.other_local}));
  const SocketAddress rtp = pair.rtp.local, other = pair.rtp.other_local;
  plane.close(pair.rtp.id);
  plane.close(pair.rtcp.id);
  EXPECT_EQ(plane.open_ports(), 0u);
  auto again = *plane.reopen_pair(0, rtp);
  ASSERT_TRUE(plane.widen(0, again, other));
  EXPECT_EQ(again.rtp.other_local, other);
}

}  // namespace
}  // namespace tandem::net::test
