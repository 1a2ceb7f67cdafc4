#pragma once
// Tones in the packets of a leg, which wait here for as long as it takes to be sure that there is none in
// them. Inside the room, as state.h.
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "codec/dtmf.h"
#include "codec/resampler.h"
#include "playout/format.h"
#include "rtp/packet.h"

namespace tandem::media {

class DtmfEar {
 public:
  /// A tone is certain 25 to 40 ms after it began: what is as old as that when nothing was heard is clean.
  static constexpr uint32_t look_ahead_ms = 40;

  explicit DtmfEar(std::vector<playout::Format> formats) : formats_(std::move(formats)) {}
  const std::vector<playout::Format>& formats() const { return formats_; }

  /// A packet of sound; what has changed with it. Valid until the next call.
  std::span<const codec::DtmfChange> hear(const rtp::Header& header, Bytes payload);
  bool in_tone() const { return in_tone_; }

  struct Held {
    rtp::Header header;
    std::vector<uint8_t> packet;
    uint32_t ms = 0;
  };
  /// The packet heard last waits.
  void hold(const rtp::Header& header, Bytes packet);
  /// One that has waited for long enough, or any when `all`.
  std::optional<Held> release(bool all);
  const Held* first() const { return held_.empty() ? nullptr : &held_.front(); }
  /// They were the beginning of a tone, or its end.
  void forget() { held_.clear(); }

 private:
  struct Voice {
    uint8_t payload_type = 0;
    std::unique_ptr<codec::Decoder> decoder;
    std::unique_ptr<codec::Resampler> resampler;
    uint32_t clock_rate = 8000;
  };
  Voice* voice_of(uint8_t payload_type);
  std::span<const int16_t> decode(Voice& voice, const rtp::Header& header, Bytes payload);
  /// Samples of the voice as what the detector takes.
  void take(Voice& voice, std::span<const int16_t> samples);

  std::vector<playout::Format> formats_;
  std::optional<Voice> voice_;  // that spoke last
  codec::DtmfDetector detector_;
  bool in_tone_ = false;
  std::optional<uint32_t> next_;  // timestamp of the packet after the last
  uint32_t last_ms_ = 20;
  std::vector<int16_t> decoded_, mono_, resampled_, sound_;
  std::deque<Held> held_;
};

}  // namespace tandem::media
