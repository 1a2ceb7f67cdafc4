// rooms: mixer playout codec base
// One tick of a conference with two who talk, and the bare coding in it. `member_s` is the CPU time a member
// costs each second. The others say nothing ("quiet"), or all send the noise of their rooms ("noisy").
// "floor" is the codecs alone, without conference: decoding what comes, encoding for those who are silent
// (once), and for each talker.
#include <benchmark/benchmark.h>

#include <cmath>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "mixer/mixer.h"

namespace {

using namespace tandem;
using namespace tandem::mixer;

constexpr size_t talkers = 2;
constexpr size_t cycle = 100;  // ticks of sound, over and over

playout::Format format_of(int64_t which) {
  if (which == 0) return {0, "PCMU", 8000, 1, ""};
  if (which == 1) return {9, "G722", 8000, 1, ""};
  return {96, "opus", 48000, 2, ""};
}

/// Harmonics of a wandering pitch, with pauses; or the noise of a room.
std::vector<std::vector<uint8_t>> payloads(const playout::Format& format, bool voice, uint64_t seed) {
  auto speaker = std::move(playout::Speaker::make({format, audio_rate, 20, 5})).value();
  SeededRng rng(seed);
  double phase = 0;
  std::vector<std::vector<uint8_t>> out;
  for (size_t t = 0; t < cycle; ++t) {
    Frame f;
    for (size_t i = 0; i < f.size(); ++i) {
      const double at = static_cast<double>(t * frame_samples + i) / audio_rate;
      phase += (120 + 40 * std::sin(3 * at + static_cast<double>(seed))) / audio_rate;
      double x = static_cast<double>(rng.below(40)) - 20;
      for (int h = 1; voice && h < 20; ++h)
        x += 1500 * (0.6 + 0.4 * std::sin(9 * at)) * std::sin(2 * M_PI * h * phase) / h;
      f[i] = static_cast<int16_t>(x);
    }
    const auto said = speaker.say(f);
    out.emplace_back(said->payload.begin(), said->payload.end());
  }
  return out;
}

void conference(benchmark::State& state) {
  const playout::Format format = format_of(state.range(0));
  const auto members = static_cast<size_t>(state.range(1));
  const bool noisy = state.range(2) != 0;
  Mixer mixer(MixerConfig{});
  std::vector<MemberId> ids;
  for (size_t i = 0; i < members; ++i) ids.push_back(*mixer.join({{format}, format}));
  const auto noise = payloads(format, false, 9);
  const std::vector<std::vector<uint8_t>> voices[talkers] = {payloads(format, true, 1),
                                                             payloads(format, true, 2)};
  Instant now{1'000'000'000};
  uint16_t sequence = 0;
  const auto tick = [&] {
    const uint32_t timestamp = uint32_t{sequence} * (format.clock_rate / 50);
    for (size_t i = 0; i < (noisy ? members : talkers); ++i) {
      const auto& from = i < talkers ? voices[i] : noise;
      mixer.packet(now, ids[i], sequence, timestamp, format.payload_type, from[(sequence + i * 7) % cycle]);
    }
    benchmark::DoNotOptimize(mixer.tick(now).data());
    ++sequence;
    now = now + milliseconds(tick_ms);
  };
  for (int i = 0; i < 500; ++i) tick();
  const MixerCounts before = mixer.counts();
  for (auto _ : state) tick();
  const auto ticks = static_cast<double>(mixer.counts().ticks - before.ticks);
  state.counters["encodes"] = static_cast<double>(mixer.counts().shared_encodes + mixer.counts().own_encodes -
                                                  before.shared_encodes - before.own_encodes) /
                              ticks;
  state.counters["member_s"] =
      benchmark::Counter(static_cast<double>(members) * 0.02,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void codecs_alone(benchmark::State& state) {
  const playout::Format f = format_of(state.range(0));
  const auto members = static_cast<size_t>(state.range(1));
  const size_t heard = state.range(2) != 0 ? members : talkers;
  const codec::Format format{f.name, f.clock_rate, f.channels, f.fmtp};
  std::vector<std::unique_ptr<codec::Decoder>> decoders;
  for (size_t i = 0; i < heard; ++i)
    decoders.push_back(std::move(codec::make_decoder(format, {audio_rate, 5})).value());
  std::vector<std::unique_ptr<codec::Encoder>> encoders;
  for (size_t i = 0; i < talkers + 1; ++i)
    encoders.push_back(std::move(codec::make_encoder(format, {audio_rate, 5})).value());
  const auto noise = payloads(f, false, 9);
  const std::vector<std::vector<uint8_t>> voices[talkers] = {payloads(f, true, 1), payloads(f, true, 2)};
  std::vector<int16_t> pcm(48000);
  std::vector<std::vector<int16_t>> said(talkers + 1);
  std::vector<uint8_t> out(codec::largest_payload);
  const size_t frame = codec::samples_in(encoders[0]->shape(), 20);
  size_t t = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < heard; ++i) {
      const auto& from = i < talkers ? voices[i] : noise;
      benchmark::DoNotOptimize(decoders[i]->decode(from[(t + i * 7) % cycle], pcm).ok());
      if (i < talkers) said[i].assign(pcm.begin(), pcm.begin() + static_cast<std::ptrdiff_t>(frame));
    }
    said[talkers] = said[0];
    for (size_t i = 0; i <= talkers; ++i) benchmark::DoNotOptimize(encoders[i]->encode(said[i], out).ok());
    ++t;
  }
  state.counters["encodes"] = talkers + 1;
  state.counters["member_s"] =
      benchmark::Counter(static_cast<double>(members) * 0.02,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void all(benchmark::internal::Benchmark* b, int64_t noisy) {
  for (const int64_t format : {0, 1, 2})
    for (const int64_t members : {10, 50, 200}) b->Args({format, members, noisy});
  b->ArgNames({"codec", "members", ""});
}

BENCHMARK(conference)->Name("quiet")->Apply([](auto* b) { all(b, 0); });
BENCHMARK(codecs_alone)->Name("quiet_floor")->Apply([](auto* b) { all(b, 0); });
BENCHMARK(conference)->Name("noisy")->Apply([](auto* b) { all(b, 1); });
BENCHMARK(codecs_alone)->Name("noisy_floor")->Apply([](auto* b) { all(b, 1); });

}  // namespace

BENCHMARK_MAIN();
