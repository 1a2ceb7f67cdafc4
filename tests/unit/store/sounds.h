#pragma once
// For tests: tones and their measure, files made and read by ffmpeg, which is another program if not another
// library: what it plays, others play.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numbers>
#include <sstream>
#include <string>
#include <vector>

#include "samples.h"

namespace tandem::store_test {

using Samples = std::vector<int16_t>;

inline void must_run(const std::string& command) {
  ASSERT_EQ(std::system(("( " + command + " ) >/dev/null 2>&1 </dev/null").c_str()), 0) << command;
}

/// A sine wave; `level` is its amplitude in dB below full scale.
inline Samples tone(double frequency, uint32_t rate, double seconds, double level = -12, size_t from = 0) {
  Samples s(static_cast<size_t>(seconds * rate));
  const double amplitude = 32767 * std::pow(10.0, level / 20);
  for (size_t i = 0; i < s.size(); ++i)
    s[i] = static_cast<int16_t>(std::lround(
        amplitude * std::sin(2 * std::numbers::pi * frequency * static_cast<double>(from + i) / rate)));
  return s;
}

/// Amplitude of the component at `frequency`, in dB below full scale.
inline double level_at(const Samples& s, double frequency, uint32_t rate) {
  double re = 0, im = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    const double phase = 2 * std::numbers::pi * frequency * static_cast<double>(i) / rate;
    // A window, or another tone a little way off would count too.
    const double w =
        1 - std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(s.size()));
    re += w * s[i] * std::cos(phase);
    im += w * s[i] * std::sin(phase);
  }
  const double amplitude = 2 * std::hypot(re, im) / static_cast<double>(std::max<size_t>(s.size(), 1));
  return 20 * std::log10(std::max(amplitude, 0.001) / 32767);
}

inline double rms(const Samples& s) {
  double sum = 0;
  for (const int16_t x : s) sum += double{static_cast<double>(x)} * x;
  return std::sqrt(sum / static_cast<double>(std::max<size_t>(s.size(), 1)));
}

inline std::string file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline Samples raw_samples(const std::string& path) {
  const std::string bytes = file_bytes(path);
  Samples s(bytes.size() / 2);
  for (size_t i = 0; i < s.size(); ++i)
    s[i] = static_cast<int16_t>(static_cast<uint8_t>(bytes[2 * i]) | static_cast<uint8_t>(bytes[2 * i + 1])
                                                                         << 8);
  return s;
}

/// What ffmpeg plays of a file, by channel, at `rate`.
inline std::vector<Samples> played(const std::string& path, uint32_t rate) {
  const std::string wav = path + ".played";
  must_run("ffmpeg -nostdin -y -i '" + path + "' -ar " + std::to_string(rate) + " -c:a pcm_s16le -f wav '" +
           wav + "'");
  const std::string bytes = file_bytes(wav);
  const size_t data = bytes.find("data", 36);
  if (bytes.size() < 44 || data == std::string::npos) return {{}, {}};
  const auto channels = static_cast<size_t>(bytes[22]);
  std::vector<Samples> out(channels);
  for (size_t at = data + 8, n = 0; at + 1 < bytes.size(); at += 2, ++n)
    out[n % channels].push_back(
        static_cast<int16_t>(static_cast<uint8_t>(bytes[at]) | static_cast<uint8_t>(bytes[at + 1]) << 8));
  return out;
}

/// What ffprobe says, such as "stream=codec_name:format=duration" (in seconds): a word each.
inline std::string probed(const std::string& path, const std::string& entry) {
  const std::string out = path + ".probe";
  must_run("ffprobe -v error -show_entries " + entry + " -of default=nk=1:nw=1 '" + path + "' > '" + out +
           "'");
  std::string text = file_bytes(out);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// A piece of it, in seconds.
inline Samples part(const Samples& s, uint32_t rate, double from, double to) {
  const auto at = [&](double t) {
    return s.begin() + static_cast<ptrdiff_t>(std::min(static_cast<double>(s.size()), t * rate));
  };
  return {at(from), at(to)};
}

}  // namespace tandem::store_test
