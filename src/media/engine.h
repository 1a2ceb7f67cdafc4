#pragma once
// The media of one worker: an endpoint per leg (its ports, its peer's addresses, its latch), joined two by
// two.
//
// A relayed call, with A offering:
//   a = open({...});  set_remote(a, offer, SdpRole::offer);
//   b = open({...});  present(b, offer, SdpRole::offer)       -> body of the INVITE to B
//   set_remote(b, answer, SdpRole::answer);
//   present(a, answer, SdpRole::answer)                       -> body of the 200 to A
//   join(a, b);
// The same with the roles of A and B swapped when the offer comes in the 200 and the answer in the ACK. A
// re-INVITE runs set_remote and present again; when it is refused, rollback(a) and rollback(b) bring back
// what was agreed before. Transfer, pick-up and park are join() with another endpoint.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/slot_map.h"
#include "base/time.h"
#include "codec/tone.h"
#include "port/media.h"
#include "port/recording.h"
#include "port/sound.h"
#include "rtp/xr.h"
#include "sdp/description.h"

namespace tandem::dtls {
class Endpoint;
}

namespace tandem::media {

using EndpointId = SlotId;
using RoomId = SlotId;

enum class Reason : uint8_t {
  ports_exhausted,     // the realm's range is used up (503)
  too_many_endpoints,  // EngineConfig::endpoints reached (503)
  too_many_media,      // more m-lines than EngineConfig::media_lines (488)
  no_common_codec,     // we speak G.711 only and the offer has none (488)
  no_media,            // nothing in the description can be anchored (488)
  not_protected,       // what the leg's policy says of SRTP and what it offers or answers do not agree (488)
  bad_candidate,       // a trickled one that cannot be read, or of no m-line
  too_many_waiting,    // trickled candidates before their description
  not_connectable,     // on a shared port, and answers without ICE or rtcp-mux, or is offered no RTP (488)
  no_remote,           // the endpoint has no remote description yet
  unknown_endpoint,    // a stale id
  bad_sound,           // a programme without cues, or of sounds that are not at port::sound_rate
  bad_snapshot,        // bytes that are no media part
  unknown_room,        // a stale id: the last occupant has left
  room_full,           // RoomConfig::members, or EngineConfig::rooms, reached (486)
  not_recorded,        // the recorder refuses, or there is none; or the leg is being recorded already
  port_taken,          // a restore found a stranger on its port
  count_,
};
const char* to_string(Reason r);

enum class SdpRole : uint8_t { offer, answer };

/// What is done about a leg's SRTP, keyed by SDES (RFC 4568) or DTLS (RFC 5763). Between two legs that are
/// both `passed`, encrypted media goes through with the keys of its ends; of the others, each is decrypted
/// and encrypted here.
enum class Srtp : uint8_t {
  passed,
  refused,   // RTP/SAVP is answered 488, plain RTP is offered
  accepted,  // what the leg offers; offered to it as a choice when the other leg is encrypted
  offered,   // as a choice, always: RTP/AVP with a=crypto or a=fingerprint
  required,  // RTP/SAVP, UDP/TLS/RTP/SAVP, or nothing
};

/// How a leg that is offered SRTP is to get its keys. What a leg offers is answered as it was offered.
enum class SrtpKeying : uint8_t { sdes, dtls };

/// How far two joined legs are. Before the answer only the SDP's address and likely hosts may be the source
/// of a leg's media: a stranger who sends to every port shall neither hear early media nor win the latch.
enum class Stage : uint8_t { early, answered };

/// What is done about a leg's ICE (RFC 8445). Each leg's is its own: nothing of it is passed on.
enum class Ice : uint8_t {
  removed,   // descriptions go without; media by their addresses and latches
  accepted,  // what the leg offers is answered
  offered,   // and it is offered
};

/// How a leg is sent key presses. They are heard by whatever it tells them: telephone events (RFC 4733) and
/// INFO always; tones in its sound where it is `inband`, or `automatic` without telephone-event.
enum class Dtmf : uint8_t {
  automatic,  // telephone events where agreed on; else INFO once the leg has sent a press by it; else tones
  rfc4733,    // telephone events or nothing
  info,       // INFO; telephone-event is taken out of what the leg is told
  inband,     // tones in the sound; likewise
};

struct EngineConfig {
  size_t endpoints = 100'000;
  size_t rooms = 1'000;                    // conferences at a time
  uint8_t media_lines = 8;                 // per description, at most 8
  Duration learning_window = seconds(30);  // after an SDP change or join() a NATed source may be latched
  uint8_t latch_packets = 2;               // plausible packets of one stream it takes from a likely host
  uint8_t far_latch_packets = 5;           // and from another
  Duration far_latch_delay =
      milliseconds(400);  // extra wait for a source that is neither the SDP's nor the signalling's host
  Duration rtcp_interval = seconds(5);  // between our reports to a leg, on average (RFC 3550 section 6.2)
  std::vector<SocketAddress>
      stun_servers;           // that tell what our ports look like from outside; at most four are asked
  uint32_t ice_restarts = 3;  // tries of ours to find a way again, until one has been found
  Duration ice_restart_wait = seconds(10);  // between them, each twice as long as the one before
};

struct EndpointConfig {
  port::RealmId realm = 0;
  IpAddress::Family family = IpAddress::Family::v4;  // of the address we present
  IpAddress signalling;   // host the leg's SIP comes from: the likeliest source behind a NAT; may be unset
  bool symmetric = true;  // false: only ever the SDP's address (trunks with fixed addresses)
  bool transcode =
      false;  // decoded and encoded anew when the partner, who allows it too, has no codec of its
  /// Codecs ("PCMA", "opus/48000/2"), in order of preference: with `transcode` offered to this leg beside the
  /// other side's, as far as they can be made.
  std::vector<std::string> codecs;
  bool only_codecs = false;  // of what the other side speaks nothing else is offered
  Srtp srtp = Srtp::passed;
  SrtpKeying srtp_keying = SrtpKeying::sdes;
  Ice ice = Ice::removed;
  bool ice_lite = false;  // we check nothing ourselves (RFC 8445 section 2.5): our addresses reach everybody
  /// It speaks WebRTC: with Ice::offered, offers of ours are encrypted, bundle their lines, ask for rtcp-mux
  /// and nothing else (RFC 8858), and are for the realm's shared port where it has one.
  bool webrtc = false;
  Dtmf dtmf = Dtmf::automatic;  // with `transcode` on both legs; else presses pass as they come
  bool anchored = true;         // false: may be shown the other leg's own addresses, and media goes past us
  Duration media_timeout = {};  // neither this side nor its partner heard for so long: an event; 0: never
  uint64_t trail = 0;           // the call's id, handed back in events
};

struct MediaEvent {
  enum class Kind : uint8_t {
    first_packet,  // the first accepted RTP packet of this endpoint
    latched,       // media comes from another address than the SDP said, and was accepted
    timeout,       // EndpointConfig::media_timeout passed, both sides sendrecv; once until media comes again
    digit,         // a key went down, by whatever way that is told: `digit` is 0-9, *, #, A-D
    send_digit,    // the leg is to be told by INFO of a press of its partner's: `digit`, `lasted`
    played,        // what was played has come to its end
    sound_wanted,  // a programme was restored whose file (Engine::wanted) has to be read again
    unreachable,   // ICE found no way to one of the leg's m-lines, or the peer's consent has run out
    restart_due,   // and an offer of Engine::restart is due
    candidates,    // candidates of ours are there that no description has told (Engine::take_candidates)
    unkeyed,       // an answered leg is encrypted, and its DTLS handshake has not come to an end within 30 s
  };
  Kind kind;
  EndpointId endpoint;
  uint64_t trail = 0;
  char digit = 0;
  Duration lasted{};
};

/// A candidate told by itself (RFC 8838), by the leg or to it.
struct Trickled {
  std::string mid;               // a=mid of its m-line; empty: `line` tells
  std::optional<uint16_t> line;  // its index
  std::string fragment;          // a=ice-ufrag of the generation it is of; empty: the latest
  std::string candidate;         // the value of a=candidate; empty: end of candidates
};

/// One sound to be played. It is named, so that a restored leg finds it again: a prompt, or a file.
struct Cue {
  std::string language, prompt;  // of the port::PromptLibrary
  port::SoundFile file;          // when `prompt` is empty
  port::SoundPtr sound;          // null: the library's, or a file that is still being read; silence meanwhile
};

/// Sounds one after the other.
struct Programme {
  std::vector<Cue> cues;
  uint32_t rounds = 1;  // how often all of them; 0: for ever
};

/// A conference (room `mixer`): everybody in it hears all others.
struct RoomConfig {
  std::string name;      // unique among the engine's
  size_t members = 200;  // at most
  size_t talkers = 8;    // mixed at a time: the loudest
};

/// What may be decided about who is in a conference.
struct Seat {
  bool muted = false;     // is not heard
  bool deafened = false;  // hears nobody
  bool lecturer = false;  // heard while there is a lecture
  bool operator==(const Seat&) const = default;
};

struct Occupant {
  EndpointId endpoint;
  uint64_t trail = 0;  // EndpointConfig::trail
  Seat seat;
  bool talks = false;   // muted or not
  uint8_t level = 127;  // of its last 20 ms, in -dBov (RFC 6464)
};

/// What one leg sent us and what we sent it, over all its m-lines (the audio line for codec, jitter and MOS).
struct LegStatistics {
  uint64_t packets_received = 0;
  uint64_t octets_received = 0;  // RTP payload octets (RFC 3550 section 6.4.1)
  uint64_t packets_sent = 0;
  uint64_t octets_sent = 0;
  uint64_t packets_expected = 0;  // RFC 3550 A.3
  int64_t packets_lost = 0;       // may be negative with duplicates
  uint64_t duplicates = 0;
  uint64_t reordered = 0;
  double jitter_ms = 0;  // interarrival jitter now (RFC 3550 A.8)
  double max_jitter_ms = 0;
  double loss = 0;         // fraction 0..1 of what was expected
  double burst_ratio = 1;  // of losses: mean run over that of random loss (G.107), 1 or more
  /// Between us and the leg: its reports refer to when ours, or its partner's, were sent to it (RFC 3550
  /// section 6.4.1, RFC 3611 section 4.5). 0: unknown.
  double round_trip_ms = 0;
  uint64_t foreign_dropped = 0;  // packets from a source that is not the latched one
  uint64_t malformed_dropped = 0;
  bool has_report = false;  // the peer sent receiver reports; the next three are from its last one
  double report_loss = 0;   // fraction 0..1
  int32_t report_lost = 0;  // cumulative
  double report_jitter_ms = 0;
  double r_factor = 0;    // of what we received (ITU-T G.107; G.107.1 when `wideband`); 0: nothing received
  bool wideband = false;  // its scale ends at 129 instead of 93.2
  double mos = 0;         // 1.0..4.5; 0: nothing received
  double report_mos = 0;  // of what the peer received, from its reports; 0: unknown
  std::optional<rtp::VoipMetrics> metrics;  // the peer's own (RFC 3611), when it sends them
  std::string codec;                        // encoding name last received, "PCMU"
  SocketAddress local;
  SocketAddress remote;  // where its audio comes from, once latched; else the SDP's
};

class EngineState;

/// Everything a worker knows of media. No I/O but binding ports through MediaPorts.
class Engine {
 public:
  /// Those referred to outlive it; `keys` is nobody else's.
  Engine(const EngineConfig& config, port::MediaPorts& ports, Rng& rng, CounterSet& counters,
         dtls::Endpoint& keys);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // ---- endpoints ----
  /// An endpoint without ports; they are bound when a description for the leg is made.
  Result<EndpointId, Reason> open(const EndpointConfig& config);
  /// Unjoins it, closes its ports. A stale id is no error.
  void close(Now now, EndpointId id);
  bool exists(EndpointId id) const;
  size_t size() const;
  /// Changes the media time-out (a re-INVITE, a feature) of a live endpoint.
  void set_media_timeout(Now now, EndpointId id, Duration timeout);

