#pragma once
// What a leg hears from us alone: tones, or sounds one after the other, a frame at a time, in the codec it
// likes best. A position and no more: it goes on in a snapshot where it was. Inside the room, as state.h.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "codec/tone.h"
#include "media/effort.h"
#include "media/engine.h"
#include "playout/speaker.h"

namespace tandem::media {

struct Stream;

/// The sound of a cue that names a prompt; what nobody has is passed over. Keeps a sound that is there.
void find_prompt(Cue& cue, const port::PromptLibrary* prompts);

class OwnVoice {
 public:
  /// Where it is among its cues.
  struct Place {
    uint32_t round = 0, cue = 0;
    uint64_t sample = 0;
  };

  void begin(const codec::ToneSequence& tones);
  void begin(Programme programme);
  void end() { what_ = std::monostate{}; }

  bool finished() const;
  /// The next frame of it for a leg that takes `format`, encoded; nothing when it is silent, or when there is
  /// no encoder. frame_ticks() and frame_ms() are then of that frame.
  std::optional<playout::Speaker::Said> say(const playout::Format& format, uint32_t ptime_ms);
  uint32_t frame_ticks() const { return speaker_ ? speaker_->frame_ticks() : 0; }
  uint32_t frame_ms() const { return speaker_ ? speaker_->frame_ms() : 20; }

  /// Of Opus, from the next frame on.
  void set_complexity(uint8_t complexity);
  /// Percent of it that the leg is likely to miss; for FEC, from the next frame on.
  void set_expected_loss(uint8_t percent);

  /// A file that was waited for; null: there is none, and its cue is passed over.
  void supply(const port::SoundFile& file, const port::SoundPtr& sound);

  const codec::ToneGenerator* tones() const { return std::get_if<codec::ToneGenerator>(&what_); }
  const Programme* programme() const { return std::get_if<Programme>(&what_); }
  Place place() const { return place_; }
  void seek(Place place);
  void seek_tones(uint64_t position);

 private:
  void render(std::span<int16_t> out);
  void next_cue();

  std::variant<std::monostate, codec::ToneGenerator, Programme> what_;
  Place place_;
  std::optional<playout::Speaker> speaker_;
  playout::Format spoken_;
  uint32_t spoken_rate_ = 0, spoken_ptime_ = 0;
  bool goes_on_ = false;  // after a restore: its stream has begun
  uint8_t complexity_ = Effort::steps[0];
  std::optional<uint8_t> expected_loss_;  // nothing: what the encoder begins with
  std::vector<int16_t> frame_;
};

}  // namespace tandem::media
