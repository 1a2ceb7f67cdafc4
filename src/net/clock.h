#pragma once
// Here, and only here, clocks are read.
#include "base/time.h"

namespace tandem::net {

/// Both clocks, the monotonic one on the same origin as std::chrono::steady_clock. Read once per batch.
Now now();

}  // namespace tandem::net
