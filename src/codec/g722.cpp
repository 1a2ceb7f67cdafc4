// G.722 at 64 kbit/s through spandsp. RFC 3551 section 4.5.2: the RTP clock runs at 8000 Hz although the
// audio has 16,000 samples a second, an erratum made permanent; one octet is two samples and one clock tick.
// Where narrowband audio is at hand only the lower band is coded (ITU-T G.722 splits at 4 kHz): no filter
// bank and no resampling, which is half of the work; one octet is then one sample.
#define SPANDSP_EXPOSE_INTERNAL_STRUCTURES  // the encoder's is copied
#include <spandsp.h>

#include "codec/concealer.h"
#include "codec/makers.h"

namespace tandem::codec {
namespace {

constexpr int bit_rate = 64000;
constexpr Shape wide{"G722", 8000, 16000, 1, 125};
constexpr Shape narrow{"G722", 8000, 8000, 1, 125};

const Shape& shape_for(const Options& options) {
  return options.audio_rate > 0 && options.audio_rate <= 8000 ? narrow : wide;
}
int option_of(const Shape& shape) { return shape.audio_rate == 8000 ? G722_SAMPLE_RATE_8000 : 0; }

struct Free {
  void operator()(g722_encode_state_t* s) const { g722_encode_free(s); }
  void operator()(g722_decode_state_t* s) const { g722_decode_free(s); }
};

class G722Encoder final : public Encoder {
 public:
  explicit G722Encoder(const Shape& shape)
      : Encoder(shape), state_(g722_encode_init(nullptr, bit_rate, option_of(shape))) {}
  Result<Encoded, Reason> encode(std::span<const int16_t> samples, MutableBytes out) override {
    if (samples.empty()) return Failure{Reason::empty};
    const size_t an_octet = shape_.audio_rate / 8000;
    if (samples.size() % an_octet != 0) return Failure{Reason::bad_length};
    if (samples.size() > samples_in(shape_, longest_payload_ms) || samples.size() / an_octet > out.size())
      return Failure{Reason::too_long};
    return Encoded{static_cast<size_t>(
        g722_encode(state_.get(), out.data(), samples.data(), static_cast<int>(samples.size())))};
  }
  void reset() override { g722_encode_init(state_.get(), bit_rate, option_of(shape_)); }
  std::unique_ptr<Encoder> twin() const override {
    auto t = std::make_unique<G722Encoder>(shape_);
    *t->state_ = *state_;  // predictors and filters, no pointers
    return t;
  }

 private:
  std::unique_ptr<g722_encode_state_t, Free> state_;
};

class G722Decoder final : public Decoder {
 public:
  explicit G722Decoder(const Shape& shape)
      : Decoder(shape),
        state_(g722_decode_init(nullptr, bit_rate, option_of(shape))),
        concealer_(shape.audio_rate) {}
  Result<size_t, Reason> decode(Bytes payload, std::span<int16_t> out) override {
    if (payload.empty()) return Failure{Reason::empty};
    const size_t whole = payload.size() * (shape_.audio_rate / 8000);
    if (whole > samples_in(shape_, longest_payload_ms) || whole > out.size())
      return Failure{Reason::too_long};
    const auto samples = static_cast<size_t>(
        g722_decode(state_.get(), out.data(), payload.data(), static_cast<int>(payload.size())));
    concealer_.heard(out.data(), samples);
    return samples;
  }
  // The adaptive predictors stay as they were when the sound broke off and find their way back by themselves.
  void decode_lost(std::span<int16_t> out, Bytes) override { concealer_.conceal(out.data(), out.size()); }
  void reset() override {
    g722_decode_init(state_.get(), bit_rate, option_of(shape_));
    concealer_.reset();
  }

 private:
  std::unique_ptr<g722_decode_state_t, Free> state_;
  Concealer concealer_;
};

}  // namespace

std::unique_ptr<Encoder> make_g722_encoder(const Options& options) {
  return std::make_unique<G722Encoder>(shape_for(options));
}
std::unique_ptr<Decoder> make_g722_decoder(const Options& options) {
  return std::make_unique<G722Decoder>(shape_for(options));
}

}  // namespace tandem::codec
