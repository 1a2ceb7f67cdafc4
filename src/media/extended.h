#pragma once
// a=rtcp-xr (RFC 3611 section 5): which extended reports a leg is sent. Inside the room.
#include <string>

#include "sdp/description.h"

namespace tandem::media {

struct XrTerms {
  bool metrics = false;     // VoIP metrics of what the describer sends; each side's own wish
  bool round_trip = false;  // receiver reference times and DLRR; only when both sides have it (section 5.2)
  bool operator==(const XrTerms&) const = default;
};

/// What m-line `i` wants, or the session when the line says nothing.
XrTerms xr_terms(const sdp::Description& d, size_t i);
/// What we can do of it, as the value of our attribute; empty: nothing.
std::string xr_attribute(const XrTerms& terms);

}  // namespace tandem::media
