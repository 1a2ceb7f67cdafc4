#pragma once
// Outbox: everything a protocol machine wants from the world, as values in the order it asked. The worker's
// driver
// (`net`, or the simulator) empties it after each batch of input.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "port/ask.h"
#include "port/event.h"
#include "port/flow.h"
#include "port/media.h"
#include "port/relay.h"

namespace tandem::port {

/// A question on its way out, with the machine that waits for it.
struct Asked {
  AskId id = 0;
  Question question;
  Instant deadline;
};

/// Something for another worker of this node; only the node's dispatch knows what is inside. One-way.
struct MailBody {
  virtual ~MailBody() = default;
  /// Strangers cause it, or somebody asks again: with a full mailbox it is dropped and counted. All else is
  /// taken, for a call, a lamp or a seat would be lost with it.
  virtual bool may_be_lost() const { return false; }
};
struct Mail {
  uint16_t to_worker = 0;
  std::unique_ptr<MailBody> body;
};

/// A record for the durable spool (a CDR). Durable when on_committed() reaches `commit`.
struct Append {
  CommitId commit = 0;
  std::string bytes;
};

/// A call that must continue on another worker (Replaces, pick-up, park): its snapshot, and the names under
/// which its messages may still arrive here, so that the dispatch can forward them until they end.
struct CallMove {
  uint16_t to_worker = 0;
  std::string part;
  std::vector<std::string> local_tags;  // of its dialogs
  std::vector<std::string> branches;    // of its pending transactions
  std::string then;                     // what the new owner does with it next, in the call room's own words
};

/// A SIP message as it passed, for --trace-sip and HEP. Credentials are still inside: sinks remove them.
struct SipTrace {
  bool outbound = false;
  Path path;
  WallTime time;
  Buffer bytes;
};

/// Who waits for an answer inside a worker: the room and the object's name there.
struct Asker {
  enum class Room : uint8_t {
    none,
    call,
    registrar,
    presence,
    auth,
    message,
    route,
    node,
    rtc,
    turn
  } room = Room::none;
  uint64_t object = 0;  // SlotId::packed() or a key of that room's choosing
};

class Outbox {
 public:
  /// The numbers continue across batches; the worker owns one Outbox for its whole life.
  void send(Send s) { sends.push_back(std::move(s)); }
  AskId ask(Question question, Instant deadline, Asker asker) {
    const AskId id = next_ask_++;
    new_asks.push_back({id, asker, deadline});
    asks.push_back({id, std::move(question), deadline});
    return id;
  }
  void mail(uint16_t worker, std::unique_ptr<MailBody> body) { mails.push_back({worker, std::move(body)}); }
  CommitId append(std::string record) {
    appends.push_back({next_commit_, std::move(record)});
    return next_commit_++;
  }
  void close_flow(FlowId flow) { closes.push_back(flow); }
  void event(Level level, std::string_view name, uint64_t trail,
             std::vector<std::pair<std::string_view, std::string>> fields = {}) {
    if (level >= event_level) events.push_back({level, name, trail, std::move(fields)});
  }

  /// For the worker's table of open asks; taken before the driver sees `asks`.
  struct NewAsk {
    AskId id;
    Asker asker;
    Instant deadline;
  };

  std::vector<Send> sends;
  std::vector<Asked> asks;
  std::vector<NewAsk> new_asks;
  std::vector<Mail> mails;
  std::vector<Append> appends;
  std::vector<FlowId> closes;
  // Taken by the worker's dispatch, these six: drivers never see them.
  std::vector<LineUpdate> lines;
  std::vector<CallMove> moves;
  std::vector<SeatUpdate> seats;
  std::vector<TrunkNews> trunk_news;
  std::vector<AddressOfRecord> mailboxes;  // the messages stored for these are more or fewer now
  std::vector<RelayMove> relay_moves;
  std::vector<Event> events;
  std::vector<SipTrace> traces;
  MediaOut media;
  RelayOut relay;
  bool trace_sip = false;  // fill `traces`: somebody is looking
  Level event_level = Level::info;

 private:
  AskId next_ask_ = 1;
  CommitId next_commit_ = 1;
};

}  // namespace tandem::port
