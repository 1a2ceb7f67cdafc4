#pragma once
// Worker: all protocols of one core behind the port::Worker contract, and the dispatch between them. Start
// reading at worker.cpp (what comes in), then requests.cpp (who may ask for what), then settle.cpp (what goes
// out).
//
//   on_received ─ edge gate ─ parse ─ owner? ──mail──> the worker that owns it
//                                       │ ours
//                              transaction layer ─ TuEvent ─┬─ response ──────────> the room that asked
//                                                           ├─ inside a dialog ───> call or presence, by
//                                                           To-tag └─ new request ─ who? ─ trunk by source,
//                                                           or digest
//                                                                             └──> registrar, call, presence,
//                                                                             messages
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "call/call_layer.h"
#include "node/settings.h"
#include "port/worker.h"
#include "registrar/registrar.h"
#include "route/plan.h"

namespace tandem::dtls {
class Endpoint;
}

namespace tandem::node {

class Worker final : public port::Worker {
 public:
  /// `ports`, `rng`, `keys` outlive the worker, and `keys` is nobody else's. The counters are the worker's
  /// own and may be read from any thread.
  Worker(const WorkerSettings& settings, std::shared_ptr<const route::Plan> plan, port::MediaPorts& ports,
         Rng& rng, dtls::Endpoint& keys, Now now);
  ~Worker() override;

  void on_received(Now now, port::Received received) override;
  void on_flow(Now now, const port::FlowEvent& event) override;
  void on_websocket(Now now, port::WebSocketEvent event) override;
  void on_answer(Now now, port::AskId id, port::Answer answer) override;
  void on_committed(Now now, port::CommitId upto) override;
  void on_mail(Now now, std::unique_ptr<port::MailBody> body) override;
  void on_media(Now now, std::span<port::MediaPacket> packets) override;
  void on_relay(Now now, std::span<port::RelayPacket> packets) override;
  void on_relay_event(Now now, const port::RelayEvent& event) override;
  void on_timeout(Now now) override;
  Instant next_timeout() const override;
  size_t holding() const override;
  port::Outbox& outbox() override;

  /// What callers hear, and where they are recorded (outlives the worker). Before anything comes in.
  void use(std::shared_ptr<const port::PromptLibrary> prompts, port::Recorder& recorder);

  /// Where TURN relays from (outlives the worker). Before anything comes in; without it there is no TURN
  /// here.
  void use(port::RelayPorts& relays);

  // ---- control, on the worker's thread
  void set_plan(Now now, std::shared_ptr<const route::Plan> plan);
  /// Whose tokens sign subscribers in from now on.
  void set_tokens(const auth::TokenConfig& tokens);
  /// No new calls and no registrations of who is not bound yet (503 with Retry-After); what runs goes on.
  void set_draining(Now now, bool draining);
  /// A subscriber's row changed: ask again before using it. An empty user: all rows.
  void forget_subscriber(const port::AddressOfRecord& aor);
  bool hangup(Now now, call::CallId id, const call::Cause& cause);
  /// Hangs up every call: BYE or CANCEL to each leg, and its record.
  void end_calls(Now now, const call::Cause& cause);
  call::Ordered order(Now now, const call::CallOrder& order);
  bool transfer(Now now, call::CallId id, uint16_t leg, std::string_view target);
  bool set_conference(Now now, std::string_view domain, std::string_view name, std::optional<bool> locked,
                      std::optional<bool> lecture);
  bool mute_member(Now now, std::string_view domain, std::string_view name, call::CallId id, bool on);
  bool remove_member(Now now, std::string_view domain, std::string_view name, call::CallId id);
  call::RecordingDone record(Now now, call::CallId id, call::RecordingAction action, bool announce);
  /// The TURN servers that clients of the JSON API are told, and what their credentials are signed with.
  void offer_turn(std::vector<std::string> uris, std::string secret, Duration lifetime);
  call::PlayDone play(Now now, call::CallId id, const call::PlayOrder& order);
  /// The addresses this machine has from now on: clients of the TURN server reach none of them.
  void set_machine(std::vector<IpAddress> addresses);
  /// A signalling channel is no more, or an access key of such channels (the other is empty): their clients
  /// leave, those that are still on their way from this worker included.
  void end_guests(Now now, const std::string& channel, const std::string& access_key);
  /// Removes all bindings of an AOR this worker owns.
  bool unregister(Now now, const port::AddressOfRecord& aor);

  std::vector<turn::AllocationInfo> turn_allocations(Now now, size_t limit) const;

  const CounterSet& counters() const;
  const call::CallLayer& calls() const;
  const registrar::Registrar& registrar() const;
  const route::Plan& plan() const;
  uint16_t index() const;
  /// The trunks this worker owns: registration, health, calls.
  std::vector<call::TrunkStatus> trunks() const;

  /// What still lives here; all zero when nothing leaks after everything ended.
  struct Load {
    size_t calls = 0, legs = 0, dialogs = 0, server_transactions = 0, client_transactions = 0, asks = 0,
           held_sends = 0, waiting = 0, forwarded_names = 0, lines = 0, seats = 0, endpoints = 0,
           subscriptions = 0, contacts = 0, messages = 0, web_sessions = 0, relays = 0, channel_clients = 0;
  };
  Load load() const;

  // ---- a node is a value
  /// Everything worth keeping, as parts that know their shard, so that a restore may deal them to another
  /// number of workers.
  struct Part {
    enum class Kind : uint8_t {
      call = 1,
      bindings,
      subscription,
      message,
      transaction,
      web_session,
      relay
    } kind;  // in the order of a restore
    uint16_t shard = 0;
    std::string bytes;
  };
  std::vector<Part> snapshot(Now now) const;
  /// All parts of the shards this worker owns, at once. Gives back what was not understood (a newer
  /// version's): keep it.
  std::vector<Part> restore(Now now, std::vector<Part> parts);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  friend struct Mail;
  friend struct MessageMail;
  friend struct AskMail;
  friend struct AnswerMail;
  friend struct LineMail;
  friend struct MailboxMail;
  friend struct SeatMail;
  friend struct TrunkMail;
  friend struct MoveMail;
  friend struct ForwardMail;
  friend struct ForgetMail;
  friend struct AuthFailureMail;
  friend struct FlowClosedMail;
  friend struct PhoneMovedMail;
  friend struct SubscriberChangedMail;
  friend struct WebMail;
  friend struct InnerMail;
  friend struct ChannelMail;
  friend struct ChannelEndMail;
  friend struct InnerFailedMail;
  friend struct RelayMail;
};

}  // namespace tandem::node
