#include "mixer/history.h"

#include <algorithm>

namespace tandem::mixer {

void History::push(uint64_t position, const Frame& frame) {
  const size_t slot = position / frame_samples % frames;
  ring_[slot] = frame;
  begins_[slot] = position + 1;
}

void History::copy(uint64_t from, std::span<int16_t> out) const {
  while (!out.empty()) {
    const uint64_t begin = from / frame_samples * frame_samples;
    const auto offset = static_cast<size_t>(from - begin);
    const size_t n = std::min(out.size(), frame_samples - offset);
    const size_t slot = begin / frame_samples % frames;
    if (begins_[slot] == begin + 1) {
      std::copy_n(ring_[slot].begin() + static_cast<std::ptrdiff_t>(offset), n, out.begin());
    } else {
      std::fill_n(out.begin(), n, int16_t{0});
    }
    out = out.subspan(n);
    from += n;
  }
}

}  // namespace tandem::mixer
