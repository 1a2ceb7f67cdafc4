#pragma once
#include <cstddef>

namespace tandem::ice::test {

/// Allocations by operator new so far.
size_t allocations();

}  // namespace tandem::ice::test
