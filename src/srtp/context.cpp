#include "srtp/context.h"

#include <algorithm>

#include "rtp/packet.h"

namespace tandem::srtp {
namespace {

constexpr uint64_t rtp_index_limit = uint64_t{1} << 48;
constexpr uint64_t rtcp_index_limit = uint64_t{1} << 31;
constexpr size_t rtcp_header_octets = 8;
constexpr size_t rtcp_word_octets = 4;
constexpr uint32_t e_flag = 0x80000000;
constexpr int64_t one_roc = 1 << 16;

using rtp::load32;

struct RtpPlace {
  uint32_t ssrc;
  uint16_t sequence;
  size_t header_octets;
};

/// Nothing when it is no RTP, or has no room for a payload and `tag` octets.
std::optional<RtpPlace> rtp_place(Bytes packet, size_t tag) {
  const auto header = rtp::Header::parse(packet, true);
  if (!header || packet.size() < header->payload_offset + tag) return std::nullopt;
  return RtpPlace{header->ssrc, header->sequence, header->payload_offset};
}

bool is_rtcp(Bytes packet) {
  return packet.size() >= rtcp_header_octets && packet[0] >> 6 == 2 && packet[1] >= 192 && packet[1] <= 223;
}

Reason reason_of(ReplayWindow::Place place) {
  return place == ReplayWindow::Place::seen ? Reason::replayed : Reason::too_old;
}

template <class F>
void each(std::span<Packet> batch, F&& f) {
  for (Packet& p : batch) {
    const Result<size_t, Reason> done = f(p);
    if (done) {
      p.size = *done;
      p.refused.reset();
    } else {
      p.refused = done.reason();
    }
  }
}

Result<size_t, Reason> counted(Refusals& refusals, Result<size_t, Reason> done) {
  if (!done) refusals.add(done.reason());
  return done;
}

PacketCipher cipher(const MasterKey& key, Direction direction, PacketKind kind) {
  return {key.suite(), derive(key, kind), direction, kind};
}

}  // namespace

std::string_view to_string(Reason reason) {
  static constexpr std::array<std::string_view, reason_count> names = {
      "malformed", "no_room",       "not_authentic",   "replayed",
      "too_old",   "not_encrypted", "index_exhausted", "too_many_sources"};
  return names[static_cast<size_t>(reason)];
}

int64_t estimate_index(uint64_t highest, uint16_t sequence) {
  const auto s_l = static_cast<int32_t>(highest & 0xffff);
  const int32_t seq = sequence;
  int64_t v = static_cast<int64_t>(highest >> 16);
  if (s_l < 0x8000) {
    if (seq - s_l > 0x8000) --v;
  } else if (s_l - 0x8000 > seq) {
    ++v;
  }
  return v * one_roc + seq;
}

// ---- Sender ----------------------------------------------------------------------------------------------

Sender::Sender(const MasterKey& key, Refusals& refusals, size_t max_sources)
    : key_(key),
      refusals_(&refusals),
      rtp_(cipher(key, Direction::protect, PacketKind::rtp)),
      rtcp_(cipher(key, Direction::protect, PacketKind::rtcp)),
      sources_(max_sources) {}

Result<size_t, Reason> Sender::try_protect_rtp(MutableBytes buffer, size_t size) {
  if (size > buffer.size()) return Failure{Reason::no_room};
  const auto place = rtp_place(buffer.first(size), 0);
  if (!place) return Failure{Reason::malformed};
  if (buffer.size() - size < rtp_.tag_octets()) return Failure{Reason::no_room};
  Source* source = sources_.find(place->ssrc);
  if (!source && sources_.full()) return Failure{Reason::too_many_sources};
  int64_t index = place->sequence;
  if (source && !source->rtp.empty()) {
    index = estimate_index(source->rtp.highest(), place->sequence);
    if (index < 0) return Failure{Reason::too_old};
    if (static_cast<uint64_t>(index) >= rtp_index_limit) return Failure{Reason::index_exhausted};
    const auto where = source->rtp.place(static_cast<uint64_t>(index));
    if (where != ReplayWindow::Place::fresh) return Failure{reason_of(where)};
  }
  if (!source) source = &sources_.add(place->ssrc);
  rtp_.protect_rtp(buffer.first(size), place->header_octets, place->ssrc, static_cast<uint64_t>(index));
  begun_ |= source->rtp.empty();
  source->rtp.accept(static_cast<uint64_t>(index));
  ++since_snapshot_;
  return size + rtp_.tag_octets();
}

Result<size_t, Reason> Sender::try_protect_rtcp(MutableBytes buffer, size_t size) {
  if (size > buffer.size()) return Failure{Reason::no_room};
  if (!is_rtcp(buffer.first(size))) return Failure{Reason::malformed};
  const size_t grow = rtcp_.tag_octets() + rtcp_word_octets;
  if (buffer.size() - size < grow) return Failure{Reason::no_room};
  const uint32_t ssrc = load32(buffer.data() + 4);
  Source* source = sources_.find(ssrc);
  if (!source && sources_.full()) return Failure{Reason::too_many_sources};
  const uint64_t index =
      source && !source->rtcp.empty() ? source->rtcp.highest() + 1 : sources_.first_rtcp_index;
  if (index >= rtcp_index_limit) return Failure{Reason::index_exhausted};
  if (!source) source = &sources_.add(ssrc);
  rtcp_.protect_rtcp(buffer.first(size), ssrc, static_cast<uint32_t>(index));
  begun_ |= source->rtcp.empty();
  source->rtcp.accept(index);
  ++since_snapshot_;
  return size + grow;
}

Result<size_t, Reason> Sender::protect_rtp(MutableBytes buffer, size_t size) {
  return counted(*refusals_, try_protect_rtp(buffer, size));
}
Result<size_t, Reason> Sender::protect_rtcp(MutableBytes buffer, size_t size) {
  return counted(*refusals_, try_protect_rtcp(buffer, size));
}
void Sender::protect_rtp(std::span<Packet> batch) {
  each(batch, [this](Packet& p) { return protect_rtp(p.buffer, p.size); });
}
void Sender::protect_rtcp(std::span<Packet> batch) {
  each(batch, [this](Packet& p) { return protect_rtcp(p.buffer, p.size); });
}

bool Sender::rekey(const MasterKey& key) {
  if (key == key_) return false;
  key_ = key;
  rtp_ = cipher(key, Direction::protect, PacketKind::rtp);
  rtcp_ = cipher(key, Direction::protect, PacketKind::rtcp);
  sources_.clear();
  return true;
}

std::string Sender::snapshot() {
  since_snapshot_ = 0;
  begun_ = false;
  return sources_.pack('s');
}

Status<RecordReason> Sender::restore(Bytes record, uint64_t jump) {
  const auto done = sources_.unpack(record, 's');
  if (!done) return done;
  for (Source& s : sources_.all()) {
    // At the limit the source stays shut until there is a new master key.
    if (!s.rtp.empty()) s.rtp.close_up_to(std::min(s.rtp.highest() + jump, rtp_index_limit - 1));
    if (!s.rtcp.empty()) s.rtcp.close_up_to(std::min(s.rtcp.highest() + jump, rtcp_index_limit - 1));
  }
  sources_.first_rtcp_index = std::min(sources_.first_rtcp_index + jump, rtcp_index_limit);
  return Done{};
}

std::optional<uint16_t> Sender::next_sequence(uint32_t ssrc) {
  const Source* source = sources_.find(ssrc);
  if (!source || source->rtp.empty()) return std::nullopt;
  return static_cast<uint16_t>(source->rtp.highest() + 1);
}

// ---- Receiver --------------------------------------------------------------------------------------------

Receiver::Receiver(const MasterKey& key, Refusals& refusals, size_t max_sources)
    : key_(key),
      refusals_(&refusals),
      rtp_(cipher(key, Direction::unprotect, PacketKind::rtp)),
      rtcp_(cipher(key, Direction::unprotect, PacketKind::rtcp)),
      sources_(max_sources) {}

Result<size_t, Reason> Receiver::try_unprotect_rtp(MutableBytes buffer, size_t size) {
  if (size > buffer.size()) return Failure{Reason::malformed};
  const MutableBytes packet = buffer.first(size);
  const auto place = rtp_place(packet, rtp_.tag_octets());
  if (!place) return Failure{Reason::malformed};
  Source* source = sources_.find(place->ssrc);
  if (!source && sources_.full()) return Failure{Reason::too_many_sources};

  // A sender may have wrapped between its first packet and the first that reached us, and anything may have
  // happened around a takeover. A settled source has one candidate, and so has a forger.
  const bool known = source && !source->rtp.empty();
  const int64_t estimate =
      known ? estimate_index(source->rtp.highest(), place->sequence) : int64_t{place->sequence};
  const std::array<int64_t, 3> candidates = {estimate, estimate + one_roc, estimate - one_roc};
  const size_t tries = source && source->settled ? 1 : known ? 3 : 2;
  std::optional<Reason> why;
  for (size_t i = 0; i < tries; ++i) {
    Reason refused = Reason::not_authentic;
    if (candidates[i] < 0) {
      refused = Reason::too_old;
    } else if (static_cast<uint64_t>(candidates[i]) >= rtp_index_limit) {
      refused = Reason::index_exhausted;
    } else {
      const auto index = static_cast<uint64_t>(candidates[i]);
      const auto where = known ? source->rtp.place(index) : ReplayWindow::Place::fresh;
      if (where != ReplayWindow::Place::fresh) {
        refused = reason_of(where);
      } else if (rtp_.unprotect_rtp(packet, place->header_octets, place->ssrc, index)) {
        if (!source) source = &sources_.add(place->ssrc);
        source->rtp.accept(index);
        source->settled = true;
        return size - rtp_.tag_octets();
      }
    }
    if (!why) why = refused;  // what the estimate said
  }
  return Failure{*why};
}

Result<size_t, Reason> Receiver::try_unprotect_rtcp(MutableBytes buffer, size_t size) {
  const size_t shrink = rtcp_.tag_octets() + rtcp_word_octets;
  if (size > buffer.size() || size < rtcp_header_octets + shrink) return Failure{Reason::malformed};
  const MutableBytes packet = buffer.first(size);
  if (!is_rtcp(packet)) return Failure{Reason::malformed};
  const uint32_t word = rtcp_.rtcp_word(packet);
  if ((word & e_flag) == 0) return Failure{Reason::not_encrypted};
  const uint32_t ssrc = load32(packet.data() + 4);
  const uint64_t index = word & ~e_flag;
  Source* source = sources_.find(ssrc);
  if (!source && sources_.full()) return Failure{Reason::too_many_sources};
  if (source) {
    const auto where = source->rtcp.place(index);
    if (where != ReplayWindow::Place::fresh) return Failure{reason_of(where)};
  }
  if (!rtcp_.unprotect_rtcp(packet, ssrc)) return Failure{Reason::not_authentic};
  if (!source) source = &sources_.add(ssrc);
  source->rtcp.accept(index);
  return size - shrink;
}

Result<size_t, Reason> Receiver::unprotect_rtp(MutableBytes buffer, size_t size) {
  return counted(*refusals_, try_unprotect_rtp(buffer, size));
}
Result<size_t, Reason> Receiver::unprotect_rtcp(MutableBytes buffer, size_t size) {
  return counted(*refusals_, try_unprotect_rtcp(buffer, size));
}
void Receiver::unprotect_rtp(std::span<Packet> batch) {
  each(batch, [this](Packet& p) { return unprotect_rtp(p.buffer, p.size); });
}
void Receiver::unprotect_rtcp(std::span<Packet> batch) {
  each(batch, [this](Packet& p) { return unprotect_rtcp(p.buffer, p.size); });
}

bool Receiver::rekey(const MasterKey& key) {
  if (key == key_) return false;
  key_ = key;
  rtp_ = cipher(key, Direction::unprotect, PacketKind::rtp);
  rtcp_ = cipher(key, Direction::unprotect, PacketKind::rtcp);
  sources_.clear();
  return true;
}

Status<RecordReason> Receiver::restore(Bytes record) { return sources_.unpack(record, 'r'); }

}  // namespace tandem::srtp
