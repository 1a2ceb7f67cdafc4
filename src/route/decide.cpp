// One look at the plan for one call. Every loop is bounded: aliases by max_aliases, the rest by the tables'
// size.
#include <algorithm>

#include "base/text.h"
#include "route/tables.h"

namespace tandem::route {
namespace {

using port::CallClass;
using port::Feature;
using port::RouteRow;

constexpr int max_aliases = 8;         // RouteRow::Action::number, one after the other
constexpr size_t max_explained = 500;  // lines

/// Lines for people; costs nothing when nobody reads them.
class Trail {
 public:
  explicit Trail(std::vector<std::string>* lines) : lines_(lines) {}
  explicit operator bool() const { return lines_ != nullptr && lines_->size() < max_explained; }
  template <class... Pieces>
  void say(const Pieces&... pieces) {
    if (!*this) return;
    std::string line;
    ((line += pieces), ...);
    lines_->push_back(std::move(line));
  }

 private:
  std::vector<std::string>* lines_;
};

const char* class_name(CallClass c) { return port::to_text(c).data(); }

/// Who calls, as far as rules care.
struct Caller {
  CallClass most = CallClass::internal;
  const Trunk* trunk = nullptr;  // from outside
  bool subscriber = false;
  std::string number;  // shown outside
  std::string user;    // also matched by caller patterns
  std::string pickup_group;
};

class Walk {
 public:
  Walk(const Plan& plan, const Plan::Impl& impl, const CallRequest& request, std::vector<std::string>* why)
      : plan_(plan), impl_(impl), request_(request), trail_(why) {}

  Decision run();

 private:
  Decision reject(int status, int cause, std::string text) const {
    return {Reject{status, cause, std::move(text)}, {}, {}, {}, {}, {}};
  }
  bool read_caller();
  const Domain* read_domain(const Dialled& dialled, Decision& failed);

  Decision number(std::string dialled);
  std::optional<Decision> emergency(const std::string& dialled);
  std::optional<Decision> feature(const std::string& dialled);
  std::optional<Decision> by_name(const std::string& dialled);
  const Rule* find_rule(const std::string& dialled);
  bool conditions_hold(const Rule& rule);
  void explain_misses(const std::string& dialled);

  Decision apply(const Rule& rule, const std::string& dialled, bool is_emergency);
  Action action_of(const Rule& rule, const std::string& dialled, const std::string& rewritten,
                   bool is_emergency);
  Action trunk_action(const Rule& rule, const std::string& dialled, const std::string& rewritten,
                      bool is_emergency);
  TrunkCall trunk_call(const std::vector<uint32_t>& trunks, const std::string& sent, std::string_view shown,
                       bool is_emergency) const;
  Action feature_action(Feature kind, std::string argument) const;
  Action group_action(int group);
  Action service_action(ServiceCall::Kind kind, const std::string& name) const;
  std::optional<port::AddressOfRecord> target_of(const std::string& user) const;
  CallClass needed(const Rule& rule, const std::string& dialled, const std::string& rewritten) const;
  port::AddressOfRecord aor(std::string_view user) const { return {std::string(user), domain_name_}; }

  const Plan& plan_;
  const Plan::Impl& impl_;
  const CallRequest& request_;
  Trail trail_;
  Caller caller_;
  const Domain* domain_ = nullptr;
  std::string domain_name_;
  bool other_domain_ = false;  // the caller belongs to another of our domains
  bool in_group_ = false;      // resolving a member: no group inside
  friend class Members;
};

/// A ring group's member, decided as if the plan itself dialled it.
class Members final : public MemberResolver {
 public:
  explicit Members(const Walk& walk) : walk_(walk) {}
  std::optional<std::variant<Extension, TrunkCall, ExternalUri>> resolve(
      std::string_view target) const override {
    CallRequest request;
    request.wall = walk_.request_.wall;
    request.source = FromPlan{walk_.caller_.number};
    request.dialled = target;
    request.domain = walk_.domain_name_;
    request.diverted = true;
    Walk inner(walk_.plan_, walk_.impl_, request, nullptr);
    inner.in_group_ = true;
    Decision d = inner.run();
    if (d.local_first) return Extension{*d.local_first};
    if (auto* e = std::get_if<Extension>(&d.action)) return std::move(*e);
    if (auto* t = std::get_if<TrunkCall>(&d.action)) return std::move(*t);
    if (auto* u = std::get_if<ExternalUri>(&d.action)) return std::move(*u);
    return std::nullopt;
  }

