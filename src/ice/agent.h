#pragma once
// An ICE agent (RFC 8445), full or lite: one session with as many data streams as the call has m-lines that
// are not bundled. Datagrams, candidates and the time go in; datagrams and events come out.
//
//   Agent agent(config, rng, troubles);
//   stream = agent.add_stream(1);                       // components: 1 with rtcp-mux, 2 with RTCP of its
//   own agent.add_local(now, {stream, 1, ...}, out);        // each socket, connection listener or relayed
//   address agent.end_of_local(now, out);                       // event `gathered` follows
//   agent.local_description(stream)                     -> for our SDP
//   agent.set_remote(now, stream, description, out);    // from theirs; add_remote_candidate as they trickle
//   agent.on_datagram(now, base, from, bytes, out);     // what rtp::kind_of calls STUN
//   agent.on_timeout(now, out);                         // when next_timeout() has come
//   agent.path(stream, component)                       -> where media goes, nothing: it must not go anywhere
//   agent.validated(base, from)                         -> whether media and DTLS from there are believed
//
// Answerer and offerer are told apart by Config::role alone. A restart is restart(), or comes with
// set_remote(); rollback() takes it back when the offer is refused.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "ice/candidate.h"
#include "ice/description.h"
#include "ice/reason.h"

namespace tandem::ice {

enum class Role : uint8_t { controlling, controlled };
enum class Mode : uint8_t { full, lite };

struct Config {
  Mode mode = Mode::full;
  Role role = Role::controlling;  // the offerer's; lite against full is always controlled (section 6.1.1)
  std::string ufrag_prefix;       // before the random part of each fragment; see Credentials::make
  bool trickle = true;            // we say we take candidates later (RFC 8838); theirs are taken anyhow
  std::vector<SocketAddress> stun_servers;  // of server-reflexive candidates; the first four are asked

  Duration ta = milliseconds(50);            // pacing of new transactions, 5 ms to 1 s (section 14.2)
  Duration rto = milliseconds(500);          // least first retransmission, at least 500 ms (section 14.3)
  Duration settle = milliseconds(300);       // controlling: how long a valid pair waits for a better one
  Duration patience = milliseconds(39'500);  // least time before failure (RFC 8863 section 4)
  Duration consent_interval = seconds(5);    // times 0.8 to 1.2 (RFC 7675 section 5.1)
  Duration consent_expiry = seconds(30);
  Duration keepalive = seconds(15);  // Tr: lite on its selected pairs, and towards STUN servers

  size_t max_streams = 16;            // of the agent
  size_t max_local_candidates = 32;   // of a stream
  size_t max_remote_candidates = 64;  // of a stream and generation, peer-reflexive ones apart
  size_t max_peer_reflexive = 16;     // remote ones, of a stream and generation
  size_t max_pairs = 100;             // of the agent, in equal parts for its streams (section 6.1.2.5)
  uint32_t max_role_changes = 8;      // of the agent
  /// 400 and 401 to requests nobody has authenticated, in a second. RFC 8489 section 9.1.3 asks for them, but
  /// they make a reflector of us: 0 keeps silent.
  uint32_t unauthenticated_answers = 0;
};

using StreamId = uint32_t;  // 0, 1, ... in the order of add_stream; never given again
using BaseId = uint32_t;    // likewise of add_local

/// Where checks and media are sent from and come in. The owner has the socket, listener or allocation.
struct LocalBase {
  StreamId stream = 0;
  uint16_t component = 1;
  CandidateType type = CandidateType::host;  // host or relayed
  Transport transport = Transport::udp;
  TcpType tcp_type = TcpType::none;
  SocketAddress address;     // as bound; of an active TCP base the port says nothing
  SocketAddress advertised;  // what the candidate says instead, behind one-to-one NAT; usually unset
  SocketAddress related;     // relayed: the mapped address of the allocation
  /// Order among addresses of a type. Unset: the families take turns, that of the first base before the other
  /// (RFC 8421 section 4).
  std::optional<uint16_t> preference;
  /// Where many sessions share a port: the first four octets of the id of each transaction begun here, so
  /// that the receiver of its answer knows whose it is (Glimpse). 0: none. In no snapshot.
  uint32_t mark = 0;
};

struct Datagram {
  BaseId base;
  SocketAddress to;
  std::vector<uint8_t> bytes;  // over TCP the owner frames it (RFC 4571), and opens the connection if need be
};

/// Where a component's media goes: out of `base` to `remote`.
struct Path {
  BaseId base = 0;
  SocketAddress local;  // as the peer sees us
  SocketAddress remote;
  CandidateType local_type = CandidateType::host;
  CandidateType remote_type = CandidateType::host;
  Transport transport = Transport::udp;
  bool operator==(const Path&) const = default;
};

/// Of a stream. failed and disconnected end its generation: only a restart helps.
enum class State : uint8_t {
  idle,          // no credentials of the peer yet
  checking,      // not every component has a valid pair
  connected,     // media may go; nothing nominated yet, or not for every component
  completed,     // a selected pair for each component
  failed,        // no pair worked within Config::patience
  disconnected,  // a selected pair has lost the peer's consent
};
std::string_view to_string(State state);

struct Event {
  enum class Kind : uint8_t {
    candidate,     // `candidate` of ours is there: to be trickled, unless the description was read since
    gathered,      // and it was the last: end of candidates
    state,         // `state` is new
    selected,      // the component's media goes over `path`, now or instead of another
    consent_lost,  // and may no more; `path` is what it was
    role,          // a conflict made us change to `role`
  };
  Kind kind;
  StreamId stream = 0;
  uint16_t component = 0;
  State state = State::idle;
  Role role = Role::controlling;
  Candidate candidate;
  Path path;
};

struct Outbox {
  std::vector<Datagram> datagrams;
  std::vector<Event> events;
  void clear() {
    datagrams.clear();
    events.clear();
  }
};

class AgentState;

class Agent {
 public:
  /// `rng` and `troubles` outlive the agent.
  Agent(const Config& config, Rng& rng, Troubles& troubles);
  ~Agent();
  Agent(Agent&&) noexcept;
  Agent& operator=(Agent&&) noexcept;

