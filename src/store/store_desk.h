#pragma once
// Answers the workers' questions from a Directory. No thread and no clock: StoreService drives it on a
// thread, the simulator by itself.
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "port/directory.h"
#include "port/outbox.h"
#include "store/spool.h"

namespace tandem::store {

/// Who has to know of a change, whether or not whoever asked for it is still there. Called where the desk is
/// driven: hand it on, do not block.
class StoreListener {
 public:
  virtual ~StoreListener() = default;
  /// The voice messages of a mailbox are more or fewer, or heard, now.
  virtual void mailbox_changed(const port::AddressOfRecord& mailbox) = 0;
  /// A voice message is durable in its mailbox.
  virtual void message_left(const port::Voicemail& message) = 0;
  /// Nothing speaks of this file any more.
  virtual void remove_file(const port::SoundFile& file) = 0;
  /// A mailbox's row, in the plan, has changed.
  virtual void mailbox_plan_changed() = 0;
};

struct StoreDeskOptions {
  Duration gather =
      milliseconds(5);  // bindings of so long, or of so many addresses, are written in one transaction
  size_t batch = 500;
  Duration retry = seconds(1);  // between attempts to write bindings the directory would not take
  size_t max_unwritten =
      100'000;  // addresses whose bindings may wait for that; past it the change is dropped, counted
  size_t max_unsaved = 1000;  // voice messages that may wait for that; past it they are removed, counted
};

class StoreDesk {
 public:
  struct Answered {
    uint16_t worker = 0;
    port::AskId id = 0;
    port::Answer answer;
  };

  StoreDesk(port::Directory& directory, StoreDeskOptions options, CounterSet& counters, EventSink events = {},
            StoreListener* listener = nullptr);

  /// Answers at once, but for SaveBindings, whose answer comes with its transaction. A question whose
  /// deadline has passed is not worked on, unless it is a write that has to happen anyhow. A LeaveVoicemail
  /// comes here with its recording closed and its file and length filled in (VoicemailDrop); one that the
  /// directory cannot take is tried again.
  void ask(Instant now, uint16_t worker, port::Asked asked, std::vector<Answered>& out);
  Instant next_timeout() const;
  void on_timeout(Instant now, std::vector<Answered>& out);
  /// The end: what is gathered or waits is written, as far as the directory takes it.
  void close(Instant now, std::vector<Answered>& out);
  /// Writes gathered bindings now.
  void write_bindings(Instant now, std::vector<Answered>& out);

 private:
  struct Asker {
    uint16_t worker = 0;
    port::AskId id = 0;
  };
  struct Unwritten {
    port::SaveBindings save;    // the last of its address-of-record
    std::vector<Asker> askers;  // of this and of those it replaced
  };

  port::Answer answer(Instant now, const port::Question& question);
  std::optional<port::Answer> voicemail_answer(Instant now, const port::Question& question);
  port::Answer leave(Instant now, const port::LeaveVoicemail& question);
  port::Answer remove(const port::RemoveVoicemail& question);
  /// False: the directory is away.
  bool save(const port::LeaveVoicemail& question, port::Answer& answer);
  void save_waiting(Instant now);
  void gather(Instant now, Asker asker, port::SaveBindings save, std::vector<Answered>& out);
  port::Answer failure(const port::StoreError& error);
  void worked();

  // given
  port::Directory& directory_;
  const StoreDeskOptions options_;
  EventSink events_;
  StoreListener* listener_;
  Counter& asks_;
  Counter& late_;
  Counter& failures_;
  Counter& dropped_;
  Counter& replaced_;
  Counter& left_;
  Counter& refused_full_;
  Counter& refused_lost_;
  // state
  std::map<port::AddressOfRecord, Unwritten> unwritten_;
  Instant write_at_ = Instant::never();
  std::deque<port::LeaveVoicemail> unsaved_;
  Instant save_at_ = Instant::never();
  bool failing_ = false;
};

}  // namespace tandem::store
