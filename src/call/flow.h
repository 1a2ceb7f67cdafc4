#pragma once
// What happens to a call: one CallFlow is made for each input and forgotten after it. Internal to the call
// room.
//
// Files by noun: setup.cpp (a call comes in and is routed), branch.cpp (targets that ring), trunk.cpp
// (targets that are not subscribers), ordered.cpp (calls placed over REST), offer_answer.cpp, connected.cpp
// (what legs tell), transfer.cpp,
// replace.cpp (legs that change calls), park.cpp, features.cpp, serve.cpp (services of ours), meeting.cpp
// (conferences), records.cpp (CDRs and lines).
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "call/layer.h"
#include "call/replacement.h"
#include "media/network_tones.h"
#include "sip/headers.h"

namespace tandem::call {

/// What happens to media between two legs.
struct Bridging {
  /// Decoded and encoded: nothing; what the sender is told of behind something the receiver takes; whatever
  /// can be.
  enum class Codecs : uint8_t { none, of_others, any } codecs = Codecs::none;
  bool keys = false;  // decrypted and encrypted
};

class CallFlow {
 public:
  CallFlow(Layer& layer, Call& call, Turn& turn) : layer_(layer), call_(call), turn_(turn) {}

  // ---- inputs
  void start(sip::ServerTxId server, const port::Path& path, const Identity& identity);
  void start(const CallOrder& order);
  void on_leg(const LegEvent& event);
  void on_answer(const OpenAsk& ask, const port::Answer& answer);
  bool on_dns(port::AskId id, const port::Answer& answer);
  void on_media(const media::MediaEvent& event);
  void on_timeout();
  void hangup(const Cause& cause);
  void on_room(service::RoomEvent what);  // news of the conference this call is in
  void mute(bool on);                     // the caller, in its conference
  void operator_lecture(bool on);
  bool transfer(LegId leg, std::string_view target);
  bool restart_ice(LegId leg);
  /// After a move: what the call came here for.
  void go_on(std::string_view then);
  void ask_again();  // after a restore: what was asked and not yet answered
  RecordingDone record(RecordingAction action, bool announce);
  void record_again();  // after a restore
  PlayDone play(const PlayOrder& order);
  void tell_lines();
  void tell_seats();
  void settle_seats();

  /// May a leg of another call take the place of `replaced` here, on `claimant`'s word? 0, or the status that
  /// refuses it (RFC 3891 section 3).
  int judge(LegId replaced, const Replacement& replacement, const Party& claimant) const;
  /// `newcomer` (of another call) takes the place of `replaced` here.
  void replace(LegId replaced, std::unique_ptr<Party> newcomer, const std::string& transferred_by);

  Call& call() { return call_; }
  Turn& turn() { return turn_; }

 private:
  // setup.cpp
  bool identify(Party& caller, const sip::Message& request, const Identity& identity);
  bool take_offer(Party& caller, const sip::Message& request);
  void start_replacing(Party& caller, const sip::Message& request);
  void route(bool diverted);
  void apply(const route::Decision& decision);
  void act(const route::Action& action);
  void fail_setup(Cause cause);
  port::CommitId fail_attempt(const Cause& cause, port::Cdr::Side side);
  void end_setup(const Cause& others = {});
  bool rings(const Party& party) const;
  void refuse_caller(Party& caller, const Cause& cause,
                     const std::vector<std::pair<std::string, std::string>>& headers = {});

  void proceed();
  route::CallRequest request_of_setup(bool diverted) const;

  // ordered.cpp
  void ring_first();
  void first_answered(Party& stand_in, Party& first);
  void first_failed(const Cause& cause);
  std::string number_of(std::string_view dialled) const;

  // seats.cpp
  bool dials_emergency() const;
  bool take_seats(Party& caller, bool unasked);
  Cause no_seat(const port::SeatPool& pool, const port::Answer& answer);
  void on_caller_seat(OpenAsk::What what, const port::Answer& answer);
  bool reserve(size_t branch, const route::Trunk& trunk);
  void on_hop_seat(size_t branch, const port::Answer& answer);
  void keep_seat(Party& called);
  void give_back(port::SeatPool::Kind kind, const std::string& name, uint64_t& seat);

  // branch.cpp
  Branch& add_branch(Branch::Kind kind);
  Branch& add_extension(const port::AddressOfRecord& aor);
  void advance();
  void begin(size_t branch);
  void on_profile(size_t branch, const port::Answer& answer);
  void on_bindings(size_t branch, const port::Answer& answer);
  size_t other_calls(const port::Answer& answer) const;
  void on_called_line(size_t branch, const port::Answer& answer);
  void ring(size_t branch);
  void ring_contact(size_t branch, const port::Contact& contact);
  Party* call_leg(size_t branch, Invitation invitation);
  void on_refused(Party& party, const LegEvent& event);
  bool offer_encrypted(Party& called, const LegEvent& event);
  void on_branch_over(size_t branch);
  void on_ring_timeout(size_t branch);
  void fail_branch(size_t branch, const Cause& refusal);
  bool divert(size_t branch, std::string_view target, std::string_view reason);
  bool redirect(size_t branch, const std::vector<std::string>& targets);
  bool follow_redirection();
  void release_branch(size_t branch, const Cause& cause);
  bool branch_alive(size_t branch) const;
  std::string from_header(const Party& origin, std::string_view user, std::string_view domain) const;
  void diversion_headers(Invitation& invitation) const;

