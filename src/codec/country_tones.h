#pragma once
// What a country's network sounds like (ITU-T E.180 supplement 2, as far as two sine waves a step can say
// it).
#include <optional>
#include <string_view>

#include "codec/tone.h"

namespace tandem::codec {

struct CountryTones {
  ToneSequence dial, ringback, busy, congestion;
};

/// By ISO 3166 two-letter code, any case: AU, CA, CN, DE, ES, FR, GB, IT, JP, KR, US. Nothing for others:
/// take the tones E.180 recommends (ToneSequence::ringback and its siblings).
std::optional<CountryTones> country_tones(std::string_view country);

}  // namespace tandem::codec
