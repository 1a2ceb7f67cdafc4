#pragma once
// A sound under way in a conference.
#include <memory>
#include <optional>

#include "mixer/mixer.h"
#include "mixer/sound.h"

namespace tandem::mixer {

struct Mixer::Playing {
  SoundId id = 0;
  std::optional<MemberId> to;  // nothing: all
  std::unique_ptr<Playback> playback;
  float gain = 1;
  bool stopping = false;
  bool ours = false;  // an entry or exit tone: nobody waits for its end
  Frame frame{};      // of this tick
  Ramp ramp;
};

}  // namespace tandem::mixer
