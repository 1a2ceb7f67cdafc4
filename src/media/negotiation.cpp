// Descriptions in and out (RFC 3264) and what they mean for streams, latches and flows.
#include <algorithm>

#include "base/text.h"
#include "media/codecs.h"
#include "media/ice_lines.h"
#include "media/state.h"
#include "media/transport_wide.h"

namespace tandem::media {
namespace {

/// Datagrams can be anchored; MSRP or BFCP over TCP cannot, and such an m-line is refused.
bool can_anchor(const sdp::MediaLine& m) {
  return m.port != 0 && !istarts_with(m.proto, "TCP") && !istarts_with(m.proto, "TLS") &&
         !istarts_with(m.proto, "SCTP");
}

Wire wire_of(std::string_view proto) {
  if (istarts_with(proto, "UDP/TLS/"))
    return proto.find("RTP/") == std::string_view::npos ? Wire::opaque : Wire::dtls;
  if (istarts_with(proto, "RTP/SAVP")) return Wire::srtp;
  if (istarts_with(proto, "RTP/AVP")) return Wire::rtp;
  return Wire::opaque;
}

std::vector<PayloadFormat> owned(const std::vector<sdp::Format>& formats) {
  std::vector<PayloadFormat> out;
  out.reserve(formats.size());
  for (const sdp::Format& f : formats)
    out.push_back(
        {f.payload_type, std::string(f.encoding), f.clock_rate, f.channels, std::string(f.parameters)});
  return out;
}

std::vector<PayloadFormat> formats_of(const std::optional<sdp::Description>& d, size_t i) {
  return d && i < d->media_count() ? owned(d->formats(i)) : std::vector<PayloadFormat>{};
}

/// Those of `more` behind, but where their number means something already.
void add_formats(std::vector<PayloadFormat>& formats, std::vector<PayloadFormat> more) {
  for (PayloadFormat& f : more)
    if (std::none_of(formats.begin(), formats.end(),
                     [&](const PayloadFormat& known) { return known.payload_type == f.payload_type; }))
      formats.push_back(std::move(f));
}

bool is_rtp(const sdp::MediaLine& m) { return m.proto.find("RTP/") != std::string_view::npos; }

/// Whether the first BUNDLE group of `d` names line `i`.
bool is_grouped(const sdp::Description& d, size_t i) {
  const std::string_view mid = d.attribute(i, "mid").value_or("");
  for (std::string_view names : d.attributes(sdp::Description::session, "group")) {
    if (!istarts_with(names, "BUNDLE ")) continue;
    while (!(names = trim(names)).empty()) {
      const size_t end = std::min(names.find(' '), names.size());
      if (!mid.empty() && names.substr(0, end) == mid) return true;
      names.remove_prefix(end);
    }
    return false;
  }
  return false;
}

bool is_event(const PayloadFormat& f) { return iequals(f.encoding, "telephone-event"); }

/// The leg is told of telephone-event.
bool takes_events(const EndpointConfig& c) { return c.dtmf == Dtmf::automatic || c.dtmf == Dtmf::rfc4733; }

bool has_codec(const std::vector<PayloadFormat>& formats, const PayloadFormat& f) {
  return std::any_of(formats.begin(), formats.end(),
                     [&](const PayloadFormat& each) { return each.same_codec(f); });
}

/// The clocks of what the leg may send: the payload types we showed it, then its own for devices that use
/// those.
void set_clocks(Flow& f, const Stream& s) {
  f.clock_count = 0;
  const auto both = [&](const PayloadFormat& p) {
    return has_codec(s.local_formats, p) && has_codec(s.remote_formats, p);
  };
  for (const bool agreed : {true, false})  // there may be more than there is room for
    for (const auto* formats : {&s.local_formats, &s.remote_formats})
      for (const PayloadFormat& p : *formats)
        if (both(p) == agreed && f.clock_count < f.clocks.size() && !f.clock_of(p.payload_type))
          f.clocks[f.clock_count++] = {p.payload_type, is_event(p), 0xFFFF, p.clock_rate};
}

/// By what they say to each other, or not at all.
bool is_muxed(const std::optional<sdp::Description>& remote, const std::optional<sdp::Description>& local,
              size_t i) {
  return remote && local && i < remote->media_count() && i < local->media_count() &&
         remote->has_attribute(i, "rtcp-mux") && local->has_attribute(i, "rtcp-mux");
}

uint32_t number_of(const sdp::Description& d, size_t i, std::string_view name, uint32_t absent) {
  const auto text = d.attribute(i, name);
  return text ? parse_u32(trim(*text)).value_or(absent) : absent;
}

/// What the leg wishes its packets to last, and not longer than it can take (RFC 8866 section 6.4).
uint32_t ptime_of(const sdp::Description& d, size_t i) {
  const uint32_t most = number_of(d, i, "maxptime", 60);
  return std::clamp<uint32_t>(std::min(number_of(d, i, "ptime", frame_ms), most), 10, 60);
}

/// Generic NACKs (RFC 4585 section 4.2): "96 nack", and not "96 nack pli".
bool asks_again(const sdp::Description& d, size_t i) {
  const auto feedback = d.attributes(i, "rtcp-fb");
  return std::any_of(feedback.begin(), feedback.end(), [](std::string_view v) {
    return trim(v.substr(std::min(v.find(' '), v.size()))) == "nack";
  });
}

/// All sound to a browser goes out under an SSRC of ours: it plays one source of a line, and is told of no
/// other when music or another telephone takes its place.
bool has_one_source(const EndpointConfig& c) { return c.webrtc && c.srtp != Srtp::passed; }

}  // namespace

void EngineState::remember(Endpoint& e) {
  if (e.checkpoint) return;
  e.checkpoint = std::make_unique<Checkpoint>();
  e.checkpoint->remote = e.remote;
  e.checkpoint->local = e.local;
  e.checkpoint->direct = e.direct;
  for (const Stream& s : e.streams) {
    const Flow* rtp = flow_of(s.rtp.id);
    const Flow* rtcp = flow_of(s.rtcp.id);
    auto& kept = e.checkpoint->latches.emplace_back();
    if (rtp && rtcp) kept = Checkpoint::Latches{rtp->latch, rtcp->latch};
  }
}

/// Offer and answer are both there: what the answer refused gives its ports back.
void EngineState::commit(Now now, Endpoint& e) {
  for (Stream& s : e.streams)
    if (!s.live) close_ports(s);
  close_portless_ice(now, e);
}

void EngineState::rollback(Now now, Endpoint& e) {
  if (!e.checkpoint) return;
  const std::unique_ptr<Checkpoint> back = std::move(e.checkpoint);
  e.remote = back->remote;
  e.local = back->local;
  e.direct = back->direct;
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Stream& s = e.streams[i];
    if (i >= back->latches.size() || !back->latches[i]) {
      close_ports(s);
      continue;
    }
    if (Flow* f = flow_of(s.rtp.id)) f->latch = back->latches[i]->rtp;
    if (Flow* f = flow_of(s.rtcp.id)) f->latch = back->latches[i]->rtcp;
  }
  if (e.streams.size() > back->latches.size()) e.streams.resize(back->latches.size());
  roll_ice_back(now, e);
  close_portless_ice(now, e);
  apply_terms(now, e);
}

