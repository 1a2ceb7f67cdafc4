// Reads the sentences of a language out into WAV files, with espeak-ng: a tool of the build.
//
//   make_prompts LANGUAGE.txt FOLDER
//
// Every file is mono, 16 bit, 16 kHz, without silence around the words but a breath at its end, and its
// speech stands at -20 dBm0 (-26 dBov), the active speech level of ITU-T P.56 at which telephone networks are
// planned.
#include <espeak-ng/speak_lib.h>

extern "C" {
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
}

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace {

using Samples = std::vector<int16_t>;

constexpr int rate = 16'000;
constexpr double target_dbov = -26.0;  // 0 dBov: a square wave at full scale
constexpr double largest_peak = 0.9;   // of full scale: G.711 still has room above it
constexpr int16_t quiet = 64;          // -54 dB: what espeak-ng leaves around the words is below it
constexpr size_t lead = rate / 100, tail = rate / 16;

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "make_prompts: %s\n", why.c_str());
  std::exit(1);
}

struct Sentence {
  std::string name, text;
};
struct Script {
  std::string voice;
  int words_a_minute = 165;
  std::vector<Sentence> sentences;
};

std::string trimmed(const std::string& s) {
  const size_t first = s.find_first_not_of(" \t\r"), last = s.find_last_not_of(" \t\r");
  return first == std::string::npos ? "" : s.substr(first, last - first + 1);
}

Script read_script(const std::string& path) {
  std::ifstream in(path);
  if (!in) die("cannot read " + path);
  Script script;
  std::set<std::string> names;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    line = trimmed(line);
    const std::string where = path + ":" + std::to_string(number) + ": ";
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("voice:")) {
      script.voice = trimmed(line.substr(6));
    } else if (line.starts_with("words a minute:")) {
      script.words_a_minute = std::atoi(line.c_str() + 15);
    } else {
      const size_t equals = line.find('=');
      if (equals == std::string::npos) die(where + "a prompt is NAME = SENTENCE");
      Sentence s{trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1))};
      if (s.name.empty() || s.text.empty()) die(where + "the name or the sentence is missing");
      if (s.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos)
        die(where + "a name has lower-case letters, digits and '-' only: " + s.name);
      if (!names.insert(s.name).second) die(where + "there are two prompts of the name " + s.name);
      script.sentences.push_back(std::move(s));
    }
  }
  if (script.voice.empty() || script.sentences.empty()) die(path + ": no voice, or no sentence");
  return script;
}

int take_samples(short* samples, int count, espeak_EVENT* events) {
  auto* into = static_cast<Samples*>(events->user_data);
  if (samples && into) into->insert(into->end(), samples, samples + count);
  return 0;
}

Samples speak(const std::string& text) {
  Samples samples;
  if (espeak_Synth(text.c_str(), text.size() + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, nullptr, &samples) !=
          EE_OK ||
      espeak_Synchronize() != EE_OK || samples.empty())
    die("espeak-ng says nothing to: " + text);
  return samples;
}

Samples resampled(const Samples& in, int from) {
  SwrContext* context = nullptr;
  AVChannelLayout mono{};
  av_channel_layout_default(&mono, 1);
  if (swr_alloc_set_opts2(&context, &mono, AV_SAMPLE_FMT_S16, rate, &mono, AV_SAMPLE_FMT_S16, from, 0,
                          nullptr) < 0 ||
      swr_init(context) < 0)
    die("no resampler");
  Samples out(in.size() * rate / static_cast<size_t>(from) + 4096);
  auto* to = reinterpret_cast<uint8_t*>(out.data());
  const auto* source = reinterpret_cast<const uint8_t*>(in.data());
  int made = swr_convert(context, &to, static_cast<int>(out.size()), &source, static_cast<int>(in.size()));
  to = reinterpret_cast<uint8_t*>(out.data() + made);
  made += swr_convert(context, &to, static_cast<int>(out.size()) - made, nullptr, 0);
  swr_free(&context);
  out.resize(static_cast<size_t>(made));
  return out;
}

