#pragma once
// What the calls of one worker share. Internal to the call room.
#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/timers.h"
#include "call/call.h"
#include "call/call_layer.h"
#include "call/pin_guard.h"
#include "call/trunk_contact.h"
#include "sdp/description.h"

namespace tandem::call {

struct CallCounters {
  explicit CallCounters(CounterSet& c);
  Counter& started;
  Counter& ordered;
  Counter& answered;
  Counter& ended;
  Counter& cdrs;
  Counter& active;  // gauge
  Counter& limit_calls;
  Counter& limit_legs;
  Counter& limit_forks;
  Counter& limit_forwards;
  Counter& limit_subscriber;
  Counter& limit_trunk;
  Counter& limit_trunk_rate;
  Counter& limit_domain;
  Counter& trunk_passed_over;
  Counter& trunk_redirections;
  Counter& no_codec;
  Counter& draining;
  Counter& bad_sdp;
  std::array<Counter*, static_cast<size_t>(sdp::Reason::count_)> sdp_errors{};
  Counter& merged;
  Counter& no_dialog;
  Counter& late_answers;
  Counter& media_timeouts;
  Counter& setup_timeouts;
  Counter& ask_failures;
  Counter& moved;
  Counter& phones_moved;
  Counter& replaces_refused;
  Counter& bad_parts;
  Counter& recorded;
  Counter& not_recorded;
  Counter& played;
  Counter& limit_pins;

  /// A peer's description, read; what was wrong with one that could not be is counted here.
  Result<sdp::Description, sdp::Reason> read(std::string_view description);
};

class CallFlow;

/// What we may answer a trunk's challenges with; nothing when the row has no user.
std::optional<auth::Credentials> trunk_credentials(const port::TrunkRow& row);

/// What an INVITE and its copies on other ways have in common (RFC 3261 section 8.2.2.2).
std::string merge_key(const sip::Message& invite);

struct Layer {
  Layer(const CallLayer::Parts& p, const CallConfig& cfg, std::shared_ptr<const route::Plan> the_plan);

  sip::TransactionLayer& transactions;
  sip::TokenMint& mint;
  media::Engine& engine;
  Rng& rng;
  const ContactProvider& contacts;
  CallConfig config;
  std::shared_ptr<const route::Plan> plan;
  CallCounters counters;
  SipLegCounters leg_counters;
  SipWorld sip;
  route::FailureCache failures;
  TrunkContacts trunk_contacts;
  std::unordered_map<std::string, port::TrunkNews, TextHash, std::equal_to<>> trunk_news;  // by trunk
  Instant next_renewal = Instant::never();                                                 // of seats
  bool refusing = false;
  size_t legs = 0;

  struct Where {
    CallId call = 0;
    LegId leg = 0;
    auto operator<=>(const Where&) const = default;
  };
  std::unordered_map<CallId, std::unique_ptr<Call>> calls;
  std::unordered_map<std::string, Where, TextHash, std::equal_to<>> dialogs;  // by our tag
  std::unordered_map<std::string, CallId, TextHash, std::equal_to<>>
      merged;  // by Call-ID and From-tag of a caller
  PinGuard pins;
  std::map<std::string, Meeting, std::less<>> meetings;  // by Attendance::room
  std::map<Where, Where> aliases;  // legs that went into another call, for answers under the old name
  TimerQueue<CallId> timers;

  Call* find(CallId id) {
    const auto it = calls.find(id);
    return it == calls.end() ? nullptr : it->second.get();
  }
  Call& make_call(uint16_t shard);
  uint16_t worker_of(uint16_t shard) const {
    return sip::worker_of_shard(shard, std::max<uint16_t>(config.workers, 1));
  }
  /// One of the worker's shards; `near` itself when it is.
  uint16_t shard_at(uint16_t worker, uint16_t near) const {
    const uint16_t workers = std::max<uint16_t>(config.workers, 1);
    const auto first = static_cast<uint16_t>(near - near % workers);
    return static_cast<uint16_t>((first + worker < sip::shard_count ? first : 0) + worker);
  }
  /// f(CallFlow&), then everything its legs had to tell, then the end of the call when nothing is left of it.
  template <class F>
  void run(Now now, Call& call, port::Outbox& out, F&& f);
  void drain(CallFlow& flow, Turn& turn);
  void settle(Call& call);  // after run(): parties that ended, timers
  /// Some trunk or domain has a limit.
  bool counts_calls() const;
  void renew_seats(Now now, port::Outbox& out);
  bool trunk_down(std::string_view trunk) const {
    const auto it = trunk_news.find(trunk);
    return it != trunk_news.end() && it->second.down;
  }
  CallInfo info(const Call& call) const;
  std::vector<ConferenceInfo> conferences() const;
  std::vector<CallId> members_of(std::string_view domain, std::string_view name) const;
  bool set_conference(Now now, std::string_view domain, std::string_view name, std::optional<bool> locked,
                      std::optional<bool> lecture, port::Outbox& out);
  void forget_leg(Call& call, Party& party);
  static Instant next_timeout(const Call& call);
  /// The call as a part; `with_transactions`: taken out of the transaction layer, because the call leaves
  /// this worker.
  std::string part_of(Now now, Call& call, bool with_transactions);
  Call* call_from(Now now, std::string_view part);
  void adopt(const sip::TransactionLayer::Restored& restored);
};

}  // namespace tandem::call
