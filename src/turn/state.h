#pragma once
// Private to this room: what a server is made of.
#include <deque>
#include <optional>
#include <unordered_map>

#include "base/slot_map.h"
#include "base/timers.h"
#include "turn/credentials.h"
#include "turn/limits.h"
#include "turn/server.h"

namespace tandem::proto {
class TurnPart;
}

namespace tandem::turn {

namespace method = stun::method;
namespace attribute = stun::attribute;

/// Packets that go nowhere, and why.
enum class Drop : uint8_t {
  not_stun,       // from a client: neither STUN nor ChannelData
  bad_stun,       // damaged, or a class or method that makes no sense here
  no_allocation,  // an indication or ChannelData without an allocation
  no_channel,     // ChannelData on a number that is not bound
  bad_length,  // ChannelData shorter than it says, a Send indication without peer or data, a request too long
  no_permission,  // to or from a peer without one
  denied_peer,    // a Send indication to a port the policy denies
  bandwidth,      // past the limit of the allocation or the worker
  closed_port,    // from a peer, to a port that is closed
  client_gone,    // from a peer, while the client of a mobile allocation is away
  challenges,     // an unsigned refusal past the limit of its source
  waiting,        // a request past the limit of those that wait
  lookups,        // one whose sender would have to be looked up, past the limit of its source
  banned,         // one from where too many wrong passwords came
};
inline constexpr size_t drop_count = 14;

struct Channel {
  uint16_t number = 0;
  SocketAddress peer;
  Instant expires;
};

struct Relay {
  port::RelayPort port;
  Instant expires;
  SocketAddress told() const { return {port.advertised ? port.advertised : port.local.ip, port.local.port}; }
};

/// A TCP connection with a peer (RFC 6062 section 4), until a client connection is bound to it.
struct PeerConnection {
  enum class State : uint8_t { connecting, waiting, bound } state = State::connecting;
  port::RelayConnection connection = 0;
  uint32_t id = 0;  // CONNECTION-ID
  SocketAddress peer;
  Instant until;
  // of the Connect request that is not answered yet
  stun::TransactionId transaction{};
  bool fingerprint = false;
};

inline constexpr size_t families = 2;
constexpr size_t index_of(IpAddress::Family f) { return f == IpAddress::Family::v6 ? 1 : 0; }
constexpr IpAddress::Family family_at(size_t i) {
  return i == 0 ? IpAddress::Family::v4 : IpAddress::Family::v6;
}

struct Allocation {
  // given
  SlotId id;
  std::string user;   // USERNAME, as it came
  std::string owner;  // whose quota it is part of
  Key key;
  stun::TransactionId made_by{};
  bool tcp = false;
  WallTime since;
  uint64_t seat = 0;  // 0: no quota
  // state
  port::RelayClient client;
  bool away = false;  // its connection is gone; it waits for its client to come back with the ticket
  std::array<std::optional<Relay>, families> relays;
  std::vector<IpAddress> permissions;  // names in Impl::permissions, once for each relay of the family
  std::vector<Channel> channels;
  std::vector<PeerConnection> connections;
  std::string ticket, old_ticket;  // empty: it does not move
  std::string token;               // of the port it reserved, for a request that comes again
  Meter up, down;
  uint64_t packets_up = 0, packets_down = 0, octets_up = 0, octets_down = 0;
  Instant armed = Instant::never();
};

struct PermissionKey {
  port::RelayPortId port;
  IpAddress peer;
  bool operator==(const PermissionKey&) const = default;
};
struct PermissionKeyHash {
  size_t operator()(const PermissionKey& k) const noexcept {
    return SocketAddressHash{}({k.peer, 0}) ^ mix64(uint64_t{k.port.generation} << 32 | k.port.slot);
  }
};
/// A peer's address on a relay port belongs to one allocation.
struct Permission {
  SlotId allocation;
  Instant expires;
};

struct PortState {
  port::RelayPort port;
  uint32_t tenants = 0;
  bool own = false;  // its one tenant may move, or is a TCP one: nobody joins it
};

struct Reservation {
  port::RelayPort port;
  std::string user;
  Instant expires;
};

/// A request whose sender, or whose seat, is being looked up, or whose allocation is on its way here.
struct Waiting {
  enum class Phase : uint8_t { row, seat, move } phase = Phase::row;
  port::RelayClient client;
  Buffer request;
  std::string owner;
  Key key;
  bool with_domain = false;
  uint64_t seat = 0;
  Instant until;
};

/// A request of a client that is who it says.
struct Request {
  const port::RelayClient& client;
  const stun::Message& message;
  Bytes bytes;
  std::string_view user;
  std::string_view owner;
  const Key& key;
  uint64_t seat = 0;  // one that was granted
  bool seat_refused = false;
};

struct Server::Impl {
  Impl(const Config& config, port::RelayPorts& ports, Rng& rng, CounterSet& counters);
  ~Impl();

