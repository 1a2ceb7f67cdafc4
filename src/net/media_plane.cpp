#include "net/media_plane.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/clock.h"

namespace tandem::net {
namespace {

// A stranger on our range costs two system calls each; one open_pair() must not try the whole range.
constexpr size_t max_strangers = 256;
// How many datagrams one port may put into the batch at a time, so that a flood on one call leaves room for
// others.
constexpr size_t per_port = 16;

uint64_t tag_of(port::MediaPortId id) { return uint64_t{id.generation} << 32 | id.slot; }

}  // namespace

MediaPlane::MediaPlane(PortRanges& ranges, int epoll_fd, int receive_buffer, const Limits& limits,
                       CounterSet& counters)
    : ranges_(ranges),
      epoll_fd_(epoll_fd),
      receive_buffer_(receive_buffer),
      streams_(epoll_fd, packet_bytes - min_tailroom, limits, counters),
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
    for (const int fd : {p.fd, p.other_fd})
      if (fd >= 0) ::close(fd);
}

/// A free pair of the range and its sockets; nothing, counted, when there is none. Pairs of strangers are
/// kept until the search is over, so that it does not come to the same ones again and leave others untried.
std::optional<uint32_t> MediaPlane::bind_free(PortRange& range, Fd& rtp, Fd& rtcp) {
  const Instant t = now().mono;
  std::vector<uint32_t> spoiled;
  std::optional<uint32_t> found;
  bool failed = false;
  for (const bool resting : {false, true}) {
    while (!found && !failed && spoiled.size() < max_strangers) {
      const auto pair = range.take_any(t, resting, rng_);
      if (!pair) break;
      const Bind result = bind_pair(range, *pair, rtp, rtcp);
      if (result == Bind::done) {
        found = pair;
        break;
      }
      failed = result == Bind::failed;
      spoiled.push_back(*pair);
      if (!failed) strangers_.add();
    }
  }
  for (const uint32_t pair : spoiled) range.give_back(pair, t);
  if (!found) (failed ? failed_ : exhausted_).add();
  return found;
}

std::optional<port::MediaPorts::Pair> MediaPlane::open_pair(port::RealmId realm, IpAddress::Family like) {
  PortRange* range = ranges_.find(realm, like);
  if (!range || range->pairs() == 0) {
    failed_.add();
    return std::nullopt;
  }
  Fd rtp, rtcp;
  const auto pair = bind_free(*range, rtp, rtcp);
  if (!pair) return std::nullopt;
  return add_pair(*range, *pair, std::move(rtp), std::move(rtcp));
}

bool MediaPlane::widen(port::RealmId realm, Pair& pair, const SocketAddress& same) {
  using Family = IpAddress::Family;
  PortRange* range = ranges_.find(realm, pair.rtp.local.ip.is_v4() ? Family::v6 : Family::v4);
  Port* rtp = find(pair.rtp.id);
  Port* rtcp = find(pair.rtcp.id);
  if (!range || range->pairs() == 0 || !rtp || !rtcp || rtp->other_fd >= 0) return false;
  Fd fds[2];
  std::optional<uint32_t> taken;
  if (same) {
    taken = same.ip.family == range->bind_address().family ? range->pair_of(same.port) : std::nullopt;
    const Instant t = now().mono;
    if (!taken || !range->take(*taken, t, true)) return false;
    if (const Bind result = bind_pair(*range, *taken, fds[0], fds[1]); result != Bind::done) {
      (result == Bind::stranger ? strangers_ : failed_).add();
      range->give_back(*taken, t);
      return false;
    }
  } else {
    taken = bind_free(*range, fds[0], fds[1]);
    if (!taken) return false;
  }
  uint16_t number = range->rtp_port(*taken);
  for (const bool reports : {false, true}) {
    Port& port = reports ? *rtcp : *rtp;
    port::MediaPort& said = reports ? pair.rtcp : pair.rtp;
    port.other_fd = fds[reports ? 1 : 0].release();
    port.other_range = range;
    port.other_pair = *taken;
    said.other_local = {range->bind_address(), number++};
    said.other_advertised = range->advertised();
    watch(port.other_fd, said.id);
  }
  return true;
}

