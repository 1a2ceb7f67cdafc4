#pragma once
// The gate: everything decided about a message before anything is allocated for it. Two looks: admit_bytes()
// at the raw datagram, admit() at the parsed request. Refusals are written straight from the request, without
// a transaction.
//
//   bytes ─ ban, realm's lists, looks like SIP ─ parse ─ scanner? ─ rate of the source ─ load, by order of
//   mercy ─ in
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/time.h"
#include "edge/realm.h"
#include "edge/source_table.h"
#include "port/flow.h"
#include "sip/message.h"

namespace tandem::edge {

struct GateConfig {
  size_t sources = 65'536;         // remembered addresses, per worker
  uint64_t hash_key = 0;           // secret of this boot
  double requests_per_second = 0;  // per source and worker; 0: no limit
  double burst = 0;                // 0: twice the rate
  uint32_t auth_failures = 20;     // in `failure_window`, then the source is banned; 0: never
  Duration failure_window = minutes(1);
  Duration ban = minutes(10);
  uint32_t garbage = 100;  // messages over connections that do not parse, in the same window; 0: never bans
  size_t max_calls = 0;    // per worker; 0: no limit
  uint32_t retry_after_seconds = 5;
  std::vector<std::string> emergency_numbers = {"112", "911"};
  /// Parts of User-Agent values, without case.
  std::vector<std::string> scanners = {"friendly-scanner", "sipvicious", "sipcli", "sip-scan", "sundayddr",
                                       "vaxsipuseragent",  "pplsip",     "smap",   "sipscan",  "iwar",
                                       "siparmyknife"};
  /// Load from which each class is shed (Mercy order; over 1: never).
  std::array<double, 6> shed_at = {2.0, 2.0, 0.97, 0.90, 0.85, 0.80};
};

/// Order of mercy (ARCHITECTURE rule 5): the first is shed last.
enum class Mercy : uint8_t {
  emergency,         // INVITE to an emergency number or service
  in_dialog,         // To tag, or ACK, CANCEL, PRACK: what already runs
  refresh,           // REGISTER with credentials
  new_call,          // INVITE
  new_registration,  // REGISTER without credentials
  rest,
};
const char* to_string(Mercy m);

/// How busy this worker is. `level`: 0 idle to 1 (no time left in its loop), from whoever drives it.
struct Load {
  size_t calls = 0;
  bool draining = false;
  double level = 0;
};

struct Verdict {
  enum class Kind : uint8_t { admit, drop, refuse } kind = Kind::admit;
  enum class Reason : uint8_t {
    none,
    banned,
    not_sip,
    denied,
    scanner,
    no_registrations,
    rate,
    overload,
    draining,
    too_many_calls,
    malformed,
    count_,
  } reason = Reason::none;
  Mercy mercy = Mercy::rest;
  int status = 0;            // of a refusal
  uint32_t retry_after = 0;  // seconds; 0: no such header
};
const char* to_string(Verdict::Reason r);

class Gate {
 public:
  Gate(const GateConfig& config, std::shared_ptr<const RealmTable> realms, CounterSet& counters);

  /// The first look, at anything that came in. False: drop it, it has been counted.
  bool admit_bytes(Now now, Bytes bytes, const port::Path& path);
  /// The second look, at requests. Responses need none.
  Verdict admit(Now now, const sip::Message& request, const port::Path& path, Load load);
  /// The answer that goes with a refusal. The To tag is made from the request, so that a retransmission gets
  /// the same one (RFC 3261 section 8.2.7).
  Buffer refusal(const sip::Message& request, const port::Path& path, const Verdict& verdict) const;

  /// The answer to what begins like a request and does not parse (`why`): nothing when it cannot be matched
  /// by its sender, or he would not be let in or answered here in any case. Costs the source a token.
  std::optional<Buffer> refuse_malformed(Now now, Bytes bytes, sip::Reason why, const port::Path& path,
                                         Load load);

  /// A source that sent wrong credentials. Right ones clear nothing: who has an account here could otherwise
  /// guess other people's passwords for ever. Every worker's gate must be told (the worker that checks a
  /// request is not the one its source is heard by).
  void note_auth_failure(Now now, const port::Path& path);
  /// Something that is no SIP. Over a connection it counts towards a ban; a datagram's source can be forged,
  /// so there nothing is held against it: nobody is silenced by a stranger who writes in his name.
  void note_garbage(Now now, const port::Path& path);

  /// Neighbours the directory names (route::Plan::trunk_sources), besides each realm's own list: no rate
  /// limit, never banned.
  void set_neighbours(std::vector<IpPrefix> sources) { neighbours_ = std::move(sources); }

  bool banned(Now now, const IpAddress& source);
  /// Whether what came in over `path` must be dropped because its source is banned; counts it.
  bool refuses(Now now, const port::Path& path);
  void ban(Now now, const IpAddress& source, Duration how_long);
  void unban(const IpAddress& source);

  static Mercy mercy_of(const sip::Message& request, const std::vector<std::string>& emergency_numbers);

 private:
  Verdict verdict(Verdict::Kind kind, Verdict::Reason reason, Mercy mercy, int status = 0,
                  uint32_t retry_after = 0);
  bool trusted(const port::Path& path) const;
  bool allowed(const port::Path& path) const;
  bool names_scanner(std::string_view agent) const;
  bool scanner(const sip::Message& request) const;
  /// Takes a token; how far the source is in debt afterwards decides.
  enum class Rate : uint8_t { fine, over, far_over };
  Rate take_token(Now now, const port::Path& path);
  SourceEntry& entry(Now now, const IpAddress& ip);
  void count_failure(Now now, const port::Path& path, uint64_t limit, uint64_t weight);

  GateConfig config_;
  double burst_;
  std::shared_ptr<const RealmTable> realms_;
  SourceTable sources_;
  std::vector<IpPrefix> neighbours_;
  size_t bans_ = 0;  // ever made: nothing is looked up while there was none

  std::array<Counter*, static_cast<size_t>(Verdict::Reason::count_)> dropped_{}, refused_{};
  std::array<Counter*, 6> shed_{};
  Counter& banned_sources_;
  Counter& evicted_;
};

}  // namespace tandem::edge
