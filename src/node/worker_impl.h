#pragma once
// The rooms of one worker and how they are wired. Members are grouped: given, owned, state.
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "channel/switchboard.h"
#include "node/ask_table.h"
#include "node/forwarder.h"
#include "node/held_sends.h"
#include "node/line_directory.h"
#include "node/mail.h"
#include "node/ownership.h"
#include "node/seat_directory.h"
#include "node/worker.h"
#include "webrtc/gateway.h"

namespace tandem::proto {
class SipTransaction;
}

namespace tandem::node {

/// A request whose sender must be known before anything is done for it.
struct Waiting {
  sip::ServerTxId server;
  port::Path path;
  port::AddressOfRecord claimed;
  std::string realm;      // of the challenge
  std::string domain;     // the request is addressed in
  bool by_token = false;  // whose token was good; else the digest is still to be checked
};

/// Our Contact as the realm advertises itself; local is what the realms or the dial plan call ours.
class Contacts final : public call::ContactProvider {
 public:
  Contacts(const edge::RealmTable& realms, const std::shared_ptr<const route::Plan>& plan,
           const registrar::Registrar& registrar)
      : realms_(realms), plan_(plan), registrar_(registrar) {}
  std::string contact_for(const port::Path& path, std::string_view user) const override {
    return realms_.contact_for(path, user);
  }
  bool is_local(std::string_view host) const override {
    return realms_.is_local(host) || !plan_->domain_of(host).empty();
  }
  std::optional<port::AskBindings> gruu(const sip::Uri& uri) const override {
    auto question = registrar_.question_for(uri);
    return question && !question->gruu.empty() ? question : std::nullopt;
  }

 private:
  const edge::RealmTable& realms_;
  const std::shared_ptr<const route::Plan>& plan_;  // the worker's, as it is now
  const registrar::Registrar& registrar_;
};

struct Worker::Impl {
  Impl(const WorkerSettings& settings, std::shared_ptr<const route::Plan> plan, port::MediaPorts& ports,
       Rng& rng, dtls::Endpoint& keys, Now now);

  // ---- in (worker.cpp)
  void received(Now now, port::Received received);
  void take(Now now, sip::Message message, const port::Path& path);  // a message this worker owns
  void flow(Now now, const port::FlowEvent& event);
  void flow_changed(Now now, const port::FlowEvent& event);
  void answer(Now now, port::AskId id, port::Answer answer);
  void deliver_answer(Now now, port::AskId id, const port::Asker& asker, port::Answer answer);
  void media(Now now, std::span<port::MediaPacket> packets);
  void media_events(Now now);
  void timeout(Now now);
  Instant next_timeout() const;
  /// What came in and is no SIP message, or a bad one.
  void unreadable(Now now, port::Received& in, sip::Reason why);
  bool to_owner(sip::Message& message, const port::Path& path);
  std::optional<uint16_t> moved_to(
      const sip::Message& message);  // where the call it belongs to went from here

  // ---- what a message means (requests.cpp)
  void events(Now now);
  void event(Now now, sip::TuEvent&& e);
  void request(Now now, sip::TuEvent&& e);
  void in_dialog(Now now, sip::TuEvent&& e, const sip::Message& m);
  const route::Trunk* trunk_of(const port::Path& path) const;
  void who(Now now, sip::TuEvent&& e, const sip::Message& m);
  void by_token(Now now, const sip::TuEvent& e, const sip::Message& m, std::string_view token,
                Waiting waiting);
  void look_up(Now now, Waiting waiting);
  void known(Now now, const Waiting& waiting, const port::Answer& answer);
  bool password_is_right(Now now, const Waiting& w, const sip::Message& m, const port::Subscriber* row);
  void accepted(Now now, sip::ServerTxId server, const port::Path& path, const call::Identity& identity);
  void on_message(Now now, sip::TuEvent&& e, const sip::Message& m, const call::Identity& identity);
  void on_register(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path,
                   const call::Identity& identity);
  void challenge(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path,
                 std::string_view realm, bool stale, bool token_refused = false);
  void respond(Now now, sip::ServerTxId server, int status, std::string_view reason = {});
  void trying(Now now, sip::ServerTxId server);
  void options(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path);
  bool may_speak_as(const sip::Message& m, const port::Subscriber& subscriber) const;
  std::string challenge_realm(const std::string& domain) const;

