#pragma once
// A runtime on loopback with workers that record what they get, and blocking clients with deadlines.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "net/runtime.h"
#include "net/sockets.h"
#include "net/tls.h"

namespace tandem::net::test {

constexpr std::chrono::seconds patience{10};
inline const IpAddress loopback = IpAddress::v4(127, 0, 0, 1);
inline const IpAddress loopback6 = *IpAddress::parse("::1");

/// Things that happen on other threads; the test waits for them.
template <class T>
class Record {
 public:
  void push(T item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_all();
  }
  /// Takes the first item that matches, or fails the test.
  template <class Match>
  T take(Match match, const char* what) {
    std::unique_lock lock(mutex_);
    T out{};
    const bool found = changed_.wait_for(lock, patience, [&] {
      for (auto it = items_.begin(); it != items_.end(); ++it)
        if (match(*it)) {
          out = std::move(*it);
          items_.erase(it);
          return true;
        }
      return false;
    });
    EXPECT_TRUE(found) << "never came: " << what;
    return out;
  }
  T take(const char* what) {
    return take([](const T&) { return true; }, what);
  }
  size_t size() {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
};

struct Message {
  uint16_t worker = 0;
  port::Path path;
  std::string text;
};
struct Happened {
  uint16_t worker = 0;
  port::FlowEvent event{};
};
struct WebHappened {
  uint16_t worker = 0;
  port::WebSocketEvent::Kind kind{};
  port::Path path;
  std::shared_ptr<const port::WebSocketRequest> request;
  std::string text;
  uint16_t code = 0;
};
struct Answered {
  uint16_t worker = 0;
  port::AskId id = 0;
  port::Answer answer;
};

class World;

/// Records everything; what it does with a message is the test's hook.
class TestWorker final : public port::Worker {
 public:
  TestWorker(uint16_t index, port::MediaPorts& media, World& world)
      : index_(index), media_(media), world_(world) {}
  void on_received(Now now, port::Received message) override;
  void on_flow(Now now, const port::FlowEvent& event) override;
  void on_websocket(Now now, port::WebSocketEvent event) override;
  void on_answer(Now now, port::AskId id, port::Answer answer) override;
  void on_committed(Now now, port::CommitId upto) override;
  void on_mail(Now now, std::unique_ptr<port::MailBody> body) override;
  void on_media(Now now, std::span<port::MediaPacket> packets) override;
  void on_timeout(Now now) override;
  Instant next_timeout() const override { return timeout; }
  size_t holding() const override { return held.size(); }
  port::Outbox& outbox() override { return out; }

  uint16_t index() const { return index_; }
  port::MediaPorts& media() { return media_; }
  void send(const port::Path& path, std::string_view text, port::SendId notify = 0,
            std::string server_name = {}, uint32_t lane = 0) {
    out.send({path, Buffer::copy_of(text), 0, notify, std::move(server_name), lane});
  }

  port::Outbox out;
  std::vector<port::Send> held;  // leave with the next commit
  Instant timeout = Instant::never();

 private:
  const uint16_t index_;
  port::MediaPorts& media_;
  World& world_;
};

class World : public AskHandler, public SpoolHandler, public EventHandler {
 public:
  World() { config.dns.hosts_file = "/dev/null"; }
  ~World() override {
    if (runtime) runtime->stop();
  }
  World& listen(port::Transport transport, const TlsFiles& tls = {}, IpAddress ip = loopback) {
    config.listeners.push_back({.transport = transport, .bind = {ip, 0}, .tls = tls});
    return *this;
  }
  Status<std::string> try_start() {
    runtime = std::make_unique<Runtime>(
        config,
        [this](uint16_t index, port::MediaPorts& media) {
          auto worker = std::make_unique<TestWorker>(index, media, *this);
          workers.push_back(worker.get());
          return worker;
        },
        *this, *this, *this);
    return runtime->start();
  }
  World& start() {
    const auto done = try_start();
    if (!done.ok()) {
      ADD_FAILURE() << done.reason();
      std::abort();
    }
    return *this;
  }
  /// Runs on the worker's thread; returns when it has run.
  void on_worker(uint16_t index, std::function<void(Now, TestWorker&)> task) {
    std::mutex mutex;
    std::condition_variable ran;
    bool done = false;
    const bool posted = runtime->post_task(index, [&](Now now, port::Worker& w) {
      task(now, static_cast<TestWorker&>(w));
      const std::lock_guard lock(mutex);
      done = true;
      ran.notify_all();
    });
    ASSERT_TRUE(posted);
    std::unique_lock lock(mutex);
    ASSERT_TRUE(ran.wait_for(lock, patience, [&] { return done; }));
  }
  /// Waits until the counter, summed over all labels, or with one label, is at least `n`.
  void await_counter(const std::string& name, uint64_t n, const std::string& label = "",
                     uint16_t worker = 0) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (count(name, label, worker) < n) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << name << " is " << count(name, label, worker);
      std::this_thread::yield();
    }
  }
  uint64_t count(const std::string& name, const std::string& label = "", uint16_t worker = 0) {
    uint64_t sum = 0;
    for (const auto& e : runtime->counters(worker).entries())
      if (e.name == name && e.labels.find(label) != std::string::npos) sum += e.counter.value();
    return sum;
  }
  Happened await_flow(port::FlowEvent::Kind kind, const char* what) {
    return flows.take([&](const Happened& h) { return h.event.kind == kind; }, what);
  }

