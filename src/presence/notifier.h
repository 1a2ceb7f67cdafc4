#pragma once
// The notifier of RFC 6665 for the packages `dialog` (RFC 4235, busy lamp field), `message-summary` (RFC
// 3842) and `presence` (RFC 3856), and the event state compositor of RFC 3903. One per worker: a subscription
// lives on the shard of the address-of-record it watches.
#include <cstdint>
#include <memory>
#include <optional>
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
#include "presence/documents.h"
#include "sip/dialog.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::presence {

struct NotifierConfig {
  uint32_t min_expires = 60;  // seconds; a shorter wish is answered 423
  uint32_t max_expires = 3600;
  uint32_t default_expires = 3600;
  size_t subscriptions = 50'000;       // per worker
  size_t subscriptions_per_aor = 300;  // watchers of one AOR
  size_t publications = 20'000;        // per worker
  size_t publications_per_aor = 8;
  size_t body_bytes = 8192;  // of a PUBLISH
  size_t xml_depth = 32;
  Duration ask_timeout = seconds(2);
};

enum class Package : uint8_t { dialog, message_summary, presence };

class Notifier {
 public:
  Notifier(NotifierConfig config, sip::TransactionLayer& transactions, sip::TokenMint& mint,
           const sip::SentBy& sent_by, CounterSet& counters);
  ~Notifier();

  /// Other names of domains (addresses of ours, say), lower case, to the domain's name. Hosts that are not in
  /// it stand for themselves.
  using Aliases = std::unordered_map<std::string, std::string, TextHash, std::equal_to<>>;
  void set_aliases(Aliases aliases) { aliases_ = std::move(aliases); }

  /// SUBSCRIBE or PUBLISH outside a dialog, from a sender whose password was right. Null: not a subscriber
  /// (403).
  void on_request(Now now, sip::TuEvent&& event, const port::SubscriberAnswer& who, port::Outbox& out);
  /// Requests inside our dialogs, and what became of our NOTIFYs.
  void on_sip(Now now, sip::TuEvent&& event, port::Outbox& out);
  bool owns_dialog(std::string_view local_tag) const { return by_tag_.find(local_tag) != by_tag_.end(); }

  /// All calls in progress at an AOR.
  void on_line(Now now, const port::AddressOfRecord& aor, const port::LineAnswer& line, port::Outbox& out);
  /// How many contacts an AOR has now.
  void on_registration(Now now, const port::AddressOfRecord& aor, uint32_t contacts, port::Outbox& out);
  /// More or fewer messages are stored for an AOR: who watches it hears how many, once the store said so.
  void on_mailbox(Now now, const port::AddressOfRecord& aor, port::Outbox& out);

  void on_answer(Now now, uint64_t object, port::AskId id, port::Answer answer, port::Outbox& out);
  void on_timeout(Now now, port::Outbox& out);
  Instant next_timeout() const { return timers_.next(); }
  size_t subscription_count() const { return subscriptions_.size(); }

  // ---- snapshot: one part per AOR (proto/presence.proto)
  struct Part {
    uint16_t shard = 0;
    std::string bytes;
  };
  void snapshot(Now now, std::vector<Part>& parts) const;
  /// False: not understood; the caller keeps it. What was owed to watchers is sent by the next on_timeout().
  bool restore(Now now, std::string_view bytes);

 private:
  struct Resource;
  struct Subscription;
  struct Publication;
  struct Wish;  // a SUBSCRIBE, read
  /// A timer of a subscription or of a resource's publications.
  struct Timer {
    SlotId id;
    bool publication = false;
  };

  // SUBSCRIBE (subscribe.cpp)
  void on_subscribe(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
                    const port::Subscriber& who, port::Outbox& out);
  void on_refresh(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
                  port::Outbox& out);
  bool read_wish(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
                 Wish& wish, port::Outbox& out);
  bool room_for(const port::AddressOfRecord& aor) const;
  std::optional<port::AddressOfRecord> address_of(const sip::Uri& uri) const;
  bool target_of(const sip::Message& request, const port::Subscriber& who, port::AddressOfRecord& aor) const;
  void ask_state(Now now, SlotId id, Subscription& s, const Resource& r, port::Outbox& out);

  // PUBLISH (publish.cpp)
  void on_publish(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
                  const port::Subscriber& who, port::Outbox& out);
  int check_document(const sip::Message& request) const;
  bool is_about(const sip::Message& request, const port::AddressOfRecord& aor) const;
  void arm_publications(SlotId id, Resource& r);
  void expire_publications(Now now, SlotId id, Instant deadline, port::Outbox& out);

  // NOTIFY (notifier.cpp)
  void changed(Now now, Resource& r, Package package, port::Outbox& out);
  void notify(Now now, SlotId id, Subscription& s, port::Outbox& out);
  void end(Now now, SlotId id, Subscription& s, std::string_view reason, port::Outbox& out);
  void on_notify_result(Now now, SlotId id, const sip::TuEvent& event, port::Outbox& out);
  void forget(SlotId id);
  void arm(SlotId id, Subscription& s, Instant deadline);
  SlotId find_resource(const port::AddressOfRecord& aor) const;
  SlotId make_resource(const port::AddressOfRecord& aor);
  void drop_if_idle(SlotId id);
  void respond(Now now, sip::ServerTxId server, const sip::Message& request, const port::Path& path,
               int status, port::Outbox& out, sip::HeaderId header = sip::HeaderId::other,
               std::string_view value = {});
  std::string contact_of(const port::Path& path) const;

  NotifierConfig config_;
  sip::TransactionLayer& transactions_;
  sip::TokenMint& mint_;
  const sip::SentBy& sent_by_;
  Aliases aliases_;

  SlotMap<Resource> resources_;
  SlotMap<Subscription> subscriptions_;
  std::unordered_map<std::string, SlotId, TextHash, std::equal_to<>> by_aor_;
  std::unordered_map<std::string_view, SlotId, TextHash> by_tag_;  // views into the subscription's dialog
  TimerQueue<Timer> timers_;
  size_t publications_ = 0;

  Counter &subscribed_, &refused_, &notified_, &notify_failures_, &published_, &limit_total_, &limit_aor_,
      &limit_publications_, &bad_documents_, &foreign_documents_, &unreadable_, &subscriptions_gauge_;
};

}  // namespace tandem::presence
