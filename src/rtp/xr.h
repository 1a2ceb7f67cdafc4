#pragma once
// RTCP extended reports (RFC 3611): the blocks a telephone sends, read and written.
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "rtp/rtcp.h"

namespace tandem::rtp {

enum class XrType : uint8_t {
  loss_rle = 1,
  duplicate_rle = 2,
  receipt_times = 3,
  receiver_reference_time = 4,
  dlrr = 5,
  statistics_summary = 6,
  voip_metrics = 7,
};

/// One report block (section 3); `body` is what follows its four octets.
///
///    |      BT       | type-specific |         block length          |
struct XrBlock {
  uint8_t type = 0;
  uint8_t specific = 0;
  Bytes body;
};

/// Walks the blocks of an XR packet with every length checked first; block types nobody knows here are
/// walked too.
class XrReader {
 public:
  static Result<XrReader, RtcpReason> open(const RtcpPacket& packet);
  uint32_t ssrc() const { return ssrc_; }
  std::optional<XrBlock> next();

 private:
  XrReader(uint32_t ssrc, Bytes rest) : ssrc_(ssrc), rest_(rest) {}
  uint32_t ssrc_;
  Bytes rest_;
};

/// Section 4.4: NTP time of the sender of the block.
Result<uint64_t, RtcpReason> read_reference_time(const XrBlock& block);

/// Section 4.5: when the last receiver reference time of `ssrc` came.
struct Dlrr {
  uint32_t ssrc = 0;
  uint32_t last_rr = 0;              // middle 32 bits of it; 0: none came
  uint32_t delay_since_last_rr = 0;  // 1/65536 s
};
/// How many a DLRR block holds.
Result<size_t, RtcpReason> count_dlrr(const XrBlock& block);
/// The one at `i`, less than that.
Dlrr read_dlrr(const XrBlock& block, size_t i);

/// Section 4.7.
struct VoipMetrics {
  static constexpr uint8_t unavailable = 127;  // of levels, RERL, R and MOS
  static constexpr uint8_t gap_distance = 16;  // Gmin recommended (section 4.7.2)

  uint32_t ssrc = 0;
  uint8_t loss_rate = 0;     // 1/256, as are the densities
  uint8_t discard_rate = 0;  // by the jitter buffer
  uint8_t burst_density = 0;
  uint8_t gap_density = 0;
  uint16_t burst_duration_ms = 0;  // mean
  uint16_t gap_duration_ms = 0;
  uint16_t round_trip_ms = 0;
  uint16_t end_system_delay_ms = 0;
  int8_t signal_level = unavailable;  // dBm0
  int8_t noise_level = unavailable;
  uint8_t residual_echo_return_loss = unavailable;  // dB
  uint8_t gmin = gap_distance;
  uint8_t r_factor = unavailable;  // 0..100
  uint8_t external_r_factor = unavailable;
  uint8_t mos_lq = unavailable;  // 10..50: times 10, of listening
  uint8_t mos_cq = unavailable;  // of conversation
  uint8_t receiver_config = 0;   // concealment, kind and rate of the jitter buffer
  uint16_t jitter_buffer_ms = 0;
  uint16_t jitter_buffer_max_ms = 0;      // at the present delay
  uint16_t jitter_buffer_abs_max_ms = 0;  // ever

  static Result<VoipMetrics, RtcpReason> parse(const XrBlock& block);
};

/// Receiver configuration octet (section 4.7.6): how losses are concealed, and an adaptive jitter buffer.
inline constexpr uint8_t standard_concealment = 3 << 6;
inline constexpr uint8_t adaptive_jitter_buffer = 3 << 4;

/// What write_xr() puts into one packet.
struct XrContents {
  std::optional<uint64_t> reference_time;  // NTP
  std::optional<Dlrr> dlrr;
  std::optional<VoipMetrics> metrics;
};
/// Octets written; 0 when `out` is too small (72 suffice), or there is nothing to say.
size_t write_xr(MutableBytes out, uint32_t ssrc, const XrContents& contents);

/// Our sequence numbers to a receiver are `ahead` of the sender's own, or behind when it is negative; in what
/// the receiver reports of `ssrc` they become the sender's again, where they stand: report blocks (RFC 3550
/// section 6.4), generic NACK (RFC 4585 section 6.2.1), and the XR blocks that name sequence numbers (RFC
/// 3611 sections 4.1 to 4.3, 4.6). `compound` is one that RtcpReader::open() has taken.
void shift_back(MutableBytes compound, uint32_t ssrc, int32_t ahead);

/// Whoever is `from` in such a compound, as a sender, as what is reported about, or by its CNAME, becomes
/// `to`. But a BYE stays who it is: his stream ends, not the other. FIR, REMB and their like keep what they
/// list.
void rename_source(MutableBytes compound, uint32_t from, uint32_t to);

/// What becomes of a source's sender information (RFC 3550 section 6.4.1) where its packets go on in a stream
/// whose timestamps are `ahead` of its own, and that has sent more than it has.
struct SenderStamp {
  uint32_t ahead = 0;
  uint32_t packets = 0;
  uint32_t octets = 0;
};
void restamp_sender(MutableBytes compound, uint32_t ssrc, const SenderStamp& stamp);

}  // namespace tandem::rtp