Samples words_only(const Samples& in) {
  const auto loud = [](int16_t s) { return std::abs(int{s}) > quiet; };
  const auto first = std::find_if(in.begin(), in.end(), loud);
  const auto last = std::find_if(in.rbegin(), in.rend(), loud).base();
  if (first >= last) die("a sentence without a sound");
  const size_t before = std::min<size_t>(lead, static_cast<size_t>(first - in.begin()));
  Samples out(first - static_cast<ptrdiff_t>(before), last);
  // What is cut in the middle of a sound would click.
  const size_t ramp = std::min<size_t>(rate / 500, out.size() / 2);
  for (size_t i = 0; i < ramp; ++i) {
    const auto faded = [&](int16_t s) {
      return static_cast<int16_t>(s * static_cast<int>(i) / static_cast<int>(ramp));
    };
    out[i] = faded(out[i]);
    out[out.size() - 1 - i] = faded(out[out.size() - 1 - i]);
  }
  out.resize(out.size() + tail, 0);
  return out;
}

/// ITU-T P.56, method B: power over the time in which the smoothed envelope, held for 200 ms, is above a
/// threshold that lies 15.9 dB below the result. In dBov.
double active_level(const Samples& samples) {
  constexpr int thresholds = 15;
  constexpr double margin = 15.9;
  const double g = std::exp(-1.0 / (rate * 0.03));
  constexpr int hold = rate / 5;
  double p = 0, q = 0, energy = 0;
  int hang[thresholds];
  int64_t active[thresholds] = {};
  std::fill(std::begin(hang), std::end(hang), hold);
  for (const int16_t s : samples) {
    const double x = s / 32768.0;
    energy += x * x;
    p = g * p + (1 - g) * std::abs(x);
    q = g * q + (1 - g) * p;
    for (int j = 0; j < thresholds; ++j) {
      hang[j] = q >= std::ldexp(1.0, j - thresholds) ? 0 : hang[j] + 1;
      if (hang[j] < hold) ++active[j];
    }
  }
  double last_level = -100, last_gap = 0;
  for (int j = 0; j < thresholds; ++j) {
    if (active[j] == 0) break;
    const double level = 10 * std::log10(energy / static_cast<double>(active[j]));
    const double gap = level - 20 * std::log10(std::ldexp(1.0, j - thresholds));
    if (gap <= margin) {
      if (j == 0 || last_gap <= gap) return level;
      return last_level + (level - last_level) * (last_gap - margin) / (last_gap - gap);
    }
    last_level = level;
    last_gap = gap;
  }
  return last_level;
}

void level(Samples& samples) {
  const double gain = std::pow(10.0, (target_dbov - active_level(samples)) / 20);
  double peak = 0;
  for (const int16_t s : samples) peak = std::max(peak, std::abs(s * gain / 32768.0));
  const double bounded = peak > largest_peak ? gain * largest_peak / peak : gain;
  for (int16_t& s : samples) s = static_cast<int16_t>(std::lround(s * bounded));
}

void put(std::string& out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

void write_wav(const std::filesystem::path& path, const Samples& samples) {
  const auto bytes = static_cast<uint32_t>(samples.size() * 2);
  std::string out = "RIFF";
  put(out, 36 + bytes, 4);
  out += "WAVEfmt ";
  put(out, 16, 4);
  put(out, 1, 2);  // PCM
  put(out, 1, 2);
  put(out, rate, 4);
  put(out, rate * 2, 4);
  put(out, 2, 2);
  put(out, 16, 2);
  out += "data";
  put(out, bytes, 4);
  for (const int16_t s : samples) put(out, static_cast<uint16_t>(s), 2);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(out.data(), static_cast<std::streamsize>(out.size()));
  file.close();
  if (!file) die("cannot write " + path.string());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) die("usage: make_prompts LANGUAGE.txt FOLDER");
  const Script script = read_script(argv[1]);
  const int spoken_rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, nullptr, espeakINITIALIZE_DONT_EXIT);
  if (spoken_rate <= 0) die("espeak-ng does not start; is espeak-ng-data installed?");
  espeak_SetSynthCallback(&take_samples);
  if (espeak_SetVoiceByName(script.voice.c_str()) != EE_OK) die("espeak-ng has no voice " + script.voice);
  espeak_SetParameter(espeakRATE, script.words_a_minute, 0);
  // A sentence taken out of the script leaves no file behind.
  const std::filesystem::path folder(argv[2]);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  for (const Sentence& s : script.sentences) {
    Samples samples = words_only(resampled(speak(s.text), spoken_rate));
    level(samples);
    write_wav(folder / (s.name + ".wav"), samples);
  }
  espeak_Terminate();
  return 0;
}