  // ---- streams and our candidates ----
  /// `components` 1 or 2.
  Result<StreamId, Reason> add_stream(uint16_t components);
  /// Its m-line was refused or bundled, or RTCP came to be multiplexed (1): what is beyond is forgotten.
  void set_components(Now now, StreamId stream, uint16_t components, Outbox& out);
  void close_stream(Now now, StreamId stream, Outbox& out) { set_components(now, stream, 0, out); }
  /// A STUN server of its family is asked at once for what a UDP host base looks like from outside.
  Result<BaseId, Reason> add_local(Now now, const LocalBase& base, Outbox& out);
  /// There are no more bases. Needed for `gathered`.
  void end_of_local(Now now, Outbox& out);
  /// The base is at another place (a restore on another port), or nowhere (`address` unset), or has another
  /// mark. What was selected on it is lost unless the address is the same: a restart is due then.
  void move_base(Now now, BaseId base, const SocketAddress& address, const SocketAddress& advertised,
                 uint32_t mark, Outbox& out);
  /// As of now. Without Config::trickle, or for a peer that has none, wait for `gathered` (half trickle).
  Description local_description(StreamId stream) const;
  /// What belongs into c= and m=: the selected pair's, otherwise the candidate most likely to be reachable.
  std::optional<Candidate> default_candidate(StreamId stream, uint16_t component) const;

  // ---- the peer's ----
  /// Its description with the session's inherited. Other credentials than before are its restart, and ours
  /// too unless we have begun one: the answer then takes local_description anew.
  Status<Reason> set_remote(Now now, StreamId stream, const Description& remote, Outbox& out);
  /// A trickled one. Refused ones cost nothing.
  Status<Reason> add_remote_candidate(Now now, StreamId stream, const Candidate& candidate, Outbox& out);
  void end_of_remote(Now now, StreamId stream, Outbox& out);
  /// The fragment of the peer's latest credentials; empty: not known yet.
  std::string_view remote_fragment(StreamId stream) const;

  // ---- restarts (section 9) ----
  /// New credentials. What is selected goes on until the new generation is completed.
  void restart(Now now, StreamId stream, Outbox& out);
  /// The offer with the restart was refused: the generation before is the current one again. Nothing to take
  /// back: no effect.
  void rollback(Now now, StreamId stream, Outbox& out);

  // ---- running ----
  /// False: it was refused, and nothing has changed.
  bool on_datagram(Now now, BaseId base, const SocketAddress& from, Bytes datagram, Outbox& out);
  /// A TCP connection of `base` with `to` could not be opened, or has ended.
  void on_unreachable(Now now, BaseId base, const SocketAddress& to, Outbox& out);
  void on_timeout(Now now, Outbox& out);
  Instant next_timeout() const;

  // ---- what is known ----
  Role role() const;
  State state(StreamId stream) const;
  /// The selected pair; after a restart the one before until there is a new one; before any the best valid
  /// one.
  std::optional<Path> path(StreamId stream, uint16_t component) const;
  /// The fragments of ours that requests of this stream may name: the latest generation's, and of the one
  /// before while that goes on, or the peer goes on to use it.
  std::vector<std::string> fragments(StreamId stream) const;
  /// A check of ours was answered from there, or one of theirs from there was authentic.
  bool validated(BaseId base, const SocketAddress& from) const;
  /// Grows with every change worth a new snapshot; consent does not count.
  uint64_t revision() const;

  // ---- a session is a value ----
  /// proto/ice.proto. It holds the passwords.
  std::string snapshot(Now now) const;
  /// Bases keep their numbers. Selected pairs are asked for consent at once; checks in flight begin anew.
  /// `config` as for a new agent; mode and role are the snapshot's. Bases that stand elsewhere now are to be
  /// moved.
  static Result<Agent, Reason> restore(Now now, std::string_view part, const Config& config, Rng& rng,
                                       Troubles& troubles);

 private:
  std::unique_ptr<AgentState> state_;
};

}  // namespace tandem::ice
