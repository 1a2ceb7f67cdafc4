#pragma once
// What a generator is told to do. Roles may be combined: `call` is a caller and a callee in one process.
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/time.h"
#include "port/flow.h"

namespace tandem::load {

/// When new work begins: `rate` a second, evenly or as a Poisson process, `count` in all.
struct Pace {
  double rate = 10;  // over 0
  uint64_t count = 0;
  bool poisson = false;
};

/// Places calls (RFC 3261 section 13.2). Everything of a call goes to `target`, as to an outbound proxy.
struct CallerSettings {
  SocketAddress target;
  std::string from;  // URI of From
  std::string to;    // request URI and URI of To
  Pace pace;
  Duration hold{};                  // from the answer to the BYE
  Duration patience = seconds(60);  // from the INVITE to a CANCEL when nobody answers
  std::string user, password;       // for 401 and 407; without a password a challenge is a failure
  bool rtp = false;
  std::string codec;       // empty: PCMU in marked packets; else a Sound's name, and only it is offered
  bool webrtc = false;     // its media is a browser's: ICE, DTLS-SRTP; needs rtp
  size_t limit = 100'000;  // calls at once; past it a call that falls due is counted as shed
};

/// Answers calls.
struct CalleeSettings {
  Duration ring{};  // from the 180 to the 200
  bool rtp = false;
  std::string codec;  // likewise
  bool webrtc = false;
  size_t limit = 100'000;
};

/// Registers users `prefix` + `first` .. `last`, round and round, until `pace.count` registrations are made.
struct RegistrarSettings {
  SocketAddress target;
  std::string domain;
  std::string prefix;
  uint32_t first = 1, last = 1;
  std::string password;
  uint32_t expires = 3600;
  Pace pace;
  bool refresh = false;  // again at half of the time granted: the callee stays reachable
  size_t limit = 100'000;
};

struct Settings {
  port::Transport transport = port::Transport::udp;
  std::optional<CallerSettings> caller;
  std::optional<CalleeSettings> callee;
  std::optional<RegistrarSettings> registrations;
  uint32_t connections = 1;   // of each side, where the transport has any; work is dealt to them
  std::string server_name;    // TLS: the name the target's certificate must carry; empty: its address
  bool allow_remote = false;  // media may go to an address that is not loopback
};

/// Nothing when the targets may be loaded; otherwise one sentence. Load is an attack when it goes astray, so
/// anything but loopback has to be asked for.
std::optional<std::string> problem_with(const Settings& settings);

/// Listeners by realm: callers and registrations speak from one, callees from another.
inline constexpr port::RealmId caller_realm = 0;
inline constexpr port::RealmId callee_realm = 1;

}  // namespace tandem::load
