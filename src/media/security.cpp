#include "media/security.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "rtp/packet.h"
#include "srtp/sdes.h"

namespace tandem::media {
namespace {

/// What we offer: the one every telephone has, then the strongest (RFC 7714).
constexpr std::array<srtp::Suite, 2> offered = {srtp::Suite::aes_cm_128_hmac_sha1_80,
                                                srtp::Suite::aead_aes_256_gcm};

constexpr std::string_view open_profile = "RTP/AVP";     // and RTP/AVPF
constexpr std::string_view secret_profile = "RTP/SAVP";  // and RTP/SAVPF

bool is_open(std::string_view proto) { return istarts_with(proto, open_profile); }
bool is_secret(std::string_view proto) { return istarts_with(proto, secret_profile); }

bool is_rtp(const sdp::MediaLine& m) { return m.port != 0 && (is_open(m.proto) || is_secret(m.proto)); }

/// RTP/SAVP with a fingerprint is how some ask for DTLS.
bool has_dtls(const sdp::Description& d, size_t i) {
  return d.has_attribute(i, "fingerprint") || d.has_attribute(sdp::Description::session, "fingerprint");
}

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

void set_profile(sdp::Description& d, size_t i, bool secret) {
  const std::string_view proto = d.media(i).proto;
  if (is_secret(proto) == secret) return;
  const bool feedback = !proto.empty() && (proto.back() == 'F' || proto.back() == 'f');
  d.set_proto(i, std::string(secret ? secret_profile : open_profile) + (feedback ? "F" : ""));
}

std::vector<srtp::Crypto> known_keys(const sdp::Description* before, size_t i) {
  return before && i < before->media_count() ? usable(*before, i) : std::vector<srtp::Crypto>{};
}

void add_crypto(sdp::Description& d, size_t i, uint32_t tag, srtp::Suite suite,
                const std::vector<srtp::Crypto>& known, Rng& rng) {
  const srtp::Crypto* kept = with_tag(known, tag, suite);
  d.add_attribute(i, "crypto",
                  srtp::write_crypto(tag, kept ? kept->key : srtp::MasterKey::generate(suite, rng)));
}

}  // namespace

Secured::Secured(const srtp::MasterKey& theirs, const srtp::MasterKey& ours, srtp::Refusals& refusals)
    : in_(theirs, refusals), out_(ours, refusals) {}

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

bool Secured::restore(Bytes sender, Bytes receiver) {
  shifted_ = true;
  return out_.restore(sender).ok() && in_.restore(receiver).ok();
}

bool is_keyed(const sdp::Description& d, size_t i) {
  return is_rtp(d.media(i)) && !has_dtls(d, i) && !usable(d, i).empty();
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
  for (size_t i = 0; i < d.media_count(); ++i) {
    const sdp::MediaLine m = d.media(i);
    if ((!is_open(m.proto) && !is_secret(m.proto)) || has_dtls(d, i)) continue;
    if (is_secret(m.proto) && usable(d, i).empty() && m.port != 0)
      continue;  // keyed in a way that is not ours
    d.remove_attribute(i, "crypto");
    set_profile(d, i, false);
  }
}

void protect_offer(sdp::Description& offer, Srtp policy, bool secret, const sdp::Description* before,
                   Rng& rng) {
  const bool wanted =
      policy == Srtp::required || policy == Srtp::offered || (policy == Srtp::accepted && secret);
  if (!wanted) return;
  for (size_t i = 0; i < offer.media_count(); ++i) {
    const sdp::MediaLine m = offer.media(i);
    if (m.port == 0 || !is_open(m.proto)) continue;
    const auto known = known_keys(before, i);
    uint32_t tag = 0;
    for (const srtp::Suite suite : offered) add_crypto(offer, i, ++tag, suite, known, rng);
    set_profile(offer, i, policy == Srtp::required);
  }
}

bool protect_answer(sdp::Description& answer, const sdp::Description& offer, Srtp policy,
                    const sdp::Description* before, Rng& rng) {
  bool had = false, left = false;
  for (size_t i = 0; i < std::min(answer.media_count(), offer.media_count()); ++i) {
    if (answer.media(i).port == 0) continue;
    had = true;
    const sdp::MediaLine asked = offer.media(i);
    if (!is_rtp(asked) || has_dtls(offer, i)) {
      left = true;
      continue;
    }
    const auto theirs = usable(offer, i);
    const bool may = policy != Srtp::refused && !theirs.empty();
    if (!may && (is_secret(asked.proto) || policy == Srtp::required)) {
      answer.reject_media(i);
      continue;
    }
    left = true;
    set_profile(answer, i, is_secret(asked.proto));
    if (!may) continue;
    // The first we can use: they stand in the order of preference (RFC 4568 section 5.1.2).
    add_crypto(answer, i, theirs.front().tag, theirs.front().key.suite(), known_keys(before, i), rng);
  }
  return left || !had;
}

bool keeps_protection(const sdp::Description& answer, const sdp::Description& offer) {
  for (size_t i = 0; i < std::min(answer.media_count(), offer.media_count()); ++i) {
    if (answer.media(i).port == 0 || !is_keyed(offer, i)) continue;
    if (!is_secret(offer.media(i).proto) && !is_secret(answer.media(i).proto) &&
        answer.attributes(i, "crypto").empty())
      continue;  // it was free to leave it
    if (!agreed_keys(answer, offer, i)) return false;
  }
  return true;
}

}  // namespace tandem::media
