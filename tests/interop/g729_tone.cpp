// A sine as G.729 payloads for tests/interop/test_real_codecs.py, which needs an encoder no program of the
// distribution has: 20 ms each (two frames, 20 octets), end to end.
#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <numbers>
#include <string>

#include "codec/codec.h"

int main(int argc, char** argv) {
  CLI::App app("a tone in G.729");
  std::string file;
  double hertz = 0, amplitude = 0;
  uint32_t packets = 0;
  app.add_option("file", file)->required();
  app.add_option("--hertz", hertz)->required();
  app.add_option("--amplitude", amplitude, "of 32767")->required();
  app.add_option("--packets", packets)->required();
  CLI11_PARSE(app, argc, argv);

  // Without Annex B, so that every payload has its 20 octets.
  const auto encoder = tandem::codec::make_encoder({"G729", 8000, 1, "annexb=no"});
  if (!encoder) {
    std::fprintf(stderr, "no G.729: %s\n", std::string(to_string(encoder.reason())).c_str());
    return 1;
  }
  std::ofstream out(file, std::ios::binary);
  std::array<int16_t, 160> samples;
  std::array<uint8_t, 20> payload;
  for (uint32_t p = 0, n = 0; p < packets; ++p) {
    for (int16_t& s : samples)
      s = static_cast<int16_t>(std::lround(amplitude * std::sin(2 * std::numbers::pi * hertz * n++ / 8000)));
    const auto made = (*encoder)->encode(samples, payload);
    if (!made || made->octets != payload.size()) return 1;
    out.write(reinterpret_cast<const char*>(payload.data()), payload.size());
  }
  return out.flush() ? 0 : 1;
}
