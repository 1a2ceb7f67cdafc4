#pragma once
#include <cstdint>

namespace tandem::rtp {

/// Why an RTCP compound, or a packet of one, was not understood. One counter per reason.
enum class RtcpReason : uint8_t {
  too_short,      // less than a header and an SSRC
  bad_version,    // not 2
  not_rtcp,       // a packet type outside 192..223 (RFC 5761 section 4)
  past_end,       // a length that leads out of the datagram
  bad_padding,    // none, no multiple of four, more than the packet has, or not in the last packet
  short_report,   // SR or RR without room for the blocks it counts
  short_xr,       // XR without an SSRC (RFC 3611 section 2)
  xr_past_end,    // an XR block that leads out of its packet
  bad_xr_length,  // an XR block whose length is not that of its type
  count_,
};
const char* to_string(RtcpReason r);

}  // namespace tandem::rtp
