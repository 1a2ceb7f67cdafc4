#pragma once
// Where a message of a TURN stream ends (RFC 8489 section 6.2.2, RFC 8656 section 12.5).
#include <cstddef>
#include <optional>

#include "base/bytes.h"

namespace tandem::net {

/// Octets of the message at the front, padding included; 0: not enough is there to say. Nothing: this is no
/// TURN, and there is no way to find the next message.
std::optional<size_t> turn_frame_length(Bytes stream);

}  // namespace tandem::net
