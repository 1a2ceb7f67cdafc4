#include "allocations.h"

#include <cstdlib>
#include <new>

namespace {

size_t count = 0;

void* counted(size_t n) {
  ++count;
  return std::malloc(n);
}

}  // namespace

// Not inlined: the compiler would otherwise pair malloc with delete and warn.
[[gnu::noinline]] void* operator new(size_t n) {
  if (void* p = counted(n)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t n, const std::nothrow_t&) noexcept { return counted(n); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tandem::ice::test {

size_t allocations() { return count; }

}  // namespace tandem::ice::test
