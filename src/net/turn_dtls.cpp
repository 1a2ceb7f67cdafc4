#include "net/turn_dtls.h"

#include <sys/epoll.h>

#include <algorithm>

namespace tandem::net {
namespace {

constexpr Duration scan = seconds(1);

/// A handshake record of epoch 0 that begins with a ClientHello (RFC 6347 sections 4.1, 4.2.2).
bool is_client_hello(Bytes b) { return b.size() > 13 && b[0] == 22 && b[3] == 0 && b[4] == 0 && b[13] == 1; }

}  // namespace

TurnDtls::TurnDtls(const TurnNetConfig& config, int epoll_fd, SourceCounts& sources, TurnSink& sink,
                   CounterSet& c)
    : config_(config),
      epoll_(epoll_fd),
      sources_(sources),
      sink_(sink),
      table_(config.connections),
      area_(new uint8_t[batch * datagram_bytes]),
      plain_(new uint8_t[batch * datagram_bytes]),
      accepted_(c.counter("net_turn_associations_total", "TURN clients over DTLS whose address was proved")),
      open_(c.gauge("net_turn_associations_open", "TURN associations over DTLS")),
      cookies_(c.counter("net_turn_cookies_total", "DTLS cookies sent to who has not proved his address")),
      strays_(c.counter("net_turn_dropped_total", "TURN packets not relayed", "reason=\"no_association\"")),
      refused_full_(c.counter("net_turn_refused_total", "TURN connections refused", "reason=\"full\"")),
      refused_source_(c.counter("net_turn_refused_total", "TURN connections refused", "reason=\"source\"")),
      failed_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"handshake\"")),
      idle_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"idle\"")),
      closed_(c.counter("net_turn_closed_total", "TURN connections closed", "reason=\"other_side\"")),
      unsent_(c.counter("net_turn_dropped_total", "TURN packets not relayed", "reason=\"send_failed\"")) {
  for (size_t i = 0; i < batch; ++i) {
    parts_[i] = {area_.get() + i * datagram_bytes, datagram_bytes};
    in_[i].msg_hdr.msg_iov = &parts_[i];
    in_[i].msg_hdr.msg_iovlen = 1;
    in_[i].msg_hdr.msg_name = &names_[i];
  }
}

TurnDtls::~TurnDtls() = default;

void TurnDtls::add_listener(uint16_t index, Fd fd, Identity identity) {
  epoll_event event{.events = EPOLLIN,
                    .data = {.u64 = turn_tag(TurnTag::dtls, 0, static_cast<uint32_t>(listeners_.size()))}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd.get(), &event);
  listeners_.push_back({index, std::move(fd), std::move(identity), {}});
}

port::RelayClient TurnDtls::client_of(SlotId id, const Association& a) const {
  return {port::RelayTransport::dtls, listeners_[a.listener].index, id.slot, id.generation, a.remote};
}

// ---- in --------------------------------------------------------------------------------------------------

void TurnDtls::receive(uint32_t slot) {
  for (mmsghdr& h : in_) h.msg_hdr.msg_namelen = sizeof(sockaddr_in6);
  const int n = recvmmsg(listeners_[slot].fd.get(), in_.data(), batch, MSG_DONTWAIT, nullptr);
  for (int i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    if (in_[at].msg_hdr.msg_flags & MSG_TRUNC) {
      strays_.add();
      continue;
    }
    datagram(slot, from_sockaddr(&names_[at]), Bytes(area_.get() + at * datagram_bytes, in_[at].msg_len));
  }
  hand_over();
}

void TurnDtls::datagram(uint32_t slot, const SocketAddress& from, Bytes bytes) {
  Listener& l = listeners_[slot];
  const auto known = l.clients.find(from);
  if (known == l.clients.end()) return hello(slot, from, bytes);
  const SlotId id = known->second;
  Association* a = table_.find(id);
  if (!a) return;
  // A client that has lost its association begins again from the same place (RFC 6347 section 4.2.8): beside
  // the old one, which ends when a cookie has shown that it is nobody else.
  if (a->session->state() == dtls::ServerSession::State::open && is_client_hello(bytes))
    return hello(slot, from, bytes);
  const auto before = a->session->state();
  const auto state = a->session->on_datagram(bytes, out_);
  flush(l, from);
  if (state == dtls::ServerSession::State::closed) return end(id, &failed_, false);
  if (before == dtls::ServerSession::State::open) drain(id);
}

