#pragma once
// The TCP, TLS and WebSocket connections of one worker: accepting, connecting, framing, write queues,
// deadlines.
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/counters.h"
#include "base/slot_map.h"
#include "base/timers.h"
#include "net/config.h"
#include "net/flow_sink.h"
#include "net/sockets.h"
#include "net/source_counts.h"
#include "net/ssl_pointer.h"
#include "net/system_rng.h"
#include "net/tls.h"
#include "net/upgrade.h"
#include "net/websocket_framer.h"
#include "sip/framer.h"

namespace tandem::net {

/// Everything is driven by readiness: nothing here waits for a peer. A connection is named by its slot,
/// handlers look it up again, so one that is gone is simply not found.
class Connections {
 public:
  Connections(boost::asio::io_context& io, uint16_t node, uint16_t worker, FlowSink& sink,
              const Limits& limits, SourceCounts& sources, CounterSet& counters);
  ~Connections();

  void add_listener(Fd fd, port::Transport transport, port::RealmId realm, const TlsContext* tls);
  /// Connections of the realm that we open: their TLS, whether their peers must prove who they are (RFC
  /// 5922), and the address they leave from, of its family (unspecified: the system's choice).
  void set_outgoing(const RealmOutgoing& realm, const TlsContext* tls, const IpAddress& from);

  /// A WebSocket whose request was granted. Its source has been counted in (SourceCounts), and so has it
  /// (expect_websocket).
  void adopt(Upgraded upgraded);
  /// One more is on its way here; any thread. What this worker has of them, or will have.
  void expect_websocket() { websockets_.fetch_add(1, std::memory_order_relaxed); }
  void forget_websocket() { websockets_.fetch_sub(1, std::memory_order_relaxed); }
  size_t websockets() const { return websockets_.load(std::memory_order_relaxed); }
  /// Tells every WebSocket that the node goes away (1001); what fits into their sockets is written.
  void say_goodbye();

  /// Queues on the flow, on a connection of the same identity, or on a new one. flush() writes.
  /// `from` is the worker that hears of a failure.
  void send(port::Send send, uint16_t from);
  void flush();
  /// Closes after what is queued has been written. A WebSocket's peer is told the code (RFC 6455 section 7.4)
  /// and the reason.
  void close(port::FlowId flow, uint16_t code = 1000, std::string_view reason = {});

  Instant next_deadline() const;
  void on_deadlines();
  void stop_listening();
  bool writing() const { return writing_ > 0; }  // bytes wait in some queue
  size_t size() const { return table_.size(); }

 private:
  enum class State : uint8_t { connecting, handshake, upgrading, open };
  enum class Io : uint8_t { done, again, failed };
  struct Pending {
    Buffer bytes;
    size_t written = 0;
    port::SendId notify = 0;
    uint16_t from = 0;
    bool message = true;  // no keep-alive, no handshake
  };
  /// What must be equal to share a connection: never across TLS identities.
  using Identity = std::tuple<port::Transport, port::RealmId, SocketAddress, std::string, uint32_t>;

  struct Connection {
    explicit Connection(boost::asio::io_context& io) : socket(io) {}
    // given
    SlotId id;
    boost::asio::ip::tcp::socket socket;
    SslPointer ssl;
    std::unique_ptr<WebSocketFramer> web;                   // null: a stream of SIP
    std::shared_ptr<const port::WebSocketRequest> request;  // of a WebSocket that is not SIP's
    port::Path path;
    std::string peer_name;                      // TLS we opened: who the peer must prove to be
    uint32_t lane = 0;                          // port::Send::lane of the send we opened it for
    std::unique_ptr<UpgradeQuestion> question;  // of a WebSocket we open, until it is answered
    bool accepted = false;
    // state
    State state = State::open;
    bool reading = false, write_waiting = false;  // a wait is under way
    bool dirty = false, congested = false, closing = false, was_opened = false;
    bool pinged = false;  // and nothing has come since
    sip::Framer framer;
    std::deque<Pending> out;
    size_t queued = 0;
    Instant begun, last_used, last_read, partial_since = Instant::never(), write_since = Instant::never();
    Instant close_by = Instant::never();
    Instant armed = Instant::never();
  };
  struct Listener {
    boost::asio::ip::tcp::acceptor acceptor;
    port::Transport transport;
    port::RealmId realm;
    const TlsContext* tls;
    SocketAddress bound;
    Instant paused_until = Instant::never();  // out of descriptors
  };
  struct Outgoing {
    const TlsContext* tls = nullptr;
    bool verify = true;
    std::string websocket_path;
    IpAddress from_v4, from_v6;
  };

