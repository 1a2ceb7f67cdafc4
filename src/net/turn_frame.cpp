#include "net/turn_frame.h"

#include <algorithm>
#include <cstring>

namespace tandem::net {
namespace {

size_t load16(const uint8_t* p) { return static_cast<size_t>(p[0] << 8 | p[1]); }

}  // namespace

std::optional<size_t> turn_frame_length(Bytes s) {
  if (s.empty()) return 0;
  if ((s[0] & 0xC0) == 0x40) return s.size() < 4 ? 0 : 4 + ((load16(s.data() + 2) + 3) & ~size_t{3});
  if ((s[0] & 0xC0) != 0) return std::nullopt;
  static constexpr uint8_t cookie[] = {0x21, 0x12, 0xA4, 0x42};
  const size_t seen = std::min<size_t>(s.size(), 8);
  if (seen > 4 && std::memcmp(s.data() + 4, cookie, seen - 4) != 0) return std::nullopt;
  if (s.size() < 20) return 0;
  const size_t length = load16(s.data() + 2);
  return length % 4 == 0 ? std::optional<size_t>(20 + length) : std::nullopt;
}

}  // namespace tandem::net
