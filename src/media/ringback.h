#pragma once
// What a caller we answered already hears while somebody else is rung for it.
#include <string_view>

#include "codec/tone.h"

namespace tandem::media {

/// As the network of the country with that calling code ("49", ITU-T E.164) sounds; of "1" that of the United
/// States. For an empty or unknown one the tone that ITU-T E.180 recommends.
codec::ToneSequence ringback_of(std::string_view calling_code);

}  // namespace tandem::media
