#pragma once
// Sound into the payloads of one RTP stream: sample rate, encoder, frames of one length, and when to say
// nothing (discontinuous transmission).
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "codec/resampler.h"
#include "playout/format.h"

namespace tandem::playout {

struct SpeakerConfig {
  Format format;               // as the other side wishes to receive it
  uint32_t audio_rate = 8000;  // Hz of the sound that comes in, one channel
  uint32_t ptime_ms = 20;      // rounded down to what the codec can, but to one of its frames at least
  uint8_t complexity = 5;      // of Opus
};

class Speaker {
 public:
  /// Why there is no encoder for the format.
  static Result<Speaker, codec::FormatReason> make(const SpeakerConfig& config);
  ~Speaker();
  Speaker(Speaker&&) noexcept;
  Speaker& operator=(Speaker&&) noexcept;

  /// Samples that say() wants each time.
  size_t frame_samples() const { return frame_samples_; }
  uint32_t frame_ms() const { return frame_ms_; }
  /// Ticks of the RTP clock a frame lasts.
  uint32_t frame_ticks() const { return frame_ticks_; }
  uint8_t payload_type() const { return config_.format.payload_type; }

  struct Said {
    Bytes payload;        // good until the next call
    uint32_t later = 0;   // ticks its sound begins after the frame's
    bool marker = false;  // the first after a silence (RFC 3551 section 4.1)
  };
  /// Nothing: this frame is not sent.
  std::optional<Said> say(std::span<const int16_t> sound);

  /// The next frame begins a talk spurt, or goes on with one that another speaker began.
  void begin_spurt() { silent_ = true; }
  void go_on() { silent_ = false; }

  /// Another in the same state: its payloads can follow this one's. Nothing where the codec has no twin.
  std::optional<Speaker> twin() const;

  void set_expected_loss(uint8_t percent) { encoder_->set_expected_loss(percent); }
  void set_complexity(uint8_t complexity) { encoder_->set_complexity(complexity); }

 private:
  Speaker();
  static Result<Speaker, codec::FormatReason> around(const SpeakerConfig& config,
                                                     std::unique_ptr<codec::Encoder> encoder);
  SpeakerConfig config_;
  std::unique_ptr<codec::Encoder> encoder_;
  std::unique_ptr<codec::Resampler> resampler_;  // null when the rates are equal
  size_t frame_samples_ = 0;
  uint32_t frame_ms_ = 0, frame_ticks_ = 0;
  bool silent_ = true;
  std::vector<int16_t> last_;  // 10 ms said last: all the resampler knows
  std::vector<int16_t> resampled_, stereo_;
  std::vector<uint8_t> payload_;
};

}  // namespace tandem::playout
