#pragma once
// Where a message that is being recorded is to go, as fields of its recording (RecordingOrder::fields): they
// lie beside the sound from its first moment on, so that a message outlasts the run that took it.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "port/records.h"

namespace tandem::port {

struct MessagePlan {
  Voicemail message;  // without file and length
  uint32_t most = 0;  // in its mailbox
  Duration shortest = Duration{0};
};

using RecordingFields = std::vector<std::pair<std::string, std::string>>;
RecordingFields to_fields(const MessagePlan& plan);
/// Nothing when they are of no message. Other fields may stand between.
std::optional<MessagePlan> message_plan(const RecordingFields& fields);

}  // namespace tandem::port
