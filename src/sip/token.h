#pragma once
// The names we mint: Via branch, tags, Call-ID. Each carries {node, epoch, shard} so that a message finds its
// owner without a table, enciphered with the cluster's key so that it tells a peer nothing and cannot be
// forged into another owner's.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/rng.h"

namespace tandem::sip {

/// The fixed number of shards that the id spaces are cut into; mapped to workers and to nodes
/// (docs/ARCHITECTURE.md).
inline constexpr uint16_t shard_count = 4096;

/// Stable across builds, nodes and boots.
uint16_t shard_of(std::string_view key);
/// Shards are dealt to workers in turn; the same function everywhere, so a restore with another worker count
/// finds them.
constexpr uint16_t worker_of_shard(uint16_t shard, uint16_t workers) {
  return static_cast<uint16_t>(shard % workers);
}

struct Owner {
  uint16_t node = 0;
  uint16_t epoch = 0;  // boot count of the node, modulo 2^16
  uint16_t shard = 0;  // 0..shard_count-1
  bool operator==(const Owner&) const = default;
};

class TokenMint {
 public:
  /// `key`: shared by all workers and nodes that may see each other's tokens. `rng` must outlive the mint.
  TokenMint(std::array<uint8_t, 16> key, uint16_t node, uint16_t epoch, Rng& rng);

  /// 22 characters of [A-Za-z0-9] or '-' '.': a 128-bit block {node, epoch, shard, unique, check} under a
  /// keyed permutation. Unique within a mint; two mints of one node and epoch start at random places of a
  /// 52-bit counter.
  std::string mint(uint16_t shard);
  std::string branch(uint16_t shard) { return "z9hG4bK" + mint(shard); }
  /// The owner of something we minted (with or without the z9hG4bK in front); nothing for a stranger's.
  std::optional<Owner> owner(std::string_view token) const;
  Rng& rng() { return rng_; }

 private:
  std::array<uint64_t, 32> schedule_{};  // Speck128/128 round keys
  uint16_t node_;
  uint16_t epoch_;
  Rng& rng_;
  uint64_t counter_ = 0;
};

}  // namespace tandem::sip
