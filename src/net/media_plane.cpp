#include "net/media_plane.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/clock.h"

namespace tandem::net {
namespace {

// A stranger on our range costs two system calls each; one open_pair() must not try the whole range.
constexpr int max_strangers = 256;
// How many datagrams one port may put into the batch at a time, so that a flood on one call leaves room for
// others.
constexpr size_t per_port = 16;

uint64_t tag_of(port::MediaPortId id) { return uint64_t{id.generation} << 32 | id.slot; }

}  // namespace

MediaPlane::MediaPlane(PortRanges& ranges, int epoll_fd, int receive_buffer, CounterSet& counters)
    : ranges_(ranges),
      epoll_fd_(epoll_fd),
      receive_buffer_(receive_buffer),
      area_(new uint8_t[batch_packets * packet_bytes]),
      received_(counters.counter("net_media_packets_received_total", "Datagrams taken from media ports")),
      sent_(counters.counter("net_media_packets_sent_total", "Datagrams sent from media ports")),
      too_long_(
          counters.counter("net_media_dropped_total", "Media datagrams not relayed", "reason=\"too_long\"")),
      unsent_(counters.counter("net_media_dropped_total", "Media datagrams not relayed",
                               "reason=\"send_failed\"")),
      stale_(counters.counter("net_media_dropped_total", "Media datagrams not relayed",
                              "reason=\"closed_port\"")),
      strangers_(
          counters.counter("net_media_port_strangers_total", "Ports of the range held by someone else")),
      exhausted_(counters.counter("net_media_ports_exhausted_total", "Port pairs refused: range exhausted")),
      failed_(
          counters.counter("net_media_port_errors_total", "Port pairs refused: the system gave no socket")),
      open_gauge_(counters.gauge("net_media_ports_open", "Open media ports")) {
  batch_.reserve(batch_packets);
  for (size_t i = 0; i < batch_packets; ++i) {
    in_parts_[i] = {area_.get() + i * packet_bytes, packet_bytes - min_tailroom};
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

MediaPlane::~MediaPlane() {
  for (const Port& p : ports_)
    if (p.fd >= 0) ::close(p.fd);
}

std::optional<port::MediaPorts::Pair> MediaPlane::open_pair(port::RealmId realm, IpAddress::Family like) {
  PortRange* range = ranges_.find(realm, like);
  if (!range || range->pairs() == 0) {
    failed_.add();
    return std::nullopt;
  }
  const Instant t = now().mono;
  int strangers = 0;
  for (const bool resting : {false, true}) {
    while (strangers < max_strangers) {
      const auto pair = range->take_any(t, resting, rng_);
      if (!pair) break;
      Fd rtp, rtcp;
      const Bind result = bind_pair(*range, *pair, rtp, rtcp);
      if (result == Bind::done) return add_pair(*range, *pair, std::move(rtp), std::move(rtcp));
      range->give_back(*pair, t);
      if (result == Bind::failed) {
        failed_.add();
        return std::nullopt;
      }
      strangers_.add();
      ++strangers;
      if (resting && strangers >= static_cast<int>(range->pairs()) * 2) break;
    }
  }
  exhausted_.add();
  return std::nullopt;
}

std::optional<port::MediaPorts::Pair> MediaPlane::reopen_pair(port::RealmId realm, SocketAddress rtp_local) {
  PortRange* range = ranges_.find(realm, rtp_local.ip.family);
  if (!range) return std::nullopt;
  const auto pair = range->pair_of(rtp_local.port);
  const Instant t = now().mono;
  if (!pair || !range->take(*pair, t, true)) return std::nullopt;
  Fd rtp, rtcp;
  const Bind result = bind_pair(*range, *pair, rtp, rtcp);
  if (result == Bind::done) return add_pair(*range, *pair, std::move(rtp), std::move(rtcp));
  (result == Bind::stranger ? strangers_ : failed_).add();
  range->give_back(*pair, t);
  return std::nullopt;
}

MediaPlane::Bind MediaPlane::bind_pair(PortRange& range, uint32_t pair, Fd& rtp, Fd& rtcp) {
  const uint16_t number = range.rtp_port(pair);
  const SocketOptions options{.receive_buffer = receive_buffer_, .dscp = Dscp::telephony};
  for (auto& [fd, offset] : {std::pair<Fd&, uint16_t>{rtp, 0}, {rtcp, 1}}) {
    auto bound = bind_udp({range.bind_address(), static_cast<uint16_t>(number + offset)}, options);
    if (!bound.ok()) return bound.reason() == EADDRINUSE ? Bind::stranger : Bind::failed;
    fd = std::move(bound).value();
  }
  return Bind::done;
}

port::MediaPorts::Pair MediaPlane::add_pair(PortRange& range, uint32_t pair, Fd rtp, Fd rtcp) {
  const uint16_t number = range.rtp_port(pair);
  Pair out{add(range, pair, number, std::move(rtp)),
           add(range, pair, static_cast<uint16_t>(number + 1), std::move(rtcp))};
  ports_[out.rtp.id.slot].twin = out.rtcp.id.slot;
  ports_[out.rtcp.id.slot].twin = out.rtp.id.slot;
  return out;
}

port::MediaPort MediaPlane::add(PortRange& range, uint32_t pair, uint16_t number, Fd fd) {
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(ports_.size());
    ports_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Port& port = ports_[slot];
  if (++port.generation == 0) port.generation = 1;
  port.fd = fd.release();
  port.pair = pair;
  port.range = &range;
  const port::MediaPortId id{slot, port.generation};
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(id)}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, port.fd, &event) != 0) failed_.add();
  open_gauge_.set(++open_);
  return {id, {range.bind_address(), number}, range.advertised()};
}

