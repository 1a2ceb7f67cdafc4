#include "store/sound_cache.h"

#include <algorithm>

namespace tandem::store {

using port::SoundFailure;

SoundCache::SoundCache(SoundFolders folders, SoundCacheOptions options, CounterSet& counters)
    : folders_(std::move(folders)),
      options_(options),
      hits_(counters.counter("sound_cache_hits_total", "sounds found in memory, decoded earlier")),
      loads_(counters.counter("sound_loads_total", "sound files decoded")),
      kept_bytes_(counters.gauge("sound_cache_bytes", "samples kept for the next who asks")) {}

port::SoundResult SoundCache::get(const port::AskSound& question) {
  const auto opened = OpenSound::open(folders_.of(question.file.place), question.file.name);
  const auto found = by_file_.find(question.file);
  if (found != by_file_.end()) {
    if (opened.ok() && opened->stamp() == found->second->stamp) {
      const port::SoundPtr sound = found->second->sound;
      if (question.longest.count() > 0 && sound->length() > question.longest)
        return Failure{SoundFailure::too_long};
      hits_.add();
      entries_.splice(entries_.begin(), entries_, found->second);
      return sound;
    }
    forget(found);
  }
  if (!opened.ok()) return Failure{opened.reason()};
  return load(question, *opened);
}

port::SoundResult SoundCache::load(const port::AskSound& question, const OpenSound& opened) {
  SoundLimits limits = options_.limits;
  // What a mailbox may take (MailboxRow::max_seconds) can be heard.
  if (question.file.place == port::SoundPlace::voicemail)
    limits.longest = std::max<Duration>(limits.longest, hours(1));
  if (question.longest.count() > 0) limits.longest = std::min(limits.longest, question.longest);
  loads_.add();
  auto sound = decode_sound(opened.source(), limits);
  if (!sound.ok()) return sound;
  Entry entry{question.file, opened.stamp(), *sound};
  if (entry.bytes() > options_.bytes) return sound;
  while (bytes_ + entry.bytes() > options_.bytes) forget(by_file_.find(entries_.back().file));
  bytes_ += entry.bytes();
  entries_.push_front(std::move(entry));
  by_file_[question.file] = entries_.begin();
  kept_bytes_.set(bytes_);
  return sound;
}

void SoundCache::forget(std::map<port::SoundFile, Entries::iterator>::iterator found) {
  bytes_ -= found->second->bytes();
  entries_.erase(found->second);
  by_file_.erase(found);
  kept_bytes_.set(bytes_);
}

}  // namespace tandem::store
