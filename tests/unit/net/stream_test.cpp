// TCP: framing, reuse, limits, flows across workers.
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using port::FlowEvent;
using port::Transport;

TEST(Streams, SplitAndMergedWritesAreFramed) {
  World world;
  world.listen(Transport::tcp);
  world.on_message = echo;
  world.start();
  StreamClient client(world.runtime->bound()[0]);
  const std::string a = message("a", "body"), b = message("b"), c = message("c", "another");
  client.send(a.substr(0, 10));
  client.send(a.substr(10) + b + c.substr(0, 40));
  EXPECT_EQ(client.receive(a.size() + b.size()), a + b);
  client.send(c.substr(40));
  EXPECT_EQ(client.receive(c.size()), c);
  EXPECT_EQ(world.messages.take("a").text, a);
  EXPECT_EQ(world.messages.take("b").text, b);
  EXPECT_EQ(world.messages.take("c").text, c);
}

TEST(Streams, OpenAndCloseAreEvents) {
  World world;
  world.listen(Transport::tcp).start();
  port::FlowId flow;
  {
    StreamClient client(world.runtime->bound()[0]);
    flow = world.await_flow(FlowEvent::Kind::opened, "opened").event.flow;
    EXPECT_TRUE(flow);
  }
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::closed, "closed").event.flow, flow);
  world.await_counter("net_connections_closed_total", 1, "peer");
  EXPECT_EQ(world.count("net_connections_open"), 0u);
}

TEST(Streams, APingIsAnsweredAtOnce) {
  World world;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  client.send("\r\n\r\n");
  EXPECT_EQ(client.receive(2), "\r\n");
  world.await_flow(FlowEvent::Kind::keepalive, "keep-alive");
  EXPECT_EQ(world.messages.size(), 0u);
}

TEST(Streams, WhatCannotBeFramedIsClosed) {
  World world;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  client.send("OPTIONS sip:a SIP/2.0\r\nCall-ID: no length\r\n\r\n");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(world.count("net_connections_closed_total", "framing"), 1u);
}

TEST(Streams, SendsToOnePlaceShareAConnection) {
  World world;
  world.listen(Transport::tcp).start();
  StreamServer server;
  const port::Path path{Transport::tcp, 0, {}, {}, server.address()};
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send(path, message("a"));
    w.send(path, message("b"));
  });
  StreamClient peer = server.accept();
  const std::string both = message("a") + message("b");
  EXPECT_EQ(peer.receive(both.size()), both);
  world.on_worker(0, [&](Now, TestWorker& w) { w.send(path, message("c")); });
  EXPECT_EQ(peer.receive(message("c").size()), message("c"));
  EXPECT_FALSE(server.pending(std::chrono::milliseconds(0)));
  peer.send(message("reply"));  // and it is read from
  EXPECT_EQ(world.messages.take("reply").path.remote, server.address());
}

TEST(Streams, AnAcceptedConnectionIsReusedTowardsItsPeer) {
  World world;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  const auto remote = world.await_flow(FlowEvent::Kind::opened, "opened").event.path.remote;
  world.on_worker(0, [&](Now, TestWorker& w) { w.send({Transport::tcp, 0, {}, {}, remote}, message("a")); });
  EXPECT_EQ(client.receive(message("a").size()), message("a"));
}

TEST(Streams, ARefusedConnectionFailsTheSends) {
  World world;
  world.listen(Transport::tcp).start();
  const SocketAddress nobody = StreamServer().address();  // closed again
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send({Transport::tcp, 0, {}, {}, nobody}, message("a"), 5);
    w.send({Transport::tcp, 0, {}, {}, nobody}, message("b"), 6);
  });
  for (const port::SendId id : {5u, 6u})
    world.flows.take(
        [&](const Happened& h) { return h.event.kind == FlowEvent::Kind::send_failed && h.event.send == id; },
        "failure");
  EXPECT_EQ(world.count("net_connections_closed_total", "connect_failed"), 1u);
}

TEST(Streams, AConnectThatNobodyAnswersEnds) {
  World world;
  world.config.limits.connect = milliseconds(50);
  world.listen(Transport::tcp).start();
  // A full backlog: the kernel drops the SYN.
  Fd silent = std::move(listen_tcp({loopback, 0}, {}, 0)).value();
  const SocketAddress at = local_address(silent.get());
  std::deque<StreamClient> fill;
  fill.emplace_back(at);
  world.on_worker(0, [&](Now, TestWorker& w) {
    for (port::SendId i = 1; i <= 3; ++i)  // three identities: three connections, one more than fits
      w.send({Transport::tcp, 0, {}, {}, at}, message("a"), i, "name" + std::to_string(i));
  });
  world.await_counter("net_connections_closed_total", 1, "connect_timeout");
  EXPECT_NE(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 0u);
}

TEST(Streams, AnotherWorkersFlowCarriesASend) {
  World world;
  world.config.workers = 2;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  const Happened opened = world.await_flow(FlowEvent::Kind::opened, "opened");
  const auto other = static_cast<uint16_t>(1 - opened.worker);
  world.on_worker(other, [&](Now, TestWorker& w) { w.send(opened.event.path, message("far")); });
  EXPECT_EQ(client.receive(message("far").size()), message("far"));
  world.on_worker(other, [&](Now, TestWorker& w) { w.out.close_flow(opened.event.flow); });
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::closed, "closed").worker, opened.worker);
  // The flow is gone: the failure comes home to the worker that sent.
  world.on_worker(other, [&](Now, TestWorker& w) { w.send(opened.event.path, message("late"), 42); });
  const Happened failed = world.await_flow(FlowEvent::Kind::send_failed, "failure");
  EXPECT_EQ(failed.worker, other);
  EXPECT_EQ(failed.event.send, 42u);
}

