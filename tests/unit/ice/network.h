#pragma once
// A small internet on virtual time: public hosts, private networks behind NATs of the four classic kinds,
// loss, delay and reordering, all from one seed. Hairpinning is off: who calls his own NAT's address from
// inside reaches nobody.
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/address.h"
#include "base/rng.h"
#include "base/time.h"

namespace tandem::ice::test {

using Octets = std::vector<uint8_t>;

inline SocketAddress at(const char* text) { return SocketAddress::parse(text).value(); }

enum class NatKind : uint8_t { full_cone, address_restricted, port_restricted, symmetric };

/// A private network behind one public address.
class Nat {
 public:
  Nat(NatKind kind, IpAddress outside) : outside_(outside), kind_(kind) {}
  IpAddress outside() const { return outside_; }
  NatKind kind() const { return kind_; }

  /// What a datagram from inside looks like outside; remembers whom it went to.
  SocketAddress out(const SocketAddress& from, const SocketAddress& to) {
    const auto key = std::pair(from, kind_ == NatKind::symmetric ? to : SocketAddress{});
    const auto [mapping, is_new] = mappings_.try_emplace(key, next_port_);
    if (is_new) inside_[next_port_++] = from;
    called_[mapping->second].insert(to);
    return {outside_, mapping->second};
  }
  /// Where a datagram from outside goes; nothing: nowhere.
  std::optional<SocketAddress> in(const SocketAddress& from, uint16_t port) const {
    const auto inside = inside_.find(port);
    if (inside == inside_.end()) return std::nullopt;
    if (kind_ == NatKind::full_cone) return inside->second;
    for (const SocketAddress& called : called_.at(port))
      if (called == from || (kind_ == NatKind::address_restricted && called.ip == from.ip))
        return inside->second;
    return std::nullopt;
  }
  /// It was switched off and on.
  void forget() {
    mappings_.clear();
    inside_.clear();
    called_.clear();
  }

 private:
  IpAddress outside_;
  NatKind kind_;
  uint16_t next_port_ = 40000;
  std::map<std::pair<SocketAddress, SocketAddress>, uint16_t> mappings_;
  std::map<uint16_t, SocketAddress> inside_;
  std::map<uint16_t, std::set<SocketAddress>> called_;
};

class Network {
 public:
  using Handler = std::function<void(const SocketAddress& from, const Octets& bytes)>;

  explicit Network(uint64_t seed) : rng_(seed) {}

  double loss = 0;
  Duration least_delay = milliseconds(10);
  Duration most_delay = milliseconds(10);  // more than the least: datagrams overtake each other
  /// Everything sent, also what is lost. May say false: it is not carried.
  std::function<bool(const SocketAddress& from, const SocketAddress& to, const Octets& bytes)> watch;
  size_t sent = 0;

  /// `nat`: the private network the socket is in; null: the public one.
  void attach(const SocketAddress& local, Nat* nat, Handler handler) {
    sockets_[{nat, local}] = std::move(handler);
    if (nat != nullptr) nats_[nat->outside()] = nat;
  }
  void detach(const SocketAddress& local, Nat* nat) { sockets_.erase({nat, local}); }

  void send(Instant now, const SocketAddress& from, Nat* nat, const SocketAddress& to, Octets bytes) {
    ++sent;
    const auto watching = watch;  // it may put another in its place
    if (watching && !watching(from, to, bytes)) return;
    if (loss > 0 && static_cast<double>(rng_.below(1'000'000)) < loss * 1e6) return;
    const auto spread = static_cast<uint64_t>((most_delay - least_delay).count());
    const Duration delay = least_delay + Duration(static_cast<int64_t>(rng_.below(spread + 1)));
    if (nat != nullptr && sockets_.count({nat, to}) != 0)
      queue_[{now + delay, ++sequence_}] = {from, to, nat, std::move(bytes)};
    else if (to.ip.is_private() || (nat != nullptr && to.ip == nat->outside()))
      return;
    else
      queue_[{now + delay, ++sequence_}] = {nat != nullptr ? nat->out(from, to) : from, to, nullptr,
                                            std::move(bytes)};
  }

  Instant next() const { return queue_.empty() ? Instant::never() : queue_.begin()->first.first; }
  /// The earliest datagram, when it is due.
  bool deliver(Instant now) {
    if (next() > now) return false;
    const Flying f = std::move(queue_.begin()->second);
    queue_.erase(queue_.begin());
    std::pair<Nat*, SocketAddress> socket{f.nat, f.to};
    if (const auto nat = nats_.find(f.to.ip); f.nat == nullptr && nat != nats_.end()) {
      const auto inside = nat->second->in(f.from, f.to.port);
      if (!inside) return true;
      socket = {nat->second, *inside};
    }
    if (const auto to = sockets_.find(socket); to != sockets_.end()) to->second(f.from, f.bytes);
    return true;
  }

 private:
  struct Flying {
    SocketAddress from, to;
    Nat* nat;
    Octets bytes;
  };
  SeededRng rng_;
  std::map<std::pair<Nat*, SocketAddress>, Handler> sockets_;
  std::map<IpAddress, Nat*> nats_;
  std::map<std::pair<Instant, uint64_t>, Flying> queue_;
  uint64_t sequence_ = 0;
};

}  // namespace tandem::ice::test