  // ---- who asks (server.cpp)
  void from_client(Now now, port::RelayPacket& p, port::Outbox& out);
  void request(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
               port::Outbox& out);
  void binding(const port::RelayClient& client, const stun::Message& m, port::Outbox& out);
  void with_row(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                std::string_view user, Algorithm algorithm, port::Outbox& out);
  bool with_secret(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                   std::string_view user, Algorithm algorithm, port::Outbox& out);
  void with_key(Now now, const port::RelayClient& client, Bytes bytes, const stun::Message& m,
                std::string_view user, std::string_view owner, Key key, port::Outbox& out);
  void perform(Now now, const Request& r, port::Outbox& out);
  void row_answered(Now now, Waiting w, const port::Answer& answer, port::Outbox& out);
  void seat_answered(Now now, Waiting w, const port::Answer& answer, port::Outbox& out);
  Waiting* wait(Now now, Waiting::Phase phase, const port::RelayClient& client, Bytes bytes, SlotId& id);
  Allocation* spoken_of(const port::RelayClient& client, const stun::Message& m);
  void challenge(Now now, const port::RelayClient& client, const stun::Message& m, uint16_t code,
                 port::Outbox& out);
  bool is_banned(Now now, const port::RelayClient& client) const;
  void wrong_password(Now now, const port::RelayClient& client, const stun::Message& m, port::Outbox& out);

  // ---- answers (server.cpp)
  stun::Writer success(const stun::Message& m) const;
  void answer(const Request& r, stun::Writer& w, port::Outbox& out);
  void refuse(const Request& r, uint16_t code, port::Outbox& out);
  void refuse_bare(Now now, const port::RelayClient& client, const stun::Message& m, uint16_t code,
                   port::Outbox& out);
  void send(const port::RelayClient& client, const stun::Writer& w, port::Outbox& out);
  static void seal(stun::Writer& w, const Key& key, bool fingerprint);

  // ---- Allocate (allocate.cpp)
  struct Wanted {
    bool tcp = false, even = false, reserve = false, mobile = false;
    std::array<bool, families> family{};
    bool additional = false;  // the IPv6 one is welcome, not required
    std::string token;
  };
  std::optional<uint16_t> read_wanted(const Request& r, Wanted& wanted) const;
  void allocate(Now now, const Request& r, port::Outbox& out);
  void ask_seat(Now now, const Request& r, port::Outbox& out);
  std::optional<uint16_t> take_ports(Now now, const Request& r, const Wanted& wanted, Allocation& a,
                                     uint16_t& additional_error);
  std::optional<uint16_t> take_reserved(Now now, const Wanted& wanted, Allocation& a);
  std::optional<port::RelayPort> take_port(IpAddress::Family family, const Wanted& wanted);
  std::optional<port::RelayPort> join_port(IpAddress::Family family);
  void allocated(const Request& r, const Allocation& a, uint16_t additional_error, port::Outbox& out,
                 Now now);
  void hold(const port::RelayPort& port, bool own);
  void leave(port::RelayPortId id);
  void give_back_seat(const Request& r, port::Outbox& out);
  void forget_reservation(const std::string& token);
  Duration lifetime_of(const Request& r) const;
  void made(Now now, Allocation& a, port::Outbox& out);
  void end(Now now, Allocation& a, std::string_view why, port::Outbox& out);
  void close_relay(Allocation& a, size_t family);
  void arm(Allocation& a);

  // ---- the other requests (requests.cpp)
  void refresh(Now now, const Request& r, Allocation* a, port::Outbox& out);
  void create_permission(Now now, const Request& r, Allocation& a, port::Outbox& out);
  void channel_bind(Now now, const Request& r, Allocation& a, port::Outbox& out);
  std::optional<uint16_t> may_reach(Now now, const Allocation& a, const IpAddress& peer);
  static Instant remembered_until(const Allocation& a, const IpAddress& peer, const Permission& p);
  void permit(Now now, Allocation& a, const IpAddress& peer);
  const Permission* permission(Now now, const Allocation& a, const IpAddress& peer) const;
  void denied(Denied why) { denied_[static_cast<size_t>(why)]->add(); }

  // ---- packets (relay.cpp)
  void channel_data(Now now, const port::RelayPacket& p, port::Outbox& out);
  void send_indication(Now now, const port::RelayPacket& p, const stun::Message& m, port::Outbox& out);
  void from_peer(Now now, port::RelayPacket& p, port::Outbox& out);
  void to_peer(Now now, Allocation& a, const SocketAddress& peer, Bytes bytes, bool dont_fragment,
               port::Outbox& out);
  void drop(Drop why) { dropped_[static_cast<size_t>(why)]->add(); }

