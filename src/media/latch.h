#pragma once
// Symmetric RTP (RFC 4961) that cannot be talked into sending a call's audio to a stranger ("RTP bleed") or
// into letting one speak into it. The SDP's address is believed at once. Another source (a phone behind a
// NAT) is believed only while a learning window is open, only before anybody was confirmed, and only after
// packets that look like one stream: few from a likely host (the SDP's, or where the signalling comes from),
// more and for longer from any other, and from such a far one not before the leg's signalling was answered.
// Nor is a far one learned where the SDP names the host the signalling comes from: no NAT stands between.
// A far source stays provisional: the SDP's address takes its place at any time, a likely host until the
// window closes. Whoever is confirmed otherwise stays; every other source is a stranger until an SDP change
// opens the window again.
#include <cstdint>

#include "base/address.h"
#include "base/time.h"

namespace tandem::media {

struct LatchPolicy {
  bool symmetric = true;       // false: nobody but the SDP's address
  IpAddress signalling;        // a host that is likely besides the SDP's; may be unset
  bool far = true;             // a source on another host may be learned at all
  uint8_t likely_packets = 2;  // of one stream, it takes from a likely host
  uint8_t far_packets = 5;     // and from another
  Duration far_delay = {};     // what a source on another host must wait, so that a likely one can come first
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

  /// Somebody who sends and is not believed yet.
  struct Candidate {
    SocketAddress source;
    Instant since;
    Instant last;  // packet that counted
    uint32_t ssrc = 0;
    uint16_t sequence = 0;
    uint8_t packets = 0;  // in a row; 0: nobody
  };

  /// All of it, for a snapshot.
  struct State {
    SocketAddress source;
    bool confirmed = false;    // `source` is believed
    bool provisional = false;  // a far source: somebody better may take its place
    SocketAddress expected;    // the SDP's
    SocketAddress next;        // of an SDP that is offered and not answered yet
    SocketAddress former;      // whom the last SDP change left: a straggler must not win the new window
    SocketAddress early;  // who sent before the leg had said anything: somebody of a call before, whose node
                          // has forgotten it; not kept over a restore
    Instant window_end{INT64_MIN};
    Candidate candidate;
  };

  Latch() = default;
  explicit Latch(const State& state) : s_(state) {}

  /// The SDP's address. The same address again changes nothing; a new one forgets who was confirmed.
  void expect(Instant now, const SocketAddress& address, Duration window);
  /// The address of an offer that is not answered yet. Who was confirmed goes on until the leg is heard from
  /// there, or expect() says that it is agreed.
  void announce(Instant now, const SocketAddress& address, Duration window);
  /// Lets a NATed source still be learned until then, if nobody is confirmed yet.
  void extend(Instant now, Duration window);
  /// Believes that source from now on (RTCP that follows its RTP).
  void confirm(const SocketAddress& source);
  /// Believes nobody any more (RTCP that followed an RTP source which lost its place).
  void forget() { s_.source = {}, s_.confirmed = s_.provisional = false; }

  bool is_source(const SocketAddress& from) const { return s_.confirmed && s_.source == from; }
  Verdict offer(Instant now, const SocketAddress& from, const Evidence& evidence, const LatchPolicy& policy);

  /// Whether it may be who the leg's handshake is with: the source, the SDP's address, or inside the window a
  /// likely host. It is believed when its certificate was seen.
  bool plausible(Instant now, const SocketAddress& from, const LatchPolicy& policy) const;

  bool confirmed() const { return s_.confirmed; }
  bool away() const { return s_.confirmed && s_.source != s_.expected; }
  const SocketAddress& expected() const { return s_.expected; }
  /// Where to send: the confirmed source, else what the SDP says; may be unset.
  const SocketAddress& destination() const { return s_.confirmed ? s_.source : s_.expected; }
  const State& state() const { return s_; }

 private:
  const SocketAddress& meant() const { return s_.next ? s_.next : s_.expected; }
  bool likely(const SocketAddress& from, const LatchPolicy& policy) const;
  bool may_be_far(const SocketAddress& from, const LatchPolicy& policy) const;
  bool gives_way(Instant now, const SocketAddress& from, const LatchPolicy& policy) const;
  Duration patience(const SocketAddress& from, const LatchPolicy& policy) const;
  bool count(Instant now, const SocketAddress& from, const Evidence& evidence, const LatchPolicy& policy);

  State s_;
};

}  // namespace tandem::media
