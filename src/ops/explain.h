#pragma once
// Where a call would go now and what its caller would hear: the dial plan's decision carried on through who
// is called (do they exist, do they forward, do they want to be disturbed, are they registered), in the order
// and under the rules of the call room.
//
//   Explanation(...)             follows the call as if nobody were registered: every step it could take
//   asks()                       whose registrations decide
//   settle(contacts)             stops at the first step that somebody would ring at
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "call/cause.h"
#include "port/directory.h"
#include "route/decision.h"

namespace tandem::ops {

/// In words: "extension 1002@example.com", "trunk carrier as +4930123".
std::string describe_action(const route::Decision& decision);

class Explanation {
 public:
  struct Asks {
    std::function<route::Decision(const route::CallRequest&)> plan;  // Plan::explain()
    std::function<port::StoreResult<port::Subscriber>(const port::AddressOfRecord&)> subscriber;
    std::function<bool(const port::AddressOfRecord&)> mailbox;  // is there one that takes unanswered calls
  };
  struct Outcome {
    std::string action;  // in words
    std::string number;  // dialled, normalised
    std::string rule;    // that decided in the end
    int status = 0;      // SIP status the caller would get; 0: somebody rings, or something answers
    std::vector<std::string> why;
  };

  /// `first` is the call as it comes in. The error: the directory could not answer.
  static Result<Explanation, port::StoreError> of(const route::CallRequest& first, const Asks& asks);

  const std::vector<port::AddressOfRecord>& asks() const { return asked_; }
  /// `contacts`: how many each of asks() has registered, in their order.
  Outcome settle(const std::vector<size_t>& contacts) const;

 private:
  void leave_message(Outcome& out) const;

  /// A subscriber who would be rung, or why not.
  struct Target {
    port::AddressOfRecord aor;
    std::optional<size_t> ask;  // index into asked_: rings when registered
    call::Cause cause;          // what the caller gets otherwise
  };
  /// One decision of the plan, and whom it leads to.
  struct Step {
    route::Decision decision;
    std::vector<std::string> why;
    std::vector<Target> targets;
    std::optional<port::AddressOfRecord>
        mailbox;                          // of whom it is for, when no forwarding and no `otherwise` helps
    bool rings_others = false;            // a trunk, an outside URI, a service: whoever is registered
    std::vector<std::string> if_ringing;  // lines: what busy and no answer lead to
    std::vector<std::string> if_silent;   // lines: what leads to the next step
  };
  class Walk;

  std::vector<Step> steps_;  // never empty
  std::vector<port::AddressOfRecord> asked_;
};

}  // namespace tandem::ops
