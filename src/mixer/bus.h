#pragma once
// One sum of voices, and what becomes of it for all who hear just that: it is limited once and encoded once a
// format.
#include <memory>
#include <vector>

#include "mixer/limiter.h"
#include "mixer/stream.h"

namespace tandem::mixer {

/// A stream with several listeners.
struct SharedStream {
  std::unique_ptr<Stream> stream;
  size_t listeners = 0;
};

struct Bus {
  size_t members = 0;  // who hears it, with or without a stream of their own
  Sum sum{};
  Limiter limiter;
  Frame out{};
  History history;
  std::vector<std::unique_ptr<SharedStream>> streams;

  SharedStream* find(const StreamFormat& format) const;
  SharedStream& share(std::unique_ptr<Stream> stream);
  /// One listener less. Nobody hears it any more: it ends, and is returned.
  std::unique_ptr<Stream> leave(SharedStream& shared);
  /// Limits the sum and remembers it.
  void process(uint64_t position);
  /// Feeds the streams; returns how many frames were encoded.
  uint64_t encode();
};

}  // namespace tandem::mixer
