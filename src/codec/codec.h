#pragma once
// The seam every codec stands behind, in RTP's terms (RFC 3551, RFC 7587): samples in, payloads out, and
// back. Samples are 16-bit linear, interleaved when there are two channels. Nothing allocates after
// make_encoder and make_decoder; no call reads or writes past the spans given.
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace tandem::codec {

/// What an rtpmap and an fmtp say, views into the description. `fmtp` is that of the other side: for an
/// encoder, what the other side wishes to receive; for a decoder, what it says it will send.
struct Format {
  std::string_view name;    // "PCMU", "opus", ...; any case
  uint32_t clock_rate = 0;  // Hz, as in the rtpmap: 8000 for G722
  uint8_t channels = 1;     // as in the rtpmap: 2 for opus
  std::string_view fmtp;    // "annexb=no", "stereo=1;useinbandfec=1", ...; unknown parameters are ignored
};

struct Options {
  /// Hz of the audio at hand; 0: the widest the codec has. Opus runs at the narrowest of 8, 16, 24 and 48 kHz
  /// that carries this and that the other side's fmtp does not exceed; G.722 codes its lower band alone for
  /// 8 kHz or less. The others have one rate only.
  uint32_t audio_rate = 0;
  /// Of Opus: 0 (cheap) to 10 (best). Settable later.
  uint8_t complexity = 5;
};

/// What an encoder or a decoder works on.
struct Shape {
  std::string_view name;    // canonical: "PCMU", "PCMA", "G722", "G729", "opus", "L16"
  uint32_t clock_rate = 0;  // Hz of RTP timestamps
  uint32_t audio_rate = 0;  // Hz of samples
  uint8_t channels = 1;     // of samples: 1 or 2
  uint16_t frame_us = 0;  // a payload holds a multiple of this; 1 sample's worth rounds down (62 for 16 kHz)
  bool operator==(const Shape&) const = default;
};

/// No payload lasts longer (RFC 7587 section 4.2): room for a decode is samples_in(shape,
/// longest_payload_ms).
inline constexpr uint32_t longest_payload_ms = 120;
/// Room that every payload of every codec fits: 120 ms of L16/48000/2.
inline constexpr size_t largest_payload = 120 * 48 * 2 * 2;

/// Samples of all channels in so many milliseconds.
constexpr size_t samples_in(const Shape& s, uint32_t milliseconds) {
  return size_t{s.audio_rate} * milliseconds / 1000 * s.channels;
}

/// Why there is no codec for a format.
enum class FormatReason : uint8_t {
  unknown_name,   // no codec of that name
  bad_rate,       // not a clock rate of this codec
  bad_channels,   // not a number of channels of this codec
  bad_parameter,  // an fmtp parameter known to the codec with a value it cannot have
  not_built,      // known, and left out of this build (TANDEM_G729=OFF)
};
std::string_view to_string(FormatReason reason);

/// Whether make_encoder and make_decoder have one for the name, rate and channels; makes nothing.
bool has_codec(const Format& format);

/// Why a payload was not decoded, or samples not encoded. The state of the codec is as before.
enum class Reason : uint8_t {
  empty,       // nothing was given
  bad_length,  // no whole number of frames
  too_long,    // more than longest_payload_ms, or than the span has room for
  corrupt,     // the codec found a contradiction in the payload
};
inline constexpr size_t reason_count = 4;
std::string_view to_string(Reason reason);

/// One payload.
struct Encoded {
  size_t octets = 0;     // 0: nothing is to be sent now (DTX)
  uint32_t skipped = 0;  // the payload's timestamp lies this many clock ticks behind the first sample (DTX)
};

class Encoder {
 public:
  virtual ~Encoder() = default;
  const Shape& shape() const { return shape_; }
  /// One payload of the samples: a whole number of frames, at most longest_payload_ms; of Opus 2.5, 5, 10,
  /// 20, 40 or 60 ms.
  virtual Result<Encoded, Reason> encode(std::span<const int16_t> samples, MutableBytes out) = 0;
  /// As just made.
  virtual void reset() = 0;
  /// 0 to 10, larger is 10. What has no such knob ignores it.
  virtual void set_complexity(uint8_t) {}
  /// Loss in percent that forward error correction should reckon with; what has none ignores it.
  virtual void set_expected_loss(uint8_t) {}
  /// Another encoder in this one's state, so that a decoder can go on with the payloads of either; nullptr
  /// where the library's state cannot be copied (G.729).
  virtual std::unique_ptr<Encoder> twin() const = 0;

 protected:
  explicit Encoder(const Shape& shape) : shape_(shape) {}
  const Shape shape_;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  const Shape& shape() const { return shape_; }
  /// Samples (of all channels) written to the front of `out`.
  virtual Result<size_t, Reason> decode(Bytes payload, std::span<int16_t> out) = 0;
  /// Conceals a payload that did not come; `out` is as long as it would have been, at most
  /// longest_payload_ms. `next` is the payload after it, when that is here already: Opus finds a copy of the
  /// lost one in it when the sender used forward error correction. `next` is decoded afterwards as usual. All
  /// of `out` is written.
  virtual void decode_lost(std::span<int16_t> out, Bytes next = {}) = 0;
  /// The last payload ended in a silence descriptor (G.729 Annex B): until the next one nothing is missing,
  /// and decode_lost gives the background that was described, for as long as is asked.
  virtual bool in_silence() const { return false; }
  /// As just made.
  virtual void reset() = 0;

 protected:
  explicit Decoder(const Shape& shape) : shape_(shape) {}
  const Shape shape_;
};

/// PCMU, PCMA, G722, G729 (8000/1), opus (48000/2), L16 (8000, 16000, 24000, 32000, 44100, 48000; 1 or 2).
Result<std::unique_ptr<Encoder>, FormatReason> make_encoder(const Format& format,
                                                            const Options& options = {});
Result<std::unique_ptr<Decoder>, FormatReason> make_decoder(const Format& format,
                                                            const Options& options = {});

}  // namespace tandem::codec
