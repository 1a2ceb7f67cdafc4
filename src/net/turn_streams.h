#pragma once
// TURN over TCP and TLS: clients' connections cut into STUN and ChannelData messages (RFC 8656 section 3.1),
// peers' connections (RFC 6062), and the pipes between them.
#include <cstdint>
#include <memory>
#include <vector>

#include "base/counters.h"
#include "net/config.h"
#include "net/sockets.h"
#include "net/source_counts.h"
#include "net/turn_plane.h"
#include "port/relay.h"

struct ssl_st;

namespace tandem::net {

/// Everything is driven by readiness, level-triggered, on the plane's epoll descriptor. Nothing here calls
/// the sink but ready(), accept_*() and on_deadlines(): what ends while something is sent is told afterwards.
class TurnStreams {
 public:
  TurnStreams(const TurnNetConfig& config, int epoll_fd, SourceCounts& sources, TurnSink& sink,
              CounterSet& counters);
  ~TurnStreams();

  void add_listener(uint16_t index, Fd fd, port::RelayTransport transport, const TlsContext* tls);
  void stop_listening();
  void accept_clients(uint32_t slot);
  void accept_peers(int fd, port::RelayPortId port);
  void ready(uint32_t slot, uint32_t generation, uint32_t events);

  port::RelayConnection connect(const SocketAddress& local, const SocketAddress& peer);
  void splice(port::RelayConnection peer, const port::RelayClient& client,
              const std::shared_ptr<port::PipeMeter>& meter);
  void keep(const port::RelayClient& client);
  void let_go(const port::RelayClient& client);
  void close(port::RelayConnection peer);
  void close(const port::RelayClient& client);

  /// Queues a copy; flush() writes.
  void send(const port::RelayClient& client, Bytes bytes);
  void flush();
  Instant next_deadline() const;
  void on_deadlines();
  size_t size() const { return open_; }

 private:
  enum class State : uint8_t { connecting, handshake, open, piped };
  struct SslFree {
    void operator()(ssl_st* ssl) const;
  };
  struct Stream {
    // given
    uint32_t slot = 0, generation = 0;
    Fd fd;
    std::unique_ptr<ssl_st, SslFree> ssl;
    bool peer = false;
    port::RelayClient client;  // of a client
    // state
    State state = State::open;
    std::vector<uint8_t> in;   // the beginning of a message
    std::vector<uint8_t> out;  // from out_head on
    size_t out_head = 0;
    uint32_t partner = 0, partner_generation = 0;
    bool reading = true, closing = false, dirty = false;
    bool kept = false;                       // it has an allocation
    uint32_t watched = 0;                    // epoll events
    std::shared_ptr<port::PipeMeter> meter;  // of a pipe
    Instant begun, last_used, partial_since = Instant::never(), write_since = Instant::never();
    size_t queued() const { return out.size() - out_head; }
  };
  struct Listener {
    uint16_t index;
    Fd fd;
    port::RelayTransport transport;
    const TlsContext* tls;
    bool paused = false;  // out of descriptors
  };
  enum class Io : uint8_t { done, again, failed };

  static port::RelayConnection name(const Stream& s) { return (s.generation & 0xFFF) << 20 | (s.slot + 1); }
  Stream* at(uint32_t slot, uint32_t generation);
  Stream* of(port::RelayConnection connection);
  Stream* of(const port::RelayClient& client);
  Stream* add(Fd fd);
  void watch(Stream& s);
  void end(Stream& s, Counter* why, bool tell = true);
  void end_pipe(Stream& s, Counter* why);
  void tell();

  // Each of these may end the stream; false: it is gone.
  bool finish_connect(Stream& s);
  bool handshake(Stream& s);
  bool read_messages(Stream& s);
  bool cut(uint32_t slot, uint32_t generation, size_t filled);
  bool pump(Stream& s);
  bool write(Stream& s);
  Io read_some(Stream& s, uint8_t* into, size_t& n);
  Io write_some(Stream& s, size_t& n);
  void enqueue(Stream& s, Bytes bytes);
  Instant now() { return sink_.batch_now().mono; }

  const TurnNetConfig& config_;
  const int epoll_;
  SourceCounts& sources_;
  TurnSink& sink_;
  std::vector<Listener> listeners_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> generations_;
  size_t open_ = 0;
  std::unique_ptr<uint8_t[]> area_;
  Fd spare_;  // to take a connection with when no descriptor is left
  std::vector<port::RelayPacket> messages_;
  std::vector<std::pair<uint32_t, uint32_t>> dirty_, throttled_, unread_;  // slots and generations
  std::vector<port::RelayEvent> events_;
  Instant next_scan_ = Instant::never();
  Instant resume_at_ = Instant::never();

  Counter &accepted_, &connected_, &open_gauge_, &refused_full_, &refused_source_, &errors_, &framing_,
      &handshakes_failed_, &by_peer_, &slow_, &idle_, &dropped_, &piped_octets_;
};

}  // namespace tandem::net