Status<Reason> EngineState::set_remote(Now now, Endpoint& e, const sdp::Description& remote, SdpRole role) {
  if (remote.media_count() > config.media_lines) return Failure{Reason::too_many_media};
  sdp::Description theirs = remote;
  if (e.config.ice != Ice::removed) spread_bundle(theirs);
  if (role == SdpRole::answer && e.config.srtp != Srtp::passed && e.local &&
      !keeps_protection(theirs, *e.local))
    return not_protected();
  const auto& remote_before = e.checkpoint ? e.checkpoint->remote : e.remote;
  const auto& local_before = e.checkpoint ? e.checkpoint->local : e.local;
  if (e.config.srtp != Srtp::passed && remote_before && local_before &&
      !stays_protected(theirs, *remote_before, *local_before))
    return not_protected();
  // At once, and not when somebody has answered.
  if (role == SdpRole::offer && e.config.srtp != Srtp::passed && !can_protect(theirs, e.config.srtp))
    return not_protected();
  if (role == SdpRole::answer && !keeps_shared(e, theirs)) return Failure{Reason::not_connectable};
  if (role == SdpRole::offer) remember(e);
  e.remote = std::move(theirs);
  if (role == SdpRole::answer) {
    e.checkpoint.reset();
    agree_ice(now, e);
  }
  apply_terms(now, e);
  if (role == SdpRole::answer) commit(now, e);
  return Done{};
}

