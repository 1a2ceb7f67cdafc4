#pragma once
// TURN over DTLS (RFC 7350): one UDP socket a listener and worker, an association for each client that has
// proved its address.
#include <array>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/slot_map.h"
#include "dtls/server.h"
#include "net/config.h"
#include "net/sockets.h"
#include "net/source_counts.h"
#include "net/turn_plane.h"
#include "port/relay.h"

namespace tandem::net {

class TurnDtls {
 public:
  TurnDtls(const TurnNetConfig& config, int epoll_fd, SourceCounts& sources, TurnSink& sink,
           CounterSet& counters);
  ~TurnDtls();

  using Identity = std::shared_ptr<const dtls::ServerIdentity>;
  void add_listener(uint16_t index, Fd fd, Identity identity);
  void receive(uint32_t slot);
  void send(const port::RelayClient& client, Bytes bytes);
  void keep(const port::RelayClient& client);
  void let_go(const port::RelayClient& client);
  void close(const port::RelayClient& client);
  Instant next_deadline() const { return next_scan_; }
  void on_deadlines();
  size_t size() const { return table_.size(); }

 private:
  static constexpr size_t batch = 64;
  static constexpr size_t datagram_bytes =
      2048;  // a record and what is around it; longer is cut by no path we know
  struct Listener {
    uint16_t index;
    Fd fd;
    Identity identity;
    std::unordered_map<SocketAddress, SlotId, SocketAddressHash> clients;
  };
  struct Association {
    uint32_t listener = 0;
    SocketAddress remote;
    std::unique_ptr<dtls::ServerSession> session;
    Instant begun, last_used;
    bool kept = false;  // it has an allocation
  };

  void datagram(uint32_t slot, const SocketAddress& from, Bytes bytes);
  void hello(uint32_t slot, const SocketAddress& from, Bytes bytes);
  void drain(SlotId id);
  void flush(const Listener& listener, const SocketAddress& to);
  void end(SlotId id, Counter* why, bool say_goodbye);
  void hand_over();
  port::RelayClient client_of(SlotId id, const Association& a) const;
  Instant now() { return sink_.batch_now().mono; }

  const TurnNetConfig& config_;
  const int epoll_;
  SourceCounts& sources_;
  TurnSink& sink_;
  std::vector<Listener> listeners_;
  SlotMap<Association> table_;
  dtls::Datagrams out_;
  std::unique_ptr<uint8_t[]> area_, plain_;
  std::array<mmsghdr, batch> in_{};
  std::array<iovec, batch> parts_{};
  std::array<sockaddr_in6, batch> names_{};
  std::vector<port::RelayPacket> packets_;
  size_t plain_used_ = 0;
  std::vector<port::RelayEvent> events_;
  Instant next_scan_ = Instant::never();

  Counter &accepted_, &open_, &cookies_, &strays_, &refused_full_, &refused_source_, &failed_, &idle_,
      &closed_, &unsent_;
};

}  // namespace tandem::net
