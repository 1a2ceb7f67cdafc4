// Media ports: numbers, exhaustion, rest, strangers, batches.
#include <sys/epoll.h>

#include <set>

#include "net/media_plane.h"
#include "net/port_range.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using Family = IpAddress::Family;

RuntimeConfig with_range(uint16_t first, uint16_t last, Duration quarantine = seconds(3)) {
  RuntimeConfig config;
  config.media.push_back({.bind_v4 = loopback,
                          .bind_v6 = loopback6,
                          .advertised_v4 = IpAddress::v4(192, 0, 2, 9),
                          .first_port = first,
                          .last_port = last});
  config.port_quarantine = quarantine;
  return config;
}

struct Plane {
  explicit Plane(PortRanges& ranges) : plane(ranges, poll.get(), 0, Limits{}, counters) {}
  Fd poll{epoll_create1(0)};
  CounterSet counters;
  MediaPlane plane;
};

TEST(MediaPorts, PairsAreEvenAndOddAndAdvertised) {
  PortRanges ranges(with_range(41000, 41099));
  Plane p(ranges);
  const auto pair = p.plane.open_pair(0, Family::v4);
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->rtp.local.port % 2, 0);
  EXPECT_EQ(pair->rtcp.local.port, pair->rtp.local.port + 1);
  EXPECT_EQ(pair->rtp.local.ip, loopback);
  EXPECT_EQ(pair->rtp.advertised, IpAddress::v4(192, 0, 2, 9));
  const auto six = p.plane.open_pair(0, Family::v6);
  ASSERT_TRUE(six);
  EXPECT_EQ(six->rtp.advertised, loopback6);
  EXPECT_FALSE(p.plane.open_pair(1, Family::v4)) << "no such realm";
}

TEST(MediaPorts, NumbersAreUniqueAcrossWorkersUntilExhausted) {
  PortRanges ranges(with_range(41100, 41119));
  Plane a(ranges), b(ranges);
  std::set<uint16_t> numbers;
  for (int i = 0; i < 10; ++i) {
    const auto pair = (i % 2 ? a : b).plane.open_pair(0, Family::v4);
    ASSERT_TRUE(pair) << i;
    EXPECT_TRUE(numbers.insert(pair->rtp.local.port).second);
  }
  EXPECT_FALSE(a.plane.open_pair(0, Family::v4));
  EXPECT_EQ(a.counters.total("net_media_ports_exhausted_total"), 1u);
}

TEST(MediaPorts, AClosedPairRestsWhileOthersAreFree) {
  PortRanges ranges(with_range(41200, 41219, hours(1)));
  Plane p(ranges);
  const auto first = *p.plane.open_pair(0, Family::v4);
  p.plane.close(first.rtp.id);
  p.plane.close(first.rtcp.id);
  p.plane.close(first.rtcp.id);  // a stale name does nothing
  std::vector<port::MediaPorts::Pair> rest;
  for (int i = 0; i < 9; ++i) {
    rest.push_back(*p.plane.open_pair(0, Family::v4));
    EXPECT_NE(rest.back().rtp.local.port, first.rtp.local.port);
  }
  const auto last = p.plane.open_pair(0, Family::v4);  // nothing else is left: better than no call
  ASSERT_TRUE(last);
  EXPECT_EQ(last->rtp.local.port, first.rtp.local.port);
  EXPECT_NE(last->rtp.id, first.rtp.id);
}

TEST(MediaPorts, SevenBootsBeginWithOtherNumbers) {
  RuntimeConfig config = with_range(41500, 41579);  // 40 pairs
  std::set<uint16_t> before;
  for (uint64_t epoch = 7; epoch < 15; ++epoch) {
    config.epoch = epoch;
    PortRanges ranges(config);
    Plane p(ranges);
    for (int i = 0; i < 5; ++i) {
      const auto pair = p.plane.open_pair(0, Family::v4);
      ASSERT_TRUE(pair) << i;
      EXPECT_TRUE(before.insert(pair->rtp.local.port).second) << "boot " << epoch;
    }
    for (int i = 5; i < 40; ++i)
      ASSERT_TRUE(p.plane.open_pair(0, Family::v4)) << "the whole range can be used, " << i;
    EXPECT_FALSE(p.plane.open_pair(0, Family::v4));
  }
}

TEST(MediaPorts, HalfAPairIsNotFree) {
  PortRanges ranges(with_range(41300, 41301, Duration{}));
  Plane p(ranges);
  const auto pair = *p.plane.open_pair(0, Family::v4);
  p.plane.close(pair.rtp.id);
  EXPECT_FALSE(p.plane.open_pair(0, Family::v4));
  p.plane.close(pair.rtcp.id);
  EXPECT_TRUE(p.plane.open_pair(0, Family::v4));
}

