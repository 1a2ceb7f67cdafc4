#pragma once
// The audio of one conference. Members' RTP payloads go in as they come; each tick() makes 20 ms of sound and
// gives the payloads to send. No sockets, no clock, no RTP headers beyond payload type, sequence number,
// timestamp and marker: ports, SSRCs and keys are the owner's.
//
//   packet() ── Source ──┐                      ┌── Stream of a format ── all who listen
//                        ├── the loudest ── Bus ┤
//   play() ── Playback ──┘                      └── minus oneself ── OwnStream ── a talker
//
// Everybody hears all but itself. Who is not heard hears the same as all others who are not, so that sum is
// limited once and encoded once a format. A talker has a stream of its own while it talks.
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/slot_map.h"
#include "mixer/member.h"

namespace tandem::mixer {

using MemberId = SlotId;
/// Of a sound being played; never used twice in a conference.
using SoundId = uint64_t;

struct MixerConfig {
  size_t members = 200;        // at most
  size_t talkers = 8;          // mixed at most: the loudest; of the audience of a lecture as many again
  size_t sounds = 4;           // to all at the same time, at most, entry and exit tones among them
  size_t private_sounds = 16;  // to one member each, at most: each costs an encoder
  size_t passages = 16;        // streams of their own only so that a change is not heard, at most
  uint8_t noise_dbov = 70;     // -dBov of the noise that says the line is alive; 127: none
  uint8_t complexity = 5;      // of Opus
  std::shared_ptr<const Sound> entry, exit;  // played to all when somebody joins or leaves; null: nothing
};

/// Why something was not done.
enum class Refusal : uint8_t {
  full,             // as many members as there may be
  no_codec,         // nothing encodes what the member wants to be sent
  no_member,        // nobody of that id
  bad_sound,        // empty, or a rate no resampler takes
  too_many_sounds,  // as many are being played, or one to that member already
};
inline constexpr size_t refusal_count = 5;
std::string_view to_string(Refusal refusal);

/// All told since the conference began. Frames are ticks of one member, one mix or one stream.
struct MixerCounts {
  uint64_t ticks = 0;
  uint64_t rendered = 0;         // frames of members whose packets were played
  uint64_t mixed = 0;            // frames of members added to a sum
  uint64_t left_out = 0;         // frames of members who talk and are not among the loudest
  uint64_t shared_encodes = 0;   // frames encoded for all listeners of a mix
  uint64_t own_encodes = 0;      // frames encoded for one member
  uint64_t limited = 0;          // frames of the floor's mix held down by the limiter
  uint64_t abrupt = 0;           // changes of stream that may have been heard, for want of passages
  uint64_t unknown_packets = 0;  // for no member, or of a type it did not name
  std::array<uint64_t, refusal_count> refused{};  // by Refusal
};

struct MemberCounts {
  playout::PlayerCounts player;
  playout::JitterCounts jitter;
  Duration delay{}, wanted_delay{};  // of what it says; zero before the first packet
  uint64_t sent = 0;                 // payloads
  uint64_t own_encodes = 0;          // frames
};

struct RosterEntry {
  MemberId member;
  uint8_t level = 127;  // of its last frame, -dBov (RFC 6464), muted or not
  bool talks = false;   // muted or not
  bool mixed = false;   // others hear it
  bool muted = false, deafened = false, lecturer = false, has_floor = false;
};

struct Talker {
  MemberId member;
  uint8_t level = 127;  // smoothed, -dBov
};

/// One payload for one member.
struct Outgoing {
  MemberId member;
  uint8_t payload_type = 0;
  bool marker = false;     // first after a silence
  uint32_t timestamp = 0;  // of the RTP clock; the conference's beginning is 0 for every member
  Bytes payload;
};

struct Lecture {
  bool on = false;
  bool lecturers_hear_all = true;  // false: they hear each other only
  bool operator==(const Lecture&) const = default;
};

/// What a successor needs. Sounds being played and the codecs' memory stay behind.
struct MixerState {
  struct Member {
    MemberConfig config;
    Duration learnt{};  // delay of what it says
  };
  uint64_t position = 0;  // samples since the beginning: timestamps go on
  Lecture lecture;
  std::vector<Member> members;
};

class Mixer {
 public:
  explicit Mixer(const MixerConfig& config);
  ~Mixer();

  // Members. Ids of members who have left find nothing.
  Result<MemberId, Refusal> join(const MemberConfig& member);
  Status<Refusal> leave(MemberId id);
  /// Other formats in mid-call; controls stay.
  Status<Refusal> reformat(MemberId id, const std::vector<playout::Format>& heard,
                           const std::optional<playout::Format>& said, uint32_t ptime_ms);

