#include "codec/tone.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "codec/g711.h"

namespace tandem::codec {
namespace {

constexpr uint32_t samples_per_ms = 8;
constexpr uint32_t table_bits = 11;

const std::array<int16_t, 1 << table_bits>& sine_table() {
  static const auto table = [] {
    std::array<int16_t, 1 << table_bits> t{};
    for (size_t i = 0; i < t.size(); ++i)
      t[i] = static_cast<int16_t>(std::lround(
          32767 * std::sin(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(t.size()))));
    return t;
  }();
  return table;
}

uint32_t increment_of(uint16_t frequency) {
  return static_cast<uint32_t>((uint64_t{frequency} << 32) / 8000);
}

}  // namespace

ToneSequence ToneSequence::ringback() { return {{{425, 0, -10, 1000}, {0, 0, 0, 4000}}, 0}; }
ToneSequence ToneSequence::busy() { return {{{425, 0, -10, 500}, {0, 0, 0, 500}}, 0}; }
ToneSequence ToneSequence::congestion() { return {{{425, 0, -10, 250}, {0, 0, 0, 250}}, 0}; }

ToneSequence ToneSequence::music() {
  // A broken chord in C and its way back through F, quiet enough to talk over.
  ToneSequence s;
  for (const uint16_t note : {523, 659, 784, 1047, 784, 659, 698, 880, 1047, 880, 698, 587}) {
    s.steps.push_back({note, static_cast<uint16_t>(note / 2), -20, 320});
    s.steps.push_back({0, 0, 0, 80});
  }
  s.steps.push_back({0, 0, 0, 800});
  return s;
}

ToneSequence ToneSequence::steady(uint16_t frequency, int8_t level) {
  return {{{frequency, 0, level, 1000}}, 0};
}

ToneGenerator::ToneGenerator(ToneSequence sequence) : sequence_(std::move(sequence)) {
  if (sequence_.steps.size() > 64) sequence_.steps.resize(64);
  std::erase_if(sequence_.steps, [](const ToneStep& s) { return s.milliseconds == 0; });
  seek(0);
}

void ToneGenerator::enter_step() {
  const ToneStep& s = sequence_.steps[step_];
  left_ = s.milliseconds * samples_per_ms;
  amplitude_ =
      static_cast<int32_t>(std::lround(zero_dbm0_peak * std::pow(10.0, std::min<int>(s.level, 3) / 20.0)));
  const uint16_t frequencies[2] = {s.frequency1, s.frequency2};
  for (size_t i = 0; i < 2; ++i) {
    const uint32_t next = increment_of(frequencies[i]);
    // A tone that goes on into the next step keeps its phase: no click every second of a steady tone.
    if (next != increment_[i]) phase_[i] = 0;
    increment_[i] = next;
  }
}

void ToneGenerator::seek(uint64_t position) {
  step_ = 0;
  round_ = 0;
  position_ = 0;
  phase_[0] = phase_[1] = 0;
  increment_[0] = increment_[1] = 0;
  finished_ = sequence_.steps.empty();
  if (finished_) return;
  uint64_t round_samples = 0;
  for (const ToneStep& s : sequence_.steps) round_samples += s.milliseconds * samples_per_ms;
  enter_step();
  const uint64_t rounds = position / round_samples;
  if (sequence_.repeats != 0 && rounds >= sequence_.repeats) {
    finished_ = true;
    position_ = position;
    return;
  }
  // Whole rounds are skipped, the rest is stepped through; only a steady tone's phase would differ, and there
  // a whole round is skipped in phase too.
  if (sequence_.steps.size() == 1)
    for (size_t i = 0; i < 2; ++i) phase_[i] = static_cast<uint32_t>(rounds * round_samples * increment_[i]);
  round_ = static_cast<uint32_t>(rounds);
  position_ = rounds * round_samples;
  advance_silently(position - position_);
}

void ToneGenerator::advance_silently(uint64_t samples) {
  while (samples > 0 && !finished_) {
    const auto n = static_cast<uint32_t>(std::min<uint64_t>(samples, left_));
    for (size_t i = 0; i < 2; ++i) phase_[i] += n * increment_[i];
    take(n);
    samples -= n;
  }
  position_ += samples;
}

void ToneGenerator::take(uint32_t samples) {
  position_ += samples;
  left_ -= samples;
  if (left_ > 0) return;
  if (++step_ == sequence_.steps.size()) {
    step_ = 0;
    ++round_;
    if (sequence_.repeats != 0 && round_ >= sequence_.repeats) {
      finished_ = true;
      return;
    }
  }
  enter_step();
}

void ToneGenerator::render(std::span<int16_t> out) {
  const auto& sine = sine_table();
  while (!out.empty()) {
    if (finished_) {
      std::fill(out.begin(), out.end(), int16_t{0});
      position_ += out.size();
      return;
    }
    const auto n = static_cast<uint32_t>(std::min<size_t>(out.size(), left_));
    for (uint32_t i = 0; i < n; ++i) {
      int32_t sum = 0;
      for (size_t k = 0; k < 2; ++k) {
        if (increment_[k] == 0) continue;
        sum += sine[phase_[k] >> (32 - table_bits)] * amplitude_ >> 15;
        phase_[k] += increment_[k];
      }
      out[i] = static_cast<int16_t>(std::clamp(sum, -32768, 32767));
    }
    take(n);
    out = out.subspan(n);
  }
}

}  // namespace tandem::codec
