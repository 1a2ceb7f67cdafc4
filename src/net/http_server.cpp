// Sessions move the bytes through a ByteStream, so that nothing is instantiated twice for plain and TLS, and
// a WebSocket's connection can leave. What the bytes say is HttpReader's business.
#include "net/http_server.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/status.hpp>
#include <csignal>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "net/byte_stream.h"
#include "net/sockets.h"
#include "net/source_counts.h"
#include "net/tls.h"

namespace tandem::net {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Error = boost::system::error_code;

namespace {

constexpr int listen_backlog = 512;
constexpr Duration accept_pause = milliseconds(100);
constexpr size_t write_piece = 256 << 10;
constexpr Duration close_linger = seconds(2);

/// What the server needs of a session, whatever it runs over.
class SessionBase {
 public:
  virtual ~SessionBase() = default;
  virtual void answer(HttpResponse response) = 0;
  /// Another needs its place.
  virtual void make_room() = 0;
};

}  // namespace

struct HttpServer::Impl {
  struct Listener {
    tcp::acceptor acceptor;
    std::unique_ptr<TlsContext> tls;
    asio::steady_timer pause;
  };
  /// How replies find back from any thread; outlives the server.
  struct Gate {
    std::mutex mutex;
    Impl* server = nullptr;  // under mutex; null when stopped
    void deliver(uint64_t request, HttpResponse response) {
      const std::lock_guard lock(mutex);
      if (server)
        asio::post(server->io, [s = server, request, r = std::move(response)]() mutable {
          s->answered(request, std::move(r));
        });
    }
    void run(std::function<void()> task) {
      const std::lock_guard lock(mutex);
      if (server) asio::post(server->io, std::move(task));
    }
  };
  /// The right to answer one request once.
  struct Ticket {
    Ticket(std::shared_ptr<Gate> g, uint64_t id) : gate(std::move(g)), request(id) {}
    ~Ticket() { use(plain_answer(500, "no answer\n")); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    void use(HttpResponse response) {
      if (!used.exchange(true)) gate->deliver(request, std::move(response));
    }
    std::shared_ptr<Gate> gate;
    const uint64_t request;
    std::atomic<bool> used{false};
  };

  Impl(HttpConfig c, Handler h, Adopt a) : config(std::move(c)), handler(std::move(h)), adopt(std::move(a)) {
    for (size_t i = 0; i < refused_upgrades.size(); ++i)
      refused_upgrades[i] =
          &counters.counter("http_websocket_refused_total", "Requests for a WebSocket that were refused",
                            fmt::format("reason=\"{}\"", to_string(static_cast<UpgradeRefusal>(i))));
    for (size_t i = 0; i < bad.size(); ++i)
      bad[i] = &counters.counter("http_bad_requests_total", "HTTP requests refused before a handler saw them",
                                 fmt::format("reason=\"{}\"", to_string(static_cast<BadRequest>(i))));
  }
  Status<std::string> open(const HttpConfig::Listener& l);
  void accept(Listener& listener);
  void accepted(Listener& listener, tcp::socket socket);
  bool make_room();
  void ask(const std::shared_ptr<SessionBase>& session, const HttpRequest& request);
  void answered(uint64_t request, HttpResponse response);
  void stop();

  const HttpConfig config;
  const Handler handler;
  const Adopt adopt;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  // Before `io`: the sessions that go with it count themselves out.
  CounterSet counters;
  Counter& requests = counters.counter("http_requests_total", "HTTP requests handled");
  Counter& open_gauge = counters.gauge("http_connections_open", "HTTP connections");
  Counter& refused =
      counters.counter("http_connections_refused_total", "HTTP connections over a limit", "reason=\"total\"");
  Counter& refused_source = counters.counter("http_connections_refused_total",
                                             "HTTP connections over a limit", "reason=\"per_source\"");
  Counter& dropped = counters.counter("http_connections_refused_total", "HTTP connections over a limit",
                                      "reason=\"half_open\"");
  Counter& upgraded =
      counters.counter("http_websocket_upgrades_total", "Connections that became a WebSocket");
  std::array<Counter*, static_cast<size_t>(UpgradeRefusal::count_)> refused_upgrades{};
  std::array<Counter*, static_cast<size_t>(BadRequest::count_)> bad{};
  Counter& late = counters.counter("http_handler_timeouts_total", "HTTP requests whose handler was too slow");
  Counter& thrown = counters.counter("http_handler_exceptions_total", "HTTP handlers that threw");
  size_t open_sessions = 0;
  std::list<SessionBase*> silent;  // no request of theirs has come yet; the oldest first
  SourceCounts sources{config.connections_per_source};

  asio::io_context io{1};
  struct Repeated {
    Duration period;
    std::function<void()> task;
    asio::steady_timer timer;
  };
  void repeat(Repeated& r);

