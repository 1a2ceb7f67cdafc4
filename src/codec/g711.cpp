#include "codec/g711.h"

#include <algorithm>
#include <array>
#include <bit>

namespace tandem::codec {
namespace {
constexpr int mu_bias = 33;         // in units of the 14-bit scale
constexpr int mu_clip = 8191 - 33;  // largest magnitude of the 14-bit scale that still has a code
}  // namespace

uint8_t encode_mu_law(int16_t sample) {
  const bool negative = sample < 0;
  // The 14-bit scale; rounding towards minus infinity would bias, so the magnitude is cut.
  const int magnitude = std::min((negative ? -int{sample} : int{sample}) >> 2, mu_clip) + mu_bias;
  const int segment = std::bit_width(static_cast<unsigned>(magnitude)) - 6;
  const int code = segment << 4 | ((magnitude >> (segment + 1)) & 0x0F);
  return static_cast<uint8_t>(~(code | (negative ? 0x80 : 0)));
}

int16_t decode_mu_law(uint8_t code) {
  code = static_cast<uint8_t>(~code);
  const int segment = (code >> 4) & 7;
  const int magnitude = ((((code & 0x0F) << 1) + mu_bias) << segment) - mu_bias;
  return static_cast<int16_t>((code & 0x80) != 0 ? -magnitude * 4 : magnitude * 4);
}

uint8_t encode_a_law(int16_t sample) {
  const bool negative = sample < 0;
  // Steps of 16; -1 belongs to the first negative step, hence the complement instead of the negation.
  const int magnitude = (negative ? ~int{sample} : int{sample}) >> 4;  // 0..2047
  int code = magnitude;
  if (magnitude >= 32) {
    const int segment = std::bit_width(static_cast<unsigned>(magnitude)) - 4;
    code = segment << 4 | ((magnitude >> (segment - 1)) & 0x0F);
  }
  return static_cast<uint8_t>((code | (negative ? 0 : 0x80)) ^ 0x55);
}

int16_t decode_a_law(uint8_t code) {
  code ^= 0x55;
  const int segment = (code >> 4) & 7;
  int magnitude = ((code & 0x0F) << 1) + 1;
  if (segment > 0) magnitude = (magnitude + 32) << (segment - 1);
  return static_cast<int16_t>((code & 0x80) != 0 ? magnitude * 8 : -magnitude * 8);
}

namespace {

/// The functions above by magnitude, for whole blocks: 8 KiB for mu-law, 2 for A-law, half a KiB each to
/// decode. The sign is the code's first bit.
struct Tables {
  std::array<uint8_t, 8193> mu_code{};
  std::array<uint8_t, 2048> a_code{};
  std::array<int16_t, 256> mu_value{}, a_value{};
  Tables() {
    for (size_t i = 0; i < mu_code.size(); ++i)
      mu_code[i] = encode_mu_law(static_cast<int16_t>(std::min<size_t>(i << 2, 32767)));
    for (size_t i = 0; i < a_code.size(); ++i) a_code[i] = encode_a_law(static_cast<int16_t>(i << 4));
    for (size_t i = 0; i < 256; ++i) {
      mu_value[i] = decode_mu_law(static_cast<uint8_t>(i));
      a_value[i] = decode_a_law(static_cast<uint8_t>(i));
    }
  }
};
const Tables& tables() {
  static const Tables all;
  return all;
}

}  // namespace

void encode(G711 law, std::span<const int16_t> in, std::span<uint8_t> out) {
  const size_t n = std::min(in.size(), out.size());
  const Tables& t = tables();
  if (law == G711::mu_law) {
    for (size_t i = 0; i < n; ++i) {
      const int sign = in[i] >> 15;  // 0 or -1
      out[i] =
          static_cast<uint8_t>(t.mu_code[static_cast<size_t>(((in[i] ^ sign) - sign) >> 2)] ^ (sign & 0x80));
    }
  } else {
    for (size_t i = 0; i < n; ++i) {
      const int sign = in[i] >> 15;
      out[i] = static_cast<uint8_t>(t.a_code[static_cast<size_t>((in[i] ^ sign) >> 4)] ^ (sign & 0x80));
    }
  }
}

void decode(G711 law, std::span<const uint8_t> in, std::span<int16_t> out) {
  const size_t n = std::min(in.size(), out.size());
  const auto& value = law == G711::mu_law ? tables().mu_value : tables().a_value;
  for (size_t i = 0; i < n; ++i) out[i] = value[in[i]];
}

}  // namespace tandem::codec
