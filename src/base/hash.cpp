#include "base/hash.h"

#include <cstring>

namespace tandem {

uint64_t hash64(std::string_view text, uint64_t key) {
  uint64_t h = mix64(key ^ 0x9e3779b97f4a7c15ULL) ^ (text.size() * 0xff51afd7ed558ccdULL);
  const char* p = text.data();
  size_t left = text.size();
  while (left >= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = mix64(h ^ word) + 0x9e3779b97f4a7c15ULL;
    p += 8;
    left -= 8;
  }
  uint64_t tail = 0;
  if (left > 0) std::memcpy(&tail, p, left);  // an empty view may point nowhere
  return mix64(h ^ tail ^ (uint64_t{left} << 56));
}

}  // namespace tandem