 private:
  const Walk& walk_;
};

bool Walk::read_caller() {
  if (const auto* s = std::get_if<FromSubscriber>(&request_.source)) {
    caller_.subscriber = true;
    caller_.most = s->call_class;
    caller_.user = s->aor.user;
    caller_.number = s->caller_number.empty() ? s->aor.user : s->caller_number;
    caller_.pickup_group = s->pickup_group;
    trail_.say("caller: ", s->aor.to_string(), ", may call ", class_name(caller_.most));
  } else if (const auto* t = std::get_if<FromTrunk>(&request_.source)) {
    caller_.trunk = plan_.trunk(t->name);
    if (caller_.trunk == nullptr) return false;
    caller_.most = caller_.trunk->row.inbound_class;
    caller_.number = strip_separators(t->caller_number);
    trail_.say("caller: ", caller_.number, " from trunk ", t->name, ", may reach ", class_name(caller_.most));
  } else {
    caller_.most = CallClass::international;
    caller_.number = std::get<FromPlan>(request_.source).caller_number;
    trail_.say("caller: the dial plan itself");
  }
  return true;
}

/// Null with `failed` set when the URI leads outside.
const Domain* Walk::read_domain(const Dialled& dialled, Decision& failed) {
  const Domain* own = impl_.find_domain(request_.domain);
  domain_name_ = plan_.domain_of(request_.domain);
  if (own == nullptr) {
    failed = reject(404, 1, "no such domain");
    return nullptr;
  }
  if (dialled.host.empty()) return own;
  const std::string host_domain = plan_.domain_of(dialled.host);
  // Without domain rows every name would be ours; then only the caller's own domain is.
  const bool known = !host_domain.empty() && (!impl_.any_domain || host_domain == domain_name_ ||
                                              impl_.domains.contains(host_domain));
  if (!known) {
    if (std::holds_alternative<FromPlan>(request_.source)) {
      failed = {ExternalUri{std::string(trim(request_.dialled))}, {}, {}, dialled.user, "external", {}};
    } else {
      failed = reject(403, 57, "calls to other domains are not allowed");
    }
    trail_.say("host ", dialled.host, " is not one of our domains");
    return nullptr;
  }
  if (host_domain == domain_name_) return own;
  other_domain_ = true;
  domain_name_ = host_domain;
  trail_.say("domain ", host_domain, " is ours but not the caller's: extensions and ring groups only");
  return impl_.find_domain(host_domain);
}

Decision Walk::run() {
  if (request_.dialled.size() > Plan::max_dialled) return reject(414, 28, "the number is too long");
  const Dialled dialled = read_dialled(request_.dialled);
  if (dialled.kind == Dialled::Kind::bad) return reject(484, 28, "no number was dialled");
  if (!read_caller()) return reject(403, 21, "the trunk is not in use");
  Decision failed;
  domain_ = read_domain(dialled, failed);
  if (domain_ == nullptr) return failed;
  if (other_domain_ && !std::holds_alternative<FromPlan>(request_.source)) caller_.most = CallClass::internal;
  std::string user =
      dialled.kind == Dialled::Kind::service ? domain_->row.emergency_numbers.front() : dialled.user;
  Decision d = number(user);
  d.number = std::move(user);
  return d;
}

Decision Walk::number(std::string dialled) {
  for (int hop = 0; hop <= max_aliases; ++hop) {
    trail_.say("number ", dialled, " in domain ", domain_name_);
    if (auto d = emergency(dialled)) return *std::move(d);
    if (auto d = feature(dialled)) return *std::move(d);
    const Rule* rule = find_rule(dialled);
    if (rule == nullptr) {
      const auto local = domain_->numbering.local(dialled);
      if (local && *local != dialled) rule = find_rule(*local);
      if (rule != nullptr) dialled = *local;
    }
    // A catch-all is less specific than a group or a slot of exactly that name.
    if (rule == nullptr || rule->pattern.open_ended())
      if (auto d = by_name(dialled)) return *std::move(d);
    if (rule == nullptr) {
      trail_.say("no rule: extension ", dialled);
      return {Extension{aor(dialled)}, {}, {}, {}, "extension", {}};
    }
    if (rule->row.action != RouteRow::Action::number) return apply(*rule, dialled, false);
    std::string next = rule->row.target;
    if (next.empty())
      next = rule->row.prefix + dialled.substr(std::min<size_t>(rule->row.strip, dialled.size()));
    trail_.say(rule->label, ": goes on with ", next);
    if (next.empty()) return reject(484, 28, "no number is left");
    dialled = strip_separators(next);
  }
  trail_.say("more than 8 aliases one after the other");
  return reject(482, 25, "the dial plan runs in a circle");
}

/// RFC 5031, and every regulator: no class, no time of day, no lock stands between a phone and help.
std::optional<Decision> Walk::emergency(const std::string& dialled) {
  const auto& numbers = domain_->row.emergency_numbers;
  if (caller_.trunk != nullptr || other_domain_ ||
      std::find(numbers.begin(), numbers.end(), dialled) == numbers.end())
    return std::nullopt;
  trail_.say(dialled, " is an emergency number: no permission is needed");
  if (const Rule* rule = find_rule(dialled);
      rule != nullptr && rule->row.action != RouteRow::Action::number &&
      rule->row.action != RouteRow::Action::reject &&
      !(rule->row.action == RouteRow::Action::trunk && rule->trunks.empty()))
    return apply(*rule, dialled, true);
  if (domain_->emergency_trunks.empty()) {
    trail_.say("no route and no trunk of the domain takes it: looked up like any other number");
    return std::nullopt;
  }
  trail_.say("no route takes it: every trunk of the domain is tried");
  std::vector<uint32_t> trunks = domain_->emergency_trunks;
  if (trunks.size() > Plan::max_hops) trunks.resize(Plan::max_hops);
  return Decision{trunk_call(trunks, dialled, {}, true), {}, {}, {}, "emergency", {}};
}

std::optional<Decision> Walk::feature(const std::string& dialled) {
  if (!caller_.subscriber || other_domain_) return std::nullopt;
  auto found = domain_->features.find(dialled);
  if (!found) return std::nullopt;
  if (request_.diverted && found->kind != Feature::park) {
    trail_.say("feature code ", dialled, " is refused for a forwarded or transferred call");
    return reject(403, 21, "a feature code cannot be the target");
  }
  trail_.say("feature code ", dialled, ": ", port::to_text(found->kind));
  return Decision{feature_action(found->kind, std::move(found->argument)), {}, {}, {}, "feature code", {}};
}

Action Walk::feature_action(Feature kind, std::string argument) const {
  if (takes_argument(kind) && argument.empty()) return Reject{484, 28, "the code wants a number after it"};
  if (kind == Feature::pickup_group) argument = caller_.pickup_group;
  return FeatureCall{kind, std::move(argument)};
}

/// Ring groups, menus and conferences by their name, in this order; park slots by their number, the number
/// before the first slot to park.
std::optional<Decision> Walk::by_name(const std::string& dialled) {
  if (const auto it = domain_->groups.find(dialled); it != domain_->groups.end() && !in_group_) {
    trail_.say("ring group ", dialled);
    Decision d{group_action(it->second), {}, {}, {}, "ring group " + dialled, {}};
    d.otherwise = impl_.groups[static_cast<size_t>(it->second)].row.otherwise;
    return d;
  }
  for (const auto kind : {ServiceCall::Kind::menu, ServiceCall::Kind::conference}) {
    const bool menu = kind == ServiceCall::Kind::menu;
    if (other_domain_ || in_group_ ||
        !(menu ? domain_->menus.contains(dialled) : domain_->conferences.contains(dialled)))
      continue;
    std::string rule = (menu ? "menu " : "conference ") + dialled;
    trail_.say(rule);
    return Decision{ServiceCall{kind, domain_name_, dialled}, {}, {}, {}, std::move(rule), {}};
  }
  const port::ParkRow& park = domain_->park;
  const auto slot = parse_u32(dialled);
  if (!park.enabled || !caller_.subscriber || other_domain_ || !slot || dialled.front() == '0')
    return std::nullopt;
  if (*slot + 1 < park.first_slot || *slot > park.last_slot) return std::nullopt;
  FeatureCall call{Feature::park, {}};
  if (*slot >= park.first_slot) call = {request_.diverted ? Feature::park : Feature::unpark, dialled};
  trail_.say("park slots ", std::to_string(park.first_slot), " to ", std::to_string(park.last_slot), ": ",
             port::to_text(call.kind));
  return Decision{std::move(call), aor(dialled), {}, {}, "park slot " + dialled, {}};
}

bool Walk::conditions_hold(const Rule& rule) {
  const RouteRow& row = rule.row;
  if (row.from_trunk.empty() ? caller_.trunk != nullptr
                             : caller_.trunk == nullptr ||
                                   (row.from_trunk != "*" && row.from_trunk != caller_.trunk->row.name)) {
    trail_.say(rule.label, ": no, it is for calls ",
               row.from_trunk.empty() ? "from subscribers" : "from trunk " + row.from_trunk);
    return false;
  }
  if (rule.caller && !rule.caller->matches(caller_.number) && !rule.caller->matches(caller_.user)) {
    trail_.say(rule.label, ": no, caller ", caller_.number, " does not match ", row.caller_pattern);
    return false;
  }
  if (!impl_.holds(rule.when, request_.wall)) {
    trail_.say(rule.label, ": no, time rule ", row.time_rule, " does not hold now");
    return false;
  }
  // What belongs to the domain's subscribers (its trunks, its services) is not lent to another domain's.
  if (other_domain_ && row.action != RouteRow::Action::extension &&
      row.action != RouteRow::Action::ring_group && row.action != RouteRow::Action::reject) {
    trail_.say(rule.label, ": no, the caller belongs to another domain");
    return false;
  }
  return true;
}

void Walk::explain_misses(const std::string& dialled) {
  for (uint32_t i : domain_->rule_order) {
    if (!trail_) return;
    const Rule& rule = impl_.rules[i];
    if (!rule.pattern.matches(dialled))
      trail_.say(rule.label, ": no, ", dialled, " does not match ", rule.row.pattern);
  }
}

const Rule* Walk::find_rule(const std::string& dialled) {
  std::vector<uint32_t> found;
  domain_->routes.match(dialled, found);
  std::sort(found.begin(), found.end());
  const Rule* winner = nullptr;
  for (uint32_t i : found) {
    const Rule& rule = impl_.rules[i];
    if (winner != nullptr) {
      trail_.say(rule.label, ": pattern ", rule.row.pattern, " matches too, but comes later");
      if (!trail_) break;
    } else if (conditions_hold(rule)) {
      winner = &rule;
      trail_.say(rule.label, ": yes, ", dialled, " matches ", rule.row.pattern, " (",
                 port::to_text(rule.row.action), ")");
    }
  }
  if (trail_) explain_misses(dialled);
  return winner;
}

/// Least class for this rule. A call over a trunk is never internal, whatever the row says, and international
/// when either the number or what is sent for it is.
CallClass Walk::needed(const Rule& rule, const std::string& dialled, const std::string& rewritten) const {
  if (rule.row.action != RouteRow::Action::trunk) return rule.row.call_class;
  const std::string stripped = dialled.substr(std::min<size_t>(rule.row.strip, dialled.size()));
  return std::max(
      {rule.row.call_class, domain_->numbering.classify(stripped), domain_->numbering.classify(rewritten)});
}

Decision Walk::apply(const Rule& rule, const std::string& dialled, bool is_emergency) {
  const std::string rewritten =
      rule.row.prefix + dialled.substr(std::min<size_t>(rule.row.strip, dialled.size()));
  Decision d;
  d.rule = rule.label;
  d.otherwise = rule.row.otherwise;
  if (rule.pattern.open_ended() && !is_emergency && could_be_extension(dialled)) {
    d.local_first = aor(dialled);
    trail_.say("but extension ", dialled, " comes first if there is one, since ", rule.row.pattern,
               " catches everything");
  }
  const CallClass least = needed(rule, dialled, rewritten);
  if (!is_emergency && caller_.most < least) {
    trail_.say(rule.label, ": refused, it takes ", class_name(least), " and the caller may only ",
               class_name(caller_.most));
    d.action = Reject{403, 57, std::string("not permitted: ") + class_name(least) + " call"};
    d.otherwise.clear();
    return d;
  }
  d.action = action_of(rule, dialled, rewritten, is_emergency);
  if (const auto* group = std::get_if<RingGroup>(&d.action); group != nullptr && d.otherwise.empty())
    d.otherwise = impl_.groups[static_cast<size_t>(domain_->groups.find(group->name)->second)].row.otherwise;
  return d;
}

Action Walk::action_of(const Rule& rule, const std::string& dialled, const std::string& rewritten,
                       bool is_emergency) {
  const RouteRow& row = rule.row;
  switch (row.action) {
    case RouteRow::Action::trunk:
      return trunk_action(rule, dialled, rewritten, is_emergency);
    case RouteRow::Action::extension: {
      const std::string& user = row.target.empty() ? rewritten : row.target;
      if (user.empty()) return Reject{484, 28, "no number is left"};
      const auto target = target_of(user);
      if (!target) return Reject{404, 1, "the route's target is in no domain of ours"};
      return Extension{*target};
    }
    case RouteRow::Action::menu:
      return service_action(ServiceCall::Kind::menu, row.target.empty() ? rewritten : row.target);
    case RouteRow::Action::voicemail:
      return service_action(ServiceCall::Kind::voicemail, row.target.empty() ? rewritten : row.target);
    case RouteRow::Action::conference:
      return service_action(ServiceCall::Kind::conference, row.target.empty() ? rewritten : row.target);
    case RouteRow::Action::ring_group: {
      const auto it = domain_->groups.find(row.target);
      if (it == domain_->groups.end() || in_group_)
        return Reject{404, 1, "the domain has no ring group " + row.target};
      return group_action(it->second);
    }
    case RouteRow::Action::feature:
      if (!caller_.subscriber && !harmless(*rule.feature))
        return Reject{403, 21, "features are for subscribers"};
      return feature_action(*rule.feature, takes_argument(*rule.feature) ? rewritten : std::string());
    case RouteRow::Action::park:
      if (!caller_.subscriber) return Reject{403, 21, "parking is for subscribers"};
      return FeatureCall{Feature::park, row.target};
    case RouteRow::Action::redirect:
      return Redirect{row.target};
    case RouteRow::Action::reject:
      return Reject{row.status, 21, row.reason};
    case RouteRow::Action::number:
      break;
  }
  return Reject{404, 1, "no route"};
}

/// "user" of the domain, or "user@domain" of another of ours; nothing for one that is not.
std::optional<port::AddressOfRecord> Walk::target_of(const std::string& user) const {
  const size_t at = user.rfind('@');
  if (at == std::string::npos) return aor(user);
  std::string domain = plan_.domain_of(std::string_view(user).substr(at + 1));
  if (domain.empty()) return std::nullopt;
  return port::AddressOfRecord{user.substr(0, at), std::move(domain)};
}

Action Walk::service_action(ServiceCall::Kind kind, const std::string& name) const {
  if (name.empty()) return Reject{484, 28, "no number is left"};
  const auto target = target_of(name);
  if (!target) return Reject{404, 1, "the route's target is in no domain of ours"};
  const ServiceCall call{kind, target->domain, target->user};
  switch (kind) {
    case ServiceCall::Kind::menu:
      if (plan_.menu(call.domain, call.name, request_.wall).row == nullptr)
        return Reject{404, 1, "the domain has no menu " + call.name};
      break;
    case ServiceCall::Kind::voicemail:
      if (plan_.mailbox(call.domain, call.name) == nullptr)
        return Reject{404, 1, "the domain has no mailbox " + call.name};
      break;
    case ServiceCall::Kind::conference:
      if (plan_.conference(call.domain, call.name) == nullptr)
        return Reject{404, 1, "the domain has no conference " + call.name};
      break;
  }
  return call;
}

Action Walk::trunk_action(const Rule& rule, const std::string& dialled, const std::string& rewritten,
                          bool is_emergency) {
  if (rule.trunks.empty()) return Reject{503, 38, "trunk " + rule.absent.front() + " is switched off"};
  for (const std::string& name : rule.absent) trail_.say("trunk ", name, " is switched off");
  if (!is_dialable(rewritten)) return Reject{484, 28, "not a number for a trunk"};
  TrunkCall call = trunk_call(rule.trunks, rewritten, rule.row.caller_number, is_emergency);
  call.call_class = needed(rule, dialled, rewritten);
  return call;
}

TrunkCall Walk::trunk_call(const std::vector<uint32_t>& trunks, const std::string& sent,
                           std::string_view shown, bool is_emergency) const {
  TrunkCall call;
  call.emergency = is_emergency;
  const std::string caller = shown.empty() ? caller_.number : std::string(shown);
  for (uint32_t i : trunks) {
    const Trunk& t = impl_.trunks[i];
    // An emergency number is no E.164 number: it is sent as dialled.
    const bool e164 = t.row.send_e164;
    call.hops.push_back({t.row.name, e164 && !is_emergency ? domain_->numbering.e164(sent) : sent,
                         e164 ? domain_->numbering.e164(caller) : caller});
  }
  return call;
}

Action Walk::group_action(int group) {
  if (in_group_) return Reject{404, 1, "a ring group inside a member's number"};
  RingGroup out = unfold(impl_.groups, group, request_.seed, Members(*this));
  if (trail_)
    for (const RingStep& s : out.steps) {
      const auto* ext = std::get_if<Extension>(&s.target);
      const auto* uri = std::get_if<ExternalUri>(&s.target);
      trail_.say("  from ", std::to_string(s.start.count()), " s for ", std::to_string(s.ring.count()),
                 " s: ",
                 ext != nullptr   ? ext->aor.to_string()
                 : uri != nullptr ? uri->uri
                                  : std::get<TrunkCall>(s.target).hops.front().number);
    }
  if (out.steps.empty()) return Reject{480, 18, "the ring group has nobody to ring"};
  return out;
}

}  // namespace

Decision Plan::decide(const CallRequest& request) const {
  return Walk(*this, *impl_, request, nullptr).run();
}

Decision Plan::explain(const CallRequest& request) const {
  std::vector<std::string> why;
  Decision d = Walk(*this, *impl_, request, &why).run();
  if (const auto* r = std::get_if<Reject>(&d.action))
    why.push_back("answer " + std::to_string(r->status) + ": " + r->text);
  d.why = std::move(why);
  return d;
}

}  // namespace tandem::route
