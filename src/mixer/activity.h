#pragma once
// Whether somebody talks, from the level of 20 ms frames against the background they stand out from.
#include <array>
#include <cstdint>
#include <span>

namespace tandem::mixer {

/// One member's. The background is the quietest the last three to six seconds had; speech stands 9 dB above
/// it, or above -42 dBov whatever the background. Somebody who has talked for 100 ms is held to talk for 400
/// ms more, after a click it is 80. A value.
class Activity {
 public:
  /// A frame, at any rate.
  void hear(std::span<const int16_t> sound);
  /// A frame that was not sent, or only background.
  void hear_nothing();

  bool talks() const { return hang_ > 0; }
  /// Of the last frame, dBov (a sine of full scale is -3).
  float dbov() const { return dbov_; }
  /// Follows the level quickly upwards and slowly down, dBov: how loud a talker is.
  float loudness() const { return loudness_; }

 private:
  void follow(float dbov);

  float dbov_ = -127, loudness_ = -127;
  float quietest_ = 0, quietest_before_ = 0;  // of this span of frames, and of the one before; 0: none yet
  uint32_t span_ = 0;                         // frames of this span
  uint32_t hang_ = 0;                         // frames for which talking goes on
};

}  // namespace tandem::mixer
