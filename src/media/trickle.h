#pragma once
// Candidates that come by themselves (RFC 8838), and their body in SIP (application/trickle-ice-sdpfrag, RFC
// 8840 section 9):
//
//     a=ice-ufrag:8hhY
//     a=ice-pwd:asd88fgpdd777uzjYhagZg
//     m=audio 9 RTP/AVP 0
//     a=mid:1
//     a=candidate:1 1 UDP 2130706432 192.0.2.4 5000 typ host
//     a=end-of-candidates
//
// Inside the room.
#include <string_view>
#include <vector>

#include "media/engine.h"

namespace tandem::media {

/// Trickled candidates of a leg that wait for their description.
inline constexpr size_t most_early_candidates = 64;
/// Of one body; what is past them is passed over.
inline constexpr size_t most_fragment_lines = 256;

std::vector<Trickled> read_fragment(std::string_view body);

}  // namespace tandem::media
