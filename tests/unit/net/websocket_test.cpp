// From the HTTP request to a worker's messages: handshakes, Origin, hand-over, limits, keep-alive, the end.
#include <set>

#include "net/http_server.h"
#include "net/system_rng.h"
#include "net/upgrade.h"
#include "unit/net/websocket_client.h"

namespace tandem::net::test {
namespace {

using port::FlowEvent;

class WebSocket : public testing::Test {
 protected:
  void begin(const TlsFiles& tls = {}) {
    world.listen(port::Transport::udp).start();
    config.listeners.push_back({{loopback, 0}, tls});
    config.websockets.paths.push_back({"/sip", "sip"});
    config.websockets.paths.push_back({"/rtc", "tandem.rtc"});
    server = std::make_unique<HttpServer>(
        config,
        [](const HttpRequest& request, HttpServer::Reply reply) {
          reply({.body = "http " + request.target});
        },
        [this](Upgraded& connection) { return world.runtime->adopt(connection); });
    const auto started = server->start();
    ASSERT_TRUE(started.ok()) << started.reason();
  }
  ~WebSocket() override {
    if (server) server->stop();
  }
  SocketAddress at() const { return server->bound()[0]; }
  /// A client past its handshake, and the flow its worker was told of.
  port::Path open(StreamClient& client, const std::string& request = handshake()) {
    client.send(request);
    const std::string head = read_head(client);
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
    return world.await_flow(FlowEvent::Kind::opened, "flow").event.path;
  }
  std::string status_of(const std::string& request) {
    StreamClient client(at());
    client.send(request);
    const std::string head = read_head(client);
    return head.substr(0, head.find("\r\n"));
  }
  uint64_t refused(const std::string& reason) {
    uint64_t n = 0;
    for (const auto& e : server->counters().entries())
      if (e.name == "http_websocket_refused_total" && e.labels.find(reason) != std::string::npos)
        n += e.counter.value();
    return n;
  }
  void send(const port::Path& path, std::string_view text, port::SendId notify = 0) {
    world.on_worker(path.flow.worker, [&](Now, TestWorker& w) { w.send(path, text, notify); });
  }

