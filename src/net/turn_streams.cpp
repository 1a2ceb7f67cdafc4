#include "net/turn_streams.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "net/tls.h"
#include "net/turn_frame.h"

namespace tandem::net {
namespace {

constexpr size_t read_octets = 64 << 10;
constexpr size_t longest_message = 65535 + 24;
constexpr int accepts_per_look = 64;
constexpr int reads_per_look = 4;
constexpr Duration scan = seconds(1);
constexpr Duration throttle = milliseconds(10);
constexpr uint16_t connection_bind_request = 0x000b;
constexpr size_t least_budget = 1024;  // less is not worth reading

uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }

void small_and_prompt(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

void TurnStreams::SslFree::operator()(ssl_st* ssl) const { SSL_free(ssl); }

TurnStreams::TurnStreams(const TurnNetConfig& config, int epoll_fd, SourceCounts& sources, TurnSink& sink,
                         CounterSet& c)
    : config_(config),
      epoll_(epoll_fd),
      sources_(sources),
      sink_(sink),
      area_(new uint8_t[longest_message + read_octets]),
      spare_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      accepted_(
          c.counter("net_turn_connections_total", "TURN connections over TCP and TLS", "from=\"client\"")),
      connected_(
          c.counter("net_turn_connections_total", "TURN connections over TCP and TLS", "from=\"peer\"")),
      open_gauge_(c.gauge("net_turn_connections_open", "TURN connections of clients and peers")),
      refused_full_(c.counter("net_turn_refused_total", "TURN connections refused", "reason=\"full\"")),
      refused_source_(c.counter("net_turn_refused_total", "TURN connections refused", "reason=\"source\"")),
      errors_(c.counter("net_turn_accept_errors_total", "TURN connections the system did not give")),
      framing_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"framing\"")),
      handshakes_failed_(
          c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"handshake\"")),
      by_peer_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"other_side\"")),
      slow_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"slow\"")),
      idle_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"idle\"")),
      dropped_(c.counter("net_turn_dropped_total", "TURN packets not relayed", "reason=\"slow_reader\"")),
      piped_octets_(c.counter("net_turn_piped_octets_total", "Octets through TCP relays")) {}

TurnStreams::~TurnStreams() = default;

// ---- the table -------------------------------------------------------------------------------------------

