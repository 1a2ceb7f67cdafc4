#pragma once
// Opening a sound's file below its place's folder, and nowhere else.
#include <cstdint>
#include <string>

#include "port/sound.h"
#include "store/sound_decoder.h"

namespace tandem::store {

/// A regular file, open for reading. What identifies its content goes into a cache's key.
class OpenSound {
 public:
  /// `name` is taken apart and each part is opened below the one before it without following symbolic links:
  /// no name and no link leads out of `folder` (which may itself be a link). What is no regular file (a
  /// pipe, a device) is unreadable.
  static Result<OpenSound, port::SoundFailure> open(const std::string& folder, const std::string& name);
  ~OpenSound();
  OpenSound(OpenSound&& other) noexcept;
  OpenSound& operator=(OpenSound&&) = delete;

  struct Stamp {
    uint64_t size = 0, inode = 0;
    int64_t modified_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  const Stamp& stamp() const { return stamp_; }
  /// Reads from this object, which has to outlive it.
  SoundSource source() const;

 private:
  explicit OpenSound(int fd) : fd_(fd) {}
  int fd_;
  Stamp stamp_;
};

}  // namespace tandem::store
