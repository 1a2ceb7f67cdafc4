#include "rtp/xr.h"

#include <algorithm>

#include "rtp/packet.h"

namespace tandem::rtp {
namespace {

constexpr size_t header_bytes = 4;
constexpr size_t dlrr_bytes = 12;
constexpr size_t metrics_bytes = 32;

/// Octets of the block at the front with its header, or 0 when it does not fit.
size_t block_bytes(Bytes b) {
  if (b.size() < header_bytes) return 0;
  const size_t size = (size_t{load16(&b[2])} + 1) * 4;
  return size <= b.size() ? size : 0;
}

uint8_t* write_header(uint8_t* p, XrType type, size_t body) {
  p[0] = static_cast<uint8_t>(type);
  p[1] = 0;
  store16(p + 2, static_cast<uint16_t>(body / 4));
  return p + header_bytes;
}

uint8_t* write_metrics(uint8_t* p, const VoipMetrics& m) {
  p = write_header(p, XrType::voip_metrics, metrics_bytes);
  store32(p, m.ssrc);
  p[4] = m.loss_rate;
  p[5] = m.discard_rate;
  p[6] = m.burst_density;
  p[7] = m.gap_density;
  store16(p + 8, m.burst_duration_ms);
  store16(p + 10, m.gap_duration_ms);
  store16(p + 12, m.round_trip_ms);
  store16(p + 14, m.end_system_delay_ms);
  p[16] = static_cast<uint8_t>(m.signal_level);
  p[17] = static_cast<uint8_t>(m.noise_level);
  p[18] = m.residual_echo_return_loss;
  p[19] = m.gmin;
  p[20] = m.r_factor;
  p[21] = m.external_r_factor;
  p[22] = m.mos_lq;
  p[23] = m.mos_cq;
  p[24] = m.receiver_config;
  p[25] = 0;
  store16(p + 26, m.jitter_buffer_ms);
  store16(p + 28, m.jitter_buffer_max_ms);
  store16(p + 30, m.jitter_buffer_abs_max_ms);
  return p + metrics_bytes;
}

void shift16(uint8_t* p, uint16_t ahead) { store16(p, static_cast<uint16_t>(load16(p) - ahead)); }

/// `blocks` report blocks at `p`. A receiver that began anew with the jump has counted no wraps before it.
void shift_reports(uint8_t* p, size_t blocks, uint32_t ssrc, int32_t ahead) {
  for (size_t i = 0; i < blocks; ++i, p += 24) {
    if (load32(p) != ssrc) continue;
    const int64_t highest = int64_t{load32(p + 8)} - ahead;
    store32(p + 8, highest >= 0 ? static_cast<uint32_t>(highest) : static_cast<uint16_t>(highest));
  }
}

void shift_xr(uint8_t* p, Bytes body, uint32_t ssrc, uint16_t ahead) {
  for (size_t at = 4; at < body.size();) {
    const size_t size = block_bytes(body.subspan(at));
    if (size == 0) return;
    const auto type = static_cast<XrType>(body[at]);
    const bool ranged = type == XrType::loss_rle || type == XrType::duplicate_rle ||
                        type == XrType::receipt_times || type == XrType::statistics_summary;
    if (ranged && size >= 12 && load32(&body[at + 4]) == ssrc) {
      shift16(p + at + 8, ahead);   // begin_seq
      shift16(p + at + 10, ahead);  // end_seq
    }
    at += size;
  }
}

void rename(uint8_t* p, uint32_t from, uint32_t to) {
  if (load32(p) == from) store32(p, to);
}

/// Chunks of an SDES (RFC 3550 section 6.5): a source, items, and zeros up to the next word.
void rename_chunks(uint8_t* p, Bytes body, uint32_t from, uint32_t to) {
  for (size_t at = 0; at + 4 <= body.size();) {
    rename(p + at, from, to);
    at += 4;
    while (at + 1 < body.size() && body[at] != 0) at += size_t{2} + body[at + 1];
    at = (at / 4 + 1) * 4;
  }
}

void rename_in_xr(uint8_t* p, Bytes body, uint32_t from, uint32_t to) {
  for (size_t at = 4; at < body.size();) {
    const size_t size = block_bytes(body.subspan(at));
    if (size == 0) return;
    const auto type = static_cast<XrType>(body[at]);
    if (type == XrType::dlrr) {
      for (size_t sub = header_bytes; sub + dlrr_bytes <= size; sub += dlrr_bytes)
        rename(p + at + sub, from, to);
    } else if (type != XrType::receiver_reference_time && size >= header_bytes + 4) {
      rename(p + at + header_bytes, from, to);
    }
    at += size;
  }
}

}  // namespace

Result<XrReader, RtcpReason> XrReader::open(const RtcpPacket& packet) {
  if (packet.body.size() < 4) return Failure{RtcpReason::short_xr};
  const Bytes blocks = packet.body.subspan(4);
  for (Bytes rest = blocks; !rest.empty();) {
    const size_t size = block_bytes(rest);
    if (size == 0) return Failure{RtcpReason::xr_past_end};
    rest = rest.subspan(size);
  }
  return XrReader(load32(packet.body.data()), blocks);
}

std::optional<XrBlock> XrReader::next() {
  const size_t size = block_bytes(rest_);
  if (size == 0) return std::nullopt;
  const XrBlock block{rest_[0], rest_[1], rest_.subspan(header_bytes, size - header_bytes)};
  rest_ = rest_.subspan(size);
  return block;
}

Result<uint64_t, RtcpReason> read_reference_time(const XrBlock& block) {
  if (block.body.size() != 8) return Failure{RtcpReason::bad_xr_length};
  return uint64_t{load32(block.body.data())} << 32 | load32(&block.body[4]);
}

Result<size_t, RtcpReason> count_dlrr(const XrBlock& block) {
  if (block.body.size() % dlrr_bytes != 0) return Failure{RtcpReason::bad_xr_length};
  return block.body.size() / dlrr_bytes;
}

Dlrr read_dlrr(const XrBlock& block, size_t i) {
  const uint8_t* p = block.body.data() + i * dlrr_bytes;
  return {load32(p), load32(p + 4), load32(p + 8)};
}

Result<VoipMetrics, RtcpReason> VoipMetrics::parse(const XrBlock& block) {
  if (block.body.size() != metrics_bytes) return Failure{RtcpReason::bad_xr_length};
  const uint8_t* p = block.body.data();
  VoipMetrics m;
  m.ssrc = load32(p);
  m.loss_rate = p[4];
  m.discard_rate = p[5];
  m.burst_density = p[6];
  m.gap_density = p[7];
  m.burst_duration_ms = load16(p + 8);
  m.gap_duration_ms = load16(p + 10);
  m.round_trip_ms = load16(p + 12);
  m.end_system_delay_ms = load16(p + 14);
  m.signal_level = static_cast<int8_t>(p[16]);
  m.noise_level = static_cast<int8_t>(p[17]);
  m.residual_echo_return_loss = p[18];
  m.gmin = p[19];
  m.r_factor = p[20];
  m.external_r_factor = p[21];
  m.mos_lq = p[22];
  m.mos_cq = p[23];
  m.receiver_config = p[24];
  m.jitter_buffer_ms = load16(p + 26);
  m.jitter_buffer_max_ms = load16(p + 28);
  m.jitter_buffer_abs_max_ms = load16(p + 30);
  return m;
}

size_t write_xr(MutableBytes out, uint32_t ssrc, const XrContents& c) {
  const size_t blocks = (c.reference_time ? header_bytes + 8 : 0) + (c.dlrr ? header_bytes + dlrr_bytes : 0) +
                        (c.metrics ? header_bytes + metrics_bytes : 0);
  const size_t size = 8 + blocks;
  if (blocks == 0 || out.size() < size) return 0;
  uint8_t* p = out.data();
  p[0] = 0x80;
  p[1] = static_cast<uint8_t>(RtcpType::xr);
  store16(p + 2, static_cast<uint16_t>(size / 4 - 1));
  store32(p + 4, ssrc);
  p += 8;
  if (c.reference_time) {
    p = write_header(p, XrType::receiver_reference_time, 8);
    store32(p, static_cast<uint32_t>(*c.reference_time >> 32));
    store32(p + 4, static_cast<uint32_t>(*c.reference_time));
    p += 8;
  }
  if (c.dlrr) {
    p = write_header(p, XrType::dlrr, dlrr_bytes);
    store32(p, c.dlrr->ssrc);
    store32(p + 4, c.dlrr->last_rr);
    store32(p + 8, c.dlrr->delay_since_last_rr);
    p += dlrr_bytes;
  }
  if (c.metrics) write_metrics(p, *c.metrics);
  return size;
}

void shift_back(MutableBytes compound, uint32_t ssrc, int32_t ahead) {
  if (ahead == 0) return;
  const auto ahead16 = static_cast<uint16_t>(ahead);
  auto reader = RtcpReader::open(compound);
  if (!reader) return;
  while (const auto packet = reader->next()) {
    uint8_t* body = compound.data() + (packet->body.data() - compound.data());
    switch (static_cast<RtcpType>(packet->type)) {
      case RtcpType::sr:
      case RtcpType::rr: {
        const size_t head = packet->type == static_cast<uint8_t>(RtcpType::sr) ? 24 : 4;
        if (Report::parse(*packet)) shift_reports(body + head, packet->count, ssrc, ahead);
        break;
      }
      case RtcpType::rtpfb:
        if (packet->count == 1 && packet->body.size() >= 8 && load32(body + 4) == ssrc)
          for (size_t at = 8; at + 4 <= packet->body.size(); at += 4) shift16(body + at, ahead16);
        break;
      case RtcpType::xr:
        shift_xr(body, packet->body, ssrc, ahead16);
        break;
      default:
        break;
    }
  }
}

void rename_source(MutableBytes compound, uint32_t from, uint32_t to) {
  if (from == to) return;
  auto reader = RtcpReader::open(compound);
  if (!reader) return;
  while (const auto packet = reader->next()) {
    uint8_t* body = compound.data() + (packet->body.data() - compound.data());
    const size_t size = packet->body.size();
    const auto type = static_cast<RtcpType>(packet->type);
    if (type == RtcpType::bye || size < 4) continue;
    if (type == RtcpType::sdes) {
      rename_chunks(body, packet->body, from, to);
      continue;
    }
    rename(body, from, to);
    if (type == RtcpType::sr || type == RtcpType::rr) {
      const size_t head = type == RtcpType::sr ? 24 : 4;
      for (size_t i = 0, at = head; i < packet->count && at + 24 <= size; ++i, at += 24)
        rename(body + at, from, to);
    } else if (type == RtcpType::rtpfb || type == RtcpType::psfb) {
      if (size >= 8) rename(body + 4, from, to);
    } else if (type == RtcpType::xr) {
      rename_in_xr(body, packet->body, from, to);
    }
  }
}

void restamp_sender(MutableBytes compound, uint32_t ssrc, const SenderStamp& stamp) {
  auto reader = RtcpReader::open(compound);
  if (!reader) return;
  while (const auto packet = reader->next()) {
    if (packet->type != static_cast<uint8_t>(RtcpType::sr) || packet->body.size() < 24) continue;
    uint8_t* body = compound.data() + (packet->body.data() - compound.data());
    if (load32(body) != ssrc) continue;
    store32(body + 12, load32(body + 12) + stamp.ahead);
    store32(body + 16, stamp.packets);
    store32(body + 20, stamp.octets);
  }
}

}  // namespace tandem::rtp
