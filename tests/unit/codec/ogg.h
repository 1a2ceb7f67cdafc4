#pragma once
// For tests: Opus in Ogg (RFC 3533, RFC 7845), one packet a page, so that another program reads and writes
// it.
#include <cstring>

#include "speech.h"

namespace tandem::codec::testing {

inline uint32_t ogg_crc(const Octets& page) {
  uint32_t crc = 0;
  for (const uint8_t b : page) {
    crc ^= static_cast<uint32_t>(b) << 24;
    for (int i = 0; i < 8; ++i) crc = (crc << 1) ^ ((crc & 0x80000000U) != 0 ? 0x04C11DB7U : 0);
  }
  return crc;
}

inline void add_page(Octets& file, const Octets& packet, uint32_t number, uint64_t granule, uint8_t flags) {
  Octets page = {'O', 'g', 'g', 'S', 0, flags};
  const auto put = [&page](uint64_t v, int octets) {
    for (int i = 0; i < octets; ++i) page.push_back(static_cast<uint8_t>(v >> (8 * i)));
  };
  put(granule, 8);
  put(1, 4);
  put(number, 4);
  put(0, 4);
  page.push_back(static_cast<uint8_t>(packet.size() / 255 + 1));
  page.insert(page.end(), packet.size() / 255, 255);
  page.push_back(static_cast<uint8_t>(packet.size() % 255));
  page.insert(page.end(), packet.begin(), packet.end());
  const uint32_t crc = ogg_crc(page);
  for (size_t i = 0; i < 4; ++i) page[22 + i] = static_cast<uint8_t>(crc >> (8 * i));
  file.insert(file.end(), page.begin(), page.end());
}

/// 20 ms packets; pre-skip 0, so that a decoder throws nothing away.
inline Octets ogg_opus(const std::vector<Octets>& packets, uint8_t channels) {
  Octets file;
  const std::string head =
      std::string("OpusHead\x01", 9) + static_cast<char>(channels) + std::string("\0\0\x80\xBB\0\0\0\0\0", 9);
  add_page(file, Octets(head.begin(), head.end()), 0, 0, 2);
  const std::string tags = std::string("OpusTags\x04\0\0\0test\0\0\0\0", 20);
  add_page(file, Octets(tags.begin(), tags.end()), 1, 0, 0);
  for (size_t i = 0; i < packets.size(); ++i)
    add_page(file, packets[i], static_cast<uint32_t>(i + 2), (i + 1) * 960, i + 1 == packets.size() ? 4 : 0);
  return file;
}

/// All packets but the two headers.
inline std::vector<Octets> packets_of(const Octets& file) {
  std::vector<Octets> packets(1);
  for (size_t at = 0; at + 27 <= file.size();) {
    const size_t segments = file[at + 26];
    size_t data = at + 27 + segments;
    for (size_t s = 0; s < segments; ++s) {
      const size_t n = file[at + 27 + s];
      packets.back().insert(packets.back().end(), file.begin() + static_cast<ptrdiff_t>(data),
                            file.begin() + static_cast<ptrdiff_t>(data + n));
      data += n;
      if (n < 255) packets.emplace_back();
    }
    at = data;
  }
  packets.pop_back();
  packets.erase(packets.begin(), packets.begin() + 2);
  return packets;
}

}  // namespace tandem::codec::testing