  std::deque<Listener> listeners;
  std::deque<Repeated> repeated;
  std::vector<SocketAddress> bound;
  std::unordered_map<uint64_t, std::weak_ptr<SessionBase>> waiting;  // by request
  uint64_t next_request = 1;
  std::thread thread;
};

namespace {

/// One connection: read a request, have it answered, write, again.
class Session final : public SessionBase, public std::enable_shared_from_this<Session> {
 public:
  Session(HttpServer::Impl& server, tcp::socket socket, SslPointer ssl, SocketAddress peer)
      : server_(server),
        secure_(ssl),
        stream_(std::move(socket), std::move(ssl)),
        timer_(server.io),
        peer_(peer) {
    server_.open_gauge.set(++server_.open_sessions);
    silent_ = server_.silent.insert(server_.silent.end(), this);
  }
  ~Session() override {
    spoke();
    server_.open_gauge.set(--server_.open_sessions);
    server_.sources.leave(peer_.ip);
  }

  void start() {
    drop_after(server_.config.handshake_timeout);
    stream_.handshake([self = shared_from_this()](Error e, size_t) { e ? self->drop() : self->begin(); });
  }
  void answer(HttpResponse response) override { write(std::move(response)); }
  void make_room() override {
    spoke();
    drop();
  }

 private:
  enum class State { reading, handling, writing, closing };

  /// Every state has a deadline; only the handler's leads to an answer.
  void drop_after(Duration limit) {
    timer_.expires_after(limit);
    timer_.async_wait([self = shared_from_this()](Error e) {
      if (!e) self->drop();
    });
  }
  void drop() {
    timer_.cancel();
    Error ignored;
    stream_.socket().close(ignored);
  }
  void spoke() {
    if (silent_ != server_.silent.end()) server_.silent.erase(std::exchange(silent_, server_.silent.end()));
  }

  void begin() {
    state_ = State::reading;
    drop_after(server_.config.read_timeout);
    parse();
  }

  void parse() {
    if (auto message = reader_.pop()) return parsed(std::move(*message));
    if (const auto bad = reader_.bad()) return refuse(*bad);
    reader_.take_expectation() ? go_on() : read();
  }

  void read() {
    stream_.read_some(asio::buffer(area_), [self = shared_from_this()](Error e, size_t n) {
      if (e) return self->drop();
      self->reader_.receive({self->area_.data(), n});
      self->parse();
    });
  }

  /// RFC 9110 section 10.1.1.
  void go_on() {
    output_ = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_.write(asio::buffer(output_),
                  [self = shared_from_this()](Error e, size_t) { e ? self->drop() : self->read(); });
  }

  void parsed(ReadRequest message) {
    spoke();
    keep_alive_ = message.keep_alive;
    http_1_0_ = message.http_1_0;
    HttpRequest& request = message.request;
    head_ = request.method == "HEAD";
    request.peer = peer_;
    request.secure = secure_;
    state_ = State::handling;
    if (const WebSocketPath* path = websocket_path(server_.config.websockets, request.target))
      return upgrade(*path, request);
    timer_.expires_after(server_.config.handler_timeout);
    timer_.async_wait([self = shared_from_this()](Error e) {
      if (e || self->state_ != State::handling) return;
      self->server_.late.add();
      self->keep_alive_ = false;  // the late answer must not become the next request's
      self->write(plain_answer(504, "the answer took too long\n"));
    });
    server_.ask(shared_from_this(), request);
  }

