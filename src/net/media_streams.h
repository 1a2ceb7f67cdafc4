#pragma once
// Media over TCP on shared ports: connections that peers open to passive candidates (RFC 6544), and the
// frames in them (RFC 4571). Whose a connection is, is for the receiver of its frames to find out; one that
// nobody keeps soon ends.
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/counters.h"
#include "base/slot_map.h"
#include "base/timers.h"
#include "net/config.h"
#include "net/sockets.h"

namespace tandem::net {

///     0                   1
///    |           LENGTH            | RTP, RTCP, STUN or DTLS, LENGTH octets
class MediaStreams {
 public:
  /// Epoll tags of ours have this bit in their slot; the rest is as a media port's (media_plane.h).
  static constexpr uint32_t tag_bit = 0x4000'0000;

  /// `longest`: octets of a frame; a longer one ends its connection. The epoll descriptor outlives this.
  MediaStreams(int epoll_fd, size_t longest, const Limits& limits, CounterSet& counters);
  ~MediaStreams();

  /// Takes connections to `hub`, a port's slot.
  void listen(uint32_t hub, Fd fd);

  struct Frame {
    enum class Kind : uint8_t {
      none,  // no whole frame is left in what was read
      data,  // `length` octets
      end,   // a kept connection is there no more
    } kind = Kind::none;
    uint32_t hub = 0;
    SocketAddress remote;
    size_t length = 0;
  };
  /// What epoll said of a tag: listeners accept, queues are written.
  void ready(Instant now, uint64_t tag, uint32_t events);
  /// The next frame of the connection, into `area` (room for the longest). One that is not kept gives one a
  /// turn: whose it is must be known before there is more.
  Frame read(Instant now, uint64_t tag, uint8_t* area);
  bool is_kept(uint64_t tag) const;
  static bool is_listener(uint64_t tag);

  /// Framed and sent. No such connection, or its queue is full: dropped and counted.
  void send(Instant now, uint32_t hub, const SocketAddress& remote, Bytes bytes);
  void keep(Instant now, uint32_t hub, const SocketAddress& remote);
  void end(uint32_t hub, const SocketAddress& remote);

  Instant next_deadline() const { return deadlines_.next(); }
  void on_deadlines(Instant now);
  size_t size() const { return table_.size(); }

 private:
  struct Listener {
    uint32_t hub;
    Fd fd;
    bool paused = false;  // no descriptor was left
  };
  struct Connection {
    Fd fd;
    uint32_t hub = 0;
    SocketAddress remote;
    bool kept = false;
    std::vector<uint8_t> in;  // a header, a frame, and the next one's header at most
    size_t have = 0;
    std::vector<uint8_t> out;  // what the system has not taken
    size_t out_at = 0;
    Instant heard;              // the latest frame; before it is kept, the connection's begin
    Instant stalled;            // since then nothing of `out` was taken
    Instant deadline;           // as armed
    Counter* ending = nullptr;  // we have given it up, for that reason: what reading will find
  };
  struct Key {
    uint32_t hub;
    SocketAddress remote;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& k) const noexcept { return SocketAddressHash{}(k.remote) ^ k.hub; }
  };

  void accept(Instant now, Listener& listener);
  bool admit(const SocketAddress& remote);
  Connection* find(uint32_t hub, const SocketAddress& remote, SlotId* id = nullptr);
  void write(Instant now, SlotId id, Connection& c);
  void watch(SlotId id, const Connection& c) const;
  void arm(SlotId id, Connection& c);
  Instant due(const Connection& c) const;
  void close(SlotId id, Counter& why);

  // given
  const int epoll_;
  const size_t longest_;
  const Limits limits_;
  // state
  std::vector<Listener> listeners_;
  SlotMap<Connection> table_;
  std::unordered_map<Key, SlotId, KeyHash> by_remote_;
  std::map<IpAddress, size_t> by_source_;
  size_t unproven_ = 0;
  TimerQueue<SlotId> deadlines_;  // a null id: listeners that were paused

  struct Counts {
    explicit Counts(CounterSet& set);
    Counter &accepted, &open, &frames_in, &frames_out;
    Counter &full, &crowded, &unproven_full, &accept_errors;
    Counter &unproven, &framing, &idle, &stalled, &by_peer, &by_us;
    Counter &queue_full, &gone;
  } counts_;
};

}  // namespace tandem::net
