#pragma once
// Inside of the Engine; nobody outside this room includes it.
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timers.h"
#include "ice/agent.h"
#include "media/bridge.h"
#include "media/bundle.h"
#include "media/connectivity.h"
#include "media/dtmf_ear.h"
#include "media/dtmf_heard.h"
#include "media/dtmf_sent.h"
#include "media/e_model.h"
#include "media/effort.h"
#include "media/engine.h"
#include "media/dtls_lines.h"
#include "media/extended.h"
#include "media/flow.h"
#include "media/handshake.h"
#include "media/security.h"
#include "media/sent_packets.h"
#include "media/tap.h"
#include "media/own_stream.h"
#include "media/own_voice.h"
#include "media/room.h"
#include "media/shared.h"
#include "rtp/arrivals.h"
#include "rtp/rtcp.h"
#include "rtp/xr.h"
#include "sdp/description.h"

namespace tandem::rtp {
struct Header;
}

namespace tandem::proto {
class MediaDtls;
class MediaEndpoint;
class MediaSeat;
class MediaStream;
}  // namespace tandem::proto

namespace tandem::media {

constexpr size_t most_media_lines = 8;
constexpr uint32_t frame_ms = 20;
constexpr uint32_t bundled_bit = 0x8000'0000;  // in the slot of a flow that no port belongs to
constexpr uint64_t graded_packets = 512;       // from one grading of a stream to the next: about ten seconds

/// One payload type as a description names it; owning, since descriptions come and go.
struct PayloadFormat {
  uint8_t payload_type = 0;
  std::string encoding;
  uint32_t clock_rate = 8000;
  uint8_t channels = 1;
  std::string parameters;  // fmtp
  bool same_codec(const PayloadFormat& other) const;
};

/// DTLS of one m-line, under the terms agreed. Without rtcp-mux each port has its own association, and keys
/// of its own (RFC 5764 section 5.1.1).
struct DtlsKeying {
  DtlsTerms terms;
  std::unique_ptr<Handshake> rtp;
  std::unique_ptr<Handshake> rtcp;  // null: multiplexed
  std::unique_ptr<Handshake>& of(bool reports) { return reports ? rtcp : rtp; }
};

/// A handshake that came before the answer that tells whose it may be.
struct EarlyHandshake {
  bool rtcp = false;
  SocketAddress from;
  std::vector<uint8_t> bytes;
};

/// Sender reports and receiver reference times the leg was sent lately, ours or its partner's. What its own
/// reports refer to tells how long the way to it and back takes.
struct SentReports {
  struct One {
    uint32_t ntp = 0;  // middle bits; 0: none
    Instant at;
  };
  std::array<One, 4> last;  // the newest first

  void add(uint32_t ntp, Instant at);
  /// ms; nothing when the reference is to none of them, or makes no sense. `delay` in 1/65536 s.
  std::optional<double> round_trip(uint32_t ntp, uint32_t delay, Instant now) const;
};

/// One m-line of an endpoint: its port pair and what both descriptions say of it.
struct Stream {
  bool has_ports = false;
  bool shared = false;  // on a port with other legs: `rtcp` is a flow without a port, RTCP is multiplexed
  bool connections = false;  // and that takes TCP
  port::MediaPort rtp;
  port::MediaPort rtcp;
  /// Of a line that joins another in a BUNDLE: the RTP port its packets come and go by; `rtp` and `rtcp` are
  /// flows without a port then. Unset: its own.
  port::MediaPortId carrier;
  port::MediaPortId exit() const { return carrier ? carrier : rtp.id; }

  // from the descriptions (apply_terms)
  bool live = false;  // both sides have a port for it
  bool mux = false;
  Wire wire = Wire::rtp;
  std::string kind;
  sdp::Direction direction = sdp::Direction::sendrecv;  // the leg's own
  uint32_t ptime_ms = frame_ms;                         // the leg's wish (RFC 8866 section 6.4)
  uint32_t maxptime_ms = 0;  // the longest packet it takes (section 6.4); 0: it has not said
  bool too_long = false;     // it has sent longer ones than a partner takes: they are cut anew
  std::vector<PayloadFormat> local_formats;
  std::vector<PayloadFormat> remote_formats;