  Srtp srtp(EndpointId id) const;
  /// Cuts a description of the leg's down to the codecs it may speak (EndpointConfig::only_codecs). False:
  /// no audio is left.
  bool restrict(EndpointId id, sdp::Description& description) const;
  /// The leg took no offer in the clear: from now on only encrypted ones (Srtp::required). False when its
  /// policy does not leave that open, or it has been asked so already.
  bool demand_srtp(EndpointId id);

  // ---- descriptions ----
  /// The leg's own description arrived. An offer can be rolled back until it is answered.
  Status<Reason> set_remote(Now now, EndpointId id, const sdp::Description& remote, SdpRole role);
  /// The description to show to leg `id`: `from` (the other leg's, untouched) with our addresses and ports in
  /// it, ICE and BUNDLE removed. As many m-lines as this leg has seen before or offered (RFC 3264 sections 6
  /// and 8). Where neither `id` nor `other` (the endpoint `from` came from) has to be anchored and both are
  /// of one realm and address family, the addresses in `from` stay: the leg is direct, and has no ports here.
  Result<std::string, Reason> present(Now now, EndpointId id, const sdp::Description& from, SdpRole role,
                                      EndpointId other = {});
  /// What the leg was told last are another leg's addresses, not ours.
  bool is_direct(EndpointId id) const;
  /// Answers the leg's last offer ourselves: what of it can be coded, and telephone-event. `wanted` is
  /// narrowed by the offer's direction.
  Result<std::string, Reason> answer(Now now, EndpointId id,
                                     sdp::Direction wanted = sdp::Direction::sendrecv);
  /// An offer of our own: one audio line, the leg's codecs (else G.711) and telephone-event; the m-lines
  /// agreed before keep their place.
  Result<std::string, Reason> offer(Now now, EndpointId id,
                                    sdp::Direction direction = sdp::Direction::sendrecv);
  /// The offer in progress was refused or cancelled: back to what was agreed before. Nothing in progress: no
  /// effect.
  void rollback(Now now, EndpointId id);
  /// Our last description to this leg, as sent (session refresh without a change repeats it). Empty: none
  /// yet.
  std::string local_description(EndpointId id) const;
  /// The leg's last description, as received: to offer it on to a new peer. Nothing when there was none.
  std::optional<sdp::Description> remote_description(EndpointId id) const;
  /// Direction of the leg's first live m-line as the leg wrote it: not sendrecv means it holds, or is held.
  sdp::Direction remote_direction(EndpointId id) const;

