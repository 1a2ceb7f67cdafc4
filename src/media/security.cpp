#include "media/security.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "media/dtls_lines.h"
#include "rtp/packet.h"
#include "rtp/xr.h"
#include "srtp/sdes.h"

namespace tandem::media {
namespace {

/// What we offer: the one every telephone has, then the strongest (RFC 7714).
constexpr std::array<srtp::Suite, 2> offered = {srtp::Suite::aes_cm_128_hmac_sha1_80,
                                                srtp::Suite::aead_aes_256_gcm};

// Each also with an F at its end (RFC 4585, RFC 5124).
constexpr std::string_view open_profile = "RTP/AVP";
constexpr std::string_view secret_profile = "RTP/SAVP";
constexpr std::string_view dtls_profile = "UDP/TLS/RTP/SAVP";

bool is_open(std::string_view proto) { return istarts_with(proto, open_profile); }
bool is_secret(std::string_view proto) {
  return istarts_with(proto, secret_profile) || istarts_with(proto, dtls_profile);
}

bool is_rtp(const sdp::MediaLine& m) { return m.port != 0 && (is_open(m.proto) || is_secret(m.proto)); }

std::vector<srtp::Crypto> usable(const sdp::Description& d, size_t i) {
  std::vector<srtp::Crypto> out;
  for (const std::string_view value : d.attributes(i, "crypto"))
    if (auto c = srtp::parse_crypto(value); c.ok()) out.push_back(std::move(c).value());
  return out;
}

const srtp::Crypto* with_tag(const std::vector<srtp::Crypto>& in, uint32_t tag, srtp::Suite suite) {
  const auto found = std::find_if(
      in.begin(), in.end(), [&](const srtp::Crypto& c) { return c.tag == tag && c.key.suite() == suite; });
  return found == in.end() ? nullptr : &*found;
}

void set_profile(sdp::Description& d, size_t i, std::string_view profile) {
  const std::string_view proto = d.media(i).proto;
  const bool feedback = !proto.empty() && (proto.back() == 'F' || proto.back() == 'f');
  d.set_proto(i, std::string(profile) + (feedback ? "F" : ""));
}

std::vector<srtp::Crypto> known_keys(const Protection& how, size_t i) {
  const bool spent = i < how.spent.size() && how.spent[i];
  return how.before && !spent && i < how.before->media_count() ? usable(*how.before, i)
                                                               : std::vector<srtp::Crypto>{};
}

void add_crypto(sdp::Description& d, size_t i, uint32_t tag, srtp::Suite suite,
                const std::vector<srtp::Crypto>& known, Rng& rng) {
  const srtp::Crypto* kept = with_tag(known, tag, suite);
  d.add_attribute(i, "crypto",
                  srtp::write_crypto(tag, kept ? kept->key : srtp::MasterKey::generate(suite, rng)));
}

/// As it was keyed before, else as the policy says.
bool prefers_dtls(const Protection& how, size_t i) {
  if (!how.before || i >= how.before->media_count()) return how.keying == SrtpKeying::dtls;
  if (asks_for_dtls(*how.before, i)) return true;
  return usable(*how.before, i).empty() && how.keying == SrtpKeying::dtls;
}

std::optional<dtls::Role> role_of(const Protection& how, size_t i) {
  return i < how.roles.size() ? how.roles[i] : std::nullopt;
}

/// Of an offer: a role there is stays (RFC 8842 section 5.5).
dtls::Setup setup_of(std::optional<dtls::Role> role) {
  if (!role) return dtls::Setup::actpass;
  return *role == dtls::Role::client ? dtls::Setup::active : dtls::Setup::passive;
}

/// One line of an answer. Nothing: there is no association for holdconn to keep.
std::optional<std::string_view> setup_for(const DtlsLine& asked, const sdp::Description& offer,
                                          const Protection& how, size_t i) {
  const auto role = role_of(how, i);
  if (asked.held) return role ? std::optional<std::string_view>("holdconn") : std::nullopt;
  const dtls::Setup theirs = asked.setup.value_or(dtls::Setup::actpass);
  if (theirs != dtls::Setup::actpass) return dtls::to_string(dtls::answer_to(theirs));
  if (role) return dtls::to_string(setup_of(role));
  // Who stands behind a NAT cannot be reached where it says: its ClientHello has to show where it is.
  const auto place = offer.rtp_address(i);
  if (how.signalling && (!place || place->ip != how.signalling)) return dtls::to_string(dtls::Setup::passive);
  return dtls::to_string(dtls::answer_to(theirs));
}

/// RTCP on the port that has the handshake saves the other one.
void add_mux(sdp::Description& d, size_t i) {
  if (!d.has_attribute(i, "rtcp-mux")) d.add_attribute(i, "rtcp-mux");
}

enum class Line : uint8_t { taken, refused, other };

/// A line of the answer to one that asks for DTLS.
Line answer_dtls(sdp::Description& answer, const sdp::Description& offer, const Protection& how, size_t i) {
  const std::string_view proto = offer.media(i).proto;
  const auto asked = dtls_line(offer, i);
  const auto setup = asked && how.policy != Srtp::refused ? setup_for(*asked, offer, how, i) : std::nullopt;
  if (!setup) return istarts_with(proto, dtls_profile) ? Line::refused : Line::other;
  answer.set_proto(i, proto);
  add_dtls(answer, i, how.fingerprint, *setup);
  if (offer.has_attribute(i, "rtcp-mux")) add_mux(answer, i);
  return Line::taken;
}

constexpr uint32_t settled_after =
    100;  // packets under new keys: what is still under way is not the old ones'

}  // namespace

Secured::Secured(const srtp::MasterKey& theirs, const srtp::MasterKey& ours, srtp::Refusals& refusals)
    : refusals_(&refusals), in_(theirs, refusals), out_(ours, refusals) {}

void Secured::replace(const srtp::MasterKey& theirs, const srtp::MasterKey& ours) {
  if (!(theirs == in_.key())) {
    former_.emplace(std::move(in_));
    under_new_ = 0;
    in_ = srtp::Receiver(theirs, *refusals_);
  }
  rekey(theirs, ours);
}

Result<size_t, srtp::Reason> Secured::open_rtp(MutableBytes packet) {
  const auto size = in_.unprotect_rtp(packet, packet.size());
  if (!former_) return size;
  if (!size) return former_->unprotect_rtp(packet, packet.size());
  if (++under_new_ >= settled_after) former_.reset();
  return size;
}

Result<size_t, srtp::Reason> Secured::open_rtcp(MutableBytes packet) {
  const auto size = in_.unprotect_rtcp(packet, packet.size());
  return size || !former_ ? size : former_->unprotect_rtcp(packet, packet.size());
}

void Secured::rekey(const srtp::MasterKey& theirs, const srtp::MasterKey& ours) {
  in_.rekey(theirs);
  if (!out_.rekey(ours)) return;
  shifted_ = false;
  shifts_.clear();
}

uint16_t Secured::shift_of(uint32_t ssrc, uint16_t sequence) {
  const auto known =
      std::find_if(shifts_.begin(), shifts_.end(), [&](const Shift& s) { return s.ssrc == ssrc; });
  if (known != shifts_.end()) return known->by;
  const auto next = out_.next_sequence(ssrc);
  const auto by = static_cast<uint16_t>(next ? *next - sequence : 0);
  shifts_.push_back({ssrc, by});
  return by;
}

Result<size_t, srtp::Reason> Secured::close_rtp(MutableBytes buffer, size_t size) {
  if (shifted_ && size >= rtp::Header::fixed_bytes) {
    const uint16_t sequence = rtp::load16(buffer.data() + 2);
    rtp::store16(buffer.data() + 2,
                 static_cast<uint16_t>(sequence + shift_of(rtp::load32(buffer.data() + 8), sequence)));
  }
  return out_.protect_rtp(buffer, size);
}

void Secured::shift_back(MutableBytes compound) const {
  for (const Shift& s : shifts_) rtp::shift_back(compound, s.ssrc, s.by);
}

bool Secured::restore(Bytes sender, Bytes receiver) {
  shifted_ = true;
  return out_.restore(sender).ok() && in_.restore(receiver).ok();
}

bool is_keyed(const sdp::Description& d, size_t i) {
  return asks_for_dtls(d, i) || (is_rtp(d.media(i)) && !usable(d, i).empty());
}

std::optional<AgreedKeys> agreed_keys(const sdp::Description& remote, const sdp::Description& local,
                                      size_t i) {
  if (i >= remote.media_count() || i >= local.media_count()) return std::nullopt;
  if (!is_rtp(remote.media(i)) || !is_rtp(local.media(i))) return std::nullopt;
  const auto theirs = usable(remote, i);
  for (const srtp::Crypto& ours : usable(local, i))
    if (const srtp::Crypto* c = with_tag(theirs, ours.tag, ours.key.suite()))
      return AgreedKeys{c->key, ours.key};
  return std::nullopt;
}

void lay_open(sdp::Description& d) {
  own_dtls(d);
  for (size_t i = 0; i < d.media_count(); ++i) {
    const sdp::MediaLine m = d.media(i);
    if (!is_open(m.proto) && !is_secret(m.proto)) continue;
    const bool by_dtls = asks_for_dtls(d, i);
    if (!by_dtls && is_secret(m.proto) && usable(d, i).empty() && m.port != 0)
      continue;  // keyed in a way that is not ours
    d.remove_attribute(i, "crypto");
    remove_dtls(d, i);
    // Telephones refuse RTP/AVPF. Sound without a=rtcp-fb loses nothing without the F. And what is encrypted
    // has it because WebRTC demands it: who knows the a=rtcp-fb lines goes by them all the same.
    if (is_secret(m.proto) || (iequals(m.kind, "audio") && !d.has_attribute(i, "rtcp-fb")))
      d.set_proto(i, open_profile);
  }
}

void protect_offer(sdp::Description& offer, const Protection& how, bool secret, Rng& rng) {
  const bool wanted =
      how.policy == Srtp::required || how.policy == Srtp::offered || (how.policy == Srtp::accepted && secret);
  if (how.policy == Srtp::refused) return;
  for (size_t i = 0; i < offer.media_count(); ++i) {
    const sdp::MediaLine m = offer.media(i);
    if (m.port == 0 || !is_open(m.proto)) continue;
    // What is encrypted stays so, whatever has become of the other leg.
    const bool kept = how.before && i < how.before->media_count() && is_keyed(*how.before, i);
    if (!wanted && !kept) continue;
    const bool secret_only = how.policy == Srtp::required || (kept && is_secret(how.before->media(i).proto));
    const bool by_dtls = prefers_dtls(how, i);
    if (by_dtls) {
      add_dtls(offer, i, how.fingerprint, dtls::to_string(setup_of(role_of(how, i))));
      add_mux(offer, i);
    } else {
      const auto known = known_keys(how, i);
      uint32_t tag = 0;
      for (const srtp::Suite suite : offered) add_crypto(offer, i, ++tag, suite, known, rng);
    }
    if (how.webrtc && by_dtls)
      offer.set_proto(i, std::string(dtls_profile) + "F");
    else if (secret_only)
      set_profile(offer, i, by_dtls ? dtls_profile : secret_profile);
  }
}

bool protect_answer(sdp::Description& answer, const sdp::Description& offer, const Protection& how,
                    Rng& rng) {
  bool had = false, left = false;
  for (size_t i = 0; i < std::min(answer.media_count(), offer.media_count()); ++i) {
    if (answer.media(i).port == 0) continue;
    had = true;
    const sdp::MediaLine asked = offer.media(i);
    if (!is_rtp(asked)) {
      left = true;
      continue;
    }
    const Line by_dtls = asks_for_dtls(offer, i) ? answer_dtls(answer, offer, how, i) : Line::other;
    if (by_dtls == Line::taken) {
      left = true;
      continue;
    }
    const auto theirs = usable(offer, i);
    const bool may = how.policy != Srtp::refused && !theirs.empty();
    if (by_dtls == Line::refused || (!may && (is_secret(asked.proto) || how.policy == Srtp::required))) {
      answer.reject_media(i);
      continue;
    }
    left = true;
    answer.set_proto(i, asked.proto);
    if (!may) continue;
    // The first we can use: they stand in the order of preference (RFC 4568 section 5.1.2).
    add_crypto(answer, i, theirs.front().tag, theirs.front().key.suite(), known_keys(how, i), rng);
  }
  return left || !had;
}

bool keeps_protection(const sdp::Description& answer, const sdp::Description& offer) {
  for (size_t i = 0; i < std::min(answer.media_count(), offer.media_count()); ++i) {
    if (answer.media(i).port == 0) continue;
    const std::string_view asked = offer.media(i).proto, said = answer.media(i).proto;
    const bool by_dtls = asks_for_dtls(offer, i);
    if (!by_dtls && asks_for_dtls(answer, i) && istarts_with(said, dtls_profile)) return false;
    if (!is_keyed(offer, i)) continue;
    const bool left = by_dtls ? !asks_for_dtls(answer, i) : answer.attributes(i, "crypto").empty();
    if (!is_secret(asked) && !is_secret(said) && left) continue;  // it was free to leave it
    if (by_dtls ? !agreed_dtls(answer, offer, i).has_value() : !agreed_keys(answer, offer, i).has_value())
      return false;
  }
  return true;
}

bool stays_protected(const sdp::Description& next, const sdp::Description& remote,
                     const sdp::Description& local) {
  const size_t lines = std::min({next.media_count(), remote.media_count(), local.media_count()});
  for (size_t i = 0; i < lines; ++i)
    if (is_keyed(remote, i) && is_keyed(local, i) && is_rtp(next.media(i)) && !is_keyed(next, i))
      return false;
  return true;
}

bool can_protect(const sdp::Description& offer, Srtp policy) {
  bool had = false;
  for (size_t i = 0; i < offer.media_count(); ++i) {
    const sdp::MediaLine m = offer.media(i);
    if (m.port == 0) continue;
    if (!is_rtp(m)) return true;
    had = true;
    const bool keys = (asks_for_dtls(offer, i) && dtls_line(offer, i)) || !usable(offer, i).empty();
    if (keys && policy != Srtp::refused) return true;
    const bool plain = !is_secret(m.proto) && !istarts_with(m.proto, dtls_profile);
    if (plain && policy != Srtp::required) return true;
  }
  return !had;
}

}  // namespace tandem::media
