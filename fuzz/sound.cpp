// rooms: base port
// sources: src/store/sound_decoder.cpp src/store/libav.cpp
// libs: PkgConfig::LIBAV
// A sound file that anybody may have written: it becomes samples within the limits, or a reason.
#include <algorithm>
#include <cstdlib>

#include "store/sound_decoder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tandem;
  uint64_t served = 0;
  const store::SoundSource source{size, [&](uint64_t at, MutableBytes into) -> int64_t {
                                    if (at >= size) return 0;
                                    const size_t n = std::min<size_t>(into.size(), size - at);
                                    std::copy_n(data + at, n, into.begin());
                                    served += n;
                                    return static_cast<int64_t>(n);
                                  }};
  const store::SoundLimits limits{.longest = seconds(5), .file_bytes = 1 << 20};
  const auto sound = store::decode_sound(source, limits);
  if (sound.ok() && ((*sound)->samples.empty() || (*sound)->length() > limits.longest)) std::abort();
  if (served > std::max<uint64_t>(4 * size, 1 << 20) + 64) std::abort();
  return 0;
}
