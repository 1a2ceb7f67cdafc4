#pragma once
// G.711 mu-law and A-law (ITU-T G.711), 16-bit linear samples at 8 kHz.
#include <cstdint>
#include <span>

namespace tandem::codec {

enum class G711 : uint8_t { mu_law, a_law };

uint8_t encode_mu_law(int16_t sample);
uint8_t encode_a_law(int16_t sample);
int16_t decode_mu_law(uint8_t code);
int16_t decode_a_law(uint8_t code);

/// `out` is as long as `in`.
void encode(G711 law, std::span<const int16_t> in, std::span<uint8_t> out);
void decode(G711 law, std::span<const uint8_t> in, std::span<int16_t> out);

/// Peak of a sine of 0 dBm0 in 16-bit samples: full scale is +3.14 dBm0 (G.711 table 5).
inline constexpr double zero_dbm0_peak = 22828.0;

}  // namespace tandem::codec