  // ---- ICE ----
  /// A candidate of the leg's. It may come before the description that it belongs to: up to 64 wait. Of
  /// another generation than the leg's latest: no effect, counted. Failure: it cannot be read
  /// (bad_candidate), or too many wait.
  Status<Reason> trickle(Now now, EndpointId id, const Trickled& candidate);
  /// The same for a body of application/trickle-ice-sdpfrag (RFC 8840 section 9). What of it cannot be read
  /// is passed over; failure: nothing can.
  Status<Reason> trickle_fragment(Now now, EndpointId id, std::string_view body);
  /// Candidates of ours since the latest description, or since they were last taken.
  std::vector<Trickled> take_candidates(EndpointId id);
  /// Those of a leg as such a body. `told`: take_candidates().
  std::string fragment_of(EndpointId id, const std::vector<Trickled>& told) const;
  /// What the leg has said last: it takes candidates later (a=ice-options:trickle).
  bool trickles(EndpointId id) const;
  /// An offer of ours with new credentials (RFC 8445 section 9): when restart_due was told, or a client is in
  /// another network. What is connected goes on until the new is. Failure: the leg has no ICE, or an offer is
  /// in progress.
  Result<std::string, Reason> restart(Now now, EndpointId id);

  // ---- paths ----
  /// Media flows between the two, both ways. Their former partners are left alone with nothing; tones and
  /// echo end.
  Status<Reason> join(Now now, EndpointId a, EndpointId b, Stage stage = Stage::answered);
  void unjoin(Now now, EndpointId id);
  EndpointId peer(EndpointId id) const;
  /// The leg hears the sequence or the programme instead of its partner, until stop(), join() or its end. The
  /// partner still hears the leg.
  Status<Reason> play(Now now, EndpointId id, const codec::ToneSequence& sequence);
  Status<Reason> play(Now now, EndpointId id, Programme programme);
  /// A file that a cue waits for; null: there is none, the cue is passed over. Nobody waits: no effect.
  void supply(EndpointId id, const port::SoundFile& file, const port::SoundPtr& sound);
  /// The files the leg's programme still waits for.
  std::vector<port::SoundFile> wanted(EndpointId id) const;
  /// Where prompts are found; one that nobody has is passed over.
  void use(std::shared_ptr<const port::PromptLibrary> prompts);
  /// The leg's signalling told of a press that lasted so long (INFO). False: media cannot tell the partner,
  /// and the call may pass on what it got.
  bool press(Now now, EndpointId id, char digit, Duration lasted);
  /// The leg hears itself.
  Status<Reason> echo(Now now, EndpointId id);
  /// Ends play() or echo(); a joined leg hears its partner again.
  void stop(Now now, EndpointId id);

