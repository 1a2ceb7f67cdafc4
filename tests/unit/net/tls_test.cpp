// TLS: handshakes, identities, certificates at run time.
#include <sys/stat.h>
#include <fstream>

#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using port::FlowEvent;
using port::Transport;

TEST(Tls, MessagesAndKeepAlivesPass) {
  TempDir dir;
  World world;
  world.listen(Transport::tls, dir.certificate({"tandem.example"}));
  world.on_message = echo;
  world.start();
  StreamClient client(world.runtime->bound()[0]);
  EXPECT_EQ(client.start_tls(), "tandem.example");
  const std::string large = message("a", std::string(50'000, 'x'));
  client.send(large + message("b"));
  EXPECT_EQ(client.receive(large.size()), large);
  EXPECT_EQ(client.receive(message("b").size()), message("b"));
  client.send("\r\n\r\n");
  EXPECT_EQ(client.receive(2), "\r\n");
  EXPECT_EQ(world.messages.take("a").path.transport, Transport::tls);
}

TEST(Tls, HalfOpenClientsStallNobody) {
  TempDir dir;
  World world;
  world.config.limits.tls_handshake = milliseconds(300);
  world.listen(Transport::tls, dir.certificate({"tandem.example"})).listen(Transport::udp);
  world.on_message = echo;
  world.start();
  std::deque<StreamClient> half_open;
  for (int i = 0; i < 50; ++i) {
    half_open.emplace_back(world.runtime->bound()[0]);
    if (i % 2) half_open.back().send("\x16\x03\x01\x02");  // the first bytes of a ClientHello
  }
  UdpClient caller;
  StreamClient other(world.runtime->bound()[0]);
  EXPECT_EQ(other.start_tls(), "tandem.example");
  for (int i = 0; i < 20; ++i) {
    caller.send(world.runtime->bound()[1], message("call"));
    ASSERT_EQ(caller.receive(), message("call"));
    other.send(message("tls"));
    ASSERT_EQ(other.receive(message("tls").size()), message("tls"));
  }
  for (StreamClient& c : half_open) EXPECT_TRUE(c.ended());
  world.await_counter("net_connections_closed_total", 50, "slow_handshake");
  other.send(message("still here"));
  EXPECT_EQ(other.receive(message("still here").size()), message("still here"));
}

TEST(Tls, PlainTextOnATlsPortIsClosed) {
  TempDir dir;
  World world;
  world.listen(Transport::tls, dir.certificate({"tandem.example"})).start();
  StreamClient client(world.runtime->bound()[0]);
  client.send(message("a"));
  world.await_counter("net_connections_closed_total", 1, "handshake_failed");
  EXPECT_EQ(world.flows.size(), 0u);  // was never a flow
}

/// A TLS peer on its own thread, so that our handshake with it can finish.
class TlsPeer {
 public:
  explicit TlsPeer(const TlsFiles& files) : context_(std::move(load_server_context(files, false)).value()) {}
  SocketAddress address() const { return server_.address(); }
  std::string serve(size_t bytes) {
    peers_.push_back(server_.accept());
    return peers_.back().accept_tls(context_) ? peers_.back().receive(bytes) : "(no handshake)";
  }
  bool pending() { return server_.pending(std::chrono::milliseconds(0)); }

 private:
  SslContext context_;
  StreamServer server_;
  std::deque<StreamClient> peers_;
};

TEST(Tls, OutgoingVerifiesTheName) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"trunk.example", "127.0.0.1"});
  World world;
  world.config.tls_ca = files.certificate;
  world.listen(Transport::tls, files).start();
  TlsPeer peer(files);
  const port::Path path{Transport::tls, 0, {}, {}, peer.address()};
  const std::string text = message("a");
  const auto send = [&](const std::string& name, port::SendId id) {
    world.on_worker(0, [&](Now, TestWorker& w) { w.send(path, text, id, name); });
  };
  send("trunk.example", 1);
  EXPECT_EQ(peer.serve(text.size()), text);
  send("127.0.0.1", 2);  // another identity: another connection
  EXPECT_EQ(peer.serve(text.size()), text);
  send("", 3);
  EXPECT_EQ(peer.serve(text.size()), text);
  send("mallory.example", 4);
  EXPECT_EQ(peer.serve(text.size()), "(no handshake)");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 4u);
  EXPECT_EQ(world.count("net_connections_closed_total", "handshake_failed"), 1u);
  send("trunk.example", 5);  // reuses the first
  world.on_worker(0, [](Now, TestWorker&) {});
  EXPECT_FALSE(peer.pending());
  EXPECT_EQ(world.count("net_connections_total", "connected"), 4u);
}

TEST(Tls, AnUntrustedIssuerIsRefusedWhenANameIsGiven) {
  TempDir dir;
  World world;
  world.config.tls_ca = dir.certificate({"someone.else"}, "other").certificate;
  const TlsFiles files = dir.certificate({"trunk.example"});
  world.listen(Transport::tls, files).start();
  TlsPeer peer(files);
  world.on_worker(0, [&](Now, TestWorker& w) {
    w.send({Transport::tls, 0, {}, {}, peer.address()}, message("a"), 1, "trunk.example");
  });
  EXPECT_EQ(peer.serve(1), "(no handshake)");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 1u);
}

TEST(Certificates, AreReadAgainAtRunTime) {
  TempDir dir;
  World world;
  const TlsFiles files = dir.certificate({"old.example"});
  world.listen(Transport::tls, files);
  world.on_message = echo;
  world.start();
  StreamClient before(world.runtime->bound()[0]);
  EXPECT_EQ(before.start_tls(), "old.example");
  ASSERT_TRUE(make_self_signed(files.certificate, files.key, {"new.example"}).ok());
  ASSERT_TRUE(world.runtime->reload_certificates().ok());
  StreamClient after(world.runtime->bound()[0]);
  EXPECT_EQ(after.start_tls(), "new.example");
  before.send(message("a"));  // goes on
  EXPECT_EQ(before.receive(message("a").size()), message("a"));
  std::ofstream(files.certificate) << "rubbish";
  const auto bad = world.runtime->reload_certificates();
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.reason().find("certificate " + files.certificate + " is not usable"), std::string::npos);
  StreamClient still(world.runtime->bound()[0]);
  EXPECT_EQ(still.start_tls(), "new.example");
}

TEST(Certificates, ABadOneStopsTheStart) {
  World world;
  world.listen(Transport::tls, {"/nonexistent/tls.crt", "/nonexistent/tls.key", ""});
  const auto started = world.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.reason(),
            "cannot listen on tls 127.0.0.1:0: cannot read certificate /nonexistent/tls.crt: no such file or "
            "directory");
}

TEST(Certificates, AKeyOfAnotherIsNamed) {
  TempDir dir;
  const TlsFiles one = dir.certificate({"one"}, "one"), two = dir.certificate({"two"}, "two");
  const auto loaded = load_server_context({one.certificate, two.key, ""}, false);
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.reason().find(two.key), std::string::npos);
}

TEST(Certificates, TheKeyIsForTheOwnerOnly) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"a.example", "192.0.2.1", "2001:db8::1"});
  struct stat s {};
  ASSERT_EQ(stat(files.key.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  EXPECT_TRUE(load_server_context(files, false).ok());
  EXPECT_FALSE(make_self_signed("/nonexistent/a", "/nonexistent/b", {"x"}).ok());
}

}  // namespace
}  // namespace tandem::net::test
