#pragma once
// How frames become the bytes of a file: WAV, and Opus in Matroska.
#include <memory>
#include <span>

#include "port/recording.h"
#include "store/recording_bytes.h"

namespace tandem::store {

/// Whatever reached the file at any settle() plays by itself, should nothing follow.
class SoundWriter {
 public:
  virtual ~SoundWriter() = default;
  /// Whole frames, interleaved. False when the encoder gave up (never for WAV).
  virtual bool write(std::span<const int16_t> frames) = 0;
  /// What was written so far becomes playable with the next flush of the bytes.
  virtual bool settle() = 0;
  /// Nothing follows: the file gets its length and its index.
  virtual bool finish() = 0;
};

/// Null when the format is not to be had: an encoder that libavcodec was built without, a rate it does not
/// take.
std::unique_ptr<SoundWriter> make_sound_writer(const port::RecordingOrder& order, RecordingBytes& bytes);
std::unique_ptr<SoundWriter> make_wav_writer(const port::RecordingOrder& order, RecordingBytes& bytes);
std::unique_ptr<SoundWriter> make_opus_writer(const port::RecordingOrder& order, RecordingBytes& bytes);

/// What a file of a run that was killed turns out to be.
struct Mended {
  uint64_t bytes = 0;  // 0: there is nothing to play in it
  Duration length = Duration{0};
};
/// Makes the file's header say what is in the file (its end may be torn).
Result<Mended, port::DiskError> mend_wav(port::Disk& disk, const std::string& path);
/// Cuts what is behind the last whole cluster.
Result<Mended, port::DiskError> mend_matroska(port::Disk& disk, const std::string& path);

}  // namespace tandem::store
