#pragma once
// A SIP leg: one INVITE usage (RFC 3261 sections 12 to 15, RFC 5057) with everything that belongs to it:
// forked early dialogs, reliable provisionals (RFC 3262), UPDATE (RFC 3311), session timers (RFC 4028),
// re-INVITE and glare (section 14), REFER (RFC 3515).
//
//   called leg (UAC)    fresh -> inviting -> accepted -> confirmed -> closing -> ended
//                                    |  \--cancelling--------------------------^
//   calling leg (UAS)   ringing -----------> accepted -> confirmed -> closing -> ended
//
// Files: sip_leg.cpp (common), sip_leg_uac.cpp, sip_leg_uas.cpp, sip_leg_dialog.cpp (requests inside the
// dialog), sip_leg_offer.cpp (re-INVITE, UPDATE, session timer), sip_leg_part.cpp (snapshot).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "auth/client.h"
#include "base/counters.h"
#include "base/rng.h"
#include "call/config.h"
#include "call/leg.h"
#include "sip/dialog.h"
#include "sip/reliable.h"
#include "sip/session_timer.h"
#include "sip/token.h"
#include "sip/transaction.h"

namespace tandem::proto {
class SipLeg;
}

namespace tandem::call {

struct SipLegCounters {
  explicit SipLegCounters(CounterSet& counters);
  Counter& glare;
  Counter& no_ack;
  Counter& no_prack;
  Counter& session_expired;
  Counter& late_2xx;
  Counter& queue_full;
  Counter& redirections_dropped;
};

/// What every SIP leg of a worker uses.
struct SipWorld {
  sip::TransactionLayer& transactions;
  sip::TokenMint& mint;
  Rng& rng;
  const ContactProvider& contacts;
  const CallConfig& config;
  SipLegCounters& counters;
};

/// How a called leg is reached and what its INVITE says.
struct Invitation {
  std::string request_uri;
  port::Path path;
  std::string server_name;
  std::vector<std::string> route;
  std::string from;  // "\"A\" <sip:1001@example.org>", without tag
  std::string to;
  std::string contact_user;
  std::vector<std::pair<std::string, std::string>> headers;  // P-Asserted-Identity, Diversion, Alert-Info ...
  uint32_t max_forwards = 70;
  bool keep_transport = false;
  std::optional<auth::Credentials> credentials;
};

/// A transaction's place in a leg: TuRef::detail is {leg, purpose}.
enum class Purpose : uint8_t {
  none,
  invite,   // client
  offer,    // client: re-INVITE with an offer of the call's
  refresh,  // client: re-INVITE or UPDATE of the session timer
  bye,
  prack,
  notify,
  info,
  other,       // client: nothing hangs on the answer
  uas_invite,  // server
  uas_offer,   // server: re-INVITE, UPDATE or PRACK with an offer
  uas_bye,
  uas_refer,
  uas_final,  // server: INVITE or re-INVITE whose 2xx waits for its ACK, or did last
  uas_other,  // server: answered at once; goes where the leg goes
};
constexpr uint32_t detail_of(LegId leg, Purpose p) { return uint32_t{leg} << 8 | static_cast<uint32_t>(p); }
constexpr LegId leg_of(uint32_t detail) { return static_cast<LegId>(detail >> 8); }
constexpr Purpose purpose_of(uint32_t detail) { return static_cast<Purpose>(detail & 0xff); }

class SipLeg final : public Leg {
 public:
  enum class State : uint8_t { fresh, inviting, cancelling, ringing, accepted, confirmed, closing, ended };

  SipLeg(SipWorld& world, uint64_t call, LegId id, uint16_t shard);
  ~SipLeg() override;

  // ---- called leg
  /// `body` empty: a late offer (the peer's 2xx brings one).
  void invite(Turn& turn, Invitation invitation, std::string_view body);
  /// After a refusal, within the same call (RFC 3261 section 21.4.26): another offer.
  void invite_again(Turn& turn, std::string_view body);
  // ---- calling leg
  /// False (and the request refused) when no dialog can be made of it.
  bool take_invite(Turn& turn, sip::ServerTxId server, const port::Path& path);
  /// Refuses with headers of our choosing ("Contact" of a 302, "Retry-After").
  void refuse(Turn& turn, const Cause& cause, port::CommitId after,
              const std::vector<std::pair<std::string, std::string>>& headers);

