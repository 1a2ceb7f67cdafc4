#include "ops/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "call/config.h"

namespace tandem::ops {
namespace {

std::string refusal(const call::Cause& c) {
  return fmt::format("refused with {} (cause {}): {}", c.status, c.q850, c.text);
}

/// Which of two refusals the caller of a ring group hears: busy before away before unknown.
int weight(const call::Cause& c) {
  if (c.status == 486 || c.status >= 600) return 3;
  return c.status == 480 ? 2 : 1;
}

}  // namespace

std::string describe_action(const route::Decision& decision) {
  struct Describer {
    std::string operator()(const route::Reject& a) const {
      return fmt::format("refused with {} (cause {}): {}", a.status, a.cause, a.text);
    }
    std::string operator()(const route::Extension& a) const { return "extension " + a.aor.to_string(); }
    std::string operator()(const route::RingGroup& a) const {
      return fmt::format("ring group {} of {} phones", a.name, a.steps.size());
    }
    std::string operator()(const route::TrunkCall& a) const {
      std::string hops;
      for (const route::TrunkHop& hop : a.hops)
        hops += fmt::format("{}{} as {}", hops.empty() ? "" : ", then ", hop.trunk, hop.number);
      return "trunk " + hops;
    }
    std::string operator()(const route::Redirect& a) const { return "redirected to " + a.uri; }
    std::string operator()(const route::FeatureCall& a) const {
      return fmt::format("feature {}{}{}", port::to_text(a.kind), a.argument.empty() ? "" : " ", a.argument);
    }
    std::string operator()(const route::ServiceCall& a) const {
      constexpr const char* kinds[] = {"menu", "a message for mailbox", "conference"};
      return fmt::format("{} {}@{}", kinds[static_cast<size_t>(a.kind)], a.name, a.domain);
    }
    std::string operator()(const route::ExternalUri& a) const { return "outside URI " + a.uri; }
  };
  return std::visit(Describer{}, decision.action);
}

/// One way through the plan and the subscribers it meets. Each step either ends the way or sets `next_`.
class Explanation::Walk {
 public:
  Walk(const route::CallRequest& first, const Asks& asks, Explanation& out)
      : asks_(asks), out_(out), first_(first), next_(first), seen_{lower(first.dialled)} {}

  Status<port::StoreError> run() {
    while (next_) {
      const route::CallRequest request = *std::exchange(next_, std::nullopt);
      out_.steps_.push_back({asks_.plan(request), {}, {}, {}, false, {}, {}});
      Step& step = out_.steps_.back();
      step.why = std::move(step.decision.why);
      if (!step.decision.otherwise.empty()) otherwise_ = step.decision.otherwise;
      if (auto done = local_first(step); !done.ok()) return done;
      if (auto done = follow(step); !done.ok()) return done;
      if (!next_ && !step.rings_others) overflow(step);
    }
    return Done{};
  }

 private:
  /// A catch-all route is not taken when the number is somebody's here.
  Status<port::StoreError> local_first(Step& step) {
    if (!step.decision.local_first) return Done{};
    const port::AddressOfRecord aor = *std::exchange(step.decision.local_first, std::nullopt);
    const auto row = asks_.subscriber(aor);
    if (row.ok()) {
      step.decision.action = route::Extension{aor};
    } else if (row.reason().kind == port::StoreError::Kind::not_found) {
      step.why.push_back("no subscriber " + aor.to_string() + ": the route is taken");
    } else {
      return Failure{row.reason()};
    }
    return Done{};
  }

  Status<port::StoreError> follow(Step& step) {
    const route::Action action = step.decision.action;
    if (const auto* extension = std::get_if<route::Extension>(&action)) {
      if (takes_message(extension->aor)) {
        step.mailbox = extension->aor;
        if (otherwise_.empty())
          step.if_ringing.push_back("the mailbox of " + extension->aor.to_string() +
                                    " takes a message when nobody answers and no forwarding does");
      }
      return ring(step, extension->aor, true);
    }
    const auto* group = std::get_if<route::RingGroup>(&action);
    step.rings_others = !group && !std::holds_alternative<route::Reject>(action);
    if (!group) return Done{};
    for (const route::RingStep& member : group->steps) {
      const auto* extension = std::get_if<route::Extension>(&member.target);
      if (!extension) {
        step.rings_others = true;
      } else if (auto done = ring(step, extension->aor, false); !done.ok()) {
        return done;
      }
    }
    return Done{};
  }

  /// Nobody leaves himself a message.
  bool takes_message(const port::AddressOfRecord& aor) const {
    const auto* caller = std::get_if<route::FromSubscriber>(&first_.source);
    return (!caller || caller->aor != aor) && asks_.mailbox(aor);
  }

