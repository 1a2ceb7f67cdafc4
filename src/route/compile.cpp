// Rows to tables. A row that cannot be used is left out with a reason; nothing else suffers from it.
#include <algorithm>

#include "base/text.h"
#include "route/tables.h"
#include "route/zone.h"

namespace tandem::route {
namespace {

using port::RouteRow;

constexpr size_t max_rules = 100'000;
constexpr size_t max_groups = 10'000;
constexpr size_t max_members = 200;  // of one group
constexpr size_t max_trunks = 10'000;
constexpr size_t max_services = 100'000;  // menus, mailboxes, conferences: of a kind in one domain
constexpr size_t max_choices = 200;       // of one menu

std::vector<std::string> default_emergency_numbers() { return {"112", "911"}; }

class Compiler {
 public:
  Compiler(const port::PlanRows& rows, std::span<const std::string> realms, Plan::Impl& out)
      : rows_(rows), realms_(realms), out_(out) {}

  void run() {
    out_.version = rows_.version;
    domains();
    implied_domains();
    trunks();
    time_rules();
    groups();
    feature_codes();
    parks();
    menus();
    menu_choices();
    mailboxes();
    conferences();
    routes();
  }

 private:
  void refuse(RowError::Kind kind, const char* table, std::string row, std::string text) {
    out_.errors.push_back({kind, table, std::move(row), std::move(text)});
  }

  /// The domain a row names.
  Domain* domain_for(const std::string& name, const char* table, const std::string& row) {
    const std::string key = lower(name);
    if (const auto it = out_.domains.find(key); it != out_.domains.end()) return it->second.get();
    if (const auto it = out_.aliases.find(key); it != out_.aliases.end())
      return out_.domains.find(it->second)->second.get();
    refuse(RowError::Kind::unknown_target, table, row, "there is no domain " + name);
    return nullptr;
  }
  Domain* add_domain(const port::DomainRow& row, bool has_row) {
    auto d = std::make_unique<Domain>();
    fill(*d, row, has_row);
    Domain* raw = d.get();
    out_.domains.emplace(raw->row.name, std::move(d));
    return raw;
  }
  /// Before anything else, so that rows of every domain reach those that exist only by being named.
  void implied_domains() {
    if (!out_.any_domain) return;
    const auto touch = [&](const auto& table) {
      for (const auto& row : table)
        if (!row.domain.empty() && !out_.domains.contains(lower(row.domain))) {
          port::DomainRow implied;
          implied.name = row.domain;
          add_domain(implied, false);
        }
    };
    touch(rows_.trunks);
    touch(rows_.routes);
    touch(rows_.ring_groups);
    touch(rows_.feature_codes);
    touch(rows_.parks);
    touch(rows_.menus);
    touch(rows_.mailboxes);
    touch(rows_.conferences);
  }
  static void fill(Domain& d, const port::DomainRow& row, bool has_row) {
    d.row = row;
    d.row.name = lower(row.name);
    d.has_row = has_row;
    if (d.row.emergency_numbers.empty()) d.row.emergency_numbers = default_emergency_numbers();
    d.numbering = {row.country_code, row.national_prefix, row.international_prefix};
    d.features = FeatureCodes::defaults();
    d.park.domain = d.row.name;
  }

  void domains();
  void trunks();
  bool trunk_addresses(const port::TrunkRow& row, Trunk& trunk);
  void time_rules();
  void groups();
  void members(const ByName<int>& index);
  void feature_codes();
  void parks();
  void menus();
  void menu_choices();
  void mailboxes();
  void conferences();
  /// Puts a row under its name; `table`: where the row comes from.
  template <class Map, class Row>
  void add_service(Map& map, const std::string& name, Row row, const char* table);
  bool is_number(const std::string& text, const char* table, const std::string& row);
  std::optional<When> condition(const std::string& text, const Domain* domain, const char* table,
                                const std::string& row);
  void routes();
  bool compile_rule(const RouteRow& row, Rule& rule);
  bool rule_patterns(Rule& rule);
  bool rule_conditions(Rule& rule, const Domain* domain);
  bool rule_action(Rule& rule, const Domain* domain);
  bool rule_trunks(Rule& rule);
  void index_rules();

