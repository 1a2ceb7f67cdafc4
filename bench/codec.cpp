// rooms: codec base
// libs: PkgConfig::SPANDSP PkgConfig::OPUS $<$<TARGET_EXISTS:PkgConfig::BCG729>:PkgConfig::BCG729>
// Microseconds to encode and to decode 20 ms, per codec: ours behind the seam, and the bare library on the
// same samples. Rounds of the two alternate in this one process; CPU time of the thread, the best of the
// rounds. Ends with 1 when ours costs more than 1.1 times the library.
#include <opus.h>
#include <spandsp.h>
#include <time.h>
#ifdef TANDEM_G729
extern "C" {
#include <bcg729/decoder.h>
#include <bcg729/encoder.h>
}
#endif

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "base/rng.h"
#include "codec/codec.h"

namespace {

using namespace tandem;
using namespace tandem::codec;

constexpr int frames = 100;  // two seconds
constexpr int rounds = 25;
constexpr double bar = 1.10;

double cpu_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

using Pcm = std::vector<int16_t>;
using Payloads = std::vector<std::vector<uint8_t>>;

/// Something between a voice and noise: harmonics of a wandering pitch, louder and softer.
Pcm sound(uint32_t rate) {
  SeededRng rng(1);
  Pcm pcm(size_t{rate} / 50 * frames);
  double phase = 0;
  for (size_t i = 0; i < pcm.size(); ++i) {
    const double t = static_cast<double>(i) / rate;
    phase += (120 + 40 * std::sin(3 * t)) / rate;
    double x = 0;
    for (int h = 1; h < 20; ++h) x += std::sin(2 * M_PI * h * phase) / h;
    x = x * 3000 * (0.6 + 0.4 * std::sin(9 * t)) + static_cast<double>(rng.below(400)) - 200;
    pcm[i] = static_cast<int16_t>(std::clamp(x, -32000.0, 32000.0));
  }
  return pcm;
}

/// The library alone: encodes a frame into octets, decodes octets into samples.
struct Bare {
  std::function<size_t(const int16_t*, size_t, uint8_t*)> encode;
  std::function<void(const uint8_t*, size_t, int16_t*)> decode;
};

struct Cost {
  double encode = 1e18, decode = 1e18;
};

template <class E, class D>
void measure(Cost& best, const Pcm& pcm, size_t frame, E&& encode, D&& decode) {
  static Payloads payloads(frames, std::vector<uint8_t>(largest_payload));
  static std::vector<size_t> sizes(frames);
  static Pcm out(48000);
  const double start = cpu_us();
  for (size_t i = 0; i < frames; ++i) sizes[i] = encode(pcm.data() + i * frame, frame, payloads[i].data());
  const double middle = cpu_us();
  for (size_t i = 0; i < frames; ++i) decode(payloads[i].data(), sizes[i], out.data());
  best.encode = std::min(best.encode, (middle - start) / frames);
  best.decode = std::min(best.decode, (cpu_us() - middle) / frames);
}

bool compare(const char* what, const Format& format, const Options& options, const Bare& bare) {
  const auto e = std::move(make_encoder(format, options)).value();
  const auto d = std::move(make_decoder(format, options)).value();
  const Pcm pcm = sound(e->shape().audio_rate);
  const size_t frame = samples_in(e->shape(), 20);
  Cost ours, theirs;
  for (int r = 0; r < rounds; ++r) {
    measure(
        ours, pcm, frame,
        [&](const int16_t* in, size_t n, uint8_t* out) {
          return e->encode({in, n}, {out, largest_payload}).value().octets;
        },
        [&](const uint8_t* in, size_t n, int16_t* out) {
          (void)d->decode({in, n}, {out, 48000}).value();
        });
    measure(theirs, pcm, frame, bare.encode, bare.decode);
  }
  const double encode = ours.encode / theirs.encode;
  const double decode = ours.decode / theirs.decode;
  const bool pass = encode <= bar && decode <= bar;
  std::printf("%-26s encode %8.2f us (bare %8.2f, %.2fx)   decode %7.2f us (bare %7.2f, %.2fx)   %s\n", what,
              ours.encode, theirs.encode, encode, ours.decode, theirs.decode, decode, pass ? "pass" : "FAIL");
  return pass;
}

Bare bare_g711(bool mu) {
  return {[mu](const int16_t* in, size_t n, uint8_t* out) {
            for (size_t i = 0; i < n; ++i) out[i] = mu ? linear_to_ulaw(in[i]) : linear_to_alaw(in[i]);
            return n;
          },
          [mu](const uint8_t* in, size_t n, int16_t* out) {
            for (size_t i = 0; i < n; ++i) out[i] = mu ? ulaw_to_linear(in[i]) : alaw_to_linear(in[i]);
          }};
}

Bare bare_l16() {
  return {[](const int16_t* in, size_t n, uint8_t* out) {
            for (size_t i = 0; i < n; ++i) {
              out[2 * i] = static_cast<uint8_t>(in[i] >> 8);
              out[2 * i + 1] = static_cast<uint8_t>(in[i]);
            }
            return 2 * n;
          },
          [](const uint8_t* in, size_t n, int16_t* out) {
            for (size_t i = 0; i < n / 2; ++i) out[i] = static_cast<int16_t>(in[2 * i] << 8 | in[2 * i + 1]);
          }};
}

// The states below live as long as the program.
Bare bare_g722(int options) {
  auto* e = g722_encode_init(nullptr, 64000, options);
  auto* d = g722_decode_init(nullptr, 64000, options);
  return {[e](const int16_t* in, size_t n, uint8_t* out) {
            return static_cast<size_t>(g722_encode(e, out, in, static_cast<int>(n)));
          },
          [d](const uint8_t* in, size_t n, int16_t* out) { g722_decode(d, out, in, static_cast<int>(n)); }};
}

Bare bare_opus(int rate, int complexity) {
  int error = 0;
  auto* e = opus_encoder_create(rate, 1, OPUS_APPLICATION_VOIP, &error);
  opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(complexity));
  auto* d = opus_decoder_create(rate, 1, &error);
  return {[e](const int16_t* in, size_t n, uint8_t* out) {
            return static_cast<size_t>(opus_encode(e, in, static_cast<int>(n), out, largest_payload));
          },
          [d, rate](const uint8_t* in, size_t n, int16_t* out) {
            (void)!opus_decode(d, in, static_cast<opus_int32>(n), out, rate / 50, 0);
          }};
}

