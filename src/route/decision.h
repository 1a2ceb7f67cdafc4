#pragma once
// What is asked of the dial plan and what it answers: plain values, no I/O, no live state.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"
#include "port/directory.h"
#include "port/flow.h"
#include "port/records.h"

namespace tandem::route {

// ---- the question
// -------------------------------------------------------------------------------------------

/// An authenticated subscriber places the call (or has it forwarded or transferred: the forwarder is the
/// source).
struct FromSubscriber {
  port::AddressOfRecord aor;
  port::CallClass call_class = port::CallClass::internal;  // Subscriber::call_class
  std::string caller_number;                               // Subscriber::caller_number; empty: the user part
  std::string pickup_group;                                // Subscriber::pickup_group
};
/// The call came in over a trunk (Plan::trunk_by_source, CallLayer::trunk_of).
struct FromTrunk {
  std::string name;
  std::string caller_number;  // as the carrier sent it
};
/// The plan's own doing: the overflow of a ring group, a number an administrator wrote down. All classes, no
/// features.
struct FromPlan {
  std::string caller_number;
};
using CallSource = std::variant<FromSubscriber, FromTrunk, FromPlan>;

struct CallRequest {
  WallTime wall;  // for time rules
  CallSource source;
  std::string dialled;  // a number or user part ("1002", "+49 30 123"), or a whole sip:, sips:, tel: or
                        // urn:service:sos URI
  std::string domain;   // the domain the number is dialled in
  port::RealmId realm = 0;
  uint64_t seed = 0;      // a random number or a count of calls: where rotating and random ring groups begin
  bool diverted = false;  // forwarded, transferred or overflowed: no feature codes but park
};

// ---- the answer
// ---------------------------------------------------------------------------------------------

/// One trunk to try, with everything rewritten for it.
struct TrunkHop {
  std::string trunk;          // name; Plan::trunk() has its row
  std::string number;         // user part of the request-URI
  std::string caller_number;  // user part of From and P-Asserted-Identity; empty: withheld
};

/// Ring the contacts of an address-of-record (and obey its forwarding and do-not-disturb).
struct Extension {
  port::AddressOfRecord aor;
};

/// Out over trunks, in this order: the next one when a hop fails (timeout, 5xx, 6xx but 603, trunk full), not
/// when the callee is busy or refuses.
struct TrunkCall {
  std::vector<TrunkHop> hops;
  port::CallClass call_class = port::CallClass::national;
  bool emergency = false;  // no cap of a trunk or domain applies
};

/// A SIP URI outside our domains, written down by an administrator (callers cannot get here by dialling it).
struct ExternalUri {
  std::string uri;
};

/// One phone of a ring group. The group's clock starts at zero; when nothing of the group rings any more, the
/// clock jumps to the next step's start: sequential groups advance on failure, parallel ones do not wait in
/// silence.
struct RingStep {
  std::variant<Extension, TrunkCall, ExternalUri> target;
  std::chrono::seconds start{0};  // after the group began
  std::chrono::seconds ring{0};   // how long it may ring, > 0
};
struct RingGroup {
  std::string name;
  std::vector<RingStep> steps;      // by start; nested groups are already unfolded; never empty
  std::chrono::seconds timeout{0};  // of the whole group, > 0
  bool skip_busy = true;            // do not ring a member that has a call
};

/// A service of ours answers or a setting changes. Argument by kind: forward_*_on the number or URI;
/// pickup_directed the extension; pickup_group the caller's group (may be empty); park the slot or empty for
/// the first free one; unpark the slot; voicemail_other the mailbox's number or empty; voicemail_leave the
/// mailbox's number.
struct FeatureCall {
  port::Feature kind = port::Feature::echo;
  std::string argument;
};

/// A service of ours answers: what it does is in the row of that name (Plan::menu, ::mailbox, ::conference).
struct ServiceCall {
  enum class Kind : uint8_t {
    menu,
    voicemail,
    conference
  } kind = Kind::menu;  // voicemail: to leave a message
  std::string domain, name;
};

/// Answered with 302 and this Contact.
struct Redirect {
  std::string uri;
};

struct Reject {
  int status = 404;  // SIP
  int cause = 1;     // Q.850
  std::string text;  // reason phrase, and for the log
};

using Action =
    std::variant<Reject, Extension, RingGroup, TrunkCall, FeatureCall, ExternalUri, Redirect, ServiceCall>;

struct Decision {
  Action action;
  /// Set when only a catch-all pattern matched: if this address-of-record exists, the call goes there (as
  /// Extension), and `action` is taken only when it does not. So a route "X." never carries a call between
  /// colleagues outside.
  std::optional<port::AddressOfRecord> local_first;
  /// A number to dial next (as FromPlan, diverted) when the target is busy, silent or unreachable; empty: the
  /// call ends.
  std::string otherwise;
  std::string number;            // what was dialled, normalised
  std::string rule;              // the rule that decided, e.g. "route 17 (outbound)"; for logs and CDRs
  std::vector<std::string> why;  // each rule considered and why it did or did not match (explain() only)
};

}  // namespace tandem::route
