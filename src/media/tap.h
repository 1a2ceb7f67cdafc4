#pragma once
// A recording of one leg: what it says and what it hears, decoded on the side and handed to the recorder a
// frame at a time. What goes over the wire is untouched. Inside the room, as state.h.
#include <array>
#include <cstdint>
#include <map>
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
  /// A player plays formats of one RTP clock (RFC 3550 section 5.1), and a side may change over in mid-call.
  struct Ear {
    std::vector<playout::Format> formats;
    std::map<uint32_t, std::unique_ptr<playout::Player>> players;  // by clock, made with the first packet
    playout::Player* current = nullptr;                            // the last packet's
    playout::Player* draining = nullptr;  // the one before, until the current one has something to say
    uint32_t ssrc = 0;

    playout::Player& player_of(uint32_t clock_rate, uint32_t audio_rate);
    void turn_to(playout::Player& player);
    void render(Instant now, std::span<int16_t> out);
    void drained();
    void reset();
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
