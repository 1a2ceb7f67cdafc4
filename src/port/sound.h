#pragma once
// Sound that people hear: immutable samples, the names of prompts and files, and what can be wrong with them.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "port/enum_text.h"

namespace tandem::port {

/// Everything that is read from a file has this rate, whatever the file had: the widest band a call over
/// G.722 or AMR-WB carries, one halving away from G.711's 8 kHz and a third of the memory of Opus's 48 kHz.
inline constexpr uint32_t sound_rate = 16'000;

/// One channel of 16-bit linear samples. Never changed once it is shared between workers.
struct Sound {
  uint32_t rate = sound_rate;  // Hz: 8000, 16000, 24000 or 48000
  std::vector<int16_t> samples;
  Duration length() const { return Duration(static_cast<int64_t>(samples.size()) * 1'000'000'000 / rate); }
};
using SoundPtr = std::shared_ptr<const Sound>;

/// A folder of the node under which files are found; which one it is on a disk is configuration.
enum class SoundPlace : uint8_t {
  sounds,      // the operator's: music on hold, announcements
  recordings,  // of calls
  voicemail,   // greetings and messages
};
template <>
struct EnumText<SoundPlace> {
  static constexpr std::string_view names[] = {"sounds", "recordings", "voicemail"};
};

/// A file by its place and its name there, with '/' between folders: {sounds, "hold/harp.mp3"}.
struct SoundFile {
  SoundPlace place = SoundPlace::sounds;
  std::string name;
  auto operator<=>(const SoundFile&) const = default;
};

/// A name that cannot lead out of its place: at most 255 bytes and 8 parts; no part is empty, begins with a
/// dot or holds a control character or a backslash. What is no such name is never looked for.
bool is_sound_name(std::string_view name);

/// Why there is no sound to play.
enum class SoundFailure : uint8_t {
  not_found,   // no such file, no place configured for it, or no name at all
  too_long,    // more time, or more bytes, than the limits allow
  unreadable,  // a format that is not read, damage, or no permission
  busy,        // too many are waiting, or the deadline passed
};
template <>
struct EnumText<SoundFailure> {
  static constexpr std::string_view names[] = {"not found", "too long", "unreadable", "busy"};
};
using SoundResult = Result<SoundPtr, SoundFailure>;

/// The prompts of all languages: built once, then the same immutable copy on every worker, read without
/// asking.
class PromptLibrary {
 public:
  /// `default_language`: where prompts are taken from that the wanted language does not have.
  explicit PromptLibrary(std::string default_language = "en", uint64_t version = 1)
      : default_(std::move(default_language)), version_(version) {}

  /// While it is built. A name that is there is replaced.
  void add(std::string_view language, std::string_view name, SoundPtr sound);

  /// The prompt in `language` ("ko"), else in its main language ("en-GB": "en"), else in the default
  /// language; nullptr when nobody has it.
  SoundPtr find(std::string_view language, std::string_view name) const;
  /// Only what this very language has.
  SoundPtr find_exactly(std::string_view language, std::string_view name) const;

  bool has(std::string_view language) const { return languages_.contains(language); }
  std::vector<std::string> languages() const;
  size_t size() const;  // prompts of all languages
  size_t bytes() const;
  uint64_t version() const { return version_; }

 private:
  using Prompts = std::map<std::string, SoundPtr, std::less<>>;
  std::map<std::string, Prompts, std::less<>> languages_;
  std::string default_;
  uint64_t version_;
};

}  // namespace tandem::port
