#pragma once
// What one side tells the other about a data stream (RFC 8839 section 5, RFC 8840), as a value: from and to
// attributes of SDP, without knowing SDP.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "ice/candidate.h"

namespace tandem::ice {

/// Short-term credentials of one side (RFC 8445 section 5.3). The password is a secret: never print one.
struct Credentials {
  std::string ufrag;  // 4 to 256 ice-char
  std::string pwd;    // 22 to 256 ice-char
  bool operator==(const Credentials&) const = default;
  bool valid() const { return is_ice_text(ufrag, 4, 256) && is_ice_text(pwd, 22, 256); }
  /// New ones, with 41 and 134 random bits. `prefix` comes before the random part of the fragment; characters
  /// that are no ice-char, and more than 200, are left out.
  static Credentials make(Rng& rng, std::string_view prefix);
};

/// One entry of a=remote-candidates (RFC 8839 section 5.2).
struct RemoteCandidate {
  uint16_t component = 1;
  SocketAddress address;
  bool operator==(const RemoteCandidate&) const = default;
};

/// Candidates a Description takes; a line past them is refused (too_many_candidates).
inline constexpr size_t most_candidates = 128;

struct Description {
  Credentials credentials;
  bool lite = false;                 // a=ice-lite, at session level
  std::vector<std::string> options;  // a=ice-options: "ice2", "trickle"
  std::vector<Candidate> candidates;
  bool end_of_candidates = false;
  std::optional<uint32_t> pacing_ms;  // a=ice-pacing: Ta in milliseconds; absent means 50
  bool mismatch = false;              // a=ice-mismatch: the default address is no candidate
  std::vector<RemoteCandidate> remote_candidates;

  bool has_option(std::string_view name) const;
  /// Takes from a session-level description what this one, of an m-line, does not say itself.
  void inherit(const Description& session);
};

struct Attribute {
  std::string name;   // "candidate"
  std::string value;  // empty for a flag
  bool operator==(const Attribute&) const = default;
};

/// In the order of RFC 8839's examples. ice-lite belongs to the session level: it comes first.
std::vector<Attribute> to_attributes(const Description& description);

/// Reads one attribute. False when it is none of ICE's. A refused line changes nothing.
Result<bool, Reason> read_attribute(Description& description, std::string_view name, std::string_view value);

}  // namespace tandem::ice
