#pragma once
// The calendar of a LocalTime, for the grammars.
#include <chrono>

#include "prompt/phrase.h"

namespace tandem::prompt {

struct Civil {
  std::chrono::sys_days date;
  unsigned month = 1, day = 1, weekday = 0;  // Sunday is 0
  unsigned hour = 0, minute = 0;
};

inline Civil civil(LocalTime at) {
  using namespace std::chrono;
  const auto local = sys_time<nanoseconds>(nanoseconds(at.utc.ns) + at.offset);
  const sys_days date = floor<days>(local);
  const year_month_day ymd{date};
  const auto minutes_of_day = static_cast<unsigned>(floor<minutes>(local - date).count());
  return {date,
          unsigned{ymd.month()},
          unsigned{ymd.day()},
          std::chrono::weekday{date}.c_encoding(),
          minutes_of_day / 60,
          minutes_of_day % 60};
}

/// One prompt for a day that is near enough to need no date; empty for others.
inline std::string near_day(const Civil& at, const Civil& now) {
  const auto ago = (now.date - at.date).count();
  if (ago == 0) return "today";
  if (ago == 1) return "yesterday";
  if (ago > 1 && ago < 7) return "weekday-" + std::to_string(at.weekday);
  return {};
}

/// 1 to 12 on a clock with two halves.
inline unsigned clock_hour(const Civil& at) { return at.hour % 12 == 0 ? 12 : at.hour % 12; }

}  // namespace tandem::prompt
