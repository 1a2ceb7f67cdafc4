#pragma once
// Writing sound: a worker hands samples over and never waits; a thread of `store` makes files of them.
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "port/enum_text.h"
#include "port/sound.h"

namespace tandem::port {

/// Unique in the process. 0 names nothing.
using RecordingId = uint64_t;

enum class RecordingFormat : uint8_t {
  wav,         // 16-bit linear
  wav_mu_law,  // G.711 mu-law in WAV: half the bytes
  opus,        // Opus in Matroska, 32 kbit/s a side
};
template <>
struct EnumText<RecordingFormat> {
  static constexpr std::string_view names[] = {"wav", "wav-mu-law", "opus"};
};

/// "wav" or "mka".
constexpr std::string_view extension_of(RecordingFormat format) {
  return format == RecordingFormat::opus ? "mka" : "wav";
}

/// What a recording is to be. It is written as NAME.wav.part or NAME.mka.part, renamed to NAME.wav or
/// NAME.mka once it is whole, and what is known of it stands in NAME.json, a JSON object a line.
struct RecordingOrder {
  SoundFile file;  // the name without extension; a file of that name is replaced when this one is whole
  RecordingFormat format = RecordingFormat::wav;
  uint32_t rate = sound_rate;      // Hz: 8000, 16000, 24000 or 48000; of all samples handed over
  uint8_t sides = 2;               // 1, or 2: a channel a side (0 left, 1 right)
  Duration longest = Duration{0};  // it ends there by itself; 0: at the recorder's limit
  std::vector<std::pair<std::string, std::string>> fields;  // for NAME.json
};

/// "2026-11-25/142233-TAIL", in UTC: files fall into a folder a day, in the order of their time, which is
/// what the retention of recordings goes by.
std::string dated_name(WallTime time, std::string_view tail);

/// How a recording ended.
enum class RecordingEnd : uint8_t {
  whole,       // as long as it was asked to be; durable under its name
  cut,         // whole but for its end: it reached the longest time allowed
  unfinished,  // the disk refuses: what is there lies in the .part file and is finished at the next start
  unknown,     // no such recording is open
  discarded,   // thrown away, as it was asked to be
};
template <>
struct EnumText<RecordingEnd> {
  static constexpr std::string_view names[] = {"whole", "cut", "unfinished", "unknown", "discarded"};
};
struct RecordingAnswer {
  RecordingEnd end = RecordingEnd::unknown;
  SoundFile file;  // with the extension: what AskSound takes
  Duration length = Duration{0};
  uint64_t bytes = 0;
  Duration gaps = Duration{0};  // silence in place of samples that were dropped: a full queue, a failing disk
};

/// The recorder, a capability handed to the worker as MediaPorts is: nothing in it waits or fails the caller.
/// All positions are in samples of the order's rate since the recording began, on one line of time for both
/// sides: what nobody hands over is silence, so that sides stay aligned whatever is lost. To end a recording
/// is a question (CloseRecording in ask.h), because its answer waits for the disk; one that nobody closes
/// is closed when the recorder stops.
///
/// Samples wait in a queue; when the recording's or the recorder's is full they are dropped and counted
/// (`recording_gap_ms_total`). What comes more than half a second later than the other side's is dropped,
/// too.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// 0 when it is refused (counted): as many are open as allowed, a name that is none, a name that is being
  /// written, a rate or a number of sides there is not.
  virtual RecordingId open(const RecordingOrder& order) = 0;
  /// Any number of samples, a copy is taken.
  virtual void append(RecordingId id, uint8_t side, uint64_t at, std::span<const int16_t> samples) = 0;
  /// From `at` on nothing of either side is kept, until resume: the file is the shorter for it, and NAME.json
  /// says where and by how much. A second pause, or a resume without one, changes nothing.
  virtual void pause(RecordingId id, uint64_t at) = 0;
  virtual void resume(RecordingId id, uint64_t at) = 0;
};

}  // namespace tandem::port