  // Controls. All of them take effect in a fade of a frame.
  Status<Refusal> mute(MemberId id, bool on);
  Status<Refusal> deafen(MemberId id, bool on);
  Status<Refusal> set_gain(MemberId id, float gain);  // 0 to 4, others are brought there
  Status<Refusal> set_lecturer(MemberId id, bool on);
  /// The delay that what it says needs, as somebody learnt who heard it before; zero: nothing is known.
  Status<Refusal> learn(MemberId id, Duration wanted);
  Status<Refusal> give_floor(MemberId id, bool on);
  void set_lecture(const Lecture& lecture) { lecture_ = lecture; }
  void set_complexity(uint8_t complexity);
  /// To all, or to one member alone (who hears it also when deafened). `gain` as above; 0 repeats are 1.
  Result<SoundId, Refusal> play(std::shared_ptr<const Sound> sound, std::optional<MemberId> to = std::nullopt,
                                float gain = 1, uint32_t repeats = 1);
  /// Fades out. False when it is not being played.
  bool stop(SoundId id);

  /// A payload of a member, padding removed.
  void packet(Instant now, MemberId id, uint16_t sequence, uint32_t timestamp, uint8_t payload_type,
              Bytes payload);
  /// The member's packets have another SSRC now.
  void restart(MemberId id);

  /// 20 ms. To be called fifty times a second, with the time it is due: who is late calls it once for each
  /// time it missed. The payloads are good until the next call of anything that is not const; members with
  /// the same format share theirs.
  std::span<const Outgoing> tick(Instant now);
  /// The floor's mix of the last tick, as who is silent hears it: for a recording.
  const Frame& mix() const { return bus(BusId::floor).out; }
  /// Sounds that ended in the last tick, were stopped, or whose member has left.
  std::span<const SoundId> finished() const { return finished_; }

  /// Those mixed now, the loudest first.
  std::span<const Talker> talkers() const { return talkers_; }
  /// Who is to be seen: the loudest of the floor, once it has been so for half a second, and until somebody
  /// else is.
  std::optional<MemberId> dominant() const;
  std::vector<RosterEntry> roster() const;
  std::optional<MemberCounts> counts(Instant now, MemberId id) const;
  const MixerCounts& counts() const { return counts_; }
  std::optional<MemberConfig> member(MemberId id) const;
  size_t size() const { return members_.size(); }
  const Lecture& lecture() const { return lecture_; }

  MixerState snapshot() const;
  /// Adds the members of a snapshot, all or none; their ids are in its order. For a conference that has just
  /// been made: it takes over position and lecture mode.
  Result<std::vector<MemberId>, Refusal> restore(const MixerState& state);

 private:
  struct Playing;
  struct Candidate {
    float loudness = 0;
    MemberId id;
    Member* member = nullptr;
  };

  Bus& bus(BusId id) { return buses_[static_cast<size_t>(id)]; }
  const Bus& bus(BusId id) const { return buses_[static_cast<size_t>(id)]; }
  Failure<Refusal> refuse(Refusal refusal);
  Result<MemberId, Refusal> admit(const MemberConfig& config);
  Result<SharedStream*, Refusal> shared_stream(BusId id, const StreamFormat& format, Stream::Decoder decoder);
  Status<Refusal> listen(Member& m);
  void stop_listening(Member& m);
  bool has_floor(const Member& m) const;
  BusId bus_for(const Member& m) const;
  template <class F>
  Status<Refusal> with(MemberId id, F&& change);
  Result<SoundId, Refusal> start(std::shared_ptr<const Sound> sound, std::optional<MemberId> to, float gain,
                                 uint32_t repeats, bool ours);

  // A tick, in this order.
  void settle();
  void render(Instant now);
  void choose();
  void choose_loudest(std::vector<Candidate>& candidates);
  void follow_dominant();
  void render_sounds();
  void assign_streams();
  void change_bus(Member& m, BusId to);
  void begin_own(Member& m);
  void fill_sums();
  void make_noise();
  void process_buses();
  void speak(Member& m);
  void collect(MemberId id, Member& m);
  void end_sounds();

  MixerConfig config_;
  Lecture lecture_;
  SlotMap<Member> members_;
  std::vector<Source> departing_;  // of members who left while they were heard: one frame more
  std::array<Bus, bus_count> buses_;
  std::vector<std::unique_ptr<Playing>> sounds_;
  SoundId next_sound_ = 1;
  uint64_t position_ = 0;
  bool everybody_in_use_ = false;
  size_t passages_ = 0;  // streams of their own that serve a passage only
  Frame noise_{};
  uint32_t random_ = 1;
  std::vector<Candidate> on_floor_, in_audience_;
  std::vector<Talker> talkers_;
  MemberId dominant_, challenger_;
  uint32_t challenged_ = 0;  // ticks
  std::vector<Outgoing> outgoing_;
  std::vector<SoundId> finished_;
  MixerCounts counts_;
};

}  // namespace tandem::mixer
