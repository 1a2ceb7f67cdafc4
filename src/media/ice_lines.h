#pragma once
// ICE in descriptions (RFC 8839): what an m-line says of it. Inside the room.
#include <optional>

#include "ice/description.h"
#include "sdp/description.h"

namespace tandem::media {

/// What line `i` says, with what it inherits from the session. Nothing: it is refused, or has no credentials
/// that hold, or its default address is none of its candidates (section 3.2.5), which is what is left when
/// somebody on the way has rewritten c= and m= only. Lines that cannot be read are passed over and counted.
std::optional<ice::Description> ice_line(const sdp::Description& d, size_t i, ice::Troubles& troubles);
/// Whether its credentials are there, and its default address is of another's making.
bool ice_mismatch(const sdp::Description& d, size_t i, ice::Troubles& troubles);

/// Our side of line `i`. a=ice-lite and a=ice-pacing go to the session level, once.
void add_ice(sdp::Description& d, size_t i, const ice::Description& ours);

}  // namespace tandem::media
