#pragma once
// What an agent is made of. Private to the room.
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ice/agent.h"
#include "stun/message.h"

namespace tandem::ice {

/// Transmissions of a request (RFC 8489 section 6.2.1: Rc), and what the last one waits, in RTOs (Rm).
inline constexpr int transmissions = 7;
inline constexpr int last_wait = 16;
inline constexpr size_t most_servers = 4;

/// A Binding request in flight (RFC 8489 section 6.2.1). It is written anew for each transmission.
struct Transaction {
  stun::TransactionId id{};
  Role role = Role::controlling;  // of a check: what it claims, and its tie-breaker
  uint64_t tie_breaker = 0;
  bool use_candidate = false;
  int sent = 0;
  Duration rto{};                   // between the first two
  Instant next = Instant::never();  // the next one, or the end
  Instant end = Instant::never();   // whatever the waits come to
};

/// A base with its candidate's terms.
struct Base {
  LocalBase at;
  bool open = true;
  uint16_t preference = 0;
  std::string foundation;
  uint32_t priority = 0;
  uint32_t reflexive_priority = 0;  // what PRIORITY says (section 7.1.1)
};

/// How long to wait after the latest transmission: doubled each time, the last one is of another length.
inline Duration wait_after(const Transaction& t) {
  return t.sent == transmissions ? Duration(t.rto * last_wait) : Duration(t.rto * (1 << (t.sent - 1)));
}

/// A candidate of ours, as signalled.
struct Local {
  Candidate candidate;
  BaseId base = 0;
};

struct Remote {
  Candidate candidate;
  bool signalled = false;  // otherwise learned from a check
  bool validated = false;
};

enum class PairState : uint8_t { frozen, waiting, in_progress, succeeded, failed };

/// A candidate pair (section 6.1.2). Its local candidate is always a base: a server-reflexive one would be
/// replaced by its base and pruned (section 6.1.2.4), so no two pairs share base and remote candidate.
struct Pair {
  BaseId base = 0;
  size_t remote = 0;  // index among the generation's
  uint16_t component = 1;
  uint64_t foundation = 0;
  uint64_t priority = 0;
  PairState state = PairState::frozen;
  uint32_t triggered = 0;            // place in the triggered-check queue; 0: not in it
  bool valid = false;                // it made a valid pair: `mapped` with the remote candidate
  bool nominating = false;           // controlling: the next check, or that in flight, says USE-CANDIDATE
  bool nominate_on_success = false;  // controlled: the peer has (section 7.3.1.5)
  bool by_former = false;            // the peer's checks of it name Generation::former, so ours do
  Candidate mapped;                  // ours as the peer sees it
  uint64_t valid_priority = 0;
  std::optional<Transaction> check;
  std::optional<Transaction> cancelled;           // an answer is still good
  std::optional<stun::TransactionId> trigger;     // the peer's check last acted on: its copies change nothing
  std::optional<stun::TransactionId> nomination;  // likewise its last USE-CANDIDATE
};

/// Consent of the peer (RFC 7675): every check is a transaction of its own, and an answer to any counts.
struct Consent {
  Instant next = Instant::never();
  Instant expires = Instant::never();
  Instant asked = Instant::never();  // the first time since the last answer; never: all were answered
  bool lost = false;
  Transaction latest;                         // sent again until it is answered or the next is due
  std::array<stun::TransactionId, 8> sent{};  // the latest first; all zeros: none, or answered
};

struct Selection {
  BaseId base = 0;
  size_t remote = 0;
  Candidate mapped;
  uint64_t priority = 0;
  bool by_former = false;  // as of its pair
  Consent consent;
};

struct Component {
  Instant first_valid = Instant::never();
  std::optional<Selection> selection;
};

/// An authentic request. The same transaction from elsewhere is somebody's who has overheard it.
struct Heard {
  stun::TransactionId transaction{};
  BaseId base = 0;
  SocketAddress from;
};

/// What ends with a restart.
struct Generation {
  Credentials local;
  Credentials remote;  // empty: not known yet
  /// Ours of the generation before, once the peer has used them in this one. Chromium does where its first
  /// check comes between its offer of a restart and our answer: that connection keeps them for good, and
  /// takes no check that names others.
  Credentials former;
  bool remote_lite = false;
  bool remote_ice2 = false;
  bool end_of_remote = false;
  std::vector<Remote> remotes;
  size_t reflexive = 0;  // of them
  std::vector<Pair> pairs;
  std::array<Component, 2> components;
  std::array<Heard, 32> heard;  // the latest ones, in a ring
  uint32_t next_heard = 0;
  uint32_t last_triggered = 0;
  State state = State::idle;
  Instant patience = Instant::never();  // may fail from here on, and will when it has been `patience_over`
  bool patience_over = false;

