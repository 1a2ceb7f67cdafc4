#include "base/rng.h"

#include <bit>
#include <cstring>

namespace tandem {

void Rng::fill(MutableBytes out) {
  size_t at = 0;
  while (at < out.size()) {
    const uint64_t word = next();
    const size_t n = std::min<size_t>(8, out.size() - at);
    std::memcpy(out.data() + at, &word, n);
    at += n;
  }
}

uint64_t Rng::below(uint64_t bound) {
  // Rejection keeps it uniform: the first (2^64 mod bound) values are thrown away.
  const uint64_t reject = (0 - bound) % bound;
  for (;;) {
    const uint64_t word = next();
    if (word >= reject) return word % bound;
  }
}

std::string Rng::token(size_t chars) {
  static constexpr char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string out(chars, '\0');
  for (char& c : out) c = alphabet[below(36)];
  return out;
}

SeededRng::SeededRng(uint64_t seed) {
  for (uint64_t& word : s_) {
    seed += 0x9e3779b97f4a7c15ULL;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    word = z ^ (z >> 31);
  }
}

uint64_t SeededRng::next() {
  const uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
  const uint64_t t = s_[1] << 17;
  s_[2] ^= s_[0];
  s_[3] ^= s_[1];
  s_[1] ^= s_[2];
  s_[0] ^= s_[3];
  s_[2] ^= t;
  s_[3] = std::rotl(s_[3], 45);
  return result;
}

}  // namespace tandem