  bool locked = false;                    // encrypted, and not passed on: without keys nothing flows
  bool dtls_said = false;                 // either side speaks of DTLS, and it ends here
  std::unique_ptr<Secured> secured;       // null: plain, not ours to read, or no keys yet
  std::unique_ptr<Secured> secured_rtcp;  // of the RTCP port, when it has keys of its own
  std::unique_ptr<DtlsKeying> dtls;
  std::vector<EarlyHandshake> early;
  OwnStream own;
  bool one_source = false;                    // all that the leg hears on it goes out under `own`
  bool asks_again = false;                    // pictures, and it reports which packets are lost
  std::unique_ptr<SentPackets> sent_packets;  // made with the first that may have to be sent again
  std::unique_ptr<Bridge> bridge;             // to the partner, when it takes none of what this leg sends
  size_t bridge_to = 0;                       // the partner's stream
  Instant bridge_at;                          // its next frame
  Duration learnt{};     // of a bridge before a restore: what its jitter buffer begins with
  bool was_fax = false;  // of a bridge before a restore: its successor keeps the timing, too
  bool has_report = false;
  rtp::ReportBlock report;  // the peer's last about what it receives
  double round_trip_ms = 0;
  SentReports sent_reports;
  XrTerms xr;
  std::optional<rtp::VoipMetrics> metrics;  // the peer's last about what it receives
  struct Reference {
    uint32_t ssrc = 0;
    uint32_t ntp = 0;  // middle bits
    Instant at;
  };
  std::optional<Reference> reference;       // the peer's last receiver reference time
  std::unique_ptr<rtp::Arrivals> arrivals;  // of a transport whose packets are numbered; made with the first
};

/// The m-line of `partner` that stream `index` of `e` belongs to.
struct Endpoint;
const Stream* counterpart(const Endpoint& e, size_t index, const Endpoint& partner);

/// What we say to the leg: the first of its formats we can encode.
const PayloadFormat* said_format(const Stream& s);

/// What to return to when an offer is refused.
struct Checkpoint {
  std::optional<sdp::Description> remote;
  std::optional<sdp::Description> local;
  bool direct = false;
  struct Latches {
    Latch rtp;
    Latch rtcp;
  };
  std::vector<std::optional<Latches>> latches;  // by stream; nothing where no ports were open
};

/// What a leg presses, and what its partner is sent of it. Made with the first press, or where its sound has
/// to be listened to.
struct LegDtmf {
  size_t stream = 0;  // its audio line
  DtmfHeard heard;
  std::unique_ptr<DtmfEar> ear;  // null: nobody listens to its sound
  bool holds = false;            // what the ear has not cleared waits, for the partner must not hear it
  Instant sound_at;              // its last packet came
  EndpointId to;                 // whom the rest is for
  bool relayed = true;           // the event that runs, or ran last, goes there as it is
  DtmfSent sent;
  Instant frame_at = Instant::never();  // the next of `sent`
  DtmfLine line;
  Instant line_at;                          // it may close
  std::optional<playout::Speaker> speaker;  // of tones among relayed packets
  playout::Format spoken;
};

enum class Feed : uint8_t { partner, voice, echo, room };

struct Endpoint {
  EndpointConfig config;
  EndpointId id;
  uint64_t revision = 1;

  std::optional<sdp::Description> remote;
  std::optional<sdp::Description> local;
  uint64_t session_id = 0;  // of our o= line to this leg
  uint64_t version = 0;
  bool direct = false;  // `local` has another leg's addresses in it
  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<Stream> streams;

  EndpointId partner;
  bool answered = false;  // Stage: it was joined as answered, or hears itself
  Feed feed = Feed::partner;
  OwnVoice voice;           // Feed::voice
  size_t voice_stream = 0;  // by which it is heard