  World world;
  HttpConfig config;
  std::unique_ptr<HttpServer> server;
};

TEST_F(WebSocket, AMessageThereAndBack) {
  world.on_message = echo;
  begin();
  StreamClient client(at());
  client.send(handshake("/sip?x=y", "Origin: http://tandem.example\r\n", "foo, sip"));
  const std::string head = read_head(client);
  EXPECT_NE(head.find("Sec-WebSocket-Accept: " + std::string(sample_accept) + "\r\n"), std::string::npos)
      << head;
  EXPECT_NE(head.find("Sec-WebSocket-Protocol: sip\r\n"), std::string::npos);
  EXPECT_EQ(head.find("Sec-WebSocket-Extensions"), std::string::npos);
  client.send(frame("hello"));
  EXPECT_EQ(read_frame(client).payload, "hello");
  const Message got = world.messages.take("message");
  EXPECT_EQ(got.path.transport, port::Transport::ws);
  EXPECT_EQ(world.webs.size(), 0u);
  EXPECT_EQ(server->counters().total("http_websocket_upgrades_total"), 1u);
  EXPECT_EQ(world.count("net_messages_received_total", "\"ws\""), 1u);
  world.await_counter("net_messages_sent_total", 1, "\"ws\"");  // counted after it was written
}

TEST_F(WebSocket, APathsOwnDoorSaysWhoComes) {
  config.websockets.paths.push_back({"/channels", "", [](const port::HttpRequest& r) -> Admission {
                                       if (r.target == "/channels?let=me") {
                                         port::ChannelGuest guest;
                                         guest.channel = "door";
                                         return std::make_shared<const port::ChannelGuest>(guest);
                                       }
                                       port::HttpResponse no;
                                       no.status = 403;
                                       no.headers = {{"X-Why", "because"}};
                                       return no;
                                     }});
  begin();
  StreamClient stranger(at());
  stranger.send(handshake("/channels"));
  const std::string head = read_head(stranger);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 403 ")) << head;
  EXPECT_NE(head.find("X-Why: because"), std::string::npos);
  EXPECT_EQ(refused("denied"), 1u);
  StreamClient client(at());
  client.send(handshake("/channels?let=me"));  // offers a subprotocol, which this path agrees to none of
  const std::string granted = read_head(client);
  EXPECT_TRUE(granted.starts_with("HTTP/1.1 101 ")) << granted;
  EXPECT_EQ(granted.find("Sec-WebSocket-Protocol"), std::string::npos);
  const auto opened = world.webs.take("opened");
  ASSERT_TRUE(opened.request->guest);
  EXPECT_EQ(opened.request->guest->channel, "door");
  client.send(frame("", 9));
  EXPECT_EQ(world.webs.take("a ping").kind, port::WebSocketEvent::Kind::alive);
}

TEST_F(WebSocket, OverTlsWithBytesBehindTheRequest) {
  TempDir dir;
  world.on_message = echo;
  begin(dir.certificate({"tandem.example"}));
  StreamClient client(at());
  EXPECT_EQ(client.start_tls(), "tandem.example");
  client.send(handshake() + frame("early"));
  EXPECT_TRUE(read_head(client).starts_with("HTTP/1.1 101 "));
  EXPECT_EQ(read_frame(client).payload, "early");
  EXPECT_EQ(world.messages.take("message").path.transport, port::Transport::wss);
  for (const size_t n : {1u, 20'000u, 60'000u}) {
    client.send(frame(std::string(n, 'x')));
    EXPECT_EQ(read_frame(client).payload, std::string(n, 'x'));
  }
}

TEST_F(WebSocket, AnotherSubprotocolHasEventsOfItsOwn) {
  using Kind = port::WebSocketEvent::Kind;
  begin();
  StreamClient client(at());
  client.send(handshake("/rtc?access_token=a%2Bb&x=y", "Origin: http://tandem.example\r\n", "tandem.rtc") +
              frame("{}"));
  EXPECT_NE(read_head(client).find("Sec-WebSocket-Protocol: tandem.rtc\r\n"), std::string::npos);
  const WebHappened opened = world.webs.take("opened");
  EXPECT_EQ(opened.kind, Kind::opened);
  EXPECT_EQ(opened.path.transport, port::Transport::ws);
  ASSERT_TRUE(opened.request);
  EXPECT_EQ(opened.request->path, "/rtc");
  EXPECT_EQ(opened.request->subprotocol, "tandem.rtc");
  EXPECT_EQ(opened.request->host, "tandem.example");
  EXPECT_EQ(opened.request->origin, "http://tandem.example");
  EXPECT_EQ(opened.request->token, "a+b");
  const WebHappened message = world.webs.take("message");
  EXPECT_EQ(message.kind, Kind::message);
  EXPECT_EQ(message.text, "{}");
  EXPECT_EQ(message.path, opened.path);
  send(opened.path, "[]");
  EXPECT_EQ(read_frame(client).payload, "[]");
  client.send(close_frame(1001));
  EXPECT_EQ(code_of(read_frame(client)), 1001);
  const WebHappened closed = world.webs.take("closed");
  EXPECT_EQ(closed.kind, Kind::closed);
  EXPECT_EQ(closed.code, 1001);
  EXPECT_EQ(closed.request, opened.request);
  EXPECT_EQ(world.messages.size() + world.flows.size(), 0u);  // SIP heard nothing of it

  StreamClient gone(at());
  gone.send(handshake("/rtc", "Authorization: Bearer abc\r\n", "tandem.rtc"));
  read_head(gone);
  EXPECT_EQ(world.webs.take("opened").request->token, "abc");
  { const StreamClient dropped = std::move(gone); }
  EXPECT_EQ(world.webs.take("closed").code, 1006);
}

TEST_F(WebSocket, OrdinaryRequestsGoOnBesideIt) {
  begin();
  StreamClient client(at());
  client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_head(client).starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(client.receive(13), "http /healthz");
  const port::Path path = open(client);  // on the same connection
  send(path, "hello");
  EXPECT_EQ(read_frame(client).payload, "hello");
}

TEST_F(WebSocket, BadHandshakesAreRefusedWithTheReason) {
  begin();
  EXPECT_EQ(status_of("GET /sip HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 426 Upgrade Required");
  EXPECT_EQ(refused("not_upgrade"), 1u);
  const auto with = [](std::string from, std::string_view what, std::string_view by) {
    return from.replace(from.find(what), what.size(), by);
  };
  EXPECT_EQ(status_of(with(handshake(), "Version: 13", "Version: 8")), "HTTP/1.1 426 Upgrade Required");
  EXPECT_EQ(refused("version"), 1u);
  for (const auto& request : {
           with(handshake(), sample_key, "dGhlIHNhbXBsZQ=="),
           with(handshake(), sample_key, "dGhlIHNhbXBsZSBub25jZQ!="),
           with(handshake(), "GET", "POST"),
           with(handshake(), "HTTP/1.1", "HTTP/1.0"),
           with(handshake(), "Host: tandem.example\r\n", ""),
           with(handshake(), "Host:", "Host: other.example\r\nHost:"),
           handshake("/sip", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
           handshake("/sip", "Origin: http://tandem.example\r\nOrigin: http://evil.example\r\n"),
       })
    EXPECT_EQ(status_of(request), "HTTP/1.1 400 Bad Request") << request;
  EXPECT_EQ(refused("malformed"), 8u);
  EXPECT_EQ(status_of(handshake("/sip", "", "")), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(status_of(handshake("/sip", "", "SIP, sips")), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(refused("subprotocol"), 2u);
  EXPECT_EQ(status_of(handshake("/other")), "HTTP/1.1 200 OK");  // no WebSocket there: the API's to answer
  EXPECT_EQ(server->counters().total("http_websocket_upgrades_total"), 0u);
}

TEST_F(WebSocket, PagesOfOtherHostsMayNotConnect) {
  begin();
  EXPECT_EQ(status_of(handshake("/sip", "Origin: http://evil.example\r\n")), "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(status_of(handshake("/sip", "Origin: null\r\n")), "HTTP/1.1 403 Forbidden");
  EXPECT_EQ(refused("origin"), 2u);
}

TEST(WebSocketOrigin, IsTheHostOrOnTheList) {
  WebSocketPolicy own, listed, any, browsers_only;
  listed.origins = {"https://phone.example.com", "https://other.example:8443"};
  any.origins = {"*"};
  browsers_only.without_origin = false;
  const struct {
    const WebSocketPolicy& policy;
    const char *origin, *host;
    bool secure, allowed;
  } rows[] = {
      {own, "https://a.example", "a.example", true, true},
      {own, "https://A.example:443", "a.example", true, true},
      {own, "https://a.example", "a.example:443", true, true},
      {own, "https://a.example:8443", "a.example:8443", true, true},
      {own, "https://[2001:db8::1]:8443", "[2001:db8::1]:8443", true, true},
      {own, "https://[2001:db8::1]", "[2001:db8::1]:443", true, true},
      {own, "https://a.example", "a.example:8443", true, false},
      {own, "http://a.example", "a.example", true, false},  // a page anybody on the way could have changed
      {own, "http://a.example", "a.example", false, true},
      {own, "https://b.example", "a.example", true, false},
      {own, "https://a.example.evil.example", "a.example", true, false},
      {own, "https://evil@a.example", "a.example", true, false},
      {own, "a.example", "a.example", true, false},
      {own, "null", "null", true, false},
      {own, "https://", "", true, false},
      {own, "", "a.example", true, true},
      {browsers_only, "", "a.example", true, false},
      {listed, "https://phone.example.com", "sip.example", true, true},
      {listed, "https://other.example:8443", "sip.example", true, true},
      {listed, "https://other.example", "sip.example", true, false},
      {listed, "https://sip.example", "sip.example", true, false},
      {any, "https://evil.example", "sip.example", true, true},
      {any, "null", "sip.example", true, true},
  };
  for (const auto& row : rows)
    EXPECT_EQ(origin_allowed(row.policy, row.origin, row.host, row.secure), row.allowed)
        << row.origin << " to " << row.host;
}

TEST_F(WebSocket, TheyAreSpreadOverTheWorkers) {
  world.config.workers = 3;
  begin();
  std::deque<StreamClient> clients;
  std::array<int, 3> on{};
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(at());
    ++on[open(clients.back()).flow.worker];
  }
  EXPECT_EQ(on, (std::array<int, 3>{2, 2, 2}));
  // A worker sends on another's.
  StreamClient client(at());
  const port::Path path = open(client);
  world.on_worker((path.flow.worker + 1) % 3, [&](Now, TestWorker& w) { w.send(path, "from afar"); });
  EXPECT_EQ(read_frame(client).payload, "from afar");
}

TEST_F(WebSocket, CloseWaitsForTheAnswer) {
  begin();
  StreamClient client(at());
  const port::Path path = open(client);
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send(path, "last");
    w.out.close_flow(path.flow);
  });
  EXPECT_EQ(read_frame(client).payload, "last");
  EXPECT_EQ(code_of(read_frame(client)), 1000);
  send(path, "too late", 9);
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 9u);
  client.send(frame("ignored") + close_frame(1000));
  EXPECT_TRUE(client.ended());
  world.await_flow(FlowEvent::Kind::closed, "closed");
  EXPECT_EQ(world.messages.size(), 0u);
  EXPECT_EQ(world.count("net_connections_closed_total", "\"local\""), 1u);
}

TEST_F(WebSocket, ThePeersCloseIsAnswered) {
  begin();
  StreamClient client(at());
  open(client);
  client.send(frame("before") + close_frame(1001));
  EXPECT_EQ(code_of(read_frame(client)), 1001);
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(world.messages.take("message").text, "before");
  world.await_flow(FlowEvent::Kind::closed, "closed");
  EXPECT_EQ(world.count("net_connections_closed_total", "\"peer\""), 1u);
}

TEST_F(WebSocket, WhoBreaksTheRulesIsToldAndCounted) {
  world.config.limits.websocket = {
      .message_bytes = 2000, .fragments = 2, .messages_per_second = 4, .control_per_second = 2};
  begin();
  std::string many, pings;
  for (int i = 0; i < 9; ++i) many += frame("m");
  for (int i = 0; i < 5; ++i) pings += frame("", 9);
  const struct {
    std::string bytes;
    int code;
    const char* reason;
  } rows[] = {
      {frame("x", 1, true, false), 1002, "websocket_protocol"},
      {frame(std::string(2001, 'x')), 1009, "websocket_too_big"},
      {frame("\xff"), 1007, "websocket_not_utf8"},
      {frame("a", 1, false) + frame("b", 0, false) + frame("c", 0), 1008, "websocket_fragments"},
      {many, 1008, "websocket_message_rate"},
      {pings, 1008, "websocket_control_rate"},
  };
  for (const auto& row : rows) {
    StreamClient client(at());
    open(client);
    client.send(row.bytes);
    Frame f = read_frame(client);
    while (f.opcode == 10) f = read_frame(client);
    EXPECT_EQ(code_of(f), row.code) << row.reason;
    client.send(close_frame(1000));
    shutdown(client.fd(), SHUT_WR);
    EXPECT_TRUE(client.ended()) << row.reason;
    world.await_flow(FlowEvent::Kind::closed, row.reason);
    EXPECT_EQ(world.count("net_connections_closed_total", row.reason), 1u);
  }
  EXPECT_EQ(world.count("net_connections_closed_total"), 6u);  // each once
}

TEST_F(WebSocket, WhoDoesNotAnswerPingsIsGone) {
  world.config.limits.websocket_ping = milliseconds(30);
  world.config.limits.websocket_pong = milliseconds(30);
  begin();
  StreamClient dead(at());
  const port::Path path = open(dead);
  EXPECT_EQ(read_frame(dead).opcode, 9);
  EXPECT_TRUE(dead.ended());
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::closed, "closed").event.flow, path.flow);
  EXPECT_EQ(world.count("net_connections_closed_total", "dead_peer"), 1u);
}

TEST_F(WebSocket, WhoAnswersPingsStays) {
  world.config.limits.websocket_ping = milliseconds(20);
  world.config.limits.websocket_pong = seconds(10);
  world.config.limits.idle = milliseconds(20);
  begin();
  StreamClient client(at());
  const port::Path path = open(client);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(read_frame(client).opcode, 9);
    client.send(frame("", 10));
  }
  send(path, "still here");
  Frame f = read_frame(client);
  while (f.opcode == 9) f = read_frame(client);
  EXPECT_EQ(f.payload, "still here");
}

