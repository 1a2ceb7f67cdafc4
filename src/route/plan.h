#pragma once
// The dial plan: every domain, trunk, route, ring group, feature code and time rule, compiled once from rows,
// immutable, shared by all workers and read without asking (ARCHITECTURE rule 1).
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "port/directory.h"
#include "port/flow.h"
#include "route/decision.h"

namespace tandem::route {

/// Why a row was left out. The rest of the plan is not affected.
struct RowError {
  enum class Kind : uint8_t {
    bad_pattern,     // a digit pattern that does not compile
    bad_number,      // prefix, strip count or caller number that cannot be dialled
    bad_time,        // time zone, days or hours
    bad_address,     // host, port, source block
    unknown_target,  // names a trunk, group, domain, zone or feature that does not exist (or was refused
                     // itself)
    duplicate,       // the same name or code twice: the first stands
    loop,            // ring groups that contain each other
    too_deep,        // ring groups nested more than Plan::max_nesting
    too_many,        // over a limit of this plan
    missing,         // a required field is empty
  };
  Kind kind = Kind::missing;
  std::string table;  // "routes", "trunks", ...
  std::string row;    // its id or name
  std::string text;   // what is wrong and what is expected
};
const char* to_string(RowError::Kind k);

/// A trunk as it compiled.
struct Trunk {
  port::TrunkRow row;
  port::RealmId realm = 0;
  std::vector<IpPrefix> sources;  // the row's, or its host when that is an address
  bool sources_by_name = false;   // none of the two: whatever addresses its host's name has
};

class Plan {
 public:
  static constexpr int max_nesting = 5;         // ring groups in ring groups
  static constexpr size_t max_ring_steps = 64;  // phones one call may ring
  static constexpr size_t max_hops = 8;         // trunks one route may try
  static constexpr size_t max_dialled = 256;    // characters of CallRequest::dialled that are looked at

  /// Never fails as a whole: rows that do not compile are left out and told in errors(). `realms`: the names
  /// of the listener realms in the order of their RealmId; empty: trunks' realms are not looked up (all are
  /// 0).
  static std::shared_ptr<const Plan> compile(const port::PlanRows& rows,
                                             std::span<const std::string> realms = {});
  /// A plan without rows: extensions and the default feature codes in any domain.
  static std::shared_ptr<const Plan> empty();

  struct Impl;  // tables.h
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  uint64_t version() const;
  const std::vector<RowError>& errors() const;

  /// Where the call goes. Pure: the same request and the same plan give the same decision.
  Decision decide(const CallRequest& request) const;
  /// The same with Decision::why filled in ("where would this call go, and why").
  Decision explain(const CallRequest& request) const;

  /// True for a domain of ours (without case). A plan without domain rows serves every domain.
  bool serves(std::string_view domain) const;
  /// The domain's own name for a name or alias of it; empty when it is not ours.
  std::string domain_of(std::string_view name_or_alias) const;
  const port::DomainRow* domain(std::string_view name_or_alias) const;  // null without a row
  /// Every enabled domain with a row, by name.
  std::vector<const port::DomainRow*> domains() const;
  /// Park slots of the domain (the default 701 to 720 without a row); null when parking is switched off.
  const port::ParkRow* park(std::string_view domain) const;

  /// An attendant's menu with the choices that hold at that time, one for each of their keys; null when there
  /// is none, or it is switched off. Like the rows below it is good as long as the plan.
  struct Menu {
    const port::MenuRow* row = nullptr;
    std::vector<const port::MenuChoiceRow*> choices;
  };
  Menu menu(std::string_view domain, std::string_view name, WallTime at) const;
  /// Null when there is none, or it is switched off.
  const port::MailboxRow* mailbox(std::string_view domain, std::string_view user) const;
  const port::ConferenceRow* conference(std::string_view domain, std::string_view name) const;

  const Trunk* trunk(std::string_view name) const;
  /// Every enabled trunk that compiled, for registrations and status pages.
  std::vector<const Trunk*> trunks() const;
  /// Every block inbound calls of trunks come from (edge::Gate::set_neighbours).
  std::vector<IpPrefix> trunk_sources() const;
  /// Inbound by source address: the longest matching block wins, among the trunks of that realm. A TLS trunk
  /// is never matched by a request that came without TLS, and a trunk with a `tls_name` not at all.
  const Trunk* trunk_by_source(const IpAddress& remote, port::Transport transport, port::RealmId realm) const;
  /// Inbound by the names in the verified certificate of the TLS connection it came by: the trunk of that
  /// realm whose `tls_name` is among them, and in whose sources, when it has any, `remote` is.
  const Trunk* trunk_by_certificate(std::span<const std::string> names, const IpAddress& remote,
                                    port::RealmId realm) const;

 private:
  explicit Plan(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::route
