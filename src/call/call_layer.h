#pragma once
// Calls of one worker. Messages, media events, answers and time go in; what must be sent, asked, appended
// (CDRs), told (LineUpdate) or moved (CallMove) is left in the Outbox.
//
//   TuEvent ---> on_sip() ----+         +--> sip::TransactionLayer (requests, responses)
//   Answer  ---> on_answer() -+-> Call -+--> media::Engine (endpoints, joins, music)
//   MediaEvent > on_media() --+         +--> Outbox (asks, appends, lines, moves, events)
//   time    ---> on_timeout() +
//
// Start reading at call.h (what a call is), then setup.cpp and connected.cpp (what happens to it).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"
#include "call/cause.h"
#include "call/config.h"
#include "call/trunk_registration.h"
#include "call/trunk_watch.h"
#include "media/engine.h"
#include "port/enum_text.h"
#include "port/outbox.h"
#include "route/plan.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::call {

/// Name of a call: random, the same after a move or a restore; also the trail of its events.
using CallId = uint64_t;

/// For lists and status pages.
struct LegInfo {
  uint16_t id = 0;
  std::string party;  // number or user@domain
  std::string display;
  std::string call_id;  // SIP Call-ID
  std::string local_tag;
  std::string remote_tag;
  std::string state;   // "ringing", "connected", "held", ...
  std::string remote;  // signalling address
  std::string codec;
  std::string recording;  // "", "running" or "paused"
  media::LegStatistics media;
};
struct CallInfo {
  CallId id = 0;
  std::string state;  // "setup", "ringing", "connected", "parked", "transferring", "releasing"
  std::string caller, callee;
  WallTime started;
  WallTime answered;       // ns == 0: not yet
  std::string route;       // the rule that decided
  std::string ordered_by;  // who placed it over REST; empty: a telephone did
  std::vector<LegInfo> legs;
};

/// A call that nobody's telephone places: both parties are called, one after the other.
struct CallOrder {
  port::SubscriberAnswer caller;  // on whose account: its permissions, its numbers; never null
  bool own = true;                // its own telephones ring first
  std::string from;               // else: the number or URI that does, as `caller` would dial it
  std::string to;                 // number or URI called when that has answered
  std::string shown;              // to the first party, as who calls; empty: `to`
  std::string display;            // likewise, the name
  std::string by;                 // who ordered it, for its records
  Duration ring{};                // how long the first party may ring; 0: CallConfig::setup_timeout
  uint16_t shard = 0;             // of the call; one of this worker's
};

/// What came of an order.
struct Ordered {
  enum class Outcome : uint8_t { placed, draining, full } outcome = Outcome::placed;
  CallId call = 0;  // placed
};

/// Who is in a conference now.
struct ConferenceInfo {
  struct Member {
    CallId call = 0;
    std::string party;  // number or user@domain
    std::string display;
    bool moderator = false;
    bool muted = false;
    bool waits = false;   // for a moderator
    bool talks = false;   // muted or not
    uint8_t level = 127;  // of its last 20 ms, in -dBov (RFC 6464)
  };
  std::string domain, name;
  bool locked = false;
  bool lecture = false;
  std::vector<Member> members;
};

/// What may be asked of the recording of a call, and what came of it.
enum class RecordingAction : uint8_t { start, stop, pause, resume };
enum class RecordingDone : uint8_t {
  done,
  no_call,
  not_talking,   // nobody has answered yet
  not_recorded,  // there is nothing to stop, pause or resume
  forbidden,     // RecordPolicy::never of a party
  failed,        // the recorder refuses (its limits), or there is no media of ours to record
};

/// Sounds for those who talk, each instead of its partner, who goes on being heard. It ends with its last
/// round, when a party holds, and when the call's parties change. A file that cannot be read is passed over.
struct PlayOrder {
  struct Sound {
    std::string language, prompt;  // of the port::PromptLibrary; or
    port::SoundFile file;          // when `prompt` is empty
  };
  std::vector<uint16_t> legs;  // who hears it; empty: all
  std::vector<Sound> sounds;   // none: what is played ends
  uint32_t rounds = 1;         // 0: until it is ended
};
enum class PlayDone : uint8_t {
  done,
  no_call,
  no_leg,       // no such leg, or it has not answered
  no_prompt,    // nobody has the prompt
  not_talking,  // nobody has answered yet, or a service of ours speaks
  held,         // and hears music
  failed,       // there is no media of ours, or no codec of it
};

}  // namespace tandem::call

template <>
struct tandem::port::EnumText<tandem::call::RecordingAction> {
  static constexpr std::string_view names[] = {"start", "stop", "pause", "resume"};
};

namespace tandem::call {

class CallLayer {
 public:
  struct Parts {
    sip::TransactionLayer& transactions;
    sip::TokenMint& mint;
    media::Engine& engine;
    Rng& rng;
    CounterSet& counters;
    const ContactProvider& contacts;
  };
  CallLayer(Parts parts, const CallConfig& config, std::shared_ptr<const route::Plan> plan);
  ~CallLayer();
  CallLayer(const CallLayer&) = delete;
  CallLayer& operator=(const CallLayer&) = delete;