  bool first_packet = false;
  bool timed_out = false;
  Instant quiet_since;  // the time-out counts from here when nothing has come since
  Instant voice_at = Instant::never();
  Instant bridge_at = Instant::never();
  Instant report_at = Instant::never();
  Instant silence_at = Instant::never();
  RoomId room;  // it is in; then it has no partner, and Feed::partner no meaning
  mixer::MemberId member;
  Seat seat;
  bool room_starts = false;  // its stream goes on from another source
  uint32_t room_base = 0;    // between our timestamps and the mixer's
  std::optional<uint32_t> room_ssrc;
  std::unique_ptr<Tap> tap;  // of voice_stream
  Instant tap_at = Instant::never();
  Instant keying_at = Instant::never();
  Instant picture_at = Instant::never();   // it is asked for whole pictures
  std::optional<Instant> picture_asked;    // when that was last
  Instant arrivals_at = Instant::never();  // it is told when its packets came
  std::unique_ptr<Bundle> bundle;          // null: each line has a port
  bool bundle_begins = false;              // our offer in progress is the first with one: see bundle-only
  std::unique_ptr<Connectivity> ice;       // null: it goes by descriptions and latches
  Instant ice_at = Instant::never();
  std::vector<Trickled> early_candidates;  // of the leg, before the description they belong to
  std::unique_ptr<LegDtmf> dtmf;           // null: it has pressed nothing yet
  bool says_info = false;                  // it tells its presses by INFO
  Instant dtmf_at = Instant::never();
};

class EngineState {
 public:
  EngineState(const EngineConfig& c, port::MediaPorts& p, Rng& r, CounterSet& counters, dtls::Endpoint& keys);

  EngineConfig config;
  port::MediaPorts& ports;
  Rng& rng;
  dtls::Endpoint& dtls;
  SlotMap<Endpoint> endpoints;
  std::vector<Flow> flows;      // by port slot
  SlotMap<Flow> bundled_flows;  // of lines that join another's port; their ids have bundled_bit
  SharedPorts shared;
  std::vector<MediaEvent> events;
  srtp::Refusals refusals;
  ice::Troubles ice_troubles;
  std::shared_ptr<const port::PromptLibrary> prompts;
  port::Recorder* recorder = nullptr;
  Effort effort;

  // ---- engine.cpp ----
  EndpointId add(const EndpointConfig& c);
  void close(Now now, EndpointId id);
  void unjoin(Now now, Endpoint& e);
  Status<Reason> join(Now now, Endpoint& a, Endpoint& b, Stage stage);
  Status<Reason> begin_voice(Now now, Endpoint& e);
  Status<Reason> play(Now now, Endpoint& e, const codec::ToneSequence& sequence);
  Status<Reason> play(Now now, Endpoint& e, Programme programme);
  Status<Reason> echo(Now now, Endpoint& e);
  void stop(Now now, Endpoint& e);
  LegStatistics statistics(const Endpoint& e) const;
  void emit(const Endpoint& e, MediaEvent::Kind kind, char digit = 0, Duration lasted = {});

  // ---- ports.cpp ----
  bool open_ports(Stream& s, const Endpoint& e, size_t index);
  void adopt_ports(Stream& s, const port::MediaPorts::Pair& pair, EndpointId id, size_t index);
  /// A place on the port the realm's WebRTC legs share. False: it has none.
  bool open_shared(Stream& s, const Endpoint& e, size_t index);
  void adopt_shared(Stream& s, port::SharedPort place, const Endpoint& e, size_t index);
  void close_shared(Stream& s);
  void close_ports(Stream& s);
  /// Flows for a line that has no ports.
  void adopt_bundled(Stream& s, const Endpoint& e, size_t index);
  Flow* flow_of(port::MediaPortId id);
  const Flow* flow_of(port::MediaPortId id) const { return const_cast<EngineState*>(this)->flow_of(id); }