TEST_F(WebSocket, CrlfIsAKeepaliveAndNoMessage) {
  begin();
  StreamClient client(at());
  open(client);
  client.send(frame("\r\n\r\n"));
  EXPECT_EQ(read_frame(client).payload, "\r\n");
  world.await_flow(FlowEvent::Kind::keepalive, "keep-alive");
  client.send(frame("\r\n") + frame("") + frame("message"));
  EXPECT_EQ(world.messages.take("message").text, "message");
}

TEST_F(WebSocket, AMessageThatNeverEndsIsCutOff) {
  world.config.limits.partial_message = milliseconds(50);
  begin();
  StreamClient client(at());
  open(client);
  client.send(frame("begun", 1, false));
  EXPECT_TRUE(client.ended());
  world.await_counter("net_connections_closed_total", 1, "slow_sender");
}

TEST_F(WebSocket, AReaderThatTakesNothingIsCongestedThenClosed) {
  world.config.limits.write_high_water = 100'000;
  world.config.limits.write_queue_bytes = 8 << 20;
  world.config.limits.websocket_ping = hours(1);
  begin();
  StreamClient client(at());
  const port::Path path = open(client);
  const std::string big(60'000, 'x');
  for (int i = 0; i < 1000 && world.count("net_connections_closed_total", "slow_reader") == 0; ++i)
    send(path, big, 11);
  world.await_flow(FlowEvent::Kind::congested, "congested");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 11u);
  world.await_flow(FlowEvent::Kind::closed, "closed");
}

