#pragma once
// A simulated phone: registers with digest, calls, rings, answers, refuses, holds, transfers, cancels, hangs
// up, and sends audio that says whose it is. It has no will of its own: a PhoneUser says what to do, and is
// told what happens.
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "auth/client.h"
#include "sim/judge.h"
#include "sim/network.h"
#include "sim/pitch.h"
#include "sim/secrecy.h"
#include "sim/sim_node.h"
#include "sip/dialog.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::sim {

class Phone;

class PhoneUser;

/// A request outside of calls, and what it began: a MESSAGE, or a subscription to somebody's calls.
struct Errand {
  uint32_t id = 0;
  uint64_t group = 0;
  PhoneUser* user = nullptr;
  sip::Method method = sip::Method::message;
  std::string call_id, local_tag, target, text, expires;
  sip::Dialog dialog;
  uint32_t cseq = 0;
  int tries = 0;
};

/// One call of one phone.
struct Session {
  enum class State : uint8_t { calling, incoming, answered, up, ending, over };
  uint32_t id = 0;
  uint64_t group = 0;
  State state = State::calling;
  bool caller = false;
  bool was_up = false;
  bool bye_received = false;
  int status = 0;      // final answer to our INVITE; what we answered otherwise
  int bye_status = 0;  // answer to our BYE
  bool challenged = false;
  std::string call_id, local_tag, target, body;
  Instant begun, connected;
  // ---- SIP
  sip::Dialog dialog;
  uint32_t invite_cseq = 0;
  int tries = 0;
  bool cancelled = false;
  bool hang_up_later = false;  // once the ACK is there
  sip::ClientTxId invite;
  sip::ServerTxId server;  // of the INVITE, or of the last re-INVITE
  std::string ok;          // 2xx we sent last, until its ACK
  bool acked = true;
  std::string ack;        // that we sent last
  bool offering = false;  // our re-INVITE is under way
  std::string formats;    // of our descriptions, after the laws we speak
  std::string profile = "RTP/AVP";
  uint8_t payload_type = 0;  // that we send: the far side's first of ours
  // ---- reliable provisional answers
  bool reliable = false;    // we demand them, or give one
  uint32_t rseq = 0;        // of ours, or of the last we had
  bool pracked = false;     // its PRACK came
  int prack_status = 0;     // answer to ours
  std::string provisional;  // repeated until its PRACK
  uint32_t last_cseq = 0;   // of a request before the dialog was confirmed
  std::string direction = "sendrecv", wanted_direction;
  // ---- media
  uint16_t media_port = 0;
  SocketAddress far_media;
  bool far_listens = true;
  std::unique_ptr<Secrecy> secrecy;  // null: in the clear
  uint16_t sequence = 0;
  uint64_t sent = 0, heard = 0;
  PitchEar ear;
  std::set<uint32_t> voices;   // phones heard, by their marks
  std::set<uint32_t> pitches;  // and by their tones
  /// Something was heard that has been coded anew on its way.
  bool heard_coded() const;
};

class PhoneUser {
 public:
  virtual ~PhoneUser() = default;
  virtual void incoming(Phone& phone, Session& session) = 0;
  virtual void up(Phone& phone, Session& session) = 0;
  virtual void over(Phone& phone, Session& session) = 0;
  virtual void transferred(Phone& phone, Session& session, int status) = 0;
  virtual void offered(Phone& phone, Session& session, int status) = 0;  // our re-INVITE's outcome
  virtual void told(Phone& phone, uint32_t errand, int status) = 0;      // final answer
  virtual void message(Phone& phone, std::string_view text) = 0;
  virtual void notified(Phone& phone, uint32_t errand, std::string_view body, bool active) = 0;
};

struct PhoneConfig {
  uint32_t id = 0;
  std::string user, domain, password;
  IpAddress ip;
  bool private_address = false;  // says an address in Contact and SDP that nobody can reach (far-end NAT)
  port::Transport transport = port::Transport::udp;
  std::string laws = "0 8";  // it speaks: PCMU, PCMA
  bool secret = false;       // calls with SRTP, and takes it where it is offered (RFC 4568)
  uint64_t seed = 1;
  bool verbose = false;
};

class Phone final : public Host, public ConnectionUser, public sip::SentBy {
 public:
  Phone(const PhoneConfig& config, SimNode& node, Schedule& schedule, Network& network, Judge& judge);

  // ---- registration: for ever, until stop_registering()
  void start_registering() { reg_wanted_ = true, register_now(); }
  /// Takes its contact away, and stays away until start_registering().
  void unregister() { reg_wanted_ = false, register_now(); }
  void stop_registering() { reg_wanted_ = false; }
  bool registered() const { return registered_; }

  // ---- calls
  /// `reliable`: provisional answers have to be reliable (RFC 3262).
  Session& call(PhoneUser& user, uint64_t group, std::string_view number, bool reliable = false);
  void ring(Session& s);
  void answer(Session& s);
  void refuse(Session& s, int status);
  /// CANCEL, refuse or BYE, whatever fits.
  void hang_up(Session& s);
  /// A re-INVITE; with `formats`, of other codecs than before.
  void offer(Session& s, std::string_view direction, std::string_view formats = {});
  // ---- outside of calls; the user is told how it went
  uint32_t send_message(PhoneUser& user, uint64_t group, std::string_view number, std::string_view text);
  uint32_t watch(PhoneUser& user, uint64_t group, std::string_view number);
  void stop_watching(uint32_t errand);