  void arm_accept(Listener& listener);
  void accept_some(Listener& listener);
  void accepted(Listener& listener, Fd fd);
  Connection* connect(const port::Send& send);
  bool begin_tls(Connection& c, const TlsContext* tls);
  bool expect_peer(Connection& c);
  void tell_handshake_failed(const Connection& c, bool untrusted);
  static port::CertifiedNames names_of_peer(const Connection& c);
  Connection* add(Fd fd, const port::Path& path, bool accepted);
  Connection* reusable(const port::Send& send);

  // Each of these may end the connection; false: it is gone.
  bool progress(Connection& c);
  bool finish_connect(Connection& c);
  bool handshake(Connection& c);
  bool transported(Connection& c);
  /// `first`: bytes of the peer's that have been read already.
  bool opened(Connection& c, Bytes first = {});
  bool read_some(Connection& c);
  bool deliver(Connection& c, Bytes bytes);
  void note_partial(Connection& c, bool partial, bool whole);
  bool write_some(Connection& c);
  bool after_write(Connection& c);
  bool enqueue(Connection& c, Pending pending);

  // Whoever is in charge of the connection is told.
  void tell(const Connection& c, port::FlowEvent::Kind kind);

  // WebSockets (connection_web.cpp)
  bool ask_websocket(Connection& c);
  bool await_websocket(Connection& c);
  bool deliver_frames(Connection& c, Bytes bytes);
  bool write_frames(Connection& c, port::SendId notify, uint16_t from);
  bool send_frame(Connection& c, port::Send send, uint16_t from);
  void begin_close(Connection& c);
  bool ping_due(const Connection& c) {
    return c.web && !c.pinged && !c.closing && c.last_read + limits_.websocket_ping <= now();
  }
  void ping(Connection& c);
  Counter* count_of(WebSocketFramer::End end);

  Io read_bytes(Connection& c, size_t& n);
  Io write_bytes(Connection& c, size_t& n);
  void taken(Connection& c, size_t n);
  void wait_read(Connection& c);
  void wait_write(Connection& c);
  void mark_dirty(Connection& c);
  Instant now() { return sink_.batch_now().mono; }
  Instant due(const Connection& c) const;
  void rearm(Connection& c);
  void expire(Connection& c);
  void end(Connection& c, Counter* why);
  Identity identity(const Connection& c) const;
  static std::string peer_name(const port::Send& send);
  bool may_open(const port::Send& send);

  boost::asio::io_context& io_;
  const uint16_t node_, worker_;
  FlowSink& sink_;
  const Limits limits_;
  SourceCounts& sources_;
  std::deque<Listener> listeners_;
  std::map<port::RealmId, Outgoing> outgoing_;
  SlotMap<Connection> table_;
  std::map<Identity, SlotId> by_identity_;
  std::vector<SlotId> dirty_, dirty_now_;
  TimerQueue<SlotId> deadlines_;
  SystemRng rng_;
  std::unique_ptr<uint8_t[]> area_;
  size_t writing_ = 0;  // connections with queued bytes
  std::atomic<size_t> websockets_{0};

  struct Counts {
    explicit Counts(CounterSet& set);
    Counter &accepted, &connected, &upgraded, &open, &keepalives;
    std::array<Counter*, 5> received, sent;  // by transport
    Counter &refused_full, &refused_source, &accept_errors, &connect_failed, &handshake_failed, &untrusted,
        &by_peer, &framing;
    Counter &slow_reader, &slow_sender, &slow_handshake, &slow_connect, &idle, &by_us;
    Counter &dead_peer, &web_protocol, &web_too_big, &web_not_utf8, &web_fragments, &web_message_rate,
        &web_control_rate;
  } counts_;
};

}  // namespace tandem::net
