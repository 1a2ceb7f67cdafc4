#pragma once
// Replay list (RFC 3711 section 3.3.2): the highest index there was, and which of those just below it.
#include <array>
#include <cstdint>

namespace tandem::srtp {

class ReplayWindow {
 public:
  /// How many indices are told apart: the highest and the 127 below it.
  static constexpr uint64_t width = 128;
  enum class Place : uint8_t { fresh, seen, too_old };

  bool empty() const { return empty_; }
  uint64_t highest() const { return highest_; }  // 0 when empty
  const std::array<uint64_t, 2>& bits() const { return bits_; }

  Place place(uint64_t index) const {
    if (empty_ || index > highest_) return Place::fresh;
    const uint64_t back = highest_ - index;
    if (back >= width) return Place::too_old;
    return (bits_[back / 64] >> (back % 64) & 1) != 0 ? Place::seen : Place::fresh;
  }

  /// `index` is fresh.
  void accept(uint64_t index) {
    if (empty_ || index > highest_) {
      shift(empty_ ? width : index - highest_);
      highest_ = index;
      empty_ = false;
    }
    const uint64_t back = highest_ - index;
    bits_[back / 64] |= uint64_t{1} << (back % 64);
  }

  /// As if `index` and everything below it had been.
  void close_up_to(uint64_t index) {
    empty_ = false;
    highest_ = index;
    bits_ = {~uint64_t{0}, ~uint64_t{0}};
  }

  /// From a snapshot. Bit n of bits is highest - n.
  void restore(uint64_t highest, std::array<uint64_t, 2> bits) {
    empty_ = false;
    highest_ = highest;
    bits_ = {bits[0] | 1, bits[1]};
  }

 private:
  void shift(uint64_t by) {
    if (by >= width)
      bits_ = {0, 0};
    else if (by >= 64)
      bits_ = {0, bits_[0] << (by - 64)};
    else if (by > 0)
      bits_ = {bits_[0] << by, bits_[1] << by | bits_[0] >> (64 - by)};
  }

  uint64_t highest_ = 0;
  std::array<uint64_t, 2> bits_{};  // bit n: highest - n has been
  bool empty_ = true;
};

}  // namespace tandem::srtp
