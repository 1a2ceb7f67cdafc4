// The one translation unit with Beast in it: its parser reads requests, our sessions move the bytes through
// an abstract stream, so that nothing is instantiated twice for plain and TLS. A WebSocket upgrade belongs in
// Session::parsed(): an AsyncStream adapter over ByteStream gives websocket::stream one instantiation too.
#include "net/http_server.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <csignal>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "base/text.h"
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
constexpr Duration close_linger = seconds(2);

HttpResponse plain(unsigned status, std::string text) {
  return {.status = status, .content_type = "text/plain", .body = std::move(text)};
}

/// What the server needs of a session, whatever it runs over.
class SessionBase {
 public:
  virtual ~SessionBase() = default;
  virtual void answer(HttpResponse response) = 0;
};

}  // namespace

std::string_view HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (iequals(key, name)) return value;
  return {};
}

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
  };
  /// The right to answer one request once.
  struct Ticket {
    Ticket(std::shared_ptr<Gate> g, uint64_t id) : gate(std::move(g)), request(id) {}
    ~Ticket() { use(plain(500, "no answer\n")); }
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    void use(HttpResponse response) {
      if (!used.exchange(true)) gate->deliver(request, std::move(response));
    }
    std::shared_ptr<Gate> gate;
    const uint64_t request;
    std::atomic<bool> used{false};
  };

  Impl(HttpConfig c, Handler h) : config(std::move(c)), handler(std::move(h)) {}
  Status<std::string> open(const HttpConfig::Listener& l);
  void accept(Listener& listener);
  void accepted(Listener& listener, tcp::socket socket);
  void ask(const std::shared_ptr<SessionBase>& session, const HttpRequest& request);
  void answered(uint64_t request, HttpResponse response);
  void stop();

  const HttpConfig config;
  const Handler handler;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  // Before `io`: the sessions that go with it count themselves out.
  CounterSet counters;
  Counter& requests = counters.counter("http_requests_total", "HTTP requests handled");
  Counter& open_gauge = counters.gauge("http_connections_open", "HTTP connections");
  Counter& refused =
      counters.counter("http_connections_refused_total", "HTTP connections over a limit", "reason=\"total\"");
  Counter& refused_source = counters.counter("http_connections_refused_total",
                                             "HTTP connections over a limit", "reason=\"per_source\"");
  Counter& bad =
      counters.counter("http_bad_requests_total", "HTTP requests refused before a handler saw them");
  Counter& late = counters.counter("http_handler_timeouts_total", "HTTP requests whose handler was too slow");
  Counter& thrown = counters.counter("http_handler_exceptions_total", "HTTP handlers that threw");
  size_t open_sessions = 0;
  SourceCounts sources{config.connections_per_source};

  asio::io_context io{1};
  std::deque<Listener> listeners;
  std::vector<SocketAddress> bound;
  std::unordered_map<uint64_t, std::weak_ptr<SessionBase>> waiting;  // by request
  uint64_t next_request = 1;
  std::thread thread;
};

namespace {

/// A connection's bytes, plain or TLS.
class ByteStream {
 public:
  using Done = std::function<void(Error, size_t)>;
  virtual ~ByteStream() = default;
  virtual void handshake(Done done) = 0;
  virtual void read_some(asio::mutable_buffer into, Done done) = 0;
  virtual void write(asio::const_buffer all, Done done) = 0;
  virtual void shut_down(Done done) = 0;  // our side is finished
  virtual tcp::socket& socket() = 0;
};

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(tcp::socket socket) : socket_(std::move(socket)) {}
  void handshake(Done done) override { done({}, 0); }
  void read_some(asio::mutable_buffer into, Done done) override {
    socket_.async_read_some(into, std::move(done));
  }
  void write(asio::const_buffer all, Done done) override { asio::async_write(socket_, all, std::move(done)); }
  void shut_down(Done done) override {
    Error e;
    socket_.shutdown(tcp::socket::shutdown_send, e);
    done(e, 0);
  }
  tcp::socket& socket() override { return socket_; }

 private:
  tcp::socket socket_;
};

class TlsStream final : public ByteStream {
 public:
  TlsStream(tcp::socket socket, asio::ssl::context& context) : stream_(std::move(socket), context) {}
  void handshake(Done done) override {
    stream_.async_handshake(asio::ssl::stream_base::server,
                            [done = std::move(done)](Error e) { done(e, 0); });
  }
  void read_some(asio::mutable_buffer into, Done done) override {
    stream_.async_read_some(into, std::move(done));
  }
  void write(asio::const_buffer all, Done done) override { asio::async_write(stream_, all, std::move(done)); }
  void shut_down(Done done) override {
    stream_.async_shutdown([done = std::move(done)](Error e) { done(e, 0); });
  }
  tcp::socket& socket() override { return stream_.next_layer(); }

 private:
  asio::ssl::stream<tcp::socket> stream_;
};

/// One connection: read a request, have it answered, write, again.
class Session final : public SessionBase, public std::enable_shared_from_this<Session> {
 public:
  Session(HttpServer::Impl& server, std::unique_ptr<ByteStream> stream, SocketAddress peer, bool secure)
      : server_(server), stream_(std::move(stream)), timer_(server.io), peer_(peer), secure_(secure) {
    server_.open_gauge.set(++server_.open_sessions);
  }
  ~Session() override {
    server_.open_gauge.set(--server_.open_sessions);
    server_.sources.leave(peer_.ip);
  }

