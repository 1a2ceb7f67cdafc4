#pragma once
// Sounds and recordings in memory, for tests and the simulator: answers at once, touches no disk.
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "port/ask.h"
#include "port/recording.h"
#include "store/timeline.h"

namespace tandem::store_memory {

/// Twin of store::SoundService, and the place where MemoryRecorder leaves what was recorded.
class MemorySounds {
 public:
  void put(port::SoundFile file, port::SoundPtr sound) { sounds_[std::move(file)] = std::move(sound); }
  /// Every question fails so until it is told otherwise.
  void fail_with(std::optional<port::SoundFailure> failure) { failure_ = failure; }
  port::SoundResult answer(const port::AskSound& question) const;
  /// Stored or NotFound.
  port::Answer answer(const port::RemoveRecording& question);
  const std::map<port::SoundFile, port::SoundPtr>& all() const { return sounds_; }

 private:
  std::map<port::SoundFile, port::SoundPtr> sounds_;
  std::optional<port::SoundFailure> failure_;
};

/// Twin of store::RecorderThread. Recordings are kept as samples; a closed one is found in the MemorySounds
/// it was given, as one channel, under its name with the extension.
class MemoryRecorder final : public port::Recorder {
 public:
  explicit MemoryRecorder(MemorySounds& sounds, size_t max_open = 1000)
      : sounds_(sounds), max_open_(max_open) {}

  port::RecordingId open(const port::RecordingOrder& order) override;
  void append(port::RecordingId id, uint8_t side, uint64_t at, std::span<const int16_t> samples) override;
  void pause(port::RecordingId id, uint64_t at) override;
  void resume(port::RecordingId id, uint64_t at) override;
  port::RecordingAnswer answer(const port::CloseRecording& question);

  struct Recorded {
    port::RecordingOrder order;
    std::vector<std::pair<std::string, std::string>> closing_fields;
    std::vector<int16_t> frames;  // interleaved
    port::RecordingEnd end = port::RecordingEnd::whole;
  };
  /// In the order they were closed.
  const std::vector<Recorded>& recorded() const { return recorded_; }
  size_t open_recordings() const { return open_.size(); }
  /// What is open is gone, as after a crash of a node whose disk had nothing yet.
  void crash() { open_.clear(); }

 private:
  struct Open {
    port::RecordingOrder order;
    store::Timeline timeline;
  };
  MemorySounds& sounds_;
  const size_t max_open_;
  port::RecordingId next_ = 1;
  std::map<port::RecordingId, Open> open_;
  std::vector<Recorded> recorded_;
};

}  // namespace tandem::store_memory
