#pragma once
#include <cstddef>

namespace tandem::srtp::test {

/// Allocations so far, by operator new and by OpenSSL.
size_t allocations();
/// False when OpenSSL had allocated before it could be counted.
bool counting();

}  // namespace tandem::srtp::test