  // ---- inputs ----
  /// Out-of-dialog INVITE (and OPTIONS, INFO, REFER... inside a dialog of ours, `identity` then unused), ACK,
  /// CANCEL, responses and timer events whose TuRef names the call room. A request inside a dialog that is
  /// not ours is answered 481.
  void on_sip(Now now, sip::TuEvent&& event, const Identity& identity, port::Outbox& out);
  /// `object`: Asker::object of the ask. Late and unknown answers are dropped.
  void on_answer(Now now, uint64_t object, port::AskId id, port::Answer answer, port::Outbox& out);
  /// Events from Engine::take_events().
  void on_media(Now now, const media::MediaEvent& event, port::Outbox& out);
  void on_timeout(Now now, port::Outbox& out);
  Instant next_timeout() const;
  /// New calls use it at once; running calls keep what they decided.
  void set_plan(Now now, std::shared_ptr<const route::Plan> plan, port::Outbox& out);
  const route::Plan& plan() const;
  /// What the owner of a trunk found out (Outbox::trunk_news of any worker).
  void on_trunk_news(const port::TrunkNews& news);
  /// The trunk a request that its source does not give away belongs to: sent to the Contact we registered, or
  /// from an address of the host's name. Null for a stranger's.
  const route::Trunk* trunk_of(std::string_view request_user, const port::Path& path) const;
  /// The addresses behind the names of trunks' hosts, as far as they are known.
  std::vector<IpPrefix> trunk_addresses() const;

  /// True when a dialog with this tag of ours lives here (route in-dialog requests by the To-tag).
  bool owns_dialog(std::string_view local_tag) const;

  // ---- control ----
  std::vector<CallInfo> list(size_t limit = SIZE_MAX) const;
  std::optional<CallInfo> show(CallId id) const;
  /// RFC 3725. The call exists when this returns; what becomes of it is told like of any other.
  Ordered order(Now now, const CallOrder& order, port::Outbox& out);
  /// False when there is no such call.
  bool hangup(Now now, CallId id, const Cause& cause, port::Outbox& out);
  /// As if `leg` had sent a REFER to `target` (a number or URI). False: no such connected leg.
  bool transfer(Now now, CallId id, uint16_t leg, std::string_view target, port::Outbox& out);
  /// A phone of the AOR that leg `local_tag` is at has registered over another connection. When the leg is
  /// that very phone's, what we ask of it goes there from now on (RFC 5626 section 5.3: by the binding, not
  /// by the flow of old).
  void phone_moved(Now now, CallId id, std::string_view local_tag, const port::Contact& contact,
                   port::Outbox& out);
  /// ICE of the leg begins anew, by an offer of ours: its client is in another network, say. False: no such
  /// connected leg, it has no ICE, or offers are in progress.
  bool restart_ice(Now now, CallId id, uint16_t leg, port::Outbox& out);
  std::vector<ConferenceInfo> conferences() const;
  /// What is set is changed. False: no such conference here.
  bool set_conference(Now now, std::string_view domain, std::string_view name, std::optional<bool> locked,
                      std::optional<bool> lecture, port::Outbox& out);
  /// A member is muted or may speak again, and hears so. False: that call is in no conference of the name.
  bool mute_member(Now now, std::string_view domain, std::string_view name, CallId id, bool on,
                   port::Outbox& out);
  /// It is told, and leaves.
  bool remove_member(Now now, std::string_view domain, std::string_view name, CallId id, port::Outbox& out);
  /// What those who talk say, a channel each. `announce`: both are told. Starting what runs is done.
  RecordingDone record(Now now, CallId id, RecordingAction action, bool announce, port::Outbox& out);
  PlayDone play(Now now, CallId id, const PlayOrder& order, port::Outbox& out);
  /// No new calls (503); running ones go on. For a drain.
  void refuse_new_calls(bool refuse);

  size_t call_count() const;
  size_t leg_count() const;
  size_t dialog_count() const;
  size_t open_asks() const;

  /// Trunks that this worker owns; TrunkStatus::calls is the dispatch's to fill in.
  std::vector<TrunkStatus> trunks() const;
  void unregister_trunks(Now now, port::Outbox& out);

  // ---- a call is a value ----
  /// One part per call, its legs and media included; transactions are the transaction layer's own parts.
  void snapshot(Now now, std::vector<std::string>& parts) const;
  /// A part of this or another worker, boot or node. `then`: CallMove::then; empty after a restart. Close the
  /// original's ports first. False: no call, or its ports are taken; keep the part.
  bool restore(Now now, std::string_view part, std::string_view then, port::Outbox& out);
  /// After all calls: each transaction that the transaction layer restored for the call room.
  void adopt(const sip::TransactionLayer::Restored& restored);
  /// After all transactions: open questions are put again, lines are told.
  void resume(Now now, port::Outbox& out);
  /// Grows with every change worth a new snapshot of that call; 0: no such call.
  uint64_t revision(CallId id) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::call
