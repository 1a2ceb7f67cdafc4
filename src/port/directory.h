#pragma once
// The directory: living configuration and records (subscribers, trunks, dial plan, bindings, messages, CDRs)
// as rows, and the interface of whoever keeps them. Synchronous: it runs on the store thread or a control
// thread, never on a worker. Workers get the plan as an immutable copy (`route` compiles PlanRows) and ask
// for the rest.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "port/ask.h"
#include "port/cdr.h"
#include "port/enum_text.h"
#include "port/flow.h"
#include "port/records.h"

namespace tandem::port {

// ---- errors ----------------------------------------------------------------------------------------------

struct StoreError {
  enum class Kind : uint8_t {
    not_found,    // no such row
    conflict,     // a row of that key exists, or a row this one names does not
    invalid,      // a value is out of range or missing
    limit,        // a configured limit is reached (stored messages of one recipient)
    unavailable,  // cannot be opened, or locked by somebody for too long
    read_only,    // reads work, writes do not
    full,         // no space left
    corrupt,      // not a database, or damaged
    newer,        // written by a newer version of this program
    internal,
  };
  Kind kind = Kind::internal;
  std::string text;  // one sentence for people; holds no secrets
};
template <>
struct EnumText<StoreError::Kind> {
  static constexpr std::string_view names[] = {"not_found", "conflict", "invalid", "limit", "unavailable",
                                               "read_only", "full",     "corrupt", "newer", "internal"};
};
template <class T>
using StoreResult = Result<T, StoreError>;
using StoreStatus = Status<StoreError>;

// ---- the plan: rows that every worker holds a compiled copy of
// -------------------------------------------------

template <>
struct EnumText<CallClass> {
  static constexpr std::string_view names[] = {"internal", "national", "international"};
};
template <>
struct EnumText<SrtpPolicy> {
  static constexpr std::string_view names[] = {"default",  "passed",  "refused",
                                               "accepted", "offered", "required"};
};
template <>
struct EnumText<RecordPolicy> {
  static constexpr std::string_view names[] = {"default", "never", "on_demand", "announced", "silent"};
};
template <>
struct EnumText<DtmfPolicy> {
  static constexpr std::string_view names[] = {"default", "auto", "rfc4733", "info", "inband"};
};
template <>
struct EnumText<Transport> {
  static constexpr std::string_view names[] = {"udp", "tcp", "tls", "ws", "wss"};
};

struct DomainRow {
  std::string name;  // key; lower case
  bool enabled = true;
  std::string digest_realm;  // empty: the name. Changing it makes every stored HA1 of the domain useless.
  std::vector<std::string> aliases;            // other names and addresses that mean this domain
  std::vector<std::string> emergency_numbers;  // never refused for load or class, e.g. "112"
  std::string country_code;                    // "49"; for turning dialled numbers into E.164 on trunks
  std::string national_prefix;                 // "0"
  std::string international_prefix;            // "00"
  uint32_t max_calls = 0;                      // 0: no limit
  bool operator==(const DomainRow&) const = default;
};

/// An audio codec as rows name it: "PCMU", "G722/8000", "opus/48000/2" (RFC 8866 section 6.6, the encoding
/// names IANA registers for audio).
struct CodecName {
  std::string_view encoding;
  uint32_t clock_rate = 0;  // 0: any
  uint8_t channels = 0;     // 0: any
  /// Nothing for a name nobody registered, or a rate that is no number.
  static std::optional<CodecName> parse(std::string_view text);
};

/// A neighbour that is not a subscriber: known by its address, or one we register with.
struct TrunkRow {
  enum class Kind : uint8_t { address, registration };
  std::string name;    // key
  std::string domain;  // whose dial plan its incoming calls use
  Kind kind = Kind::address;
  bool enabled = true;
  std::string host;  // name or address; RFC 3263 applies when port is 0
  uint16_t port = 0;
  Transport transport = Transport::udp;
  std::string realm;        // listener realm it is reached through; empty: the default one
  std::string user;         // user part of our address-of-record there (From, Contact, REGISTER To)
  std::string from_domain;  // domain of our address-of-record there; empty: host
  // Credentials for their challenges. HA1 needs the realm their challenge will name, so set auth_realm and
  // ha1 wherever that realm is known; `password` is kept in clear only for a provider whose realm is not
  // known beforehand, and is to be replaced by HA1 values after the first challenge.
  std::string auth_user;  // empty: user
  std::string auth_realm;
  Ha1 ha1;
  std::string password;
  std::vector<std::string>
      sources;  // addresses and prefixes whose requests are this trunk's, e.g. "192.0.2.0/28"
  // With TLS: the name its certificate must carry (RFC 5922), both when we connect (empty: the host) and when
  // its requests come in. Then `sources` alone make no request this trunk's, but restrict those that prove
  // the name.
  std::string tls_name;
  uint32_t expires_seconds = 600;                 // asked for at registration
  uint32_t max_calls = 0;                         // at a time; 0: no limit
  uint32_t max_calls_per_second = 0;              // 0: no limit
  CallClass inbound_class = CallClass::internal;  // most an incoming call may reach through the dial plan
  std::vector<std::string> codecs;  // CodecName, in order of preference; empty: whatever is offered
  SrtpPolicy srtp = SrtpPolicy::standard;
  RecordPolicy recording = RecordPolicy::standard;
  DtmfPolicy dtmf = DtmfPolicy::standard;
  bool send_e164 = false;         // "+49..." instead of the number as dialled
  uint32_t options_seconds = 60;  // probe by OPTIONS; 0: never
};

/// One row of a dial plan. Rows of the caller's domain and rows of no domain are tried by ascending
/// {priority, id}; the first whose every condition holds decides.
struct RouteRow {
  enum class Action : uint8_t {
    extension,   // the subscriber `target` (empty: the number, after strip and prefix)
    ring_group,  // target: the group's name
    trunk,       // targets: trunk names, tried in order
    feature,     // target: a Feature by its text
    park,        // target: a slot, or empty for the next free one
    redirect,    // target: a SIP URI; answered with a 302
    reject,      // status and reason
    number,      // look again, for the number `target` (an alias); at most 8 times
    menu,        // the attendant's menu `target` (empty: the number, after strip and prefix)
    voicemail,   // a message is left for the mailbox `target` (empty: the number)
    conference,  // the conference `target` (empty: the number)
  };
  uint64_t id = 0;     // key; 0: the store gives one
  std::string domain;  // empty: every domain
  uint32_t priority = 100;
  std::string name;  // for people and for the CDR
  bool enabled = true;
  // Digits, '*', '#' and '+' stand for themselves; X 0-9, Z 1-9, N 2-9, [1-5] one of a set, and at the end
  // '.' one or more of anything, '!' none or more. Letters other than X, Z, N (either case) are matched as
  // text: "alice". A leading "=" takes the rest literally ("=nancy").
  std::string pattern;
  std::string caller_pattern;  // same language on the caller's number; empty: anybody
  std::string from_trunk;      // empty: from subscribers; "*": from any trunk; else that trunk
  CallClass call_class = CallClass::internal;  // least a caller must be allowed
  std::string time_rule;                       // empty: always; "!name" when the rule does not hold
  Action action = Action::extension;
  std::string target;
  std::vector<std::string> targets;
  uint32_t strip = 0;         // digits taken off the front of the number
  std::string prefix;         // then put before it
  std::string caller_number;  // shown to the far end; empty: unchanged
  uint16_t status = 0;        // reject
  std::string reason;         // reject: reason phrase
  std::string otherwise;  // number to go on with when the target is busy, silent or unreachable; empty: end
};

struct RingGroupRow {
  enum class Strategy : uint8_t { parallel, sequential, rotate, random };
  std::string domain;  // key
  std::string name;    // key; also the number it is dialled by, when there is no route to it
  bool enabled = true;
  Strategy strategy = Strategy::parallel;
  uint32_t timeout_seconds = 60;         // the whole group
  uint32_t member_timeout_seconds = 20;  // one member at a time (not parallel)
  std::string otherwise;                 // number when nobody answered; empty: the call ends
  bool skip_busy = true;
};

struct RingGroupMemberRow {
  std::string domain;            // key
  std::string group;             // key
  uint32_t position = 0;         // key; order of ringing
  std::string target;            // user part of the domain, a number for the dial plan, or a SIP URI
  uint32_t delay_seconds = 0;    // parallel: starts ringing that much later
  uint32_t timeout_seconds = 0;  // 0: the group's
};

/// What a feature code does. Codes that take a number are followed by it ("*21*1002").
enum class Feature : uint8_t {
  echo,
  dnd_on,
  dnd_off,
  forward_always_on,
  forward_always_off,
  forward_busy_on,
  forward_busy_off,
  forward_no_answer_on,
  forward_no_answer_off,
  forward_unreachable_on,
  forward_unreachable_off,
  forward_all_off,
  park,
  unpark,
  pickup_group,     // a ringing call of the own pick-up group
  pickup_directed,  // the call ringing at the extension that follows
  say_number,       // answers and plays a tone: "is my phone working"
  hold_music,
  voicemail,        // the caller's own mailbox is read
  voicemail_other,  // the mailbox of the number that follows is read: by any subscriber who knows its PIN,
                    // never without one
  voicemail_leave,  // a message is left for the number that follows, without ringing it
};

struct FeatureCodeRow {
  std::string domain;  // key; empty: every domain without a row of its own for that code
  std::string code;    // key; "*43"
  bool enabled = true;
  Feature feature = Feature::echo;
};

/// A named rule holds when any of its rows holds (opening hours and exceptions are several rows).
struct TimeRuleRow {
  std::string domain;     // key; empty: every domain
  std::string name;       // key
  uint32_t position = 0;  // key
  // POSIX TZ text (IEEE 1003.1 section 8.3), "CET-1CEST,M3.5.0,M10.5.0/3", so that evaluating it needs no
  // files; empty: UTC.
  std::string time_zone;
  uint8_t weekdays = 0x7f;  // bit 0 is Monday
  uint32_t from_minute =
      0;  // of the day; from >= to wraps over midnight, the weekday being that of the start
  uint32_t to_minute = 1440;
  std::string from_date;  // "2026-12-24" or "12-24" for every year; empty: unbounded
  std::string to_date;    // inclusive
  bool except = false;    // the row forbids: when it holds, the rule does not, whatever the other rows say
};

struct ParkRow {
  std::string domain;  // key
  bool enabled = true;
  uint32_t first_slot = 701;
  uint32_t last_slot = 720;
  uint32_t timeout_seconds = 120;  // then the call goes back to whoever parked it
  std::string otherwise;           // number to go to instead
};

/// An attendant's menu: a greeting, keys, where they lead. One without choices, and without `extensions`, is
/// an announcement: its greeting is heard once, then `otherwise` is dialled.
struct MenuRow {
  std::string domain;  // key
  std::string name;    // key; also the number it is dialled by, when there is no route to it
  bool enabled = true;
  std::string language = "en";        // of prompts
  std::vector<std::string> greeting;  // one after the other: a prompt's name, or a file of SoundPlace::sounds
                                      // (a name with a dot in it); at most 16. Empty: the prompt "welcome"
  uint32_t wait_seconds = 5;          // for the first key, after the greeting's end; 1 to 60
  uint32_t between_seconds = 3;       // for one more key, when more could follow; 1 to 60
  uint32_t tries = 3;                 // how often the greeting is heard before `otherwise`; 1 to 10
  bool extensions = false;            // a number of the domain may be dialled, with the caller's own rights
  std::string otherwise;              // number dialled when nobody chose; empty: the call ends
};

/// What a key, or some keys, of a menu lead to. Of the rows with the same keys the first whose time rule
/// holds counts.
struct MenuChoiceRow {
  std::string domain;     // key
  std::string menu;       // key
  uint32_t position = 0;  // key
  std::string keys;       // 1 to 8 of 0-9, * and #
  std::string time_rule;  // empty: always; "!name" when the rule does not hold
  std::string target;  // number dialled, with all rights, as RouteRow::otherwise; empty: the greeting again
};

/// A subscriber's mailbox. It takes what is not answered, when no forwarding does, unless `unanswered` is
/// off.
struct MailboxRow {
  std::string domain;  // key
  std::string user;    // key; of the subscriber, or nobody's: a mailbox of its own
  bool enabled = true;
  std::string pin;  // 4 to 12 digits; empty: only the subscriber's own telephones read it. Never shown.
  std::string language = "en";
  bool unanswered = true;       // busy, silent and unreachable are sent here
  uint32_t max_messages = 100;  // 1 to 1000
  uint32_t max_seconds = 180;   // of one message, 5 to 3600
  std::string time_zone;        // POSIX TZ, as TimeRuleRow's; for what time a message came
  std::string email;            // is written to with each message; empty: nobody
  bool attach = true;           // with the sound
  bool remove_sent = false;     // the message goes away once the e-mail with its sound was taken
};

/// A room where people meet. Whoever knows `moderator_pin` is a moderator.
struct ConferenceRow {
  std::string domain;  // key
  std::string name;    // key; also the number it is dialled by, when there is no route to it
  bool enabled = true;
  std::string pin;            // 4 to 12 digits; empty: nobody is asked. Never shown.
  std::string moderator_pin;  // 4 to 12 digits; empty: there are no moderators. Never shown.
  std::string language = "en";
  uint32_t members = 200;  // at most; 2 to 200
  bool lecture = false;    // only moderators are heard
  bool muted = false;      // who comes is muted, and may unmute
  bool wait = false;       // music until a moderator is there
  bool ends = false;       // with its last moderator
  bool announce = true;    // a tone for who comes and goes
};

template <>
struct EnumText<TrunkRow::Kind> {
  static constexpr std::string_view names[] = {"address", "registration"};
};
template <>
struct EnumText<RouteRow::Action> {
  static constexpr std::string_view names[] = {"extension", "ring_group", "trunk",     "feature",
                                               "park",      "redirect",   "reject",    "number",
                                               "menu",      "voicemail",  "conference"};
};
template <>
struct EnumText<RingGroupRow::Strategy> {
  static constexpr std::string_view names[] = {"parallel", "sequential", "rotate", "random"};
};
template <>
struct EnumText<Feature> {
  static constexpr std::string_view names[] = {"echo",
                                               "dnd_on",
                                               "dnd_off",
                                               "forward_always_on",
                                               "forward_always_off",
                                               "forward_busy_on",
                                               "forward_busy_off",
                                               "forward_no_answer_on",
                                               "forward_no_answer_off",
                                               "forward_unreachable_on",
                                               "forward_unreachable_off",
                                               "forward_all_off",
                                               "park",
                                               "unpark",
                                               "pickup_group",
                                               "pickup_directed",
                                               "say_number",
                                               "hold_music",
                                               "voicemail",
                                               "voicemail_other",
                                               "voicemail_leave"};
};

/// Any row of the plan: one pair of put and remove serves them all.
using PlanRow = std::variant<DomainRow, TrunkRow, RouteRow, RingGroupRow, RingGroupMemberRow, FeatureCodeRow,
                             TimeRuleRow, ParkRow, MenuRow, MenuChoiceRow, MailboxRow, ConferenceRow>;

/// Everything at one version, read in one transaction. Routes come ordered by {priority, id}, the rest by
/// key.
struct PlanRows {
  uint64_t version = 0;
  std::vector<DomainRow> domains;
  std::vector<TrunkRow> trunks;
  std::vector<RouteRow> routes;
  std::vector<RingGroupRow> ring_groups;
  std::vector<RingGroupMemberRow> ring_group_members;
  std::vector<FeatureCodeRow> feature_codes;
  std::vector<TimeRuleRow> time_rules;
  std::vector<ParkRow> parks;
  std::vector<MenuRow> menus;
  std::vector<MenuChoiceRow> menu_choices;
  std::vector<MailboxRow> mailboxes;
  std::vector<ConferenceRow> conferences;
};

// ---- queries ---------------------------------------------------------------------------------------------

struct SubscriberQuery {
  std::string domain;    // empty: all
  std::string search;    // part of user or display name, any case; empty: all
  std::string cursor;    // `next` of the page before
  uint32_t limit = 100;  // at most 1000
};
struct SubscriberPage {
  std::vector<Subscriber> rows;  // by domain, then user
  std::string next;              // empty: that was all
};

struct CdrQuery {
  WallTime from;        // setup time, inclusive; 0: unbounded
  WallTime to;          // exclusive; 0: unbounded
  std::string party;    // user of either party, or the dialled number
  std::string domain;   // of either party
  std::string call_id;  // of either leg
  std::string trunk;    // of either leg
  std::optional<uint16_t> sip_status;
  std::optional<uint8_t> q850_cause;
  std::string cursor;
  uint32_t limit = 100;  // at most 1000
};
struct CdrPage {
  std::vector<Cdr> rows;  // latest setup first
  std::string next;       // empty: that was all
};

/// Bearer token of the REST API; only its SHA-256 is kept.
struct ApiTokenRow {
  std::string name;    // key
  std::string sha256;  // lower-case hex
  std::string scopes;  // "admin" or "read"
  bool enabled = true;
  WallTime expires;  // 0: never
};

// ---- the interface
// -----------------------------------------------------------------------------------------

/// One instance serves one thread; several instances may share a database. Any call may fail with
/// unavailable, read_only, full, corrupt or newer; the next call tries again, so that a repaired database
/// needs no restart.
class Directory {
 public:
  enum class Put : uint8_t {
    create,
    replace,
    either
  };  // conflict when it exists; not_found when it does not
  struct PutDone {
    uint64_t id = 0;       // of a route
    uint64_t version = 0;  // of the plan, afterwards
  };
  virtual ~Directory() = default;

