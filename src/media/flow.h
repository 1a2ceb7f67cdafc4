#pragma once
// A flow: what one bound port does with the packets it receives. Flows lie in one vector, by port slot, so
// that a packet costs an index and no lookup; everything a packet needs is in its flow and in the flow it
// leaves by.
#include <array>
#include <cstdint>
#include <optional>

#include "base/slot_map.h"
#include "media/latch.h"
#include "port/media.h"
#include "rtp/statistics.h"

namespace tandem::media {

/// Where a packet leaves: our port and the peer's address. Off when there is nobody to send to.
struct Destination {
  port::MediaPortId port;
  SocketAddress remote;
  bool on = false;
  bool connection = false;  // over TCP: of a shared port

  bool operator==(const Destination&) const = default;
};

/// What changes in a relayed RTP header. Identity between two legs that agreed on the same payload types.
struct Rewrite {
  bool identity = true;
  bool as_own = false;  // goes on in the own stream of who hears it (own_stream.h)
  bool kept = false;    // for who hears it to ask for again (sent_packets.h)
  uint8_t hearer = 0;   // his line, for both
  uint8_t map_size = 0;
  uint16_t sequence_offset = 0;
  struct PayloadType {
    uint8_t from;
    uint8_t to;
  };
  std::array<PayloadType, 8> map;
};

/// What the packets of this port are.
enum class Wire : uint8_t {
  rtp,     // RTP/AVP and RTP/AVPF, and whatever is decrypted here
  srtp,    // RTP/SAVP...: headers in the clear, the rest is not ours to read
  dtls,    // UDP/TLS/RTP/SAVP...: as srtp, with handshakes on the same port
  opaque,  // udptl and other datagrams without an RTP header
  shared,  // of a port with many legs: whose they are has to be found out
};

class Secured;

/// Categories of speech transmission quality (ITU-T G.109), by the rating of the latest interval.
enum class Grade : uint8_t { best, high, medium, low, poor, bad };
inline constexpr size_t grade_count = 6;

struct Clock {
  uint8_t payload_type = 0;
  bool event = false;         // telephone-event
  uint16_t longest = 0xFFFF;  // octets of a packet of it that the partner takes (a=maxptime)
  uint32_t rate = 8000;
};

/// Fields in the order a packet touches them: the first four cache lines are all that a relayed packet needs.
struct alignas(64) Flow {
  // match
  port::MediaPortId port;
  // what left by here
  uint64_t sent_packets = 0;
  uint64_t sent_octets = 0;
  Secured* secured = nullptr;  // of the stream: packets come and leave here encrypted
  bool locked = false;         // they do, or not at all: without `secured` nothing passes
  bool bundle = false;         // packets of several m-lines come here
  bool ice = false;            // nobody is believed but who has passed a check
  bool dtls = false;           // handshakes on this port are with us
  bool rtcp = false;           // the odd port of the pair
  bool tapped = false;         // recorded: what comes in here, and what leaves
  bool mux = false;            // RTCP comes on the RTP port too (RFC 5761)
  bool bridged = false;        // decoded for a partner that takes another codec
  bool connection = false;     // what leaves goes over TCP
  Wire wire = Wire::rtp;
  bool active = false;  // something was accepted, at last_accepted
  uint8_t last_payload_type = 0;
  uint8_t stream = 0;
  bool dtmf = false;         // its sound is listened to for tones, or its packets are numbered anew
  uint8_t transport_id = 0;  // of the header extension with numbers that its arrivals are told by; 0: none
  uint8_t clock_count = 0;
  Instant last_accepted;
  // destination
  Destination rtp_to;
  // expected source
  Latch latch;
  std::array<Clock, 8> clocks;
  // rewrite
  Rewrite rewrite;
  // what was received here
  rtp::ReceiverStatistics received;
  Destination rtcp_to;
  // owner
  SlotId endpoint;
  port::MediaPortId sibling;  // the RTP port of an RTCP port and the reverse
  uint64_t foreign = 0;
  uint64_t malformed = 0;
  // of the interval that is being graded
  uint64_t graded_expected = 0;
  int64_t graded_lost = 0;
  std::optional<Grade> grade;

  const Clock* clock_of(uint8_t payload_type) const {
    for (size_t i = 0; i < clock_count; ++i)
      if (clocks[i].payload_type == payload_type) return &clocks[i];
    return nullptr;
  }
};

}  // namespace tandem::media
