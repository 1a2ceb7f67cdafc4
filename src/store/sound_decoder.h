#pragma once
// From the bytes of a sound file to samples: WAV (PCM of all widths, float, A-law and mu-law), Opus, Vorbis
// and FLAC in Ogg, Opus in Matroska and WebM, FLAC, MP3, AIFF and AU, by libavformat and libavcodec.
//
// The bytes may be hostile. libavformat sees them only through a function that reads: it opens nothing by
// itself, neither files nor networks. It knows the formats and codecs listed above and no others; it reads
// four times the file at most, so that no chain of seeks keeps the thread; it stops at the first sample too
// many.
#include <cstdint>
#include <functional>

#include "base/bytes.h"
#include "port/sound.h"

namespace tandem::store {

struct SoundLimits {
  Duration longest = minutes(15);       // of the decoded sound: 29 MB
  uint64_t file_bytes = 256ULL << 20U;  // of the file
};

/// Bytes that can be read at any place. `read` fills the beginning of its argument and says how far: 0 at the
/// end, -1 after a failure.
struct SoundSource {
  uint64_t size = 0;
  std::function<int64_t(uint64_t at, MutableBytes into)> read;
};

/// One channel (several are mixed), at port::sound_rate. Any thread.
port::SoundResult decode_sound(const SoundSource& source, const SoundLimits& limits);

}  // namespace tandem::store
