#pragma once
// Symmetric RTP (RFC 4961) that cannot be talked into sending a call's audio to a stranger ("RTP bleed") or
// into letting one speak into it. The SDP's address is believed at once. Another source (a phone behind a
// NAT) is believed only while a learning window is open, only before anybody was confirmed, and only after
// several packets in a row that look like one stream. After that every other source is a stranger until an
// SDP change opens the window again.
#include <cstdint>

#include "base/address.h"
#include "base/time.h"

namespace tandem::media {

struct LatchPolicy {
  bool symmetric = true;    // false: nobody but the SDP's address
  IpAddress signalling;     // a host that is likely besides the SDP's
  uint8_t packets = 5;      // in a row
  Duration far_delay = {};  // what a source on another host must wait, so that a likely one can come first
};

class Latch {
 public:
  enum class Verdict : uint8_t {
    refused,
    accepted,
    confirmed,
    latched
  };  // the last two: accepted, for the first time

  /// What the packet says of its stream; `sequential` false (DTLS, UDPTL) leaves out SSRC and sequence.
  struct Evidence {
    uint32_t ssrc = 0;
    uint16_t sequence = 0;
    bool sequential = true;
  };

  /// The SDP's address. The same address again changes nothing; a new one forgets who was confirmed.
  void expect(Instant now, const SocketAddress& address, Duration window);
  /// Lets a NATed source still be learned until then, if nobody is confirmed yet.
  void extend(Instant now, Duration window);
  /// Believes that source from now on (RTCP that follows its RTP, a restored snapshot).
  void confirm(const SocketAddress& source);

  bool is_source(const SocketAddress& from) const { return confirmed_ && source_ == from; }
  Verdict offer(Instant now, const SocketAddress& from, const Evidence& evidence, const LatchPolicy& policy);

  bool confirmed() const { return confirmed_; }
  bool away() const { return confirmed_ && source_ != expected_; }
  const SocketAddress& expected() const { return expected_; }
  const SocketAddress& former() const { return former_; }
  Instant window_end() const { return window_end_; }
  /// Where to send: the confirmed source, else what the SDP says; may be unset.
  const SocketAddress& destination() const { return confirmed_ ? source_ : expected_; }

  static Latch restored(const SocketAddress& expected, const SocketAddress& source,
                        const SocketAddress& former, Instant window_end);

 private:
  Duration patience(const SocketAddress& from, const LatchPolicy& policy) const;
  bool likely(const SocketAddress& from, const LatchPolicy& policy) const;

  SocketAddress source_;
  bool confirmed_ = false;
  SocketAddress expected_;
  SocketAddress former_;  // whom the last SDP change left: a straggler must not win the new window
  Instant window_end_{INT64_MIN};

  SocketAddress candidate_;
  Instant candidate_since_;
  uint32_t candidate_ssrc_ = 0;
  uint16_t candidate_sequence_ = 0;
  uint8_t candidate_packets_ = 0;
};

}  // namespace tandem::media
