#pragma once
// What becomes of trunks between calls: whether they answer OPTIONS (RFC 3261 section 11), and which
// addresses the name of their host has (RFC 3263). One worker watches each trunk, the one its name's shard
// belongs to; what it finds out goes to every worker (Outbox::trunk_news).
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "call/config.h"
#include "call/trunk_registration.h"
#include "port/outbox.h"
#include "route/plan.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::call {

/// Its transactions use TuRef{room = call, object = watch_object}; its asks use Asker{room = call, object =
/// watch_object}: the CallLayer passes both on.
class TrunkWatch {
 public:
  /// High bit set: no CallId has it.
  static constexpr uint64_t watch_object = TrunkRegistrations::trunk_object | 1;
  static constexpr size_t max_addresses = 16;  // of one name

  TrunkWatch(sip::TransactionLayer& transactions, sip::TokenMint& mint, Rng& rng, CounterSet& counters,
             const ContactProvider& contacts, const CallConfig& config);
  ~TrunkWatch();

  /// Watches what the plan says (only trunks this worker owns).
  void set_plan(Now now, const route::Plan& plan, port::Outbox& out);
  void on_sip(Now now, const sip::TuEvent& event, port::Outbox& out);
  void on_answer(Now now, port::AskId id, const port::Answer& answer, port::Outbox& out);
  void on_timeout(Now now, port::Outbox& out);
  Instant next_timeout() const;
  /// Fills in what is known of the health of `status.trunk`.
  void describe(TrunkStatus& status) const;

 private:
  struct Watched;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::call
