#pragma once
// RTCP compound packets (RFC 3550 section 6, RFC 4585, RFC 5506): read for statistics, written for streams of
// our own.
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "rtp/rtcp_reason.h"

namespace tandem::rtp {

enum class RtcpType : uint8_t {
  sr = 200,
  rr = 201,
  sdes = 202,
  bye = 203,
  app = 204,
  rtpfb = 205,  // RFC 4585
  psfb = 206,
  xr = 207,  // RFC 3611
};

/// One packet of a compound; `body` is what follows the four octets of its header, padding taken off.
struct RtcpPacket {
  uint8_t type = 0;
  uint8_t count = 0;  // report count, source count or feedback format
  Bytes body;
};

/// Walks a compound with every length checked first.
class RtcpReader {
 public:
  /// Refused when the first header is wrong or any length does not add up (RFC 3550 A.2, reduced size
  /// allowed). `encrypted` (SRTCP): only the first header is in the clear, and only it is checked.
  static Result<RtcpReader, RtcpReason> open(Bytes compound, bool encrypted = false);
  std::optional<RtcpPacket> next();

 private:
  explicit RtcpReader(Bytes rest) : rest_(rest) {}
  Bytes rest_;
};

/// RFC 3550 section 6.4.1.
struct ReportBlock {
  uint32_t ssrc = 0;
  uint8_t fraction_lost = 0;    // in 1/256
  int32_t cumulative_lost = 0;  // 24 bits, signed
  uint32_t extended_highest = 0;
  uint32_t jitter = 0;               // timestamp units
  uint32_t last_sr = 0;              // middle 32 bits of the SR's NTP time; 0: none
  uint32_t delay_since_last_sr = 0;  // 1/65536 s
};

struct SenderInfo {
  uint64_t ntp = 0;  // 32.32 fixed point since 1900
  uint32_t rtp_timestamp = 0;
  uint32_t packets = 0;
  uint32_t octets = 0;
};

/// SR or RR (RFC 3550 sections 6.4.1, 6.4.2).
struct Report {
  uint32_t ssrc = 0;
  std::optional<SenderInfo> sender;
  uint8_t block_count = 0;
  std::array<ReportBlock, 31> blocks;

  /// Of a packet whose type is one of the two.
  static Result<Report, RtcpReason> parse(const RtcpPacket& packet);
};

/// 32.32 fixed point NTP time (seconds since 1900).
uint64_t ntp_time(WallTime t);
/// The middle 32 bits, as in LSR and for round trips.
constexpr uint32_t ntp_middle(uint64_t ntp) { return static_cast<uint32_t>(ntp >> 16); }

/// Appends SR (with `sender`) or RR with at most one block, then SDES CNAME (section 6.5). Octets written; 0
/// when `out` is too small (136 octets suffice for a CNAME of 64).
size_t write_report(MutableBytes out, uint32_t ssrc, const std::optional<SenderInfo>& sender,
                    const std::optional<ReportBlock>& block, std::string_view cname);

/// Takes out of the generic NACKs (RFC 4585 section 6.2.1) of a compound that RtcpReader::open() has taken
/// what `is_done(media source, sequence number)` says of; what remains is a compound again. Its size; 0:
/// nothing remains.
size_t take_out_nacks(MutableBytes compound, const std::function<bool(uint32_t, uint16_t)>& is_done);

/// An RR without blocks and a Picture Loss Indication (RFC 4585 section 6.3.1): the encoder of `media` is
/// asked for a whole picture. 20 octets, or 0 when `out` is too small.
size_t write_picture_loss(MutableBytes out, uint32_t sender, uint32_t media);

}  // namespace tandem::rtp
