// TLS: handshakes, identities, certificates at run time.
#include <sys/stat.h>
#include <fstream>

#include "net/certified_names.h"
#include "unit/net/harness.h"

namespace tandem::net::test {
namespace {

using port::FlowEvent;
using port::Transport;

TEST(Tls, NamesOfASelfSignedCertificate) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"localhost", "192.0.2.1"});
  EXPECT_EQ(self_signed_names(files.certificate), (std::vector<std::string>{"localhost", "192.0.2.1"}));
  EXPECT_TRUE(self_signed_names(files.key).empty());
  EXPECT_TRUE(self_signed_names(files.certificate + ".none").empty());
}

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

const port::Path to(const TlsPeer& peer) { return {Transport::tls, 0, {}, {}, peer.address()}; }

TEST(Tls, OutgoingVerifiesTheName) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"trunk.example", "127.0.0.1"});
  World world;
  world.config.outgoing = {{0, files.certificate}};
  world.listen(Transport::tls, files).start();
  TlsPeer peer(files);
  const std::string text = message("a");
  const auto send = [&](const std::string& name, port::SendId id) {
    world.on_worker(0, [&](Now, TestWorker& w) { w.send(to(peer), text, id, name); });
  };
  send("trunk.example", 1);
  EXPECT_EQ(peer.serve(text.size()), text);
  const port::CertifiedNames names = world.await_flow(FlowEvent::Kind::opened, "flow").event.path.peer;
  ASSERT_TRUE(names);
  EXPECT_EQ(*names, (std::vector<std::string>{"trunk.example", "127.0.0.1"}));
  send("", 2);  // the address is whom we meant: another identity, another connection
  EXPECT_EQ(peer.serve(text.size()), text);
  send("mallory.example", 3);
  EXPECT_EQ(peer.serve(text.size()), "(no handshake)");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 3u);
  EXPECT_EQ(world.event_log.take("event"), "tls.peer_untrusted");
  EXPECT_EQ(world.count("net_connections_closed_total", "untrusted"), 1u);
  send("TRUNK.example.", 4);  // reuses the first
  send("127.0.0.1", 5);       // and the second
  world.on_worker(0, [](Now, TestWorker&) {});
  EXPECT_FALSE(peer.pending());
  EXPECT_EQ(world.count("net_connections_total", "connected"), 3u);
}

TEST(Tls, WithoutANameTheAddressMustBeCertified) {
  TempDir dir;
  const TlsFiles files = dir.certificate({"trunk.example"});
  World world;
  world.config.outgoing = {{0, files.certificate}};
  world.listen(Transport::tls, files).start();
  TlsPeer peer(files);
  world.on_worker(0, [&](Now, TestWorker& w) { w.send(to(peer), message("a"), 1); });
  EXPECT_EQ(peer.serve(1), "(no handshake)");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 1u);
}

TEST(Tls, AnUntrustedIssuerIsRefused) {
  TempDir dir;
  World world;
  world.config.outgoing = {{0, dir.certificate({"someone.else"}, "other").certificate}};
  const TlsFiles files = dir.certificate({"trunk.example"});
  world.listen(Transport::tls, files).start();
  TlsPeer peer(files);
  world.on_worker(0, [&](Now, TestWorker& w) { w.send(to(peer), message("a"), 1, "trunk.example"); });
  EXPECT_EQ(peer.serve(1), "(no handshake)");
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 1u);
  EXPECT_EQ(world.count("net_connections_closed_total", "untrusted"), 1u);
}

TEST(Tls, OnlyConfigurationStopsVerification) {
  TempDir dir;
  World world;
  world.config.outgoing = {{.realm = 0, .verify = false}};
  const TlsFiles files = dir.certificate({"trunk.example"});
  world.listen(Transport::tls, files).start();
  TlsPeer peer(files);
  const std::string text = message("a");
  world.on_worker(0, [&](Now, TestWorker& w) { w.send(to(peer), text, 1, "other.example"); });
  EXPECT_EQ(peer.serve(text.size()), text);
  EXPECT_FALSE(world.await_flow(FlowEvent::Kind::opened, "flow").event.path.peer);  // it proved nothing
}

TEST(Tls, AnAcceptedConnectionIsOnlyReachedByItsFlow) {
  TempDir dir;
  World world;
  world.listen(Transport::tls, dir.certificate({"tandem.example"})).start();
  StreamClient client(world.runtime->bound()[0]);
  ASSERT_EQ(client.start_tls(), "tandem.example");
  client.send(message("a"));
  port::Path path = world.messages.take("a").path;
  world.on_worker(0, [&](Now, TestWorker& w) { w.send(path, message("answer")); });
  EXPECT_EQ(client.receive(message("answer").size()), message("answer"));
  path.flow = {};  // to the same address: its holder proved nothing
  world.on_worker(0, [&](Now, TestWorker& w) { w.send(path, message("b"), 7); });
  EXPECT_EQ(world.await_flow(FlowEvent::Kind::send_failed, "failure").event.send, 7u);
}

