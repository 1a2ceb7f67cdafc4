#pragma once
// Randomness is injected: the program plugs in the operating system's, the simulator a seeded one.
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tandem {

/// Source of random bits. Everything a peer could gain from guessing (tags, branches, nonces, SSRCs) comes
/// from here, so the production implementation is cryptographic.
class Rng {
 public:
  virtual ~Rng() = default;
  virtual uint64_t next() = 0;

  void fill(MutableBytes out);
  /// Uniform in [0, bound), bound > 0.
  uint64_t below(uint64_t bound);
  /// `chars` characters of [a-z0-9], 5.17 bits each.
  std::string token(size_t chars);
};

/// xoshiro256** seeded through splitmix64: fast, reproducible, not secret. For the simulator, tests and load.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(uint64_t seed);
  uint64_t next() override;

 private:
  uint64_t s_[4];
};

}  // namespace tandem