  // ---- negotiation.cpp ----
  Status<Reason> set_remote(Now now, Endpoint& e, const sdp::Description& remote, SdpRole role);
  Result<std::string, Reason> present(Now now, Endpoint& e, const sdp::Description& from, SdpRole role,
                                      const Endpoint* other);
  Result<std::string, Reason> answer(Now now, Endpoint& e, sdp::Direction wanted);
  Result<std::string, Reason> offer(Now now, Endpoint& e, sdp::Direction direction);
  void rollback(Now now, Endpoint& e);
  static void set_formats(const Endpoint& e, Stream& s, size_t i);
  /// Streams, latches and flows from the two descriptions.
  void apply_terms(Now now, Endpoint& e);

  // ---- route.cpp ----
  /// Sets where the packets of `e` go; the flows of its partner are the partner's own route().
  void route(Endpoint& e);
  /// Both directions of `e`, after anything about it changed.
  void reroute(Endpoint& e);
  LatchPolicy latch_policy(const Endpoint& e) const;

  // ---- relay.cpp ----
  void on_media(Now now, std::span<port::MediaPacket> packets, port::MediaOut& out);

  // ---- source.cpp ----
  void on_timeout(Now now, port::MediaOut& out);
  void arm_voice(Endpoint& e, Instant at);
  void arm_bridge(Endpoint& e, Instant at);
  void arm_report(Endpoint& e, Instant at);
  void begin_reports(Now now, Endpoint& e);
  Duration report_interval();
  void arm_tap(Endpoint& e, Instant at);
  void arm_silence(Endpoint& e, Instant at);
  /// `viewer` can see now what it could not: whoever sends it pictures is asked for whole ones.
  void want_picture(Now now, const Endpoint& viewer);
  void ask_for_pictures(Now now, Endpoint& e, port::MediaOut& out);

  // ---- transport_wide.cpp ----
  void count_transports(Endpoint& e);
  bool count_arrival(Now now, Flow& f, port::MediaPacket& p);
  void tell_arrivals(Now now, Endpoint& e, port::MediaOut& out);

  /// Starts or restarts the time-out's count: something about the call changed.
  void restart_silence(Now now, Endpoint& e);
  enum class TimerKind : uint8_t {
    voice,
    report,
    silence,
    bridge,
    tap,
    room,
    keying,
    ice,
    restart,
    picture,
    arrivals,
    dtmf
  };
  struct TimerKey {
    SlotId endpoint;  // or room
    TimerKind kind = TimerKind::voice;
  };
  TimerQueue<TimerKey> timers;

  // ---- bridging.cpp ----
  /// Makes, keeps or ends the bridge from `s` to the partner's `p`; whether there is one now.
  bool connect_bridge(Stream& s, const Endpoint& partner, const Stream& p);
  /// Whether the partner's sound comes to stream `index` of `e` by a bridge.
  bool is_bridged_to(const Endpoint& e, size_t index) const;
  void play_bridges(Now now, Endpoint& e, port::MediaOut& out);
  void play_bridge(Now now, Endpoint& e, Stream& s, Endpoint& partner, port::MediaOut& out);

  // ---- dtmf.cpp ----
  bool press(Now now, Endpoint& e, char digit, Duration lasted);
  /// Who listens to what, and what its flow does, after descriptions or paths have changed.
  void connect_dtmf(Endpoint& e);
  void on_dtmf_timeout(Now now, Endpoint& e, port::MediaOut& out);

  // ---- conference.cpp ----
  SlotMap<Room> rooms;
  Result<RoomId, Reason> room(const RoomConfig& c);
  Room* room_of(RoomId id);
  Status<Reason> enter(Now now, Endpoint& e, RoomId id, const Seat& seat);
  void close_room(RoomId id);
  void leave(Endpoint& e);
  void seat(Endpoint& e, const Seat& seat);
  void reseat(Endpoint& e);
  void hear_in_room(Now now, Endpoint& e, const rtp::Header& header, Bytes payload);
  void arm_room(RoomId id, Room& r, Instant at);
  void play_room(Now now, RoomId id, Instant deadline, port::MediaOut& out);
  std::vector<Occupant> roster(RoomId id);