  bool known() const { return !remote.ufrag.empty(); }
  bool running() const { return state == State::checking || state == State::connected; }
};

struct Stream {
  uint16_t components = 1;  // 0: closed
  bool gathered = false;    // told
  std::vector<Local> locals;
  Generation current;
  std::unique_ptr<Generation> previous;
};

/// A server asked about a base.
struct Gather {
  BaseId base = 0;
  SocketAddress server;
  enum class Step : uint8_t { queued, asking, done } step = Step::queued;
  bool told = false;  // a result, good or bad: `gathered` waits for no more
  Transaction transaction;
  Instant again = Instant::never();  // keeps the binding in the NAT
};

/// Of a request.
struct Refusal {
  uint16_t code;
  std::string_view phrase;
  Reason reason;
  std::vector<uint16_t> unknown;  // 420
};

class AgentState {
 public:
  AgentState(const Config& config, Rng& rng, Troubles& troubles);

  // agent.cpp
  Result<StreamId, Reason> add_stream(uint16_t components);
  void set_components(StreamId id, uint16_t components);
  Result<BaseId, Reason> add_local(const LocalBase& base, Outbox& out);
  Status<Reason> set_remote(Now now, StreamId id, const Description& remote, Outbox& out);
  Status<Reason> add_remote(Stream& s, const Candidate& candidate);
  Status<Reason> add_trickled(Stream& s, const Candidate& candidate);
  void restart(StreamId id);
  void move_base(BaseId id, const SocketAddress& address, const SocketAddress& advertised, uint32_t mark,
                 Outbox& out);
  void rollback(StreamId id, Outbox& out);
  Description local_description(StreamId id) const;
  std::optional<Path> path(StreamId id, uint16_t component) const;
  bool validated(BaseId base, const SocketAddress& from) const;
  /// Does all that is due.
  void run(Now now, Outbox& out);
  Instant next_timeout() const;

  // requests.cpp, checks.cpp
  /// False when it was refused, and nothing has changed.
  bool on_datagram(Now now, BaseId base, const SocketAddress& from, Bytes datagram, Outbox& out);
  void on_unreachable(BaseId base, const SocketAddress& to, Outbox& out);

  // snapshot.cpp
  std::string snapshot(Now now) const;
  bool restore(Now now, std::string_view part);

  Stream* open_stream(StreamId id);
  const Stream* open_stream(StreamId id) const;
  Result<Stream*, Reason> stream_or_reason(StreamId id);

  Config config;
  Rng* rng;
  Troubles* troubles;
  Role role;
  uint64_t tie_breaker;
  uint32_t role_changes = 0;
  Duration ta;  // ours or the peer's, the longer
  bool end_of_local = false;
  uint64_t revision = 1;
  std::vector<Base> bases;
  std::vector<Stream> streams;
  std::vector<Gather> gathers;
  std::vector<std::string> foundations;  // what each of ours stands for

 private:
  // checklist.cpp
  bool compatible(const Base& base, const Candidate& remote) const;
  void form_pairs(Stream& s, size_t remote);
  void form_pairs_of_base(Stream& s, BaseId base);
  Pair* add_pair(Stream& s, BaseId base, size_t remote);
  void set_terms(const Generation& g, Pair& pair) const;
  void recompute_priorities();
  size_t pairs_allowed() const;
  void thaw(Generation& g);
  bool foundation_busy(const Generation& g, const Pair& pair) const;
  void thaw_foundation(uint64_t foundation);
  Pair* next_pair(Generation& g);
  bool has_work() const;
  void tick(Now now, Outbox& out);
  void arm(Now now);