  // Subscribers. The caller computes HA1 values; an empty HA1 in put_subscriber(replace) keeps what is
  // stored.
  virtual StoreResult<SubscriberPage> list_subscribers(const SubscriberQuery& query) = 0;
  virtual StoreResult<Subscriber> subscriber(const AddressOfRecord& aor) = 0;
  /// Gives the row's new revision, which is higher than that of any change before.
  virtual StoreResult<uint64_t> put_subscriber(const Subscriber& row, Put mode) = 0;
  virtual StoreStatus remove_subscriber(const AddressOfRecord& aor) = 0;
  /// A subscriber's own change by feature code.
  virtual StoreStatus set_feature(const SetFeature& change) = 0;
  /// Grows with every change of any subscriber, removals included: workers drop cached rows when it moved.
  virtual StoreResult<uint64_t> subscribers_version() = 0;

  // The plan.
  virtual StoreResult<PlanRows> plan_rows() = 0;
  virtual StoreResult<uint64_t> plan_version() = 0;
  virtual StoreResult<PutDone> put_plan_row(const PlanRow& row, Put mode) = 0;
  /// Only the row's key members are looked at. A ring group takes its members with it, a menu its choices, a
  /// mailbox its messages; a domain that has subscribers, trunks or mailboxes stays (`conflict`).
  virtual StoreStatus remove_plan_row(const PlanRow& row) = 0;