  // ---- Leg
  void progress(Turn& turn, int status, std::string_view body) override;
  void accept(Turn& turn, std::string_view body) override;
  void offer(Turn& turn, std::string_view body) override;
  void offer_patiently(Turn& turn, std::string_view body) override;
  void withdraw_offer(Turn& turn) override;
  void answer(Turn& turn, std::string_view body) override;
  void refuse_offer(Turn& turn, int status) override;
  void answer_transfer(Turn& turn, int status) override;
  void transfer_progress(Turn& turn, int status) override;
  void send_info(Turn& turn, std::string_view method, std::string_view content_type,
                 std::string_view body) override;
  bool takes_candidates() const override { return peer_trickle_ && state_ == State::confirmed; }
  void send_candidates(Turn& turn, const std::vector<media::Trickled>& candidates,
                       std::string_view fragment) override;
  void release(Turn& turn, const Cause& cause, port::CommitId after) override;
  void finish_release(Turn& turn, port::CommitId after) override;
  bool ended() const override { return state_ == State::ended; }
  void on_timeout(Turn& turn) override;
  Instant next_timeout() const override;

  // ---- SIP in
  void on_request(Turn& turn, sip::TuEvent& event);
  void on_ack(Turn& turn, const sip::Message& ack);
  void on_client(Turn& turn, sip::TuEvent& event);  // response, timeout, transport_failed
  /// A 2xx whose INVITE transaction is over: acknowledged again.
  void on_stray(Turn& turn, const sip::Message& response, const port::Path& path);
  void on_server(Turn& turn, sip::TuEvent& event);  // cancel, ack_missing, transport_failed, done

  // ---- what the call wants to know
  State state() const { return state_; }
  LegId id() const { return id_; }
  bool is_uac() const { return uac_; }
  const std::string& call_id() const { return dialog_.call_id; }
  const std::string& local_tag() const { return dialog_.local_tag; }
  /// While it rings, of the phone that rang first.
  const std::string& remote_tag() const {
    return dialog_.remote_tag.empty() && !early_.empty() ? early_.front().dialog.remote_tag
                                                         : dialog_.remote_tag;
  }
  const port::Path& path() const { return dialog_.path; }
  const std::string& remote_agent() const { return remote_agent_; }
  const std::string& remote_target() const { return dialog_.remote_target; }
  /// The phone at this contact registered over another path. True: it is this leg's, and requests go there
  /// from now on.
  bool moved_to(const port::Contact& contact);
  bool offer_waits() const { return !queued_offer_.empty(); }
  bool offer_in_progress() const { return local_offer_ || uas_offer_tx_ || !queued_offer_.empty(); }
  uint64_t revision() const { return revision_; }
  /// Is this the tag of the peer (of any fork, while there are several)?
  bool knows_peer(std::string_view tag) const;

  // ---- a call is a value
  void save(Now now, proto::SipLeg& to) const;
  static std::unique_ptr<SipLeg> load(Now now, SipWorld& world, uint64_t call, uint16_t shard,
                                      const proto::SipLeg& from);
  /// The ids of a restored transaction of this leg.
  void adopt(Purpose purpose, const sip::TransactionLayer::Restored& restored);
  void use(std::optional<auth::Credentials> credentials) { invitation_.credentials = std::move(credentials); }
  /// The leg's live transactions, for a move. They are dead here afterwards.
  void take_transactions(Now now, std::vector<std::string>& parts);
  /// Via branches under which messages for this leg may still come (CallMove::branches).
  void branches(std::vector<std::string>& out) const;
  /// Moved into another call of this worker under another id.
  void rename(uint64_t call, LegId id, uint16_t shard);

 private:
  /// A dialog of one fork, while the INVITE is open.
  struct Early {
    sip::Dialog dialog;
    sip::RSeqOrder rseq;
  };

