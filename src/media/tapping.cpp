// Recordings in the engine: which packets they hear, and their frames.
#include <algorithm>

#include "base/text.h"
#include "media/state.h"

namespace tandem::media {
namespace {

constexpr Duration tick = milliseconds(20);
constexpr Duration most_catch_up = seconds(5);  // frames made at once after a sleep; the rest is silence

std::vector<playout::Format> codecs_of(const std::vector<PayloadFormat>& first,
                                       const std::vector<PayloadFormat>& then) {
  std::vector<playout::Format> formats;
  for (const auto* list : {&first, &then})
    for (const PayloadFormat& f : *list) {
      const bool known = std::any_of(formats.begin(), formats.end(), [&](const playout::Format& k) {
        return k.payload_type == f.payload_type;
      });
      if (!known && can_code(f)) formats.push_back(played(f));
    }
  return formats;
}

}  // namespace

Result<port::RecordingId, Reason> EngineState::record(Now now, Endpoint& e,
                                                      const port::RecordingOrder& order) {
  if (e.tap || !recorder) return Failure{Reason::not_recorded};
  const auto stream = voice_stream(e);
  if (!stream) return Failure{e.remote ? Reason::no_common_codec : Reason::no_remote};
  const port::RecordingId id = recorder->open(order);
  if (id == 0) return Failure{Reason::not_recorded};
  e.tap = std::make_unique<Tap>(*recorder, id, order.rate, order.sides);
  ++e.revision;
  arm_tap(e, now.mono + tick);
  connect_tap(e);
  return id;
}

void EngineState::connect_tap(Endpoint& e) {
  Flow* by = nullptr;  // the port of a bundle it leaves by
  bool heard = false;
  for (Stream& s : e.streams) {
    Flow* f = flow_of(s.rtp.id);
    if (!f) continue;
    // The first audio line that both sides use; another's packets would be a second voice in the same ear.
    f->tapped = e.tap && !heard && s.live && s.wire == Wire::rtp && iequals(s.kind, "audio");
    if (!f->tapped) continue;
    heard = true;
    if (s.carrier) by = flow_of(s.carrier);
    e.tap->listen(Tap::says, codecs_of(s.local_formats, s.remote_formats));
    e.tap->listen(Tap::hears, codecs_of(s.remote_formats, s.local_formats));
  }
  if (by) by->tapped = true;
}

void EngineState::tap_packet(Now now, const Flow& f, Tap::Side side, Bytes packet) {
  const Endpoint* e = endpoints.find(f.endpoint);
  const auto header = rtp::Header::parse(packet, false);
  if (!e || !e->tap || !header) return;
  const size_t octets = packet.size() - header->payload_offset - header->padding;
  e->tap->packet(now.mono, side, *header, packet.subspan(header->payload_offset, octets));
}

void EngineState::play_tap(Now now, Endpoint& e) {
  if (!e.tap) {
    e.tap_at = Instant::never();
    return;
  }
  Instant at = e.tap_at;
  if (now.mono - at > most_catch_up) {
    const auto missed = (now.mono - at) / tick;
    e.tap->skip(static_cast<uint64_t>(missed));
    at = at + tick * missed;
  }
  e.tap->tick(at);
  arm_tap(e, at + tick);
}

}  // namespace tandem::media