  // checks.cpp
  void send_check(Now now, Generation& g, Pair& pair, Outbox& out);
  /// `on`: a pair or a selection.
  template <class On>
  void transmit(const Generation& g, const On& on, const Transaction& t, Outbox& out) const {
    transmit(g, on.base, g.remotes[on.remote].candidate.address, t, on.by_former, out);
  }
  void transmit(const Generation& g, BaseId base, const SocketAddress& to, const Transaction& t,
                bool by_former, Outbox& out) const;
  Duration check_rto() const;
  void retransmit(Now now, Generation& g, Outbox& out);
  void fail_pair(Pair& pair);
  bool on_response(Now now, StreamId id, BaseId base, const SocketAddress& from, const stun::Message& m,
                   Outbox& out);
  bool on_check_response(Now now, StreamId id, BaseId base, const SocketAddress& from, const stun::Message& m,
                         Outbox& out);
  void on_check_error(Generation& g, Pair& pair, const Transaction& t, uint16_t code, Outbox& out);
  void on_check_success(Now now, StreamId id, Pair& pair, const Transaction& t, const SocketAddress& mapped,
                        Outbox& out);
  Candidate mapped_candidate(const Stream& s, const Pair& pair, const SocketAddress& mapped) const;
  void change_role(Role to, Outbox& out);

  // requests.cpp
  bool on_request(Now now, BaseId base, const SocketAddress& from, const stun::Message& m, Outbox& out);
  /// Whose request it is, and which of our credentials it names.
  struct Authentic {
    Generation* generation = nullptr;  // null: nobody's
    const Credentials* ours = nullptr;
    bool by_former = false;
  };
  Authentic authenticate(Now now, Stream& s, BaseId base, const SocketAddress& from, const stun::Message& m,
                         Outbox& out);
  void refuse(Now now, BaseId base, const SocketAddress& from, const stun::Message& m, const Refusal& refusal,
              const Credentials* authenticated, Outbox& out);
  bool settle_role(Now now, BaseId base, const SocketAddress& from, const stun::Message& m,
                   const Credentials& ours, Outbox& out);
  bool is_replay(Generation& g, BaseId base, const SocketAddress& from, const stun::Message& m);
  std::optional<size_t> remote_of(Generation& g, const Base& base, const SocketAddress& from,
                                  uint32_t priority);
  void act_on(Now now, StreamId id, BaseId base, size_t remote, const stun::Message& m, bool by_former,
              Outbox& out);
  bool accepts_nomination(Now now, Generation& g, const Pair& pair) const;

  // conclude.cpp
  void conclude(Now now, StreamId id, Outbox& out);
  void nominate(Now now, Generation& g, uint16_t component);
  void select(Now now, StreamId id, Pair& pair, Outbox& out);
  void select_without_checks(Now now, StreamId id, Outbox& out);
  void set_state(StreamId id, State state, Outbox& out);
  stun::TransactionId new_transaction(BaseId base);
  Duration consent_wait();
  void ask_consent(Now now, Generation& g, Selection& selection, Outbox& out);
  void keep_consent(Now now, StreamId id, Generation& g, Outbox& out);
  void lose_consent(StreamId id, Generation& g, uint16_t component, Outbox& out);
  bool on_consent_response(Now now, StreamId id, Generation& g, BaseId base, const SocketAddress& from,
                           const stun::Message& m, Outbox& out);
  Path path_of(const Generation& g, BaseId base, size_t remote, const Candidate& mapped) const;

  // gather.cpp
  std::string foundation_of(CandidateType type, const Base& base, const SocketAddress& server);
  void gather_base(BaseId base);
  bool gather_next(Now now, Outbox& out);
  void send_gather(Now now, Gather& gather, Outbox& out);
  void gather_due(Now now, Outbox& out);
  bool on_gathered(Now now, BaseId base, const SocketAddress& from, const stun::Message& m, Outbox& out);
  void tell_gathered(Outbox& out);
  void add_local_candidate(StreamId id, BaseId base, Candidate candidate, Outbox& out);

  Instant next_tick_ = Instant::never();
  Instant last_tick_{std::numeric_limits<int64_t>::min() / 2};
  size_t turn_ = 0;  // whose checklist is next
  Instant answers_since_{};
  uint32_t answers_ = 0;
};

}  // namespace tandem::ice
