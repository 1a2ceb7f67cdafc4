#include "net/media_streams.h"

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace tandem::net {
namespace {

constexpr uint32_t listener_bit = 0x2000'0000;
constexpr size_t header = 2;
constexpr int accepts_per_turn = 32;
// What the kernel may hold of a slow reader: about a second of sound and picture.
constexpr int send_buffer = 64 << 10;
constexpr Duration accept_pause = milliseconds(100);

uint64_t tag_of(SlotId id) { return uint64_t{id.generation} << 32 | id.slot | MediaStreams::tag_bit; }
SlotId id_of(uint64_t tag) {
  return {static_cast<uint32_t>(tag) & ~MediaStreams::tag_bit, static_cast<uint32_t>(tag >> 32)};
}
size_t length_of(const std::vector<uint8_t>& in) { return size_t{in[0]} << 8 | in[1]; }

}  // namespace

MediaStreams::Counts::Counts(CounterSet& set)
    : accepted(set.counter("net_media_connections_total", "Media connections accepted")),
      open(set.gauge("net_media_connections_open", "Open media connections")),
      frames_in(set.counter("net_media_frames_received_total", "Frames taken from media connections")),
      frames_out(set.counter("net_media_frames_sent_total", "Frames sent on media connections")),
      full(
          set.counter("net_media_connections_refused_total", "Media connections refused", "reason=\"full\"")),
      crowded(set.counter("net_media_connections_refused_total", "Media connections refused",
                          "reason=\"source\"")),
      unproven_full(set.counter("net_media_connections_refused_total", "Media connections refused",
                                "reason=\"unproven\"")),
      accept_errors(set.counter("net_media_connections_refused_total", "Media connections refused",
                                "reason=\"error\"")),
      unproven(set.counter("net_media_connections_closed_total", "Media connections ended, by why",
                           "reason=\"unproven\"")),
      framing(set.counter("net_media_connections_closed_total", "Media connections ended, by why",
                          "reason=\"framing\"")),
      idle(set.counter("net_media_connections_closed_total", "Media connections ended, by why",
                       "reason=\"idle\"")),
      stalled(set.counter("net_media_connections_closed_total", "Media connections ended, by why",
                          "reason=\"write_stall\"")),
      by_peer(set.counter("net_media_connections_closed_total", "Media connections ended, by why",
                          "reason=\"peer\"")),
      by_us(set.counter("net_media_connections_closed_total", "Media connections ended, by why",
                        "reason=\"us\"")),
      queue_full(
          set.counter("net_media_dropped_total", "Media datagrams not relayed", "reason=\"queue_full\"")),
      gone(set.counter("net_media_dropped_total", "Media datagrams not relayed",
                       "reason=\"no_connection\"")) {}

MediaStreams::MediaStreams(int epoll_fd, size_t longest, const Limits& limits, CounterSet& counters)
    : epoll_(epoll_fd),
      longest_(longest),
      limits_(limits),
      table_(limits.media_connections),
      counts_(counters) {}

MediaStreams::~MediaStreams() = default;

void MediaStreams::listen(uint32_t hub, Fd fd) {
  const auto index = static_cast<uint32_t>(listeners_.size());
  epoll_event event{.events = EPOLLIN, .data = {.u64 = uint64_t{index} | tag_bit | listener_bit}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event) != 0) counts_.accept_errors.add();
  listeners_.push_back({hub, std::move(fd)});
}

// ---- connections come ----

void MediaStreams::ready(Instant now, uint64_t tag, uint32_t events) {
  if (is_listener(tag)) {
    const uint32_t index = static_cast<uint32_t>(tag) & ~(tag_bit | listener_bit);
    if (index < listeners_.size()) accept(now, listeners_[index]);
    return;
  }
  const SlotId id = id_of(tag);
  if (Connection* c = table_.find(id); c && (events & EPOLLOUT)) write(now, id, *c);
}

bool MediaStreams::admit(const SocketAddress& remote) {
  const auto source = by_source_.find(remote.ip);
  Counter* refused = nullptr;
  if (table_.full())
    refused = &counts_.full;
  else if (unproven_ >= limits_.media_connections_unproven)
    refused = &counts_.unproven_full;
  else if (source != by_source_.end() && source->second >= limits_.media_connections_per_source)
    refused = &counts_.crowded;
  if (refused) refused->add();
  return refused == nullptr;
}

