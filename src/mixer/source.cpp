#include "mixer/source.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace tandem::mixer {
namespace {

bool is_narrow(const playout::Format& f) {
  return iequals(f.name, "PCMU") || iequals(f.name, "PCMA") || iequals(f.name, "G729") ||
         (iequals(f.name, "L16") && f.clock_rate == 8000);
}

bool is_noise(const playout::Format& f) { return iequals(f.name, "CN"); }

}  // namespace

Source::Source(std::vector<playout::Format> heard) { reformat(std::move(heard)); }

void Source::reformat(std::vector<playout::Format> heard) {
  learnt_ = learnt();
  current_ = draining_ = nullptr;
  voices_.clear();
  for (const playout::Format& f : heard) {
    if (is_noise(f) || iequals(f.name, "telephone-event")) continue;
    const uint32_t rate = is_narrow(f) ? narrow_rate : audio_rate;
    auto v = std::find_if(voices_.begin(), voices_.end(),
                          [&](const Voice& x) { return x.clock_rate == f.clock_rate && x.rate == rate; });
    if (v == voices_.end()) v = voices_.insert(v, Voice{f.clock_rate, rate, {}, nullptr});
    v->formats.push_back(f);
  }
  for (const playout::Format& f : heard)
    if (is_noise(f))
      for (Voice& v : voices_)
        if (v.clock_rate == f.clock_rate) v.formats.push_back(f);
}

Source::Voice* Source::voice_of(uint8_t payload_type) {
  const auto has = [payload_type](const Voice& v) {
    return std::any_of(v.formats.begin(), v.formats.end(),
                       [&](const playout::Format& f) { return f.payload_type == payload_type; });
  };
  if (current_ && has(*current_)) return current_;
  const auto v = std::find_if(voices_.begin(), voices_.end(), has);
  return v == voices_.end() ? nullptr : &*v;
}

bool Source::packet(Instant now, uint16_t sequence, uint32_t timestamp, uint8_t payload_type, Bytes payload) {
  Voice* v = voice_of(payload_type);
  if (!v) return false;
  if (!v->player) {
    playout::PlayerConfig config;
    config.formats = v->formats;
    config.audio_rate = v->rate;
    config.comfort_noise = false;  // backgrounds are not mixed
    v->player = std::make_unique<playout::Player>(config);
    if (const Duration wanted = learnt(); wanted > Duration::zero()) v->player->learn(wanted);
  }
  if (v != current_) {
    if (draining_) draining_->player->restart();
    draining_ = current_ && current_ != v ? current_ : nullptr;
    current_ = v;
  }
  v->player->packet(now, sequence, timestamp, payload_type, payload);
  return true;
}

void Source::restart() {
  for (Voice& v : voices_)
    if (v.player) v.player->restart();
  draining_ = nullptr;
}

bool Source::play(Voice& voice, Instant now) {
  rendered_rate_ = voice.rate;
  return voice.player->render(now, voice.rate == narrow_rate ? std::span<int16_t>(narrow_) : frame_);
}

bool Source::render(Instant now) {
  warm_ = std::exchange(ready_, false);
  if (!current_) return false;
  narrow_before_ = narrow_;
  bool talks = play(*current_, now);
  if (draining_ && (talks || !(talks = play(*draining_, now)))) {
    draining_->player->restart();
    draining_ = nullptr;
  }
  if (talks) {
    activity_.hear(rendered_rate_ == narrow_rate ? std::span<const int16_t>(narrow_) : frame_);
  } else {
    activity_.hear_nothing();
  }
  return talks;
}

void Source::ready() {
  ready_ = true;
  if (rendered_rate_ != narrow_rate) return;
  if (!resampler_) resampler_ = codec::Resampler::make(narrow_rate, audio_rate);
  std::array<int16_t, frame_samples + 1> wide;  // the room it asks for
  if (!warm_) {                                 // what it would know, had it heard the frame before
    resampler_->reset();
    resampler_->process(narrow_before_, wide);
  }
  resampler_->process(narrow_, wide);
  std::copy_n(wide.begin(), frame_samples, frame_.begin());
}

playout::PlayerCounts Source::counts() const {
  playout::PlayerCounts sum;
  for (const Voice& v : voices_) {
    if (!v.player) continue;
    const playout::PlayerCounts& c = v.player->counts();
    sum.rendered += c.rendered;
    sum.concealed += c.concealed;
    sum.noise += c.noise;
    sum.shortened += c.shortened;
    sum.lengthened += c.lengthened;
    sum.refused += c.refused;
  }
  return sum;
}

playout::JitterCounts Source::jitter_counts() const {
  playout::JitterCounts sum;
  for (const Voice& v : voices_) {
    if (!v.player) continue;
    const playout::JitterCounts c = v.player->jitter_counts();
    sum.played += c.played;
    sum.duplicate += c.duplicate;
    sum.late += c.late;
    sum.dropped += c.dropped;
  }
  return sum;
}

Duration Source::delay(Instant now) const {
  return current_ ? current_->player->delay(now) : Duration::zero();
}

Duration Source::learnt() const { return current_ ? current_->player->learnt() : learnt_; }

void Source::learn(Duration wanted) {
  learnt_ = wanted;
  for (Voice& v : voices_)
    if (v.player) v.player->learn(wanted);
}

}  // namespace tandem::mixer
