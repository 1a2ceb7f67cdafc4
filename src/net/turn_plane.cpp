#include "net/turn_plane.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/turn_dtls.h"
#include "net/turn_streams.h"

namespace tandem::net {
namespace {

constexpr int max_strangers = 64;  // of one open(): a stranger on our range costs system calls
constexpr size_t events_per_look = 256;
constexpr size_t per_relay = 32;  // datagrams of one relay port a time: a flood on one leaves room for others
constexpr int relay_backlog = 16;

}  // namespace

TurnPlane::TurnPlane(const TurnNetConfig& config, TurnPortPool& numbers, SourceCounts& sources,
                     TurnSink& sink, CounterSet& counters)
    : config_(config),
      numbers_(numbers),
      sink_(sink),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      area_(new uint8_t[batch_packets * packet_bytes]),
      received_(counters.counter("net_turn_datagrams_received_total",
                                 "Datagrams taken from TURN listeners and ports")),
      sent_(
          counters.counter("net_turn_datagrams_sent_total", "Datagrams sent from TURN listeners and ports")),
      too_long_(
          counters.counter("net_turn_dropped_total", "TURN packets not relayed", "reason=\"too_long\"")),
      unsent_(
          counters.counter("net_turn_dropped_total", "TURN packets not relayed", "reason=\"send_failed\"")),
      stale_(
          counters.counter("net_turn_dropped_total", "TURN packets not relayed", "reason=\"closed_port\"")),
      strangers_(counters.counter("net_turn_port_strangers_total", "Relay ports held by someone else")),
      exhausted_(counters.counter("net_turn_ports_exhausted_total", "Relay ports refused: all are taken")),
      failed_(
          counters.counter("net_turn_port_errors_total", "Relay ports refused: the system gave no socket")),
      streams_(std::make_unique<TurnStreams>(config, epoll_.get(), sources, sink, counters)),
      dtls_(std::make_unique<TurnDtls>(config, epoll_.get(), sources, sink, counters)) {
  batch_.reserve(batch_packets);
  constexpr size_t room = packet_bytes - port::relay_headroom - port::relay_tailroom;
  for (size_t i = 0; i < batch_packets; ++i) {
    in_parts_[i] = {area_.get() + i * packet_bytes + port::relay_headroom, room};
    in_[i].msg_hdr.msg_iov = &in_parts_[i];
    in_[i].msg_hdr.msg_iovlen = 1;
    in_[i].msg_hdr.msg_name = &in_names_[i];
    in_[i].msg_hdr.msg_namelen = sizeof in_names_[i];
  }
  for (size_t i = 0; i < send_group; ++i) {
    out_[i].msg_hdr.msg_iov = &out_parts_[i];
    out_[i].msg_hdr.msg_iovlen = 1;
    out_[i].msg_hdr.msg_name = &out_names_[i];
  }
}

TurnPlane::~TurnPlane() {
  for (const Socket& s : sockets_)
    if (s.fd >= 0) ::close(s.fd);
}

void TurnPlane::add_udp(uint16_t index, Fd fd) {
  epoll_event event{
      .events = EPOLLIN,
      .data = {.u64 = turn_tag(TurnTag::listener, 0, static_cast<uint32_t>(listeners_.size()))}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event);
  listeners_.push_back({index, std::move(fd)});
}

void TurnPlane::add_stream(uint16_t index, Fd fd, port::RelayTransport transport, const TlsContext* tls) {
  streams_->add_listener(index, std::move(fd), transport, tls);
}

// ---- ports -----------------------------------------------------------------------------------------------

std::optional<port::RelayPort> TurnPlane::bind(SocketAddress local, bool tcp, bool& stranger) {
  SocketOptions options{.receive_buffer = config_.relay_buffer, .send_buffer = config_.relay_buffer};
  // Connections to peers leave from the very port that listens (RFC 6062 section 4.2).
  options.reuse_port = tcp;
  auto bound = tcp ? listen_tcp(local, options, relay_backlog) : bind_udp(local, options);
  if (!bound.ok()) {
    stranger = bound.reason() == EADDRINUSE;
    (stranger ? strangers_ : failed_).add();
    return std::nullopt;
  }
  if (!tcp) {
    // Clients ask for DF packet by packet (RFC 8656 section 14); without it routers may cut.
    const int dont = IP_PMTUDISC_DONT;
    if (local.ip.is_v4()) setsockopt(bound->get(), IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof dont);
  }
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(sockets_.size());
    sockets_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Socket& s = sockets_[slot];
  s.generation = (s.generation + 1) & 0x0FFF'FFFF;
  if (s.generation == 0) s.generation = 1;
  s.fd = std::move(bound).value().release();
  s.local = local;
  s.tcp = tcp;
  ++open_;
  epoll_event event{
      .events = EPOLLIN,
      .data = {.u64 = turn_tag(tcp ? TurnTag::relay_acceptor : TurnTag::relay, s.generation, slot)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, s.fd, &event) != 0) failed_.add();
  return port::RelayPort{
      {slot, s.generation}, local, local.ip.is_v6() ? config_.advertised_v6 : config_.advertised_v4};
}

template <class Take>
std::optional<port::RelayPort> TurnPlane::open_some(IpAddress::Family family, bool tcp, Take&& take) {
  const IpAddress& ip = address_of(family);
  if (!ip) return std::nullopt;
  TurnPortNumbers& numbers = numbers_.of(family, tcp);
  for (int i = 0; i < max_strangers; ++i) {
    const std::optional<uint16_t> number = take(numbers);
    if (!number) break;
    bool stranger = false;
    if (const auto port = bind({ip, *number}, tcp, stranger)) return port;
    numbers.give_back(*number);
    if (!stranger) return std::nullopt;
  }
  exhausted_.add();
  return std::nullopt;
}

std::optional<port::RelayPort> TurnPlane::open(IpAddress::Family family, bool even) {
  return open_some(family, false, [even](TurnPortNumbers& n) { return n.take(even); });
}

std::optional<port::RelayPort> TurnPlane::open_tcp(IpAddress::Family family) {
  return open_some(family, true, [](TurnPortNumbers& n) { return n.take(false); });
}

std::optional<std::pair<port::RelayPort, port::RelayPort>> TurnPlane::open_pair(IpAddress::Family family) {
  TurnPortNumbers& numbers = numbers_.of(family, false);
  for (int i = 0; i < max_strangers; ++i) {
    uint16_t odd = 0;
    const auto low = open_some(family, false, [&](TurnPortNumbers& n) {
      if (odd != 0) n.give_back(odd);  // of the pair before, whose even number a stranger has
      odd = 0;
      const auto pair = n.take_pair();
      if (pair) odd = static_cast<uint16_t>(*pair + 1);
      return pair;
    });
    if (!low) {
      if (odd != 0) numbers.give_back(odd);
      return std::nullopt;
    }
    bool stranger = false;
    if (low->local.port + 1 == odd)
      if (const auto high = bind({low->local.ip, odd}, false, stranger)) return std::pair{*low, *high};
    numbers.give_back(odd);
    close(low->id);
    if (!stranger) return std::nullopt;
  }
  return std::nullopt;
}

std::optional<port::RelayPort> TurnPlane::reopen(SocketAddress local, bool tcp) {
  TurnPortNumbers& numbers = numbers_.of(local.ip.family, tcp);
  if (local.ip != address_of(local.ip.family) || !numbers.take_this(local.port)) return std::nullopt;
  bool stranger = false;
  const auto port = bind(local, tcp, stranger);
  if (!port) numbers.give_back(local.port);
  return port;
}

TurnPlane::Socket* TurnPlane::find(port::RelayPortId id) {
  if (id.slot >= sockets_.size()) return nullptr;
  Socket& s = sockets_[id.slot];
  return s.fd >= 0 && s.generation == id.generation ? &s : nullptr;
}

void TurnPlane::close(port::RelayPortId id) {
  Socket* s = find(id);
  if (!s) return;
  ::close(s->fd);
  s->fd = -1;
  numbers_.of(s->local.ip.family, s->tcp).give_back(s->local.port);
  free_.push_back(id.slot);
  --open_;
}

port::RelayConnection TurnPlane::connect(port::RelayPortId from, SocketAddress peer) {
  const Socket* s = find(from);
  return s && s->tcp ? streams_->connect(s->local, peer) : 0;
}
void TurnPlane::splice(port::RelayConnection peer, const port::RelayClient& client,
                       std::shared_ptr<port::PipeMeter> meter) {
  streams_->splice(peer, client, std::move(meter));
}
void TurnPlane::keep(const port::RelayClient& client) {
  if (client.transport == port::RelayTransport::dtls)
    dtls_->keep(client);
  else
    streams_->keep(client);
}
void TurnPlane::let_go(const port::RelayClient& client) {
  if (client.transport == port::RelayTransport::dtls)
    dtls_->let_go(client);
  else
    streams_->let_go(client);
}
void TurnPlane::close(port::RelayConnection peer) { streams_->close(peer); }
void TurnPlane::close(const port::RelayClient& client) {
  if (client.transport == port::RelayTransport::dtls)
    dtls_->close(client);
  else if (client.transport != port::RelayTransport::udp)
    streams_->close(client);
}

// ---- receiving -------------------------------------------------------------------------------------------

size_t TurnPlane::look() {
  std::array<epoll_event, events_per_look> events;
  const int n = epoll_wait(epoll_.get(), events.data(), events_per_look, 0);
  for (int i = 0; i < n; ++i) {
    const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
    const auto slot = static_cast<uint32_t>(tag);
    const auto generation = static_cast<uint32_t>(tag >> 32) & 0x0FFF'FFFF;
    switch (static_cast<TurnTag>(tag >> 60)) {
      case TurnTag::listener:
        receive(listeners_[slot].fd.get(), {}, &listeners_[slot]);
        break;
      case TurnTag::relay:
        if (const Socket* s = find({slot, generation})) receive(s->fd, {slot, generation}, nullptr);
        break;
      case TurnTag::relay_acceptor:
        deliver();
        if (const Socket* s = find({slot, generation})) streams_->accept_peers(s->fd, {slot, generation});
        break;
      case TurnTag::acceptor:
        streams_->accept_clients(slot);
        break;
      case TurnTag::stream:
        deliver();
        streams_->ready(slot, generation, events[static_cast<size_t>(i)].events);
        break;
      case TurnTag::dtls:
        deliver();
        dtls_->receive(slot);
        break;
    }
  }
  deliver();
  return n > 0 ? static_cast<size_t>(n) : 0;
}

size_t TurnPlane::receive(int fd, port::RelayPortId port, const Listener* listener) {
  size_t at = batch_.size();
  // A few places left at the end of a batch are not worth a system call of their own.
  if (batch_packets - at < per_relay) {
    deliver();
    at = 0;
  }
  const size_t room = listener ? batch_packets - at : per_relay;
  const int n = recvmmsg(fd, &in_[at], static_cast<unsigned>(room), MSG_DONTWAIT, nullptr);
  if (n <= 0) return 0;
  size_t kept = at;
  for (size_t i = at; i < at + static_cast<size_t>(n); ++i) {
    msghdr& h = in_[i].msg_hdr;
    h.msg_namelen = sizeof in_names_[i];
    if (h.msg_flags & MSG_TRUNC) {
      too_long_.add();
      continue;
    }
    if (kept != i) {  // a dropped one left a gap
      std::swap(in_parts_[kept].iov_base, in_parts_[i].iov_base);
      std::swap(in_names_[kept], in_names_[i]);
    }
    port::RelayPacket& p = batch_.emplace_back();
    p.bytes = MutableBytes(static_cast<uint8_t*>(in_parts_[kept].iov_base), in_[i].msg_len);
    if (listener) {
      p.client.listener = listener->index;
      p.client.remote = from_sockaddr(&in_names_[kept]);
    } else {
      p.port = port;
      p.peer = from_sockaddr(&in_names_[kept]);
    }
    ++kept;
  }
  received_.add(static_cast<uint64_t>(n));
  return static_cast<size_t>(n);
}

void TurnPlane::deliver() {
  if (batch_.empty()) return;
  sink_.relay_packets(batch_);
  batch_.clear();
}

// ---- sending ---------------------------------------------------------------------------------------------

void TurnPlane::put(size_t at, Bytes bytes, const SocketAddress& to) {
  out_parts_[at] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
  out_[at].msg_hdr.msg_namelen = to_sockaddr(to, &out_names_[at]);
}

void TurnPlane::send(const port::RelayOut& out) {
  if (!out.to_peers.empty()) send_to_peers(out.to_peers);
  if (out.to_clients.empty()) return;
  bool streams = false;
  for (Listener& l : listeners_) {
    size_t count = 0;
    for (const port::RelayToClient& s : out.to_clients) {
      if (s.client.transport != port::RelayTransport::udp) {
        streams = true;
        continue;
      }
      if (s.client.listener != l.index) continue;
      put(count, s.bytes, s.client.remote);
      if (++count == send_group) {
        send_some(l.fd.get(), count);
        count = 0;
      }
    }
    if (count > 0) send_some(l.fd.get(), count);
  }
  if (!streams && !listeners_.empty()) return;
  for (const port::RelayToClient& s : out.to_clients) {
    if (s.client.transport == port::RelayTransport::dtls)
      dtls_->send(s.client, s.bytes);
    else if (s.client.transport != port::RelayTransport::udp)
      streams_->send(s.client, s.bytes);
  }
  streams_->flush();
}

void TurnPlane::send_to_peers(std::span<const port::RelayToPeer> sends) {
  if (links_.size() < sends.size()) links_.resize(sends.size());
  for (uint32_t i = 0; i < sends.size(); ++i) {
    Socket* s = find(sends[i].port);
    if (!s || s->tcp) {
      stale_.add();
      continue;
    }
    links_[i] = none;
    if (s->first_send == none) {
      s->first_send = i;
      touched_.push_back(sends[i].port.slot);
    } else {
      links_[s->last_send] = i;
    }
    s->last_send = i;
  }
  for (const uint32_t slot : touched_) {
    Socket& s = sockets_[slot];
    size_t count = 0;
    for (uint32_t i = s.first_send; i != none; i = links_[i]) {
      if (sends[i].dont_fragment) {
        if (count > 0) send_some(s.fd, count);
        count = 0;
        send_unfragmented(s, sends[i]);
        continue;
      }
      put(count, sends[i].bytes, sends[i].peer);
      if (++count < send_group) continue;
      send_some(s.fd, count);
      count = 0;
    }
    if (count > 0) send_some(s.fd, count);
    s.first_send = s.last_send = none;
  }
  touched_.clear();
}

/// DF is a property of the socket: set for the one that asks.
void TurnPlane::send_unfragmented(const Socket& socket, const port::RelayToPeer& send) {
  const bool v4 = socket.local.ip.is_v4();
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6, name = v4 ? IP_MTU_DISCOVER : IPV6_DONTFRAG;
  const int on = v4 ? IP_PMTUDISC_DO : 1, off = v4 ? IP_PMTUDISC_DONT : 0;
  setsockopt(socket.fd, level, name, &on, sizeof on);
  put(0, send.bytes, send.peer);
  send_some(socket.fd, 1);
  setsockopt(socket.fd, level, name, &off, sizeof off);
}

void TurnPlane::send_some(int fd, size_t count) {
  size_t done = 0;
  while (done < count) {
    const int n = count - done == 1
                      ? (sendmsg(fd, &out_[done].msg_hdr, MSG_DONTWAIT) >= 0 ? 1 : -1)
                      : sendmmsg(fd, &out_[done], static_cast<unsigned>(count - done), MSG_DONTWAIT);
    if (n > 0) {
      sent_.add(static_cast<uint64_t>(n));
      done += static_cast<size_t>(n);
    } else {  // the one at `done` cannot go; the rest may have other destinations
      unsent_.add();
      ++done;
    }
  }
}

// ---- time ------------------------------------------------------------------------------------------------

Instant TurnPlane::next_deadline() const {
  return std::min(streams_->next_deadline(), dtls_->next_deadline());
}

void TurnPlane::on_deadlines() {
  streams_->on_deadlines();
  dtls_->on_deadlines();
}

void TurnPlane::stop_listening() { streams_->stop_listening(); }

}  // namespace tandem::net
