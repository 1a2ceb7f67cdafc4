#include "net/udp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "net/stun_reply.h"

namespace tandem::net {
namespace {

/// The address of ours the datagram was sent to: on a wildcard socket the answer must leave from it.
void read_local(msghdr& h, SocketAddress& local) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      local.ip.family = IpAddress::Family::v4;
      std::memcpy(local.ip.bytes.data(), &info.ipi_addr, 4);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(c), sizeof info);
      local.ip.family = IpAddress::Family::v6;
      std::memcpy(local.ip.bytes.data(), &info.ipi6_addr, 16);
    }
  }
}

void write_local(msghdr& h, void* control, const IpAddress& local) {
  h.msg_control = control;
  auto* c = static_cast<cmsghdr*>(control);
  if (local.is_v6()) {
    in6_pktinfo info{};
    std::memcpy(&info.ipi6_addr, local.bytes.data(), 16);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
    h.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, local.bytes.data(), 4);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(c), &info, sizeof info);
    h.msg_controllen = CMSG_SPACE(sizeof info);
  }
}

/// CRLFs or NULs alone: what NATed phones send to keep their binding open.
bool is_filler(Bytes d) {
  return d.size() <= 8 &&
         std::all_of(d.begin(), d.end(), [](uint8_t b) { return b == '\r' || b == '\n' || b == 0; });
}

}  // namespace

UdpListeners::UdpListeners(uint16_t node, uint16_t worker, FlowSink& sink, CounterSet& counters)
    : node_(node),
      worker_(worker),
      sink_(sink),
      overflow_(new uint8_t[batch * overflow_bytes]),
      received_(
          counters.counter("net_messages_received_total", "SIP messages received", "transport=\"udp\"")),
      sent_(counters.counter("net_messages_sent_total", "SIP messages sent", "transport=\"udp\"")),
      unsent_(counters.counter("net_udp_send_errors_total", "SIP datagrams the system refused to send")),
      keepalives_(
          counters.counter("net_keepalives_total", "Keep-alives answered or seen", "transport=\"udp\"")),
      no_listener_(
          counters.counter("net_no_route_total", "Sends with no listener of that realm and family")) {}

