#pragma once
// The loop around one port::Worker: one wait, inputs in batches, the Outbox emptied after each.
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <map>
#include <memory>
#include <vector>

#include "net/connections.h"
#include "net/dns_service.h"
#include "net/mailbox.h"
#include "net/media_plane.h"
#include "net/runtime.h"
#include "net/turn_plane.h"
#include "net/udp.h"

namespace tandem::net {

/// What all loops of a runtime share.
struct World {
  const RuntimeConfig& config;
  AskHandler& asks;
  SpoolHandler& spool;
  EventHandler& events;
  DnsService& dns;
  PortRanges& ranges;
  SourceCounts& sources;
  TurnPortPool* turn_ports;  // null: no TURN here
  SourceCounts& turn_sources;
  std::vector<std::unique_ptr<Mailbox>>& mailboxes;  // by worker
};

/// Asio's reactor is the one wait: connections and the mailbox hang on it directly, all datagram sockets
/// through one nested epoll descriptor. While datagrams flow that descriptor is not waited for but looked at
/// once per tick, until a few ticks saw none: taking what has gathered costs less than being woken for each.
class WorkerLoop final : private FlowSink, private TurnSink {
 public:
  WorkerLoop(uint16_t index, World& world);
  ~WorkerLoop() override;

  // Before the thread starts.
  UdpListeners& udp() { return udp_; }
  Connections& connections() { return connections_; }
  MediaPlane& media_ports() { return media_; }
  TurnPlane* turn() { return turn_.get(); }  // null: no TURN here
  void set_worker(std::unique_ptr<port::Worker> worker) { worker_ = std::move(worker); }

  /// The thread's body; returns some time after request_stop().
  void run();
  void request_stop();
  const CounterSet& counters() const { return counters_; }

 private:
  void received(port::Received message) override;
  void flow_event(const port::FlowEvent& event) override;
  void websocket(port::WebSocketEvent event) override;
  Now batch_now() override;
  void send_failed(const port::Path& path, port::SendId send, uint16_t from) override;
  void event(port::Level level, std::string_view name,
             std::vector<std::pair<std::string_view, std::string>> fields) override;

  void relay_packets(std::span<port::RelayPacket> packets) override;
  void relay_event(const port::RelayEvent& event) override;

  void watch_datagrams();
  void wait_mailbox();
  void wait_datagrams();
  void step();
  Instant next_wake();
  void wait();
  void read_mailbox();
  void open_mail(MailItem& item);
  void committed(port::CommitId upto);
  void read_datagrams();
  size_t read_ready();
  void hand_media();
  void timeouts();
  void flush();
  void flush_once();
  void dispatch(port::Send send);
  void dispatch_ask(port::Asked asked);
  void close_flow(const port::FlowId& flow);
  bool stopped();
  template <class F>
  void call(F&& f);

  const uint16_t index_;
  World& world_;
  CounterSet counters_;
  boost::asio::io_context io_{1};
  Fd datagrams_;  // the nested epoll
  Mailbox& mailbox_;
  boost::asio::posix::stream_descriptor mailbox_wait_, datagrams_wait_;
  UdpListeners udp_;
  Connections connections_;
  MediaPlane media_;
  std::unique_ptr<TurnPlane> turn_;
  std::unique_ptr<port::Worker> worker_;  // after media_: closes its ports when it goes

  Now now_{};
  bool now_read_ = false;
  bool datagrams_ready_ = false, ticking_ = false;
  int quiet_ = 0;  // ticks in a row that saw no datagram
  Instant next_tick_;
  bool flushing_ = false;
  // Came up while flushing.
  std::vector<port::FlowEvent> late_events_;
  std::vector<port::WebSocketEvent> late_websockets_;
  std::vector<MailItem> mail_;
  std::atomic<bool> stop_requested_{false};
  Instant stop_by_ = Instant::never();

  Counter &wakes_, &exceptions_, &shed_, &stalls_, &mails_;
};

}  // namespace tandem::net
