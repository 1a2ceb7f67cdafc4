#pragma once
// Rows of the directory and the stores as the protocols see them. Secrets are HA1 values, never passwords.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "port/flow.h"

namespace tandem::port {

/// user@domain, lower-case domain, user as given (SIP user parts are case-sensitive, RFC 3261
/// section 19.1.4).
struct AddressOfRecord {
  std::string user;
  std::string domain;
  auto operator<=>(const AddressOfRecord&) const = default;
  std::string to_string() const { return user + "@" + domain; }
};

/// Digest secrets H(user:realm:password) in lower-case hex (RFC 7616 section 3.4.2); empty: algorithm not set
/// up. Behind it may stand a second one, for the username "user@domain" (auth::make_ha1 writes both).
struct Ha1 {
  std::string md5;
  std::string sha256;
  std::string sha512_256;
};

enum class CallClass : uint8_t { internal, national, international };  // most a subscriber may dial

/// What is done about SRTP on a row's legs. All but the first are media::Srtp, in its order.
enum class SrtpPolicy : uint8_t { standard, passed, refused, accepted, offered, required };

/// Whether calls of a row are recorded. Of two parties' policies `never` counts before `announced`, that
/// before `silent`, and that before `on_demand`.
enum class RecordPolicy : uint8_t {
  standard,   // what is configured
  never,      // not even when somebody asks for it
  on_demand,  // when somebody does
  announced,  // all, and both are told
  silent,     // all
};
/// How a row's legs are sent key presses. All but the first are media::Dtmf, in its order.
enum class DtmfPolicy : uint8_t { standard, automatic, rfc4733, info, inband };

struct Forwarding {
  std::string always;  // a number or a SIP URI; empty: off
  std::string busy;
  std::string no_answer;
  std::string unreachable;
  uint32_t no_answer_seconds = 20;
};

struct Subscriber {
  AddressOfRecord aor;
  bool enabled = true;
  Ha1 ha1;
  std::string display_name;
  std::string caller_number;                   // shown on trunks; empty: the user part
  CallClass call_class = CallClass::national;  // abroad is what fraud is after: it has to be asked for
  bool do_not_disturb = false;
  Forwarding forwarding;
  uint32_t max_contacts = 10;
  uint32_t max_calls = 0;  // 0: no limit
  std::string pickup_group;
  std::vector<std::string> codecs;  // CodecName, in order of preference; empty: whatever is configured
  SrtpPolicy srtp = SrtpPolicy::standard;
  RecordPolicy recording = RecordPolicy::standard;
  DtmfPolicy dtmf = DtmfPolicy::standard;
  uint64_t revision = 0;
};

/// One registered contact (RFC 3261 section 10, RFC 3327, RFC 5626, RFC 5627). Serialised whole by the
/// registrar; the store keeps it as an opaque part with the columns operators look for beside it.
struct StoredBinding {
  AddressOfRecord aor;
  std::string key;         // contact identity inside the AOR: "+sip.instance;reg-id" or the contact URI
  std::string contact;     // for people
  std::string user_agent;  // for people
  WallTime expires;
  std::string part;  // the registrar's snapshot of the binding
};

struct StoredMessage {
  uint64_t id = 0;  // set by the store
  AddressOfRecord to;
  std::string from;  // the From URI
  std::string from_display;
  std::string content_type;
  std::string body;
  WallTime received;
};

/// A voice message in a mailbox. The sound is a file of SoundPlace::voicemail.
struct Voicemail {
  uint64_t id = 0;  // set by the store; grows with time
  AddressOfRecord mailbox;
  std::string from;  // the caller's number or user part; empty: withheld
  std::string from_display;
  WallTime received;
  Duration length = Duration{0};
  std::string file;    // its name there, with the extension
  bool heard = false;  // to its end, or kept
};

/// "DOMAIN/USER": the folder of a mailbox under SoundPlace::voicemail. What could lead out of it, or is no
/// part of a sound's name (is_sound_name), is written as %XX.
std::string mailbox_folder(const AddressOfRecord& mailbox);

}  // namespace tandem::port
