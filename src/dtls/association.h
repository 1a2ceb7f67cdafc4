#pragma once
// A DTLS association that keys SRTP (RFC 5763, RFC 5764): datagrams and the time go in; datagrams, and in the
// end the SRTP master keys of both directions, come out. `OpensslEndpoint` makes real ones, `TwinEndpoint`
// deterministic ones for the simulator.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/time.h"
#include "dtls/fingerprint.h"
#include "dtls/setup.h"
#include "srtp/key.h"

namespace tandem::dtls {

/// What went wrong. The first three cost a datagram, the others an attempt or the association.
enum class Reason : uint8_t {
  unvalidated_source,  // a datagram from where nobody has shown to be: it never reaches the handshake
  not_dtls,            // no DTLS record, or to an idle server something else than a ClientHello
  too_large,           // longer than max_datagram
  handshake_failed,    // an alert, or messages that make no sense
  wrong_fingerprint,   // a certificate whose fingerprint was not in the SDP
  no_profile,          // no SRTP protection profile in common
  timed_out,           // not established within the limit
};
inline constexpr size_t reason_count = 7;
std::string_view to_string(Reason reason);

/// One counter a reason; shared by all associations of an endpoint.
struct Troubles {
  std::array<Counter, reason_count> by_reason;
  void add(Reason r) { by_reason[static_cast<size_t>(r)].add(); }
  uint64_t count(Reason r) const { return by_reason[static_cast<size_t>(r)].value(); }
};

inline constexpr size_t max_datagram = 16384;  // more than a record can hold
/// Handshakes that may fail before the association does.
inline constexpr int max_attempts = 5;

struct Options {
  Role role = Role::client;
  /// The peer's a=fingerprint lines; any one has to match. At least one, or nobody does.
  std::vector<Fingerprint> peer;
  /// SRTP protection profiles, best first. Suites that have no profile are passed over.
  std::vector<srtp::Suite> suites = {srtp::Suite::aead_aes_256_gcm, srtp::Suite::aead_aes_128_gcm,
                                     srtp::Suite::aes_cm_128_hmac_sha1_80,
                                     srtp::Suite::aes_cm_128_hmac_sha1_32};
  /// Octets of a datagram's payload that go through everywhere; flights are cut to it. 256 to 9000.
  size_t mtu = 1200;
  /// The first retransmission; doubled each time. RFC 6347 section 4.2.4.1 says 1 s for any network, RFC 9147
  /// section 5.8.2 less where the round trip is known to be short.
  Duration first_retransmit = milliseconds(400);
  /// From start() or the first datagram until established.
  Duration limit = seconds(30);
};

/// Both directions' keys, named from where we stand.
struct Keys {
  srtp::MasterKey ours;  // for our Sender
  srtp::MasterKey theirs;
};

enum class Source : bool { unvalidated, validated };

using Datagrams = std::vector<std::vector<uint8_t>>;

class Association {
 public:
  enum class State : uint8_t { idle, handshaking, established, failed };

  virtual ~Association() = default;

  /// A client begins; its first flight is in `out`. A server waits.
  virtual void start(Now now, Datagrams& out) = 0;
  /// A datagram from the peer. `source` is validated when ICE, or latching, has shown that the peer is where
  /// it came from; any other is dropped, so a ClientHello of a stranger starts nothing and ends nothing.
  virtual void on_datagram(Now now, Bytes datagram, Source source, Datagrams& out) = 0;
  virtual void on_timeout(Now now, Datagrams& out) = 0;
  virtual Instant next_timeout() const = 0;

  virtual State state() const = 0;
  /// Why it failed; nothing unless it has.
  virtual std::optional<Reason> failure() const = 0;
  /// Nothing unless established. Media of the peer is to be believed from then on, not before.
  virtual const Keys* keys() const = 0;
  /// The peer has said it sends no more (close_notify). Signalling ends calls, not this.
  virtual bool closed_by_peer() const = 0;
};

/// Makes associations that show one certificate.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  /// For our SDP.
  virtual Fingerprint fingerprint(FingerprintHash hash) const = 0;
  virtual std::unique_ptr<Association> open(const Options& options) = 0;
  const Troubles& troubles() const { return troubles_; }
  /// For who keeps a datagram from its associations.
  Troubles& troubles() { return troubles_; }

 protected:
  Troubles troubles_;
};

}  // namespace tandem::dtls