  // Stored messages.
  virtual StoreResult<uint64_t> save_message(const StoredMessage& message) = 0;
  virtual StoreResult<std::vector<StoredMessage>> messages(const AddressOfRecord& aor, uint32_t limit) = 0;
  virtual StoreResult<uint32_t> waiting(const AddressOfRecord& aor) = 0;
  virtual StoreStatus delete_messages(std::span<const uint64_t> ids) = 0;

  // Voice messages; their files are the caller's business.
  /// Fails with `limit` when the mailbox holds `most` already, with `conflict` when there is no such mailbox.
  virtual StoreResult<uint64_t> save_voicemail(const Voicemail& message, uint32_t most) = 0;
  virtual StoreResult<std::vector<Voicemail>> voicemails(const AddressOfRecord& mailbox) = 0;
  virtual StoreStatus mark_voicemail(const AddressOfRecord& mailbox, uint64_t id, bool heard) = 0;
  virtual StoreStatus remove_voicemail(const AddressOfRecord& mailbox, uint64_t id) = 0;
  struct VoicemailCount {
    uint32_t fresh = 0, old = 0;
  };
  virtual StoreResult<VoicemailCount> count_voicemails(const AddressOfRecord& mailbox) = 0;
  /// The owner's own change: the plan has a new version then.
  virtual StoreStatus set_mailbox_pin(const SetMailboxPin& change) = 0;