void MediaStreams::accept(Instant now, Listener& listener) {
  for (int i = 0; i < accepts_per_turn; ++i) {
    RawAddress from;
    Fd fd(accept4(listener.fd.get(), from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (errno == ECONNABORTED || errno == EINTR) continue;
      // No descriptor is left: the listener would wake us again and again.
      counts_.accept_errors.add();
      epoll_ctl(epoll_, EPOLL_CTL_DEL, listener.fd.get(), nullptr);
      listener.paused = true;
      deadlines_.push(now + accept_pause, SlotId{});
      return;
    }
    const SocketAddress remote = from_sockaddr(&from.storage);
    if (!remote || !admit(remote) || by_remote_.contains({listener.hub, remote})) continue;
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    set_dscp(fd.get(), remote.ip, Dscp::telephony);
    const SlotId id = table_.emplace();
    Connection& c = *table_.find(id);
    c.fd = std::move(fd);
    c.hub = listener.hub;
    c.remote = remote;
    c.heard = now;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(id)}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.fd.get(), &event) != 0) {
      counts_.accept_errors.add();
      table_.erase(id);
      continue;
    }
    by_remote_[{c.hub, remote}] = id;
    ++by_source_[remote.ip];
    ++unproven_;
    counts_.accepted.add();
    counts_.open.set(table_.size());
    arm(id, c);
  }
}

// ---- frames ----

bool MediaStreams::is_listener(uint64_t tag) { return (static_cast<uint32_t>(tag) & listener_bit) != 0; }

bool MediaStreams::is_kept(uint64_t tag) const {
  const Connection* c = table_.find(id_of(tag));
  return c && c->kept;
}

