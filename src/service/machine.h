#pragma once
// What a caller talks with when nobody is there: an attendant's menu, a mailbox, the door of a conference. A
// machine per caller; whoever carries its orders out (the call room) owns the leg, the sound and the
// questions.
//
//   start, keys, what has been heard, answers, time  --->  Machine  --->  Orders
//
// One order of a kind is under way at a time: a Say ends the one before it, unheard; a Record, Ask, Dial or
// Enter is given when the one before it has come to its end. After HangUp nothing is given any more, and
// nothing comes. Keys may be those of a PIN: they are in no log, whoever carries them.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "port/ask.h"
#include "port/directory.h"

namespace tandem::service {

/// A piece of what is said: a prompt, a file, or a tone.
struct Utterance {
  enum class Kind : uint8_t { prompt, file, beep } kind = Kind::prompt;
  std::string prompt;    // of the language of the service
  port::SoundFile file;  // what is not found is passed over
};

/// Is heard from its beginning, one after the other; on_said follows unless another Say or Silence cuts it
/// short.
struct Say {
  std::vector<Utterance> words;
};
/// What is being said stops.
struct Silence {};
/// Where a recording goes when it is no file of its own.
struct Deposit {
  port::Voicemail message;  // file and length come from the recording
  uint32_t most = 100;      // in the mailbox
};
/// What the caller says from now on is recorded as WAV, one side, at most `longest`. It ends with StopRecord,
/// with its longest time, or with the call: also then the message is put into its mailbox, without us. What
/// is shorter than `shortest` is thrown away.
struct Record {
  port::SoundFile file;  // without extension
  Duration longest = seconds(180);
  Duration shortest = seconds(1);
  std::optional<Deposit> deposit;
};
/// on_recorded follows, once it is durable.
struct StopRecord {};
/// on_answer follows, or AskFailure.
struct Ask {
  port::Question question;
};
/// The number is dialled for the caller. When somebody answers, the machine is no more; on_not_taken
/// otherwise.
struct Dial {
  std::string number;
  bool as_caller = false;  // with the caller's own rights; else with all (route::FromPlan)
};
/// Into the conference; on_room tells how it went.
struct Enter {
  std::string domain, name;  // of the row
  bool moderator = false;
  bool muted = false;
};
/// While in the conference.
struct Mute {
  bool on = false;
};
/// A moderator's: only moderators are heard.
struct Lecture {
  bool on = false;
};
/// Nobody else may enter.
struct Lock {
  bool on = false;
};
/// A PIN was typed, and it is not the one. Ordered as soon as that is known, before the caller hears of it:
/// who hangs up first has tried all the same.
struct WrongPin {};
/// The call ends.
struct HangUp {
  int status = 200;  // SIP; how the record says it ended. 401: with the last of its tries at a PIN
};

using Order =
    std::variant<Say, Silence, Record, StopRecord, Ask, Dial, Enter, Mute, Lecture, Lock, WrongPin, HangUp>;
using Orders = std::vector<Order>;

/// How a conference took it, and what becomes of it.
enum class RoomEvent : uint8_t {
  waiting,   // for a moderator; music meanwhile
  entered,   // `count` others are there
  full,      // as many as it may have
  locked,    // nobody else is let in
  ended,     // its last moderator has left, or somebody ended it
  removed,   // an operator took the caller out
  recorded,  // what the caller says and hears, and he is to know; told before `entered` when it is so from
             // the start
  muted,     // by an operator or a moderator; what the machine ordered itself need not be told
  unmuted,
  lecture_on,  // everybody but moderators is muted; also told after `entered` when the row says otherwise
  lecture_off,
};

/// How a recording ended.
enum class Recorded : uint8_t {
  kept,       // durable
  too_short,  // thrown away
  full,       // the mailbox is
  failed,     // the disk, or the database
};

class Machine {
 public:
  virtual ~Machine() = default;
  /// The caller is there and hears us. Once, before anything else; not after a restore.
  virtual void start(Now now, Orders& out) = 0;
  virtual void on_key(Now now, char key, Orders& out) = 0;  // 0-9, *, #, A-D
  virtual void on_said(Now, Orders&) {}
  /// After StopRecord, or because the recording reached its longest time.
  virtual void on_recorded(Now, Recorded, Orders&) {}
  virtual void on_answer(Now, const port::Answer&, Orders&) {}
  /// Busy, silent, unknown: the SIP status.
  virtual void on_not_taken(Now, int /*status*/, Orders&) {}
  virtual void on_room(Now, RoomEvent, uint32_t /*count*/, Orders&) {}
  virtual void on_timeout(Now now, Orders& out) = 0;
  virtual Instant next_timeout() const = 0;

  /// Whether what is typed now is the PIN that lets the caller in.
  virtual bool awaits_pin() const { return false; }
  /// "menu", "voicemail", ...: for lists and records.
  virtual std::string_view kind() const = 0;
  virtual std::string_view language() const = 0;
  /// A part (proto/service.proto); a restored machine goes on: after a Say, Ask or Dial that was under way it
  /// is told what it would have been told, by whoever carries its orders out.
  virtual std::string snapshot(Now now) const = 0;
};

// ---- the machines ----------------------------------------------------------------------------------------

/// What a machine has to know of the one who called.
struct Caller {
  port::AddressOfRecord aor;  // empty: no subscriber
  std::string number;         // as shown to callees; empty: withheld
  std::string display;
};

/// attendant.h: greeting, keys, destinations. `choices`: those that hold now, in order.
std::unique_ptr<Machine> attendant(const port::MenuRow& menu, std::vector<port::MenuChoiceRow> choices);
/// voicemail_leave.h: greeting, tone, message. `busy`: the mailbox's owner is on another call (and not just
/// away). `tail`: makes the file's name unique.
std::unique_ptr<Machine> leave_message(const port::MailboxRow& mailbox, const Caller& caller, bool busy,
                                       std::string tail);
/// voicemail_read.h: messages are heard, kept, removed; the greeting and the PIN changed. `own`: one of the
/// mailbox's own telephones calls. `offset`: of the mailbox's time zone now, east of UTC.
std::unique_ptr<Machine> read_messages(const port::MailboxRow& mailbox, bool own, Duration offset);
/// conference_door.h: PIN, conference, keys while in it (*6 mutes; a moderator's *5 lecture, *7 lock).
std::unique_ptr<Machine> conference_door(const port::ConferenceRow& conference);

enum class BadPart : uint8_t { unreadable, unknown_kind };
Result<std::unique_ptr<Machine>, BadPart> restore(Now now, std::string_view part);

/// The mailbox's own greeting, without extension: recorded as WAV.
port::SoundFile greeting_of(const port::AddressOfRecord& mailbox);

}  // namespace tandem::service
