#pragma once
// What an operator may set for calls, and who the caller of an out-of-dialog request turned out to be.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "port/ask.h"
#include "port/flow.h"
#include "sip/timers.h"
#include "sip/uri.h"

namespace tandem::media {
enum class Srtp : uint8_t;
enum class SrtpKeying : uint8_t;
enum class Dtmf : uint8_t;
enum class Ice : uint8_t;
}  // namespace tandem::media

namespace tandem::call {

/// How often a worker says which seats of trunks and domains its calls hold, and how long the owner believes
/// it: three of these messages may be lost.
inline constexpr Duration seat_renewal = seconds(30);
inline constexpr Duration seat_lease = seconds(100);

struct CallConfig {
  uint16_t node = 0;
  uint16_t worker = 0;
  uint16_t workers = 1;  // for Replaces, pick-up and park across workers
  uint16_t epoch = 0;    // boot count, part of a CDR's key
  std::string user_agent = "Tandem";
  sip::Timers timers;
  std::array<uint8_t, 32> contact_key{};  // of the Contacts we register at trunks (TrunkContacts)

  // Limits; each has a counter call_refused_total{limit=...}.
  size_t max_calls = 50'000;  // per worker: 503 with Retry-After
  uint16_t max_legs = 32;     // per call, forks included
  uint16_t max_forks = 16;    // contacts rung at once for one target
  uint16_t max_forwards = 5;  // diversions of one call (forwarding, 3xx, overflow)
  uint32_t retry_after_seconds = 5;

  Duration setup_timeout = seconds(180);  // RFC 3261 Timer C: from INVITE to final response
  Duration ring_timeout = seconds(60);    // one target without a ring time of its own
  Duration ask_timeout = seconds(3);
  Duration media_timeout = seconds(60);    // no RTP from a leg that should send; 0: never
  Duration farewell = seconds(5);          // of tones to who is up when nobody was reached for it
  Duration refresh_timeout = seconds(20);  // an in-dialog offer left unanswered by the other leg
  uint32_t session_expires = 1800;         // RFC 4028; 0: never asked for
  uint32_t min_se = 90;

  uint16_t busy_status = 486;  // answer for a target with do-not-disturb
  bool music_on_hold = true;
  port::RecordPolicy recording = port::RecordPolicy::on_demand;  // of rows that leave it open
  port::RecordingFormat recording_format = port::RecordingFormat::wav;
  std::string hold_music;       // a file of port::SoundPlace::sounds, over and over; empty: a melody of ours
  bool symmetric_media = true;  // RTP latching for subscribers behind NAT
  /// What a leg is offered beside what the other side speaks, and what is decoded and encoded for it where
  /// the two have nothing in common, dearest last. Empty: media only passes.
  std::vector<std::string> codecs;
  media::Srtp srtp{};               // passed: see media/engine.h
  media::SrtpKeying srtp_keying{};  // sdes
  media::Dtmf dtmf{};               // automatic
  media::Ice ice{};                 // removed
  bool ice_lite = false;
  bool bypass_media = false;         // legs of one realm send to each other; we neither hear nor count them
  bool follow_redirects = true;      // 3xx from subscribers' phones (never from trunks)
  bool reliable_provisional = true;  // 100rel where the peer supports it and there is early media
  uint32_t park_seconds = 300;       // then the parker is called back
  uint16_t park_first = 701, park_last = 709;
};

/// Who sent an out-of-dialog request: decided (and authenticated) before the call room sees it.
struct Identity {
  enum class Kind : uint8_t { none, subscriber, trunk } kind = Kind::none;
  port::SubscriberAnswer subscriber;  // Kind::subscriber
  std::string trunk;                  // Kind::trunk: name of its row
  std::string domain;                 // the domain the request was addressed in
};

/// Our Contact, as the realm a message leaves on advertises itself. Implemented by edge/node.
class ContactProvider {
 public:
  virtual ~ContactProvider() = default;
  /// "<sip:user@203.0.113.5:5060;transport=tcp>"; `user` may be empty.
  virtual std::string contact_for(const port::Path& path, std::string_view user) const = 0;
  /// True when a URI names us: a domain we serve or an address of a listener.
  virtual bool is_local(std::string_view host) const = 0;
  /// The instance a GRUU of ours stands for (RFC 5627), public or temporary; nothing for any other URI.
  virtual std::optional<port::AskBindings> gruu(const sip::Uri& uri) const = 0;
};

}  // namespace tandem::call
