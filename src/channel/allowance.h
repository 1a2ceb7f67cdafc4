#pragma once
// How much of something somebody may do.
#include <algorithm>
#include <cstdint>

#include "base/time.h"

namespace tandem::channel {

/// `rate` a second, twice that at once.
class Allowance {
 public:
  explicit Allowance(uint32_t rate) : rate_(rate), left_(2.0 * rate) {}
  bool take(Instant now) {
    left_ = std::min(2 * rate_, left_ + static_cast<double>((now - last_).count()) / 1e9 * rate_);
    last_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double rate_, left_;
  Instant last_{};
};

}  // namespace tandem::channel
