#include "store/voicemail_drop.h"

namespace tandem::store {

VoicemailDrop::VoicemailDrop(CounterSet& counters)
    : lost_(counters.counter("voicemails_unrecorded_total",
                             "voice messages that came to no mailbox because their recording failed")) {}

port::CloseRecording VoicemailDrop::begin(uint16_t worker, port::Asked asked) {
  const port::CloseRecording close = std::get<port::LeaveVoicemail>(asked.question).recording;
  const std::lock_guard lock(mutex_);
  open_.insert_or_assign(std::pair(worker, asked.id), std::move(asked));
  return close;
}

std::optional<VoicemailDrop::Next> VoicemailDrop::closed(uint16_t worker, port::AskId id,
                                                         const port::Answer& answer) {
  port::Asked asked;
  const auto* recording = std::get_if<port::RecordingAnswer>(&answer);
  const bool kept =
      recording && (recording->end == port::RecordingEnd::whole || recording->end == port::RecordingEnd::cut);
  const bool discarded = recording && recording->end == port::RecordingEnd::discarded;
  {
    const std::lock_guard lock(mutex_);
    auto node = open_.extract({worker, id});
    if (node.empty()) return std::nullopt;
    asked = std::move(node.mapped());
    if (!kept && !discarded) lost_.set(++lost_count_);
  }
  if (discarded) return port::Answer(port::Stored{});
  if (!kept) return port::Answer(port::AskFailure::unavailable);
  auto& message = std::get<port::LeaveVoicemail>(asked.question).message;
  message.file = recording->file.name;
  message.length = recording->length;
  return asked;
}

}  // namespace tandem::store
