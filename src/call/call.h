#pragma once
// What a call is: its parties (a leg and a media endpoint each), who talks with whom (pairs: one call detail
// record each), and what is being set up (targets that ring). Values only; what happens to them is in flow.h.
//
//   setup -> ringing -> connected -> (parked | transferring) -> releasing -> gone
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "call/attendance.h"
#include "call/config.h"
#include "call/dtmf_info.h"
#include "call/leg.h"
#include "call/sip_leg.h"
#include "media/engine.h"
#include "port/ask.h"
#include "port/cdr.h"
#include "route/decision.h"
#include "route/resolver.h"

namespace tandem::call {

/// What the offer that is open on a leg is for.
enum class Negotiation : uint8_t {
  none,
  relay,  // the partner's offer, passed on: the answer goes back to the partner
  late,   // the caller's answer to the offer in our 2xx: it completes the called leg's
  match,  // after a join: the answer may have to be shown to the partner
  own,    // nobody else waits for the answer
};

struct Party {
  LegId id = 0;
  std::unique_ptr<Leg> leg;
  SipLeg* sip = nullptr;  // the same leg, when it is a SIP leg
  media::EndpointId endpoint;
  enum class State : uint8_t { setup, ringing, up, gone } state = State::setup;
  bool caller = false;                // it called us
  port::AddressOfRecord aor;          // subscriber behind it; empty: none
  std::string user, domain, display;  // who it is, as shown to the others
  std::string pickup_group;
  std::string trunk;
  std::vector<std::string> codecs;  // of its row; used when its media is opened
  port::SrtpPolicy srtp{};          // likewise
  port::RecordPolicy recording{};   // of its row
  port::DtmfPolicy dtmf{};          // likewise
  DtmfForm dtmf_form{};             // its INFO has had, and what it is sent has
  uint64_t seat = 0;                // among the calls of its trunk; 0: nobody counts
  route::CallSource source;         // who it is to the dial plan, when it transfers or diverts
  port::RealmId realm = 0;
  LegId partner = 0;
  int branch = -1;       // of Call::setup, while it rings
  uint64_t attempt = 0;  // the setup that called it
  WallTime rung;
  bool has_sdp = false;  // caller: its INVITE made an offer
  bool early_media = false;
  bool holds = false;  // it put the call on hold
  bool music = false;  // it hears music
  Negotiation negotiation = Negotiation::none;
  Instant negotiation_until = Instant::never();
  Instant farewell_until = Instant::never();  // it hears that nobody was reached for it, and is hung up
  Cause farewell;                             // for that
  port::CommitId farewell_after = 0;          // a restored call has nothing to wait for
  port::LineCall::State line = port::LineCall::State::trying;
  bool line_told = false;
  std::string early_body;  // the early media's description, to notice that the 2xx repeats it
};

/// One pair of legs; becomes one call detail record.
struct Pairing {
  uint32_t number = 0;
  LegId a = 0, b = 0;
  port::Cdr cdr;                            // what is known so far
  media::LegStatistics a_before, b_before;  // counters of an endpoint that has talked with others before
  bool open = true;
  LegId recording = 0;  // whose endpoint is recorded; 0: none is
};

/// Where a target that is no registered contact is reached.
struct NextHop {
  port::Path path;
  std::string server_name;  // TLS: the name its certificate must carry
};

/// One target being tried: the contacts of a subscriber, the hops of a trunk route, or a URI.
struct Branch {
  enum class State : uint8_t { waiting, asking, resolving, ringing, failed, done } state = State::waiting;
  enum class Kind : uint8_t { extension, trunk, uri } kind = Kind::extension;
  port::AddressOfRecord aor;
  std::string gruu;
  std::vector<route::TrunkHop> hops;
  size_t hop = 0;
  std::string uri;
  Instant start;    // rings from then on
  Duration ring{};  // for so long
  Instant stop = Instant::never();
  bool forwards = true;    // obeys the subscriber's forwarding
  bool skip_busy = false;  // a ring group does not ring who is talking
  bool own = false;        // who ordered the call is rung for it, and wants to be
  bool profile_known = false, contacts_known = false, line_known = true, rang = false;
  port::SubscriberAnswer profile;
  std::vector<port::Contact> contacts;
  std::vector<NextHop> addresses;  // of the current trunk or URI, in order of trial
  size_t address = 0;
  port::RealmId realm = 0;
  std::unique_ptr<route::Resolver> resolver;
  Cause cause;  // the best refusal so far
  std::string forwarded_by;
};

/// A diversion, for the Diversion header (RFC 5806) and History-Info (RFC 7044).
struct Diversion {
  std::string uri;     // "sip:1002@example.org"
  std::string reason;  // RFC 5806 word
};

/// A target that a 3xx named and that has not been tried.
struct Redirection {
  size_t branch = 0;  // which was redirected
  std::string target;
  size_t diversions = 0;  // of the call when it was
};

/// Somebody is being rung for `origin`.
struct Setup {
  enum class Purpose : uint8_t {
    call,
    transfer,
    park_return,
    service,
    first,  // of an ordered call: who is to be connected is rung, before anybody is called for it
  } purpose = Purpose::call;
  uint64_t number = 0;
  LegId origin = 0;
  LegId referrer = 0;  // transfer: who asked
  route::CallSource source;
  std::string dialled, domain;
  port::AskBindings gruu;  // when one was dialled: of this address only this instance rings
  std::string rule;
  std::string otherwise;          // dial this when nobody answered
  port::AddressOfRecord mailbox;  // of the subscriber that was rung last: takes what is not answered
  std::optional<route::Decision> fallback;  // behind local_first
  bool reroute =
      false;  // restored before it was known whether the local address exists: the plan is read again
  std::vector<Diversion> diversions;
  std::vector<std::string> seen;  // numbers and addresses this call was sent to already
  uint32_t forwards = 0;
  std::vector<Redirection> redirections;  // in order of trial
  std::vector<Branch> branches;
  Instant group_until = Instant::never();
  WallTime started, rung;
  int told_status = 0;  // highest 1xx sent to the origin
  Cause best;           // of all branches
  std::string forwarded_by, transferred_by;
  bool emergency = false;
  uint32_t records = 0;         // of legs it called that did not answer
  port::CommitId recorded = 0;  // the latest of them on this worker; a restored call has nothing to wait for
};

/// A question of this call that is under way. The question can be put again from the call's state (after a
/// restore).
struct OpenAsk {
  enum class What : uint8_t {
    caller_line,
    profile,
    bindings,
    line,
    feature,
    pickup,
    park_probe,
    retrieve,
    trunk_seat,   // of the caller
    domain_seat,  // of the call
    hop_seat,     // of the trunk a branch is about to try
    forward_target,
    sound,     // a file that parties wait to hear
    service,   // what the machine of Call::attendance asked
    recorded,  // its recording is closed
  } what;
  port::AskId id = 0;
  uint64_t attempt = 0;
  int branch = -1;
  port::SoundFile file{};  // sound
  uint64_t service = 0;    // service, recorded: Attendance::number
};

/// A seat of the trunk that a branch tries, from before its INVITE until somebody answers (then it is the
/// party's) or the next trunk's turn.
struct Reservation {
  uint64_t seat = 0;
  std::string trunk;
  uint64_t attempt = 0;
  int branch = -1;
  size_t hop = 0;
};

struct Call {
  uint64_t id = 0;
  uint16_t shard = 0;
  port::RealmId realm = 0;
  std::string domain;
  enum class State : uint8_t {
    setup,
    ringing,
    connected,
    parked,
    transferring,
    releasing
  } state = State::setup;
  std::vector<std::unique_ptr<Party>> parties;
  std::vector<Pairing> pairs;
  std::optional<Setup> setup;
  std::vector<OpenAsk> asks;
  uint64_t seat = 0;  // among the calls of its domain; 0: nobody counts
  std::vector<Reservation> reservations;
  std::vector<std::pair<std::string, std::string>>
      passed;  // headers of the caller's INVITE that go on to the callee
  uint32_t max_forwards = 70;
  bool private_caller = false;  // Privacy: id
  WallTime started, answered;
  std::string caller, callee, rule;
  std::string ordered_by;  // who placed it over REST; empty: a telephone did
  Instant setup_until = Instant::never();
  Instant park_until = Instant::never();
  Instant feature_until = Instant::never();
  std::string park_slot, parker;  // "701"; number to call back
  uint32_t park_probe = 0;        // the slot being asked about, while one is looked for
  bool park_any = false;          // any free slot will do
  std::optional<route::FeatureCall> feature;
  LegId feature_leg = 0;
  uint32_t feature_asks = 0;
  bool feature_failed = false;
  std::unique_ptr<Attendance> attendance;  // few calls have one
  uint64_t next_service = 1;
  uint32_t next_pair = 0;
  uint64_t next_attempt = 1;
  LegId next_leg = 1;
  uint64_t revision = 1;
  Instant armed = Instant::never();  // earliest entry of this call in the layer's timer queue
  std::string merge_key;             // of the caller's INVITE

  Party* find(LegId leg) {
    for (auto& p : parties)
      if (p->id == leg) return p.get();
    return nullptr;
  }
  const Party* find(LegId leg) const { return const_cast<Call*>(this)->find(leg); }
};

std::string_view to_string(Call::State s);

}  // namespace tandem::call