  // Bindings: each entry replaces all bindings of its address-of-record; one transaction for the batch. Lost
  // writes of the last moment before a power failure heal by re-REGISTER, so this is the one write that is
  // not synced.
  virtual StoreStatus save_bindings(std::span<const SaveBindings> batch) = 0;
  virtual StoreResult<std::vector<StoredBinding>> bindings() = 0;
  virtual StoreStatus remove_expired_bindings(WallTime now) = 0;

  // Call detail records. Gives how many were new; writing one twice is harmless. Durable when it returns.
  virtual StoreResult<size_t> insert_cdrs(std::span<const Cdr> batch) = 0;
  virtual StoreResult<CdrPage> search_cdrs(const CdrQuery& query) = 0;
  virtual StoreResult<uint64_t> count_cdrs() = 0;
  /// Retention: removes records set up before `before`, at most `limit`; gives how many.
  virtual StoreResult<size_t> remove_cdrs(WallTime before, uint32_t limit) = 0;

  // Settings and API tokens.
  virtual StoreResult<std::optional<std::string>> setting(const std::string& key) = 0;
  virtual StoreStatus put_setting(const std::string& key, const std::string& value) = 0;
  virtual StoreResult<std::vector<ApiTokenRow>> api_tokens() = 0;
  virtual StoreStatus put_api_token(const ApiTokenRow& row) = 0;
  virtual StoreStatus remove_api_token(const std::string& name) = 0;
};

/// Stored messages one recipient may have waiting; past it save_message fails with `limit`.
constexpr uint32_t max_stored_messages = 100;

/// A feature code's change in the row of its subscriber.
void apply(const SetFeature& change, Subscriber& row);

/// One plain address, "ann@example.com", and nothing that could be an option of a program or part of a
/// header.
bool is_mail_address(std::string_view text);

/// What is wrong with a row, in one sentence; empty when it may be stored. Both twins of the directory check
/// with it.
std::string problem_with(const Subscriber& row);
std::string problem_with(const PlanRow& row);
std::string problem_with(const ApiTokenRow& row);

}  // namespace tandem::port