TurnStreams::Stream* TurnStreams::at(uint32_t slot, uint32_t generation) {
  Stream* s = slot < streams_.size() ? streams_[slot].get() : nullptr;
  return s && s->generation == generation ? s : nullptr;
}
TurnStreams::Stream* TurnStreams::of(port::RelayConnection connection) {
  const uint32_t slot = (connection & 0xF'FFFF) - 1;
  Stream* s = slot < streams_.size() ? streams_[slot].get() : nullptr;
  return s && s->peer && name(*s) == connection ? s : nullptr;
}
TurnStreams::Stream* TurnStreams::of(const port::RelayClient& client) {
  Stream* s = at(client.slot, client.generation);
  return s && !s->peer ? s : nullptr;
}

TurnStreams::Stream* TurnStreams::add(Fd fd) {
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(streams_.size());
    streams_.emplace_back();
    generations_.push_back(0);
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  uint32_t& generation = generations_[slot];
  generation = (generation + 1) & 0x0FFF'FFFF;
  if (generation == 0) generation = 1;
  streams_[slot] = std::make_unique<Stream>();
  Stream& s = *streams_[slot];
  s.slot = slot;
  s.generation = generation;
  s.fd = std::move(fd);
  s.begun = s.last_used = now();
  open_gauge_.set(++open_);
  if (next_scan_.is_never()) next_scan_ = now() + scan;
  epoll_event event{.events = 0, .data = {.u64 = turn_tag(TurnTag::stream, generation, slot)}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, s.fd.get(), &event);
  return &s;
}

void TurnStreams::watch(Stream& s) {
  uint32_t wanted = 0;
  if (s.state == State::connecting || s.queued() > 0) wanted |= EPOLLOUT;
  if (s.state == State::handshake)
    wanted |= EPOLLIN | (SSL_want_write(s.ssl.get()) ? uint32_t{EPOLLOUT} : 0U);
  if ((s.state == State::open && !s.peer) || (s.state == State::piped && s.reading)) wanted |= EPOLLIN;
  if (s.closing) wanted &= ~uint32_t{EPOLLIN};
  if (wanted == s.watched) return;
  s.watched = wanted;
  epoll_event event{.events = wanted, .data = {.u64 = turn_tag(TurnTag::stream, s.generation, s.slot)}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, s.fd.get(), &event);
}

void TurnStreams::end(Stream& s, Counter* why, bool tell) {
  if (why) why->add();
  if (!s.peer) sources_.leave(s.client.remote.ip);
  if (tell) {
    port::RelayEvent e;
    e.kind = !s.peer                        ? port::RelayEvent::Kind::client_closed
             : s.state == State::connecting ? port::RelayEvent::Kind::connect_failed
                                            : port::RelayEvent::Kind::closed;
    e.client = s.client;
    e.connection = name(s);
    events_.push_back(e);
  }
  free_.push_back(s.slot);
  open_gauge_.set(--open_);
  streams_[s.slot].reset();
}

/// What the other side still has to be given it is given, then it ends, too.
void TurnStreams::end_pipe(Stream& s, Counter* why) {
  Stream* other = s.state == State::piped ? at(s.partner, s.partner_generation) : nullptr;
  end(s, why);
  if (!other) return;
  if (other->queued() == 0) return end(*other, nullptr);
  other->closing = true;
  watch(*other);
}

void TurnStreams::tell() {
  while (!events_.empty()) {
    std::vector<port::RelayEvent> events;
    events.swap(events_);
    for (const port::RelayEvent& e : events) sink_.relay_event(e);
  }
}

// ---- beginnings ------------------------------------------------------------------------------------------

void TurnStreams::add_listener(uint16_t index, Fd fd, port::RelayTransport transport, const TlsContext* tls) {
  epoll_event event{
      .events = EPOLLIN,
      .data = {.u64 = turn_tag(TurnTag::acceptor, 0, static_cast<uint32_t>(listeners_.size()))}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event);
  listeners_.push_back({index, std::move(fd), transport, tls});
}

void TurnStreams::stop_listening() {
  for (Listener& l : listeners_) l.fd.reset();
}

void TurnStreams::accept_clients(uint32_t slot) {
  Listener& l = listeners_[slot];
  for (int i = 0; i < accepts_per_look; ++i) {
    RawAddress from;
    Fd fd(accept4(l.fd.get(), from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
      // Left on epoll it would wake us for ever: looked at again at the next scan.
      errors_.add();
      l.paused = true;
      epoll_ctl(epoll_, EPOLL_CTL_DEL, l.fd.get(), nullptr);
      if (next_scan_.is_never()) next_scan_ = now() + scan;
      return;
    }
    const SocketAddress remote = from_sockaddr(from.get());
    if (open_ >= config_.connections) {
      refused_full_.add();
      continue;
    }
    if (!sources_.enter(remote.ip)) {
      refused_source_.add();
      continue;
    }
    small_and_prompt(fd.get());
    Stream& s = *add(std::move(fd));
    s.client = {l.transport, l.index, s.slot, s.generation, remote};
    accepted_.add();
    if (l.tls) {
      const SslContext context = l.tls->current();
      s.ssl.reset(context ? SSL_new(context.get()) : nullptr);
      if (!s.ssl || SSL_set_fd(s.ssl.get(), s.fd.get()) != 1) {
        end(s, &handshakes_failed_, false);
        continue;
      }
      SSL_set_accept_state(s.ssl.get());
      s.state = State::handshake;
    }
    watch(s);
  }
}

void TurnStreams::accept_peers(int listener, port::RelayPortId port) {
  for (int i = 0; i < accepts_per_look; ++i) {
    RawAddress from;
    Fd fd(accept4(listener, from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd && (errno == EMFILE || errno == ENFILE)) {
      // Left in the queue it would wake us for ever: taken with the descriptor kept for it, and ended.
      errors_.add();
      spare_.reset();
      fd = Fd(accept4(listener, from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
      const bool taken = static_cast<bool>(fd);
      fd.reset();
      spare_ = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (taken) continue;
    }
    if (!fd) break;
    if (open_ >= config_.connections) {
      refused_full_.add();
      continue;
    }
    small_and_prompt(fd.get());
    Stream& s = *add(std::move(fd));
    s.peer = true;
    connected_.add();
    watch(s);
    port::RelayEvent e;
    e.kind = port::RelayEvent::Kind::accepted;
    e.port = port;
    e.connection = name(s);
    e.peer = from_sockaddr(from.get());
    events_.push_back(e);
  }
  tell();
}

port::RelayConnection TurnStreams::connect(const SocketAddress& local, const SocketAddress& peer) {
  if (open_ >= config_.connections) {
    refused_full_.add();
    return 0;
  }
  Fd fd(socket(family_of(peer.ip), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) {
    errors_.add();
    return 0;
  }
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  small_and_prompt(fd.get());
  const RawAddress from = to_raw(local), to = to_raw(peer);
  if (bind(fd.get(), from.get(), from.length) != 0) return 0;
  if (::connect(fd.get(), to.get(), to.length) != 0 && errno != EINPROGRESS) return 0;
  Stream& s = *add(std::move(fd));
  s.peer = true;
  s.state = State::connecting;
  watch(s);
  return name(s);
}

bool TurnStreams::finish_connect(Stream& s) {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(s.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return end(s, nullptr), false;
  s.state = State::open;
  connected_.add();
  watch(s);
  port::RelayEvent e;
  e.kind = port::RelayEvent::Kind::connected;
  e.connection = name(s);
  events_.push_back(e);
  return true;
}

bool TurnStreams::handshake(Stream& s) {
  ERR_clear_error();
  const int done = SSL_do_handshake(s.ssl.get());
  if (done == 1) {
    s.state = State::open;
    watch(s);
    return true;
  }
  const int error = SSL_get_error(s.ssl.get(), done);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
    return end(s, &handshakes_failed_), false;
  watch(s);
  return true;
}

void TurnStreams::keep(const port::RelayClient& client) {
  if (Stream* s = of(client)) s->kept = true;
}

void TurnStreams::let_go(const port::RelayClient& client) {
  if (Stream* s = of(client)) s->kept = false, s->begun = now();
}

void TurnStreams::splice(port::RelayConnection peer, const port::RelayClient& client,
                         const std::shared_ptr<port::PipeMeter>& meter) {
  Stream* p = of(peer);
  Stream* c = of(client);
  if (!p || !c || p->state != State::open || c->state != State::open) {
    if (p) end(*p, nullptr);
    return;
  }
  for (auto [s, other] : {std::pair{p, c}, {c, p}}) {
    s->state = State::piped;
    s->partner = other->slot;
    s->partner_generation = other->generation;
    s->meter = meter;
    watch(*s);
  }
}

void TurnStreams::close(port::RelayConnection peer) {
  Stream* s = of(peer);
  if (!s) return;
  Stream* other = s->state == State::piped ? at(s->partner, s->partner_generation) : nullptr;
  end(*s, nullptr, false);
  if (other) end(*other, nullptr);
}

void TurnStreams::close(const port::RelayClient& client) {
  Stream* s = of(client);
  if (!s) return;
  if (s->queued() == 0) return end(*s, nullptr);
  s->closing = true;
  watch(*s);
}

// ---- octets ----------------------------------------------------------------------------------------------

TurnStreams::Io TurnStreams::read_some(Stream& s, uint8_t* into, size_t& n) {
  if (s.ssl) {
    ERR_clear_error();
    const int got = SSL_read(s.ssl.get(), into, static_cast<int>(n));
    if (got > 0) return n = static_cast<size_t>(got), Io::done;
    const int error = SSL_get_error(s.ssl.get(), got);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::again : Io::failed;
  }
  const ssize_t got = recv(s.fd.get(), into, n, 0);
  if (got > 0) return n = static_cast<size_t>(got), Io::done;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? Io::again : Io::failed;
}

TurnStreams::Io TurnStreams::write_some(Stream& s, size_t& n) {
  const uint8_t* from = s.out.data() + s.out_head;
  const size_t size = s.queued();
  if (s.ssl) {
    ERR_clear_error();
    const int put = SSL_write(s.ssl.get(), from, static_cast<int>(size));
    if (put > 0) return n = static_cast<size_t>(put), Io::done;
    const int error = SSL_get_error(s.ssl.get(), put);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Io::again : Io::failed;
  }
  const ssize_t put = ::send(s.fd.get(), from, size, MSG_NOSIGNAL);
  if (put > 0) return n = static_cast<size_t>(put), Io::done;
  return put < 0 && (errno == EAGAIN || errno == EINTR) ? Io::again : Io::failed;
}

bool TurnStreams::write(Stream& s) {
  while (s.queued() > 0) {
    size_t n = 0;
    const Io io = write_some(s, n);
    if (io == Io::failed) return end_pipe(s, &by_peer_), false;
    if (io == Io::again) break;
    s.out_head += n;
    s.last_used = now();
    s.write_since = s.last_used;
  }
  if (s.queued() == 0) {
    s.out.clear();
    s.out_head = 0;
    s.write_since = Instant::never();
    if (s.closing) return end(s, nullptr), false;
  } else if (s.out_head > s.out.size() / 2) {
    s.out.erase(s.out.begin(), s.out.begin() + static_cast<std::ptrdiff_t>(s.out_head));
    s.out_head = 0;
  }
  watch(s);
  if (s.state == State::piped && s.queued() < config_.splice_high_water / 2)
    if (Stream* other = at(s.partner, s.partner_generation); other && !other->reading) {
      other->reading = true;
      // TLS may have read ahead of what epoll can tell of.
      unread_.emplace_back(other->slot, other->generation);
      watch(*other);
    }
  return true;
}

void TurnStreams::enqueue(Stream& s, Bytes bytes) {
  if (s.queued() == 0) s.write_since = now();
  s.out.insert(s.out.end(), bytes.begin(), bytes.end());
  if (s.dirty) return;
  s.dirty = true;
  dirty_.emplace_back(s.slot, s.generation);
}

void TurnStreams::send(const port::RelayClient& client, Bytes bytes) {
  Stream* s = of(client);
  // A pipe is sent to once: the answer to the ConnectionBind that made it, before anything of the peer's.
  if (!s || s->closing || (s->state != State::open && s->state != State::piped)) return;
  // Late media is worth nothing: it is dropped, as a full socket would.
  if (s->queued() + bytes.size() > config_.write_queue_bytes) return dropped_.add();
  enqueue(*s, bytes);
}

void TurnStreams::flush() {
  for (size_t i = 0; i < dirty_.size(); ++i)
    if (Stream* s = at(dirty_[i].first, dirty_[i].second)) {
      s->dirty = false;
      write(*s);
    }
  dirty_.clear();
}

// ---- reading ---------------------------------------------------------------------------------------------

void TurnStreams::ready(uint32_t slot, uint32_t generation, uint32_t events) {
  Stream* s = at(slot, generation);
  if (!s) return;
  bool alive = true;
  if (s->state == State::connecting) {
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) finish_connect(*s);
    return tell();
  }
  if (s->state == State::handshake) alive = handshake(*s);
  if (alive && s->queued() > 0 && (events & EPOLLOUT)) alive = write(*s);
  if (alive && s->peer && s->state == State::open && (events & (EPOLLERR | EPOLLHUP))) {
    end(*s, &by_peer_);
    alive = false;
  }
  if (alive && (s = at(slot, generation)) && (events & (EPOLLIN | EPOLLERR | EPOLLHUP))) {
    // Reset while it waits for the other side: it would be told again and again.
    if (s->state == State::piped && !s->reading && (events & (EPOLLERR | EPOLLHUP)))
      end_pipe(*s, &by_peer_);
    else if (s->state == State::piped)
      pump(*s);
    else if (s->state == State::open && !s->peer)
      read_messages(*s);
  }
  flush();
  tell();
}

bool TurnStreams::read_messages(Stream& stream) {
  const uint32_t slot = stream.slot, generation = stream.generation;
  for (int i = 0; i < reads_per_look; ++i) {
    Stream* s = at(slot, generation);
    if (!s || s->closing) return s != nullptr;
    if (s->state == State::piped) return pump(*s);
    const size_t before = s->in.size();
    std::copy(s->in.begin(), s->in.end(), area_.get());
    size_t n = read_octets;
    const Io io = read_some(*s, area_.get() + before, n);
    if (io == Io::failed) return end(*s, &by_peer_), false;
    if (io == Io::again) return true;
    s->in.clear();
    s->last_used = now();
    if (!cut(slot, generation, before + n)) return false;
    s = at(slot, generation);
    if (!s) return false;
    // A plain socket is level-triggered; TLS may hold a record that epoll knows nothing of.
    if (!s->ssl && n < read_octets) return true;
  }
  unread_.emplace_back(slot, generation);
  return true;
}

/// Messages in area_ go to the worker in one batch; after a ConnectionBind that made a pipe what follows is
/// the peer's.
bool TurnStreams::cut(uint32_t slot, uint32_t generation, size_t filled) {
  size_t head = 0;
  messages_.clear();
  const auto hand_over = [&] {
    if (messages_.empty()) return;
    std::vector<port::RelayPacket> batch;
    batch.swap(messages_);
    sink_.relay_packets(batch);
    batch.clear();
    messages_.swap(batch);
  };
  for (;;) {
    Stream* s = at(slot, generation);
    if (!s) return false;
    const Bytes rest(area_.get() + head, filled - head);
    if (s->state == State::piped) {
      if (Stream* other = at(s->partner, s->partner_generation); other && !rest.empty())
        enqueue(*other, rest);
      return true;
    }
    const auto length = turn_frame_length(rest);
    if (!length) {
      hand_over();
      if ((s = at(slot, generation))) end(*s, &framing_);
      return false;
    }
    if (*length == 0 || *length > rest.size()) {
      hand_over();
      if (!(s = at(slot, generation))) return false;
      s->in.assign(rest.begin(), rest.end());
      if (rest.empty())
        s->partial_since = Instant::never();
      else if (head > 0 || s->partial_since.is_never())
        s->partial_since = now();
      return true;
    }
    port::RelayPacket& p = messages_.emplace_back();
    p.client = s->client;
    p.bytes = MutableBytes(area_.get() + head, *length);
    head += *length;
    if (load16(p.bytes.data()) == connection_bind_request) hand_over();
  }
}

bool TurnStreams::pump(Stream& s) {
  for (int i = 0; i < reads_per_look; ++i) {
    Stream* other = at(s.partner, s.partner_generation);
    if (!other) return end(s, nullptr), false;
    const size_t room = std::min(s.meter->budget(now(), !s.peer), read_octets);
    const bool full = other->queued() >= config_.splice_high_water;
    if (full || room < least_budget) {
      s.reading = false;
      watch(s);
      if (!full) {
        throttled_.emplace_back(s.slot, s.generation);
        if (resume_at_.is_never()) resume_at_ = now() + throttle;
      }
      return true;
    }
    size_t n = room;
    const Io io = read_some(s, area_.get(), n);
    if (io == Io::failed) return end_pipe(s, &by_peer_), false;
    if (io == Io::again) return true;
    s.last_used = now();
    s.meter->passed(now(), !s.peer, n);
    piped_octets_.add(n);
    enqueue(*other, Bytes(area_.get(), n));
    const uint32_t slot = s.slot, generation = s.generation;
    flush();
    if (!at(slot, generation)) return false;
  }
  unread_.emplace_back(s.slot, s.generation);
  return true;
}

// ---- time ------------------------------------------------------------------------------------------------

Instant TurnStreams::next_deadline() const {
  if (!events_.empty() || !unread_.empty()) return Instant{};
  return std::min(next_scan_, resume_at_);
}

void TurnStreams::on_deadlines() {
  std::vector<std::pair<uint32_t, uint32_t>> again;
  again.swap(unread_);
  const Instant t = now();
  if (resume_at_ <= t) {
    resume_at_ = Instant::never();
    for (const auto& name : std::exchange(throttled_, {}))
      if (Stream* s = at(name.first, name.second)) {
        s->reading = true;
        watch(*s);
        again.push_back(name);
      }
  }
  for (const auto& [slot, generation] : again) ready(slot, generation, EPOLLIN);
  if (next_scan_ > t) return tell();
  for (size_t i = 0; i < streams_.size(); ++i) {
    Stream* s = streams_[i].get();
    if (!s) continue;
    if (s->state == State::connecting ? t - s->begun > config_.connect
        : s->state == State::handshake
            ? t - s->begun > config_.handshake
            : s->state == State::open && !s->peer && !s->kept && t - s->begun > config_.without_allocation)
      end(*s, s->state == State::handshake ? &handshakes_failed_ : &slow_);
    else if ((!s->partial_since.is_never() && t - s->partial_since > config_.partial_message) ||
             (!s->write_since.is_never() && t - s->write_since > config_.write_stall))
      end_pipe(*s, &slow_);
    else if (!s->kept && t - s->last_used > config_.idle)
      end_pipe(*s, &idle_);
  }
  for (size_t i = 0; i < listeners_.size(); ++i) {
    Listener& l = listeners_[i];
    if (!l.paused || !l.fd) continue;
    l.paused = false;
    epoll_event event{.events = EPOLLIN,
                      .data = {.u64 = turn_tag(TurnTag::acceptor, 0, static_cast<uint32_t>(i))}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, l.fd.get(), &event);
  }
  next_scan_ = open_ > 0 ? t + scan : Instant::never();
  tell();
}

}  // namespace tandem::net
