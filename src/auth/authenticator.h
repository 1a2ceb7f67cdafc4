#pragma once
// The server side of digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760), one per worker.
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "auth/digest.h"
#include "auth/nonce.h"
#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"
#include "port/records.h"
#include "sip/message.h"
#include "sip/writer.h"

namespace tandem::auth {

/// As whom we challenge: a registrar or user agent with 401 and WWW-Authenticate, a proxy with 407 and
/// Proxy-Authenticate.
enum class Role : uint8_t { user_agent, proxy };
constexpr int challenge_status(Role role) { return role == Role::user_agent ? 401 : 407; }

struct Config {
  /// Offered in this order, one challenge header each (RFC 8760 section 2.4); nothing else is accepted.
  std::vector<Algorithm> algorithms = {Algorithm::sha512_256, Algorithm::sha256, Algorithm::md5};
  /// On a connection without TLS an offered MD5 goes first all the same: many phones read the topmost
  /// challenge only and know nothing else, and whoever can change the challenge on the way can strip the
  /// stronger ones anyway.
  bool md5_first_in_clear = true;
  /// Phones whose User-Agent begins like this give up as soon as anything but MD5 is offered, even below it:
  /// where MD5 is allowed they are offered nothing else (libre before 2.0).
  std::vector<std::string> md5_only_agents = {"baresip v0.", "baresip v1."};
  Duration nonce_lifetime = minutes(10);
  size_t nonces = 65536;     // lines in the replay table, 48 bytes each
  bool require_qop = false;  // without qop there is no nonce-count: then a nonce is good for one request
  bool strict_uri =
      false;  // refuse when the uri parameter is not the Request-URI; otherwise accept, say so and count
  std::array<uint8_t, 32> key{};  // seals nonces; random, the same on all workers that serve a realm
  uint16_t scope = 0;             // this worker (see NonceMint)
};

struct Check {
  enum class Outcome : uint8_t {
    ok,
    no_credentials,  // none for our realm: challenge
    stale,  // right password on a nonce that is old, foreign, forgotten or already used: challenge with
            // stale=true; in a datagram whatever the password when the nonce was not sent to its source
    bad,    // anything else. An unknown user and a wrong password look the same and take the same time
  } outcome = Outcome::no_credentials;
  bool uri_differs = false;   // outcome ok all the same (Config::strict_uri is off)
  std::string_view username;  // as the client wrote it; a view into the message
};

class Authenticator {
 public:
  /// `rng` and `counters` must outlive it.
  Authenticator(Config config, Now started, Rng& rng, CounterSet& counters);

  /// Adds one challenge header per algorithm to a response under way. `secure`: it leaves over TLS.
  /// `user_agent`: of the request. `receiver`: where it goes to.
  void challenge(Now now, std::string_view realm, Role role, bool stale, bool secure, sip::Writer& response,
                 std::string_view user_agent = {}, const IpAddress& receiver = {});

  /// Whether phones of that User-Agent give up as soon as a challenge is another than what they know.
  bool knows_one_challenge(std::string_view user_agent) const;

  /// Who the request says it is from: the user of its credentials for `realm`, before anything is checked.
  /// The domain is the realm when the username carries none. Nothing: no credentials for us, so challenge.
  std::optional<port::AddressOfRecord> claimed(const sip::Message& request, std::string_view realm,
                                               Role role) const;

  /// `subscriber`: the row of claimed(), null when there is none. `datagram_from`: the source of the datagram
  /// it came in, null over a connection. Anybody can invent such a source, but only who receives there has a
  /// fresh nonce that was sent there: without one the answer is stale whatever the password, so that a guess
  /// without one tells nothing, and `bad` is held against nobody who did not guess.
  Check check(Now now, const sip::Message& request, std::string_view realm, Role role,
              const port::Subscriber* subscriber, const IpAddress* datagram_from = nullptr);

  size_t nonces_in_use() const { return table_.size(); }

 private:
  struct Credentials;
  std::optional<Credentials> credentials(const sip::Message& request, std::string_view realm,
                                         Role role) const;
  bool password_is_right(const sip::Message& request, const Credentials& given,
                         const port::Subscriber* subscriber) const;
  bool in_time(Now now, const Nonce& nonce) const;
  bool has_been_there(Now now, std::string_view realm, const Credentials& given,
                      const IpAddress& source) const;
  Check::Outcome judge_nonce(Now now, std::string_view realm, const Credentials& given);
  Check count(Check check);

  Config config_;
  const std::vector<Algorithm>& offered_to(std::string_view user_agent, bool secure) const;

  std::vector<Algorithm> in_clear_;  // algorithms in the order offered without TLS
  std::vector<Algorithm> only_md5_;  // for md5_only_agents; empty: MD5 is not allowed
  NonceMint mint_;
  NonceTable table_;
  std::array<std::string, algorithm_count> nobody_;  // HA1 of no password at all
  Counter& challenges_;
  Counter& replays_;
  Counter& uri_differs_;
  std::array<Counter*, 4> outcomes_;
};

}  // namespace tandem::auth