/// Until an offer is answered the leg goes on as was agreed (RFC 3264 section 8): it takes nothing else yet,
/// and when we offered, it may send both the old and the new.
void EngineState::set_formats(const Endpoint& e, Stream& s, size_t i) {
  const Checkpoint* agreed = e.checkpoint.get();
  s.remote_formats = formats_of(agreed && agreed->remote ? agreed->remote : e.remote, i);
  s.local_formats = formats_of(agreed ? agreed->local : std::nullopt, i);
  add_formats(s.local_formats, formats_of(e.local, i));
  // Of what it offered, the leg takes what it was answered (RFC 3264 section 6.1).
  const auto refused = [&](const PayloadFormat& f) { return !is_event(f) && !has_codec(s.local_formats, f); };
  if (std::any_of(s.remote_formats.begin(), s.remote_formats.end(),
                  [&](const PayloadFormat& f) { return !is_event(f) && !refused(f); }))
    std::erase_if(s.remote_formats, refused);
}

void EngineState::apply_terms(Now now, Endpoint& e) {
  const size_t remote_count = e.remote ? e.remote->media_count() : 0;
  const size_t local_count = e.local ? e.local->media_count() : 0;
  e.streams.resize(std::max({e.streams.size(), remote_count, local_count}));
  // While an offer is open they go on as agreed.
  const bool is_agreed = e.checkpoint && e.checkpoint->remote && e.checkpoint->local;
  bundle_up(e);
  secure(now, e);
  for (size_t i = 0; i < e.streams.size(); ++i) {
    Stream& s = e.streams[i];
    const bool theirs = i < remote_count;
    const bool ours = i < local_count;
    const sdp::MediaLine remote_line = theirs ? e.remote->media(i) : sdp::MediaLine{};
    const sdp::MediaLine local_line = ours ? e.local->media(i) : sdp::MediaLine{};
    const sdp::MediaLine& named = theirs ? remote_line : local_line;
    s.kind = named.kind;
    s.wire = s.locked ? Wire::rtp : wire_of(named.proto);
    s.live = !e.direct && s.has_ports && theirs && ours && can_anchor(remote_line) && local_line.port != 0;
    s.mux =
        is_agreed ? is_muxed(e.checkpoint->remote, e.checkpoint->local, i) : is_muxed(e.remote, e.local, i);
    s.ptime_ms = theirs ? ptime_of(*e.remote, i) : frame_ms;
    s.maxptime_ms = theirs ? number_of(*e.remote, i, "maxptime", 0) : 0;
    s.xr = theirs ? xr_terms(*e.remote, i) : XrTerms{};
    s.xr.round_trip = s.xr.round_trip && ours && xr_terms(*e.local, i).round_trip;
    s.one_source = has_one_source(e.config) && s.wire == Wire::rtp && iequals(s.kind, "audio");
    s.asks_again = theirs && iequals(s.kind, "video") && asks_again(*e.remote, i);
    if (!s.asks_again || !s.live) s.sent_packets.reset();
    s.direction = theirs ? e.remote->direction(i) : sdp::Direction::sendrecv;
    set_formats(e, s, i);
    Flow* rtp = flow_of(s.rtp.id);
    Flow* rtcp = flow_of(s.rtcp.id);
    if (!rtp || !rtcp) continue;
    rtp->wire = rtcp->wire = s.wire;
    rtp->mux = s.mux;
    lock(s);
    set_clocks(*rtp, s);
    if (e.ice && e.ice->agreed(i)) {
      follow_ice(e, i);
      continue;
    }
    rtp->ice = rtcp->ice = false;
    if (!theirs || remote_line.port == 0) continue;
    // "Nowhere" (hold by 0.0.0.0) is no move: the source stays who it was.
    const bool agreed = !e.checkpoint || !e.checkpoint->remote;
    for (const auto& [flow, address] :
         {std::pair{rtp, e.remote->rtp_address(i)}, std::pair{rtcp, e.remote->rtcp_address(i)}}) {
      if (!address) continue;
      if (agreed)
        flow->latch.expect(now.mono, *address, config.learning_window);
      else
        flow->latch.announce(now.mono, *address, config.learning_window);
    }
    rtp->latch.extend(now.mono, config.learning_window);
  }
  sort_bundle(e);
  count_transports(e);
  ++e.revision;
  if (e.room) reseat(e);
  restart_silence(now, e);
  reroute(e);
  run_ice(now, e, nullptr);
}

