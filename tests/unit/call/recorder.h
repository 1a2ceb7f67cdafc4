#pragma once
#include <map>

#include "port/recording.h"

namespace tandem::call::test {

/// What a recorder is told.
struct FakeRecorder final : port::Recorder {
  struct Recording {
    port::RecordingOrder order;
    uint64_t samples = 0;
  };
  port::RecordingId open(const port::RecordingOrder& order) override {
    if (refuses) return 0;
    recordings[++last] = {order, 0};
    return last;
  }
  void append(port::RecordingId id, uint8_t, uint64_t at, std::span<const int16_t> samples) override {
    recordings[id].samples = std::max(recordings[id].samples, at + samples.size());
  }
  void pause(port::RecordingId, uint64_t) override {}
  void resume(port::RecordingId, uint64_t) override {}

  std::map<port::RecordingId, Recording> recordings;
  port::RecordingId last = 0;
  bool refuses = false;
};

}  // namespace tandem::call::test
