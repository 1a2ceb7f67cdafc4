#pragma once
// A recording of one leg: what it says and what it hears, decoded on the side and handed to the recorder a
// frame at a time. What goes over the wire is untouched. Inside the room, as state.h.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "playout/player.h"
#include "port/recording.h"
#include "rtp/packet.h"

namespace tandem::media {

struct Stream;

class Tap {
 public:
  enum Side : uint8_t { says, hears };

  Tap(port::Recorder& recorder, port::RecordingId id, uint32_t rate, uint8_t sides)
      : recorder_(recorder), id_(id), rate_(rate), sides_(sides) {}

  port::RecordingId id() const { return id_; }
  uint32_t rate() const { return rate_; }
  uint8_t sides() const { return sides_; }
  /// Samples of the recording so far, pauses included.
  uint64_t position() const { return position_; }
  bool paused() const { return paused_; }

  /// The payload types of a side; its sound goes on when they are what they were.
  void listen(Side side, const std::vector<playout::Format>& formats);
  void packet(Instant now, Side side, const rtp::Header& header, Bytes payload);
  /// 20 ms of both sides.
  void tick(Instant now);
  /// Frames nobody made: silence.
  void skip(uint64_t frames) { position_ += frames * (rate_ / 50); }
  void pause(bool on);
  /// After a restore.
  void go_on(uint64_t position, bool paused);

 private:
  struct Ear {
    std::vector<playout::Format> formats;
    std::unique_ptr<playout::Player> player;  // made with the first packet
    uint32_t ssrc = 0;
  };

  port::Recorder& recorder_;
  port::RecordingId id_;
  uint32_t rate_;
  uint8_t sides_;
  uint64_t position_ = 0;
  bool paused_ = false;
  std::array<Ear, 2> ears_;
  std::vector<int16_t> frame_;
};

}  // namespace tandem::media