  void upgrade(const WebSocketPath& path, const HttpRequest& request) {
    auto answer = answer_upgrade(server_.config.websockets, path, request, http_1_0_);
    if (const auto* refusal = std::get_if<UpgradeRefusal>(&answer)) return refuse_upgrade(*refusal);
    if (auto* no = std::get_if<HttpResponse>(&answer)) {
      server_.refused_upgrades[static_cast<size_t>(UpgradeRefusal::denied)]->add();
      keep_alive_ = false;
      return write(std::move(*no));
    }
    auto& granted = std::get<UpgradeAnswer>(answer);
    const int fd = stream_.socket().native_handle();
    Upgraded connection;
    connection.path.transport = secure_ ? port::Transport::wss : port::Transport::ws;
    connection.path.realm = server_.config.websockets.realm;
    connection.path.local = local_address(fd);
    connection.path.remote = peer_;
    connection.request = std::move(granted.request);
    connection.response = std::move(granted.response);
    connection.input = reader_.take_rest();
    timer_.cancel();
    std::tie(connection.fd, connection.ssl) = stream_.release();
    const auto refusal = server_.adopt ? server_.adopt(connection) : UpgradeRefusal::full;
    if (!refusal) return server_.upgraded.add();  // nothing refers to this session any more
    tcp::socket back(server_.io, peer_.ip.is_v6() ? tcp::v6() : tcp::v4(), connection.fd.release());
    stream_ = ByteStream(std::move(back), std::move(connection.ssl));
    refuse_upgrade(*refusal);
  }
  void refuse_upgrade(UpgradeRefusal refusal) {
    server_.refused_upgrades[static_cast<size_t>(refusal)]->add();
    keep_alive_ = false;
    switch (refusal) {
      case UpgradeRefusal::not_upgrade:
      case UpgradeRefusal::version: {
        HttpResponse out = plain_answer(426, "this is a WebSocket (RFC 6455), version 13\n");
        // RFC 9110 section 15.5.22, RFC 6455 section 4.4
        out.headers = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
        return write(std::move(out));
      }
      case UpgradeRefusal::malformed:
        return write(plain_answer(400, "not a WebSocket handshake\n"));
      case UpgradeRefusal::subprotocol:
        return write(plain_answer(400, "Sec-WebSocket-Protocol does not name this path's protocol\n"));
      case UpgradeRefusal::origin:
        return write(plain_answer(403, "pages of this origin may not connect here\n"));
      case UpgradeRefusal::per_source:
      case UpgradeRefusal::full:
      case UpgradeRefusal::busy:
      case UpgradeRefusal::denied:
      case UpgradeRefusal::count_:
        break;
    }
    HttpResponse out = plain_answer(503, "too many connections\n");
    out.headers = {{"Retry-After", "10"}};
    write(std::move(out));
  }

  /// The request was not one: say why, and close.
  void refuse(BadRequest why) {
    server_.bad[static_cast<size_t>(why)]->add();
    keep_alive_ = false;
    state_ = State::handling;
    write(answer_to(why));
  }

  void write(HttpResponse from) {
    if (state_ != State::handling) return;  // answered already
    state_ = State::writing;
    const std::string_view reason =
        http::obsolete_reason(http::int_to_status(static_cast<unsigned>(from.status)));
    output_ = fmt::format("HTTP/1.1 {} {}\r\n", from.status, reason);
    if (from.status != 204)  // RFC 9110 section 8.6: no length where there is never a body
      output_ +=
          fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", from.content_type, from.body.size());
    for (const auto& [name, value] : from.headers) output_ += fmt::format("{}: {}\r\n", name, value);
    // RFC 9112 section 9.3: a client of HTTP/1.0 is told that its wish was understood.
    if (!keep_alive_) output_ += "Connection: close\r\n";
    if (keep_alive_ && http_1_0_) output_ += "Connection: keep-alive\r\n";
    output_ += "\r\n";
    if (!head_) output_ += from.body;
    head_ = false;
    write_from(0);
  }

  /// In pieces: a long answer over a slow line takes its time, one that nobody reads does not.
  void write_from(size_t at) {
    drop_after(server_.config.read_timeout);
    const size_t size = std::min(output_.size() - at, write_piece);
    stream_.write(asio::buffer(output_.data() + at, size),
                  [self = shared_from_this(), at, size](Error e, size_t) {
                    if (e)
                      self->drop();
                    else if (at + size < self->output_.size())
                      self->write_from(at + size);
                    else if (self->keep_alive_)
                      self->begin();
                    else
                      self->close();
                  });
  }

  /// Closing with unread bytes would reset the connection and take the answer with it: say that we are done,
  /// then read until the other side has closed or the linger time is over.
  void close() {
    state_ = State::closing;
    drop_after(close_linger);
    stream_.shut_down();
    discard();
  }
  void discard() {
    stream_.socket().async_read_some(asio::buffer(area_), [self = shared_from_this()](Error e, size_t) {
      e ? self->drop() : self->discard();
    });
  }