  // ---- tapping.cpp ----
  Result<port::RecordingId, Reason> record(Now now, Endpoint& e, const port::RecordingOrder& order);
  /// Which flows the tap listens to, after descriptions or paths have changed.
  void connect_tap(Endpoint& e);
  void play_tap(Now now, Endpoint& e);
  /// A packet the leg sent, or one on its way to it, not encrypted.
  void tap_packet(Now now, const Flow& f, Tap::Side side, Bytes packet);

  // ---- keying.cpp ----
  /// Contexts and handshakes from what both sides have agreed on.
  void secure(Now now, Endpoint& e);
  /// Tells the flows of `s` what protects them.
  void lock(Stream& s);
  void arm_keying(Endpoint& e, Instant latest);
  void on_keying(Now now, Endpoint& e, port::MediaOut& out);
  /// False: from a stranger.
  bool on_handshake(Now now, Flow& f, const SocketAddress& from, Bytes bytes, port::MediaOut& out);
  static void write_keying(const Stream& s, proto::MediaDtls& out);
  bool read_keying(Now now, const proto::MediaDtls& in, Endpoint& e, size_t i);

  // ---- bundle.cpp ----
  void bundle_up(Endpoint& e);
  void sort_bundle(Endpoint& e);
  /// The flow of the line a packet on a bundle's port belongs to; null: nobody's.
  Flow* member_of(const Flow& f, uint32_t ssrc, uint8_t payload_type);
  uint32_t concerned(const Endpoint& e, rtp::RtcpReader reader) const;
  bool is_heard_as(const Endpoint& e, size_t i, uint32_t ssrc) const;

  // ---- connecting.cpp ----
  /// After anything that may have moved the agent; without `out` its datagrams leave with the next time-out.
  void run_ice(Now now, Endpoint& e, port::MediaOut* out);
  void on_ice_timeout(Now now, Endpoint& e, port::MediaOut& out);
  /// False: nobody here does ICE on that port.
  bool on_check(Now now, Flow& f, const port::MediaPacket& p, port::MediaOut& out) {
    return hear_check(now, f, p, out).has_value();
  }
  /// Whether the leg's agent has taken it; nothing: it has none on that port.
  std::optional<bool> hear_check(Now now, Flow& f, const port::MediaPacket& p, port::MediaOut& out);
  /// A connection that was kept is there no more.
  void on_connection_end(Now now, Flow& f, const SocketAddress& remote);
  /// What requests for a leg on a shared port may name, after its agent has changed.
  void name_fragments(const Endpoint& e);
  bool validated(const Endpoint& e, const Flow& f, const SocketAddress& from) const;
  ice::Config ice_config(const Endpoint& e, ice::Role role) const;

  // ---- trickle.cpp ----
  Status<Reason> trickle(Now now, Endpoint& e, const Trickled& candidate);
  std::string fragment_of(const Endpoint& e, const std::vector<Trickled>& told) const;
  Result<std::string, Reason> restart_ice(Now now, Endpoint& e);
  /// The way was lost: an offer is due, now or in a while.
  void lose_way(Now now, Endpoint& e);
  void on_restart_timeout(Now now, Endpoint& e);
  /// Whether a line that both sides want has no way to the peer.
  static bool misses_way(const Endpoint& e);

  // ---- snapshot.cpp ----
  std::string snapshot(Now now, std::span<const EndpointId> wanted) const;
  Result<std::vector<EndpointId>, Reason> restore(Now now, std::string_view part);

 private:
  // route.cpp
  struct Exits {
    Destination rtp;
    Destination rtcp;
  };
  Exits exits_to(const Stream& s) const;

