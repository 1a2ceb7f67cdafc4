#pragma once
// What one worker is built from: NodeConfig (what people write) turned into what each room takes.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "auth/authenticator.h"
#include "auth/bearer.h"
#include "auth/ticket.h"
#include "base/result.h"
#include "channel/config.h"
#include "call/config.h"
#include "edge/gate.h"
#include "edge/realm.h"
#include "media/engine.h"
#include "node/config.h"
#include "node/subscriber_cache.h"
#include "presence/message_centre.h"
#include "presence/notifier.h"
#include "registrar/registrar.h"
#include "sip/transaction.h"
#include "turn/server.h"
#include "webrtc/config.h"

namespace tandem::node {

/// Secrets of the cluster: made at first start, kept in the data directory (mode 0600), the same on every
/// node that may see another's tokens, nonces and GRUUs.
struct NodeKeys {
  std::array<uint8_t, 16> tokens{};
  std::array<uint8_t, 32> nonces{};
  std::array<uint8_t, 32> gruus{};
  std::vector<auth::TokenKey>
      bearer;  // of whoever issues tokens for subscribers, as the configuration names them
};
/// Of the tickets that REST hands out and workers check.
auth::TicketKey ticket_key(const NodeKeys& keys);

struct WorkerSettings {
  uint16_t node = 1;
  uint64_t epoch = 1;  // boots of this node
  uint16_t index = 0;
  uint16_t workers = 1;
  NodeKeys keys;
  std::shared_ptr<const edge::RealmTable> realms;  // shared by all workers, never changed

  sip::Timers timers;
  sip::TransactionLimits transactions;
  sip::TransactionPolicy transaction_policy;
  sip::Limits parser;
  auth::Config auth;
  auth::TokenConfig bearer;
  auth::TicketKey tickets{};
  edge::GateConfig gate;
  registrar::Config registrar;
  presence::NotifierConfig notifier;
  presence::MessageCentreConfig messages;
  call::CallConfig calls;
  media::EngineConfig media;
  turn::Config turn;
  SubscriberCacheLimits subscribers;
  channel::SwitchboardConfig channels;
  webrtc::GatewayConfig rtc;  // its node and timers are those above

  size_t waiting_requests = 20'000;  // requests whose sender is being looked up
  size_t moved_names = 100'000;
  size_t calls_per_line = 256;
  Duration ask_timeout = seconds(3);
  Duration held_send_patience = seconds(2);
  uint32_t retry_after_seconds = 5;
};

/// Everything but the directory's rows. `cores`: what `workers: 0` stands for.
WorkerSettings make_settings(const NodeConfig& config, const NodeKeys& keys, uint64_t epoch, uint16_t index,
                             uint16_t workers, std::shared_ptr<const edge::RealmTable> realms);
auth::TokenConfig token_config(const TokenSettings& settings, std::vector<auth::TokenKey> keys);
/// Index of the realm WebSocket clients belong to.
port::RealmId websocket_realm(const NodeConfig& config);
/// What relay ports are bound to: the configured address, else that of the first listener of the family.
IpAddress relay_address(const TurnSettings& turn, IpAddress::Family family);
/// The secret the node makes up for itself, of time-limited TURN credentials.
std::string own_turn_secret(const NodeKeys& keys);
/// The failure is one sentence.
Result<std::shared_ptr<const edge::RealmTable>, std::string> make_realms(const NodeConfig& config);

}  // namespace tandem::node