  // sip_leg.cpp
  void touch() { ++revision_; }
  void push(Turn& turn, LegEvent event);
  sip::TuRef user(Purpose p) const { return {port::Asker::Room::call, call_, detail_of(id_, p)}; }
  sip::ClientTxId send(Turn& turn, sip::Method method, sip::Writer&& writer, std::string_view content_type,
                       std::string_view body, Purpose purpose);
  sip::ClientTxId send_text(Turn& turn, std::string_view method, sip::Writer&& writer,
                            std::string_view content_type, std::string_view body, Purpose purpose);
  port::Path next_path() const;
  bool connects_anew() const;
  bool leave_connection(const sip::TuEvent& failed);
  bool send_again(Turn& turn, const sip::TuEvent& failed, Purpose purpose);
  void standard_headers(sip::Writer& writer) const;
  void session_headers(sip::Writer& writer) const;
  void answer_session_timer(Turn& turn, sip::Writer& writer, const sip::Message& request);
  void respond(Turn& turn, sip::ServerTxId server, int status, std::string_view body = {},
               port::CommitId after = 0);
  void peer_released(Turn& turn, Cause cause, bool by_peer);
  void end_offers(Turn& turn);
  void send_bye(Turn& turn, const Cause& cause, sip::Dialog& dialog);
  void learn_peer(const sip::Message& message);

  // sip_leg_uac.cpp
  void send_invite(Turn& turn);
  void repeat_invite(Turn& turn);
  void on_invite_response(Turn& turn, const sip::Message& response, const port::Path& path);
  void on_provisional(Turn& turn, const sip::Message& response, const port::Path& path);
  void on_invite_2xx(Turn& turn, const sip::Message& response, const port::Path& path);
  void on_invite_refused(Turn& turn, const sip::Message& response);
  std::vector<std::string> redirections(const sip::Message& response) const;
  void other_fork_2xx(Turn& turn, const sip::Message& response, const port::Path& path);
  bool retry_invite(Turn& turn, const sip::Message& response);
  bool take_challenge(const sip::Message& response, std::string_view uri);
  void authorize(sip::Writer& writer, uint32_t cseq) const;
  void send_prack(Turn& turn, sip::Dialog& dialog, const sip::Message& response, uint32_t rseq);
  void send_ack(Turn& turn, sip::Dialog& dialog, uint32_t cseq, std::string_view body);
  Early& early_dialog(const sip::Message& response, const port::Path& path);
  void invite_failed(Turn& turn, Cause cause, bool by_peer = false, std::vector<std::string> targets = {});

  // sip_leg_uas.cpp
  void send_final_2xx(Turn& turn);
  void send_provisional(Turn& turn, int status, std::string_view body);
  void on_prack(Turn& turn, sip::ServerTxId server, const sip::Message& request);

