#include "rtp/rtcp.h"

#include <algorithm>
#include <bit>

#include "rtp/packet.h"

namespace tandem::rtp {
namespace {

constexpr size_t header_bytes = 4;
constexpr size_t sender_bytes = 20;
constexpr size_t block_bytes = 24;

/// Octets of the packet at the front of `b` with its header, or 0 when it does not fit.
size_t packet_bytes(Bytes b) {
  if (b.size() < header_bytes || (b[0] & 0xC0) != 0x80) return 0;
  const size_t size = (size_t{load16(&b[2])} + 1) * 4;
  return size <= b.size() ? size : 0;
}

/// Padding octets of the packet; SIZE_MAX when they are not possible (section 6.4.1: a multiple of four,
/// within the packet).
size_t padding_of(Bytes packet) {
  if ((packet[0] & 0x20) == 0) return 0;
  const size_t padding = packet[packet.size() - 1];
  if (padding == 0 || padding % 4 != 0 || padding > packet.size() - header_bytes) return SIZE_MAX;
  return padding;
}

bool is_rtcp_type(uint8_t type) { return type >= 192 && type <= 223; }

ReportBlock read_block(const uint8_t* p) {
  ReportBlock b;
  b.ssrc = load32(p);
  b.fraction_lost = p[4];
  const uint32_t lost = load32(p + 4) & 0xFFFFFF;
  b.cumulative_lost =
      (lost & 0x800000) != 0 ? static_cast<int32_t>(lost) - 0x1000000 : static_cast<int32_t>(lost);
  b.extended_highest = load32(p + 8);
  b.jitter = load32(p + 12);
  b.last_sr = load32(p + 16);
  b.delay_since_last_sr = load32(p + 20);
  return b;
}

void write_block(uint8_t* p, const ReportBlock& b) {
  store32(p, b.ssrc);
  const int32_t lost = std::clamp(b.cumulative_lost, -0x800000, 0x7FFFFF);
  store32(p + 4, uint32_t{b.fraction_lost} << 24 | (static_cast<uint32_t>(lost) & 0xFFFFFF));
  store32(p + 8, b.extended_highest);
  store32(p + 12, b.jitter);
  store32(p + 16, b.last_sr);
  store32(p + 20, b.delay_since_last_sr);
}

}  // namespace

const char* to_string(RtcpReason r) {
  switch (r) {
    case RtcpReason::too_short:
      return "too_short";
    case RtcpReason::bad_version:
      return "bad_version";
    case RtcpReason::not_rtcp:
      return "not_rtcp";
    case RtcpReason::past_end:
      return "past_end";
    case RtcpReason::bad_padding:
      return "bad_padding";
    case RtcpReason::short_report:
      return "short_report";
    case RtcpReason::short_xr:
      return "short_xr";
    case RtcpReason::xr_past_end:
      return "xr_past_end";
    case RtcpReason::bad_xr_length:
      return "bad_xr_length";
    case RtcpReason::count_:
      break;
  }
  return "unknown";
}

Result<RtcpReader, RtcpReason> RtcpReader::open(Bytes compound, bool encrypted) {
  if (compound.size() < 8) return Failure{RtcpReason::too_short};
  for (Bytes rest = compound; !rest.empty();) {
    if (rest.size() < header_bytes) return Failure{RtcpReason::past_end};
    if ((rest[0] & 0xC0) != 0x80) return Failure{RtcpReason::bad_version};
    if (!is_rtcp_type(rest[1])) return Failure{RtcpReason::not_rtcp};
    if (encrypted) return RtcpReader({});
    const size_t size = packet_bytes(rest);
    if (size == 0) return Failure{RtcpReason::past_end};
    const size_t padding = padding_of(rest.first(size));
    if (padding == SIZE_MAX || (padding != 0 && size != rest.size()))
      return Failure{RtcpReason::bad_padding};  // only the last is padded
    rest = rest.subspan(size);
  }
  return RtcpReader(compound);
}

std::optional<RtcpPacket> RtcpReader::next() {
  const size_t size = packet_bytes(rest_);
  if (size == 0) return std::nullopt;
  const Bytes packet = rest_.first(size);
  rest_ = rest_.subspan(size);
  const size_t padding = padding_of(packet);
  return RtcpPacket{packet[1], static_cast<uint8_t>(packet[0] & 0x1F),
                    packet.subspan(header_bytes, size - header_bytes - padding)};
}

Result<Report, RtcpReason> Report::parse(const RtcpPacket& packet) {
  const bool sr = packet.type == static_cast<uint8_t>(RtcpType::sr);
  const size_t head = 4 + (sr ? sender_bytes : 0);
  if (packet.body.size() < head + packet.count * block_bytes) return Failure{RtcpReason::short_report};
  const uint8_t* p = packet.body.data();
  Report r;
  r.ssrc = load32(p);
  if (sr)
    r.sender = SenderInfo{uint64_t{load32(p + 4)} << 32 | load32(p + 8), load32(p + 12), load32(p + 16),
                          load32(p + 20)};
  r.block_count = packet.count;
  for (size_t i = 0; i < packet.count; ++i) r.blocks[i] = read_block(p + head + i * block_bytes);
  return r;
}

uint64_t ntp_time(WallTime t) {
  constexpr uint64_t unix_epoch = 2'208'988'800;  // seconds from 1900 to 1970
  const auto ns = static_cast<uint64_t>(t.ns);
  const uint64_t seconds = ns / 1'000'000'000 + unix_epoch;
  return seconds << 32 | ((ns % 1'000'000'000) << 32) / 1'000'000'000;
}

size_t write_report(MutableBytes out, uint32_t ssrc, const std::optional<SenderInfo>& sender,
                    const std::optional<ReportBlock>& block, std::string_view cname) {
  cname = cname.substr(0, 64);
  const size_t report = header_bytes + 4 + (sender ? sender_bytes : 0) + (block ? block_bytes : 0);
  const size_t items = 4 + 2 + cname.size() + 1;  // SSRC, CNAME item, the octet that ends the list
  const size_t sdes = header_bytes + (items + 3) / 4 * 4;
  if (out.size() < report + sdes) return 0;
  uint8_t* p = out.data();
  p[0] = static_cast<uint8_t>(0x80 | (block ? 1 : 0));
  p[1] = static_cast<uint8_t>(sender ? RtcpType::sr : RtcpType::rr);
  store16(p + 2, static_cast<uint16_t>(report / 4 - 1));
  store32(p + 4, ssrc);
  p += 8;
  if (sender) {
    store32(p, static_cast<uint32_t>(sender->ntp >> 32));
    store32(p + 4, static_cast<uint32_t>(sender->ntp));
    store32(p + 8, sender->rtp_timestamp);
    store32(p + 12, sender->packets);
    store32(p + 16, sender->octets);
    p += sender_bytes;
  }
  if (block) {
    write_block(p, *block);
    p += block_bytes;
  }
  std::fill_n(p, sdes, uint8_t{0});
  p[0] = 0x81;
  p[1] = static_cast<uint8_t>(RtcpType::sdes);
  store16(p + 2, static_cast<uint16_t>(sdes / 4 - 1));
  store32(p + 4, ssrc);
  p[8] = 1;  // CNAME
  p[9] = static_cast<uint8_t>(cname.size());
  std::copy(cname.begin(), cname.end(), p + 10);
  return report + sdes;
}

size_t write_picture_loss(MutableBytes out, uint32_t sender, uint32_t media) {
  constexpr size_t size = 20;
  if (out.size() < size) return 0;
  uint8_t* p = out.data();
  p[0] = 0x80;
  p[1] = static_cast<uint8_t>(RtcpType::rr);
  store16(p + 2, 1);
  store32(p + 4, sender);
  p[8] = 0x81;  // format 1
  p[9] = static_cast<uint8_t>(RtcpType::psfb);
  store16(p + 10, 2);
  store32(p + 12, sender);
  store32(p + 16, media);
  return size;
}

namespace {

/// One entry of a NACK, a number and a mask of the sixteen behind it, without what is done. False: nothing
/// remains.
bool take_out(uint8_t* entry, uint32_t media, const std::function<bool(uint32_t, uint16_t)>& is_done) {
  const uint16_t first = load16(entry);
  uint32_t asked = 1 | uint32_t{load16(entry + 2)} << 1;
  for (uint16_t n = 0; n <= 16; ++n)
    if ((asked >> n & 1) != 0 && is_done(media, static_cast<uint16_t>(first + n))) asked &= ~(1U << n);
  if (asked == 0) return false;
  const int ahead = std::countr_zero(asked);
  store16(entry, static_cast<uint16_t>(first + ahead));
  store16(entry + 2, static_cast<uint16_t>(asked >> ahead >> 1));
  return true;
}

}  // namespace

size_t take_out_nacks(MutableBytes compound, const std::function<bool(uint32_t, uint16_t)>& is_done) {
  constexpr size_t sources = header_bytes + 8;  // sender and media source
  size_t kept = 0;
  for (size_t at = 0, size = 0; at < compound.size(); at += size) {
    size = packet_bytes(Bytes(compound).subspan(at));
    if (size == 0) return compound.size();
    uint8_t* p = compound.data() + at;
    size_t left = size;
    const bool nack = p[1] == static_cast<uint8_t>(RtcpType::rtpfb) && (p[0] & 0x3F) == 1;
    if (nack && size >= sources) {
      left = sources;
      for (size_t entry = sources; entry + 4 <= size; entry += 4)
        if (take_out(p + entry, load32(p + 8), is_done)) {
          std::copy_n(p + entry, 4, p + left);
          left += 4;
        }
      if (left == sources) left = 0;
      if (left > 0) store16(p + 2, static_cast<uint16_t>(left / 4 - 1));
    }
    std::copy_n(p, left, compound.data() + kept);
    kept += left;
  }
  // A header without a sender may have stood before a NACK, but says nothing alone.
  return RtcpReader::open(Bytes(compound).first(kept)) ? kept : 0;
}

}  // namespace tandem::rtp
