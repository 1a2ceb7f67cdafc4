#include "route/time_rule.h"

#include <chrono>

#include "base/text.h"

namespace tandem::route {
namespace {

/// Comparable within every year (month and day) or across years.
int32_t rank(const LocalTime& t, bool with_year) {
  return (with_year ? t.year * 10000 : 0) + t.month * 100 + t.day;
}
int32_t rank(const CalendarDay& d) { return d.year * 10000 + d.month * 100 + d.day; }

LocalTime day_before(const LocalTime& t) {
  const std::chrono::year_month_day date{std::chrono::year(t.year), std::chrono::month(t.month),
                                         std::chrono::day(t.day)};
  const std::chrono::sys_days days = std::chrono::sys_days(date) - std::chrono::days(1);
  const std::chrono::year_month_day before{days};
  LocalTime out = t;
  out.year = static_cast<int>(before.year());
  out.month = static_cast<uint8_t>(static_cast<unsigned>(before.month()));
  out.day = static_cast<uint8_t>(static_cast<unsigned>(before.day()));
  out.weekday = static_cast<uint8_t>((t.weekday + 6) % 7);
  return out;
}

}  // namespace

Result<CalendarDay, std::string_view> CalendarDay::parse(std::string_view text) {
  constexpr std::string_view expected = "expected a date like 2026-12-24, or 12-24 for every year";
  CalendarDay out;
  text = trim(text);
  if (text.empty()) return out;
  if (text.size() == 10 && text[4] == '-') {
    const auto year = parse_u32(text.substr(0, 4));
    if (!year || *year < 1970) return Failure{expected};
    out.year = static_cast<int32_t>(*year);
    text.remove_prefix(5);
  }
  if (text.size() != 5 || text[2] != '-') return Failure{expected};
  const auto month = parse_u32(text.substr(0, 2)), day = parse_u32(text.substr(3));
  if (!month || !day) return Failure{expected};
  // 29 February is a day of "every year" too: 2000 had one.
  const std::chrono::year_month_day date{std::chrono::year(out.year != 0 ? out.year : 2000),
                                         std::chrono::month(*month), std::chrono::day(*day)};
  if (*month > 12 || *day > 31 || !date.ok()) return Failure{expected};
  out.month = static_cast<uint8_t>(*month);
  out.day = static_cast<uint8_t>(*day);
  return out;
}

Result<TimeSpan, std::string_view> TimeSpan::compile(const port::TimeRuleRow& row) {
  TimeSpan span;
  const auto zone = Zone::parse(row.time_zone);
  if (!zone.ok()) return Failure{zone.reason()};
  const auto from = CalendarDay::parse(row.from_date), to = CalendarDay::parse(row.to_date);
  if (!from.ok()) return Failure{from.reason()};
  if (!to.ok()) return Failure{to.reason()};
  if (from->set() && to->set() && (from->year == 0) != (to->year == 0))
    return Failure{std::string_view("expected both dates with a year, or both without")};
  if (from->year != 0 && to->year != 0 && rank(*from) > rank(*to))
    return Failure{std::string_view("the last date is before the first")};
  if (row.from_minute > 1440 || row.to_minute > 1440)
    return Failure{std::string_view("expected minutes of the day, 0 to 1440")};
  span.zone_ = *zone;
  span.weekdays_ = row.weekdays;
  span.from_minute_ = row.from_minute;
  span.to_minute_ = row.to_minute;
  span.from_ = *from;
  span.to_ = *to;
  span.except_ = row.except;
  return span;
}

bool TimeSpan::day_holds(const LocalTime& day) const {
  const int monday_first = (day.weekday + 6) % 7;
  if (!(weekdays_ >> monday_first & 1)) return false;
  const bool after = !from_.set() || rank(day, from_.year != 0) >= rank(from_);
  const bool before = !to_.set() || rank(day, to_.year != 0) <= rank(to_);
  // "12-24" to "01-06" goes over New Year.
  if (from_.set() && to_.set() && from_.year == 0 && rank(from_) > rank(to_)) return after || before;
  return after && before;
}

bool TimeSpan::holds(WallTime t) const {
  const LocalTime local = zone_.local(t);
  if (from_minute_ < to_minute_)
    return local.minute >= from_minute_ && local.minute < to_minute_ && day_holds(local);
  return (local.minute >= from_minute_ && day_holds(local)) ||
         (local.minute < to_minute_ && day_holds(day_before(local)));
}

bool TimeRule::holds(WallTime t) const {
  bool any = false, only_exceptions = true;
  for (const TimeSpan& span : spans) {
    only_exceptions &= span.except();
    if (!span.holds(t)) continue;
    if (span.except()) return false;
    any = true;
  }
  return any || only_exceptions;
}

}  // namespace tandem::route