  // trunk.cpp
  void next_hop(size_t branch);
  bool passes_over(const Branch& branch) const;
  bool speaks_to(const route::Trunk& trunk);
  bool fit(const Party& party, sdp::Description& description) const;
  void count_no_codec(const Party& party) const;
  Result<std::string, media::Reason> present_offer(const Party& to, const sdp::Description& like,
                                                   media::EndpointId other);
  /// Whether sound is decoded and encoded where two legs have no codec in common.
  bool transcodes() const;
  media::Srtp srtp_of(const Party& party) const;
  media::Dtmf dtmf_of(const Party& party) const;
  bool ends_keys(const Party& party) const;
  void resolve_trunk(size_t branch, const route::Trunk& trunk);
  void resolve(size_t branch, std::string_view host, uint16_t port, std::optional<port::Transport> transport,
               bool secure, port::RealmId realm);
  route::Resolver::Context resolver_context();
  void on_resolved(size_t branch);
  void ring_address(size_t branch);
  void address_uri(const Branch& branch, const Party& from, Invitation& invitation) const;
  void address_trunk(const route::TrunkHop& hop, const route::Trunk& trunk, const Party& from,
                     Invitation& invitation) const;
  bool trunk_failover(const Cause& cause) const;

  // offer_answer.cpp
  bool open_media(Party& party, const port::Path& path);
  std::string offer_for(Party& called, Party& origin, Cause& why);
  void on_progress(Party& called, const LegEvent& event);
  void hear_early(Party& origin, Party& called, const LegEvent& event);
  void on_answered(Party& called, const LegEvent& event);
  void connect(Party& origin, Party& called);
  void on_offer(Party& party, const LegEvent& event);
  void take_offer(Party& party, const LegEvent& event);
  bool give_way(Party& party);
  void on_offer_wanted(Party& party);
  void on_answer_body(Party& party, const LegEvent& event);
  void on_offer_refused(Party& party, const LegEvent& event);
  bool answer_locally(Party& party, const sdp::Description& offer);
  void relay_offer(Party& party, Party& partner, const sdp::Description& offer);
  void match(Party& a, Party& b, bool first = true);
  bool offer_to(Party& party, const Party& like, Negotiation purpose);
  void update_hold(Party& party);
  bool accept_newcomer(Party& newcomer, Party& other);
  Result<Done, media::Reason> accept_alone(Party& caller);

  // connected.cpp
  void on_released(Party& party, const LegEvent& event);
  void release(Party& party, const Cause& cause, port::CommitId after = 0);
  void gone(Party& party, const Cause& cause = {}, port::Cdr::Side side = port::Cdr::Side::system);
  void release_all(const Cause& cause, port::CommitId after = 0);
  void on_info(Party& party, const LegEvent& event);
  bool restart_ice(Party& party);
  void on_candidates(Party& party, const LegEvent& event);
  void tell_candidates(Party& party);

  // transfer.cpp
  void on_transfer(Party& party, const std::string& target);
  void blind_transfer(Party& referrer, Party& origin, std::string_view target, port::AskBindings gruu = {});
  void attended_transfer(Party& referrer, Party& origin, std::string_view replaces);
  void transfer_done(const Cause* failure);

  // replace.cpp
  Replacement named(const sip::Replaces& replaces, LegId newcomer, LegId referrer) const;
  void join_other(const Replacement& replacement);
  bool can_replace(const Party& replaced) const;
  bool may_take(const Party& replaced, const Party& claimant, bool referred) const;
  void move_away(uint16_t shard, std::string then);
  bool retrieve(Party& parked, Party& newcomer);
  bool replace_talking(Party& x, Party& newcomer, const std::string& transferred_by);
  bool replace_calling(Party& x, Party& newcomer, const std::string& transferred_by);
  bool pick_up(Party& newcomer);
  void begin_pair(Party& a, Party& b, const std::string& transferred_by);
  void replace_failed(const Replacement& replacement, int status);

  // park.cpp
  void park(std::string_view slot);
  void probe_slot();
  void on_park_probe(const port::Answer& answer);
  void park_in(std::string_view slot);
  void on_park_timeout();
  void unpark_line();

