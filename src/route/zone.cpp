#include "route/zone.h"

#include <chrono>

#include "base/text.h"

namespace tandem::route {
namespace {

constexpr int64_t day_seconds = 86400;

int64_t days_from_civil(int32_t year, unsigned month, unsigned day) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  return std::chrono::sys_days(date).time_since_epoch().count();
}

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

int32_t year_of(int64_t local_seconds) {
  const std::chrono::sys_days days{std::chrono::days(floor_div(local_seconds, day_seconds))};
  return static_cast<int>(std::chrono::year_month_day(days).year());
}

bool take(std::string_view& s, char c) {
  if (s.empty() || s.front() != c) return false;
  s.remove_prefix(1);
  return true;
}

/// 1 to `digits` decimal digits, at most `most`.
bool take_number(std::string_view& s, size_t digits, int most, int& out) {
  size_t n = 0;
  out = 0;
  while (n < s.size() && n < digits && is_digit(s[n])) out = out * 10 + (s[n++] - '0');
  s.remove_prefix(n);
  return n > 0 && out <= most;
}

/// [+-]hh[:mm[:ss]]
bool take_time(std::string_view& s, int most_hours, int32_t& out) {
  const bool negative = take(s, '-');
  if (!negative) take(s, '+');
  int h = 0, m = 0, sec = 0;
  if (!take_number(s, 3, most_hours, h)) return false;
  if (take(s, ':')) {
    if (!take_number(s, 2, 59, m)) return false;
    if (take(s, ':') && !take_number(s, 2, 59, sec)) return false;
  }
  out = (h * 3600 + m * 60 + sec) * (negative ? -1 : 1);
  return true;
}

/// A zone name: three letters or more, or <anything of letters, digits, + and ->.
bool take_name(std::string_view& s) {
  const bool quoted = take(s, '<');
  size_t n = 0;
  for (; n < s.size(); ++n) {
    const char c = to_lower(s[n]);
    const bool letter = c >= 'a' && c <= 'z';
    if (!letter && !(quoted && (is_digit(c) || c == '+' || c == '-'))) break;
  }
  s.remove_prefix(n);
  return n >= 3 && n <= 16 && (!quoted || take(s, '>'));
}

/// "+02:00", "-0330", "+5": east positive.
bool parse_iso(std::string_view s, int32_t& out) {
  if (s.empty() || (s.front() != '+' && s.front() != '-')) return false;
  const bool negative = s.front() == '-';
  s.remove_prefix(1);
  int h = 0, m = 0;
  if (!take_number(s, 2, 14, h)) return false;
  take(s, ':');
  if (!s.empty() && (s.size() != 2 || !take_number(s, 2, 59, m))) return false;
  out = (h * 3600 + m * 60) * (negative ? -1 : 1);
  return s.empty();
}

}  // namespace

int64_t Zone::Change::at(int32_t year) const {
  int64_t days = 0;
  if (kind == Kind::month_week_day) {
    // "Day d of week w": week 1 is the first one in which day d occurs, week 5 the last (IEEE Std 1003.1
    // section 8.3).
    const std::chrono::weekday wanted{weekday};
    const std::chrono::year_month_weekday nth{std::chrono::year(year), std::chrono::month(month),
                                              wanted[week]};
    const std::chrono::year_month_weekday_last last{std::chrono::year(year), std::chrono::month(month),
                                                    wanted[std::chrono::last]};
    days = (week == 5 ? std::chrono::sys_days(last) : std::chrono::sys_days(nth)).time_since_epoch().count();
  } else {
    days = days_from_civil(year, 1, 1) + day;
    if (kind == Kind::julian_no_leap) {
      // 29 February is never counted: J60 is 1 March in every year.
      days += (std::chrono::year(year).is_leap() && day >= 60) ? 0 : -1;
    }
  }
  return days * day_seconds + time;
}

bool Zone::parse_change(std::string_view& s, Change& out) {
  int a = 0, b = 0, c = 0;
  if (take(s, 'M')) {
    if (!take_number(s, 2, 12, a) || a < 1 || !take(s, '.') || !take_number(s, 1, 5, b) || b < 1 ||
        !take(s, '.') || !take_number(s, 1, 6, c))
      return false;
    out.kind = Change::Kind::month_week_day;
    out.month = static_cast<uint8_t>(a);
    out.week = static_cast<uint8_t>(b);
    out.weekday = static_cast<uint8_t>(c);
  } else {
    const bool julian = take(s, 'J');
    if (!take_number(s, 3, 365, a) || (julian && a < 1)) return false;
    out.kind = julian ? Change::Kind::julian_no_leap : Change::Kind::day_of_year;
    out.day = static_cast<uint16_t>(a);
  }
  return !take(s, '/') || take_time(s, 167, out.time);
}

