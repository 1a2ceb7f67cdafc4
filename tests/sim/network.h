#pragma once
// The network between phones and nodes: datagrams that get lost, doubled, late and out of order.
#include <cstdint>
#include <unordered_map>

#include "base/address.h"
#include "base/bytes.h"
#include "base/rng.h"
#include "sim/schedule.h"

namespace tandem::sim {

/// A host: everything sent to its address arrives here.
class Host {
 public:
  virtual ~Host() = default;
  virtual void datagram(const SocketAddress& from, const SocketAddress& to, Buffer bytes) = 0;
};

struct NetworkConfig {
  uint32_t loss_per_mille = 50;
  uint32_t double_per_mille = 20;
  uint32_t late_per_mille = 30;  // overtaken by later ones
  Duration fastest = milliseconds(1);
  Duration slowest = milliseconds(20);
  Duration late = milliseconds(150);
};

class Network {
 public:
  Network(Schedule& schedule, uint64_t seed, NetworkConfig config)
      : schedule_(schedule), rng_(seed), config_(config) {}

  void attach(const IpAddress& ip, Host& host) { hosts_[SocketAddress{ip, 0}] = &host; }
  Host* host(const IpAddress& ip) const;
  void send(const SocketAddress& from, const SocketAddress& to, Buffer bytes);
  /// One way, for connections (which lose nothing and keep their order).
  Duration delay() { return between(config_.fastest, config_.slowest); }
  Duration between(Duration least, Duration most);

  uint64_t sent() const { return sent_; }
  uint64_t lost() const { return lost_; }
  /// Of everything that was sent, where and when: two runs of one seed give the same.
  uint64_t digest() const { return digest_; }
  void note(std::string_view text);

 private:
  void deliver(Duration delay, const SocketAddress& from, const SocketAddress& to, Buffer bytes);

  Schedule& schedule_;
  SeededRng rng_;
  NetworkConfig config_;
  std::unordered_map<SocketAddress, Host*, SocketAddressHash> hosts_;
  uint64_t sent_ = 0, lost_ = 0, digest_ = 0;
};

}  // namespace tandem::sim