void UdpListeners::add(uint16_t index, Fd fd, port::RealmId realm) {
  const SocketAddress bound = local_address(fd.get());
  const bool wildcard = bound.ip.is_unspecified();
  const int on = 1;
  if (wildcard && bound.ip.is_v6()) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  if (wildcard && bound.ip.is_v4()) setsockopt(fd.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  listeners_.push_back({index, std::move(fd), bound, realm, wildcard, {}});
}

std::vector<UdpListeners::Watched> UdpListeners::watched() const {
  std::vector<Watched> out;
  for (const Listener& l : listeners_) out.push_back({l.fd.get(), udp_slot_bit | l.index});
  return out;
}

UdpListeners::Listener* UdpListeners::by_index(uint32_t index) {
  for (Listener& l : listeners_)
    if (l.index == index) return &l;
  return nullptr;
}

bool UdpListeners::receive(uint64_t tag) {
  Listener* l = by_index(static_cast<uint32_t>(tag) & ~udp_slot_bit);
  if (!l) return false;
  for (size_t i = 0; i < batch; ++i) {
    if (buffers_[i].capacity() == 0) buffers_[i] = Buffer::with_capacity(first_part);
    parts_[i] = {iovec{buffers_[i].data(), first_part},
                 iovec{overflow_.get() + i * overflow_bytes, overflow_bytes}};
    msghdr& h = messages_[i].msg_hdr;
    h = {};
    h.msg_name = &names_[i];
    h.msg_namelen = sizeof names_[i];
    h.msg_iov = parts_[i].data();
    h.msg_iovlen = 2;
    if (l->wildcard) {
      h.msg_control = controls_[i].bytes.data();
      h.msg_controllen = control_bytes;
    }
  }
  const int n = recvmmsg(l->fd.get(), messages_.data(), batch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < n; ++i) take(*l, static_cast<size_t>(i));
  return n == static_cast<int>(batch);
}

Buffer UdpListeners::assemble(size_t i, size_t length) {
  Buffer whole = std::move(buffers_[i]);
  whole.resize(std::min(length, first_part));
  if (length <= first_part) return whole;
  Buffer large = Buffer::with_capacity(length);
  large.append(whole.bytes());
  large.append(Bytes(overflow_.get() + i * overflow_bytes, length - first_part));
  buffers_[i] = std::move(whole);
  return large;
}

void UdpListeners::take(Listener& listener, size_t i) {
  const size_t length = messages_[i].msg_len;
  port::Path path{port::Transport::udp, listener.realm, {}, listener.bound, from_sockaddr(&names_[i])};
  path.flow = {node_, worker_, udp_slot_bit | listener.index, 1};
  if (listener.wildcard) read_local(messages_[i].msg_hdr, path.local);
  Buffer bytes = assemble(i, length);
  if (keepalive(listener, path, bytes.bytes())) {
    buffers_[i] = std::move(bytes);
    return;
  }
  received_.add();
  sink_.received({path, std::move(bytes)});
}

bool UdpListeners::keepalive(const Listener& listener, const port::Path& path, Bytes datagram) {
  if (is_stun_binding_request(datagram)) {
    std::array<uint8_t, stun_reply_bytes> reply;
    const size_t n = write_stun_reply(datagram, path.remote, reply);
    const RawAddress to = to_raw(path.remote);
    sendto(listener.fd.get(), reply.data(), n, MSG_DONTWAIT, to.get(), to.length);
  } else if (!is_filler(datagram)) {
    return false;
  }
  keepalives_.add();
  sink_.flow_event({port::FlowEvent::Kind::keepalive, path.flow, path, 0});
  return true;
}

UdpListeners::Listener* UdpListeners::pick(const port::Path& path) {
  if (path.flow) return by_index(path.flow.slot & ~udp_slot_bit);
  Listener* any = nullptr;
  for (Listener& l : listeners_) {
    if (l.realm != path.realm || l.bound.ip.family != path.remote.ip.family) continue;
    if (path.local && l.bound.port == path.local.port && (l.wildcard || l.bound.ip == path.local.ip))
      return &l;
    if (!any) any = &l;
  }
  return any;
}

void UdpListeners::send(port::Send send) {
  Listener* l = pick(send.path);
  if (!l || !send.path.remote || l->bound.ip.family != send.path.remote.ip.family) {
    no_listener_.add();
    sink_.send_failed(send.path, send.notify, worker_);
    return;
  }
  l->out.push_back(std::move(send));
}

void UdpListeners::flush() {
  for (Listener& l : listeners_) {
    for (size_t at = 0; at < l.out.size(); at += batch) send_batch(l, at, std::min(batch, l.out.size() - at));
    l.out.clear();
  }
}

void UdpListeners::send_batch(Listener& l, size_t from, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    port::Send& s = l.out[from + i];
    parts_[i][0] = {s.bytes.data(), s.bytes.size()};
    msghdr& h = messages_[i].msg_hdr;
    h = {};
    h.msg_name = &names_[i];
    h.msg_namelen = to_sockaddr(s.path.remote, &names_[i]);
    h.msg_iov = parts_[i].data();
    h.msg_iovlen = 1;
    if (l.wildcard && s.path.local && !s.path.local.ip.is_unspecified())
      write_local(h, controls_[i].bytes.data(), s.path.local.ip);
  }
  size_t done = 0;
  while (done < count) {
    const int n = sendmmsg(l.fd.get(), &messages_[done], static_cast<unsigned>(count - done), MSG_DONTWAIT);
    if (n > 0) {
      sent_.add(static_cast<uint64_t>(n));
      done += static_cast<size_t>(n);
      continue;
    }
    // A full socket buffer is a lost datagram, which retransmission mends; any other error will not mend.
    unsent_.add();
    const port::Send& s = l.out[from + done++];
    if (errno != EAGAIN && errno != ENOBUFS) sink_.send_failed(s.path, s.notify, worker_);
  }
}

}  // namespace tandem::net
