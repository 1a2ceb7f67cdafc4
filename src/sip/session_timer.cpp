#include "sip/session_timer.h"

#include <algorithm>

#include "sip.pb.h"
#include "sip/headers.h"

namespace tandem::sip {
namespace {

constexpr uint32_t least_interval = 90;  // section 5
// A peer may name a century; sessions are looked after at least once a day.
constexpr uint32_t longest_interval = 86'400;
// Answers below section 5's minimum exist; what is honoured must not let a peer make us send without pause.
constexpr uint32_t shortest_interval = 20;
// A peer that raises its minimum each time must not keep one INVITE going round.
constexpr uint8_t most_refusals = 3;

using Refresher = SessionExpires::Refresher;

std::optional<SessionExpires> session_expires_of(const Message& m) {
  const auto value = m.header(HeaderId::session_expires);
  if (!value) return std::nullopt;
  const auto parsed = SessionExpires::parse(*value);
  if (!parsed) return std::nullopt;
  return *parsed;
}

uint32_t min_se_of(const Message& m) {
  const auto value = m.header(HeaderId::min_se);
  if (!value) return 0;
  return parse_delta_seconds(*value).value_or(0);
}

std::string value_of(uint32_t seconds, const char* refresher) {
  return std::to_string(seconds) + (refresher ? ";refresher=" + std::string(refresher) : std::string());
}

}  // namespace

SessionTimer::SessionTimer(SessionTimerPolicy policy) : policy_(policy) {
  policy_.min_se = std::max(policy_.min_se, least_interval);
  policy_.interval = std::clamp(policy_.interval, policy_.min_se, std::max(longest_interval, policy_.min_se));
}

SessionTimer::Offer SessionTimer::offer() const {
  if (!policy_.enabled && !running_) return {};
  Offer o;
  const uint32_t seconds = std::max(running_ ? interval_ : policy_.interval, peer_min_se_);
  // The roles are those of the request on its way: who keeps refreshing must be named anew each time
  // (section 7.1).
  o.session_expires = value_of(seconds, !running_ ? nullptr : we_refresh_ ? "uac" : "uas");
  const uint32_t least = std::max(policy_.min_se, peer_min_se_);
  if (least > least_interval) o.min_se = std::to_string(least);
  return o;
}

bool SessionTimer::on_422(const Message& response) {
  const uint32_t asked = std::max(running_ ? interval_ : policy_.interval, peer_min_se_);
  const uint32_t wanted = min_se_of(response);
  // A peer that refuses what already satisfies it would have us ask for ever.
  if (wanted <= asked || wanted > longest_interval || refusals_ >= most_refusals) return false;
  ++refusals_;
  peer_min_se_ = wanted;
  return true;
}

void SessionTimer::on_2xx(Now now, const Message& response) {
  const auto agreed = session_expires_of(response);
  if (!agreed) return policy_.enabled ? run(now, std::max({policy_.interval, peer_min_se_}), true) : stop();
  run(now, agreed->seconds, agreed->refresher != Refresher::uas);
}

SessionTimer::Reply SessionTimer::on_request(const Message& request) const {
  Reply r;
  const bool peer_can =
      request.lists(HeaderId::supported, "timer") || request.lists(HeaderId::require, "timer");
  const auto asked = session_expires_of(request);
  if (!asked && !policy_.enabled) return r;
  if (asked && peer_can && asked->seconds < policy_.min_se) {
    r.too_small = true;
    r.min_se = policy_.min_se;
    return r;
  }
  const uint32_t least = std::max({policy_.min_se, least_interval, min_se_of(request)});
  // Section 9: we may shorten what was asked for, never below the peer's Min-SE, and never lengthen it.
  r.seconds =
      asked ? std::max(least, std::min(asked->seconds, policy_.enabled ? policy_.interval : longest_interval))
            : std::max(least, policy_.interval);
  // Section 9, table 2: a peer without the extension cannot refresh; one that has it decides, else it
  // refreshes.
  r.we_refresh = !peer_can || (asked && asked->refresher == Refresher::uas);
  // Nobody asked: the duty is ours, unless the peer has it already.
  if (!asked) r.we_refresh = !running_ || we_refresh_ || !peer_can;
  r.require_timer = !r.we_refresh;
  r.session_expires = value_of(r.seconds, r.we_refresh ? "uas" : "uac");
  return r;
}

void SessionTimer::on_2xx_sent(Now now, const Reply& reply) {
  if (reply.session_expires.empty()) return stop();
  run(now, reply.seconds, reply.we_refresh);
}

void SessionTimer::run(Now now, uint32_t interval_seconds, bool we) {
  running_ = true;
  refusals_ = 0;
  we_refresh_ = we;
  interval_ = std::clamp(interval_seconds, shortest_interval, longest_interval);
  refresh_at_ = we ? now.mono + seconds(interval_ / 2) : Instant::never();
  expires_at_ = now.mono + seconds(interval_ - std::min<uint32_t>(32, interval_ / 3));  // section 10
}

SessionTimer::Step SessionTimer::on_timeout(Now now) {
  if (expires_at_ <= now.mono) {
    stop();
    return Step::expired;
  }
  if (refresh_at_ > now.mono) return Step::nothing;
  refresh_at_ = Instant::never();
  return Step::refresh;
}

void SessionTimer::retry_refresh(Now now, Duration delay) {
  if (running_ && we_refresh_) refresh_at_ = now.mono + delay;
}

void SessionTimer::stop() {
  running_ = false;
  refresh_at_ = expires_at_ = Instant::never();
}

std::string SessionTimer::to_part(Now now) const {
  proto::SipSessionTimer p;
  p.set_running(running_);
  p.set_interval(interval_);
  p.set_min_se(peer_min_se_);
  p.set_refusals(refusals_);
  p.set_we_refresh(we_refresh_);
  p.set_refresh_at(deadline_to_wall(now, refresh_at_));
  p.set_expires_at(deadline_to_wall(now, expires_at_));
  return p.SerializeAsString();
}

std::optional<SessionTimer> SessionTimer::from_part(Now now, SessionTimerPolicy policy,
                                                    std::string_view part) {
  proto::SipSessionTimer p;
  if (part.empty() || !p.ParseFromArray(part.data(), static_cast<int>(part.size()))) return std::nullopt;
  SessionTimer t(policy);
  t.running_ = p.running();
  t.we_refresh_ = p.we_refresh();
  t.interval_ = p.interval();
  t.peer_min_se_ = p.min_se();
  t.refusals_ = static_cast<uint8_t>(std::min<uint32_t>(p.refusals(), most_refusals));
  t.refresh_at_ = deadline_from_wall(now, p.refresh_at());
  t.expires_at_ = deadline_from_wall(now, p.expires_at());
  return t;
}

}  // namespace tandem::sip
