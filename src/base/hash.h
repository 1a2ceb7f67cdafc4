#pragma once
// Hashes for tables and for the shard map. hash64 is stable across builds and nodes: the shard of a Call-ID
// must come out the same on every node of a cluster, so never replace it without a migration.
#include <cstdint>
#include <string>
#include <string_view>

namespace tandem {

constexpr uint64_t mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// 64-bit hash of text; `key` makes it unpredictable where an attacker picks the text.
uint64_t hash64(std::string_view text, uint64_t key = 0);

/// Transparent hash for unordered maps keyed by std::string and looked up by string_view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const noexcept { return hash64(s); }
};

}  // namespace tandem