/// A header tells how much to ask for next; behind a frame the next header is read along, so that a frame
/// costs one call.
MediaStreams::Frame MediaStreams::read(Instant now, uint64_t tag, uint8_t* area) {
  const SlotId id = id_of(tag);
  Connection* c = table_.find(id);
  if (!c) return {};
  if (c->in.empty()) c->in.resize(header + longest_ + header);
  Frame frame{Frame::Kind::none, c->hub, c->remote, 0};
  for (;;) {
    const size_t length = c->have >= header ? length_of(c->in) : 0;
    if (length > longest_) {
      frame.kind = c->kept ? Frame::Kind::end : Frame::Kind::none;
      close(id, counts_.framing);
      return frame;
    }
    if (c->have >= header && c->have >= header + length) {
      std::copy_n(c->in.begin() + header, length, area);
      std::copy(c->in.begin() + static_cast<ptrdiff_t>(header + length),
                c->in.begin() + static_cast<ptrdiff_t>(c->have), c->in.begin());
      c->have -= header + length;
      if (length == 0) continue;  // a null frame (RFC 4571 section 2)
      if (c->kept) c->heard = now;
      counts_.frames_in.add();
      frame.kind = Frame::Kind::data;
      frame.length = length;
      return frame;
    }
    const size_t wanted = c->have < header ? header : header + length + header;
    const ssize_t n = recv(c->fd.get(), c->in.data() + c->have, wanted - c->have, 0);
    if (n > 0) {
      c->have += static_cast<size_t>(n);
      continue;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return frame;
    frame.kind = c->kept ? Frame::Kind::end : Frame::Kind::none;
    close(id, c->ending ? *c->ending : counts_.by_peer);
    return frame;
  }
}

void MediaStreams::send(Instant now, uint32_t hub, const SocketAddress& remote, Bytes bytes) {
  SlotId id;
  Connection* c = find(hub, remote, &id);
  if (!c || bytes.size() > UINT16_MAX) return counts_.gone.add();
  std::array<uint8_t, header> length{static_cast<uint8_t>(bytes.size() >> 8),
                                     static_cast<uint8_t>(bytes.size())};
  const size_t waiting = c->out.size() - c->out_at;
  if (waiting > 0 && waiting + header + bytes.size() > limits_.media_write_queue_bytes)
    return counts_.queue_full.add();
  size_t taken = 0;
  if (waiting == 0) {
    const std::array<iovec, 2> parts{iovec{length.data(), header},
                                     iovec{const_cast<uint8_t*>(bytes.data()), bytes.size()}};
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts.data());
    message.msg_iovlen = parts.size();
    const ssize_t n = sendmsg(c->fd.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    // Whatever is wrong with it, reading will tell.
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return counts_.gone.add();
    taken = n > 0 ? static_cast<size_t>(n) : 0;
    c->out.clear();
    c->out_at = 0;
  }
  counts_.frames_out.add();
  if (taken == header + bytes.size()) return;
  const bool begins = waiting == 0;
  if (taken < header)
    c->out.insert(c->out.end(), length.begin() + static_cast<ptrdiff_t>(taken), length.end());
  const size_t rest = taken > header ? taken - header : 0;
  c->out.insert(c->out.end(), bytes.begin() + static_cast<ptrdiff_t>(rest), bytes.end());
  if (!begins) return;
  c->stalled = now;
  watch(id, *c);
  arm(id, *c);
}

void MediaStreams::write(Instant now, SlotId id, Connection& c) {
  while (c.out_at < c.out.size()) {
    const ssize_t n =
        ::send(c.fd.get(), c.out.data() + c.out_at, c.out.size() - c.out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n <= 0) break;
    c.out_at += static_cast<size_t>(n);
    c.stalled = now;
  }
  if (c.out_at < c.out.size()) return;
  c.out.clear();
  c.out_at = 0;
  watch(id, c);
}

void MediaStreams::watch(SlotId id, const Connection& c) const {
  const uint32_t events = c.out.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
  epoll_event event{.events = events, .data = {.u64 = tag_of(id)}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd.get(), &event);
}

// ---- who may stay ----

MediaStreams::Connection* MediaStreams::find(uint32_t hub, const SocketAddress& remote, SlotId* id) {
  const auto it = by_remote_.find({hub, remote});
  if (it == by_remote_.end()) return nullptr;
  if (id) *id = it->second;
  return table_.find(it->second);
}

void MediaStreams::keep(Instant now, uint32_t hub, const SocketAddress& remote) {
  SlotId id;
  Connection* c = find(hub, remote, &id);
  if (!c || c->kept) return;
  c->kept = true;
  --unproven_;
  c->heard = now;
  arm(id, *c);
}

void MediaStreams::end(uint32_t hub, const SocketAddress& remote) {
  SlotId id;
  if (Connection* c = find(hub, remote, &id)) close(id, c->kept ? counts_.by_us : counts_.unproven);
}

Instant MediaStreams::due(const Connection& c) const {
  if (!c.kept) return c.heard + limits_.media_first_check;
  const Instant idle = c.heard + limits_.media_idle;
  return c.out.empty() ? idle : std::min(idle, c.stalled + limits_.write_stall);
}

void MediaStreams::arm(SlotId id, Connection& c) {
  c.deadline = due(c);
  deadlines_.push(c.deadline, id);
}

void MediaStreams::on_deadlines(Instant now) {
  TimerQueue<SlotId>::Due due_now;
  while (deadlines_.pop_due(now, due_now)) {
    if (!due_now.key) {
      for (uint32_t i = 0; i < listeners_.size(); ++i) {
        if (!std::exchange(listeners_[i].paused, false)) continue;
        epoll_event event{.events = EPOLLIN, .data = {.u64 = uint64_t{i} | tag_bit | listener_bit}};
        epoll_ctl(epoll_, EPOLL_CTL_ADD, listeners_[i].fd.get(), &event);
      }
      continue;
    }
    Connection* c = table_.find(due_now.key);
    if (!c || c->deadline != due_now.deadline) continue;
    if (due(*c) > now) {
      arm(due_now.key, *c);
    } else if (!c->kept) {
      close(due_now.key, counts_.unproven);
    } else {
      // Its owner hears of it as if the peer had ended it.
      c->ending = c->out.empty() || c->heard + limits_.media_idle <= now ? &counts_.idle : &counts_.stalled;
      shutdown(c->fd.get(), SHUT_RDWR);
      c->out.clear();
      c->out_at = 0;
    }
  }
}

void MediaStreams::close(SlotId id, Counter& why) {
  Connection* c = table_.find(id);
  if (!c) return;
  why.add();
  by_remote_.erase({c->hub, c->remote});
  if (const auto source = by_source_.find(c->remote.ip); source != by_source_.end() && --source->second == 0)
    by_source_.erase(source);
  if (!c->kept) --unproven_;
  table_.erase(id);
  counts_.open.set(table_.size());
}

}  // namespace tandem::net
