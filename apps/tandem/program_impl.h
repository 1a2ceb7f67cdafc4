#pragma once
// The parts of a running node, in the order they are built; they end in the reverse order.
#include <atomic>
#include <mutex>
#include <thread>

#include "channel/front_desk.h"
#include "dtls/openssl_endpoint.h"
#include "net/http_server.h"
#include "net/runtime.h"
#include "net/system_rng.h"
#include "node/worker.h"
#include "ops/api.h"
#include "ops/log.h"
#include "ops/mailer.h"
#include "ops/message_ring.h"
#include "ops/task_thread.h"
#include "ops/webhooks.h"
#include "store/cdr_sink.h"
#include "store/posix_disk.h"
#include "store/prompt_loader.h"
#include "store/recorder_thread.h"
#include "store/sound_service.h"
#include "store/spool_thread.h"
#include "store/sql_directory.h"
#include "store/store_service.h"
#include "store/voicemail_drop.h"
#include "tandem/program.h"
#include "tandem/udp_sender.h"
#include "tandem/webhook_thread.h"

namespace tandem::app {

struct Program::Impl final : net::AskHandler,
                             net::SpoolHandler,
                             net::EventHandler,
                             ops::NodeControl,
                             store::StoreListener {
  Impl(node::NodeConfig config, DataDir data, Reread reread);
  ~Impl() override;

  // ---- start and stop (program.cpp)
  Status<std::string> start();
  Status<std::string> start_store();
  /// Prompts into memory, and the threads that read and write sound (sounds.cpp).
  void start_sounds();
  /// Without any API token nobody could administer the node: the first is made here and left in
  /// DATA/api_token.
  Status<std::string> first_token();
  void look_at_addresses();
  Status<std::string> start_workers(uint64_t epoch, const node::NodeKeys& keys);
  Status<std::string> start_web();
  /// REST, and the console's files in memory; without them REST serves alone (console.cpp).
  void make_api();
  void load_console();
  net::TurnNetConfig turn_net() const;
  void name_turn_uris();
  /// Signalling channels, when they are switched on (channels.cpp).
  void make_front_desk();
  void end_guests(const std::string& channel, const std::string& access_key);
  std::unique_ptr<port::Worker> make_worker(uint16_t index, const net::Runtime::Capabilities& world,
                                            uint64_t epoch, const node::NodeKeys& keys);
  int run();
  void stop();
  /// False when it was asked for again, or calls are left at the deadline.
  bool drain_until_idle(Instant deadline);
  /// What still runs is ended by us: each leg is told, each record written.
  void end_calls();
  void say(port::Level level, std::string_view name,
           std::vector<std::pair<std::string_view, std::string>> fields = {});

  // ---- from the workers
  void ask(uint16_t worker, port::Asked asked) override;
  void append(uint16_t worker, std::vector<port::Append> records) override;
  void events(uint16_t worker, std::vector<port::Event> events) override;
  void traces(uint16_t worker, std::span<const port::SipTrace> traces) override;

  // ---- store::StoreListener, on the store thread, and ops::NodeControl (mailboxes.cpp)
  void mailbox_changed(const port::AddressOfRecord& mailbox) override;
  void message_left(const port::Voicemail& message) override;
  void remove_file(const port::SoundFile& file) override;
  void mailbox_plan_changed() override;
  void start_mailer();
  /// Of the recorder's thread.
  void recorder_answered(uint16_t worker, port::AskId id, port::Answer answer);

  // ---- webhooks (webhooks.cpp)
  class CdrTap;
  std::unique_ptr<store::SpoolSink> make_cdr_tap();
  void start_webhooks();
  port::Level event_level() const;
  void set_event_level();
  void webhooks_changed() override;
  void tell_webhooks(std::span<const port::Event> events, WallTime wall);
  port::StoreStatus tell_records(std::span<const std::string_view> records);

  // ---- ops::NodeControl (control.cpp)
  void calls(size_t limit, std::function<void(std::vector<call::CallInfo>)> then) override;
  void call(call::CallId id, std::function<void(std::optional<call::CallInfo>)> then) override;
  void hangup(call::CallId id, std::function<void(bool)> then) override;
  void order(call::CallOrder order, std::function<void(call::Ordered)> then) override;
  void transfer(call::CallId id, uint16_t leg, std::string target, std::function<void(bool)> then) override;
  std::vector<ops::RecordingView> recordings(const std::string& day) override;
  void conferences(std::function<void(std::vector<call::ConferenceInfo>)> then) override;
  void change_conference(ConferenceChange change, std::function<void(bool)> then) override;
  void record(call::CallId id, call::RecordingAction action, bool announce,
              std::function<void(call::RecordingDone)> then) override;
  void play(call::CallId id, call::PlayOrder order, std::function<void(call::PlayDone)> then) override;
  void registrations(std::string domain, std::string search, size_t limit,
                     std::function<void(std::vector<ops::RegistrationView>)> then) override;
  void contacts(std::vector<port::AddressOfRecord> aors,
                std::function<void(std::vector<size_t>)> then) override;
  void unregister(port::AddressOfRecord aor, std::function<void(bool)> then) override;
  void trunk_status(std::function<void(std::vector<ops::TrunkStatusView>)> then) override;
  std::optional<TurnCredentials> turn_credentials(const std::string& user,
                                                  std::optional<int64_t> ttl) override;
  void turn_allocations(size_t limit, std::function<void(std::vector<turn::AllocationInfo>)> then) override;
  route::Decision explain(const route::CallRequest& request) override;
  void plan_changed() override;
  void subscriber_changed(const port::AddressOfRecord& aor) override;
  void read_file(port::SoundFile file, size_t most,
                 std::function<void(Result<std::string, port::SoundFailure>)> then) override;
  Status<std::string> reload() override;
  void drain(bool draining) override;
  bool draining() const override { return draining_; }
  std::optional<std::string> not_ready() const override;
  std::string metrics_text() override;
  ops::Figures figures() override;
  std::string domain_of(const std::string& name_or_alias) override;
  std::string digest_realm(const std::string& domain) override;

  std::shared_ptr<const route::Plan> plan() const;
  Status<std::string> load_plan(port::Directory& directory);
  /// Reads the plan anew with the calling thread's directory and hands it to the workers.
  void change_plan(port::Directory& directory);
  size_t calls_in_progress() const;

  // ---- given
  node::NodeConfig config;
  DataDir data;
  Reread reread;
  uint16_t workers = 1;

  // ---- owned, in the order they are built. Counters first: everything else holds references to them.
  CounterSet store_counters, spool_counters, control_counters, log_counters, sound_counters,
      recorder_counters, mail_counters, webhook_counters;
  std::vector<const CounterSet*> worker_counters;
  std::vector<IpAddress> machine;  // its addresses when they were looked at last
  ops::Log log;
  std::shared_ptr<const edge::RealmTable> realms;
  store::PosixDisk disk;
  std::unique_ptr<store::SqlDirectory> store_directory, control_directory, webhook_directory;
  store::SpoolCatalog catalog;
  std::unique_ptr<store::SpoolCore> spool_core;
  std::unique_ptr<store::CdrSink> cdr_sink;
  net::SystemRng webhook_rng;
  std::unique_ptr<ops::WebhookSender> webhook_sender;
  std::unique_ptr<WebhookThread> webhook_thread;
  std::unique_ptr<store::SpoolSink> cdr_tap;
  std::unique_ptr<store::SpoolShipper> shipper;
  std::unique_ptr<store::StoreService> store;
  std::unique_ptr<store::SpoolThread> spool;
  std::shared_ptr<const port::PromptLibrary> prompts;
  std::unique_ptr<store::SoundService> sounds;
  std::unique_ptr<store::RecorderThread> recorder;
  std::unique_ptr<store::VoicemailDrop> voicemail_drop;
  std::unique_ptr<ops::Mailer> mailer;                                 // null: no program for e-mail is set
  std::vector<std::unique_ptr<net::SystemRng>> rngs;                   // one a worker
  std::optional<dtls::Certificate> certificate;                        // of the node's media; made at start
  std::vector<std::unique_ptr<dtls::OpensslEndpoint>> dtls_endpoints;  // one a worker
  std::unique_ptr<ops::MessageRing> messages;                          // null: none are kept
  std::unique_ptr<net::Runtime> runtime;
  ops::WebFiles console;
  net::SystemRng control_rng;
  auth::TicketKey tickets{};  // of the API and of all workers
  ops::TaskThread passwords{32};
  std::unique_ptr<channel::FrontDesk> front_desk;  // null: there are no signalling channels
  std::unique_ptr<ops::Api> api;
  std::unique_ptr<net::HttpServer> web;
  std::unique_ptr<UdpSender> hep;
  std::string web_url;
  std::string turn_secret;             // signs the time-limited credentials that are handed out
  std::vector<std::string> turn_uris;  // RFC 7065; once the listeners are bound

  // ---- state
  std::mutex plan_change_mutex;  // held while a new plan is read and handed out: the latest stays
  mutable std::mutex plan_mutex;
  std::shared_ptr<const route::Plan> plan_now;
  std::atomic<uint16_t> next_order = 0;  // shard of the next call that REST places
  std::atomic<bool> draining_ = false;
  std::atomic<bool> webhooks_on = false;  // some are switched on
  std::atomic<bool> started = false;
  std::atomic<bool> spool_failing = false;
};

}  // namespace tandem::app
