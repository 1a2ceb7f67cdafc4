#include "media/tap.h"

#include <algorithm>

namespace tandem::media {

void Tap::listen(Side side, const std::vector<playout::Format>& formats) {
  Ear& ear = ears_[side];
  if (ear.formats == formats) return;
  ear.formats = formats;
  ear.player.reset();
}

void Tap::packet(Instant now, Side side, const rtp::Header& header, Bytes payload) {
  if (side >= sides_ || paused_) return;
  Ear& ear = ears_[side];
  // What else comes by the port of a bundle is no voice.
  if (std::none_of(ear.formats.begin(), ear.formats.end(),
                   [&](const playout::Format& f) { return f.payload_type == header.payload_type; }))
    return;
  if (!ear.player) {
    playout::PlayerConfig config;
    config.formats = ear.formats;
    config.audio_rate = rate_;
    ear.player = std::make_unique<playout::Player>(config);
    ear.ssrc = header.ssrc;
  }
  if (ear.ssrc != header.ssrc) ear.player->restart();
  ear.ssrc = header.ssrc;
  ear.player->packet(now, header.sequence, header.timestamp, header.payload_type, payload);
}

void Tap::tick(Instant now) {
  frame_.resize(rate_ / 50);
  // A side without packets is silence in the file already.
  for (uint8_t side = 0; side < sides_ && !paused_; ++side) {
    if (!ears_[side].player) continue;
    ears_[side].player->render(now, frame_);
    recorder_.append(id_, side, position_, frame_);
  }
  position_ += frame_.size();
}

void Tap::pause(bool on) {
  if (on == paused_) return;
  paused_ = on;
  if (on) {
    recorder_.pause(id_, position_);
    for (Ear& ear : ears_) ear.player.reset();
  } else {
    recorder_.resume(id_, position_);
  }
}

void Tap::go_on(uint64_t position, bool paused) {
  position_ = position;
  paused_ = paused;
}

}  // namespace tandem::media
