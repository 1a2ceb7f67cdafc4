#pragma once
// A client of the JSON API as the telephone it is to everybody else: a SIP user agent inside the program (RFC
// 3261), which registers, calls and is called like a telephone on a WebSocket (RFC 7118), and may do no more
// than one.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/client.h"
#include "port/outbox.h"
#include "port/records.h"
#include "sip/dialog.h"
#include "sip/reliable.h"
#include "sip/token.h"
#include "sip/transaction.h"
#include "webrtc/protocol.h"

namespace tandem::proto {
class RtcCall;
class RtcSession;
}  // namespace tandem::proto

namespace tandem::webrtc {

/// What all phones of a worker share.
struct PhoneWorld {
  sip::TransactionLayer& transactions;  // nobody else's
  sip::TokenMint& mint;
  sip::Timers timers;
  port::Outbox& out;  // of SIP: its sends go to the node, nothing else is in it
};

struct PhoneConfig {
  uint64_t object = 0;  // TuRef::object of what it sends
  port::AddressOfRecord aor;
  std::string display;
  auth::Credentials credentials;  // it answers the node's own challenges with
  std::string instance;           // URN of RFC 5626 section 4.1, "urn:uuid:..."
  port::Path path;                // as the node sees it
  std::string host;               // of its Contact and Via: nobody resolves it (RFC 7118 section 5)
  size_t calls = 8;               // at a time
};

/// What the client is to be told: an event by its name and members, or how a request of its came out.
struct PhoneNews {
  std::string_view event;  // empty: the answer to request `id`
  Fields fields;
  int64_t id = 0;
  std::optional<Fault> fault;  // the answer is that
};

class Phone {
 public:
  Phone(const PhoneWorld& world, PhoneConfig config);
  ~Phone();

  // ---- what the client wants. Those with an id are answered by news, the others at once.
  void set_registered(Now now, bool on, int64_t id);
  Result<std::string, Fault> call(Now now, const Request& r);  // the call's name
  Status<Fault> answer(Now now, const Request& r);
  Status<Fault> reject(Now now, const Request& r);
  Status<Fault> hang_up(Now now, const Request& r);
  Status<Fault> offer(Now now, const Request& r);
  Status<Fault> candidates(Now now, const Request& r);
  Status<Fault> dtmf(Now now, const Request& r);
  Status<Fault> transfer(Now now, const Request& r);
  Status<Fault> message(Now now, const Request& r);
  /// Events tell how it is with somebody, until they are not wanted any more.
  Status<Fault> watch(Now now, const Request& r);
  /// What others are told of us.
  Status<Fault> publish(Now now, const Request& r);
  /// All calls are hung up, and its contact is taken away.
  void leave(Now now);

  // ---- SIP, from the transaction layer; `event.user.object` or the path's flow named this phone
  void on_event(Now now, sip::TuEvent&& event);
  void on_timeout(Now now);
  Instant next_timeout() const;

  /// What is there, for a client that comes back; offers that wait for it are told again.
  std::vector<Fields> calls() const;
  bool registered() const { return registered_; }
  size_t call_count() const { return calls_.size(); }
  std::vector<PhoneNews> take_news() { return std::exchange(news_, {}); }

  // ---- a session is a value. Requests that wait for an answer are not in it: the client asks again.
  void save(Now now, proto::RtcSession& to) const;
  /// Into one just made. False: not understood.
  bool load(Now now, const proto::RtcSession& from);
  /// A transaction that has been restored, and names this phone.
  void adopt(const sip::TransactionLayer::Restored& restored);
  /// After load(): its credentials are there, and the registrar is told that it lives.
  void wake(Now now, const auth::Credentials& credentials);

 private:
  struct Call;
  struct Errand;
  struct Watch;
  enum class Purpose : uint8_t { invite, reinvite, bye, errand };

