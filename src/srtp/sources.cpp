// The table of SSRCs, and its packed record:
//
//    | version (8) | kind (8) | count (16) | first SRTCP index (32) |
//    then for each SSRC, 48 octets:
//    | SSRC (32) | flags (16): 1 has RTP, 2 has RTCP |
//    | ROC (32) | highest sequence (16) | RTP window (128) |
//    | SRTCP index (32) | RTCP window (128) |
//
// Big endian; bit n of a window is the index n below the highest.
#include <algorithm>

#include "rtp/packet.h"
#include "srtp/context.h"

namespace tandem::srtp {
namespace {

using rtp::load16;
using rtp::load32;
using rtp::store16;
using rtp::store32;

constexpr uint8_t version = 1;
constexpr size_t head_octets = 8;
constexpr size_t source_octets = 48;
constexpr uint16_t has_rtp = 1;
constexpr uint16_t has_rtcp = 2;

void store64(uint8_t* p, uint64_t v) {
  store32(p, static_cast<uint32_t>(v >> 32));
  store32(p + 4, static_cast<uint32_t>(v));
}
uint64_t load64(const uint8_t* p) { return uint64_t{load32(p)} << 32 | load32(p + 4); }

void pack_source(const Source& s, uint8_t* p) {
  store32(p, s.ssrc);
  store16(p + 4, static_cast<uint16_t>((s.rtp.empty() ? 0 : has_rtp) | (s.rtcp.empty() ? 0 : has_rtcp)));
  store32(p + 6, static_cast<uint32_t>(s.rtp.highest() >> 16));
  store16(p + 10, static_cast<uint16_t>(s.rtp.highest()));
  store64(p + 12, s.rtp.bits()[1]);
  store64(p + 20, s.rtp.bits()[0]);
  store32(p + 28, static_cast<uint32_t>(s.rtcp.highest()));
  store64(p + 32, s.rtcp.bits()[1]);
  store64(p + 40, s.rtcp.bits()[0]);
}

/// Nothing when the flags make no sense.
std::optional<Source> unpack_source(const uint8_t* p) {
  Source s;
  s.ssrc = load32(p);
  const uint16_t flags = load16(p + 4);
  const uint64_t rtcp_index = load32(p + 28);
  if (flags == 0 || flags > (has_rtp | has_rtcp) || rtcp_index >> 31 != 0) return std::nullopt;
  if ((flags & has_rtp) != 0)
    s.rtp.restore(uint64_t{load32(p + 6)} << 16 | load16(p + 10), {load64(p + 20), load64(p + 12)});
  if ((flags & has_rtcp) != 0) s.rtcp.restore(rtcp_index, {load64(p + 40), load64(p + 32)});
  return s;
}

}  // namespace

Source* Sources::find(uint32_t ssrc) {
  if (last_ < all_.size() && all_[last_].ssrc == ssrc) return &all_[last_];
  for (size_t i = 0; i < all_.size(); ++i) {
    if (all_[i].ssrc == ssrc) {
      last_ = i;
      return &all_[i];
    }
  }
  return nullptr;
}

Source& Sources::add(uint32_t ssrc) {
  all_.emplace_back().ssrc = ssrc;
  last_ = all_.size() - 1;
  return all_.back();
}

std::string Sources::pack(char kind) const {
  std::string record(head_octets + all_.size() * source_octets, '\0');
  auto* p = reinterpret_cast<uint8_t*>(record.data());
  p[0] = version;
  p[1] = static_cast<uint8_t>(kind);
  store16(p + 2, static_cast<uint16_t>(all_.size()));
  store32(p + 4, static_cast<uint32_t>(first_rtcp_index));
  for (size_t i = 0; i < all_.size(); ++i) pack_source(all_[i], p + head_octets + i * source_octets);
  return record;
}

Status<RecordReason> Sources::unpack(Bytes record, char kind) {
  if (record.size() < head_octets) return Failure{RecordReason::malformed};
  if (record[0] != version) return Failure{RecordReason::unknown_version};
  if (record[1] != static_cast<uint8_t>(kind)) return Failure{RecordReason::other_direction};
  const size_t count = load16(record.data() + 2);
  if (record.size() != head_octets + count * source_octets) return Failure{RecordReason::malformed};
  if (count > limit_) return Failure{RecordReason::too_many_sources};
  std::vector<Source> restored;
  restored.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const auto source = unpack_source(record.data() + head_octets + i * source_octets);
    const auto same = [&](const Source& s) { return s.ssrc == source->ssrc; };
    if (!source || std::any_of(restored.begin(), restored.end(), same))
      return Failure{RecordReason::malformed};
    restored.push_back(*source);
  }
  all_ = std::move(restored);
  first_rtcp_index = load32(record.data() + 4);
  last_ = 0;
  return Done{};
}

}  // namespace tandem::srtp
