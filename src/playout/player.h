#pragma once
// What one RTP source says, as sound at a steady pace: jitter buffer, decoder, concealment, comfort noise,
// and the correction of delay and clock. Packets go in as they come; render() is called for each frame
// played.
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "codec/comfort_noise.h"
#include "codec/resampler.h"
#include "playout/format.h"
#include "playout/jitter_buffer.h"

namespace tandem::playout {

struct PlayerConfig {
  std::vector<Format> formats;  // those without a codec are passed over; "CN" is comfort noise (RFC 3389)
  uint32_t audio_rate = 8000;   // Hz of the sound that comes out, one channel
  JitterConfig jitter;          // its clock rate is that of the format that plays
  bool comfort_noise = true;    // false: silence instead, for who does not listen to backgrounds
  uint64_t noise_seed = 1;
};

struct PlayerCounts {
  uint64_t rendered = 0;    // samples, all told; the others are among them
  uint64_t concealed = 0;   // in place of what did not come
  uint64_t noise = 0;       // comfort noise and silence between spurts
  uint64_t shortened = 0;   // samples taken out
  uint64_t lengthened = 0;  // samples said twice
  uint64_t refused = 0;     // payloads no codec took
};

class Player {
 public:
  explicit Player(const PlayerConfig& config);
  ~Player();
  Player(Player&&) noexcept;
  Player& operator=(Player&&) noexcept;

  /// Longest frame render() is asked for.
  static constexpr uint32_t longest_frame_ms = 60;

  /// A payload of the source, padding removed. Types that are none of the formats are counted and dropped. A
  /// decoder is made at the first payload of its type.
  void packet(Instant now, uint16_t sequence, uint32_t timestamp, uint8_t payload_type, Bytes payload);
  /// The next out.size() samples; always all of them. False when there is nothing but background in them:
  /// nobody talks.
  bool render(Instant now, std::span<int16_t> out);
  /// Another SSRC: nothing of the old one fits.
  void restart();

  /// For modems: a fixed delay, no sample taken out or added, silence for what is lost. Costs a gap as long
  /// as the delay, once.
  void hold(Duration delay);

  const PlayerCounts& counts() const { return counts_; }
  JitterCounts jitter_counts() const;
  /// Between the fastest packet's arrival and its sound.
  Duration delay(Instant now) const;
  Duration wanted_delay() const;

  /// The source has described its background and says nothing since: no packets are missing.
  bool in_silence() const { return silent_; }

  /// What a successor needs to begin with the right delay.
  Duration learnt() const { return wanted_delay(); }
  void learn(Duration wanted);

 private:
  struct Source {
    size_t format = 0;  // among config_.formats
    bool noise = false;
    bool tried = false;  // to make the decoder
    std::unique_ptr<codec::Decoder> decoder;
    std::unique_ptr<codec::Resampler> resampler;  // null when the rates are equal
  };

  Source* source_of(uint8_t payload_type);
  bool ready(Source& source);
  void make(Instant now, size_t samples);
  void play_packet();
  void fill(uint32_t ticks, Bytes next);
  size_t stand_in(uint32_t ticks, Bytes next, bool voice);
  void background(uint32_t ticks);
  void push(Source& source, std::span<int16_t> sound, bool voice);
  void steer(Instant now);
  size_t queued() const { return end_ - begin_; }
  uint32_t ticks_of(size_t samples) const;

  PlayerConfig config_;
  JitterBuffer buffer_;
  std::vector<Source> sources_;
  Source* playing_ = nullptr;  // whose sound came last
  bool silent_ = false;        // the source described its background: noise until it talks again
  bool concealing_ = false;    // the sound that came last stands in for something
  bool held_ = false;
  uint32_t frame_ticks_;  // of the last packet
  codec::NoiseGenerator noise_;
  std::vector<int16_t> queue_;  // sound made and not handed out: [begin_, end_)
  size_t begin_ = 0, end_ = 0;
  size_t voice_end_ = 0;  // of the queue's sound, what lies behind is background
  std::vector<int16_t> decoded_, resampled_;
  Instant steered_;
  PlayerCounts counts_;
};

}  // namespace tandem::playout
