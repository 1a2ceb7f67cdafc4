#include "media/transport_wide.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "media/state.h"
#include "rtp/arrivals.h"

namespace tandem::media {
namespace {

constexpr std::string_view uri = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
constexpr std::string_view feedback = "transport-cc";
constexpr uint8_t last_id = 14;  // of one-byte headers (RFC 8285 section 4.2)
/// Between feedbacks while packets come: often enough for a sender that doubles its rate in a second.
constexpr Duration feedback_interval = milliseconds(100);

/// "3", "3/sendonly": before the first space of a=extmap (RFC 8285 section 8).
uint8_t id_of(std::string_view extmap) {
  const size_t end = extmap.find_first_of(" /");
  const auto id = parse_u32(extmap.substr(0, end));
  return id && *id >= 1 && *id <= last_id ? static_cast<uint8_t>(*id) : uint8_t{0};
}

bool is_transport_wide(std::string_view extmap) {
  const size_t space = extmap.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view rest = trim(extmap.substr(space));
  return rest.substr(0, rest.find(' ')) == uri;
}

void remove(sdp::Description& d, size_t i) {
  std::vector<std::string> extensions, lines;
  for (const std::string_view value : d.attributes(i, "extmap"))
    if (!is_transport_wide(value)) extensions.emplace_back(value);
  for (const std::string_view value : d.attributes(i, "rtcp-fb"))
    if (value.find(feedback) == std::string_view::npos) lines.emplace_back(value);
  d.remove_attribute(i, "extmap");
  d.remove_attribute(i, "rtcp-fb");
  for (const std::string& value : extensions) d.add_attribute(i, "extmap", value);
  for (const std::string& value : lines) d.add_attribute(i, "rtcp-fb", value);
}

void add(sdp::Description& d, size_t i, uint8_t id) {
  d.add_attribute(i, "extmap", std::to_string(id) + " " + std::string(uri));
}

/// A codec, rather than what goes with one.
bool is_codec(const sdp::Format& f) {
  constexpr std::string_view others[] = {"rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "CN"};
  return std::none_of(std::begin(others), std::end(others),
                      [&](std::string_view o) { return iequals(f.encoding, o); });
}

uint8_t unused_id(const sdp::Description& d) {
  uint32_t used = 0;
  for (size_t section = 0; section <= d.media_count(); ++section)
    for (const std::string_view value :
         d.attributes(section < d.media_count() ? section : sdp::Description::session, "extmap"))
      used |= 1U << id_of(value);
  for (uint8_t id = 1; id <= last_id; ++id)
    if ((used & 1U << id) == 0) return id;
  return 0;
}

}  // namespace

uint8_t transport_wide_id(const sdp::Description& d, size_t i) {
  if (i >= d.media_count()) return 0;
  for (const std::string_view value : d.attributes(i, "extmap"))
    if (is_transport_wide(value)) return id_of(value);
  return 0;
}

void answer_transport_wide(sdp::Description& answer, const sdp::Description& offer) {
  for (size_t i = 0; i < std::min(answer.media_count(), offer.media_count()); ++i) {
    remove(answer, i);
    const uint8_t id = transport_wide_id(offer, i);
    if (id == 0 || answer.media(i).port == 0) continue;
    bool asked = false;
    const auto formats = answer.formats(i);
    for (const std::string_view value : offer.attributes(i, "rtcp-fb")) {
      if (value.find(feedback) == std::string_view::npos) continue;
      const auto payload_type = parse_u32(value.substr(0, value.find(' ')));
      const bool left = !payload_type || std::any_of(formats.begin(), formats.end(), [&](const auto& f) {
        return f.payload_type == *payload_type;
      });
      if (!left) continue;
      answer.add_attribute(i, "rtcp-fb", std::string(value));
      asked = true;
    }
    if (asked) add(answer, i, id);
  }
}

void offer_transport_wide(sdp::Description& offer, const sdp::Description* before) {
  for (size_t i = 0; i < offer.media_count(); ++i) remove(offer, i);
  uint8_t id = 0;
  for (size_t i = 0; before && id == 0 && i < before->media_count(); ++i) id = transport_wide_id(*before, i);
  if (id == 0) id = unused_id(offer);
  if (id == 0) return;
  for (size_t i = 0; i < offer.media_count(); ++i) {
    const sdp::MediaLine m = offer.media(i);
    if (m.port == 0 || m.proto.find("RTP/") == std::string_view::npos) continue;
    for (const sdp::Format& f : offer.formats(i))
      if (is_codec(f))
        offer.add_attribute(i, "rtcp-fb", std::to_string(f.payload_type) + " " + std::string(feedback));
    add(offer, i, id);
  }
}

// ---- of the engine ----

/// Who is counted: legs that we have keys with, and that have been told so.
void EngineState::count_transports(Endpoint& e) {
  const bool ours = !e.direct && e.config.ice != Ice::removed && e.config.srtp != Srtp::passed;
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Flow* own = flow_of(e.streams[i].rtp.id);
    if (own) own->transport_id = 0;
    if (!own || !ours || !e.streams[i].live || !e.remote || !e.local) continue;
    const uint8_t id = transport_wide_id(*e.local, i);
    if (id != transport_wide_id(*e.remote, i)) continue;
    own->transport_id = id;
    // Packets of lines that share a port come to the tag's flow.
    if (!e.bundle || !e.bundle->joins(i)) continue;
    if (Flow* tag = flow_of(e.streams[e.bundle->tag()].rtp.id); tag && tag->transport_id == 0)
      tag->transport_id = id;
  }
}

/// A packet of the leg's came. Its number means nothing to the other leg, whose own extensions may have that
/// id: it is made padding, and where nothing else was, no extension goes on. True: the packet is shorter.
bool EngineState::count_arrival(Now now, Flow& f, port::MediaPacket& p) {
  const auto at = rtp::find_extension16(p.bytes, f.transport_id);
  Endpoint* e = at ? endpoints.find(f.endpoint) : nullptr;
  if (!e || f.stream >= e->streams.size()) return false;
  Stream& s = e->streams[f.stream];
  if (!s.arrivals) s.arrivals = std::make_unique<rtp::Arrivals>();
  s.arrivals->on_packet(now.mono, rtp::load16(&p.bytes[*at]));
  if (e->arrivals_at.is_never()) {
    e->arrivals_at = now.mono + feedback_interval;
    timers.push(e->arrivals_at, {e->id, TimerKind::arrivals});
  }
  uint8_t* const bytes = p.bytes.data();
  const size_t head = rtp::Header::fixed_bytes + size_t{4} * (bytes[0] & 0x0F);  // before the extension
  const size_t octets = 4 + size_t{4} * rtp::load16(bytes + head + 2);
  const size_t element = *at - (rtp::load16(bytes + head) == 0xBEDE ? 1 : 2);
  std::fill(bytes + element, bytes + *at + 2, uint8_t{0});
  if (std::any_of(bytes + head + 4, bytes + head + octets, [](uint8_t b) { return b != 0; })) return false;
  std::copy_backward(bytes, bytes + head, bytes + head + octets);
  p.bytes = p.bytes.subspan(octets);
  p.bytes[0] &= static_cast<uint8_t>(~0x10);
  return true;
}

void EngineState::tell_arrivals(Now, Endpoint& e, port::MediaOut& out) {
  e.arrivals_at = Instant::never();
  for (Stream& s : e.streams) {
    if (!s.arrivals) continue;
    const Flow* f = flow_of(s.rtp.id);
    const Exits to = exits_to(s);
    s.own.name(90'000, rng);
    while (!s.arrivals->empty()) {
      Buffer packet = Buffer::with_capacity(rtp::Arrivals::longest_feedback + srtp::tail_room);
      packet.resize(rtp::Arrivals::longest_feedback);
      const size_t size = s.arrivals->write(packet.writable(), s.own.ssrc, f ? f->received.ssrc : 0);
      if (size == 0) break;
      packet.resize(size);
      if (!f || !to.rtcp.on) continue;  // nobody to tell
      send_rtcp(out, to.rtcp, std::move(packet));
      counters_.originated.add();
      counters_.transport_feedback.add();
    }
  }
}

}  // namespace tandem::media
