#pragma once
// A PIN as it is typed: '#' or a pause ends it, '*' begins it again. It is a secret: compared in constant
// time, overwritten when it is done with.
#include <string>
#include <string_view>

#include "base/text.h"
#include "base/time.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

namespace tandem::service {

class PinEntry {
 public:
  static constexpr size_t shortest = 4, longest = 12;  // of PINs; others are only typed

  PinEntry() = default;
  explicit PinEntry(std::string typed) : typed_(std::move(typed)) {}
  PinEntry(const PinEntry&) = delete;
  PinEntry& operator=(PinEntry&&) = default;
  ~PinEntry() { clear(); }

  /// True when it is complete. One digit too many is kept, so that it is no PIN; more are not.
  bool on_key(char key) {
    if (key == '*') clear();
    if (is_digit(key) && typed_.size() <= longest) typed_ += key;
    return key == '#';
  }
  bool empty() const { return typed_.empty(); }
  bool is_too_short() const { return typed_.size() < shortest; }
  bool is_too_long() const { return typed_.size() > longest; }
  bool is(std::string_view pin) const { return !pin.empty() && crypto::constant_time_equal(typed_, pin); }
  const std::string& typed() const { return typed_; }
  void clear() { crypto::wipe(typed_); }

 private:
  std::string typed_;
};

// How long is waited for its first key, and for one more.
inline constexpr Duration pin_wait = seconds(10);
inline constexpr Duration pin_pause = seconds(5);
inline constexpr uint32_t pin_tries = 3;

}  // namespace tandem::service