  // ---- between rooms and workers (settle.cpp)
  void settle(Now now);
  void settle_rooms(Now now);
  void settle_asks(Now now);
  std::optional<port::Answer> own_answer(Now now, const port::Question& question);
  port::Answer answer_to(Now now, const port::Question& question);
  void settle_lines(Now now);
  void settle_mailboxes(Now now);
  void settle_moves(Now now);
  void settle_seats(Now now);
  void settle_news();
  void settle_relay_moves();
  void trunk_news(const port::TrunkNews& news);
  void set_neighbours();
  SeatDirectory::Limits limits_of(const port::SeatPool& pool) const;
  void phone_moved(Now now, const port::AddressOfRecord& aor, const port::Path& path);
  void binding_changes(Now now, const registrar::BindingChanges& changes);
  void auth_failed(Now now, const port::Path& path);
  void turn_failures(Now now);
  void subscriber_changed(const port::AddressOfRecord& aor);
  void line(Now now, const port::LineUpdate& update);
  void moved_here(Now now, uint16_t from, port::CallMove move);
  void sweep_moved(Now now);
  void trace_sends(Now now);
  void apply_plan(Now now);
  registrar::Config registrar_config() const;
  uint16_t worker_of(uint16_t shard) const { return sip::worker_of_shard(shard, settings.workers); }

  // ---- clients of the JSON API (rtc.cpp)
  void websocket(Now now, port::WebSocketEvent event);
  void web_text(Now now, const port::Path& path, Buffer bytes);
  void web_input(Now now, uint16_t worker, WebMail::Kind kind, const port::Path& path, Buffer bytes);
  void web_input(Now now, WebMail::Kind kind, const port::Path& path, const Buffer& bytes);
  void carry_out(webrtc::Outcome&& outcome);
  void on_rtc_row(Now now, uint64_t object, const port::Answer& answer);
  bool settle_rtc(Now now);
  bool token_fits(Now now, const webrtc::Outcome::Lookup& lookup);
  bool divert(Now now);
  bool to_inner(Now now, port::Send& send);
  void take_in(Now now, port::Received received);
  std::string default_domain() const;

  // ---- clients of signalling channels (channels.cpp)
  void channel_event(Now now, port::WebSocketEvent event);
  void channel_input(Now now, const port::WebSocketEvent& event);
  void end_guests(const std::string& channel, const std::string& access_key);
  void carry_out(channel::Outcome&& outcome);

  // ---- after a restore (snapshot.cpp): names of calls that live here and whose messages arrive elsewhere
  struct CallNames {
    std::vector<std::string> tags;
    std::map<uint16_t, std::vector<std::string>> names;  // by the worker they arrive at
  };
  using Strays = std::map<uint64_t, CallNames>;  // by call
  std::optional<uint16_t> shard_of_transaction(const proto::SipTransaction& tx) const;
  bool restore_transaction(Now now, const std::string& bytes, Strays& strays);
  void find_strays(const std::string& part, Strays& strays);
  void stray(uint16_t arrives_at, std::string name, CallNames& call);
  void tell_strays(Now now, Strays& strays);

  // ---- given
  WorkerSettings settings;
  std::shared_ptr<const route::Plan> plan;
  Rng& rng;

  // ---- owned
  CounterSet counters;
  Contacts contacts;
  sip::TokenMint mint;
  sip::TransactionLayer transactions;
  edge::Gate gate;
  auth::Authenticator authenticator;
  auth::TokenChecker tokens;
  registrar::Registrar registrar;
  presence::Notifier notifier;
  presence::MessageCentre messages;
  media::Engine engine;
  std::shared_ptr<const port::PromptLibrary> prompts;  // the engine's
  call::CallLayer calls;
  webrtc::Gateway rtc;
  channel::Switchboard channels;
  SubscriberCache subscribers;
  LineDirectory lines;
  SeatDirectory seats;
  AskTable asks;
  std::unique_ptr<turn::Server> turn;  // null: there is none here
  HeldSends held;
  Forwarder forwarder;

  // ---- state
  port::Outbox out;
  SlotMap<Waiting> waiting;
  std::vector<sip::TuEvent> pending;  // of the transaction layer, in order
  struct LocalAnswer {
    port::AskId id = 0;
    port::Asker asker;
    port::Answer answer;
  };
  std::deque<LocalAnswer> local_answers;  // to questions this worker answers itself
  std::unordered_map<port::AskId, port::AddressOfRecord> subscriber_asks;
  std::unordered_map<port::AskId, port::AddressOfRecord> feature_asks;  // whose row is being changed
  std::vector<media::MediaEvent> media_scratch;
  // Of clients of the JSON API: whose worker a WebSocket accepted here belongs to, and what waits for
  // settle().
  std::map<std::pair<uint64_t, uint64_t>, uint16_t> web_homes;
  std::deque<port::Received> from_inner;
  std::vector<webrtc::Outcome::Lookup> rtc_lookups;
  std::vector<port::FlowId> inner_gone;
  std::vector<port::Path> rtc_failures;
  struct MovedHere {
    uint16_t from;
    std::vector<std::string> tags;
    std::vector<std::string> names;
  };
  std::vector<MovedHere> moved;
  Instant next_sweep = Instant::never();
  bool draining = false;
  size_t traced = 0;  // of out.sends

  Counter& messages_received;
  Counter& foreign_owner;
  Counter& parse_failures;
  Counter& unknown_dialog;
  Counter& waiting_full;
  std::array<Counter*, static_cast<size_t>(sip::Reason::count_)> parse_errors{};
};

}  // namespace tandem::node
