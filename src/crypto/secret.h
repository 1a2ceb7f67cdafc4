#pragma once
// Memory that holds keys: overwritten when its owner ends, whatever the optimiser thinks of it.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace tandem::crypto {

/// Overwrites with zeros (OPENSSL_cleanse).
void wipe(MutableBytes bytes);
/// Also what lies between size and capacity; the text is empty afterwards.
void wipe(std::string& text);

/// N octets of key material. Copies are wiped each by itself. Never print one.
template <size_t N>
struct Secret {
  std::array<uint8_t, N> octets{};

  Secret() = default;
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret() { wipe(octets); }

  uint8_t* data() { return octets.data(); }
  const uint8_t* data() const { return octets.data(); }
  MutableBytes first(size_t n) { return MutableBytes(octets).first(n); }
  Bytes first(size_t n) const { return Bytes(octets).first(n); }
};

}  // namespace tandem::crypto