TEST(Tls, AClientsCertificateNamesIt) {
  TempDir dir;
  World world;
  const TlsFiles carrier = dir.certificate({"sbc.carrier.example"}, "carrier");
  TlsFiles ours = dir.certificate({"tandem.example"});
  ours.ca = carrier.certificate;
  world.config.listeners.push_back(
      {.transport = Transport::tls, .bind = {loopback, 0}, .tls = ours, .request_client_certificate = true});
  world.start();
  StreamClient known(world.runtime->bound()[0]), unknown(world.runtime->bound()[0]);
  known.start_tls("", carrier);
  known.send(message("known"));
  const port::Path path = world.messages.take("known").path;
  ASSERT_TRUE(path.peer);
  EXPECT_EQ(*path.peer, std::vector<std::string>{"sbc.carrier.example"});
  unknown.start_tls();  // a telephone without one
  unknown.send(message("unknown"));
  EXPECT_FALSE(world.messages.take("unknown").path.peer);
  StreamClient forger(world.runtime->bound()[0]);
  forger.start_tls("", dir.certificate({"sbc.carrier.example"}, "forger"));
  world.await_counter("net_connections_closed_total", 1, "untrusted");
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

TEST(Certificates, AreChosenByServerName) {
  TempDir dir;
  World world;
  const TlsFiles second = dir.certificate({"second.example", "sip:voice.example"}, "second");
  world.config.listeners.push_back(
      {.transport = Transport::tls,
       .bind = {loopback, 0},
       .tls = dir.certificate({"first.example", "main.wild.example"}, "first"),
       .more_certificates = {second, dir.certificate({"*.wild.example"}, "third")}});
  world.on_message = echo;
  world.start();
  const auto shown = [&](const std::string& asked) {
    return StreamClient(world.runtime->bound()[0]).start_tls(asked);
  };
  EXPECT_EQ(shown("first.example"), "first.example");
  EXPECT_EQ(shown("SECOND.example"), "second.example");
  EXPECT_EQ(shown("voice.example"), "second.example");
  EXPECT_EQ(shown("a.wild.example"), "*.wild.example");
  EXPECT_EQ(shown("main.wild.example"), "first.example");  // a name in full before a wildcard
  EXPECT_EQ(shown("a.b.wild.example"), "first.example");
  EXPECT_EQ(shown("unknown.example"), "first.example");
  EXPECT_EQ(shown(""), "first.example");
  StreamClient before(world.runtime->bound()[0]);
  EXPECT_EQ(before.start_tls("second.example"), "second.example");
  ASSERT_TRUE(make_self_signed(second.certificate, second.key, {"fresh.example", "second.example"}).ok());
  ASSERT_TRUE(world.runtime->reload_certificates().ok());
  EXPECT_EQ(shown("second.example"), "fresh.example");
  EXPECT_EQ(shown("voice.example"), "first.example");
  before.send(message("a"));  // goes on, though its certificate is gone
  EXPECT_EQ(before.receive(message("a").size()), message("a"));
}

/// The names in a certificate made with these.
std::vector<std::string> read_back(const std::vector<std::string>& names,
                                   std::vector<std::string> (*read)(const X509*)) {
  TempDir dir;
  const SslContext context = std::move(load_server_context(dir.certificate(names), false)).value();
  return read(SSL_CTX_get0_certificate(context.get()));
}

TEST(CertifiedNames, AreThoseOfRfc5922) {
  using Names = std::vector<std::string>;
  const auto names = [](const Names& made) { return read_back(made, certified_names); };
  EXPECT_EQ(names({"A.example", "b.example", "192.0.2.1"}), (Names{"a.example", "b.example", "192.0.2.1"}));
  EXPECT_EQ(names({"a.example", "sip:Voice.example"}),
            Names{"voice.example"});  // the URI rules the DNS name out
  EXPECT_EQ(names({"a.example", "sip:voice.example:5061;transport=tls"}), Names{"voice.example"});
  EXPECT_EQ(names({"a.example", "sip:alice@voice.example"}), Names{"a.example"});  // a user, no domain
  EXPECT_EQ(names({}), Names{"tandem"});  // the common name counts only here
  EXPECT_EQ(names({"192.0.2.1"}), Names{"192.0.2.1"});
  EXPECT_EQ(read_back({"a.example", "sip:voice.example"}, server_names),
            (Names{"voice.example", "a.example"}));
}

TEST(CertifiedNames, MatchAsAWhole) {
  const std::vector<std::string> names{"example.com", "*.example.org", "2001:db8::1"};
  EXPECT_TRUE(is_certified(names, "Example.COM"));
  EXPECT_TRUE(is_certified(names, "example.com."));
  EXPECT_TRUE(is_certified(names, "[2001:db8:0::1]"));
  EXPECT_FALSE(is_certified(names, "voice.example.com"));
  EXPECT_FALSE(is_certified(names, "com"));
  EXPECT_FALSE(is_certified(names, "voice.example.org"));  // no wildcards (RFC 5922 section 7.2)
  EXPECT_FALSE(is_certified(names, ""));
  EXPECT_TRUE(serves_name(names, "voice.example.org"));
  EXPECT_FALSE(serves_name(names, "a.voice.example.org"));
  EXPECT_FALSE(serves_name(names, "example.org"));
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
