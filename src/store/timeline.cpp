#include "store/timeline.h"

#include <algorithm>

namespace tandem::store {

Timeline::Timeline(uint8_t sides, uint64_t patience, uint64_t longest)
    : sides_(sides), patience_(patience), longest_(longest), reached_(sides, 0) {}

void Timeline::put(uint8_t side, uint64_t at, std::span<const int16_t> samples) {
  if (side >= sides_ || ended_) return;
  // Between pauses positions move to the left by all pauses before them.
  uint64_t cut = cut_;
  for (const Pause& p : pauses_) {
    if (samples.empty()) return;
    if (at < p.from) {
      const auto before = static_cast<size_t>(std::min<uint64_t>(samples.size(), p.from - at));
      put_unpaused(side, at - cut, samples.first(before));
      samples = samples.subspan(before);
      at += before;
    }
    if (samples.empty()) return;
    if (at < p.to) {
      const auto inside = static_cast<size_t>(std::min<uint64_t>(samples.size(), p.to - at));
      samples = samples.subspan(inside);
      at += inside;
    }
    cut += p.to - p.from;
  }
  if (!samples.empty()) put_unpaused(side, at - std::min(cut, at), samples);
}

void Timeline::put_unpaused(uint8_t side, uint64_t at, std::span<const int16_t> samples) {
  if (at < taken_) {
    const auto missed = static_cast<size_t>(std::min<uint64_t>(samples.size(), taken_ - at));
    late_ += missed;
    samples = samples.subspan(missed);
    at += missed;
  }
  if (at >= longest_) {
    furthest_ = std::max(furthest_, longest_);
    return;
  }
  samples = samples.first(static_cast<size_t>(std::min<uint64_t>(samples.size(), longest_ - at)));
  if (samples.empty()) return;
  write(side, at, samples);
  reached_[side] = std::max(reached_[side], at + samples.size());
  furthest_ = std::max(furthest_, reached_[side]);
  advance();
}

void Timeline::write(uint8_t side, uint64_t at, std::span<const int16_t> samples) {
  while (!samples.empty()) {
    Block& block = blocks_[at / block_frames];
    if (block.empty()) block.resize(block_frames * sides_, 0);
    const uint64_t first = at % block_frames;
    const auto fits = static_cast<size_t>(std::min<uint64_t>(samples.size(), block_frames - first));
    for (size_t i = 0; i < fits; ++i) block[(first + i) * sides_ + side] = samples[i];
    samples = samples.subspan(fits);
    at += fits;
  }
}

void Timeline::advance() {
  if (ended_) {
    ready_to_ = furthest_;
    return;
  }
  const uint64_t all = *std::min_element(reached_.begin(), reached_.end());
  const uint64_t waited_for = furthest_ > patience_ ? furthest_ - patience_ : 0;
  ready_to_ = std::max({ready_to_, all, waited_for});
}

bool Timeline::pause(uint64_t at) {
  if (ended_ || (!pauses_.empty() && pauses_.back().to == UINT64_MAX)) return false;
  if (!pauses_.empty() && at <= pauses_.back().to) {  // a resume that was taken back
    pauses_.back().to = UINT64_MAX;
    return true;
  }
  pauses_.push_back({std::max(at, taken_ + cut_)});
  return true;
}

bool Timeline::resume(uint64_t at) {
  if (pauses_.empty() || pauses_.back().to != UINT64_MAX) return false;
  pauses_.back().to = std::max(at, pauses_.back().from);
  return true;
}

void Timeline::end(uint64_t at) {
  if (ended_) return;
  uint64_t cut = cut_;
  for (const Pause& p : pauses_) {
    if (at <= p.from) break;
    cut += std::min(at, p.to) - p.from;
  }
  furthest_ = std::clamp(at - std::min(cut, at), taken_, std::max(taken_, longest_));
  ended_ = true;
  ready_to_ = furthest_;
}

void Timeline::end() {
  ended_ = true;
  ready_to_ = furthest_;
}

void Timeline::take(uint64_t max_frames, std::vector<int16_t>& out) {
  uint64_t left = std::min(max_frames, ready());
  while (left > 0) {
    const uint64_t first = taken_ % block_frames, n = std::min(left, block_frames - first);
    const auto block = blocks_.find(taken_ / block_frames);
    if (block == blocks_.end()) {
      out.insert(out.end(), static_cast<size_t>(n * sides_), 0);
    } else {
      const auto from = block->second.begin() + static_cast<ptrdiff_t>(first * sides_);
      out.insert(out.end(), from, from + static_cast<ptrdiff_t>(n * sides_));
      if (first + n == block_frames) blocks_.erase(block);
    }
    taken_ += n;
    left -= n;
  }
  forget_pauses();
}

/// A pause behind which frames have been taken can have nothing before it any more.
void Timeline::forget_pauses() {
  while (!pauses_.empty() && pauses_.front().to != UINT64_MAX && pauses_.front().from - cut_ < taken_) {
    cut_ += pauses_.front().to - pauses_.front().from;
    pauses_.pop_front();
  }
}

uint64_t Timeline::trim(uint64_t max_samples) {
  const uint64_t in_block = block_frames * sides_;
  uint64_t forgotten = 0;
  while (blocks_.size() * in_block > max_samples) {
    blocks_.erase(blocks_.begin());
    forgotten += in_block;
  }
  return forgotten;
}

}  // namespace tandem::store
