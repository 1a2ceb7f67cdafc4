#include "codec/codec.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "codec/makers.h"

namespace tandem::codec {
namespace {

enum class Kind : uint8_t { pcmu, pcma, g722, g729, opus, l16 };

struct Known {
  std::string_view name;
  Kind kind;
  uint8_t channels;  // most
};
constexpr std::array<Known, 6> known = {{{"PCMU", Kind::pcmu, 1},
                                         {"PCMA", Kind::pcma, 1},
                                         {"G722", Kind::g722, 1},
                                         {"G729", Kind::g729, 1},
                                         {"opus", Kind::opus, 2},
                                         {"L16", Kind::l16, 2}}};
constexpr std::array<uint32_t, 6> l16_rates = {8000, 16000, 24000, 32000, 44100, 48000};

Result<Kind, FormatReason> kind_of(const Format& f) {
  const auto* k =
      std::find_if(known.begin(), known.end(), [&](const Known& x) { return iequals(x.name, f.name); });
  if (k == known.end()) return Failure{FormatReason::unknown_name};
  const bool rate_fits = k->kind == Kind::l16
                             ? std::find(l16_rates.begin(), l16_rates.end(), f.clock_rate) != l16_rates.end()
                             : f.clock_rate == (k->kind == Kind::opus ? 48000U : 8000U);
  if (!rate_fits) return Failure{FormatReason::bad_rate};
  // RFC 7587 section 7: always 2 in the rtpmap, whatever is sent.
  const bool channels_fit =
      k->kind == Kind::opus ? f.channels == 2 : f.channels >= 1 && f.channels <= k->channels;
  if (!channels_fit) return Failure{FormatReason::bad_channels};
  return k->kind;
}

}  // namespace

std::string_view to_string(FormatReason reason) {
  constexpr std::array<std::string_view, 5> names = {"unknown name", "bad clock rate",
                                                     "bad number of channels", "bad parameter", "not built"};
  return names[static_cast<size_t>(reason)];
}

std::string_view to_string(Reason reason) {
  constexpr std::array<std::string_view, reason_count> names = {"empty", "bad length", "too long", "corrupt"};
  return names[static_cast<size_t>(reason)];
}

bool has_codec(const Format& format) {
  const auto kind = kind_of(format);
#ifndef TANDEM_G729
  if (kind.ok() && *kind == Kind::g729) return false;
#endif
  return kind.ok();
}

Result<std::unique_ptr<Encoder>, FormatReason> make_encoder(const Format& format, const Options& options) {
  const auto kind = kind_of(format);
  if (!kind) return Failure{kind.reason()};
  switch (*kind) {
    case Kind::pcmu:
      return make_g711_encoder(G711::mu_law);
    case Kind::pcma:
      return make_g711_encoder(G711::a_law);
    case Kind::g722:
      return make_g722_encoder(options);
    case Kind::g729:
      return make_g729_encoder(format);
    case Kind::opus:
      return make_opus_encoder(format, options);
    case Kind::l16:
      break;
  }
  return make_l16_encoder(format.clock_rate, format.channels);
}

Result<std::unique_ptr<Decoder>, FormatReason> make_decoder(const Format& format, const Options& options) {
  const auto kind = kind_of(format);
  if (!kind) return Failure{kind.reason()};
  switch (*kind) {
    case Kind::pcmu:
      return make_g711_decoder(G711::mu_law);
    case Kind::pcma:
      return make_g711_decoder(G711::a_law);
    case Kind::g722:
      return make_g722_decoder(options);
    case Kind::g729:
      return make_g729_decoder(format);
    case Kind::opus:
      return make_opus_decoder(format, options);
    case Kind::l16:
      break;
  }
  return make_l16_decoder(format.clock_rate, format.channels);
}

}  // namespace tandem::codec
