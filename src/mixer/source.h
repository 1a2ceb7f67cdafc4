#pragma once
// What one member says: its packets as sound, whether it talks, and the gains it is mixed at. Players,
// decoders and the resampler are made when the first packet needs them.
#include <memory>
#include <vector>

#include "mixer/activity.h"
#include "mixer/frame.h"
#include "playout/player.h"

namespace tandem::mixer {

class Source {
 public:
  explicit Source(std::vector<playout::Format> heard);

  /// False: the type is none of those heard.
  bool packet(Instant now, uint16_t sequence, uint32_t timestamp, uint8_t payload_type, Bytes payload);
  /// Another SSRC.
  void restart();
  /// Other types from now on; what has been learnt of the network stays.
  void reformat(std::vector<playout::Format> heard);

  /// The next 20 ms. Narrow sound stays narrow: whether somebody talks is heard at 8 kHz as well. False:
  /// there was nothing to play.
  bool render(Instant now);
  const Activity& activity() const { return activity_; }

  /// At which gain it is in the sum of the floor and in that of everybody, in this frame.
  Ramp floor, everybody;
  /// This frame at the conference's rate, once ready() was called for it.
  const Frame& sound() const { return frame_; }
  void ready();
  bool mixed() const { return !floor.silent() || !everybody.silent(); }

  playout::PlayerCounts counts() const;
  playout::JitterCounts jitter_counts() const;
  Duration delay(Instant now) const;
  Duration learnt() const;
  void learn(Duration wanted);

 private:
  static constexpr uint32_t narrow_rate = 8000;
  static constexpr size_t narrow_samples = narrow_rate / 1000 * tick_ms;

  /// Formats of one RTP clock and one rate of sound: what one player can play.
  struct Voice {
    uint32_t clock_rate = 0, rate = 0;
    std::vector<playout::Format> formats;
    std::unique_ptr<playout::Player> player;
  };
  Voice* voice_of(uint8_t payload_type);
  bool play(Voice& voice, Instant now);

  std::vector<Voice> voices_;
  Voice* current_ = nullptr;   // the last packet's
  Voice* draining_ = nullptr;  // the one before, until the current one has something to say
  Duration learnt_{};          // zero: nothing yet
  Activity activity_;
  uint32_t rendered_rate_ = 0;  // of the last frame; 0: silence
  Frame frame_{};
  std::array<int16_t, narrow_samples> narrow_{}, narrow_before_{};
  std::unique_ptr<codec::Resampler> resampler_;
  bool ready_ = false;  // ready() was called for this frame
  bool warm_ = false;   // and for the one before: the resampler knows it
};

}  // namespace tandem::mixer
