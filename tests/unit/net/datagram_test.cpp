// SIP over UDP: listeners, keep-alives, sizes, start-up errors.
#include <sys/resource.h>

#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using port::FlowEvent;
using port::Transport;

TEST(Datagrams, EchoOverIpv4AndIpv6) {
  World world;
  world.listen(Transport::udp).listen(Transport::udp, {}, loopback6);
  world.on_message = echo;
  world.start();
  for (size_t i = 0; i < 2; ++i) {
    UdpClient client(i == 0 ? loopback : loopback6);
    client.send(world.runtime->bound()[i], message("a"));
    SocketAddress from;
    EXPECT_EQ(client.receive(&from), message("a"));
    EXPECT_EQ(from, world.runtime->bound()[i]);
    const Message m = world.messages.take("the request");
    EXPECT_EQ(m.path.remote, client.address());
    EXPECT_EQ(m.path.local, world.runtime->bound()[i]);
    EXPECT_TRUE(m.path.flow);
  }
}

TEST(Datagrams, AnswersLeaveFromTheAddressThatWasAsked) {
  World world;
  world.listen(Transport::udp, {}, IpAddress::v4(0, 0, 0, 0));
  world.on_message = echo;
  world.start();
  const SocketAddress asked{IpAddress::v4(127, 0, 0, 77), world.runtime->bound()[0].port};
  UdpClient client;
  client.send(asked, message("a"));
  SocketAddress from;
  EXPECT_EQ(client.receive(&from), message("a"));
  EXPECT_EQ(from, asked);
  EXPECT_EQ(world.messages.take("the request").path.local, asked);
}

TEST(Datagrams, NothingIsLostOfALargeOne) {
  World world;
  world.listen(Transport::udp);
  world.on_message = echo;
  world.start();
  UdpClient client;
  for (const size_t body : {1900u, 2048u, 2049u, 9000u, 60'000u}) {
    std::string large = message("large", std::string(body, 'x'));
    large.back() = 'y';
    client.send(world.runtime->bound()[0], large);
    EXPECT_EQ(client.receive(), large) << body;
  }
}

TEST(Datagrams, ABurstComesThroughInOrder) {
  World world;
  world.listen(Transport::udp);
  world.on_message = echo;
  world.start();
  UdpClient client;
  constexpr int count = 200;
  for (int i = 0; i < count; ++i) client.send(world.runtime->bound()[0], message(std::to_string(i)));
  for (int i = 0; i < count; ++i) ASSERT_EQ(client.receive(), message(std::to_string(i)));
  EXPECT_EQ(world.count("net_messages_received_total", "udp"), 200u);
}

TEST(Datagrams, EveryWorkerHearsSomeAndMaySendOnAnyListener) {
  World world;
  world.config.workers = 3;
  world.listen(Transport::udp);
  world.on_message = echo;
  world.start();
  std::vector<bool> heard(3);
  for (int i = 0; i < 200 && !(heard[0] && heard[1] && heard[2]); ++i) {
    UdpClient client;  // another port: another worker by the kernel's hash
    client.send(world.runtime->bound()[0], message("a"));
    ASSERT_EQ(client.receive(), message("a"));
    heard[world.messages.take("the request").worker] = true;
  }
  EXPECT_TRUE(heard[0] && heard[1] && heard[2]);
}

TEST(Datagrams, KeepAlivesAreEventsNotMessages) {
  World world;
  world.listen(Transport::udp).start();
  UdpClient client;
  client.send(world.runtime->bound()[0], "\r\n\r\n");
  const Happened h = world.await_flow(FlowEvent::Kind::keepalive, "keep-alive");
  EXPECT_EQ(h.event.path.remote, client.address());
  client.send(world.runtime->bound()[0], message("a"));
  EXPECT_EQ(world.messages.take("the request").text, message("a"));
  EXPECT_EQ(world.messages.size(), 0u);
}

TEST(Datagrams, StunBindingIsAnswered) {
  World world;
  world.listen(Transport::udp).start();
  UdpClient client;
  const std::string id = "0123456789ab";
  client.send(world.runtime->bound()[0], std::string("\x00\x01\x00\x00\x21\x12\xa4\x42", 8) + id);
  const std::string reply = client.receive();
  ASSERT_EQ(reply.size(), 32u);
  EXPECT_EQ(reply.substr(0, 8), std::string("\x01\x01\x00\x0c\x21\x12\xa4\x42", 8));
  EXPECT_EQ(reply.substr(8, 12), id);
  const uint16_t port = client.address().port ^ 0x2112;
  EXPECT_EQ(reply.substr(26, 2), std::string({static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}));
  EXPECT_EQ(reply.substr(28, 4), std::string({127 ^ 0x21, 0x12, static_cast<char>(0xa4), 1 ^ 0x42}));
  world.await_flow(FlowEvent::Kind::keepalive, "keep-alive");
}

TEST(Datagrams, SendingWhereNoListenerReachesFails) {
  World world;
  world.listen(Transport::udp).start();
  world.on_worker(0, [](Now, TestWorker& w) {
    w.send({Transport::udp, 0, {}, {}, {loopback6, 5060}}, "x", 7);
    w.send({Transport::udp, 9, {}, {}, {loopback, 5060}}, "x", 8);
    w.send({Transport::wss, 0, {}, {}, {loopback, 5060}}, "x", 9);
    w.send({Transport::udp, 0, {}, {}, {loopback, 5060}}, std::string(65'530, 'x'), 10);  // over UDP's limit
  });
  for (const port::SendId id : {7u, 8u, 9u, 10u})
    world.flows.take([&](const Happened& h) { return h.event.send == id; }, "send_failed");
}

TEST(Datagrams, WithoutAFlowTheRealmsListenerSends) {
  World world;
  world.listen(Transport::udp);
  world.config.listeners.push_back({.transport = Transport::udp, .bind = {loopback, 0}, .realm = 1});
  world.start();
  UdpClient client;
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send({Transport::udp, 1, {}, {}, client.address()}, "hello");
  });
  SocketAddress from;
  EXPECT_EQ(client.receive(&from), "hello");
  EXPECT_EQ(from, world.runtime->bound()[1]);
}

TEST(StartUp, APortInUseIsNamed) {
  auto taken = bind_udp({loopback, 0}, {.reuse_port = true});
  ASSERT_TRUE(taken.ok());
  const SocketAddress at = local_address(taken->get());
  World world;
  world.config.listeners.push_back({.transport = Transport::udp, .bind = at});
  const auto started = world.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.reason(), "cannot listen on udp " + at.to_string() + ": address already in use");
}

TEST(StartUp, ATcpPortInUseIsNamed) {
  StreamServer other;
  World world;
  world.config.listeners.push_back({.transport = Transport::tcp, .bind = other.address()});
  const auto started = world.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.reason(),
            "cannot listen on tcp " + other.address().to_string() + ": address already in use");
}

TEST(StartUp, AForeignAddressIsNamed) {
  World world;
  world.config.listeners.push_back(
      {.transport = Transport::udp, .bind = *SocketAddress::parse("192.0.2.1:5060")});
  const auto started = world.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.reason(), "cannot listen on udp 192.0.2.1:5060: cannot assign requested address");
}

}  // namespace
}  // namespace tandem::net::test
