#pragma once
// Which audio formats a trunk takes (TrunkRow::codecs).
#include <string>
#include <vector>

#include "sdp/description.h"

namespace tandem::call {

/// Leaves of each RTP audio line what `codecs` names, in that order ("PCMU", "opus/48000/2": RFC 8866 section
/// 6.6), and telephone-event and CN (RFC 4733, RFC 3389), which go with any of them. A line with nothing left
/// is refused. False: there was audio, and none is left.
bool restrict_audio(sdp::Description& description, const std::vector<std::string>& codecs);

}  // namespace tandem::call
