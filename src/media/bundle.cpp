#include "media/bundle.h"

#include <algorithm>

#include "base/text.h"
#include "media/state.h"
#include "rtp/packet.h"

namespace tandem::media {
namespace {

bool is_rtp(const sdp::MediaLine& m) { return m.proto.find("RTP/") != std::string_view::npos; }

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!(text = trim(text)).empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

/// Lines of the first BUNDLE group, in its order.
std::vector<size_t> grouped(const sdp::Description& d) {
  std::vector<size_t> lines;
  for (const std::string_view value : d.attributes(sdp::Description::session, "group")) {
    const auto names = words(value);
    if (names.empty() || !iequals(names.front(), "BUNDLE")) continue;
    for (size_t n = 1; n < names.size(); ++n)
      for (size_t i = 0; i < d.media_count(); ++i)
        if (d.attribute(i, "mid").value_or("") == names[n] &&
            std::find(lines.begin(), lines.end(), i) == lines.end())
          lines.push_back(i);
    break;
  }
  return lines;
}

bool can_share(const sdp::Description& d, size_t i) {
  return d.media(i).port != 0 && is_rtp(d.media(i)) && d.has_attribute(i, "rtcp-mux") &&
         !d.has_attribute(i, "crypto");
}

/// a=ssrc of those lines (RFC 5576).
std::vector<Bundle::Source> named(const sdp::Description& d, const std::vector<size_t>& lines) {
  std::vector<Bundle::Source> out;
  for (const size_t i : lines) {
    if (i >= d.media_count())
      continue;  // an offer of fewer lines than were agreed (against RFC 3264 section 8)
    for (const std::string_view value : d.attributes(i, "ssrc"))
      if (const auto ssrc = parse_u32(value.substr(0, value.find(' '))); ssrc && out.size() < most_sources)
        if (out.empty() || out.back().ssrc != *ssrc) out.push_back({*ssrc, static_cast<uint8_t>(i)});
  }
  return out;
}

}  // namespace

bool joins(const std::vector<size_t>& lines, size_t i) {
  return !lines.empty() && i != lines.front() && std::find(lines.begin(), lines.end(), i) != lines.end();
}

uint8_t Bundle::line_of(uint32_t ssrc, uint8_t payload_type) const {
  for (const Source& s : sources)
    if (s.ssrc == ssrc) return s.line;
  return by_payload_type[payload_type & 0x7F];
}

void spread_bundle(sdp::Description& d) {
  const std::vector<size_t> lines = grouped(d);
  const auto tag = std::find_if(lines.begin(), lines.end(), [&](size_t i) { return d.media(i).port != 0; });
  if (tag == lines.end()) return;
  for (const size_t i : lines) {
    if (i == *tag) continue;
    if (d.media(i).port == 0) {
      if (!d.has_attribute(i, "bundle-only")) continue;
      d.set_media_port(i, d.media(*tag).port, d.media(*tag).port);
    }
    for (const std::string_view name : {"rtcp-mux", "fingerprint", "setup", "tls-id"}) {
      if (d.has_attribute(i, name)) continue;
      std::vector<std::string> values;
      for (const std::string_view value : d.attributes(*tag, name)) values.emplace_back(value);
      for (const std::string& value : values) d.add_attribute(i, name, value);
    }
  }
}

std::vector<size_t> agreed_bundle(const sdp::Description& remote, const sdp::Description& local) {
  const std::vector<size_t> ours = grouped(local);
  std::vector<size_t> lines;
  for (const size_t i : grouped(remote))
    if (i < local.media_count() && std::find(ours.begin(), ours.end(), i) != ours.end() &&
        can_share(remote, i) && local.media(i).port != 0)
      lines.push_back(i);
  if (lines.size() < 2) lines.clear();
  return lines;
}

std::vector<size_t> may_bundle(const sdp::Description& offer, const sdp::Description& local) {
  std::vector<size_t> lines;
  for (const size_t i : grouped(offer))
    if (i < local.media_count() && can_share(offer, i) && local.media(i).port != 0) lines.push_back(i);
  return lines;
}

void remove_bundle_extensions(sdp::Description& d) {
  if (grouped(d).empty()) return;
  constexpr std::string_view mid = "urn:ietf:params:rtp-hdrext:sdes:mid";
  constexpr std::string_view transport_wide = "transport-wide-cc";
  for (size_t section = 0; section <= d.media_count(); ++section) {
    const size_t at = section < d.media_count() ? section : sdp::Description::session;
    std::vector<std::string> kept;
    for (const std::string_view value : d.attributes(at, "extmap"))
      if (value.find(mid) == std::string_view::npos && value.find(transport_wide) == std::string_view::npos)
        kept.emplace_back(value);
    if (d.remove_attribute(at, "extmap") > 0)
      for (const std::string& value : kept) d.add_attribute(at, "extmap", value);
    std::vector<std::string> feedback;
    for (const std::string_view value : d.attributes(at, "rtcp-fb"))
      if (value.find("transport-cc") == std::string_view::npos) feedback.emplace_back(value);
    if (d.remove_attribute(at, "rtcp-fb") > 0)
      for (const std::string& value : feedback) d.add_attribute(at, "rtcp-fb", value);
  }
}

void add_group(sdp::Description& d, const std::vector<size_t>& lines) {
  std::string value = "BUNDLE";
  for (const size_t i : lines) value.append(" ").append(d.attribute(i, "mid").value_or(""));
  d.add_attribute(sdp::Description::session, "group", value);
}

void take_mid(sdp::Description& d, size_t i, const sdp::Description& of) {
  const std::string mid{i < of.media_count() ? of.attribute(i, "mid").value_or("") : std::string_view{}};
  d.remove_attribute(i, "mid");
  if (!mid.empty()) d.add_attribute(i, "mid", mid);
}

// ---- in the engine ----

/// Which lines share a port, from what is agreed; theirs are given back.
void EngineState::bundle_up(Endpoint& e) {
  const auto& remote = e.checkpoint ? e.checkpoint->remote : e.remote;
  const auto& local = e.checkpoint ? e.checkpoint->local : e.local;
  std::vector<size_t> lines;
  if (e.config.ice != Ice::removed && !e.direct && remote && local) lines = agreed_bundle(*remote, *local);
  // The tag has to have the port.
  if (!lines.empty() && (!e.streams[lines.front()].has_ports || e.streams[lines.front()].carrier))
    lines.clear();
  if (lines.empty()) {
    e.bundle.reset();
  } else {
    if (!e.bundle) e.bundle = std::make_unique<Bundle>();
    e.bundle->lines = std::move(lines);
  }
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Stream& s = e.streams[i];
    const bool joins = e.bundle && e.bundle->joins(i);
    if (s.carrier && !joins) close_ports(s);
    if (joins && !s.carrier) {
      close_ports(s);
      adopt_bundled(s, e, i);
    }
    if (joins) s.carrier = e.streams[e.bundle->tag()].rtp.id;
  }
}

