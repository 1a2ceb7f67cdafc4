#pragma once
// Answers the workers' questions from a Directory. No thread and no clock: StoreService drives it on a
// thread, the simulator by itself.
#include <map>
#include <utility>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "port/directory.h"
#include "port/outbox.h"
#include "store/spool.h"

namespace tandem::store {

struct StoreDeskOptions {
  Duration gather =
      milliseconds(5);  // bindings of so long, or of so many addresses, are written in one transaction
  size_t batch = 500;
  Duration retry = seconds(1);  // between attempts to write bindings the directory would not take
  size_t max_unwritten =
      100'000;  // addresses whose bindings may wait for that; past it the change is dropped, counted
};

class StoreDesk {
 public:
  struct Answered {
    uint16_t worker = 0;
    port::AskId id = 0;
    port::Answer answer;
  };

  StoreDesk(port::Directory& directory, StoreDeskOptions options, CounterSet& counters,
            EventSink events = {});

  /// Answers at once, but for SaveBindings, whose answer comes with its transaction. A question whose
  /// deadline has passed is not worked on, unless it is a write that has to happen anyhow.
  void ask(Instant now, uint16_t worker, port::Asked asked, std::vector<Answered>& out);
  Instant next_timeout() const;
  void on_timeout(Instant now, std::vector<Answered>& out);
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

  port::Answer answer(const port::Question& question);
  void gather(Instant now, Asker asker, port::SaveBindings save, std::vector<Answered>& out);
  port::Answer failure(const port::StoreError& error);
  void worked();

  // given
  port::Directory& directory_;
  const StoreDeskOptions options_;
  EventSink events_;
  Counter& asks_;
  Counter& late_;
  Counter& failures_;
  Counter& dropped_;
  Counter& replaced_;
  // state
  std::map<port::AddressOfRecord, Unwritten> unwritten_;
  Instant write_at_ = Instant::never();
  bool failing_ = false;
};

}  // namespace tandem::store