  // features.cpp
  void feature(const route::FeatureCall& feature);
  void set_feature(const route::FeatureCall& feature);
  void check_forward(const route::FeatureCall& feature);
  void on_forward_target(const port::Answer& answer);
  void store_feature(const route::FeatureCall& feature);
  void on_feature_stored(const port::Answer& answer);
  void on_line_found(const port::Answer& answer, bool parked);
  void finish_feature();

  // serve.cpp
  void serve(const route::ServiceCall& service);
  void serve_mailbox(const route::FeatureCall& feature);
  bool take_message(const Cause& cause);
  void attend(std::unique_ptr<service::Machine> machine, std::string door = {});
  bool awaits_answer(const Party& party);
  void begin_service();
  bool may_try(const std::string& door);
  bool locked_out();
  std::string guesser(const Party& party) const;
  void tell(const std::function<void(service::Machine&, service::Orders&)>& what);
  void carry_out(service::Orders orders);
  void carry_out(service::Say& say);
  void carry_out(service::Silence&);
  void carry_out(service::Record& record);
  void carry_out(service::StopRecord&);
  void carry_out(service::Ask& asked);
  void carry_out(service::Dial& dial);
  void carry_out(service::Enter& enter);
  void carry_out(service::Mute& mute);
  void carry_out(service::Lecture& lecture);
  void carry_out(service::Lock& lock);
  void carry_out(service::WrongPin&);
  void carry_out(service::HangUp& end);
  void dial_done(const Cause* failure);
  void close_recording();
  void on_recorded(const port::Answer& answer);
  void on_service_answer(const OpenAsk& ask, const port::Answer& answer);
  void service_timeout();
  void end_attendance();
  void serve_again(const std::vector<OpenAsk>& open);
  Party* attended();

  // meeting.cpp
  void sit_down(Meeting& meeting, Meeting::Member& member);
  void leave_meeting();
  void tell_meeting(const std::string& room, service::RoomEvent what, bool moderators);
  void set_lecture(bool on);
  void sound_meeting(const Meeting& meeting, bool coming);
  void open_meeting(const std::string& room);
  bool take_seat(Party& x, Party& newcomer);
  // recording.cpp
  port::RecordPolicy policy_of(const Pairing& pair) const;
  void record_by_policy(Pairing& pair);
  bool begin_recording(Pairing& pair, bool announce);
  void announce_recording(Party* party);
  void end_recording(Pairing& pair);

  // playing.cpp
  bool play(Party& p, const PlayOrder& order);

  // records.cpp
  Pairing& open_pair(const Party& a, const Party& b);
  port::CommitId close_pair(Pairing& pair, const Cause& cause, port::Cdr::Side side);
  port::Cdr new_record() const;
  void record_called(const Party& called, const Cause& cause, port::Cdr::Side side);
  port::CommitId record_attempt(const Cause& cause, port::Cdr::Side side);
  port::CommitId append(port::Cdr& cdr, const Cause& cause, port::Cdr::Side side);
  void count_media(port::CdrLeg& to, const Party& party, const media::LegStatistics& before) const;
  Pairing* pair_of(LegId leg);
  void line(Party& party, port::LineCall::State state);
  void park_line(Party& party, port::LineCall::State state);

  // everywhere
  Party& add_party();
  Party& add_stand_in();
  void know_dialog(Party& party);
  /// Patience of zero: CallConfig::ask_timeout.
  void ask(OpenAsk::What what, port::Question question, int branch = -1, Duration patience = Duration{0});
  void play(Party& party, const codec::ToneSequence& tones);
  codec::CountryTones tones() const;
  void part_with(Party& p, const Cause& cause, port::CommitId after);
  void play_music(Party& party);
  void ask_sounds(const Party& party);
  void on_sound(const port::SoundFile& file, const port::Answer& answer);
  void join(Party& a, Party& b);
  Party* party(LegId leg) { return call_.find(leg); }
  Party* origin() { return call_.setup ? call_.find(call_.setup->origin) : nullptr; }
  void touch() { ++call_.revision; }
  void event(port::Level level, std::string_view name,
             std::vector<std::pair<std::string_view, std::string>> fields = {}) {
    turn_.out.event(level, name, call_.id, std::move(fields));
  }

  Layer& layer_;
  Call& call_;
  Turn& turn_;
};

template <class F>
void Layer::run(Now now, Call& call, port::Outbox& out, F&& f) {
  std::vector<LegEvent> events;
  Turn turn{now, out, events};
  CallFlow flow(*this, call, turn);
  f(flow);
  drain(flow, turn);
  flow.settle_seats();
  settle(call);
}

/// SIP status for what the media room could not do.
int status_of(media::Reason reason);
/// A description had nothing that the row of the leg's trunk or subscriber names.
Cause no_codec(const Party& party);
/// Every RTP format `sender` was told it may send, and can, is one `receiver` takes, or may be bridged.
bool covers(const sdp::Description& told_to_sender, const sdp::Description& sender,
            const sdp::Description& receiver, Bridging bridging);

}  // namespace tandem::call
