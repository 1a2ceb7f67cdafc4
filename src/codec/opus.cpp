// Opus (RFC 6716) in RTP (RFC 7587) through libopus. The RTP clock always runs at 48 kHz; the library runs at
// the narrowest rate that carries the audio at hand, which is most of what a transcoded telephone call saves.
#include <opus.h>

#include <algorithm>
#include <cstring>

#include "codec/fmtp.h"
#include "codec/makers.h"

namespace tandem::codec {
namespace {

constexpr uint32_t opus_rates[] = {8000, 16000, 24000, 48000};
constexpr int default_loss_percent = 10;  // without an expectation of loss libopus spends nothing on FEC
/// What the copies cost. libopus makes none below some 19 kbit/s of narrowband and 25 of wideband (where a
/// twentieth is lost), and what it chooses by itself, 11 and 19, lies below.
constexpr uint32_t fec_bit_rate = 9000;
constexpr size_t dtx_octets = 2;  // RFC 7587 section 3.1.3: a packet of up to 2 octets need not be sent

struct Parameters {
  uint32_t max_rate = 48000;  // maxplaybackrate or sprop-maxcapturerate
  uint32_t max_bit_rate = 0;  // maxaveragebitrate; 0: the library's choice
  bool stereo = false, fec = false, dtx = false, cbr = false;
};

/// RFC 7587 section 6.1. `sender`: read what the other side says of its sending instead of its wishes.
Result<Parameters, FormatReason> read(std::string_view fmtp, bool sender) {
  const auto flag = [&](std::string_view name) { return fmtp_number(fmtp, name, 0, 1, 0); };
  const auto rate =
      fmtp_number(fmtp, sender ? "sprop-maxcapturerate" : "maxplaybackrate", 8000, 48000, 48000);
  const auto bits = fmtp_number(fmtp, "maxaveragebitrate", 6000, 510000, 0);
  const auto stereo = flag(sender ? "sprop-stereo" : "stereo");
  const auto fec = flag("useinbandfec");
  const auto dtx = flag("usedtx");
  const auto cbr = flag("cbr");
  if (!rate || !bits || !stereo || !fec || !dtx || !cbr) return Failure{FormatReason::bad_parameter};
  return Parameters{*rate, *bits, *stereo == 1, *fec == 1, *dtx == 1, *cbr == 1};
}

/// The narrowest rate of the library that carries audio of `rate` Hz.
uint32_t carrying(uint32_t rate) {
  for (const uint32_t r : opus_rates)
    if (r >= rate) return r;
  return 48000;
}

Shape shape_of(const Parameters& p, const Options& o) {
  const uint32_t wanted = o.audio_rate == 0 ? 48000 : o.audio_rate;
  return {"opus", 48000, carrying(std::min(wanted, p.max_rate)), static_cast<uint8_t>(p.stereo ? 2 : 1),
          2500};
}

struct Destroy {
  void operator()(OpusEncoder* s) const { opus_encoder_destroy(s); }
  void operator()(OpusDecoder* s) const { opus_decoder_destroy(s); }
};

class OpusEncoding final : public Encoder {
 public:
  OpusEncoding(const Shape& shape, const Parameters& p, uint8_t complexity) : Encoder(shape), wished_(p) {
    int error = OPUS_OK;
    state_.reset(opus_encoder_create(static_cast<opus_int32>(shape.audio_rate), shape.channels,
                                     OPUS_APPLICATION_VOIP, &error));
    opus_encoder_ctl(state_.get(), OPUS_SET_INBAND_FEC(p.fec ? 1 : 0));
    opus_encoder_ctl(state_.get(), OPUS_SET_DTX(p.dtx ? 1 : 0));
    opus_encoder_ctl(state_.get(), OPUS_SET_VBR(p.cbr ? 0 : 1));
    set_expected_loss(p.fec ? default_loss_percent : 0);
    set_complexity(complexity);
  }

