#pragma once
// Decoded sounds that were asked for lately: two hundred calls on hold share one harp. No thread, no clock.
#include <cstdint>
#include <list>
#include <map>
#include <string>

#include "base/counters.h"
#include "port/ask.h"
#include "store/sound_folder.h"

namespace tandem::store {

/// Where the places are. A place without a folder has no files.
struct SoundFolders {
  std::string sounds, recordings, voicemail;
  const std::string& of(port::SoundPlace place) const {
    if (place == port::SoundPlace::sounds) return sounds;
    return place == port::SoundPlace::recordings ? recordings : voicemail;
  }
};

struct SoundCacheOptions {
  SoundLimits limits;
  size_t bytes = 128 << 20;  // of samples kept; the least lately used go first
};

class SoundCache {
 public:
  SoundCache(SoundFolders folders, SoundCacheOptions options, CounterSet& counters);
  /// Opens the file each time, so that a changed or removed one is noticed, and decodes it when it is not the
  /// one remembered.
  port::SoundResult get(const port::AskSound& question);

 private:
  struct Entry {
    port::SoundFile file;
    OpenSound::Stamp stamp;
    port::SoundPtr sound;
    size_t bytes() const { return sound->samples.size() * sizeof(int16_t); }
  };
  using Entries = std::list<Entry>;
  port::SoundResult load(const port::AskSound& question, const OpenSound& opened);
  void forget(std::map<port::SoundFile, Entries::iterator>::iterator found);

  // given
  const SoundFolders folders_;
  const SoundCacheOptions options_;
  Counter& hits_;
  Counter& loads_;
  Counter& kept_bytes_;
  // state
  Entries entries_;  // the latest used first
  std::map<port::SoundFile, Entries::iterator> by_file_;
  size_t bytes_ = 0;
};

}  // namespace tandem::store