// ---- shared ports ----

Status<std::string> MediaPlane::open_hub(const RealmMedia& realm, uint16_t number, int receive_buffer) {
  const port::MediaPortId id = take_slot();
  Hub hub{realm.realm, {id, {}, {}, {}, {}}};
  const SocketOptions options{
      .receive_buffer = receive_buffer, .send_buffer = receive_buffer, .dscp = Dscp::telephony};
  for (const auto& [bind, advertised] :
       {std::pair{realm.bind_v4, realm.advertised_v4}, std::pair{realm.bind_v6, realm.advertised_v6}}) {
    if (!bind) continue;
    const SocketAddress at{bind, number};
    auto udp = bind_udp(at, options);
    auto tcp = listen_tcp(at, {.dscp = Dscp::telephony}, 256);
    if (!udp.ok() || !tcp.ok())
      return Failure{"cannot bind the WebRTC media port " + at.to_string() + " (" +
                     (udp.ok() ? "tcp" : "udp") + "): " + error_text(udp.ok() ? tcp.reason() : udp.reason())};
    Port& port = ports_[id.slot];
    const bool first = port.fd < 0;
    (first ? port.fd : port.other_fd) = std::move(udp).value().release();
    if (first) port.v6 = bind.is_v6();
    (first ? hub.port.local : hub.port.other_local) = at;
    (first ? hub.port.advertised : hub.port.other_advertised) = advertised ? advertised : bind;
    watch(first ? port.fd : port.other_fd, id);
    streams_.listen(id.slot, std::move(tcp).value());
  }
  ports_[id.slot].open = ports_[id.slot].hub = true;
  if (hub.port.local) hubs_.push_back(hub);
  return Done{};
}

std::optional<port::SharedPort> MediaPlane::open_shared(port::RealmId realm) {
  const auto hub = std::find_if(hubs_.begin(), hubs_.end(), [&](const Hub& h) { return h.realm == realm; });
  if (hub == hubs_.end()) return std::nullopt;
  port::SharedPort out{hub->port, hub->port.id, true};
  out.leg.id = take_slot();
  ports_[out.leg.id.slot].open = true;
  ports_[out.leg.id.slot].on = hub->port.id.slot;
  return out;
}

void MediaPlane::keep(port::MediaPortId hub, const SocketAddress& remote) {
  if (find(hub)) streams_.keep(now().mono, hub.slot, remote);
}

void MediaPlane::end(port::MediaPortId hub, const SocketAddress& remote) {
  if (find(hub)) streams_.end(hub.slot, remote);
}

void MediaPlane::on_deadlines() { streams_.on_deadlines(now().mono); }

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

port::MediaPortId MediaPlane::take_slot() {
  uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(ports_.size());
    ports_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Port& port = ports_[slot];
  const uint32_t generation = port.generation + 1;
  port = Port{};
  port.generation = generation == 0 ? 1 : generation;
  return {slot, port.generation};
}

void MediaPlane::watch(int fd, port::MediaPortId id) {
  epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(id)}};
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) failed_.add();
}

port::MediaPort MediaPlane::add(PortRange& range, uint32_t pair, uint16_t number, Fd fd) {
  const port::MediaPortId id = take_slot();
  Port& port = ports_[id.slot];
  port.fd = fd.release();
  port.v6 = range.bind_address().is_v6();
  port.open = true;
  port.pair = pair;
  port.range = &range;
  watch(port.fd, id);
  open_gauge_.set(++open_);
  return {id, {range.bind_address(), number}, range.advertised(), {}, {}};
}

MediaPlane::Port* MediaPlane::find(port::MediaPortId id) {
  if (id.slot >= ports_.size()) return nullptr;
  Port& port = ports_[id.slot];
  return port.open && port.generation == id.generation ? &port : nullptr;
}

