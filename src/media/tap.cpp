#include "media/tap.h"

#include <algorithm>
#include <utility>

namespace tandem::media {

playout::Player& Tap::Ear::player_of(uint32_t clock_rate, uint32_t audio_rate) {
  std::unique_ptr<playout::Player>& player = players[clock_rate];
  if (player) return *player;
  playout::PlayerConfig config;
  for (const playout::Format& f : formats)
    if (f.clock_rate == clock_rate) config.formats.push_back(f);
  config.audio_rate = audio_rate;
  player = std::make_unique<playout::Player>(config);
  return *player;
}

void Tap::Ear::turn_to(playout::Player& player) {
  drained();
  draining = std::exchange(current, &player);
}

void Tap::Ear::render(Instant now, std::span<int16_t> out) {
  const bool talks = current->render(now, out);
  if (draining && (talks || !draining->render(now, out))) drained();
}

/// The one before has nothing more to say.
void Tap::Ear::drained() {
  if (draining) draining->restart();
  draining = nullptr;
}

void Tap::Ear::reset() {
  current = draining = nullptr;
  players.clear();
}

void Tap::listen(Side side, const std::vector<playout::Format>& formats) {
  Ear& ear = ears_[side];
  if (ear.formats == formats) return;
  ear.formats = formats;
  ear.reset();
}

void Tap::packet(Instant now, Side side, const rtp::Header& header, Bytes payload) {
  if (side >= sides_ || paused_) return;
  Ear& ear = ears_[side];
  const auto format = std::find_if(ear.formats.begin(), ear.formats.end(), [&](const playout::Format& f) {
    return f.payload_type == header.payload_type;
  });
  if (format == ear.formats.end()) return;  // what else comes by the port of a bundle is no voice
  playout::Player& player = ear.player_of(format->clock_rate, rate_);
  if (ear.current != &player)
    ear.turn_to(player);
  else if (ear.ssrc != header.ssrc)
    player.restart();
  ear.ssrc = header.ssrc;
  player.packet(now, header.sequence, header.timestamp, header.payload_type, payload);
}

void Tap::tick(Instant now) {
  frame_.resize(rate_ / 50);
  // A side without packets is silence in the file already.
  for (uint8_t side = 0; side < sides_ && !paused_; ++side) {
    if (!ears_[side].current) continue;
    ears_[side].render(now, frame_);
    recorder_.append(id_, side, position_, frame_);
  }
  position_ += frame_.size();
}

void Tap::pause(bool on) {
  if (on == paused_) return;
  paused_ = on;
  if (on) {
    recorder_.pause(id_, position_);
    for (Ear& ear : ears_) ear.reset();
  } else {
    recorder_.resume(id_, position_);
  }
}

void Tap::go_on(uint64_t position, bool paused) {
  position_ = position;
  paused_ = paused;
}

}  // namespace tandem::media