TEST(MediaPorts, ReopenGivesTheSameNumbers) {
  PortRanges ranges(with_range(41400, 41499, hours(1)));
  SocketAddress local;
  {
    Plane before(ranges);
    const auto pair = *before.plane.open_pair(0, Family::v4);
    local = pair.rtp.local;
    EXPECT_FALSE(before.plane.reopen_pair(0, local)) << "still open";
    before.plane.close(pair.rtp.id);
    before.plane.close(pair.rtcp.id);
  }
  Plane after(ranges);
  const auto pair = after.plane.reopen_pair(0, local);  // the rest is for strangers, not for its own call
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->rtp.local, local);
  EXPECT_FALSE(after.plane.reopen_pair(0, {loopback, 41401})) << "odd";
  EXPECT_FALSE(after.plane.reopen_pair(0, {loopback, 40000})) << "outside";
}

TEST(MediaPorts, StrangersAreSkippedAndCounted) {
  const auto stranger = bind_udp({loopback, 41503}, {});  // an RTCP number: spoils the pair 41502
  ASSERT_TRUE(stranger.ok());
  PortRanges ranges(with_range(41500, 41505, seconds(1)));
  Plane p(ranges);
  std::set<uint16_t> numbers;
  for (int i = 0; i < 2; ++i) numbers.insert(p.plane.open_pair(0, Family::v4)->rtp.local.port);
  EXPECT_EQ(numbers, (std::set<uint16_t>{41500, 41504}));
  EXPECT_FALSE(p.plane.open_pair(0, Family::v4));
  EXPECT_GE(p.counters.total("net_media_port_strangers_total"), 1u);
  EXPECT_FALSE(p.plane.reopen_pair(0, {loopback, 41502}));
}

TEST(MediaRelay, PacketsAreRewrittenInPlaceAndForwarded) {
  World world;
  world.config = with_range(41600, 41699);
  port::MediaPorts::Pair a, b;
  SocketAddress peer;
  world.on_media = [&](TestWorker& w, Now, std::span<port::MediaPacket> packets) {
    for (port::MediaPacket& p : packets) {
      ASSERT_EQ(p.port, a.rtp.id);
      ASSERT_GE(p.tailroom, 64u);
      p.bytes[0] = 'R';
      p.bytes.data()[p.bytes.size()] = '!';  // the room behind is ours
      w.out.media.sends.push_back({b.rtp.id, peer, Bytes(p.bytes.data(), p.bytes.size() + 1)});
    }
  };
  world.start();
  UdpClient near, far;
  peer = far.address();
  world.on_worker(0, [&](Now, TestWorker& w) {
    a = *w.media().open_pair(0, Family::v4);
    b = *w.media().open_pair(0, Family::v4);
  });
  for (int i = 0; i < 100; ++i) near.send(a.rtp.local, "x" + std::to_string(i));
  for (int i = 0; i < 100; ++i) {
    SocketAddress from;
    ASSERT_EQ(far.receive(&from), "R" + std::to_string(i) + "!");
    EXPECT_EQ(from, b.rtp.local);
  }
}

TEST(MediaRelay, TooLongIsDroppedAndTheRestOfTheBatchLives) {
  World world;
  world.config = with_range(41700, 41799);
  Record<std::string> got;
  world.on_media = [&](TestWorker&, Now, std::span<port::MediaPacket> packets) {
    for (const port::MediaPacket& p : packets) got.push(std::string(as_text(p.bytes)));
  };
  world.start();
  port::MediaPorts::Pair pair;
  UdpClient client;
  world.on_worker(0, [&](Now, TestWorker& w) {
    pair = *w.media().open_pair(0, Family::v4);
    client.send(pair.rtp.local, "one");  // while the worker is busy: all in one batch
    client.send(pair.rtp.local, std::string(5000, 'x'));
    client.send(pair.rtp.local, "two");
    client.send(pair.rtp.local, "three");
  });
  EXPECT_EQ(got.take("first"), "one");
  EXPECT_EQ(got.take("second"), "two");
  EXPECT_EQ(got.take("third"), "three");
  EXPECT_EQ(world.count("net_media_dropped_total", "too_long"), 1u);
}

TEST(MediaRelay, OwnPacketsGoOutAndClosedPortsSendNothing) {
  World world;
  world.config = with_range(41800, 41899);
  world.start();
  UdpClient client;
  port::MediaPorts::Pair pair;
  world.on_worker(0, [&](Now, TestWorker& w) {
    pair = *w.media().open_pair(0, Family::v4);
    w.out.media.send_own(pair.rtp.id, client.address(), Buffer::copy_of("tone"));
  });
  EXPECT_EQ(client.receive(), "tone");
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.media().close(pair.rtp.id);
    w.out.media.send_own(pair.rtp.id, client.address(), Buffer::copy_of("late"));
  });
  world.await_counter("net_media_dropped_total", 1, "closed_port");
}

}  // namespace
}  // namespace tandem::net::test