/// Whether line `i` of what we are about to tell the leg may stand on the realm's shared port: both sides
/// must have said ICE and rtcp-mux, or be going to; and it is alone, or the others join it.
bool EngineState::may_share(const Endpoint& e, const sdp::Description& local, SdpRole role, size_t i,
                            const std::vector<size_t>& bundled) {
  if (e.config.ice == Ice::removed || !is_rtp(local.media(i))) return false;
  for (size_t other = 0; other < local.media_count(); ++other)
    if (other != i && can_anchor(local.media(other)) && !joins(bundled, other)) return false;
  if (role == SdpRole::offer) return e.streams[i].shared || (e.config.webrtc && e.config.ice == Ice::offered);
  ice::Troubles counted_elsewhere;
  return e.remote && e.remote->has_attribute(i, "rtcp-mux") && ice_line(*e.remote, i, counted_elsewhere);
}

/// Whether an offer of ours would take a line that is connected on the shared port from there, for what is no
/// RTP: it would be gone at once, and not come back when the leg refuses. A browser refuses all of that.
bool EngineState::leaves_shared(const Endpoint& e, const sdp::Description& local) {
  const auto strange = [&](size_t i) { return can_anchor(local.media(i)) && !is_rtp(local.media(i)); };
  bool any = false;
  for (size_t i = 0; i < local.media_count(); ++i) any = any || strange(i);
  for (size_t i = 0; any && e.ice && i < std::min(local.media_count(), e.streams.size()); ++i)
    if (e.streams[i].shared && e.ice->agreed(i) && can_anchor(local.media(i)))
      if (strange(i) || e.config.webrtc) return true;
  return false;
}

/// Who was offered the shared port can be told apart there by ICE only, and RTCP has no other way.
bool EngineState::keeps_shared(const Endpoint& e, const sdp::Description& answer) {
  ice::Troubles counted_elsewhere;
  for (size_t i = 0; i < std::min(e.streams.size(), answer.media_count()); ++i)
    if (e.streams[i].shared && answer.media(i).port != 0 &&
        (!answer.has_attribute(i, "rtcp-mux") || !ice_line(answer, i, counted_elsewhere)))
      return false;
  return true;
}

bool EngineState::open_missing_ports(Now now, Endpoint& e, const sdp::Description& d, SdpRole role,
                                     const std::vector<size_t>& bundled, std::vector<size_t>& opened) {
  e.streams.resize(std::max(e.streams.size(), d.media_count()));
  for (size_t i = 0; i < d.media_count(); ++i) {
    Stream& s = e.streams[i];
    if (!can_anchor(d.media(i)) || joins(bundled, i)) continue;
    if (s.carrier) close_ports(s);  // it leaves the bundle
    const bool may = may_share(e, d, role, i, bundled);
    if (s.shared && !may) {  // and the company of the other legs
      close_ice_line(now, e, i);
      close_ports(s);
    }
    if (s.has_ports) continue;
    if (!(may && open_shared(s, e, i)) && !open_ports(s, e, i)) return false;
    opened.push_back(i);
  }
  return true;
}

/// Puts our addresses into `local`, binding what ports are missing.
Status<Reason> EngineState::anchor(Now now, Endpoint& e, sdp::Description& local, SdpRole role,
                                   const std::vector<size_t>& bundled) {
  std::vector<size_t> opened;
  if (!open_missing_ports(now, e, local, role, bundled, opened)) {
    for (const size_t i : opened) close_ports(e.streams[i]);
    return Failure{Reason::ports_exhausted};
  }
  IpAddress advertised;
  for (size_t i = 0; i < local.media_count(); ++i) {
    if (!can_anchor(local.media(i))) {
      local.reject_media(i);
      continue;
    }
    const Stream& s = e.streams[joins(bundled, i) ? bundled.front() : i];
    local.set_media_port(i, s.rtp.local.port, s.rtcp.local.port);
    advertised = s.rtp.advertised;
  }
  if (!advertised && e.local)
    advertised = e.local->connection(sdp::Description::session).value_or(IpAddress{});
  if (!advertised)
    advertised = e.config.family == IpAddress::Family::v6 ? IpAddress::parse("::1").value_or(IpAddress{})
                                                          : IpAddress::v4(127, 0, 0, 1);
  local.remove_ice();
  local.set_connection(advertised);
  return Done{};
}