  /// REFER inside the call. `replaces`: a call of ours with the target, for an attended transfer.
  void transfer(Session& s, std::string_view number, const Session* replaces = nullptr);
  /// Whom incoming calls are for; null: refused with 486.
  void listen(PhoneUser* user, uint64_t group) { user_ = user, group_ = group; }

  const PhoneConfig& config() const { return config_; }
  uint32_t id() const { return config_.id; }
  const std::string& number() const { return config_.user; }
  SimNode& node() { return node_; }
  uint64_t glares() const { return glares_; }  // 491 sent and received
  size_t live_sessions() const;
  const std::map<uint32_t, Session>& sessions() const { return sessions_; }
  Session* session(uint32_t id);

  void datagram(const SocketAddress& from, const SocketAddress& to, Buffer bytes) override;
  void connected(uint64_t connection) override;
  void message(Buffer bytes) override;
  void disconnected(uint64_t connection) override;
  std::string_view sent_by(const port::Path&) const override { return sent_by_; }

 private:
  enum Purpose : uint32_t { invite = 1, reinvite, bye, refer, registration, prack, errand_answer };

  Now now() const {
    return {{schedule_.now().ns + 7'000'000'000}, {1'800'000'000'000'000'000 + schedule_.now().ns}};
  }
  SocketAddress address() const { return {config_.ip, 5060}; }
  std::string shown_ip() const;
  std::string contact() const;
  std::string sdp(Session& s, std::string_view direction);
  void take_sdp(Session& s, const sip::Message& m);
  void register_now(std::string_view authorization_header = {}, std::string_view authorization = {});
  void register_later(Duration delay);
  void received(Buffer bytes);
  void flush();
  void arm();
  void trace(char way, std::string_view text) const;
  void event(sip::TuEvent&& e);
  void on_request(sip::TuEvent&& e, const sip::Message& m);
  void on_invite(sip::TuEvent&& e, const sip::Message& m);
  void on_reinvite(Session& s, sip::TuEvent&& e, const sip::Message& m);
  void on_notify(Session& s, std::string_view body);  // message/sipfrag
  void on_ack(const sip::Message& m);
  void on_final(sip::TuEvent&& e, int status);
  void on_invite_answer(Session& s, const sip::TuEvent& e, int status);
  void on_reinvite_answer(Session& s, const sip::TuEvent& e, int status);
  void on_registered(const sip::TuEvent& e, int status);
  void send_invite(Session& s, std::string_view authorization_header = {},
                   std::string_view authorization = {});
  void send_ack(Session& s, uint32_t cseq);
  void send_bye(Session& s);
  void respond(sip::ServerTxId server, const sip::Message& m, int status, Session* s, std::string body = {});
  void repeat_ok(uint32_t id, Duration interval, Instant give_up, std::string ok);
  void become_up(Session& s);
  void finish(Session& s);
  void talk(uint32_t id);
  void hear(const SocketAddress& to, Buffer packet);
  void hear_sound(Session& s, uint8_t payload_type, Bytes sound);
  std::string formats(std::string_view more = {}) const;
  bool decrypt(Session& s, Buffer& packet);
  void take_keys(Session& s, std::string_view body);
  srtp::Suite suite() const;
  Session* find(std::string_view call_id, std::string_view local_tag);
  sip::ClientTxId request(sip::Method method, Buffer rest, Session* s, Purpose purpose, uint64_t object = 0);
  // phone_errands.cpp
  Errand& errand(PhoneUser& user, uint64_t group, sip::Method method, std::string_view number);
  void send_errand(Errand& e, std::string_view authorization_header = {},
                   std::string_view authorization = {});
  void on_errand_answer(const sip::TuEvent& event, int status);
  bool on_errand_request(const sip::TuEvent& e, const sip::Message& m);
  void ring_reliably(Session& s, const sip::Message& m);
  void repeat_provisional(uint32_t id, Duration interval, Instant give_up);
  void on_prack(Session& s, const sip::TuEvent& e, const sip::Message& m);
  void on_provisional(Session& s, const sip::TuEvent& e);

  // given
  PhoneConfig config_;
  SimNode& node_;
  Schedule& schedule_;
  Network& network_;
  Judge& judge_;
  // owned
  SeededRng rng_;
  PitchedVoice voice_;
  sip::TokenMint mint_;
  CounterSet counters_;
  sip::TransactionLayer transactions_;
  // state
  std::string sent_by_;
  port::Outbox out_;
  std::vector<sip::TuEvent> events_;
  Instant wake_ = Instant::never();
  uint64_t connection_ = 0;
  bool connection_up_ = false;
  bool reg_wanted_ = false, registered_ = false, reg_pending_ = false;
  std::string reg_call_id_;
  uint32_t reg_cseq_ = 0;
  int reg_tries_ = 0;
  uint64_t reg_timer_ = 0;
  PhoneUser* user_ = nullptr;
  uint64_t group_ = 0;
  std::map<uint32_t, Session> sessions_;
  std::map<uint32_t, PhoneUser*> users_;
  std::map<uint32_t, Errand> errands_;
  uint32_t next_session_ = 1;
  uint64_t glares_ = 0;
};

}  // namespace tandem::sim
