#pragma once
// HMAC-SHA1 (RFC 2104) with the key's two pads hashed ahead, so that a packet costs its own blocks, one block
// more, and no allocation. Private to this room.
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace tandem::srtp {

class HmacSha1 {
 public:
  static constexpr size_t digest_octets = 20;
  using Digest = std::array<uint8_t, digest_octets>;

  /// A key of at most 64 octets, the block size.
  explicit HmacSha1(Bytes key);
  HmacSha1(const HmacSha1&) = default;
  HmacSha1& operator=(const HmacSha1&) = default;
  ~HmacSha1();

  /// Over `message`, then `suffix`.
  Digest tag(Bytes message, Bytes suffix) const;

 private:
  // The library's SHA_CTX is a plain value, but its header stays out of this one.
  struct State {
    alignas(8) std::array<uint8_t, 96> octets;
  };
  State inner_;
  State outer_;
};

}  // namespace tandem::srtp
