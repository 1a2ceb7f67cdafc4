#pragma once
// The TURN sockets of one worker: UDP listeners and relay ports in batches; the rest it hands to TurnStreams
// and TurnDtls. Start reading at look() and send().
#include <sys/socket.h>

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "base/counters.h"
#include "net/config.h"
#include "net/sockets.h"
#include "net/turn_ports.h"
#include "port/relay.h"

namespace tandem::net {

class TurnStreams;
class TurnDtls;
class TlsContext;
class SourceCounts;

/// The loop, as TURN's sockets see it.
class TurnSink {
 public:
  virtual ~TurnSink() = default;
  /// Hands them to the worker, and sends what comes of it.
  virtual void relay_packets(std::span<port::RelayPacket> packets) = 0;
  virtual void relay_event(const port::RelayEvent& event) = 0;
  virtual Now batch_now() = 0;
};

/// What an epoll entry of TURN is.
enum class TurnTag : uint8_t { listener, relay, acceptor, stream, relay_acceptor, dtls };
constexpr uint64_t turn_tag(TurnTag kind, uint32_t generation, uint32_t slot) {
  return uint64_t{static_cast<uint8_t>(kind)} << 60 | uint64_t{generation & 0x0FFF'FFFF} << 32 | slot;
}

class TurnPlane final : public port::RelayPorts {
 public:
  static constexpr size_t batch_packets = 256;
  static constexpr size_t packet_bytes =
      4096;  // with headroom and tailroom; what is longer is dropped and counted

  TurnPlane(const TurnNetConfig& config, TurnPortPool& numbers, SourceCounts& sources, TurnSink& sink,
            CounterSet& counters);
  ~TurnPlane() override;

  // Before the thread starts. `index` counts the configured TURN listeners.
  void add_udp(uint16_t index, Fd fd);
  void add_stream(uint16_t index, Fd fd, port::RelayTransport transport, const TlsContext* tls);
  TurnDtls& dtls() { return *dtls_; }

  int epoll_fd() const { return epoll_.get(); }
  /// Takes what waits, once around; how many descriptors had something.
  size_t look();
  /// Groups by socket, keeping the order within each.
  void send(const port::RelayOut& out);
  Instant next_deadline() const;
  void on_deadlines();
  void stop_listening();

  bool has(IpAddress::Family family) const override { return static_cast<bool>(address_of(family)); }
  std::optional<port::RelayPort> open(IpAddress::Family family, bool even) override;
  std::optional<std::pair<port::RelayPort, port::RelayPort>> open_pair(IpAddress::Family family) override;
  std::optional<port::RelayPort> open_tcp(IpAddress::Family family) override;
  std::optional<port::RelayPort> reopen(SocketAddress local, bool tcp) override;
  void close(port::RelayPortId id) override;
  port::RelayConnection connect(port::RelayPortId from, SocketAddress peer) override;
  void splice(port::RelayConnection peer, const port::RelayClient& client,
              std::shared_ptr<port::PipeMeter> meter) override;
  void keep(const port::RelayClient& client) override;
  void let_go(const port::RelayClient& client) override;
  void close(port::RelayConnection peer) override;
  void close(const port::RelayClient& client) override;

  size_t open_ports() const { return open_; }

 private:
  static constexpr uint32_t none = UINT32_MAX;
  struct Socket {
    int fd = -1;
    uint32_t generation = 0;
    uint32_t first_send = none, last_send = none;  // chain through links_ while sending
    SocketAddress local;
    bool tcp = false;
  };
  struct Listener {
    uint16_t index;
    Fd fd;
  };

  const IpAddress& address_of(IpAddress::Family family) const {
    return family == IpAddress::Family::v6 ? config_.relay_v6 : config_.relay_v4;
  }
  std::optional<port::RelayPort> bind(SocketAddress local, bool tcp, bool& stranger);
  template <class Take>
  std::optional<port::RelayPort> open_some(IpAddress::Family family, bool tcp, Take&& take);
  Socket* find(port::RelayPortId id);
  size_t receive(int fd, port::RelayPortId port, const Listener* listener);
  void deliver();
  void send_to_peers(std::span<const port::RelayToPeer> sends);
  void put(size_t at, Bytes bytes, const SocketAddress& to);
  void send_some(int fd, size_t count);
  void send_unfragmented(const Socket& socket, const port::RelayToPeer& send);

  const TurnNetConfig& config_;
  TurnPortPool& numbers_;
  TurnSink& sink_;
  Fd epoll_;
  std::vector<Listener> listeners_;
  std::vector<Socket> sockets_;
  std::vector<uint32_t> free_;
  size_t open_ = 0;

  std::unique_ptr<uint8_t[]> area_;
  std::vector<port::RelayPacket> batch_;
  std::array<mmsghdr, batch_packets> in_{};
  std::array<iovec, batch_packets> in_parts_{};
  std::array<sockaddr_in6, batch_packets> in_names_{};

  static constexpr size_t send_group = 64;
  std::array<mmsghdr, send_group> out_{};
  std::array<iovec, send_group> out_parts_{};
  std::array<sockaddr_in6, send_group> out_names_{};
  std::vector<uint32_t> links_;
  std::vector<uint32_t> touched_;

  Counter &received_, &sent_, &too_long_, &unsent_, &stale_, &strangers_, &exhausted_, &failed_;
  std::unique_ptr<TurnStreams> streams_;
  std::unique_ptr<TurnDtls> dtls_;
};

}  // namespace tandem::net
