#pragma once
// Two legs without a codec in common: what the one says is played out and encoded anew for the other, a frame
// at a time, on the clock of this machine. Inside the room, as state.h.
#include <memory>
#include <optional>
#include <vector>

#include "media/dtmf_sent.h"
#include "media/effort.h"
#include "media/fax_ear.h"
#include "media/flow.h"
#include "playout/player.h"
#include "playout/speaker.h"
#include "rtp/packet.h"

namespace tandem::media {

struct Stream;
struct PayloadFormat;

playout::Format played(const PayloadFormat& format);

/// The codecs named and this build has; "CN" and "telephone-event" are none.
bool can_code(const PayloadFormat& format);

/// How `from` is made audible for `to`.
struct BridgePlan {
  std::vector<playout::Format> heard;  // what the sender may send and the receiver does not take; one clock
  playout::Format said;                // what the receiver gets
  uint32_t ptime_ms = 20;              // and how long a packet of it
  uint8_t event_to = no_type;          // the receiver's telephone-event (RFC 4733)
  uint32_t event_to_rate = 8000;
  static constexpr uint8_t no_type = 0xFF;
  bool operator==(const BridgePlan&) const = default;
  bool hears(uint8_t payload_type) const;
};

/// Nothing when packets can go through as they are, or when nothing would help.
/// `in_order`: the receiver gets the first of its formats, whatever it costs.
/// What the sender packs longer than the receiver takes is among what is heard, whoever has the codec.
std::optional<BridgePlan> plan_bridge(const Stream& from, const Stream& to, bool in_order);

class Bridge {
 public:
  explicit Bridge(const BridgePlan& plan);
  /// In the place of another between the two, whose plan an agreement has ended. What fits the new plan goes
  /// on; what the sender said in its old codec and nobody has heard yet is heard out.
  void succeed(Bridge&& before);

  const BridgePlan& plan() const { return plan_; }
  /// Lately the sender has sent what has to be decoded.
  bool active() const { return active_; }
  uint32_t frame_ms() const { return speaker_ ? speaker_->frame_ms() : 20; }
  /// Ticks of the receiver's clock say() lasts; 0 before anything was heard.
  uint32_t frame_ticks() const { return speaker_ ? speaker_->frame_ticks() : 0; }

  /// A packet of the sender's. Buffers and codecs are made with the first: most legs that could send what the
  /// other does not take never do. False: a description's parameters leave no codec.
  bool hear(Instant now, const rtp::Header& header, Bytes payload);
  /// A packet went past the bridge: the sender speaks what the receiver takes, and its silence is over.
  void passed_by();
  /// The next frame for the receiver. Nothing: not now. `instead`: a press is sent to it, and its tones are
  /// heard in place of the sender.
  std::optional<playout::Speaker::Said> say(Instant now, const DtmfSent* instead = nullptr);

  /// A packet of a key press as it goes on: our header for it, the event's beginning in `timestamp`. While
  /// one lasts, say() is silent (RFC 4733 section 2.6.1).
  struct Event {
    bool begins = false;
    uint32_t timestamp = 0;
  };
  std::optional<Event> event(Instant now, const rtp::Header& header, uint32_t own_timestamp);

  /// Of Opus, from the next frame on.
  void set_complexity(uint8_t complexity);
  /// Percent of what is said that the receiver is likely to miss; for FEC, from the next frame on.
  void set_expected_loss(uint8_t percent);

  /// The sender's sound is a modem's.
  bool hears_fax() const { return fax_.heard(); }
  /// Either side's is: from now on the sound keeps its timing (playout::Player::hold).
  void keep_time();
  bool keeps_time() const { return keeps_time_; }

  /// How long what is heard waits here, and what the jitter buffer did; nothing heard: zero.
  Duration delay(Instant now) const { return player_ ? player_->delay(now) : Duration::zero(); }
  playout::JitterCounts jitter_counts() const {
    return player_ ? player_->jitter_counts() : playout::JitterCounts{};
  }

  /// The delay of its jitter buffer, and what a successor begins with.
  Duration learnt() const { return player_ ? player_->learnt() : learnt_; }
  void learn(Duration delay) { learnt_ = delay; }

 private:
  bool begin();
  void rest();

  BridgePlan plan_;
  Duration learnt_{};
  uint8_t complexity_ = Effort::steps[0];
  std::optional<uint8_t> expected_loss_;  // nothing: what the encoder begins with
  FaxEar fax_;
  bool keeps_time_ = false;
  std::optional<playout::Player> player_;
  std::optional<playout::Speaker> speaker_;
  std::optional<playout::Player> before_;  // of the plan before: heard out
  Instant before_until_;
  std::vector<int16_t> frame_;
  std::optional<uint32_t> ssrc_;
  bool active_ = false;
  Instant last_heard_;
  // The key press under way, or the last one.
  bool has_event_ = false;
  uint32_t event_source_ = 0, event_own_ = 0;
  Instant event_until_;
};

}  // namespace tandem::media
