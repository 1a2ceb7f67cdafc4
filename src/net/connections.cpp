#include "net/connections.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "net/certified_names.h"

namespace tandem::net {
namespace {

constexpr size_t area_bytes = 65536;
// Accepts per wake: a storm of new connections shares the loop with calls.
constexpr int accepts_per_wake = 64;
constexpr Duration accept_pause = milliseconds(100);
constexpr Duration close_linger = seconds(2);

void tune(int fd, const IpAddress& ip) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  set_dscp(fd, ip, Dscp::signalling);
}

boost::asio::ip::tcp protocol_of(const IpAddress& ip) {
  return ip.is_v6() ? boost::asio::ip::tcp::v6() : boost::asio::ip::tcp::v4();
}

/// At the leaf of a trusted chain: is it whom we meant (RFC 5922 section 7.3)? Here and not after the
/// handshake, so that an impostor learns of it by an alert and sees no byte of ours.
int verify_peer(int trusted, X509_STORE_CTX* store) {
  if (trusted == 0 || X509_STORE_CTX_get_error_depth(store) != 0) return trusted;
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* wanted = static_cast<const std::string*>(SSL_get_app_data(ssl));
  if (is_certified(certified_names(X509_STORE_CTX_get_current_cert(store)), *wanted)) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

Counter& closed(CounterSet& set, std::string_view why) {
  return set.counter("net_connections_closed_total", "Connections ended",
                     "reason=\"" + std::string(why) + "\"");
}
Counter& refused(CounterSet& set, std::string_view why) {
  return set.counter("net_connections_refused_total", "Connections refused",
                     "reason=\"" + std::string(why) + "\"");
}

}  // namespace

Connections::Counts::Counts(CounterSet& set)
    : accepted(set.counter("net_connections_total", "Connections begun", "side=\"accepted\"")),
      connected(set.counter("net_connections_total", "Connections begun", "side=\"connected\"")),
      upgraded(set.counter("net_connections_total", "Connections begun", "side=\"upgraded\"")),
      open(set.gauge("net_connections_open", "Connections of this worker, handshakes included")),
      keepalives(set.counter("net_keepalives_total", "Keep-alives answered or seen", "transport=\"stream\"")),
      received{},
      sent{},
      refused_full(refused(set, "table_full")),
      refused_source(refused(set, "per_source")),
      accept_errors(set.counter("net_accept_errors_total", "accept() failed, as when out of descriptors")),
      connect_failed(closed(set, "connect_failed")),
      handshake_failed(closed(set, "handshake_failed")),
      untrusted(closed(set, "untrusted")),
      by_peer(closed(set, "peer")),
      framing(closed(set, "framing")),
      slow_reader(closed(set, "slow_reader")),
      slow_sender(closed(set, "slow_sender")),
      slow_handshake(closed(set, "slow_handshake")),
      slow_connect(closed(set, "connect_timeout")),
      idle(closed(set, "idle")),
      by_us(closed(set, "local")),
      dead_peer(closed(set, "dead_peer")),
      web_protocol(closed(set, "websocket_protocol")),
      web_too_big(closed(set, "websocket_too_big")),
      web_not_utf8(closed(set, "websocket_not_utf8")),
      web_fragments(closed(set, "websocket_fragments")),
      web_message_rate(closed(set, "websocket_message_rate")),
      web_control_rate(closed(set, "websocket_control_rate")) {
  for (const auto t :
       {port::Transport::tcp, port::Transport::tls, port::Transport::ws, port::Transport::wss}) {
    const std::string label = "transport=\"" + lower(port::to_string(t)) + "\"";
    const auto i = static_cast<size_t>(t);
    received[i] = &set.counter("net_messages_received_total", "SIP messages received", label);
    sent[i] = &set.counter("net_messages_sent_total", "SIP messages sent", label);
  }
}

Connections::Connections(boost::asio::io_context& io, uint16_t node, uint16_t worker, FlowSink& sink,
                         const Limits& limits, SourceCounts& sources, CounterSet& counters)
    : io_(io),
      node_(node),
      worker_(worker),
      sink_(sink),
      limits_(limits),
      sources_(sources),
      table_(limits.connections),
      area_(new uint8_t[area_bytes]),
      counts_(counters) {}

Connections::~Connections() = default;

// ---- accepting ----

void Connections::add_listener(Fd fd, port::Transport transport, port::RealmId realm, const TlsContext* tls) {
  const SocketAddress bound = local_address(fd.get());
  boost::asio::ip::tcp::acceptor acceptor(io_, protocol_of(bound.ip), fd.release());
  listeners_.push_back({std::move(acceptor), transport, realm, tls, bound});
  arm_accept(listeners_.back());
}

void Connections::arm_accept(Listener& listener) {
  listener.acceptor.async_wait(boost::asio::ip::tcp::acceptor::wait_read, [this, &listener](auto error) {
    if (!error) accept_some(listener);
  });
}

void Connections::accept_some(Listener& listener) {
  for (int i = 0; i < accepts_per_wake; ++i) {
    Fd fd(accept4(listener.acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      accepted(listener, std::move(fd));
      continue;
    }
    if (errno == ECONNABORTED || errno == EINTR) continue;
    if (errno != EAGAIN) {  // out of descriptors or memory: waiting at once would spin
      counts_.accept_errors.add();
      listener.paused_until = now() + accept_pause;
      return;
    }
    break;
  }
  arm_accept(listener);
}

void Connections::accepted(Listener& listener, Fd fd) {
  const SocketAddress remote = remote_address(fd.get());
  if (!remote) return;  // gone already
  if (table_.full()) return counts_.refused_full.add();
  if (!sources_.enter(remote.ip)) return counts_.refused_source.add();
  const port::Path path{listener.transport, listener.realm, {}, local_address(fd.get()), remote};
  Connection& c = *add(std::move(fd), path, true);
  counts_.accepted.add();
  if (listener.tls) {
    if (begin_tls(c, listener.tls)) handshake(c);
  } else {
    opened(c);
  }
}

Connections::Connection* Connections::add(Fd fd, const port::Path& path, bool accepted) {
  const SlotId id = table_.emplace(io_);
  Connection& c = *table_.find(id);
  tune(fd.get(), path.remote.ip);
  c.id = id;
  c.socket.assign(protocol_of(path.remote.ip), fd.release());
  c.socket.native_non_blocking(true);
  c.path = path;
  c.path.flow = {node_, worker_, id.slot, id.generation};
  c.accepted = accepted;
  c.begun = c.last_used = c.last_read = now();
  counts_.open.set(table_.size());
  return &c;
}

void Connections::stop_listening() { listeners_.clear(); }

// ---- connecting and sending ----

void Connections::set_outgoing(const RealmOutgoing& realm, const TlsContext* tls, const IpAddress& from) {
  Outgoing& o = outgoing_[realm.realm];
  if (tls) o.tls = tls;
  o.verify = realm.verify;
  o.websocket_path = realm.websocket_path;
  (from.is_v6() ? o.from_v6 : o.from_v4) = from;
}

Connections::Identity Connections::identity(const Connection& c) const {
  return {c.path.transport, c.path.realm, c.path.remote, c.peer_name, c.lane};
}

/// Whom a TLS connection is meant for: the domain asked for, or else the address itself.
std::string Connections::peer_name(const port::Send& send) {
  if (!port::is_secure(send.path.transport)) return {};
  if (send.server_name.empty()) return send.path.remote.ip.to_string();
  std::string name = lower(send.server_name);
  if (name.size() > 1 && name.back() == '.') name.pop_back();  // RFC 6066 section 3: sent without
  return name;
}

Connections::Connection* Connections::reusable(const port::Send& send) {
  const auto it =
      by_identity_.find({send.path.transport, send.path.realm, send.path.remote, peer_name(send), send.lane});
  Connection* c = it == by_identity_.end() ? nullptr : table_.find(it->second);
  return c && !c->closing ? c : nullptr;
}

Connections::Connection* Connections::connect(const port::Send& send) {
  if (table_.full()) {
    counts_.refused_full.add();
    return nullptr;
  }
  const Outgoing& from = outgoing_[send.path.realm];
  const SocketAddress& remote = send.path.remote;
  Fd fd(socket(family_of(remote.ip), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return nullptr;
  if (const IpAddress& ip = remote.ip.is_v6() ? from.from_v6 : from.from_v4; ip && !ip.is_unspecified()) {
    const int on = 1;  // the port is chosen by connect(), so the address alone never runs out of ports
    setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    const RawAddress local = to_raw({ip, 0});
    if (bind(fd.get(), local.get(), local.length) != 0) return nullptr;
  }
  const RawAddress to = to_raw(remote);
  if (::connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) {
    counts_.connect_failed.add();
    return nullptr;
  }
  port::Path path = send.path;
  path.local = local_address(fd.get());
  Connection& c = *add(std::move(fd), path, false);
  counts_.connected.add();
  c.state = State::connecting;
  c.peer_name = peer_name(send);
  c.lane = send.lane;
  if (port::is_websocket(path.transport)) {
    expect_websocket();
    c.web = std::make_unique<WebSocketFramer>(limits_.websocket, WebSocketFramer::Side::client);
  }
  by_identity_.insert_or_assign(identity(c), c.id);
  wait_write(c);
  rearm(c);
  return &c;
}

bool Connections::finish_connect(Connection& c) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(c.socket.native_handle(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return end(c, &counts_.connect_failed), false;
  if (!remote_address(c.socket.native_handle())) {  // woken early
    wait_write(c);
    return true;
  }
  c.path.local = local_address(c.socket.native_handle());
  if (!port::is_secure(c.path.transport)) return transported(c);
  c.begun = now();
  return begin_tls(c, outgoing_[c.path.realm].tls) && handshake(c);
}

bool Connections::expect_peer(Connection& c) {
  SSL* ssl = c.ssl.get();
  if (outgoing_[c.path.realm].verify) SSL_set_verify(ssl, SSL_VERIFY_PEER, verify_peer);
  // RFC 6066 section 3: addresses are not sent as server names.
  return IpAddress::parse(c.peer_name) || SSL_set_tlsext_host_name(ssl, c.peer_name.c_str()) == 1;
}

bool Connections::begin_tls(Connection& c, const TlsContext* tls) {
  const SslContext context = tls ? tls->current() : nullptr;
  c.ssl.reset(context ? SSL_new(context.get()) : nullptr);
  if (!c.ssl || SSL_set_fd(c.ssl.get(), c.socket.native_handle()) != 1)
    return end(c, &counts_.handshake_failed), false;
  c.state = State::handshake;
  if (c.accepted) {
    SSL_set_accept_state(c.ssl.get());
  } else {
    SSL_set_connect_state(c.ssl.get());
    if (!expect_peer(c)) return end(c, &counts_.handshake_failed), false;
  }
  rearm(c);
  return true;
}

bool Connections::may_open(const port::Send& send) {
  return send.path.remote &&
         (!port::is_websocket(send.path.transport) || !outgoing_[send.path.realm].websocket_path.empty());
}

void Connections::send(port::Send send, uint16_t from) {
  Connection* c = nullptr;
  if (send.path.flow) {
    c = table_.find({send.path.flow.slot, send.path.flow.generation});
  } else if (may_open(send)) {
    c = reusable(send);
    if (!c) c = connect(send);
  }
  if (!c || c->closing) return sink_.send_failed(send.path, send.notify, from);
  if (c->web) {
    send_frame(*c, std::move(send), from);
    return;
  }
  enqueue(*c, {std::move(send.bytes), 0, send.notify, from});
}

void Connections::flush() {
  dirty_now_.swap(dirty_);
  for (const SlotId id : dirty_now_) {
    Connection* c = table_.find(id);
    if (!c) continue;
    c->dirty = false;
    if (c->state != State::open) continue;
    if (c->write_waiting)
      after_write(*c);  // the queue has grown behind a peer that takes nothing
    else
      write_some(*c);
  }
  dirty_now_.clear();
}

void Connections::close(port::FlowId flow, uint16_t code, std::string_view reason) {
  Connection* c = table_.find({flow.slot, flow.generation});
  if (!c || c->closing) return;
  if (c->web) {
    c->web->close(code, reason);
    if (!write_frames(*c, 0, worker_)) return;
    begin_close(*c);
    if (!c->write_waiting) write_some(*c);  // nobody else writes before the linger time is over
    return;
  }
  if (c->queued == 0) return end(*c, &counts_.by_us);
  c->closing = true;
  c->close_by = now() + close_linger;
  rearm(*c);
}

// ---- deadlines and the end ----

Instant Connections::due(const Connection& c) const {
  if (c.state == State::connecting) return std::min(c.close_by, c.begun + limits_.connect);
  if (c.state == State::handshake || c.state == State::upgrading)
    return std::min(c.close_by, c.begun + limits_.tls_handshake);
  Instant silence = c.last_used + limits_.idle;
  if (c.web)
    silence = c.last_read + limits_.websocket_ping + (c.pinged ? limits_.websocket_pong : Duration(0));
  return std::min(
      {c.close_by, c.partial_since + limits_.partial_message, c.write_since + limits_.write_stall, silence});
}

void Connections::rearm(Connection& c) {
  const Instant d = due(c);
  if (d >= c.armed) return;  // the entry in the queue comes first and looks again
  c.armed = d;
  deadlines_.push(d, c.id);
}

Instant Connections::next_deadline() const {
  Instant next = deadlines_.next();
  for (const Listener& l : listeners_) next = std::min(next, l.paused_until);
  return next;
}

void Connections::on_deadlines() {
  const Instant t = now();
  for (Listener& l : listeners_) {
    if (l.paused_until > t) continue;
    l.paused_until = Instant::never();
    arm_accept(l);
  }
  TimerQueue<SlotId>::Due entry;
  while (deadlines_.pop_due(t, entry)) {
    Connection* c = table_.find(entry.key);
    if (!c || c->armed != entry.deadline) continue;
    c->armed = Instant::never();
    if (due(*c) > t)
      rearm(*c);
    else if (ping_due(*c))
      ping(*c);
    else
      expire(*c);
  }
}

void Connections::expire(Connection& c) {
  const Instant t = now();
  Counter* why = c.web ? &counts_.dead_peer : &counts_.idle;
  if (c.close_by <= t)
    why = &counts_.by_us;
  else if (c.state == State::connecting)
    why = &counts_.slow_connect;
  else if (c.state == State::handshake || c.state == State::upgrading)
    why = &counts_.slow_handshake;
  else if (c.partial_since + limits_.partial_message <= t)
    why = &counts_.slow_sender;
  else if (c.write_since + limits_.write_stall <= t)
    why = &counts_.slow_reader;
  end(c, why);
}

void Connections::end(Connection& c, Counter* why) {
  // What was refused of a WebSocket has been counted when it was; its end is no second event.
  if (!c.web || !count_of(c.web->ended())) why->add();
  if (c.ssl && c.was_opened) {
    SSL_shutdown(c.ssl.get());  // a close_notify if it fits; nobody waits for the answer
    ERR_clear_error();
  }
  if (c.accepted) sources_.leave(c.path.remote.ip);
  if (c.queued > 0) --writing_;
  if (const auto it = by_identity_.find(identity(c)); it != by_identity_.end() && it->second == c.id)
    by_identity_.erase(it);
  if (c.web) forget_websocket();
  const auto gone = std::move(c.request);
  const uint16_t code = c.web ? c.web->close_code() : uint16_t{0};
  const port::Path path = c.path;
  const bool was_opened = c.was_opened;
  const std::deque<Pending> unsent = std::move(c.out);
  table_.erase(c.id);
  counts_.open.set(table_.size());
  for (const Pending& p : unsent) sink_.send_failed(path, p.notify, p.from);
  if (gone)
    sink_.websocket({port::WebSocketEvent::Kind::closed, path, gone, {}, code});
  else if (was_opened)
    sink_.flow_event({port::FlowEvent::Kind::closed, path.flow, path, 0});
}

}  // namespace tandem::net
