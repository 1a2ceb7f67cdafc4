#pragma once
// A voice message on its way into its mailbox: first the recorder makes its file durable, then the store
// writes its row. Between the two it is remembered here, since whoever left it may have hung up. Any thread.
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "base/counters.h"
#include "port/outbox.h"

namespace tandem::store {

class VoicemailDrop {
 public:
  explicit VoicemailDrop(CounterSet& counters);

  /// What to ask the recorder for `asked`, a LeaveVoicemail, under the same worker and id.
  port::CloseRecording begin(uint16_t worker, port::Asked asked);
  /// What follows from the recorder's answer: the same question for the store, with the file it is in, or the
  /// answer for whoever asked. Nothing: the answer was to another question.
  using Next = std::variant<port::Asked, port::Answer>;
  std::optional<Next> closed(uint16_t worker, port::AskId id, const port::Answer& answer);

 private:
  std::mutex mutex_;
  std::map<std::pair<uint16_t, port::AskId>, port::Asked> open_;
  uint64_t lost_count_ = 0;
  Counter& lost_;
};

}  // namespace tandem::store
