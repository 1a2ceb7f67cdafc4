#pragma once
// A TURN server (RFC 8656; also RFC 6062 TCP allocations, RFC 6156/8656 both families, RFC 8016 mobility), as
// a protocol machine for one worker. Start reading here, then server.cpp (who may ask), allocate.cpp,
// requests.cpp, relay.cpp (the fast path), tcp.cpp, moves.cpp, snapshot.cpp.
//
//   client ──STUN / ChannelData──> on_packets ──> to_peers ──> peer
//   client <── to_clients <────── on_packets <── datagrams to a relay port
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"
#include "port/outbox.h"
#include "port/relay.h"
#include "turn/policy.h"

namespace tandem::turn {

struct Config {
  bool enabled = false;
  std::string realm;                 // of the challenge; the subscribers' HA1 must be of it
  std::string domain;                // of subscribers whose username names none; empty: the realm
  bool subscribers = true;           // may subscribers of the directory use it?
  std::vector<std::string> secrets;  // of time-limited credentials; any of them is accepted, the first signs
  std::string software;
  std::array<uint8_t, 32> nonce_key{};  // random, the same on all workers
  Duration nonce_lifetime = minutes(30);

  Duration default_lifetime = seconds(600);  // also the shortest (RFC 8656 section 7.2)
  Duration max_lifetime = seconds(3600);
  Duration permission_lifetime = seconds(300);  // section 9
  Duration channel_lifetime = seconds(600);     // section 12
  Duration reservation_lifetime = seconds(30);
  Duration connection_patience = seconds(30);  // RFC 6062 section 5: to connect, and for a ConnectionBind
  bool mobility = true;
  bool tcp_relay = true;

  size_t allocations = 50'000;           // of this worker
  uint32_t allocations_per_user = 64;    // of all workers; 0: no limit
  size_t permissions = 64;               // of an allocation
  size_t channels = 64;                  // of an allocation
  size_t connections = 32;               // of a TCP allocation, and waiting for their client
  uint32_t tenants = 64;                 // allocations that share a relay port once all are taken
  size_t waiting = 10'000;               // requests whose sender is being looked up
  uint32_t challenges_per_second = 100;  // unsigned refusals, to a source address; 0: no limit
  uint32_t allocations_per_second = 50;  // from a source address; 0: no limit
  uint32_t lookups_per_second = 100;     // of subscribers, for a source address; 0: no limit
  uint64_t bytes_per_second = 0;         // of an allocation, each direction; 0: no limit
  uint64_t total_bytes_per_second = 0;   // of this worker, each direction; 0: no limit
  Duration ask_timeout = seconds(3);
  PolicyConfig policy;

  uint16_t worker = 0, workers = 1;
  uint64_t hash_key = 0;  // secret: of the tables of sources
  /// Whether nobody may sign in from there now, since too many wrong passwords came from it. Unset: never.
  std::function<bool(Now, const IpAddress&)> banned;
};

/// An allocation as operators see it.
struct AllocationInfo {
  std::string user;
  std::string client;     // address:port
  std::string transport;  // of the client
  std::vector<std::string> relays;
  bool tcp = false;
  bool mobile = false;
  WallTime since;
  int64_t expires_in = 0;  // seconds
  size_t permissions = 0, channels = 0;
  uint64_t packets_up = 0, packets_down = 0, octets_up = 0, octets_down = 0;  // up: from the client
};

/// To whose shard an allocation belongs: a hash of the client's address and port that a packet filter of the
/// kernel can compute, so that a restart finds each client's packets at the worker that has its allocation.
uint16_t shard_of_client(const SocketAddress& remote);

class Server {
 public:
  /// `ports`, `rng` and `counters` outlive it. Closes its ports when it ends.
  Server(const Config& config, port::RelayPorts& ports, Rng& rng, CounterSet& counters);
  ~Server();

  /// Packets of one receive batch. What is to be sent is left in out.relay and points into the batch.
  void on_packets(Now now, std::span<port::RelayPacket> packets, port::Outbox& out);
  void on_event(Now now, const port::RelayEvent& event, port::Outbox& out);
  /// `object`: what the question's Asker named.
  void on_answer(Now now, uint64_t object, const port::Answer& answer, port::Outbox& out);
  void on_move(Now now, port::RelayMove move, port::Outbox& out);
  void on_timeout(Now now, port::Outbox& out);
  /// The addresses this machine has from now on, beside those of the policy.
  void set_machine(std::vector<IpAddress> addresses);
  Instant next_timeout() const;
  /// Sources of wrong passwords since the last call, once for each. They have shown that they receive what is
  /// sent there.
  std::vector<SocketAddress> take_failures();

  size_t size() const;     // allocations
  size_t waiting() const;  // requests whose sender is being looked up
  size_t ports() const;    // relay ports open
  std::vector<AllocationInfo> list(Now now, size_t limit) const;

  /// What outlives the process: allocations over UDP, and those that may move. A part a piece, with its
  /// shard.
  struct Part {
    uint16_t shard = 0;
    std::string bytes;
  };
  void snapshot(Now now, std::vector<Part>& out) const;
  /// False: not understood, or its relay port is somebody else's now (counted).
  bool restore(Now now, std::string_view part);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem::turn