/// The lines of `local` that are told to share a port: those of an offer that may, those of ours that do.
std::vector<size_t> EngineState::to_bundle(const Endpoint& e, const sdp::Description& local,
                                           SdpRole role) const {
  if (e.config.ice == Ice::removed) return {};
  if (role == SdpRole::answer) return e.remote ? may_bundle(*e.remote, local) : std::vector<size_t>{};
  std::vector<size_t> lines;
  if (begins_bundle(e)) {
    for (size_t i = 0; i < local.media_count(); ++i)
      if (can_anchor(local.media(i)) && is_rtp(local.media(i)) && !local.has_attribute(i, "crypto"))
        lines.push_back(i);
    return lines;
  }
  const auto may = [&](size_t i) { return i < local.media_count() && can_anchor(local.media(i)); };
  const bool alone = !e.bundle && e.remote && e.remote->media_count() > 0 && e.local && may(0) &&
                     is_grouped(*e.remote, 0) && is_grouped(*e.local, 0);
  if (alone) lines.push_back(0);
  if (e.bundle && may(e.bundle->tag()))
    std::copy_if(e.bundle->lines.begin(), e.bundle->lines.end(), std::back_inserter(lines), may);
  if (lines.empty()) return lines;
  // What is new joins: the leg has shown that it knows groups (RFC 9143 section 7.5.2).
  for (size_t i = 0; i < local.media_count(); ++i) {
    const bool known = e.remote && i < e.remote->media_count() && e.remote->media(i).port != 0;
    if (!known && may(i) && is_rtp(local.media(i)) && !local.has_attribute(i, "crypto")) lines.push_back(i);
  }
  return lines;
}

/// The first offer to a WebRTC leg: all its lines on one port, and nowhere else.
bool EngineState::begins_bundle(const Endpoint& e) {
  return e.config.webrtc && e.config.ice == Ice::offered && !e.remote;
}

/// Names of the lines are the leg's, once it has given them.
void EngineState::say_bundle(const Endpoint& e, sdp::Description& local, SdpRole role,
                             const std::vector<size_t>& bundled) {
  const auto& names = role == SdpRole::answer ? e.remote : e.local;
  for (size_t i = 0; names && i < local.media_count(); ++i)
    if (role == SdpRole::answer || i < names->media_count()) take_mid(local, i, *names);
  for (size_t i = 0; i < local.media_count(); ++i) local.remove_attribute(i, "rtcp-mux-only");
  if (bundled.empty()) return;
  const bool begins = role == SdpRole::offer && begins_bundle(e);
  // A new line has whatever name the other leg gave it.
  for (size_t i = begins || !names ? 0 : names->media_count();
       role == SdpRole::offer && i < local.media_count(); ++i) {
    std::string name = std::to_string(i);
    for (size_t other = 0; other < i; ++other)
      if (local.attribute(other, "mid").value_or("") == name) name.insert(0, "m");
    local.remove_attribute(i, "mid");
    local.add_attribute(i, "mid", name);
  }
  add_group(local, bundled);
  for (const size_t i : bundled) {
    if (!local.has_attribute(i, "rtcp-mux")) local.add_attribute(i, "rtcp-mux");
    if (begins) local.add_attribute(i, "rtcp-mux-only");  // RFC 8858
    if (begins && i != bundled.front()) local.add_attribute(i, "bundle-only");
  }
}

/// Lines that stand on another's port or nowhere are offered with port 0 (RFC 9143 section 6). To us they
/// have that port.
std::string EngineState::with_bundle_only(const std::string& text) {
  auto told = sdp::Description::parse(text);
  if (!told) return text;
  for (size_t i = 0; i < told->media_count(); ++i)
    if (told->has_attribute(i, "bundle-only")) told->set_media_port(i, 0, 0);
  return told->to_string();
}

/// Our o= line to this leg. The version grows only with a change (RFC 3264 section 8), so a session refresh
/// repeats the very same text.
std::string EngineState::stamp(Endpoint& e, sdp::Description& local) {
  if (e.session_id == 0) e.session_id = rng.next() >> 1;
  const std::string id = std::to_string(e.session_id);
  const IpAddress address =
      local.connection(sdp::Description::session)
          .value_or(local.media_count() > 0 ? local.connection(0).value_or(IpAddress{}) : IpAddress{});
  const std::string host = address ? address.to_string() : "127.0.0.1";
  const auto with = [&](uint64_t version) {
    const std::string number = std::to_string(version);
    local.set_origin({"-", id, number, address.is_v6() ? "IP6" : "IP4", host});
    return local.to_string();
  };
  std::string text = with(e.version);
  if (e.version == 0 || !e.local || text != e.local->to_string()) text = with(++e.version);
  return text;
}

