#pragma once
// The operating system's randomness, in blocks: one system call per 256 numbers.
#include <array>
#include <cstddef>

#include "base/rng.h"

namespace tandem::net {

/// Cryptographic (getrandom(2)). Owned by one thread. Handed-out bytes are wiped from the block.
class SystemRng final : public Rng {
 public:
  uint64_t next() override;

 private:
  std::array<uint64_t, 256> block_{};
  size_t left_ = 0;
};

}  // namespace tandem::net
