#pragma once
// BUNDLE (RFC 9143): m-lines of a leg that share the port of one of them, the tag. Each keeps a flow of its
// own (statistics, rewriting, where it leads); keys, source and ICE are the tag's. Inside the room.
#include <array>
#include <cstdint>
#include <vector>

#include "sdp/description.h"

namespace tandem::media {

/// Whether line `i` is one of these, and not the first: it has no port of its own.
bool joins(const std::vector<size_t>& lines, size_t i);

struct Bundle {
  static constexpr uint8_t nobody = UINT8_MAX;

  std::vector<size_t> lines;                      // the tag first
  std::array<uint8_t, 128> by_payload_type = {};  // m-line
  struct Source {
    uint32_t ssrc;
    uint8_t line;
  };
  std::vector<Source> sources;  // as the leg's description names them
  std::vector<Source> told;     // as ours does to the leg

  size_t tag() const { return lines.front(); }
  bool joins(size_t i) const { return media::joins(lines, i); }
  /// Whose packet that is, or nobody's (section 9.2). We take part in no MID extension: it is the lines'
  /// payload types, which differ, or SSRCs that tell.
  uint8_t line_of(uint32_t ssrc, uint8_t payload_type) const;
};

/// Named SSRCs known of a bundle, each way; what is named past that goes by its payload type.
inline constexpr size_t most_sources = 64;

/// Gives the lines of a group what only one of them says for all: address (of bundle-only lines), rtcp-mux,
/// and who DTLS is with.
void spread_bundle(sdp::Description& d);
/// Lines that both put into their first BUNDLE group and that can share a port here, in the order of
/// `remote`: RTP with rtcp-mux and without a=crypto. Fewer than two: none.
std::vector<size_t> agreed_bundle(const sdp::Description& remote, const sdp::Description& local);
/// Lines of an offer that an answer with `local`'s ports may bundle; one is enough for the answer to say so.
std::vector<size_t> may_bundle(const sdp::Description& offer, const sdp::Description& local);
/// Takes out what has a meaning only while lines are bundled as they were: MID and transport-wide sequence
/// numbers.
void remove_bundle_extensions(sdp::Description& d);
/// a=group:BUNDLE over those lines, by their a=mid.
void add_group(sdp::Description& d, const std::vector<size_t>& lines);
/// Gives line `i` the a=mid of that line in `of`; takes it away when there is none.
void take_mid(sdp::Description& d, size_t i, const sdp::Description& of);

}  // namespace tandem::media