  void start() {
    drop_after(server_.config.read_timeout);
    stream_->handshake([self = shared_from_this()](Error e, size_t) { e ? self->drop() : self->begin(); });
  }
  void answer(HttpResponse response) override { write(std::move(response)); }

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
    stream_->socket().close(ignored);
  }

  void begin() {
    state_ = State::reading;
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(server_.config.header_bytes);
    parser_->body_limit(server_.config.body_bytes);
    continued_ = false;
    drop_after(server_.config.read_timeout);
    parse();
  }

  /// Feeds what has come to the parser; reads more when that is not a whole request.
  void parse() {
    while (!input_.empty()) {
      Error e;
      const size_t used = parser_->put(asio::buffer(input_), e);
      input_.erase(0, used);
      if (e && e != http::error::need_more) return refuse(e);
      if (parser_->is_done()) return parsed();
      if (e || used == 0) break;
    }
    const bool expects = parser_->is_header_done() && !continued_ &&
                         iequals(std::string_view(parser_->get()[http::field::expect]), "100-continue");
    expects ? go_on() : read();
  }

  void read() {
    stream_->read_some(asio::buffer(area_), [self = shared_from_this()](Error e, size_t n) {
      if (e) return self->drop();
      self->input_.append(self->area_.data(), n);
      self->parse();
    });
  }

  /// RFC 9110 section 10.1.1.
  void go_on() {
    continued_ = true;
    output_ = "HTTP/1.1 100 Continue\r\n\r\n";
    stream_->write(asio::buffer(output_),
                   [self = shared_from_this()](Error e, size_t) { e ? self->drop() : self->read(); });
  }

  void parsed() {
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    http_1_0_ = message.version() < 11;
    head_ = message.method() == http::verb::head;
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) request.headers.emplace_back(field.name_string(), field.value());
    request.body = std::move(message.body());
    request.peer = peer_;
    request.secure = secure_;
    state_ = State::handling;
    timer_.expires_after(server_.config.handler_timeout);
    timer_.async_wait([self = shared_from_this()](Error e) {
      if (e || self->state_ != State::handling) return;
      self->server_.late.add();
      self->keep_alive_ = false;  // the late answer must not become the next request's
      self->write(plain(504, "the answer took too long\n"));
    });
    server_.ask(shared_from_this(), request);
  }

  /// The request was not one: say why, and close.
  void refuse(Error e) {
    server_.bad.add();
    keep_alive_ = false;
    state_ = State::handling;
    if (e == http::error::header_limit) return write(plain(431, "header fields too large\n"));
    if (e == http::error::body_limit) return write(plain(413, "body too large\n"));
    write(plain(400, "not an HTTP request\n"));
  }

  void write(HttpResponse from) {
    if (state_ != State::handling) return;  // answered already
    state_ = State::writing;
    drop_after(server_.config.read_timeout);
    const std::string_view reason = http::obsolete_reason(http::int_to_status(from.status));
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
    stream_->write(asio::buffer(output_), [self = shared_from_this()](Error e, size_t) {
      if (e)
        self->drop();
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
    stream_->shut_down([self = shared_from_this()](Error, size_t) {
      Error ignored;
      self->stream_->socket().shutdown(tcp::socket::shutdown_send, ignored);
      self->discard();
    });
  }
  void discard() {
    stream_->socket().async_read_some(asio::buffer(area_), [self = shared_from_this()](Error e, size_t) {
      e ? self->drop() : self->discard();
    });
  }

  HttpServer::Impl& server_;
  const std::unique_ptr<ByteStream> stream_;
  asio::steady_timer timer_;
  const SocketAddress peer_;
  const bool secure_;
  State state_ = State::reading;
  std::array<char, 8192> area_;
  std::string input_, output_;
  std::optional<http::request_parser<http::string_body>> parser_;
  bool keep_alive_ = false, http_1_0_ = false, head_ = false, continued_ = false;
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
  if (open_sessions >= config.connections) return refused.add();
  const SocketAddress peer = remote_address(socket.native_handle());
  if (!peer) return;  // gone already
  if (!sources.enter(peer.ip)) return refused_source.add();
  if (!listener.tls) {
    std::make_shared<Session>(*this, std::make_unique<PlainStream>(std::move(socket)), peer, false)->start();
    return;
  }
  const SslContext context = listener.tls->current();
  SSL_CTX_up_ref(context.get());
  asio::ssl::context ssl(context.get());  // owns that reference; the stream takes one of its own
  std::make_shared<Session>(*this, std::make_unique<TlsStream>(std::move(socket), ssl), peer, true)->start();
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
    ticket->use(plain(500, "internal error\n"));
  }
}

void HttpServer::Impl::answered(uint64_t request, HttpResponse response) {
  const auto node = waiting.extract(request);
  if (node.empty()) return;
  if (const auto session = node.mapped().lock()) session->answer(std::move(response));
}

void HttpServer::Impl::stop() {
  {
    const std::lock_guard lock(gate->mutex);
    gate->server = nullptr;
  }
  io.stop();
  if (thread.joinable()) thread.join();
}

HttpServer::HttpServer(HttpConfig config, Handler handler)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(handler))) {}

HttpServer::~HttpServer() { stop(); }

Status<std::string> HttpServer::start() {
  for (const auto& l : impl_->config.listeners)
    if (auto done = impl_->open(l); !done.ok()) return done;
  for (auto& l : impl_->listeners) impl_->accept(l);
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
