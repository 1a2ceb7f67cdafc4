#pragma once
// Time is an argument: nothing here reads a clock. `Now` carries both clocks, because timers run on the
// monotonic one and records and expiries that outlive a boot are kept on the wall one.
#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace tandem {

using Duration = std::chrono::nanoseconds;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// Monotonic time in nanoseconds from an origin that is meaningless outside this process.
struct Instant {
  int64_t ns = 0;
  static constexpr Instant never() { return {std::numeric_limits<int64_t>::max()}; }
  constexpr auto operator<=>(const Instant&) const = default;
  constexpr bool is_never() const { return *this == never(); }
};

/// Saturates at never(), so that "never plus a second" stays never.
constexpr Instant operator+(Instant t, Duration d) {
  if (t.is_never() || (d.count() > 0 && t.ns > Instant::never().ns - d.count())) return Instant::never();
  return {t.ns + d.count()};
}
constexpr Instant operator-(Instant t, Duration d) { return t + -d; }
constexpr Duration operator-(Instant a, Instant b) { return Duration(a.ns - b.ns); }

/// Nanoseconds since 1970-01-01T00:00:00Z. May step; never used for timers.
struct WallTime {
  int64_t ns = 0;
  constexpr auto operator<=>(const WallTime&) const = default;
  constexpr int64_t unix_seconds() const { return ns / 1'000'000'000; }
  constexpr int64_t unix_millis() const { return ns / 1'000'000; }
};
constexpr WallTime operator+(WallTime t, Duration d) { return {t.ns + d.count()}; }
constexpr Duration operator-(WallTime a, WallTime b) { return Duration(a.ns - b.ns); }

struct Now {
  Instant mono;
  WallTime wall;
};

/// A deadline as it goes into a snapshot: wall time at which it falls due, so that a restore on another boot
/// (another monotonic origin) fires it at the same moment, or at once, in order, when it is overdue.
constexpr int64_t deadline_to_wall(Now now, Instant deadline) {
  if (deadline.is_never()) return std::numeric_limits<int64_t>::max();
  return (now.wall + (deadline - now.mono)).ns;
}
constexpr Instant deadline_from_wall(Now now, int64_t wall_ns) {
  if (wall_ns == std::numeric_limits<int64_t>::max()) return Instant::never();
  return now.mono + Duration(wall_ns - now.wall.ns);
}

}  // namespace tandem
