#pragma once
// What a telephone network says in tones to whom we have answered already.
#include <string_view>

#include "codec/country_tones.h"

namespace tandem::media {

/// As the network of the country with that calling code ("49", ITU-T E.164) sounds; of "1" that of the United
/// States. For an empty or unknown one the tones that ITU-T E.180 recommends.
codec::CountryTones tones_of(std::string_view calling_code);

}  // namespace tandem::media
