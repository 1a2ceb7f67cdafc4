#pragma once
// Local time without a time zone database: a fixed offset, or a POSIX TZ rule string (IEEE Std 1003.1,
// section 8.3), which says by itself when daylight saving begins and ends. Reading /usr/share/zoneinfo would
// be I/O.
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace tandem::route {

/// Civil time somewhere.
struct LocalTime {
  int32_t year = 1970;
  uint8_t month = 1;    // 1..12
  uint8_t day = 1;      // 1..31
  uint8_t weekday = 0;  // 0 Sunday .. 6 Saturday
  uint16_t minute = 0;  // of the day, 0..1439
  uint8_t second = 0;
  int32_t offset = 0;  // seconds east of UTC
  bool daylight = false;
};

class Zone {
 public:
  /// UTC.
  Zone() = default;
  /// Accepted forms:
  ///   ""  "UTC"  "Z"                      UTC
  ///   "+02:00"  "-0330"  "UTC+5:30"       fixed, east positive (ISO 8601; "UTC+5:30" as people write it)
  ///   "CET-1CEST,M3.5.0,M10.5.0/3"        POSIX TZ: west positive, Mm.w.d, Jn and n dates, <quoted> names,
  ///   times -167..167 hours
  /// A daylight name without rules is refused: POSIX leaves its dates to the implementation. The failure text
  /// says what is wrong.
  static Result<Zone, std::string_view> parse(std::string_view text);

  LocalTime local(WallTime t) const;
  /// Seconds east of UTC at that moment.
  int32_t offset_at(WallTime t) const;

 private:
  struct Change {
    enum class Kind : uint8_t { julian_no_leap, day_of_year, month_week_day } kind = Kind::month_week_day;
    uint16_t day = 0;  // J: 1..365, n: 0..365
    uint8_t month = 1, week = 1, weekday = 0;
    int32_t time = 7200;             // seconds of local time before the change
    int64_t at(int32_t year) const;  // seconds since 1970 in the local time before the change
  };
  bool daylight_at(int64_t unix_seconds) const;
  static bool parse_change(std::string_view& rest, Change& out);
  static bool parse_rules(std::string_view rest, Zone& zone);

  int32_t standard_ = 0;  // seconds east
  int32_t summer_ = 0;
  bool has_summer_ = false;
  Change begin_, end_;
};

}  // namespace tandem::route
