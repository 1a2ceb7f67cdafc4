#pragma once
// Runtime: the world of port::Worker objects, one operating system thread each. Start reading here.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "net/config.h"
#include "net/upgrade.h"
#include "port/worker.h"

namespace tandem::net {

/// Who answers questions other than DNS. Called on worker threads: must hand the question on and return; the
/// answer comes back through Runtime::post_answer.
class AskHandler {
 public:
  virtual ~AskHandler() = default;
  virtual void ask(uint16_t worker, port::Asked asked) = 0;
};

/// Where durable records go; Runtime::post_committed reports progress. Called on worker threads; must not
/// block.
class SpoolHandler {
 public:
  virtual ~SpoolHandler() = default;
  virtual void append(uint16_t worker, std::vector<port::Append> records) = 0;
};

/// Called on worker threads; must not block.
class EventHandler {
 public:
  virtual ~EventHandler() = default;
  virtual void events(uint16_t worker, std::vector<port::Event> events) = 0;
  /// Messages as they passed; only while Outbox::trace_sip is on.
  virtual void traces(uint16_t, std::span<const port::SipTrace>) {}
};

class Runtime {
 public:
  /// What a worker may do to the world at once, beside the Outbox.
  struct Capabilities {
    port::MediaPorts& media;
    port::RelayPorts* relays = nullptr;                   // null: there are no TURN listeners
    operator port::MediaPorts&() const { return media; }  // NOLINT: most want no more
  };
  using WorkerFactory = std::function<std::unique_ptr<port::Worker>(uint16_t index, const Capabilities&)>;

  Runtime(RuntimeConfig config, WorkerFactory factory, AskHandler& asks, SpoolHandler& spool,
          EventHandler& events);
  ~Runtime();

  /// Opens all sockets, builds the workers (on the calling thread), then starts the threads. On failure
  /// nothing runs and the text is for people: "cannot listen on udp 0.0.0.0:5060: address already in use".
  Status<std::string> start();
  /// Drains outboxes, held sends and write queues for at most `stop_grace`, then joins all threads. The
  /// handlers must live until it returns. Idempotent.
  void stop();

  // From any thread.
  void post_answer(uint16_t worker, port::AskId id, port::Answer answer);
  void post_committed(uint16_t worker, port::CommitId upto);
  /// False when the worker's mailbox is full and the mail may be lost: it is gone, and counted.
  bool post_mail(uint16_t worker, std::unique_ptr<port::MailBody> body);
  /// Runs `task` on the worker's thread between two batches: how control threads read or change a worker's
  /// state.
  using Task = std::function<void(Now, port::Worker&)>;
  bool post_task(uint16_t worker, Task task);
  /// Likewise, for what nobody says again: a full mailbox takes it, too.
  void post_change(uint16_t worker, Task task);

  /// Gives a WebSocket to the worker that has fewest of them; it stays there. On refusal `connection` is left
  /// as it was. Any thread.
  std::optional<UpgradeRefusal> adopt(Upgraded& connection);

  /// Reads all certificate files again, for connections to come. On failure the old ones stay in use.
  Status<std::string> reload_certificates();

  /// Addresses the listeners are bound to, in the order of the configuration (real numbers for port 0).
  const std::vector<SocketAddress>& bound() const;
  /// Of the TURN listeners likewise.
  const std::vector<SocketAddress>& turn_bound() const;
  uint16_t workers() const;
  const CounterSet& counters(uint16_t worker) const;  // after start(); of the loop, not of the port::Worker
  const CounterSet& dns_counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::net
