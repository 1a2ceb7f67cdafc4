#pragma once
// Presses as a part of a snapshot (proto/media.proto). Inside the room.
#include "base/time.h"

namespace tandem::proto {
class MediaDtmf;
}

namespace tandem::media {

struct LegDtmf;

void write_dtmf(const LegDtmf& d, Now now, proto::MediaDtmf& out);
/// Of a stream the endpoint has.
void read_dtmf(const proto::MediaDtmf& in, Now now, LegDtmf& d);

}  // namespace tandem::media
