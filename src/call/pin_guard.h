#pragma once
// PINs are short: what one is worth depends on how often it may be guessed. A call gives three tries; this
// counts those that were wrong, over all calls, for a caller at a door (a mailbox, a conference) and for the
// door.
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "base/time.h"

namespace tandem::call {

class PinGuard {
 public:
  static constexpr Duration window = minutes(10);
  // Wrong tries within a window; then it is refused until the window's end. At the door of a large conference
  // many mistype once: it bears more.
  static constexpr uint32_t of_a_caller = 9;
  static constexpr uint32_t of_a_door = 90;
  static constexpr size_t most = 10'000;  // callers remembered; past it any of them is forgotten

  bool refuses(Instant now, const std::string& door, const std::string& caller) const;
  void failed(Instant now, const std::string& door, const std::string& caller);

 private:
  struct Count {
    uint32_t tries = 0;
    Instant until;
  };
  using Counts = std::unordered_map<std::string, Count>;
  static bool full(const Counts& counts, Instant now, const std::string& key, uint32_t limit);
  static void count(Counts& counts, Instant now, const std::string& key);

  Counts doors_, callers_;
};

}  // namespace tandem::call
