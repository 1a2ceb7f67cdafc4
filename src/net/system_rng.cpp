#include "net/system_rng.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace tandem::net {

uint64_t SystemRng::next() {
  if (left_ == 0) {
    auto* out = reinterpret_cast<uint8_t*>(block_.data());
    size_t have = 0;
    while (have < sizeof block_) {
      const ssize_t n = getrandom(out + have, sizeof block_ - have, 0);
      if (n < 0 && errno != EINTR) std::abort();  // no randomness, no secure operation
      if (n > 0) have += static_cast<size_t>(n);
    }
    left_ = block_.size();
  }
  return std::exchange(block_[--left_], 0);
}

}  // namespace tandem::net