TEST_F(WebSocket, LimitsPerSourceAndInAll) {
  world.config.limits.connections_per_source = 2;
  begin();
  StreamClient one(at()), two(at());
  open(one);
  open(two);
  EXPECT_EQ(status_of(handshake()), "HTTP/1.1 503 Service Unavailable");
  EXPECT_EQ(refused("per_source"), 1u);
  one.send(close_frame(1000));
  EXPECT_EQ(code_of(read_frame(one)), 1000);
  EXPECT_TRUE(one.ended());
  world.await_flow(FlowEvent::Kind::closed, "closed");
  StreamClient three(at());
  open(three);
}

TEST_F(WebSocket, AFullWorkerTakesNoMore) {
  world.config.limits.connections = 1;
  begin();
  StreamClient one(at());
  open(one);
  EXPECT_EQ(status_of(handshake()), "HTTP/1.1 503 Service Unavailable");
  EXPECT_EQ(refused("full"), 1u);
}

TEST_F(WebSocket, NobodyConnectsToABrowser) {
  begin();
  StreamClient client(at());
  port::Path path = open(client);
  path.flow = {};
  send(path, "hello", 5);
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 5u);
}

TEST_F(WebSocket, HalfOpenConnectionsMakeRoomForOthers) {
  TempDir dir;
  config.connections = 8;
  config.connections_per_source = 1000;
  begin(dir.certificate({"tandem.example"}));
  std::deque<StreamClient> silent;
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back(at());
    if (i % 2) silent.back().send("\x16\x03\x01\x02");  // the beginning of a ClientHello
  }
  StreamClient client(at());
  EXPECT_EQ(client.start_tls(), "tandem.example");
  const port::Path path = open(client);
  send(path, "hello");
  EXPECT_EQ(read_frame(client).payload, "hello");
  EXPECT_TRUE(silent.front().ended());
  uint64_t dropped = 0;
  for (const auto& e : server->counters().entries())
    if (e.labels == "reason=\"half_open\"") dropped = e.counter.value();
  EXPECT_GE(dropped, 30u);
}