void MediaPlane::close(port::MediaPortId id) {
  Port* port = find(id);
  if (!port || port->hub) return;
  port->open = false;
  free_.push_back(id.slot);
  if (port->on != none) return;
  ::close(port->fd);
  if (port->other_fd >= 0) ::close(port->other_fd);
  if (port->twin != none) {
    ports_[port->twin].twin = none;  // the pair goes back with its second port
  } else {
    const Instant t = now().mono;
    port->range->give_back(port->pair, t);
    if (port->other_range) port->other_range->give_back(port->other_pair, t);
  }
  port->fd = port->other_fd = -1;
  port->twin = none;
  open_gauge_.set(--open_);
}

size_t MediaPlane::receive(uint64_t tag, uint32_t events) {
  if (static_cast<uint32_t>(tag) & MediaStreams::tag_bit) {
    streams_.ready(now().mono, tag, events);
    return MediaStreams::is_listener(tag) ? 0 : receive_frames(tag);
  }
  const port::MediaPortId id{static_cast<uint32_t>(tag), static_cast<uint32_t>(tag >> 32)};
  const Port* port = find(id);
  if (!port) return 0;
  size_t n = receive_datagrams(id, port->fd);
  if (port->other_fd >= 0) n += receive_datagrams(id, port->other_fd);
  return n;
}

/// Frames of one connection; its end, if it was kept, is a packet without bytes.
size_t MediaPlane::receive_frames(uint64_t tag) {
  const Instant t = now().mono;
  const size_t most = std::min(streams_.is_kept(tag) ? per_port : size_t{1}, batch_packets - batch_.size());
  size_t n = 0;
  while (n < most) {
    const size_t slot = batch_.size();
    auto* area = static_cast<uint8_t*>(in_parts_[slot].iov_base);
    const MediaStreams::Frame frame = streams_.read(t, tag, area);
    if (frame.kind == MediaStreams::Frame::Kind::none) break;
    batch_.push_back({{frame.hub, ports_[frame.hub].generation},
                      frame.remote,
                      MutableBytes(area, frame.length),
                      static_cast<uint32_t>(packet_bytes - frame.length),
                      true});
    ++n;
    if (frame.kind == MediaStreams::Frame::Kind::end) break;
  }
  return n;
}

size_t MediaPlane::receive_datagrams(port::MediaPortId id, int fd) {
  const size_t at = batch_.size();
  const size_t most = ports_[id.slot].hub ? batch_packets : per_port;
  const auto room = static_cast<unsigned>(std::min(most, batch_packets - at));
  if (room == 0) return 0;
  const int n = recvmmsg(fd, &in_[at], room, MSG_DONTWAIT, nullptr);
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
    uint32_t slot = sends[i].port.slot;
    if (port->on != none) {  // legs on one port leave together
      slot = port->on;
      port = &ports_[slot];
      if (sends[i].connection) {
        streams_.send(now().mono, slot, sends[i].remote, sends[i].bytes);
        continue;
      }
    }
    links_[i] = none;
    if (port->first_send == none) {
      port->first_send = i;
      touched_.push_back(slot);
    } else {
      links_[port->last_send] = i;
    }
    port->last_send = i;
  }
  for (const uint32_t slot : touched_) send_chain(ports_[slot], sends);
  touched_.clear();
}

int MediaPlane::socket_of(const Port& port, IpAddress::Family family) {
  const bool other = port.other_fd >= 0 && port.v6 != (family == IpAddress::Family::v6);
  return other ? port.other_fd : port.fd;
}

void MediaPlane::send_chain(Port& port, std::span<const port::MediaSend> sends) {
  size_t count = 0;
  int fd = port.fd;
  for (uint32_t i = port.first_send; i != none; i = links_[i]) {
    const port::MediaSend& s = sends[i];
    if (const int next = socket_of(port, s.remote.ip.family); next != fd) {
      if (count > 0) send_some(fd, std::exchange(count, 0));
      fd = next;
    }
    out_parts_[count] = {const_cast<uint8_t*>(s.bytes.data()), s.bytes.size()};
    out_[count].msg_hdr.msg_namelen = to_sockaddr(s.remote, &out_names_[count]);
    if (++count == send_group) {
      send_some(fd, count);
      count = 0;
    }
  }
  if (count > 0) send_some(fd, count);
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
