#pragma once
// The plan's inside: rows as they compiled. Only this room's own files include it.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "port/directory.h"
#include "route/feature_codes.h"
#include "route/number.h"
#include "route/pattern.h"
#include "route/plan.h"
#include "route/time_rule.h"

namespace tandem::route {

template <class T>
using ByName = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

struct GroupMember {
  port::RingGroupMemberRow row;
  int nested = -1;  // index of a group, when the target is one
};
struct Group {
  port::RingGroupRow row;
  std::vector<GroupMember> members;
};

/// A condition of a row; -1: always.
struct When {
  int time_rule = -1;
  bool unless = false;  // "!name": holds when the rule does not
};

struct MenuTable {
  port::MenuRow row;
  struct Choice {
    port::MenuChoiceRow row;
    When when;
  };
  std::vector<Choice> choices;  // by position
};

struct Rule {
  port::RouteRow row;
  std::string label;  // "route 17 (outbound)"
  Pattern pattern;
  std::optional<Pattern> caller;
  When when;
  std::vector<uint32_t> trunks;     // enabled ones
  std::vector<std::string> absent;  // names of those that are switched off
  std::optional<port::Feature> feature;
};

struct Domain {
  port::DomainRow row;
  bool has_row = false;
  Numbering numbering;
  PatternTrie routes;                // the domain's own and every domain's, by rank
  std::vector<uint32_t> rule_order;  // the same rules, for explain()
  ByName<int> groups;
  ByName<MenuTable> menus;
  ByName<port::MailboxRow> mailboxes;
  ByName<port::ConferenceRow> conferences;
  FeatureCodes features;
  port::ParkRow park;
  std::vector<uint32_t> emergency_trunks;  // of the domain, for a call without a matching route
};

struct Plan::Impl {
  uint64_t version = 0;
  std::vector<RowError> errors;
  bool any_domain = false;  // no domain rows: every domain is served, by `fallback` unless rows name it
  Domain fallback;
  ByName<std::unique_ptr<Domain>> domains;
  ByName<std::string> aliases;
  std::vector<Trunk> trunks;
  ByName<uint32_t> trunk_names;
  ByName<std::vector<uint32_t>> trunk_certificates;  // by tls_name, lower case
  struct Source {
    IpPrefix prefix;
    uint32_t trunk;
  };
  std::vector<Source> sources;  // longest prefix first
  std::vector<Rule> rules;      // by rank: priority, specificity, id
  std::vector<Group> groups;
  std::vector<TimeRule> time_rules;

  /// Null when it is not ours.
  const Domain* find_domain(std::string_view name_or_alias) const;
  bool holds(const When& when, WallTime at) const {
    return when.time_rule < 0 || time_rules[static_cast<size_t>(when.time_rule)].holds(at) != when.unless;
  }
};

/// Breaks loops and cuts what is nested too deep; each cut is an error of its member row.
void link_groups(std::vector<Group>& groups, std::vector<RowError>& errors);

/// The group with all groups inside it as one schedule. `resolve` turns a member's target into something that
/// rings, or nothing.
struct MemberResolver {
  virtual ~MemberResolver() = default;
  virtual std::optional<std::variant<Extension, TrunkCall, ExternalUri>> resolve(
      std::string_view target) const = 0;
};
RingGroup unfold(const std::vector<Group>& groups, int group, uint64_t seed, const MemberResolver& resolver);

}  // namespace tandem::route
