#pragma once
// Nonces (RFC 7616 section 5.4). Minting one stores nothing: a flood of requests without credentials costs no
// memory. Only a nonce that came back with the right password gets a line in the NonceTable, which then sees
// to it that no nonce-count is used twice.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/counters.h"
#include "base/rng.h"
#include "base/time.h"

namespace tandem::auth {

/// What a nonce of ours says once its seal is checked.
struct Nonce {
  int64_t minted_ms = 0;  // wall clock
  uint64_t unique = 0;
  uint32_t place = 0;  // see NonceMint::sent_to
};

/// A nonce is base64url of
///   | 48 bits wall milliseconds | 16 bits scope | 64 bits unique | 32 bits place |
///   | 128 bits of HMAC-SHA256(key; the above, realm) |
/// The scope names the owner of the replay table (a worker): on another one the nonce is not good, so that a
/// captured request cannot be played to each worker once. The place is a MAC of the address it was sent to:
/// who sends it back from there has received it, so that address is no invention.
class NonceMint {
 public:
  static constexpr size_t text_size = 48;
  using Text = std::array<char, text_size>;

  NonceMint(std::array<uint8_t, 32> key, uint16_t scope, Rng& rng) : key_(key), scope_(scope), rng_(rng) {}

  Text mint(Now now, std::string_view realm, const IpAddress& receiver);
  /// Nothing unless we made it, for this realm and this scope.
  std::optional<Nonce> open(std::string_view text, std::string_view realm) const;
  bool sent_to(const Nonce& nonce, const IpAddress& receiver) const {
    return nonce.place == place_of(nonce, receiver);
  }

 private:
  uint32_t place_of(const Nonce& nonce, const IpAddress& receiver) const;

  std::array<uint8_t, 32> key_;
  uint16_t scope_;
  Rng& rng_;
};

/// Nonce-counts already used, for at most `limit` nonces. The least recently used goes first; whatever was
/// minted up to the youngest that had to go is from then on "forgotten", since we could no longer tell a
/// replay.
class NonceTable {
 public:
  NonceTable(size_t limit, WallTime started, Counter& evictions);

  enum class Use : uint8_t {
    fresh,      // never used before; now it is
    replayed,   // this count was used
    forgotten,  // cannot be told any more: the client has to take a new nonce
  };
  Use use(const Nonce& nonce, uint32_t nc);
  size_t size() const { return used_; }

 private:
  static constexpr uint32_t none = 0xffffffff;
  struct Line {
    uint64_t unique = 0;
    int64_t minted_ms = 0;
    uint64_t window = 0;  // bit i: count `highest - i` was used
    uint32_t highest = 0;
    uint32_t newer = none, older = none;  // order of use
    uint32_t chain = none;                // same bucket
  };
  uint32_t find(uint64_t unique) const;
  uint32_t take_line();
  void unlink(uint32_t i);
  void link_newest(uint32_t i);
  void forget_oldest();
  void grow_buckets();
  uint32_t& bucket(uint64_t unique) { return buckets_[unique & (buckets_.size() - 1)]; }

  size_t limit_;
  int64_t forgotten_up_to_ms_;
  Counter& evictions_;
  std::vector<Line> lines_;
  std::vector<uint32_t> buckets_;
  uint32_t newest_ = none, oldest_ = none;
  size_t used_ = 0;
};

}  // namespace tandem::auth
