#include "media/dtls_lines.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace tandem::media {
namespace {

/// More is no certificate's, but a way to make us compare.
constexpr size_t most_fingerprints = 8;

constexpr std::array<std::string_view, 3> names = {"fingerprint", "setup", "tls-id"};

/// Of the line, else of the session (RFC 8122 section 5, RFC 4145 section 4).
std::optional<std::string_view> value_of(const sdp::Description& d, size_t i, std::string_view name) {
  const auto own = d.attribute(i, name);
  return own ? own : d.attribute(sdp::Description::session, name);
}

bool has_fingerprint(const sdp::Description& d, size_t i) {
  return value_of(d, i, "fingerprint").has_value();
}

bool is_rtp(std::string_view proto) {
  return istarts_with(proto, "RTP/AVP") || istarts_with(proto, "RTP/SAVP") ||
         istarts_with(proto, "UDP/TLS/RTP/SAVP");
}

}  // namespace

bool asks_for_dtls(const sdp::Description& d, size_t i) {
  if (i >= d.media_count()) return false;
  const sdp::MediaLine m = d.media(i);
  if (m.port == 0 || !is_rtp(m.proto)) return false;
  return istarts_with(m.proto, "UDP/TLS/") || has_fingerprint(d, i);
}

std::optional<DtlsLine> dtls_line(const sdp::Description& d, size_t i) {
  if (!asks_for_dtls(d, i)) return std::nullopt;
  DtlsLine out;
  const size_t from = d.has_attribute(i, "fingerprint") ? i : sdp::Description::session;
  for (const std::string_view value : d.attributes(from, "fingerprint"))
    if (const auto f = dtls::Fingerprint::parse(value); f && out.fingerprints.size() < most_fingerprints)
      out.fingerprints.push_back(*f);
  if (out.fingerprints.empty()) return std::nullopt;
  if (const auto setup = value_of(d, i, "setup")) {
    out.held = iequals(*setup, "holdconn");
    out.setup = dtls::parse_setup(*setup);
    if (!out.held && !out.setup) return std::nullopt;
  }
  out.generation = value_of(d, i, "tls-id").value_or("");
  return out;
}

bool DtlsTerms::goes_on_under(const DtlsTerms& next) const {
  // A place that is not said any more (hold by 0.0.0.0) is no other place.
  const bool moved = place && next.place && place != next.place;
  return !moved && (!next.role || role == next.role) && peer == next.peer && generation == next.generation;
}

std::optional<DtlsTerms> agreed_dtls(const sdp::Description& remote, const sdp::Description& local,
                                     size_t i) {
  const auto theirs = dtls_line(remote, i), ours = dtls_line(local, i);
  if (!theirs || !ours) return std::nullopt;
  DtlsTerms out;
  out.peer = theirs->fingerprints;
  out.generation = theirs->generation + ours->fingerprints.front().to_string();
  // Of a leg that ICE connects the place is ICE's matter, and a restart of it begins nothing (RFC 8842
  // section 4).
  const bool connected = value_of(remote, i, "ice-ufrag") && value_of(local, i, "ice-ufrag");
  if (!connected) {
    out.generation += value_of(remote, i, "ice-ufrag").value_or("");
    out.place = remote.rtp_address(i).value_or(SocketAddress{});
  }
  if (theirs->held || ours->held) return out;
  const dtls::Setup we = ours->setup.value_or(dtls::Setup::actpass);
  // Who does not say it waits, when we have left it open (RFC 4145 section 4), and else leaves it to us.
  const dtls::Setup they =
      theirs->setup.value_or(we == dtls::Setup::actpass ? dtls::Setup::passive : dtls::Setup::actpass);
  out.role = dtls::role_from(we, they);
  if (!out.role) return std::nullopt;
  return out;
}

void own_dtls(sdp::Description& d) {
  for (const std::string_view name : names) {
    std::vector<std::string> values;
    for (const std::string_view value : d.attributes(sdp::Description::session, name))
      values.emplace_back(value);
    d.remove_attribute(sdp::Description::session, name);
    for (size_t i = 0; i < d.media_count(); ++i)
      if (d.media(i).port != 0 && !d.has_attribute(i, name))
        for (const std::string& value : values) d.add_attribute(i, name, value);
  }
}

void remove_dtls(sdp::Description& d, size_t i) {
  for (const std::string_view name : names) d.remove_attribute(i, name);
}

void add_dtls(sdp::Description& d, size_t i, const dtls::Fingerprint& ours, std::string_view setup) {
  remove_dtls(d, i);
  d.add_attribute(i, "fingerprint", ours.to_string());
  d.add_attribute(i, "setup", setup);
}

}  // namespace tandem::media
