#pragma once
// The SIP UDP sockets of one worker.
#include <sys/socket.h>

#include <array>
#include <memory>
#include <vector>

#include "base/counters.h"
#include "net/flow_sink.h"
#include "net/sockets.h"

namespace tandem::net {

/// Slots with this bit are UDP listeners, the rest of the slot is the listener's index. All workers have all
/// of them on shared addresses, so a UDP flow needs no mail: any worker sends on its own socket.
constexpr uint32_t udp_slot_bit = 0x8000'0000;

class UdpListeners {
 public:
  UdpListeners(uint16_t node, uint16_t worker, FlowSink& sink, CounterSet& counters);

  /// `index` counts the configured listeners of all transports; indices come in ascending order.
  void add(uint16_t index, Fd fd, port::RealmId realm);
  struct Watched {
    int fd;
    uint64_t tag;
  };
  std::vector<Watched> watched() const;  // for epoll

  /// Takes one batch from the listener; true when there may be more.
  bool receive(uint64_t tag);
  /// Queues; flush() sends. At most what one flush of the outbox produces waits here.
  void send(port::Send send);
  void flush();

 private:
  static constexpr size_t batch = 32;
  static constexpr size_t first_part = 2048;  // nearly every SIP message fits: no copy
  static constexpr size_t overflow_bytes = 65536 - first_part;
  static constexpr size_t control_bytes = 64;
  struct Listener {
    uint16_t index;
    Fd fd;
    SocketAddress bound;
    port::RealmId realm;
    bool wildcard;
    std::vector<port::Send> out;
  };
  struct alignas(cmsghdr) Control {
    std::array<uint8_t, control_bytes> bytes;
  };

  Listener* by_index(uint32_t index);
  Listener* pick(const port::Path& path);
  void take(Listener& listener, size_t i);
  Buffer assemble(size_t i, size_t length);
  bool keepalive(const Listener& listener, const port::Path& path, Bytes datagram);
  void send_batch(Listener& listener, size_t from, size_t count);

  const uint16_t node_, worker_;
  FlowSink& sink_;
  std::vector<Listener> listeners_;
  std::array<Buffer, batch> buffers_;
  std::unique_ptr<uint8_t[]> overflow_;
  std::array<mmsghdr, batch> messages_{};
  std::array<std::array<iovec, 2>, batch> parts_{};
  std::array<sockaddr_in6, batch> names_{};
  std::array<Control, batch> controls_{};
  Counter &received_, &sent_, &unsent_, &keepalives_, &no_listener_;
};

}  // namespace tandem::net