bool Zone::parse_rules(std::string_view s, Zone& zone) {
  return take(s, ',') && parse_change(s, zone.begin_) && take(s, ',') && parse_change(s, zone.end_) &&
         s.empty();
}

Result<Zone, std::string_view> Zone::parse(std::string_view text) {
  Zone zone;
  std::string_view s = trim(text);
  if (s.empty() || iequals(s, "UTC") || iequals(s, "GMT") || iequals(s, "Z")) return zone;
  if (parse_iso(s, zone.standard_)) return zone;
  const bool utc = istarts_with(s, "UTC") || istarts_with(s, "GMT");
  if (utc && s.find(',') == std::string_view::npos && s.size() > 3 && !is_digit(s[3])) {
    if (parse_iso(s.substr(3), zone.standard_)) return zone;
    return Failure{std::string_view("expected an offset like UTC+2 or UTC-3:30")};
  }
  if (!take_name(s))
    return Failure{
        std::string_view("expected an offset like +02:00 or a POSIX rule like CET-1CEST,M3.5.0,M10.5.0/3")};
  int32_t west = 0;
  if (!take_time(s, 24, west))
    return Failure{std::string_view("expected the offset west of Greenwich after the zone's name")};
  zone.standard_ = -west;
  if (s.empty()) return zone;
  if (!take_name(s)) return Failure{std::string_view("expected the daylight zone's name after the offset")};
  zone.has_summer_ = true;
  zone.summer_ = zone.standard_ + 3600;
  if (!s.empty() && s.front() != ',') {
    if (!take_time(s, 24, west)) return Failure{std::string_view("expected the daylight offset")};
    zone.summer_ = -west;
  }
  if (s.empty())
    return Failure{
        std::string_view("expected two change rules after the daylight zone, like ,M3.5.0,M10.5.0/3")};
  if (!parse_rules(s, zone))
    return Failure{std::string_view("expected two change rules, like ,M3.5.0,M10.5.0/3")};
  return zone;
}

bool Zone::daylight_at(int64_t t) const {
  if (!has_summer_) return false;
  // Each change is written in the local time that holds before it. The year is the standard-time one: changes
  // on New Year's Day itself are looked for in the neighbouring years too.
  const int32_t year = year_of(t + standard_);
  int64_t last_begin = INT64_MIN, last_end = INT64_MIN;
  for (int32_t y = year - 1; y <= year + 1; ++y) {
    const int64_t b = begin_.at(y) - standard_;
    const int64_t e = end_.at(y) - summer_;
    if (b <= t && b > last_begin) last_begin = b;
    if (e <= t && e > last_end) last_end = e;
  }
  // Both at the same moment (e.g. daylight all year, "0/0,J365/25"): daylight goes on.
  return last_begin >= last_end;
}

int32_t Zone::offset_at(WallTime t) const {
  return daylight_at(floor_div(t.ns, 1'000'000'000)) ? summer_ : standard_;
}

LocalTime Zone::local(WallTime wall) const {
  const int64_t utc = floor_div(wall.ns, 1'000'000'000);
  LocalTime out;
  out.daylight = daylight_at(utc);
  out.offset = out.daylight ? summer_ : standard_;
  const int64_t t = utc + out.offset;
  const int64_t day = floor_div(t, day_seconds);
  const std::chrono::sys_days days{std::chrono::days(day)};
  const std::chrono::year_month_day date{days};
  out.year = static_cast<int>(date.year());
  out.month = static_cast<uint8_t>(static_cast<unsigned>(date.month()));
  out.day = static_cast<uint8_t>(static_cast<unsigned>(date.day()));
  out.weekday = static_cast<uint8_t>(std::chrono::weekday(days).c_encoding());
  const int64_t second = t - day * day_seconds;
  out.minute = static_cast<uint16_t>(second / 60);
  out.second = static_cast<uint8_t>(second % 60);
  return out;
}

}  // namespace tandem::route
