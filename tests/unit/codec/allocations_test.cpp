// Nothing allocates once it is made: malloc itself is counted, since the libraries are C.
#include <gtest/gtest.h>

#include "codec/codec.h"
#include "codec/comfort_noise.h"
#include "codec/dtmf.h"
#include "codec/resampler.h"
#include "sanitized.h"

namespace {
size_t count = 0;
}

#ifdef TANDEM_SANITIZED
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, size_t),
                                                         void (*)(const volatile void*));
namespace {
const int hooked = __sanitizer_install_malloc_and_free_hooks([](const volatile void*, size_t) { ++count; },
                                                             [](const volatile void*) {});
}
#else
extern "C" void* __libc_malloc(size_t);
extern "C" void* __libc_calloc(size_t, size_t);
extern "C" void* __libc_realloc(void*, size_t);
extern "C" void* malloc(size_t n) { return ++count, __libc_malloc(n); }
extern "C" void* calloc(size_t n, size_t m) { return ++count, __libc_calloc(n, m); }
extern "C" void* realloc(void* p, size_t n) { return ++count, __libc_realloc(p, n); }
#endif

namespace tandem::codec {
namespace {

TEST(Allocations, AreCounted) {
  const size_t before = count;
  free(malloc(10));
  const auto d = make_decoder({"G722", 8000});
  EXPECT_GT(count, before + 1) << "spandsp's were not seen";
}

TEST(Allocations, NoneAPacket) {
  std::vector<Format> formats = {
      {"PCMU", 8000}, {"PCMA", 8000}, {"G722", 8000}, {"L16", 48000, 2}, {"opus", 48000, 2}};
  if (make_encoder({"G729", 8000})) formats.push_back({"G729", 8000});
  std::vector<uint8_t> bytes(largest_payload);
  std::vector<int16_t> pcm(largest_payload);
  for (const Format& f : formats) {
    const auto e = std::move(make_encoder(f)).value();
    const auto d = std::move(make_decoder(f)).value();
    const size_t frame = samples_in(e->shape(), 20);
    const size_t before = count;
    for (int i = 0; i < 50; ++i) {
      for (size_t k = 0; k < frame; ++k) pcm[k] = static_cast<int16_t>(k * static_cast<size_t>(i + 1) * 37);
      const auto made = e->encode(std::span(pcm).first(frame), bytes);
      if (i % 3 == 2) {
        d->decode_lost(std::span(pcm).first(frame), std::span(bytes).first(made->octets));
      } else if (made->octets > 0) {
        (void)d->decode(std::span(bytes).first(made->octets), pcm).ok();
      }
    }
    EXPECT_EQ(count, before) << f.name;
  }
}

TEST(Allocations, NoneInTheRest) {
  const auto r = Resampler::make(8000, 48000);
  DtmfDetector detector;
  NoiseGenerator noise;
  std::vector<int16_t> in(160), out(r->room_for(160));
  const uint8_t level = 50;
  const size_t before = count;
  for (int i = 0; i < 50; ++i) {
    noise.set({&level, 1});
    noise.render(in);
    r->process(in, out);
    detector.process(in);
  }
  EXPECT_EQ(count, before);
}

}  // namespace
}  // namespace tandem::codec
