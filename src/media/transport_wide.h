#pragma once
// Transport-wide congestion control (draft-holmer-rmcat-transport-wide-cc-extensions-01) of a leg that speaks
// WebRTC: its packets are counted here and told back to it, hop by hop; nothing of it goes on to the other
// leg. Inside the room.
#include <cstdint>
#include <string_view>

#include "sdp/description.h"

namespace tandem::media {

/// The id of the header extension in line `i`; 0: it has none.
uint8_t transport_wide_id(const sdp::Description& d, size_t i);
/// What our answer takes of it: all that the offer has, for the formats that are left.
void answer_transport_wide(sdp::Description& answer, const sdp::Description& offer);
/// Our offer to a browser: all its RTP lines, by the id of `before` (our description of before), or one that
/// no line uses.
void offer_transport_wide(sdp::Description& offer, const sdp::Description* before);

}  // namespace tandem::media
