// The HTTP server: requests, limits, TLS, late and lost answers.
#include <atomic>
#include <future>
#include <thread>

#include "net/http_server.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

/// Reads one response: head, then as much body as Content-Length says.
std::string read_response(StreamClient& client, bool body = true) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    const std::string c = client.receive(1);
    if (c.empty()) return head;
    head += c;
  }
  const size_t at = head.find("Content-Length: ");
  const size_t length = at == std::string::npos ? 0 : std::stoul(head.substr(at + 16));
  return head + (body ? client.receive(length) : "");
}

class Http : public testing::Test {
 protected:
  void begin(HttpServer::Handler handler, const TlsFiles& tls = {}) {
    config.listeners.push_back({{loopback, 0}, tls});
    server = std::make_unique<HttpServer>(config, std::move(handler));
    const auto started = server->start();
    ASSERT_TRUE(started.ok()) << started.reason();
  }
  SocketAddress at() const { return server->bound()[0]; }
  static void hello(const HttpRequest& request, HttpServer::Reply reply) {
    reply({.body = request.method + " " + request.body, .headers = {{"X-Seen", request.target}}});
  }
  HttpConfig config;
  std::unique_ptr<HttpServer> server;
};

TEST_F(Http, AnswersOnAConnectionKeptAlive) {
  begin(hello);
  StreamClient client(at());
  client.send("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string first = read_response(client);
  EXPECT_TRUE(first.starts_with("HTTP/1.1 200 OK\r\n")) << first;
  EXPECT_NE(first.find("X-Seen: /a?b=c\r\n"), std::string::npos);
  EXPECT_TRUE(first.ends_with("\r\n\r\nGET "));
  client.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody");
  EXPECT_TRUE(read_response(client).ends_with("POST body"));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(server->counters().total("http_requests_total"), 2u);
}

TEST_F(Http, PipelinedRequestsAreAnsweredInOrder) {
  begin(hello);
  StreamClient client(at());
  client.send(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "GET /3 HTTP/1.1\r\nHost: x\r\n\r\nGET /4 HTT");
  EXPECT_NE(read_response(client).find("X-Seen: /1\r\n"), std::string::npos);
  EXPECT_TRUE(read_response(client).ends_with("POST abc"));
  EXPECT_NE(read_response(client).find("X-Seen: /3\r\n"), std::string::npos);
  client.send("P/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /5 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(read_response(client).find("X-Seen: /4\r\n"), std::string::npos);
  EXPECT_TRUE(client.ended());  // and nobody answers what came after "close"
  EXPECT_EQ(server->counters().total("http_requests_total"), 4u);
}

TEST_F(Http, KeepAliveIsAsTheVersionSays) {
  begin(hello);
  StreamClient old(at()), wishing(at());
  old.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_NE(read_response(old).find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(old.ended());
  wishing.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(read_response(wishing).find("Connection: keep-alive\r\n"), std::string::npos);
  wishing.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(read_response(wishing).ends_with("GET "));
}

TEST_F(Http, AnAnswerWithoutContentHasNoLength) {
  begin([](const HttpRequest&, HttpServer::Reply reply) { reply({.status = 204}); });
  StreamClient client(at());
  client.send("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(read_response(client), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(Http, HeadHasTheLengthButNoBody) {
  begin(hello);
  StreamClient client(at());
  client.send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(read_response(client, false).find("Content-Length: 5\r\n"), std::string::npos);
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).ends_with("GET "));
}

TEST_F(Http, ExpectContinueIsAnswered) {
  begin(hello);
  StreamClient client(at());
  client.send("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(read_response(client).starts_with("HTTP/1.1 100 Continue"));
  client.send("ab");
  EXPECT_TRUE(read_response(client).ends_with("PUT ab"));
}

TEST_F(Http, TooLargeIsRefusedWithTheReason) {
  begin(hello);
  StreamClient body(at()), header(at()), rubbish(at());
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_TRUE(read_response(body).starts_with("HTTP/1.1 413 "));
  header.send("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_TRUE(read_response(header).starts_with("HTTP/1.1 431 "));
  rubbish.send("\x16\x03\x01 this is no HTTP\r\n\r\n");
  EXPECT_TRUE(read_response(rubbish).starts_with("HTTP/1.1 400 "));
  EXPECT_EQ(server->counters().total("http_bad_requests_total"), 3u);
}

TEST_F(Http, ALastChunkMayComeInPieces) {
  begin(hello);
  StreamClient client(at());
  // Each octet in a segment of its own, as a client without a buffer sends them.
  client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(read_response(client).starts_with("HTTP/1.1 100 "));
  client.send("0\r\n");
  EXPECT_FALSE(await_readable(client.fd(), std::chrono::milliseconds(20)));
  client.send("\r");
  EXPECT_FALSE(await_readable(client.fd(), std::chrono::milliseconds(20)));
  client.send("\n");
  EXPECT_TRUE(read_response(client).ends_with("POST "));
}

TEST_F(Http, ACodingThatIsNotKnownEndsTheConnection) {
  begin(hello);
  StreamClient client(at());
  client.send(
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).starts_with("HTTP/1.1 501 "));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(server->counters().total("http_requests_total"), 0u);
}

TEST_F(Http, ConnectionsOverTheLimitAreClosed) {
  config.connections = 1;
  begin(hello);
  StreamClient one(at());
  one.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  read_response(one);
  StreamClient two(at());
  EXPECT_TRUE(two.ended());
  EXPECT_EQ(server->counters().total("http_connections_refused_total"), 1u);
}

TEST_F(Http, ASlowClientIsDropped) {
  config.read_timeout = milliseconds(50);
  begin(hello);
  StreamClient client(at());
  client.send("GET / HT");
  EXPECT_TRUE(client.ended());
}

TEST_F(Http, DrippingBytesBuysNoTime) {
  config.read_timeout = milliseconds(100);
  begin(hello);
  StreamClient client(at());
  const auto until = std::chrono::steady_clock::now() + patience;
  client.send("GET / HTTP/1.1\r\nX: ");
  while (!await_readable(client.fd(), std::chrono::milliseconds(5))) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "it may go on for ever";
    client.send("x");
  }
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(server->counters().total("http_requests_total"), 0u);
}

TEST_F(Http, OneSourceCannotTakeAllConnections) {
  config.connections_per_source = 1;
  begin(hello);
  {
    StreamClient one(at());
    one.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    StreamClient two(at());
    EXPECT_TRUE(two.ended());
    EXPECT_EQ(server->counters().total("http_connections_refused_total"), 1u);
    EXPECT_TRUE(read_response(one).ends_with("GET "));
    EXPECT_TRUE(one.ended());
  }
  // When the first has gone there is room again; the server sees that a moment after us.
  for (std::string got; got.empty();) {
    StreamClient next(at());
    next.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    got = read_response(next);
  }
}

TEST_F(Http, AnswersMayComeFromAnotherThreadOrNever) {
  std::thread other;
  begin([&](const HttpRequest& request, HttpServer::Reply reply) {
    if (request.target == "/later") other = std::thread([reply] { reply({.body = "later"}); });
    if (request.target == "/throws") throw std::runtime_error("planted");
  });
  StreamClient client(at());
  client.send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).ends_with("later"));
  other.join();
  client.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).starts_with("HTTP/1.1 500 "));
  client.send("GET /throws HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).starts_with("HTTP/1.1 500 "));
  EXPECT_EQ(server->counters().total("http_handler_exceptions_total"), 1u);
}

