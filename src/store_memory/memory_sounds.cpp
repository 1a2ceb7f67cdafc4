#include "store_memory/memory_sounds.h"

#include <algorithm>

namespace tandem::store_memory {

using port::RecordingEnd;
using port::SoundFailure;

namespace {

constexpr Duration longest = hours(4);

uint64_t samples_of(Duration time, uint32_t rate) {
  return static_cast<uint64_t>(time.count() / 1'000'000) * rate / 1000;
}

}  // namespace

port::SoundResult MemorySounds::answer(const port::AskSound& question) const {
  if (failure_) return Failure{*failure_};
  const auto found = sounds_.find(question.file);
  if (found == sounds_.end()) return Failure{SoundFailure::not_found};
  if (question.longest.count() > 0 && found->second->length() > question.longest)
    return Failure{SoundFailure::too_long};
  return found->second;
}

port::Answer MemorySounds::answer(const port::RemoveRecording& question) {
  if (question.file.place == port::SoundPlace::sounds || sounds_.erase(question.file) == 0)
    return port::NotFound{};
  return port::Stored{};
}

port::RecordingId MemoryRecorder::open(const port::RecordingOrder& order) {
  const bool written = std::any_of(open_.begin(), open_.end(),
                                   [&](const auto& entry) { return entry.second.order.file == order.file; });
  if (open_.size() >= max_open_ || written || !port::is_sound_name(order.file.name) || order.sides < 1 ||
      order.sides > 2 || order.file.place == port::SoundPlace::sounds)
    return 0;
  const Duration limit = order.longest.count() > 0 ? std::min(order.longest, longest) : longest;
  open_.emplace(next_,
                Open{order, store::Timeline(order.sides, order.rate / 2, samples_of(limit, order.rate))});
  return next_++;
}

void MemoryRecorder::append(port::RecordingId id, uint8_t side, uint64_t at,
                            std::span<const int16_t> samples) {
  if (const auto found = open_.find(id); found != open_.end()) found->second.timeline.put(side, at, samples);
}

void MemoryRecorder::pause(port::RecordingId id, uint64_t at) {
  if (const auto found = open_.find(id); found != open_.end()) found->second.timeline.pause(at);
}

void MemoryRecorder::resume(port::RecordingId id, uint64_t at) {
  if (const auto found = open_.find(id); found != open_.end()) found->second.timeline.resume(at);
}

port::RecordingAnswer MemoryRecorder::answer(const port::CloseRecording& question) {
  const auto found = open_.find(question.id);
  if (found == open_.end()) return {};
  if (question.discard) {
    open_.erase(found);
    port::RecordingAnswer gone;
    gone.end = RecordingEnd::discarded;
    return gone;
  }
  const port::RecordingOrder& order = found->second.order;
  store::Timeline& timeline = found->second.timeline;
  timeline.end(question.at);
  Recorded r{order, question.fields, {}, timeline.full() ? RecordingEnd::cut : RecordingEnd::whole};
  timeline.take(timeline.ready(), r.frames);
  auto sound = std::make_shared<port::Sound>();
  sound->rate = order.rate;
  for (size_t i = 0; i + order.sides <= r.frames.size(); i += order.sides) {
    int sum = 0;
    for (uint8_t side = 0; side < order.sides; ++side) sum += r.frames[i + side];
    sound->samples.push_back(static_cast<int16_t>(sum / order.sides));
  }
  const port::SoundFile file{order.file.place,
                             order.file.name + "." + std::string(port::extension_of(order.format))};
  port::RecordingAnswer answer{r.end, file, sound->length(), r.frames.size() * sizeof(int16_t), {}};
  sounds_.put(file, std::move(sound));
  recorded_.push_back(std::move(r));
  open_.erase(found);
  return answer;
}

}  // namespace tandem::store_memory