#ifdef TANDEM_G729
Bare bare_g729() {
  auto* e = initBcg729EncoderChannel(0);
  auto* d = initBcg729DecoderChannel();
  return {[e](const int16_t* in, size_t n, uint8_t* out) {
            uint8_t octets = 0;
            for (size_t i = 0; i < n / 80; ++i) bcg729Encoder(e, in + i * 80, out + i * 10, &octets);
            return n / 8;
          },
          [d](const uint8_t* in, size_t n, int16_t* out) {
            for (size_t i = 0; i < n / 10; ++i) bcg729Decoder(d, in + i * 10, 10, 0, 0, 0, out + i * 80);
          }};
}
#endif

}  // namespace

int main() {
  bool pass = compare("PCMU", {"PCMU", 8000}, {}, bare_g711(true));
  pass &= compare("PCMA", {"PCMA", 8000}, {}, bare_g711(false));
  pass &= compare("G722", {"G722", 8000}, {}, bare_g722(0));
  pass &= compare("G722 at 8000 Hz", {"G722", 8000}, {8000, 5}, bare_g722(G722_SAMPLE_RATE_8000));
  pass &= compare("L16", {"L16", 16000}, {}, bare_l16());
#ifdef TANDEM_G729
  pass &= compare("G729", {"G729", 8000, 1, "annexb=no"}, {}, bare_g729());
#endif
  for (const uint32_t rate : {8000, 16000, 48000})
    for (const uint8_t complexity : {0, 5, 10}) {
      char name[40];
      std::snprintf(name, sizeof name, "opus %u Hz, complexity %u", rate, complexity);
      pass &= compare(name, {"opus", 48000, 2}, {rate, complexity},
                      bare_opus(static_cast<int>(rate), complexity));
    }
  return pass ? 0 : 1;
}
