#pragma once
// Questions to the world and their answers. A machine that does not own a thing asks for it; the answer comes
// back later with the same AskId, or late (then it is dropped), or as a failure when its deadline passes.
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "port/recording.h"
#include "port/records.h"
#include "port/sound.h"

namespace tandem::port {

/// Unique per worker and boot. 0 names nothing.
using AskId = uint64_t;

// ---- questions -------------------------------------------------------------------------------------------

/// The subscriber row: credentials, permissions, features.
struct AskSubscriber {
  AddressOfRecord aor;
};
/// Live contacts of an AOR; answered by the worker that owns its shard, not by a store.
struct AskBindings {
  AddressOfRecord aor;
  std::string gruu;  // the GRUU that was called (RFC 5627): only the contacts of that instance; empty: all
};
/// Stored bindings of all AORs, at start (fail static: calls are served while this runs).
struct AskStoredBindings {};
/// Write-behind of one AOR's bindings: replaces all of them. Answer: Stored.
struct SaveBindings {
  AddressOfRecord aor;
  std::vector<StoredBinding> bindings;
};
/// Resource records (RFC 1035 types by number: A 1, AAAA 28, SRV 33, NAPTR 35).
struct AskDns {
  std::string name;
  uint16_t type = 1;
};
struct SaveMessage {
  StoredMessage message;
};
/// Stored messages for an AOR, oldest first, at most `limit`.
struct AskMessages {
  AddressOfRecord aor;
  uint32_t limit = 50;
};
/// How many messages are stored for an AOR. Answer: WaitingAnswer.
struct AskWaiting {
  AddressOfRecord aor;
};
struct DeleteMessages {
  std::vector<uint64_t> ids;
};
/// A subscriber's own change by feature code. Answer: Stored.
struct SetFeature {
  enum class Kind : uint8_t { dnd, forward_always, forward_busy, forward_no_answer, forward_unreachable };
  AddressOfRecord aor;
  Kind kind;
  std::string value;  // "" switches off; for dnd "1" switches on
};

/// Whose calls are counted, or the TURN allocations of a user. The owner is the worker of the name's shard.
struct SeatPool {
  enum class Kind : uint8_t { trunk, domain, relay } kind = Kind::trunk;
  std::string name;
  auto operator<=>(const SeatPool&) const = default;
};
/// May one more call take a seat of the pool? Answered by the pool's owner with SeatAnswer. Asking again for
/// a seat that is held is granted.
struct AskSeat {
  SeatPool pool;
  uint64_t seat = 0;  // random, drawn by the call that is to hold it
};

/// Calls in progress at an AOR (or a park slot, see LineUpdate); answered by the worker that owns its shard.
struct AskLine {
  AddressOfRecord aor;
};

/// A sound that has to be read from a file. Answer: SoundResult, also for a deadline that passed.
struct AskSound {
  SoundFile file;
  Duration longest = Duration{0};  // a longer one is refused; 0: as long as the configuration allows
};
/// Ends a recording at a position (see Recorder), after all that was appended before it. Answer:
/// RecordingAnswer, once the file is durable under its name, or is known not to become so.
struct CloseRecording {
  RecordingId id = 0;
  uint64_t at = 0;       // what is longer is cut, what is shorter is silence
  bool discard = false;  // nothing of it is kept; what its name had before stays
  std::vector<std::pair<std::string, std::string>> fields;  // for NAME.json
};
/// Removes a recording, a message or a greeting, by its name with the extension, and its NAME.json. Answer:
/// Stored, NotFound, or AskFailure::unavailable when the disk refuses.
struct RemoveRecording {
  SoundFile file;
};
/// The voice messages of a mailbox, oldest first. Answer: VoicemailsAnswer.
struct AskVoicemails {
  AddressOfRecord mailbox;
};
/// Ends the recording of a message as CloseRecording does and puts it into its mailbox; `file` and `length`
/// come from the recording. Who left it need not be there any more: the store itself tells the mailbox's
/// owner. Answer: Stored, AskFailure::refused when the mailbox is full (the file is removed), ::unavailable
/// when the disk or the database refuses.
struct LeaveVoicemail {
  CloseRecording recording;
  Voicemail message;
  uint32_t most = 100;  // messages in that mailbox
};
/// Answer: Stored, or NotFound.
struct MarkVoicemail {
  AddressOfRecord mailbox;
  uint64_t id = 0;
  bool heard = true;
};
/// The message and its file. Answer: Stored, or NotFound.
struct RemoveVoicemail {
  AddressOfRecord mailbox;
  uint64_t id = 0;
};
/// A new PIN of a mailbox (digits), by its owner's telephone. Answer: Stored, or NotFound.
struct SetMailboxPin {
  AddressOfRecord mailbox;
  std::string pin;
};

using Question = std::variant<AskSubscriber, AskBindings, AskLine, AskStoredBindings, SaveBindings, AskDns,
                              SaveMessage, AskMessages, AskWaiting, DeleteMessages, SetFeature, AskSeat,
                              AskSound, CloseRecording, RemoveRecording, AskVoicemails, LeaveVoicemail,
                              MarkVoicemail, RemoveVoicemail, SetMailboxPin>;

// ---- answers ---------------------------------------------------------------------------------------------

enum class AskFailure : uint8_t {
  timed_out,    // the deadline passed
  unavailable,  // the engine behind it is away and nothing is remembered
  refused,      // limit reached, or the answerer is shutting down
};

struct NotFound {};
struct Stored {
  uint64_t id = 0;
};

struct DnsRecord {
  uint16_t type = 1;
  uint32_t ttl = 0;            // seconds
  IpAddress address;           // A, AAAA
  uint16_t priority = 0;       // SRV; NAPTR order
  uint16_t weight = 0;         // SRV; NAPTR preference
  uint16_t port = 0;           // SRV
  std::string target;          // SRV target; NAPTR replacement; CNAME
  std::string flags, service;  // NAPTR
};
struct DnsAnswer {
  std::vector<DnsRecord> records;  // empty: the name exists without that type, or does not exist
};

/// What a call needs to know of a live contact.
struct Contact {
  std::string uri;     // Contact URI to put into the request line
  Path path;           // how to reach it: RFC 5626 flow, the observed NAT source, or no flow
  bool fixed = false;  // path.remote is where to send, whatever the URI says (NAT, Outbound, Path)
  std::vector<std::string> route;  // RFC 3327 Path set, as Route values in order
  uint16_t q = 1000;               // 0..1000
  std::string instance;            // +sip.instance, without quotes
  uint32_t reg_id = 0;
  std::string gruu;  // pub-gruu, or empty
  std::string key;
};
struct BindingsAnswer {
  std::vector<Contact> contacts;  // best q first
};
struct StoredBindingsAnswer {
  std::shared_ptr<const std::vector<StoredBinding>> bindings;
};
struct MessagesAnswer {
  std::vector<StoredMessage> messages;
};
struct WaitingAnswer {
  uint32_t messages = 0;  // text
  uint32_t voice_new = 0, voice_old = 0;
};
struct VoicemailsAnswer {
  std::vector<Voicemail> messages;
};
/// Immutable and shared, since each worker keeps rows in its cache.
using SubscriberAnswer = std::shared_ptr<const Subscriber>;

/// A call as the shard of an AOR knows it: enough for BLF (RFC 4235), pick-up, park and call limits.
struct LineCall {
  enum class State : uint8_t { trying, proceeding, early, confirmed, parked, terminated };
  uint64_t call = 0;    // the call's id on its worker (SlotId::packed())
  uint16_t worker = 0;  // where the call lives now
  State state = State::trying;
  bool initiator = false;                      // the AOR placed the call
  std::string call_id, local_tag, remote_tag;  // of the leg towards the AOR
  std::string remote_uri, remote_display;
  AddressOfRecord remote_aor;  // of the other party, when it is a subscriber
  std::string pickup_group;    // of a party that was called: who in it may answer instead
  WallTime since;
};
struct LineAnswer {
  std::vector<LineCall> calls;
};
/// Sent by a call to the shard of each AOR it touches, at each change of state. Park slots are AORs too:
/// "park+701" at the domain.
struct LineUpdate {
  AddressOfRecord aor;
  LineCall call;
};

struct SeatAnswer {
  enum class Verdict : uint8_t {
    granted,
    full,      // as many calls as the row allows
    too_fast,  // as many within the last second as the row allows
  } verdict = Verdict::full;
};
/// Told by a worker to the owner of a pool: seats it holds (they stay taken for another while; those the
/// owner has not heard of are taken from now on) or has given back.
struct SeatUpdate {
  SeatPool pool;
  bool held = false;
  std::vector<uint64_t> seats;
};

/// What the owner of a trunk found out about it, for every worker.
struct TrunkNews {
  std::string trunk;
  std::string host;                  // the row's, when this was found out
  bool down = false;                 // does not answer OPTIONS
  std::vector<IpAddress> addresses;  // of the host, when it is a name that stands for the trunk's sources
};

using Answer = std::variant<AskFailure, NotFound, Stored, SubscriberAnswer, BindingsAnswer,
                            StoredBindingsAnswer, DnsAnswer, MessagesAnswer, WaitingAnswer, LineAnswer,
                            SeatAnswer, SoundResult, RecordingAnswer, VoicemailsAnswer>;

}  // namespace tandem::port
