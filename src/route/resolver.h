#pragma once
// From a URI to where to send: RFC 3263 (NAPTR, SRV, addresses) as a value that asks. A leg owns one; its
// snapshot is its target, and a restore starts again.
//
//   start() --> done: hops()                         (numeric host)
//      |
//      +--> NAPTR --> SRV of each service --> A/AAAA of each server --> done: hops(), or error()
//              `none: SRV of each transport --' `none: A/AAAA of the host, default port
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"
#include "port/outbox.h"
#include "sip/uri.h"

namespace tandem::route {

/// What to resolve, and what the sender can do.
struct ResolveTarget {
  std::string host;  // name or address (IPv6 with or without brackets)
  uint16_t port = 0;
  std::optional<port::Transport> transport;  // asked for by ;transport= or by configuration
  bool secure = false;                       // sips:
  bool v4 = true, v6 = true;                 // families the realm can send from
  bool prefer_v6 = false;

  /// From a request-URI or Route URI: maddr over host, transport parameter (RFC 3263 section 4). Nothing for
  /// tel:.
  static std::optional<ResolveTarget> from(const sip::Uri& uri);
};

struct Hop {
  port::Transport transport = port::Transport::udp;
  SocketAddress address;
  std::string
      server_name;  // TLS: the domain asked for, never the SRV target (RFC 5922 section 4); empty otherwise
  bool operator==(const Hop&) const = default;
};

/// What failed lately, per worker, so that a dead server is tried last by the next call instead of first.
class FailureCache {
 public:
  explicit FailureCache(CounterSet& counters, size_t limit = 4096, Duration hold = seconds(30));
  void note_failure(Instant now, const Hop& hop);
  void note_success(const Hop& hop);
  bool failed(Instant now, const Hop& hop) const;
  /// Servers that work first; the order stays otherwise.
  void reorder(Instant now, std::vector<Hop>& hops) const;
  size_t size() const { return until_.size(); }

 private:
  struct Key {
    port::Transport transport;
    SocketAddress address;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    size_t operator()(const Key& k) const noexcept {
      return SocketAddressHash{}(k.address) * 8 + static_cast<size_t>(k.transport);
    }
  };
  size_t limit_;
  Duration hold_;
  Counter& noted_;
  Counter& full_;
  std::unordered_map<Key, Instant, KeyHash> until_;
};

enum class ResolveError : uint8_t {
  none,
  bad_host,   // neither an address nor a name
  not_found,  // no records
  no_family,  // an address of a family that cannot be sent from here
  timed_out,  // or DNS is away
};
const char* to_string(ResolveError e);

class Resolver {
 public:
  static constexpr size_t max_servers = 8;  // SRV targets that are looked at
  static constexpr size_t max_hops = 16;
  static constexpr size_t max_records = 64;  // of one answer

  /// What a step needs from its owner.
  struct Context {
    Now now;
    Rng& rng;
    port::Outbox& out;
    const FailureCache& failures;
    port::Asker asker;
    Duration timeout = seconds(3);   // of one question
    Duration patience = seconds(6);  // of the whole
  };

  /// True when it is done at once. Asks otherwise.
  bool start(const Context& context, ResolveTarget target);
  /// False when the answer is none of this resolver's (late, or another machine's). Look at done()
  /// afterwards.
  bool on_answer(const Context& context, port::AskId id, const port::Answer& answer);
  void cancel() { open_.clear(), stage_ = Stage::idle; }

  bool done() const { return stage_ == Stage::done; }
  bool running() const { return stage_ != Stage::idle && stage_ != Stage::done; }
  /// Best first; empty with error() set when there is nowhere to send.
  const std::vector<Hop>& hops() const { return hops_; }
  ResolveError error() const { return error_; }
  /// How long the hops may be believed: the shortest time to live of the records they came from, in seconds;
  /// UINT32_MAX when no record was needed.
  uint32_t ttl() const { return ttl_; }
  const ResolveTarget& target() const { return target_; }

  /// RFC 2782: by priority, within one by weighted chance.
  static void order_srv(std::vector<port::DnsRecord>& records, Rng& rng);

 private:
  enum class Stage : uint8_t { idle, naptr, srv, address, done };
  struct Service {  // one SRV name
    std::string name;
    port::Transport transport;
    std::vector<port::DnsRecord> records;
  };
  struct Server {  // one name to look up addresses of
    std::string name;
    uint16_t port;
    port::Transport transport;
    std::array<std::vector<IpAddress>, 2> found;  // IPv4, IPv6
  };
  struct Open {
    port::AskId id;
    uint16_t type;
    size_t index;
  };

  void ask(const Context& context, std::string name, uint16_t type, size_t index);
  void ask_srv(const Context& context);
  void ask_addresses(const Context& context);
  void on_naptr(const Context& context, const std::vector<port::DnsRecord>& records);
  void after_srv(const Context& context);
  void finish(const Context& context);
  void fail(ResolveError error);
  void add_hop(port::Transport transport, IpAddress ip, uint16_t port);
  bool usable(port::Transport t) const;
  port::Transport default_transport() const;

  ResolveTarget target_;
  Stage stage_ = Stage::idle;
  ResolveError error_ = ResolveError::none;
  Instant deadline_;
  bool timed_out_ = false;
  uint32_t ttl_ = UINT32_MAX;
  std::vector<Service> services_;
  std::vector<Server> servers_;
  std::vector<Open> open_;
  std::vector<Hop> hops_;
};

}  // namespace tandem::route
