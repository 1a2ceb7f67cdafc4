#pragma once
// SRTP of one side of a call, keyed by SDES (RFC 4568), and what it holds the other side to.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "srtp/context.h"

namespace tandem::sim {

class Secrecy {
 public:
  Secrecy(srtp::Suite suite, uint64_t seed);

  /// Our a=crypto line.
  std::string line() const;
  /// The far side's description. False: it says no key of our suite.
  bool take(std::string_view sdp, Instant now);
  bool keyed() const { return receiver_.has_value(); }
  /// The answer that changed the keys has not come to the far side yet, as far as is known.
  void still_changing(Instant now) { keyed_at_ = now; }

  void protect(Buffer& packet);
  enum class Heard {
    taken,
    repeated,    // the network doubled it, or it is older than the window
    reused,      // another packet under an index that has been: a keystream served twice
    unreadable,  // not encrypted with the key agreed on
    changing,    // the same, while keys are being agreed on
  };
  /// RTP or RTCP, decrypted in place.
  Heard hear(Buffer& packet, Instant now);

 private:
  bool reused(Bytes packet);
  bool is_under_these_keys(std::vector<uint8_t> packet);

  SeededRng rng_;
  srtp::MasterKey key_;
  srtp::Refusals refusals_;
  srtp::Sender sender_;
  std::optional<srtp::Receiver> receiver_;
  std::optional<srtp::MasterKey> theirs_;  // receiver_'s
  Instant keyed_at_;
  uint32_t tag_ = 1;  // of the line that was chosen
  // By SSRC and sequence number, or SRTCP index: what came. Calls are shorter than 2^16 packets.
  std::map<std::pair<uint32_t, uint32_t>, uint64_t> seen_;
};

}  // namespace tandem::sim
