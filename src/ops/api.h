#pragma once
// REST under /api/v1: a table of operations serves to dispatch a request, to check who may do it, and to
// write the OpenAPI document, so that the three cannot disagree. Runs on a control thread; workers are
// reached through NodeControl, by mailbox, and answer when they can: no request here ever stops one.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/ticket.h"
#include "base/counters.h"
#include "base/rng.h"
#include "call/call_layer.h"
#include "ops/history.h"
#include "ops/json_rows.h"
#include "ops/message_ring.h"
#include "ops/sessions.h"
#include "ops/web_files.h"
#include "port/admins.h"
#include "port/channels.h"
#include "port/directory.h"
#include "port/event.h"
#include "port/http.h"
#include "port/webhooks.h"
#include "route/decision.h"
#include "turn/server.h"

namespace tandem::ops {

/// The running node, as the API sees it. Each call returns at once; `then` comes later, on any thread,
/// exactly once.
class NodeControl {
 public:
  virtual ~NodeControl() = default;
  virtual void calls(size_t limit, std::function<void(std::vector<call::CallInfo>)> then) = 0;
  virtual void call(call::CallId id, std::function<void(std::optional<call::CallInfo>)> then) = 0;
  virtual void hangup(call::CallId id, std::function<void(bool found)> then) = 0;
  virtual void order(call::CallOrder order, std::function<void(call::Ordered)> then) = 0;
  virtual void transfer(call::CallId id, uint16_t leg, std::string target,
                        std::function<void(bool found)> then) = 0;
  /// The files in the folder of a day ("2026-11-25"), whatever they are.
  virtual std::vector<RecordingView> recordings(const std::string& day) = 0;
  virtual void conferences(std::function<void(std::vector<call::ConferenceInfo>)> then) = 0;
  /// What is to be done in a live conference. `call`: whose; 0: the conference itself.
  struct ConferenceChange {
    std::string domain, name;
    call::CallId call = 0;
    std::optional<bool> locked, lecture;  // of the conference
    std::optional<bool> muted;            // of a member
    bool remove = false;                  // the member
  };
  virtual void change_conference(ConferenceChange change, std::function<void(bool found)> then) = 0;
  virtual void record(call::CallId id, call::RecordingAction action, bool announce,
                      std::function<void(call::RecordingDone)> then) = 0;
  virtual void play(call::CallId id, call::PlayOrder order, std::function<void(call::PlayDone)> then) = 0;
  virtual void registrations(std::string domain, std::string search, size_t limit,
                             std::function<void(std::vector<RegistrationView>)> then) = 0;
  /// How many contacts each has registered now, in the order of `aors`.
  virtual void contacts(std::vector<port::AddressOfRecord> aors,
                        std::function<void(std::vector<size_t>)> then) = 0;
  virtual void unregister(port::AddressOfRecord aor, std::function<void(bool found)> then) = 0;
  virtual void trunk_status(std::function<void(std::vector<TrunkStatusView>)> then) = 0;
  /// Nothing when there is no TURN server here.
  struct TurnCredentials {
    std::string username, password;
    int64_t ttl = 0;  // seconds
    std::vector<std::string> uris;
  };
  virtual std::optional<TurnCredentials> turn_credentials(const std::string& user,
                                                          std::optional<int64_t> ttl) = 0;
  virtual void turn_allocations(size_t limit,
                                std::function<void(std::vector<turn::AllocationInfo>)> then) = 0;
  /// What the dial plan in use now decides, and why.
  virtual route::Decision explain(const route::CallRequest& request) = 0;
  /// The directory changed: workers take the new plan (at once) and ask for that subscriber anew (empty user:
  /// for all).
  virtual void plan_changed() = 0;
  virtual void subscriber_changed(const port::AddressOfRecord& aor) = 0;
  /// Rows of webhooks changed, or a delivery waits again.
  virtual void webhooks_changed() = 0;
  /// The voice messages of a mailbox changed: its lamps are told.
  virtual void mailbox_changed(const port::AddressOfRecord& mailbox) = 0;
  /// Nothing in the directory speaks of the file any more.
  virtual void remove_file(const port::SoundFile& file) = 0;
  /// The bytes of a file of sound, at most `most`.
  virtual void read_file(port::SoundFile file, size_t most,
                         std::function<void(Result<std::string, port::SoundFailure>)> then) = 0;
  /// Configuration and certificates; what cannot change at run time is told in the text.
  virtual Status<std::string> reload() = 0;
  virtual void drain(bool draining) = 0;
  virtual bool draining() const = 0;
  /// Nothing, or why this node should get no new traffic.
  virtual std::optional<std::string> not_ready() const = 0;
  virtual std::string metrics_text() = 0;
  virtual Figures figures() = 0;
  /// The domain's own name for a name or alias of it; empty when it is not ours.
  virtual std::string domain_of(const std::string& name_or_alias) = 0;
  /// The realm that HA1 values of the domain are made for.
  virtual std::string digest_realm(const std::string& domain) = 0;
};

/// A shorter password of a subscriber is refused.
inline constexpr size_t least_password_octets = 8;
/// And of an administrator.
inline constexpr size_t least_admin_password_octets = 12;

struct ApiImpl;

struct ApiConfig {
  std::string version;  // of the program
  std::string server_name = "Tandem";
  WallTime started;
  // Wrong tokens and passwords from a source address (IPv6: a /64) within a minute; past it 429.
  uint32_t guesses = 10;
  uint32_t account_guesses = 30;  // wrong passwords of an account within a minute, from wherever; past it 429
  size_t guess_sources =
      4096;                // addresses and accounts remembered; past it the least recently seen is forgotten
  uint64_t guess_key = 0;  // secret: keeps strangers from choosing which address is forgotten
  SessionLimits sessions;
  auth::TicketKey tickets{};  // secret: what the telephones of pages sign in with
  Duration ticket_lifetime = seconds(30);
};

/// What the API is built on besides the directory and the node; all but `rng` may be left out (tests).
struct ApiParts {
  port::AdminDirectory& admins;  // used on the thread that calls handle() only
  Rng& rng;                      // secret: cookies and salts come from it
  port::WebhookDirectory* webhooks = nullptr;
  port::ChannelDirectory* channels = nullptr;   // used as `admins` is
  std::function<void()> channels_changed = {};  // or access keys
  const WebFiles* files = nullptr;              // of the console
  MessageRing* messages = nullptr;              // of calls
  std::function<void(const port::Event&)> events = {};
  /// Runs a task where it may take its time; false: too many wait. Without it tasks run at once.
  std::function<bool(std::function<void()>)> slow = {};
  /// Brings a task back to the thread of handle().
  std::function<void(std::function<void()>)> post = {};
};

class Api {
 public:
  /// `directory` is used on the thread that calls handle() only. `wall` gives the time of a request.
  Api(ApiConfig config, port::Directory& directory, NodeControl& node, std::function<WallTime()> wall,
      CounterSet& counters, ApiParts parts);
  ~Api();

  /// Everything under /api/v1, /healthz, /readyz and /metrics, and the console at /.
  void handle(const port::HttpRequest& request, port::HttpReply reply);
  /// Tokens are compared by their SHA-256; call it when they changed (and once at start).
  void reload_tokens();
  /// Every History::period: what charts show.
  void sample();
  std::string openapi() const;

 private:
  std::unique_ptr<ApiImpl> impl_;
};

}  // namespace tandem::ops
