#pragma once
// The invariants. What phones and nodes do is told here; what must not be is found here.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "port/cdr.h"
#include "sim/schedule.h"

namespace tandem::sim {

/// What the records must say of a call, once all of them are shipped.
struct Expectation {
  uint16_t node = 0;
  std::string caller_call_id;  // of the leg, as its phone knows it
  std::string callee_call_id;  // empty: any, or none
  bool answered = true;
  std::string what;    // for the report
  size_t records = 1;  // that say so
};

class Judge {
 public:
  explicit Judge(const Schedule& schedule) : schedule_(schedule) {}

  struct Violation {
    std::string invariant;
    std::string text;
  };
  void violation(std::string invariant, std::string text);
  const std::vector<Violation>& violations() const { return violations_; }

  /// A 200 to BYE left the node, or the node's BYE was answered.
  void ended(uint16_t node, std::string_view call_id);
  /// A phone or a node sent an INVITE with this Call-ID.
  void invited(std::string_view call_id) { invited_.emplace(call_id); }
  /// A node sent an INVITE with this Call-ID: whatever becomes of the leg, a record says so.
  void called(uint16_t node, std::string_view call_id) { called_.emplace(node, std::string(call_id)); }
  /// What was under way at the node may have been lost with its records; what had ended was not.
  void crashed(uint16_t node) {
    std::erase_if(called_, [&](const auto& leg) { return leg.first == node; });
  }
  /// Exactly so many records are to say this.
  void expect(Expectation expectation) { expected_.push_back(std::move(expectation)); }
  /// At most one record may mention it and nothing has to: it was under way in a crash, say.
  void records(uint16_t node, const std::map<port::CdrKey, port::Cdr>& cdrs);
  size_t record_count() const { return records_; }
  size_t ended_count() const { return ended_.size(); }
  size_t expected_count() const { return expected_.size(); }

 private:
  const Schedule& schedule_;
  std::vector<Violation> violations_;
  std::set<std::pair<uint16_t, std::string>> ended_, called_;
  std::set<std::string, std::less<>> invited_;
  std::vector<Expectation> expected_;
  size_t records_ = 0;
};

/// The value of a header of a message as text, without parsing the rest; empty when there is none.
std::string_view header_of(std::string_view message, std::string_view name_with_colon);

}  // namespace tandem::sim
