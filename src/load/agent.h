#pragma once
// Agent: the generator as one machine without I/O, driven like any other worker. Start reading here.
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "base/slot_map.h"
#include "base/timers.h"
#include "load/names.h"
#include "load/settings.h"
#include "load/statistics.h"
#include "load/streams.h"
#include "port/media.h"
#include "port/worker.h"
#include "sdp/description.h"
#include "sip/message.h"
#include "sip/timers.h"
#include "sip/writer.h"

namespace tandem::load {

/// One core's worth of calls. The state machines of RFC 3261 section 17 are reduced to what a generator
/// needs: a request is written anew from the call's state at each retransmission, so that a call in progress
/// holds no copy of what it sent, and a name tells its slot, so that no table is searched for a response.
class Agent final : public port::Worker {
 public:
  /// `dtls` is needed by WebRTC callers and callees, and outlives this.
  Agent(Settings settings, port::MediaPorts& ports, Rng& rng, dtls::Endpoint* dtls = nullptr);

  /// Begins: `caller` and `callee` are the bound addresses of the two listeners (unset where there is none).
  void start(Now now, SocketAddress caller, SocketAddress callee);
  /// No new work; what is up ends as it would.
  void wind_down();
  /// All work that was ordered is over. A callee alone is never done before wind_down(), and one beside a
  /// caller does not wait longer than `patience_for_bye` for the last BYE.
  bool done(Now now) const;
  /// Ends what is still up, and counts it: the last word before the result.
  void finish();
  const Statistics& statistics() const { return statistics_; }

  void on_received(Now now, port::Received message) override;
  void on_flow(Now now, const port::FlowEvent& event) override;
  void on_answer(Now, port::AskId, port::Answer) override {}
  void on_committed(Now, port::CommitId) override {}
  void on_mail(Now, std::unique_ptr<port::MailBody>) override {}
  void on_media(Now now, std::span<port::MediaPacket> packets) override;
  void on_timeout(Now now) override;
  Instant next_timeout() const override;
  port::Outbox& outbox() override { return outbox_; }

 private:
  static constexpr Duration patience_for_bye = seconds(5);

  /// RFC 3261 section 17.1: one request at a time; timers A, B, E and F.
  struct ClientRequest {
    uint32_t cseq = 1;
    Instant sent;                    // the first time
    Instant due = Instant::never();  // next retransmission, or what the call waits for
    Instant give_up = Instant::never();
    Duration interval{};
    std::string authorization;  // empty: none asked for so far
    sip::HeaderId authorization_header = sip::HeaderId::authorization;
  };

  struct OutgoingCall {
    enum class State : uint8_t { calling, proceeding, cancelling, talking, releasing } state = State::calling;
    ClientRequest request;
    std::string to;      // value of To with the tag, once there is one
    std::string target;  // Contact of the callee
    std::string routes;  // route set, as one comma list (section 12.1.2)
    Instant began;
    SlotId stream;
    bool rang = false;
    bool challenged = false, bye_challenged = false;
  };

  struct IncomingCall {
    enum class State : uint8_t { ringing, answered, confirmed } state = State::ringing;
    std::optional<sip::Message> invite;  // until the ACK: responses are made from it
    port::Path path;
    uint64_t key = 0;  // in incoming_by_key_
    Instant due = Instant::never();
    Instant give_up = Instant::never();
    Duration interval{};
    SlotId stream;
  };

  struct Registration {
    ClientRequest request;
    uint32_t user = 0;
    Instant began;
    bool challenged = false;
    bool registered = false;  // waits for its refresh
  };

  /// The pace of one kind of work.
  struct Clockwork {
    Pace pace;
    uint64_t begun = 0;
    Instant next = Instant::never();
    bool finished() const { return begun >= pace.count; }
  };

  struct TimerKey {
    Owner owner;
    SlotId id;
  };

  /// A listener, and how it stands in what is written.
  struct Endpoint {
    SocketAddress local;
    std::string via;      // up to the branch's random part
    std::string contact;  // "@host:port;transport=..."
  };