  /// `forwards`: the subscriber's own forwarding counts; not for a member of a ring group, who would carry
  /// the whole group away.
  Status<port::StoreError> ring(Step& step, const port::AddressOfRecord& aor, bool forwards) {
    const std::string name = aor.to_string();
    const auto refuse = [&](call::Cause cause, std::string why) {
      step.targets.push_back({aor, std::nullopt, std::move(cause)});
      step.why.push_back(std::move(why));
    };
    const auto row = asks_.subscriber(aor);
    if (!row.ok() && row.reason().kind != port::StoreError::Kind::not_found) return Failure{row.reason()};
    if (!row.ok()) {
      refuse(call::Cause::from_status(404, "no such subscriber"), "no such subscriber: " + name);
      return Done{};
    }
    if (!row->enabled) {
      refuse(call::Cause::from_status(404, "the subscriber is switched off"), name + " is switched off");
      return Done{};
    }
    const port::Forwarding& f = row->forwarding;
    if (forwards && divert(step.why, *row, f.always, "forwards every call")) return Done{};
    if (row->do_not_disturb) {
      step.why.push_back(name + " does not want to be disturbed");
      if (forwards && divert(step.why, *row, f.busy, "forwards when busy")) return Done{};
      step.targets.push_back(
          {aor, std::nullopt, call::Cause::from_status(config_.busy_status, "do not disturb")});
      return Done{};
    }
    call::Cause away = call::Cause::from_status(480, "not registered");
    away.q850 = 20;
    step.targets.push_back({aor, out_.asked_.size(), std::move(away)});
    out_.asked_.push_back(aor);
    if (!forwards) return Done{};
    if (!f.busy.empty()) step.if_ringing.push_back(fmt::format("{} forwards to {} when busy", name, f.busy));
    if (!f.no_answer.empty())
      step.if_ringing.push_back(
          fmt::format("{} forwards to {} after {} s without answer", name, f.no_answer, f.no_answer_seconds));
    divert(step.if_silent, *row, f.unreachable, "forwards when unreachable");
    return Done{};
  }

  /// The forwarder pays and must be allowed to call there. False: no target, or it cannot go on.
  bool divert(std::vector<std::string>& why, const port::Subscriber& by, const std::string& target,
              const char* when) {
    if (target.empty()) return false;
    why.push_back(fmt::format("{} {} to {}", by.aor.to_string(), when, target));
    if (std::find(seen_.begin(), seen_.end(), lower(target)) != seen_.end()) {
      why.push_back("but the call has been there: it does not go in circles");
      return false;
    }
    if (!may_go_on(why)) return false;
    seen_.push_back(lower(target));
    route::CallRequest request = first_;
    request.source = route::FromSubscriber{by.aor, by.call_class, by.caller_number, by.pickup_group};
    request.domain = by.aor.domain;
    request.dialled = target;
    request.diverted = true;
    next_ = std::move(request);
    return true;
  }

  /// Nobody is left to ring: what the route or the ring group names for that.
  void overflow(Step& step) {
    if (otherwise_.empty()) return;
    step.if_silent.push_back("then it goes on to " + otherwise_);
    if (!may_go_on(step.if_silent)) return;
    route::CallRequest request = first_;
    const auto* subscriber = std::get_if<route::FromSubscriber>(&first_.source);
    const auto* trunk = std::get_if<route::FromTrunk>(&first_.source);
    request.source = route::FromPlan{subscriber ? subscriber->aor.user : trunk ? trunk->caller_number : ""};
    request.dialled = std::exchange(otherwise_, {});
    request.diverted = true;
    next_ = std::move(request);
  }

  bool may_go_on(std::vector<std::string>& why) {
    if (forwards_ < config_.max_forwards) return ++forwards_, true;
    why.push_back(fmt::format("but a call is diverted {} times at most", config_.max_forwards));
    return false;
  }

  const call::CallConfig config_;
  const Asks& asks_;
  Explanation& out_;
  const route::CallRequest& first_;
  std::optional<route::CallRequest> next_;
  std::vector<std::string> seen_;  // targets, in small letters
  std::string otherwise_;
  uint16_t forwards_ = 0;
};

Result<Explanation, port::StoreError> Explanation::of(const route::CallRequest& first, const Asks& asks) {
  Explanation out;
  if (auto done = Walk(first, asks, out).run(); !done.ok()) return Failure{done.reason()};
  return out;
}

/// The last extension the call was for has the last word, as in the call room.
void Explanation::leave_message(Outcome& out) const {
  constexpr int unanswered[] = {404, 408, 410, 480, 486, 487, 600, 603};
  if (std::find(std::begin(unanswered), std::end(unanswered), out.status) == std::end(unanswered)) return;
  const auto last = std::find_if(steps_.rbegin(), steps_.rend(), [](const Step& step) {
    return std::holds_alternative<route::Extension>(step.decision.action);
  });
  if (last == steps_.rend() || !last->mailbox) return;
  out.why.push_back(out.action);
  out.action = "a message for mailbox " + last->mailbox->to_string();
  out.status = 0;
}

Explanation::Outcome Explanation::settle(const std::vector<size_t>& contacts) const {
  Outcome out;
  out.number = steps_.front().decision.number;
  for (const Step& step : steps_) {
    out.rule = step.decision.rule;
    out.action = describe_action(step.decision);
    const auto* reject = std::get_if<route::Reject>(&step.decision.action);
    const bool redirect = std::holds_alternative<route::Redirect>(step.decision.action);
    out.status = reject ? reject->status : redirect ? 302 : 0;
    out.why.insert(out.why.end(), step.why.begin(), step.why.end());
    const Target* best = nullptr;
    bool rings = step.rings_others;
    for (const Target& t : step.targets) {
      const size_t phones = t.ask && *t.ask < contacts.size() ? contacts[*t.ask] : 0;
      if (t.ask && phones == 0) out.why.push_back(t.aor.to_string() + " is not registered");
      if (phones > 0)
        out.why.push_back(fmt::format("{} is registered with {} contact{}", t.aor.to_string(), phones,
                                      phones == 1 ? "" : "s"));
      rings = rings || phones > 0;
      if (!best || weight(t.cause) > weight(best->cause)) best = &t;
    }
    const std::vector<std::string>& more = rings ? step.if_ringing : step.if_silent;
    out.why.insert(out.why.end(), more.begin(), more.end());
    if (rings) return out;
    if (!best) continue;
    out.status = best->cause.status;
    out.action = fmt::format("{} ({})", refusal(best->cause), best->aor.to_string());
  }
  leave_message(out);
  return out;
}

}  // namespace tandem::ops
