#include "media/ice_lines.h"

#include <algorithm>
#include <array>

namespace tandem::media {
namespace {

constexpr std::array<std::string_view, 9> names = {"ice-ufrag",         "ice-pwd",           "ice-options",
                                                   "ice-lite",          "ice-mismatch",      "ice-pacing",
                                                   "end-of-candidates", "remote-candidates", "candidate"};

ice::Description read(const sdp::Description& d, size_t section, ice::Troubles& troubles) {
  ice::Description out;
  for (const std::string_view name : names)
    for (const std::string_view value : d.attributes(section, name))
      if (const auto done = read_attribute(out, name, value); !done) troubles.add(done.reason());
  return out;
}

std::optional<ice::Description> with_credentials(const sdp::Description& d, size_t i,
                                                 ice::Troubles& troubles) {
  if (i >= d.media_count() || d.media(i).port == 0) return std::nullopt;
  ice::Description out = read(d, i, troubles);
  out.inherit(read(d, sdp::Description::session, troubles));
  if (!out.credentials.valid()) return std::nullopt;
  return out;
}

/// Port 9 and 0.0.0.0 stand for candidates that are still to come (RFC 8840 section 4.1.1). A name cannot be
/// compared, nor the address of an active TCP candidate.
bool fits(const ice::Description& said, const sdp::Description& d, size_t i) {
  const auto place = d.rtp_address(i);
  if (!place || said.candidates.empty()) return true;
  return std::any_of(said.candidates.begin(), said.candidates.end(), [&](const ice::Candidate& c) {
    return !c.name.empty() || (c.component == 1 && c.address == *place);
  });
}

}  // namespace

std::optional<ice::Description> ice_line(const sdp::Description& d, size_t i, ice::Troubles& troubles) {
  auto out = with_credentials(d, i, troubles);
  if (!out || out->mismatch || !fits(*out, d, i)) return std::nullopt;
  return out;
}

bool ice_mismatch(const sdp::Description& d, size_t i, ice::Troubles& troubles) {
  const auto said = with_credentials(d, i, troubles);
  return said && !said->mismatch && !fits(*said, d, i);
}

void add_ice(sdp::Description& d, size_t i, const ice::Description& ours) {
  for (const ice::Attribute& a : to_attributes(ours)) {
    const bool of_session = a.name == "ice-lite" || a.name == "ice-pacing";
    if (of_session && d.has_attribute(sdp::Description::session, a.name)) continue;
    d.add_attribute(of_session ? sdp::Description::session : i, a.name, a.value);
  }
}

}  // namespace tandem::media