  HttpServer::Impl& server_;
  const bool secure_;
  ByteStream stream_;
  asio::steady_timer timer_;
  const SocketAddress peer_;
  std::list<SessionBase*>::iterator silent_;
  State state_ = State::reading;
  std::array<char, 8192> area_;
  std::string output_;
  HttpReader reader_{server_.config.requests};
  bool keep_alive_ = false, http_1_0_ = false, head_ = false;
};

}  // namespace

// ---- the server ----

Status<std::string> HttpServer::Impl::open(const HttpConfig::Listener& l) {
  const bool secure = !l.tls.certificate.empty();
  const auto failure = [&](const std::string& why) {
    return Failure{
        fmt::format("cannot listen on {} {}: {}", secure ? "https" : "http", l.bind.to_string(), why)};
  };
  std::unique_ptr<TlsContext> tls;
  if (secure) {
    tls = std::make_unique<TlsContext>(TlsContext::Side::server, l.tls);
    if (auto done = tls->load(); !done.ok()) return failure(done.reason());
  }
  auto fd = listen_tcp(l.bind, {}, listen_backlog);
  if (!fd.ok()) return failure(error_text(fd.reason()));
  bound.push_back(local_address(fd->get()));
  tcp::acceptor acceptor(io, l.bind.ip.is_v6() ? tcp::v6() : tcp::v4(), fd->release());
  listeners.push_back({std::move(acceptor), std::move(tls), asio::steady_timer(io)});
  return Done{};
}

void HttpServer::Impl::accept(Listener& listener) {
  listener.acceptor.async_accept([this, &listener](Error e, tcp::socket socket) {
    if (e == asio::error::operation_aborted) return;
    if (!e) {
      accepted(listener, std::move(socket));
      return accept(listener);
    }
    listener.pause.expires_after(accept_pause);  // out of descriptors: trying at once would spin
    listener.pause.async_wait([this, &listener](Error stopped) {
      if (!stopped) accept(listener);
    });
  });
}

void HttpServer::Impl::accepted(Listener& listener, tcp::socket socket) {
  if (open_sessions >= config.connections && !make_room()) return refused.add();
  const SocketAddress peer = remote_address(socket.native_handle());
  if (!peer) return;  // gone already
  if (!sources.enter(peer.ip)) return refused_source.add();
  SslPointer ssl;
  if (listener.tls) {
    const SslContext context = listener.tls->current();
    ssl.reset(SSL_new(context.get()));
    if (!ssl || SSL_set_fd(ssl.get(), socket.native_handle()) != 1) return sources.leave(peer.ip);
    SSL_set_accept_state(ssl.get());
  }
  std::make_shared<Session>(*this, std::move(socket), std::move(ssl), peer)->start();
}

bool HttpServer::Impl::make_room() {
  if (silent.empty()) return false;
  dropped.add();
  silent.front()->make_room();
  return true;
}

void HttpServer::Impl::ask(const std::shared_ptr<SessionBase>& session, const HttpRequest& request) {
  const uint64_t id = next_request++;
  waiting[id] = session;
  requests.add();
  auto ticket = std::make_shared<Ticket>(gate, id);
  try {
    handler(request, [ticket](HttpResponse response) { ticket->use(std::move(response)); });
  } catch (const std::exception&) {
    thrown.add();
    ticket->use(plain_answer(500, "internal error\n"));
  }
}

void HttpServer::Impl::answered(uint64_t request, HttpResponse response) {
  const auto node = waiting.extract(request);
  if (node.empty()) return;
  if (const auto session = node.mapped().lock()) session->answer(std::move(response));
}

void HttpServer::Impl::repeat(Repeated& r) {
  r.timer.expires_after(r.period);
  r.timer.async_wait([this, &r](Error e) {
    if (e) return;
    r.task();
    repeat(r);
  });
}

void HttpServer::Impl::stop() {
  {
    const std::lock_guard lock(gate->mutex);
    gate->server = nullptr;
  }
  io.stop();
  if (thread.joinable()) thread.join();
}

HttpServer::HttpServer(HttpConfig config, Handler handler, Adopt adopt)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(handler), std::move(adopt))) {}

HttpServer::~HttpServer() { stop(); }

Status<std::string> HttpServer::start() {
  for (const auto& l : impl_->config.listeners)
    if (auto done = impl_->open(l); !done.ok()) return done;
  for (auto& l : impl_->listeners) impl_->accept(l);
  for (auto& r : impl_->repeated) impl_->repeat(r);
  impl_->gate->server = impl_.get();
  impl_->thread = std::thread([m = impl_.get()] {
    sigset_t all;
    sigfillset(&all);
    for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, fatal);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    const auto work = asio::make_work_guard(m->io);
    m->io.run();
  });
  pthread_setname_np(impl_->thread.native_handle(), "http");
  return Done{};
}

void HttpServer::stop() { impl_->stop(); }

void HttpServer::post(std::function<void()> task) { impl_->gate->run(std::move(task)); }

void HttpServer::every(Duration period, std::function<void()> task) {
  impl_->repeated.push_back({period, std::move(task), asio::steady_timer(impl_->io)});
}

Status<std::string> HttpServer::reload_certificates() {
  std::string failures;
  for (auto& l : impl_->listeners)
    if (l.tls)
      if (auto done = l.tls->load(); !done.ok()) failures += (failures.empty() ? "" : "; ") + done.reason();
  if (failures.empty()) return Done{};
  return Failure{std::move(failures)};
}

const std::vector<SocketAddress>& HttpServer::bound() const { return impl_->bound; }
const CounterSet& HttpServer::counters() const { return impl_->counters; }

}  // namespace tandem::net
