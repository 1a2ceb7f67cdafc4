// Offers and answers between the legs of a call, with our media endpoints in between (RFC 3264).
#include <algorithm>

#include "base/text.h"
#include "call/flow.h"
#include "media/codecs.h"
#include "port/inner_flow.h"

namespace tandem::call {

namespace {

bool same_attribute(const sdp::Description& a, const sdp::Description& b, size_t i, std::string_view name) {
  return a.attributes(i, name) == b.attributes(i, name);
}

bool same_format(const sdp::Format& a, const sdp::Format& b) {
  return a.payload_type == b.payload_type && iequals(a.encoding, b.encoding) && a.clock_rate == b.clock_rate;
}

/// Somebody turns a camera on or off. Of a hold, which is told by the sound, the other side hears music.
bool same_pictures(const sdp::Description& before, const sdp::Description& now) {
  bool pictures = true, sound = true;
  for (size_t i = 0; i < now.media_count(); ++i) {
    if (now.media(i).port == 0 || before.direction(i) == now.direction(i)) continue;
    (iequals(now.media(i).kind, "audio") ? sound : pictures) = false;
  }
  return pictures || !sound;
}

/// No sound is wanted of whom this is for.
bool holds_sound(const sdp::Description& d) {
  for (size_t i = 0; i < d.media_count(); ++i)
    if (iequals(d.media(i).kind, "audio") && d.media(i).port != 0) return !sdp::receives(d.direction(i));
  return false;
}

/// A new offer that changes addresses, ports and directions only: who heard the old one need not hear this
/// one. `own_keys`: SDES and DTLS end at us, and are no news for the other side either.
bool same_session(const sdp::Description& before, const sdp::Description& now, bool own_keys) {
  if (before.media_count() != now.media_count()) return false;
  for (size_t i = 0; i < now.media_count(); ++i) {
    const sdp::MediaLine a = before.media(i);
    const sdp::MediaLine b = now.media(i);
    if (a.kind != b.kind || a.proto != b.proto || (a.port == 0) != (b.port == 0)) return false;
    for (const std::string_view name : {"crypto", "fingerprint", "setup"})
      if (!own_keys && !same_attribute(before, now, i, name)) return false;
    const auto known = before.formats(i);
    for (const sdp::Format& f : now.formats(i))
      if (std::none_of(known.begin(), known.end(), [&](const sdp::Format& k) { return same_format(k, f); }))
        return false;
  }
  if (!same_pictures(before, now)) return false;
  return own_keys || before.attribute(sdp::Description::session, "fingerprint") ==
                         now.attribute(sdp::Description::session, "fingerprint");
}

void all_sendrecv(sdp::Description& d) {
  for (size_t i = 0; i < d.media_count(); ++i) d.set_direction(i, sdp::Direction::sendrecv);
}

/// Media sent by the one reaches the other: every line is where the other takes it.
bool same_places(const sdp::Description& a, const sdp::Description& b) {
  for (size_t i = 0; i < std::min(a.media_count(), b.media_count()); ++i)
    if (a.media(i).port != 0 && a.rtp_address(i) != b.rtp_address(i)) return false;
  return true;
}

bool wants_music(const Party& p) { return p.holds; }

}  // namespace

int status_of(media::Reason reason) {
  switch (reason) {
    case media::Reason::ports_exhausted:
    case media::Reason::too_many_endpoints:
      return 503;
    case media::Reason::unknown_endpoint:
    case media::Reason::bad_snapshot:
    case media::Reason::port_taken:
      return 500;
    default:
      return 488;
  }
}

/// RTP/AVP, RTP/SAVP and UDP/TLS/RTP/SAVP are one where we decrypt and encrypt, with an F or without.
bool same_profile(std::string_view a, std::string_view b, Bridging bridging) {
  if (!bridging.keys) return a == b;
  const auto plain = [](std::string_view proto) {
    if (!proto.empty() && (proto.back() == 'F' || proto.back() == 'f')) proto.remove_suffix(1);
    if (istarts_with(proto, "UDP/TLS/RTP/SAVP")) return proto.substr(13);
    return istarts_with(proto, "RTP/SAVP")  ? proto.substr(5)
           : istarts_with(proto, "RTP/AVP") ? proto.substr(4)
                                            : proto;
  };
  return iequals(plain(a), plain(b));
}

bool covers(const sdp::Description& told_to_sender, const sdp::Description& sender,
            const sdp::Description& receiver, Bridging bridging) {
  const auto has = [](const std::vector<sdp::Format>& in, const sdp::Format& f) {
    return std::any_of(in.begin(), in.end(), [&](const sdp::Format& t) { return same_format(t, f); });
  };
  const size_t lines = std::min(told_to_sender.media_count(), receiver.media_count());
  for (size_t i = 0; i < lines; ++i) {
    if (told_to_sender.media(i).port == 0) continue;
    if (!same_profile(told_to_sender.media(i).proto, receiver.media(i).proto, bridging)) return false;
    const auto takes = receiver.formats(i);
    const auto speaks = i < sender.media_count() ? sender.formats(i) : std::vector<sdp::Format>{};
    const bool decodes = bridging.codecs != Bridging::Codecs::none &&
                         (bridging.keys || istarts_with(receiver.media(i).proto, "RTP/AVP")) &&
                         std::any_of(takes.begin(), takes.end(), media::can_code);
    bool passes = bridging.codecs == Bridging::Codecs::any;  // what it most likely sends
    for (const sdp::Format& f : told_to_sender.formats(i)) {
      if (!has(speaks, f)) continue;
      if (has(takes, f)) {
        passes = passes || !media::accompanies(f);
        continue;
      }
      if (media::accompanies(f) ? bridging.codecs != Bridging::Codecs::any
                                : !decodes || !passes || !media::can_code(f))
        return false;
    }
  }
  return true;
}

/// SDES and DTLS are between the leg and us.
bool CallFlow::ends_keys(const Party& p) const {
  return layer_.engine.srtp(p.endpoint) != media::Srtp::passed;
}

media::Srtp CallFlow::srtp_of(const Party& p) const {
  if (layer_.config.bypass_media) return media::Srtp::passed;
  if (p.srtp == port::SrtpPolicy::standard) return layer_.config.srtp;
  return static_cast<media::Srtp>(static_cast<uint8_t>(p.srtp) - 1);
}

media::Dtmf CallFlow::dtmf_of(const Party& p) const {
  if (p.dtmf == port::DtmfPolicy::standard) return layer_.config.dtmf;
  return static_cast<media::Dtmf>(static_cast<uint8_t>(p.dtmf) - 1);
}

bool CallFlow::transcodes() const { return !layer_.config.bypass_media && !layer_.config.codecs.empty(); }

namespace {

/// A leg over a WebSocket is a browser's: ICE, DTLS-SRTP and rtcp-mux are what it speaks, and nothing else
/// (RFC 8827 section 6.5, RFC 8834 section 4.5), whatever the other leg is and is configured. Opus before the
/// rest, where we offer of our own; what the other leg speaks still comes first, since it need not be made
/// anew. Who else has to have both can be nothing else either.
void speak_webrtc(const port::Path& path, media::EndpointConfig& config) {
  if (port::is_websocket(path.transport)) {
    config.anchored = true;
    config.srtp = media::Srtp::required;
    config.srtp_keying = media::SrtpKeying::dtls;
    config.ice = media::Ice::offered;
    std::stable_partition(config.codecs.begin(), config.codecs.end(),
                          [](const std::string& codec) { return istarts_with(codec, "opus"); });
  }
  config.webrtc = config.ice == media::Ice::offered && config.srtp == media::Srtp::required &&
                  config.srtp_keying == media::SrtpKeying::dtls;
}

}  // namespace

/// `path`: how the leg's SIP goes; its address family is that of the leg's media.
bool CallFlow::open_media(Party& p, const port::Path& path) {
  if (p.endpoint) return true;
  media::EndpointConfig config;
  config.realm = p.realm;
  if (path.remote.ip.is_v6()) config.family = IpAddress::Family::v6;
  config.signalling = path.remote.ip;
  config.symmetric = layer_.config.symmetric_media;
  config.anchored = !layer_.config.bypass_media;
  config.transcode = transcodes();
  config.srtp = srtp_of(p);
  config.srtp_keying = layer_.config.srtp_keying;
  config.dtmf = dtmf_of(p);
  config.ice = layer_.config.ice;
  config.ice_lite = layer_.config.ice_lite;
  config.only_codecs = !p.codecs.empty();
  config.codecs = config.only_codecs ? p.codecs : layer_.config.codecs;
  speak_webrtc(path, config);
  // A page never sees the telephone events its browser is sent, while INFO reaches a client of the JSON API.
  if (port::is_inner(path.flow) && config.dtmf == media::Dtmf::automatic) config.dtmf = media::Dtmf::info;
  config.media_timeout = layer_.config.media_timeout;
  config.trail = call_.id;
  const auto opened = layer_.engine.open(config);
  if (!opened.ok()) return false;
  p.endpoint = *opened;
  touch();
  return true;
}

/// The body of the INVITE to `called`. Empty (and `why` unset) when the caller made no offer: the callee
/// makes one.
std::string CallFlow::offer_for(Party& called, Party& from, Cause& why) {
  const bool up = from.state == Party::State::up;
  if (!up && !from.has_sdp) return {};
  auto like = layer_.engine.remote_description(from.endpoint);
  if (like && up) all_sendrecv(*like);
  auto offer =
      like ? present_offer(called, *like, from.endpoint) : layer_.engine.offer(turn_.now, called.endpoint);
  if (offer.ok()) return std::move(*offer);
  why = offer.reason() == media::Reason::no_common_codec ? no_codec(called)
                                                         : Cause::from_status(status_of(offer.reason()));
  return {};
}

void CallFlow::on_progress(Party& called, const LegEvent& e) {
  if (!call_.setup || called.attempt != call_.setup->number || called.branch < 0) return;
  Setup& setup = *call_.setup;
  Branch& b = setup.branches[static_cast<size_t>(called.branch)];
  Party* from = origin();
  if (!from || b.state != Branch::State::ringing) return;
  if (e.status >= 180) b.rang = true;
  if (e.status >= 180 && called.state == Party::State::setup) {
    called.state = Party::State::ringing;
    called.rung = turn_.now.wall;
    if (!setup.rung.ns) setup.rung = turn_.now.wall;
    if (call_.state == Call::State::setup) call_.state = Call::State::ringing;
    line(called, port::LineCall::State::early);
  }
  touch();
  if (setup.purpose == Setup::Purpose::transfer && e.status >= 180)
    if (Party* referrer = party(setup.referrer);
        referrer && referrer->state == Party::State::up && setup.told_status < 180)
      referrer->leg->transfer_progress(turn_, 180);
  if (!e.body.empty() && from->state == Party::State::up && setup.purpose == Setup::Purpose::call)
    hear_early(*from, called, e);
  std::string body;
  if (!e.body.empty() && from->has_sdp && from->state != Party::State::up) {
    auto answer = layer_.counters.read(e.body);
    if (answer.ok() && fit(called, *answer) &&
        layer_.engine.set_remote(turn_.now, called.endpoint, *answer, media::SdpRole::answer).ok()) {
      auto shown =
          layer_.engine.present(turn_.now, from->endpoint, *answer, media::SdpRole::answer, called.endpoint);
      if (shown.ok() &&
          layer_.engine.join(turn_.now, from->endpoint, called.endpoint, media::Stage::early).ok()) {
        body = std::move(*shown);
        called.early_media = true;
        called.early_body = e.body;
      }
    }
  }
  // One 180 is enough for many ringing phones; early media is always passed on.
  const bool news = !body.empty() || e.status > setup.told_status;
  if (from->state != Party::State::up && from->caller && news && e.status > 100) {
    from->leg->progress(turn_, e.status == 182 || e.status == 181 ? 180 : e.status, body);
    setup.told_status = std::max<int>(setup.told_status, e.status);
    if (from->state == Party::State::setup) from->state = Party::State::ringing;
    line(*from, port::LineCall::State::early);
  }
  setup.told_status = std::max<int>(setup.told_status, e.status);
}

/// The first party of an ordered call is up: early media takes the place of our ringing tone.
void CallFlow::hear_early(Party& from, Party& called, const LegEvent& e) {
  auto answer = layer_.counters.read(e.body);
  if (!answer.ok() || !fit(called, *answer) ||
      !layer_.engine.set_remote(turn_.now, called.endpoint, *answer, media::SdpRole::answer).ok())
    return;
  layer_.engine.stop(turn_.now, from.endpoint);
  from.music = false;
  called.early_media =
      layer_.engine.join(turn_.now, from.endpoint, called.endpoint, media::Stage::early).ok();
  if (called.early_media)
    called.early_body = e.body;
  else
    play(from, tones().ringback);
}

void CallFlow::on_answered(Party& called, const LegEvent& e) {
  Party* from = origin();
  if (!call_.setup || called.attempt != call_.setup->number || !from) {
    release(called, Cause::from_q850(26));
    return;
  }
  const auto fail = [&](Cause cause) {
    if (cause.status == 503) cause.q850 = 47;  // ours, not the callee's
    if (e.offer_in_answer) called.leg->refuse_offer(turn_, 488);
    const int branch = called.branch;
    release(called, cause);
    if (call_.setup && branch >= 0) {
      call_.setup->branches[static_cast<size_t>(branch)].cause = cause;
      if (!branch_alive(static_cast<size_t>(branch))) on_branch_over(static_cast<size_t>(branch));
    }
  };
  const std::string_view text = e.body.empty() ? std::string_view(called.early_body) : e.body;
  auto body = layer_.counters.read(text);
  if (!body.ok()) {
    layer_.counters.bad_sdp.add();
    return fail(Cause::from_status(488, "Bad session description"));
  }
  if (!fit(called, *body)) return fail(no_codec(called));
  const auto role = e.offer_in_answer ? media::SdpRole::offer : media::SdpRole::answer;
  if (const auto set = layer_.engine.set_remote(turn_.now, called.endpoint, *body, role); !set.ok())
    return fail(Cause::from_status(status_of(set.reason())));
  if (from->state != Party::State::up) {
    auto shown = layer_.engine.present(turn_.now, from->endpoint, *body, role, called.endpoint);
    if (!shown.ok()) return fail(Cause::from_status(status_of(shown.reason())));
    if (e.offer_in_answer) from->negotiation = Negotiation::late;
    from->leg->accept(turn_, *shown);
  }
  connect(*from, called);
  tell_candidates(called);
}

/// Somebody answered: the two talk, the others stop ringing, the record begins.
void CallFlow::connect(Party& from, Party& called) {
  const bool was_up = from.state == Party::State::up;
  from.state = called.state = Party::State::up;
  keep_seat(called);
  called.branch = -1;
  if (from.music) {
    layer_.engine.stop(turn_.now, from.endpoint);
    from.music = false;
  }
  if (call_.setup->purpose == Setup::Purpose::first) return first_answered(from, called);
  if (call_.setup->purpose != Setup::Purpose::call) transfer_done(nullptr);
  from.partner = called.id;
  called.partner = from.id;
  Pairing& pair = open_pair(from, called);
  pair.cdr.answer = turn_.now.wall;
  pair.cdr.sip_status = 200;
  end_setup(Cause::cancelled(26, "Answered elsewhere"));
  call_.state = Call::State::connected;
  if (!call_.answered.ns) call_.answered = turn_.now.wall;
  layer_.counters.answered.add();
  join(from, called);
  record_by_policy(*pair_of(from.id));
  line(from, port::LineCall::State::confirmed);
  line(called, port::LineCall::State::confirmed);
  event(port::Level::info, "call.answered", {{"by", called.user}});
  if (was_up) match(from, called);
  touch();
}

// ---- once the call is up

/// An offer of ours to that leg waits, for both had offered at once, and now theirs is here: what ours says
/// is old by the time it goes out. True: it was ours alone to make, and has to be made anew.
bool CallFlow::give_way(Party& p) {
  if (!p.sip || !p.sip->offer_waits()) return false;
  const bool matched = p.negotiation == Negotiation::match;
  p.leg->withdraw_offer(turn_);
  LegEvent refused;
  refused.kind = LegEvent::Kind::offer_refused;
  refused.status = 491;
  on_offer_refused(p, refused);
  return matched;
}

void CallFlow::on_offer(Party& p, const LegEvent& e) {
  const bool again = give_way(p);
  take_offer(p, e);
  Party* partner = party(p.partner);
  if (again && partner) match(p, *partner, false);
}

void CallFlow::take_offer(Party& p, const LegEvent& e) {
  auto offer = layer_.counters.read(e.body);
  if (!offer.ok()) {
    layer_.counters.bad_sdp.add();
    return p.leg->refuse_offer(turn_, 400);
  }
  if (!fit(p, *offer)) return p.leg->refuse_offer(turn_, 488);
  Party* partner = party(p.partner);
  const bool partner_up = partner && partner->state == Party::State::up && p.state == Party::State::up;
  const auto before = layer_.engine.remote_description(p.endpoint);
  // A hold that came with other news was told to the partner, who waits for its end.
  const auto told = sdp::Description::parse(partner_up ? layer_.engine.local_description(partner->endpoint)
                                                       : std::string());
  const bool resumes = told.ok() && holds_sound(*told) && !holds_sound(*offer);
  const bool same = before && same_session(*before, *offer, ends_keys(p)) && !resumes &&
                    !layer_.engine.is_direct(p.endpoint);
  if (same || !partner_up) {
    if (answer_locally(p, *offer)) return update_hold(p);
    layer_.engine.rollback(turn_.now, p.endpoint);
    return p.leg->refuse_offer(turn_, 488);
  }
  relay_offer(p, *partner, *offer);
}

/// Answers out of what the leg knows of us already: nothing changes for the partner but silence or music.
bool CallFlow::answer_locally(Party& p, const sdp::Description& offer) {
  const auto before = layer_.engine.remote_description(p.endpoint);
  const bool same = before && same_session(*before, offer, ends_keys(p));
  auto told = sdp::Description::parse(layer_.engine.local_description(p.endpoint));
  if (!layer_.engine.set_remote(turn_.now, p.endpoint, offer, media::SdpRole::offer).ok()) return false;
  if (!same || !told.ok() || layer_.engine.is_direct(p.endpoint)) {
    auto own = layer_.engine.answer(turn_.now, p.endpoint);
    if (own.ok()) p.leg->answer(turn_, *own);
    return own.ok();
  }
  for (size_t i = 0; i < told->media_count() && i < offer.media_count(); ++i) {
    if (told->media(i).port == 0) continue;
    const sdp::Direction theirs = offer.direction(i);
    told->set_direction(i, sdp::inverted(theirs));
  }
  auto shown = layer_.engine.present(turn_.now, p.endpoint, *told, media::SdpRole::answer);
  if (shown.ok()) p.leg->answer(turn_, *shown);
  return shown.ok();
}

/// Codecs, keys or streams change: the partner has to agree.
void CallFlow::relay_offer(Party& p, Party& partner, const sdp::Description& offer) {
  if (partner.negotiation != Negotiation::none || (partner.sip && partner.sip->offer_in_progress()))
    return p.leg->refuse_offer(turn_, 491);
  if (const auto set = layer_.engine.set_remote(turn_.now, p.endpoint, offer, media::SdpRole::offer);
      !set.ok())
    return p.leg->refuse_offer(turn_, status_of(set.reason()));
  auto shown = present_offer(partner, offer, p.endpoint);
  if (!shown.ok()) {
    layer_.engine.rollback(turn_.now, p.endpoint);
    return p.leg->refuse_offer(turn_, status_of(shown.reason()));
  }
  partner.negotiation = Negotiation::relay;
  partner.negotiation_until = turn_.now.mono + layer_.config.refresh_timeout;
  partner.leg->offer(turn_, *shown);
}

void CallFlow::on_offer_wanted(Party& p) {
  give_way(p);
  Party* partner = party(p.partner);
  auto like = partner ? layer_.engine.remote_description(partner->endpoint) : std::nullopt;
  auto offer = like ? present_offer(p, *like, partner->endpoint) : layer_.engine.offer(turn_.now, p.endpoint);
  if (!offer.ok()) return p.leg->refuse_offer(turn_, status_of(offer.reason()));
  p.negotiation = partner ? Negotiation::match : Negotiation::own;
  p.negotiation_until = Instant::never();
  p.leg->answer(turn_, *offer);
}

void CallFlow::on_answer_body(Party& p, const LegEvent& e) {
  const Negotiation purpose = std::exchange(p.negotiation, Negotiation::none);
  p.negotiation_until = Instant::never();
  Party* partner = party(p.partner);
  auto answer = layer_.counters.read(e.body);
  const bool taken = answer.ok() && fit(p, *answer) &&
                     layer_.engine.set_remote(turn_.now, p.endpoint, *answer, media::SdpRole::answer).ok();
  if (!taken) {
    layer_.counters.bad_sdp.add();
    layer_.engine.rollback(turn_.now, p.endpoint);
    if (purpose == Negotiation::relay && partner) {
      layer_.engine.rollback(turn_.now, partner->endpoint);
      partner->leg->refuse_offer(turn_, 488);
    }
    if (purpose == Negotiation::late || awaits_answer(p))
      release_all(Cause::from_status(488, "Bad session description"));
    return;
  }
  if ((purpose == Negotiation::relay || purpose == Negotiation::late) && partner) {
    auto shown =
        layer_.engine.present(turn_.now, partner->endpoint, *answer, media::SdpRole::answer, p.endpoint);
    if (shown.ok())
      partner->leg->answer(turn_, *shown);
    else
      partner->leg->refuse_offer(turn_, status_of(shown.reason()));
  }
  if (partner) {
    update_hold(*partner);
    update_hold(p);
    if (purpose == Negotiation::match) match(*partner, p, false);
  }
  touch();
  if (awaits_answer(p)) begin_service();
}

void CallFlow::on_offer_refused(Party& p, const LegEvent& e) {
  if (e.by_peer) {  // the peer took its own offer back (CANCEL): so do we
    layer_.engine.rollback(turn_.now, p.endpoint);
    Party* asked = party(p.partner);
    if (!asked || asked->negotiation != Negotiation::relay) return;
    asked->negotiation = Negotiation::none;
    asked->negotiation_until = Instant::never();
    asked->leg->withdraw_offer(turn_);
    return layer_.engine.rollback(turn_.now, asked->endpoint);
  }
  const Negotiation purpose = std::exchange(p.negotiation, Negotiation::none);
  p.negotiation_until = Instant::never();
  layer_.engine.rollback(turn_.now, p.endpoint);
  Party* partner = party(p.partner);
  if (purpose != Negotiation::relay || !partner) return;
  layer_.engine.rollback(turn_.now, partner->endpoint);
  partner->leg->refuse_offer(turn_, e.status >= 400 && e.status < 700 ? e.status : 488);
}

/// Music for whom the other side put on hold; talk again when it is over.
void CallFlow::update_hold(Party& p) {
  if (!layer_.engine.remote_description(p.endpoint)) return;
  p.holds = !sdp::receives(layer_.engine.remote_direction(p.endpoint));
  Party* partner = party(p.partner);
  if (!partner || partner->state != Party::State::up || call_.state == Call::State::transferring) return;
  const bool music =
      wants_music(p) && layer_.config.music_on_hold && !layer_.engine.is_direct(partner->endpoint);
  if (music == partner->music) return;
  partner->music = music;
  if (music)
    play_music(*partner);
  else
    layer_.engine.stop(turn_.now, partner->endpoint);
  event(port::Level::info, music ? "call.held" : "call.resumed", {{"party", partner->user}});
  touch();
}

bool CallFlow::offer_to(Party& p, const Party& like, Negotiation purpose) {
  auto description = layer_.engine.remote_description(like.endpoint);
  if (!description) return false;
  all_sendrecv(*description);
  auto shown = present_offer(p, *description, like.endpoint);
  if (!shown.ok()) return false;
  p.negotiation = purpose;
  p.leg->offer(turn_, *shown);
  return true;
}

/// Two legs that were set up with others talk now: each must send only what the other takes.
/// `first`: nothing has been tried yet between these two; what passes is better than what is decoded.
void CallFlow::match(Party& a, Party& b, bool first) {
  if (a.negotiation != Negotiation::none || b.negotiation != Negotiation::none) return;
  const auto told_a = sdp::Description::parse(layer_.engine.local_description(a.endpoint));
  const auto told_b = sdp::Description::parse(layer_.engine.local_description(b.endpoint));
  const auto takes_a = layer_.engine.remote_description(a.endpoint);
  const auto takes_b = layer_.engine.remote_description(b.endpoint);
  if (!told_a.ok() || !told_b.ok() || !takes_a || !takes_b) return;
  const auto muted = [](const sdp::Description& told, const Party& p) {
    return !p.holds && told.media_count() > 0 && told.media(0).port != 0 &&
           told.direction(0) != sdp::Direction::sendrecv;
  };
  const bool direct = layer_.engine.is_direct(a.endpoint) || layer_.engine.is_direct(b.endpoint);
  const auto astray = [&](const sdp::Description& told, const sdp::Description& other) {
    return direct && !same_places(told, other);
  };
  const Bridging allowed{!transcodes() ? Bridging::Codecs::none
                         : first       ? Bridging::Codecs::of_others
                                       : Bridging::Codecs::any,
                         ends_keys(a) || ends_keys(b)};
  if (!covers(*told_a, *takes_a, *takes_b, allowed) || muted(*told_a, a) || astray(*told_a, *takes_b))
    offer_to(a, b, Negotiation::match);
  else if (!covers(*told_b, *takes_b, *takes_a, allowed) || muted(*told_b, b) || astray(*told_b, *takes_a))
    offer_to(b, a, Negotiation::match);
}

/// A caller who takes somebody's place: answered with what `other` speaks.
bool CallFlow::accept_newcomer(Party& newcomer, Party& other) {
  if (newcomer.state == Party::State::up) return true;
  if (!newcomer.has_sdp) {
    if (!accept_alone(newcomer).ok()) return false;
    newcomer.negotiation = Negotiation::match;
    return true;
  }
  const bool other_up = other.state == Party::State::up;
  auto like = layer_.engine.remote_description(other.endpoint);
  auto theirs = layer_.engine.remote_description(newcomer.endpoint);
  auto shown = Result<std::string, media::Reason>(Failure{media::Reason::no_remote});
  if (other_up && like && theirs &&
      covers(*like, *like, *theirs, {Bridging::Codecs::none, ends_keys(newcomer) || ends_keys(other)})) {
    all_sendrecv(*like);
    shown =
        layer_.engine.present(turn_.now, newcomer.endpoint, *like, media::SdpRole::answer, other.endpoint);
  }
  if (!shown.ok()) shown = layer_.engine.answer(turn_.now, newcomer.endpoint);
  if (!shown.ok() && like)
    shown =
        layer_.engine.present(turn_.now, newcomer.endpoint, *like, media::SdpRole::answer, other.endpoint);
  if (!shown.ok()) return false;
  newcomer.leg->accept(turn_, *shown);
  newcomer.state = Party::State::up;
  return true;
}

/// A caller who talks with us only (features, tones): G.711.
Result<Done, media::Reason> CallFlow::accept_alone(Party& caller) {
  auto body = caller.has_sdp ? layer_.engine.answer(turn_.now, caller.endpoint)
                             : layer_.engine.offer(turn_.now, caller.endpoint);
  if (!body.ok()) return Failure{body.reason()};
  if (!caller.has_sdp) caller.negotiation = Negotiation::own;
  caller.leg->accept(turn_, *body);
  caller.state = Party::State::up;
  return Done{};
}

}  // namespace tandem::call
