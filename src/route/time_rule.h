#pragma once
// Named times of day: opening hours and their exceptions.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "port/directory.h"
#include "route/zone.h"

namespace tandem::route {

/// A calendar day, with or without its year.
struct CalendarDay {
  int32_t year = 0;  // 0: every year
  uint8_t month = 0, day = 0;
  bool set() const { return month != 0; }
  /// "2026-12-24", "12-24", or empty (not set).
  static Result<CalendarDay, std::string_view> parse(std::string_view text);
};

/// One row of a rule.
class TimeSpan {
 public:
  static Result<TimeSpan, std::string_view> compile(const port::TimeRuleRow& row);
  bool holds(WallTime t) const;
  bool except() const { return except_; }

 private:
  bool day_holds(const LocalTime& day) const;

  Zone zone_;
  uint8_t weekdays_ = 0x7f;  // bit 0 is Monday
  uint32_t from_minute_ = 0, to_minute_ = 1440;
  CalendarDay from_, to_;
  bool except_ = false;
};

/// Holds when any row holds and no exception does. Rules of exceptions only hold outside them.
struct TimeRule {
  std::string name;
  std::vector<TimeSpan> spans;
  bool holds(WallTime t) const;
};

}  // namespace tandem::route
