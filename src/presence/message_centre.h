#pragma once
// Instant messages (RFC 3428): to the contacts of an address-of-record at once, or kept until it registers.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/hash.h"
#include "base/slot_map.h"
#include "base/time.h"
#include "base/timers.h"
#include "port/outbox.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::presence {

struct MessageCentreConfig {
  size_t open = 10'000;            // messages and deliveries under way, per worker
  size_t body_bytes = 8192;        // of one message
  uint32_t batch = 50;             // stored messages fetched at once
  Duration patience = seconds(8);  // then it is stored, and the sender hears 202 well before its Timer F
  Duration ask_timeout = seconds(5);
  Duration first_retry =
      minutes(1);  // of a delivery to someone who is registered and did not take it; doubles
  uint32_t retries = 8;
  size_t waiting_retries = 10'000;
};

/// A message is never between two places: the sender hears 200 after a contact took it, 202 after the store
/// has it, an error otherwise; the store forgets it after a contact took it. What may happen when something
/// fails in between is a copy.
class MessageCentre {
 public:
  MessageCentre(MessageCentreConfig config, sip::TransactionLayer& transactions, sip::TokenMint& mint,
                const sip::SentBy& sent_by, CounterSet& counters);
  ~MessageCentre();

  /// A MESSAGE outside a dialog from an authenticated subscriber (null: 403). `domain`: ours that the
  /// host of its Request-URI means; empty: it is not ours. `shard`: the request's, on which the message lives
  /// from now on.
  void on_request(Now now, sip::TuEvent&& event, const port::SubscriberAnswer& who, std::string_view domain,
                  uint16_t shard, port::Outbox& out);
  void on_sip(Now now, sip::TuEvent&& event, port::Outbox& out);
  /// A contact was added: deliver what is stored.
  void on_registered(Now now, const port::AddressOfRecord& aor, port::Outbox& out);
  void on_answer(Now now, uint64_t object, port::AskId id, port::Answer answer, port::Outbox& out);
  void on_timeout(Now now, port::Outbox& out);
  Instant next_timeout() const { return timers_.next(); }
  size_t open_count() const { return messages_.size() + deliveries_.size(); }

  // ---- snapshot: messages whose sender has no answer yet
  struct Part {
    uint16_t shard = 0;
    std::string bytes;
  };
  void snapshot(Now now, std::vector<Part>& parts) const;
  /// The message goes to the store; its sender hears when adopt() brings the transaction. False: not
  /// understood.
  bool restore(Now now, std::string_view bytes);
  /// A restored server transaction whose user is Room::message; after restore().
  void adopt(const sip::TransactionLayer::Restored& restored);

 private:
  struct Message;
  struct Delivery;
  struct Timer {
    enum class Kind : uint8_t { message, retry, deletion } kind = Kind::message;
    SlotId id = {};
    port::AddressOfRecord aor = {};
    uint32_t attempt = 0;
  };

  // a message on its way (message.cpp)
  void on_target(Now now, SlotId id, Message& m, const port::Answer& answer, port::Outbox& out);
  void on_contacts(Now now, SlotId id, Message& m, const port::Answer& answer, port::Outbox& out);
  void on_saved(Now now, SlotId id, Message& m, const port::Answer& answer, port::Outbox& out);
  void on_result(Now now, SlotId id, Message& m, const sip::TuEvent& event, port::Outbox& out);
  void save(Now now, SlotId id, Message& m, port::Outbox& out);
  void answer_sender(Now now, Message& m, int status, port::Outbox& out);
  void finish_if_done(SlotId id, Message& m);

  // stored messages (delivery.cpp)
  void deliver(Now now, const port::AddressOfRecord& aor, uint32_t attempt, port::Outbox& out);
  void on_stored(Now now, SlotId id, Delivery& d, port::Answer& answer, port::Outbox& out);
  void on_ways(Now now, SlotId id, Delivery& d, port::Answer& answer, port::Outbox& out);
  void on_result(Now now, SlotId id, Delivery& d, const sip::TuEvent& event, port::Outbox& out);
  void send_next(Now now, SlotId id, Delivery& d, port::Outbox& out);
  void give_up(Now now, SlotId id, Delivery& d);
  void close(Now now, SlotId id, Delivery& d, port::Outbox& out);
  void forget_stored(Now now, uint64_t stored_id, const port::AddressOfRecord& aor, port::Outbox& out);
  void retry_later(Now now, const port::AddressOfRecord& aor, uint32_t attempt);
  void ask_deletions(Now now, port::Outbox& out);

  sip::ClientTxId send(Now now, const port::StoredMessage& message, const port::Contact& contact,
                       uint64_t object, uint16_t shard, bool delayed, port::Outbox& out);

  MessageCentreConfig config_;
  sip::TransactionLayer& transactions_;
  sip::TokenMint& mint_;
  const sip::SentBy& sent_by_;

  SlotMap<Message> messages_;
  SlotMap<Delivery> deliveries_;
  std::unordered_map<std::string, SlotId, TextHash, std::equal_to<>> delivering_;  // AOR -> its delivery
  std::unordered_map<uint64_t, SlotId> restored_;  // object before the restore -> now
  std::unordered_map<uint64_t, port::AddressOfRecord>
      taken_;  // stored messages a contact took and the store still has, and whose they are
  port::AskId deleting_ = 0;
  std::vector<uint64_t> deleting_ids_;
  TimerQueue<Timer> timers_;
  size_t retries_waiting_ = 0;

  Counter &received_, &delivered_, &stored_count_, &refused_, &late_, &limit_open_, &limit_bytes_,
      &deletions_failed_, &retries_, &retries_dropped_;
};

}  // namespace tandem::presence