  // negotiation.cpp
  void remember(Endpoint& e);
  void commit(Now now, Endpoint& e);
  Result<std::string, Reason> publish(Now now, Endpoint& e, sdp::Description local, SdpRole role,
                                      bool direct);
  bool protect(const Endpoint& e, sdp::Description& local, SdpRole role, bool secret);
  Failure<Reason> not_protected();
  Status<Reason> anchor(Now now, Endpoint& e, sdp::Description& local, SdpRole role,
                        const std::vector<size_t>& bundled);
  std::vector<size_t> to_bundle(const Endpoint& e, const sdp::Description& local, SdpRole role) const;
  static bool begins_bundle(const Endpoint& e);
  static std::string with_bundle_only(const std::string& text);
  static void say_bundle(const Endpoint& e, sdp::Description& local, SdpRole role,
                         const std::vector<size_t>& bundled);
  std::string stamp(Endpoint& e, sdp::Description& local);
  bool open_missing_ports(Now now, Endpoint& e, const sdp::Description& d, SdpRole role,
                          const std::vector<size_t>& bundled, std::vector<size_t>& opened);
  static bool may_share(const Endpoint& e, const sdp::Description& local, SdpRole role, size_t i,
                        const std::vector<size_t>& bundled);
  static bool leaves_shared(const Endpoint& e, const sdp::Description& local);
  static bool keeps_shared(const Endpoint& e, const sdp::Description& answer);

  // keying.cpp
  void agree_dtls(Now now, Stream& s, const DtlsTerms& terms, bool mux);
  void keyed(Now now, Endpoint& e, Stream& s, bool reports);
  void overdue(Now now, Endpoint& e, Stream& s);
  void replay_early(Now now, Stream& s, port::MediaOut& out);
  void count_troubles();

  // connecting.cpp
  ice::Agent make_agent(const Endpoint& e, ice::Role role);
  Connectivity::Line& ice_line_of(Now now, Endpoint& e, size_t i, uint16_t components);
  void close_ice_line(Now now, Endpoint& e, size_t i);
  static void drop_idle_ice(Endpoint& e);
  void close_portless_ice(Now now, Endpoint& e);
  void answer_ice(Now now, Endpoint& e, sdp::Description& local, const std::vector<size_t>& bundled);
  void offer_ice(Now now, Endpoint& e, sdp::Description& local, const std::vector<size_t>& bundled);
  static void write_ice(Now now, Endpoint& e, sdp::Description& local, const std::vector<size_t>& bundled);
  void agree_ice(Now now, Endpoint& e);
  void roll_ice_back(Now now, Endpoint& e);
  bool follow_ice(Endpoint& e, size_t i);
  static void send_checks(const Endpoint& e, port::MediaOut& out);
  void add_places(Now now, Endpoint& e, size_t i, Connectivity::Line& line);
  void send_handshake(const Flow& f, Handshake::Out& from, port::MediaOut& out) const;

  // snapshot.cpp
  // trickle.cpp
  std::optional<size_t> line_of(const Endpoint& e, const Trickled& candidate) const;
  void end_of_all(Now now, Endpoint& e, std::string_view fragment);
  void take_early_candidates(Now now, Endpoint& e);
  void keep_untold(Endpoint& e, const ice::Event& event);
  void count_ice_troubles();

  bool restore_ice(Now now, const proto::MediaEndpoint& in, Endpoint& e);
  void settle_ice_line(Now now, Endpoint& e, size_t i);
  Status<Reason> restore_ports(const proto::MediaStream& in, Endpoint& e, size_t index);
  bool sit_down(Now now, const proto::MediaSeat& in, Endpoint& e);
  Status<Reason> restore_endpoint(Now now, const proto::MediaEndpoint& in, Endpoint& e);

