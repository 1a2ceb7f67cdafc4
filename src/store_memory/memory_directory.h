#pragma once
// The directory in memory: for tests, the simulator, and nothing that has to survive.
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "port/admins.h"
#include "port/channels.h"
#include "port/directory.h"
#include "port/webhooks.h"

namespace tandem::store_memory {

/// Behaves as store::SqlDirectory does (the same contract test runs over both), and fails on request.
class MemoryDirectory final : public port::Directory,
                              public port::AdminDirectory,
                              public port::WebhookDirectory,
                              public port::ChannelDirectory {
 public:
  /// Every call fails with this from now on; nothing: it works again.
  void fail_with(std::optional<port::StoreError::Kind> kind) { failure_ = kind; }

  port::StoreResult<port::SubscriberPage> list_subscribers(const port::SubscriberQuery& query) override;
  port::StoreResult<port::Subscriber> subscriber(const port::AddressOfRecord& aor) override;
  port::StoreResult<uint64_t> put_subscriber(const port::Subscriber& row, Put mode) override;
  port::StoreStatus remove_subscriber(const port::AddressOfRecord& aor) override;
  port::StoreStatus set_feature(const port::SetFeature& change) override;
  port::StoreResult<uint64_t> subscribers_version() override;

  port::StoreResult<port::PlanRows> plan_rows() override;
  port::StoreResult<uint64_t> plan_version() override;
  port::StoreResult<PutDone> put_plan_row(const port::PlanRow& row, Put mode) override;
  port::StoreStatus remove_plan_row(const port::PlanRow& row) override;

  port::StoreResult<uint64_t> save_message(const port::StoredMessage& message) override;
  port::StoreResult<std::vector<port::StoredMessage>> messages(const port::AddressOfRecord& aor,
                                                               uint32_t limit) override;
  port::StoreResult<uint32_t> waiting(const port::AddressOfRecord& aor) override;
  port::StoreStatus delete_messages(std::span<const uint64_t> ids) override;

  port::StoreResult<uint64_t> save_voicemail(const port::Voicemail& message, uint32_t most) override;
  port::StoreResult<std::vector<port::Voicemail>> voicemails(const port::AddressOfRecord& mailbox) override;
  port::StoreStatus mark_voicemail(const port::AddressOfRecord& mailbox, uint64_t id, bool heard) override;
  port::StoreStatus remove_voicemail(const port::AddressOfRecord& mailbox, uint64_t id) override;
  port::StoreResult<VoicemailCount> count_voicemails(const port::AddressOfRecord& mailbox) override;
  port::StoreStatus set_mailbox_pin(const port::SetMailboxPin& change) override;

  port::StoreStatus save_bindings(std::span<const port::SaveBindings> batch) override;
  port::StoreResult<std::vector<port::StoredBinding>> bindings() override;
  port::StoreStatus remove_expired_bindings(WallTime now) override;

  port::StoreResult<size_t> insert_cdrs(std::span<const port::Cdr> batch) override;
  port::StoreResult<port::CdrPage> search_cdrs(const port::CdrQuery& query) override;
  port::StoreResult<uint64_t> count_cdrs() override;
  port::StoreResult<size_t> remove_cdrs(WallTime before, uint32_t limit) override;

  port::StoreResult<std::optional<std::string>> setting(const std::string& key) override;
  port::StoreStatus put_setting(const std::string& key, const std::string& value) override;
  port::StoreResult<std::vector<port::ApiTokenRow>> api_tokens() override;
  port::StoreStatus put_api_token(const port::ApiTokenRow& row) override;
  port::StoreStatus remove_api_token(const std::string& name) override;
  port::StoreResult<std::vector<port::AdminRow>> admins() override;
  port::StoreStatus put_admin(const port::AdminRow& row, Put mode) override;
  port::StoreStatus remove_admin(const std::string& name) override;
  port::StoreResult<std::vector<port::ChannelRow>> channels() override;
  port::StoreStatus put_channel(const port::ChannelRow& row, Put mode) override;
  port::StoreStatus remove_channel(const std::string& name) override;
  port::StoreResult<std::vector<port::AccessKeyRow>> access_keys() override;
  port::StoreStatus put_access_key(const port::AccessKeyRow& row, Put mode) override;
  port::StoreStatus remove_access_key(const std::string& id) override;

  port::StoreResult<std::vector<port::WebhookRow>> webhooks() override;
  port::StoreStatus put_webhook(const port::WebhookRow& row, Put mode) override;
  port::StoreStatus remove_webhook(const std::string& name) override;
  port::StoreResult<Queued> queue_deliveries(std::span<const port::WebhookDelivery> batch,
                                             uint32_t most) override;
  port::StoreResult<std::vector<port::WebhookDelivery>> next_deliveries() override;
  port::StoreStatus delivered(uint64_t number) override;
  port::StoreStatus postpone_delivery(uint64_t number, uint32_t attempts, WallTime next,
                                      const std::string& error) override;
  port::StoreResult<size_t> bury_delivery(uint64_t number, uint32_t attempts, const std::string& error,
                                          uint32_t most) override;
  port::StoreResult<std::vector<port::WebhookDelivery>> dead_deliveries(const std::string& endpoint,
                                                                        uint64_t before,
                                                                        uint32_t limit) override;
  port::StoreStatus revive_delivery(const std::string& endpoint, uint64_t number) override;
  port::StoreStatus remove_delivery(const std::string& endpoint, uint64_t number) override;
  port::StoreResult<std::vector<WebhookCount>> count_deliveries() override;

  /// Every record, for the simulator's invariants.
  const std::map<port::CdrKey, port::Cdr>& cdrs() const { return cdrs_; }

 private:
  using Key = std::tuple<std::string, std::string, uint64_t>;
  template <class Row>
  using Rows = std::map<Key, Row>;

  std::optional<port::StoreError> away() const;
  std::string missing_parent(const port::PlanRow& row) const;
  void remove_domain_rows(const std::string& domain);

  std::optional<port::StoreError::Kind> failure_;
  std::map<std::pair<std::string, std::string>, port::Subscriber> subscribers_;  // {domain, user}
  std::tuple<Rows<port::DomainRow>, Rows<port::TrunkRow>, Rows<port::RouteRow>, Rows<port::RingGroupRow>,
             Rows<port::RingGroupMemberRow>, Rows<port::FeatureCodeRow>, Rows<port::TimeRuleRow>,
             Rows<port::ParkRow>, Rows<port::MenuRow>, Rows<port::MenuChoiceRow>, Rows<port::MailboxRow>,
             Rows<port::ConferenceRow>>
      plan_;
  uint64_t plan_version_ = 1;
  uint64_t subscribers_version_ = 1;
  uint64_t last_route_ = 0;
  uint64_t last_message_ = 0;
  std::map<uint64_t, port::StoredMessage> messages_;
  uint64_t last_voicemail_ = 0;
  std::map<uint64_t, port::Voicemail> voicemails_;
  std::map<std::pair<std::string, std::string>, std::vector<port::StoredBinding>> bindings_;
  std::map<port::CdrKey, port::Cdr> cdrs_;
  std::map<std::string, std::string> settings_;
  std::map<std::string, port::ApiTokenRow> tokens_;
  std::map<std::string, port::AdminRow> admins_;
  std::map<std::string, port::WebhookRow> webhooks_;
  uint64_t last_delivery_ = 0;
  std::map<uint64_t, port::WebhookDelivery> deliveries_;
  std::map<std::string, port::ChannelRow> channels_;
  std::map<std::string, port::AccessKeyRow> access_keys_;
};

}  // namespace tandem::store_memory