  // sip_leg_dialog.cpp
  void on_bye(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void on_refer(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void on_info(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void respond_with(Turn& turn, sip::ServerTxId server, int status,
                    const std::vector<std::pair<std::string, std::string>>& headers);
  bool acceptable(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void send_notify(Turn& turn);
  void notify_over(Turn& turn);
  bool report_open() const { return notify_out_ || !notify_next_.empty(); }

  // sip_leg_offer.cpp
  void send_reinvite(Turn& turn);
  void on_reinvite(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void on_update(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void on_offer_response(Turn& turn, const sip::Message& response);
  void offer_unanswered(Turn& turn, int status);
  void offer_over(Turn& turn);
  void send_refresh(Turn& turn);
  void on_refresh_response(Turn& turn, const sip::Message& response);
  void refresh_failed(Turn& turn, int status);
  Duration glare_delay();
  bool interval_too_small(Turn& turn, sip::ServerTxId server, const sip::Message& request);
  void dialog_gone(Turn& turn, int status);

  // given
  SipWorld* world_;
  uint64_t call_;
  LegId id_;
  uint16_t shard_;

  // owned
  bool uac_ = false;
  State state_ = State::fresh;
  sip::Dialog dialog_;                     // UAC: what the INVITE was sent with, until a 2xx chose one
  std::vector<Early> early_;               // UAC: one per To-tag seen
  Invitation invitation_;                  // UAC: for the retry after 401, 407, 422; credentials: both
  std::string offer_body_;                 // UAC: likewise; UAS: 2xx body kept while a PRACK is awaited
  std::vector<std::string> refused_tags_;  // UAC: forks that answered too late

  sip::ClientTxId invite_tx_;
  sip::ServerTxId uas_tx_;
  sip::ClientTxId offer_tx_;      // our re-INVITE (or refresh)
  sip::ServerTxId uas_offer_tx_;  // the peer's re-INVITE, UPDATE or PRACK, waiting for answer()
  sip::Method uas_offer_method_ = sip::Method::other;
  sip::ServerTxId bye_tx_;
  sip::ServerTxId refer_tx_;
  sip::ClientTxId our_bye_tx_;
  sip::ClientTxId notify_tx_;

  // state
  uint32_t invite_cseq_ = 0;
  uint32_t ack_cseq_ = 0;   // of the last INVITE whose 2xx we acknowledged
  std::string ack_body_;    // late offer: the answer, for repeated ACKs
  std::string local_body_;  // last description we sent, for refreshes
  std::string queued_offer_;
  bool local_offer_ = false;     // our re-INVITE with an offer is out
  bool answer_in_ack_ = false;   // our 2xx carried an offer: the ACK answers
  bool offered_ = false;         // UAC: the INVITE carried an offer; UAS: the INVITE came with one
  bool answered_early_ = false;  // the initial offer has its answer already
  bool ack_withheld_ = false;    // UAC: 2xx with an offer, answer() sends the ACK
  bool refresh_out_ = false;
  bool withdrawn_ = false;                    // a CANCEL for our re-INVITE is out
  bool offer_pending_ = false;                // restored, uas_offer_tx_ not adopted yet
  Instant closing_until_ = Instant::never();  // whatever should end the leg has been lost by then
  // The answer to the peer's last challenge: for the request with the CSeq `auth_cseq_` and its ACK.
  uint8_t auth_tries_ = 0;
  std::string nonce_auth_;
  bool nonce_proxy_ = false;
  uint32_t auth_cseq_ = 0;
  Cause release_cause_;
  int held_status_ = 0;  // UAS: final refusal decided by CANCEL or BYE, sent by finish_release

  sip::OkRetransmitter final_2xx_;  // of an INVITE or re-INVITE
  sip::ServerTxId final_tx_;
  sip::ReliableProvisional provisional_;
  bool provisional_has_body_ = false;
  bool accept_waits_ = false;  // accept() came while a PRACK was awaited
  std::vector<std::pair<int, std::string>> provisional_queue_;

  bool peer_100rel_ = false, requires_100rel_ = false, peer_update_ = false;
  bool patient_offer_ = false;  // silence does not end the dialog
  bool peer_trickle_ = false;   // Recv-Info: trickle-ice (RFC 8840 section 10)
  std::string remote_agent_;

  Instant glare_retry_ = Instant::never();
  sip::SessionTimer session_timer_;

  std::optional<uint32_t> refer_cseq_;  // a transfer of the peer is being reported
  bool refer_silent_ = false;           // RFC 4488: without NOTIFY
  // One NOTIFY at a time, since UDP may deliver two in either order. Of those that wait only the newest
  // counts (each tells the whole state); a BYE of ours waits for the last one's answer, but not longer than
  // bye_at_.
  struct Report {
    uint32_t refer_cseq = 0;
    int status = 0;
  };
  std::vector<Report> notify_next_;  // one per REFER at most
  bool notify_out_ = false;
  Instant bye_at_ = Instant::never();
  bool offer_wanted_ = false;          // uas_offer_tx_ came without a description
  std::string info_type_, info_body_;  // of the INFO being told to the call
  uint64_t revision_ = 1;
};

/// The session description in a message: its body, or the application/sdp part of a multipart/mixed (RFC 2046
/// section 5.1). Nothing when there is none; an empty view never comes back.
std::optional<std::string_view> session_body(const sip::Message& message);

sip::SessionTimerPolicy session_policy(const CallConfig& config);

inline constexpr std::string_view allowed_methods =
    "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE";
/// With "trickle-ice" (RFC 8840) where legs may have ICE.
std::string_view supported_options(const CallConfig& config);
/// The one Info-Package (RFC 6086) we take, where legs may have ICE.
inline constexpr std::string_view trickle_package = "trickle-ice";
inline constexpr std::string_view trickle_type = "application/trickle-ice-sdpfrag";

}  // namespace tandem::call
