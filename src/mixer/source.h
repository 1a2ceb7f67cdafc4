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
  static constexpr size_t most_voices = 8;

  explicit Source(const std::vector<playout::Format>& heard) { reformat(heard); }

  /// False: the type is none of those heard.
  bool packet(Instant now, uint16_t sequence, uint32_t timestamp, uint8_t payload_type, Bytes payload);
  /// Another SSRC.
  void restart();
  /// Other types from now on; what has come already is still heard, and what was learnt of the network stays.
  /// Types that nothing decodes are passed over, and so are those past most_voices different clocks.
  void reformat(const std::vector<playout::Format>& heard);

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
  Voice* voice_of(uint8_t payload_type) const;
  bool play(Voice& voice, Instant now);
  void drained();

  std::vector<std::unique_ptr<Voice>> voices_;
  Voice* current_ = nullptr;       // the last packet's
  Voice* draining_ = nullptr;      // the one before, until the current one has something to say
  std::unique_ptr<Voice> past_;    // draining, and none of those heard any longer
  playout::PlayerCounts counted_;  // by players that are gone
  playout::JitterCounts jitter_counted_;
  Duration learnt_{};  // zero: nothing yet
  Activity activity_;
  uint32_t rendered_rate_ = 0;  // of the last frame; 0: silence
  Frame frame_{};
  std::array<int16_t, narrow_samples> narrow_{}, narrow_before_{};
  std::unique_ptr<codec::Resampler> resampler_;
  bool ready_ = false;  // the resampler has had this frame
  bool warm_ = false;   // and the one before
};

}  // namespace tandem::mixer
