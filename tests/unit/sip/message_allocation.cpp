// Parsing takes nothing from the heap: every malloc of the process is counted while messages go through the
// parser.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "sanitized.h"
#include "sip/message.h"

namespace {
std::atomic<size_t> allocations{0};
}

#ifdef TANDEM_SANITIZED
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, size_t),
                                                         void (*)(const volatile void*));
namespace {
void on_malloc(const volatile void*, size_t) { allocations.fetch_add(1, std::memory_order_relaxed); }
void on_free(const volatile void*) {}
[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
}  // namespace
#else
extern "C" void* __libc_malloc(size_t);
extern "C" void* malloc(size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(n);
}
#endif

namespace tandem::sip {
namespace {

std::string invite(int extra_headers) {
  std::string s =
      "INVITE sip:bob@biloxi.example.com SIP/2.0\r\nVia: SIP/2.0/UDP "
      "pc33.example.com;rport;branch=z9hG4bKnashds8\r\n"
      "Max-Forwards: 70\r\nTo: Bob <sip:bob@biloxi.example.com>\r\nFrom: \"A\" "
      "<sip:alice@example.com>;tag=1928301774\r\n"
      "Call-ID: a84b4c76e66710@pc33\r\nCSeq: 314159 INVITE\r\nContact: <sip:alice@pc33.example.com>\r\nl: "
      "0\r\n";
  for (int i = 0; i < extra_headers; ++i) s += "X-" + std::to_string(i) + ": v\r\n";
  return s + "\r\n";
}

size_t spent_on(const std::string& text, size_t capacity) {
  Buffer warm = Buffer::with_capacity(8192);  // one block of each class in the pool, as after a few messages
  warm = Buffer::with_capacity(2048);
  warm = {};
  Buffer bytes = Buffer::with_capacity(capacity);
  bytes.append(text);
  const size_t before = allocations.load();
  size_t seen = 0;
  {
    auto m = Message::parse(std::move(bytes));
    if (!m) return SIZE_MAX;
    Message moved = std::move(*m);
    const auto uri = moved.parsed_request_uri();
    const auto contact = moved.contact();
    seen = moved.top_via().branch.size() + moved.from_tag().size() + moved.to()->uri.user.size() +
           uri->host.size() + contact->uri.user.size() + moved.header(HeaderId::max_forwards)->size() +
           moved.header("X-1").value_or("").size();
  }
  const size_t after = allocations.load();
  EXPECT_GT(seen, 0u);
  return after - before;
}

TEST(MessageAllocation, CounterCounts) {
  const size_t before = allocations.load();
  void* volatile block = std::malloc(64);
  std::free(block);
  EXPECT_GT(allocations.load(), before);
}

TEST(MessageAllocation, ParsingTakesNothingFromTheHeap) { EXPECT_EQ(spent_on(invite(4), 2048), 0u); }

TEST(MessageAllocation, NorDoesAMessageWhoseTableNeedsALargerBlock) {
  EXPECT_EQ(spent_on(invite(80), 2048), 0u);
}

}  // namespace
}  // namespace tandem::sip
