#include "net/clock.h"

#include <ctime>

namespace tandem::net {
namespace {

int64_t read(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

Now now() { return {{read(CLOCK_MONOTONIC)}, {read(CLOCK_REALTIME)}}; }

}  // namespace tandem::net