Failure<Reason> EngineState::not_protected() {
  counters_.not_protected.add();
  return {Reason::not_protected};
}

/// SDES or DTLS for what is about to be told to the leg. False: its policy refuses every line.
bool EngineState::protect(const Endpoint& e, sdp::Description& local, SdpRole role, bool secret) {
  Protection how;
  // What a browser is offered it takes encrypted or not at all; what it offers is answered as anybody's.
  how.webrtc = e.config.webrtc;
  how.policy = e.config.webrtc && role == SdpRole::offer ? Srtp::required : e.config.srtp;
  how.keying = e.config.srtp_keying;
  how.fingerprint = dtls.fingerprint(dtls::FingerprintHash::sha_256);
  how.before = e.local ? &*e.local : nullptr;
  if (e.config.symmetric) how.signalling = e.config.signalling;
  for (const Stream& s : e.streams)
    how.roles.push_back(s.dtls ? std::optional(s.dtls->rtp->role()) : std::nullopt);
  const auto& agreed = e.checkpoint ? e.checkpoint->remote : e.remote;
  for (size_t i = 0; agreed && i < e.streams.size(); ++i)
    how.spent.push_back(i >= agreed->media_count() || agreed->media(i).port == 0);
  if (role == SdpRole::answer) return !e.remote || protect_answer(local, *e.remote, how, rng);
  protect_offer(local, how, secret, rng);
  return true;
}

/// Makes `local` the endpoint's description and gives its text.
Result<std::string, Reason> EngineState::publish(Now now, Endpoint& e, sdp::Description local, SdpRole role,
                                                 bool direct) {
  if (local.media_count() > config.media_lines) return Failure{Reason::too_many_media};
  if (role == SdpRole::offer && !direct && leaves_shared(e, local)) return Failure{Reason::not_connectable};
  if (role == SdpRole::offer) remember(e);
  std::vector<size_t> bundled;
  if (!direct) {
    bundled = to_bundle(e, local, role);
    if (const auto anchored = anchor(now, e, local, role, bundled); !anchored.ok())
      return Failure{anchored.reason()};
    e.bundle_begins = role == SdpRole::offer && begins_bundle(e) && bundled.size() > 1;
    say_bundle(e, local, role, bundled);
  }
  if (!direct && e.config.ice != Ice::removed) {
    const bool counted = e.config.srtp != Srtp::passed;
    if (role == SdpRole::offer) {
      if (counted && e.config.webrtc) offer_transport_wide(local, e.local ? &*e.local : nullptr);
      offer_ice(now, e, local, bundled);
    } else if (e.remote) {
      if (counted) answer_transport_wide(local, *e.remote);
      answer_ice(now, e, local, bundled);
    }
  }
  e.direct = direct;
  std::string text = stamp(e, local);
  auto compact = sdp::Description::parse(text);
  e.local = compact ? std::move(compact).value() : std::move(local);
  if (role == SdpRole::answer) e.checkpoint.reset();
  apply_terms(now, e);
  if (role == SdpRole::answer) commit(now, e);
  return role == SdpRole::offer && e.bundle_begins ? with_bundle_only(text) : text;
}

