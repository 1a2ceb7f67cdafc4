// What a contact costs. A million of them have to fit beside the calls.
#include <malloc.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "flow.h"

namespace {
std::atomic<size_t> bytes_in_use{0};
}

// Never inlined: the compiler would see malloc() and delete, or new and free(), side by side and complain.
__attribute__((noinline)) void* operator new(size_t size) {
  void* p = std::malloc(size);
  if (!p) std::abort();
  bytes_in_use += malloc_usable_size(p) + sizeof(size_t);  // and the allocator's own word
  return p;
}
__attribute__((noinline)) void operator delete(void* p) noexcept {
  if (p) bytes_in_use -= malloc_usable_size(p) + sizeof(size_t);
  std::free(p);
}
void operator delete(void* p, size_t) noexcept { operator delete(p); }

namespace tandem::registrar {
namespace {

TEST_F(RegistrarFlow, AContactOfAUsualPhoneTakesLittleMemory) {
  constexpr size_t phones = 16'384;
  const auto register_all = [&] {
    for (size_t i = 0; i < phones; ++i) {
      alice.aor.user = "user" + std::to_string(100'000 + i);
      send("User-Agent: Yealink SIP-T46U 108.86.0.20\r\nSupported: path\r\nContact: <sip:" + alice.aor.user +
               "@10.0.0.1:5060;transport=udp>;+sip.instance=\"<urn:uuid:2f1d5c30-7a2b-4d6e-9b1f-00156574a1b2>"
               "\"\r\n",
           {.to = "<sip:" + alice.aor.user + "@example.com>",
            .call_id = "0_1234567890@10.0.0.1-" + alice.aor.user});
    }
  };
  // Once through the store, as it is in the steady state.
  const size_t before = bytes_in_use;
  register_all();
  pass(seconds(10));
  while (!out.asks.empty()) {
    take_saves();
    answer_all(port::Stored{});
    pass(seconds(10));
  }
  out = {};
  last_asked = {};
  changes = {};
  ASSERT_EQ(registrar->contact_count(), phones);
  const size_t each = (bytes_in_use - before) / phones;
  std::printf("%zu bytes per contact\n", each);
  RecordProperty("bytes_per_contact", static_cast<int>(each));
  EXPECT_LT(each, 700u);
}

}  // namespace
}  // namespace tandem::registrar
