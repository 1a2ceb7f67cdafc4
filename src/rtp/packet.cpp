#include "rtp/packet.h"

namespace tandem::rtp {

std::optional<Header> Header::parse(Bytes p, bool encrypted) {
  if (p.size() < fixed_bytes || (p[0] & 0xC0) != 0x80) return std::nullopt;
  Header h;
  h.marker = (p[1] & 0x80) != 0;
  h.payload_type = p[1] & 0x7F;
  h.sequence = load16(&p[2]);
  h.timestamp = load32(&p[4]);
  h.ssrc = load32(&p[8]);
  size_t offset = fixed_bytes + size_t{4} * (p[0] & 0x0F);
  if ((p[0] & 0x10) != 0) {  // section 5.3.1: profile, length in words, words
    if (p.size() < offset + 4) return std::nullopt;
    offset += 4 + size_t{4} * load16(&p[offset + 2]);
  }
  if (p.size() < offset || offset > UINT16_MAX) return std::nullopt;
  h.payload_offset = static_cast<uint16_t>(offset);
  if ((p[0] & 0x20) != 0 && !encrypted) {
    const uint8_t padding = p[p.size() - 1];
    if (padding == 0 || padding > p.size() - offset) return std::nullopt;
    h.padding = padding;
  }
  return h;
}

void Header::write(uint8_t* out) const {
  out[0] = 0x80;
  out[1] = static_cast<uint8_t>((marker ? 0x80 : 0) | (payload_type & 0x7F));
  store16(out + 2, sequence);
  store32(out + 4, timestamp);
  store32(out + 8, ssrc);
}

std::optional<TelephoneEvent> TelephoneEvent::parse(Bytes p) {
  if (p.size() < 4) return std::nullopt;
  return TelephoneEvent{p[0], (p[1] & 0x80) != 0, static_cast<uint8_t>(p[1] & 0x3F), load16(&p[2])};
}

void TelephoneEvent::write(uint8_t* out) const {
  out[0] = event;
  out[1] = static_cast<uint8_t>((end ? 0x80 : 0) | (volume & 0x3F));
  store16(out + 2, duration);
}

char TelephoneEvent::digit() const { return event < 16 ? "0123456789*#ABCD"[event] : '\0'; }

}  // namespace tandem::rtp