  template <class F>
  void each_domain(F&& f) {
    f(out_.fallback);
    for (auto& [name, d] : out_.domains) f(*d);
  }

  const port::PlanRows& rows_;
  std::span<const std::string> realms_;
  Plan::Impl& out_;
  ByName<int> disabled_trunks_, time_rule_index_;
};

void Compiler::domains() {
  out_.any_domain = rows_.domains.empty();
  fill(out_.fallback, {}, false);
  for (const port::DomainRow& row : rows_.domains) {
    if (!row.enabled) continue;
    const std::string name = lower(row.name);
    if (name.empty()) {
      refuse(RowError::Kind::missing, "domains", row.name, "a domain needs a name");
    } else if (out_.domains.contains(name)) {
      refuse(RowError::Kind::duplicate, "domains", row.name, "the domain stands twice");
    } else {
      add_domain(row, true);
    }
  }
  for (const port::DomainRow& row : rows_.domains) {
    if (!row.enabled) continue;
    for (const std::string& alias : row.aliases) {
      const std::string key = lower(alias), name = lower(row.name);
      if (key == name || key.empty()) continue;
      if (out_.domains.contains(key) || !out_.aliases.emplace(key, name).second)
        refuse(RowError::Kind::duplicate, "domains", row.name,
               "the alias " + alias + " already means another domain");
    }
  }
}

bool Compiler::trunk_addresses(const port::TrunkRow& row, Trunk& trunk) {
  for (const std::string& codec : row.codecs)
    if (!port::CodecName::parse(codec)) {
      refuse(RowError::Kind::unknown_target, "trunks", row.name, "there is no codec " + codec);
      return false;
    }
  for (const std::string& text : row.sources) {
    const auto prefix = IpPrefix::parse(text);
    if (!prefix) {
      refuse(RowError::Kind::bad_address, "trunks", row.name,
             "source " + text + ": expected an address or a block like 192.0.2.0/28");
      return false;
    }
    trunk.sources.push_back(*prefix);
  }
  const auto host = IpAddress::parse(row.host);
  if (trunk.sources.empty() && host)
    trunk.sources.push_back({*host, static_cast<uint8_t>(host->is_v4() ? 32 : 128)});
  trunk.sources_by_name = trunk.sources.empty() && row.tls_name.empty();
  if (!row.realm.empty() && !realms_.empty()) {
    const auto it = std::find(realms_.begin(), realms_.end(), row.realm);
    if (it == realms_.end()) {
      refuse(RowError::Kind::unknown_target, "trunks", row.name, "there is no realm " + row.realm);
      return false;
    }
    trunk.realm = static_cast<port::RealmId>(it - realms_.begin());
  }
  return true;
}

void Compiler::trunks() {
  for (const port::TrunkRow& row : rows_.trunks) {
    if (!row.enabled) {
      disabled_trunks_.emplace(row.name, 0);
      continue;
    }
    if (row.name.empty() || row.host.empty()) {
      refuse(RowError::Kind::missing, "trunks", row.name, "a trunk needs a name and a host");
      continue;
    }
    if (out_.trunk_names.contains(row.name) || out_.trunks.size() >= max_trunks) {
      refuse(RowError::Kind::duplicate, "trunks", row.name, "the trunk stands twice, or there are too many");
      continue;
    }
    if (!row.tls_name.empty() && !port::is_secure(row.transport)) {
      refuse(RowError::Kind::bad_address, "trunks", row.name, "tls_name: expected with transport tls only");
      continue;
    }
    Domain* domain = domain_for(row.domain, "trunks", row.name);
    Trunk trunk{row, 0, {}, false};
    if (domain == nullptr || !trunk_addresses(row, trunk)) continue;
    trunk.row.domain = domain->row.name;
    const auto index = static_cast<uint32_t>(out_.trunks.size());
    for (const IpPrefix& p : trunk.sources) out_.sources.push_back({p, index});
    out_.trunk_names.emplace(row.name, index);
    if (!row.tls_name.empty()) out_.trunk_certificates[lower(row.tls_name)].push_back(index);
    domain->emergency_trunks.push_back(index);
    out_.trunks.push_back(std::move(trunk));
  }
  std::stable_sort(out_.sources.begin(), out_.sources.end(),
                   [](const auto& a, const auto& b) { return a.prefix.length > b.prefix.length; });
}

/// Names of one domain and of all domains do not meet: "domain\0name".
std::string key_of(const std::string& domain, const std::string& name) { return lower(domain) + '\0' + name; }

void Compiler::time_rules() {
  for (const port::TimeRuleRow& row : rows_.time_rules) {
    if (row.name.empty()) {
      refuse(RowError::Kind::missing, "time_rules", row.name, "a time rule needs a name");
      continue;
    }
    const auto [it, added] =
        time_rule_index_.emplace(key_of(row.domain, row.name), static_cast<int>(out_.time_rules.size()));
    if (added) out_.time_rules.push_back({row.name, {}});
    const auto span = TimeSpan::compile(row);
    if (span.ok())
      out_.time_rules[static_cast<size_t>(it->second)].spans.push_back(*span);
    else
      refuse(RowError::Kind::bad_time, "time_rules", row.name + "/" + std::to_string(row.position),
             std::string(span.reason()));
  }
}

void Compiler::groups() {
  ByName<int> index;
  for (const port::RingGroupRow& row : rows_.ring_groups) {
    if (!row.enabled) continue;
    Domain* domain = domain_for(row.domain, "ring_groups", row.name);
    if (domain == nullptr) continue;
    if (row.name.empty() || row.timeout_seconds == 0) {
      refuse(RowError::Kind::missing, "ring_groups", row.name, "a ring group needs a name and a time-out");
    } else if (out_.groups.size() >= max_groups) {
      refuse(RowError::Kind::too_many, "ring_groups", row.name, "too many ring groups");
    } else if (!domain->groups.emplace(row.name, static_cast<int>(out_.groups.size())).second) {
      refuse(RowError::Kind::duplicate, "ring_groups", row.name, "the group stands twice");
    } else {
      index.emplace(key_of(domain->row.name, row.name), static_cast<int>(out_.groups.size()));
      Group group{row, {}};
      group.row.domain = domain->row.name;
      group.row.member_timeout_seconds = std::max(1U, row.member_timeout_seconds);
      out_.groups.push_back(std::move(group));
    }
  }
  members(index);
  link_groups(out_.groups, out_.errors);
}

void Compiler::members(const ByName<int>& index) {
  for (const port::RingGroupMemberRow& row : rows_.ring_group_members) {
    const std::string id = row.group + "/" + std::to_string(row.position);
    Domain* domain = domain_for(row.domain, "ring_group_members", id);
    if (domain == nullptr) continue;
    const auto it = index.find(key_of(domain->row.name, row.group));
    if (it == index.end()) {
      const bool switched_off = std::any_of(
          rows_.ring_groups.begin(), rows_.ring_groups.end(),
          [&](const auto& g) { return !g.enabled && g.name == row.group && iequals(g.domain, row.domain); });
      if (!switched_off)
        refuse(RowError::Kind::unknown_target, "ring_group_members", id,
               "there is no ring group " + row.group);
      continue;
    }
    Group& group = out_.groups[static_cast<size_t>(it->second)];
    if (row.target.empty()) {
      refuse(RowError::Kind::missing, "ring_group_members", id, "a member needs a target");
    } else if (group.members.size() >= max_members) {
      refuse(RowError::Kind::too_many, "ring_group_members", id, "a group has at most 200 members");
    } else {
      const auto nested = index.find(key_of(domain->row.name, row.target));
      group.members.push_back({row, nested == index.end() ? -1 : nested->second});
    }
  }
  for (Group& g : out_.groups)
    std::stable_sort(g.members.begin(), g.members.end(),
                     [](const auto& a, const auto& b) { return a.row.position < b.row.position; });
}

void Compiler::feature_codes() {
  for (const bool own : {false, true})
    for (const port::FeatureCodeRow& row : rows_.feature_codes) {
      if (row.domain.empty() == own) continue;
      if (row.code.empty() || !std::all_of(row.code.begin(), row.code.end(),
                                           [](char c) { return c == '*' || c == '#' || is_digit(c); })) {
        refuse(RowError::Kind::bad_number, "feature_codes", row.code, "expected digits, * and #");
        continue;
      }
      if (!own)
        each_domain([&](Domain& d) { d.features.put(row); });
      else if (Domain* d = domain_for(row.domain, "feature_codes", row.code))
        d->features.put(row);
    }
}

void Compiler::parks() {
  for (const port::ParkRow& row : rows_.parks) {
    Domain* domain = domain_for(row.domain, "parks", row.domain);
    if (domain == nullptr) continue;
    if (row.first_slot == 0 || row.last_slot < row.first_slot || row.last_slot - row.first_slot >= 1000) {
      refuse(RowError::Kind::bad_number, "parks", row.domain,
             "expected 1 to 1000 slots, the first not after the last");
      continue;
    }
    domain->park = row;
    domain->park.domain = domain->row.name;
  }
}

std::optional<When> Compiler::condition(const std::string& text, const Domain* domain, const char* table,
                                        const std::string& row) {
  When when;
  if (text.empty()) return when;
  std::string name = text;
  when.unless = name.starts_with('!');
  if (when.unless) name.erase(0, 1);
  auto it = time_rule_index_.find(key_of(domain != nullptr ? domain->row.name : std::string(), name));
  if (it == time_rule_index_.end()) it = time_rule_index_.find(key_of({}, name));
  if (it == time_rule_index_.end() || out_.time_rules[static_cast<size_t>(it->second)].spans.empty()) {
    refuse(RowError::Kind::unknown_target, table, row, "there is no time rule " + name + " that compiled");
    return std::nullopt;
  }
  when.time_rule = it->second;
  return when;
}

// ---- services ---------------------------------------------------------------------------------------------

template <class Map, class Row>
void Compiler::add_service(Map& map, const std::string& name, Row row, const char* table) {
  if (name.empty())
    refuse(RowError::Kind::missing, table, name, "the name is missing");
  else if (map.size() >= max_services)
    refuse(RowError::Kind::too_many, table, name, "more than 100000 in one domain");
  else if (!map.emplace(name, std::move(row)).second)
    refuse(RowError::Kind::duplicate, table, name, "the name stands twice");
}

/// What a menu dials; empty: nothing.
bool Compiler::is_number(const std::string& text, const char* table, const std::string& row) {
  if (text.empty() || (text.size() <= Plan::max_dialled && read_dialled(text).kind != Dialled::Kind::bad))
    return true;
  refuse(RowError::Kind::bad_number, table, row, text + " cannot be dialled");
  return false;
}

void Compiler::menus() {
  for (const port::MenuRow& row : rows_.menus) {
    if (!row.enabled) continue;
    Domain* domain = domain_for(row.domain, "menus", row.name);
    if (domain == nullptr || !is_number(row.otherwise, "menus", row.name)) continue;
    MenuTable menu{row, {}};
    menu.row.domain = domain->row.name;
    add_service(domain->menus, row.name, std::move(menu), "menus");
  }
}

void Compiler::menu_choices() {
  for (const port::MenuChoiceRow& row : rows_.menu_choices) {
    const std::string id = row.menu + "/" + std::to_string(row.position);
    Domain* domain = domain_for(row.domain, "menu_choices", id);
    if (domain == nullptr) continue;
    const auto menu = domain->menus.find(row.menu);
    if (menu == domain->menus.end()) {
      const bool switched_off = std::any_of(rows_.menus.begin(), rows_.menus.end(), [&](const auto& m) {
        return !m.enabled && m.name == row.menu && iequals(m.domain, row.domain);
      });
      if (!switched_off)
        refuse(RowError::Kind::unknown_target, "menu_choices", id, "there is no menu " + row.menu);
      continue;
    }
    if (row.keys.empty() || row.keys.size() > 8 ||
        row.keys.find_first_not_of("0123456789*#") != std::string::npos) {
      refuse(RowError::Kind::bad_number, "menu_choices", id, "keys: expected 1 to 8 of 0-9, * and #");
      continue;
    }
    if (menu->second.choices.size() >= max_choices) {
      refuse(RowError::Kind::too_many, "menu_choices", id, "a menu has at most 200 choices");
      continue;
    }
    const auto when = condition(row.time_rule, domain, "menu_choices", id);
    if (!when || !is_number(row.target, "menu_choices", id)) continue;
    menu->second.choices.push_back({row, *when});
    menu->second.choices.back().row.domain = domain->row.name;
  }
  each_domain([](Domain& d) {
    for (auto& [name, menu] : d.menus)
      std::stable_sort(menu.choices.begin(), menu.choices.end(),
                       [](const auto& a, const auto& b) { return a.row.position < b.row.position; });
  });
}

void Compiler::mailboxes() {
  for (const port::MailboxRow& row : rows_.mailboxes) {
    if (!row.enabled) continue;
    Domain* domain = domain_for(row.domain, "mailboxes", row.user);
    if (domain == nullptr) continue;
    if (const auto zone = Zone::parse(row.time_zone); !zone.ok()) {
      refuse(RowError::Kind::bad_time, "mailboxes", row.user, std::string(zone.reason()));
      continue;
    }
    port::MailboxRow mailbox = row;
    mailbox.domain = domain->row.name;
    add_service(domain->mailboxes, row.user, std::move(mailbox), "mailboxes");
  }
}

void Compiler::conferences() {
  for (const port::ConferenceRow& row : rows_.conferences) {
    if (!row.enabled) continue;
    Domain* domain = domain_for(row.domain, "conferences", row.name);
    if (domain == nullptr) continue;
    port::ConferenceRow conference = row;
    conference.domain = domain->row.name;
    add_service(domain->conferences, row.name, std::move(conference), "conferences");
  }
}

// ---- routes -----------------------------------------------------------------------------------------------

bool Compiler::rule_patterns(Rule& rule) {
  auto pattern = Pattern::compile(rule.row.pattern);
  if (!pattern.ok()) {
    refuse(RowError::Kind::bad_pattern, "routes", rule.label,
           "pattern " + rule.row.pattern + ": " + to_string(pattern.reason()));
    return false;
  }
  rule.pattern = std::move(*pattern);
  if (rule.row.caller_pattern.empty()) return true;
  auto caller = Pattern::compile(rule.row.caller_pattern);
  if (!caller.ok()) {
    refuse(RowError::Kind::bad_pattern, "routes", rule.label,
           "caller pattern " + rule.row.caller_pattern + ": " + to_string(caller.reason()));
    return false;
  }
  rule.caller = std::move(*caller);
  return true;
}

bool Compiler::rule_conditions(Rule& rule, const Domain* domain) {
  const RouteRow& row = rule.row;
  if (!row.from_trunk.empty() && row.from_trunk != "*" && !out_.trunk_names.contains(row.from_trunk) &&
      !disabled_trunks_.contains(row.from_trunk)) {
    refuse(RowError::Kind::unknown_target, "routes", rule.label, "there is no trunk " + row.from_trunk);
    return false;
  }
  const auto when = condition(row.time_rule, domain, "routes", rule.label);
  if (when) rule.when = *when;
  return when.has_value();
}

bool Compiler::rule_trunks(Rule& rule) {
  std::vector<std::string> names = rule.row.targets;
  if (names.empty() && !rule.row.target.empty()) names.push_back(rule.row.target);
  for (const std::string& name : names) {
    if (const auto it = out_.trunk_names.find(name); it != out_.trunk_names.end()) {
      if (rule.trunks.size() < Plan::max_hops)
        rule.trunks.push_back(it->second);
      else
        refuse(RowError::Kind::too_many, "routes", rule.label, "at most 8 trunks; " + name + " is not tried");
    } else if (disabled_trunks_.contains(name)) {
      rule.absent.push_back(name);
    } else {
      refuse(RowError::Kind::unknown_target, "routes", rule.label,
             "there is no trunk " + name + " that compiled");
    }
  }
  if (names.empty())
    refuse(RowError::Kind::missing, "routes", rule.label, "a route to trunks needs at least one");
  return !rule.trunks.empty() || !rule.absent.empty();
}

bool Compiler::rule_action(Rule& rule, const Domain* domain) {
  const RouteRow& row = rule.row;
  const auto fail = [&](RowError::Kind kind, std::string text) {
    refuse(kind, "routes", rule.label, std::move(text));
    return false;
  };
  switch (row.action) {
    case RouteRow::Action::trunk:
      return rule_trunks(rule);
    case RouteRow::Action::ring_group:
      // A route of every domain names a group each of them may have.
      if (domain != nullptr && !domain->groups.contains(row.target))
        return fail(RowError::Kind::unknown_target, "there is no ring group " + row.target);
      return !row.target.empty() || fail(RowError::Kind::missing, "target: the ring group");
    case RouteRow::Action::menu:
      if (domain != nullptr && !row.target.empty() && !domain->menus.contains(row.target))
        return fail(RowError::Kind::unknown_target, "there is no menu " + row.target);
      return true;
    case RouteRow::Action::voicemail:
      if (domain != nullptr && !row.target.empty() && row.target.find('@') == std::string::npos &&
          !domain->mailboxes.contains(row.target))
        return fail(RowError::Kind::unknown_target, "there is no mailbox " + row.target);
      return true;
    case RouteRow::Action::conference:
      if (domain != nullptr && !row.target.empty() && !domain->conferences.contains(row.target))
        return fail(RowError::Kind::unknown_target, "there is no conference " + row.target);
      return true;
    case RouteRow::Action::feature:
      rule.feature = port::from_text<port::Feature>(row.target);
      return rule.feature.has_value() ||
             fail(RowError::Kind::unknown_target, "there is no feature " + row.target);
    case RouteRow::Action::redirect:
      return istarts_with(row.target, "sip:") || istarts_with(row.target, "sips:") ||
             istarts_with(row.target, "tel:") ||
             fail(RowError::Kind::bad_address, "target: expected a SIP or tel URI");
    case RouteRow::Action::reject:
      return (row.status >= 400 && row.status <= 699) ||
             fail(RowError::Kind::bad_number, "status: expected 400 to 699");
    case RouteRow::Action::number:
      return !row.target.empty() || row.strip > 0 || !row.prefix.empty() ||
             fail(RowError::Kind::missing, "target: the number to look again for");
    case RouteRow::Action::extension:
    case RouteRow::Action::park:
      return true;
  }
  return false;
}

bool Compiler::compile_rule(const RouteRow& row, Rule& rule) {
  rule.row = row;
  rule.label = "route " + std::to_string(row.id) + (row.name.empty() ? "" : " (" + row.name + ")");
  const Domain* domain = nullptr;
  if (!row.domain.empty()) {
    domain = domain_for(row.domain, "routes", rule.label);
    if (domain == nullptr) return false;
    rule.row.domain = domain->row.name;
  }
  if (row.strip > Pattern::max_elements) {
    refuse(RowError::Kind::bad_number, "routes", rule.label, "strip: expected 0 to 64 digits");
    return false;
  }
  return rule_patterns(rule) && rule_conditions(rule, domain) && rule_action(rule, domain);
}

void Compiler::routes() {
  for (const RouteRow& row : rows_.routes) {
    if (!row.enabled) continue;
    if (out_.rules.size() >= max_rules) {
      refuse(RowError::Kind::too_many, "routes", std::to_string(row.id), "more than 100000 routes");
      break;
    }
    Rule rule;
    if (compile_rule(row, rule)) out_.rules.push_back(std::move(rule));
  }
  std::stable_sort(out_.rules.begin(), out_.rules.end(), [](const Rule& a, const Rule& b) {
    if (a.row.priority != b.row.priority) return a.row.priority < b.row.priority;
    if (const int c = Pattern::compare(a.pattern, b.pattern); c != 0) return c < 0;
    return a.row.id < b.row.id;
  });
  index_rules();
}

void Compiler::index_rules() {
  for (uint32_t i = 0; i < out_.rules.size(); ++i) {
    const Rule& rule = out_.rules[i];
    each_domain([&](Domain& d) {
      if (!rule.row.domain.empty() && rule.row.domain != d.row.name) return;
      d.routes.add(rule.pattern, i);
      d.rule_order.push_back(i);
    });
  }
}

}  // namespace

std::shared_ptr<const Plan> Plan::compile(const port::PlanRows& rows, std::span<const std::string> realms) {
  auto impl = std::make_unique<Impl>();
  Compiler(rows, realms, *impl).run();
  return std::shared_ptr<const Plan>(new Plan(std::move(impl)));
}

}  // namespace tandem::route