TEST_F(WebSocket, ASlowTlsHandshakeEnds) {
  TempDir dir;
  config.handshake_timeout = milliseconds(50);
  begin(dir.certificate({"tandem.example"}));
  StreamClient client(at());
  client.send("\x16\x03\x01\x02");
  EXPECT_TRUE(client.ended());
}

TEST_F(WebSocket, ANodeThatStopsSaysGoodbye) {
  begin();
  StreamClient client(at());
  open(client);
  world.runtime->stop();
  EXPECT_EQ(code_of(read_frame(client)), 1001);
  server->stop();
  world.runtime.reset();
  EXPECT_TRUE(client.ended());
}

// ---- WebSockets that we open ----

/// The same runtime is at both ends.
class OpenedWebSocket : public WebSocket {
 protected:
  void begin_both(const std::string& path, const TlsFiles& tls = {}, const std::string& ca = {}) {
    world.config.outgoing = {{0, ca, true, path}};
    world.on_message = [](TestWorker& worker, Now now, port::Received& message) {
      if (message.bytes.text() == "question") {
        message.bytes = Buffer::copy_of("answer");
        echo(worker, now, message);
      }
    };
    secure_ = !tls.certificate.empty();
    begin(tls);
  }
  port::Path to_server() const {
    return {secure_ ? port::Transport::wss : port::Transport::ws, 0, {}, {}, at()};
  }
  void ask(uint32_t lane = 0, port::SendId notify = 0, const std::string& name = {}) {
    world.on_worker(0, [&](Now, TestWorker& w) { w.send(to_server(), "question", notify, name, lane); });
  }

 private:
  bool secure_ = false;
};