Result<std::string, Reason> EngineState::present(Now now, Endpoint& e, const sdp::Description& from,
                                                 SdpRole role, const Endpoint* other) {
  sdp::Description local = from;
  if (other && other->config.ice != Ice::removed) spread_bundle(local);
  remove_bundle_extensions(local);
  // RFC 3264: an answer has the offer's m-lines (section 6), an offer at least those of before (section 8).
  const std::optional<sdp::Description>& before = role == SdpRole::answer ? e.remote : e.local;
  if (before) {
    for (size_t i = local.media_count(); i < before->media_count(); ++i) local.add_rejected_media(*before, i);
    if (role == SdpRole::answer) local.truncate_media(before->media_count());
    for (size_t i = 0; role == SdpRole::answer && i < local.media_count(); ++i)
      if (before->media(i).port == 0 && local.media(i).port != 0) local.reject_media(i);
  }
  const EndpointConfig& c = e.config;
  const bool direct = other && other != &e && !c.anchored && !other->config.anchored &&
                      c.realm == other->config.realm && c.family == other->config.family;
  const bool keyed = !direct && c.srtp != Srtp::passed;
  bool secret = false;
  if (keyed || (!direct && other && other->config.srtp != Srtp::passed)) {
    for (size_t i = 0; i < local.media_count(); ++i) secret = secret || is_keyed(local, i);
    // What comes under keys that are not ours to use cannot be told to a leg that gets ours.
    if (secret && other && other->config.srtp == Srtp::passed) return not_protected();
    lay_open(local);  // keys are between us and the leg they came from
  }
  const bool transcode = !direct && c.transcode;
  if (role == SdpRole::answer && e.remote && !direct)  // each leg multiplexes by itself (RFC 5761 5.1.1)
    for (size_t i = 0; i < std::min(local.media_count(), e.remote->media_count()); ++i)
      if (!e.remote->has_attribute(i, "rtcp-mux")) local.remove_attribute(i, "rtcp-mux");
  if (role == SdpRole::offer) {
    if (!c.codecs.empty() && !offer_audio(local, c.codecs, {.only = c.only_codecs, .more = transcode}))
      return Failure{Reason::no_common_codec};
    if (transcode && other) offer_events(local, takes_events(c));
    if (transcode) forget_sources(local, from, e.remote ? &*e.remote : nullptr);
  } else if (transcode && e.remote) {
    sdp::Description offered = *e.remote;
    if (keyed) lay_open(offered);
    answer_within(local, offered, c.only_codecs);
    answer_events(local, offered, takes_events(c));
    forget_sources(local, from, &local);
  }
  if (!direct && has_one_source(c)) forget_sources(local);
  if (keyed && !protect(e, local, role, secret)) return not_protected();
  return publish(now, e, std::move(local), role, direct);
}

Result<std::string, Reason> EngineState::answer(Now now, Endpoint& e, sdp::Direction wanted) {
  if (!e.remote) return Failure{Reason::no_remote};
  sdp::Description local = sdp::Description::make({});
  sdp::Description offered = *e.remote;
  const bool keyed = e.config.srtp != Srtp::passed;
  if (keyed) lay_open(offered);
  bool accepted = false;
  for (size_t i = 0; i < offered.media_count(); ++i) {
    if (!accepted && wire_of(offered.media(i).proto) == Wire::rtp &&
        add_own_answer(local, offered, i, e.config.codecs, takes_events(e.config))) {
      const sdp::Direction theirs = offered.direction(i);
      local.set_direction(i, sdp::direction_of(sdp::sends(wanted) && sdp::receives(theirs),
                                               sdp::receives(wanted) && sdp::sends(theirs)));
      if (const std::string xr = xr_attribute(xr_terms(offered, i)); !xr.empty())
        local.add_attribute(i, "rtcp-xr", xr);
      accepted = true;
      continue;
    }
    local.add_rejected_media(*e.remote, i);
  }
  if (!accepted) return Failure{Reason::no_common_codec};
  if (keyed && !protect(e, local, SdpRole::answer, false)) return not_protected();
  return publish(now, e, std::move(local), SdpRole::answer, false);
}

Result<std::string, Reason> EngineState::offer(Now now, Endpoint& e, sdp::Direction direction) {
  sdp::Description local = sdp::Description::make({});
  const size_t before = e.local ? e.local->media_count() : 0;
  bool added = false;
  const auto add_audio = [&] {
    const size_t at = add_own_offer(local, e.config.transcode ? e.config.codecs : std::vector<std::string>{},
                                    takes_events(e.config));
    local.set_direction(at, direction);
    local.add_attribute(at, "rtcp-xr", xr_attribute({.metrics = true, .round_trip = true}));
    added = true;
  };
  for (size_t i = 0; i < before; ++i) {
    if (!added && iequals(e.local->media(i).kind, "audio"))
      add_audio();
    else
      local.add_rejected_media(*e.local, i);
  }
  if (!added) add_audio();
  if (e.config.srtp != Srtp::passed) protect(e, local, SdpRole::offer, false);
  return publish(now, e, std::move(local), SdpRole::offer, false);
}

}  // namespace tandem::media
