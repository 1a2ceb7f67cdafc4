#include "allocations.h"

#include <cstdlib>
#include <new>

namespace {
size_t count = 0;
}

void* operator new(size_t n) {
  ++count;
  if (void* p = std::malloc(n)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tandem::ice::test {

size_t allocations() { return count; }

}  // namespace tandem::ice::test