TEST_F(Http, TasksRunWhereHandlersRun) {
  std::promise<std::thread::id> handled, posted, repeated;
  std::atomic<int> turns = 0;
  config.listeners.push_back({{loopback, 0}, {}});
  server = std::make_unique<HttpServer>(config, [&](const HttpRequest&, HttpServer::Reply reply) {
    handled.set_value(std::this_thread::get_id());
    reply({});
  });
  server->every(milliseconds(1), [&] {
    if (++turns == 3) repeated.set_value(std::this_thread::get_id());
  });
  server->post([] { ADD_FAILURE() << "before the start there is no thread"; });
  ASSERT_TRUE(server->start().ok());
  StreamClient client(at());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  server->post([&] { posted.set_value(std::this_thread::get_id()); });
  const auto thread = handled.get_future().get();
  EXPECT_EQ(posted.get_future().get(), thread);
  EXPECT_EQ(repeated.get_future().get(), thread);
  server->stop();
  server->post([] { ADD_FAILURE() << "it is stopped"; });
}

TEST_F(Http, ASlowHandlerIsAnsweredForAndItsReplyIsLost) {
  config.handler_timeout = milliseconds(50);
  HttpServer::Reply kept;
  begin([&](const HttpRequest&, HttpServer::Reply reply) { kept = std::move(reply); });
  StreamClient client(at());
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).starts_with("HTTP/1.1 504 "));
  kept({.body = "too late"});
  EXPECT_TRUE(client.ended());
  server.reset();
  kept({.body = "much too late"});
}

TEST_F(Http, TlsWithACertificateThatChanges) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"console.example"});
  begin(hello, files);
  StreamClient client(at());
  EXPECT_EQ(client.start_tls(), "console.example");
  client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_response(client).ends_with("GET "));
  ASSERT_TRUE(make_self_signed(files.certificate, files.key, {"new.example"}).ok());
  ASSERT_TRUE(server->reload_certificates().ok());
  StreamClient after(at());
  EXPECT_EQ(after.start_tls(), "new.example");
  client.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(read_response(client).ends_with("GET "));
  EXPECT_TRUE(client.ended());
}

TEST_F(Http, APortInUseIsNamed) {
  StreamServer other;
  config.listeners.push_back({other.address(), {}});
  HttpServer second(config, hello);
  const auto started = second.start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.reason(),
            "cannot listen on http " + other.address().to_string() + ": address already in use");
}

}  // namespace
}  // namespace tandem::net::test
