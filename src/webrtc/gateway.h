#pragma once
// The JSON signalling API of one worker (docs/rtc.md): clients on WebSockets, each a telephone to the rest of
// the program.
//
//   WebSocket --on_text()--> JSON --> Phone --SIP--> Outcome::sip  --> the node, as from any telephone
//   WebSocket <--Outcome::texts-- JSON <-- Phone <--SIP-- on_sip() <-- what the node sends to an inner flow
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "base/timers.h"
#include "port/inner_flow.h"
#include "port/outbox.h"
#include "port/records.h"
#include "sip/token.h"
#include "sip/transaction.h"
#include "webrtc/config.h"
#include "webrtc/phone.h"
#include "webrtc/protocol.h"

namespace tandem::webrtc {

/// In the slot of an inner flow are the shard of the subscriber, whose worker has the session, and 18 random
/// bits; the generation is random too. So its name is good on any number of workers, and after a restart.
constexpr uint16_t shard_of(port::FlowId inner) { return static_cast<uint16_t>(inner.slot >> 18 & 0xFFF); }

/// What is to be done about an input.
struct Outcome {
  struct Text {
    port::Path web;
    std::string text;
  };
  struct Lookup {
    uint64_t object = 0;  // for on_subscriber()
    port::AddressOfRecord aor;
    std::string token;  // instead of a password: on_token() first
  };
  std::vector<port::Received> sip;     // into the node
  std::vector<Text> texts;             // out to clients
  std::vector<port::FlowId> hang_ups;  // WebSockets to be closed, after their texts
  std::vector<port::FlowId> gone;      // inner flows that have ended: the node is to be told
  std::vector<Lookup> lookups;
  std::vector<port::Path> failures;  // WebSockets from which somebody gave a wrong password
};

/// STUN and TURN servers that clients are told, with credentials made for each.
struct IceServers {
  std::vector<std::string> urls;  // RFC 7064, RFC 7065
  Duration lifetime{};            // of the credentials
  /// Username and password of `user`, good until then.
  std::function<std::pair<std::string, std::string>(std::string_view user, WallTime until)> sign;
};

class Gateway final : public sip::SentBy {
 public:
  /// `mint` and `rng` outlive it. `domain`: of users that name none.
  Gateway(const GatewayConfig& config, std::string domain, sip::TokenMint& mint, Rng& rng,
          CounterSet& counters);
  ~Gateway() override;

  /// The shard whose worker a WebSocket belongs to, read off what it says first: of the subscriber, or of the
  /// session it comes back to. Nothing: what cannot be told is anybody's to answer.
  static std::optional<uint16_t> home_of(std::string_view text, const TextLimits& limits,
                                         std::string_view domain);

  void set_domain(std::string domain) { domain_ = std::move(domain); }
  void set_ice_servers(IceServers servers) { ice_servers_ = std::move(servers); }

  // ---- WebSockets, by their flow
  void on_opened(Now now, const port::Path& web, Outcome& out);
  void on_text(Now now, port::FlowId web, std::string_view text, Outcome& out);
  void on_closed(Now now, port::FlowId web, Outcome& out);

  // ---- the node
  /// A message for the inner flow. What cannot be read is dropped (the node wrote it).
  void on_sip(Now now, port::FlowId inner, Buffer bytes, Outcome& out);
  /// The answer to a lookup: the row, or null for nobody. `realm`: what its passwords are hashed with.
  void on_subscriber(Now now, uint64_t object, const port::Subscriber* row, std::string_view realm,
                     Outcome& out);
  /// Whether the token of a lookup speaks for its user; when it does not, no row is wanted any more.
  void on_token(Now now, uint64_t object, bool good, Outcome& out);
  /// The directory is away.
  void on_lookup_failed(Now now, uint64_t object, Outcome& out);

  void on_timeout(Now now, Outcome& out);
  Instant next_timeout() const;
  /// The sessions as parts, their transactions in them.
  struct Part {
    uint16_t shard = 0;
    std::string bytes;
  };
  void snapshot(Now now, std::vector<Part>& parts) const;
  /// A session whose client is away; it registers again as soon as its row is there. False: not understood.
  bool restore(Now now, std::string_view part, Outcome& out);

  bool knows(port::FlowId inner) const { return find(inner) != nullptr; }
  size_t sessions() const { return sessions_.size(); }
  size_t visitors() const { return visitors_.size(); }

  std::string_view sent_by(const port::Path& path) const override;

 private:
  struct Visitor;
  struct Session;
  using WebKey = std::pair<uint64_t, uint64_t>;  // of a WebSocket's flow

  void on_request(Now now, Visitor& v, const Request& r, Outcome& out);
  void on_hello(Now now, Visitor& v, const Request& r, Outcome& out);
  void on_resume(Now now, Visitor& v, const Request& r, Outcome& out);
  void serve(Now now, Session& s, const Request& r, Outcome& out);
  void open(Now now, Visitor& v, const port::Subscriber& row, Outcome& out);
  void welcome(const Session& s, int64_t id, Outcome& out) const;
  void tell_ice_servers(Now now, const Session& s, int64_t id, Outcome& out) const;
  void refuse(Visitor& v, int64_t id, bool guess, Outcome& out);
  void detach(Now now, uint64_t key);
  void touch(Session& s);
  void wake(Now now, uint64_t key, const port::Subscriber* row, Outcome& out);
  void ask(Session& s, Outcome& out);
  void rearm(Session& s);
  void say_hello_by(Visitor& v, Instant when);
  void on_visitor_timeout(Now now, const WebKey& key, Instant deadline, Outcome& out);
  void on_session_timeout(Now now, uint64_t key, Instant deadline, Outcome& out);
  void settle(Now now, Outcome& out);
  void end(uint64_t key, Outcome& out);
  Session* find(uint64_t key) const;
  Session* find(port::FlowId inner) const;
  Session* make_session(uint64_t key, std::string secret, const port::AddressOfRecord& aor,
                        const port::Path& path);
  uint64_t new_key(const port::AddressOfRecord& aor);
  void tell(Session& s, const PhoneNews& n, Outcome& out);
  static void say(const Session& s, std::string text, Outcome& out);
  const GatewayConfig config_;
  std::string domain_;
  IceServers ice_servers_;
  Rng& rng_;
  port::Outbox sip_;  // what phones send
  CounterSet own_;    // of `transactions_`: the node counts these messages, too
  sip::TransactionLayer transactions_;
  PhoneWorld world_;
  std::map<WebKey, Visitor> visitors_;  // those with a session, too
  struct Wanted {
    WebKey web;             // whose hello waits
    uint64_t session = 0;   // or that was restored
    bool by_token = false;  // the hello has shown one that is good
  };
  std::map<uint64_t, Wanted> lookups_;  // by the object of the question
  uint64_t next_lookup_ = 1;
  std::unordered_map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::unordered_map<std::string, size_t> of_user_;   // how many, by address-of-record
  std::unordered_map<std::string, uint64_t> tokens_;  // by the hash of their secrets
  std::vector<sip::TuEvent> events_;
  std::vector<uint64_t> touched_;  // sessions whose phones may have news
  TimerQueue<WebKey> visitor_timers_;
  TimerQueue<uint64_t> session_timers_;

  Counter &open_, &opened_, &resumed_, &requests_, &refused_, &unauthorized_, &full_, &silent_, &dropped_;
};

}  // namespace tandem::webrtc