  void ask(uint16_t worker, port::Asked asked) override { asks.push({worker, asked.id, {}}); }
  void append(uint16_t, std::vector<port::Append> records) override {
    for (auto& r : records) appends.push(std::move(r));
  }
  void events(uint16_t, std::vector<port::Event> list) override {
    for (auto& e : list) event_log.push(std::string(e.name));
  }

  RuntimeConfig config;
  std::function<void(TestWorker&, Now, port::Received&)> on_message;
  std::function<void(TestWorker&, Now, std::span<port::MediaPacket>)> on_media;
  std::function<void(TestWorker&, Now, port::MailBody&)> on_mail;
  std::vector<TestWorker*> workers;
  Record<Message> messages;
  Record<Happened> flows;
  Record<WebHappened> webs;
  Record<Answered> answers, asks;
  Record<port::CommitId> commits;
  Record<port::Append> appends;
  Record<std::string> event_log;
  Record<Instant> timeouts;
  std::unique_ptr<Runtime> runtime;
};

inline void TestWorker::on_received(Now now, port::Received message) {
  const Message copy{index_, message.path, std::string(message.bytes.text())};
  if (world_.on_message) world_.on_message(*this, now, message);
  world_.messages.push(copy);
}
inline void TestWorker::on_flow(Now, const port::FlowEvent& event) { world_.flows.push({index_, event}); }
inline void TestWorker::on_websocket(Now, port::WebSocketEvent e) {
  world_.webs.push({index_, e.kind, e.path, e.request, std::string(e.bytes.text()), e.code});
}
inline void TestWorker::on_answer(Now, port::AskId id, port::Answer answer) {
  world_.answers.push({index_, id, std::move(answer)});
}
inline void TestWorker::on_committed(Now, port::CommitId upto) {
  for (port::Send& s : held) out.send(std::move(s));
  held.clear();
  world_.commits.push(upto);
}
inline void TestWorker::on_mail(Now now, std::unique_ptr<port::MailBody> body) {
  if (world_.on_mail) world_.on_mail(*this, now, *body);
}
inline void TestWorker::on_media(Now now, std::span<port::MediaPacket> packets) {
  if (world_.on_media) world_.on_media(*this, now, packets);
}
inline void TestWorker::on_timeout(Now) { world_.timeouts.push(std::exchange(timeout, Instant::never())); }

/// Sends the same bytes back where they came from.
inline void echo(TestWorker& worker, Now, port::Received& message) {
  worker.out.send({message.path, std::move(message.bytes), 0, 0, {}, 0});
}

// ---- clients ----

inline bool await_readable(int fd, std::chrono::milliseconds limit = patience) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, static_cast<int>(limit.count())) == 1;
}

class UdpClient {
 public:
  explicit UdpClient(IpAddress ip = loopback) : fd_(std::move(bind_udp({ip, 0}, {})).value()) {}
  SocketAddress address() const { return local_address(fd_.get()); }
  void send(const SocketAddress& to, std::string_view text) {
    const RawAddress raw = to_raw(to);
    ASSERT_EQ(sendto(fd_.get(), text.data(), text.size(), 0, raw.get(), raw.length),
              static_cast<ssize_t>(text.size()));
  }
  std::string receive(SocketAddress* from = nullptr) {
    if (!await_readable(fd_.get())) return "(nothing came)";
    std::string in(65536, '\0');
    RawAddress raw;
    const ssize_t n = recvfrom(fd_.get(), in.data(), in.size(), 0, raw.get(), &raw.length);
    in.resize(n > 0 ? static_cast<size_t>(n) : 0);
    if (from) *from = from_sockaddr(&raw.storage);
    return in;
  }
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
};