  Result<Encoded, Reason> encode(std::span<const int16_t> samples, MutableBytes out) override {
    if (samples.empty()) return Failure{Reason::empty};
    const size_t each = samples.size() / shape_.channels;
    if (each * shape_.channels != samples.size() || !is_frame(each)) return Failure{Reason::bad_length};
    const opus_int32 octets =
        opus_encode(state_.get(), samples.data(), static_cast<int>(each), out.data(),
                    static_cast<opus_int32>(std::min<size_t>(out.size(), largest_payload)));
    if (octets < 0) return Failure{Reason::too_long};
    if (wished_.dtx && static_cast<size_t>(octets) <= dtx_octets) return Encoded{};
    return Encoded{static_cast<size_t>(octets)};
  }
  // RESET_STATE keeps what was set.
  void reset() override { opus_encoder_ctl(state_.get(), OPUS_RESET_STATE); }
  void set_complexity(uint8_t complexity) override {
    opus_encoder_ctl(state_.get(), OPUS_SET_COMPLEXITY(std::min<int>(complexity, 10)));
  }
  void set_expected_loss(uint8_t percent) override {
    if (!wished_.fec) percent = 0;
    opus_encoder_ctl(state_.get(), OPUS_SET_PACKET_LOSS_PERC(std::min<int>(percent, 100)));
    opus_encoder_ctl(state_.get(), OPUS_SET_BITRATE(bit_rate(percent > 0)));
  }
  std::unique_ptr<Encoder> twin() const override {
    auto t = std::make_unique<OpusEncoding>(shape_, wished_, uint8_t{0});
    // opus.h: an encoder's state is continuous in memory and a shallow copy is one; what was set is part of
    // it.
    std::memcpy(t->state_.get(), state_.get(), static_cast<size_t>(opus_encoder_get_size(shape_.channels)));
    return t;
  }

 private:
  /// The library's choice for 20 ms, more of it with copies, and never more than the other side takes.
  opus_int32 bit_rate(bool copies) const {
    if (!copies) return wished_.max_bit_rate == 0 ? OPUS_AUTO : static_cast<opus_int32>(wished_.max_bit_rate);
    const uint32_t wanted = shape_.audio_rate * shape_.channels + 60 * 50 + fec_bit_rate;
    return static_cast<opus_int32>(wished_.max_bit_rate == 0 ? wanted
                                                             : std::min(wanted, wished_.max_bit_rate));
  }
  bool is_frame(size_t each) const {
    const size_t unit = shape_.audio_rate / 400;  // 2.5 ms
    for (const size_t units : {1, 2, 4, 8, 16, 24})
      if (each == units * unit) return true;
    return false;
  }

  const Parameters wished_;
  std::unique_ptr<OpusEncoder, Destroy> state_;
};

class OpusDecoding final : public Decoder {
 public:
  explicit OpusDecoding(const Shape& shape) : Decoder(shape) {
    int error = OPUS_OK;
    state_.reset(opus_decoder_create(static_cast<opus_int32>(shape.audio_rate), shape.channels, &error));
  }

  Result<size_t, Reason> decode(Bytes payload, std::span<int16_t> out) override {
    if (payload.empty()) return Failure{Reason::empty};
    if (payload.size() > largest_payload) return Failure{Reason::too_long};
    const int each =
        opus_decoder_get_nb_samples(state_.get(), payload.data(), static_cast<opus_int32>(payload.size()));
    if (each <= 0) return Failure{Reason::corrupt};
    const size_t samples = static_cast<size_t>(each) * shape_.channels;
    if (samples > out.size()) return Failure{Reason::too_long};
    const int got = opus_decode(state_.get(), payload.data(), static_cast<opus_int32>(payload.size()),
                                out.data(), each, 0);
    if (got < 0) return Failure{Reason::corrupt};
    return static_cast<size_t>(got) * shape_.channels;
  }

  void decode_lost(std::span<int16_t> out, Bytes next) override {
    const size_t unit = shape_.audio_rate / 400;
    const size_t each =
        std::min(out.size() / shape_.channels, samples_in(shape_, longest_payload_ms) / shape_.channels) /
        unit * unit;
    int got = -1;
    if (each > 0 && !next.empty() && next.size() <= largest_payload)
      got = opus_decode(state_.get(), next.data(), static_cast<opus_int32>(next.size()), out.data(),
                        static_cast<int>(each), 1);
    if (each > 0 && got < 0)
      got = opus_decode(state_.get(), nullptr, 0, out.data(), static_cast<int>(each), 0);
    const size_t written = got < 0 ? 0 : static_cast<size_t>(got) * shape_.channels;
    std::fill(out.begin() + static_cast<ptrdiff_t>(written), out.end(), int16_t{0});
  }
  void reset() override { opus_decoder_ctl(state_.get(), OPUS_RESET_STATE); }

 private:
  std::unique_ptr<OpusDecoder, Destroy> state_;
};

}  // namespace

Made<Encoder> make_opus_encoder(const Format& format, const Options& options) {
  const auto p = read(format.fmtp, false);
  if (!p) return Failure{p.reason()};
  return std::unique_ptr<Encoder>(
      std::make_unique<OpusEncoding>(shape_of(*p, options), *p, options.complexity));
}

Made<Decoder> make_opus_decoder(const Format& format, const Options& options) {
  const auto p = read(format.fmtp, true);
  if (!p) return Failure{p.reason()};
  return std::unique_ptr<Decoder>(std::make_unique<OpusDecoding>(shape_of(*p, options)));
}

}  // namespace tandem::codec