TEST(Streams, AnotherNodesFlowFails) {
  World world;
  world.listen(Transport::tcp).start();
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send({Transport::tcp, 0, {7, 0, 1, 1}, {}, {loopback, 1}}, message("a"), 3);
  });
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 3u);
}

TEST(Streams, CloseComesAfterWhatWasSent) {
  World world;
  world.listen(Transport::tcp);
  world.on_message = [](TestWorker& w, Now t, port::Received& m) {
    const port::FlowId flow = m.path.flow;
    echo(w, t, m);
    w.out.close_flow(flow);
  };
  world.start();
  StreamClient client(world.runtime->bound()[0]);
  const std::string large = message("a", std::string(60'000, 'x'));
  client.send(large);
  EXPECT_EQ(client.receive(large.size()), large);
  EXPECT_TRUE(client.ended());
}

// ---- limits ----

TEST(StreamLimits, ASlowReaderIsReportedThenClosed) {
  World world;
  world.config.limits.write_queue_bytes = 400'000;
  world.config.limits.write_high_water = 100'000;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  const port::Path path = world.await_flow(FlowEvent::Kind::opened, "opened").event.path;
  const std::string chunk = message("a", std::string(50'000, 'x'));
  const auto send_one = [&](Now, TestWorker& w) { w.send(path, chunk, 11); };
  while (world.count("net_connections_closed_total", "slow_reader") == 0) world.on_worker(0, send_one);
  world.await_flow(FlowEvent::Kind::congested, "congested");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 11u);
  world.await_flow(FlowEvent::Kind::closed, "closed");
}

TEST(StreamLimits, AReaderThatCatchesUpIsDrained) {
  World world;
  world.config.limits.write_queue_bytes = 64 << 20;
  world.config.limits.write_high_water = 100'000;
  world.config.limits.write_low_water = 10'000;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  const port::Path path = world.await_flow(FlowEvent::Kind::opened, "opened").event.path;
  const std::string chunk = message("a", std::string(50'000, 'x'));
  size_t sent = 0;
  for (bool congested = false; !congested;) {
    world.on_worker(0, [&](Now, TestWorker& w) { w.send(path, chunk); });
    sent += chunk.size();
    world.on_worker(0, [](Now, TestWorker&) {});  // the send before has been flushed
    congested = world.flows.size() > 0;
  }
  world.await_flow(FlowEvent::Kind::congested, "congested");
  EXPECT_EQ(client.receive(sent).size(), sent);
  world.await_flow(FlowEvent::Kind::drained, "drained");
}

TEST(StreamLimits, AReaderThatStopsIsClosed) {
  World world;
  world.config.limits.write_stall = milliseconds(50);
  world.config.limits.write_queue_bytes = 64 << 20;
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  const port::Path path = world.await_flow(FlowEvent::Kind::opened, "opened").event.path;
  world.on_worker(0, [&](Now, TestWorker& w) {
    for (int i = 0; i < 300; ++i) w.send(path, message("a", std::string(50'000, 'x')));
  });
  world.await_flow(FlowEvent::Kind::closed, "closed");
  EXPECT_EQ(world.count("net_connections_closed_total", "slow_reader"), 1u);
}

TEST(StreamLimits, APartialMessageHasADeadline) {
  World world;
  world.config.limits.partial_message = milliseconds(50);
  world.listen(Transport::tcp).start();
  StreamClient patient(world.runtime->bound()[0]), slow(world.runtime->bound()[0]);
  slow.send("OPTIONS sip:a SIP");
  EXPECT_TRUE(slow.ended());
  EXPECT_EQ(world.count("net_connections_closed_total", "slow_sender"), 1u);
  patient.send("\r\n\r\n");  // silence between messages is no offence
  EXPECT_EQ(patient.receive(2), "\r\n");
}

TEST(StreamLimits, AnIdleConnectionIsClosed) {
  World world;
  world.config.limits.idle = milliseconds(50);
  world.listen(Transport::tcp).start();
  StreamClient client(world.runtime->bound()[0]);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(world.count("net_connections_closed_total", "idle"), 1u);
}

TEST(StreamLimits, ConnectionsPerSourceAndInAll) {
  World world;
  world.config.limits.connections_per_source = 2;
  world.config.limits.connections = 3;
  world.listen(Transport::tcp);
  world.on_message = echo;
  world.start();
  const SocketAddress at = world.runtime->bound()[0];
  std::deque<StreamClient> first;
  for (int i = 0; i < 2; ++i) {
    first.emplace_back(at);
    world.await_flow(FlowEvent::Kind::opened, "opened");
  }
  StreamClient third(at);
  EXPECT_TRUE(third.ended());
  EXPECT_EQ(world.count("net_connections_refused_total", "per_source"), 1u);
  first.pop_back();
  world.await_flow(FlowEvent::Kind::closed, "closed");
  StreamClient again(at);
  again.send(message("a"));
  EXPECT_EQ(again.receive(message("a").size()), message("a"));
  // Outgoing ones count into the table: one fits, the next does not.
  StreamServer one, two;
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send({Transport::tcp, 0, {}, {}, one.address()}, message("a"), 1);
    w.send({Transport::tcp, 0, {}, {}, two.address()}, message("a"), 2);
  });
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 2u);
  EXPECT_EQ(world.count("net_connections_refused_total", "table_full"), 1u);
}

}  // namespace
}  // namespace tandem::net::test
