#include "mixer/bus.h"

#include <algorithm>
#include <utility>

namespace tandem::mixer {

SharedStream* Bus::find(const StreamFormat& format) const {
  for (const auto& s : streams)
    if (s->stream->format() == format) return s.get();
  return nullptr;
}

SharedStream& Bus::share(std::unique_ptr<Stream> stream) {
  streams.push_back(std::make_unique<SharedStream>());
  streams.back()->stream = std::move(stream);
  return *streams.back();
}

std::unique_ptr<Stream> Bus::leave(SharedStream& shared) {
  if (--shared.listeners > 0) return nullptr;
  std::unique_ptr<Stream> stream = std::move(shared.stream);
  streams.erase(
      std::find_if(streams.begin(), streams.end(), [&](const auto& s) { return s.get() == &shared; }));
  return stream;
}

void Bus::process(uint64_t position) {
  limiter.process(sum, out);
  history.push(position, out);
}

uint64_t Bus::encode() {
  uint64_t encoded = 0;
  for (const auto& s : streams) {
    encoded -= s->stream->encoded();
    s->stream->feed(out);
    encoded += s->stream->encoded();
  }
  return encoded;
}

}  // namespace tandem::mixer