/// Whose packets are whose, by what the lines say now.
void EngineState::sort_bundle(Endpoint& e) {
  for (const Stream& s : e.streams)
    if (Flow* f = flow_of(s.rtp.id)) f->bundle = false;
  if (!e.bundle) return;
  Bundle& b = *e.bundle;
  b.by_payload_type.fill(Bundle::nobody);
  b.sources = named(*e.remote, b.lines);
  b.told = named(*e.local, b.lines);
  for (const bool said_by_us : {true, false})
    for (const size_t i : b.lines)
      for (const PayloadFormat& p : said_by_us ? e.streams[i].local_formats : e.streams[i].remote_formats)
        if (uint8_t& line = b.by_payload_type[p.payload_type & 0x7F]; line == Bundle::nobody)
          line = static_cast<uint8_t>(i);
  if (Flow* f = flow_of(e.streams[b.tag()].rtp.id)) f->bundle = true;
}

Flow* EngineState::member_of(const Flow& f, uint32_t ssrc, uint8_t payload_type) {
  Endpoint* e = endpoints.find(f.endpoint);
  if (!e || !e->bundle) return nullptr;
  const uint8_t line = e->bundle->line_of(ssrc, payload_type);
  return line < e->streams.size() ? flow_of(e->streams[line].rtp.id) : nullptr;
}

/// Whether what the leg hears on stream `i` has that SSRC.
bool EngineState::is_heard_as(const Endpoint& e, size_t i, uint32_t ssrc) const {
  const Stream& s = e.streams[i];
  if (ssrc == s.own.ssrc) return ssrc != 0;
  const Endpoint* partner = endpoints.find(e.partner);
  const Stream* p = partner ? counterpart(e, i, *partner) : nullptr;
  const Flow* f = p ? flow_of(p->rtp.id) : nullptr;
  if (f && f->received.started && f->received.ssrc == ssrc) return true;
  const auto& told = e.bundle->told;
  return std::any_of(told.begin(), told.end(),
                     [&](const Bundle::Source& t) { return t.ssrc == ssrc && t.line == i; });
}

/// The lines a compound of the leg is about, a bit each: reports by their sender and by what they are about,
/// feedback (RFC 4585 section 6.1) by its media source. Nothing known: the first picture's for feedback, else
/// the tag's.
uint32_t EngineState::concerned(const Endpoint& e, rtp::RtcpReader reader) const {
  const Bundle& b = *e.bundle;
  uint32_t lines = 0;
  bool feedback = false;
  const auto sent_by = [&](uint32_t ssrc) {
    for (const size_t i : b.lines) {
      const Flow* f = flow_of(e.streams[i].rtp.id);
      if (f && f->received.started && f->received.ssrc == ssrc) lines |= 1u << i;
    }
  };
  const auto about = [&](uint32_t ssrc) {
    for (const size_t i : b.lines)
      if (is_heard_as(e, i, ssrc)) lines |= 1u << i;
  };
  while (const auto packet = reader.next()) {
    const auto type = static_cast<rtp::RtcpType>(packet->type);
    if ((type == rtp::RtcpType::rtpfb || type == rtp::RtcpType::psfb) && packet->body.size() >= 8) {
      feedback = true;
      about(rtp::load32(packet->body.data() + 4));
      // FIR and REMB name whom they are about in their entries (RFC 5104 section 4.3.1.2).
      for (size_t at = 8; at + 4 <= packet->body.size() && type == rtp::RtcpType::psfb; at += 4)
        about(rtp::load32(packet->body.data() + at));
    } else if (type == rtp::RtcpType::sr || type == rtp::RtcpType::rr) {
      const auto report = rtp::Report::parse(*packet);
      if (!report) continue;
      sent_by(report->ssrc);
      for (size_t i = 0; i < report->block_count; ++i) about(report->blocks[i].ssrc);
    }
  }
  if (lines != 0) return lines;
  for (const size_t i : b.lines)
    if (feedback && iequals(e.streams[i].kind, "video")) return 1u << i;
  return 1u << b.tag();
}

}  // namespace tandem::media
