#pragma once
// The contract between a worker (all protocols of one core, no I/O) and whoever drives it (`net` or the
// simulator).
#include <memory>
#include <span>
#include <vector>

#include "base/time.h"
#include "port/outbox.h"
#include "port/websocket.h"

namespace tandem::port {

/// Inputs come with the time; outputs are left in the Outbox. The driver calls from one thread only, never
/// re-enters, empties the Outbox after each call (or after a batch of calls), and calls on_timeout() at
/// next_timeout() or later.
class Worker {
 public:
  virtual ~Worker() = default;
  virtual void on_received(Now now, Received message) = 0;
  virtual void on_flow(Now now, const FlowEvent& event) = 0;
  /// Of a WebSocket whose subprotocol is not SIP's. A worker that is in charge of none is not asked for one.
  virtual void on_websocket(Now, WebSocketEvent) {}
  virtual void on_answer(Now now, AskId id, Answer answer) = 0;
  /// Every append up to and including `upto` is durable: held sends go out.
  virtual void on_committed(Now now, CommitId upto) = 0;
  virtual void on_mail(Now now, std::unique_ptr<MailBody> body) = 0;
  /// Packets of one receive batch, rewritten in place; what to send is left in outbox().media.
  virtual void on_media(Now now, std::span<MediaPacket> packets) = 0;
  /// The same for TURN: what to send is left in outbox().relay.
  virtual void on_relay(Now, std::span<RelayPacket>) {}
  virtual void on_relay_event(Now, const RelayEvent&) {}
  virtual void on_timeout(Now now) = 0;
  virtual Instant next_timeout() const = 0;
  /// Sends that wait inside for their commit; a driver that stops waits for them a little.
  virtual size_t holding() const { return 0; }
  virtual Outbox& outbox() = 0;
};

}  // namespace tandem::port
