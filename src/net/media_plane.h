#pragma once
// The media sockets of one worker: opening and closing port pairs, receiving and sending in batches; and the
// ports that all its WebRTC legs share.
#include <sys/socket.h>

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "net/media_streams.h"
#include "net/port_range.h"
#include "net/sockets.h"
#include "net/system_rng.h"
#include "port/media.h"

namespace tandem::net {

/// Epoll tag of a media port: generation << 32 | slot, with bit 31 (see udp.h) clear; with bit 30 it is one
/// of MediaStreams. A shared port (hub) has a slot, and so has each leg on it, without a socket.
class MediaPlane final : public port::MediaPorts {
 public:
  static constexpr size_t batch_packets = 256;
  /// Room per datagram. What is longer than packet_bytes - min_tailroom is no media packet: dropped and
  /// counted.
  static constexpr size_t packet_bytes = 2048;
  static constexpr size_t min_tailroom = 128;

  MediaPlane(PortRanges& ranges, int epoll_fd, int receive_buffer, const Limits& limits,
             CounterSet& counters);
  ~MediaPlane() override;

  std::optional<Pair> open_pair(port::RealmId realm, IpAddress::Family like) override;
  std::optional<Pair> reopen_pair(port::RealmId realm, SocketAddress rtp_local) override;
  void close(port::MediaPortId id) override;
  bool widen(port::RealmId realm, Pair& pair, const SocketAddress& same) override;
  std::optional<port::SharedPort> open_shared(port::RealmId realm) override;
  void keep(port::MediaPortId hub, const SocketAddress& remote) override;
  void end(port::MediaPortId hub, const SocketAddress& remote) override;

  /// Binds the realm's shared port of that number in each family it has media in. Before anything runs. The
  /// failure is for people.
  Status<std::string> open_hub(const RealmMedia& realm, uint16_t number, int receive_buffer);

  /// Takes waiting datagrams of the port, or frames, into the batch; returns how many. `events`: of epoll.
  size_t receive(uint64_t tag, uint32_t events = 1);
  Instant next_deadline() const { return streams_.next_deadline(); }
  void on_deadlines();
  bool batch_full() const { return batch_.size() == batch_packets; }
  std::span<port::MediaPacket> batch() { return batch_; }
  void clear_batch() { batch_.clear(); }
  /// Groups by socket, keeping the order within each.
  void send(std::span<const port::MediaSend> sends);
  size_t open_ports() const { return open_; }

 private:
  static constexpr uint32_t none = UINT32_MAX;
  struct Port {
    int fd = -1;        // of a leg on a shared port: none
    int other_fd = -1;  // the same in the other address family
    bool open = false;
    bool v6 = false;  // `fd` is
    bool hub = false;
    uint32_t on = none;  // slot of the hub a leg is on
    uint32_t generation = 0;
    uint32_t first_send = none, last_send = none;  // chain through links_ while sending
    uint32_t pair = 0;
    uint32_t twin = none;  // slot of the pair's other port while that is open
    PortRange* range = nullptr;
    uint32_t other_pair = 0;
    PortRange* other_range = nullptr;
  };
  struct Hub {
    port::RealmId realm;
    port::MediaPort port;
  };

  enum class Bind { done, stranger, failed };
  Bind bind_pair(PortRange& range, uint32_t pair, Fd& rtp, Fd& rtcp);
  Pair add_pair(PortRange& range, uint32_t pair, Fd rtp, Fd rtcp);
  port::MediaPort add(PortRange& range, uint32_t pair, uint16_t number, Fd fd);
  port::MediaPortId take_slot();
  std::optional<uint32_t> bind_free(PortRange& range, Fd& rtp, Fd& rtcp);
  void watch(int fd, port::MediaPortId id);
  size_t receive_datagrams(port::MediaPortId id, int fd);
  size_t receive_frames(uint64_t tag);
  static int socket_of(const Port& port, IpAddress::Family family);
  Port* find(port::MediaPortId id);
  void send_chain(Port& port, std::span<const port::MediaSend> sends);
  void send_some(int fd, size_t count);

  PortRanges& ranges_;
  const int epoll_fd_;
  const int receive_buffer_;
  SystemRng rng_;
  std::vector<Port> ports_;
  std::vector<uint32_t> free_;
  size_t open_ = 0;
  std::vector<Hub> hubs_;
  MediaStreams streams_;

  std::unique_ptr<uint8_t[]> area_;
  std::vector<port::MediaPacket> batch_;
  std::array<mmsghdr, batch_packets> in_{};
  std::array<iovec, batch_packets> in_parts_{};
  std::array<sockaddr_in6, batch_packets> in_names_{};

  static constexpr size_t send_group = 64;
  std::array<mmsghdr, send_group> out_{};
  std::array<iovec, send_group> out_parts_{};
  std::array<sockaddr_in6, send_group> out_names_{};
  std::vector<uint32_t> links_;    // next send of the same port
  std::vector<uint32_t> touched_;  // slots with a chain

  Counter &received_, &sent_, &too_long_, &unsent_, &stale_, &strangers_, &exhausted_, &failed_, &open_gauge_;
};

}  // namespace tandem::net