  // dtmf.cpp
  /// Whom the presses of a leg's line are for. Nobody: no partner, or one who hears something else.
  struct DtmfTarget {
    Endpoint* partner = nullptr;
    Stream* stream = nullptr;
    std::optional<DtmfWay> way;  // nothing: none is left
  };
  DtmfTarget dtmf_target(const Endpoint& e, size_t index);
  static std::optional<DtmfWay> dtmf_way(const Endpoint& e, const Stream& s);
  LegDtmf& dtmf_of(Endpoint& e);
  void arm_dtmf(Endpoint& e);
  void tell_presses(Now now, Endpoint& e);
  void tell_partner(Now now, Endpoint& e, const DtmfTarget& to, const PressNews& news);
  /// A telephone event of the leg's. False: it goes no further.
  bool hear_event(Now now, Flow& f, const Clock& clock, const rtp::Header& header, port::MediaPacket& p);
  void number_back(const Endpoint& partner, MutableBytes compound) const;
  void open_line(Now now, Endpoint& e, const rtp::Header* without);
  bool by_bridge(const Endpoint& e, uint8_t payload_type) const;
  bool renumber(Endpoint& e, Flow& f, const rtp::Header& header, port::MediaPacket& p, bool event);
  /// A packet of sound of a leg that is listened to, or whose packets are numbered anew. True: it has been
  /// taken; what may go on instead is in `released`.
  bool detour(Now now, Flow& f, const rtp::Header& header, port::MediaPacket& p,
              std::vector<DtmfEar::Held>& released);
  bool listen(Now now, Endpoint& e, const rtp::Header& header, const port::MediaPacket& p,
              std::vector<DtmfEar::Held>& released);
  void play_press(Now now, Endpoint& e, const DtmfTarget& to, port::MediaOut& out);
  void send_press(Now now, LegDtmf& d, Stream& p, const codec::EventPacket& event, uint8_t payload_type,
                  port::MediaOut& out);
  void send_on_line(Now now, LegDtmf& d, Stream& p, rtp::Header header, Bytes payload, port::MediaOut& out);
  /// What is being sent to the partner by the bridge of `s`; null: nothing.
  DtmfSent* pressed_by(Endpoint& e, const Stream& s, const Endpoint& partner);

  // relay.cpp
  struct Batch;
  void fetch_ahead(std::span<const port::MediaPacket> packets, size_t i) const;
  void on_rtp(Batch& batch, Flow& f, port::MediaPacket& p);
  void take_rtp(Batch& batch, Flow& f, const rtp::Header& header, port::MediaPacket& p);
  void on_rtcp(Batch& batch, Flow& f, port::MediaPacket& p);
  void refuse_rtcp(Batch& batch, Flow& f, std::optional<rtp::RtcpReason> reason);
  void share_rtcp(Batch& batch, const Flow& f, const rtp::RtcpReader& reader, port::MediaPacket& p);
  void on_opaque(Batch& batch, Flow& f, port::MediaPacket& p);
  void on_packet(Batch& batch, Flow& f, port::MediaPacket& p);
  void on_shared(Batch& batch, port::MediaPacket& p);
  bool on_shared_check(Batch& batch, port::MediaPacket& p);
  void on_dtls(Batch& batch, Flow& f, const port::MediaPacket& p);
  bool admit(Batch& batch, Flow& f, const SocketAddress& from, const Latch::Evidence& evidence);
  bool admit_rtcp(Batch& batch, Flow& f, const SocketAddress& from, uint32_t ssrc);
  void accepted_first(Flow& f);
  void pass_on(Batch& batch, Flow& f, const rtp::Header& header, Bytes payload, port::MediaPacket& p);
  void pack_anew(const Flow& f);
  bool go_on_as_own(Now now, const Flow& f, const rtp::Header& header, size_t payload_octets,
                    port::MediaPacket& p);
  void pass_released(Batch& batch, Flow& f, std::vector<DtmfEar::Held>& released);
  bool cross_bridge(Batch& batch, Flow& f, const rtp::Header& header, Bytes payload);
  void send_event(Batch& batch, const Flow& f, const Bridge& bridge, const Bridge::Event& event,
                  OwnStream& own, Bytes payload, uint32_t rate);
  bool unprotect(Batch& batch, Flow& f, port::MediaPacket& p, bool rtcp);
  /// What was sent; empty: nothing was.
  Bytes forward(Batch& batch, const Destination& to, const port::MediaPacket& p, uint32_t payload_octets);
  void keep_sent(Now now, const Flow& f, uint8_t payload_type, Bytes packet);
  bool send_again(Batch& batch, const Flow& f, port::MediaPacket& p);
  void forward_rtcp(Batch& batch, const Destination& to, const port::MediaPacket& p);
  void translate_reports(const Endpoint& e, uint32_t lines, MutableBytes compound) const;