  // ---- TCP (tcp.cpp)
  void connect(Now now, const Request& r, Allocation& a, port::Outbox& out);
  void connection_bind(Now now, const Request& r, Allocation& a, port::Outbox& out);
  void accepted(Now now, const port::RelayEvent& e, port::Outbox& out);
  void connected(Now now, const port::RelayEvent& e, bool up, port::Outbox& out);
  void connection_closed(port::RelayConnection connection);
  void expire_connections(Now now, Allocation& a, port::Outbox& out);
  PeerConnection* find_connection(uint32_t id, Allocation** whose);
  void forget_connection(Allocation& a, size_t i, bool close);
  void answer_connect(const Allocation& a, const PeerConnection& c, uint16_t code, port::Outbox& out);

  struct Pipes;

  // ---- mobility, and ports reserved at another worker (moves.cpp)
  std::string new_ticket(const port::RelayClient& client);
  uint16_t worker_of_ticket(std::string_view ticket) const;
  Allocation* by_ticket(std::string_view ticket);
  void fetch(Now now, const Request& r, std::string_view ticket, port::Outbox& out);
  void move_out(Now now, const port::RelayMove& move, port::Outbox& out);
  void move_in(Now now, const port::RelayMove& move, port::Outbox& out);
  void take_client(Allocation& a, const port::RelayClient& client);
  void client_closed(Now now, const port::RelayClient& client, port::Outbox& out);

  // ---- snapshot.cpp
  std::string part_of(Now now, const Allocation& a) const;
  Allocation* restore_part(Now now, std::string_view bytes);
  bool restore_relays(Now now, const proto::TurnPart& part, Allocation& a);
  void restore_peers(Now now, const proto::TurnPart& part, Allocation& a);
  std::optional<port::RelayPort> reopen(const SocketAddress& local, bool own);

  Allocation* of_client(const port::RelayClient& client) {
    const auto it = by_client.find(client);
    return it == by_client.end() ? nullptr : allocations.find(it->second);
  }
  void renew_seats(Now now, port::Outbox& out);
  void timeout(Now now, port::Outbox& out);

  // ---- given
  Config config;
  port::RelayPorts& world;
  Rng& rng;
  PeerPolicy policy;
  Nonces nonces;
  Key nobody;  // of a user there is none

  // ---- state
  SlotMap<Allocation> allocations;
  std::unordered_map<port::RelayClient, SlotId, port::RelayClientHash> by_client;
  std::unordered_map<std::string, SlotId> tickets;
  std::unordered_map<PermissionKey, Permission, PermissionKeyHash> permissions;
  std::unordered_map<uint64_t, PortState> port_states;  // by slot and generation
  std::array<std::deque<port::RelayPortId>, families> shareable;
  std::unordered_map<std::string, Reservation> reservations;        // by token
  std::unordered_map<uint32_t, SlotId> connection_ids;              // CONNECTION-ID -> allocation
  std::unordered_map<port::RelayConnection, uint32_t> connections;  // -> CONNECTION-ID
  SlotMap<Waiting> waiting;
  std::unordered_map<port::RelayClient, Instant, port::RelayClientHash>
      gone;  // since when; while something waits
  SourceLimit challenges, newcomers, lookups;
  std::vector<SocketAddress> failures;
  Meter all_up, all_down;
  TimerQueue<SlotId> timers;
  Instant next_sweep = Instant::never();  // of reservations and what waits
  Instant next_renewal = Instant::never();
  uint64_t transaction_seed = 0, transaction_count = 0;  // of indications

  // ---- counters
  Counter &made_, &open_, &ports_open_, &shared_, &packets_up_, &packets_down_, &octets_up_, &octets_down_,
      &bindings_, &conflicts_, &moved_, &lost_;
  std::array<Counter*, drop_count> dropped_{};
  std::array<Counter*, denied_count> denied_{};
  std::unordered_map<uint16_t, Counter*> errors_;
};

constexpr uint16_t load16(const uint8_t* p) { return static_cast<uint16_t>(p[0] << 8 | p[1]); }
constexpr void store16(uint8_t* p, uint16_t v) {
  p[0] = static_cast<uint8_t>(v >> 8);
  p[1] = static_cast<uint8_t>(v);
}
/// `ticket` has two octets at least.
constexpr uint16_t shard_of_ticket(std::string_view ticket) {
  return static_cast<uint16_t>(static_cast<uint8_t>(ticket[0]) << 8 | static_cast<uint8_t>(ticket[1]));
}
constexpr bool is_stream(port::RelayTransport t) {
  return t == port::RelayTransport::tcp || t == port::RelayTransport::tls;
}

}  // namespace tandem::turn