void TurnDtls::hello(uint32_t slot, const SocketAddress& from, Bytes bytes) {
  Listener& l = listeners_[slot];
  const std::string name = from.to_string();
  auto session = dtls::on_client_hello(l.identity, bytes, name, out_);
  if (!session) {
    (out_.empty() ? strays_ : cookies_).add();
    return flush(l, from);
  }
  if (const auto old = l.clients.find(from); old != l.clients.end()) end(old->second, &closed_, false);
  if (table_.full() || !sources_.enter(from.ip)) {
    out_.clear();
    return (table_.full() ? refused_full_ : refused_source_).add();
  }
  const SlotId id = table_.emplace();
  Association& a = *table_.find(id);
  a.listener = slot;
  a.remote = from;
  a.session = std::move(session);
  a.begun = a.last_used = now();
  l.clients[from] = id;
  accepted_.add();
  open_.set(table_.size());
  if (next_scan_.is_never()) next_scan_ = now() + scan;
  flush(l, from);
}

void TurnDtls::drain(SlotId id) {
  Association* a = table_.find(id);
  for (;;) {
    if (plain_used_ + datagram_bytes > batch * datagram_bytes) hand_over();
    if (!(a = table_.find(id))) return;
    uint8_t* into = plain_.get() + plain_used_;
    const size_t n = a->session->read({into, datagram_bytes - port::relay_tailroom}, out_);
    if (!out_.empty()) flush(listeners_[a->listener], a->remote);
    if (n == 0) break;
    a->last_used = now();
    port::RelayPacket& p = packets_.emplace_back();
    p.client = client_of(id, *a);
    p.bytes = {into, n};
    plain_used_ += datagram_bytes;
  }
  if (a->session->state() == dtls::ServerSession::State::closed) end(id, &closed_, false);
}

void TurnDtls::hand_over() {
  if (!packets_.empty()) {
    std::vector<port::RelayPacket> packets;
    packets.swap(packets_);
    sink_.relay_packets(packets);
    packets.clear();
    packets_.swap(packets);
  }
  plain_used_ = 0;
  while (!events_.empty())
    for (const port::RelayEvent& e : std::exchange(events_, {})) sink_.relay_event(e);
}

// ---- out -------------------------------------------------------------------------------------------------

void TurnDtls::flush(const Listener& listener, const SocketAddress& to) {
  const RawAddress raw = to_raw(to);
  for (const auto& d : out_)
    if (sendto(listener.fd.get(), d.data(), d.size(), MSG_DONTWAIT, raw.get(), raw.length) < 0) unsent_.add();
  out_.clear();
}

void TurnDtls::send(const port::RelayClient& client, Bytes bytes) {
  Association* a = table_.find({client.slot, client.generation});
  if (!a || !a->session->write(bytes, out_)) return unsent_.add();
  flush(listeners_[a->listener], a->remote);
}

// ---- ends ------------------------------------------------------------------------------------------------

void TurnDtls::end(SlotId id, Counter* why, bool say_goodbye) {
  Association* a = table_.find(id);
  if (!a) return;
  if (why) why->add();
  if (say_goodbye) {
    a->session->close(out_);
    flush(listeners_[a->listener], a->remote);
  }
  port::RelayEvent e;
  e.client = client_of(id, *a);
  events_.push_back(e);
  if (next_scan_.is_never()) next_scan_ = now() + scan;
  sources_.leave(a->remote.ip);
  listeners_[a->listener].clients.erase(a->remote);
  table_.erase(id);
  open_.set(table_.size());
}

void TurnDtls::keep(const port::RelayClient& client) {
  if (Association* a = table_.find({client.slot, client.generation})) a->kept = true;
}

void TurnDtls::let_go(const port::RelayClient& client) {
  if (Association* a = table_.find({client.slot, client.generation})) a->kept = false, a->begun = now();
}

void TurnDtls::close(const port::RelayClient& client) {
  end({client.slot, client.generation}, nullptr, true);
}

void TurnDtls::on_deadlines() {
  const Instant t = now();
  if (next_scan_ > t) return;
  std::vector<std::pair<SlotId, Counter*>> over;
  table_.for_each([&](SlotId id, Association& a) {
    const bool open = a.session->state() == dtls::ServerSession::State::open;
    if (!open) {
      a.session->on_timeout(out_);
      flush(listeners_[a.listener], a.remote);
    }
    if (!open && t - a.begun > config_.handshake)
      over.emplace_back(id, &failed_);
    else if (open && !a.kept && t - a.begun > config_.without_allocation)
      over.emplace_back(id, &idle_);
  });
  for (const auto& [id, why] : over) end(id, why, true);
  next_scan_ = table_.size() > 0 ? t + scan : Instant::never();
  hand_over();
}

}  // namespace tandem::net