  void audio_statistics(const Stream& s, const Flow& f, LegStatistics& out) const;

  // reports.cpp
  Status<rtp::RtcpReason> read_reports(Now now, const Flow& f, rtp::RtcpReader reader);
  Status<rtp::RtcpReason> read_extended(Now now, Endpoint& e, size_t line, Stream* reader,
                                        const rtp::RtcpPacket& packet);
  void read_report(Now now, Endpoint& e, size_t line, Stream* reader, const rtp::Report& report);
  bool is_about(const Endpoint& e, size_t line, uint32_t ssrc) const;
  Stream* stream_of(const Destination& to);
  static void expect_loss(OwnStream& own, uint8_t fraction_lost);
  bool reports_to(const Endpoint& e, size_t index) const;
  void send_reports(Now now, Endpoint& e, port::MediaOut& out);
  void send_report(Now now, const Endpoint& e, Stream& s, Flow& f, const Destination& to,
                   port::MediaOut& out);
  rtp::VoipMetrics metrics_of(Now now, const Stream& s, const Flow& f) const;
  Conditions conditions(const Stream& s, const Flow& f) const;
  void grade(Flow& f);
  void forget_grade(Flow& f);

  // source.cpp
  /// Packets of ours, encrypted where the leg's are. `packet` has srtp::tail_room behind it.
  void due(const Flow& exit);
  void send_rtp(Now now, port::MediaOut& out, const Destination& to, Buffer packet);
  void send_rtcp(port::MediaOut& out, const Destination& to, Buffer packet);
  std::optional<size_t> voice_stream(const Endpoint& e) const;
  void send_said(Now now, port::MediaOut& out, Stream& s, const playout::Speaker::Said& said,
                 uint8_t payload_type, const Destination& to);
  void speak(Now now, OwnStream& own, uint32_t clock_rate);
  bool speaks(const Endpoint& e, size_t index) const;
  void play_voice(Now now, Endpoint& e, port::MediaOut& out);
  void check_silence(Now now, Endpoint& e);

  struct Counters {
    Counter& relayed;
    Counter& consumed;  // accepted, nobody to send it to
    Counter& again;     // pictures sent again
    Counter& bridged;   // decoded
    Counter& foreign;
    Counter& malformed;
    Counter& stray;  // for a port that is no longer ours
    Counter& originated;
    Counter& transport_feedback;
    Counter& not_authentic;  // SRTP with a wrong tag, replayed or too old
    Counter& not_encrypted;  // of ours, and not sent: no index is left, or the packet had no room
    Counter& no_keys;        // from or for a leg whose handshake is not done
    Counter& keying;         // handshakes
    Counter& keyed;
    Counter& unkeyed;
    Counter& not_protected;
    std::array<Counter*, dtls::reason_count> dtls_troubles;
    Counter& checks;     // STUN for an ICE session
    Counter& strangers;  // to a shared port, of nobody's that has passed a check
    Counter& taken;      // checks from another leg's address
    Counter& shared_legs;
    Counter& ice_completed;
    Counter& ice_unreachable;
    Counter& ice_restarts;
    Counter& ice_mismatches;
    std::array<Counter*, ice::reason_count> ice_troubles;
    Counter& timeouts;
    Counter& latched;
    Counter& ports_exhausted;
    Counter& open_endpoints;
    Counter& open_ports;
    Counter& open_rooms;
    Counter& lost;
    std::array<Counter*, grade_count> legs;
    std::array<Counter*, static_cast<size_t>(rtp::RtcpReason::count_)> rtcp_refused;
    std::array<Counter*, dtmf_way_count> dtmf_heard, dtmf_sent;
    Counter& dtmf_lost;
  };
  Counters counters_;
};

}  // namespace tandem::media