TEST_F(OpenedWebSocket, CarriesMessagesBothWays) {
  begin_both("/sip");
  ask();
  EXPECT_EQ(world.messages.take("question").text, "question");
  const Message answer = world.messages.take("answer");
  EXPECT_EQ(answer.text, "answer");
  EXPECT_EQ(answer.path.transport, port::Transport::ws);
  EXPECT_EQ(answer.path.remote, at());
  ask();
  world.messages.take("question");
  EXPECT_EQ(world.messages.take("answer").path.flow, answer.path.flow);
  EXPECT_EQ(world.count("net_connections_total", "connected"), 1u);
}

TEST_F(OpenedWebSocket, ALaneIsAConnection) {
  begin_both("/sip");
  for (const uint32_t lane : {1u, 2u, 1u, 2u}) ask(lane);
  std::set<uint32_t> slots;
  for (int i = 0; i < 8; ++i)
    if (const Message m = world.messages.take("message"); m.text == "answer") slots.insert(m.path.flow.slot);
  EXPECT_EQ(slots.size(), 2u);
  EXPECT_EQ(world.count("net_connections_total", "connected"), 2u);
}

TEST_F(OpenedWebSocket, OverTlsToWhomItIsMeantFor) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"tandem.example"});
  begin_both("/sip", files, files.certificate);
  ask(0, 0, "tandem.example");
  world.messages.take("question");
  EXPECT_EQ(world.messages.take("answer").path.transport, port::Transport::wss);
  ask(0, 7, "other.example");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 7u);
  EXPECT_EQ(world.event_log.take("event"), "tls.peer_untrusted");
}

TEST_F(OpenedWebSocket, ARefusalFailsWhatWaitsForIt) {
  begin_both("/other");
  ask(0, 8);
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 8u);
  EXPECT_EQ(world.event_log.take("event"), "websocket.refused");
  EXPECT_EQ(world.count("net_connections_closed_total", "handshake_failed"), 1u);
}

/// What a server may answer that is no yes.
TEST(UpgradeAnswerRead, EveryPartOfItCounts) {
  SystemRng rng;
  const UpgradeQuestion asked = ask_upgrade("tandem.example", "/sip", "sip", rng);
  const std::string yes =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
      "Sec-WebSocket-Accept: " +
      asked.accept + "\r\nSec-WebSocket-Protocol: sip\r\n\r\n";
  const auto agreed = [&](const std::string& text) {
    UpgradeQuestion question = asked;
    const auto verdict = read_answer(question, as_bytes(text));
    return verdict && verdict->agreed;
  };
  EXPECT_TRUE(agreed(yes));
  for (const auto& [what, by] : std::initializer_list<std::pair<std::string, std::string>>{
           {"101 Switching Protocols", "200 OK"},
           {"Upgrade: WebSocket", "Upgrade: h2c"},
           {"keep-alive, Upgrade", "keep-alive"},
           {asked.accept, std::string(sample_accept)},
           {"Protocol: sip", "Protocol: msrp"},
           {"\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"},
           {"HTTP/1.1", "SIP/2.0"},
       }) {
    std::string no = yes;
    no.replace(no.find(what), what.size(), by);
    EXPECT_FALSE(agreed(no)) << no;
  }
  UpgradeQuestion drips = asked;
  for (size_t i = 0; i + 1 < yes.size(); ++i)
    ASSERT_FALSE(read_answer(drips, as_bytes(std::string_view(yes).substr(i, 1)))) << i;
  const auto last = read_answer(drips, as_bytes("\nbehind"));
  ASSERT_TRUE(last);
  EXPECT_TRUE(last->agreed);
  EXPECT_EQ(last->behind, "behind");
  UpgradeQuestion endless = asked;
  const auto cut = read_answer(endless, as_bytes("HTTP/1.1 101 " + std::string(10'000, 'x')));
  ASSERT_TRUE(cut);
  EXPECT_FALSE(cut->agreed);
  // A head is too long however it comes: with fields that are whole, in one piece, too.
  std::string filled = yes;
  for (int i = 0; i < 20; ++i) filled.insert(filled.size() - 2, "X: " + std::string(395, 'x') + "\r\n");
  EXPECT_TRUE(agreed(filled));
  filled.insert(filled.size() - 2, "X: " + std::string(8193 - filled.size() - 5, 'x') + "\r\n");
  ASSERT_EQ(filled.size(), 8193u);
  EXPECT_FALSE(agreed(filled));
}

}  // namespace
}  // namespace tandem::net::test