MediaPlane::Port* MediaPlane::find(port::MediaPortId id) {
  if (id.slot >= ports_.size()) return nullptr;
  Port& port = ports_[id.slot];
  return port.fd >= 0 && port.generation == id.generation ? &port : nullptr;
}

void MediaPlane::close(port::MediaPortId id) {
  Port* port = find(id);
  if (!port) return;
  ::close(port->fd);
  port->fd = -1;
  if (port->twin != none)
    ports_[port->twin].twin = none;  // the pair goes back with its second port
  else
    port->range->give_back(port->pair, now().mono);
  port->twin = none;
  free_.push_back(id.slot);
  open_gauge_.set(--open_);
}

size_t MediaPlane::receive(uint64_t tag) {
  const port::MediaPortId id{static_cast<uint32_t>(tag), static_cast<uint32_t>(tag >> 32)};
  const Port* port = find(id);
  if (!port) return 0;
  const size_t at = batch_.size();
  const auto room = static_cast<unsigned>(std::min(per_port, batch_packets - at));
  if (room == 0) return 0;
  const int n = recvmmsg(port->fd, &in_[at], room, MSG_DONTWAIT, nullptr);
  if (n <= 0) return 0;
  size_t kept = at;
  for (size_t i = at; i < at + static_cast<size_t>(n); ++i) {
    msghdr& h = in_[i].msg_hdr;
    h.msg_namelen = sizeof in_names_[i];
    if (h.msg_flags & MSG_TRUNC) {
      too_long_.add();
      continue;
    }
    if (kept != i) {  // a dropped one left a gap: swap the areas, so that slots and packets keep matching
      std::swap(in_parts_[kept].iov_base, in_parts_[i].iov_base);
      std::swap(in_names_[kept], in_names_[i]);
    }
    const size_t length = in_[i].msg_len;
    batch_.push_back({id, from_sockaddr(&in_names_[kept]),
                      MutableBytes(static_cast<uint8_t*>(in_parts_[kept].iov_base), length),
                      static_cast<uint32_t>(packet_bytes - length)});
    ++kept;
  }
  received_.add(static_cast<uint64_t>(n));
  return static_cast<size_t>(n);
}

void MediaPlane::send(std::span<const port::MediaSend> sends) {
  if (links_.size() < sends.size()) links_.resize(sends.size());
  for (uint32_t i = 0; i < sends.size(); ++i) {
    Port* port = find(sends[i].port);
    if (!port || !sends[i].remote) {
      stale_.add();
      continue;
    }
    links_[i] = none;
    if (port->first_send == none) {
      port->first_send = i;
      touched_.push_back(sends[i].port.slot);
    } else {
      links_[port->last_send] = i;
    }
    port->last_send = i;
  }
  for (const uint32_t slot : touched_) send_chain(ports_[slot], sends);
  touched_.clear();
}

void MediaPlane::send_chain(Port& port, std::span<const port::MediaSend> sends) {
  size_t count = 0;
  for (uint32_t i = port.first_send; i != none; i = links_[i]) {
    const port::MediaSend& s = sends[i];
    out_parts_[count] = {const_cast<uint8_t*>(s.bytes.data()), s.bytes.size()};
    out_[count].msg_hdr.msg_namelen = to_sockaddr(s.remote, &out_names_[count]);
    if (++count == send_group) {
      send_some(port.fd, count);
      count = 0;
    }
  }
  if (count > 0) send_some(port.fd, count);
  port.first_send = port.last_send = none;
}

void MediaPlane::send_some(int fd, size_t count) {
  if (count == 1) {
    (sendmsg(fd, &out_[0].msg_hdr, MSG_DONTWAIT) >= 0 ? sent_ : unsent_).add();
    return;
  }
  size_t done = 0;
  while (done < count) {
    const int n = sendmmsg(fd, &out_[done], static_cast<unsigned>(count - done), MSG_DONTWAIT);
    if (n > 0) {
      sent_.add(static_cast<uint64_t>(n));
      done += static_cast<size_t>(n);
    } else {  // the one at `done` cannot go; the rest may have other destinations
      unsent_.add();
      ++done;
    }
  }
}

}  // namespace tandem::net