/// A stream, plain or TLS, blocking with deadlines.
class StreamClient {
 public:
  explicit StreamClient(const SocketAddress& to)
      : fd_(socket(family_of(to.ip), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const RawAddress raw = to_raw(to);
    connected_ = connect(fd_.get(), raw.get(), raw.length) == 0;
    deadline();
  }
  explicit StreamClient(Fd accepted) : fd_(std::move(accepted)), connected_(true) { deadline(); }
  StreamClient(StreamClient&&) = default;
  ~StreamClient() {
    if (ssl_) SSL_free(ssl_.release());
  }
  bool connected() const { return connected_; }
  /// Common name of the server's certificate; "" when the handshake failed.
  std::string start_tls(const std::string& server_name = "", const TlsFiles& identity = {}) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (!identity.certificate.empty()) {
      SSL_CTX_use_certificate_chain_file(context_.get(), identity.certificate.c_str());
      SSL_CTX_use_PrivateKey_file(context_.get(), identity.key.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), fd_.get());
    if (!server_name.empty()) SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
    if (SSL_connect(ssl_.get()) != 1) return "";
    X509* certificate = SSL_get1_peer_certificate(ssl_.get());
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return name;
  }
  bool accept_tls(const SslContext& context) {
    ssl_.reset(SSL_new(context.get()));
    SSL_set_fd(ssl_.get(), fd_.get());
    return SSL_accept(ssl_.get()) == 1;
  }
  bool send(std::string_view text) {
    const auto n = static_cast<int>(text.size());
    if (ssl_) return SSL_write(ssl_.get(), text.data(), n) == n;
    return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == n;
  }
  /// Exactly `n` bytes, fewer when the stream ends or the deadline passes.
  std::string receive(size_t n) {
    std::string in(n, '\0');
    size_t have = 0;
    while (have < n) {
      const ssize_t r = ssl_ ? SSL_read(ssl_.get(), in.data() + have, static_cast<int>(n - have))
                             : recv(fd_.get(), in.data() + have, n - have, 0);
      if (r <= 0) break;
      have += static_cast<size_t>(r);
    }
    in.resize(have);
    return in;
  }
  bool ended() {  // the peer closed, rather than kept silent
    if (!await_readable(fd_.get())) return false;
    return receive(1).empty();
  }
  int fd() const { return fd_.get(); }

 private:
  struct FreeContext {
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
  };
  struct FreeSsl {
    void operator()(SSL* s) const { SSL_free(s); }
  };
  void deadline() {
    const timeval limit{patience.count(), 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  Fd fd_;
  bool connected_ = false;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
};

/// A peer that listens.
class StreamServer {
 public:
  StreamServer() : fd_(std::move(listen_tcp({loopback, 0}, {}, 16)).value()) {}
  SocketAddress address() const { return local_address(fd_.get()); }
  bool pending(std::chrono::milliseconds limit) { return await_readable(fd_.get(), limit); }
  StreamClient accept() {
    EXPECT_TRUE(await_readable(fd_.get())) << "nobody connected";
    return StreamClient(Fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  }

 private:
  Fd fd_;
};

inline std::string message(const std::string& id, const std::string& body = "") {
  return "OPTIONS sip:tandem SIP/2.0\r\nCall-ID: " + id +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// A folder that goes with the test.
class TempDir {
 public:
  TempDir() { path_ = mkdtemp(pattern_.data()); }
  ~TempDir() {
    for (const std::string& f : files_) unlink(f.c_str());
    rmdir(path_.c_str());
  }
  std::string file(const std::string& name) {
    files_.push_back(path_ + "/" + name);
    return files_.back();
  }
  TlsFiles certificate(const std::vector<std::string>& names, const std::string& stem = "tls") {
    TlsFiles files{file(stem + ".crt"), file(stem + ".key"), ""};
    const auto done = make_self_signed(files.certificate, files.key, names);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.reason());
    return files;
  }

 private:
  std::string pattern_ = "/tmp/tandem-net-XXXXXX";
  std::string path_;
  std::vector<std::string> files_;
};

}  // namespace tandem::net::test
