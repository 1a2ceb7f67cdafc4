#pragma once
// Webhooks (Standard Webhooks 1.0): what happened, as JSON that is signed and posted to whoever asked for it.
// No thread, no clock and no socket: a driver gives the time, makes the posts and says what came of them.
//
//   events, records --> accept() --> [memory] --> step() --> the store's queue --> step() --> WebhookPost
//                                                              ^                                  |
//                                                              +---- done(): again, or never  <---+
//
// Deliveries to one endpoint keep their order: one is under way at a time, and while it fails the others of
// the endpoint wait. Endpoints do not wait for each other.
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"
#include "port/cdr.h"
#include "port/event.h"
#include "port/webhooks.h"

namespace tandem::ops {

struct WebhookOptions {
  uint32_t queue = 10'000;        // deliveries waiting for one endpoint; past it events are dropped, counted
  uint32_t dead = 1'000;          // given up ones kept of an endpoint
  uint32_t attempts = 12;         // then it is given up
  uint32_t refused_attempts = 4;  // the same, when the endpoint answers that it does not want it (4xx)
  Duration first_pause = seconds(5);  // after the first failure; four times as long after each more, ...
  Duration longest_pause = hours(4);  // ... up to this; each is made shorter or longer by up to a fifth
  size_t accepted = 20'000;           // events in memory on their way to the store; past it dropped, counted
};

/// What happened, before anybody is known to want it.
struct WebhookEvent {
  std::string id;    // empty: one is drawn
  std::string type;  // of port::webhook_types
  WallTime time;
  std::string data;  // a JSON object
};

/// What a node's event says to webhooks; nothing for most.
std::optional<WebhookEvent> webhook_event(const port::Event& event, WallTime time);
/// A record's: the end of a call, and its recordings. Their ids are the record's, so that telling of it twice
/// is telling of it once.
std::vector<WebhookEvent> webhook_events(const port::Cdr& cdr);
WebhookEvent webhook_event(const port::Voicemail& message);

/// "v1,BASE64 v1,BASE64" over "ID.SECONDS.BODY"; a secret that is none signs nothing.
std::string webhook_signature(const port::WebhookRow& row, std::string_view id, int64_t seconds,
                              std::string_view body);
/// "whsec_" and 32 random octets.
std::string new_webhook_secret(Rng& rng);

/// An address that no webhook reaches unless `allowed` holds it: of this host, of private networks,
/// link-local (where clouds keep their metadata), reserved, multicast; also where IPv6 wraps such an IPv4
/// address (mapped, 6to4, NAT64).
bool webhook_may_reach(const IpAddress& ip, std::span<const IpPrefix> allowed);
/// http:// is for hosts written as addresses of this host, unless `anywhere`.
bool webhook_may_speak_plain(std::string_view url, bool anywhere);

/// A post to be made.
struct WebhookPost {
  uint64_t number = 0;    // of the delivery
  uint32_t attempts = 0;  // before this one
  std::string endpoint, url, body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// What came of it.
struct WebhookOutcome {
  int status = 0;            // 0: no answer
  std::string error;         // why there is none, in a few words
  uint32_t retry_after = 0;  // seconds, as the endpoint asked
};

class WebhookSender {
 public:
  using EventSink = std::function<void(const port::Event&)>;
  WebhookSender(WebhookOptions options, port::WebhookDirectory& directory, Rng& rng, CounterSet& counters,
                EventSink events = {});

  // ---- any thread
  /// The rows changed (and once at start).
  void set_endpoints(std::vector<port::WebhookRow> rows);
  /// Somebody wants to know: nothing needs to be made into JSON otherwise.
  bool wanted(std::string_view type) const;
  /// Into memory; durable after the next step(). False: nobody wants it, or it was dropped.
  bool accept(WebhookEvent event);
  /// Durable when it returns ok. `directory`: of the calling thread.
  port::StoreStatus file(port::WebhookDirectory& directory, std::vector<WebhookEvent> events);
  /// A delivery waits that did not before.
  void stir();
  /// Called, on whatever thread, when the driver need not wait any longer for next().
  void on_stir(std::function<void()> wake) { wake_ = std::move(wake); }

  // ---- the driver's thread
  /// Stores what was accepted, and gives the posts that are due.
  std::vector<WebhookPost> step(Now now);
  void done(Now now, const WebhookPost& post, const WebhookOutcome& outcome);
  /// When step() has something to do; never() when nothing waits.
  Instant next() const;

 private:
  std::vector<port::WebhookDelivery> deliveries_of(std::span<WebhookEvent> events);
  void count(const port::WebhookDirectory::Queued& queued);
  bool store_accepted();
  void look(Now now, std::vector<WebhookPost>& posts);
  std::optional<WebhookPost> post_of(Now now, port::WebhookDelivery delivery) const;
  port::StoreStatus give_up(const WebhookPost& post, uint32_t attempts, const std::string& why);
  void gone(const WebhookPost& post);
  Duration pause_after(uint32_t attempts, uint32_t retry_after);
  void event(port::Level level, std::string_view name,
             std::vector<std::pair<std::string_view, std::string>> fields) const;

  // given
  const WebhookOptions options_;
  port::WebhookDirectory& directory_;
  Rng& rng_;  // under the mutex
  EventSink events_;
  std::function<void()> wake_;
  Counter& queued_;
  Counter& delivered_;
  Counter& failed_;
  Counter& given_up_;
  Counter& dropped_queue_;
  Counter& dropped_memory_;
  Counter& dropped_dead_;
  Counter& store_failures_;
  // shared
  mutable std::mutex mutex_;
  std::map<std::string, port::WebhookRow, std::less<>> rows_;
  std::deque<WebhookEvent> accepted_;
  bool stirred_ = true;
  // of the driver's thread
  std::set<std::string, std::less<>> under_way_;  // endpoints
  Instant look_at_ = Instant::never();
};

}  // namespace tandem::ops
