// G.729 Annex A with Annex B through bcg729. RFC 3551 section 4.5.6: frames of 10 octets (10 ms), and at the
// end of a payload at most one of 2 octets (silence descriptor). bcg729 is GPL; TANDEM_G729=OFF leaves it
// out.
#include "codec/makers.h"

#ifdef TANDEM_G729
extern "C" {
#include <bcg729/decoder.h>
#include <bcg729/encoder.h>
}

#include <algorithm>
#include <array>

#include "base/text.h"
#include "codec/fmtp.h"

namespace tandem::codec {
namespace {

constexpr Shape g729_shape{"G729", 8000, 8000, 1, 10'000};
constexpr size_t frame_samples = 80;
constexpr size_t frame_octets = 10;
constexpr size_t silence_octets = 2;

struct Close {
  void operator()(bcg729EncoderChannelContextStruct* s) const { closeBcg729EncoderChannel(s); }
  void operator()(bcg729DecoderChannelContextStruct* s) const { closeBcg729DecoderChannel(s); }
};

class G729Encoder final : public Encoder {
 public:
  explicit G729Encoder(bool annex_b)
      : Encoder(g729_shape), annex_b_(annex_b), state_(initBcg729EncoderChannel(annex_b ? 1 : 0)) {}

  /// With Annex B a frame may be speech, a silence descriptor or nothing. A payload holds what is continuous:
  /// when speech sets in behind silence, the payload begins there and a descriptor in front of it is not
  /// sent.
  Result<Encoded, Reason> encode(std::span<const int16_t> samples, MutableBytes out) override {
    if (samples.empty()) return Failure{Reason::empty};
    if (samples.size() % frame_samples != 0) return Failure{Reason::bad_length};
    const size_t frames = samples.size() / frame_samples;
    if (samples.size() > samples_in(shape_, longest_payload_ms) || frames * frame_octets > out.size())
      return Failure{Reason::too_long};
    Encoded made;
    bool closed = false;  // a descriptor or nothing stands where the next frame would follow
    for (size_t i = 0; i < frames; ++i) {
      std::array<uint8_t, frame_octets> frame{};
      uint8_t octets = 0;
      bcg729Encoder(state_.get(), samples.data() + i * frame_samples, frame.data(), &octets);
      if (octets == 0) {
        closed = true;
        continue;
      }
      if (made.octets == 0 || closed) {
        made = {0, static_cast<uint32_t>(i * frame_samples)};
        closed = false;
      }
      std::copy_n(frame.begin(), octets, out.begin() + static_cast<ptrdiff_t>(made.octets));
      made.octets += octets;
      if (octets == silence_octets) closed = true;
    }
    return made;
  }
  void reset() override { state_.reset(initBcg729EncoderChannel(annex_b_ ? 1 : 0)); }
  std::unique_ptr<Encoder> twin() const override { return nullptr; }  // bcg729 hides its state

 private:
  const bool annex_b_;
  std::unique_ptr<bcg729EncoderChannelContextStruct, Close> state_;
};

class G729Decoder final : public Decoder {
 public:
  G729Decoder() : Decoder(g729_shape), state_(initBcg729DecoderChannel()) {}

  Result<size_t, Reason> decode(Bytes payload, std::span<int16_t> out) override {
    if (payload.empty()) return Failure{Reason::empty};
    const size_t rest = payload.size() % frame_octets;
    if (rest != 0 && rest != silence_octets) return Failure{Reason::bad_length};
    const size_t samples = (payload.size() / frame_octets + (rest != 0 ? 1 : 0)) * frame_samples;
    if (samples > samples_in(shape_, longest_payload_ms) || samples > out.size())
      return Failure{Reason::too_long};
    for (size_t at = 0, to = 0; at < payload.size(); at += frame_octets, to += frame_samples) {
      const size_t octets = std::min(frame_octets, payload.size() - at);
      bcg729Decoder(state_.get(), payload.data() + at, static_cast<uint8_t>(octets), 0,
                    octets == silence_octets, 0, out.data() + to);
    }
    silent_ = rest == silence_octets;
    return samples;
  }
  // After a silence descriptor the decoder goes on with comfort noise instead.
  void decode_lost(std::span<int16_t> out, Bytes) override {
    std::array<int16_t, frame_samples> frame{};
    while (!out.empty()) {
      bcg729Decoder(state_.get(), nullptr, 0, 1, 0, 0, frame.data());
      const size_t n = std::min(out.size(), frame_samples);
      std::copy_n(frame.begin(), n, out.begin());
      out = out.subspan(n);
    }
  }
  bool in_silence() const override { return silent_; }
  void reset() override {
    state_.reset(initBcg729DecoderChannel());
    silent_ = false;
  }

 private:
  bool silent_ = false;
  std::unique_ptr<bcg729DecoderChannelContextStruct, Close> state_;
};

/// RFC 4856 section 2.1.9: "yes" when absent.
Result<bool, FormatReason> annex_b_of(std::string_view fmtp) {
  const auto value = fmtp_value(fmtp, "annexb");
  if (!value || iequals(*value, "yes")) return true;
  if (iequals(*value, "no")) return false;
  return Failure{FormatReason::bad_parameter};
}

}  // namespace

Made<Encoder> make_g729_encoder(const Format& format) {
  const auto annex_b = annex_b_of(format.fmtp);
  if (!annex_b) return Failure{annex_b.reason()};
  return std::unique_ptr<Encoder>(std::make_unique<G729Encoder>(*annex_b));
}

Made<Decoder> make_g729_decoder(const Format& format) {
  // Descriptors are understood whatever was agreed.
  if (const auto annex_b = annex_b_of(format.fmtp); !annex_b) return Failure{annex_b.reason()};
  return std::unique_ptr<Decoder>(std::make_unique<G729Decoder>());
}

}  // namespace tandem::codec
#else
namespace tandem::codec {
Made<Encoder> make_g729_encoder(const Format&) { return Failure{FormatReason::not_built}; }
Made<Decoder> make_g729_decoder(const Format&) { return Failure{FormatReason::not_built}; }
}  // namespace tandem::codec
#endif
