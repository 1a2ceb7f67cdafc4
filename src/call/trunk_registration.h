#pragma once
// The client side of REGISTER (RFC 3261 section 10.2) for trunks reached by registration. One worker owns
// each trunk: the one its name's shard belongs to.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "call/config.h"
#include "call/trunk_contact.h"
#include "port/outbox.h"
#include "route/plan.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::call {

struct TrunkStatus {
  enum class State : uint8_t { idle, trying, registered, refused, unreachable } state = State::idle;
  std::string trunk;
  int last_status = 0;  // SIP status of the last answer; 0: none
  WallTime expires;     // of the registration
  WallTime next_try;
  enum class Health : uint8_t { unknown, up, down } health = Health::unknown;  // by OPTIONS
  int probe_status = 0;  // SIP status of the last answer to OPTIONS; 0: none, or none came
  size_t calls = 0;      // seats taken, when the row limits them
};
std::string_view to_string(TrunkStatus::State s);
std::string_view to_string(TrunkStatus::Health h);
/// One worker owns each trunk: the one its name's shard belongs to.
bool owns_trunk(std::string_view trunk, const CallConfig& config);

/// All registrations of this worker. Its transactions use TuRef{room = call, object = trunk_object}; its asks
/// use Asker{room = call, object = trunk_object}: the CallLayer passes both on.
class TrunkRegistrations {
 public:
  /// High bit set: no CallId has it.
  static constexpr uint64_t trunk_object = uint64_t{1} << 63;

  TrunkRegistrations(sip::TransactionLayer& transactions, sip::TokenMint& mint, Rng& rng,
                     CounterSet& counters, const ContactProvider& contacts, const TrunkContacts& tokens,
                     const CallConfig& config);
  ~TrunkRegistrations();

  /// Starts, stops and changes registrations to what the plan says (only trunks whose shard this worker
  /// owns).
  void set_plan(Now now, const route::Plan& plan, port::Outbox& out);
  void on_sip(Now now, const sip::TuEvent& event, port::Outbox& out);
  void on_answer(Now now, port::AskId id, const port::Answer& answer, port::Outbox& out);
  void on_timeout(Now now, port::Outbox& out);
  Instant next_timeout() const;
  /// REGISTER with Expires: 0 for all (a drain).
  void unregister_all(Now now, port::Outbox& out);
  /// Fills in what is known of the registration with `status.trunk`.
  void describe(TrunkStatus& status) const;

 private:
  struct Registration;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::call