  // ---- conferences ----
  /// The conference of that name; it is opened when there is none, and closes with its last occupant.
  Result<RoomId, Reason> room(const RoomConfig& config);
  /// The leg leaves its partner, or another conference, and hears this one. What is being played to it is
  /// heard to its end first, and it is heard meanwhile.
  Status<Reason> enter(Now now, EndpointId id, RoomId room, const Seat& seat = {});
  void leave(Now now, EndpointId id);
  void seat(EndpointId id, const Seat& seat);
  /// Only lecturers are heard.
  void set_lecture(RoomId room, bool on);
  bool lecture(RoomId room) const;
  RoomId room_of(EndpointId id) const;
  std::vector<Occupant> roster(RoomId room) const;

  // ---- recording ----
  /// Where recordings go. It outlives the engine; without one nothing is recorded.
  void use(port::Recorder& recorder);
  /// From now on what the leg says (side 0) and what it hears (side 1) is recorded as ordered; `rate` and
  /// `sides` of the order are kept to. With one side, what it says. It ends with stop_recording(), or with
  /// the endpoint: then too somebody has to close it (port::CloseRecording).
  Result<port::RecordingId, Reason> record(Now now, EndpointId id, const port::RecordingOrder& order);
  /// What is said meanwhile is not kept.
  void pause_recording(EndpointId id, bool on);
  /// Nothing when it is not recorded.
  struct Recorded {
    port::RecordingId id = 0;
    uint64_t position = 0;  // in samples: where to close it
    bool paused = false;
  };
  std::optional<Recorded> recording(EndpointId id) const;
  std::optional<Recorded> stop_recording(EndpointId id);

  // ---- running ----
  void on_media(Now now, std::span<port::MediaPacket> packets, port::MediaOut& out);
  void on_timeout(Now now, port::MediaOut& out);
  Instant next_timeout() const;
  /// Moves the events since the last call to the end of `out`.
  void take_events(std::vector<MediaEvent>& out);
  bool has_events() const;
  LegStatistics statistics(EndpointId id) const;

  // ---- a call is a value ----
  /// The endpoints of a call as one part (proto/media.proto), who is joined with whom included.
  std::string snapshot(Now now, std::span<const EndpointId> ids) const;
  /// The endpoints in the order of the snapshot, on the same ports, streams continuing (SSRC, sequence,
  /// latch, statistics). All or none. On the same node, close() the originals first: the ports must be free.
  Result<std::vector<EndpointId>, Reason> restore(Now now, std::string_view part);
  /// Grows with every change worth a new snapshot (descriptions, latch, paths); packets do not count.
  uint64_t revision(EndpointId id) const;

 private:
  std::unique_ptr<EngineState> state_;
};

}  // namespace tandem::media
