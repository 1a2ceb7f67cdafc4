#include "media/own_voice.h"

#include <algorithm>
#include <utility>

namespace tandem::media {

void find_prompt(Cue& cue, const port::PromptLibrary* prompts) {
  if (cue.sound) return;
  if (prompts) cue.sound = prompts->find(cue.language, cue.prompt);
  if (!cue.sound) cue.sound = std::make_shared<const port::Sound>();
}

namespace {
constexpr uint32_t tone_rate = 8000;  // of the generator
}

void OwnVoice::begin(const codec::ToneSequence& tones) {
  what_ = codec::ToneGenerator(tones);
  place_ = {};
  if (speaker_) speaker_->begin_spurt();
}

void OwnVoice::begin(Programme programme) {
  what_ = std::move(programme);
  place_ = {};
  if (speaker_) speaker_->begin_spurt();
}

bool OwnVoice::finished() const {
  if (const auto* tones = std::get_if<codec::ToneGenerator>(&what_)) return tones->finished();
  const auto* programme = std::get_if<Programme>(&what_);
  if (!programme || programme->cues.empty()) return true;
  return programme->rounds != 0 && place_.round >= programme->rounds;
}

void OwnVoice::seek_tones(uint64_t position) {
  goes_on_ = true;
  if (auto* tones = std::get_if<codec::ToneGenerator>(&what_)) tones->seek(position);
}

void OwnVoice::seek(Place place) {
  goes_on_ = true;
  place_ = place;
  if (const Programme* p = programme(); p && place_.cue >= p->cues.size()) place_ = {place.round, 0, 0};
}

void OwnVoice::supply(const port::SoundFile& file, const port::SoundPtr& sound) {
  auto* programme = std::get_if<Programme>(&what_);
  if (!programme) return;
  static const port::SoundPtr nothing = std::make_shared<const port::Sound>();
  for (Cue& cue : programme->cues)
    if (!cue.sound && cue.prompt.empty() && cue.file == file) cue.sound = sound ? sound : nothing;
}

void OwnVoice::next_cue() {
  const auto& programme = std::get<Programme>(what_);
  place_.sample = 0;
  if (++place_.cue < programme.cues.size()) return;
  place_.cue = 0;
  ++place_.round;
}

void OwnVoice::render(std::span<int16_t> out) {
  if (auto* tones = std::get_if<codec::ToneGenerator>(&what_)) return tones->render(out);
  const auto& programme = std::get<Programme>(what_);
  size_t done = 0;
  // As many cues may end in a frame as there are; a round of empty ones says nothing.
  for (size_t tries = 0; done < out.size() && !finished() && tries <= programme.cues.size(); ++tries) {
    const Cue& cue = programme.cues[place_.cue];
    if (!cue.sound) break;  // still being read
    const auto& samples = cue.sound->samples;
    const size_t left = samples.size() - std::min<uint64_t>(place_.sample, samples.size());
    const size_t count = std::min(left, out.size() - done);
    std::copy_n(samples.begin() + static_cast<ptrdiff_t>(samples.size() - left), count,
                out.begin() + static_cast<ptrdiff_t>(done));
    done += count;
    place_.sample += count;
    if (count == left) next_cue();
  }
  std::fill(out.begin() + static_cast<ptrdiff_t>(done), out.end(), int16_t{0});
}

void OwnVoice::set_complexity(uint8_t complexity) {
  if (std::exchange(complexity_, complexity) != complexity && speaker_) speaker_->set_complexity(complexity);
}

void OwnVoice::set_expected_loss(uint8_t percent) {
  if (std::exchange(expected_loss_, percent) != percent && speaker_) speaker_->set_expected_loss(percent);
}

std::optional<playout::Speaker::Said> OwnVoice::say(const playout::Format& format, uint32_t ptime_ms) {
  const uint32_t rate = tones() ? tone_rate : port::sound_rate;
  if (!speaker_ || spoken_ != format || spoken_rate_ != rate || spoken_ptime_ != ptime_ms) {
    spoken_ = format;
    spoken_rate_ = rate;
    spoken_ptime_ = ptime_ms;
    speaker_.reset();
    frame_.resize(rate / 1000 * 20);
    if (auto made = playout::Speaker::make({format, rate, ptime_ms, complexity_}); made.ok()) {
      speaker_.emplace(std::move(*made));
      if (expected_loss_) speaker_->set_expected_loss(*expected_loss_);
      frame_.resize(speaker_->frame_samples());
      if (std::exchange(goes_on_, false)) speaker_->go_on();
    }
  }
  render(frame_);
  if (!speaker_) return std::nullopt;  // a description's parameters leave no encoder: time goes on, unheard
  return speaker_->say(frame_);
}

}  // namespace tandem::media
