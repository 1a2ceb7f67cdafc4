// The one translation unit with Beast in it. A WebSocket upgrade belongs in Session::on_header: the parsed
// request and the stream are at hand there, and the stream can be moved into a websocket::stream<Stream>.
#include "net/http_server.h"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <csignal>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "base/text.h"
#include "net/sockets.h"
#include "net/tls.h"

namespace tandem::net {

namespace asio = boost::asio;
namespace beast = boost::beast;
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
  void ask(const std::shared_ptr<SessionBase>& session, HttpRequest request);
  void answered(uint64_t request, HttpResponse response);
  void stop();

  const HttpConfig config;
  const Handler handler;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  asio::io_context io{1};
  std::deque<Listener> listeners;
  std::vector<SocketAddress> bound;
  std::unordered_map<uint64_t, std::weak_ptr<SessionBase>> waiting;  // by request
  uint64_t next_request = 1;
  size_t open_sessions = 0;
  std::thread thread;

  CounterSet counters;
  Counter& requests = counters.counter("http_requests_total", "HTTP requests handled");
  Counter& open_gauge = counters.gauge("http_connections_open", "HTTP connections");
  Counter& refused = counters.counter("http_connections_refused_total", "HTTP connections over the limit");
  Counter& bad =
      counters.counter("http_bad_requests_total", "HTTP requests refused before a handler saw them");
  Counter& late = counters.counter("http_handler_timeouts_total", "HTTP requests whose handler was too slow");
  Counter& thrown = counters.counter("http_handler_exceptions_total", "HTTP handlers that threw");
};

namespace {

template <class Stream>
constexpr bool is_tls = !std::is_same_v<Stream, beast::tcp_stream>;

/// One connection: read a request, have it answered, write, again.
template <class Stream>
class Session final : public SessionBase, public std::enable_shared_from_this<Session<Stream>> {
 public:
  Session(HttpServer::Impl& server, Stream stream, SocketAddress peer)
      : server_(server), stream_(std::move(stream)), handler_timer_(server.io), peer_(peer) {
    server_.open_gauge.set(++server_.open_sessions);
  }
  ~Session() override { server_.open_gauge.set(--server_.open_sessions); }

  void start() {
    if constexpr (is_tls<Stream>) {
      deadline();
      stream_.async_handshake(asio::ssl::stream_base::server, [self = this->shared_from_this()](Error e) {
        if (!e) self->read();
      });
    } else {
      read();
    }
  }

  void answer(HttpResponse response) override {
    handler_timer_.cancel();
    write(std::move(response));
  }

 private:
  void deadline() { beast::get_lowest_layer(stream_).expires_after(server_.config.read_timeout); }

  void read() {
    parser_.emplace();
    parser_->header_limit(server_.config.header_bytes);
    parser_->body_limit(server_.config.body_bytes);
    deadline();
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = this->shared_from_this()](Error e, size_t) { self->on_header(e); });
  }

  void on_header(Error e) {
    if (e) return refuse(e);
    if (iequals(std::string_view(parser_->get()[http::field::expect]), "100-continue")) return go_on();
    read_body();
  }

  /// RFC 9110 section 10.1.1.
  void go_on() {
    auto interim = std::make_shared<http::response<http::empty_body>>(http::status::continue_, 11);
    http::async_write(stream_, *interim, [self = this->shared_from_this(), interim](Error e, size_t) {
      if (!e) self->read_body();
    });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_, [self = this->shared_from_this()](Error e, size_t) {
      if (e) return self->refuse(e);
      self->hand_over();
    });
  }

  void hand_over() {
    auto message = parser_->release();
    keep_alive_ = message.keep_alive();
    head_ = message.method() == http::verb::head;
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) request.headers.emplace_back(field.name_string(), field.value());
    request.body = std::move(message.body());
    request.peer = peer_;
    request.secure = is_tls<Stream>;
    beast::get_lowest_layer(stream_).expires_never();
    handler_timer_.expires_after(server_.config.handler_timeout);
    handler_timer_.async_wait([self = this->shared_from_this(), &server = server_](Error e) {
      if (e || self->writing_) return;
      server.late.add();
      self->keep_alive_ = false;  // the late answer must not become the next request's
      self->write(plain(504, "the answer took too long\n"));
    });
    writing_ = false;
    server_.ask(this->shared_from_this(), std::move(request));
  }

  /// The request was not one: say why if the other side still listens, and close.
  void refuse(Error e) {
    keep_alive_ = false;
    writing_ = false;
    unread_ = true;
    if (e == http::error::header_limit) return bad_request(431, "header fields too large\n");
    if (e == http::error::body_limit) return bad_request(413, "body too large\n");
    if (e == http::error::end_of_stream || e == beast::error::timeout) return close();
    if (e.category() == http::make_error_code(http::error::bad_method).category() &&
        e != http::error::partial_message)
      return bad_request(400, "not an HTTP request\n");
    close();
  }
  void bad_request(unsigned status, const char* text) {
    server_.bad.add();
    write(plain(status, text));
  }

  void write(HttpResponse from) {
    if (writing_) return;  // timed out already
    writing_ = true;
    response_ = {};
    response_.result(from.status);
    response_.version(11);
    response_.set(http::field::content_type, from.content_type);
    for (const auto& [name, value] : from.headers) response_.insert(name, value);
    response_.keep_alive(keep_alive_);
    const size_t length = from.body.size();
    if (!head_) response_.body() = std::move(from.body);
    response_.content_length(length);
    head_ = false;
    deadline();
    http::async_write(stream_, response_, [self = this->shared_from_this()](Error e, size_t) {
      if (e) return;
      if (self->keep_alive_)
        self->read();
      else
        self->close();
    });
  }

  void close() {
    beast::get_lowest_layer(stream_).expires_after(close_linger);
    if (unread_) return discard();
    if constexpr (is_tls<Stream>) {
      stream_.async_shutdown([self = this->shared_from_this()](Error) {});
    } else {
      Error ignored;
      stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
      discard();
    }
  }
  /// Closing with unread bytes would reset the connection and take the answer with it: read until the other
  /// side has closed or the linger time is over.
  void discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(64 << 10), [self = this->shared_from_this()](Error e, size_t) {
      if (!e) self->discard();
    });
  }

  HttpServer::Impl& server_;
  Stream stream_;
  asio::steady_timer handler_timer_;
  const SocketAddress peer_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  http::response<http::string_body> response_;
  bool keep_alive_ = false, head_ = false, writing_ = false, unread_ = false;
};

}  // namespace

// ---- the server
// --------------------------------------------------------------------------------------------------

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
  beast::tcp_stream stream(std::move(socket));
  if (!listener.tls) {
    std::make_shared<Session<beast::tcp_stream>>(*this, std::move(stream), peer)->start();
    return;
  }
  const SslContext context = listener.tls->current();
  SSL_CTX_up_ref(context.get());
  asio::ssl::context ssl(context.get());  // owns that reference; the stream takes one of its own
  using Tls = beast::ssl_stream<beast::tcp_stream>;
  std::make_shared<Session<Tls>>(*this, Tls(std::move(stream), ssl), peer)->start();
}

void HttpServer::Impl::ask(const std::shared_ptr<SessionBase>& session, HttpRequest request) {
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