  // ---- agent.cpp
  void pace(Now now, Clockwork& clock, void (Agent::*begin)(Now));
  void count_start(Now now);
  bool callee_reachable() const;
  void on_timer(Now now, Instant deadline, const TimerKey& key);
  void on_request(Now now, const port::Path& path, sip::Message request);
  void on_response(Now now, const sip::Message& response);
  void arm(Owner owner, SlotId id, Instant& due, Instant when);
  void begin_request(Owner owner, SlotId id, ClientRequest& request, Now now);
  enum class Again : uint8_t { send, timed_out };
  /// Timer A (INVITE) or E is due, or B or F.
  Again again(Owner owner, SlotId id, ClientRequest& request, Now now, bool invite);
  /// `work`: what of the same number leaves by the same connection.
  void send(Buffer bytes, const SocketAddress& to, port::RealmId realm, uint32_t work);
  void reply(const port::Path& path, Buffer bytes);
  SlotId open_stream(Now now, bool wanted, const std::shared_ptr<const Sound>& sound, Wire wire);
  void connect_stream(Now now, SlotId stream, const sdp::Description& remote);
  void start_stream(Now now, SlotId stream, const sip::Message& with_description);
  std::string description(SlotId stream, const Endpoint& at) const;
  /// Writes the credentials for a 401 or 407. False when there is nothing to answer with.
  bool take_challenge(ClientRequest& request, const sip::Message& response, std::string_view method,
                      std::string_view uri, const std::string& user, const std::string& password);

  // ---- caller.cpp
  void begin_call(Now now);
  void send_invite(Now now, SlotId id, OutgoingCall& call);
  void call_head(sip::Writer& w, SlotId id, const OutgoingCall& call, sip::Method method,
                 char transaction) const;
  Buffer write_invite(SlotId id, const OutgoingCall& call) const;
  /// ACK to a 2xx, or BYE: along the route set.
  Buffer write_in_dialog(SlotId id, const OutgoingCall& call, sip::Method method) const;
  Buffer write_cancel(SlotId id, const OutgoingCall& call) const;
  /// ACK to a refusal (section 17.1.1.3), made from it alone.
  Buffer write_refusal_ack(const sip::Message& response) const;
  void to_target(SlotId id, Buffer bytes) {
    send(std::move(bytes), settings_.caller->target, caller_realm, id.slot + id.generation);
  }
  void on_invite_response(Now now, SlotId id, OutgoingCall& call, const sip::Message& response);
  void on_answered(Now now, SlotId id, OutgoingCall& call, const sip::Message& response);
  void on_refused(Now now, SlotId id, OutgoingCall& call, const sip::Message& response);
  void on_bye_response(Now now, SlotId id, OutgoingCall& call, const sip::Message& response);
  void on_caller_response(Now now, SlotId id, const sip::Message& response);
  void on_caller_timer(Now now, SlotId id);
  void release(Now now, SlotId id, OutgoingCall& call);
  void cancel(Now now, SlotId id, OutgoingCall& call);
  void end_call(Now now, SlotId id, const std::string& cause);  // empty: completed

  // ---- callee.cpp
  void on_invite(Now now, const port::Path& path, sip::Message invite);
  void on_in_dialog(Now now, const port::Path& path, const sip::Message& request);
  void on_bye(Now now, const port::Path& path, const sip::Message& request, const Named& named);
  void on_cancel(const port::Path& path, const sip::Message& request);
  void answer(Now now, SlotId id, IncomingCall& call);
  Buffer write_response(SlotId id, const IncomingCall& call, int status) const;
  void on_ack(SlotId id);
  void on_callee_timer(Now now, SlotId id);
  /// An empty cause: completed.
  void end_incoming(SlotId id, const std::string& cause);

  // ---- registration.cpp
  void begin_registration(Now now);
  void send_register(Now now, SlotId id, Registration& r);
  Buffer write_register(SlotId id, const Registration& r) const;
  void on_register_response(Now now, SlotId id, Registration& r, const sip::Message& response);
  void on_registration_timer(Now now, SlotId id);
  void end_registration(SlotId id, const std::string& cause);
  std::string user_name(const Registration& r) const;
  void to_registrar(const Registration& r, Buffer bytes) {
    send(std::move(bytes), settings_.registrations->target, settings_.callee ? callee_realm : caller_realm,
         r.user);
  }

  // ---- given
  const Settings settings_;
  Rng& rng_;
  const sip::Timers timers_;

  // ---- state
  port::Outbox outbox_;
  Statistics statistics_;
  Streams streams_;
  std::shared_ptr<const Sound> caller_sound_, callee_sound_;
  uint32_t run_;
  Endpoint caller_, callee_;
  Clockwork call_clock_, registration_clock_;
  SlotMap<OutgoingCall> outgoing_;
  SlotMap<IncomingCall> incoming_;
  std::unordered_map<uint64_t, SlotId> incoming_by_key_;  // hash of Call-ID and top branch of the INVITE
  SlotMap<Registration> registrations_;
  TimerQueue<TimerKey> timer_queue_;
  bool winding_down_ = false;
  Instant last_ended_;  // the caller's last call
};

/// A cause for the table of failures: "486 Busy Here".
std::string cause_of(const sip::Message& response);

}  // namespace tandem::load
