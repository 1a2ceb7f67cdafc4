#include "allocations.h"

#include <openssl/crypto.h>

#include <cstdlib>
#include <new>

namespace {

size_t count = 0;
void* counted_malloc(size_t n, const char*, int) { return ++count, std::malloc(n); }
void* counted_realloc(void* p, size_t n, const char*, int) { return ++count, std::realloc(p, n); }
void counted_free(void* p, const char*, int) { std::free(p); }
const int hooked = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);

}  // namespace

void* operator new(size_t n) {
  ++count;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tandem::srtp::test {

size_t allocations() { return count; }
bool counting() { return hooked == 1; }

}  // namespace tandem::srtp::test
