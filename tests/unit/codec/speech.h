#pragma once
// For tests: speech from espeak-ng, other people's decoders through ffmpeg, and measures of likeness.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

namespace tandem::codec::testing {

using Samples = std::vector<int16_t>;
using Octets = std::vector<uint8_t>;

/// A folder of this process, gone with it.
inline const std::filesystem::path& scratch() {
  struct Folder {
    std::filesystem::path path;
    Folder() {
      std::string name = (std::filesystem::temp_directory_path() / "tandem-codec-XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) std::abort();
      path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
  };
  static const Folder folder;
  return folder.path;
}

inline void must_run(const std::string& command) {
  ASSERT_EQ(std::system(("cd '" + scratch().string() + "' && " + command + " </dev/null >log 2>&1").c_str()),
            0)
      << command << "\n"
      << std::ifstream(scratch() / "log").rdbuf();
}

inline Octets file(const std::string& name) {
  std::ifstream in(scratch() / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_file(const std::string& name, std::span<const uint8_t> bytes) {
  std::ofstream(scratch() / name, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
inline Samples samples_of(const Octets& bytes) {
  Samples s(bytes.size() / 2);
  for (size_t i = 0; i < s.size(); ++i)
    s[i] = static_cast<int16_t>(static_cast<uint16_t>(bytes[2 * i] | bytes[2 * i + 1] << 8));
  return s;
}
inline void write_samples(const std::string& name, std::span<const int16_t> s) {
  write_file(name, {reinterpret_cast<const uint8_t*>(s.data()), s.size() * 2});
}

/// About ten seconds of English, made once a rate, at an active level of about -20 dBm0, a whole number of 20
/// ms.
inline const Samples& speech(uint32_t rate) {
  static std::vector<std::pair<uint32_t, Samples>> made;
  for (const auto& [r, s] : made)
    if (r == rate) return s;
  const std::string text =
      "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background. It is easy to "
      "tell the "
      "depth of a well. These days a chicken leg is a rare dish. Rice is often served in round bowls.";
  must_run("espeak-ng -v en -a 100 -w speech.wav '" + text + "'");
  must_run("ffmpeg -y -i speech.wav -af volume=0.5 -ac 1 -ar " + std::to_string(rate) +
           " -f s16le speech.raw");
  Samples s = samples_of(file("speech.raw"));
  EXPECT_GT(s.size(), size_t{rate} * 8) << "espeak-ng and ffmpeg have to be installed";
  s.resize(s.size() / (rate / 50) * (rate / 50));
  made.emplace_back(rate, std::move(s));
  return made.back().second;
}

/// How many samples `heard` comes later than `said` (0 to `most`), by correlation.
inline size_t delay_of(std::span<const int16_t> said, std::span<const int16_t> heard, size_t most) {
  const size_t n = std::min({said.size(), heard.size(), size_t{48000}});
  size_t best = 0;
  double best_sum = -1;
  for (size_t d = 0; d < most && d < n; ++d) {
    double sum = 0;
    for (size_t i = 0; i + d < n; ++i) sum += static_cast<double>(said[i]) * heard[i + d];
    if (sum > best_sum) {
      best_sum = sum;
      best = d;
    }
  }
  return best;
}

/// Mean over the 20 ms segments that hold speech of the signal-to-noise ratio in dB, each within -10 and 45,
/// after aligning.
inline double segmental_snr(std::span<const int16_t> said, std::span<const int16_t> heard, uint32_t rate,
                            uint32_t most_delay_ms = 40) {
  const size_t delay = delay_of(said, heard, size_t{rate} * most_delay_ms / 1000);
  heard = heard.subspan(std::min(delay, heard.size()));
  const size_t segment = rate / 50;
  double total = 0;
  size_t counted = 0;
  for (size_t at = 0; at + segment <= std::min(said.size(), heard.size()); at += segment) {
    double signal = 0, noise = 0;
    for (size_t i = at; i < at + segment; ++i) {
      const double e = static_cast<double>(said[i]) - heard[i];
      signal += static_cast<double>(said[i]) * said[i];
      noise += e * e;
    }
    if (std::sqrt(signal / static_cast<double>(segment)) < 200) continue;
    total += std::clamp(10 * std::log10(signal / std::max(noise, 1.0)), -10.0, 45.0);
    ++counted;
  }
  EXPECT_GT(counted, 100U);
  return counted == 0 ? -100 : total / static_cast<double>(counted);
}

/// Mean over the segments that hold speech of the root mean square difference in dB between the two power
/// spectra, in bands of 100 Hz up to `to_hz`: for coders that keep the spectrum and not the wave.
inline double log_spectral_distance(std::span<const int16_t> said, std::span<const int16_t> heard,
                                    uint32_t rate, uint32_t to_hz = 3400, uint32_t most_delay_ms = 40) {
  const size_t delay = delay_of(said, heard, size_t{rate} * most_delay_ms / 1000);
  heard = heard.subspan(std::min(delay, heard.size()));
  const size_t segment = rate / 50;
  const auto band = [&](std::span<const int16_t> x, uint32_t hz) {
    double re = 0, im = 0;
    for (size_t i = 0; i < segment; ++i) {
      const double w = 0.5 - 0.5 * std::cos(2 * M_PI * static_cast<double>(i) / static_cast<double>(segment));
      const double phase = 2 * M_PI * hz * static_cast<double>(i) / rate;
      re += w * x[i] * std::cos(phase);
      im += w * x[i] * std::sin(phase);
    }
    return 10 * std::log10((re * re + im * im) / static_cast<double>(segment) + 1000);
  };
  double total = 0;
  size_t counted = 0;
  // Every third segment: enough to tell, and quick.
  for (size_t at = 0; at + segment <= std::min(said.size(), heard.size()); at += 3 * segment) {
    double energy = 0;
    for (size_t i = at; i < at + segment; ++i) energy += static_cast<double>(said[i]) * said[i];
    if (std::sqrt(energy / static_cast<double>(segment)) < 200) continue;
    double squares = 0;
    size_t bands = 0;
    for (uint32_t hz = 200; hz <= to_hz; hz += 100, ++bands) {
      const double d = band(said.subspan(at, segment), hz) - band(heard.subspan(at, segment), hz);
      squares += d * d;
    }
    total += std::sqrt(squares / static_cast<double>(bands));
    ++counted;
  }
  EXPECT_GT(counted, 50U);
  return counted == 0 ? 100 : total / static_cast<double>(counted);
}

}  // namespace tandem::codec::testing
