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

bool is_sound(const playout::Format& f) {
  return is_narrow(f) || iequals(f.name, "G722") || iequals(f.name, "opus") || iequals(f.name, "L16");
}

void add(playout::PlayerCounts& sum, const playout::PlayerCounts& c) {
  sum.rendered += c.rendered;
  sum.concealed += c.concealed;
  sum.noise += c.noise;
  sum.shortened += c.shortened;
  sum.lengthened += c.lengthened;
  sum.refused += c.refused;
}

void add(playout::JitterCounts& sum, const playout::JitterCounts& c) {
  sum.played += c.played;
  sum.duplicate += c.duplicate;
  sum.late += c.late;
  sum.dropped += c.dropped;
}

}  // namespace

void Source::reformat(const std::vector<playout::Format>& heard) {
  learnt_ = learnt();
  drained();
  for (auto& v : voices_) {
    if (v.get() == current_) {
      past_ = std::move(v);
      draining_ = past_.get();
    } else if (v->player) {
      add(counted_, v->player->counts());
      add(jitter_counted_, v->player->jitter_counts());
    }
  }
  current_ = nullptr;
  voices_.clear();
  for (const playout::Format& f : heard) {
    if (!is_sound(f)) continue;
    const uint32_t rate = is_narrow(f) ? narrow_rate : audio_rate;
    auto v = std::find_if(voices_.begin(), voices_.end(),
                          [&](const auto& x) { return x->clock_rate == f.clock_rate && x->rate == rate; });
    if (v == voices_.end()) {
      if (voices_.size() == most_voices) continue;
      v = voices_.insert(v, std::make_unique<Voice>(Voice{f.clock_rate, rate, {}, nullptr}));
    }
    (*v)->formats.push_back(f);
  }
  for (const playout::Format& f : heard)
    for (const auto& v : voices_)
      if (is_noise(f) && v->clock_rate == f.clock_rate) v->formats.push_back(f);
}

/// The one before has nothing more to say.
void Source::drained() {
  if (draining_) draining_->player->restart();
  draining_ = nullptr;
  if (!past_) return;
  add(counted_, past_->player->counts());
  add(jitter_counted_, past_->player->jitter_counts());
  past_.reset();
}

Source::Voice* Source::voice_of(uint8_t payload_type) const {
  const auto has = [payload_type](const Voice& v) {
    return std::any_of(v.formats.begin(), v.formats.end(),
                       [&](const playout::Format& f) { return f.payload_type == payload_type; });
  };
  if (current_ && has(*current_)) return current_;
  const auto v = std::find_if(voices_.begin(), voices_.end(), [&](const auto& x) { return has(*x); });
  return v == voices_.end() ? nullptr : v->get();
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
    if (current_) {
      drained();
      draining_ = current_;
    }
    current_ = v;
  }
  v->player->packet(now, sequence, timestamp, payload_type, payload);
  return true;
}

void Source::restart() {
  drained();
  if (current_) current_->player->restart();
}

bool Source::play(Voice& voice, Instant now) {
  rendered_rate_ = voice.rate;
  return voice.player->render(now, voice.rate == narrow_rate ? std::span<int16_t>(narrow_) : frame_);
}

bool Source::render(Instant now) {
  warm_ = std::exchange(ready_, false);
  if (!current_ && !draining_) return false;
  narrow_before_ = narrow_;
  bool talks = current_ && play(*current_, now);
  if (draining_ && (talks || !(talks = play(*draining_, now)))) drained();
  if (talks) {
    activity_.hear(rendered_rate_ == narrow_rate ? std::span<const int16_t>(narrow_) : frame_);
  } else {
    activity_.hear_nothing();
  }
  return talks;
}

void Source::ready() {
  if (rendered_rate_ != narrow_rate) return;
  ready_ = true;
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
  playout::PlayerCounts sum = counted_;
  for (const auto& v : voices_)
    if (v->player) add(sum, v->player->counts());
  if (past_) add(sum, past_->player->counts());
  return sum;
}

playout::JitterCounts Source::jitter_counts() const {
  playout::JitterCounts sum = jitter_counted_;
  for (const auto& v : voices_)
    if (v->player) add(sum, v->player->jitter_counts());
  if (past_) add(sum, past_->player->jitter_counts());
  return sum;
}

Duration Source::delay(Instant now) const {
  return current_ ? current_->player->delay(now) : Duration::zero();
}

Duration Source::learnt() const { return current_ ? current_->player->learnt() : learnt_; }

void Source::learn(Duration wanted) {
  learnt_ = wanted;
  for (const auto& v : voices_)
    if (v->player) v->player->learn(wanted);
}

}  // namespace tandem::mixer
