// G.711 (RFC 3551 section 4.5.14) and L16 (section 4.5.11) behind the seam: a code a sample, concealment our
// own.
#include <algorithm>
#include <array>

#include "codec/concealer.h"
#include "codec/makers.h"

namespace tandem::codec {
namespace {

Shape g711_shape(G711 law) { return {law == G711::mu_law ? "PCMU" : "PCMA", 8000, 8000, 1, 125}; }

Shape l16_shape(uint32_t rate, uint8_t channels) {
  return {"L16", rate, rate, channels, static_cast<uint16_t>(1'000'000 / rate)};
}

class G711Encoder final : public Encoder {
 public:
  explicit G711Encoder(G711 law) : Encoder(g711_shape(law)), law_(law) {}
  Result<Encoded, Reason> encode(std::span<const int16_t> samples, MutableBytes out) override {
    if (samples.empty()) return Failure{Reason::empty};
    if (samples.size() > samples_in(shape_, longest_payload_ms) || samples.size() > out.size())
      return Failure{Reason::too_long};
    codec::encode(law_, samples, out);
    return Encoded{samples.size()};
  }
  void reset() override {}
  std::unique_ptr<Encoder> twin() const override { return std::make_unique<G711Encoder>(law_); }

 private:
  const G711 law_;
};

class G711Decoder final : public Decoder {
 public:
  explicit G711Decoder(G711 law) : Decoder(g711_shape(law)), law_(law), concealer_(8000) {}
  Result<size_t, Reason> decode(Bytes payload, std::span<int16_t> out) override {
    if (payload.empty()) return Failure{Reason::empty};
    if (payload.size() > samples_in(shape_, longest_payload_ms) || payload.size() > out.size())
      return Failure{Reason::too_long};
    codec::decode(law_, payload, out);
    concealer_.heard(out.data(), payload.size());
    return payload.size();
  }
  void decode_lost(std::span<int16_t> out, Bytes) override { concealer_.conceal(out.data(), out.size()); }
  void reset() override { concealer_.reset(); }

 private:
  const G711 law_;
  Concealer concealer_;
};

class L16Encoder final : public Encoder {
 public:
  L16Encoder(uint32_t rate, uint8_t channels) : Encoder(l16_shape(rate, channels)) {}
  Result<Encoded, Reason> encode(std::span<const int16_t> samples, MutableBytes out) override {
    if (samples.empty()) return Failure{Reason::empty};
    if (samples.size() % shape_.channels != 0) return Failure{Reason::bad_length};
    if (samples.size() > samples_in(shape_, longest_payload_ms) || samples.size() * 2 > out.size())
      return Failure{Reason::too_long};
    for (size_t i = 0; i < samples.size(); ++i) {
      const auto u = static_cast<uint16_t>(samples[i]);
      out[2 * i] = static_cast<uint8_t>(u >> 8);
      out[2 * i + 1] = static_cast<uint8_t>(u);
    }
    return Encoded{samples.size() * 2};
  }
  void reset() override {}
  std::unique_ptr<Encoder> twin() const override {
    return std::make_unique<L16Encoder>(shape_.audio_rate, shape_.channels);
  }
};

class L16Decoder final : public Decoder {
 public:
  L16Decoder(uint32_t rate, uint8_t channels)
      : Decoder(l16_shape(rate, channels)), concealers_{Concealer(rate), Concealer(rate)} {}
  Result<size_t, Reason> decode(Bytes payload, std::span<int16_t> out) override {
    if (payload.empty()) return Failure{Reason::empty};
    const size_t samples = payload.size() / 2;
    if (payload.size() % (size_t{2} * shape_.channels) != 0) return Failure{Reason::bad_length};
    if (samples > samples_in(shape_, longest_payload_ms) || samples > out.size())
      return Failure{Reason::too_long};
    for (size_t i = 0; i < samples; ++i)
      out[i] = static_cast<int16_t>(static_cast<uint16_t>(payload[2 * i] << 8 | payload[2 * i + 1]));
    for (size_t c = 0; c < shape_.channels; ++c)
      concealers_[c].heard(out.data() + c, samples / shape_.channels, shape_.channels);
    return samples;
  }
  void decode_lost(std::span<int16_t> out, Bytes) override {
    const size_t each = out.size() / shape_.channels;
    for (size_t c = 0; c < shape_.channels; ++c)
      concealers_[c].conceal(out.data() + c, each, shape_.channels);
    std::fill(out.begin() + static_cast<ptrdiff_t>(each * shape_.channels), out.end(), int16_t{0});
  }
  void reset() override {
    for (Concealer& c : concealers_) c.reset();
  }

 private:
  std::array<Concealer, 2> concealers_;
};

}  // namespace

std::unique_ptr<Encoder> make_g711_encoder(G711 law) { return std::make_unique<G711Encoder>(law); }
std::unique_ptr<Decoder> make_g711_decoder(G711 law) { return std::make_unique<G711Decoder>(law); }
std::unique_ptr<Encoder> make_l16_encoder(uint32_t rate, uint8_t channels) {
  return std::make_unique<L16Encoder>(rate, channels);
}
std::unique_ptr<Decoder> make_l16_decoder(uint32_t rate, uint8_t channels) {
  return std::make_unique<L16Decoder>(rate, channels);
}

}  // namespace tandem::codec
