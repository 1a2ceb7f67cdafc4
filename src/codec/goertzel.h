#pragma once
// One frequency's power in a block of samples: for DTMF (ITU-T Q.23, Q.24) and for measuring what we play.
#include <cstdint>
#include <optional>
#include <span>

namespace tandem::codec {

/// Level in dBm0 of the component at `frequency` Hz in 8 kHz samples; about -100 for silence. Exact when the
/// block holds whole periods.
double tone_level(std::span<const int16_t> samples, double frequency);

/// The digit in a block of 100 to 400 samples (205 suits best): one low and one high tone, each above -30
/// dBm0, within the twist Q.24 allows and well above all others.
std::optional<char> dtmf_digit(std::span<const int16_t> samples);

}  // namespace tandem::codec
