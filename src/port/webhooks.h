#pragma once
// Webhooks: who is told over HTTP of what happens, and what still has to be told. A part of the directory
// that no worker and no plan needs, so it is an interface of its own.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "port/directory.h"

namespace tandem::port {

struct WebhookRow {
  std::string name;                 // key
  std::string url;                  // https://, or http:// where the configuration allows it
  std::string secret;               // "whsec_" and base 64 of 24 to 64 octets. Never shown.
  std::string old_secret;           // signed with as well while receivers change over; may be empty
  std::vector<std::string> events;  // webhook_types; empty: all
  bool enabled = true;

  bool wants(std::string_view type) const;
};

/// What there is to be told.
inline constexpr std::string_view webhook_types[] = {
    "call.started",       "call.answered",        "call.transferred",  "call.ended",
    "registration.added", "registration.removed", "conference.joined", "conference.left",
    "message.received",   "recording.finished"};

/// One event on its way to one endpoint.
struct WebhookDelivery {
  uint64_t number = 0;   // given by the store; ascending: the order of delivery
  std::string endpoint;  // WebhookRow::name
  std::string id;        // of the event, the same for all endpoints and attempts
  std::string type;
  std::string body;  // JSON, as it is signed
  WallTime time;     // when it happened
  uint32_t attempts = 0;
  WallTime next;      // not before
  std::string error;  // of the last attempt
  bool dead = false;  // given up: it waits for nobody but an administrator
};

/// The twins of the directory implement it; what is said of Directory holds.
class WebhookDirectory {
 public:
  virtual ~WebhookDirectory() = default;
  /// By name.
  virtual StoreResult<std::vector<WebhookRow>> webhooks() = 0;
  virtual StoreStatus put_webhook(const WebhookRow& row, Directory::Put mode) = 0;
  /// Its deliveries go with it.
  virtual StoreStatus remove_webhook(const std::string& name) = 0;

  /// Durable when it returns. One whose endpoint and id wait already, or whose endpoint is not there, is left
  /// out; so are those past `most` waiting for their endpoint, which are counted.
  struct Queued {
    size_t queued = 0, dropped = 0;
  };
  virtual StoreResult<Queued> queue_deliveries(std::span<const WebhookDelivery> batch, uint32_t most) = 0;
  /// The first that waits for each enabled endpoint.
  virtual StoreResult<std::vector<WebhookDelivery>> next_deliveries() = 0;
  virtual StoreStatus delivered(uint64_t number) = 0;
  virtual StoreStatus postpone_delivery(uint64_t number, uint32_t attempts, WallTime next,
                                        const std::string& error) = 0;
  /// Given up. Of an endpoint's dead ones the latest `most` are kept; gives how many were removed.
  virtual StoreResult<size_t> bury_delivery(uint64_t number, uint32_t attempts, const std::string& error,
                                            uint32_t most) = 0;
  /// Those given up, latest first, with a number below `before` (0: all); at most `limit`.
  virtual StoreResult<std::vector<WebhookDelivery>> dead_deliveries(const std::string& endpoint,
                                                                    uint64_t before, uint32_t limit) = 0;
  /// It waits again, behind what waits already. not_found: none of that endpoint's dead ones.
  virtual StoreStatus revive_delivery(const std::string& endpoint, uint64_t number) = 0;
  virtual StoreStatus remove_delivery(const std::string& endpoint, uint64_t number) = 0;
  struct WebhookCount {
    std::string endpoint;
    uint64_t waiting = 0, dead = 0;
  };
  virtual StoreResult<std::vector<WebhookCount>> count_deliveries() = 0;
};

/// As port::problem_with() of other rows.
std::string problem_with(const WebhookRow& row);

}  // namespace tandem::port