  // phone.cpp
  Call* find(std::string_view name);
  Call* by_dialog(const sip::Message& m);
  Call& make_call();
  Result<Call*, Fault> wanted(const Request& r);
  std::optional<std::string> target_of(std::string_view to) const;
  sip::TuRef user(Purpose purpose, uint32_t number) const;
  sip::ClientTxId send(Now now, sip::Method method, Buffer rest, sip::TuRef user);
  void tell(std::string_view event, const Call& c, Fields fields = {});
  void end(Call& c, int status, std::string_view reason, std::string_view by);
  static void save_call(Now now, const Call& c, proto::RtcCall& to);
  bool load_call(Now now, const proto::RtcCall& from);
  void send_invite(Now now, Call& c, const std::optional<auth::Answer>& credentials = {});
  void send_ack(Now now, Call& c, uint32_t cseq, std::string_view sdp = {});
  void send_bye(Now now, Call& c);
  std::string contact() const;

  // phone_calls.cpp: what happens to calls
  void on_response(Now now, const sip::TuEvent& e);
  void on_invite_answer(Now now, Call& c, const sip::TuEvent& e, int status);
  void on_answered(Now now, Call& c, const sip::Message& m, const port::Path& path);
  void on_reinvite_answer(Now now, Call& c, const sip::TuEvent& e, int status);
  void on_request(Now now, sip::TuEvent&& e);
  void on_invite(Now now, sip::ServerTxId server, const sip::Message& m, const port::Path& path);
  void on_reinvite(Now now, Call& c, sip::ServerTxId server, const sip::Message& m);
  void on_ack(Now now, const sip::Message& m);
  void on_cancel(Now now, const sip::TuEvent& e);
  void on_info(Call& c, const sip::Message& m);
  void on_notify(Call& c, const sip::Message& m);
  void accept(Now now, Call& c, std::string_view sdp);
  void respond(Now now, sip::ServerTxId server, const sip::Message& m, int status, Call* c,
               std::string_view sdp = {});
  void send_waiting(Now now, Call& c);

  // phone_errands.cpp: everything that is one request and its answer
  Errand& errand(sip::Method method, int64_t id);
  void send_errand(Now now, Errand& e, const std::optional<auth::Answer>& credentials = {});
  void on_errand_answer(Now now, Errand& e, const sip::TuEvent& event, int status);
  void answered(int64_t id, const sip::TuEvent& event, int status, Fields fields);
  bool errands_full() const { return errands_.size() >= 64; }
  void registration_answered(Now now, Errand& e, const sip::TuEvent& event, int status);
  void send_registration(Now now, int64_t id);
  void next_digit(Now now, Call& c);

  // phone_presence.cpp: whom we watch, and what we say of ourselves
  Watch* watch_of(const sip::Message& m);
  Watch* find_watch(uint32_t number);
  void make_watches(const std::string& peer);
  void subscribe(Now now, Watch& w, int64_t id, uint32_t expires);
  void subscription_answered(Now now, Errand& e, const sip::TuEvent& event, int status);
  void on_state(Now now, Watch& w, const sip::Message& m);
  void tell_presence(const std::string& peer);
  void send_publication(Now now, int64_t id);
  void publication_answered(Now now, Errand& e, const sip::TuEvent& event, int status);

  PhoneWorld world_;
  PhoneConfig config_;
  std::map<uint32_t, std::unique_ptr<Call>> calls_;
  std::map<uint32_t, Errand> errands_;
  std::map<uint32_t, std::unique_ptr<Watch>> watches_;
  uint32_t next_call_ = 1, next_errand_ = 1, next_watch_ = 1;
  std::vector<PhoneNews> news_;

  bool wants_registration_ = false, registered_ = false, leaving_ = false;
  std::string registration_call_id_, registration_tag_;
  uint32_t registration_cseq_ = 0;
  Instant register_at_ = Instant::never();

  std::optional<Standing> standing_;  // published
  std::string etag_;                  // of RFC 3903 section 4.1
  Instant publish_at_ = Instant::never();
};

}  // namespace tandem::webrtc
